//! `list`: one page of dkeys or akeys, or of the pairs of a flat key-value object.

use crate::ShardRef;
use daos_types::{Durability, Epoch, Packed};

/// A page of a listing.
#[derive(Debug, Clone, Copy)]
pub struct List<'a> {
    /// Where.
    pub of: ShardRef,
    /// The akeys of this dkey; `None` lists the object's dkeys.
    pub dkey: Option<&'a [u8]>,
    /// As of when; [`Epoch::MAX`] is now.
    pub epoch: Epoch,
    /// The place where the page before ended.
    pub from: Option<&'a [u8]>,
    /// At most so many keys.
    pub count_max: usize,
    /// Stop after so many bytes of keys, and of values where they are listed.
    pub bytes_max: usize,
    /// Descending.
    pub reverse: bool,
    /// How safe what is answered has to be.
    pub durability: Durability,
}

/// What a page holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListedKeys {
    /// The keys.
    pub keys: Vec<Vec<u8>>,
    /// Where to go on; `None` at the end.
    pub next: Option<Vec<u8>>,
}

/// What a page of pairs holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListedPairs {
    /// The keys.
    pub keys: Packed,
    /// The value of each.
    pub values: Packed,
    /// The sum of each value: the number of its algorithm (1), the sum; empty for one that has none.
    pub sums: Packed,
    /// Where to go on; `None` at the end.
    pub next: Option<Vec<u8>>,
}
