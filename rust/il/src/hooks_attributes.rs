//! The functions that make links, set what is known of files, and ask for attributes of users: as those of
//! [`hooks_names`](crate::hooks_names).
#![allow(unsafe_code)]

use crate::hooks_names::{LOWEST, done, path_of, refused};
use crate::names::{self, Of, Told};
use crate::{kernel, real};
use daos_door::{INLINE_MAX, Moment, Op, Owner, SetTime, XattrHow};
use libc::{c_char, c_int, c_void, gid_t, mode_t, off_t, size_t, ssize_t, timespec, timeval, uid_t, utimbuf};

/// Bits of a mode that can be set.
const MODE: mode_t = 0o7777;
/// Bytes of the name of an attribute.
const NAME_MAX: usize = 255;

/// What a path leads to.
unsafe fn of_path<'p>(directory: c_int, path: *const c_char, follow: bool) -> Option<Of<'p>> {
    // SAFETY: what the program says.
    Some(Of::Path(unsafe { path_of(directory, path) }?, follow))
}

/// The same by the flags of a call, if there are none but one.
unsafe fn of_flags<'p>(directory: c_int, path: *const c_char, flags: c_int) -> Option<Of<'p>> {
    if flags & !libc::AT_SYMLINK_NOFOLLOW != 0 {
        return None;
    }
    // SAFETY: what the program says.
    unsafe { of_path(directory, path, flags == 0) }
}

/// A string of the program's.
unsafe fn text<'p>(text: *const c_char) -> Option<&'p [u8]> {
    // SAFETY: what the program says: it ends with a NUL.
    Some(unsafe { path_of(0, text) }?.words)
}

/// `symlink`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn symlink(value: *const c_char, path: *const c_char) -> c_int {
    // SAFETY: what the program says, here and below.
    let told = unsafe { symlink_by(value, libc::AT_FDCWD, path) };
    // SAFETY: as above.
    told.unwrap_or_else(|| unsafe { real::symlink(value, path) })
}

/// `symlinkat`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn symlinkat(
    value: *const c_char,
    directory: c_int,
    path: *const c_char,
) -> c_int {
    // SAFETY: what the program says, here and below.
    let told = unsafe { symlink_by(value, directory, path) };
    // SAFETY: as above.
    told.unwrap_or_else(|| unsafe { real::symlinkat(value, directory, path) })
}

unsafe fn symlink_by(value: *const c_char, directory: c_int, path: *const c_char) -> Option<c_int> {
    // SAFETY: what the program says.
    let (value, path) = unsafe { (text(value)?, path_of(directory, path)?) };
    done(names::symlink(value, &path))
}

unsafe fn link_by(from: (c_int, *const c_char), to: (c_int, *const c_char)) -> Option<c_int> {
    // SAFETY: what the program says.
    let (from, to) = unsafe { (path_of(from.0, from.1)?, path_of(to.0, to.1)?) };
    done(names::link(&from, &to))
}

/// `link`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn link(from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: what the program says, here and below.
    let told = unsafe { link_by((libc::AT_FDCWD, from), (libc::AT_FDCWD, to)) };
    // SAFETY: as above.
    told.unwrap_or_else(|| unsafe { real::link(from, to) })
}

/// `linkat`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn linkat(
    from: c_int,
    from_path: *const c_char,
    to: c_int,
    to_path: *const c_char,
    flags: c_int,
) -> c_int {
    // SAFETY: what the program says, here and below.
    let told = if flags == 0 { unsafe { link_by((from, from_path), (to, to_path)) } } else { None };
    // SAFETY: as above.
    told.unwrap_or_else(|| unsafe { real::linkat(from, from_path, to, to_path, flags) })
}

macro_rules! truncates {
    ($($name:ident)+) => {
        $(
            /// `truncate`.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $name(path: *const c_char, len: off_t) -> c_int {
                // SAFETY: what the program says, here and below.
                let told = unsafe { of_path(libc::AT_FDCWD, path, true) }.and_then(|of| {
                    let size = u64::try_from(len).ok()?.to_le_bytes();
                    if kernel::is_size_limited() { None } else { done(names::set(Op::Truncate, &of, 0, &size)) }
                });
                // SAFETY: as above.
                told.unwrap_or_else(|| unsafe { real::truncate(path, len) })
            }
        )+
    };
}

truncates! { truncate truncate64 }

fn set_mode(of: Option<Of<'_>>, mode: mode_t) -> Option<c_int> {
    done(names::set(Op::Chmod, &of?, mode & MODE, &[]))
}

