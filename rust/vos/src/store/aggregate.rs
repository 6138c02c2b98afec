//! Aggregation at work: looks at the levels, removes under the writer's lock.

use super::rows::{ROW_AGGREGATED, numbered};
use super::{Store, Tx};
use crate::aggregate::{Aggregation, Removals};
use crate::changes::ShardNum;
use crate::error::{Result, VosError};
use crate::key::{ContNum, KeyBuf, ObjNum};
use daos_types::Epoch;

/// Keys removed by one record at most.
const REMOVED_MAX: usize = 1024;

impl Tx<'_> {
    /// Begins a pass over a container in a shard: versions that no reader at one of the snapshots, or from `up_to` on, can see are removed by
    /// [`Store::aggregate_step`]. From now on no change at or before `up_to` is taken; the caller sees to it that nobody reads at an
    /// epoch before it that is no snapshot.
    pub fn aggregate(
        &mut self,
        shard: ShardNum,
        cont: ContNum,
        snapshots: &[Epoch],
        up_to: Epoch,
    ) -> Result<Aggregation> {
        self.put_row(shard, &numbered(ROW_AGGREGATED, cont.0)?, &up_to.0.to_le_bytes());
        let rollbacks = {
            let shard = self.store.shard(shard)?;
            shard.set_aggregated(cont, up_to);
            shard.rollbacks(cont)
        };
        Ok(Aggregation::new(shard, cont, snapshots, &rollbacks, up_to))
    }
}

impl Store {
    /// Goes on with a pass, looking at about `budget` entries. True where there is more to do.
    pub fn aggregate_step(&self, pass: &mut Aggregation, budget: usize) -> Result<bool> {
        let shard = self.shard(pass.shard)?;
        let mut seen = 0;
        while seen < budget {
            let found = shard.levels().read(None, |merge| pass.look(merge, &shard.dtx))?;
            seen += found.seen.max(1);
            pass.count_removed(found.keys.len());
            let done = found.done;
            self.remove(pass.shard, &found, budget.clamp(1, REMOVED_MAX))?;
            if done {
                self.forget_rollbacks(pass)?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn remove(&self, shard: ShardNum, found: &Removals, at_once: usize) -> Result<()> {
        self.remove_all(shard, &found.keys, at_once)?;
        if let Some((node, num)) = &found.emptied {
            self.remove_number(shard, node, *num)?;
        }
        Ok(())
    }

    /// Removes, so many keys with one record: whatever of it a power cut leaves, the rest reads the same. Fewer, where a merge of so
    /// many might find no room: it gives back more than it takes, but only when it is done.
    pub(super) fn remove_all<K: AsRef<[u8]>>(
        &self,
        shard: ShardNum,
        keys: &[K],
        mut at_once: usize,
    ) -> Result<()> {
        let mut rest = keys;
        while !rest.is_empty() {
            at_once = at_once.clamp(1, rest.len());
            let (keys, later) = rest.split_at(at_once);
            match self.with_merges(|| self.remove_keys(shard, keys)) {
                Ok(()) => rest = later,
                Err(VosError::NoSpace { .. }) if at_once > 1 => at_once /= 2,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn remove_keys<K: AsRef<[u8]>>(&self, shard: ShardNum, keys: &[K]) -> Result<()> {
        let mut tx = self.begin()?;
        for key in keys {
            tx.writer.changes.remove(shard, key.as_ref());
        }
        tx.finish(|_| ()).map(drop)
    }

    /// Removes an object's number, if it still holds nothing when no writer is at work.
    fn remove_number(&self, num: ShardNum, node: &[u8], object: ObjNum) -> Result<()> {
        let shard = self.shard(num)?;
        let mut tx = self.begin()?;
        let mut versions = KeyBuf::from_slice(node)?;
        let mark = versions.mark();
        versions.versions();
        let tree = KeyBuf::tree(object);
        let empty = shard.levels().read(None, |merge| -> Result<bool> {
            for prefix in [versions.as_slice(), tree.as_slice()] {
                if merge.seek(prefix)? && merge.key().starts_with(prefix) {
                    return Ok(false);
                }
            }
            Ok(true)
        })?;
        if empty {
            versions.truncate(mark);
            versions.below();
            tx.remove_row(num, &versions);
            tx.finish(|_| ())?;
        }
        Ok(())
    }
}
