//! Snapshots of containers.

use crate::Epoch;
use alloc::string::String;

/// A snapshot of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// What is visible in it: all that was written up to here.
    pub epoch: Epoch,
    /// Unique in the container.
    pub name: Option<String>,
}
