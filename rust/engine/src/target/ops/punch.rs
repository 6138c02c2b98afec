//! `punch`.

use super::super::{Outcome, Target, check_cond, once};
use daos_types::Cond;
use daos_vos::{Seen, VosError};
use daos_wire::Punch;

impl Target {
    /// Hides an object, a dkey or akeys from now on.
    pub fn punch(&self, request: &Punch<'_>) -> Outcome<()> {
        let mut seen = Seen::default();
        let result = self.store.with_room(|| self.try_punch(request, &mut seen));
        (seen, result)
    }

    fn try_punch(&self, request: &Punch<'_>, seen: &mut Seen) -> Result<(), VosError> {
        check_cond(request.cond, Cond::PUNCH)?;
        let mut tx = self.store.begin()?;
        if once::was_done(&self.store, request.origin, seen)? {
            return Ok(());
        }
        let of = self.object(request.of, seen)?;
        let version = self.now();
        let result = tx.punch(self.shard, of, version, request.what, request.cond);
        *seen = seen.and(tx.seen());
        result?;
        once::note(&mut tx, request.origin, version.epoch)?;
        *seen = Seen(tx.commit()?);
        Ok(())
    }
}