/// `chmod`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn chmod(path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: what the program says, here and below.
    let told = set_mode(unsafe { of_path(libc::AT_FDCWD, path, true) }, mode);
    // SAFETY: as above.
    told.unwrap_or_else(|| unsafe { real::chmod(path, mode) })
}

/// `fchmod`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn fchmod(descriptor: c_int, mode: mode_t) -> c_int {
    let told = set_mode(Some(Of::Open(descriptor)), mode);
    // SAFETY: what the program says.
    told.unwrap_or_else(|| unsafe { real::fchmod(descriptor, mode) })
}

/// `fchmodat`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn fchmodat(
    directory: c_int,
    path: *const c_char,
    mode: mode_t,
    flags: c_int,
) -> c_int {
    // SAFETY: what the program says, here and below.
    let of = if flags == 0 { unsafe { of_path(directory, path, true) } } else { None };
    // SAFETY: as above.
    set_mode(of, mode).unwrap_or_else(|| unsafe { real::fchmodat(directory, path, mode, flags) })
}

fn give(of: Option<Of<'_>>, uid: uid_t, gid: gid_t) -> Option<c_int> {
    let id = |id: u32| Some(id).filter(|id| *id != u32::MAX);
    let owner = Owner { uid: id(uid), gid: id(gid) };
    done(names::set(Op::Chown, &of?, 0, &owner.encode()))
}

/// `chown`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn chown(path: *const c_char, uid: uid_t, gid: gid_t) -> c_int {
    // SAFETY: what the program says, here and below.
    let told = give(unsafe { of_path(libc::AT_FDCWD, path, true) }, uid, gid);
    // SAFETY: as above.
    told.unwrap_or_else(|| unsafe { real::chown(path, uid, gid) })
}

/// `lchown`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn lchown(path: *const c_char, uid: uid_t, gid: gid_t) -> c_int {
    // SAFETY: what the program says, here and below.
    let told = give(unsafe { of_path(libc::AT_FDCWD, path, false) }, uid, gid);
    // SAFETY: as above.
    told.unwrap_or_else(|| unsafe { real::lchown(path, uid, gid) })
}

/// `fchown`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn fchown(descriptor: c_int, uid: uid_t, gid: gid_t) -> c_int {
    let told = give(Some(Of::Open(descriptor)), uid, gid);
    // SAFETY: what the program says.
    told.unwrap_or_else(|| unsafe { real::fchown(descriptor, uid, gid) })
}

/// `fchownat`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn fchownat(
    directory: c_int,
    path: *const c_char,
    uid: uid_t,
    gid: gid_t,
    flags: c_int,
) -> c_int {
    // SAFETY: what the program says, here and below.
    let told = give(unsafe { of_flags(directory, path, flags) }, uid, gid);
    // SAFETY: as above.
    told.unwrap_or_else(|| unsafe { real::fchownat(directory, path, uid, gid, flags) })
}

/// What a program wants times to be: of access, and of the last change; both now without any. Nothing where the kernel would refuse it.
unsafe fn times_of<T: Copy>(times: *const T, moment: impl Fn(T) -> Option<Moment>) -> Option<SetTime> {
    if times.is_null() {
        return Some(SetTime { modified: Moment::Now, all_now: true });
    }
    if (times as usize) < LOWEST || !times.is_aligned() {
        return None;
    }
    // SAFETY: the program says that there are two.
    let (accessed, modified) = unsafe { (moment(*times)?, moment(*times.add(1))?) };
    Some(SetTime { modified, all_now: accessed == Moment::Now && modified == Moment::Now })
}

fn of_timespec(time: timespec) -> Option<Moment> {
    match time.tv_nsec {
        libc::UTIME_NOW => Some(Moment::Now),
        libc::UTIME_OMIT => Some(Moment::Kept),
        nanoseconds => {
            let nanoseconds = u32::try_from(nanoseconds).ok().filter(|number| *number < 1_000_000_000)?;
            Some(Moment::At(time.tv_sec, nanoseconds))
        }
    }
}

fn of_timeval(time: timeval) -> Option<Moment> {
    let microseconds = u32::try_from(time.tv_usec).ok().filter(|microseconds| *microseconds < 1_000_000)?;
    Some(Moment::At(time.tv_sec, microseconds * 1000))
}

fn set_times(of: Option<Of<'_>>, set: Option<SetTime>) -> Option<c_int> {
    // Where both stay the kernel looks at nothing.
    let set = set.filter(|set| set.modified != Moment::Kept)?;
    done(names::set(Op::SetTime, &of?, 0, &set.encode()))
}

