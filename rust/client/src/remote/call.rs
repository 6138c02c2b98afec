//! One request to an endpoint and its reply, and what is told where there is none.

use super::route::RemoteTarget;
use crate::error::{Error, Result};
use daos_codec::join_units;
use daos_net::frame::Payload;
use daos_net::{Call, Channel, Endpoint, NetError, Outcome, Receive, Reply, Sent};
use daos_types::{Der, Durability};
use daos_wire::control::Uuid;
use daos_wire::served::handle_number;
use daos_wire::{Beside, CONTROL, Control, Encoded, ServedReply, WireError, decode_control, encode_control};
use serde::de::DeserializeOwned;
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Room for what a reply says beside its data.
pub(super) const REPLY_ROOM: usize = 64 << 10;
/// How long what takes as long as a container is large may take.
const LONG: Duration = Duration::from_secs(3_600);

thread_local! {
    /// When what this thread asks must have ended, if it is said for several requests.
    static END: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// From now on what this thread asks ends by then, at the latest; `None`: each request by its own time again. Answers what was
/// so before.
pub fn end_calls_by(end: Option<Instant>) -> Option<Instant> {
    END.replace(end)
}

/// While it lives, what this thread asks ends in a time that was given once: several requests that are one call for who waits.
pub(super) struct OneCall {
    before: Option<Instant>,
    /// It is of its thread.
    here: PhantomData<*const ()>,
}

impl OneCall {
    /// Begins one. Where it is part of another, that one's end holds if it is sooner.
    pub(super) fn begin(time: Duration) -> Self {
        let end = Instant::now().checked_add(time);
        let before = END.get();
        END.set([end, before].into_iter().flatten().min());
        Self { before, here: PhantomData }
    }
}

impl Drop for OneCall {
    fn drop(&mut self) {
        END.set(self.before);
    }
}

/// Who asks: the same for all connections of a client.
#[derive(Debug, Clone)]
pub(super) struct Asker {
    /// How long a call may take; a request, [`Asker::time`].
    pub(super) timeout: Duration,
    /// Nothing is asked any more.
    closed: Arc<AtomicBool>,
}

/// What a request says beside its message.
#[derive(Debug, Clone, Copy)]
pub(super) struct About {
    pub(super) opcode: u16,
    /// A lost reply is an unknown outcome.
    pub(super) changes: bool,
    /// Which change of the session it is; 0 where it is not sent again.
    pub(super) sequence: u64,
    pub(super) durability: Durability,
    pub(super) handle: u64,
    pub(super) target: u32,
    pub(super) reply_max: usize,
}

fn payloads<'a>(message: &Encoded<'a>) -> Vec<Payload<'a>> {
    let payload = |beside: &Beside<'a>| {
        let Beside { bytes, units } = *beside;
        let sum = (!units.is_empty()).then(|| join_units(bytes.len(), units));
        Payload { sum, ..Payload::new(bytes) }
    };
    message.payloads.iter().map(payload).collect()
}

