//! The service of a pool, as a client asks it: replicas on several engines, of which one leads. A request goes to whoever leads
//! by now, again and again until its time is over, and happens once: it says which it is.

use super::call::{Asker, Failed, HandleId, OneCall, not_understood, unsaid};
use super::global::{GlobalPool, SharedPool, decode};
use super::route::RemoteTarget;
use super::sequences::Sequences;
use super::system::{Here, Places};
use crate::error::{Error, Result};
use daos_locks::Mutex;
use daos_net::{Endpoint, NetError, Outcome};
use daos_types::{Der, Epoch, Hlc, Origin};
use daos_wire::control::{PoolReply, TargetPlace, Uuid};
use daos_wire::served::{Asked, Served, ServedReply, Service as OfService, handle_number};
use daos_wire::{Control, SERVED, decode_control, encode_control};
use serde::de::DeserializeOwned;
use serde_bytes::{ByteArray, ByteBuf};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// Pauses between two attempts.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// Of each attempt, at first: a replica that does not answer is not waited for when others may.
const ATTEMPT: Duration = Duration::from_secs(2);
/// Handles that are closed by one request.
const CLOSED_AT_ONCE: usize = 256;
/// Connections of a process to one replica of the service. Who waits for a reply reads for all that wait at the same connection, and
/// wakes them: among a few that is quick, among many all of them are woken for the reply of one.
const LANES: usize = 4;
/// So many wait at one before the next is used.
const LANE_WAITING: usize = 4;
/// Nobody is known to lead.
const NOBODY: u32 = u32::MAX;
/// Between the stamps of two requests: what a service does for one of them in several steps may need as many.
const STAMPS: u64 = 16;
/// For a connection to a replica, at first.
const CONNECT: Duration = Duration::from_millis(500);
/// Of an attempt at what takes long, at least: each may begin it anew.
const LONG_ATTEMPT: Duration = Duration::from_secs(900);
/// A replica that could not be connected to is not asked again before, nor one that did not answer: it may only be slow.
const UNREACHED: Duration = Duration::from_secs(1);
const UNANSWERED: Duration = Duration::from_millis(500);
/// For closing the pool's handle: after that it is left to the agent.
const DISCONNECT: Duration = Duration::from_secs(2);

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
    /// Another process has opened the pool under this handle, and closes it.
    pub shared: Option<SharedPool>,
}

/// The service.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) options: ServiceOptions,
    /// The process that made it: what is open is closed by that alone.
    process: u64,
}

/// Who asks it: each process is a client of its own.
#[derive(Debug)]
pub(super) struct Mine {
    client: [u8; 16],
    clock: Mutex<Hlc>,
    leader: AtomicU32,
    /// Handles of containers that nobody has any more. They are closed beside later requests: who lets go of one does not wait.
    forgotten: Mutex<Vec<Uuid>>,
    /// Somebody closes some of them: one request at a time, so that those that are forgotten meanwhile go with the next.
    closing: AtomicBool,
    /// How many wait at each connection to the service.
    lanes: [AtomicUsize; LANES],
    pub(super) sequences: Sequences,
}

impl Mine {
    pub(super) fn new(client: [u8; 16], session: [u8; 16]) -> Self {
        Self {
            client,
            clock: Mutex::new(Hlc::new(Epoch::ZERO)),
            leader: AtomicU32::new(NOBODY),
            forgotten: Mutex::default(),
            closing: AtomicBool::new(false),
            lanes: Default::default(),
            sequences: Sequences::new(session),
        }
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

    /// A place among those that wait: at the first connection that has room, or at the emptiest. Several that come at once may find
    /// the same one.
    fn lane(&self) -> Lane<'_> {
        let waiting = |lane: &AtomicUsize| lane.load(Ordering::Relaxed);
        let lanes = || (0_u8..).zip(&self.lanes);
        let some = lanes().find(|(_, lane)| waiting(lane) < LANE_WAITING);
        let (number, lane) =
            some.or_else(|| lanes().min_by_key(|(_, lane)| waiting(lane))).unwrap_or((0, &self.lanes[0]));
        lane.fetch_add(1, Ordering::Relaxed);
        Lane { waiting: lane, number }
    }

    /// Takes note of the handle of a container that nobody has any more.
    pub(super) fn forget(&self, handle: Uuid) {
        self.forgotten.lock().push(handle);
    }
}

