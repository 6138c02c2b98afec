//! What an akey holds at a version: a single value, an array, or nothing.

use crate::entry::Change;
use crate::error::{Result, VosError};
use crate::key::KeyBuf;
use crate::levels::Merge;
use crate::node::{self, At};
use daos_types::Version;
use std::ops::ControlFlow;

/// What an akey holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Holds {
    /// It is not there.
    #[default]
    Nothing,
    /// A single value, or room for one.
    Single,
    /// An array with records of this size; 0 where none was written yet.
    Array(u64),
}

/// How an akey stands at a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Leaf {
    /// What it holds.
    pub(crate) holds: Holds,
    /// The newest punch at or before the version, of it or of a node above: what is not newer is gone.
    pub(crate) floor: Version,
}

impl Leaf {
    /// Reads an akey's node, below a dkey with this floor.
    pub(crate) fn load(merge: &mut Merge<'_>, node: &mut KeyBuf, at: At<'_>, floor: Version) -> Result<Self> {
        Self::load_from(merge, node, at, floor, false)
    }

    /// The same; `near`: the walk stands at or before the node, having passed nothing of it.
    pub(crate) fn load_from(
        merge: &mut Merge<'_>,
        node: &mut KeyBuf,
        at: At<'_>,
        floor: Version,
        near: bool,
    ) -> Result<Self> {
        let mut leaf = Self { holds: Holds::Nothing, floor };
        node::walk_versions_from(merge, node, at.version, near, |version, entry| {
            if version <= floor {
                return Ok(ControlFlow::Break(()));
            }
            if !at.counts(version, entry.dtx)? {
                return Ok(ControlFlow::Continue(()));
            }
            match (leaf.holds, entry.change) {
                (_, Change::Punch) => {
                    leaf.floor = version;
                    return Ok(ControlFlow::Break(()));
                }
                (Holds::Nothing | Holds::Array(0), Change::Array(rec_size)) => {
                    leaf.holds = Holds::Array(rec_size);
                }
                // The newest says the kind; its floor does not matter for a single value.
                (Holds::Nothing, _) => {
                    leaf.holds = Holds::Single;
                    return Ok(ControlFlow::Break(()));
                }
                _ => {}
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(leaf)
    }

    /// Whether an array with records of this size may be written to it; what it holds instead, if not.
    pub(crate) fn check_array(self, rec_size: u64) -> Result<()> {
        match self.holds {
            Holds::Single => Err(VosError::OtherKind { holds: "a single value" }),
            Holds::Array(stored) if stored != 0 && rec_size != 0 && stored != rec_size => {
                Err(VosError::Invalid {
                    why: format!(
                        "the array has records of {stored} bytes, not {rec_size}; punch the akey first"
                    ),
                })
            }
            _ => Ok(()),
        }
    }
}
