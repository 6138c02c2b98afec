//! A replica in a directory of its own, joined to the others by TCP: what a service of one process needs.

use crate::error::{ConsensusError, Result};
use crate::group::{Saved, Seed};
use crate::ids::{GroupId, ReplicaId};
use crate::network::{Mailboxes, NetPeers, Receiver};
use crate::node::{Mailbox, Node, Replica};
use crate::vault::Vault;
use daos_locks::Mutex;
use daos_net::frame::{Hello, SessionId};
use daos_net::serving::Identity;
use daos_net::{Limits, Listening, NetError, Transport};
use daos_types::{Der, Rank};
use daos_vos::media::{FileMedia, Media};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{FlockOperation, flock};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

/// Requests and idle time of a connection between replicas: it is used all the time.
const REQUESTS: u32 = 16;

/// How a replica is joined to the others.
#[derive(Debug, Clone)]
pub struct Listen {
    /// What carries its messages.
    pub transport: Arc<dyn Transport>,
    /// Where others reach it.
    pub place: Place,
    /// The system, to which others must mean to talk.
    pub system: String,
}

/// Where others reach a replica.
#[derive(Debug, Clone)]
pub enum Place {
    /// At an address of its own, `ip:port`; port 0 for any that is free.
    Own(String),
    /// At an address that is there already: whoever serves it hands on what is for replicas.
    Shared(Arc<Mailboxes>),
}

/// A replica, its thread, its files and its server.
#[derive(Debug)]
pub struct Rdb {
    open: Mutex<Option<Open>>,
    /// Where the replica's thread says that there is something to take.
    ready: Arc<OwnedFd>,
    /// A forked child has neither the threads nor the right to the files.
    pid: u32,
}

/// In the order in which they end: the replica takes part no more, nothing comes or goes, the files are closed, others may have them.
#[derive(Debug)]
struct Open {
    replica: Arc<Replica>,
    server: Server,
    node: Node,
    peers: Arc<NetPeers>,
    lock: File,
}

/// What brings messages for it; nothing comes any more when it is dropped.
#[derive(Debug)]
enum Server {
    Own(Box<dyn Listening>),
    Shared(Arc<Mailboxes>, GroupId),
}

impl Server {
    fn start(listen: &Listen, group: GroupId, identity: Identity, mailbox: Mailbox) -> Result<Self> {
        match &listen.place {
            Place::Own(address) => {
                let service = Box::new(Receiver(mailbox));
                let server = listen.transport.listen(address, identity, Limits::default(), service);
                server.map(Self::Own).map_err(|error| net(&error))
            }
            Place::Shared(mailboxes) => {
                mailboxes.add(group, mailbox);
                Ok(Self::Shared(Arc::clone(mailboxes), group))
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Self::Shared(mailboxes, group) = self {
            mailboxes.remove(*group);
        }
    }
}

impl Rdb {
    /// Makes a replica in a directory, which is made where there is none; durable at return.
    pub fn create(path: &Path, group: GroupId, first: &Saved, listen: &Listen) -> Result<Self> {
        std::fs::create_dir_all(path).map_err(|error| failed("create", path, &error))?;
        Self::start(path, group, Some(first), listen)
    }

    /// Opens the replica in a directory, alone.
    pub fn open(path: &Path, group: GroupId, listen: &Listen) -> Result<Self> {
        Self::start(path, group, None, listen)
    }

    fn start(path: &Path, group: GroupId, first: Option<&Saved>, listen: &Listen) -> Result<Self> {
        let lock = take(path)?;
        let media: Arc<dyn Media> = Arc::new(FileMedia::open(path).map_err(daos_vos::VosError::from)?);
        let names = media.list().map_err(daos_vos::VosError::from)?;
        let there = names.iter().any(|name| name == "wal.super");
        let vault = match (there, first) {
            // A creation that was cut short left a vault without a replica: it goes on there.
            (true, _) => Vault::open(media, group.0)?,
            (false, Some(_)) => Vault::create(media, group.0)?,
            (false, None) => return Err(ConsensusError::NotFound),
        };
        if let Some(first) = first {
            vault.create_group(group, first)?;
        }
        let me = vault.open_group(group)?.me;
        let started =
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |it| it.as_nanos() as u64);
        let limits = Limits::default();
        let mut session = group.0;
        session
            .iter_mut()
            .zip(started.to_le_bytes().iter().chain(&me.rank.0.to_le_bytes()))
            .for_each(|(to, by)| *to ^= by);
        let hello =
            Hello { requests: REQUESTS, ..Hello::of_asker(&listen.system, SessionId(session), &limits) };
        let peers = Arc::new(NetPeers::new(Arc::clone(&listen.transport), limits, hello));
        let node = Node::start(vault, Arc::clone(&peers) as _, Seed(started))?;
        let identity = Identity { system: listen.system.clone(), rank: me.rank, incarnation: started };
        let server = Server::start(listen, group, identity, node.mailbox())?;
        let ready = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC);
        let ready = Arc::new(ready.map_err(|error| failed("make an eventfd for", path, &error.into()))?);
        let woken = Arc::clone(&ready);
        let replica = node.open(group, move || {
            // Fails only where the counter is full, which is readable too.
            let _ = rustix::io::write(&*woken, &1_u64.to_ne_bytes());
        })?;
        let open = Open { replica: Arc::new(replica), server, node, peers, lock };
        Ok(Self { open: Mutex::new(Some(open)), ready, pid: std::process::id() })
    }

