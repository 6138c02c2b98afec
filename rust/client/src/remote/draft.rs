//! Transactions over a network: the first request of one begins it, and what it only changes waits for the request that commits.

use super::call::{About, Asker, Failed, REPLY_ROOM, not_understood, told, unsaid, with_handle};
use super::route::{Asked, RemoteRoute, RemoteTarget, page_room, read_pairs};
use super::system::RemoteSystem;
use crate::error::{Error, Result};
use crate::route::Transact;
use daos_net::{Outcome, Receive, Reply};
use daos_types::{
    Cond, Der, Durability, FetchIod, IodValue, KV_AKEY, KeyFound, ObjectId, ObjectType, Origin, Punched,
    TargetIdx,
};
use daos_wire::limits::{TX_CHANGES_BYTES_MAX, TX_CHANGES_MAX};
use daos_wire::{
    Encoded, Fetch, List, ListedKeys, ListedPairs, Opcode, Punch, Query, ShardRef, TxChange, TxChanges,
    TxFirst, Update, WireError, decode_done, encode_done,
};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// A transaction that has not committed: an engine has it, that of the first target that it is about.
#[derive(Debug)]
pub struct RemoteDraft {
    system: Arc<RemoteSystem>,
    /// The process whose it is.
    process: u64,
    /// Makes its numbers at engines: keys that nobody else knows, and how many it has made.
    numbers: (RandomState, u64),
    durability: Durability,
    /// The first target that it is about.
    at: Option<RemoteTarget>,
    begun: Option<Begun>,
    /// Changes that nobody has been sent.
    waiting: Waiting,
    /// Why changes were refused of which it was told that they are made: it is not to commit.
    failed: Option<Error>,
}

#[derive(Debug)]
struct Begun {
    handle: u64,
    at: RemoteTarget,
    /// To give it up by.
    asker: Option<Asker>,
}

/// Changes in their order.
#[derive(Debug, Default)]
struct Waiting {
    changes: Vec<PutOff>,
    bytes: usize,
}

/// A change that waits.
#[derive(Debug)]
struct PutOff {
    /// The target at its engine.
    index: u32,
    opcode: Opcode,
    body: Vec<u8>,
    of: ShardRef,
    /// Its dkey; the whole object's otherwise.
    dkey: Option<Vec<u8>>,
}

impl Waiting {
    fn has_room(&self, body: &[u8]) -> bool {
        self.changes.len() < TX_CHANGES_MAX && self.bytes + body.len() <= TX_CHANGES_BYTES_MAX
    }

    fn push(&mut self, change: PutOff) {
        self.bytes += change.body.len();
        self.changes.push(change);
    }

    /// Whether a read has to see one of them: of a dkey, or of a whole object.
    fn concern(&self, of: ShardRef, dkey: Option<&[u8]>) -> bool {
        let concerns = |change: &PutOff| {
            change.of == of
                && change.dkey.as_deref().is_none_or(|changed| dkey.is_none_or(|read| read == changed))
        };
        self.changes.iter().any(concerns)
    }

    /// The request that brings them.
    fn encode(&self, number: u64, commits: bool) -> std::result::Result<Encoded<'static>, WireError> {
        let change = |one| {
            let PutOff { index, opcode, body, .. }: &'_ PutOff = one;
            TxChange { target: *index, opcode: *opcode, body }
        };
        TxChanges { number, commits, changes: self.changes.iter().map(change).collect() }.encode()
    }
}

/// Whether it depends on nothing but the container as a whole if a key may be given a value, or hidden.
fn takes_any(oid: ObjectId, dkey: &[u8]) -> bool {
    oid.object_type() == Some(ObjectType::KvHashed) && !dkey.is_empty()
}

/// Whether an update may wait. What it is answered is known but for what the commit is told as well: the room there is, the
/// rights, the container's being there. Such an object has one akey: of any other it is refused, and the transaction goes on.
fn may_wait(update: &Update<'_>) -> bool {
    let [iod] = update.iods else { return false };
    let single = matches!(iod.value, IodValue::Single(_) | IodValue::NoSingle);
    let plain = update.cond == Cond::NONE && iod.cond == Cond::NONE;
    single && plain && iod.akey == KV_AKEY && takes_any(update.of.oid.oid, update.dkey)
}

impl RemoteDraft {
    /// Another number for it: what is sent anew is another transaction for the engine.
    fn number(&mut self) -> u64 {
        loop {
            self.numbers.1 += 1;
            // Not that of a child, which has the same keys.
            let number = self.numbers.0.hash_one((std::process::id(), self.numbers.1));
            if number != 0 {
                return number;
            }
        }
    }

