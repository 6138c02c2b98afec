//! What calls of a program come to: a request at a door, or nothing, and then the kernel does it.

use crate::descriptors::{Known, Seen, known, note};
use crate::door::Came;
use crate::kernel::{self, Identity};
use crate::policy::{KERNEL_FIRST, allows, can_be_taken, fits, pause};
use crate::process::{self, Inside};
use crate::report::{What, count};
use daos_door::Op;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Bytes that are read or written.
#[derive(Debug)]
pub(crate) enum Data<'a> {
    Into(&'a mut [u8]),
    From(&'a [u8]),
}

impl Data<'_> {
    fn len(&self) -> usize {
        match self {
            Self::Into(room) => room.len(),
            Self::From(bytes) => bytes.len(),
        }
    }

    fn writes(&self) -> bool {
        matches!(self, Self::From(_))
    }
}

/// What a call came to: bytes, or a number of `errno`.
pub(crate) type Done = Result<usize, i32>;

/// Reads or writes, at a place or at the descriptor's offset. Nothing where the kernel is to do it.
pub(crate) fn transfer(descriptor: i32, data: Data<'_>, at: Option<i64>) -> Option<Done> {
    let known = known(descriptor);
    if known == Known::Other {
        return None;
    }
    let writes = data.writes();
    let inside = Inside::enter()?;
    // A failure of ours must not be the program's.
    let done =
        catch_unwind(AssertUnwindSafe(|| transfer_inside(descriptor, known, data, at))).unwrap_or(None);
    drop(inside);
    if done.is_none() && matches!(known, Known::Aside { .. } | Known::Taken(_)) {
        count(if writes { What::KernelWrite } else { What::KernelRead });
    }
    done
}

fn transfer_inside(descriptor: i32, known: Known, data: Data<'_>, at: Option<i64>) -> Option<Done> {
    let seen = match known {
        Known::Other => return None,
        Known::Unknown => {
            note(descriptor, looked_at(descriptor));
            return None;
        }
        Known::Aside { after: 0, refused } => take(descriptor, refused)?,
        Known::Aside { after, refused } => {
            note(descriptor, Known::Aside { after: after - 1, refused });
            return None;
        }
        Known::Taken(seen) => seen,
    };
    let writes = data.writes();
    let flags = kernel::flags(descriptor)?;
    if !fits(data.len(), at) || !allows(flags, writes) {
        return None;
    }
    let appends = writes && flags & libc::O_APPEND != 0;
    // Asynchronous requests past the page cache end where the kernel knows the file to end, and are not seen here.
    let may_grow = flags & libc::O_DIRECT == 0;
    // Where such a write goes that has a place, only the kernel says.
    if appends && (at.is_some() || !may_grow) {
        return None;
    }
    let now = kernel::identity(descriptor)?;
    if now.device != seen.device || now.ino != seen.ino {
        // It was closed by a way that is not watched, and is another file by now.
        note(descriptor, Known::Unknown);
        return None;
    }
    if writes && kernel::is_size_limited() {
        return None;
    }
    let info = process::mount_of(seen.device)?.info(Some(descriptor))?;
    let doors = process::doors()?;
    let door = process::door_of_thread(info.doors);
    if let (true, Data::From(bytes)) = (appends, &data) {
        let (came, end) = doors.write(Op::Append, (&info, door), seen.handle, 0, bytes);
        if let Some(end) = end.and_then(|end| i64::try_from(end).ok()) {
            kernel::seek_to(descriptor, end);
        }
        return done_of(came, descriptor, What::Write);
    }
    let len = data.len();
    let place = match at {
        Some(at) => at,
        // The place is this thread's from here on, whoever shares the offset.
        None => {
            kernel::seek_by(descriptor, i64::try_from(len).ok()?)?.checked_sub(i64::try_from(len).ok()?)?
        }
    };
    let begin = u64::try_from(place).ok()?;
    let mut data = data;
    let came = match &mut data {
        Data::Into(room) => doors.read(&info, door, seen.handle, begin, room),
        Data::From(bytes) => {
            // Much of what the kernel does goes by how long it knows files to be: what makes one longer is done at a door where nobody
            // else has it open.
            match begin + bytes.len() as u64 > now.size {
                true if !may_grow => Came::Shut,
                true => doors.write(Op::Extend, (&info, door), seen.handle, begin, bytes).0,
                false => doors.write(Op::Write, (&info, door), seen.handle, begin, bytes).0,
            }
        }
    };
    let done = done_of(came, descriptor, if writes { What::Write } else { What::Read });
    if at.is_some() {
        return done;
    }
    // Others who share the offset are behind this place by now: the kernel does it there, and not where the offset is.
    let done = done.unwrap_or_else(|| {
        count(if writes { What::KernelWrite } else { What::KernelRead });
        match data {
            Data::Into(room) => kernel::read_at(descriptor, room, begin),
            Data::From(bytes) => kernel::write_at(descriptor, bytes, begin),
        }
    });
    let rest = i64::try_from(len - done.unwrap_or(0).min(len)).ok()?;
    // What is not used is given back; of what was to be written not where others have written behind it.
    if rest > 0 && (!writes || kernel::seek_by(descriptor, 0) == place.checked_add(i64::try_from(len).ok()?))
    {
        let _ = kernel::seek_by(descriptor, -rest);
    }
    Some(done)
}

