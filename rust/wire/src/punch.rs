//! `punch`: hides an object, a dkey or akeys from now on.

use crate::ShardRef;
use daos_types::{Cond, Durability};

/// What a punch hides.
#[derive(Debug, Clone, Copy)]
pub enum Punched<'a> {
    /// All of the object.
    Object,
    /// A dkey and its akeys.
    Dkey(&'a [u8]),
    /// Akeys of one dkey.
    Akeys(&'a [u8], &'a [&'a [u8]]),
}

/// A punch.
#[derive(Debug, Clone, Copy)]
pub struct Punch<'a> {
    /// Where.
    pub of: ShardRef,
    /// What.
    pub what: Punched<'a>,
    /// Only if.
    pub cond: Cond,
    /// What the reply promises.
    pub durability: Durability,
}
