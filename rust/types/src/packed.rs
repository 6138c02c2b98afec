//! Many short byte strings in one buffer.

use alloc::vec::Vec;

/// Byte strings, one behind the other: two allocations however many they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packed {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Packed {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// There is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of all of them.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Appends one.
    pub fn push(&mut self, item: &[u8]) {
        self.bytes.extend_from_slice(item);
        self.ends.push(self.bytes.len());
    }

    /// Appends one of `len` zeros, to be filled.
    pub fn push_room(&mut self, len: usize) -> &mut [u8] {
        let from = self.bytes.len();
        self.bytes.resize(from + len, 0);
        self.ends.push(self.bytes.len());
        self.bytes.get_mut(from..).unwrap_or_default()
    }

    /// Appends those of another.
    pub fn append(&mut self, others: &Self) {
        let from = self.bytes.len();
        self.bytes.extend_from_slice(&others.bytes);
        self.ends.extend(others.ends.iter().map(|end| from + end));
    }

    /// One of them.
    pub fn get(&self, nth: usize) -> Option<&[u8]> {
        let from = nth.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        self.bytes.get(from..*self.ends.get(nth)?)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let mut from = 0;
        self.ends.iter().map(move |end| {
            let item = self.bytes.get(from..*end).unwrap_or_default();
            from = *end;
            item
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_back() {
        let mut packed = Packed::default();
        assert!(packed.is_empty() && packed.iter().next().is_none());
        packed.push(b"one");
        packed.push(b"");
        packed.push_room(2).copy_from_slice(b"ab");
        let mut twice = packed.clone();
        twice.append(&packed);
        assert_eq!((packed.len(), packed.bytes()), (3, 5));
        let expected: [&[u8]; 6] = [b"one", b"", b"ab", b"one", b"", b"ab"];
        assert!(twice.iter().eq(expected));
        assert_eq!(twice.iter().len(), 6);
        let each: [_; 7] = core::array::from_fn(|nth| twice.get(nth));
        assert_eq!(
            each,
            [Some(expected[0]), Some(b""), Some(b"ab"), Some(b"one"), Some(b""), Some(b"ab"), None]
        );
    }
}
