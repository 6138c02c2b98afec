//! A way to targets that are maps in memory: each record by itself, without versions, as plain as can be.

use daos_client::{Error, Result, Route};
use daos_types::object_id::KeyKind;
use daos_types::{
    AkeyQuery, Cond, ContainerId, Der, FetchIod, FetchValue, IodValue, KeyFound, KeyQuery, ObjectId, Punched,
    TargetIdx, UnitOid,
};
use daos_wire::{Fetch, List, ListedKeys, Punch, Query, ShardRef, Update};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// What an akey holds.
#[derive(Debug, Clone)]
enum Value {
    Single(Vec<u8>),
    Array { rec_size: u64, records: BTreeMap<u64, Vec<u8>> },
}

type Akeys = BTreeMap<Vec<u8>, Value>;
type Dkeys = BTreeMap<Vec<u8>, Akeys>;

/// What was asked of it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Of each update, how many extents its array values have.
    pub(crate) updates: Vec<usize>,
    pub(crate) fetches: usize,
    pub(crate) punches: usize,
    pub(crate) lists: usize,
}

#[derive(Debug, Default)]
struct State {
    shards: BTreeMap<(TargetIdx, ContainerId, UnitOid), Dkeys>,
    asked: Asked,
}

/// The targets.
#[derive(Debug)]
pub(crate) struct Memory {
    targets: u32,
    state: Mutex<State>,
}

fn refused(der: Der) -> Error {
    Error::new(der, der.text())
}

/// A key as it sorts: integers by value.
fn sorted(kind: Option<KeyKind>, key: &[u8]) -> Vec<u8> {
    let mut key = key.to_vec();
    if kind == Some(KeyKind::Uint64) {
        key.reverse();
    }
    key
}

fn dkey_kind(oid: ObjectId) -> Option<KeyKind> {
    oid.object_type().map(daos_types::ObjectType::dkey_kind)
}

fn akey_kind(oid: ObjectId) -> Option<KeyKind> {
    oid.object_type().map(daos_types::ObjectType::akey_kind)
}

fn visible(akeys: &Akeys) -> bool {
    !akeys.is_empty()
}

impl Memory {
    pub(crate) fn new(targets: u32) -> Self {
        Self { targets, state: Mutex::default() }
    }

    /// What was asked since the last time.
    pub(crate) fn asked(&self) -> Asked {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }

    /// How many dkeys there are on all targets.
    pub(crate) fn dkeys(&self) -> usize {
        self.state.lock().unwrap().shards.values().map(BTreeMap::len).sum()
    }

    fn with<T>(&self, target: TargetIdx, of: ShardRef, act: impl FnOnce(&mut Dkeys, &mut Asked) -> T) -> T {
        let mut state = self.state.lock().unwrap();
        let State { shards, asked } = &mut *state;
        act(shards.entry((target, of.cont, of.oid)).or_default(), asked)
    }
}

impl Route for Memory {
    fn targets(&self) -> u32 {
        self.targets
    }

    fn update(&self, target: TargetIdx, request: &Update<'_>) -> Result<()> {
        let oid = request.of.oid.oid;
        let dkey = sorted(dkey_kind(oid), request.dkey);
        self.with(target, request.of, |dkeys, asked| {
            let here = dkeys.get(&dkey);
            let has =
                |akey: &[u8]| here.is_some_and(|akeys| akeys.contains_key(&sorted(akey_kind(oid), akey)));
            if request.cond.has(Cond::DKEY_UPDATE) && here.is_none() {
                return Err(refused(Der::Nonexist));
            }
            if request.cond.has(Cond::DKEY_INSERT) && here.is_some() {
                return Err(refused(Der::Exist));
            }
            if request.cond.has(Cond::AKEY_INSERT) && request.iods.iter().any(|iod| has(iod.akey)) {
                return Err(refused(Der::Exist));
            }
            let mut extents = 0;
            let akeys = dkeys.entry(dkey).or_default();
            for iod in request.iods {
                let akey = sorted(akey_kind(oid), iod.akey);
                match iod.value {
                    IodValue::Single(value) => drop(akeys.insert(akey, Value::Single(value.to_vec()))),
                    IodValue::NoSingle => drop(akeys.remove(&akey)),
                    IodValue::Holes(recxs) => {
                        if let Some(Value::Array { records, .. }) = akeys.get_mut(&akey) {
                            records.retain(|index, _| {
                                !recxs.iter().any(|recx| (recx.index..recx.end()).contains(index))
                            });
                        }
                    }
                    IodValue::Array { rec_size: size, recxs, data } => {
                        extents += recxs.len();
                        let fresh = || Value::Array { rec_size: size, records: BTreeMap::new() };
                        let Value::Array { rec_size, records } = akeys.entry(akey).or_insert_with(fresh)
                        else {
                            return Err(refused(Der::NoPerm));
                        };
                        if *rec_size != size {
                            return Err(refused(Der::Inval));
                        }
                        let indices = recxs.iter().flat_map(|recx| recx.index..recx.end());
                        let chunks = data.chunks_exact(size as usize).map(<[u8]>::to_vec);
                        records.extend(indices.zip(chunks));
                    }
                }
            }
            asked.updates.push(extents);
            Ok(())
        })
    }

