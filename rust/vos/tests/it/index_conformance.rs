//! The tree and LMDB, its oracle, pass the same suite.

use crate::index_suite::{Changes, MapBatch, Model, Random, SHAPES, apply_to, compare, suite};
use daos_locks::Mutex;
use daos_types::Lsn;
use daos_vos::index::{Batch, CacheBudget, Cursor, Index, IndexError, IndexView, Result, Tree, TreeOptions};
use daos_vos::media::MemoryMedia;
use heed::types::Bytes;
use heed::{Database, Env, EnvOpenOptions, RoTxn, WithoutTls};
use proptest::prelude::*;
use std::path::PathBuf;
use std::sync::Arc;

fn options(cache_bytes: u64) -> TreeOptions {
    let mut options = TreeOptions::default();
    options.cache = CacheBudget::new(cache_bytes);
    options
}

#[test]
fn the_tree() {
    let media = MemoryMedia::new();
    suite(&|name| Tree::create(&media, name, [1; 16], &options(64 << 20)).unwrap(), 30, 1);
}

#[test]
fn the_tree_with_hardly_any_cache() {
    let media = MemoryMedia::new();
    suite(&|name| Tree::create(&media, name, [1; 16], &options(0)).unwrap(), 30, 2);
}

#[test]
fn what_is_reopened_is_what_was_applied_and_nothing_leaks() {
    for (number, shape) in SHAPES.iter().enumerate() {
        let media = MemoryMedia::new();
        let mut tree = Tree::create(&media, "index", [2; 16], &options(1 << 20)).unwrap();
        let (mut random, mut model) = (Random(77 + number as u64), Model::new());
        for round in 0..25 {
            let changes = shape.changes(&mut random, &model, round);
            tree.apply(&mut MapBatch::new(&changes), Lsn(round as u64)).unwrap();
            apply_to(&mut model, &changes);
            assert_eq!(tree.check().unwrap().entries, model.len() as u64);
            if round % 3 == 0 {
                tree = Tree::open(&media, "index", [2; 16], &options(1 << 20)).unwrap();
                assert_eq!(tree.recovery(), daos_vos::index::Recovery::default());
                compare(&tree.view(), &model, &mut random);
            }
        }
        // Everything goes: the file must be all but empty, however it got there.
        let all: Changes = model.keys().map(|key| (key.clone(), None)).collect();
        tree.apply(&mut MapBatch::new(&all), Lsn(100)).unwrap();
        for lsn in 101..104 {
            let one: Changes = [(b"k".to_vec(), (lsn % 2 == 0).then(Vec::new))].into();
            tree.apply(&mut MapBatch::new(&one), Lsn(lsn)).unwrap();
        }
        let stats = tree.stats();
        assert_eq!((stats.entries, stats.height, stats.live_pages), (0, 0, 18), "shape {number}");
        tree.check().unwrap();
    }
}

#[test]
fn a_batch_that_changes_nothing_still_covers() {
    let media = MemoryMedia::new();
    let tree = Tree::create(&media, "index", [2; 16], &options(0)).unwrap();
    tree.apply(&mut MapBatch::new(&Changes::new()), Lsn(5)).unwrap();
    let absent: Changes = [(b"k".to_vec(), None)].into();
    tree.apply(&mut MapBatch::new(&absent), Lsn(6)).unwrap();
    assert_eq!(Tree::open(&media, "index", [2; 16], &options(0)).unwrap().covers(), Lsn(6));
    tree.check().unwrap();
}

struct Pairs(Vec<(Vec<u8>, Vec<u8>)>, usize);

impl Batch for Pairs {
    fn next(&mut self) -> Option<(&[u8], Option<&[u8]>)> {
        self.1 += 1;
        self.0.get(self.1 - 1).map(|(key, value)| (key.as_slice(), Some(value.as_slice())))
    }
}

