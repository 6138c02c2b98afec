//! Conditions that an operation may be put under.

use core::ops::BitOr;

/// A set of conditions; the bits are DAOS's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Cond(pub u64);

impl Cond {
    /// Without a condition.
    pub const NONE: Self = Self(0);
    /// Punch only what exists.
    pub const PUNCH: Self = Self(1 << 0);
    /// Only where the dkey is absent.
    pub const DKEY_INSERT: Self = Self(1 << 1);
    /// Only where the dkey exists.
    pub const DKEY_UPDATE: Self = Self(1 << 2);
    /// Read only a dkey that exists.
    pub const DKEY_FETCH: Self = Self(1 << 3);
    /// Only where the akey is absent.
    pub const AKEY_INSERT: Self = Self(1 << 4);
    /// Only where the akey exists.
    pub const AKEY_UPDATE: Self = Self(1 << 5);
    /// Read only akeys that exist.
    pub const AKEY_FETCH: Self = Self(1 << 6);
    /// The akey conditions stand in each iod.
    pub const PER_AKEY: Self = Self(1 << 7);
    /// All bits that mean something.
    pub const ALL: Self = Self(0xFF);

    /// Whether all conditions of `other` are in it.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Cond {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
