//! Power cuts at every point of a store's life: also inside merges, page reuse, log recycling and recovery.
//!
//! Each change is numbered. What opens after a cut must be exactly the first k changes, with k between what had been
//! acknowledged as durable and what had been begun; and every version of every key up to there reads as it did.

use crate::common::{CONTAINER, IDENTITY, crash_states, create, fetch_single, small};
use daos_types::{ArrayFetch, Extent, FetchIod, FetchValue, Iod, IodValue, Punched};
use daos_types::{Cond, Durability, Epoch, Lsn, ObjectId, ObjectType, ShardIdx};
use daos_types::{UnitOid, Version};
use daos_vos::media::recorded::{Crash, History, Recorded};
use daos_vos::media::{Media, MemoryMedia};
use daos_vos::{ContNum, KV_AKEY, KeysOf, ListRange, ObjectRef, ShardNum, Staged, Store};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

/// States of the ordinary run; `DAOS_CRASH_STATES` sets another number.
const STATES: usize = 1_500;
/// The epoch of change 0; change n has this and n.
const EPOCH: u64 = 1_000;

/// So far back the history is compared; what lies before may be aggregated.
const LOOK_BACK: usize = 17;

type Key = Vec<u8>;
type State = BTreeMap<Key, Vec<u8>>;

fn object() -> UnitOid {
    UnitOid { oid: ObjectId::generate(ObjectType::KvLexical, 1, 1, 0, 1), shard: ShardIdx(0) }
}

/// An array beside the keys: some writes stay in the log, some go to the data file first.
fn array() -> UnitOid {
    UnitOid { oid: ObjectId::generate(ObjectType::MultiHashed, 1, 1, 0, 2), shard: ShardIdx(0) }
}

/// Under this key a state has the array's content.
const ARRAY: &[u8] = b"the array";
const RECORD: usize = 100;
const RECORDS: usize = 200;

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
    rollbacks: usize,
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
            let position = if number > LOOK_BACK && self.random.below(10) == 0 {
                self.roll_back(store, shard, cont, truth, number)
            } else {
                self.change(store, shard, cont, truth, number)
            };
            self.promise(truth, 0);
            let synced = self.random.below(3) == 0;
            if self.acknowledge_early && synced {
                self.promise(truth, number);
            }
            store.wait(position, if synced { Durability::Synced } else { Durability::Buffered }).unwrap();
            if synced {
                self.promise(truth, number);
            }
            if self.random.below(25) == 0 {
                store.close().unwrap();
                let all = truth.after.len() - 1;
                self.promise(truth, all);
            }
            if self.random.below(12) == 0 {
                self.aggregate(store, shard, cont, truth);
            }
            if store.merge_wanted() && self.random.below(2) == 0 {
                store.merge_step().unwrap();
                truth.merges += 1;
                // A merge syncs the log: everything begun is durable.
                self.promise(truth, 0);
            }
        }
    }

    /// Removes what cannot be read any more, but for what `check` looks back at.
    fn aggregate(&mut self, store: &Store, shard: ShardNum, cont: ContNum, truth: &Truth) {
        let number = truth.after.len() - 1;
        let Some(up_to) = number.checked_sub(LOOK_BACK).filter(|up_to| *up_to > 0) else { return };
        let mut tx = store.begin().unwrap();
        let mut pass = tx.aggregate(shard, cont, &[], epoch(up_to)).unwrap();
        tx.commit().unwrap();
        // Cut short sometimes: another pass goes on.
        for _ in 0..=self.random.below(60) {
            if !store.aggregate_step(&mut pass, 1).unwrap() {
                break;
            }
        }
    }

    /// Goes back a few changes, as a change.
    fn roll_back(
        &mut self,
        store: &Store,
        shard: ShardNum,
        cont: ContNum,
        truth: &mut Truth,
        number: usize,
    ) -> Lsn {
        let to = number - 1 - self.random.below(8) as usize;
        let readers: Vec<Epoch> = (number - LOOK_BACK..number).map(epoch).collect();
        let mut tx = store.begin().unwrap();
        tx.rollback(shard, cont, epoch(number), epoch(to), &readers).unwrap();
        truth.after.push(truth.after[to].clone());
        truth.rollbacks += 1;
        tx.commit().unwrap()
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
        let keys = 1 + self.random.below(2) * self.random.below(3);
        let mut changes: BTreeMap<Key, Option<Vec<u8>>> = BTreeMap::new();
        for minor in 1..=keys {
            let key = format!("key-{:02}", self.random.below(24)).into_bytes();
            let value = (self.random.below(4) != 0).then(|| {
                let len = [10, 60, 1_500, 5_000, 9_000][self.random.below(9).min(4) as usize];
                let mut value = format!("{number}/{minor}/").into_bytes();
                value.resize(value.len() + len, number as u8);
                value
            });
            changes.insert(key, value);
        }
        // Each state differs from all others but those it is gone back to, and a transaction that is half there shows.
        changes.insert(b"counter".to_vec(), Some(number.to_string().into_bytes()));
        let stage = |iods: &[Iod<'_>]| store.stage(shard, iods).unwrap();
        let mut staged: Vec<_> =
            changes.values().map(|value| value.as_ref().and_then(|value| stage(&single(value)))).collect();
        let from = self.random.below(RECORDS as u64 - 1);
        let count = 1 + self.random.below(RECORDS as u64 - from);
        let recxs = [Extent { index: from, count }];
        let data = vec![number as u8; count as usize * RECORD];
        let value = if self.random.below(4) == 0 {
            IodValue::Holes(&recxs)
        } else {
            IodValue::Array { rec_size: RECORD as u64, recxs: &recxs, data: &data }
        };
        let written = [Iod::new(b"a", value)];
        let extents = stage(&written);
        let mut tx = store.begin().unwrap();
        for (minor, ((key, value), staged)) in (1..).zip(changes.into_iter().zip(&staged)) {
            let version = Version::new(epoch(number), minor);
            let Some(value) = value else {
                tx.punch(shard, of, version, Punched::Dkey(&key), Cond::NONE).unwrap();
                state.remove(&key);
                continue;
            };
            tx.update_staged(shard, of, version, &key, &single(&value), Cond::NONE, staged.as_ref()).unwrap();
            state.insert(key, value);
        }
        let of = ObjectRef { cont, oid: array() };
        let version = Version::new(epoch(number), 99);
        tx.update_staged(shard, of, version, b"d", &written, Cond::NONE, extents.as_ref()).unwrap();
        let content = state.entry(ARRAY.to_vec()).or_insert_with(|| vec![0; RECORD * RECORDS]);
        let range = from as usize * RECORD..(from + count) as usize * RECORD;
        content[range].fill(if matches!(value, IodValue::Holes(_)) { 0 } else { number as u8 });
        truth.after.push(state);
        let position = tx.commit().unwrap();
        staged.drain(..).chain([extents]).flatten().for_each(Staged::keep);
        position
    }
}

