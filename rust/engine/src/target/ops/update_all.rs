//! Several updates of one target, in as few log records as they allow.

use super::super::{Outcome, Target};
use daos_types::{Cond, Iod, IodValue};
use daos_vos::{KV_AKEY, Pair, Seen, VosError, verify_update};
use daos_wire::{ShardRef, Update};

/// Pairs of one record: other writers wait for some hundred microseconds at most.
const BATCH_PAIRS_MAX: usize = 256;
/// Bytes of keys and values of one record; a longer pair is an update by itself.
const BATCH_BYTES_MAX: usize = 64 << 10;

impl Target {
    /// Several updates, in their order, up to the first that fails. Neighbours that put values into one flat object on no
    /// condition go into one record.
    pub fn update_all(&self, requests: &[Update<'_>]) -> Outcome<()> {
        let mut seen = Seen::default();
        let mut rest = requests;
        while let Some((first, others)) = rest.split_first() {
            let batch = batch(rest);
            let (more, result) = if batch.len() > 1 {
                let (these, others) = rest.split_at(batch.len());
                rest = others;
                self.update_together(first.of, &batch, these)
            } else {
                rest = others;
                self.update(first)
            };
            seen = seen.and(more);
            if result.is_err() {
                return (seen, result);
            }
        }
        (seen, Ok(()))
    }

    /// One record for all; where there is no room for that, one after the other: what is large of them may fit into gaps then.
    fn update_together(&self, of: ShardRef, pairs: &[Pair<'_>], requests: &[Update<'_>]) -> Outcome<()> {
        let mut seen = Seen::default();
        for request in requests {
            if let Err(error) = verify_update(of.oid.oid, request.dkey, request.iods) {
                return (seen, Err(error));
            }
        }
        let mut result = self.store.with_room(|| self.try_update_batch(of, pairs, &mut seen));
        if let Err(VosError::NoSpace { .. }) = result {
            result = requests.iter().try_for_each(|request| {
                let (more, result) = self.update(request);
                seen = seen.and(more);
                result
            });
        }
        (seen, result)
    }

    fn try_update_batch(&self, of: ShardRef, pairs: &[Pair<'_>], seen: &mut Seen) -> Result<(), VosError> {
        let mut tx = self.store.begin()?;
        let of = self.object(of, seen)?;
        let version = self.now();
        let result = tx.update_batch(self.shard, of, version, pairs);
        *seen = seen.and(tx.seen());
        result?;
        *seen = Seen(tx.commit()?);
        Ok(())
    }
}

/// The pairs of the first updates that can go into one record.
fn batch<'a>(requests: &[Update<'a>]) -> Vec<Pair<'a>> {
    let Some(first) = requests.first() else { return Vec::new() };
    let mut bytes = 0;
    requests
        .iter()
        .take(BATCH_PAIRS_MAX)
        .map_while(|request| {
            let pair = pair(request).filter(|_| request.of == first.of)?;
            bytes += pair.key.len() + pair.value.len();
            (bytes <= BATCH_BYTES_MAX).then_some(pair)
        })
        .collect()
}

/// The pair that an update of a flat object puts, where that depends on nothing.
fn pair<'a>(request: &Update<'a>) -> Option<Pair<'a>> {
    let is_kv = request.of.oid.oid.object_type().is_some_and(daos_types::ObjectType::is_kv);
    match request.iods {
        [Iod { akey: KV_AKEY, value: IodValue::Single(value), sums, .. }]
            if is_kv && request.cond == Cond::NONE && request.origin.is_none() =>
        {
            Some(Pair { key: request.dkey, value, sums: *sums })
        }
        _ => None,
    }
}