/// `utimensat`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn utimensat(
    directory: c_int,
    path: *const c_char,
    times: *const timespec,
    flags: c_int,
) -> c_int {
    // SAFETY: what the program says, here and below.
    let told = unsafe { set_times(of_flags(directory, path, flags), times_of(times, of_timespec)) };
    // SAFETY: as above.
    told.unwrap_or_else(|| unsafe { real::utimensat(directory, path, times, flags) })
}

/// `futimens`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn futimens(descriptor: c_int, times: *const timespec) -> c_int {
    // SAFETY: what the program says, here and below.
    let told = set_times(Some(Of::Open(descriptor)), unsafe { times_of(times, of_timespec) });
    // SAFETY: as above.
    told.unwrap_or_else(|| unsafe { real::futimens(descriptor, times) })
}

/// `utime`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn utime(path: *const c_char, times: *const utimbuf) -> c_int {
    let set = if times.is_null() {
        Some(SetTime { modified: Moment::Now, all_now: true })
    } else if (times as usize) < LOWEST || !times.is_aligned() {
        None
    } else {
        // SAFETY: the program says that it is there.
        Some(SetTime { modified: Moment::At(unsafe { (*times).modtime }, 0), all_now: false })
    };
    // SAFETY: what the program says, here and below.
    let told = set_times(unsafe { of_path(libc::AT_FDCWD, path, true) }, set);
    // SAFETY: as above.
    told.unwrap_or_else(|| unsafe { real::utime(path, times) })
}

/// `utimes`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn utimes(path: *const c_char, times: *const timeval) -> c_int {
    // SAFETY: what the program says, here and below.
    let told = unsafe { set_times(of_path(libc::AT_FDCWD, path, true), times_of(times, of_timeval)) };
    // SAFETY: as above.
    told.unwrap_or_else(|| unsafe { real::utimes(path, times) })
}

/// `lutimes`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn lutimes(path: *const c_char, times: *const timeval) -> c_int {
    // SAFETY: what the program says, here and below.
    let told = unsafe { set_times(of_path(libc::AT_FDCWD, path, false), times_of(times, of_timeval)) };
    // SAFETY: as above.
    told.unwrap_or_else(|| unsafe { real::lutimes(path, times) })
}

/// `futimes`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn futimes(descriptor: c_int, times: *const timeval) -> c_int {
    // SAFETY: what the program says, here and below.
    let told = set_times(Some(Of::Open(descriptor)), unsafe { times_of(times, of_timeval) });
    // SAFETY: as above.
    told.unwrap_or_else(|| unsafe { real::futimes(descriptor, times) })
}

/// `futimesat`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn futimesat(
    directory: c_int,
    path: *const c_char,
    times: *const timeval,
) -> c_int {
    // SAFETY: what the program says, here and below.
    let told = unsafe { set_times(of_path(directory, path, true), times_of(times, of_timeval)) };
    // SAFETY: as above.
    told.unwrap_or_else(|| unsafe { real::futimesat(directory, path, times) })
}

/// The name of an attribute, if it can be one.
unsafe fn name_of<'p>(name: *const c_char) -> Option<&'p [u8]> {
    // SAFETY: what the program says.
    unsafe { text(name) }.filter(|name| (1..=NAME_MAX).contains(&name.len()))
}

fn told(told: Told<usize>) -> Option<ssize_t> {
    told.map(|done| match done {
        Ok(len) => len.cast_signed(),
        Err(number) => refused(number) as ssize_t,
    })
}

/// Asks for the value of an attribute, or, without a name, for the names of all.
unsafe fn ask(
    of: Option<Of<'_>>,
    name: Option<*const c_char>,
    room: *mut c_void,
    len: size_t,
) -> Option<ssize_t> {
    let of = of?;
    let (op, name) = match name {
        // SAFETY: what the program says.
        Some(name) => (Op::Getxattr, unsafe { name_of(name) }?),
        None => (Op::Listxattr, &[][..]),
    };
    if len == 0 {
        return told(names::xattr(op, &of, name, &mut []));
    }
    if (room as usize) < LOWEST {
        return None;
    }
    // SAFETY: the program says that there are as many bytes of its own.
    let room =
        unsafe { std::slice::from_raw_parts_mut(room.cast::<u8>(), len.min(XattrHow::ROOM_MAX as usize)) };
    told(names::xattr(op, &of, name, room))
}

