//! Operations on two objects of a container over two targets, inside a transaction or without one.

use daos_engine::target::{Draft, Outcome};
use daos_engine::{HybridClock, Target, WallClock};
use daos_types::{
    AkeyQuery, ArrayFetch, Cond, ContainerId, Durability, Epoch, Extent, FetchIod, FetchValue, Iod, IodValue,
    KeyQuery, ObjectId, ObjectType, PoolId, Punched, ShardIdx, TargetIdx, UnitOid,
};
use daos_vos::media::MemoryMedia;
use daos_vos::{ShardNum, Store, StoreOptions, VosError};
use daos_wire::{Fetch, List, Punch, Query, ShardRef, Update};
use proptest::prelude::*;
use std::sync::Arc;

pub const CONTAINER: ContainerId = ContainerId([2; 16]);
/// Long enough to be staged in the data file.
pub const LARGE: usize = 9_000;

/// One operation. Objects, keys and akeys are small numbers.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    Put { object: u8, dkey: u8, akey: u8, value: u8, len: usize, cond: Cond },
    Write { object: u8, dkey: u8, index: u64, count: u64, value: u8 },
    Hole { object: u8, dkey: u8, index: u64, count: u64 },
    PunchObject { object: u8, cond: Cond },
    PunchDkey { object: u8, dkey: u8, cond: Cond },
    PunchAkey { object: u8, dkey: u8, akey: u8, cond: Cond },
    Get { object: u8, dkey: u8, akey: u8, cond: Cond },
    Read { object: u8, dkey: u8, recxs: Vec<(u64, u64)> },
    List { object: u8, dkey: Option<u8>, count: usize, pages: usize, reverse: bool },
    Extreme { object: u8, greatest: bool, dkey: Option<u8> },
}

/// The integer-keyed object with akeys, or the flat key-value object.
const ARRAYS: u8 = 0;
pub const KV: u8 = 1;
/// Akeys 0 and 1 hold single values, this one an array.
const ARRAY_AKEY: &[u8] = b"array";

pub fn op() -> impl Strategy<Value = Op> {
    let update = prop_oneof![
        3 => Just(Cond::NONE), 1 => Just(Cond::DKEY_INSERT), 1 => Just(Cond::DKEY_UPDATE),
        1 => Just(Cond::AKEY_INSERT), 1 => Just(Cond::AKEY_UPDATE)
    ];
    let punch = || prop_oneof![2 => Just(Cond::NONE), 1 => Just(Cond::PUNCH)];
    let fetch = prop_oneof![2 => Just(Cond::NONE), 1 => Just(Cond::DKEY_FETCH), 1 => Just(Cond::AKEY_FETCH)];
    let place = || (0..2_u8, 0..3_u8);
    let part = || (0..40_u64, 1..20_u64);
    prop_oneof![
        6 => (place(), 0..2_u8, any::<u8>(), prop_oneof![5 => 1..30_usize, 1 => Just(LARGE)], update)
            .prop_map(|((object, dkey), akey, value, len, cond)| Op::Put { object, dkey, akey, value, len, cond }),
        3 => (0..3_u8, part(), any::<u8>())
            .prop_map(|(dkey, (index, count), value)| Op::Write { object: ARRAYS, dkey, index, count, value }),
        1 => (0..3_u8, part())
            .prop_map(|(dkey, (index, count))| Op::Hole { object: ARRAYS, dkey, index, count }),
        1 => (0..2_u8, punch()).prop_map(|(object, cond)| Op::PunchObject { object, cond }),
        2 => (place(), punch()).prop_map(|((object, dkey), cond)| Op::PunchDkey { object, dkey, cond }),
        2 => (place(), 0..3_u8, punch())
            .prop_map(|((object, dkey), akey, cond)| Op::PunchAkey { object, dkey, akey, cond }),
        5 => (place(), 0..3_u8, fetch).prop_map(|((object, dkey), akey, cond)| Op::Get { object, dkey, akey, cond }),
        3 => (0..3_u8, proptest::collection::vec(part(), 1..3))
            .prop_map(|(dkey, recxs)| Op::Read { object: ARRAYS, dkey, recxs }),
        3 => (0..2_u8, proptest::option::of(0..3_u8), 1..4_usize, 1..3_usize, any::<bool>())
            .prop_map(|(object, dkey, count, pages, reverse)| Op::List { object, dkey, count, pages, reverse }),
        2 => (any::<bool>(), proptest::option::of(0..3_u8))
            .prop_map(|(greatest, dkey)| Op::Extreme { object: ARRAYS, greatest, dkey }),
    ]
}

#[derive(Debug)]
struct Still;

impl WallClock for Still {
    fn unix_ns(&self) -> u64 {
        1_795_000_000_000_000_000
    }
}

/// A pool of two targets.
pub struct World {
    pub store: Arc<Store>,
    pub clock: Arc<HybridClock>,
    media: Arc<MemoryMedia>,
    pub targets: Vec<Target>,
}

/// Who does an operation: a transaction, or nobody in particular.
pub enum By<'a> {
    Draft(&'a mut Draft),
    Itself,
}

