//! `objects`, `diff` and `check`.

use super::super::{Outcome, Target};
use daos_types::ContainerId;
use daos_vos::{CheckBudget, CheckPage, ContNum, Seen, View, VosError};
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

    /// A part of a check of a container: of the target's index first.
    pub fn check(&self, request: &Check<'_>) -> Outcome<Checked> {
        let Check { cont, from, budget, .. } = *request;
        let budget = CheckBudget { entries: budget, ..CheckBudget::CALL };
        self.look_at(cont, |view, cont| match from.and_then(<[u8]>::split_first) {
            None => (Seen::default(), check_index(&view, None, budget)),
            Some((&IN_INDEX, from)) => (Seen::default(), check_index(&view, Some(from), budget)),
            Some((&IN_CONTAINER, from)) => {
                let (seen, page) = view.check(cont, Some(from), budget);
                let checked = page.map(|page| {
                    let CheckPage { objects, entries, bytes, damaged, next } = page;
                    let damaged = damaged.into_iter().map(|(oid, what)| (Some(oid), what)).collect();
                    let next = next.map(|next| place(IN_CONTAINER, &next));
                    Checked { objects, entries, pages: 0, bytes, damaged, next }
                });
                (seen, checked)
            }
            Some(_) => {
                let why = "no place of a check".to_owned();
                (Seen::default(), Err(VosError::Invalid { why }))
            }
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

/// The first byte of a place of a check.
const IN_INDEX: u8 = 0;
const IN_CONTAINER: u8 = 1;

fn place(kind: u8, rest: &[u8]) -> Vec<u8> {
    [&[kind], rest].concat()
}

fn check_index(view: &View, from: Option<&[u8]>, budget: CheckBudget<'_>) -> Result<Checked, VosError> {
    let page = view.check_index(from, budget.pages)?;
    let next = match page.next {
        Some(next) => place(IN_INDEX, &next),
        None => place(IN_CONTAINER, &[]),
    };
    let damaged = page.damaged.into_iter().map(|what| (None, what)).collect();
    Ok(Checked { pages: page.pages, damaged, next: Some(next), ..Checked::default() })
}