/// What a request at a door came to, as the program sees it.
fn done_of(came: Came, descriptor: i32, what: What) -> Option<Done> {
    match came {
        Came::Bytes(used) => {
            count(what);
            Some(Ok(used))
        }
        // What is noted is of another handle of the same file.
        Came::Failed(libc::EBADF) => {
            note(descriptor, Known::Unknown);
            None
        }
        Came::Failed(libc::EAGAIN) | Came::Shut => None,
        Came::Failed(number) => Some(Err(number)),
        Came::Later => {
            note(descriptor, Known::Aside { after: pause(0), refused: 1 });
            None
        }
    }
}

/// Whether a file can be taken over, as far as it can be told without that.
fn is_ours(descriptor: i32, seen: &Identity) -> bool {
    let info = || process::mount_of(seen.device)?.info(Some(descriptor));
    seen.is_regular && info().is_some_and(|info| !info.write_back)
}

/// What a descriptor is of which nothing is known.
fn looked_at(descriptor: i32) -> Known {
    if kernel::identity(descriptor).is_some_and(|seen| is_ours(descriptor, &seen)) {
        // It may have been taken over by who had it before.
        Known::Aside { after: KERNEL_FIRST, refused: 1 }
    } else {
        Known::Other
    }
}

/// Takes a file over; nothing where the kernel has it.
fn take(descriptor: i32, refused: u32) -> Option<Seen> {
    let now = kernel::identity(descriptor)?;
    if !is_ours(descriptor, &now) {
        note(descriptor, Known::Other);
        return None;
    }
    match kernel::take(descriptor) {
        Ok(handle) => {
            let seen = Seen { handle, ino: now.ino, device: now.device };
            note(descriptor, Known::Taken(seen));
            count(What::Take);
            Some(seen)
        }
        Err(libc::EBUSY | libc::EINTR) => {
            note(descriptor, Known::Aside { after: pause(refused), refused: refused.saturating_add(1) });
            None
        }
        Err(_) => {
            note(descriptor, Known::Other);
            None
        }
    }
}

