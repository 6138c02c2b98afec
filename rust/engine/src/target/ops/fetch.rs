//! `fetch`.

use super::super::{Outcome, Target, check_cond, read_at};
use daos_types::Cond;
use daos_vos::Seen;
use daos_wire::Fetch;

/// Conditions of a fetch.
const KNOWN: Cond = Cond(Cond::DKEY_FETCH.0 | Cond::AKEY_FETCH.0);

impl Target {
    /// Shows a single value to `found`; `None` where there is none. `found` must not wait for anything.
    pub fn fetch<R>(&self, request: &Fetch<'_>, found: impl FnOnce(&[u8]) -> R) -> Outcome<Option<R>> {
        let mut seen = Seen::default();
        let prepared = check_cond(request.cond, KNOWN)
            .and_then(|()| Ok((self.object(request.of, &mut seen)?, self.store.view(self.shard)?)));
        match prepared {
            Err(error) => (seen, Err(error)),
            Ok((of, view)) => {
                let (more, found) = view.fetch_single(
                    of,
                    request.dkey,
                    request.akey,
                    read_at(request.epoch),
                    request.cond,
                    found,
                );
                (seen.and(more), found)
            }
        }
    }
}
