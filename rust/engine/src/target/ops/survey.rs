//! `objects`, `diff` and `check`.

use super::super::{Outcome, Target};
use daos_types::ContainerId;
use daos_vos::{CheckPage, ContNum, Seen, View};
use daos_wire::{Check, Checked, Diff, Differences, ListedObjects, Objects};

impl Target {
    /// One page of the objects of a container.
    pub fn objects(&self, request: &Objects<'_>) -> Outcome<ListedObjects> {
        let Objects { cont, epochs, after, count_max, .. } = *request;
        self.look_at(cont, |view, cont| {
            let (seen, page) = view.objects(cont, epochs, after, count_max);
            (seen, page.map(|page| ListedObjects { oids: page.oids, next: page.next }))
        })
    }

    /// One page of the differences of an object shard.
    pub fn diff(&self, request: &Diff<'_>) -> Outcome<Differences> {
        let Diff { of, before, after, from, count_max, .. } = *request;
        let (seen, page) = self.look(of, |view, of| view.diff(of, before, after, from, count_max));
        (seen, page.map(|page| Differences { keys: page.keys, next: page.next }))
    }

    /// A part of a check of a container.
    pub fn check(&self, request: &Check<'_>) -> Outcome<Checked> {
        let Check { cont, from, budget, .. } = *request;
        self.look_at(cont, |view, cont| {
            let pages = match from {
                None => view.check_index(),
                Some(_) => Ok(0),
            };
            let pages = match pages {
                Ok(pages) => pages,
                Err(error) => return (Seen::default(), Err(error)),
            };
            let (seen, page) = view.check(cont, from, budget);
            let checked = page.map(|page| {
                let CheckPage { objects, entries, bytes, damaged, next } = page;
                Checked { objects, entries, pages, bytes, damaged, next }
            });
            (seen, checked)
        })
    }

    /// Begins to read a container as a whole.
    fn look_at<T>(&self, cont: ContainerId, read: impl FnOnce(View, ContNum) -> Outcome<T>) -> Outcome<T> {
        let mut seen = Seen::default();
        let begun = self.container(cont, &mut seen).and_then(|cont| Ok((self.store.view(self.shard)?, cont)));
        match begun {
            Err(error) => (seen, Err(error)),
            Ok((view, cont)) => {
                let (more, result) = read(view, cont);
                (seen.and(more), result)
            }
        }
    }
}
