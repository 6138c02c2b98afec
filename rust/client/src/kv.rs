//! Flat key-value objects: dkey = key, akey `"0"`, one single value.

use crate::checksum::{self, ContainerRef, OneSum, verify_single};
use crate::error::{Error, Result};
use crate::listing::{self, KeyPage, PAGE_BYTES_MAX};
use crate::object::check_writable;
use crate::route::{Change, Route};
use daos_placement::Layout;
use daos_types::{
    Checksums, Cond, ContainerId, Der, Durability, Epoch, FetchIod, FetchValue, Iod, IodValue, KV_AKEY,
    ObjectId, Packed, Pair, Punched, ShardIdx, TargetIdx, UnitOid, ValueSink,
};
use daos_wire::limits::{PAIRS_BYTES_MAX, PAIRS_MAX};
use daos_wire::{
    Fetch, GetValues, GotValues, List, ListedKeys, ListedPairs, Punch, PutPairs, ShardRef, Update, push_sum,
};
use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Keys whose values are asked for at once.
const KEYS_MAX: usize = 1 << 10;
/// Bytes of values that an answer has room for: so many a key, within these bounds.
const VALUE_ROOM: usize = 8 << 10;
const VALUES_ROOM: RangeInclusive<usize> = 64 << 10..=1 << 20;

/// A key-value object.
#[derive(Debug)]
pub struct Kv<R: ?Sized> {
    route: Arc<R>,
    cont: ContainerId,
    checksums: Checksums,
    oid: ObjectId,
    layout: Layout,
    durability: Durability,
    /// As of when it is read; all but [`Epoch::MAX`] are of the past, and that does not change.
    epoch: Epoch,
}

/// A page of keys with their values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PairPage {
    /// The keys.
    pub keys: Packed,
    /// The value of each.
    pub values: Packed,
    /// Where to go on; `None` at the end. Opaque, and the same as that of keys.
    pub anchor: Option<Vec<u8>>,
}

/// The values of several keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values {
    parts: Vec<GotValues>,
    /// Where each key's is.
    places: Vec<(usize, usize)>,
}

impl Values {
    /// Of how many keys.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Of none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The value of a key, by its number; `None` where there is none.
    pub fn get(&self, nth: usize) -> Option<&[u8]> {
        let (part, at) = *self.places.get(nth)?;
        let part = self.parts.get(part)?;
        if *part.there.get(at)? { part.values.get(at) } else { None }
    }

    /// All of them, in the order of their keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Option<&[u8]>> {
        (0..self.len()).map(|nth| self.get(nth))
    }
}

/// The items of a shard in parts that go into one change each, in their order; those that are long are parts by themselves. Where there
/// are several parts, a key is in one of them alone: parts that are sent again may overtake each other.
fn parts(items: &[(&[u8], &[u8])], mut share: Vec<usize>) -> impl Iterator<Item = Vec<usize>> {
    let bytes = |nth: usize| items.get(nth).map_or(0, |(key, value)| key.len() + value.len());
    let all: usize = share.iter().map(|nth| bytes(*nth)).sum();
    if share.len() > PAIRS_MAX || all > PAIRS_BYTES_MAX {
        let key = |nth: usize| items.get(nth).map(|(key, _)| *key);
        let last: HashMap<_, usize> = share.iter().map(|nth| (key(*nth), *nth)).collect();
        share.retain(|nth| last.get(&key(*nth)) == Some(nth));
    }
    let mut parts: Vec<Vec<usize>> = Vec::new();
    let mut room = 0;
    for nth in share {
        match parts.last_mut() {
            Some(part) if bytes(nth) <= room && part.len() < PAIRS_MAX => part.push(nth),
            _ => {
                parts.push(vec![nth]);
                room = PAIRS_BYTES_MAX;
            }
        }
        room = room.saturating_sub(bytes(nth));
    }
    parts.into_iter()
}

/// A sink that remembers whether anything came.
#[derive(Debug)]
pub(crate) struct Noted<'a> {
    pub(crate) sink: &'a mut dyn ValueSink,
    pub(crate) there: bool,
}

