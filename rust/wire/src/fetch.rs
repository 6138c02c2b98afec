//! `fetch`: the value of one akey.

use crate::ShardRef;
use daos_types::{Cond, Durability, Epoch};

/// A read of one single value.
#[derive(Debug, Clone, Copy)]
pub struct Fetch<'a> {
    /// Where.
    pub of: ShardRef,
    /// The dkey.
    pub dkey: &'a [u8],
    /// The akey.
    pub akey: &'a [u8],
    /// As of when; [`Epoch::MAX`] is now.
    pub epoch: Epoch,
    /// Only if.
    pub cond: Cond,
    /// How safe what is answered has to be.
    pub durability: Durability,
}
