//! Power cuts at every point of a store's life: also inside merges, page reuse, log recycling and recovery.
//!
//! Each change is numbered. What opens after a cut must be exactly the first k changes, with k between what had been
//! acknowledged as durable and what had been begun; and every version of every key up to there reads as it did.

use crate::common::{CONTAINER, IDENTITY, crash_states, create, fetch_single, small};
use daos_types::{Cond, Durability, Epoch, Lsn, ObjectId, ObjectType, ShardIdx};
use daos_types::{Iod, IodValue, Punched};
use daos_types::{UnitOid, Version};
use daos_vos::media::recorded::{Crash, History, Recorded};
use daos_vos::media::{Media, MemoryMedia};
use daos_vos::{ContNum, KV_AKEY, KeysOf, ListRange, ObjectRef, ShardNum, Store};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

/// States of the ordinary run; `DAOS_CRASH_STATES` sets another number.
const STATES: usize = 1_500;
/// The epoch of change 0; change n has this and n.
const EPOCH: u64 = 1_000;

type Key = Vec<u8>;
type State = BTreeMap<Key, Vec<u8>>;

fn object() -> UnitOid {
    UnitOid { oid: ObjectId::generate(ObjectType::KvLexical, 1, 1, 0, 1), shard: ShardIdx(0) }
}

fn epoch(change: usize) -> Epoch {
    Epoch(EPOCH + change as u64)
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// What was known at a point of the recording.
#[derive(Debug, Clone, Copy)]
struct Promise {
    position: usize,
    durable: usize,
    begun: usize,
}

#[derive(Debug, Default)]
struct Truth {
    /// The content after each number of changes.
    after: Vec<State>,
    promises: Vec<Promise>,
    /// The first point at which the store was ready.
    created: usize,
    merges: usize,
}

impl Truth {
    fn at(&self, point: usize) -> Promise {
        let known = self.promises.partition_point(|promise| promise.position <= point);
        self.promises[known.saturating_sub(1)]
    }

    /// Points between which no promise changed.
    fn stage(&self, point: usize) -> u64 {
        self.promises.partition_point(|promise| promise.position <= point) as u64
    }
}

struct Workload<'a> {
    random: Random,
    position: &'a dyn Fn() -> usize,
    /// The mistake of telling a caller before the log is durable.
    acknowledge_early: bool,
}

impl Workload<'_> {
    fn promise(&self, truth: &mut Truth, durable: usize) {
        let durable = durable.max(truth.promises.last().map_or(0, |promise| promise.durable));
        let begun = truth.after.len() - 1;
        truth.promises.push(Promise { position: (self.position)(), durable, begun });
    }

    /// Runs changes on a store that holds those of `truth` so far.
    fn run(&mut self, store: &Store, shard: ShardNum, cont: ContNum, truth: &mut Truth, changes: usize) {
        for _ in 0..changes {
            let number = truth.after.len();
            let position = self.change(store, shard, cont, truth, number);
            self.promise(truth, 0);
            let synced = self.random.below(3) == 0;
            if self.acknowledge_early && synced {
                self.promise(truth, number);
            }
            store.wait(position, if synced { Durability::Synced } else { Durability::Buffered }).unwrap();
            if synced {
                self.promise(truth, number);
            }
            if store.merge_wanted() && self.random.below(2) == 0 {
                store.merge_step().unwrap();
                truth.merges += 1;
                // A merge syncs the log: everything begun is durable.
                self.promise(truth, 0);
            }
        }
    }

    fn change(
        &mut self,
        store: &Store,
        shard: ShardNum,
        cont: ContNum,
        truth: &mut Truth,
        number: usize,
    ) -> Lsn {
        let of = ObjectRef { cont, oid: object() };
        let mut state = truth.after[number - 1].clone();
        let mut tx = store.begin().unwrap();
        let keys = 1 + self.random.below(2) * self.random.below(3);
        let mut begun = Vec::new();
        for minor in 1..=keys {
            let key = format!("key-{:02}", self.random.below(24)).into_bytes();
            if begun.contains(&key) {
                continue;
            }
            let version = Version::new(epoch(number), minor as u16);
            if self.random.below(4) == 0 {
                tx.punch(shard, of, version, Punched::Dkey(&key), Cond::NONE).unwrap();
                state.remove(&key);
            } else {
                let len = [10, 60, 1_500, 5_000][self.random.below(8).min(3) as usize];
                let mut value = format!("{number}/{minor}/").into_bytes();
                value.resize(value.len() + len, number as u8);
                let iods = [Iod { akey: KV_AKEY, cond: Cond::NONE, value: IodValue::Single(&value) }];
                tx.update(shard, of, version, &key, &iods, Cond::NONE).unwrap();
                state.insert(key.clone(), value);
            }
            begun.push(key);
        }
        // Each state differs from all others, and a transaction that is half there shows.
        let value = number.to_string().into_bytes();
        let iods = [Iod { akey: KV_AKEY, cond: Cond::NONE, value: IodValue::Single(&value) }];
        tx.update(shard, of, Version::new(epoch(number), 9), b"counter", &iods, Cond::NONE).unwrap();
        state.insert(b"counter".to_vec(), value);
        truth.after.push(state);
        tx.commit().unwrap()
    }
}