fn single(value: &[u8]) -> [Iod<'_>; 1] {
    [Iod::new(KV_AKEY, IodValue::Single(value))]
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
    let range = ListRange { from: None, count_max: 1_000, bytes_max: 1 << 20, reverse: false, to: None };
    let page =
        view.list(of, KeysOf::Object, Version::read_at(at), range).1.map_err(|error| error.to_string())?;
    let mut state = State::new();
    for key in page.keys {
        let (_, value) =
            fetch_single(&view, of, &key, KV_AKEY, Version::read_at(at), Cond::NONE, <[u8]>::to_vec);
        let value = value.map_err(|error| error.to_string())?;
        state.insert(key, value.ok_or("a listed key has no value")?);
    }
    let of = ObjectRef { cont, oid: array() };
    let mut data = vec![0; RECORD * RECORDS];
    let recxs = [Extent { index: 0, count: RECORDS as u64 }];
    let array = ArrayFetch::new(&recxs, &mut data, RECORD as u64);
    let mut iods = [FetchIod::new(b"a", FetchValue::Array(array))];
    let read = view.fetch(of, b"d", &mut iods, Version::read_at(at), Cond::NONE).1;
    read.map_err(|error| error.to_string())?;
    let there = view.exists(of, KeysOf::Object, Version::read_at(at)).1.map_err(|error| error.to_string())?;
    if there {
        state.insert(ARRAY.to_vec(), data);
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
    let mut why = None;
    // After a rollback two numbers of changes have one content; the histories differ, or the epochs that were used.
    for fits in (promise.durable..=promise.begun).rev().filter(|held| truth.after[*held] == now) {
        let mut differs = None;
        if store.epoch_ceiling() < epoch(fits) && fits > 0 {
            differs = Some(format!("the epoch ceiling {} is below what was used", store.epoch_ceiling()));
        }
        for old in [1, 2, 5, LOOK_BACK].map(|back| fits.saturating_sub(back)) {
            if content(store, shard, cont, epoch(old))? != truth.after[old] {
                differs = Some(format!("{fits} changes are there, but the history differs after {old}"));
            }
        }
        match differs {
            None => return Ok(fits),
            Some(differs) => why = Some(differs),
        }
    }
    let any = truth.after.iter().rposition(|state| *state == now);
    Err(why.unwrap_or_else(|| format!("{promise:?}, but the content is that of {any:?}")))
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
    let (mut distinct, mut again, mut visited, mut merges, mut rollbacks) = (0, 0, 0, 0, 0);
    for seed in 0..rounds as u64 {
        let (history, truth) = record(seed, 160, false);
        merges += truth.merges;
        rollbacks += truth.rollbacks;
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
    assert!(rollbacks >= 5 * rounds, "only {rollbacks} rollbacks");
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
