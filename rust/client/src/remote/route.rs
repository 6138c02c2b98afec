//! The way to targets of other processes: data requests as messages.

use super::call::{About, Asker, Failed, OneCall, Opened, REPLY_ROOM, not_understood, unsaid, with_handle};
use super::draft::RemoteDraft;
use super::fetched::Fetched;
use super::process::PerProcess;
use super::sequences::Drawn;
use super::service::{Patience, passes};
use super::system::{RemoteSystem, Way, unfit};
use crate::error::{Error, Result};
use crate::route::{Change, FetchOne, Route, Survey};
use daos_net::{Endpoint, Receive, Reply};
use daos_types::{Der, Durability, FetchIod, FetchValue, KeyFound, Origin, TargetIdx};
use daos_wire::control::TargetPlace;
use daos_wire::{
    Check, Checked, Count, Counted, Diff, Differences, Encoded, Fetch, GetValues, GotValues, List,
    ListedKeys, ListedObjects, ListedPairs, Objects, Opcode, Punch, PutPairs, Query, Update, WireError,
    decode_done, decode_found,
};
use std::sync::Arc;

/// Requests that are under way at once for one caller: half of what a connection takes.
pub(super) const TOGETHER_MAX: usize = 64;
/// Of a page, for each element beside its bytes: lengths, and a sum.
pub(super) const ELEMENT_ROOM: usize = 96;
/// Elements of a page of which nothing else bounds the bytes.
const ELEMENT_LEN: usize = 1 << 10;

/// A target, and where it is.
#[derive(Debug, Clone)]
pub struct RemoteTarget {
    /// The way there; targets may share one.
    pub endpoint: Arc<Endpoint>,
    /// The engine that has it.
    pub rank: u32,
    /// Its number at that place.
    pub index: u32,
}

/// The targets of a pool: each process reaches them by connections of its own.
#[derive(Debug)]
pub(super) struct Targets {
    places: Vec<TargetPlace>,
    reached: PerProcess<Vec<RemoteTarget>>,
}

impl Targets {
    pub(super) fn new(system: &RemoteSystem, places: Vec<TargetPlace>) -> Result<Self> {
        let nowhere = |place: &TargetPlace| place.address.is_empty();
        if matches!(system.way, Way::Service { .. }) && places.iter().any(nowhere) {
            return Err(unfit("a target without an address"));
        }
        if places.is_empty() {
            return Err(unfit("a pool without targets"));
        }
        let reached = PerProcess::new(system.process, reach(system, &places));
        Ok(Self { places, reached })
    }

    /// Rank and index there of each.
    pub(super) fn places(&self) -> impl Iterator<Item = (u32, u32)> {
        self.places.iter().map(|place| (place.rank, place.index))
    }

    /// As this process reaches them.
    fn here(&self, system: &RemoteSystem) -> &[RemoteTarget] {
        self.reached.get(|_| reach(system, &self.places))
    }
}

fn reach(system: &RemoteSystem, places: &[TargetPlace]) -> Vec<RemoteTarget> {
    let target = |&TargetPlace { rank, index, ref address }: &TargetPlace| {
        let endpoint = match &system.way {
            Way::Holder(first) if address.is_empty() => Arc::clone(first),
            _ => system.here().places.target(rank, address, index),
        };
        RemoteTarget { endpoint, rank, index }
    };
    places.iter().map(target).collect()
}

/// Requests over the network to the targets of one pool, for one container. Any thread may use it.
#[derive(Debug)]
pub struct RemoteRoute {
    targets: Arc<Targets>,
    pub(super) opened: Arc<dyn Opened>,
    pub(super) system: Arc<RemoteSystem>,
    /// The process that made it.
    pub(super) process: u64,
}

/// What is asked, beside its message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) opcode: Opcode,
    pub(super) durability: Durability,
    pub(super) reply_max: usize,
    pub(super) origin: Option<Origin>,
}

impl Asked {
    pub(super) fn new(opcode: Opcode, durability: Durability, reply_max: usize) -> Self {
        Self { opcode, durability, reply_max, origin: None }
    }

