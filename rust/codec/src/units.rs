//! The sums of a value's units, from which those of whatever is made of whole units follow without its bytes.

use crate::crc::{Follow, crc32c, crc32c_append};
use daos_types::unit_of;

/// The CRC-32C of each unit of a value that comes bit by bit.
#[derive(Debug)]
pub struct UnitSums {
    unit: usize,
    sums: Vec<u32>,
    /// Bytes of the last unit that came.
    last: usize,
}

impl UnitSums {
    /// Nothing came yet of a value of so many bytes.
    pub fn new(len: usize) -> Self {
        let unit = unit_of(len);
        Self { unit, sums: Vec::with_capacity(len.div_ceil(unit)), last: unit }
    }

    /// The next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.last == self.unit {
                self.sums.push(0);
                self.last = 0;
            }
            let (now, later) = bytes.split_at((self.unit - self.last).min(bytes.len()));
            if let Some(sum) = self.sums.last_mut() {
                *sum = if self.last == 0 { crc32c(now) } else { crc32c_append(*sum, now) };
            }
            self.last += now.len();
            bytes = later;
        }
    }

    /// The sum of all that came.
    pub fn whole(&self) -> u32 {
        join_all(self.unit, self.last, &self.sums)
    }

    /// Those of the units.
    pub fn into_sums(self) -> Vec<u32> {
        self.sums
    }
}

/// The sums of the units of a value that is there.
pub fn unit_sums(value: &[u8]) -> impl Iterator<Item = u32> {
    value.chunks(unit_of(value.len())).map(crc32c)
}

/// The sum of a value of so many bytes: from those of its units.
pub fn join_units(len: usize, sums: &[u32]) -> u32 {
    let unit = unit_of(len);
    join_all(unit, len.saturating_sub(sums.len().saturating_sub(1) * unit), sums)
}

/// The sums of the pieces of a value of so many bytes: from those of its units. `None` where a piece ends inside of one.
pub fn piece_sums(piece: usize, len: usize, sums: &[u32]) -> Option<impl Iterator<Item = u32>> {
    let unit = unit_of(len);
    let ends_with_units = piece > 0 && (piece.is_multiple_of(unit) || piece >= len);
    ends_with_units.then(|| {
        let follow = Follow::by(unit);
        sums.chunks(piece.div_ceil(unit)).enumerate().map(move |(nth, sums)| {
            let len = piece.min(len.saturating_sub(nth * piece));
            join(&follow, unit, len.saturating_sub((sums.len() - 1) * unit), sums)
        })
    })
}

/// As [`join`], where it is done once.
fn join_all(unit: usize, last: usize, sums: &[u32]) -> u32 {
    match sums {
        [] => 0,
        [only] => *only,
        sums => join(&Follow::by(unit), unit, last, sums),
    }
}

/// The sum of units with these sums, of which the last one has so many bytes; `follow` is by a unit.
fn join(follow: &Follow, unit: usize, last: usize, sums: &[u32]) -> u32 {
    let Some((tail, whole)) = sums.split_last() else { return 0 };
    let Some((head, inner)) = whole.split_first() else { return *tail };
    let before = inner.iter().fold(*head, |before, sum| follow.join(before, *sum));
    if last == unit { follow.join(before, *tail) } else { Follow::by(last).join(before, *tail) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_whole_has_the_sum_that_its_bytes_have(len in 0..600_000_usize, piece in 1..100_000_usize) {
            let value: Vec<u8> = (0..len).map(|at| ((at * 31) >> 3) as u8).collect();
            let mut sums = UnitSums::new(len);
            value.chunks(piece).for_each(|piece| sums.update(piece));
            prop_assert_eq!(sums.whole(), crc32c(&value));
            let sums = sums.into_sums();
            prop_assert_eq!(&sums, &unit_sums(&value).collect::<Vec<_>>());
            prop_assert_eq!(join_units(len, &sums), crc32c(&value));
            let pieces = |piece: usize| value.chunks(piece).map(crc32c).collect::<Vec<_>>();
            for units in [1, 2, 3, 64] {
                let piece = unit_of(len) * units;
                prop_assert_eq!(piece_sums(piece, len, &sums).unwrap().collect::<Vec<_>>(), pieces(piece));
            }
            prop_assert!(piece_sums(len + 1, len, &sums).is_some());
            prop_assert!(piece_sums(unit_of(len) - 1, len, &sums).is_none() || len < unit_of(len));
        }
    }
}
