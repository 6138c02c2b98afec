//! Requests between the hosts of engines, and those of clients that the service of a pool answers: bytes out, bytes in.

use crate::connect::new_session;
use crate::service::Outside;
use daos_client::{Error, Result};
use daos_locks::Mutex;
use daos_net::frame::{Hello, Refusal};
use daos_net::{Answer, Call, Endpoint, Incoming, Limits, NetError, Replies, Reply, Ticket, Transport};
use daos_types::{Der, Rank};
use daos_wire::limits::BODY_LEN_MAX;
use daos_wire::{PEER, SERVED};
use rustix::event::{EventfdFlags, eventfd};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

/// Requests that wait for an answer: as many clients as may connect at once, and some.
const WAITING_MAX: usize = 8_192;
/// Bytes of their bodies.
const BYTES_MAX: usize = 64 << 20;

/// Asks other engines.
#[derive(Debug)]
pub struct Messenger {
    transport: Arc<dyn Transport>,
    hello: Hello,
    /// By rank: where each is, as it was told last. An engine that was started again may be elsewhere.
    known: Mutex<HashMap<u32, (String, Arc<Endpoint>)>>,
}

impl Messenger {
    /// One of an engine of this system.
    pub fn new(transport: Arc<dyn Transport>, system: &str) -> Self {
        let hello = Hello::of_asker(system, new_session(), &Limits::default());
        Self { transport, hello, known: Mutex::default() }
    }

    fn open(&self, rank: u32, address: &str) -> Arc<Endpoint> {
        let hello = Hello { rank: Some(Rank(rank)), ..self.hello.clone() };
        let transport = Arc::clone(&self.transport);
        Arc::new(Endpoint::new(transport, address, Limits::default(), hello, u64::from(rank)))
    }

    /// What the engine of a rank at an address answers.
    pub fn ask(&self, rank: u32, address: &str, body: &[u8], timeout: Duration) -> Result<Vec<u8>> {
        let endpoint = {
            let mut known = self.known.lock();
            match known.get(&rank).filter(|(at, _)| at == address) {
                Some((_, endpoint)) => Arc::clone(endpoint),
                None => {
                    let endpoint = self.open(rank, address);
                    // Who is under way at the old place has that until he is done.
                    let old = known.insert(rank, (address.to_owned(), Arc::clone(&endpoint)));
                    drop(known);
                    drop(old);
                    endpoint
                }
            }
        };
        let reply_max = u32::try_from(BODY_LEN_MAX).unwrap_or(u32::MAX);
        let mut reply = Reply::default();
        endpoint.call(&Call { reply_max, ..Call::new(PEER, timeout, body) }, &mut reply).map_err(told)?;
        Ok(match reply.payloads.pop() {
            Some(payload) => payload.bytes.into(),
            None => reply.body,
        })
    }
}

fn told(error: NetError) -> Error {
    let uncertain = error.is_uncertain();
    let NetError { der, message, hint, .. } = error;
    let told = if uncertain {
        Error::new(Der::TxUncertain, format!("the outcome is unknown: {message}"))
    } else {
        Error::new(der, message)
    };
    if hint.is_empty() { told } else { told.hint(hint) }
}

/// A request that waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// To answer it by.
    pub token: u64,
    /// From an engine, not from a client.
    pub of_engine: bool,
    /// What is asked.
    pub body: Vec<u8>,
}

#[derive(Debug, Default)]
struct Table {
    last: u64,
    bytes: usize,
    fresh: VecDeque<Question>,
    /// With the bytes of its body.
    waiting: BTreeMap<u64, (Ticket, Replies, usize)>,
}

/// Requests that somebody else takes, when the descriptor tells that there are some.
#[derive(Debug)]
pub struct Questions {
    table: Mutex<Table>,
    ready: OwnedFd,
}

impl Questions {
    /// None yet.
    pub fn new() -> Result<Self> {
        let ready = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).map_err(|error| {
            Error::new(Der::Nomem, format!("no eventfd for the host's questions: {error}"))
        })?;
        Ok(Self { table: Mutex::default(), ready })
    }

    /// Readable when there is something to be taken.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }

    /// What came since the last call.
    pub fn take(&self) -> Vec<Question> {
        // Nothing may have been written.
        let _ = rustix::io::read(&self.ready, &mut [0; 8]);
        self.table.lock().fresh.drain(..).collect()
    }

    /// Answers a question, once; later answers are dropped.
    pub fn answer(&self, token: u64, answer: Answer) {
        let mut table = self.table.lock();
        let Some((ticket, replies, bytes)) = table.waiting.remove(&token) else { return };
        table.bytes -= bytes;
        drop(table);
        replies.send(ticket, answer);
    }
}

impl Outside for Questions {
    fn request(&self, request: Incoming, replies: &Replies) {
        let Incoming { ticket, opcode, mut body, payloads, .. } = request;
        let refuse = |der, why: &str| replies.send(ticket, Answer::Refused(Refusal::before(der, why)));
        if !matches!(opcode, SERVED | PEER) {
            return refuse(Der::Unreg, "the request is not known here");
        }
        // A long body comes as the only payload.
        if let Some(payload) = payloads.into_iter().next() {
            body = payload.bytes.into();
        }
        let mut table = self.table.lock();
        let bytes = body.len();
        if table.waiting.len() >= WAITING_MAX || table.bytes + bytes > BYTES_MAX {
            drop(table);
            let retry =
                Refusal { retry_ms: 100, ..Refusal::before(Der::Busy, "too many requests wait here") };
            return replies.send(ticket, Answer::Refused(retry));
        }
        table.last += 1;
        let token = table.last;
        table.bytes += bytes;
        table.waiting.insert(token, (ticket, replies.clone(), bytes));
        table.fresh.push_back(Question { token, of_engine: opcode == PEER, body });
        drop(table);
        // A counter that is full wakes as well.
        let _ = rustix::io::write(&self.ready, &1_u64.to_ne_bytes());
    }
}
