//! The tree beside LMDB: same keys, same values, hot, one thread, no sync on either side's clock but its own.
//!
//! `cargo bench --bench index [entries ...]`; ratios are ours by LMDB's time, medians of five.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, unsafe_code, clippy::cast_precision_loss)]

use daos_types::Lsn;
use daos_vos::index::{Batch, CacheBudget, Cursor, Index, IndexView, Tree, TreeOptions};
use daos_vos::media::{FileMedia, Media, MediaError, MediaFile};
use heed::types::Bytes;
use heed::{Database, Env, EnvFlags, EnvOpenOptions};
use std::hint::black_box;
use std::io::IoSlice;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

const VALUE: usize = 64;
const ROUNDS: usize = 5;

/// Files whose syncs do nothing, as LMDB's under MDB_NOSYNC.
#[derive(Debug)]
struct NoSync(FileMedia);

#[derive(Debug)]
struct NoSyncFile(Arc<dyn MediaFile>);

impl Media for NoSync {
    fn open(&self, name: &str) -> Result<Arc<dyn MediaFile>, MediaError> {
        Ok(Arc::new(NoSyncFile(self.0.open(name)?)))
    }
    fn create(&self, name: &str) -> Result<Arc<dyn MediaFile>, MediaError> {
        Ok(Arc::new(NoSyncFile(self.0.create(name)?)))
    }
    fn list(&self) -> Result<Vec<String>, MediaError> {
        self.0.list()
    }
    fn remove(&self, name: &str) -> Result<(), MediaError> {
        self.0.remove(name)
    }
    fn rename(&self, from: &str, to: &str) -> Result<(), MediaError> {
        self.0.rename(from, to)
    }
    fn sync_names(&self) -> Result<(), MediaError> {
        Ok(())
    }
    fn available(&self) -> Result<u64, MediaError> {
        self.0.available()
    }
}

impl MediaFile for NoSyncFile {
    fn name(&self) -> &str {
        self.0.name()
    }
    fn size(&self) -> Result<u64, MediaError> {
        self.0.size()
    }
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), MediaError> {
        self.0.read_at(offset, buffer)
    }
    fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> Result<(), MediaError> {
        self.0.write_at(offset, parts)
    }
    fn write_at_durable(&self, offset: u64, parts: &[IoSlice<'_>]) -> Result<(), MediaError> {
        self.0.write_at(offset, parts)
    }
    fn sync(&self) -> Result<(), MediaError> {
        Ok(())
    }
    fn set_size(&self, size: u64) -> Result<(), MediaError> {
        self.0.set_size(size)
    }
    fn allocate(&self, offset: u64, len: u64) -> Result<(), MediaError> {
        self.0.allocate(offset, len)
    }
    fn discard(&self, offset: u64, len: u64) -> Result<(), MediaError> {
        self.0.discard(offset, len)
    }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

/// 44 to 52 bytes: nine in common, a text that differs, ten that tell versions apart.
fn key(number: u64) -> Vec<u8> {
    let spread = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut key = Vec::with_capacity(52);
    key.extend_from_slice(&[1, 0, 0, 7, 0, 0, 0, 42, 3]);
    key.extend_from_slice(format!("sensor-{spread:016x}/").as_bytes());
    key.extend_from_slice(&b"temperature"[..=(number % 9) as usize]);
    key.extend_from_slice(&u64::MAX.to_be_bytes());
    key.extend_from_slice(&[0, 1]);
    key
}

type Entries = Vec<(Vec<u8>, [u8; VALUE])>;

fn entries(numbers: impl Iterator<Item = u64>, tag: u8) -> Entries {
    let mut entries: Entries = numbers.map(|number| (key(number), [tag; VALUE])).collect();
    entries.sort();
    entries.dedup_by(|a, b| a.0 == b.0);
    entries
}

struct Slice<'a>(std::slice::Iter<'a, (Vec<u8>, [u8; VALUE])>);

impl Batch for Slice<'_> {
    fn next(&mut self) -> Option<(&[u8], Option<&[u8]>)> {
        self.0.next().map(|(key, value)| (key.as_slice(), Some(value.as_slice())))
    }
}

struct Lmdb {
    env: Env,
    database: Database<Bytes, Bytes>,
}

impl Lmdb {
    fn new(dir: &Path) -> Self {
        let mut options = EnvOpenOptions::new();
        options.map_size(16 << 30);
        // SAFETY: the directory is this program's own; without syncs a crash may cost the file, which is thrown away.
        let env = unsafe { options.flags(EnvFlags::NO_SYNC | EnvFlags::NO_READ_AHEAD).open(dir).unwrap() };
        let mut txn = env.write_txn().unwrap();
        let database = env.create_database(&mut txn, None).unwrap();
        txn.commit().unwrap();
        Self { env, database }
    }

