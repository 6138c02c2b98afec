//! Connections to the doors of mounts, and what is asked there.

use crate::kernel;
use daos_door::{Asked, INLINE_MAX, Info, LATER, LEN_MAX, Op, Range, SYSTEM, Status, split_u32, split_u64};
use daos_locks::{Mutex, MutexGuard};
use daos_net::frame::{Hello, Payload, Place, SessionId};
use daos_net::shm::Shm;
use daos_net::{Call, Channel, Limits, NetError, Outcome, Receive};
use daos_types::{Der, Rank};
use rustix::fd::{AsRawFd, IntoRawFd, OwnedFd};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// For connecting: a door that is not open by then is not used for a while.
const CONNECT: Duration = Duration::from_secs(1);
/// How long a request may take: longer than the store may, behind the mount.
const CALL: Duration = Duration::from_secs(100);
/// So long no door of a mount is tried after that failed.
const PAUSE: Duration = Duration::from_secs(1);
/// Descriptors of connections are from here on, if there are as many: out of the way of programs that choose numbers.
const DESCRIPTOR_MIN: u64 = 960;
/// Looks at a lock that somebody else has; then it is the kernel's way.
const LOOKS_MAX: u32 = 200;
/// Connections of a process.
const HIDDEN_MAX: usize = 64;

/// The descriptors of connections. A program that closes what it does not know must not close them.
static HIDDEN: [AtomicI32; HIDDEN_MAX] = [const { AtomicI32::new(-1) }; HIDDEN_MAX];

/// Where the report goes: standard error as it was at the beginning, which many programs close before they end.
static ERRORS: AtomicI32 = AtomicI32::new(-1);

/// Keeps standard error for the report.
pub(crate) fn keep_errors() {
    ERRORS.store(kernel::duplicate(2, number_aside()).unwrap_or(2), Ordering::Relaxed);
}

/// The program wants the number of what is kept: it is kept by another.
pub(crate) fn move_errors(descriptor: i32) {
    if descriptor == errors() {
        ERRORS.store(kernel::duplicate(descriptor, descriptor + 1).unwrap_or(2), Ordering::Relaxed);
    }
}

/// Where the report goes.
pub(crate) fn errors() -> i32 {
    ERRORS.load(Ordering::Relaxed)
}

/// All that is no business of the program's.
fn hidden() -> impl Iterator<Item = i32> {
    let errors = Some(errors()).filter(|errors| *errors != 2);
    HIDDEN.iter().map(|place| place.load(Ordering::Relaxed)).chain(errors)
}

