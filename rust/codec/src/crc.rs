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
fn product(mut one: u32, mut other: u32) -> u32 {
    let mut product = 0;
    for _ in 0..32 {
        product ^= one & 0_u32.wrapping_sub(other >> 31);
        other <<= 1;
        one = (one >> 1) ^ (POLYNOMIAL & 0_u32.wrapping_sub(one & 1));
    }
    product
}

/// What it does to a sum that so many bytes follow: sums of parts become the sum of all, without their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Follow(u32);

impl Follow {
    /// By a part of so many bytes.
    pub fn by(mut len: usize) -> Self {
        let (mut power, mut all) = (BYTE, ONE);
        while len > 0 {
            if len & 1 == 1 {
                all = product(all, power);
            }
            power = product(power, power);
            len >>= 1;
        }
        Self(all)
    }

    /// The sum of what has the sum `before`, followed by a part with the sum `part`, which has as many bytes as were said.
    pub fn join(self, before: u32, part: u32) -> u32 {
        product(before, self.0) ^ part
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
    }
}