unsafe fn set(
    of: Option<Of<'_>>,
    name: *const c_char,
    value: *const c_void,
    len: size_t,
    flags: c_int,
) -> Option<c_int> {
    let of = of?;
    let how = match flags {
        0 => XattrHow::default(),
        libc::XATTR_CREATE => XattrHow { create: true, ..XattrHow::default() },
        libc::XATTR_REPLACE => XattrHow { replace: true, ..XattrHow::default() },
        _ => return None,
    };
    // SAFETY: what the program says.
    let name = unsafe { name_of(name) }?;
    let value = match len {
        0 => &[],
        1..=INLINE_MAX if value as usize >= LOWEST => {
            // SAFETY: the program says that there are as many bytes.
            unsafe { std::slice::from_raw_parts(value.cast::<u8>(), len) }
        }
        _ => return None,
    };
    done(names::set_xattr(&of, how.bits(), name, value))
}

unsafe fn remove(of: Option<Of<'_>>, name: *const c_char) -> Option<c_int> {
    let of = of?;
    // SAFETY: what the program says.
    let name = unsafe { name_of(name) }?;
    done(names::set(Op::Removexattr, &of, 0, name))
}

macro_rules! xattrs_of_paths {
    ($($follow:literal $get:ident $list:ident $set:ident $remove:ident;)+) => {
        $(
            /// `getxattr`.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $get(
                path: *const c_char,
                name: *const c_char,
                room: *mut c_void,
                len: size_t,
            ) -> ssize_t {
                // SAFETY: what the program says, here and below.
                let told = unsafe { ask(of_path(libc::AT_FDCWD, path, $follow), Some(name), room, len) };
                // SAFETY: as above.
                told.unwrap_or_else(|| unsafe { real::$get(path, name, room, len) })
            }

            /// `listxattr`.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $list(path: *const c_char, room: *mut c_char, len: size_t) -> ssize_t {
                // SAFETY: what the program says, here and below.
                let told = unsafe { ask(of_path(libc::AT_FDCWD, path, $follow), None, room.cast(), len) };
                // SAFETY: as above.
                told.unwrap_or_else(|| unsafe { real::$list(path, room, len) })
            }

            /// `setxattr`.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $set(
                path: *const c_char,
                name: *const c_char,
                value: *const c_void,
                len: size_t,
                flags: c_int,
            ) -> c_int {
                // SAFETY: what the program says, here and below.
                let told = unsafe { set(of_path(libc::AT_FDCWD, path, $follow), name, value, len, flags) };
                // SAFETY: as above.
                told.unwrap_or_else(|| unsafe { real::$set(path, name, value, len, flags) })
            }

            /// `removexattr`.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $remove(path: *const c_char, name: *const c_char) -> c_int {
                // SAFETY: what the program says, here and below.
                let told = unsafe { remove(of_path(libc::AT_FDCWD, path, $follow), name) };
                // SAFETY: as above.
                told.unwrap_or_else(|| unsafe { real::$remove(path, name) })
            }
        )+
    };
}

xattrs_of_paths! {
    true getxattr listxattr setxattr removexattr;
    false lgetxattr llistxattr lsetxattr lremovexattr;
}

/// `fgetxattr`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn fgetxattr(
    descriptor: c_int,
    name: *const c_char,
    room: *mut c_void,
    len: size_t,
) -> ssize_t {
    // SAFETY: what the program says, here and below.
    let told = unsafe { ask(Some(Of::Open(descriptor)), Some(name), room, len) };
    // SAFETY: as above.
    told.unwrap_or_else(|| unsafe { real::fgetxattr(descriptor, name, room, len) })
}

/// `flistxattr`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn flistxattr(descriptor: c_int, room: *mut c_char, len: size_t) -> ssize_t {
    // SAFETY: what the program says, here and below.
    let told = unsafe { ask(Some(Of::Open(descriptor)), None, room.cast(), len) };
    // SAFETY: as above.
    told.unwrap_or_else(|| unsafe { real::flistxattr(descriptor, room, len) })
}

/// `fsetxattr`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn fsetxattr(
    descriptor: c_int,
    name: *const c_char,
    value: *const c_void,
    len: size_t,
    flags: c_int,
) -> c_int {
    // SAFETY: what the program says, here and below.
    let told = unsafe { set(Some(Of::Open(descriptor)), name, value, len, flags) };
    // SAFETY: as above.
    told.unwrap_or_else(|| unsafe { real::fsetxattr(descriptor, name, value, len, flags) })
}

/// `fremovexattr`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn fremovexattr(descriptor: c_int, name: *const c_char) -> c_int {
    // SAFETY: what the program says, here and below.
    let told = unsafe { remove(Some(Of::Open(descriptor)), name) };
    // SAFETY: as above.
    told.unwrap_or_else(|| unsafe { real::fremovexattr(descriptor, name) })
}