fn hide(descriptor: i32) -> bool {
    let free = |place: &&AtomicI32| {
        place.compare_exchange(-1, descriptor, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    };
    HIDDEN.iter().find(free).is_some()
}

fn show(descriptor: i32) {
    for place in &HIDDEN {
        let _ = place.compare_exchange(descriptor, -1, Ordering::AcqRel, Ordering::Relaxed);
    }
}

/// Whether a descriptor is of a connection, and no business of the program's.
pub(crate) fn is_hidden(descriptor: i32) -> bool {
    descriptor >= 0 && hidden().any(|hidden| hidden == descriptor)
}

/// Those of a range, in their order.
pub(crate) fn hidden_within(first: u32, last: u32) -> Vec<i32> {
    let within =
        |descriptor: &i32| u32::try_from(*descriptor).is_ok_and(|number| (first..=last).contains(&number));
    let mut found: Vec<i32> = hidden().filter(within).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Closes a child's copies of its parent's connections.
pub(crate) fn close_hidden() {
    for place in &HIDDEN {
        let descriptor = place.swap(-1, Ordering::AcqRel);
        if descriptor >= 0 {
            kernel::close(descriptor);
        }
    }
}

#[derive(Debug)]
struct Connection {
    channel: Channel,
    descriptor: i32,
}

impl Drop for Connection {
    fn drop(&mut self) {
        show(self.descriptor);
    }
}

#[derive(Debug)]
struct Entry {
    token: [u8; 16],
    door: u32,
    connection: Option<Arc<Connection>>,
    /// It is not tried before.
    until: Option<Instant>,
}

/// What a process has open.
#[derive(Debug)]
pub(crate) struct Doors {
    open: Mutex<Vec<Entry>>,
    /// The table of mounts, which tells when it changes; none before it is needed.
    watched: Mutex<i32>,
}

/// What a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    /// So many bytes.
    Bytes(usize),
    /// This number of `errno`.
    Failed(i32),
    /// Nothing: the kernel has the file.
    Later,
    /// Nothing: the door is not open, or busy.
    Shut,
}

impl Doors {
    pub(crate) fn new() -> Self {
        Self { open: Mutex::new(Vec::new()), watched: Mutex::new(-1) }
    }

    /// The connection to a door, opened if need be; nothing where that fails, or somebody else is at it.
    fn connection(&self, info: &Info, door: u32) -> Option<Arc<Connection>> {
        let mut open = patiently(&self.open)?;
        let at = open.iter().position(|entry| entry.token == info.token && entry.door == door);
        let at = at.unwrap_or_else(|| {
            open.push(Entry { token: info.token, door, connection: None, until: None });
            open.len() - 1
        });
        let entry = open.get_mut(at)?;
        if let Some(connection) = entry.connection.take_if(|connection| !connection.channel.is_over()) {
            entry.connection = Some(Arc::clone(&connection));
            return Some(connection);
        }
        entry.connection = None;
        if entry.until.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        if let Some(connection) = connect(info, door) {
            let connection = Arc::new(connection);
            entry.connection = Some(Arc::clone(&connection));
            entry.until = None;
            return Some(connection);
        }
        entry.until = Some(Instant::now() + PAUSE);
        None
    }

    /// Runs something while nobody else does, and tells it whether the table of mounts may have changed since it ran last. Nothing where
    /// that cannot be said.
    pub(crate) fn watching<T>(&self, run: impl FnOnce(bool) -> T) -> Option<T> {
        let mut watched = patiently(&self.watched)?;
        if *watched < 0 {
            let table = aside(kernel::open_own(c"/proc/self/mountinfo")?);
            if !hide(table.as_raw_fd()) {
                return None;
            }
            *watched = table.into_raw_fd();
            return Some(run(true));
        }
        let changed = kernel::has_changed(*watched)?;
        Some(run(changed))
    }

    /// Ends the connection of a descriptor, whose number the program wants. What is under way there ends, and the descriptor stays until
    /// nobody uses it: then it is the program's, so it is not closed here.
    pub(crate) fn end(&self, descriptor: i32) {
        let mut watched = self.watched.lock();
        if *watched == descriptor {
            *watched = -1;
            show(descriptor);
        }
        drop(watched);
        let mut open = self.open.lock();
        for entry in open.iter_mut() {
            if let Some(connection) = entry.connection.take_if(|it| it.descriptor == descriptor) {
                connection.channel.close();
                show(descriptor);
                // Whoever closed it would close what the program has by then.
                std::mem::forget(connection);
            }
        }
    }

    /// Reads bytes of a file.
    pub(crate) fn read(&self, info: &Info, door: u32, handle: u64, at: u64, into: &mut [u8]) -> Came {
        let Some(connection) = self.connection(info, door) else { return Came::Shut };
        let body = Range { at, len: into.len() as u32 }.encode();
        let reply_max = (into.len() + Status::LEN) as u32;
        let call = Call { handle, reply_max, ..Call::new(Op::Read.number(), CALL, &body) };
        let mut reply = Bytes { room: into, came: 0, status: None };
        let asked = connection.channel.call(&call, &mut reply);
        match (asked, reply.status) {
            (Ok(()), Some(Status(0))) => Came::Bytes(reply.came),
            (Ok(()), Some(status)) => of_status(status),
            // A read can be asked again: of the kernel, which says what is wrong.
            _ => Came::Shut,
        }
    }

    /// Asks for what a path leads to, or changes names. What is told goes into `into`.
    pub(crate) fn ask(&self, info: &Info, door: u32, op: Op, asked: &Asked<'_>, into: &mut [u8]) -> Came {
        let Some(connection) = self.connection(info, door) else { return Came::Shut };
        let body = asked.encode();
        let reply_max = (into.len() + Status::LEN) as u32;
        let call = Call { reply_max, ..Call::new(op.number(), CALL, &body) };
        let mut reply = Bytes { room: into, came: 0, status: None };
        let done = connection.channel.call(&call, &mut reply);
        match (done, reply.status) {
            (Ok(()), Some(Status(0))) => Came::Bytes(reply.came),
            (Ok(()), Some(status)) => of_status(status),
            // It may have happened, and what happens twice ends otherwise.
            (Err(error), _) if op.changes() && error.outcome != Outcome::Nothing => Came::Failed(libc::EIO),
            _ => Came::Shut,
        }
    }

    /// Writes bytes to a file: `op` tells whether the kernel knows it to be as long, or that they go to its end; where that is then, if
    /// they do.
    pub(crate) fn write(
        &self,
        op: Op,
        (info, door): (&Info, u32),
        handle: u64,
        at: u64,
        bytes: &[u8],
    ) -> (Came, Option<u64>) {
        let Some(connection) = self.connection(info, door) else { return (Came::Shut, None) };
        let range = Range { at, len: bytes.len() as u32 }.encode();
        let mut body =
            Vec::with_capacity(Range::LEN + if bytes.len() > INLINE_MAX { 0 } else { bytes.len() });
        body.extend(range);
        let beside = [Payload::new(bytes)];
        let payloads: &[Payload<'_>] = if bytes.len() > INLINE_MAX {
            &beside
        } else {
            body.extend(bytes);
            &[]
        };
        let call = Call { handle, payloads, ..Call::new(op.number(), CALL, &body) };
        let mut told = [0; 12];
        let mut reply = Bytes { room: &mut told, came: 0, status: None };
        let asked = connection.channel.call(&call, &mut reply);
        let came = match (asked, reply.status) {
            (Ok(()), Some(Status(0))) => match split_u32(&told) {
                Some((written, end)) if written as usize <= bytes.len() => {
                    let end = split_u64(end).map(|(end, _)| end).filter(|_| op == Op::Append);
                    return (Came::Bytes(written as usize), end);
                }
                _ => Came::Failed(libc::EIO),
            },
            (Ok(()), Some(status)) => of_status(status),
            (Err(error), _) if error.outcome == Outcome::Nothing => Came::Shut,
            // It may have been written, and may be yet: to do it again could undo what is written after it.
            _ => Came::Failed(libc::EIO),
        };
        (came, None)
    }
}

/// A lock that somebody else may have, but not for long.
fn patiently<T>(lock: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    for _ in 0..LOOKS_MAX {
        if let Some(held) = lock.try_lock() {
            return Some(held);
        }
        std::hint::spin_loop();
    }
    None
}

fn of_status(status: Status) -> Came {
    match status.0 {
        LATER => Came::Later,
        number => Came::Failed(i32::try_from(number).unwrap_or(libc::EIO)),
    }
}

/// The most that this end, and the other, allow.
fn limits() -> Limits {
    Limits {
        frame_bytes: (2 * LEN_MAX) as u32,
        window_requests: 64,
        window_bytes: 8 << 20,
        // The thread at the door says nothing while it waits for the store.
        silence_ms: 2 * CALL.as_millis() as u32,
        ..Limits::default()
    }
}

fn connect(info: &Info, door: u32) -> Option<Connection> {
    let address = info.address(door);
    let name = SocketAddrUnix::new_abstract_name(address.strip_prefix('@')?.as_bytes()).ok()?;
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).ok()?;
    rustix::net::connect(&socket, &name).ok()?;
    let socket = aside(socket);
    let descriptor = socket.as_raw_fd();
    if !hide(descriptor) {
        return None;
    }
    let opened = Shm::default().over(UnixStream::from(socket), CONNECT).ok().and_then(|link| {
        let hello = Hello { rank: Some(Rank(door)), ..Hello::of_asker(SYSTEM, session(), &limits()) };
        Channel::open(link, limits(), &hello, CONNECT).ok()
    });
    match opened {
        Some(channel) => Some(Connection { channel, descriptor }),
        None => {
            show(descriptor);
            None
        }
    }
}