fn open(media: Arc<dyn Media>) -> Result<(Store, ShardNum, ContNum), String> {
    let (store, _) = Store::open(media, IDENTITY, small(8)).map_err(|error| error.to_string())?;
    let shards = store.shard_list().map_err(|error| error.to_string())?;
    let [(shard, ..)] = shards[..] else { return Err(format!("{} shards", shards.len())) };
    let (_, cont) = store.cont_num(shard, CONTAINER).map_err(|error| error.to_string())?;
    Ok((store, shard, cont.ok_or("the container is gone")?))
}

fn content(store: &Store, shard: ShardNum, cont: ContNum, at: Epoch) -> Result<State, String> {
    let of = ObjectRef { cont, oid: object() };
    let view = store.view(shard).map_err(|error| error.to_string())?;
    let range = ListRange { from: None, count_max: 1_000, bytes_max: 1 << 20, reverse: false };
    let page =
        view.list(of, KeysOf::Object, Version::read_at(at), range).1.map_err(|error| error.to_string())?;
    let mut state = State::new();
    for key in page.keys {
        let (_, value) =
            fetch_single(&view, of, &key, KV_AKEY, Version::read_at(at), Cond::NONE, <[u8]>::to_vec);
        let value = value.map_err(|error| error.to_string())?;
        state.insert(key, value.ok_or("a listed key has no value")?);
    }
    Ok(state)
}

/// How many changes the store holds; an error where that contradicts the promise.
fn check(
    store: &Store,
    shard: ShardNum,
    cont: ContNum,
    truth: &Truth,
    promise: Promise,
) -> Result<usize, String> {
    let now = content(store, shard, cont, Epoch::MAX)?;
    let Some(held) = (promise.durable..=promise.begun).rev().find(|held| truth.after[*held] == now) else {
        let any = truth.after.iter().rposition(|state| *state == now);
        return Err(format!("{promise:?}, but the content is that of {any:?}"));
    };
    for back in [1, 2, 5, 17] {
        let old = held.saturating_sub(back);
        if content(store, shard, cont, epoch(old))? != truth.after[old] {
            return Err(format!("{held} changes are there, but the history differs after {old}"));
        }
    }
    if store.epoch_ceiling() < epoch(held) && held > 0 {
        return Err(format!("the epoch ceiling {} is below what was used", store.epoch_ceiling()));
    }
    Ok(held)
}

fn record(seed: u64, changes: usize, acknowledge_early: bool) -> (History, Truth) {
    let recorded = Arc::new(Recorded::new(Arc::new(MemoryMedia::new())).unwrap());
    let media: Arc<dyn Media> = recorded.clone();
    let (store, shard, cont) = create(media, small(8));
    let position = || recorded.position();
    let mut truth = Truth { after: vec![State::new()], created: position(), ..Truth::default() };
    let mut workload = Workload { random: Random(seed), position: &position, acknowledge_early };
    workload.promise(&mut truth, 0);
    workload.run(&store, shard, cont, &mut truth, changes);
    store.close().unwrap();
    let all = truth.after.len() - 1;
    workload.promise(&mut truth, all);
    (recorded.history(), truth)
}

