//! What differs between two states of a container.

use crate::Extent;
use alloc::vec::Vec;

/// How an akey differs in the later of two states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum How {
    /// It is there only in the later one.
    Added,
    /// It is there only in the earlier one.
    Removed,
    /// It is there in both, written anew in between.
    Changed,
}

/// An akey that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyDifference {
    /// Its dkey.
    pub dkey: Vec<u8>,
    /// The akey itself.
    pub akey: Vec<u8>,
    /// How it differs.
    pub how: How,
    /// Of an array: records outside of which nothing differs. Ascending, at most [`RANGES_MAX`].
    pub records: Vec<Extent>,
}

/// Ranges of records that a difference tells apart; where there would be more, neighbours are told as one.
pub const RANGES_MAX: usize = 1024;
