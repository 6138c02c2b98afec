//! `put pairs`: several values of one flat object as one log record.

use super::super::{Outcome, Target, once};
use daos_types::Cond;
use daos_vos::{Seen, VosError, verify_update};
use daos_wire::limits::{PAIRS_BYTES_MAX, PAIRS_MAX};
use daos_wire::{PutPairs, Update};

impl Target {
    /// Puts values under keys of one flat object, all or none. Only where there is no room for that and nobody will ask for the
    /// same change again, one after the other, up to the first that fails: what is large of them may fit into gaps then.
    pub fn put_pairs(&self, request: &PutPairs<'_>) -> Outcome<()> {
        let mut seen = Seen::default();
        let mut result = self.store.with_room(|| self.try_put_pairs(request, &mut seen));
        if let Err(VosError::NoSpace { .. }) = result
            && request.origin.is_none()
        {
            result = request.pairs.iter().try_for_each(|pair| {
                let iods = [pair.iod()];
                let PutPairs { of, durability, .. } = *request;
                let (dkey, cond) = (pair.key, Cond::NONE);
                let (more, result) =
                    self.update(&Update { of, dkey, iods: &iods, cond, durability, origin: None });
                seen = seen.and(more);
                result
            });
        }
        (seen, result)
    }

    fn try_put_pairs(&self, request: &PutPairs<'_>, seen: &mut Seen) -> Result<(), VosError> {
        let PutPairs { of, pairs, origin, .. } = *request;
        let bytes: usize = pairs.iter().map(daos_types::Pair::bytes).sum();
        if pairs.len() > PAIRS_MAX || bytes > PAIRS_BYTES_MAX {
            let why = format!("{} pairs of {bytes} bytes are too many for one change", pairs.len());
            return Err(VosError::Invalid { why });
        }
        for pair in pairs {
            verify_update(of.oid.oid, pair.key, &[pair.iod()])?;
        }
        let mut tx = self.store.begin()?;
        if once::was_done(&self.store, origin, seen)? {
            return Ok(());
        }
        let of = self.object(of, seen)?;
        let version = self.now();
        let result = tx.update_batch(self.shard, of, version, pairs);
        *seen = seen.and(tx.seen());
        result?;
        once::note(&mut tx, origin, version.epoch)?;
        *seen = Seen(tx.commit()?);
        Ok(())
    }
}
