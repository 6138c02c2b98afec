//! CRC-32C (Castagnoli), the checksum of everything on disk.

use crc_fast::{CrcAlgorithm, Digest};

/// The CRC-32C of `data`.
pub fn crc32c(data: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(data)
}

/// The CRC-32C of what `crc` stands for followed by `data`; `crc32c_append(0, data)` is `crc32c(data)`.
pub fn crc32c_append(crc: u32, data: &[u8]) -> u32 {
    let mut digest = Digest::new_with_init_state(CrcAlgorithm::Crc32Iscsi, u64::from(!crc));
    digest.update(data);
    digest.finalize() as u32
}

/// The CRC-32C of the parts one behind the other, without joining them.
pub fn crc32c_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    for part in parts {
        digest.update(part);
    }
    digest.finalize() as u32
}

/// The polynomial, the coefficient of x^31 in the lowest bit: as sums are numbers.
const POLYNOMIAL: u32 = 0x82F6_3B78;
/// x^0 and x^8 as such numbers.
const ONE: u32 = 1 << 31;
const BYTE: u32 = 1 << 23;

/// The product of two polynomials, modulo that of the sum.
const fn product(mut one: u32, mut other: u32) -> u32 {
    let (mut product, mut bits) = (0, 32);
    while bits > 0 {
        product ^= one & 0_u32.wrapping_sub(other >> 31);
        other <<= 1;
        one = times_x(one);
        bits -= 1;
    }
    product
}

const fn times_x(one: u32) -> u32 {
    (one >> 1) ^ (POLYNOMIAL & 0_u32.wrapping_sub(one & 1))
}

/// What 1, 2, 4, 8 and so many more bytes do to what is before them.
const DOUBLED: [u32; usize::BITS as usize] = {
    let mut powers = [BYTE; usize::BITS as usize];
    let mut nth = 1;
    while nth < powers.len() {
        powers[nth] = product(powers[nth - 1], powers[nth - 1]);
        nth += 1;
    }
    powers
};

/// What it does to a sum that so many bytes follow: sums of parts become the sum of all, without their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Follow {
    /// The polynomial to multiply by, times 1, x, x^2 and so on: a product is the sum of some of them, which do not wait for each other.
    rows: [u32; 32],
}

impl Follow {
    /// By a part of so many bytes.
    pub fn by(mut len: usize) -> Self {
        let mut row = ONE;
        for power in DOUBLED {
            if len & 1 == 1 {
                row = product(row, power);
            }
            len >>= 1;
            if len == 0 {
                break;
            }
        }
        let mut rows = [0; 32];
        for place in &mut rows {
            *place = row;
            row = times_x(row);
        }
        Self { rows }
    }

    /// The sum of what has the sum `before`, followed by a part with the sum `part`, which has as many bytes as were said.
    pub fn join(&self, before: u32, part: u32) -> u32 {
        let row = |(nth, row): (usize, &u32)| row & 0_u32.wrapping_sub((before << nth) >> 31);
        self.rows.iter().enumerate().map(row).fold(part, |sum, row| sum ^ row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bit by bit, as the definition has it.
    fn by_definition(data: &[u8]) -> u32 {
        !data.iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                (crc >> 1) ^ (0x82F6_3B78 & 0_u32.wrapping_sub(crc & 1))
            })
        })
    }

    #[test]
    fn the_check_value_of_the_catalogue() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(crc32c(b""), 0);
    }

    proptest! {
        #[test]
        fn it_is_the_definition_however_it_is_cut(data in proptest::collection::vec(any::<u8>(), 0..3000), cut in 0usize..3000) {
            let (head, tail) = data.split_at(cut.min(data.len()));
            let whole = by_definition(&data);
            prop_assert_eq!(crc32c(&data), whole);
            prop_assert_eq!(crc32c_append(crc32c(head), tail), whole);
            prop_assert_eq!(crc32c_parts([head, tail]), whole);
            prop_assert_eq!(Follow::by(tail.len()).join(crc32c(head), crc32c(tail)), whole);
        }

        #[test]
        fn what_follows_in_two_parts_follows_as_one(sum: u32, one in 0..usize::MAX / 2, other in 0..usize::MAX / 2) {
            let both = Follow::by(other).join(Follow::by(one).join(sum, 0), 0);
            prop_assert_eq!(Follow::by(one + other).join(sum, 0), both);
            prop_assert_eq!(Follow::by(0).join(sum, 0), sum);
        }
    }
}
