//! `objects`, `diff` and `check`: what a container holds, how two of its states differ, and whether it is as it was stored.

use crate::ShardRef;
use daos_types::{ContainerId, Durability, Epoch, KeyDifference, ObjectId};

/// A page of a container's objects on a target.
#[derive(Debug, Clone, Copy)]
pub struct Objects<'a> {
    /// Which container.
    pub cont: ContainerId,
    /// Those that are there at any of these; [`Epoch::MAX`] is now.
    pub epochs: &'a [Epoch],
    /// Those behind this one, in the order of the ids.
    pub after: Option<ObjectId>,
    /// At most so many.
    pub count_max: usize,
    /// How safe what is answered has to be.
    pub durability: Durability,
}

/// What a page of objects holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListedObjects {
    /// The ids, ascending.
    pub oids: Vec<ObjectId>,
    /// Go on behind this one, which need not be among them; `None` at the end.
    pub next: Option<ObjectId>,
}

/// A part of a check of a container on a target: that all its versions are as they were stored.
#[derive(Debug, Clone, Copy)]
pub struct Check<'a> {
    /// Which container.
    pub cont: ContainerId,
    /// The place where the part before ended; without one, the check begins, with the target's index.
    pub from: Option<&'a [u8]>,
    /// About so many entries.
    pub budget: usize,
    /// How safe what is answered has to be.
    pub durability: Durability,
}

/// What a part of a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Object shards that it came to the end of.
    pub objects: u64,
    /// Entries that were looked at.
    pub entries: u64,
    /// Pages of the index that were read.
    pub pages: u64,
    /// Bytes of values that were read beside them.
    pub bytes: u64,
    /// What is wrong, and of which object where it is of one.
    pub damaged: Vec<(Option<ObjectId>, String)>,
    /// Where to go on; `None` at the end.
    pub next: Option<Vec<u8>>,
}

/// A page of the differences of an object shard.
#[derive(Debug, Clone, Copy)]
pub struct Diff<'a> {
    /// Where.
    pub of: ShardRef,
    /// The earlier state.
    pub before: Epoch,
    /// The later state.
    pub after: Epoch,
    /// The place where the page before ended.
    pub from: Option<&'a [u8]>,
    /// At most so many akeys.
    pub count_max: usize,
    /// How safe what is answered has to be.
    pub durability: Durability,
}

/// What a page of differences holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// The akeys, in the order of their keys.
    pub keys: Vec<KeyDifference>,
    /// Where to go on; `None` at the end.
    pub next: Option<Vec<u8>>,
}