    /// A fetch, with room for all that it has room for.
    pub(super) fn of_fetch(request: &Fetch<'_>, iods: &[FetchIod<'_>]) -> Self {
        let buffers = iods.iter().map(|iod| match &iod.value {
            FetchValue::Array(fetch) => fetch.data.len(),
            FetchValue::Single(_) => 0,
        });
        Self::new(Opcode::Fetch, request.durability, buffers.fold(REPLY_ROOM, usize::saturating_add))
    }

    /// With a handle, to a target by its index; whether a lost reply is an unknown outcome.
    pub(super) fn about(self, handle: u64, target: u32, changes: bool) -> About {
        let Self { opcode, durability, reply_max, origin } = self;
        let sequence = origin.map_or(0, |origin| origin.sequence);
        About { opcode: opcode as u16, changes, sequence, durability, handle, target, reply_max }
    }

    /// As a change that may be sent again.
    pub(super) fn of(self, origin: Option<Origin>) -> Self {
        Self { origin, ..self }
    }
}

impl RemoteRoute {
    pub(super) fn new(targets: Arc<Targets>, opened: Arc<dyn Opened>, system: Arc<RemoteSystem>) -> Self {
        let process = system.process();
        Self { targets, opened, system, process }
    }

    /// The same, for a transaction: that belongs to the process that begins it.
    pub(super) fn of_this_process(&self) -> Self {
        Self::new(Arc::clone(&self.targets), Arc::clone(&self.opened), Arc::clone(&self.system))
    }

    /// The targets, as this process reaches them.
    pub(super) fn reached(&self) -> &[RemoteTarget] {
        self.targets.here(&self.system)
    }

    pub(super) fn asker(&self) -> &Asker {
        &self.system.asker
    }

