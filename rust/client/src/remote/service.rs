//! The service of a pool, as a client asks it: replicas on several engines, of which one leads. A request goes to whoever leads
//! by now, again and again until its time is over, and happens once: it says which it is.

use super::call::{Asker, Failed, not_understood, unsaid};
use super::route::RemoteTarget;
use super::system::Places;
use crate::error::{Error, Result};
use daos_locks::Mutex;
use daos_net::{Endpoint, NetError, Outcome};
use daos_types::{Der, Epoch, Hlc, Origin};
use daos_wire::control::Uuid;
use daos_wire::served::{Asked, Served, ServedReply, Service as OfService, handle_number};
use daos_wire::{Control, SERVED, decode_control, encode_control};
use serde::de::DeserializeOwned;
use serde_bytes::{ByteArray, ByteBuf};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Pauses between two attempts.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// Of each attempt: a replica that does not answer is not waited for when others may.
const ATTEMPT: Duration = Duration::from_secs(5);
/// Handles that are closed beside one request.
const CLOSED_AT_ONCE: usize = 4;
/// Nobody is known to lead.
const NOBODY: u32 = u32::MAX;
/// Between the stamps of two requests: what one of them has done in two steps needs two.
const STAMPS: u64 = 16;

/// Where the service of a pool is, and who asks it.
#[derive(Debug, Clone)]
pub struct ServiceOptions {
    /// The pool.
    pub pool: [u8; 16],
    /// Ranks to the addresses of their engines.
    pub engines: BTreeMap<u32, String>,
    /// The ranks of its service.
    pub replicas: Vec<u32>,
    /// Who asks, as the agent has signed it.
    pub credential: Vec<u8>,
    /// The UUID of the pool's handle.
    pub handle: [u8; 16],
    /// How pool and containers are asked for: 1 to read, 2 to read and write, 4 for oneself.
    pub access: u8,
    /// A UUID that nobody else has.
    pub draw: fn() -> Result<[u8; 16]>,
}

/// The service.
#[derive(Debug)]
pub(super) struct Service {
    options: ServiceOptions,
    client: [u8; 16],
    clock: Mutex<Hlc>,
    leader: AtomicU32,
    /// Number to UUID of the handles that are open.
    handles: Mutex<HashMap<u64, Uuid>>,
    /// Handles of containers that nobody has any more. They are closed beside later requests: who lets go of one does not wait.
    forgotten: Mutex<Vec<u64>>,
    sequences: Sequences,
}

/// The numbers of changes of a session.
#[derive(Debug)]
pub(super) struct Sequences {
    session: [u8; 16],
    next: AtomicU64,
}

impl Sequences {
    pub(super) fn next(&self) -> Origin {
        Origin { session: self.session, sequence: self.next.fetch_add(1, Ordering::Relaxed) }
    }
}

/// Waits between attempts, longer each time, until the time is over.
#[derive(Debug)]
pub(super) struct Patience {
    begun: Instant,
    time: Duration,
    pause: Duration,
}

impl Patience {
    pub(super) fn new(time: Duration) -> Self {
        Self { begun: Instant::now(), time, pause: PAUSE_MIN }
    }

    fn left(&self) -> Duration {
        self.time.saturating_sub(self.begun.elapsed())
    }

    /// Waits; false where there is no time left for another attempt.
    pub(super) fn wait(&mut self) -> bool {
        let left = self.left();
        if left <= self.pause {
            return false;
        }
        std::thread::sleep(self.pause);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        true
    }
}

/// Whether another attempt may fare better: nobody was there, and nothing happened.
pub(super) fn passes(der: Der) -> bool {
    matches!(der, Der::Unreach | Der::Timedout | Der::Again | Der::Shutdown | Der::Stale | Der::Busy)
}

impl Service {
    pub(super) fn new(options: ServiceOptions, session: [u8; 16]) -> Result<Self> {
        if options.replicas.is_empty() || options.engines.is_empty() {
            return Err(Error::new(Der::Nonexist, "the pool's service has no replicas that are known")
                .hint("dmg pool query tells whether it is there"));
        }
        let client = (options.draw)()?;
        Ok(Self {
            options,
            client,
            clock: Mutex::new(Hlc::new(Epoch::ZERO)),
            leader: AtomicU32::new(NOBODY),
            handles: Mutex::default(),
            forgotten: Mutex::default(),
            sequences: Sequences { session, next: AtomicU64::new(1) },
        })
    }

    pub(super) fn sequences(&self) -> &Sequences {
        &self.sequences
    }

