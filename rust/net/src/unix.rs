//! The provider of sockets in the file system: for processes of one machine and one user.

use crate::Moment;
use crate::error::{NetError, Result};
use crate::limits::Limits;
use crate::link::Link;
use crate::near::NAMELESS;
use crate::service::Service;
use crate::serving::Identity;
use crate::socket::{Clock, Listener, Maker, SocketLink, SocketServer, Stream};
use crate::transport::{Listening, Transport};
use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use std::fs;
use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The provider of Unix sockets. Addresses are paths. Who listens lets in nobody but processes of his own user, told by the
/// system; who connects cannot be sent elsewhere by anyone who cannot write to the directory.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unix {
    time: Clock,
}

impl Transport for Unix {
    fn connect(&self, address: &str, _: Duration) -> Result<Box<dyn Link>> {
        let broken = |error: io::Error| {
            NetError::broken(&format!("connecting to {address}"), &error)
                .hint("the process that served it has ended")
        };
        let stream = dial(address).map_err(broken)?;
        Ok(Box::new(SocketLink::new(Arc::new(stream), self.time).map_err(broken)?))
    }

    fn listen(
        &self,
        address: &str,
        me: Identity,
        limits: Limits,
        service: Box<dyn Service>,
    ) -> Result<Box<dyn Listening>> {
        let bound = Bound::new(Path::new(address))?;
        let running = self.serve(&bound, me, limits, service)?;
        Ok(Box::new(Whole::new(running, bound)))
    }

    fn now(&self) -> Moment {
        self.time.now()
    }
}

impl Unix {
    /// Serves those who come to a socket, and who came since it has its name, until the answer is dropped.
    pub fn serve(
        &self,
        bound: &Bound,
        me: Identity,
        limits: Limits,
        service: Box<dyn Service>,
    ) -> Result<Box<dyn Listening>> {
        let address = bound.path.display().to_string();
        let broken = |error: io::Error| NetError::broken(&format!("serving at {address}"), &error);
        let listener = bound.listener().map_err(broken)?;
        SocketServer::new(self.time, vec![listener], me, limits, service)
            .map_err(broken)?
            .start(address.clone())
    }
}

/// A socket with its name: who comes waits until he is served, or until it is dropped. It has its name from when it listens and is
/// closed to other users until it is dropped; one that was left over is replaced.
#[derive(Debug)]
pub struct Bound {
    listener: UnixListener,
    path: PathBuf,
    maker: Maker,
}

impl Bound {
    /// A socket at a path.
    pub fn new(path: &Path) -> Result<Self> {
        let broken = |error: io::Error| NetError::broken(&format!("listening at {}", path.display()), &error);
        let listener = bind(path).map_err(broken)?;
        Ok(Self { listener, path: path.to_owned(), maker: Maker::here() })
    }

    /// Its socket, for who serves those that come.
    pub(crate) fn listener(&self) -> io::Result<UnixListener> {
        self.listener.try_clone()
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        // Before it is closed: who comes from here on finds nobody, and not somebody who never answers.
        if self.maker.is_here() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&Place::of(&new)?.short)?;
    listener.set_nonblocking(true)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600))?;
    fs::rename(&new, path)?;
    Ok(listener)
}

/// A path short enough for a socket's address, whatever the directory's is.
pub(crate) struct Place {
    pub(crate) short: PathBuf,
    /// What the path leads through.
    _directory: OwnedFd,
}

impl Place {
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no path of a socket"));
        };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let directory = rustix::fs::open(parent, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let short = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
        Ok(Self { short, _directory: directory })
    }
}

/// A server and its socket.
#[derive(Debug)]
pub(crate) struct Whole {
    running: Option<Box<dyn Listening>>,
    _bound: Bound,
}

impl Whole {
    pub(crate) fn new(running: Box<dyn Listening>, bound: Bound) -> Self {
        Self { running: Some(running), _bound: bound }
    }
}

impl Listening for Whole {
    fn address(&self) -> String {
        self.running.as_ref().map_or_else(String::new, |running| running.address())
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        // First it stops to serve, then its name goes.
        self.running.take();
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;

    fn next(&self) -> io::Result<Option<UnixStream>> {
        let (stream, _) = self.accept()?;
        let peer = rustix::net::sockopt::socket_peercred(&stream)?;
        Ok((peer.uid == rustix::process::geteuid()).then_some(stream))
    }
}

/// A socket that is connected to an address, a path or one that stands in no file system. It does not wait, neither now, where a
/// line that is full is an error, nor later.
pub(crate) fn dial(address: &str) -> io::Result<UnixStream> {
    let socket = socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    if let Some(name) = address.strip_prefix(NAMELESS) {
        connect(&socket, &SocketAddrUnix::new_abstract_name(name.as_bytes())?)?;
    } else {
        let place = Place::of(Path::new(address))?;
        connect(&socket, &SocketAddrUnix::new(&place.short)?)?;
    }
    Ok(socket.into())
}

/// A socket that listens at an address that stands in no file system. Nobody can take it away, nothing is left of it.
pub(crate) fn bind_nameless(name: &str) -> io::Result<UnixListener> {
    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Stream for UnixStream {
    fn prepare(&self) -> io::Result<()> {
        self.set_nonblocking(true)
    }

    fn read_some(&self, into: &mut [u8]) -> io::Result<usize> {
        (&*self).read(into)
    }

    fn write_some(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(parts)
    }

    fn end(&self, how: Shutdown) -> io::Result<()> {
        self.shutdown(how)
    }
}
