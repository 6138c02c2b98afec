//! TCP. A client's calls drive their sockets themselves; a server is one thread that waits for readiness.

use crate::Moment;
use crate::error::{NetError, Result};
use crate::hub::{Hub, Wish};
use crate::limits::Limits;
use crate::link::Link;
use crate::service::{Replies, Service};
use crate::serving::Identity;
use crate::transport::{Listening, Transport};
use daos_types::Der;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, epoll, eventfd, poll};
use std::collections::BTreeMap;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
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
const LISTENER: u64 = u64::MAX;
const WAKE: u64 = u64::MAX - 1;

/// The provider of TCP. Addresses are `ip:port`; names are for who knows them.
#[derive(Debug, Clone, Copy)]
pub struct Tcp {
    started: Instant,
}

impl Default for Tcp {
    fn default() -> Self {
        Self { started: Instant::now() }
    }
}

impl Tcp {
    fn moment(self) -> Moment {
        Moment::default().after(self.started.elapsed())
    }
}

fn parse(address: &str) -> Result<SocketAddr> {
    let wrong = |_| {
        NetError::before(Der::Inval, format!("'{address}' is no address"))
            .hint("write ip:port, as 127.0.0.1:10001")
    };
    address.parse().map_err(wrong)
}

fn timespec(time: Duration) -> Timespec {
    let time = time.min(WAIT_MAX);
    Timespec { tv_sec: time.as_secs().cast_signed(), tv_nsec: i64::from(time.subsec_nanos()) }
}

impl Transport for Tcp {
    fn connect(&self, address: &str, timeout: Duration) -> Result<Box<dyn Link>> {
        let to = parse(address)?;
        let broken = |error: io::Error| {
            NetError::broken(&format!("connecting to {address}"), &error)
                .hint("check that the server runs and is reached")
        };
        // An empty time is refused by the system with a word about arguments.
        let stream =
            TcpStream::connect_timeout(&to, timeout.max(Duration::from_micros(1))).map_err(broken)?;
        Ok(Box::new(TcpLink::new(Arc::new(stream), *self).map_err(broken)?))
    }

    fn listen(
        &self,
        address: &str,
        me: Identity,
        limits: Limits,
        service: Box<dyn Service>,
    ) -> Result<Box<dyn Listening>> {
        let mut server = TcpServer::bind(*self, address, me, limits, service)?;
        let (address, stop, wake) = (server.address(), server.stop.clone(), server.wake.clone());
        let run = move || while server.step() {};
        let thread = thread::Builder::new().name("daos-net".to_owned()).spawn(run);
        let thread = thread.map_err(|error| NetError::broken("starting the server's thread", &error))?;
        Ok(Box::new(Running { address, stop, wake, thread: Some(thread) }))
    }

    fn now(&self) -> Moment {
        self.moment()
    }
}

/// A socket. A process that writes to one whose peer is gone must ignore SIGPIPE, as Rust's and Python's do.
#[derive(Debug)]
struct TcpLink {
    stream: Arc<TcpStream>,
    time: Tcp,
}

impl TcpLink {
    fn new(stream: Arc<TcpStream>, time: Tcp) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, time })
    }
}