    fn fetch(&self, target: TargetIdx, request: &Fetch<'_>, iods: &mut [FetchIod<'_>]) -> Result<()> {
        let oid = request.of.oid.oid;
        let dkey = sorted(dkey_kind(oid), request.dkey);
        self.with(target, request.of, |dkeys, asked| {
            asked.fetches += 1;
            for iod in iods {
                let found = dkeys.get(&dkey).and_then(|akeys| akeys.get(&sorted(akey_kind(oid), iod.akey)));
                match (&mut iod.value, found) {
                    (FetchValue::Single(sink), Some(Value::Single(value))) => sink.put(value),
                    (FetchValue::Single(_), None) => {}
                    (FetchValue::Array(fetch), None) => fetch.rec_size = 0,
                    (FetchValue::Array(fetch), Some(Value::Array { rec_size, records })) => {
                        let given = std::mem::replace(&mut fetch.rec_size, *rec_size);
                        if given != *rec_size {
                            continue;
                        }
                        let size = *rec_size as usize;
                        for (nth, index) in
                            fetch.recxs.iter().flat_map(|recx| recx.index..recx.end()).enumerate()
                        {
                            let range = nth * size..(nth + 1) * size;
                            match (records.get(&index), fetch.holes.last_mut()) {
                                (Some(record), _) => fetch.data[range].copy_from_slice(record),
                                (None, Some(last)) if last.end == range.start => last.end = range.end,
                                (None, _) => fetch.holes.push(range),
                            }
                        }
                    }
                    _ => return Err(refused(Der::NoPerm)),
                }
            }
            Ok(())
        })
    }

    fn query(&self, target: TargetIdx, request: &Query<'_>) -> Result<Option<KeyFound>> {
        let KeyQuery { greatest, dkey, akey, recx } = request.what;
        let kind = dkey_kind(request.of.oid.oid);
        self.with(target, request.of, |dkeys, _| {
            let mut found = Vec::new();
            for (key, akeys) in dkeys.iter().filter(|(_, akeys)| visible(akeys)) {
                if dkey.is_some_and(|dkey| sorted(kind, dkey) != **key) {
                    continue;
                }
                let number = (dkey.is_none()).then(|| number(key));
                let AkeyQuery::Given(akey) = akey else {
                    found.push(KeyFound { dkey: number, ..KeyFound::default() });
                    continue;
                };
                let Some(value) = akeys.get(akey) else { continue };
                match value {
                    Value::Array { rec_size, records } if recx => {
                        let ends = if greatest { records.keys().next_back() } else { records.keys().next() };
                        let extent = ends.and_then(|index| daos_types::Extent::new(*index, 1));
                        if extent.is_some() {
                            found.push(KeyFound {
                                dkey: number,
                                akey: None,
                                recx: extent,
                                rec_size: *rec_size,
                            });
                        }
                    }
                    _ => found.push(KeyFound { dkey: number, ..KeyFound::default() }),
                }
            }
            Ok(if greatest { found.pop() } else { found.into_iter().next() })
        })
    }

    fn punch(&self, target: TargetIdx, request: &Punch<'_>) -> Result<()> {
        let oid = request.of.oid.oid;
        self.with(target, request.of, |dkeys, asked| {
            asked.punches += 1;
            let gone = match request.what {
                Punched::Object => !std::mem::take(dkeys).is_empty(),
                Punched::Dkey(dkey) => dkeys.remove(&sorted(dkey_kind(oid), dkey)).is_some(),
                Punched::Akeys(dkey, akeys) => {
                    let dkey = sorted(dkey_kind(oid), dkey);
                    let here = dkeys.entry(dkey.clone()).or_default();
                    let gone = akeys
                        .iter()
                        .filter(|akey| here.remove(&sorted(akey_kind(oid), akey)).is_some())
                        .count();
                    if here.is_empty() {
                        dkeys.remove(&dkey);
                    }
                    gone == akeys.len()
                }
            };
            if gone || !request.cond.has(Cond::PUNCH) { Ok(()) } else { Err(refused(Der::Nonexist)) }
        })
    }

    fn list(&self, target: TargetIdx, request: &List<'_>) -> Result<ListedKeys> {
        let oid = request.of.oid.oid;
        self.with(target, request.of, |dkeys, asked| {
            asked.lists += 1;
            let (kind, mut keys): (_, Vec<Vec<u8>>) = match request.dkey {
                None => (dkey_kind(oid), dkeys.keys().cloned().collect()),
                Some(dkey) => {
                    let akeys = dkeys.get(&sorted(dkey_kind(oid), dkey));
                    (akey_kind(oid), akeys.into_iter().flatten().map(|(akey, _)| akey.clone()).collect())
                }
            };
            if request.reverse {
                keys.reverse();
            }
            let behind = |key: &Vec<u8>| match request.from {
                None => true,
                Some(from) if request.reverse => **key < *from,
                Some(from) => **key > *from,
            };
            keys.retain(behind);
            let next = (keys.len() > request.count_max).then(|| keys[request.count_max - 1].clone());
            keys.truncate(request.count_max);
            Ok(ListedKeys { keys: keys.iter().map(|key| sorted(kind, key)).collect(), next })
        })
    }
}

fn number(sorted: &[u8]) -> u64 {
    sorted.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}
