//! What a container holds as a whole: its objects, and how two of its states differ.

use crate::error::{Error, Result};
use crate::route::Survey;
use daos_placement::Layout;
use daos_types::{
    ContainerId, Der, Durability, Epoch, KeyDifference, ObjectId, ShardIdx, TargetIdx, UnitOid,
};
use daos_wire::{Diff, Objects, ShardRef};
use std::collections::VecDeque;

/// Objects, or akeys, in one page.
const PAGE_COUNT_MAX: usize = 64 << 10;

/// A page of objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectPage {
    /// Ascending.
    pub oids: Vec<ObjectId>,
    /// Go on behind this one; `None` at the end.
    pub next: Option<ObjectId>,
}

/// A page of differences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiffPage {
    /// By objects, of each by shards, in each in the order of the keys.
    pub differences: Vec<(ObjectId, KeyDifference)>,
    /// Where to go on; `None` at the end. Opaque.
    pub anchor: Option<Vec<u8>>,
}

/// One page of the objects of a container that are there at any of these epochs.
pub fn objects<S: Survey + ?Sized>(
    route: &S,
    cont: ContainerId,
    epochs: &[Epoch],
    after: Option<ObjectId>,
    count_max: usize,
    durability: Durability,
) -> Result<ObjectPage> {
    let count_max = count_max.clamp(1, PAGE_COUNT_MAX);
    let mut oids = Vec::new();
    // Beyond the least of the places where targets stopped, not all is known.
    let mut known: Option<ObjectId> = None;
    for target in 0..route.targets() {
        let request = Objects { cont, epochs, after, count_max, durability };
        let listed = route.objects(TargetIdx(target), &request)?;
        oids.extend(listed.oids);
        known = known.into_iter().chain(listed.next).min();
    }
    oids.sort_unstable();
    oids.dedup();
    if let Some(known) = known {
        oids.retain(|oid| *oid <= known);
    }
    let mut next = known;
    if oids.len() > count_max {
        oids.truncate(count_max);
        next = oids.last().copied();
    }
    Ok(ObjectPage { oids, next })
}

/// Where a comparison goes on.
pub(crate) enum Place {
    /// With the object behind this one.
    Behind(Option<ObjectId>),
    /// In a shard of an object, at a place of its own.
    In(ObjectId, u32, Vec<u8>),
}

impl Place {
    pub(crate) fn decode(anchor: Option<&[u8]>) -> Option<Self> {
        let Some(anchor) = anchor else { return Some(Self::Behind(None)) };
        let (kind, rest) = anchor.split_first()?;
        let (oid, rest) = rest.split_first_chunk()?;
        let oid = ObjectId::from_be_bytes(*oid);
        match kind {
            0 => rest.is_empty().then_some(Self::Behind(Some(oid))),
            1 => {
                let (shard, rest) = rest.split_first_chunk()?;
                Some(Self::In(oid, u32::from_le_bytes(*shard), rest.to_vec()))
            }
            _ => None,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Behind(oid) => [&[0], &oid.map_or([0; 16], ObjectId::to_be_bytes)[..]].concat(),
            Self::In(oid, shard, from) => [&[1], &oid.to_be_bytes()[..], &shard.to_le_bytes(), from].concat(),
        }
    }
}

/// One page of the akeys of a container that differ between two epochs, [`Epoch::MAX`] being now.
pub fn diff<S: Survey + ?Sized>(
    route: &S,
    cont: ContainerId,
    (before, after): (Epoch, Epoch),
    anchor: Option<&[u8]>,
    count_max: usize,
    durability: Durability,
) -> Result<DiffPage> {
    /// Objects without a difference of which one page passes over so many.
    const PASSED_MAX: usize = 1024;
    /// Objects that are listed at a time.
    const AHEAD: usize = 64;
    let count_max = count_max.clamp(1, PAGE_COUNT_MAX);
    let mut place =
        Place::decode(anchor).ok_or_else(|| Error::new(Der::Inval, "no anchor of a comparison"))?;
    let mut page = DiffPage::default();
    let mut passed = 0;
    let mut ahead = VecDeque::new();
    while page.differences.len() < count_max && passed < PASSED_MAX {
        passed += 1;
        let (oid, shard, from) = match place {
            Place::In(oid, shard, from) => (oid, shard, from),
            Place::Behind(last) => {
                let mut next = None;
                if ahead.is_empty() {
                    let listed = objects(route, cont, &[before, after], last, AHEAD, durability)?;
                    (ahead, next) = (listed.oids.into(), listed.next);
                }
                match (ahead.pop_front(), next) {
                    (Some(oid), _) => (oid, 0, Vec::new()),
                    (None, Some(next)) => {
                        place = Place::Behind(Some(next));
                        continue;
                    }
                    (None, None) => return Ok(page),
                }
            }
        };
        let layout = Layout::local(oid, route.targets());
        let Some((at, target)) = layout.shards().find(|(at, _)| at.0 == shard) else {
            place = Place::Behind(Some(oid));
            continue;
        };
        let request = Diff {
            of: ShardRef { cont, oid: UnitOid { oid, shard: ShardIdx(at.0) } },
            before,
            after,
            from: (!from.is_empty()).then_some(&from),
            count_max: count_max - page.differences.len(),
            durability,
        };
        let differences = route.diff(target, &request)?;
        page.differences.extend(differences.keys.into_iter().map(|key| (oid, key)));
        place = match differences.next {
            Some(next) => Place::In(oid, shard, next),
            None => Place::In(oid, shard + 1, Vec::new()),
        };
    }
    page.anchor = Some(place.encode());
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back_and_others_are_refused() {
        let oid = ObjectId { hi: 5, lo: 7 };
        for place in [Place::Behind(Some(oid)), Place::In(oid, 3, vec![]), Place::In(oid, 3, vec![1, 2])] {
            let bytes = place.encode();
            let again = Place::decode(Some(&bytes)).map(|place| place.encode());
            assert_eq!(again, Some(bytes));
        }
        for wrong in [&[][..], &[0; 16], &[0; 18], &[1; 20]] {
            assert!(Place::decode(Some(wrong)).is_none());
        }
        assert!(matches!(Place::decode(None), Some(Place::Behind(None))));
    }
}