impl Link for TcpLink {
    fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        (&*self.stream).read(into)
    }

    fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self.stream).write_vectored(parts)
    }

    fn wait(&self, readable: bool, writable: bool, until: Moment) -> io::Result<()> {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, readable);
        flags.set(PollFlags::OUT, writable);
        let time = timespec(until.since(self.now()));
        match poll(&mut [PollFd::new(&*self.stream, flags)], Some(&time)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn now(&self) -> Moment {
        self.time.moment()
    }

    fn finish(&self) {
        // A socket that is gone already has nothing to finish; likewise below.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    fn close(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// A server on a socket, driven by whoever calls [`TcpServer::step`]: the thread of a target, or one of its own.
#[derive(Debug)]
pub struct TcpServer {
    time: Tcp,
    listener: TcpListener,
    address: SocketAddr,
    epoll: OwnedFd,
    wake: Arc<OwnedFd>,
    stop: Arc<AtomicBool>,
    hub: Hub,
    replies: Replies,
    watched: BTreeMap<u64, (Arc<TcpStream>, epoll::EventFlags)>,
    /// Nothing is accepted until then.
    paused: Option<Moment>,
}

impl TcpServer {
    /// A server that listens and does nothing yet.
    pub fn bind(
        time: Tcp,
        address: &str,
        me: Identity,
        limits: Limits,
        service: Box<dyn Service>,
    ) -> Result<Self> {
        let at = parse(address)?;
        let broken = |error: &io::Error| {
            let error = NetError::broken(&format!("listening at {address}"), error);
            error.hint("use another port, or stop what listens there")
        };
        let os = |error: rustix::io::Errno| broken(&error.into());
        let listener = TcpListener::bind(at).map_err(|error| broken(&error))?;
        listener.set_nonblocking(true).map_err(|error| broken(&error))?;
        let address = listener.local_addr().map_err(|error| broken(&error))?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(os)?;
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(os)?);
        epoll::add(&epoll, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)
            .map_err(os)?;
        epoll::add(&epoll, &*wake, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN).map_err(os)?;
        let waker = wake.clone();
        let replies = Replies::new(move || notify(&waker));
        let hub = Hub::new(me, limits, service, replies.clone());
        let (watched, stop) = (BTreeMap::new(), Arc::new(AtomicBool::new(false)));
        Ok(Self { time, listener, address, epoll, wake, stop, hub, replies, watched, paused: None })
    }

    /// Where it is to be found.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Waits until something happens, a second at most, and does what there is to do; false when it was stopped.
    pub fn step(&mut self) -> bool {
        let more = self.hub.settle(self.time.moment());
        self.carry_out_wishes();
        if self.stop.load(Ordering::Acquire) {
            self.hub.end(self.time.moment());
            return false;
        }
        let now = self.time.moment();
        self.resume(now);
        let idle = !more && self.replies.arm();
        let until = self.paused.unwrap_or(Moment::MAX).min(self.hub.next_time());
        let time = if idle { until.since(now) } else { Duration::ZERO };
        let mut events = Vec::with_capacity(EVENTS_MAX);
        let buffer = rustix::buffer::spare_capacity(&mut events);
        // Nothing but an interruption fails here; then there are no events.
        let _ = epoll::wait(&self.epoll, buffer, Some(&timespec(time)));
        let now = self.time.moment();
        for event in events {
            let (flags, data) = (event.flags, event.data);
            match data.u64() {
                LISTENER => self.accept(now),
                WAKE => drop(rustix::io::read(&*self.wake, &mut [0; 8])),
                // Told whether one asks for it or not, and again and again: also of one whose request waits for room.
                number if flags.intersects(GONE) => {
                    self.hub.hung_up(number);
                }
                number => self.hub.ready(now, number),
            }
        }
        true
    }

    fn accept(&mut self, now: Moment) {
        for _ in 0..ACCEPTED_MAX {
            match self.listener.accept() {
                Ok((stream, _)) => self.welcome(now, Arc::new(stream)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The client was gone before.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => {
                    self.paused = Some(now.after_ms(ACCEPT_PAUSE_MS));
                    self.watch_listener(epoll::EventFlags::empty());
                    return;
                }
            }
        }
    }

    fn resume(&mut self, now: Moment) {
        if self.paused.take_if(|until| now >= *until).is_some() {
            self.watch_listener(epoll::EventFlags::IN);
        }
    }

    fn watch_listener(&self, flags: epoll::EventFlags) {
        // It is watched since the beginning, so this cannot fail.
        let _ = epoll::modify(&self.epoll, &self.listener, epoll::EventData::new_u64(LISTENER), flags);
    }

    fn welcome(&mut self, now: Moment, stream: Arc<TcpStream>) {
        let Ok(link) = TcpLink::new(stream.clone(), self.time) else { return };
        let Some(number) = self.hub.accept(now, Box::new(link)) else { return };
        let flags = epoll::EventFlags::IN;
        // Where it cannot be watched, its time will end it.
        let _ = epoll::add(&self.epoll, &*stream, epoll::EventData::new_u64(number), flags);
        self.watched.insert(number, (stream, flags));
    }

    fn carry_out_wishes(&mut self) {
        for (number, wish) in self.hub.wishes() {
            match wish {
                Wish::Gone => {
                    if let Some((stream, _)) = self.watched.remove(&number) {
                        let _ = epoll::delete(&self.epoll, &*stream);
                    }
                }
                Wish::Watch { readable, writable } => {
                    let mut flags = epoll::EventFlags::empty();
                    flags.set(epoll::EventFlags::IN, readable);
                    flags.set(epoll::EventFlags::OUT, writable);
                    // Of what is not read the end is not seen otherwise, and it would keep its place in the line.
                    flags.set(epoll::EventFlags::RDHUP, !readable);
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

fn notify(wake: &OwnedFd) {
    // A counter that is full wakes as well.
    let _ = rustix::io::write(wake, &1_u64.to_ne_bytes());
}

/// A server with a thread of its own.
#[derive(Debug)]
struct Running {
    address: String,
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
        self.stop.store(true, Ordering::Release);
        notify(&self.wake);
        if let Some(thread) = self.thread.take() {
            // A panic of the service was reported where it happened.
            let _ = thread.join();
        }
    }
}
