//! The way to targets of other processes: requests as messages over connections. `docs/internals/network.md`.

use crate::error::{Error, Result};
use crate::route::{Route, Survey};
use daos_net::frame::{Payload, Place};
use daos_net::{Call, Endpoint, NetError, Receive, Reply};
use daos_types::{Der, Durability, FetchIod, FetchValue, KeyFound, TargetIdx};
use daos_wire::{
    Check, Checked, Diff, Differences, Encoded, Fetch, List, ListedKeys, ListedObjects, ListedPairs, Objects,
    Opcode, Punch, Query, ReadFetchReply, Update, WireError, decode_done, decode_found,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Room for what a reply says beside its data.
const REPLY_ROOM: usize = 64 << 10;
/// Of a page, for each element beside its bytes: lengths, and a sum.
const ELEMENT_ROOM: usize = 96;
/// Elements of a page of which nothing else bounds the bytes.
const ELEMENT_LEN: usize = 1 << 10;

/// A target, and where it is.
#[derive(Debug, Clone)]
pub struct RemoteTarget {
    /// The way there; targets may share one.
    pub endpoint: Arc<Endpoint>,
    /// Its number at that place.
    pub index: u32,
}

/// Requests over the network to the targets of one pool. Any thread may use it.
#[derive(Debug)]
pub struct RemoteRoute {
    targets: Vec<RemoteTarget>,
    handle: u64,
    timeout: Duration,
    /// The number of the next change.
    sequence: AtomicU64,
}

impl RemoteRoute {
    /// The way to these targets with an open handle, 0 for none. A call takes no longer than `timeout`.
    pub fn new(targets: Vec<RemoteTarget>, handle: u64, timeout: Duration) -> Self {
        Self { targets, handle, timeout, sequence: AtomicU64::new(1) }
    }

    fn call(
        &self,
        target: TargetIdx,
        opcode: Opcode,
        durability: Durability,
        message: &Encoded<'_>,
        reply_max: usize,
        into: &mut dyn Receive,
    ) -> std::result::Result<(), NetError> {
        let RemoteTarget { endpoint, index } = self
            .targets
            .get(target.0 as usize)
            .ok_or_else(|| NetError::before(Der::BadTarget, format!("there is no target {}", target.0)))?;
        let payloads: Vec<Payload<'_>> = message.payloads.iter().map(|bytes| Payload::new(bytes)).collect();
        let sequence = if opcode.changes() { self.sequence.fetch_add(1, Ordering::Relaxed) } else { 0 };
        let call = Call {
            opcode: opcode as u16,
            durability,
            map_version: 0,
            handle: self.handle,
            sequence,
            target: *index,
            reply_max: u32::try_from(reply_max).unwrap_or(u32::MAX),
            timeout: self.timeout,
            body: &message.body,
            payloads: &payloads,
        };
        endpoint.call(&call, into)
    }

    /// Asks, and once more where the reply needed more room than it was given.
    fn ask(
        &self,
        target: TargetIdx,
        opcode: Opcode,
        durability: Durability,
        message: &Encoded<'_>,
        reply_max: usize,
        into: &mut dyn Receive,
    ) -> Result<()> {
        let mut asked = self.call(target, opcode, durability, message, reply_max, into);
        if let Err(NetError { room: room @ 1.., .. }) = asked
            && !opcode.changes()
        {
            let room = usize::try_from(room).unwrap_or(usize::MAX).saturating_add(REPLY_ROOM);
            asked = self.call(target, opcode, durability, message, room, into);
        }
        asked.map_err(|error| told(opcode, error))
    }

    /// Asks for what is decoded from a reply that is kept.
    fn get<T>(
        &self,
        target: TargetIdx,
        opcode: Opcode,
        durability: Durability,
        message: std::result::Result<Encoded<'_>, WireError>,
        reply_max: usize,
        decode: impl FnOnce(&[u8], &[&[u8]]) -> std::result::Result<T, WireError>,
    ) -> Result<T> {
        let message = message.map_err(|error| unsaid(&error))?;
        let mut reply = Reply::default();
        self.ask(target, opcode, durability, &message, reply_max, &mut reply)?;
        let payloads: Vec<&[u8]> = reply.payloads.iter().map(|bulk| bulk.bytes.as_slice()).collect();
        decode(&reply.body, &payloads).map_err(|error| not_understood(opcode, &error))
    }
}

/// A failure of a call as the caller is told it.
fn told(opcode: Opcode, error: NetError) -> Error {
    let uncertain = error.is_uncertain() && opcode.changes();
    let told = if uncertain {
        Error::new(Der::TxUncertain, format!("the outcome is unknown: {}", error.message))
    } else {
        Error::new(error.der, error.message)
    };
    if uncertain {
        told.hint("read before you write again")
    } else if error.hint.is_empty() {
        told
    } else {
        told.hint(error.hint)
    }
}

/// A request that no message can hold.
fn unsaid(error: &WireError) -> Error {
    Error::new(error.der(), error.to_string()).hint("divide it into several requests")
}

/// A reply that is none. What was changed may have been.
fn not_understood(opcode: Opcode, error: &WireError) -> Error {
    let der = if opcode.changes() { Der::TxUncertain } else { Der::Proto };
    Error::new(der, format!("a reply that is not understood: {error}"))
        .hint("the other end may be of another version of daos: install the same on both")
}

/// Room for a page of so many elements in so many bytes.
fn page_room(count_max: usize, bytes_max: usize) -> usize {
    let bytes = bytes_max.min(count_max.saturating_mul(ELEMENT_LEN));
    bytes.saturating_add(count_max.min(bytes).saturating_mul(ELEMENT_ROOM)).saturating_add(REPLY_ROOM)
}

/// A reply to a fetch, straight into what its iods name.
struct Fetched<'a, 'i> {
    iods: &'a mut [FetchIod<'i>],
    body: Vec<u8>,
    lens: Vec<usize>,
}

