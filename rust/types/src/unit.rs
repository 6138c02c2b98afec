//! Units of a long value: what the store keeps a sum of its own for, and what is summed while a value is on its way there.

/// Bytes of the smallest unit: a block of the store.
pub const UNIT_MIN: usize = 4096;
/// Units of one value at most.
pub const UNITS_MAX: usize = 64;

/// Bytes of a unit of a value of so many bytes: the least power of two of which it has few enough.
pub const fn unit_of(len: usize) -> usize {
    let mut unit = UNIT_MIN;
    while len.div_ceil(unit) > UNITS_MAX {
        unit *= 2;
    }
    unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_few_however_long_a_value_is() {
        for (len, unit) in [(0, 1), (1, 1), (4097, 1), (256 << 10, 1), ((256 << 10) + 1, 2), (1 << 20, 4)] {
            assert_eq!(unit_of(len), unit * UNIT_MIN, "{len}");
        }
        assert_eq!((1_usize << 30).div_ceil(unit_of(1 << 30)), UNITS_MAX);
    }
}
