//! Directories that programs read, as doors listed them. Each has one of a fixed number of places, whose addresses programs have
//! in place of glibc's `DIR`: so one is known by where it is.

use crate::names::Listed;
use daos_locks::{Mutex, MutexGuard};
use std::ffi::CString;
use std::sync::atomic::{AtomicBool, Ordering};

/// Directories that are read at once; more are the kernel's.
const STREAMS_MAX: usize = 1024;

/// A place.
#[derive(Debug)]
pub(crate) struct Slot {
    used: AtomicBool,
    stream: Mutex<Option<Box<Stream>>>,
}

static SLOTS: [Slot; STREAMS_MAX] =
    [const { Slot { used: AtomicBool::new(false), stream: Mutex::new(None) } }; STREAMS_MAX];

/// A directory that is being read.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) listed: Listed,
    /// Where in the entries it is.
    pub(crate) at: usize,
    /// The path that it was opened by; none where it was by a descriptor.
    pub(crate) path: Option<CString>,
    /// Its descriptor, if there is one.
    pub(crate) descriptor: Option<i32>,
    /// The entry that was read last.
    pub(crate) entry: libc::dirent64,
}

/// What a program is given, by a function of this library that made one.
pub(crate) fn address(slot: &'static Slot) -> *mut libc::DIR {
    std::ptr::from_ref(slot).cast_mut().cast()
}

/// The place of what a program has, if it is of this library.
pub(crate) fn slot_of(stream: *mut libc::DIR) -> Option<&'static Slot> {
    let within = (stream as usize).checked_sub(SLOTS.as_ptr() as usize)?;
    let is_one = within.is_multiple_of(size_of::<Slot>());
    SLOTS.get(within / size_of::<Slot>()).filter(|_| is_one)
}

/// Puts a directory into a free place.
pub(crate) fn put(stream: Box<Stream>) -> Result<&'static Slot, Box<Stream>> {
    let free =
        |slot: &&Slot| slot.used.compare_exchange(false, true, Ordering::AcqRel, Ordering::Relaxed).is_ok();
    let Some(slot) = SLOTS.iter().find(free) else { return Err(stream) };
    *slot.stream.lock() = Some(stream);
    Ok(slot)
}

impl Slot {
    /// What is in it.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Option<Box<Stream>>> {
        self.stream.lock()
    }

    /// Takes it out: the place is free.
    pub(crate) fn take(&self) -> Option<Box<Stream>> {
        let stream = self.stream.lock().take();
        if stream.is_some() {
            self.used.store(false, Ordering::Release);
        }
        stream
    }
}

impl Stream {
    /// Reads the next entry into `entry`; false at the end.
    pub(crate) fn next(&mut self) -> bool {
        let left = self.listed.entries.get(self.at..).unwrap_or_default();
        let Some((told, rest)) = daos_door::Listed::split(left) else { return false };
        self.at = self.listed.entries.len() - rest.len();
        let entry = &mut self.entry;
        entry.d_ino = told.ino;
        entry.d_off = i64::try_from(self.at).unwrap_or(i64::MAX);
        entry.d_type = told.kind;
        let name = told.name.iter().map(|byte| byte.cast_signed()).chain([0]);
        for (to, from) in entry.d_name.iter_mut().zip(name) {
            *to = from as libc::c_char;
        }
        let head = std::mem::offset_of!(libc::dirent64, d_name);
        entry.d_reclen = (head + told.name.len() + 1).next_multiple_of(8) as u16;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use daos_door::{Listed as Entry, Listing};

    fn stream() -> Box<Stream> {
        let mut listing = Listing::new(3);
        for (ino, name) in [(3, &b"."[..]), (9, b"name"), (u64::MAX, &[b'x'; 255])] {
            assert!(listing.put(&Entry { ino, kind: 8, name }));
        }
        let bytes = listing.encode(0);
        let entries = Listing::decode(&bytes).unwrap().2.to_vec();
        // All of it are numbers, of which each can be 0.
        let entry = libc::dirent64 { d_ino: 0, d_off: 0, d_reclen: 0, d_type: 0, d_name: [0; 256] };
        Box::new(Stream {
            listed: Listed { ino: 3, device: (0, 1), entries },
            at: 0,
            path: None,
            descriptor: None,
            entry,
        })
    }

    #[test]
    fn entries_are_read_one_after_the_other() {
        let mut stream = stream();
        let mut places = vec![0];
        for (ino, len, reclen) in [(3, 1, 24), (9, 4, 24), (u64::MAX, 255, 280)] {
            assert!(stream.next());
            let entry = &stream.entry;
            assert_eq!((entry.d_ino, entry.d_type, entry.d_reclen), (ino, 8, reclen));
            assert_eq!(entry.d_name.iter().position(|byte| *byte == 0), Some(len));
            places.push(usize::try_from(entry.d_off).unwrap());
        }
        assert!(!stream.next() && !stream.next());
        stream.at = places[1];
        assert!(stream.next());
        assert_eq!(stream.entry.d_ino, 9);
        stream.at = usize::MAX;
        assert!(!stream.next(), "a place that nobody was told");
    }

    #[test]
    fn a_place_is_known_by_its_address() {
        let slot = put(stream()).unwrap();
        let given = address(slot);
        assert!(slot_of(given).is_some_and(|found| std::ptr::eq(found, slot)));
        assert!(slot_of(given.wrapping_byte_add(1)).is_none() && slot_of(std::ptr::null_mut()).is_none());
        assert!(slot_of(std::ptr::from_ref(&7_u64).cast_mut().cast()).is_none());
        assert!(slot.take().is_some() && slot.take().is_none());
        let all: Vec<_> = (0..STREAMS_MAX).map(|_| put(stream()).unwrap()).collect();
        assert!(put(stream()).is_err());
        for slot in all {
            assert!(slot.take().is_some());
        }
    }
}