/// A number that programs do not choose.
fn number_aside() -> i32 {
    let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    i32::try_from((most / 4 * 3).min(DESCRIPTOR_MIN)).unwrap_or(0)
}

/// The same socket, by such a number, if there is one.
fn aside(socket: OwnedFd) -> OwnedFd {
    rustix::io::fcntl_dupfd_cloexec(&socket, number_aside()).unwrap_or(socket)
}

/// A name for this connection; nothing is done twice by it, so it need not be secret.
fn session() -> SessionId {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let mut id = [0; 16];
    let words =
        [kernel::process().cast_unsigned(), NEXT.fetch_add(1, Ordering::Relaxed)].map(u32::to_le_bytes);
    for (to, from) in id.iter_mut().zip(words.iter().flatten()) {
        *to = *from;
    }
    SessionId(id)
}

/// A reply: its status, and what follows in the memory that waits for it.
struct Bytes<'a> {
    room: &'a mut [u8],
    came: usize,
    status: Option<Status>,
}

fn unfit() -> NetError {
    NetError::before(Der::Proto, "a door answered what was not asked")
}

impl Receive for Bytes<'_> {
    fn head(&mut self, _: u32, body: &[u8], places: &[Place]) -> daos_net::Result<()> {
        let (status, within) = Status::decode(body).ok_or_else(unfit)?;
        self.came = match places {
            [] => {
                let room = self.room.get_mut(..within.len()).ok_or_else(unfit)?;
                room.copy_from_slice(within);
                within.len()
            }
            [place] if place.sum.is_some() && within.is_empty() => place.len as usize,
            _ => return Err(unfit()),
        };
        self.status = Some(status);
        Ok(())
    }

    fn rooms(&mut self, _: usize) -> daos_net::Result<Vec<&mut [u8]>> {
        Ok(vec![self.room.get_mut(..self.came).ok_or_else(unfit)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_hidden_until_they_are_shown() {
        assert!(!is_hidden(-1) && !is_hidden(7_000));
        assert!(hide(7_000) && hide(7_005) && is_hidden(7_000));
        assert_eq!(hidden_within(7_000, 7_004), [7_000]);
        assert_eq!(hidden_within(0, u32::MAX), [7_000, 7_005]);
        show(7_000);
        show(7_005);
        assert!(!is_hidden(7_000) && hidden_within(0, u32::MAX).is_empty());
    }

    #[test]
    fn a_reply_goes_where_it_was_asked_for() {
        let mut room = [0; 4];
        let mut reply = Bytes { room: &mut room, came: 0, status: None };
        reply.head(0, &Status(0).and(b"abc"), &[]).unwrap();
        assert_eq!((reply.came, reply.status, &reply.room[..3]), (3, Some(Status(0)), &b"abc"[..]));
        assert!(reply.head(0, &Status(0).and(b"abcde"), &[]).is_err(), "more than was asked for");
        assert!(reply.head(0, b"abc", &[]).is_err(), "no status");
    }

    #[test]
    fn where_nobody_listens_the_door_is_shut_and_left_alone_for_a_while() {
        let doors = Doors::new();
        let info = Info { write_back: false, names: true, doors: 1, token: [3; 16] };
        assert_eq!(doors.read(&info, 0, 1, 0, &mut [0; 8]), Came::Shut);
        assert_eq!(doors.write(Op::Write, (&info, 0), 1, 0, &[0; 8]), (Came::Shut, None));
        let asked = Asked::default();
        assert_eq!(doors.ask(&info, 0, Op::Stat, &asked, &mut [0; 8]), Came::Shut);
        assert_eq!(doors.ask(&info, 0, Op::Unlink, &asked, &mut []), Came::Shut, "it cannot have happened");
        assert!(doors.open.lock()[0].until.is_some());
    }

    #[test]
    fn the_table_of_mounts_is_looked_at_once_and_when_it_changes() {
        let doors = Doors::new();
        assert_eq!(
            (doors.watching(|changed| changed), doors.watching(|changed| changed)),
            (Some(true), Some(false))
        );
        let descriptor = *doors.watched.lock();
        assert!(is_hidden(descriptor));
        doors.end(descriptor);
        assert!(!is_hidden(descriptor));
        kernel::close(descriptor);
        assert_eq!(doors.watching(|changed| changed), Some(true));
        let descriptor = *doors.watched.lock();
        doors.end(descriptor);
        kernel::close(descriptor);
    }
}
