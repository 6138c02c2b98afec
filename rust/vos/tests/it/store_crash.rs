//! Power cuts at every point of a store's life: also inside merges, page reuse, log recycling and recovery.
//!
//! Each change is numbered. What opens after a cut must be exactly the first k changes, with k between what had been
//! acknowledged as durable and what had been begun; and every version of every key up to there reads as it did, with the sums
//! that the change had, by whatever algorithm: by the one that its number asks for.

use crate::common::{CONTAINER, IDENTITY, Kept, crash_states, create, routed, small, with_devices};
use daos_codec::{sums, verify, verify_value};
use daos_types::unit::UNIT_MIN;
use daos_types::{ArrayFetch, Extent, FetchIod, FetchValue, Iod, IodSums, IodValue, Landing, Punched};
use daos_types::{ChecksumKind, Checksums, UnitOid, ValueSink as _, Version};
use daos_types::{Cond, Durability, Epoch, Lsn, ObjectId, ObjectType, ShardIdx};
use daos_vos::media::recorded::{Crash, History, Recorded};
use daos_vos::media::{Media, MemoryMedia, Roles};
use daos_vos::{ContNum, KV_AKEY, KeysOf, Landed, ListRange, ObjectRef, Pair, ShardNum, Staged, Store, View};
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
/// Values that are put in one call wait in the log, whose records are small here.
const BATCH_BYTES: usize = 12 << 10;

/// How a change sums what it writes: each algorithm in turn, and not at all.
fn checksums(change: usize) -> Checksums {
    let kind = ChecksumKind::ALL.get(change % (ChecksumKind::ALL.len() + 1)).copied();
    // Two records a piece: extents have several, of which later ones leave some, or parts of them.
    Checksums { kind, piece_size: 2 * RECORD as u32, server_verifies: false }
}

/// The sums of a single value, or of an extent where records have a size.
fn sums_of(by: Checksums, rec_size: Option<u64>, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    if let Some(kind) = by.kind {
        let piece = rec_size.map_or(bytes.len().max(1), |rec_size| by.piece(rec_size, bytes.len()));
        sums(kind, piece, bytes, &mut out);
    }
    out
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
    rollbacks: usize,
    batches: usize,
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
        let by = checksums(number);
        let value_sums: BTreeMap<Key, Vec<u8>> = changes
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), sums_of(by, None, value.as_ref()?))))
            .collect();
        let summed = |key: &Key| IodSums::new(by, &value_sums[key]);
        let bytes: usize = changes.values().flatten().map(Vec::len).sum();
        let in_one =
            changes.values().all(Option::is_some) && bytes < BATCH_BYTES && self.random.below(2) == 0;
        let mut staged = Vec::new();
        for (key, value) in &changes {
            let stage = |value: &Vec<u8>| {
                let landing = (self.random.below(2) == 0).then(|| land(store, shard, value)).flatten();
                let landed = landing.as_ref().map_or(0, Landing::number);
                store.stage(shard, &single(value, IodSums { landed, ..summed(key) })).unwrap()
            };
            staged.push(value.as_ref().filter(|_| !in_one).and_then(stage));
        }
        let from = self.random.below(RECORDS as u64 - 1);
        let count = 1 + self.random.below(RECORDS as u64 - from);
        let recxs = [Extent { index: from, count }];
        let data = vec![number as u8; count as usize * RECORD];
        let value = if self.random.below(4) == 0 {
            IodValue::Holes(&recxs)
        } else {
            IodValue::Array { rec_size: RECORD as u64, recxs: &recxs, data: &data }
        };
        let array_sums = if matches!(value, IodValue::Holes(_)) {
            Vec::new()
        } else {
            sums_of(by, Some(RECORD as u64), &data)
        };
        let array_by = if array_sums.is_empty() { Checksums::default() } else { by };
        let written = [Iod { sums: IodSums::new(array_by, &array_sums), ..Iod::new(b"a", value) }];
        let extents = store.stage(shard, &written).unwrap();
        let mut tx = store.begin().unwrap();
        if in_one {
            let put = changes
                .iter()
                .filter_map(|(key, value)| Some(Pair { key, value: value.as_ref()?, sums: summed(key) }));
            let pairs: Vec<_> = put.collect();
            tx.update_batch(shard, of, Version::new(epoch(number), 1), &pairs).unwrap();
            truth.batches += 1;
        }
        for (minor, ((key, value), staged)) in (1..).zip(changes.iter().zip(&staged)) {
            let version = Version::new(epoch(number), minor);
            let Some(value) = value else {
                tx.punch(shard, of, version, Punched::Dkey(key), Cond::NONE).unwrap();
                state.remove(key);
                continue;
            };
            if !in_one {
                let iods = single(value, summed(key));
                tx.update_staged(shard, of, version, key, &iods, Cond::NONE, staged.as_ref()).unwrap();
            }
            state.insert(key.clone(), value.clone());
        }
        let of = ObjectRef { cont, oid: array() };
        let version = Version::new(epoch(number), 99);
        tx.update_staged(shard, of, version, b"d", &written, Cond::NONE, extents.as_ref()).unwrap();
        let content = state.entry(ARRAY.to_vec()).or_insert_with(|| vec![0; RECORD * RECORDS]);
        let range = from as usize * RECORD..(from + count) as usize * RECORD;
        content[range].fill(if matches!(value, IodValue::Holes(_)) { 0 } else { number as u8 });
        truth.after.push(state);
        let position = tx.commit().unwrap();
        staged.into_iter().chain([extents]).flatten().for_each(Staged::keep);
        position
    }
}

