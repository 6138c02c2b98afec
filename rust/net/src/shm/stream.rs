//! One end of a connection in shared memory, and how both ends come by it.

use super::bell::{is_bell, ring_client, ring_server, rung, servers_bell, sleep};
use super::map::Map;
use super::ring::{RING_LEN, Reader, SHARED_LEN, Writer, ends};
use crate::peer::Peer;
use crate::socket::Stream;
use daos_locks::Mutex;
use rustix::cmsg_space;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate, memfd_create};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recv, recvmsg, sendmsg,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const MAGIC: &[u8; 8] = b"DAOSSHM\x02";
/// Magic, length of a ring, zeros.
const GREETING_LEN: usize = 16;
/// What must not be possible with the file: whoever maps it would fall over if it shrank.
const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

fn greeting() -> [u8; GREETING_LEN] {
    let mut bytes = [0; GREETING_LEN];
    for (to, from) in bytes.iter_mut().zip(MAGIC.iter().chain(&(RING_LEN as u32).to_le_bytes())) {
        *to = *from;
    }
    bytes
}

/// One end. The socket's end is the connection's.
#[derive(Debug)]
pub(super) struct ShmStream {
    socket: UnixStream,
    map: Arc<Map>,
    is_server: bool,
    /// The server's: that of the client is in the memory.
    bell: OwnedFd,
    /// Who reads, and who writes: one at a time.
    reading: Mutex<()>,
    writing: Mutex<()>,
    reader: Reader,
    writer: Writer,
    /// Nothing more comes or goes: the other process is gone, or this end is closed.
    gone: AtomicBool,
}

fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl ShmStream {
    fn new(socket: UnixStream, file: BorrowedFd<'_>, bell: OwnedFd, is_server: bool) -> io::Result<Self> {
        let map = Arc::new(Map::new(file, SHARED_LEN)?);
        let (reader, writer) = ends(&map, is_server);
        let (reading, writing, gone) = (Mutex::default(), Mutex::default(), AtomicBool::new(false));
        Ok(Self { socket, map, is_server, bell, reading, writing, reader, writer, gone })
    }

    /// The server's end: makes the memory, and sends it. `None` where the client does not take it.
    pub(super) fn offer(socket: UnixStream) -> io::Result<Option<Self>> {
        let file = memory()?;
        socket.set_nonblocking(true)?;
        let stream = Self::new(socket, file.as_fd(), servers_bell()?, true)?;
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(2))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let files = [file.as_fd(), stream.bell.as_fd()];
        control.push(SendAncillaryMessage::ScmRights(&files));
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        // A socket that is new has room for it.
        let sent = sendmsg(&stream.socket, &[IoSlice::new(&greeting())], &mut control, flags);
        Ok(sent.is_ok_and(|len| len == GREETING_LEN).then_some(stream))
    }

    /// The client's end: takes the memory, no longer than the socket's time for reading, if it is what it must be.
    pub(super) fn take(socket: UnixStream) -> io::Result<Self> {
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(2))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut came = [0; GREETING_LEN];
        let message =
            recvmsg(&socket, &mut [IoSliceMut::new(&mut came)], &mut control, RecvFlags::CMSG_CLOEXEC);
        let message = match message {
            Err(Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
            message => message?,
        };
        let mut files: Vec<OwnedFd> = Vec::new();
        for part in control.drain() {
            if let RecvAncillaryMessage::ScmRights(more) = part {
                files.extend(more);
            }
        }
        if message.bytes == 0 {
            return Err(wrong("the server does not let this process in"));
        }
        let cut = message.flags.contains(ReturnFlags::CTRUNC);
        let bell = files.pop();
        let (Some(bell), [file]) = (bell, &files[..]) else {
            return Err(wrong("what serves there does not share memory"));
        };
        if cut || message.bytes != GREETING_LEN || came != greeting() {
            return Err(wrong("what serves there shares memory of another form"));
        }
        let sealed = fcntl_get_seals(file).is_ok_and(|seals| seals.contains(SEALS));
        if !sealed || u64::try_from(fstat(file)?.st_size) != Ok(SHARED_LEN as u64) {
            return Err(wrong("the memory that is shared there is not sealed, or of another size"));
        }
        if !is_bell(&bell) {
            return Err(wrong("who serves there would have this process wait to wake him"));
        }
        socket.set_nonblocking(true)?;
        Self::new(socket, file.as_fd(), bell, false)
    }

    /// Whether the connection is over, for whatever reason.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    fn ring(&self) {
        if self.is_server { ring_client(&self.map) } else { ring_server(&self.bell) }
    }

    /// Has the bell rung when there is something to read, or room.
    pub(super) fn say_waiting(&self, readable: bool, writable: bool) {
        if readable {
            self.reader.wait();
        }
        if writable {
            self.writer.wait();
        }
    }

    /// A client's end: how often it was woken, to be asked before [`ShmStream::say_waiting`].
    pub(super) fn rung(&self) -> u32 {
        rung(&self.map)
    }

    /// A client's end: sleeps until it is woken again, so long at most.
    pub(super) fn sleep(&self, since: u32, longest: Duration) -> io::Result<()> {
        sleep(&self.map, since, longest)
    }

    /// Sees whether there is another end.
    pub(super) fn look_for_peer(&self) {
        match recv(&self.socket, &mut [0_u8; 256][..], RecvFlags::DONTWAIT) {
            Ok((_, 1..)) | Err(Errno::AGAIN | Errno::INTR) => {}
            Ok(_) | Err(_) => self.gone.store(true, Ordering::Release),
        }
    }
}