#[test]
fn bad_batches_change_nothing() {
    let media = MemoryMedia::new();
    let tree = Tree::create(&media, "index", [2; 16], &options(0)).unwrap();
    let key = |name: &str| name.as_bytes().to_vec();
    let big = vec![7; 100_000];
    tree.apply(&mut Pairs(vec![(key("a"), big.clone())], 0), Lsn(1)).unwrap();
    let before = tree.stats();
    let bad = [
        vec![(key("b"), big.clone()), (key("b"), big.clone())],
        vec![(key("b"), big.clone()), (key("a"), big.clone())],
        vec![(key("b"), big.clone()), (vec![b'c'; 513], big.clone())],
        vec![(key("b"), vec![0; (4 << 20) + 1])],
    ];
    for pairs in bad {
        assert!(matches!(tree.apply(&mut Pairs(pairs, 0), Lsn(2)), Err(IndexError::Batch(_))));
        assert_eq!(tree.covers(), Lsn(1));
        let after = tree.stats();
        assert_eq!((after.entries, after.live_pages), (before.entries, before.live_pages));
        tree.check().unwrap();
    }
    let model: Model = [(key("a"), big)].into();
    compare(&tree.view(), &model, &mut Random(1));
}

#[test]
fn a_value_of_a_page_takes_a_page() {
    let media = MemoryMedia::new();
    let tree = Tree::create(&media, "index", [2; 16], &options(0)).unwrap();
    let pairs = (0..8).map(|n| (vec![n], vec![n; 4096])).collect();
    tree.apply(&mut Pairs(pairs, 0), Lsn(1)).unwrap();
    let checked = tree.check().unwrap();
    assert_eq!((checked.runs, checked.run_pages), (8, 8));
}

#[test]
fn creation_and_identity() {
    let media = MemoryMedia::new();
    let tree = Tree::create(&media, "index", [3; 16], &options(0)).unwrap();
    drop(tree);
    assert!(matches!(Tree::create(&media, "index", [3; 16], &options(0)), Err(IndexError::Media(_))));
    assert!(matches!(Tree::open(&media, "index", [4; 16], &options(0)), Err(IndexError::Corrupt { .. })));
    assert!(matches!(Tree::open(&media, "other", [3; 16], &options(0)), Err(IndexError::Media(_))));
    Tree::open(&media, "index", [3; 16], &options(0)).unwrap();
}

#[test]
fn readers_run_beside_the_writer() {
    let media = MemoryMedia::new();
    let tree = Tree::create(&media, "index", [3; 16], &options(300_000)).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let key = |n: u64| format!("some-common-prefix-{n:06}").into_bytes();
    std::thread::scope(|scope| {
        for seed in 0..3 {
            let (tree, stop) = (&tree, &stop);
            scope.spawn(move || {
                let mut random = Random(seed);
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    // Every state holds one number everywhere.
                    let view = tree.view();
                    let round = view.covers().0;
                    for _ in 0..50 {
                        let n = random.next() % 4000;
                        let found =
                            view.get(&key(n), |value| u64::from_le_bytes(value.try_into().unwrap())).unwrap();
                        assert_eq!(found, (round > 0).then_some(round), "key {n}");
                    }
                    let mut cursor = view.cursor();
                    let mut more = cursor.seek(&key(random.next() % 4000)).unwrap();
                    for _ in 0..300 {
                        if !more {
                            break;
                        }
                        assert_eq!(cursor.value(), round.to_le_bytes());
                        more = cursor.next().unwrap();
                    }
                }
            });
        }
        for round in 1..=60_u64 {
            let changes: Changes = (0..4000).map(|n| (key(n), Some(round.to_le_bytes().to_vec()))).collect();
            tree.apply(&mut MapBatch::new(&changes), Lsn(round)).unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    tree.check().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Small alphabets and arbitrary lengths, shrunk to a small example where something fails.
    #[test]
    fn small_trees(batches in proptest::collection::vec(
        proptest::collection::btree_map(
            proptest::collection::vec(0_u8..3, 0..6),
            proptest::option::weighted(0.7, 0_usize..2500),
            1..60,
        ),
        1..8,
    )) {
        let media = MemoryMedia::new();
        let tree = Tree::create(&media, "index", [1; 16], &options(0)).unwrap();
        let mut model = Model::new();
        for changes in batches {
            let changes: Changes = changes
                .into_iter()
                .map(|(key, len)| (key.clone(), len.map(|len| Random(len as u64).bytes(len))))
                .collect();
            tree.apply(&mut MapBatch::new(&changes), Lsn(1)).unwrap();
            apply_to(&mut model, &changes);
            tree.check().unwrap();
            compare(&tree.view(), &model, &mut Random(3));
        }
    }
}

/// LMDB as an `Index`. Its keys may not be empty, so each gets a byte in front.
struct Lmdb {
    env: Env<WithoutTls>,
    database: Database<Bytes, Bytes>,
    covers: Mutex<u64>,
}

#[derive(Clone)]
struct LmdbView(Arc<Mutex<RoTxn<'static, WithoutTls>>>, Database<Bytes, Bytes>);

struct LmdbCursor<'a> {
    view: &'a LmdbView,
    at: Option<(Vec<u8>, Vec<u8>)>,
}

fn prefixed(key: &[u8]) -> Vec<u8> {
    [b"k", key].concat()
}

impl Index for Lmdb {
    type View = LmdbView;

    fn view(&self) -> LmdbView {
        LmdbView(Arc::new(Mutex::new(self.env.clone().static_read_txn().unwrap())), self.database)
    }

    fn apply(&self, batch: &mut dyn Batch, covers: Lsn) -> Result<()> {
        let mut txn = self.env.write_txn().unwrap();
        while let Some((key, value)) = batch.next() {
            match value {
                Some(value) => self.database.put(&mut txn, &prefixed(key), value).unwrap(),
                None => drop(self.database.delete(&mut txn, &prefixed(key)).unwrap()),
            }
        }
        txn.commit().unwrap();
        *self.covers.lock() = covers.0;
        Ok(())
    }

    fn covers(&self) -> Lsn {
        Lsn(*self.covers.lock())
    }
}

impl IndexView for LmdbView {
    type Cursor<'a> = LmdbCursor<'a>;

    fn get<R>(&self, key: &[u8], found: impl FnOnce(&[u8]) -> R) -> Result<Option<R>> {
        Ok(self.1.get(&self.0.lock(), &prefixed(key)).unwrap().map(found))
    }

    fn cursor(&self) -> LmdbCursor<'_> {
        LmdbCursor { view: self, at: None }
    }
}

impl LmdbCursor<'_> {
    fn place(&mut self, found: Option<(&[u8], &[u8])>) -> bool {
        self.at = found.map(|(key, value)| (key[1..].to_vec(), value.to_vec()));
        self.at.is_some()
    }
}

