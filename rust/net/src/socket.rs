//! Sockets of the system. A client's calls drive theirs themselves; a server is one thread that waits for readiness.

use crate::Moment;
use crate::error::{NetError, Result};
use crate::hub::{Hub, Wish};
use crate::limits::Limits;
use crate::link::Link;
use crate::peer::Peer;
use crate::service::{Replies, Service};
use crate::serving::Identity;
use crate::shm::Spin;
use crate::tls::Tls;
use crate::transport::Listening;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, epoll, eventfd, poll};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// No wait is longer than this, whatever it waits for.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// Connections that are accepted before those that are there get their turn.
const ACCEPTED_MAX: usize = 64;
/// Events that are taken at once.
const EVENTS_MAX: usize = 256;
/// Milliseconds in which nothing is accepted after that failed: descriptors may have run out.
const ACCEPT_PAUSE_MS: u32 = 100;
/// The peer is gone, or will say nothing more where it is not listened to.
const GONE: epoll::EventFlags =
    epoll::EventFlags::HUP.union(epoll::EventFlags::ERR).union(epoll::EventFlags::RDHUP);
/// Rounds in which rings had news before the descriptors are looked at as well.
const ROUNDS_MAX: u32 = 32;
/// Looks at rings between two at the descriptors, which take longer: they come after some 10 µs, in which who asks one thing after the
/// other asks again.
const LOOKS: u32 = 128;
const WAKE: u64 = u64::MAX;
/// The first listener; the others follow. No connection has such a number.
const LISTENERS: u64 = 1 << 63;

/// The time by which connections count.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    started: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock {
    pub(crate) fn now(self) -> Moment {
        Moment::default().after(self.started.elapsed())
    }
}

/// The process in which something was made. A child that was forked has copies of it, and must not end what is its parent's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Maker(u32);

impl Maker {
    pub(crate) fn here() -> Self {
        Self(std::process::id())
    }

    /// Whether this is that process. A system call: for what is rare.
    pub(crate) fn is_here(self) -> bool {
        self.0 == std::process::id()
    }
}