impl World {
    pub fn new() -> Self {
        Self::with(StoreOptions { defer_bytes_max: LARGE - 1, ..StoreOptions::default() })
    }

    pub fn with(options: StoreOptions) -> Self {
        let media = Arc::new(MemoryMedia::new());
        let store = Arc::new(Store::create(media.clone(), [7; 16], options).unwrap());
        let clock = Arc::new(HybridClock::new(Arc::new(Still), Epoch::ZERO));
        let shards: Vec<_> =
            (0..2).map(|at| store.shard_create(PoolId([1; 16]), TargetIdx(at)).unwrap()).collect();
        let mut tx = store.begin().unwrap();
        for shard in &shards {
            tx.cont_open(*shard, CONTAINER).unwrap();
        }
        tx.commit().unwrap();
        Self::over(media, store, clock, shards)
    }

    fn over(
        media: Arc<MemoryMedia>,
        store: Arc<Store>,
        clock: Arc<HybridClock>,
        shards: Vec<ShardNum>,
    ) -> Self {
        let target = |shard| Target::new(Arc::clone(&store), shard, Arc::clone(&clock));
        Self { targets: shards.into_iter().map(target).collect(), store, clock, media }
    }

    /// The same pool when its process has died and another one has opened it.
    pub fn crash(self) -> Self {
        let Self { media, store, targets, .. } = self;
        drop((store, targets));
        let store = Arc::new(Store::open(media.clone(), [7; 16], StoreOptions::default()).unwrap().0);
        let clock = Arc::new(HybridClock::new(Arc::new(Still), store.epoch_ceiling()));
        let shards = store.shard_list().unwrap().into_iter().map(|(num, ..)| num).collect();
        Self::over(media, store, clock, shards)
    }

    pub fn begin(&self) -> (Epoch, Draft) {
        self.targets[0].read_epoch(|epoch| (epoch, Draft::new(epoch))).unwrap()
    }

    /// Removes what is seen by nobody who reads at an epoch, or from now on.
    pub fn aggregate(&self, oldest: Option<Epoch>) {
        let now = self.targets[0].read_epoch(|epoch| epoch).unwrap();
        let up_to = oldest.map_or(now, |oldest| Epoch(oldest.0 - 1));
        for target in &self.targets {
            let mut tx = self.store.begin().unwrap();
            let cont = self.store.cont_num(target.shard(), CONTAINER).unwrap().1.unwrap();
            let mut pass = tx.aggregate(target.shard(), cont, &[], up_to).unwrap();
            tx.commit().unwrap();
            while self.store.aggregate_step(&mut pass, 64).unwrap() {}
        }
    }

    pub fn commit(&self, draft: Draft) -> Result<(), VosError> {
        Target::commit(&self.targets, draft, None).1
    }

    /// Does an operation; its answer as text, which says all of it.
    pub fn run(&self, op: &Op, by: &mut By<'_>) -> String {
        match self.try_run(op, by) {
            Ok(answer) => answer,
            Err(error) => format!("{:?}", error.der()),
        }
    }

    fn update(
        &self,
        object: u8,
        dkey: u8,
        iod: Iod<'_>,
        cond: Cond,
        by: &mut By<'_>,
    ) -> Result<String, VosError> {
        let (of, at, target) = self.place(object);
        let dkey = key(object, dkey);
        let request =
            Update { of, dkey: &dkey, iods: &[iod], cond, durability: Durability::Buffered, origin: None };
        done(match by {
            By::Draft(draft) => target.draft_update(at, draft, &request),
            By::Itself => target.update(&request),
        })
    }

    fn punch(&self, object: u8, what: Punched<'_>, cond: Cond, by: &mut By<'_>) -> Result<String, VosError> {
        let (of, at, target) = self.place(object);
        let request = Punch { of, what, cond, durability: Durability::Buffered, origin: None };
        done(match by {
            By::Draft(draft) => target.draft_punch(at, draft, &request),
            By::Itself => target.punch(&request),
        })
    }

