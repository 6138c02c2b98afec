//! What a directory has in it, as doors tell it.

use crate::split_u64;

/// Bytes of one answer, at most.
pub const LISTED_MAX: usize = 64 << 10;
/// Bytes before the entries, and before a name.
const HEAD: usize = 16;
const ENTRY: usize = 10;

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed<'a> {
    /// Its number.
    pub ino: u64,
    /// Its kind, as directories tell it.
    pub kind: u8,
    /// Its name.
    pub name: &'a [u8],
}

impl<'a> Listed<'a> {
    /// Bytes of an entry of this name.
    pub const fn len_of(name: &[u8]) -> usize {
        ENTRY + name.len()
    }

    /// The first of entries, and what is behind it.
    pub fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (ino, rest) = split_u64(bytes)?;
        let ([kind, len], rest) = rest.split_first_chunk()?;
        let (name, rest) = rest.split_at_checked((*len).into())?;
        let fits = !name.is_empty() && !name.contains(&0) && !name.contains(&b'/');
        fits.then_some((Self { ino, kind: *kind, name }, rest))
    }
}

/// A part of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    bytes: Vec<u8>,
}

impl Listing {
    /// An empty one of a directory, by its number.
    pub fn new(ino: u64) -> Self {
        let mut bytes = vec![0; HEAD];
        for (to, from) in bytes.iter_mut().skip(8).zip(ino.to_le_bytes()) {
            *to = from;
        }
        Self { bytes }
    }

    /// Puts an entry behind the others, if there is room.
    pub fn put(&mut self, entry: &Listed<'_>) -> bool {
        let Ok(len @ 1..) = u8::try_from(entry.name.len()) else { return false };
        if self.bytes.len() + ENTRY + usize::from(len) > LISTED_MAX {
            return false;
        }
        self.bytes.extend(entry.ino.to_le_bytes());
        self.bytes.extend([entry.kind, len]);
        self.bytes.extend(entry.name);
        true
    }

    /// Bytes that there is room for.
    pub fn left(&self) -> usize {
        LISTED_MAX.saturating_sub(self.bytes.len())
    }

    /// Its bytes; with a number by which the rest can be asked for, or 0.
    pub fn encode(mut self, rest: u64) -> Vec<u8> {
        for (to, from) in self.bytes.iter_mut().zip(rest.to_le_bytes()) {
            *to = from;
        }
        self.bytes
    }

    /// Of bytes: the number for the rest, the directory's, and the entries, each of which is whole.
    pub fn decode(bytes: &[u8]) -> Option<(u64, u64, &[u8])> {
        let (rest, behind) = split_u64(bytes)?;
        let (ino, entries) = split_u64(behind)?;
        let mut left = entries;
        while !left.is_empty() {
            (_, left) = Listed::split(left)?;
        }
        (bytes.len() <= LISTED_MAX).then_some((rest, ino, entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back() {
        let mut listing = Listing::new(9);
        assert_eq!(listing.left(), LISTED_MAX - HEAD);
        let long = [b'x'; 255];
        let entries =
            [Listed { ino: 1, kind: 4, name: b"." }, Listed { ino: u64::MAX, kind: 8, name: &long }];
        assert!(entries.iter().all(|entry| listing.put(entry)));
        for name in [&b""[..], &[b'x'; 256]] {
            assert!(!listing.put(&Listed { ino: 1, kind: 4, name }));
        }
        let bytes = listing.encode(7);
        let (rest, ino, mut left) = Listing::decode(&bytes).unwrap();
        assert_eq!((rest, ino), (7, 9));
        for entry in entries {
            let (told, behind) = Listed::split(left).unwrap();
            assert_eq!(told, entry);
            left = behind;
        }
        assert!(left.is_empty());
        assert_eq!((Listing::decode(&bytes[..bytes.len() - 1]), Listing::decode(&bytes[..15])), (None, None));
    }

    #[test]
    fn there_is_room_for_so_many() {
        let mut listing = Listing::new(1);
        let entry = Listed { ino: 5, kind: 8, name: b"name" };
        while listing.left() >= Listed::len_of(entry.name) {
            assert!(listing.put(&entry));
        }
        assert!(!listing.put(&entry));
        assert!(Listing::decode(&listing.clone().encode(0)).is_some());
        for name in [&b"a/b"[..], b"a\0"] {
            let mut one = Listing::new(1);
            assert!(one.put(&Listed { ino: 5, kind: 8, name }));
            assert_eq!(Listing::decode(&one.encode(0)), None);
        }
    }
}