/// A socket that is connected.
pub(crate) trait Stream: AsFd + Debug + Send + Sync + 'static {
    /// Makes it one that does not wait, neither for data nor to gather some.
    fn prepare(&self) -> io::Result<()>;

    fn read_some(&self, into: &mut [u8]) -> io::Result<usize>;

    fn write_some(&self, parts: &[IoSlice<'_>]) -> io::Result<usize>;

    fn end(&self, how: Shutdown) -> io::Result<()>;

    /// Who is at the other end, as far as the kernel proves it.
    fn peer(&self) -> Peer {
        Peer::Plain
    }

    /// The processor on which the other end was when it wrote last, if it is of this machine and that is known.
    fn peer_processor(&self) -> Option<u32> {
        None
    }

    /// An error where the peer is gone without a word, as far as the kernel hears of it.
    fn check_peer(&self) -> io::Result<()> {
        Ok(())
    }

    /// Whether what it brings is not seen by its descriptor but by looking, and by that only for who asked to be woken.
    const RINGS: bool = false;

    /// Whether there is something to read, or room to write.
    fn has_news(&self, _readable: bool, _writable: bool) -> bool {
        false
    }

    /// Asks to be woken by [`Stream::bell`]. It has to be looked once more after that.
    fn wake_me(&self, _readable: bool, _writable: bool) {}

    /// The descriptor that wakes who asked for it, where it is not the stream's own: it becomes readable again and again.
    fn bell(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// A socket to which others connect.
pub(crate) trait Listener: AsFd + Debug + Send + 'static {
    type Stream: Stream;

    /// The next connection; `None` for one of somebody who is not let in. It does not wait.
    fn next(&self) -> io::Result<Option<Self::Stream>>;
}

fn timespec(time: Duration) -> Timespec {
    let time = time.min(WAIT_MAX);
    Timespec { tv_sec: time.as_secs().cast_signed(), tv_nsec: i64::from(time.subsec_nanos()) }
}

/// Waits for a descriptor, so long at most; whether it is ready.
pub(crate) fn poll_for(of: &impl AsFd, readable: bool, writable: bool, time: Duration) -> io::Result<bool> {
    let mut flags = PollFlags::empty();
    flags.set(PollFlags::IN, readable);
    flags.set(PollFlags::OUT, writable);
    match poll(&mut [PollFd::new(of, flags)], Some(&timespec(time))) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// What of a connection is to be told.
fn events<S: Stream>(readable: bool, writable: bool) -> epoll::EventFlags {
    let mut flags = epoll::EventFlags::empty();
    if S::RINGS {
        // Of the stream itself only the end: for all else there is the bell.
        return epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
    }
    flags.set(epoll::EventFlags::IN, readable);
    flags.set(epoll::EventFlags::OUT, writable);
    // Of what is not read the end is not seen otherwise, and it would keep its place in the line.
    flags.set(epoll::EventFlags::RDHUP, !readable);
    flags
}

/// A socket. A process that writes to one whose peer is gone must ignore SIGPIPE, as Rust's and Python's do.
#[derive(Debug)]
pub(crate) struct SocketLink<S> {
    stream: Arc<S>,
    maker: Maker,
    time: Clock,
    spin: Spin,
}

impl<S: Stream> SocketLink<S> {
    pub(crate) fn new(stream: Arc<S>, time: Clock) -> io::Result<Self> {
        stream.prepare()?;
        Ok(Self { stream, maker: Maker::here(), time, spin: Spin::default() })
    }
}

impl<S: Stream> Link for SocketLink<S> {
    fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.read_some(into)
    }

    fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream.write_some(parts)
    }

    fn wait(&self, readable: bool, writable: bool, until: Moment) -> io::Result<()> {
        let ready = |time| poll_for(&*self.stream, readable, writable, time);
        if self.spin.ask(|| self.stream.peer_processor(), || ready(Duration::ZERO).unwrap_or(true)) {
            return Ok(());
        }
        let came = ready(until.since(self.now()))?;
        if came { Ok(()) } else { self.stream.check_peer() }
    }

    fn now(&self) -> Moment {
        self.time.now()
    }

    fn finish(&self) {
        // A socket that is gone already has nothing to finish; likewise below.
        if self.maker.is_here() {
            let _ = self.stream.end(Shutdown::Write);
        }
    }

    fn close(&self) {
        if self.maker.is_here() {
            let _ = self.stream.end(Shutdown::Both);
        }
    }

    fn is_own(&self) -> bool {
        self.maker.is_here()
    }

    fn peer(&self) -> Peer {
        self.stream.peer()
    }
}

/// A server on a socket, driven by whoever calls [`SocketServer::step`].
#[derive(Debug)]
pub(crate) struct SocketServer<L: Listener> {
    time: Clock,
    listeners: Vec<L>,
    epoll: OwnedFd,
    wake: Arc<OwnedFd>,
    stop: Arc<AtomicBool>,
    hub: Hub,
    replies: Replies,
    watched: BTreeMap<u64, (Arc<L::Stream>, epoll::EventFlags)>,
    /// Of rings, those that something happened to and that were not asked to wake the server since, and what is wished for them.
    hot: BTreeMap<u64, (bool, bool)>,
    spin: Spin,
    /// The connection that had news last.
    last: u64,
    /// Rounds since the descriptors were looked at.
    rounds: u32,
    /// What stands between those who come and the hub, if anything.
    tls: Option<Arc<Tls>>,
    /// Nothing is accepted until then.
    paused: Option<Moment>,
}

impl<L: Listener> SocketServer<L> {
    /// A server at sockets that listen; it does nothing yet.
    pub(crate) fn new(
        time: Clock,
        listeners: Vec<L>,
        me: Identity,
        limits: Limits,
        service: Box<dyn Service>,
    ) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        for (number, listener) in (LISTENERS..).zip(&listeners) {
            epoll::add(&epoll, listener, epoll::EventData::new_u64(number), epoll::EventFlags::IN)?;
        }
        epoll::add(&epoll, &*wake, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
        let waker = wake.clone();
        let replies = Replies::new(move || notify(&waker));
        let hub = Hub::new(me, limits, service, replies.clone());
        let (watched, stop) = (BTreeMap::new(), Arc::new(AtomicBool::new(false)));
        let (hot, spin) = (BTreeMap::new(), Spin::apart());
        Ok(Self {
            time,
            listeners,
            epoll,
            wake,
            stop,
            hub,
            replies,
            watched,
            hot,
            spin,
            last: 0,
            rounds: 0,
            tls: None,
            paused: None,
        })
    }

    /// The same, where all who come speak TLS.
    pub(crate) fn with_tls(self, tls: Option<Arc<Tls>>) -> Self {
        Self { tls, ..self }
    }

    /// Serves on a thread of its own until the answer is dropped.
    pub(crate) fn start(mut self, address: String) -> Result<Box<dyn Listening>> {
        let (stop, wake) = (self.stop.clone(), self.wake.clone());
        let run = move || while self.step() {};
        let thread = thread::Builder::new().name("daos-net".to_owned()).spawn(run);
        let thread = thread.map_err(|error| NetError::broken("starting the server's thread", &error))?;
        Ok(Box::new(Running { address, maker: Maker::here(), stop, wake, thread: Some(thread) }))
    }

    /// Waits until something happens, a second at most, and does what there is to do; false when it was stopped.
    fn step(&mut self) -> bool {
        self.gather();
        let more = self.hub.settle(self.time.now());
        self.carry_out_wishes();
        if self.stop.load(Ordering::Acquire) {
            self.hub.end(self.time.now());
            return false;
        }
        let now = self.time.now();
        self.resume(now);
        let idle = !more && self.replies.arm();
        let mut events = Vec::with_capacity(EVENTS_MAX);
        let news = self.look(idle, &mut events);
        if !news.is_empty() {
            // What they are answered from here would wake it otherwise.
            self.replies.disarm();
        }
        for number in &news {
            self.last = *number;
            self.hub.ready(now, *number);
        }
        self.rounds += 1;
        if events.is_empty() {
            if !news.is_empty() && self.rounds < ROUNDS_MAX {
                return true;
            }
            // Those that are left would wake nobody.
            let idle = idle && self.hot.is_empty();
            let until = self.paused.unwrap_or(Moment::MAX).min(self.hub.next_time());
            let time = if idle { until.since(now) } else { Duration::ZERO };
            // Of rings it was looked for already.
            let looks = !L::Stream::RINGS && idle;
            if !looks || !self.spin.ask(|| self.awaited(), || ask(&self.epoll, Duration::ZERO, &mut events)) {
                ask(&self.epoll, time, &mut events);
            }
        }
        self.rounds = 0;
        self.replies.disarm();
        let now = self.time.now();
        for event in events {
            let (flags, data) = (event.flags, event.data);
            match data.u64() {
                WAKE => drop(rustix::io::read(&*self.wake, &mut [0; 8])),
                listener @ LISTENERS.. => self.accept(now, (listener - LISTENERS) as usize),
                // Told whether one asks for it or not, and again and again: also of one whose request waits for room.
                number if flags.intersects(GONE) => {
                    self.hub.hung_up(number);
                }
                number => {
                    self.last = number;
                    self.hub.ready(now, number);
                }
            }
        }
        true
    }

    /// Takes in what came by other rings while the requests of one were worked on, where the service is about to wait: it then waits
    /// once for all. Of each ring once, so that it ends.
    fn gather(&mut self) {
        let mut heard = BTreeSet::new();
        while self.hub.is_to_wait() {
            let news = self.news();
            let now = self.time.now();
            let before = heard.len();
            for number in news {
                if heard.insert(number) {
                    self.hub.ready(now, number);
                }
            }
            if heard.len() == before {
                return;
            }
        }
    }

    fn news(&self) -> Vec<u64> {
        self.hot
            .iter()
            .filter(|(number, wish)| self.has_news(**number, **wish))
            .map(|(number, _)| *number)
            .collect()
    }

    fn has_news(&self, number: u64, (readable, writable): (bool, bool)) -> bool {
        self.watched.get(&number).is_some_and(|(stream, _)| stream.has_news(readable, writable))
    }

    /// The rings that have news: looked for a while where there is nothing else to do; where there is none, they are to wake the server.
    /// Meanwhile the kernel is asked now and then: a ring whose owner was to be woken is not looked at, nor is who comes.
    fn look(&mut self, idle: bool, events: &mut Vec<epoll::Event>) -> Vec<u64> {
        if self.hot.is_empty() {
            return Vec::new();
        }
        let look = || self.hot.iter().any(|(number, wish)| self.has_news(*number, *wish));
        let mut looks = 0;
        let mut look_around = || {
            looks += 1;
            // Answers of other threads are news as well.
            look()
                || !self.replies.is_armed()
                || looks % LOOKS == 0 && ask(&self.epoll, Duration::ZERO, events)
        };
        let found = if idle { self.spin.look(|| self.awaited(), &mut look_around) } else { look() };
        if !found && idle {
            for (number, (readable, writable)) in &self.hot {
                if let Some((stream, _)) = self.watched.get(number) {
                    stream.wake_me(*readable, *writable);
                }
            }
        }
        let news = self.news();
        if !found && idle && news.is_empty() {
            self.hot.clear();
        }
        news
    }

    /// The processor of who asked last, and so is likely to ask next.
    fn awaited(&self) -> Option<u32> {
        let (stream, _) = self.watched.get(&self.last)?;
        stream.peer_processor()
    }

    fn accept(&mut self, now: Moment, at: usize) {
        for _ in 0..ACCEPTED_MAX {
            let Some(listener) = self.listeners.get(at) else { return };
            match listener.next() {
                Ok(Some(stream)) => self.welcome(now, Arc::new(stream)),
                // Nobody whom it lets in.
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The client was gone before.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => {
                    self.paused = Some(now.after_ms(ACCEPT_PAUSE_MS));
                    self.watch_listeners(epoll::EventFlags::empty());
                    return;
                }
            }
        }
    }

    fn resume(&mut self, now: Moment) {
        if self.paused.take_if(|until| now >= *until).is_some() {
            self.watch_listeners(epoll::EventFlags::IN);
        }
    }

    fn watch_listeners(&self, flags: epoll::EventFlags) {
        for (number, listener) in (LISTENERS..).zip(&self.listeners) {
            // It is watched since the beginning, so this cannot fail.
            let _ = epoll::modify(&self.epoll, listener, epoll::EventData::new_u64(number), flags);
        }
    }

    fn welcome(&mut self, now: Moment, stream: Arc<L::Stream>) {
        let Ok(link) = SocketLink::new(stream.clone(), self.time) else { return };
        let link: Box<dyn Link> = match &self.tls {
            None => Box::new(link),
            Some(tls) => match tls.accept(Box::new(link)) {
                Ok(link) => link,
                Err(_) => return,
            },
        };
        let Some(number) = self.hub.accept(now, link) else { return };
        let flags = events::<L::Stream>(true, false);
        // Where it cannot be watched, its time will end it.
        let _ = epoll::add(&self.epoll, &*stream, epoll::EventData::new_u64(number), flags);
        if let Some(bell) = stream.bell() {
            let told_once = epoll::EventFlags::IN | epoll::EventFlags::ET;
            let _ = epoll::add(&self.epoll, bell, epoll::EventData::new_u64(number), told_once);
        }
        self.watched.insert(number, (stream, flags));
    }

    fn carry_out_wishes(&mut self) {
        for (number, wish) in self.hub.wishes() {
            match wish {
                Wish::Gone => {
                    self.hot.remove(&number);
                    if let Some((stream, _)) = self.watched.remove(&number) {
                        let _ = epoll::delete(&self.epoll, &*stream);
                        // The client has it too: it would be watched until that is gone as well.
                        let _ = stream.bell().map(|bell| epoll::delete(&self.epoll, bell));
                    }
                }
                Wish::Watch { readable, writable } => {
                    let flags = events::<L::Stream>(readable, writable);
                    if L::Stream::RINGS {
                        self.hot.insert(number, (readable, writable));
                    }
                    if let Some((stream, watched)) = self.watched.get_mut(&number)
                        && std::mem::replace(watched, flags) != flags
                    {
                        let _ =
                            epoll::modify(&self.epoll, &*stream, epoll::EventData::new_u64(number), flags);
                    }
                }
            }
        }
    }
}

/// Takes what has happened to descriptors, waiting so long for it; whether there is something.
fn ask(epoll: &OwnedFd, time: Duration, events: &mut Vec<epoll::Event>) -> bool {
    let buffer = rustix::buffer::spare_capacity(events);
    // Nothing but an interruption fails here; then there are no events.
    let _ = epoll::wait(epoll, buffer, Some(&timespec(time)));
    !events.is_empty()
}

fn notify(wake: &OwnedFd) {
    // A counter that is full wakes as well.
    let _ = rustix::io::write(wake, &1_u64.to_ne_bytes());
}

/// A server with a thread of its own.
#[derive(Debug)]
struct Running {
    address: String,
    maker: Maker,
    stop: Arc<AtomicBool>,
    wake: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Listening for Running {
    fn address(&self) -> String {
        self.address.clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.maker.is_here() {
            // The thread is the parent's; here is nobody to wait for.
            std::mem::forget(self.thread.take());
            return;
        }
        self.stop.store(true, Ordering::Release);
        notify(&self.wake);
        if let Some(thread) = self.thread.take() {
            // A panic of the service was reported where it happened.
            let _ = thread.join();
        }
    }
}