/// Opens a crash state under a recorder, goes on a little, and cuts the power again: in the recovery or behind it.
fn crash_again(
    media: MemoryMedia,
    truth: &Truth,
    point: usize,
    seed: u64,
    states: usize,
) -> Result<usize, String> {
    let promise = truth.at(point);
    let recorded = Arc::new(Recorded::new(Arc::new(media)).map_err(|error| error.to_string())?);
    let (store, shard, cont) = open(recorded.clone())?;
    let held = check(&store, shard, cont, truth, promise)?;
    let mut later = Truth { after: truth.after[..=held].to_vec(), ..Truth::default() };
    later.promises.push(Promise { position: 0, durable: promise.durable.min(held), begun: held });
    let position = || recorded.position();
    let mut workload = Workload { random: Random(seed), position: &position, acknowledge_early: false };
    // What an open store shows is durable.
    workload.promise(&mut later, held);
    let changes = 1 + workload.random.below(12) as usize;
    workload.run(&store, shard, cont, &mut later, changes);
    let mut failure = Ok(());
    let explored = recorded.history().crashes(
        Crash { seed, states },
        &|point| later.stage(point),
        &mut |point, media| {
            failure = open(Arc::new(media))
                .and_then(|(store, shard, cont)| check(&store, shard, cont, &later, later.at(point)))
                .map(drop)
                .map_err(|why| format!("{point}: {why}"));
            if failure.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        },
    );
    failure.map(|()| explored.distinct)
}

#[test]
fn what_was_acknowledged_is_there_and_nothing_is_half_there() {
    let rounds = 4;
    let (mut distinct, mut again, mut visited, mut merges) = (0, 0, 0, 0);
    for seed in 0..rounds as u64 {
        let (history, truth) = record(seed, 160, false);
        merges += truth.merges;
        let crash = Crash { seed, states: crash_states(STATES) / rounds };
        let explored =
            history.crashes_from(truth.created, crash, &|point| truth.stage(point), &mut |point, media| {
                visited += 1;
                if visited % 9 == 0 {
                    again += crash_again(media, &truth, point, visited, 16)
                        .unwrap_or_else(|why| panic!("seed {seed}, point {point}, second crash: {why}"));
                } else {
                    open(Arc::new(media))
                        .and_then(|(store, shard, cont)| check(&store, shard, cont, &truth, truth.at(point)))
                        .unwrap_or_else(|why| panic!("seed {seed}, point {point}: {why}"));
                }
                ControlFlow::Continue(())
            });
        distinct += explored.distinct;
    }
    println!("{distinct} distinct states after one power cut, {again} after a second one, {merges} merges");
    assert!(distinct > crash_states(STATES) / 3, "only {distinct} distinct states");
    assert!(merges >= 20 * rounds, "only {merges} merges");
}

/// How many states contradict the promises.
fn losses(history: &History, truth: &Truth) -> usize {
    let mut lost = 0;
    let crash = Crash { seed: 1, states: 300 };
    history.crashes_from(truth.created, crash, &|point| truth.stage(point), &mut |point, media| {
        let held = open(Arc::new(media))
            .and_then(|(store, shard, cont)| check(&store, shard, cont, truth, truth.at(point)));
        lost += usize::from(held.is_err());
        ControlFlow::Continue(())
    });
    lost
}

/// The checks above can fail: each of these mistakes is found.
#[test]
fn planted_mistakes_are_found() {
    let (history, truth) = record(5, 80, false);
    assert_eq!(losses(&history, &truth), 0);
    let without = losses(&history.without_syncs(), &truth);
    let (history, truth) = record(5, 80, true);
    let early = losses(&history, &truth);
    println!("losses found: no sync {without}, early acknowledgement {early}");
    assert!(without > 0 && early > 0);
}
