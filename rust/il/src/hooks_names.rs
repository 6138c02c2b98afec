//! The functions with paths, as [`hooks`](crate::hooks) are those with descriptors.
#![allow(unsafe_code)]

use crate::names::{self, Path, Seen, Told};
use crate::{kernel, process, real};
use daos_door::Op;
use libc::{c_char, c_int, c_uint, mode_t, size_t, ssize_t};
use std::ffi::CStr;

/// The lowest address that can be a program's: what is below the kernel refuses.
pub(crate) const LOWEST: usize = 4096;
/// The versions of `struct stat` that are this machine's.
#[cfg(target_arch = "x86_64")]
const VERSIONS: [c_int; 2] = [0, 1];
#[cfg(not(target_arch = "x86_64"))]
const VERSIONS: [c_int; 1] = [0];
/// What of `statx` is known of each file.
const KNOWN: u32 = libc::STATX_BASIC_STATS | libc::STATX_BTIME | libc::STATX_MNT_ID;

/// The words of a path, if it can be one.
pub(crate) unsafe fn path_of<'p>(directory: c_int, path: *const c_char) -> Option<Path<'p>> {
    if (path as usize) < LOWEST {
        return None;
    }
    // SAFETY: the program says that it is a string that ends with a NUL.
    Some(Path { directory, words: unsafe { CStr::from_ptr(path) }.to_bytes() })
}

pub(crate) fn refused(number: c_int) -> c_int {
    kernel::set_errno(number);
    -1
}

/// What a call with nothing to tell came to.
pub(crate) fn done(told: Told<usize>) -> Option<c_int> {
    told.map(|done| done.map_or_else(refused, |_| 0))
}

/// Puts what was seen where the program wants it.
unsafe fn filled(told: Told<Seen>, room: *mut libc::stat) -> Option<c_int> {
    let Seen { attr, device, .. } = match told? {
        Ok(seen) => seen,
        Err(number) => return Some(refused(number)),
    };
    // SAFETY: all of it are numbers, of which each can be 0.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    stat.st_dev = libc::makedev(device.0, device.1);
    stat.st_ino = attr.ino;
    stat.st_nlink = attr.links.into();
    stat.st_mode = attr.mode;
    stat.st_uid = attr.uid;
    stat.st_gid = attr.gid;
    stat.st_size = attr.size.cast_signed();
    stat.st_blksize = attr.block_size.into();
    stat.st_blocks = attr.blocks.cast_signed();
    let [accessed, modified, changed] = attr.times;
    (stat.st_atime, stat.st_atime_nsec) = (accessed.0, accessed.1.into());
    (stat.st_mtime, stat.st_mtime_nsec) = (modified.0, modified.1.into());
    (stat.st_ctime, stat.st_ctime_nsec) = (changed.0, changed.1.into());
    // SAFETY: the program says that there is room for one.
    unsafe { room.write_unaligned(stat) };
    Some(0)
}

/// `fstatat`, and what is one.
unsafe fn stat_by(
    directory: c_int,
    path: *const c_char,
    room: *mut libc::stat,
    flags: c_int,
) -> Option<c_int> {
    const FLAGS: c_int = libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT;
    if flags & !FLAGS != 0 || (room as usize) < LOWEST {
        return None;
    }
    // SAFETY: what the program says, here and below.
    let path = unsafe { path_of(directory, path) }?;
    // SAFETY: as above.
    unsafe { filled(names::stat(&path, flags & libc::AT_SYMLINK_NOFOLLOW == 0), room) }
}

unsafe fn stat_of(descriptor: c_int, room: *mut libc::stat) -> Option<c_int> {
    if (room as usize) < LOWEST {
        return None;
    }
    // SAFETY: what the program says.
    unsafe { filled(names::stat_of(descriptor), room) }
}

