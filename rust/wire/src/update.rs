//! `update`: new values under akeys of one dkey, all or none.

use crate::ShardRef;
use daos_types::{Cond, Durability, Iod};

/// An update of one dkey.
#[derive(Debug, Clone, Copy)]
pub struct Update<'a> {
    /// Where.
    pub of: ShardRef,
    /// The dkey.
    pub dkey: &'a [u8],
    /// What changes below it.
    pub iods: &'a [Iod<'a>],
    /// Only if.
    pub cond: Cond,
    /// What the reply promises.
    pub durability: Durability,
}