impl Fetched<'_, '_> {
    fn reply(&self) -> std::result::Result<ReadFetchReply<'_>, WireError> {
        ReadFetchReply::decode(&self.body, &self.lens, self.iods)
    }
}

impl Receive for Fetched<'_, '_> {
    fn head(&mut self, _: u32, body: &[u8], places: &[Place]) -> daos_net::Result<()> {
        self.body = body.to_vec();
        self.lens = places.iter().map(|place| place.len as usize).collect();
        self.reply().map(drop).map_err(|error| NetError::before(error.der(), error.to_string()))
    }

    fn rooms(&mut self, payload: usize) -> daos_net::Result<Vec<&mut [u8]>> {
        let reply = ReadFetchReply::decode(&self.body, &self.lens, self.iods)
            .map_err(|error| NetError::before(error.der(), error.to_string()))?;
        let len = self.lens.get(payload).copied().unwrap_or_default();
        reply.rooms(self.iods, payload).ok_or_else(|| {
            NetError::before(Der::Inval, format!("there is no room for a value of {len} bytes"))
        })
    }
}

impl Route for RemoteRoute {
    fn targets(&self) -> u32 {
        self.targets.len() as u32
    }

    fn update(&self, target: TargetIdx, request: &Update<'_>) -> Result<()> {
        self.get(target, Opcode::Update, request.durability, request.encode(), REPLY_ROOM, decode_done)
    }

    fn fetch(&self, target: TargetIdx, request: &Fetch<'_>, iods: &mut [FetchIod<'_>]) -> Result<()> {
        let message = request.encode(iods).map_err(|error| unsaid(&error))?;
        let buffers = iods.iter().map(|iod| match &iod.value {
            FetchValue::Array(fetch) => fetch.data.len(),
            FetchValue::Single(_) => 0,
        });
        let room = buffers.fold(REPLY_ROOM, usize::saturating_add);
        let mut fetched = Fetched { iods, body: Vec::new(), lens: Vec::new() };
        self.ask(target, Opcode::Fetch, request.durability, &message, room, &mut fetched)?;
        let Fetched { iods, body, lens } = fetched;
        let reply = ReadFetchReply::decode(&body, &lens, iods)
            .map_err(|error| not_understood(Opcode::Fetch, &error))?;
        reply.finish(iods);
        Ok(())
    }

    fn query(&self, target: TargetIdx, request: &Query<'_>) -> Result<Option<KeyFound>> {
        self.get(target, Opcode::Query, request.durability, request.encode(), REPLY_ROOM, decode_found)
    }

    fn punch(&self, target: TargetIdx, request: &Punch<'_>) -> Result<()> {
        self.get(target, Opcode::Punch, request.durability, request.encode(), REPLY_ROOM, decode_done)
    }

    fn list(&self, target: TargetIdx, request: &List<'_>) -> Result<ListedKeys> {
        let room = page_room(request.count_max, request.bytes_max);
        self.get(target, Opcode::List, request.durability, request.encode(), room, ListedKeys::decode)
    }

    fn list_pairs(&self, target: TargetIdx, request: &List<'_>) -> Result<ListedPairs> {
        let room = page_room(request.count_max, request.bytes_max);
        self.get(target, Opcode::ListPairs, request.durability, request.encode(), room, |body, payloads| {
            ListedPairs::decode(body, payloads)
        })
    }
}

impl Survey for RemoteRoute {
    fn objects(&self, target: TargetIdx, request: &Objects<'_>) -> Result<ListedObjects> {
        let room = page_room(request.count_max, usize::MAX);
        self.get(target, Opcode::Objects, request.durability, request.encode(), room, ListedObjects::decode)
    }

    fn diff(&self, target: TargetIdx, request: &Diff<'_>) -> Result<Differences> {
        self.get(target, Opcode::Diff, request.durability, request.encode(), REPLY_ROOM, Differences::decode)
    }

    fn check(&self, target: TargetIdx, request: &Check<'_>) -> Result<Checked> {
        self.get(target, Opcode::Check, request.durability, request.encode(), REPLY_ROOM, Checked::decode)
    }
}
