//! `update`.

use super::super::{Outcome, Target, check_cond, once};
use daos_types::{Cond, Durability};
use daos_vos::{Landed, Seen, VosError, verify_update};
use daos_wire::Update;

/// Conditions of an update.
pub(in crate::target) const KNOWN: Cond = Cond(
    Cond::DKEY_INSERT.0 | Cond::DKEY_UPDATE.0 | Cond::AKEY_INSERT.0 | Cond::AKEY_UPDATE.0 | Cond::PER_AKEY.0,
);

impl Target {
    /// Puts new values under akeys of one dkey.
    pub fn update(&self, request: &Update<'_>) -> Outcome<()> {
        let mut seen = Seen::default();
        let result = self.store.with_room(|| self.try_update(request, &mut seen));
        (seen, result)
    }

    /// A place for a value that comes. `None` where there is none to be had, or it would not help, as where nobody waits for the
    /// device: its update is the same without.
    pub fn land(&self, len: usize, durability: Durability) -> Option<Landed> {
        let waits = durability == Durability::Synced;
        waits.then(|| self.store.land(self.shard, len).ok().flatten())?
    }

    fn try_update(&self, request: &Update<'_>, seen: &mut Seen) -> Result<(), VosError> {
        check_cond(request.cond, KNOWN)?;
        verify_update(request.of.oid.oid, request.dkey, request.iods)?;
        let staged = self.store.stage(self.shard, request.iods)?;
        let mut tx = self.store.begin()?;
        if once::was_done(&self.store, request.origin, seen)? {
            return Ok(());
        }
        let of = self.object(request.of, seen)?;
        let version = self.now();
        let Update { dkey, iods, cond, .. } = *request;
        let result = tx.update_staged(self.shard, of, version, dkey, iods, cond, staged.as_ref());
        *seen = seen.and(tx.seen());
        result?;
        once::note(&mut tx, request.origin, version.epoch)?;
        let committed = tx.commit();
        let refused = committed.as_ref().is_err_and(VosError::says_nothing_was_logged);
        if let Some(staged) = staged.filter(|_| !refused) {
            staged.keep();
        }
        *seen = Seen(committed?);
        Ok(())
    }
}
