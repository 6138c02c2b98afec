//! Damaged files: never a wrong value, never a vanished key, never a panic.

use crate::index_suite::{Changes, MapBatch, Model, Random, apply_to};
use daos_types::Lsn;
use daos_vos::index::{CacheBudget, Cursor, Index, IndexError, IndexView, Tree, TreeOptions};
use daos_vos::media::faulty::{Call, Fault, Faulty};
use daos_vos::media::{Media, MediaError, MemoryMedia};
use std::io::IoSlice;
use std::sync::Arc;

const ID: [u8; 16] = *b"an-index-of-ours";

fn options(cache_bytes: u64) -> TreeOptions {
    let mut options = TreeOptions::default();
    options.cache = CacheBudget::new(cache_bytes);
    options
}

/// Batch `lsn` of a life with all kinds of pages: three levels, runs, a bitmap.
fn changes(lsn: u64, model: &Model) -> Changes {
    let mut random = Random(lsn);
    let mut changes = Changes::new();
    for _ in 0..if lsn == 1 { 700 } else { 60 } {
        let number = random.next() % 1500;
        let mut key = format!("{}/some/prefix/{:0250}/{number:04}", number % 9, 0).into_bytes();
        key.resize(key.len() + (number % 200) as usize, b'x');
        let len = [20, 64, 500, 1500, 9000][(random.next() % 5) as usize];
        changes.insert(key, (random.below(5) > 0).then(|| random.bytes(len)));
    }
    if lsn.is_multiple_of(3) {
        changes.extend(model.keys().skip(50).take(60).map(|key| (key.clone(), None)));
    }
    changes
}

struct Lived {
    media: MemoryMedia,
    /// The file after each batch; 0 is the creation.
    former: Vec<Vec<u8>>,
    models: Vec<Model>,
}

fn live(batches: u64) -> Lived {
    let media = MemoryMedia::new();
    let tree = Tree::create(&media, "index", ID, &options(1 << 20)).unwrap();
    let mut models = vec![Model::new()];
    let mut former = vec![content(&media)];
    for lsn in 1..=batches {
        let mut model = models.last().unwrap().clone();
        let changes = changes(lsn, &model);
        tree.apply(&mut MapBatch::new(&changes), Lsn(lsn)).unwrap();
        apply_to(&mut model, &changes);
        models.push(model);
        former.push(content(&media));
    }
    assert!(tree.stats().height >= 3);
    Lived { media, former, models }
}

