//! `update`: new values under akeys of one dkey, all or none.

use crate::ShardRef;
use daos_types::{Cond, Durability};

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

/// The new value of one akey.
#[derive(Debug, Clone, Copy)]
pub struct Iod<'a> {
    /// The akey.
    pub akey: &'a [u8],
    /// Its own conditions, with [`Cond::PER_AKEY`].
    pub cond: Cond,
    /// The value.
    pub value: IodValue<'a>,
}

/// What an akey gets.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum IodValue<'a> {
    /// A single value, replaced as a whole.
    Single(&'a [u8]),
    /// No single value any more.
    NoSingle,
}
