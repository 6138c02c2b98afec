//! `punch`: hides an object, a dkey or akeys from now on.

use crate::ShardRef;
use daos_types::{Cond, Durability, Punched};

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
