//! At which epochs a container is read: the bounds of a pass. Pure.

use crate::rollback::{Rollbacks, Stretch};
use daos_types::{Epoch, Version};

/// A reader whose view stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bound {
    version: Version,
    hidden: Vec<Stretch>,
}

/// All readers whose views stay: at these bounds, and at whatever comes after the last one.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    list: Vec<Bound>,
    last: Version,
    /// The stretches that are hidden from one bound or other, each list once.
    branches: Vec<Vec<Stretch>>,
}

fn sees(hidden: &[Stretch], version: Version) -> bool {
    !hidden.iter().any(|stretch| stretch.has(version.epoch))
}

impl Bound {
    /// Whether a version is before it, on its branch.
    pub(crate) fn sees(&self, version: Version) -> bool {
        version <= self.version && sees(&self.hidden, version)
    }
}

impl Bounds {
    /// Of a container with these snapshots and rollbacks, of which all is aggregated up to an epoch.
    pub(crate) fn new(snapshots: &[Epoch], rollbacks: &Rollbacks, up_to: Epoch) -> Self {
        // What was gone back to later is read by whoever reads the present.
        let origins: Vec<Epoch> = rollbacks.origins_after(up_to).collect();
        let mut readers: Vec<Epoch> =
            snapshots.iter().chain(&origins).copied().filter(|epoch| *epoch < up_to).chain([up_to]).collect();
        readers.sort_unstable();
        readers.dedup();
        let list: Vec<Bound> = readers
            .into_iter()
            .map(|epoch| Bound { version: Version::read_at(epoch), hidden: rollbacks.hidden(epoch) })
            .collect();
        let mut branches = vec![rollbacks.hidden(Epoch::MAX)];
        for bound in &list {
            if !branches.contains(&bound.hidden) {
                branches.push(bound.hidden.clone());
            }
        }
        Self { list, last: Version::read_at(up_to), branches }
    }

    /// Whether a version is looked at at all.
    pub(crate) fn reach(&self, version: Version) -> bool {
        version <= self.last
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Bound> {
        self.list.iter()
    }

    /// Of versions in ascending order, behind a place: the first of each branch on which `version` is.
    pub(crate) fn next_on_branches(&self, version: Version, later: &[Version], mut found: impl FnMut(usize)) {
        for hidden in &self.branches {
            if sees(hidden, version)
                && let Some(at) = later.iter().position(|later| sees(hidden, *later))
            {
                found(at);
            }
        }
    }
}