    /// It is about a target: none of another engine.
    fn is_about(&mut self, at: &RemoteTarget) -> Result<()> {
        let first = self.at.get_or_insert_with(|| at.clone());
        if first.rank == at.rank { Ok(()) } else { Err(over_engines()) }
    }
}

/// A transaction whose other end is not there any more.
fn gone(error: &Error) -> Error {
    let message = format!("the transaction is gone: {}; nothing of it happened", error.message);
    Error { nothing_happened: true, ..Error::new(Der::TxRestart, message).hint("run all of it again") }
}

/// What takes an agreement of several engines.
fn over_engines() -> Error {
    Error::new(Der::Nosys, "a transaction cannot be over several engines yet")
        .hint("use a pool on one rank for it: dmg pool create --nranks=1")
}

impl Drop for RemoteDraft {
    fn drop(&mut self) {
        let Some(Begun { handle, at: RemoteTarget { endpoint, index, .. }, asker: Some(asker) }) =
            self.begun.take()
        else {
            return;
        };
        if self.process != self.system.process() {
            // In a child that was forked: its parent goes on with it.
            return;
        }
        // Whether it arrives or not: a draft that nobody commits ends by itself.
        let about = About {
            opcode: Opcode::TxAbort as u16,
            changes: false,
            sequence: 0,
            durability: Durability::Buffered,
            handle,
            target: index,
            reply_max: REPLY_ROOM,
        };
        let _ = asker.ask(&endpoint, &about, &encode_done(), &mut Reply::default());
    }
}

impl RemoteRoute {
    /// Asks in a transaction, which this begins where it is the first request of it.
    pub(super) fn ask_in(
        &self,
        draft: &mut RemoteDraft,
        at: &RemoteTarget,
        asked: Asked,
        message: &Encoded<'_>,
        into: &mut dyn Receive,
    ) -> Result<()> {
        draft.is_about(at)?;
        if let Some(begun) = &draft.begun {
            return self.ask_begun(begun.handle, at, asked, message, false, into);
        }
        // What it promises is said by the request that begins it.
        let durability = asked.durability.max(draft.durability);
        let first = Asked { opcode: Opcode::TxFirst, durability, ..asked };
        self.ask_first(draft, at, first, |number| TxFirst::encode(number, asked.opcode, message), into)
    }

    /// Asks in a transaction that was begun.
    fn ask_begun(
        &self,
        handle: u64,
        at: &RemoteTarget,
        asked: Asked,
        message: &Encoded<'_>,
        commits: bool,
        into: &mut dyn Receive,
    ) -> Result<()> {
        // What a draft would change has not happened if its reply is lost: nothing is uncertain but a commit.
        let about = asked.about(handle, at.index, commits);
        let told = self.asker().ask(&at.endpoint, &about, message, into);
        told.map_err(|error| Failed::of(error, commits)).map_err(|failed| match failed.error.der {
            // A commit that did not begin is no different: what it would have committed is not there any more.
            Der::NoHdl | Der::Unreach | Der::Timedout | Der::Shutdown
                if !commits || failed.handle_is_gone || failed.error.nothing_happened =>
            {
                gone(&failed.error)
            }
            _ => failed.error,
        })
    }

