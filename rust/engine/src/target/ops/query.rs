//! `query`.

use super::super::{Outcome, Target, read_at};
use daos_types::KeyFound;
use daos_wire::Query;

impl Target {
    /// The extreme keys or records of an object; `None` where nothing is visible.
    pub fn query(&self, request: &Query<'_>) -> Outcome<Option<KeyFound>> {
        self.look(request.of, |view, of| view.query_key(of, request.what, read_at(request.epoch)))
    }
}
