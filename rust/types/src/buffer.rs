//! Memory for long values, so laid that copies from and to it are quick.

use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::ops::{Deref, DerefMut};

/// Bytes of a line of the processor's cache. The kernel copies between pages and memory that begins with one in half the time: what
/// the system gives for a long vector begins 16 bytes behind a page.
const LINE: usize = 64;
/// Bytes for which the room that this takes is worth it.
const LEN_MIN: usize = 4096;

/// Bytes on the heap, of a fixed number; long ones begin with a line of the cache.
#[derive(Default)]
pub struct Buffer {
    held: Vec<u8>,
    /// Where they begin there; they end with it.
    start: usize,
}

impl Buffer {
    /// So many bytes, all zero.
    pub fn zeroed(len: usize) -> Self {
        if len < LEN_MIN {
            return Self::from(vec![0; len]);
        }
        let mut held = vec![0; len + LINE - 1];
        let start = held.as_ptr().addr().wrapping_neg() % LINE;
        held.truncate(start + len);
        Self { held, start }
    }

    /// Leaves so many bytes of them, if there are more.
    pub fn truncate(&mut self, len: usize) {
        self.held.truncate(self.start.saturating_add(len));
    }

    /// Bytes that it takes of the memory.
    pub fn capacity(&self) -> usize {
        self.held.capacity()
    }
}

/// These bytes, wherever they begin.
impl From<Vec<u8>> for Buffer {
    fn from(held: Vec<u8>) -> Self {
        Self { held, start: 0 }
    }
}

impl From<Buffer> for Vec<u8> {
    fn from(mut buffer: Buffer) -> Self {
        buffer.held.drain(..buffer.start);
        buffer.held
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.held.get(self.start..).unwrap_or_default()
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.held.get_mut(self.start..).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Clone for Buffer {
    fn clone(&self) -> Self {
        let mut copy = Self::zeroed(self.len());
        copy.copy_from_slice(self);
        copy
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl PartialEq for Buffer {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Buffer {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_long_begins_with_a_line_and_has_its_bytes() {
        for len in [0, 1, 4095, 4096, 4097, 65_536, 300_001, 1 << 20] {
            let mut buffer = Buffer::zeroed(len);
            assert_eq!(*buffer, vec![0; len]);
            assert!(len < LEN_MIN || buffer.as_ptr().addr().is_multiple_of(LINE), "{len}");
            assert!(buffer.capacity() < len + LINE);
            buffer.iter_mut().enumerate().for_each(|(at, byte)| *byte = at as u8);
            let mut copy = buffer.clone();
            assert!(copy == buffer && (len < LEN_MIN || copy.as_ptr().addr().is_multiple_of(LINE)));
            assert_eq!(Vec::from(copy.clone()), *buffer);
            copy.truncate(len / 2);
            assert_eq!(*copy, buffer[..len / 2]);
            copy.truncate(len + 1);
            assert_eq!(copy.len(), len / 2, "it never grows");
        }
    }

    #[test]
    fn a_vector_is_taken_as_it_is() {
        let bytes: Vec<u8> = (0..100).collect();
        let place = bytes.as_ptr();
        let buffer = Buffer::from(bytes.clone());
        assert_eq!((&*buffer, buffer.len()), (&bytes[..], 100));
        assert_eq!(Buffer::from(bytes).as_ptr(), place, "it is not copied");
        assert_eq!(Buffer::default().len(), 0);
    }
}
