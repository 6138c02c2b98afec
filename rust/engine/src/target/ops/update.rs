//! `update`.

use super::super::{Outcome, Target, check_cond};
use daos_types::Cond;
use daos_vos::{Seen, VosError};
use daos_wire::Update;

/// Conditions of an update.
const KNOWN: Cond = Cond(
    Cond::DKEY_INSERT.0 | Cond::DKEY_UPDATE.0 | Cond::AKEY_INSERT.0 | Cond::AKEY_UPDATE.0 | Cond::PER_AKEY.0,
);

impl Target {
    /// Puts new values under akeys of one dkey.
    pub fn update(&self, request: &Update<'_>) -> Outcome<()> {
        let mut seen = Seen::default();
        let result = self.try_update(request, &mut seen);
        (seen, result)
    }

    fn try_update(&self, request: &Update<'_>, seen: &mut Seen) -> Result<(), VosError> {
        check_cond(request.cond, KNOWN)?;
        let mut tx = self.store.begin()?;
        let of = self.object(request.of, seen)?;
        let version = self.now();
        let result = tx.update(self.shard, of, version, request.dkey, request.iods, request.cond);
        *seen = seen.and(tx.seen());
        result?;
        *seen = Seen(tx.commit()?);
        Ok(())
    }
}