impl ValueSink for Noted<'_> {
    fn put(&mut self, value: &[u8]) {
        self.there = true;
        self.sink.put(value);
    }

    fn room(&mut self, len: usize) -> Option<&mut [u8]> {
        self.there = true;
        self.sink.room(len)
    }

    fn last(&self, len: usize) -> Option<&[u8]> {
        self.sink.last(len)
    }
}

impl<R: Route + ?Sized> Kv<R> {
    /// The object; nothing is stored or looked up by this.
    pub fn open(
        route: Arc<R>,
        cont: impl Into<ContainerRef>,
        oid: ObjectId,
        durability: Durability,
    ) -> Result<Self> {
        if !oid.object_type().is_some_and(daos_types::ObjectType::is_kv) {
            return Err(Error::new(Der::Inval, format!("object {oid} is no key-value object")));
        }
        let layout = Layout::local(oid, route.targets());
        let ContainerRef { id: cont, checksums } = cont.into();
        Ok(Self { route, cont, checksums, oid, layout, durability, epoch: Epoch::MAX })
    }

    /// The object as of a snapshot's epoch: to be read, and not to be changed.
    #[must_use]
    pub fn at(self, epoch: Epoch) -> Self {
        Self { epoch, ..self }
    }

    /// The object's id.
    pub fn oid(&self) -> ObjectId {
        self.oid
    }

    /// Whether each call waits for another process, so that several are better made together.
    pub fn is_far(&self) -> bool {
        self.route.is_far()
    }

    /// Refuses changes of the past.
    fn check_writable(&self) -> Result<()> {
        check_writable(self.epoch)
    }

    fn of(&self, shard: ShardIdx) -> ShardRef {
        ShardRef { cont: self.cont, oid: UnitOid { oid: self.oid, shard } }
    }

    fn iod<'a>(value: &'a [u8], sum: &'a OneSum) -> Iod<'a> {
        Iod { sums: sum.lend(), ..Iod::new(KV_AKEY, IodValue::Single(value)) }
    }

    /// Stores a value under a key.
    pub fn put(&self, key: &[u8], value: &[u8], cond: Cond) -> Result<()> {
        self.check_writable()?;
        let (shard, target) = self.layout.of_dkey(key);
        let sum = OneSum::of(self.checksums, value);
        let iods = [Self::iod(value, &sum)];
        let of = self.of(shard);
        self.route.update(
            target,
            &Update { of, dkey: key, iods: &iods, cond, durability: self.durability, origin: None },
        )
    }

    /// Stores several values, made durable together; of a key that comes twice the later value stays. Not atomic: at a failure, some
    /// may be stored.
    pub fn put_all(&self, items: &[(&[u8], &[u8])], cond: Cond) -> Result<()> {
        self.check_writable()?;
        self.with_changes(items, cond, |changes, _| self.route.change_all(changes))
    }

    /// As [`Kv::put_all`], but what fails ends nothing: what became of each.
    pub fn put_each(&self, items: &[(&[u8], &[u8])], cond: Cond) -> Vec<Result<()>> {
        if let Err(error) = self.check_writable() {
            return items.iter().map(|_| Err(error.clone())).collect();
        }
        self.with_changes(items, cond, |changes, of_items| {
            let mut each: Vec<Result<()>> = items.iter().map(|_| Ok(())).collect();
            let failed = self.route.change_each(changes).into_iter().zip(of_items);
            for (error, of_items) in failed.filter_map(|(result, of)| Some((result.err()?, of))) {
                // What a store refuses may be one of them alone.
                let refused = of_items.len() > 1 && !error.nothing_happened && error.der != Der::TxUncertain;
                for nth in of_items {
                    if let (Some(result), Some((key, value))) = (each.get_mut(*nth), items.get(*nth)) {
                        *result = if refused { self.put(key, value, cond) } else { Err(error.clone()) };
                    }
                }
            }
            each
        })
    }

