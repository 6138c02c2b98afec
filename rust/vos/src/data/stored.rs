//! References to values in the data file: where they lie, how long they are, and what their bytes add up to.
//! `docs/formats/data.md` draws the bytes.

use crate::error::{Result, VosError};
use daos_codec::{Follow, crc32c_append, crc32c_parts, unit_sums};
use daos_types::unit::{UNIT_MIN, unit_of};

/// Bytes of a block.
pub(crate) const BLOCK: u64 = UNIT_MIN as u64;
/// Values this long do not stay in the index.
pub(crate) const STORED_MIN: usize = BLOCK as usize;
/// Bytes of the longest value or extent.
pub const VALUE_LEN_MAX: usize = 1 << 30;

/// Bytes in front of the sums.
const HEAD: usize = 11;
const SUM: usize = 4;

/// Consecutive blocks of a data file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Run {
    /// The first block.
    pub(crate) block: u64,
    /// How many.
    pub(crate) count: u64,
}

impl Run {
    /// The first block behind it.
    pub(crate) const fn end(self) -> u64 {
        self.block + self.count
    }
}

/// A reference to a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stored<'a> {
    block: u64,
    shift: u8,
    len: u32,
    sums: &'a [u8],
}

/// Blocks that a value of this length takes.
pub(crate) const fn blocks_of(len: usize) -> u64 {
    (len as u64).div_ceil(BLOCK)
}

/// How many times a block is doubled to be a unit.
const fn shift_of(len: usize) -> u8 {
    (unit_of(len) / UNIT_MIN).ilog2() as u8
}

/// What a seal begins with, before the unit's bytes: the sum of its place.
fn place_sum(identity: &[u8; 16], block: u64) -> u32 {
    crc32c_parts([&identity[..], &block.to_le_bytes()])
}

/// Appends the reference to `bytes`, which lie in the data file of this identity from `block` on. What the units of the bytes add up to
/// may be known; of as many as they have not, they are summed.
pub(crate) fn encode(identity: &[u8; 16], block: u64, bytes: &[u8], units: &[u32], out: &mut Vec<u8>) {
    let (len, unit, shift) = (bytes.len(), unit_of(bytes.len()), shift_of(bytes.len()));
    out.extend_from_slice(&block.to_le_bytes()[..6]);
    out.push(shift);
    out.extend_from_slice(&(len as u32).to_le_bytes());
    let follow = Follow::by(unit);
    let mut seal = |at: usize, unit_sum: u32| {
        let place = block + ((at as u64) << shift);
        let before = place_sum(identity, place);
        let is_whole = (at + 1) * unit <= len;
        let sum = if is_whole {
            follow.join(before, unit_sum)
        } else {
            Follow::by(len - at * unit).join(before, unit_sum)
        };
        out.extend_from_slice(&sum.to_le_bytes());
    };
    if units.len() == len.div_ceil(unit) {
        units.iter().enumerate().for_each(|(at, sum)| seal(at, *sum));
    } else {
        unit_sums(bytes).enumerate().for_each(|(at, sum)| seal(at, sum));
    }
}

impl<'a> Stored<'a> {
    /// Reads what [`encode`] wrote; `None` for bytes that are no reference.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (head, sums) = bytes.split_at_checked(HEAD)?;
        let (block, rest) = head.split_at(6);
        let mut wide = [0; 8];
        wide[..6].copy_from_slice(block);
        let (shift, len) = rest.split_first()?;
        let stored = Self {
            block: u64::from_le_bytes(wide),
            shift: *shift,
            len: u32::from_le_bytes(len.try_into().ok()?),
            sums,
        };
        let sound = (1..=VALUE_LEN_MAX).contains(&stored.len())
            && stored.shift == shift_of(stored.len())
            && stored.run().end() < 1 << 48
            && sums.len() == stored.len().div_ceil(stored.unit()) * SUM;
        sound.then_some(stored)
    }

    /// As [`Stored::parse`]; what is no reference is damage.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self> {
        Self::parse(bytes).ok_or_else(|| VosError::Corrupt {
            why: "a reference into the data file has no known form".to_owned(),
        })
    }

    /// Its bytes.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.block.to_le_bytes()[..6]);
        out.push(self.shift);
        out.extend_from_slice(&self.len.to_le_bytes());
        out.extend_from_slice(self.sums);
    }

    /// Bytes of the value.
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    /// Where it lies.
    pub(crate) fn run(&self) -> Run {
        Run { block: self.block, count: blocks_of(self.len()) }
    }

    /// Bytes that one sum stands for.
    pub(crate) fn unit(&self) -> usize {
        (BLOCK as usize) << self.shift
    }

    /// Whether `bytes` are those of the `at`-th unit.
    pub(crate) fn fits(&self, identity: &[u8; 16], at: usize, bytes: &[u8]) -> bool {
        let wanted = self.sums.get(at * SUM..).and_then(|sums| sums.first_chunk());
        let place = self.block + ((at as u64) << self.shift);
        let found = || crc32c_append(place_sum(identity, place), bytes);
        wanted.is_some_and(|wanted| u32::from_le_bytes(*wanted) == found())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn references_come_back_and_know_their_bytes(len in 1..40_000usize, block in 0..1u64 << 40, flip in any::<usize>()) {
            let mut bytes: Vec<u8> = (0..len).map(|at| at as u8).collect();
            let mut out = Vec::new();
            encode(&[3; 16], block, &bytes, &[], &mut out);
            let mut told = Vec::new();
            encode(&[3; 16], block, &bytes, &unit_sums(&bytes).collect::<Vec<_>>(), &mut told);
            prop_assert_eq!(&told, &out);
            let stored = Stored::parse(&out).unwrap();
            prop_assert_eq!((stored.len(), stored.run()), (len, Run { block, count: blocks_of(len) }));
            let mut again = Vec::new();
            stored.encode(&mut again);
            prop_assert_eq!(&again, &out);
            for (at, unit) in bytes.chunks(stored.unit()).enumerate() {
                prop_assert!(stored.fits(&[3; 16], at, unit));
                prop_assert!(!stored.fits(&[4; 16], at, unit));
                let elsewhere = Stored { block: block ^ 1, ..stored };
                prop_assert!(!elsewhere.fits(&[3; 16], at, unit));
            }
            bytes[flip % len] ^= 1 << (flip % 8);
            let changed = bytes.chunks(stored.unit()).enumerate().filter(|(at, unit)| !stored.fits(&[3; 16], *at, unit));
            prop_assert_eq!(changed.count(), 1);
        }

        #[test]
        fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Some(stored) = Stored::parse(&bytes) {
                prop_assert!(stored.run().count <= blocks_of(VALUE_LEN_MAX));
            }
        }
    }

    #[test]
    fn a_reference_stays_small_however_long_the_value() {
        for (len, sums) in
            [(1, 1), (4096, 1), (4097, 2), (256 << 10, 64), ((256 << 10) + 1, 33), (1 << 30, 64)]
        {
            let mut out = Vec::new();
            encode(&[3; 16], 1, &vec![0; len], &[], &mut out);
            assert_eq!(out.len(), HEAD + sums * SUM, "{len}");
        }
        assert_eq!(shift_of(VALUE_LEN_MAX), 12);
    }
}
