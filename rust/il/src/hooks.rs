//! The functions that programs find here before they find glibc's. Each does at a door what can be done there, and else calls the one
//! behind it. Functions with any number of arguments are declared with as many as they can have: on the machines that this is built for
//! those are passed alike.
#![allow(unsafe_code)]

use crate::door::{hidden_within, is_hidden};
use crate::io::{self, Data, Done};
use crate::{door, kernel, memory, policy, process, real, report};
use libc::{c_char, c_int, c_uint, c_void, iovec, mode_t, off_t, size_t, ssize_t};
use std::ffi::CStr;
use std::sync::OnceLock;

/// The lowest address that can be a program's: what is below the kernel refuses.
const LOWEST: usize = 4096;
/// Parts of a vectored call.
const PARTS_MAX: usize = 1024;

/// The name of the program, if it wants a report.
static REPORTED: OnceLock<String> = OnceLock::new();

unsafe extern "C" {
    /// glibc's: the name of the program, without the directory.
    static program_invocation_short_name: *const c_char;
}

#[used]
#[unsafe(link_section = ".init_array")]
static BEGIN: extern "C" fn() = begin;

extern "C" fn begin() {
    let variable = |name: &str| {
        let name = std::ffi::CString::new(name).ok()?;
        // SAFETY: the name ends with a NUL, and nobody changes the environment before the program begins.
        let value = unsafe { libc::getenv(name.as_ptr()) };
        // SAFETY: it is NUL or a string that ends with one.
        (!value.is_null()).then(|| unsafe { CStr::from_ptr(value) }.to_bytes().to_vec())
    };
    // SAFETY: glibc sets it before it runs what libraries begin with; it is a string that ends with a NUL.
    let program = unsafe { CStr::from_ptr(program_invocation_short_name) }.to_bytes();
    let wanted = policy::wanted(program, variable);
    if wanted.active {
        // SAFETY: a function of this library, which stays.
        unsafe { libc::pthread_atfork(None, None, Some(forked)) };
    }
    if wanted.active && wanted.report {
        let _ = REPORTED.set(String::from_utf8_lossy(program).into_owned());
        door::keep_errors();
        // SAFETY: as above.
        unsafe { libc::atexit(end) };
    }
    process::begin(wanted.active);
}

extern "C" fn forked() {
    memory::forked();
    process::forked();
}

extern "C" fn end() {
    if let Some(program) = REPORTED.get() {
        kernel::tell(door::errors(), report::text(kernel::process(), program).as_bytes());
    }
}

/// What a program gets of what was done.
fn told(done: Done) -> ssize_t {
    match done {
        Ok(len) => len.cast_signed(),
        Err(number) => {
            kernel::set_errno(number);
            -1
        }
    }
}

/// The memory of a program that a call reads into.
unsafe fn room<'a>(buffer: *mut c_void, len: size_t) -> Option<Data<'a>> {
    if (buffer as usize) < LOWEST || len > isize::MAX as usize {
        return None;
    }
    // SAFETY: the program says that there are as many bytes of its own, for this call.
    Some(Data::Into(unsafe { std::slice::from_raw_parts_mut(buffer.cast(), len) }))
}

/// That which a call writes.
unsafe fn bytes<'a>(buffer: *const c_void, len: size_t) -> Option<Data<'a>> {
    if (buffer as usize) < LOWEST || len > isize::MAX as usize {
        return None;
    }
    // SAFETY: as above.
    Some(Data::From(unsafe { std::slice::from_raw_parts(buffer.cast(), len) }))
}

/// The parts of a vectored call, and how long they are together.
unsafe fn parts<'a>(parts: *const iovec, count: c_int) -> Option<(&'a [iovec], usize)> {
    let count = usize::try_from(count).ok().filter(|count| (1..=PARTS_MAX).contains(count))?;
    if (parts as usize) < LOWEST || !parts.is_aligned() {
        return None;
    }
    // SAFETY: the program says that there are as many.
    let parts = unsafe { std::slice::from_raw_parts(parts, count) };
    let mut len = 0_usize;
    for part in parts {
        len = len.checked_add(part.iov_len).filter(|len| policy::fits(*len, None) || *len == 0)?;
        if part.iov_len > 0 && (part.iov_base as usize) < LOWEST {
            return None;
        }
    }
    Some((parts, len))
}

