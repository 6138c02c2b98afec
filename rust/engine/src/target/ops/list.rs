//! `list`.

use super::super::{Outcome, Target, read_at};
use daos_vos::{KeysOf, ListRange, Seen};
use daos_wire::{List, ListedKeys};

impl Target {
    /// One page of dkeys or akeys.
    pub fn list(&self, request: &List<'_>) -> Outcome<ListedKeys> {
        let mut seen = Seen::default();
        let prepare = |seen: &mut Seen| Ok((self.object(request.of, seen)?, self.store.view(self.shard)?));
        let (of, view) = match prepare(&mut seen) {
            Ok(prepared) => prepared,
            Err(error) => return (seen, Err(error)),
        };
        let what = request.dkey.map_or(KeysOf::Object, KeysOf::Dkey);
        let List { from, count_max, bytes_max, reverse, .. } = *request;
        let range = ListRange { from, count_max, bytes_max, reverse, to: None };
        let (more, page) = view.list(of, what, read_at(request.epoch), range);
        (seen.and(more), page.map(|page| ListedKeys { keys: page.keys, next: page.next }))
    }
}