/// A place among those that wait for a reply of the service.
struct Lane<'m> {
    waiting: &'m AtomicUsize,
    number: u8,
}

impl Drop for Lane<'_> {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
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

    /// How long an attempt may wait for its connection: half of what has passed, so that who is slow is not asked all the time.
    fn to_connect(&self) -> Duration {
        self.left().min(CONNECT.max(self.begun.elapsed() / 2))
    }

    /// How long an attempt may take; likewise.
    fn attempt(&self, is_long: bool) -> Duration {
        let attempt = if is_long { LONG_ATTEMPT } else { ATTEMPT };
        self.left().min(attempt.max(self.begun.elapsed() / 2))
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

/// Whether the service has begun what was asked, and tells what it waits for.
fn is_under_way(failed: &NetError) -> bool {
    failed.outcome == Outcome::Told && failed.der == Der::Noreply
}

/// What is told of it when the time is over.
fn under_way(failed: &NetError, waited: Duration) -> Error {
    let NetError { message, hint, .. } = failed;
    let waited = waited.as_secs_f64();
    Error::new(Der::TxUncertain, format!("the outcome is unknown: {message}; waited {waited:.1} s"))
        .hint(hint.clone())
}

/// Whether another attempt may fare better: nobody was there, and nothing happened.
pub(super) fn passes(der: Der) -> bool {
    matches!(der, Der::Unreach | Der::Timedout | Der::Again | Der::Shutdown | Der::Stale | Der::Busy)
}

impl Service {
    pub(super) fn new(options: ServiceOptions, process: u64) -> Result<Self> {
        if options.replicas.is_empty() || options.engines.is_empty() {
            return Err(Error::new(Der::Nonexist, "the pool's service has no replicas that are known")
                .hint("dmg pool query tells whether it is there"));
        }
        Ok(Self { options, process })
    }

    /// Whether what is open is this process's to close.
    pub(super) fn is_own(&self, process: u64) -> bool {
        self.process == process && self.options.shared.is_none()
    }

    /// The pool's handle.
    pub(super) fn pool_handle(&self) -> HandleId {
        HandleId::of(ByteArray::new(self.options.handle))
    }

    /// The pool, where another process has opened it.
    pub(super) fn shared(&self) -> Option<Result<PoolReply>> {
        self.options.shared.as_ref().map(|shared| self.reply_of(shared))
    }

    fn reply_of(&self, SharedPool { pool, targets: known }: &SharedPool) -> Result<PoolReply> {
        let GlobalPool { uuid, label, props, targets } = decode(pool)?;
        if *uuid != self.options.pool {
            return Err(Error::new(Der::Inval, "a handle of another pool than it says"));
        }
        let place = |(rank, index): (u32, u32)| {
            let address = known.get(&rank).and_then(|addresses| addresses.get(index as usize));
            let missing = || {
                Error::new(Der::Unreach, format!("nobody has told where target {index} of rank {rank} is"))
            };
            Ok(TargetPlace { rank, index, address: address.ok_or_else(missing)?.clone() })
        };
        let targets = targets.into_iter().map(place).collect::<Result<_>>()?;
        let handle = handle_number(&self.options.handle);
        Ok(PoolReply { handle, uuid, label, props, map_version: 0, targets })
    }

    fn served(
        &self,
        mine: &Mine,
        handle: Option<Uuid>,
        request: Asked,
        opens: Option<Uuid>,
    ) -> Result<Served> {
        let of = |names: fn(&Control) -> bool| matches!(&request, Asked::Control(control) if names(control));
        let connects = of(|control| matches!(control, Control::PoolConnect { .. }));
        let makes = of(|control| matches!(control, Control::ContainerCreate { .. }));
        let makes = if makes { Some(ByteArray::new((self.options.draw)()?)) } else { None };
        Ok(Served {
            pool: ByteArray::new(self.options.pool),
            handle,
            client: ByteArray::new(mine.client),
            stamp: mine.stamp(),
            opens: if connects { Some(ByteArray::new(self.options.handle)) } else { opens },
            makes,
            access: self.options.access,
            credential: connects.then(|| ByteBuf::from(self.options.credential.clone())),
            request,
        })
    }

    /// A control request by a handle; the UUID of what it opens.
    pub(super) fn control<T: DeserializeOwned>(
        &self,
        here: &Here,
        asker: &Asker,
        handle: HandleId,
        control: &Control,
        opens: Option<Uuid>,
    ) -> std::result::Result<T, Failed> {
        let changes = control.changes()
            || matches!(control, Control::PoolConnect { .. } | Control::ContainerOpen { .. });
        let time = asker.time_for(control);
        let _both = OneCall::begin(time);
        let asked = (Asked::Control(control.clone()), opens, changes);
        let told = self.ask(here, asker, handle.uuid, asked, time)?;
        self.close_forgotten(here, asker);
        Ok(told)
    }

    /// Closes handles that nobody has any more, unless another thread is about it.
    fn close_forgotten(&self, here: &Here, asker: &Asker) {
        let mine = &here.mine;
        if mine.forgotten.lock().is_empty() || mine.closing.swap(true, Ordering::Acquire) {
            return;
        }
        let handles: Vec<Uuid> = {
            let mut forgotten = mine.forgotten.lock();
            let kept = forgotten.len().saturating_sub(CLOSED_AT_ONCE);
            forgotten.split_off(kept)
        };
        if !handles.is_empty() {
            let asked = (Asked::Service(OfService::ContainerCloseAll { handles }), None, true);
            // Whether it works or not: what is left goes with the pool's handle.
            let _: std::result::Result<(), Failed> =
                self.ask(here, asker, self.pool_handle().uuid, asked, ATTEMPT.min(asker.time()));
        }
        mine.closing.store(false, Ordering::Release);
    }

    fn ask<T: DeserializeOwned>(
        &self,
        here: &Here,
        asker: &Asker,
        by: Option<Uuid>,
        (request, opens, changes): (Asked, Option<Uuid>, bool),
        time: Duration,
    ) -> std::result::Result<T, Failed> {
        let served = self.served(&here.mine, by, request, opens).map_err(Failed::sure)?;
        let body = encode_control(&served).map_err(|error| Failed::sure(unsaid(&error)))?;
        let result = self.find_leader(here, asker, &body, changes, time)?;
        decode_control(&result).map_err(|error| Failed::sure(not_understood(changes, &error)))
    }

    /// A request of which only its ends know what it says: its result.
    pub(super) fn other(
        &self,
        here: &Here,
        asker: &Asker,
        handle: HandleId,
        body: &[u8],
        changes: bool,
    ) -> std::result::Result<Vec<u8>, Failed> {
        let request = Asked::Service(OfService::Other { body: ByteBuf::from(body.to_vec()) });
        let told: ByteBuf = self.ask(here, asker, handle.uuid, (request, None, changes), asker.time())?;
        Ok(told.into_vec())
    }

    /// Asks one replica after the other until one answers that leads.
    fn find_leader(
        &self,
        Here { places, mine }: &Here,
        asker: &Asker,
        body: &[u8],
        changes: bool,
        time: Duration,
    ) -> std::result::Result<ByteBuf, Failed> {
        let mut patience = Patience::new(time);
        let mut uncertain: Option<NetError> = None;
        let replicas = &self.options.replicas;
        let several = replicas.len() > 1;
        let mut turn = 0;
        // One that did not answer, and until when it is passed over: others may still take it for the leader.
        let mut away = (NOBODY, Instant::now());
        loop {
            let is_away = |rank| several && rank == away.0 && Instant::now() < away.1;
            let at = |turn: usize| replicas.get(turn % replicas.len()).copied().unwrap_or(0);
            let mut rank = mine.leader.load(Ordering::Relaxed);
            if rank == NOBODY || is_away(rank) {
                turn += usize::from(is_away(at(turn)));
                rank = at(turn);
            }
            turn += 1;
            let lane = mine.lane();
            let failed = match self.endpoint(places, rank, lane.number) {
                Ok(endpoint) => {
                    let is_long = time > asker.timeout;
                    let reached =
                        if several { endpoint.channel(patience.to_connect()).map(drop) } else { Ok(()) };
                    let time = if several { patience.attempt(is_long) } else { patience.left() };
                    if reached.is_err() {
                        away = (rank, Instant::now() + UNREACHED);
                    }
                    match reached.and_then(|()| asker.service(&endpoint, SERVED, body, time)) {
                        Ok(ServedReply { result: Some(result), .. }) => {
                            mine.leader.store(rank, Ordering::Relaxed);
                            return Ok(result);
                        }
                        Ok(ServedReply { leader, .. }) => {
                            let next = leader
                                .filter(|next| *next != rank && self.options.engines.contains_key(next));
                            mine.leader.store(next.unwrap_or(NOBODY), Ordering::Relaxed);
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
            drop(lane);
            // It has waited there already; who asks again finds the same request under way, or done.
            let waits = is_under_way(&failed);
            let again = waits
                || lost
                || failed.der == Der::Notleader
                || (failed.outcome == Outcome::Nothing && passes(failed.der));
            if !again {
                return Err(Failed::of(failed, changes));
            }
            if waits {
                patience.pause = PAUSE_MIN;
                uncertain = Some(failed.clone());
            } else {
                mine.leader.compare_exchange(rank, NOBODY, Ordering::Relaxed, Ordering::Relaxed).ok();
            }
            let told = uncertain.clone().unwrap_or_else(|| failed.clone());
            if lost {
                away = (rank, Instant::now() + UNANSWERED);
                uncertain.get_or_insert(failed);
            }
            if !patience.wait() {
                let waited = patience.begun.elapsed();
                let under_way = is_under_way(&told).then(|| Failed::sure(under_way(&told, waited)));
                return Err(under_way.unwrap_or_else(|| Failed::of(told, changes)));
            }
        }
    }

    fn endpoint(&self, places: &Places, rank: u32, number: u8) -> daos_net::Result<Arc<Endpoint>> {
        let address =
            self.options.engines.get(&rank).ok_or_else(|| {
                NetError::before(Der::Unreach, format!("nobody has told where rank {rank} is"))
            })?;
        Ok(places.beside(rank, address, number))
    }

    /// Has the engine of a target learn of a handle that it does not know.
    pub(super) fn present(
        &self,
        Here { places, mine }: &Here,
        asker: &Asker,
        handle: HandleId,
        at: &RemoteTarget,
    ) -> Result<()> {
        let present = OfService::HandlePresent { replicas: self.options.replicas.clone() };
        let served = self.served(mine, handle.uuid, Asked::Service(present), None)?;
        let body = encode_control(&served).map_err(|error| unsaid(&error))?;
        let endpoint = self.endpoint(places, at.rank, 0).map_err(|error| super::call::told(error, false))?;
        let mut patience = Patience::new(asker.time());
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
        let mut patience = Patience::new(asker.time());
        let ask = Control::ChangeSettle { sequence: origin.sequence };
        loop {
            let endpoint = self.endpoint(places, rank, 0).map_err(|error| super::call::told(error, false))?;
            match asker.control(&endpoint, 0, &ask) {
                Err(failed) if failed.error.nothing_happened && patience.wait() => {}
                result => return result.map_err(|failed| failed.error),
            }
        }
    }

    /// Closes what is open. Where that is not answered, handles of who is gone are evicted.
    pub(super) fn disconnect(&self, here: &Here, asker: &Asker) -> Result<()> {
        let asked = (Asked::Service(OfService::PoolDisconnect), None, true);
        let time = DISCONNECT.min(asker.time());
        self.ask(here, asker, self.pool_handle().uuid, asked, time).map_err(|failed| failed.error)
    }
}

pub(super) fn closed() -> Error {
    Error::new(Der::NoHdl, "the handle is closed or was evicted").hint("connect to the pool again")
}

#[cfg(test)]
mod tests {
    use super::{ATTEMPT, CONNECT, LONG_ATTEMPT, Patience};
    use std::time::{Duration, Instant};

    fn since(elapsed: Duration, time: Duration) -> Patience {
        Patience { begun: Instant::now().checked_sub(elapsed).unwrap(), ..Patience::new(time) }
    }

    #[test]
    fn attempts_are_short_at_first_and_end_with_the_time() {
        let minute = Duration::from_secs(60);
        let fresh = Patience::new(minute);
        assert!(fresh.attempt(false) == ATTEMPT && fresh.to_connect() == CONNECT);
        let later = since(Duration::from_secs(20), minute);
        assert!(later.attempt(false) >= Duration::from_secs(10));
        assert!(later.attempt(false) < Duration::from_secs(11));
        let last = since(Duration::from_millis(59_750), minute);
        assert!(last.attempt(false) <= CONNECT / 2 && last.to_connect() <= CONNECT / 2);
        assert!(since(minute, minute).attempt(false).is_zero());
    }

    #[test]
    fn what_takes_long_is_not_asked_for_again_soon() {
        let hour = Duration::from_secs(3_600);
        assert_eq!(Patience::new(hour).attempt(true), LONG_ATTEMPT);
    }
}
