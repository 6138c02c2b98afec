//! A store of one flat key-value object on media in memory, one thread, replies gated as `buffered`.
//!
//! `cargo bench --bench store [entries ...]`; nanoseconds an operation, medians of five.
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_precision_loss)]

use daos_types::{
    Cond, ContainerId, Durability, Epoch, FetchIod, FetchValue, ObjectId, ObjectType, PoolId, ShardIdx,
    TargetIdx, UnitOid, Version,
};
use daos_types::{Iod, IodValue};
use daos_vos::media::MemoryMedia;
use daos_vos::{KV_AKEY, KeysOf, ListRange, ObjectRef, Page, ShardNum, Store, StoreOptions, View};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

const ROUNDS: usize = 5;
const VALUE: [u8; 64] = [0x5A; 64];
const PAGE: usize = 1000;

struct Bench {
    store: Store,
    shard: ShardNum,
    of: ObjectRef,
    epoch: u64,
}

fn key(i: u64) -> [u8; 16] {
    // Scattered over the whole range, each once.
    let mixed = i.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut key = [0; 16];
    for (at, byte) in key.iter_mut().enumerate() {
        *byte = b"0123456789abcdef"[(mixed >> (60 - 4 * at) & 15) as usize];
    }
    key
}

impl Bench {
    fn new() -> Self {
        let options = StoreOptions::default();
        let store = Store::create(Arc::new(MemoryMedia::default()), [7; 16], options).unwrap();
        let shard = store.shard_create(PoolId([1; 16]), TargetIdx(0)).unwrap();
        let mut tx = store.begin().unwrap();
        let cont = tx.cont_open(shard, ContainerId([2; 16])).unwrap();
        store.wait(tx.commit().unwrap(), Durability::Synced).unwrap();
        let oid = UnitOid { oid: ObjectId::generate(ObjectType::KvHashed, 1, 1, 0, 1), shard: ShardIdx(0) };
        Self { store, shard, of: ObjectRef { cont, oid }, epoch: 1 << 40 }
    }

    fn put(&mut self, key: &[u8]) {
        self.epoch += 16;
        let mut tx = self.store.begin().unwrap();
        let iods = [Iod::new(KV_AKEY, IodValue::Single(&VALUE))];
        tx.update(self.shard, self.of, Version::new(Epoch(self.epoch), 1), key, &iods, Cond::NONE).unwrap();
        let lsn = tx.commit().unwrap();
        self.store.wait(lsn, Durability::Buffered).unwrap();
    }

    fn put_all(&mut self, count: u64) {
        for i in 0..count {
            self.put(&key(i));
            if i % 1024 == 1023 {
                while self.store.merge_wanted() && self.store.merge_step().unwrap() {}
            }
        }
    }

    fn view(&self) -> View {
        self.store.view(self.shard).unwrap()
    }

    fn get(&self, key: &[u8]) -> bool {
        let mut found: Vec<u8> = Vec::new();
        let mut iods = [FetchIod::new(KV_AKEY, FetchValue::Single(&mut found))];
        let version = Version::read_at(Epoch::MAX);
        let (seen, read) = self.view().fetch(self.of, key, &mut iods, version, Cond::NONE);
        self.store.wait(seen.0, Durability::Buffered).unwrap();
        read.unwrap();
        !black_box(found).is_empty()
    }

    fn list(&self) -> usize {
        let mut count = 0;
        let mut from: Option<Vec<u8>> = None;
        loop {
            let range = ListRange {
                from: from.as_deref(),
                count_max: PAGE,
                bytes_max: usize::MAX,
                reverse: false,
                to: None,
            };
            let version = Version::read_at(Epoch::MAX);
            let (seen, page) = self.view().list(self.of, KeysOf::Object, version, range);
            self.store.wait(seen.0, Durability::Buffered).unwrap();
            let Page { keys, next } = page.unwrap();
            count += keys.len();
            match next {
                Some(next) => from = Some(next),
                None => return count,
            }
        }
    }
}

fn timed(count: u64, run: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    run();
    begin.elapsed().as_nanos() as f64 / count as f64
}

fn report(count: u64, what: &str, mut rounds: Vec<f64>) {
    rounds.sort_by(f64::total_cmp);
    println!("{count:>9} {what:<12} {:>8.0} ns/op", rounds[rounds.len() / 2]);
}

fn main() {
    let wanted: Vec<u64> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    for count in if wanted.is_empty() { vec![10_000, 1_000_000] } else { wanted } {
        let mut figures: [(&str, Vec<f64>); 6] = [
            ("put", vec![]),
            ("overwrite", vec![]),
            ("get memtable", vec![]),
            ("get base", vec![]),
            ("get absent", vec![]),
            ("list", vec![]),
        ];
        let looks = count.min(200_000);
        for _ in 0..ROUNDS {
            let mut bench = Bench::new();
            let mut take = |at: usize, ns: f64| figures[at].1.push(ns);
            take(0, timed(count, || bench.put_all(count)));
            bench.store.merge_all().unwrap();
            let gets = |bench: &Bench, first: u64, step: u64| {
                timed(looks, || {
                    for i in 0..looks {
                        assert!(bench.get(&key(first + i * step % count)));
                    }
                })
            };
            gets(&bench, 0, count / looks);
            take(3, gets(&bench, 0, count / looks));
            take(
                4,
                timed(looks, || {
                    for i in 0..looks {
                        assert!(!bench.get(&key(count + i)));
                    }
                }),
            );
            take(5, timed(count, || assert_eq!(bench.list() as u64, count)));
            // The same keys again, all in the memtable: its limit is beyond this.
            take(
                1,
                timed(looks, || {
                    for i in 0..looks {
                        bench.put(&key(i));
                    }
                }),
            );
            take(2, gets(&bench, 0, 1));
        }
        for (what, rounds) in figures {
            report(count, what, rounds);
        }
    }
}
