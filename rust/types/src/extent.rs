//! Ranges of records in an array value.

/// `count` records from `index` on (DAOS: `recx`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Extent {
    /// The first record.
    pub index: u64,
    /// How many records; never 0 in a request.
    pub count: u64,
}

impl Extent {
    /// The extent, or `None` where it is empty or runs past the last record index.
    pub const fn new(index: u64, count: u64) -> Option<Self> {
        if count == 0 || index.checked_add(count).is_none() { None } else { Some(Self { index, count }) }
    }

    /// The first record behind it.
    pub const fn end(self) -> u64 {
        self.index.saturating_add(self.count)
    }

    /// The records that both hold.
    pub fn overlap(self, other: Self) -> Option<Self> {
        let index = self.index.max(other.index);
        let end = self.end().min(other.end());
        if index < end { Some(Self { index, count: end - index }) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_and_overflowing_extents_do_not_exist() {
        assert_eq!(Extent::new(3, 0), None);
        assert_eq!(Extent::new(u64::MAX, 1), None);
        assert_eq!(Extent::new(u64::MAX - 1, 1).map(Extent::end), Some(u64::MAX));
    }

    #[test]
    fn overlap_is_the_common_part() {
        let one = Extent { index: 10, count: 10 };
        assert_eq!(one.overlap(Extent { index: 15, count: 50 }), Some(Extent { index: 15, count: 5 }));
        assert_eq!(one.overlap(Extent { index: 20, count: 5 }), None);
    }
}
