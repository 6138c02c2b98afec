//! The object layer over targets in memory.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod array;
mod kv;
mod memory;
mod object;

use daos_types::{ContainerId, ObjectId, ObjectType};

/// The container of every test.
const CONT: ContainerId = ContainerId([7; 16]);

/// An object of a type, spread over so many groups.
fn oid(kind: ObjectType, groups: u16) -> ObjectId {
    ObjectId::generate(kind, 1, groups, 0, 5)
}