macro_rules! stats {
    ($($stat:ident $lstat:ident $fstat:ident $fstatat:ident $xstat:ident $lxstat:ident $fxstat:ident $fxstatat:ident;)+) => {
        $(
            /// `stat`.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $stat(path: *const c_char, room: *mut libc::stat) -> c_int {
                // SAFETY: what the program says, here and below.
                let done = unsafe { stat_by(libc::AT_FDCWD, path, room, 0) };
                // SAFETY: as above.
                done.unwrap_or_else(|| unsafe { real::$stat(path, room) })
            }

            /// `lstat`.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $lstat(path: *const c_char, room: *mut libc::stat) -> c_int {
                // SAFETY: what the program says, here and below.
                let done = unsafe { stat_by(libc::AT_FDCWD, path, room, libc::AT_SYMLINK_NOFOLLOW) };
                // SAFETY: as above.
                done.unwrap_or_else(|| unsafe { real::$lstat(path, room) })
            }

            /// `fstat`.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $fstat(descriptor: c_int, room: *mut libc::stat) -> c_int {
                // SAFETY: what the program says, here and below.
                let done = unsafe { stat_of(descriptor, room) };
                // SAFETY: as above.
                done.unwrap_or_else(|| unsafe { real::$fstat(descriptor, room) })
            }

            /// `fstatat`.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $fstatat(
                directory: c_int,
                path: *const c_char,
                room: *mut libc::stat,
                flags: c_int,
            ) -> c_int {
                // SAFETY: what the program says, here and below.
                let done = unsafe { stat_by(directory, path, room, flags) };
                // SAFETY: as above.
                done.unwrap_or_else(|| unsafe { real::$fstatat(directory, path, room, flags) })
            }

            /// `stat` of programs that were built before glibc 2.33.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $xstat(version: c_int, path: *const c_char, room: *mut libc::stat) -> c_int {
                let ours = VERSIONS.contains(&version);
                // SAFETY: what the program says, here and below.
                let done = if ours { unsafe { stat_by(libc::AT_FDCWD, path, room, 0) } } else { None };
                // SAFETY: as above.
                done.unwrap_or_else(|| unsafe { real::$xstat(version, path, room) })
            }

            /// `lstat` of those.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $lxstat(version: c_int, path: *const c_char, room: *mut libc::stat) -> c_int {
                let ours = VERSIONS.contains(&version);
                let flags = libc::AT_SYMLINK_NOFOLLOW;
                // SAFETY: what the program says, here and below.
                let done = if ours { unsafe { stat_by(libc::AT_FDCWD, path, room, flags) } } else { None };
                // SAFETY: as above.
                done.unwrap_or_else(|| unsafe { real::$lxstat(version, path, room) })
            }

            /// `fstat` of those.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $fxstat(version: c_int, descriptor: c_int, room: *mut libc::stat) -> c_int {
                let ours = VERSIONS.contains(&version);
                // SAFETY: what the program says, here and below.
                let done = if ours { unsafe { stat_of(descriptor, room) } } else { None };
                // SAFETY: as above.
                done.unwrap_or_else(|| unsafe { real::$fxstat(version, descriptor, room) })
            }

            /// `fstatat` of those.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $fxstatat(
                version: c_int,
                directory: c_int,
                path: *const c_char,
                room: *mut libc::stat,
                flags: c_int,
            ) -> c_int {
                let ours = VERSIONS.contains(&version);
                // SAFETY: what the program says, here and below.
                let done = if ours { unsafe { stat_by(directory, path, room, flags) } } else { None };
                // SAFETY: as above.
                done.unwrap_or_else(|| unsafe { real::$fxstatat(version, directory, path, room, flags) })
            }
        )+
    };
}

stats! {
    stat lstat fstat fstatat __xstat __lxstat __fxstat __fxstatat;
    stat64 lstat64 fstat64 fstatat64 __xstat64 __lxstat64 __fxstat64 __fxstatat64;
}

unsafe fn statx_by(
    directory: c_int,
    path: *const c_char,
    flags: c_int,
    mask: c_uint,
    room: *mut libc::statx,
) -> Option<c_int> {
    const FLAGS: c_int = libc::AT_SYMLINK_NOFOLLOW | libc::AT_NO_AUTOMOUNT | libc::AT_STATX_FORCE_SYNC;
    if flags & !FLAGS != 0 || mask & !KNOWN != 0 || (room as usize) < LOWEST {
        return None;
    }
    // SAFETY: what the program says.
    let path = unsafe { path_of(directory, path) }?;
    let told = names::stat(&path, flags & libc::AT_SYMLINK_NOFOLLOW == 0)?;
    let Seen { attr, device, mount } = match told {
        Ok(seen) => seen,
        Err(number) => return Some(refused(number)),
    };
    // What of it is the kernel's alone is that of its root, which asks nobody, but for what tells that it is one.
    let mut statx = process::root_statx(mount)?;
    if attr.ino != statx.stx_ino {
        statx.stx_attributes &= !(libc::STATX_ATTR_MOUNT_ROOT as u64);
    }
    statx.stx_mask = libc::STATX_BASIC_STATS | statx.stx_mask & libc::STATX_MNT_ID;
    statx.stx_blksize = attr.block_size;
    statx.stx_nlink = attr.links;
    statx.stx_uid = attr.uid;
    statx.stx_gid = attr.gid;
    statx.stx_mode = attr.mode as u16;
    statx.stx_ino = attr.ino;
    statx.stx_size = attr.size;
    statx.stx_blocks = attr.blocks;
    statx.stx_dev_major = device.0;
    statx.stx_dev_minor = device.1;
    for (to, (seconds, nanoseconds)) in
        [&mut statx.stx_atime, &mut statx.stx_mtime, &mut statx.stx_ctime].into_iter().zip(attr.times)
    {
        to.tv_sec = seconds;
        to.tv_nsec = nanoseconds;
    }
    // SAFETY: the program says that there is room for one.
    unsafe { room.write_unaligned(statx) };
    Some(0)
}

