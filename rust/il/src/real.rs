//! The functions that are behind those of this library: those of the next one that was loaded, in the end glibc's.
#![allow(unsafe_code)]

use libc::{
    DIR, c_char, c_int, c_long, c_uint, c_void, dirent64, gid_t, iovec, mode_t, off_t, size_t, ssize_t,
    timespec, timeval, uid_t, utimbuf,
};
use std::ffi::CStr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The address of a function, looked for when it is first needed.
#[inline]
fn find(place: &AtomicPtr<c_void>, name: &CStr) -> *mut c_void {
    let found = place.load(Ordering::Relaxed);
    if found.is_null() { look(place, name) } else { found }
}

#[cold]
fn look(place: &AtomicPtr<c_void>, name: &CStr) -> *mut c_void {
    // SAFETY: the name ends with a NUL.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    if found.is_null() {
        // glibc has had all of them for longer than what this is built for.
        std::process::abort();
    }
    place.store(found, Ordering::Relaxed);
    found
}

macro_rules! real {
    ($($name:ident: fn($($arg:ident: $kind:ty),* $(; $more:ident: $last:ty)?) -> $result:ty;)+) => {
        $(
            /// The function of this name that is behind ours.
            #[inline]
            pub(crate) unsafe fn $name($($arg: $kind,)* $($more: $last)?) -> $result {
                static PLACE: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
                const NAME: &CStr = match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                    Ok(name) => name,
                    Err(_) => panic!("a name has no NUL"),
                };
                let found = find(&PLACE, NAME);
                // SAFETY: a function of this name has these arguments, in this library's interface as in that of the one behind it.
                unsafe { call!(found, ($($arg: $kind),*) $(($more: $last))? -> $result) }
            }
        )+
    };
}

macro_rules! call {
    ($found:ident, ($($arg:ident: $kind:ty),*) -> $result:ty) => {
        std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($kind),*) -> $result>($found)($($arg),*)
    };
    // The last one is one of any number.
    ($found:ident, ($($arg:ident: $kind:ty),*) ($more:ident: $last:ty) -> $result:ty) => {
        std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($kind,)* ...) -> $result>($found)($($arg,)* $more)
    };
}

