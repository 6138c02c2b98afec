//! `fetch`: values of akeys of one dkey, all as of one epoch.

use crate::ShardRef;
use daos_types::{Cond, Durability, Epoch};

/// A read. What is read, and into what, goes beside it: [`daos_types::FetchIod`].
#[derive(Debug, Clone, Copy)]
pub struct Fetch<'a> {
    /// Where.
    pub of: ShardRef,
    /// The dkey.
    pub dkey: &'a [u8],
    /// As of when; [`Epoch::MAX`] is now.
    pub epoch: Epoch,
    /// Only if.
    pub cond: Cond,
    /// How safe what is answered has to be.
    pub durability: Durability,
}