/// `statx`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn statx(
    directory: c_int,
    path: *const c_char,
    flags: c_int,
    mask: c_uint,
    room: *mut libc::statx,
) -> c_int {
    // SAFETY: what the program says, here and below.
    let done = unsafe { statx_by(directory, path, flags, mask, room) };
    // SAFETY: as above.
    done.unwrap_or_else(|| unsafe { real::statx(directory, path, flags, mask, room) })
}

/// `faccessat`, and what is one. Real and effective user are the same, or it is the kernel's.
unsafe fn access_by(directory: c_int, path: *const c_char, rights: c_int, flags: c_int) -> Option<c_int> {
    if flags & !(libc::AT_EACCESS | libc::AT_SYMLINK_NOFOLLOW) != 0 {
        return None;
    }
    // SAFETY: what the program says.
    let path = unsafe { path_of(directory, path) }?;
    let follow = flags & libc::AT_SYMLINK_NOFOLLOW == 0;
    done(names::access(&path, u32::try_from(rights).ok()?, follow))
}

/// `access`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn access(path: *const c_char, rights: c_int) -> c_int {
    // SAFETY: what the program says, here and below.
    let done = unsafe { access_by(libc::AT_FDCWD, path, rights, 0) };
    // SAFETY: as above.
    done.unwrap_or_else(|| unsafe { real::access(path, rights) })
}

/// `faccessat`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn faccessat(
    directory: c_int,
    path: *const c_char,
    rights: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: what the program says, here and below.
    let done = unsafe { access_by(directory, path, rights, flags) };
    // SAFETY: as above.
    done.unwrap_or_else(|| unsafe { real::faccessat(directory, path, rights, flags) })
}

unsafe fn readlink_by(
    directory: c_int,
    path: *const c_char,
    room: *mut c_char,
    len: size_t,
) -> Option<ssize_t> {
    if (room as usize) < LOWEST || len > isize::MAX as usize {
        return None;
    }
    // SAFETY: what the program says.
    let path = unsafe { path_of(directory, path) }?;
    // SAFETY: the program says that there are as many bytes of its own.
    let room = unsafe { std::slice::from_raw_parts_mut(room.cast::<u8>(), len.min(libc::PATH_MAX as usize)) };
    match names::readlink(&path, room)? {
        Ok(len) => Some(len.cast_signed()),
        Err(number) => Some(refused(number) as ssize_t),
    }
}

/// `readlink`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn readlink(path: *const c_char, room: *mut c_char, len: size_t) -> ssize_t {
    // SAFETY: what the program says, here and below.
    let done = unsafe { readlink_by(libc::AT_FDCWD, path, room, len) };
    // SAFETY: as above.
    done.unwrap_or_else(|| unsafe { real::readlink(path, room, len) })
}

/// `readlinkat`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn readlinkat(
    directory: c_int,
    path: *const c_char,
    room: *mut c_char,
    len: size_t,
) -> ssize_t {
    // SAFETY: what the program says, here and below.
    let done = unsafe { readlink_by(directory, path, room, len) };
    // SAFETY: as above.
    done.unwrap_or_else(|| unsafe { real::readlinkat(directory, path, room, len) })
}

/// `readlink` of programs that are built with checks.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn __readlink_chk(
    path: *const c_char,
    room: *mut c_char,
    len: size_t,
    most: size_t,
) -> ssize_t {
    if len > most {
        // SAFETY: it ends the program.
        return unsafe { real::__readlink_chk(path, room, len, most) };
    }
    // SAFETY: what the program says.
    unsafe { readlink(path, room, len) }
}

/// `readlinkat` of programs that are built with checks.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn __readlinkat_chk(
    directory: c_int,
    path: *const c_char,
    room: *mut c_char,
    len: size_t,
    most: size_t,
) -> ssize_t {
    if len > most {
        // SAFETY: it ends the program.
        return unsafe { real::__readlinkat_chk(directory, path, room, len, most) };
    }
    // SAFETY: what the program says.
    unsafe { readlinkat(directory, path, room, len) }
}