    /// Numbers for so many changes, if they are sent again here where their replies are lost. To be held until all of them are over.
    pub(super) fn draw(&self, count: usize) -> Option<Drawn<'_>> {
        let numbered = count > 0 && self.system.service().is_some();
        numbered.then(|| self.system.here().mine.sequences.draw(count))
    }

    /// Makes a change under an origin of its own, unless it has one.
    pub(super) fn numbered<T>(&self, origin: Option<Origin>, make: impl FnOnce(Option<Origin>) -> T) -> T {
        let drawn = self.draw(usize::from(origin.is_none()));
        make(origin.or_else(|| drawn.as_ref().and_then(|drawn| drawn.origins().next())))
    }

    pub(super) fn target(&self, target: TargetIdx) -> Result<&RemoteTarget> {
        let missing = || Error::new(Der::BadTarget, format!("there is no target {}", target.0));
        self.reached().get(target.0 as usize).ok_or_else(missing)
    }

    /// Asks a target with the container's handle, or in a draft.
    fn ask(
        &self,
        draft: Option<&mut RemoteDraft>,
        target: TargetIdx,
        asked: Asked,
        message: &Encoded<'_>,
        into: &mut dyn Receive,
    ) -> Result<()> {
        let at = self.target(target)?;
        if let Some(draft) = draft {
            return self.ask_in(draft, at, asked, message, into);
        }
        let changes = asked.opcode.changes();
        self.patiently(asked.origin.is_some_and(|origin| origin.sequence != 0), || {
            with_handle(&*self.opened, Some(at), |handle| {
                let about = asked.about(handle.number, at.index, changes);
                let asked = self.asker().ask(&at.endpoint, &about, message, into);
                asked.map_err(|error| Failed::of(error, changes))
            })
        })
    }

    /// Asks for what is decoded from a reply that is kept.
    pub(super) fn get<T>(
        &self,
        draft: Option<&mut RemoteDraft>,
        target: TargetIdx,
        asked: Asked,
        message: std::result::Result<Encoded<'_>, WireError>,
        decode: impl FnOnce(&[u8], &[&[u8]]) -> std::result::Result<T, WireError>,
    ) -> Result<T> {
        let message = message.map_err(|error| unsaid(&error))?;
        let mut reply = Reply::default();
        self.ask(draft, target, asked, &message, &mut reply)?;
        let payloads: Vec<&[u8]> = reply.payloads.iter().map(|bulk| &*bulk.bytes).collect();
        decode(&reply.body, &payloads).map_err(|error| not_understood(asked.opcode.changes(), &error))
    }

    /// Asks a pool's engines until one answers: one that is started again, for instance. What may have happened is asked again
    /// only where it happens once; it stays unknown unless that succeeds, for what was sent before may still be on its way.
    pub(super) fn patiently(&self, once: bool, mut ask: impl FnMut() -> Result<()>) -> Result<()> {
        if self.system.service().is_none() {
            return ask();
        }
        // Also the last attempt, which begins late, ends in the call's time.
        let _all = OneCall::begin(self.asker().timeout);
        let mut patience = Patience::new(self.asker().time());
        let mut unknown: Option<Error> = None;
        loop {
            let Err(error) = ask() else { return Ok(()) };
            let lost = once && error.der == Der::TxUncertain;
            let again = lost || (error.nothing_happened && passes(error.der));
            let told = unknown.clone().unwrap_or_else(|| error.clone());
            if lost {
                unknown.get_or_insert(error);
            }
            if !again || !patience.wait() {
                return Err(told);
            }
        }
    }

    pub(super) fn update_by(
        &self,
        draft: Option<&mut RemoteDraft>,
        target: TargetIdx,
        request: &Update<'_>,
    ) -> Result<()> {
        let asked = Asked::new(Opcode::Update, request.durability, REPLY_ROOM).of(request.origin);
        self.get(draft, target, asked, request.encode(), decode_done)
    }

    pub(super) fn fetch_by(
        &self,
        draft: Option<&mut RemoteDraft>,
        target: TargetIdx,
        request: &Fetch<'_>,
        iods: &mut [FetchIod<'_>],
    ) -> Result<()> {
        let message = request.encode(iods).map_err(|error| unsaid(&error))?;
        let asked = Asked::of_fetch(request, iods);
        let mut fetched = Fetched::new(iods);
        self.ask(draft, target, asked, &message, &mut fetched)?;
        fetched.finish()
    }

    pub(super) fn query_by(
        &self,
        draft: Option<&mut RemoteDraft>,
        target: TargetIdx,
        request: &Query<'_>,
    ) -> Result<Option<KeyFound>> {
        let asked = Asked::new(Opcode::Query, request.durability, REPLY_ROOM);
        self.get(draft, target, asked, request.encode(), decode_found)
    }

    pub(super) fn punch_by(
        &self,
        draft: Option<&mut RemoteDraft>,
        target: TargetIdx,
        request: &Punch<'_>,
    ) -> Result<()> {
        let asked = Asked::new(Opcode::Punch, request.durability, REPLY_ROOM).of(request.origin);
        self.get(draft, target, asked, request.encode(), decode_done)
    }

    pub(super) fn list_by(
        &self,
        draft: Option<&mut RemoteDraft>,
        target: TargetIdx,
        request: &List<'_>,
    ) -> Result<ListedKeys> {
        let room = page_room(request.count_max, request.bytes_max);
        let asked = Asked::new(Opcode::List, request.durability, room);
        self.get(draft, target, asked, request.encode(), ListedKeys::decode)
    }
}

/// With lifetimes of their own, which a reader of replies has.
pub(super) fn read_pairs(body: &[u8], payloads: &[&[u8]]) -> std::result::Result<ListedPairs, WireError> {
    ListedPairs::decode(body, payloads)
}

/// Room for a page of so many elements in so many bytes.
pub(super) fn page_room(count_max: usize, bytes_max: usize) -> usize {
    let bytes = bytes_max.min(count_max.saturating_mul(ELEMENT_LEN));
    bytes.saturating_add(count_max.min(bytes).saturating_mul(ELEMENT_ROOM)).saturating_add(REPLY_ROOM)
}

impl Route for RemoteRoute {
    fn targets(&self) -> u32 {
        self.reached().len() as u32
    }

