//! Objects as they are: dkeys, akeys below them, single values and arrays below those.

use crate::checksum::{ContainerRef, ManySums, verify_fetched};
use crate::error::{Error, Result};
use crate::listing::{self, KeyPage, PAGE_BYTES_MAX};
use crate::route::{Change, FetchOne, Route};
use daos_placement::Layout;
use daos_types::{
    Checksums, Cond, ContainerId, Der, Durability, Epoch, FetchIod, FetchValue, Iod, KeyFound, KeyQuery,
    ObjectId, ObjectType, Punched, ShardIdx, TargetIdx, UnitOid,
};
use daos_wire::{Fetch, List, Punch, Query, ShardRef, Update};
use std::sync::Arc;

/// An object.
#[derive(Debug)]
pub struct Object<R: ?Sized> {
    route: Arc<R>,
    cont: ContainerId,
    checksums: Checksums,
    oid: ObjectId,
    layout: Layout,
    durability: Durability,
    epoch: Epoch,
}

impl<R: Route + ?Sized> Object<R> {
    /// The object as of an epoch, [`Epoch::MAX`] for now; at any other it can only be read. Nothing is stored or looked up by
    /// this.
    pub fn open(
        route: Arc<R>,
        cont: impl Into<ContainerRef>,
        oid: ObjectId,
        durability: Durability,
        epoch: Epoch,
    ) -> Result<Self> {
        if matches!(oid.object_type(), None | Some(ObjectType::Oit | ObjectType::OitV2)) {
            return Err(Error::new(Der::Notype, format!("{oid} is no id of an object with keys"))
                .hint("the top byte of its high half is the object's type"));
        }
        let layout = Layout::local(oid, route.targets());
        let ContainerRef { id: cont, checksums } = cont.into();
        Ok(Self { route, cont, checksums, oid, layout, durability, epoch })
    }

    /// The object's id.
    pub fn oid(&self) -> ObjectId {
        self.oid
    }

    /// The target of each of its shards, in their order.
    pub fn targets(&self) -> impl Iterator<Item = TargetIdx> {
        self.layout.shards().map(|(_, target)| target)
    }

    fn of(&self, shard: ShardIdx) -> ShardRef {
        ShardRef { cont: self.cont, oid: UnitOid { oid: self.oid, shard } }
    }

    fn writable(&self) -> Result<()> {
        check_writable(self.epoch)
    }