unsafe fn remove_by(op: Op, directory: c_int, path: *const c_char) -> Option<c_int> {
    // SAFETY: what the program says.
    let path = unsafe { path_of(directory, path) }?;
    done(names::remove(op, &path))
}

/// `unlink`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    // SAFETY: what the program says, here and below.
    let done = unsafe { remove_by(Op::Unlink, libc::AT_FDCWD, path) };
    // SAFETY: as above.
    done.unwrap_or_else(|| unsafe { real::unlink(path) })
}

/// `rmdir`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn rmdir(path: *const c_char) -> c_int {
    // SAFETY: what the program says, here and below.
    let done = unsafe { remove_by(Op::Rmdir, libc::AT_FDCWD, path) };
    // SAFETY: as above.
    done.unwrap_or_else(|| unsafe { real::rmdir(path) })
}

/// `unlinkat`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn unlinkat(directory: c_int, path: *const c_char, flags: c_int) -> c_int {
    let op = match flags {
        0 => Some(Op::Unlink),
        libc::AT_REMOVEDIR => Some(Op::Rmdir),
        _ => None,
    };
    // SAFETY: what the program says, here and below.
    let done = op.and_then(|op| unsafe { remove_by(op, directory, path) });
    // SAFETY: as above.
    done.unwrap_or_else(|| unsafe { real::unlinkat(directory, path, flags) })
}

unsafe fn mkdir_by(directory: c_int, path: *const c_char, mode: mode_t) -> Option<c_int> {
    // SAFETY: what the program says.
    let path = unsafe { path_of(directory, path) }?;
    done(names::mkdir(&path, mode))
}

/// `mkdir`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn mkdir(path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: what the program says, here and below.
    let done = unsafe { mkdir_by(libc::AT_FDCWD, path, mode) };
    // SAFETY: as above.
    done.unwrap_or_else(|| unsafe { real::mkdir(path, mode) })
}

/// `mkdirat`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn mkdirat(directory: c_int, path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: what the program says, here and below.
    let done = unsafe { mkdir_by(directory, path, mode) };
    // SAFETY: as above.
    done.unwrap_or_else(|| unsafe { real::mkdirat(directory, path, mode) })
}

unsafe fn rename_by(
    from: (c_int, *const c_char),
    to: (c_int, *const c_char),
    flags: c_uint,
) -> Option<c_int> {
    if flags & !libc::RENAME_NOREPLACE != 0 {
        return None;
    }
    // SAFETY: what the program says.
    let (from, to) = unsafe { (path_of(from.0, from.1)?, path_of(to.0, to.1)?) };
    done(names::rename(&from, &to, flags == 0))
}

/// `rename`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: what the program says, here and below.
    let done = unsafe { rename_by((libc::AT_FDCWD, from), (libc::AT_FDCWD, to), 0) };
    // SAFETY: as above.
    done.unwrap_or_else(|| unsafe { real::rename(from, to) })
}

/// `renameat`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn renameat(
    from: c_int,
    from_path: *const c_char,
    to: c_int,
    to_path: *const c_char,
) -> c_int {
    // SAFETY: what the program says, here and below.
    let done = unsafe { rename_by((from, from_path), (to, to_path), 0) };
    // SAFETY: as above.
    done.unwrap_or_else(|| unsafe { real::renameat(from, from_path, to, to_path) })
}

/// `renameat2`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn renameat2(
    from: c_int,
    from_path: *const c_char,
    to: c_int,
    to_path: *const c_char,
    flags: c_uint,
) -> c_int {
    // SAFETY: what the program says, here and below.
    let done = unsafe { rename_by((from, from_path), (to, to_path), flags) };
    // SAFETY: as above.
    done.unwrap_or_else(|| unsafe { real::renameat2(from, from_path, to, to_path, flags) })
}

/// `umask`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn umask(mask: mode_t) -> mode_t {
    // SAFETY: a number.
    let before = unsafe { real::umask(mask) };
    process::note_umask(mask);
    before
}

/// `unshare`: what threads have in common, and what is whose user, is not looked at each time.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn unshare(flags: c_int) -> c_int {
    process::leave_names();
    // SAFETY: a number.
    unsafe { real::unshare(flags) }
}

/// `setns`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn setns(descriptor: c_int, kind: c_int) -> c_int {
    process::leave_names();
    // SAFETY: what the program says.
    unsafe { real::setns(descriptor, kind) }
}

// One layout serves both, and the functions of both names.
const _: () = assert!(size_of::<libc::stat>() == size_of::<libc::stat64>());