/// Puts a value where it is to be before it is staged, block by block.
fn land(store: &Store, shard: ShardNum, value: &[u8]) -> Option<Landed> {
    let landing = store.land(shard, value.len()).unwrap()?;
    let blocks = value.chunks(UNIT_MIN).zip((0..).step_by(UNIT_MIN));
    blocks.for_each(|(block, at)| landing.put(at, block));
    Some(landing)
}

fn single<'a>(value: &'a [u8], sums: IodSums<'a>) -> [Iod<'a>; 1] {
    [Iod { sums, ..Iod::new(KV_AKEY, IodValue::Single(value)) }]
}

/// A value, after a comparison with the sum that the change of its number gave it.
fn summed_value(view: &View, of: ObjectRef, key: &[u8], at: Epoch) -> Result<Vec<u8>, String> {
    let mut kept = Kept::default();
    let mut iods = [FetchIod::new(KV_AKEY, FetchValue::Single(&mut kept))];
    view.fetch(of, key, &mut iods, Version::read_at(at), Cond::NONE).1.map_err(|error| error.to_string())?;
    let [FetchIod { sum, .. }] = iods;
    verify_value(&sum, kept.last(sum.value_len))
        .map_err(|_| format!("{} has a wrong sum", key.escape_ascii()))?;
    let value = kept.0.ok_or("a listed key has no value")?;
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number: usize =
        str::from_utf8(&value[..digits]).unwrap().parse().map_err(|_| "a value without number")?;
    let (kind, wanted) = (sum.get().map(|(kind, _)| kind), checksums(number).kind);
    if kind != wanted {
        return Err(format!("{} of change {number} is summed by {kind:?}", key.escape_ascii()));
    }
    Ok(value)
}

/// Compares records with their sums; each that was written with a sum has to have it.
fn check_records(fetch: &ArrayFetch<'_>) -> Result<(), String> {
    let mut kinds = [None; RECORDS];
    for (sums, stretches) in fetch.sums.iter() {
        verify(&sums, stretches, fetch.data).map_err(|found| format!("records at {} differ", found.at))?;
        for stretch in stretches {
            kinds[stretch.start / RECORD..stretch.end.div_ceil(RECORD)].fill(Some(sums.kind));
        }
    }
    for (nth, (record, kind)) in fetch.data.chunks(RECORD).zip(kinds).enumerate() {
        // What is written is never change 0, nor a multiple of 256: zeros are holes, or were never there.
        let wanted = checksums(usize::from(record[0])).kind.filter(|_| record[0] > 0);
        if kind != wanted {
            return Err(format!(
                "record {nth} of change {} is summed by {kind:?}, not {wanted:?}",
                record[0]
            ));
        }
    }
    Ok(())
}

fn open(media: Arc<dyn Media>) -> Result<(Store, ShardNum, ContNum), String> {
    let (store, _) = Store::open(routed(media)?, IDENTITY, small(8)).map_err(|error| error.to_string())?;
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
        let value = summed_value(&view, of, &key, at)?;
        state.insert(key, value);
    }
    let of = ObjectRef { cont, oid: array() };
    let mut data = vec![0; RECORD * RECORDS];
    let recxs = [Extent { index: 0, count: RECORDS as u64 }];
    let array = ArrayFetch::new(&recxs, &mut data, RECORD as u64);
    let mut iods = [FetchIod::new(b"a", FetchValue::Array(array))];
    let read = view.fetch(of, b"d", &mut iods, Version::read_at(at), Cond::NONE).1;
    read.map_err(|error| error.to_string())?;
    if let [FetchIod { value: FetchValue::Array(array), .. }] = &iods {
        check_records(array)?;
    }
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
    record_on(&[], seed, changes, acknowledge_early)
}

/// As [`record`], on devices with these roles.
fn record_on(roles: &[Roles], seed: u64, changes: usize, acknowledge_early: bool) -> (History, Truth) {
    let recorded = Arc::new(Recorded::new(Arc::new(with_devices(roles))).unwrap());
    let (store, shard, cont) = create(routed(recorded.clone()).unwrap(), small(8));
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
    let (mut distinct, mut again, mut visited, mut merges, mut rollbacks, mut batches) = (0, 0, 0, 0, 0, 0);
    for seed in 0..rounds as u64 {
        let (history, truth) = record(seed, 160, false);
        merges += truth.merges;
        rollbacks += truth.rollbacks;
        batches += truth.batches;
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
    assert!(
        rollbacks >= 5 * rounds && batches >= 10 * rounds,
        "only {rollbacks} rollbacks, {batches} batches"
    );
}

#[test]
fn so_it_is_on_devices() {
    let all = [Roles::WAL, Roles::META, Roles::DATA];
    let one = Roles::WAL.and(Roles::META).and(Roles::DATA);
    let (mut visited, mut again) = (0, 0);
    for (seed, roles) in [&[Roles::DATA][..], &[one], &all].into_iter().enumerate() {
        let (history, truth) = record_on(roles, seed as u64, 60, false);
        let crash = Crash { seed: seed as u64, states: crash_states(STATES) / 9 };
        history.crashes_from(truth.created, crash, &|point| truth.stage(point), &mut |point, media| {
            visited += 1;
            if visited % 9 == 0 {
                again += crash_again(media, &truth, point, visited, 8)
                    .unwrap_or_else(|why| panic!("{roles:?}, point {point}, second crash: {why}"));
            } else {
                open(Arc::new(media))
                    .and_then(|(store, shard, cont)| check(&store, shard, cont, &truth, truth.at(point)))
                    .unwrap_or_else(|why| panic!("{roles:?}, point {point}: {why}"));
            }
            ControlFlow::Continue(())
        });
    }
    assert!(visited > crash_states(STATES) as u64 / 9 && again > 50, "{visited}, {again}");
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