    fn fetch(
        &self,
        object: u8,
        dkey: u8,
        iods: &mut [FetchIod<'_>],
        cond: Cond,
        by: &mut By<'_>,
    ) -> Result<(), VosError> {
        let (of, at, target) = self.place(object);
        let dkey = key(object, dkey);
        let request = Fetch { of, dkey: &dkey, epoch: Epoch::MAX, cond, durability: Durability::Buffered };
        match by {
            By::Draft(draft) => target.draft_fetch(at, draft, &request, iods),
            By::Itself => target.fetch(&request, iods),
        }
        .1
    }

    fn place(&self, object: u8) -> (ShardRef, TargetIdx, &Target) {
        let kind = if object == KV { ObjectType::KvHashed } else { ObjectType::DkeyUint64 };
        let oid = ObjectId::generate(kind, 1, 1, 0, 1 + u64::from(object));
        let of = ShardRef { cont: CONTAINER, oid: UnitOid { oid, shard: ShardIdx(0) } };
        (of, TargetIdx(object.into()), &self.targets[usize::from(object)])
    }

    fn try_run(&self, op: &Op, by: &mut By<'_>) -> Result<String, VosError> {
        match *op {
            Op::Put { object, dkey, akey, value, len, cond } => {
                let value = vec![value; len];
                let akey = akey_of(object, akey);
                let iod = Iod::new(akey, IodValue::Single(&value));
                self.update(object, dkey, iod, cond, by)
            }
            Op::Write { object, dkey, index, count, value } => {
                let data: Vec<u8> = (0..count as u8).flat_map(|at| [value, at]).collect();
                let recxs = [Extent { index, count }];
                let value = IodValue::Array { rec_size: 2, recxs: &recxs, data: &data };
                self.update(object, dkey, Iod::new(ARRAY_AKEY, value), Cond::NONE, by)
            }
            Op::Hole { object, dkey, index, count } => {
                let value = IodValue::Holes(&[Extent { index, count }]);
                self.update(object, dkey, Iod::new(ARRAY_AKEY, value), Cond::NONE, by)
            }
            Op::PunchObject { object, cond } => self.punch(object, Punched::Object, cond, by),
            Op::PunchDkey { object, dkey, cond } => {
                self.punch(object, Punched::Dkey(&key(object, dkey)), cond, by)
            }
            Op::PunchAkey { object, dkey, akey, cond } => {
                let akeys = [akey_of(object, akey)];
                self.punch(object, Punched::Akeys(&key(object, dkey), &akeys), cond, by)
            }
            Op::Get { object, dkey, akey, cond } => {
                let mut value = Vec::new();
                let single = FetchValue::Single(&mut value);
                let mut iods = [FetchIod::new(akey_of(object, akey), single)];
                self.fetch(object, dkey, &mut iods, cond, by)?;
                Ok(format!("{} of {:?}", value.len(), value.first()))
            }
            Op::Read { object, dkey, ref recxs } => {
                let recxs: Vec<Extent> =
                    recxs.iter().map(|(index, count)| Extent { index: *index, count: *count }).collect();
                let mut data = vec![0xEE; recxs.iter().map(|recx| recx.count as usize * 2).sum()];
                let fetch = ArrayFetch::new(&recxs, &mut data, 2);
                let mut iods = [FetchIod::new(ARRAY_AKEY, FetchValue::Array(fetch))];
                self.fetch(object, dkey, &mut iods, Cond::NONE, by)?;
                let [FetchIod { value: FetchValue::Array(fetch), .. }] = iods else { unreachable!() };
                Ok(format!("{} {:?} {:?}", fetch.rec_size, fetch.holes, fetch.data))
            }
            Op::List { object, dkey, count, pages, reverse } => {
                let (of, at, target) = self.place(object);
                let dkey = dkey.map(|dkey| key(object, dkey));
                let (mut keys, mut from) = (Vec::new(), None::<Vec<u8>>);
                for _ in 0..pages {
                    let request = List {
                        of,
                        dkey: dkey.as_deref(),
                        epoch: Epoch::MAX,
                        from: from.as_deref(),
                        count_max: count,
                        bytes_max: 1 << 20,
                        reverse,
                        durability: Durability::Buffered,
                    };
                    let page = match by {
                        By::Draft(draft) => target.draft_list(at, draft, &request),
                        By::Itself => target.list(&request),
                    }
                    .1?;
                    keys.extend(page.keys);
                    from = page.next;
                    if from.is_none() {
                        break;
                    }
                }
                Ok(format!("{keys:?}"))
            }
            Op::Extreme { object, greatest, dkey } => {
                let (of, at, target) = self.place(object);
                let dkey = dkey.map(|dkey| key(object, dkey));
                let akey = AkeyQuery::Given(ARRAY_AKEY);
                let what = KeyQuery { greatest, dkey: dkey.as_deref(), akey, recx: true };
                let request = Query { of, what, epoch: Epoch::MAX, durability: Durability::Buffered };
                let found = match by {
                    By::Draft(draft) => target.draft_query(at, draft, &request),
                    By::Itself => target.query(&request),
                }
                .1?;
                let end = |recx: Extent| if greatest { recx.end() } else { recx.index };
                Ok(format!("{:?}", found.map(|found| (found.dkey, found.recx.map(end), found.rec_size))))
            }
        }
    }
}

fn done((_, result): Outcome<()>) -> Result<String, VosError> {
    result.map(|()| "done".to_owned())
}

fn key(object: u8, dkey: u8) -> Vec<u8> {
    if object == KV { vec![b'a' + dkey] } else { u64::from(dkey).to_le_bytes().to_vec() }
}

fn akey_of(object: u8, akey: u8) -> &'static [u8] {
    if object == KV { b"0" } else { [&b"x"[..], b"y", ARRAY_AKEY][usize::from(akey)] }
}

/// Whether it changes anything when it is done.
pub fn is_change(op: &Op) -> bool {
    !matches!(op, Op::Get { .. } | Op::Read { .. } | Op::List { .. } | Op::Extreme { .. })
}
