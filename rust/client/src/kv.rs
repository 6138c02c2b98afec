//! Flat key-value objects: dkey = key, akey `"0"`, one single value.

use crate::checksum::{self, ContainerRef, OneSum, verify_single};
use crate::error::{Error, Result};
use crate::listing::{self, KeyPage, PAGE_BYTES_MAX};
use crate::object::check_writable;
use crate::route::Route;
use daos_placement::Layout;
use daos_types::{
    Checksums, Cond, ContainerId, Der, Durability, Epoch, FetchIod, FetchValue, Iod, IodValue, ObjectId,
    Packed, Punched, ShardIdx, TargetIdx, UnitOid, ValueSink,
};
use daos_wire::{Fetch, List, ListedKeys, ListedPairs, Punch, ShardRef, Update};
use std::sync::Arc;

/// The akey of a flat object's values.
const AKEY: &[u8] = b"0";

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

/// A sink that remembers whether anything came.
#[derive(Debug)]
struct Noted<'a> {
    sink: &'a mut dyn ValueSink,
    there: bool,
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

    /// Refuses changes of the past.
    fn check_writable(&self) -> Result<()> {
        check_writable(self.epoch)
    }

    fn of(&self, shard: ShardIdx) -> ShardRef {
        ShardRef { cont: self.cont, oid: UnitOid { oid: self.oid, shard } }
    }

    fn iod<'a>(value: &'a [u8], sum: &'a OneSum) -> Iod<'a> {
        Iod { sums: sum.lend(), ..Iod::new(AKEY, IodValue::Single(value)) }
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
        let sums: Vec<OneSum> = items.iter().map(|(_, value)| OneSum::of(self.checksums, value)).collect();
        let iods: Vec<[Iod<'_>; 1]> =
            items.iter().zip(&sums).map(|((_, value), sum)| [Self::iod(value, sum)]).collect();
        self.route.update_all(&mut items.iter().zip(&iods).map(|((key, _), iods)| {
            let (shard, target) = self.layout.of_dkey(key);
            (
                target,
                Update {
                    of: self.of(shard),
                    dkey: key,
                    iods,
                    cond,
                    durability: self.durability,
                    origin: None,
                },
            )
        }))
    }

    /// Reads the value of a key into `sink`; false where there is none.
    pub fn get(&self, key: &[u8], cond: Cond, sink: &mut dyn ValueSink) -> Result<bool> {
        let (shard, target) = self.layout.of_dkey(key);
        let of = self.of(shard);
        let request = Fetch { of, dkey: key, epoch: self.epoch, cond, durability: self.durability };
        let mut noted = Noted { sink, there: false };
        let mut iods = [FetchIod::new(AKEY, FetchValue::Single(&mut noted))];
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
            checksum::verify_pairs(self.oid, AKEY, summed)?;
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
        let mut iods = [FetchIod::new(AKEY, FetchValue::Single(&mut noted))];
        fetch(&Fetch { of, dkey: key, epoch, cond: Cond::NONE, durability }, &mut iods)?;
        let [FetchIod { sum, .. }] = iods;
        if noted.there {
            checksum::push_packed(sum.get(), &mut pairs.sums);
            pairs.keys.push(key);
            pairs.values.push(&value);
        }
    }
    Ok(pairs)
}
