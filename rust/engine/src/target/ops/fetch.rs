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
        let mut seen = Seen::default();
        let prepared = check_cond(request.cond, KNOWN)
            .and_then(|()| Ok((self.object(request.of, &mut seen)?, self.store.view(self.shard)?)));
        match prepared {
            Err(error) => (seen, Err(error)),
            Ok((of, view)) => {
                let (more, read) = view.fetch(of, request.dkey, iods, read_at(request.epoch), request.cond);
                (seen.and(more), read)
            }
        }
    }
}
