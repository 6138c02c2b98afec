//! The functions that read directories. What a program gets is ours or glibc's, and each function knows which by where it is.
//!
//! A directory that is opened by its path has no descriptor before somebody asks for it.
#![allow(unsafe_code)]

use crate::hooks_names::{path_of, refused};
use crate::names::{self, Of};
use crate::process::Inside;
use crate::streams::{Slot, Stream, address, put, slot_of};
use crate::{io, kernel, real};
use libc::{DIR, c_char, c_int, c_long, dirent64};
use std::ffi::{CStr, CString};

/// A directory of which all is told, as a program has it; nothing where the kernel is to do it.
fn opened(of: &Of<'_>, path: Option<&CStr>, descriptor: Option<i32>) -> Option<*mut DIR> {
    let listed = names::list(of)?;
    let _inside = Inside::enter()?;
    // SAFETY: all of it are numbers, of which each can be 0.
    let entry: dirent64 = unsafe { std::mem::zeroed() };
    let path = match path {
        Some(path) => Some(wherever(path)?),
        None => None,
    };
    put(Box::new(Stream { listed, at: 0, path, descriptor, entry })).ok().map(address)
}

/// A path that leads there from wherever the program is by then.
fn wherever(path: &CStr) -> Option<CString> {
    if path.to_bytes().starts_with(b"/") {
        return Some(path.to_owned());
    }
    let here = rustix::process::getcwd(Vec::new()).ok()?;
    CString::new([here.to_bytes(), b"/", path.to_bytes()].concat()).ok()
}

/// `opendir`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn opendir(path: *const c_char) -> *mut DIR {
    // SAFETY: what the program says, here and below.
    let of = unsafe { path_of(libc::AT_FDCWD, path) };
    let ours = of.and_then(|of| {
        // SAFETY: as above: it was looked at as a string.
        opened(&Of::Path(of, true), Some(unsafe { CStr::from_ptr(path) }), None)
    });
    // SAFETY: as above.
    ours.unwrap_or_else(|| unsafe { real::opendir(path) })
}

/// `fdopendir`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn fdopendir(descriptor: c_int) -> *mut DIR {
    let ours = opened(&Of::Open(descriptor), None, Some(descriptor));
    // SAFETY: what the program says.
    ours.unwrap_or_else(|| unsafe { real::fdopendir(descriptor) })
}

/// The next entry of one of ours; it stays where it is until the next is read.
fn next(slot: &Slot) -> *mut dirent64 {
    match slot.lock().as_deref_mut() {
        Some(stream) => {
            if stream.next() {
                &raw mut stream.entry
            } else {
                std::ptr::null_mut()
            }
        }
        None => {
            kernel::set_errno(libc::EBADF);
            std::ptr::null_mut()
        }
    }
}

macro_rules! reads {
    ($($name:ident $name_r:ident;)+) => {
        $(
            /// `readdir`.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $name(stream: *mut DIR) -> *mut dirent64 {
                match slot_of(stream) {
                    Some(slot) => next(slot),
                    // SAFETY: what the program says.
                    None => unsafe { real::$name(stream) },
                }
            }

            /// `readdir_r`.
            #[unsafe(no_mangle)]
            pub(crate) unsafe extern "C" fn $name_r(
                stream: *mut DIR,
                room: *mut dirent64,
                result: *mut *mut dirent64,
            ) -> c_int {
                let Some(slot) = slot_of(stream) else {
                    // SAFETY: what the program says.
                    return unsafe { real::$name_r(stream, room, result) };
                };
                let mut held = slot.lock();
                let Some(stream) = held.as_deref_mut() else { return libc::EBADF };
                let told = if stream.next() {
                    let len = usize::from(stream.entry.d_reclen);
                    // SAFETY: the program says that there is room for an entry, which has as many bytes.
                    unsafe { std::ptr::copy_nonoverlapping((&raw const stream.entry).cast::<u8>(), room.cast(), len) };
                    room
                } else {
                    std::ptr::null_mut()
                };
                // SAFETY: as above.
                unsafe { *result = told };
                0
            }
        )+
    };
}

reads! {
    readdir readdir_r;
    readdir64 readdir64_r;
}

/// `telldir`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn telldir(stream: *mut DIR) -> c_long {
    match slot_of(stream) {
        Some(slot) => slot.lock().as_ref().map_or(-1, |stream| stream.at.cast_signed() as c_long),
        // SAFETY: what the program says.
        None => unsafe { real::telldir(stream) },
    }
}

/// `seekdir`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn seekdir(stream: *mut DIR, place: c_long) {
    let Some(slot) = slot_of(stream) else {
        // SAFETY: what the program says.
        return unsafe { real::seekdir(stream, place) };
    };
    if let Some(stream) = slot.lock().as_deref_mut() {
        stream.at = usize::try_from(place).unwrap_or(usize::MAX);
    }
}

/// `rewinddir`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn rewinddir(stream: *mut DIR) {
    let Some(slot) = slot_of(stream) else {
        // SAFETY: what the program says.
        return unsafe { real::rewinddir(stream) };
    };
    if let Some(stream) = slot.lock().as_deref_mut() {
        let of = match (stream.descriptor, &stream.path) {
            (Some(descriptor), _) => Some(Of::Open(descriptor)),
            (None, Some(path)) => {
                Some(Of::Path(names::Path { directory: libc::AT_FDCWD, words: path.as_bytes() }, true))
            }
            (None, None) => None,
        };
        let again = of.and_then(|of| names::list(&of));
        // What cannot be told anew is what it was.
        if let Some(again) =
            again.filter(|again| (again.device, again.ino) == (stream.listed.device, stream.listed.ino))
        {
            let _inside = Inside::enter();
            stream.listed = again;
        }
        stream.at = 0;
    }
}

/// The descriptor of one of ours, opened if need be: of the same directory, or none.
fn descriptor_of(stream: &mut Stream) -> Option<i32> {
    if stream.descriptor.is_none() {
        let opened = kernel::open_directory(stream.path.as_ref()?.as_bytes())?;
        use rustix::fd::{AsRawFd, IntoRawFd};
        let seen = kernel::identity(opened.as_raw_fd())?;
        if (seen.device, seen.ino) != (stream.listed.device, stream.listed.ino) {
            return None;
        }
        io::forget(opened.as_raw_fd());
        stream.descriptor = Some(opened.into_raw_fd());
    }
    stream.descriptor
}

/// `dirfd`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn dirfd(stream: *mut DIR) -> c_int {
    let Some(slot) = slot_of(stream) else {
        // SAFETY: what the program says.
        return unsafe { real::dirfd(stream) };
    };
    let inside = Inside::enter();
    let told = slot.lock().as_deref_mut().and_then(descriptor_of);
    drop(inside);
    told.unwrap_or_else(|| refused(libc::ENOTSUP))
}

/// `closedir`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn closedir(stream: *mut DIR) -> c_int {
    let Some(slot) = slot_of(stream) else {
        // SAFETY: what the program says.
        return unsafe { real::closedir(stream) };
    };
    let inside = Inside::enter();
    let Some(stream) = slot.take() else {
        drop(inside);
        return refused(libc::EINVAL);
    };
    let descriptor = stream.descriptor;
    drop(stream);
    drop(inside);
    match descriptor {
        Some(descriptor) => {
            io::forget(descriptor);
            // SAFETY: it is the stream's, which the program closes.
            unsafe { real::close(descriptor) }
        }
        None => 0,
    }
}
