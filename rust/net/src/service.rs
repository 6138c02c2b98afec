//! What a server hands requests to, and how it gets the answers.

use crate::Moment;
use crate::frame::{Header, Refusal, SessionId};
use crate::peer::Peer;
use crate::spare;
use daos_locks::Mutex;
use daos_types::{Buffer, Durability, Landing, ShardIdx};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Which request an answer is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket {
    pub(crate) connection: u64,
    pub(crate) request: u64,
}

/// A payload that came, or goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bulk {
    /// Whose part it is; 0 where nothing is divided.
    pub shard: ShardIdx,
    /// Its bytes.
    pub bytes: Buffer,
    /// Of one that came: the sums of its [units](daos_types::unit), made meanwhile; they are not always kept.
    pub units: Vec<u32>,
}

impl Incoming {
    /// Is done with: what it holds serves the next one, where this thread is the server's.
    pub fn recycle(self) {
        self.payloads.into_iter().for_each(|bulk| spare::give(bulk.bytes));
    }
}

impl Bulk {
    /// One that is not divided.
    pub fn new(bytes: impl Into<Buffer>) -> Self {
        Self { bytes: bytes.into(), ..Self::default() }
    }
}

/// A request that is there as a whole, its sums right.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// To answer it by.
    pub ticket: Ticket,
    /// Who asks, as far as the connection proves it.
    pub peer: Peer,
    /// Whose changes they are.
    pub session: SessionId,
    /// What is asked.
    pub opcode: u16,
    /// How safe the answer has to be.
    pub durability: Durability,
    /// The sender's version of the pool map.
    pub map_version: u32,
    /// The open handle.
    pub handle: u64,
    /// The change's number in its session; 0 for what may be done twice.
    pub sequence: u64,
    /// The target.
    pub target: u32,
    /// Bytes that the reply may have.
    pub reply_max: u32,
    /// Until when it makes sense to begin it.
    pub deadline: Moment,
    /// The body.
    pub body: Vec<u8>,
    /// The payloads, in their order.
    pub payloads: Vec<Bulk>,
    /// Where its only payload was put while it came.
    pub landing: Option<Arc<dyn Landing>>,
}

/// What a request is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// What it asked for.
    Reply {
        /// The server's version of the pool map.
        map_version: u32,
        /// The body.
        body: Vec<u8>,
        /// The payloads, each with at least one byte.
        payloads: Vec<Bulk>,
        /// The body has sums of all their bytes, by which the client compares them: the frame has none.
        body_has_sums: bool,
    },
    /// Why not.
    Refused(Refusal),
}

impl Answer {
    /// A reply without payloads.
    pub fn of_body(map_version: u32, body: Vec<u8>) -> Self {
        Self::Reply { map_version, body, payloads: Vec::new(), body_has_sums: false }
    }

    fn payload_bytes(&self) -> usize {
        match self {
            Self::Reply { payloads, .. } => payloads.iter().map(|bulk| bulk.bytes.len()).sum(),
            Self::Refused(_) => 0,
        }
    }
}

/// What answers requests. It is called by the server's one thread, and must not wait for peers of its own there.
pub trait Service: Send {
    /// A request came. It is answered by `replies`, once, now or later.
    fn request(&mut self, now: Moment, request: Incoming, replies: &Replies);

    /// A place for the only payload of a request that comes, which has at least [`LANDING_MIN`](daos_types::LANDING_MIN) bytes: they are
    /// put there meanwhile. The request comes with the place once it is whole; if it never is, the place is dropped.
    fn land(&mut self, _header: &Header, _len: usize) -> Option<Arc<dyn Landing>> {
        None
    }

    /// A request is not waited for any more. It is answered all the same: what was not begun, with that.
    fn cancel(&mut self, _ticket: Ticket, _replies: &Replies) {}

    /// Whether it has to wait once there is nothing more to read: what comes until then is handed to it first.
    fn is_to_wait(&self) -> bool {
        false
    }

    /// There is nothing more to read for now: the place to wait once, for all requests that came.
    fn rest(&mut self, _now: Moment, _replies: &Replies) {}
}

impl<F: FnMut(Moment, Incoming, &Replies) + Send> Service for F {
    fn request(&mut self, now: Moment, request: Incoming, replies: &Replies) {
        self(now, request, replies);
    }
}

/// The way back for answers, from any thread. As many wait in it as requests are under way, no more.
#[derive(Clone)]
pub struct Replies(Arc<Inner>);

struct Inner {
    queue: Mutex<Vec<(Ticket, Answer)>>,
    /// Bytes of payloads in it.
    bytes: AtomicUsize,
    /// The server is about to wait, and has to be woken.
    armed: AtomicBool,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Replies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replies").field("waiting", &self.0.queue.lock().len()).finish_non_exhaustive()
    }
}

impl Replies {
    /// A queue whose server is woken like this.
    pub(crate) fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        let (queue, bytes, armed) = (Mutex::default(), AtomicUsize::new(0), AtomicBool::new(false));
        Self(Arc::new(Inner { queue, bytes, armed, wake: Box::new(wake) }))
    }

    /// Answers a request. An answer to one that was answered before, or whose connection is gone, is dropped.
    pub fn send(&self, ticket: Ticket, answer: Answer) {
        let bytes = answer.payload_bytes();
        let mut queue = self.0.queue.lock();
        queue.push((ticket, answer));
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
        drop(queue);
        if self.0.armed.swap(false, Ordering::AcqRel) {
            (self.0.wake)();
        }
    }

    /// All that are there.
    pub(crate) fn take(&self) -> Vec<(Ticket, Answer)> {
        let mut queue = self.0.queue.lock();
        self.0.bytes.store(0, Ordering::Relaxed);
        std::mem::take(&mut *queue)
    }

    /// Bytes of payloads that are there.
    pub(crate) fn bytes(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Whether nothing was sent since the server said that it is about to wait.
    pub(crate) fn is_armed(&self) -> bool {
        self.0.armed.load(Ordering::Acquire)
    }

    /// The server is awake, and looks at the queue before it waits again: what is put there need not wake it.
    pub(crate) fn disarm(&self) {
        self.0.armed.store(false, Ordering::Release);
    }

    /// The server is about to wait: false where there is something to do first.
    pub(crate) fn arm(&self) -> bool {
        self.0.armed.store(true, Ordering::Release);
        let empty = self.0.queue.lock().is_empty();
        if !empty {
            self.0.armed.store(false, Ordering::Release);
        }
        empty
    }
}
