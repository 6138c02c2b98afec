//! Memory that another process has as well.
//!
//! It may write there what it likes and when it likes. So words are atomic, bytes are copied out before anybody looks at them, and no
//! place in it is chosen by what stands there without a check. What is mapped cannot shrink: its file is sealed.
#![allow(unsafe_code)]

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, AtomicU64};

/// A file that is mapped, for this process and those that it shares it with.
#[derive(Debug)]
pub(super) struct Map {
    at: NonNull<u8>,
    len: usize,
}

// SAFETY: it is reached by atomic words and by copies alone, from whatever thread.
unsafe impl Send for Map {}
// SAFETY: as above.
unsafe impl Sync for Map {}

impl Map {
    /// Maps so many bytes of a file. The caller has made sure that it has as many and is sealed against shrinking.
    pub(super) fn new(file: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        let (prot, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
        // SAFETY: a new place is asked for, so that nothing which is there changes.
        let at = unsafe { mmap(ptr::null_mut(), len, prot, flags, file, 0) }?;
        let at = NonNull::new(at.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { at, len })
    }

    /// Where a range begins, which is inside.
    fn place(&self, at: usize, len: usize) -> *mut u8 {
        assert!(at.checked_add(len).is_some_and(|end| end <= self.len), "a place outside of what is mapped");
        // SAFETY: it was checked that it is inside of the mapping.
        unsafe { self.at.as_ptr().add(at) }
    }

    /// A word that both processes read and write.
    pub(super) fn word(&self, at: usize) -> &AtomicU64 {
        assert!(at.is_multiple_of(align_of::<AtomicU64>()), "a word that is not aligned");
        let place = self.place(at, size_of::<AtomicU64>());
        // SAFETY: inside, aligned (a mapping begins with a page), and for as long as the mapping. Only atomic accesses go there.
        unsafe { AtomicU64::from_ptr(place.cast()) }
    }

    /// A word of half the size, for those who sleep over it.
    pub(super) fn half_word(&self, at: usize) -> &AtomicU32 {
        assert!(at.is_multiple_of(align_of::<AtomicU32>()), "a word that is not aligned");
        let place = self.place(at, size_of::<AtomicU32>());
        // SAFETY: as in `word`.
        unsafe { AtomicU32::from_ptr(place.cast()) }
    }

    /// Copies bytes to it.
    pub(super) fn put(&self, at: usize, bytes: &[u8]) {
        let place = self.place(at, bytes.len());
        // SAFETY: inside, and apart from what this process owns. That another process writes there at the same time harms the bytes
        // alone: no reference to them is ever made.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), place, bytes.len()) }
    }

    /// Copies bytes from it.
    pub(super) fn get(&self, at: usize, into: &mut [u8]) {
        let place = self.place(at, into.len());
        // SAFETY: as in `put`.
        unsafe { ptr::copy_nonoverlapping(place, into.as_mut_ptr(), into.len()) }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: it was mapped here, and all references to it have ended with it.
        // It cannot fail for what was mapped like this; if it did, the memory would stay.
        let _ = unsafe { munmap(self.at.as_ptr().cast(), self.len) };
    }
}
