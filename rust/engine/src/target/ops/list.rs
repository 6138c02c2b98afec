//! `list`.

use super::super::{Outcome, Target, read_at};
use daos_types::Version;
use daos_vos::{KeysOf, ListRange, ObjectRef, Seen, View, VosError};
use daos_wire::{List, ListedKeys, ListedPairs};

impl Target {
    /// One page of dkeys or akeys.
    pub fn list(&self, request: &List<'_>) -> Outcome<ListedKeys> {
        let what = request.dkey.map_or(KeysOf::Object, KeysOf::Dkey);
        let (seen, page) =
            self.listed(request, |view, of, version, range| view.list(of, what, version, range));
        (seen, page.map(|page| ListedKeys { keys: page.keys, next: page.next }))
    }

    /// One page of the keys of a flat key-value object, with their values.
    pub fn list_pairs(&self, request: &List<'_>) -> Outcome<ListedPairs> {
        if request.dkey.is_some() {
            let why = "values are listed with dkeys, not with akeys".to_owned();
            return (Seen::default(), Err(VosError::Invalid { why }));
        }
        let (seen, page) = self.listed(request, View::list_pairs);
        let listed = |page: daos_vos::PairPage| {
            let daos_vos::PairPage { keys, values, sums, next } = page;
            ListedPairs { keys, values, sums, next }
        };
        (seen, page.map(listed))
    }

    fn listed<T>(
        &self,
        request: &List<'_>,
        list: impl FnOnce(&View, ObjectRef, Version, ListRange<'_>) -> Outcome<T>,
    ) -> Outcome<T> {
        let List { from, count_max, bytes_max, reverse, .. } = *request;
        let range = ListRange { from, count_max, bytes_max, reverse, to: None };
        self.look(request.of, |view, of| list(&view, of, read_at(request.epoch), range))
    }
}
