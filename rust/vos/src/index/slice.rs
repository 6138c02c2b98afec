//! Checks an index by slices, between which nothing is held: `docs/internals/scrub.md`.

use super::page::SLOT_PAGES;
use super::store::State;
use super::superblock::{Slot, decode_slot};
use super::tree::{Tree, Writer, read_bitmap, read_slot};
use super::walk::{Checked, Part, Tally, Walk};
use super::{IndexError, Result};
use std::sync::Arc;

/// Bytes of a place before its key.
const HEAD: usize = 32;

/// Where a check of an index goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct IndexPlace {
    /// The state in which everything was met so far; 0 where that was not one, or something is damaged.
    generation: u64,
    met: Tally,
    entries: u64,
    /// The first key of what is left.
    from: Vec<u8>,
}

impl IndexPlace {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let numbers = [self.generation, self.met.pages, self.met.sum, self.entries];
        let mut out: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        out.extend_from_slice(&self.from);
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, from) = bytes.split_at_checked(HEAD)?;
        let mut numbers = head.as_chunks::<8>().0.iter().map(|number| u64::from_le_bytes(*number));
        let mut next = || numbers.next();
        let (generation, pages, sum, entries) = (next()?, next()?, next()?, next()?);
        let met = Tally { pages, sum };
        (!from.is_empty()).then(|| Self { generation, met, entries, from: from.to_vec() })
    }
}

/// What a slice of a check found.
#[derive(Debug, Clone, Default)]
pub(crate) struct IndexSlice {
    pub(crate) checked: Checked,
    /// What is not as it was written.
    pub(crate) damaged: Vec<IndexError>,
    /// Where to go on; `None` at the end.
    pub(crate) next: Option<IndexPlace>,
}

impl Tree {
    /// Reads about so many pages of the newest state, from a place on, past the cache, and checks what [`Tree::check`] checks. Goes on
    /// behind what is damaged. That no page is used twice, and that the account of pages in use is exact, is checked at the end where
    /// no batch came in between.
    pub(crate) fn check_slice(&self, place: Option<&IndexPlace>, pages_max: u64) -> IndexSlice {
        let mut damaged = Vec::new();
        let state = match place {
            None => self.check_frame(&mut damaged),
            Some(_) => self.store.current.load_full(),
        };
        let superblock = &state.0;
        let empty = IndexPlace { generation: superblock.generation, ..IndexPlace::default() };
        let place = place.unwrap_or(&empty);
        let part = Part { from: &place.from, pages_left: pages_max, ..Part::default() };
        // The state is held meanwhile, so that no batch writes to its pages.
        let (checked, part) = Walk::new(&self.store, superblock).part(part);
        damaged.extend(part.damaged);
        let is_one = damaged.is_empty() && place.generation == superblock.generation;
        let met =
            Tally { pages: place.met.pages + part.met.pages, sum: place.met.sum.wrapping_add(part.met.sum) };
        let entries = place.entries + checked.entries;
        let next = part.next.map(|from| {
            let generation = if is_one { superblock.generation } else { 0 };
            IndexPlace { generation, met, entries, from }
        });
        if next.is_none() && is_one {
            damaged.extend(self.check_account(superblock.generation, met, entries).err());
        }
        IndexSlice { checked, damaged, next }
    }

    /// Checks what the newest state hangs on: the slots that were written, and the bytes of the account of pages.
    fn check_frame(&self, damaged: &mut Vec<IndexError>) -> Arc<State> {
        let writer = self.writer.lock();
        let state = self.store.current.load_full();
        let current = &state.0;
        for (slot, page) in SLOT_PAGES.into_iter().enumerate() {
            // A slot that was not written since the index was opened may lack what a power cut took.
            let written = if slot == writer.slot { Some(current.generation) } else { writer.previous };
            let Some(generation) = written else { continue };
            match decode_slot(&read_slot(&*self.store.file, page), slot, current.identity) {
                Slot::Valid(found, _) if found.generation == generation => {}
                _ => {
                    damaged.push(self.store.corrupt(page, "this superblock is not the one that was written"));
                }
            }
        }
        match read_bitmap(&self.store, current) {
            Ok(Some(_)) => {}
            Ok(None) => {
                let page = current.bitmap.page;
                damaged.push(self.store.corrupt(page, "the account of pages in use is damaged"));
            }
            Err(error) => damaged.push(error),
        }
        drop(writer);
        state
    }