real! {
    open: fn(path: *const c_char, flags: c_int; mode: mode_t) -> c_int;
    open64: fn(path: *const c_char, flags: c_int; mode: mode_t) -> c_int;
    openat: fn(at: c_int, path: *const c_char, flags: c_int; mode: mode_t) -> c_int;
    openat64: fn(at: c_int, path: *const c_char, flags: c_int; mode: mode_t) -> c_int;
    __open_2: fn(path: *const c_char, flags: c_int) -> c_int;
    __open64_2: fn(path: *const c_char, flags: c_int) -> c_int;
    __openat_2: fn(at: c_int, path: *const c_char, flags: c_int) -> c_int;
    __openat64_2: fn(at: c_int, path: *const c_char, flags: c_int) -> c_int;
    read: fn(descriptor: c_int, buffer: *mut c_void, len: size_t) -> ssize_t;
    __read_chk: fn(descriptor: c_int, buffer: *mut c_void, len: size_t, room: size_t) -> ssize_t;
    pread: fn(descriptor: c_int, buffer: *mut c_void, len: size_t, at: off_t) -> ssize_t;
    __pread_chk: fn(descriptor: c_int, buffer: *mut c_void, len: size_t, at: off_t, room: size_t) -> ssize_t;
    write: fn(descriptor: c_int, buffer: *const c_void, len: size_t) -> ssize_t;
    pwrite: fn(descriptor: c_int, buffer: *const c_void, len: size_t, at: off_t) -> ssize_t;
    readv: fn(descriptor: c_int, parts: *const iovec, count: c_int) -> ssize_t;
    writev: fn(descriptor: c_int, parts: *const iovec, count: c_int) -> ssize_t;
    preadv: fn(descriptor: c_int, parts: *const iovec, count: c_int, at: off_t) -> ssize_t;
    pwritev: fn(descriptor: c_int, parts: *const iovec, count: c_int, at: off_t) -> ssize_t;
    preadv2: fn(descriptor: c_int, parts: *const iovec, count: c_int, at: off_t, flags: c_int) -> ssize_t;
    pwritev2: fn(descriptor: c_int, parts: *const iovec, count: c_int, at: off_t, flags: c_int) -> ssize_t;
    close: fn(descriptor: c_int) -> c_int;
    dup: fn(descriptor: c_int) -> c_int;
    dup2: fn(from: c_int, to: c_int) -> c_int;
    dup3: fn(from: c_int, to: c_int, flags: c_int) -> c_int;
    fcntl: fn(descriptor: c_int, command: c_int; argument: *mut c_void) -> c_int;
    mmap: fn(near: *mut c_void, len: size_t, protection: c_int, flags: c_int, descriptor: c_int, at: off_t) -> *mut c_void;
    stat: fn(path: *const c_char, room: *mut libc::stat) -> c_int;
    lstat: fn(path: *const c_char, room: *mut libc::stat) -> c_int;
    fstat: fn(descriptor: c_int, room: *mut libc::stat) -> c_int;
    fstatat: fn(at: c_int, path: *const c_char, room: *mut libc::stat, flags: c_int) -> c_int;
    __xstat: fn(version: c_int, path: *const c_char, room: *mut libc::stat) -> c_int;
    __lxstat: fn(version: c_int, path: *const c_char, room: *mut libc::stat) -> c_int;
    __fxstat: fn(version: c_int, descriptor: c_int, room: *mut libc::stat) -> c_int;
    __fxstatat: fn(version: c_int, at: c_int, path: *const c_char, room: *mut libc::stat, flags: c_int) -> c_int;
    stat64: fn(path: *const c_char, room: *mut libc::stat) -> c_int;
    lstat64: fn(path: *const c_char, room: *mut libc::stat) -> c_int;
    fstat64: fn(descriptor: c_int, room: *mut libc::stat) -> c_int;
    fstatat64: fn(at: c_int, path: *const c_char, room: *mut libc::stat, flags: c_int) -> c_int;
    __xstat64: fn(version: c_int, path: *const c_char, room: *mut libc::stat) -> c_int;
    __lxstat64: fn(version: c_int, path: *const c_char, room: *mut libc::stat) -> c_int;
    __fxstat64: fn(version: c_int, descriptor: c_int, room: *mut libc::stat) -> c_int;
    __fxstatat64: fn(version: c_int, at: c_int, path: *const c_char, room: *mut libc::stat, flags: c_int) -> c_int;
    statx: fn(at: c_int, path: *const c_char, flags: c_int, mask: c_uint, room: *mut libc::statx) -> c_int;
    access: fn(path: *const c_char, rights: c_int) -> c_int;
    faccessat: fn(at: c_int, path: *const c_char, rights: c_int, flags: c_int) -> c_int;
    readlink: fn(path: *const c_char, room: *mut c_char, len: size_t) -> ssize_t;
    readlinkat: fn(at: c_int, path: *const c_char, room: *mut c_char, len: size_t) -> ssize_t;
    __readlink_chk: fn(path: *const c_char, room: *mut c_char, len: size_t, most: size_t) -> ssize_t;
    __readlinkat_chk: fn(at: c_int, path: *const c_char, room: *mut c_char, len: size_t, most: size_t) -> ssize_t;
    unlink: fn(path: *const c_char) -> c_int;
    unlinkat: fn(at: c_int, path: *const c_char, flags: c_int) -> c_int;
    rmdir: fn(path: *const c_char) -> c_int;
    mkdir: fn(path: *const c_char, mode: mode_t) -> c_int;
    mkdirat: fn(at: c_int, path: *const c_char, mode: mode_t) -> c_int;
    rename: fn(from: *const c_char, to: *const c_char) -> c_int;
    renameat: fn(from: c_int, from_path: *const c_char, to: c_int, to_path: *const c_char) -> c_int;
    renameat2: fn(from: c_int, from_path: *const c_char, to: c_int, to_path: *const c_char, flags: c_uint) -> c_int;
    umask: fn(mask: mode_t) -> mode_t;
    unshare: fn(flags: c_int) -> c_int;
    setns: fn(descriptor: c_int, kind: c_int) -> c_int;
    symlink: fn(value: *const c_char, path: *const c_char) -> c_int;
    symlinkat: fn(value: *const c_char, at: c_int, path: *const c_char) -> c_int;
    link: fn(from: *const c_char, to: *const c_char) -> c_int;
    linkat: fn(from: c_int, from_path: *const c_char, to: c_int, to_path: *const c_char, flags: c_int) -> c_int;
    truncate: fn(path: *const c_char, len: off_t) -> c_int;
    chmod: fn(path: *const c_char, mode: mode_t) -> c_int;
    fchmod: fn(descriptor: c_int, mode: mode_t) -> c_int;
    fchmodat: fn(at: c_int, path: *const c_char, mode: mode_t, flags: c_int) -> c_int;
    chown: fn(path: *const c_char, uid: uid_t, gid: gid_t) -> c_int;
    lchown: fn(path: *const c_char, uid: uid_t, gid: gid_t) -> c_int;
    fchown: fn(descriptor: c_int, uid: uid_t, gid: gid_t) -> c_int;
    fchownat: fn(at: c_int, path: *const c_char, uid: uid_t, gid: gid_t, flags: c_int) -> c_int;
    utimensat: fn(at: c_int, path: *const c_char, times: *const timespec, flags: c_int) -> c_int;
    futimens: fn(descriptor: c_int, times: *const timespec) -> c_int;
    utime: fn(path: *const c_char, times: *const utimbuf) -> c_int;
    utimes: fn(path: *const c_char, times: *const timeval) -> c_int;
    lutimes: fn(path: *const c_char, times: *const timeval) -> c_int;
    futimes: fn(descriptor: c_int, times: *const timeval) -> c_int;
    futimesat: fn(at: c_int, path: *const c_char, times: *const timeval) -> c_int;
    getxattr: fn(path: *const c_char, name: *const c_char, room: *mut c_void, len: size_t) -> ssize_t;
    lgetxattr: fn(path: *const c_char, name: *const c_char, room: *mut c_void, len: size_t) -> ssize_t;
    fgetxattr: fn(descriptor: c_int, name: *const c_char, room: *mut c_void, len: size_t) -> ssize_t;
    listxattr: fn(path: *const c_char, room: *mut c_char, len: size_t) -> ssize_t;
    llistxattr: fn(path: *const c_char, room: *mut c_char, len: size_t) -> ssize_t;
    flistxattr: fn(descriptor: c_int, room: *mut c_char, len: size_t) -> ssize_t;
    setxattr: fn(path: *const c_char, name: *const c_char, value: *const c_void, len: size_t, flags: c_int) -> c_int;
    lsetxattr: fn(path: *const c_char, name: *const c_char, value: *const c_void, len: size_t, flags: c_int) -> c_int;
    fsetxattr: fn(descriptor: c_int, name: *const c_char, value: *const c_void, len: size_t, flags: c_int) -> c_int;
    removexattr: fn(path: *const c_char, name: *const c_char) -> c_int;
    lremovexattr: fn(path: *const c_char, name: *const c_char) -> c_int;
    fremovexattr: fn(descriptor: c_int, name: *const c_char) -> c_int;
    opendir: fn(path: *const c_char) -> *mut DIR;
    fdopendir: fn(descriptor: c_int) -> *mut DIR;
    readdir: fn(stream: *mut DIR) -> *mut dirent64;
    readdir64: fn(stream: *mut DIR) -> *mut dirent64;
    readdir_r: fn(stream: *mut DIR, room: *mut dirent64, result: *mut *mut dirent64) -> c_int;
    readdir64_r: fn(stream: *mut DIR, room: *mut dirent64, result: *mut *mut dirent64) -> c_int;
    telldir: fn(stream: *mut DIR) -> c_long;
    seekdir: fn(stream: *mut DIR, place: c_long) -> ();
    rewinddir: fn(stream: *mut DIR) -> ();
    dirfd: fn(stream: *mut DIR) -> c_int;
    closedir: fn(stream: *mut DIR) -> c_int;
    sendfile: fn(to: c_int, from: c_int, at: *mut off_t, len: size_t) -> ssize_t;
    sendfile64: fn(to: c_int, from: c_int, at: *mut off_t, len: size_t) -> ssize_t;
    copy_file_range: fn(from: c_int, from_at: *mut off_t, to: c_int, to_at: *mut off_t, len: size_t, flags: c_uint) -> ssize_t;
    splice: fn(from: c_int, from_at: *mut off_t, to: c_int, to_at: *mut off_t, len: size_t, flags: c_uint) -> ssize_t;
}