    fn stamp(&self) -> u64 {
        let unix_ns = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
        let mut clock = self.clock.lock();
        let stamp = clock.next(unix_ns);
        clock.observe(Epoch(stamp.0 + STAMPS));
        stamp.0
    }

    fn served(&self, handle: Option<Uuid>, request: Asked) -> Result<Served> {
        let draw = |wanted: bool| -> Result<Option<Uuid>> {
            if wanted { Ok(Some(ByteArray::new((self.options.draw)()?))) } else { Ok(None) }
        };
        let of = |names: fn(&Control) -> bool| matches!(&request, Asked::Control(control) if names(control));
        let connects = of(|control| matches!(control, Control::PoolConnect { .. }));
        let makes = of(|control| matches!(control, Control::ContainerCreate { .. }));
        let opens = connects || makes || of(|control| matches!(control, Control::ContainerOpen { .. }));
        Ok(Served {
            pool: ByteArray::new(self.options.pool),
            handle,
            client: ByteArray::new(self.client),
            stamp: self.stamp(),
            opens: if connects { Some(ByteArray::new(self.options.handle)) } else { draw(opens)? },
            makes: draw(makes)?,
            access: self.options.access,
            credential: connects.then(|| ByteBuf::from(self.options.credential.clone())),
            request,
        })
    }

    /// A control request by a handle, 0 for none.
    pub(super) fn control<T: DeserializeOwned>(
        &self,
        places: &Places,
        asker: &Asker,
        handle: u64,
        control: &Control,
    ) -> std::result::Result<T, Failed> {
        let changes = control.changes()
            || matches!(control, Control::PoolConnect { .. } | Control::ContainerOpen { .. });
        let time = asker.time_for(control);
        let told = self.ask(places, asker, handle, (Asked::Control(control.clone()), changes), time)?;
        self.close_forgotten(places, asker);
        Ok(told)
    }

    /// Takes note of the handle of a container that nobody has any more.
    pub(super) fn forget(&self, handle: u64) {
        if let Some(mut forgotten) = self.forgotten.try_lock() {
            forgotten.push(handle);
        }
    }

    /// Closes some of the handles that nobody has any more.
    fn close_forgotten(&self, places: &Places, asker: &Asker) {
        let some: Vec<u64> = {
            let mut forgotten = self.forgotten.lock();
            let kept = forgotten.len().saturating_sub(CLOSED_AT_ONCE);
            forgotten.split_off(kept)
        };
        for handle in some {
            let request = (Asked::Service(OfService::ContainerClose), true);
            // Whether it works or not: what is left goes with the pool's handle.
            let _: std::result::Result<(), Failed> =
                self.ask(places, asker, handle, request, ATTEMPT.min(asker.timeout));
            self.handles.lock().remove(&handle);
        }
    }

    fn ask<T: DeserializeOwned>(
        &self,
        places: &Places,
        asker: &Asker,
        handle: u64,
        (request, changes): (Asked, bool),
        time: Duration,
    ) -> std::result::Result<T, Failed> {
        let by = match handle {
            0 => None,
            number => Some(self.handles.lock().get(&number).copied().ok_or_else(|| Failed::sure(closed()))?),
        };
        let served = self.served(by, request).map_err(Failed::sure)?;
        let body = encode_control(&served).map_err(|error| Failed::sure(unsaid(&error)))?;
        let result = self.find_leader(places, asker, &body, changes, time)?;
        let told = decode_control(&result).map_err(|error| Failed::sure(not_understood(changes, &error)))?;
        if let Some(opened) = served.opens {
            self.handles.lock().insert(handle_number(&opened), opened);
        }
        Ok(told)
    }

    /// A request of which only its ends know what it says: its result.
    pub(super) fn other(
        &self,
        places: &Places,
        asker: &Asker,
        handle: u64,
        body: &[u8],
        changes: bool,
    ) -> std::result::Result<Vec<u8>, Failed> {
        let request = Asked::Service(OfService::Other { body: ByteBuf::from(body.to_vec()) });
        let told: ByteBuf = self.ask(places, asker, handle, (request, changes), asker.timeout)?;
        Ok(told.into_vec())
    }

