//! `objects` and `diff`: what a container holds, and how two of its states differ.

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