fn content(media: &dyn Media) -> Vec<u8> {
    let file = media.open("index").unwrap();
    let mut bytes = vec![0; file.size().unwrap() as usize];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Seen {
    Right,
    Corrupt,
    /// A whole earlier state, and whether opening said that something was wrong.
    Earlier {
        reported: bool,
    },
}

/// Reads all there is in all ways and compares it with what the state opened should hold.
fn look(media: &dyn Media, models: &[Model]) -> Seen {
    look_at(media, models, false)
}

fn look_at(media: &dyn Media, models: &[Model], flips: bool) -> Seen {
    let tree = match Tree::open(media, "index", ID, &options(0)) {
        Ok(tree) => tree,
        Err(IndexError::Corrupt { .. } | IndexError::Format { .. }) => return Seen::Corrupt,
        Err(error) => panic!("{error}"),
    };
    let covers = tree.covers().0 as usize;
    let view = tree.view();
    let model = &models[covers];
    let mut bad = false;
    for (key, value) in model {
        match view.get(key, |found| found == value.as_slice()) {
            Ok(same) => assert_eq!(same, Some(true), "{key:?}"),
            Err(IndexError::Corrupt { .. }) => bad = true,
            Err(error) => panic!("{error}"),
        }
    }
    let mut cursor = view.cursor();
    let mut expected = model.iter();
    let mut moved = cursor.seek(b"");
    loop {
        match moved {
            Ok(true) => {
                let (key, value) = expected.next().expect("no key is invented");
                assert!(cursor.key() == key.as_slice() && cursor.value() == value.as_slice(), "{key:?}");
            }
            Ok(false) => {
                assert!(expected.next().is_none(), "keys vanished");
                break;
            }
            Err(IndexError::Corrupt { .. }) => {
                bad = true;
                break;
            }
            Err(error) => panic!("{error}"),
        }
        moved = cursor.next();
    }
    drop(cursor);
    let recovery = tree.recovery();
    // What reads do not touch, a batch must not trust; and a batch must not make good of bad.
    let changes = changes(999, model);
    match tree.apply(&mut MapBatch::new(&changes), Lsn(models.len() as u64)) {
        Ok(()) => {
            let mut after = model.clone();
            apply_to(&mut after, &changes);
            for (key, value) in &after {
                match tree.view().get(key, |found| found == value.as_slice()) {
                    Ok(same) => assert_eq!(same, Some(true), "after a batch: {key:?}"),
                    // Only what reads wrong once in a while can have looked well before.
                    Err(IndexError::Corrupt { .. }) => {
                        assert!(bad || flips);
                        bad = true;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        }
        Err(IndexError::Corrupt { .. }) => bad = true,
        Err(error) => panic!("{error}"),
    }
    if bad {
        Seen::Corrupt
    } else if covers + 1 == models.len() {
        Seen::Right
    } else {
        Seen::Earlier { reported: recovery.damaged_slot.is_some() || recovery.stale_slot }
    }
}

fn with(media: &MemoryMedia, offset: usize, data: &[u8]) -> MemoryMedia {
    let copy = media.snapshot();
    copy.open("index").unwrap().write_at(offset as u64, &[IoSlice::new(data)]).unwrap();
    copy
}

#[test]
fn flipped_bits() {
    let lived = live(6);
    let now = content(&lived.media);
    let mut random = Random(11);
    let (mut right, mut corrupt) = (0, 0);
    for page in 0..now.len() / 4096 {
        for _ in 0..4 {
            let bit = random.below(4096 * 8);
            let at = page * 4096 + bit / 8;
            let media = with(&lived.media, at, &[now[at] ^ 1 << (bit % 8)]);
            match look(&media, &lived.models) {
                Seen::Right => right += 1,
                Seen::Corrupt => corrupt += 1,
                seen @ Seen::Earlier { .. } => panic!("bit {bit} of page {page}: {seen:?}"),
            }
        }
    }
    assert!(right > 50 && corrupt > 150, "{right} right, {corrupt} corrupt");
}

#[test]
fn whole_pages() {
    let lived = live(6);
    let now = content(&lived.media);
    let mut random = Random(12);
    let mut corrupt = 0;
    for page in 0..now.len() / 4096 {
        let at = page * 4096;
        let elsewhere = random.below(now.len() / 4096) * 4096;
        let mut replacements =
            vec![vec![0; 4096], random.bytes(4096), now[elsewhere..elsewhere + 4096].to_vec()];
        // What stood here before: the last write was lost, or an old one is read.
        for former in lived.former.iter().rev().skip(1) {
            if let Some(old) = former.get(at..at + 4096)
                && old != &now[at..at + 4096]
                && !replacements.iter().any(|known| known == old)
            {
                replacements.push(old.to_vec());
            }
        }
        for (number, replacement) in replacements.iter().enumerate() {
            let media = with(&lived.media, at, replacement);
            match look(&media, &lived.models) {
                Seen::Right => {}
                Seen::Corrupt => corrupt += 1,
                // The last write of a slot that is lost shows in the log only.
                Seen::Earlier { reported } => {
                    assert!(page == 0 || page == 16);
                    assert!(
                        reported || number > 2 && replacement[10] == u8::from(page == 16),
                        "replacement {number}"
                    );
                }
            }
        }
    }
    assert!(corrupt > 150, "{corrupt}");
}

#[test]
fn cut_short() {
    let lived = live(4);
    let now = content(&lived.media);
    for pages in (0..now.len() / 4096).step_by(3) {
        let media = lived.media.snapshot();
        media.open("index").unwrap().set_size(pages as u64 * 4096 + 100).unwrap();
        assert_ne!(look(&media, &lived.models), Seen::Earlier { reported: false });
    }
}

#[test]
fn bits_that_flip_on_the_way() {
    let lived = live(4);
    let media = Faulty::new(Arc::new(lived.media.snapshot()));
    look(&media, &lived.models);
    let reads = media.count(Call::Read);
    let mut random = Random(13);
    for _ in 0..150 {
        let media = Faulty::new(Arc::new(lived.media.snapshot()));
        media.set(&[Fault::FlipOnRead { nth: random.next() % reads, bit: random.next() }]);
        assert!(matches!(look_at(&media, &lived.models, true), Seen::Right | Seen::Corrupt));
    }
}

/// How many calls the batch `lsn` makes on top of `media`.
fn calls(media: &MemoryMedia, lsn: u64, model: &Model, call: Call) -> u64 {
    let media = Faulty::new(Arc::new(media.snapshot()));
    let tree = Tree::open(&media, "index", ID, &options(0)).unwrap();
    media.set(&[]);
    tree.apply(&mut MapBatch::new(&changes(lsn, model)), Lsn(lsn)).unwrap();
    media.count(call)
}

#[test]
fn lost_and_misdirected_writes_of_a_batch() {
    let lived = live(4);
    let mut models = lived.models.clone();
    let mut after = models[4].clone();
    apply_to(&mut after, &changes(5, &models[4]));
    models.push(after);
    let writes = calls(&lived.media, 5, &models[4], Call::Write);
    assert!(writes > 4);
    let mut random = Random(14);
    let size = content(&lived.media).len();
    for nth in 0..writes {
        let elsewhere = random.below(size / 4096) as u64 * 4096;
        let faults = [
            Fault::Lost { nth },
            Fault::Misdirected { nth, offset: elsewhere },
            Fault::Misdirected { nth, offset: 0 },
            Fault::Misdirected { nth, offset: 16 * 4096 },
        ];
        for fault in faults {
            let inner = Arc::new(lived.media.snapshot());
            let media = Faulty::new(inner.clone());
            let tree = Tree::open(&media, "index", ID, &options(0)).unwrap();
            media.set(&[fault]);
            let applied = tree.apply(&mut MapBatch::new(&changes(5, &models[4])), Lsn(5));
            assert!(applied.is_ok() || matches!(applied, Err(IndexError::Corrupt { .. })));
            drop(tree);
            let seen = look(&*inner, &models);
            // Only the slot's own write, if it is lost whole or lands on no slot, leaves no trace in the file.
            if let Seen::Earlier { reported: false } = seen {
                assert!(nth + 1 == writes, "{fault:?} of {writes}");
            }
        }
    }
}

#[test]
fn a_full_device_changes_nothing() {
    let lived = live(4);
    let before = &lived.models[4];
    for call in [Call::Write, Call::Size] {
        let count = calls(&lived.media, 5, before, call);
        for nth in 1..count.max(2) - u64::from(call == Call::Write) {
            let media = Faulty::new(Arc::new(lived.media.snapshot()));
            let tree = Tree::open(&media, "index", ID, &options(0)).unwrap();
            let stats = tree.stats();
            media.set(&[Fault::Full { call, nth, always: true }]);
            let held = tree.view();
            let big = changes(5, before);
            let answer = tree.apply(&mut MapBatch::new(&big), Lsn(5));
            media.set(&[]);
            if call == Call::Size && answer.is_ok() {
                continue;
            }
            assert!(matches!(answer, Err(IndexError::Media(MediaError::NoSpace { .. }))), "{answer:?}");
            assert_eq!(tree.covers(), Lsn(4));
            let after = tree.stats();
            assert_eq!((after.live_pages, after.free_pages), (stats.live_pages, stats.free_pages));
            tree.check().unwrap();
            for (key, value) in before {
                assert_eq!(held.get(key, |found| found == value.as_slice()).unwrap(), Some(true));
            }
            tree.apply(&mut MapBatch::new(&big), Lsn(5)).unwrap();
            tree.check().unwrap();
        }
    }
}

#[test]
fn growth_that_finds_no_room_changes_nothing() {
    let media = Faulty::new(Arc::new(MemoryMedia::new()));
    let tree = Tree::create(&media, "index", ID, &options(0)).unwrap();
    media.set(&[Fault::FullAfter { bytes: 2 << 20 }]);
    let (mut model, mut lsn, mut full) = (Model::new(), 0, 0);
    while full < 5 {
        let changes: Changes =
            (0..40).map(|n| (format!("{:05}", lsn * 40 + n).into_bytes(), Some(vec![1; 2000]))).collect();
        match tree.apply(&mut MapBatch::new(&changes), Lsn(lsn)) {
            Ok(()) => apply_to(&mut model, &changes),
            Err(IndexError::Media(MediaError::NoSpace { .. })) => {
                // Deleting makes room, without growth.
                full += 1;
                let some: Changes = model.keys().take(200).map(|key| (key.clone(), None)).collect();
                tree.apply(&mut MapBatch::new(&some), Lsn(lsn)).unwrap();
                apply_to(&mut model, &some);
                for _ in 0..2 {
                    tree.apply(&mut MapBatch::new(&Changes::new()), Lsn(lsn)).unwrap();
                }
            }
            Err(error) => panic!("{error}"),
        }
        lsn += 1;
        tree.check().unwrap();
        assert_eq!(tree.stats().entries, model.len() as u64);
    }
}

#[test]
fn a_failing_device_stops_the_index() {
    let lived = live(4);
    let before = &lived.models[4];
    let mut models = lived.models.clone();
    let mut after = before.clone();
    apply_to(&mut after, &changes(5, before));
    models.push(after);
    for call in [Call::Write, Call::Sync, Call::Size] {
        let count = calls(&lived.media, 5, before, call);
        assert!(count > 0 || call == Call::Size, "{call:?}");
        for nth in 0..count {
            let inner = Arc::new(lived.media.snapshot());
            let media = Faulty::new(inner.clone());
            let tree = Tree::open(&media, "index", ID, &options(0)).unwrap();
            let held = tree.view();
            media.set(&[Fault::Fail { call, nth, always: false }]);
            let answer = tree.apply(&mut MapBatch::new(&changes(5, before)), Lsn(5));
            assert!(
                matches!(answer, Err(IndexError::Media(MediaError::Io { .. }))),
                "{call:?} {nth}: {answer:?}"
            );
            // Once is enough: it is not tried again, though it would work now.
            let again = tree.apply(&mut MapBatch::new(&changes(5, before)), Lsn(5));
            assert!(matches!(again, Err(IndexError::Poisoned(_))), "{call:?} {nth}: {again:?}");
            assert_eq!((tree.covers(), tree.view().entries()), (Lsn(4), before.len() as u64));
            for (key, value) in before {
                assert_eq!(held.get(key, |found| found == value.as_slice()).unwrap(), Some(true));
            }
            drop((tree, held));
            assert_ne!(look(&*inner, &models), Seen::Corrupt);
        }
    }
}

#[test]
fn a_read_that_fails_is_an_error_and_no_more() {
    let lived = live(4);
    let before = &lived.models[4];
    let reads = calls(&lived.media, 5, before, Call::Read);
    assert!(reads > 10);
    for nth in (0..reads).step_by(3) {
        let media = Faulty::new(Arc::new(lived.media.snapshot()));
        let tree = Tree::open(&media, "index", ID, &options(0)).unwrap();
        media.set(&[Fault::Fail { call: Call::Read, nth, always: false }]);
        let answer = tree.apply(&mut MapBatch::new(&changes(5, before)), Lsn(5));
        assert!(matches!(answer, Err(IndexError::Media(MediaError::Io { .. }))), "{answer:?}");
        tree.check().unwrap();
        tree.apply(&mut MapBatch::new(&changes(5, before)), Lsn(5)).unwrap();
        tree.check().unwrap();
    }
}

#[test]
fn the_log_is_kept_for_the_state_before() {
    let media = MemoryMedia::new();
    let tree = Tree::create(&media, "index", ID, &options(0)).unwrap();
    assert_eq!(tree.log_needed_after(), Lsn(0));
    for lsn in 1..5 {
        tree.apply(&mut MapBatch::new(&changes(lsn, &Model::new())), Lsn(lsn * 10)).unwrap();
        assert_eq!((tree.covers(), tree.log_needed_after()), (Lsn(lsn * 10), Lsn(lsn * 10 - 10)));
    }
    // The newest slot goes: what opens needs just that much of the log.
    let tree = Tree::open(&media, "index", ID, &options(0)).unwrap();
    assert_eq!(tree.log_needed_after(), Lsn(30));
    for slot in [0_u64, 16] {
        let media = media.snapshot();
        media.open("index").unwrap().write_at(slot * 4096, &[IoSlice::new(&[0; 4096])]).unwrap();
        let tree = Tree::open(&media, "index", ID, &options(0)).unwrap();
        assert!(tree.recovery().damaged_slot.is_some());
        assert!(matches!(tree.covers(), Lsn(30 | 40)));
        assert_eq!(tree.log_needed_after(), Lsn(0), "nobody knows");
        let covers = tree.covers();
        assert!(matches!(
            tree.apply(&mut MapBatch::new(&Changes::new()), Lsn(29)),
            Err(IndexError::Batch(_))
        ));
        tree.apply(&mut MapBatch::new(&Changes::new()), covers).unwrap();
        assert_eq!(tree.log_needed_after(), covers);
        let tree = Tree::open(&media, "index", ID, &options(0)).unwrap();
        assert_eq!(tree.recovery(), daos_vos::index::Recovery::default());
    }
}

#[test]
fn a_superblock_of_another_index_is_damage_to_ours() {
    let lived = live(4);
    let other = MemoryMedia::new();
    Tree::create(&other, "index", [9; 16], &options(0)).unwrap();
    let foreign = content(&other);
    for slot in [0, 16 * 4096] {
        let media = with(&lived.media, slot, &foreign[slot..slot + 4096]);
        let seen = look(&media, &lived.models);
        assert!(matches!(seen, Seen::Right | Seen::Earlier { reported: true }), "{seen:?}");
    }
}

#[test]
fn an_unreadable_bitmap_is_made_anew() {
    let lived = live(5);
    let now = content(&lived.media);
    let mut found = 0;
    for page in 17..now.len() / 4096 {
        let media = with(&lived.media, page * 4096, &[now[page * 4096] ^ 1]);
        let tree = Tree::open(&media, "index", ID, &options(0)).unwrap();
        if !tree.recovery().damaged_bitmap {
            continue;
        }
        found += 1;
        assert!(matches!(tree.check(), Err(IndexError::Corrupt { .. })));
        tree.apply(&mut MapBatch::new(&changes(6, &lived.models[5])), Lsn(6)).unwrap();
        tree.check().unwrap();
    }
    assert_eq!(found, 1);
}

#[test]
fn one_key_can_cost_a_leaf_its_prefix() {
    let media = MemoryMedia::new();
    let tree = Tree::create(&media, "index", ID, &options(0)).unwrap();
    let long = |n: u32| [vec![b'q'; 490], n.to_be_bytes().to_vec()].concat();
    let many: Changes = (0..4000).map(|n| (long(n), Some(Vec::new()))).collect();
    tree.apply(&mut MapBatch::new(&many), Lsn(1)).unwrap();
    let before = tree.check().unwrap();
    for (lsn, key) in
        [(2, b"a".to_vec()), (3, b"z".to_vec()), (4, [vec![b'q'; 490], vec![0, 0, 1, 0, 1]].concat())]
    {
        let one: Changes = [(key, Some(vec![1; 1024]))].into();
        tree.apply(&mut MapBatch::new(&one), Lsn(lsn)).unwrap();
        tree.check().unwrap();
    }
    let after = tree.check().unwrap();
    assert!(after.leaves > before.leaves + 3, "{before:?} {after:?}");
    assert_eq!(after.entries, 4003);
}