    fn merge(&self, entries: &Entries) {
        let mut txn = self.env.write_txn().unwrap();
        for (key, value) in entries {
            self.database.put(&mut txn, key, value).unwrap();
        }
        txn.commit().unwrap();
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn report(what: &str, per: usize, unit: &str, ours: Vec<f64>, theirs: Vec<f64>) {
    let (ours, theirs) = (median(ours) / per as f64 * 1e9, median(theirs) / per as f64 * 1e9);
    println!("{what:<34} ours {ours:8.1} ns/{unit}  lmdb {theirs:8.1} ns/{unit}  ratio {:.2}", ours / theirs);
}

fn timed(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

fn run(count: u64, base: &Path) {
    let dir = base.join(count.to_string());
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(dir.join("lmdb")).unwrap();
    let media = NoSync(FileMedia::create(&dir.join("ours")).unwrap());
    let mut options = TreeOptions::default();
    options.cache = CacheBudget::new(2 << 30);
    let tree = Tree::create(&media, "index", [1; 16], &options).unwrap();
    let lmdb = Lmdb::new(&dir.join("lmdb"));
    // Grown by random batches, as a store is, so that neither tree is packed.
    let mut lsn = 0;
    let step = (count / 16).max(1);
    let mut order: Vec<u64> = (0..count).collect();
    let mut random = Random(7);
    for at in (1..order.len()).rev() {
        order.swap(at, (random.next() % (at as u64 + 1)) as usize);
    }
    for part in order.chunks(step as usize) {
        let part = entries(part.iter().copied(), 1);
        lsn += 1;
        tree.apply(&mut Slice(part.iter()), Lsn(lsn)).unwrap();
        lmdb.merge(&part);
    }
    let checked = tree.check().unwrap();
    let stats = tree.stats();
    println!(
        "-- {count} entries: height {}, {} leaves, {:.1} B stored per entry, file {} MiB",
        stats.height,
        checked.leaves,
        stats.live_pages as f64 * 4096.0 / count as f64,
        stats.used_pages / 256
    );

    let gets = 200_000_usize;
    let keys: Vec<Vec<u8>> = (0..gets).map(|_| key(random.next() % count)).collect();
    let view = tree.view();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let a = timed(|| {
            for key in &keys {
                let sum = view.get(key, |value| value.iter().fold(0_u8, |sum, byte| sum ^ byte)).unwrap();
                assert!(black_box(sum).is_some());
            }
        });
        let b = timed(|| {
            let txn = lmdb.env.read_txn().unwrap();
            for key in &keys {
                let value = lmdb.database.get(&txn, key).unwrap();
                let sum = value.map(|value| value.iter().fold(0_u8, |sum, byte| sum ^ byte));
                assert!(black_box(sum).is_some());
            }
        });
        if round > 0 {
            ours.push(a);
            theirs.push(b);
        }
    }
    report(&format!("random get, {count}"), gets, "get", ours, theirs);

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let a = timed(|| {
            let mut cursor = view.cursor();
            let mut more = cursor.seek(b"").unwrap();
            let (mut seen, mut sum) = (0, 0_u64);
            while more {
                seen += 1;
                sum += u64::from(cursor.key()[20]) + u64::from(cursor.value()[5]);
                more = cursor.next().unwrap();
            }
            assert_eq!((seen, black_box(sum) > 0), (count, true));
        });
        let b = timed(|| {
            let txn = lmdb.env.read_txn().unwrap();
            let (mut seen, mut sum) = (0, 0_u64);
            for entry in lmdb.database.iter(&txn).unwrap() {
                let (key, value) = entry.unwrap();
                seen += 1;
                sum += u64::from(key[20]) + u64::from(value[5]);
            }
            assert_eq!((seen, black_box(sum) > 0), (count, true));
        });
        if round > 0 {
            ours.push(a);
            theirs.push(b);
        }
    }
    report(&format!("scan, {count}"), count as usize, "entry", ours, theirs);
    drop(view);

    let batch = 65_536.min(count / 4);
    let mut merges = |tree: &Tree, what: &str, rounds: usize, fresh: bool| {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            let from = |random: &mut Random| {
                if fresh { count + random.next() % (1 << 40) } else { random.next() % count }
            };
            let part = entries((0..batch).map(|_| from(&mut random)), round as u8 + 2);
            lsn += 1;
            ours.push(timed(|| tree.apply(&mut Slice(part.iter()), Lsn(lsn)).unwrap()));
            theirs.push(timed(|| lmdb.merge(&part)));
        }
        report(what, batch as usize, "entry", ours, theirs);
    };
    merges(&tree, &format!("merge {batch} overwrites, {count}"), ROUNDS, false);
    merges(&tree, &format!("merge {batch} new, {count}"), ROUNDS, true);
    drop(tree);
    let start = Instant::now();
    let tree = Tree::open(&media, "index", [1; 16], &options).unwrap();
    let opening = start.elapsed().as_secs_f64();
    merges(&tree, &format!("first merge after reopen, {count}"), 1, false);
    println!("reopen {:.2} ms", opening * 1e3);
    drop(tree);
    let _ = std::fs::remove_dir_all(&dir);
}

fn main() {
    let base = std::env::temp_dir().join(format!("index-bench-{}", std::process::id()));
    let mut counts: Vec<u64> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    if counts.is_empty() {
        // As a test (`cargo test --benches`) a small run shows that it works.
        let is_bench = std::env::args().any(|arg| arg == "--bench");
        counts = if is_bench { vec![10_000, 1_000_000] } else { vec![2_000] };
    }
    for count in counts {
        run(count, &base);
    }
    let _ = std::fs::remove_dir_all(&base);
}