/// Reads into several places.
unsafe fn scatter(descriptor: c_int, list: *const iovec, count: c_int, at: Option<i64>) -> Option<ssize_t> {
    if !io::is_watched(descriptor) {
        return None;
    }
    // SAFETY: as the caller has it of his program.
    let (list, len) = unsafe { parts(list, count) }?;
    if let [only] = list {
        // SAFETY: as the caller has it of his program.
        return io::transfer(descriptor, unsafe { room(only.iov_base, len) }?, at).map(told);
    }
    let mut whole = io::room_of(len)?;
    let done = io::transfer(descriptor, Data::Into(&mut whole), at)?;
    if let Ok(got) = done {
        let mut rest = whole.get(..got).unwrap_or_default();
        for part in list {
            let (front, behind) = rest.split_at(part.iov_len.min(rest.len()));
            // SAFETY: the program says that there is as much room, and nothing of it is ours.
            unsafe { std::ptr::copy_nonoverlapping(front.as_ptr(), part.iov_base.cast(), front.len()) };
            rest = behind;
        }
    }
    io::done_with(whole);
    Some(told(done))
}

/// Writes from several places.
unsafe fn gather(descriptor: c_int, list: *const iovec, count: c_int, at: Option<i64>) -> Option<ssize_t> {
    if !io::is_watched(descriptor) {
        return None;
    }
    // SAFETY: as the caller has it of his program.
    let (list, len) = unsafe { parts(list, count) }?;
    if let [only] = list {
        // SAFETY: as the caller has it of his program.
        return io::transfer(descriptor, unsafe { bytes(only.iov_base, len) }?, at).map(told);
    }
    let mut whole = io::room_of(len)?;
    let mut rest = &mut whole[..];
    for part in list {
        let (front, behind) = rest.split_at_mut(part.iov_len.min(rest.len()));
        // SAFETY: the program says that there are as many bytes, and nothing of them is ours.
        unsafe { std::ptr::copy_nonoverlapping(part.iov_base.cast(), front.as_mut_ptr(), front.len()) };
        rest = behind;
    }
    let done = io::transfer(descriptor, Data::From(&whole), at);
    io::done_with(whole);
    done.map(told)
}

unsafe fn open_by(at: c_int, path: *const c_char, flags: c_int, call: impl Fn(c_int) -> c_int) -> c_int {
    let words = if (path as usize) < LOWEST {
        None
    } else {
        // SAFETY: the program says that it is a string that ends with a NUL.
        Some(unsafe { CStr::from_ptr(path) }.to_bytes())
    };
    io::open(at, words, flags, call)
}

macro_rules! opens {
    ($($name:ident)+; $($name_at:ident)+; $($checked:ident)+; $($checked_at:ident)+) => {
        $(
            /// `open`.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $name(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
                // SAFETY: what the program says, here and there.
                unsafe { open_by(libc::AT_FDCWD, path, flags, |flags| real::$name(path, flags, mode)) }
            }
        )+
        $(
            /// `openat`.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $name_at(at: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
                // SAFETY: as above.
                unsafe { open_by(at, path, flags, |flags| real::$name_at(at, path, flags, mode)) }
            }
        )+
        $(
            /// `open` of programs that are built with checks.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $checked(path: *const c_char, flags: c_int) -> c_int {
                // SAFETY: as above.
                unsafe { open_by(libc::AT_FDCWD, path, flags, |flags| real::$checked(path, flags)) }
            }
        )+
        $(
            /// `openat` of programs that are built with checks.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $checked_at(at: c_int, path: *const c_char, flags: c_int) -> c_int {
                // SAFETY: as above.
                unsafe { open_by(at, path, flags, |flags| real::$checked_at(at, path, flags)) }
            }
        )+
    };
}

opens! { open open64; openat openat64; __open_2 __open64_2; __openat_2 __openat64_2 }

macro_rules! creates {
    ($($name:ident $by:ident)+) => {
        $(
            /// `creat`.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $name(path: *const c_char, mode: mode_t) -> c_int {
                // SAFETY: what the program says.
                unsafe { $by(path, libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC, mode) }
            }
        )+
    };
}

creates! { creat open creat64 open64 }

/// `read`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn read(descriptor: c_int, buffer: *mut c_void, len: size_t) -> ssize_t {
    // SAFETY: what the program says, here and below.
    let done = unsafe { room(buffer, len) }.and_then(|data| io::transfer(descriptor, data, None));
    // SAFETY: as above.
    done.map_or_else(|| unsafe { real::read(descriptor, buffer, len) }, told)
}