    /// Asks something that begins a transaction, by the container's handle: another one each time that it is sent anew.
    fn ask_first<'m>(
        &self,
        draft: &mut RemoteDraft,
        at: &RemoteTarget,
        asked: Asked,
        encode: impl Fn(u64) -> std::result::Result<Encoded<'m>, WireError>,
        into: &mut dyn Receive,
    ) -> Result<()> {
        let mut begun = None;
        let result = self.patiently(false, || {
            with_handle(&*self.opened, Some(at), |handle| {
                let number = draft.number();
                let message = encode(number).map_err(|error| Failed::sure(unsaid(&error)))?;
                let about = asked.about(handle.number, at.index, false);
                let told = self.asker().ask(&at.endpoint, &about, &message, into);
                // Also by what is refused: that is an answer like others.
                let is_begun = told.as_ref().map_or_else(|error| error.outcome == Outcome::Told, |()| true);
                begun = is_begun.then_some(number);
                told.map_err(|error| Failed::of(error, false))
            })
        });
        if let Some(handle) = begun {
            draft.begun = Some(Begun { handle, at: at.clone(), asker: Some(self.asker().clone()) });
        }
        result.map_err(|error| self.not_begun(error))
    }

    /// What is told of a transaction that did not begin.
    fn not_begun(&self, error: Error) -> Error {
        match error.der {
            // Whoever has no time left does not run it again.
            Der::Unreach | Der::Shutdown if !self.asker().time().is_zero() => gone(&error),
            _ => error,
        }
    }

    /// Has a change wait, if it may and there is room. It is made when it is sent, before all that has to see it.
    fn put_off(
        &self,
        draft: &mut RemoteDraft,
        target: TargetIdx,
        opcode: Opcode,
        (of, dkey): (ShardRef, Option<&[u8]>),
        body: Vec<u8>,
    ) -> Result<bool> {
        self.asker().check_open().map_err(|error| told(error, false))?;
        let at = self.target(target)?;
        draft.is_about(at)?;
        if let Some(failed) = &draft.failed {
            return Err(failed.clone());
        }
        if body.len() > TX_CHANGES_BYTES_MAX {
            return Ok(false);
        }
        if !draft.waiting.has_room(&body) {
            self.send_waiting(draft)?;
        }
        let dkey = dkey.map(<[u8]>::to_vec);
        draft.waiting.push(PutOff { index: at.index, opcode, body, of, dkey });
        Ok(true)
    }

    /// Has the changes that wait made in the draft, before what comes next. One that is refused is the end of the transaction:
    /// it was told that it is made.
    fn send_waiting(&self, draft: &mut RemoteDraft) -> Result<()> {
        if let Some(failed) = &draft.failed {
            return Err(failed.clone());
        }
        let waiting = std::mem::take(&mut draft.waiting);
        let (false, Some(at)) = (waiting.changes.is_empty(), draft.at.clone()) else { return Ok(()) };
        let asked = Asked::new(Opcode::TxChanges, draft.durability, REPLY_ROOM);
        let mut reply = Reply::default();
        let sent = match &draft.begun {
            Some(begun) => waiting
                .encode(0, false)
                .map_err(|error| unsaid(&error))
                .and_then(|message| self.ask_begun(begun.handle, &at, asked, &message, false, &mut reply)),
            None => self.ask_first(draft, &at, asked, |number| waiting.encode(number, false), &mut reply),
        };
        sent.and_then(|()| decode_reply(&reply)).inspect_err(|error| draft.failed = Some(error.clone()))
    }

    /// The same, where a read of a dkey, or of all of an object, has to see them.
    fn send_before(&self, draft: &mut RemoteDraft, of: ShardRef, dkey: Option<&[u8]>) -> Result<()> {
        if draft.failed.is_some() || draft.waiting.concern(of, dkey) {
            self.send_waiting(draft)
        } else {
            Ok(())
        }
    }

    /// Sends what waits, and commits.
    fn commit_at(
        &self,
        draft: &mut RemoteDraft,
        at: &RemoteTarget,
        durability: Durability,
        origin: Option<Origin>,
    ) -> Result<()> {
        let asked = Asked::new(Opcode::TxChanges, durability, REPLY_ROOM).of(origin);
        let waiting = std::mem::take(&mut draft.waiting);
        let encode = |number| waiting.encode(number, true).map_err(|error| unsaid(&error));
        let mut reply = Reply::default();
        if let Some(begun) = draft.begun.as_mut() {
            // However it ends, there is nothing to give up.
            begun.asker = None;
            self.ask_begun(begun.handle, at, asked, &encode(0)?, true, &mut reply)?;
            return decode_reply(&reply);
        }
        // All of it is in this one request, which says which change it is: sent again it happens once, as an update does.
        let sent = self.patiently(origin.is_some(), || {
            with_handle(&*self.opened, Some(at), |handle| {
                let message = encode(draft.number()).map_err(Failed::sure)?;
                let about = asked.about(handle.number, at.index, true);
                let told = self.asker().ask(&at.endpoint, &about, &message, &mut reply);
                told.map_err(|error| Failed::of(error, true))
            })
        });
        sent.map_err(|error| self.not_begun(error))?;
        decode_reply(&reply)
    }
}

fn decode_reply(reply: &Reply) -> Result<()> {
    let payloads: Vec<&[u8]> = reply.payloads.iter().map(|bulk| &*bulk.bytes).collect();
    decode_done(&reply.body, &payloads).map_err(|error| not_understood(true, &error))
}

impl Transact for RemoteRoute {
    type Draft = RemoteDraft;