/// Memory for one connection, which stays as large as it is.
pub(super) fn memory() -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = match memfd_create("daos-shm", flags | MemfdFlags::NOEXEC_SEAL) {
        // Before Linux 6.3.
        Err(Errno::INVAL) => memfd_create("daos-shm", flags)?,
        file => file?,
    };
    ftruncate(&file, SHARED_LEN as u64)?;
    fcntl_add_seals(&file, SEALS)?;
    Ok(file)
}

impl AsFd for ShmStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Stream for ShmStream {
    const RINGS: bool = true;

    fn peer(&self) -> Peer {
        Peer::Local
    }

    fn prepare(&self) -> io::Result<()> {
        Ok(())
    }

    fn read_some(&self, into: &mut [u8]) -> io::Result<usize> {
        let _reading = self.reading.lock();
        // What was written before the end is read before it: so the end is asked for first.
        let over = self.reader.has_ended() || self.is_gone();
        let (len, wake) = self.reader.read(into)?;
        if wake {
            self.ring();
        }
        if len == 0 && !over { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(len) }
    }

    fn write_some(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let _writing = self.writing.lock();
        if self.is_gone() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let (len, wake) = self.writer.write(parts)?;
        if wake {
            self.ring();
        }
        if len == 0 && parts.iter().any(|part| !part.is_empty()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(len)
    }

    fn end(&self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Read && self.writer.end() {
            self.ring();
        }
        if how == Shutdown::Both {
            self.gone.store(true, Ordering::Release);
            // Whoever sleeps over it wakes up, here and there.
            ring_client(&self.map);
            self.socket.shutdown(Shutdown::Both)?;
        }
        Ok(())
    }

    fn peer_processor(&self) -> Option<u32> {
        self.reader.writers_processor()
    }

    fn has_news(&self, readable: bool, writable: bool) -> bool {
        readable && self.reader.has_news() || writable && self.writer.has_room()
    }

    fn wake_me(&self, readable: bool, writable: bool) {
        self.say_waiting(readable, writable);
    }

    fn bell(&self) -> Option<BorrowedFd<'_>> {
        Some(self.bell.as_fd())
    }
}
