//! The provider of shared memory: for processes of one machine and one user, as `unix`, without a system call on the way of the bytes.
//!
//! A connection begins at a socket in the file system, over which the server sends the memory that it made, and its bell. From then
//! on the socket's end is the connection's. See `docs/adr/0013-shared-memory-rings.md`.

mod bell;
mod map;
mod ring;
mod spin;
mod stream;

pub use spin::Spin;

use crate::Moment;
use crate::error::{NetError, Result};
use crate::limits::Limits;
use crate::link::Link;
use crate::near::NAMELESS;
use crate::peer::Peer;
use crate::service::Service;
use crate::serving::Identity;
use crate::socket::{Clock, Listener, Maker, SocketServer, Stream};
use crate::transport::{Listening, Transport};
use crate::unix::{Bound, Whole, bind_nameless, dial};
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;
use stream::ShmStream;

/// Who sleeps looks again after so long, whatever happens.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What the kernel calls every user of whom this user namespace does not know: it says nothing.
const NOBODY: u32 = 65_534;

/// The provider of shared memory. Addresses are paths, or `@` and a name that the kernel keeps; who is let in, and by whom, is as with
/// [`crate::unix::Unix`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Shm {
    time: Clock,
}

impl Transport for Shm {
    fn connect(&self, address: &str, timeout: Duration) -> Result<Box<dyn Link>> {
        let broken = |error: io::Error| {
            NetError::broken(&format!("connecting to {address}"), &error)
                .hint("the process that served it has ended, or serves it otherwise")
        };
        self.over(dial(address).map_err(broken)?, timeout).map_err(broken)
    }

    fn listen(
        &self,
        address: &str,
        me: Identity,
        limits: Limits,
        service: Box<dyn Service>,
    ) -> Result<Box<dyn Listening>> {
        let broken = |error: io::Error| NetError::broken(&format!("serving at {address}"), &error);
        if address.starts_with(NAMELESS) {
            return self.listen_all(&[address.to_owned()], me, limits, service);
        }
        let bound = Bound::new(Path::new(address))?;
        let listener = ShmListener(bound.listener().map_err(broken)?);
        let server = SocketServer::new(self.time, vec![listener], me, limits, service).map_err(broken)?;
        Ok(Box::new(Whole::new(server.start(address.to_owned())?, bound)))
    }

    fn now(&self) -> Moment {
        self.time.now()
    }
}

impl Shm {
    /// Serves at several names that the kernel keeps, all with one thread and one service, until the answer is dropped. The limits
    /// are those of all together.
    pub fn listen_all(
        &self,
        names: &[String],
        me: Identity,
        limits: Limits,
        service: Box<dyn Service>,
    ) -> Result<Box<dyn Listening>> {
        let bind = |name: &String| {
            let broken = |error| NetError::broken(&format!("serving at {name}"), &error);
            bind_nameless(name.strip_prefix(NAMELESS).unwrap_or(name)).map(ShmListener).map_err(broken)
        };
        let listeners = names.iter().map(bind).collect::<Result<Vec<_>>>()?;
        let all = names.join(", ");
        let broken = |error: io::Error| NetError::broken(&format!("serving at {all}"), &error);
        let server = SocketServer::new(self.time, listeners, me, limits, service).map_err(broken)?;
        server.start(all.clone())
    }

    /// A connection over this socket, which somebody has connected to who serves so, and whose descriptor he chose.
    pub fn over(&self, socket: UnixStream, timeout: Duration) -> io::Result<Box<dyn Link>> {
        if !is_of_my_user(&socket)? {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "another user serves it"));
        }
        socket.set_nonblocking(false)?;
        // An empty time would be none at all.
        socket.set_read_timeout(Some(timeout.max(Duration::from_micros(1))))?;
        let stream = ShmStream::take(socket)?;
        Ok(Box::new(ShmLink { stream, maker: Maker::here(), time: self.time, spin: Spin::default() }))
    }
}

fn is_of_my_user(socket: &UnixStream) -> io::Result<bool> {
    let peer = rustix::net::sockopt::socket_peercred(socket)?;
    Ok(peer.uid == rustix::process::geteuid() && peer.uid.as_raw() != NOBODY)
}

#[derive(Debug)]
struct ShmListener(UnixListener);

impl AsFd for ShmListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Listener for ShmListener {
    type Stream = ShmStream;

    fn next(&self) -> io::Result<Option<ShmStream>> {
        let (socket, _) = self.0.accept()?;
        if is_of_my_user(&socket)? { ShmStream::offer(socket) } else { Ok(None) }
    }
}

/// A client's end.
#[derive(Debug)]
struct ShmLink {
    stream: ShmStream,
    maker: Maker,
    time: Clock,
    spin: Spin,
}

impl Link for ShmLink {
    fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        self.stream.read_some(into)
    }

    fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.stream.write_some(parts)
    }

    fn wait(&self, readable: bool, writable: bool, until: Moment) -> io::Result<()> {
        let stream = &self.stream;
        let is_ready = || stream.has_news(readable, writable) || stream.is_gone();
        if (readable || writable) && self.spin.look(|| stream.peer_processor(), is_ready) {
            return Ok(());
        }
        let longest = until.since(self.now()).min(LOOK_AGAIN);
        let since = stream.rung();
        stream.say_waiting(readable, writable);
        if !is_ready() {
            stream.sleep(since, longest)?;
            // A process that died wakes nobody.
            if !is_ready() {
                stream.look_for_peer();
            }
        }
        Ok(())
    }

    fn now(&self) -> Moment {
        self.time.now()
    }

    fn finish(&self) {
        if self.maker.is_here() {
            // What is gone already has nothing to finish; likewise below.
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
        Peer::Local
    }
}
