//! `update`.

use super::super::{Outcome, Target, check_cond};
use daos_types::Cond;
use daos_vos::{Iod, IodValue, Seen, VosError};
use daos_wire::{IodValue as WireValue, Update};

/// Conditions of an update.
const KNOWN: Cond = Cond(
    Cond::DKEY_INSERT.0 | Cond::DKEY_UPDATE.0 | Cond::AKEY_INSERT.0 | Cond::AKEY_UPDATE.0 | Cond::PER_AKEY.0,
);

fn iod<'a>(iod: &daos_wire::Iod<'a>) -> Result<Iod<'a>, VosError> {
    let value = match iod.value {
        WireValue::Single(value) => IodValue::Single(value),
        WireValue::NoSingle => IodValue::NoSingle,
        _ => {
            return Err(VosError::Invalid {
                why: "a kind of value that this target does not know".to_owned(),
            });
        }
    };
    Ok(Iod { akey: iod.akey, cond: iod.cond, value })
}

impl Target {
    /// Puts new values under akeys of one dkey.
    pub fn update(&self, request: &Update<'_>) -> Outcome<()> {
        let mut seen = Seen::default();
        let result = self.try_update(request, &mut seen);
        (seen, result)
    }

    fn try_update(&self, request: &Update<'_>, seen: &mut Seen) -> Result<(), VosError> {
        check_cond(request.cond, KNOWN)?;
        // Nearly always there is one akey: no allocation for that.
        let mut many = Vec::new();
        let mut one = [Iod { akey: &[], cond: Cond::NONE, value: IodValue::NoSingle }];
        let iods: &[Iod<'_>] = if let [only] = request.iods {
            one[0] = iod(only)?;
            &one
        } else {
            for each in request.iods {
                many.push(iod(each)?);
            }
            &many
        };
        let mut tx = self.store.begin()?;
        let of = self.object(request.of, seen)?;
        let version = self.now();
        let result = tx.update(self.shard, of, version, request.dkey, iods, request.cond);
        *seen = seen.and(tx.seen());
        result?;
        *seen = Seen(tx.commit()?);
        Ok(())
    }
}
