//! `query`.

use super::super::{Outcome, Target, read_at};
use daos_types::KeyFound;
use daos_vos::Seen;
use daos_wire::Query;

impl Target {
    /// The extreme keys or records of an object; `None` where nothing is visible.
    pub fn query(&self, request: &Query<'_>) -> Outcome<Option<KeyFound>> {
        let mut seen = Seen::default();
        let prepare = |seen: &mut Seen| Ok((self.object(request.of, seen)?, self.store.view(self.shard)?));
        match prepare(&mut seen) {
            Err(error) => (seen, Err(error)),
            Ok((of, view)) => {
                let (more, found) = view.query_key(of, request.what, read_at(request.epoch));
                (seen.and(more), found)
            }
        }
    }
}