    /// New values below one dkey, all or none.
    pub fn update(&self, dkey: &[u8], iods: &[Iod<'_>], cond: Cond) -> Result<()> {
        self.writable()?;
        let (shard, target) = self.layout.of_dkey(dkey);
        let send = |iods: &[Iod<'_>]| {
            let of = self.of(shard);
            self.route
                .update(target, &Update { of, dkey, iods, cond, durability: self.durability, origin: None })
        };
        if self.checksums.kind.is_none() {
            return send(iods);
        }
        let mut sums = ManySums::default();
        sums.add(self.checksums, iods);
        let summed: Vec<Iod<'_>> =
            iods.iter().enumerate().map(|(nth, iod)| sums.lend(self.checksums, nth, iod)).collect();
        send(&summed)
    }

    /// New values below several dkeys, made durable together. Not atomic: at a failure, those before it stay.
    pub fn update_all<'a>(&self, updates: impl Iterator<Item = (&'a [u8], &'a [Iod<'a>])>) -> Result<()> {
        self.writable()?;
        let updates: Vec<_> = updates.collect();
        let mut sums = ManySums::default();
        for (_, iods) in &updates {
            sums.add(self.checksums, iods);
        }
        let all = updates.iter().flat_map(|(_, iods)| iods.iter()).enumerate();
        let summed: Vec<Iod<'_>> = all.map(|(nth, iod)| sums.lend(self.checksums, nth, iod)).collect();
        let mut rest = &summed[..];
        let change = |(dkey, iods): &(&'a [u8], &[Iod<'_>])| {
            let (shard, target) = self.layout.of_dkey(dkey);
            let (of, cond, durability) = (self.of(shard), Cond::NONE, self.durability);
            let (iods, others) = rest.split_at(iods.len());
            rest = others;
            (target, Change::Update(Update { of, dkey, iods, cond, durability, origin: None }))
        };
        let changes: Vec<_> = updates.iter().map(change).collect();
        self.route.change_all(&changes)
    }

    /// Reads values below one dkey, all as of one epoch, into what the iods name.
    pub fn fetch(&self, dkey: &[u8], iods: &mut [FetchIod<'_>], cond: Cond) -> Result<()> {
        let (shard, target) = self.layout.of_dkey(dkey);
        let of = self.of(shard);
        let request = Fetch { of, dkey, epoch: self.epoch, cond, durability: self.durability };
        self.route.fetch(target, &request, iods)?;
        self.verify(target, &request, iods)
    }

    /// Compares what was fetched with its sums. The network leaves it to them, so what does not fit and came from afar may have changed
    /// on its way: it is fetched once more before anything is called damaged.
    fn verify(&self, target: TargetIdx, request: &Fetch<'_>, iods: &mut [FetchIod<'_>]) -> Result<()> {
        let Err(error) = verify_fetched(self.oid, request.dkey, iods) else { return Ok(()) };
        let is_array = |iod: &FetchIod<'_>| matches!(iod.value, FetchValue::Array(_));
        if !self.is_far() || !iods.iter().all(is_array) {
            return Err(error);
        }
        self.route.fetch(target, request, iods)?;
        verify_fetched(self.oid, request.dkey, iods)
    }

    /// Reads values below several dkeys, not all as of one moment, unless this is a snapshot. A failure ends it.
    pub fn fetch_all<'a>(
        &self,
        wanted: impl Iterator<Item = (&'a [u8], FetchIod<'a>)>,
    ) -> Result<Vec<FetchIod<'a>>> {
        let one = |(dkey, iod): (&'a [u8], FetchIod<'a>)| {
            let (shard, target) = self.layout.of_dkey(dkey);
            let (of, epoch, cond, durability) = (self.of(shard), self.epoch, Cond::NONE, self.durability);
            FetchOne { target, request: Fetch { of, dkey, epoch, cond, durability }, iods: vec![iod] }
        };
        let mut fetches: Vec<FetchOne<'a>> = wanted.map(one).collect();
        self.route.fetch_all(&mut fetches)?;
        for FetchOne { target, request, iods } in &mut fetches {
            self.verify(*target, request, iods)?;
        }
        Ok(fetches.into_iter().flat_map(|one| one.iods).collect())
    }

    /// Whether requests are better made together.
    pub(crate) fn is_far(&self) -> bool {
        self.route.is_far()
    }

    /// Hides the object, a dkey or akeys. With [`Cond::PUNCH`], only what is there.
    pub fn punch(&self, what: Punched<'_>, cond: Cond) -> Result<()> {
        self.writable()?;
        let punch = |(shard, target): (ShardIdx, TargetIdx)| {
            let of = self.of(shard);
            self.route.punch(target, &Punch { of, what, cond, durability: self.durability, origin: None })
        };
        match what {
            Punched::Dkey(dkey) | Punched::Akeys(dkey, _) => punch(self.layout.of_dkey(dkey)),
            Punched::Object => {
                // It is there if any of its shards is.
                let mut absent = None;
                let mut there = false;
                for place in self.layout.shards() {
                    match punch(place) {
                        Ok(()) => there = true,
                        Err(error) if error.der == Der::Nonexist => absent = Some(error),
                        Err(error) => return Err(error),
                    }
                }
                absent.filter(|_| !there).map_or(Ok(()), Err)
            }
        }
    }

    /// Punches the dkeys that `within` accepts, from the last on, down to the first one below `least` in each shard: of an
    /// object whose dkeys are integers.
    pub(crate) fn punch_down_to(&self, least: u64, within: impl Fn(u64) -> bool) -> Result<()> {
        self.writable()?;
        for place in self.layout.shards() {
            let mut anchor: Option<Vec<u8>> = None;
            loop {
                let page = self.list(&[place], None, anchor.as_deref(), usize::MAX, true)?;
                let numbers = page.keys.iter().filter_map(|key| Some((key, number(key)?)));
                let dkeys: Vec<_> = numbers.take_while(|(_, number)| *number >= least).collect();
                let last = dkeys.len() < page.keys.len();
                let dkeys: Vec<_> = dkeys.into_iter().filter(|(_, number)| within(*number)).collect();
                for (nth, (dkey, _)) in dkeys.iter().enumerate() {
                    // A target's log keeps its order: the last of them vouches for those before it.
                    let vouches = nth + 1 == dkeys.len();
                    let durability = if vouches { self.durability } else { Durability::Buffered };
                    let (of, what) = (self.of(place.0), Punched::Dkey(dkey));
                    self.route
                        .punch(place.1, &Punch { of, what, cond: Cond::NONE, durability, origin: None })?;
                }
                anchor = page.anchor;
                if last || anchor.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }

    fn list(
        &self,
        shards: &[(ShardIdx, TargetIdx)],
        dkey: Option<&[u8]>,
        anchor: Option<&[u8]>,
        count: usize,
        reverse: bool,
    ) -> Result<KeyPage> {
        let request = List {
            of: self.of(ShardIdx(0)),
            dkey,
            epoch: self.epoch,
            from: None,
            count_max: count,
            bytes_max: PAGE_BYTES_MAX,
            reverse,
            durability: self.durability,
        };
        listing::page(&*self.route, shards, &request, anchor)
    }

    /// One page of dkeys, in the order of the object's type inside each of its shards, shard after shard.
    pub fn list_dkeys(&self, anchor: Option<&[u8]>, count: usize, reverse: bool) -> Result<KeyPage> {
        self.list(&self.layout.shards().collect::<Vec<_>>(), None, anchor, count, reverse)
    }

    /// As [`Object::list_dkeys`], of one shard, by its place among [`Object::targets`]: shards can be listed side by side.
    pub fn list_shard_dkeys(&self, shard: usize, anchor: Option<&[u8]>, count: usize) -> Result<KeyPage> {
        let place = self.layout.shards().nth(shard);
        let place = place
            .ok_or_else(|| Error::new(Der::Inval, format!("object {} has no shard {shard}", self.oid)))?;
        self.list(&[place], None, anchor, count, false)
    }

    /// One page of the akeys of a dkey, in the order of the object's type.
    pub fn list_akeys(
        &self,
        dkey: &[u8],
        anchor: Option<&[u8]>,
        count: usize,
        reverse: bool,
    ) -> Result<KeyPage> {
        self.list(&[self.layout.of_dkey(dkey)], Some(dkey), anchor, count, reverse)
    }

    /// The extreme keys or records; `None` where nothing is visible.
    pub fn query(&self, what: KeyQuery<'_>) -> Result<Option<KeyFound>> {
        let ask = |(shard, target): (ShardIdx, TargetIdx)| {
            let of = self.of(shard);
            self.route.query(target, &Query { of, what, epoch: self.epoch, durability: self.durability })
        };
        if let Some(dkey) = what.dkey {
            return ask(self.layout.of_dkey(dkey));
        }
        let mut shards = self.layout.shards();
        shards.try_fold(None, |best, place| Ok(extreme(what.greatest, best, ask(place)?)))
    }

    /// As [`Object::query`] of whole objects, of several of one container. Not all as of one moment. A failure ends it.
    pub(crate) fn query_all(objects: &[&Self], what: KeyQuery<'_>) -> Result<Vec<Option<KeyFound>>> {
        let asked = |object: &&Self| {
            let (of, epoch, durability) = (|shard| object.of(shard), object.epoch, object.durability);
            let query = |(shard, target)| (target, Query { of: of(shard), what, epoch, durability });
            object.layout.shards().map(query).collect::<Vec<_>>()
        };
        let requests: Vec<Vec<_>> = objects.iter().map(asked).collect();
        let Some(first) = objects.first() else { return Ok(Vec::new()) };
        let mut found = &first.route.query_all(&requests.concat())?[..];
        let each = requests.iter().map(|requests| {
            let (own, others) = found.split_at_checked(requests.len()).unwrap_or_default();
            found = others;
            own.iter().fold(None, |best, found| extreme(what.greatest, best, *found))
        });
        Ok(each.collect())
    }
}

/// The extreme of what shards of an object have; of those that are alike, the first.
fn extreme(greatest: bool, best: Option<KeyFound>, other: Option<KeyFound>) -> Option<KeyFound> {
    let (Some(known), Some(found)) = (best, other) else { return best.or(other) };
    let beats = if greatest { found.dkey > known.dkey } else { found.dkey < known.dkey };
    if beats { other } else { best }
}

/// Refuses changes of the past.
pub(crate) fn check_writable(epoch: Epoch) -> Result<()> {
    if epoch == Epoch::MAX {
        return Ok(());
    }
    Err(Error::new(Der::NoPerm, format!("this is a snapshot, as of epoch {epoch}"))
        .hint("snapshots do not change: write to the container itself"))
}

/// The integer of an integer key.
fn number(key: &[u8]) -> Option<u64> {
    key.try_into().ok().map(u64::from_le_bytes)
}