    /// Asks one replica after the other until one answers that leads.
    fn find_leader(
        &self,
        places: &Places,
        asker: &Asker,
        body: &[u8],
        changes: bool,
        time: Duration,
    ) -> std::result::Result<ByteBuf, Failed> {
        let mut patience = Patience::new(time);
        let mut uncertain: Option<NetError> = None;
        let replicas = &self.options.replicas;
        let mut turn = 0;
        loop {
            let leader = self.leader.load(Ordering::Relaxed);
            let rank = if leader == NOBODY {
                replicas.get(turn % replicas.len()).copied().unwrap_or(0)
            } else {
                leader
            };
            turn += 1;
            let failed = match self.endpoint(places, rank) {
                Ok(endpoint) => {
                    let left = patience.left();
                    let time =
                        if replicas.len() > 1 && changes { left.min(ATTEMPT.max(time / 4)) } else { left };
                    match asker.service(&endpoint, SERVED, body, time) {
                        Ok(ServedReply { result: Some(result), .. }) => {
                            self.leader.store(rank, Ordering::Relaxed);
                            return Ok(result);
                        }
                        Ok(ServedReply { leader, .. }) => {
                            let next = leader
                                .filter(|next| *next != rank && self.options.engines.contains_key(next));
                            self.leader.store(next.unwrap_or(NOBODY), Ordering::Relaxed);
                            if next.is_some() && turn <= replicas.len() {
                                continue;
                            }
                            NetError::before(Der::Notleader, "the pool's service has no leader at the moment")
                                .hint("a majority of its replicas has to run; dmg system query tells")
                        }
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            let lost = failed.is_uncertain();
            let again = lost
                || failed.der == Der::Notleader
                || (failed.outcome == Outcome::Nothing && passes(failed.der));
            if !again {
                return Err(Failed::of(failed, changes));
            }
            self.leader.compare_exchange(rank, NOBODY, Ordering::Relaxed, Ordering::Relaxed).ok();
            let told = uncertain.clone().unwrap_or_else(|| failed.clone());
            if lost {
                uncertain.get_or_insert(failed);
            }
            if !patience.wait() {
                return Err(Failed::of(told, changes));
            }
        }
    }

    fn endpoint(&self, places: &Places, rank: u32) -> daos_net::Result<Arc<Endpoint>> {
        let address =
            self.options.engines.get(&rank).ok_or_else(|| {
                NetError::before(Der::Unreach, format!("nobody has told where rank {rank} is"))
            })?;
        Ok(places.endpoint(rank, address))
    }

    /// Has the engine of a target learn of a handle that it does not know.
    pub(super) fn present(
        &self,
        places: &Places,
        asker: &Asker,
        handle: u64,
        at: &RemoteTarget,
    ) -> Result<()> {
        let by = self.handles.lock().get(&handle).copied().ok_or_else(closed)?;
        let present = OfService::HandlePresent { replicas: self.options.replicas.clone() };
        let served = self.served(Some(by), Asked::Service(present))?;
        let body = encode_control(&served).map_err(|error| unsaid(&error))?;
        let endpoint = self.endpoint(places, at.rank).map_err(|error| super::call::told(error, false))?;
        let mut patience = Patience::new(asker.timeout);
        loop {
            match asker.service(&endpoint, SERVED, &body, patience.left()) {
                Ok(ServedReply { result: Some(_), .. }) => return Ok(()),
                // The engine did not find who leads the service.
                Ok(_) if patience.wait() => {}
                Ok(_) => {
                    return Err(Error::new(Der::Timedout, "the pool's service has no leader at the moment"));
                }
                Err(error) if passes(error.der) && patience.wait() => {}
                Err(error) => return Err(super::call::told(error, false)),
            }
        }
    }

    /// What became of a change at the engine of a target, for good.
    pub(super) fn settle(&self, places: &Places, asker: &Asker, origin: Origin, rank: u32) -> Result<bool> {
        let mut patience = Patience::new(asker.timeout);
        let ask = Control::ChangeSettle { sequence: origin.sequence };
        loop {
            let endpoint = self.endpoint(places, rank).map_err(|error| super::call::told(error, false))?;
            match asker.control(&endpoint, 0, &ask) {
                Err(failed) if failed.error.nothing_happened && patience.wait() => {}
                result => return result.map_err(|failed| failed.error),
            }
        }
    }

    /// Closes what is open. Whether that arrives or not: handles of who is gone are evicted.
    pub(super) fn disconnect(&self, places: &Places, asker: &Asker, pool: u64) {
        if pool != 0 {
            let request = (Asked::Service(OfService::PoolDisconnect), true);
            let _: std::result::Result<(), Failed> =
                self.ask(places, asker, pool, request, ATTEMPT.min(asker.timeout));
        }
        self.handles.lock().clear();
    }
}

pub(super) fn closed() -> Error {
    Error::new(Der::NoHdl, "the handle is closed or was evicted").hint("connect to the pool again")
}
