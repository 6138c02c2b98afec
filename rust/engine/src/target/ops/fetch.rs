//! `fetch`.

use super::super::{Outcome, Target, check_cond, read_at};
use daos_types::{Cond, FetchIod};
use daos_vos::Seen;
use daos_wire::Fetch;

/// Conditions of a fetch.
pub(in crate::target) const KNOWN: Cond = Cond(Cond::DKEY_FETCH.0 | Cond::AKEY_FETCH.0);

impl Target {
    /// Reads values of akeys of one dkey, straight into what the iods name.
    pub fn fetch(&self, request: &Fetch<'_>, iods: &mut [FetchIod<'_>]) -> Outcome<()> {
        if let Err(error) = check_cond(request.cond, KNOWN) {
            return (Seen::default(), Err(error));
        }
        let Fetch { of, dkey, epoch, cond, .. } = *request;
        self.look(of, |view, of| view.fetch(of, dkey, iods, read_at(epoch), cond))
    }
}
