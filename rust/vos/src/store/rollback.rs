//! Rollbacks of containers: rows of their shards.

use super::rows::{ROW_ROLLBACKS, numbered, row_of};
use super::{Store, Tx};
use crate::aggregate::Aggregation;
use crate::changes::ShardNum;
use crate::error::{Result, VosError};
use crate::key::{ContNum, TAG_META};
use crate::rollback::{ROLLBACKS_MAX, Rollbacks};
use crate::space::Purpose;
use daos_types::Epoch;

/// The container of whose rollbacks this is the key.
pub(crate) fn container_of(key: &[u8]) -> Option<ContNum> {
    let num = key.strip_prefix(&[TAG_META])?.strip_prefix(ROW_ROLLBACKS)?;
    num.try_into().ok().map(|num| ContNum(u32::from_be_bytes(num)))
}

/// Reads a row.
pub(crate) fn decode(row: &[u8]) -> Result<Rollbacks> {
    let wrong = || VosError::Corrupt { why: "the rollbacks of a container have no known form".to_owned() };
    Rollbacks::decode(row).ok_or_else(wrong)
}

impl Tx<'_> {
    /// Brings a container's share of a shard back to what a reader at an epoch sees: from now on no change at or before `at` is taken, and
    /// who reads at or after it passes over what lies between. `readers` are the epochs at which the container is read beside the
    /// present.
    pub fn rollback(
        &mut self,
        shard: ShardNum,
        cont: ContNum,
        at: Epoch,
        to: Epoch,
        readers: &[Epoch],
    ) -> Result<()> {
        let mut rollbacks = Rollbacks::clone(&*self.store.shard(shard)?.rollbacks(cont));
        if to >= at || at <= rollbacks.newest() {
            let why = format!("a rollback at epoch {at} cannot go back to epoch {to}");
            return Err(VosError::Invalid { why });
        }
        rollbacks.add(at, to, readers);
        if rollbacks.len() > ROLLBACKS_MAX {
            let why = format!(
                "the container stands on {ROLLBACKS_MAX} rollbacks already; destroy snapshots taken between them, aggregate, and try again"
            );
            return Err(VosError::Invalid { why });
        }
        self.note_epoch(at);
        self.is_for(Purpose::Store);
        self.put_row(shard, &numbered(ROW_ROLLBACKS, cont.0)?, &rollbacks.encode());
        Ok(())
    }
}

impl Store {
    /// Reads the rollbacks of a shard's containers.
    pub(super) fn load_rollbacks(&self, num: ShardNum) -> Result<()> {
        let shard = self.shard(num)?;
        for (name, row) in self.rows(num, ROW_ROLLBACKS)?.1 {
            let cont = ContNum(u32::from_be_bytes(row_of(&name, "rollbacks")?));
            shard.set_rollbacks(cont, Some(decode(&row)?));
        }
        Ok(())
    }

    /// Forgets the rollbacks of which a pass that is done has left nothing to hide.
    pub(super) fn forget_rollbacks(&self, pass: &Aggregation) -> Result<()> {
        let shard = self.shard(pass.shard)?;
        if shard.rollbacks(pass.cont).is_empty() {
            return Ok(());
        }
        let mut tx = self.begin()?;
        let before = shard.rollbacks(pass.cont);
        let mut rollbacks = Rollbacks::clone(&before);
        let (up_to, is_empty) = pass.emptied();
        rollbacks.forget_empty(up_to, is_empty);
        if rollbacks == *before {
            return Ok(());
        }
        let row = numbered(ROW_ROLLBACKS, pass.cont.0)?;
        if rollbacks.is_empty() {
            tx.remove_row(pass.shard, &row);
        } else {
            tx.put_row(pass.shard, &row, &rollbacks.encode());
        }
        tx.commit().map(drop)
    }
}