/// `read` of programs that are built with checks.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn __read_chk(
    descriptor: c_int,
    buffer: *mut c_void,
    len: size_t,
    room: size_t,
) -> ssize_t {
    if len > room {
        // SAFETY: it ends the program.
        return unsafe { real::__read_chk(descriptor, buffer, len, room) };
    }
    // SAFETY: what the program says.
    unsafe { read(descriptor, buffer, len) }
}

macro_rules! at_a_place {
    ($($pread:ident $pread_chk:ident $pwrite:ident;)+) => {
        $(
            /// `pread`.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $pread(descriptor: c_int, buffer: *mut c_void, len: size_t, at: off_t) -> ssize_t {
                // SAFETY: what the program says, here and below.
                let done = unsafe { room(buffer, len) }.and_then(|data| io::transfer(descriptor, data, Some(at)));
                // SAFETY: as above.
                done.map_or_else(|| unsafe { real::pread(descriptor, buffer, len, at) }, told)
            }

            /// `pread` of programs that are built with checks.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $pread_chk(
                descriptor: c_int,
                buffer: *mut c_void,
                len: size_t,
                at: off_t,
                room: size_t,
            ) -> ssize_t {
                if len > room {
                    // SAFETY: it ends the program.
                    return unsafe { real::__pread_chk(descriptor, buffer, len, at, room) };
                }
                // SAFETY: what the program says.
                unsafe { $pread(descriptor, buffer, len, at) }
            }

            /// `pwrite`.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $pwrite(descriptor: c_int, buffer: *const c_void, len: size_t, at: off_t) -> ssize_t {
                // SAFETY: what the program says, here and below.
                let done = unsafe { bytes(buffer, len) }.and_then(|data| io::transfer(descriptor, data, Some(at)));
                // SAFETY: as above.
                done.map_or_else(|| unsafe { real::pwrite(descriptor, buffer, len, at) }, told)
            }
        )+
    };
}

at_a_place! {
    pread __pread_chk pwrite;
    pread64 __pread64_chk pwrite64;
}

/// `write`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn write(descriptor: c_int, buffer: *const c_void, len: size_t) -> ssize_t {
    // SAFETY: what the program says, here and below.
    let done = unsafe { bytes(buffer, len) }.and_then(|data| io::transfer(descriptor, data, None));
    // SAFETY: as above.
    done.map_or_else(|| unsafe { real::write(descriptor, buffer, len) }, told)
}

/// `readv`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn readv(descriptor: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    // SAFETY: what the program says, here and below.
    let done = unsafe { scatter(descriptor, parts, count, None) };
    // SAFETY: as above.
    done.unwrap_or_else(|| unsafe { real::readv(descriptor, parts, count) })
}

/// `writev`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn writev(descriptor: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    // SAFETY: what the program says, here and below.
    let done = unsafe { gather(descriptor, parts, count, None) };
    // SAFETY: as above.
    done.unwrap_or_else(|| unsafe { real::writev(descriptor, parts, count) })
}

macro_rules! vectors_at_a_place {
    ($($name:ident $by:ident $how:ident;)+) => {
        $(
            /// `preadv`, `pwritev`.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $name(descriptor: c_int, parts: *const iovec, count: c_int, at: off_t) -> ssize_t {
                // SAFETY: what the program says, here and below.
                let done = unsafe { $how(descriptor, parts, count, Some(at)) };
                // SAFETY: as above.
                done.unwrap_or_else(|| unsafe { real::$by(descriptor, parts, count, at) })
            }
        )+
    };
}

vectors_at_a_place! {
    preadv preadv scatter;
    preadv64 preadv scatter;
    pwritev pwritev gather;
    pwritev64 pwritev gather;
}

macro_rules! vectors_with_flags {
    ($($name:ident $by:ident $how:ident;)+) => {
        $(
            /// `preadv2`, `pwritev2`.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $name(
                descriptor: c_int,
                parts: *const iovec,
                count: c_int,
                at: off_t,
                flags: c_int,
            ) -> ssize_t {
                // At the offset where none is given.
                let place = (at != -1).then_some(at);
                // SAFETY: what the program says, here and below.
                let done = if flags == 0 { unsafe { $how(descriptor, parts, count, place) } } else { None };
                // SAFETY: as above.
                done.unwrap_or_else(|| unsafe { real::$by(descriptor, parts, count, at, flags) })
            }
        )+
    };
}

vectors_with_flags! {
    preadv2 preadv2 scatter;
    preadv64v2 preadv2 scatter;
    pwritev2 pwritev2 gather;
    pwritev64v2 pwritev2 gather;
}