    /// Compares what a whole walk over one state met with what the state says.
    fn check_account(&self, generation: u64, met: Tally, entries: u64) -> Result<()> {
        let writer = self.writer.lock();
        let superblock = self.store.current.load().0;
        let Writer { space: Some(space), .. } = &*writer else { return Ok(()) };
        if superblock.generation != generation {
            return Ok(());
        }
        let told = superblock.entries;
        if entries != told {
            return Err(self.store.corrupt(0, format!("{entries} keys, the superblock says {told}")));
        }
        let mut live = Tally::default();
        let end = superblock.page_count.max(space.live().end());
        (0..end).filter(|page| space.live().get(*page)).for_each(|page| live.add(page));
        if met == live {
            return Ok(());
        }
        let why = format!("{} pages are in use, the account has {}, or others", met.pages, live.pages);
        Err(self.store.corrupt(superblock.bitmap.page, why))
    }
}

#[cfg(test)]
mod tests {
    use super::super::page::{FIRST_PAGE, PAGE};
    use super::*;
    use crate::index::{Batch, Index as _, TreeOptions};
    use crate::media::{Media as _, MemoryMedia};
    use daos_types::Lsn;
    use std::collections::BTreeMap;
    use std::io::IoSlice;

    type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

    struct Sorted(Vec<(Vec<u8>, Option<Vec<u8>>)>, usize);

    impl Batch for Sorted {
        fn next(&mut self) -> Option<(&[u8], Option<&[u8]>)> {
            self.1 += 1;
            self.0.get(self.1 - 1).map(|(key, value)| (key.as_slice(), value.as_deref()))
        }
    }

    /// An index of three levels with some values in pages of their own.
    fn filled() -> (MemoryMedia, Tree) {
        let media = MemoryMedia::new();
        let tree = Tree::create(&media, "index", [3; 16], &TreeOptions::default()).unwrap();
        for round in 1..4_u32 {
            put(&tree, round, (0..3000).map(|n| (n * 7 + round, if n % 500 == 1 { 9000 } else { 300 })));
        }
        assert!(tree.stats().height > 2);
        (media, tree)
    }

    fn put(tree: &Tree, lsn: u32, entries: impl Iterator<Item = (u32, usize)>) {
        let changes: Changes = entries
            .map(|(key, len)| ([b"some/key/", &key.to_be_bytes()[..]].concat(), Some(vec![7; len])))
            .collect();
        tree.apply(&mut Sorted(changes.into_iter().collect(), 0), Lsn(lsn.into())).unwrap();
    }

    /// All slices; between them, `between`.
    fn slices(tree: &Tree, pages_max: u64, mut between: impl FnMut()) -> (Checked, Vec<IndexError>, u32) {
        let (mut all, mut damaged, mut count, mut place) = (Checked::default(), Vec::new(), 0, None);
        loop {
            let IndexSlice { checked, damaged: more, next } = tree.check_slice(place.as_ref(), pages_max);
            all.entries += checked.entries;
            all.leaves += checked.leaves;
            all.inners += checked.inners;
            all.runs += checked.runs;
            all.run_pages += checked.run_pages;
            all.leaf_slack += checked.leaf_slack;
            damaged.extend(more);
            count += 1;
            let Some(next) = next else { return (all, damaged, count) };
            assert!(place.as_ref().is_none_or(|place: &IndexPlace| place.from < next.from), "it goes on");
            place = IndexPlace::decode(&next.encode());
            assert_eq!(place.as_ref(), Some(&next));
            between();
        }
    }