    fn check(&self) -> Result<()> {
        if self.process == self.system.process() {
            return Ok(());
        }
        let message = "the transaction belongs to the process that forked this one";
        Err(Error {
            forked: true,
            ..Error::new(Der::NoHdl, message).hint("begin another one in this process")
        })
    }

    fn begin(&self, durability: Durability) -> Result<RemoteDraft> {
        // At its first operation: which engine has it depends on what it is about.
        Ok(RemoteDraft {
            system: Arc::clone(&self.system),
            process: self.process,
            numbers: (RandomState::new(), 0),
            durability,
            at: None,
            begun: None,
            waiting: Waiting::default(),
            failed: None,
        })
    }

    fn draft_update(&self, draft: &mut RemoteDraft, target: TargetIdx, request: &Update<'_>) -> Result<()> {
        if may_wait(request) {
            let message = request.encode().map_err(|error| unsaid(&error))?;
            let about = (request.of, Some(request.dkey));
            if message.payloads.is_empty()
                && self.put_off(draft, target, Opcode::Update, about, message.body)?
            {
                return Ok(());
            }
        }
        self.send_waiting(draft)?;
        self.update_by(Some(draft), target, request)
    }

    fn draft_fetch(
        &self,
        draft: &mut RemoteDraft,
        target: TargetIdx,
        request: &Fetch<'_>,
        iods: &mut [FetchIod<'_>],
    ) -> Result<()> {
        let Fetch { of, dkey, cond, .. } = *request;
        // A condition may be about all of the object.
        self.send_before(draft, of, (cond == Cond::NONE).then_some(dkey))?;
        self.fetch_by(Some(draft), target, request, iods)
    }

    fn draft_query(
        &self,
        draft: &mut RemoteDraft,
        target: TargetIdx,
        request: &Query<'_>,
    ) -> Result<Option<KeyFound>> {
        self.send_before(draft, request.of, None)?;
        self.query_by(Some(draft), target, request)
    }

    fn draft_punch(&self, draft: &mut RemoteDraft, target: TargetIdx, request: &Punch<'_>) -> Result<()> {
        let about = match request.what {
            Punched::Object => Some((request.of, None)),
            Punched::Dkey(dkey) if takes_any(request.of.oid.oid, dkey) => Some((request.of, Some(dkey))),
            _ => None,
        };
        if let Some(about) = about.filter(|_| request.cond == Cond::NONE) {
            let message = request.encode().map_err(|error| unsaid(&error))?;
            if self.put_off(draft, target, Opcode::Punch, about, message.body)? {
                return Ok(());
            }
        }
        self.send_waiting(draft)?;
        self.punch_by(Some(draft), target, request)
    }

    fn draft_list(
        &self,
        draft: &mut RemoteDraft,
        target: TargetIdx,
        request: &List<'_>,
    ) -> Result<ListedKeys> {
        self.send_before(draft, request.of, None)?;
        self.list_by(Some(draft), target, request)
    }

    fn draft_list_pairs(
        &self,
        draft: &mut RemoteDraft,
        target: TargetIdx,
        request: &List<'_>,
    ) -> Result<ListedPairs> {
        let asked = Asked::new(
            Opcode::ListPairs,
            request.durability,
            page_room(request.count_max, request.bytes_max),
        );
        self.send_before(draft, request.of, None)?;
        self.get(Some(draft), target, asked, request.encode(), read_pairs)
    }

    fn commit(&self, mut draft: RemoteDraft, durability: Durability, origin: Option<Origin>) -> Result<()> {
        if let Some(failed) = draft.failed.take() {
            return Err(failed);
        }
        let first = draft.begun.as_ref().map(|begun| begun.at.clone()).or_else(|| draft.at.clone());
        let Some(at) = first else { return Ok(()) };
        if draft.begun.is_none() && draft.waiting.changes.is_empty() {
            return Ok(());
        }
        let settles = origin.is_none();
        self.numbered(origin, |origin| {
            let unknown = match self.commit_at(&mut draft, &at, durability, origin) {
                Err(error) if error.der == Der::TxUncertain && settles => error,
                result => return result,
            };
            // The engine is asked what became of it: its draft is gone if the engine is, or it happened.
            let (Some(service), Some(origin)) = (self.system.service(), origin) else { return Err(unknown) };
            match service.settle(&self.system.here().places, self.asker(), origin, at.rank) {
                Ok(true) => Ok(()),
                Ok(false) => Err(gone(&unknown)),
                Err(_) => Err(unknown),
            }
        })
    }
}