    /// The replica.
    pub fn replica(&self) -> Result<Arc<Replica>> {
        self.with(|open| Arc::clone(&open.replica))
    }

    fn with<T>(&self, act: impl FnOnce(&Open) -> T) -> Result<T> {
        if self.pid != std::process::id() {
            // Before any lock: nobody may be there to let go of it.
            return Err(ConsensusError::Forked(self.pid));
        }
        let open = self.open.lock();
        open.as_ref().map(act).ok_or(ConsensusError::Closed)
    }

    /// Where it listens; empty where another does for it.
    pub fn address(&self) -> Result<String> {
        self.with(|open| match &open.server {
            Server::Own(server) => server.address(),
            Server::Shared(..) => String::new(),
        })
    }

    /// Where another rank is to be found.
    pub fn set_peer(&self, rank: Rank, address: &str) -> Result<()> {
        let peers = self.with(|open| Arc::clone(&open.peers))?;
        peers.set(rank, address).map_err(|error| failed("start a thread for", Path::new(address), &error))
    }

    /// Readable when there is something to be taken.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }

    /// Takes the descriptor's word back, before what was told is taken.
    pub fn clear(&self) {
        // Nothing may have been written.
        let _ = rustix::io::read(&*self.ready, &mut [0; 8]);
    }

    /// Ends all of it, cleanly. Doing so twice changes nothing.
    pub fn close(&self) -> Result<()> {
        if self.pid != std::process::id() {
            return Err(ConsensusError::Forked(self.pid));
        }
        let Some(open) = self.open.lock().take() else { return Ok(()) };
        let Open { replica, server, node, peers, lock } = open;
        drop(server);
        let closed = node.close();
        drop((replica, node, peers, lock));
        closed
    }
}

impl Drop for Rdb {
    fn drop(&mut self) {
        if self.pid == std::process::id() {
            let _ = self.close();
        } else {
            // There is no thread to wait for, nor one to let go of a lock, and the files are another's.
            std::mem::forget(std::mem::replace(&mut self.open, Mutex::new(None)));
        }
    }
}

/// The directory's lock: one process at a time.
fn take(path: &Path) -> Result<File> {
    let name = path.join("lock");
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    let lock = options.open(&name).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => ConsensusError::NotFound,
        _ => failed("open", &name, &error),
    })?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(ConsensusError::Store {
            der: Der::Busy,
            why: format!("{} is open in another process, or twice in this one", path.display()),
        }),
        Err(error) => Err(failed("lock", &name, &error.into())),
    }
}

fn failed(doing: &str, path: &Path, error: &std::io::Error) -> ConsensusError {
    ConsensusError::Store { der: Der::Io, why: format!("cannot {doing} {}: {error}", path.display()) }
}

fn net(error: &NetError) -> ConsensusError {
    ConsensusError::Store { der: error.der, why: error.message.clone() }
}

/// A replica by its numbers.
pub fn replica_id(rank: u32, generation: u32) -> Result<ReplicaId> {
    ReplicaId::new(Rank(rank), generation)
        .ok_or_else(|| ConsensusError::Invalid("a replica's generation is at least 1".to_owned()))
}