impl Cursor for LmdbCursor<'_> {
    fn seek(&mut self, key: &[u8]) -> Result<bool> {
        let view = self.view;
        Ok(self.place(view.1.get_greater_than_or_equal_to(&view.0.lock(), &prefixed(key)).unwrap()))
    }

    fn seek_before(&mut self, key: &[u8]) -> Result<bool> {
        let view = self.view;
        Ok(self.place(view.1.get_lower_than(&view.0.lock(), &prefixed(key)).unwrap()))
    }

    fn seek_last(&mut self) -> Result<bool> {
        let view = self.view;
        Ok(self.place(view.1.last(&view.0.lock()).unwrap()))
    }

    fn next(&mut self) -> Result<bool> {
        let view = self.view;
        let Some((key, _)) = self.at.take() else { return Ok(false) };
        Ok(self.place(view.1.get_greater_than(&view.0.lock(), &prefixed(&key)).unwrap()))
    }

    fn prev(&mut self) -> Result<bool> {
        let view = self.view;
        let Some((key, _)) = self.at.take() else { return Ok(false) };
        Ok(self.place(view.1.get_lower_than(&view.0.lock(), &prefixed(&key)).unwrap()))
    }

    fn key(&self) -> &[u8] {
        self.at.as_ref().map_or(&[], |(key, _)| key)
    }

    fn value(&self) -> &[u8] {
        self.at.as_ref().map_or(&[], |(_, value)| value)
    }
}

#[test]
#[allow(unsafe_code)]
fn lmdb() {
    let base = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("lmdb-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&base);
    suite(
        &|name| {
            let dir = base.join(name);
            std::fs::create_dir_all(&dir).unwrap();
            let mut options = EnvOpenOptions::new().read_txn_without_tls();
            options.map_size(1 << 30);
            // SAFETY: the directory is this test's own; nobody else changes the file, and it lives as long as `env`.
            let env = unsafe { options.flags(heed::EnvFlags::NO_SYNC).open(&dir).unwrap() };
            let mut txn = env.write_txn().unwrap();
            let database = env.create_database(&mut txn, None).unwrap();
            txn.commit().unwrap();
            Lmdb { env, database, covers: Mutex::default() }
        },
        30,
        1,
    );
    let _ = std::fs::remove_dir_all(&base);
}
