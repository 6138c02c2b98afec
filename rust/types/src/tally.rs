//! What a container holds, in numbers.

use crate::Epoch;

/// Counts of all that a part of a container holds, every version of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Object shards that hold anything.
    pub objects: u64,
    /// Dkeys, also those that only older versions show.
    pub dkeys: u64,
    /// Versions of single values.
    pub values: u64,
    /// Extents of arrays.
    pub extents: u64,
    /// Versions that say that something is not there any more.
    pub removals: u64,
    /// Bytes of the values and extents, as they were written.
    pub bytes: u64,
    /// Bytes that they take: whole blocks where they lie in a data file.
    pub stored_bytes: u64,
    /// The epochs of the oldest and the newest of all versions.
    pub epochs: Option<(Epoch, Epoch)>,
}