    #[test]
    fn slices_of_any_size_see_what_the_whole_check_sees() {
        let (_media, tree) = filled();
        let whole = tree.check().unwrap();
        for pages_max in [0, 1, 2, 3, 4, 5, 7, 100, u64::MAX] {
            let (all, damaged, count) = slices(&tree, pages_max, || {});
            assert_eq!(all, whole, "slices of {pages_max} pages");
            assert!(damaged.is_empty(), "{damaged:?}");
            if pages_max <= 1 {
                assert_eq!(u64::from(count), whole.leaves);
            }
        }
    }

    #[test]
    fn batches_between_the_slices_are_no_damage() {
        let (_media, tree) = filled();
        let mut lsn = 10;
        let (all, damaged, _) = slices(&tree, 20, || {
            lsn += 1;
            put(&tree, lsn, (0..60).map(|n| ((n * 131 * lsn) % 30_000, 500)));
        });
        assert!(damaged.is_empty(), "{damaged:?}");
        assert!(lsn > 20 && all.entries >= 8000, "{all:?}");
    }

    #[test]
    fn every_damaged_page_is_told_and_what_lies_behind_it_is_checked() {
        let (media, tree) = filled();
        let live: Vec<u64> = {
            let writer = tree.writer.lock();
            let space = writer.space.as_ref().unwrap();
            (0..space.live().end()).filter(|page| space.live().get(*page)).collect()
        };
        let whole = tree.check().unwrap();
        let file = media.open("index").unwrap();
        let mut in_leaves = 0;
        for page in live {
            let mut kept = vec![0; PAGE];
            file.read_at(page * PAGE as u64, &mut kept).unwrap();
            let mut wrong = kept.clone();
            // Of a superblock, all copies.
            wrong.iter_mut().step_by(64).for_each(|byte| *byte ^= 1);
            file.write_at(page * PAGE as u64, &[IoSlice::new(&wrong)]).unwrap();
            let (all, damaged, _) = slices(&tree, 5, || {});
            file.write_at(page * PAGE as u64, &[IoSlice::new(&kept)]).unwrap();
            if page < FIRST_PAGE && !SLOT_PAGES.contains(&page) {
                assert!(damaged.is_empty(), "page {page} holds nothing: {damaged:?}");
                continue;
            }
            assert_eq!(damaged.len(), 1, "page {page}: {damaged:?}");
            in_leaves += u64::from(all.leaves + 1 == whole.leaves);
        }
        assert_eq!(in_leaves, whole.leaves, "of a leaf, nothing else is lost");
        assert!(slices(&tree, 5, || {}).1.is_empty());
    }

    #[test]
    fn an_account_that_is_not_exact_is_told() {
        let (_media, tree) = filled();
        let wrong = |change: &dyn Fn(&mut Tally, &mut u64)| {
            let whole = tree.check_slice(None, u64::MAX);
            assert!(whole.damaged.is_empty());
            let generation = tree.stats().generation;
            let (mut met, mut entries) = (Tally::default(), tree.stats().entries);
            let writer = tree.writer.lock();
            let live = writer.space.as_ref().unwrap().live().clone();
            drop(writer);
            (0..live.end()).filter(|page| live.get(*page)).for_each(|page| met.add(page));
            change(&mut met, &mut entries);
            tree.check_account(generation, met, entries)
        };
        wrong(&|_, _| ()).unwrap();
        assert!(wrong(&|_, entries| *entries += 1).is_err());
        assert!(wrong(&|met, _| met.add(5)).is_err(), "a page that was met twice");
        assert!(wrong(&|met, _| met.sum ^= 1).is_err(), "another page");
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for len in [0, 1, HEAD - 1, HEAD] {
            assert_eq!(IndexPlace::decode(&vec![1; len]), None);
        }
        assert!(IndexPlace::decode(&[1; HEAD + 1]).is_some());
    }
}