/// Opens a file by the kernel: `call` does it, with the flags that it is given. What can be taken over avoids the page cache from the
/// beginning; the program does not see that.
pub(crate) fn open(directory: i32, path: Option<&[u8]>, flags: i32, call: impl Fn(i32) -> i32) -> i32 {
    let before = Inside::enter();
    let wanted = before.is_some() && path.is_some();
    let ours = path.filter(|_| wanted).and_then(|path| {
        let mount = process::mount_of_path(directory, path)?;
        let info = mount.info(None)?;
        can_be_taken(flags, info.write_back).then_some(mount)
    });
    drop(before);
    let Some(mount) = ours else {
        let descriptor = call(flags);
        if wanted && descriptor >= 0 {
            opened_elsewhere(descriptor, flags);
        } else {
            note(descriptor, Known::Unknown);
        }
        return descriptor;
    };
    let mut descriptor = call(flags | libc::O_DIRECT);
    if descriptor < 0 && kernel::errno() == libc::EINVAL && flags & libc::O_DIRECT == 0 {
        // It led to somewhere else, where files cannot be opened so; by then it may have been made.
        descriptor = call(flags & !libc::O_EXCL);
    }
    if descriptor >= 0
        && let Some(_inside) = Inside::enter()
    {
        let is_ours = kernel::identity(descriptor)
            .is_some_and(|seen| seen.is_regular && seen.device == mount.mount.device);
        if flags & libc::O_DIRECT == 0 {
            kernel::set_flags(descriptor, flags);
        }
        note(descriptor, if is_ours { aside() } else { Known::Unknown });
    }
    descriptor
}

fn aside() -> Known {
    count(What::Open);
    Known::Aside { after: KERNEL_FIRST, refused: 0 }
}

/// A file that was opened by a path that did not tell where it leads: if that is a mount, it is opened again.
fn opened_elsewhere(descriptor: i32, flags: i32) {
    let Some(_inside) = Inside::enter() else { return };
    let Some(seen) = kernel::identity(descriptor).filter(|seen| seen.is_regular) else {
        return note(descriptor, Known::Other);
    };
    // Mostly there is none.
    let any = process::table().is_some_and(|table| !table.mounts.is_empty());
    let Some(mount) = any.then(|| process::mount_of(seen.device)).flatten() else {
        return note(descriptor, Known::Other);
    };
    let takes = mount.info(Some(descriptor)).is_some_and(|info| can_be_taken(flags, info.write_back));
    let done = takes && kernel::open_again(descriptor, flags);
    note(descriptor, if done { aside() } else { Known::Unknown });
}

/// Whether a call with this descriptor is worth a look.
pub(crate) fn is_watched(descriptor: i32) -> bool {
    known(descriptor) != Known::Other
}

/// Room for the parts of a call together; nothing where the library is not at work.
pub(crate) fn room_of(len: usize) -> Option<Vec<u8>> {
    Inside::enter().map(|_inside| vec![0; len])
}

/// Gives it back.
pub(crate) fn done_with(room: Vec<u8>) {
    // A signal that comes meanwhile must not come here: it would find the memory in the middle of this.
    let inside = Inside::enter();
    drop(room);
    drop(inside);
}

/// A descriptor is another by now, or none.
pub(crate) fn forget(descriptor: i32) {
    if known(descriptor) != Known::Unknown {
        note(descriptor, Known::Unknown);
    }
}

/// A descriptor is the same as another one.
pub(crate) fn duplicated(from: i32, to: i32) {
    if to >= 0 && from != to {
        note(to, known(from));
    }
}

/// A file is about to be sent somewhere by the kernel, which goes by what it keeps of it, and how long it knows it to be: as with one
/// that is mapped, unless it never was at a door.
pub(crate) fn sending(descriptor: i32) {
    if !matches!(known(descriptor), Known::Aside { refused: 0, .. }) {
        mapping(descriptor);
    }
}

/// A file is about to be mapped: the kernel has it from now on, as long as it is open or mapped.
pub(crate) fn mapping(descriptor: i32) {
    if descriptor < 0 || known(descriptor) == Known::Other {
        return;
    }
    let Some(_inside) = Inside::enter() else { return };
    let is_ours = match known(descriptor) {
        Known::Other => false,
        Known::Unknown => looked_at(descriptor) != Known::Other,
        Known::Aside { .. } | Known::Taken(_) => true,
    };
    if is_ours {
        kernel::leave(descriptor);
        count(What::Leave);
    }
    note(descriptor, Known::Other);
}