impl About {
    fn call<'a>(&self, message: &'a Encoded<'_>, payloads: &'a [Payload<'a>], timeout: Duration) -> Call<'a> {
        Call {
            opcode: self.opcode,
            durability: self.durability,
            map_version: 0,
            handle: self.handle,
            sequence: self.sequence,
            target: self.target,
            reply_max: u32::try_from(self.reply_max).unwrap_or(u32::MAX),
            timeout,
            body: &message.body,
            payloads,
        }
    }
}

impl Asker {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout, closed: Arc::default() }
    }

    /// Refuses to ask once it is closed.
    pub(super) fn check_open(&self) -> std::result::Result<(), NetError> {
        if self.closed.load(Ordering::Acquire) {
            return Err(NetError::before(Der::NoHdl, "the system is closed").hint("open it again"));
        }
        Ok(())
    }

    /// From here on nothing is asked.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// How long a request may take that begins now.
    pub(super) fn time(&self) -> Duration {
        let left = END.get().map(|end| end.saturating_duration_since(Instant::now()));
        left.map_or(self.timeout, |left| left.min(self.timeout))
    }

    /// Sends a request, and once more where the reply needed more room than it was given.
    pub(super) fn ask(
        &self,
        endpoint: &Endpoint,
        about: &About,
        message: &Encoded<'_>,
        into: &mut dyn Receive,
    ) -> std::result::Result<(), NetError> {
        let _both = OneCall::begin(self.timeout);
        let asked = self.call(endpoint, about, self.time(), message, into);
        match asked {
            Err(NetError { room: room @ 1.., .. }) if !about.changes => {
                let room = usize::try_from(room).unwrap_or(usize::MAX).saturating_add(REPLY_ROOM);
                self.call(endpoint, &About { reply_max: room, ..*about }, self.time(), message, into)
            }
            asked => asked,
        }
    }

    fn call(
        &self,
        endpoint: &Endpoint,
        about: &About,
        timeout: Duration,
        message: &Encoded<'_>,
        into: &mut dyn Receive,
    ) -> std::result::Result<(), NetError> {
        self.check_open()?;
        let payloads = payloads(message);
        endpoint.call(&about.call(message, &payloads, timeout), into)
    }

    /// Sends a request that others follow at once; the reply is asked for later.
    pub(super) fn send<'c>(
        &self,
        channel: &'c Channel,
        about: &About,
        message: &Encoded<'_>,
    ) -> std::result::Result<Sent<'c>, NetError> {
        self.check_open()?;
        let payloads = payloads(message);
        channel.send_soon(&about.call(message, &payloads, self.time()))
    }

    /// A control request with a handle, 0 for none.
    pub(super) fn control<T: DeserializeOwned>(
        &self,
        endpoint: &Endpoint,
        handle: u64,
        request: &Control,
    ) -> std::result::Result<T, Failed> {
        let body = encode_control(request).map_err(|error| Failed::sure(unsaid(&error)))?;
        let message = Encoded { body, payloads: Vec::new() };
        let changes = request.changes();
        let about = About {
            opcode: CONTROL,
            changes,
            sequence: 0,
            durability: Durability::Synced,
            handle,
            target: 0,
            // Names and attributes of a container that has many: as much as a body may have.
            reply_max: daos_wire::limits::BODY_LEN_MAX,
        };
        let timeout = self.time_for(request);
        let mut reply = Reply::default();
        self.call(endpoint, &about, timeout, &message, &mut reply)
            .map_err(|error| Failed::of(error, changes))?;
        let body = reply.payloads.first().map_or(&*reply.body, |payload| &*payload.bytes);
        decode_control(body).map_err(|error| Failed::sure(not_understood(changes, &error)))
    }

    /// How long a control request may take.
    pub(super) fn time_for(&self, request: &Control) -> Duration {
        if request.is_long() { LONG.max(self.timeout) } else { self.time() }
    }

    /// A request to a replica of a service; what it replies.
    pub(super) fn service(
        &self,
        endpoint: &Endpoint,
        opcode: u16,
        body: &[u8],
        timeout: Duration,
    ) -> std::result::Result<ServedReply, NetError> {
        let message = Encoded { body: body.to_vec(), payloads: Vec::new() };
        let about = About {
            opcode,
            changes: true,
            sequence: 0,
            durability: Durability::Synced,
            handle: 0,
            target: 0,
            reply_max: daos_wire::limits::BODY_LEN_MAX,
        };
        let mut reply = Reply::default();
        self.call(endpoint, &about, timeout, &message, &mut reply)?;
        let body = reply.payloads.first().map_or(&*reply.body, |payload| &*payload.bytes);
        decode_control(body).map_err(|error| {
            NetError::before(Der::Proto, format!("a reply that is not understood: {error}"))
                .hint("the other end may be of another version of daos: install the same on both")
                .after_sending()
        })
    }
}

/// A request that brought no reply.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) error: Error,
    /// It was not begun, and the other end does not know its handle.
    pub(super) handle_is_gone: bool,
}

impl Failed {
    pub(super) fn of(error: NetError, changes: bool) -> Self {
        let handle_is_gone = error.der == Der::NoHdl && error.outcome == Outcome::Nothing;
        Self { error: told(error, changes), handle_is_gone }
    }

    pub(super) fn sure(error: Error) -> Self {
        Self { error, handle_is_gone: false }
    }
}