    /// The changes that put items, and which items each puts: as few as they allow.
    fn with_changes<T>(
        &self,
        items: &[(&[u8], &[u8])],
        cond: Cond,
        run: impl FnOnce(&[(TargetIdx, Change<'_>)], &[Vec<usize>]) -> T,
    ) -> T {
        let sums: Vec<OneSum> = items.iter().map(|(_, value)| OneSum::of(self.checksums, value)).collect();
        let iods: Vec<[Iod<'_>; 1]> =
            items.iter().zip(&sums).map(|((_, value), sum)| [Self::iod(value, sum)]).collect();
        let groups: Vec<_> = if cond == Cond::NONE {
            let shares = self.shares(items.iter().map(|(key, _)| *key));
            shares
                .into_iter()
                .flat_map(|(at, share)| parts(items, share).map(move |part| (at, part)))
                .collect()
        } else {
            let alone = |(nth, (key, _)): (usize, &(&[u8], &[u8]))| (self.layout.of_dkey(key), vec![nth]);
            items.iter().enumerate().map(alone).collect()
        };
        let pair = |nth: &usize| {
            let ((key, value), [iod]) = (items.get(*nth)?, iods.get(*nth)?);
            Some(Pair { key, value, sums: iod.sums })
        };
        let pairs: Vec<Vec<Pair<'_>>> =
            groups.iter().map(|(_, group)| group.iter().filter_map(pair).collect()).collect();
        let changes: Vec<(TargetIdx, Change<'_>)> = groups
            .iter()
            .zip(&pairs)
            .map(|(((shard, target), group), pairs)| {
                let (of, durability, origin) = (self.of(*shard), self.durability, None);
                let change = match (&pairs[..], group.first().and_then(|nth| iods.get(*nth))) {
                    // What is alone may be of any length.
                    (&[Pair { key: dkey, .. }], Some(iods)) => {
                        Change::Update(Update { of, dkey, iods, cond, durability, origin })
                    }
                    _ => Change::PutPairs(PutPairs { of, pairs, durability, origin }),
                };
                (*target, change)
            })
            .collect();
        let of_items: Vec<Vec<usize>> = groups.into_iter().map(|(_, group)| group).collect();
        run(&changes, &of_items)
    }

    /// Which keys each shard has, in their order.
    fn shares<'k>(
        &self,
        keys: impl Iterator<Item = &'k [u8]>,
    ) -> BTreeMap<(ShardIdx, TargetIdx), Vec<usize>> {
        let mut shares: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (nth, key) in keys.enumerate() {
            shares.entry(self.layout.of_dkey(key)).or_default().push(nth);
        }
        shares
    }

    /// Reads the values of several keys. They are not of one moment.
    pub fn get_all(&self, keys: &[&[u8]]) -> Result<Values> {
        let mut found = Values { parts: Vec::new(), places: vec![(0, 0); keys.len()] };
        let shares = self.shares(keys.iter().copied());
        let mut left: Vec<((ShardIdx, TargetIdx), &[usize])> = shares
            .iter()
            .flat_map(|(at, share)| share.chunks(KEYS_MAX).map(move |part| (*at, part)))
            .collect();
        while !left.is_empty() {
            let key = |nth: &usize| keys.get(*nth).copied().unwrap_or_default();
            let wanted: Vec<Vec<&[u8]>> =
                left.iter().map(|(_, part)| part.iter().map(key).collect()).collect();
            let requests: Vec<_> = left
                .iter()
                .zip(&wanted)
                .map(|(((shard, target), part), keys)| {
                    let (of, epoch, durability) = (self.of(*shard), self.epoch, self.durability);
                    let (least, most) = VALUES_ROOM.into_inner();
                    let bytes_max = (part.len() * VALUE_ROOM).clamp(least, most);
                    (*target, GetValues { of, keys, epoch, bytes_max, durability })
                })
                .collect();
            let got = self.route.get_values_all(&requests)?;
            for (((_, part), keys), got) in left.iter_mut().zip(&wanted).zip(got) {
                checksum::verify_values(self.oid, KV_AKEY, keys, &got)?;
                let (answered, others) = part.split_at_checked(got.there.len()).unwrap_or_default();
                if answered.is_empty() {
                    return Err(Error::new(
                        Der::Proto,
                        "a reply with values of other keys than were asked for",
                    ));
                }
                for (at, nth) in answered.iter().enumerate() {
                    if let Some(place) = found.places.get_mut(*nth) {
                        *place = (found.parts.len(), at);
                    }
                }
                found.parts.push(got);
                *part = others;
            }
            left.retain(|(_, part)| !part.is_empty());
        }
        Ok(found)
    }

    /// Reads the value of a key into `sink`; false where there is none.
    pub fn get(&self, key: &[u8], cond: Cond, sink: &mut dyn ValueSink) -> Result<bool> {
        let (shard, target) = self.layout.of_dkey(key);
        let of = self.of(shard);
        let request = Fetch { of, dkey: key, epoch: self.epoch, cond, durability: self.durability };
        let mut noted = Noted { sink, there: false };
        let mut iods = [FetchIod::new(KV_AKEY, FetchValue::Single(&mut noted))];
        self.route.fetch(target, &request, &mut iods)?;
        let [iod] = &iods;
        verify_single(self.oid, key, iod)?;
        Ok(noted.there)
    }

    /// Removes a key.
    pub fn remove(&self, key: &[u8], cond: Cond) -> Result<()> {
        self.check_writable()?;
        let (shard, target) = self.layout.of_dkey(key);
        let what = Punched::Dkey(key);
        self.route.punch(
            target,
            &Punch { of: self.of(shard), what, cond, durability: self.durability, origin: None },
        )
    }

    /// Removes everything.
    pub fn destroy(&self) -> Result<()> {
        self.check_writable()?;
        self.layout.shards().try_for_each(|(shard, target)| {
            let request = Punch {
                of: self.of(shard),
                what: Punched::Object,
                cond: Cond::NONE,
                durability: self.durability,
                origin: None,
            };
            self.route.punch(target, &request)
        })
    }

    /// One page of keys, in the order of the object's type inside each of its shards, shard after shard.
    pub fn list(&self, anchor: Option<&[u8]>, count: usize, reverse: bool) -> Result<KeyPage> {
        listing::page(&*self.route, &self.shards(), &self.listing(count, reverse), anchor)
    }

    /// As [`Kv::list`], with the values, which are of one moment inside each shard. Keys and values of a page are at most 1 MiB
    /// long, or one pair.
    pub fn list_pairs(&self, anchor: Option<&[u8]>, count: usize, reverse: bool) -> Result<PairPage> {
        let request = self.listing(count, reverse);
        let mut page = PairPage::default();
        page.anchor = listing::each(&self.shards(), &request, anchor, |target, request| {
            let room = PAGE_BYTES_MAX.saturating_sub(page.keys.bytes() + page.values.bytes());
            let listed = self.route.list_pairs(target, &List { bytes_max: room, ..*request })?;
            let summed = (&listed.keys, &listed.values, &listed.sums);
            checksum::verify_pairs(self.oid, KV_AKEY, summed)?;
            page.keys.append(&listed.keys);
            page.values.append(&listed.values);
            Ok((page.keys.len(), listed.next))
        })?;
        Ok(page)
    }

    fn shards(&self) -> Vec<(ShardIdx, TargetIdx)> {
        self.layout.shards().collect()
    }

    /// A listing of keys; the shard is set later.
    fn listing(&self, count: usize, reverse: bool) -> List<'static> {
        List {
            of: self.of(ShardIdx(0)),
            dkey: None,
            epoch: self.epoch,
            from: None,
            count_max: count,
            bytes_max: PAGE_BYTES_MAX,
            reverse,
            durability: self.durability,
        }
    }
}

/// A page of pairs of a flat object from a listing, by a fetch for each key.
pub(crate) fn fetch_listed(
    listed: ListedKeys,
    request: &List<'_>,
    mut fetch: impl FnMut(&Fetch<'_>, &mut [FetchIod<'_>]) -> Result<()>,
) -> Result<ListedPairs> {
    let List { of, epoch, durability, .. } = *request;
    let mut pairs = ListedPairs { next: listed.next, ..ListedPairs::default() };
    let mut value = Vec::new();
    for key in &listed.keys {
        value.clear();
        let mut noted = Noted { sink: &mut value, there: false };
        let mut iods = [FetchIod::new(KV_AKEY, FetchValue::Single(&mut noted))];
        fetch(&Fetch { of, dkey: key, epoch, cond: Cond::NONE, durability }, &mut iods)?;
        let [FetchIod { sum, .. }] = iods;
        if noted.there {
            push_sum(&mut pairs.sums, sum.get());
            pairs.keys.push(key);
            pairs.values.push(&value);
        }
    }
    Ok(pairs)
}