    fn update(&self, target: TargetIdx, request: &Update<'_>) -> Result<()> {
        self.numbered(request.origin, |origin| self.update_by(None, target, &Update { origin, ..*request }))
    }

    fn put_pairs(&self, target: TargetIdx, request: &PutPairs<'_>) -> Result<()> {
        self.change_together(&[(target, Change::PutPairs(*request))]).into_iter().collect()
    }

    fn change_all(&self, changes: &[(TargetIdx, Change<'_>)]) -> Result<()> {
        changes
            .chunks(TOGETHER_MAX)
            .try_for_each(|some| self.change_together(some).into_iter().collect::<Result<()>>())
    }

    fn change_each(&self, changes: &[(TargetIdx, Change<'_>)]) -> Vec<Result<()>> {
        changes.chunks(TOGETHER_MAX).flat_map(|some| self.change_together(some)).collect()
    }

    fn get_values(&self, target: TargetIdx, request: &GetValues<'_>) -> Result<GotValues> {
        self.get_values_by(target, request)
    }

    fn get_values_all(&self, requests: &[(TargetIdx, GetValues<'_>)]) -> Result<Vec<GotValues>> {
        let mut got = Vec::with_capacity(requests.len());
        for some in requests.chunks(TOGETHER_MAX) {
            got.extend(self.get_together(some)?);
        }
        Ok(got)
    }

    fn is_far(&self) -> bool {
        true
    }

    fn fetch(&self, target: TargetIdx, request: &Fetch<'_>, iods: &mut [FetchIod<'_>]) -> Result<()> {
        self.fetch_by(None, target, request, iods)
    }

    fn query_all(&self, requests: &[(TargetIdx, Query<'_>)]) -> Result<Vec<Option<KeyFound>>> {
        let mut found = Vec::with_capacity(requests.len());
        for some in requests.chunks(TOGETHER_MAX) {
            found.extend(self.query_together(some)?);
        }
        Ok(found)
    }

    fn fetch_all(&self, fetches: &mut [FetchOne<'_>]) -> Result<()> {
        self.fetch_together(fetches)
    }

    fn query(&self, target: TargetIdx, request: &Query<'_>) -> Result<Option<KeyFound>> {
        self.query_by(None, target, request)
    }

    fn punch(&self, target: TargetIdx, request: &Punch<'_>) -> Result<()> {
        self.numbered(request.origin, |origin| self.punch_by(None, target, &Punch { origin, ..*request }))
    }

    fn list(&self, target: TargetIdx, request: &List<'_>) -> Result<ListedKeys> {
        self.list_by(None, target, request)
    }

    fn list_pairs(&self, target: TargetIdx, request: &List<'_>) -> Result<ListedPairs> {
        let asked = Asked::new(
            Opcode::ListPairs,
            request.durability,
            page_room(request.count_max, request.bytes_max),
        );
        self.get(None, target, asked, request.encode(), read_pairs)
    }
}

impl Survey for RemoteRoute {
    fn objects(&self, target: TargetIdx, request: &Objects<'_>) -> Result<ListedObjects> {
        let asked = Asked::new(Opcode::Objects, request.durability, page_room(request.count_max, usize::MAX));
        self.get(None, target, asked, request.encode(), ListedObjects::decode)
    }

    fn diff(&self, target: TargetIdx, request: &Diff<'_>) -> Result<Differences> {
        let asked = Asked::new(Opcode::Diff, request.durability, REPLY_ROOM);
        self.get(None, target, asked, request.encode(), Differences::decode)
    }

    fn check(&self, target: TargetIdx, request: &Check<'_>) -> Result<Checked> {
        let asked = Asked::new(Opcode::Check, request.durability, REPLY_ROOM);
        self.get(None, target, asked, request.encode(), Checked::decode)
    }

    fn count(&self, target: TargetIdx, request: &Count<'_>) -> Result<Counted> {
        let asked = Asked::new(Opcode::Count, request.durability, REPLY_ROOM);
        self.get(None, target, asked, request.encode(), Counted::decode)
    }
}