/// A handle: the number that requests for data carry, and the UUID by which a pool's service knows it, where one does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct HandleId {
    pub(super) number: u64,
    pub(super) uuid: Option<Uuid>,
}

impl HandleId {
    /// That of a UUID, which its opener drew.
    pub(super) fn of(uuid: Uuid) -> Self {
        Self { number: handle_number(&uuid), uuid: Some(uuid) }
    }
}

/// A handle that can be had again.
pub(super) trait Opened: std::fmt::Debug + Send + Sync {
    /// As far as it is known.
    fn handle(&self) -> HandleId;

    /// Opens it again, unless somebody did since it had that number. Where a target refused it, has that learn of it, if this
    /// is how handles come to targets.
    fn reopen(&self, stale: HandleId, at: Option<&RemoteTarget>) -> Result<HandleId>;
}

/// Asks with a handle, and once more with a new one where the other end has forgotten it.
pub(super) fn with_handle<T>(
    opened: &dyn Opened,
    at: Option<&RemoteTarget>,
    mut ask: impl FnMut(HandleId) -> std::result::Result<T, Failed>,
) -> Result<T> {
    let handle = opened.handle();
    match ask(handle) {
        Err(failed) if failed.handle_is_gone => {
            ask(opened.reopen(handle, at)?).map_err(|failed| {
                if failed.handle_is_gone {
                    // It was there a moment ago: the other end was started again meanwhile.
                    Error { der: Der::Again, ..failed.error }
                } else {
                    failed.error
                }
            })
        }
        result => result.map_err(|failed| failed.error),
    }
}

/// A failure of a call as the caller is told it.
pub(super) fn told(error: NetError, changes: bool) -> Error {
    let uncertain = error.is_uncertain() && changes;
    let again = error.outcome == Outcome::Nothing || (error.is_uncertain() && !changes);
    let told = if uncertain {
        Error::new(Der::TxUncertain, format!("the outcome is unknown: {}", error.message))
    } else {
        Error::new(error.der, error.message)
    };
    let told = Error { nothing_happened: again, ..told };
    if uncertain {
        told.hint("read before you write again")
    } else if error.hint.is_empty() {
        told
    } else {
        told.hint(error.hint)
    }
}

/// A request that no message can hold.
pub(super) fn unsaid(error: &WireError) -> Error {
    Error::new(error.der(), error.to_string()).hint("divide it into several requests")
}

/// A reply that is none. What was changed may have been.
pub(super) fn not_understood(changes: bool, error: &WireError) -> Error {
    let der = if changes { Der::TxUncertain } else { Der::Proto };
    Error::new(der, format!("a reply that is not understood: {error}"))
        .hint("the other end may be of another version of daos: install the same on both")
}

#[cfg(test)]
mod tests {
    use super::{Asker, OneCall, end_calls_by};
    use daos_wire::Control;
    use std::time::{Duration, Instant};

    #[test]
    fn requests_of_one_call_share_its_time() {
        let (asker, second) = (Asker::new(Duration::from_secs(60)), Duration::from_secs(1));
        assert_eq!(asker.time(), asker.timeout);
        {
            let _outer = OneCall::begin(second);
            assert!(asker.time() <= second);
            {
                // Part of another: it gets no more than that has left.
                let _inner = OneCall::begin(asker.timeout);
                assert!(asker.time() <= second);
                let _innermost = OneCall::begin(Duration::ZERO);
                assert_eq!(asker.time(), Duration::ZERO);
            }
            assert!(asker.time() > Duration::ZERO && asker.time() <= second);
            let elsewhere = std::thread::scope(|scope| scope.spawn(|| asker.time()).join());
            assert_eq!(elsewhere.ok(), Some(asker.timeout), "it is of its thread");
        }
        assert_eq!(asker.time(), asker.timeout);
    }

    #[test]
    fn what_takes_long_has_its_own_time() {
        let asker = Asker::new(Duration::from_secs(5));
        assert_eq!(end_calls_by(Some(Instant::now())), None);
        assert_eq!(asker.time(), Duration::ZERO);
        assert_eq!(asker.time_for(&Control::ContainerAggregate), super::LONG);
        assert!(end_calls_by(None).is_some());
        assert_eq!(asker.time(), asker.timeout);
    }
}
