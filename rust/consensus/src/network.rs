//! Nodes joined by a network: messages travel in requests of `daos_net`, several in one.

use crate::bytes::{Reader, put_counted};
use crate::ids::GroupId;
use crate::limits::{FRAME_BYTES_MAX, OUTBOX_BYTES_MAX, OUTBOX_MAX, SNAPSHOT_BYTES_MAX};
use crate::message::Message;
use crate::node::{Mailbox, Peers};
use daos_locks::{Condvar, Mutex};
use daos_net::frame::{Hello, Refusal};
use daos_net::{
    Answer, Call, Endpoint, Incoming, Limits, Moment, Peer, Replies, Reply, Role, Service, Transport,
};
use daos_types::{Der, Rank};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// The request that carries messages: the number of each group (16) and its counted (4) message, one behind the other.
pub const OPCODE: u16 = 0x0300;

/// How long a request may take: what is older is of no use.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Pause after a request that failed: what was in it is lost, and the next may fail as well.
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Default)]
struct Outbox {
    messages: VecDeque<(GroupId, Message)>,
    bytes: usize,
    stop: bool,
}

struct Lane {
    outbox: Arc<(Mutex<Outbox>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.outbox.0.lock().stop = true;
        self.outbox.1.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Other ranks by their addresses. Each has a thread of its own that sends, so that one that does not answer holds up nobody else.
pub struct NetPeers {
    transport: Arc<dyn Transport>,
    limits: Limits,
    hello: Hello,
    lanes: Mutex<BTreeMap<Rank, Lane>>,
}

impl std::fmt::Debug for NetPeers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NetPeers").field("transport", &self.transport).finish_non_exhaustive()
    }
}

impl NetPeers {
    /// None yet. The hello is said to each, with its rank.
    pub fn new(transport: Arc<dyn Transport>, limits: Limits, hello: Hello) -> Self {
        Self { transport, limits, hello, lanes: Mutex::default() }
    }

    /// Where a rank is to be found from now on.
    pub fn set(&self, rank: Rank, address: &str) -> std::io::Result<()> {
        let hello = Hello { rank: Some(rank), ..self.hello.clone() };
        let endpoint =
            Endpoint::new(Arc::clone(&self.transport), address, self.limits, hello, u64::from(rank.0));
        let outbox = Arc::new((Mutex::new(Outbox::default()), Condvar::new()));
        let taken = Arc::clone(&outbox);
        let thread = std::thread::Builder::new().name(format!("daos-peer-{}", rank.0)).spawn(move || {
            while let Some(body) = next_body(&taken) {
                let call = Call::new(OPCODE, TIMEOUT, &body);
                if endpoint.call(&call, &mut Reply::default()).is_err() {
                    std::thread::sleep(PAUSE);
                }
            }
        })?;
        let old = self.lanes.lock().insert(rank, Lane { outbox, thread: Some(thread) });
        // Not under the lock: it may wait for a call to end.
        drop(old);
        Ok(())
    }

    /// A rank is not to be reached any more.
    pub fn forget(&self, rank: Rank) {
        let old = self.lanes.lock().remove(&rank);
        drop(old);
    }
}

/// Waits for messages, and packs as many as one request carries; `None` at the end.
fn next_body((outbox, wake): &(Mutex<Outbox>, Condvar)) -> Option<Vec<u8>> {
    let mut outbox = outbox.lock();
    while outbox.messages.is_empty() && !outbox.stop {
        outbox = wake.wait(outbox);
    }
    if outbox.stop {
        return None;
    }
    let mut body = Vec::new();
    while body.len() < FRAME_BYTES_MAX
        && let Some((group, message)) = outbox.messages.pop_front()
    {
        outbox.bytes -= message.len();
        body.extend_from_slice(&group.0);
        put_counted(&mut body, &message.encode());
    }
    Some(body)
}

impl Peers for NetPeers {
    fn send(&self, group: GroupId, message: Message) {
        let lanes = self.lanes.lock();
        let Some(lane) = lanes.get(&message.to().rank) else { return };
        let mut outbox = lane.outbox.0.lock();
        if outbox.messages.len() >= OUTBOX_MAX || outbox.bytes + message.len() > OUTBOX_BYTES_MAX {
            return;
        }
        outbox.bytes += message.len();
        outbox.messages.push_back((group, message));
        lane.outbox.1.notify_one();
    }
}

/// What other nodes' messages are handed to: a service for [`OPCODE`] alone.
#[derive(Debug)]
pub struct Receiver(pub Mailbox);

impl Service for Receiver {
    fn request(&mut self, _: Moment, request: Incoming, replies: &Replies) {
        receive(&request, replies, |group, message| self.0.deliver(group, message));
    }
}

/// The replicas of a process that are reached at one address, which somebody else serves.
#[derive(Debug, Default)]
pub struct Mailboxes(Mutex<BTreeMap<GroupId, Mailbox>>);

impl Mailboxes {
    /// Takes in a request for [`OPCODE`], and answers it. What is for no replica here is lost, as on its way.
    pub fn receive(&self, request: &Incoming, replies: &Replies) {
        receive(request, replies, |group, message| {
            let mailbox = self.0.lock().get(&group).cloned();
            if let Some(mailbox) = mailbox {
                mailbox.deliver(group, message);
            }
        });
    }

    pub(crate) fn add(&self, group: GroupId, mailbox: Mailbox) {
        self.0.lock().insert(group, mailbox);
    }

    pub(crate) fn remove(&self, group: GroupId) {
        let gone = self.0.lock().remove(&group);
        drop(gone);
    }
}

fn receive(request: &Incoming, replies: &Replies, deliver: impl Fn(GroupId, Message)) {
    let Incoming { ticket, opcode, body, payloads, map_version, peer, .. } = request;
    let refuse = |der, why: &str| Answer::Refused(Refusal::before(der, why));
    let answer = if *opcode != OPCODE || !payloads.is_empty() {
        refuse(Der::Unreg, "only messages between replicas are taken here")
    } else if !matches!(peer, Peer::Plain) && peer.role() != Some(Role::Server) {
        refuse(Der::NoPerm, "only servers are replicas, with their certificate")
    } else if let Some(messages) = decode(body) {
        for (group, message) in messages {
            deliver(group, message);
        }
        Answer::of_body(*map_version, Vec::new())
    } else {
        refuse(Der::Proto, "this is no message between replicas of a version that is known here")
    };
    replies.send(*ticket, answer);
}

/// All messages of a request, or none.
pub(crate) fn decode(body: &[u8]) -> Option<Vec<(GroupId, Message)>> {
    let mut from = Reader(body);
    let mut messages = Vec::new();
    while !from.0.is_empty() {
        let group = GroupId(from.bytes(16)?.try_into().ok()?);
        let message = from.counted(SNAPSHOT_BYTES_MAX + FRAME_BYTES_MAX)?;
        messages.push((group, Message::decode(message)?));
    }
    Some(messages)
}