fn refused(number: c_int) -> c_int {
    kernel::set_errno(number);
    -1
}

/// `close`. What is not the program's it does not find.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn close(descriptor: c_int) -> c_int {
    if is_hidden(descriptor) && !process::is_inside() {
        return refused(libc::EBADF);
    }
    io::forget(descriptor);
    // SAFETY: what the program says.
    unsafe { real::close(descriptor) }
}

fn close_between(first: c_uint, last: c_uint, flags: c_int) -> c_int {
    // SAFETY: three numbers.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) as c_int }
}

/// `close_range`.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn close_range(first: c_uint, last: c_uint, flags: c_int) -> c_int {
    // What remains known of a descriptor that is closed is found wrong when it is used.
    let (mut from, mut done) = (first, 0);
    if first > last {
        return close_between(first, last, flags);
    }
    for hidden in hidden_within(first, last) {
        let hidden = hidden.cast_unsigned();
        if hidden > from {
            done = done.min(close_between(from, hidden - 1, flags));
        }
        from = hidden + 1;
    }
    if from <= last { done.min(close_between(from, last, flags)) } else { done }
}

/// `closefrom`.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn closefrom(first: c_int) {
    close_range(first.max(0).cast_unsigned(), c_uint::MAX, 0);
}

/// `dup`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dup(descriptor: c_int) -> c_int {
    // SAFETY: what the program says.
    let copy = unsafe { real::dup(descriptor) };
    io::duplicated(descriptor, copy);
    copy
}

/// `dup2`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dup2(from: c_int, to: c_int) -> c_int {
    process::make_room(to);
    // SAFETY: what the program says.
    let copy = unsafe { real::dup2(from, to) };
    io::duplicated(from, copy);
    copy
}

/// `dup3`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dup3(from: c_int, to: c_int, flags: c_int) -> c_int {
    process::make_room(to);
    // SAFETY: what the program says.
    let copy = unsafe { real::dup3(from, to, flags) };
    io::duplicated(from, copy);
    copy
}

/// `fcntl`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn fcntl(descriptor: c_int, command: c_int, argument: *mut c_void) -> c_int {
    // What goes past the page cache from now on may end where the kernel knows the file to end.
    if command == libc::F_SETFL && argument as usize & libc::O_DIRECT as usize != 0 {
        io::sending(descriptor);
    }
    // SAFETY: what the program says.
    let done = unsafe { real::fcntl(descriptor, command, argument) };
    if matches!(command, libc::F_DUPFD | libc::F_DUPFD_CLOEXEC) {
        io::duplicated(descriptor, done);
    }
    done
}

/// `fcntl64`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn fcntl64(descriptor: c_int, command: c_int, argument: *mut c_void) -> c_int {
    // SAFETY: what the program says.
    unsafe { fcntl(descriptor, command, argument) }
}

macro_rules! maps {
    ($($name:ident)+) => {
        $(
            /// `mmap`.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $name(
                near: *mut c_void,
                len: size_t,
                protection: c_int,
                flags: c_int,
                descriptor: c_int,
                at: off_t,
            ) -> *mut c_void {
                if descriptor >= 0 && flags & libc::MAP_ANONYMOUS == 0 {
                    io::mapping(descriptor);
                }
                // SAFETY: what the program says.
                unsafe { real::mmap(near, len, protection, flags, descriptor, at) }
            }
        )+
    };
}

maps! { mmap mmap64 }

macro_rules! sends {
    ($($name:ident)+) => {
        $(
            /// `sendfile`. What the kernel sends of a file it looks for in what it keeps, as far as it knows the file to be.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $name(to: c_int, from: c_int, at: *mut off_t, len: size_t) -> ssize_t {
                io::sending(from);
                // SAFETY: what the program says.
                unsafe { real::$name(to, from, at, len) }
            }
        )+
    };
}

sends! { sendfile sendfile64 }

macro_rules! moves {
    ($($name:ident)+) => {
        $(
            /// `copy_file_range`, `splice`: as above.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $name(
                from: c_int,
                from_at: *mut off_t,
                to: c_int,
                to_at: *mut off_t,
                len: size_t,
                flags: c_uint,
            ) -> ssize_t {
                io::sending(from);
                // SAFETY: what the program says.
                unsafe { real::$name(from, from_at, to, to_at, len, flags) }
            }
        )+
    };
}

moves! { copy_file_range splice }
