//! `objects` and `diff`.

use super::super::{Outcome, Target};
use daos_vos::Seen;
use daos_wire::{Diff, Differences, ListedObjects, Objects};

impl Target {
    /// One page of the objects of a container.
    pub fn objects(&self, request: &Objects<'_>) -> Outcome<ListedObjects> {
        let Objects { cont, epochs, after, count_max, .. } = *request;
        let mut seen = Seen::default();
        let begun = self.container(cont, &mut seen).and_then(|cont| Ok((cont, self.store.view(self.shard)?)));
        match begun {
            Err(error) => (seen, Err(error)),
            Ok((cont, view)) => {
                let (more, page) = view.objects(cont, epochs, after, count_max);
                (seen.and(more), page.map(|page| ListedObjects { oids: page.oids, next: page.next }))
            }
        }
    }

    /// One page of the differences of an object shard.
    pub fn diff(&self, request: &Diff<'_>) -> Outcome<Differences> {
        let Diff { of, before, after, from, count_max, .. } = *request;
        let (seen, page) = self.look(of, |view, of| view.diff(of, before, after, from, count_max));
        (seen, page.map(|page| Differences { keys: page.keys, next: page.next }))
    }
}
