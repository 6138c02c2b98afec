//! `query`: the extreme keys and records of an object.

use crate::ShardRef;
use daos_types::{Durability, Epoch, KeyQuery};

/// A query.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// Where.
    pub of: ShardRef,
    /// What.
    pub what: KeyQuery<'a>,
    /// As of when; [`Epoch::MAX`] is now.
    pub epoch: Epoch,
    /// How safe what is answered has to be.
    pub durability: Durability,
}
