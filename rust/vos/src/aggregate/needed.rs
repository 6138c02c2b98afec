//! Which versions still count: pure. A version counts if somebody can read it: at one of the *bounds*, the epochs of the snapshots and
//! the one up to which versions are aggregated, each on its branch. Later versions are not looked at.

use super::bounds::{Bound, Bounds};
use crate::array::{Gap, Span, paint};
use daos_types::Version;

/// One version of a node, without its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The node is there by it.
    Alive,
    /// It is, and holds an array whose size of records is said further below, if at all.
    Unsized,
    /// It is, and holds an array with records of known size.
    Sized,
    /// It and all below it went.
    Punch,
}

/// Work on pairs of a hole and an extent beyond which all holes are kept.
const PAIRS_MAX: usize = 1 << 22;

/// The punches of a node, and which of them hide anything that is kept.
#[derive(Debug, Default)]
pub(crate) struct Punches {
    /// Ascending.
    versions: Vec<Version>,
    hides: Vec<bool>,
}

impl Punches {
    /// Of a node's versions.
    pub(crate) fn of(versions: &[(Version, Kind)]) -> Self {
        let punches = versions.iter().filter(|(_, kind)| *kind == Kind::Punch);
        let mut versions: Vec<Version> = punches.map(|(version, _)| *version).collect();
        versions.sort_unstable();
        Self { hides: vec![false; versions.len()], versions }
    }

    /// Something of the node, or below it, is kept.
    pub(crate) fn keep(&mut self, version: Version, bounds: &Bounds) {
        let next = self.versions.partition_point(|punch| *punch < version);
        let hides = &mut self.hides;
        bounds.next_on_branches(version, self.versions.get(next..).unwrap_or_default(), |at| {
            if let Some(hides) = hides.get_mut(next + at) {
                *hides = true;
            }
        });
    }

    fn hides(&self, punch: Version) -> bool {
        self.versions.binary_search(&punch).is_ok_and(|at| self.hides.get(at) == Some(&true))
    }

    /// The newest that a bound sees; the first version of all where there is none.
    pub(crate) fn floor(&self, bound: &Bound) -> Version {
        self.versions.iter().rev().find(|punch| bound.sees(**punch)).copied().unwrap_or_default()
    }
}

/// Decides for the versions of a node, the newest first, which are needed. `floors` goes with `bounds`: the newest punch
/// of a node above. `punches` are the node's own, and know already what is kept below it.
pub(crate) fn versions(
    versions: &[(Version, Kind)],
    bounds: &Bounds,
    floors: &[Version],
    punches: &mut Punches,
) -> Vec<bool> {
    let mut keep: Vec<bool> = versions.iter().map(|(version, _)| !bounds.reach(*version)).collect();
    for (bound, floor) in bounds.iter().zip(floors) {
        let mut newest = true;
        for (at, (version, kind)) in versions.iter().enumerate() {
            if !bound.sees(*version) {
                continue;
            }
            if version <= floor || *kind == Kind::Punch {
                break;
            }
            keep[at] |= newest || *kind == Kind::Sized;
            newest = false;
            if *kind != Kind::Unsized {
                break;
            }
        }
    }
    for ((version, kind), keep) in versions.iter().zip(&keep) {
        if *keep && *kind != Kind::Punch {
            punches.keep(*version, bounds);
        }
    }
    for ((version, kind), keep) in versions.iter().zip(&mut keep) {
        *keep |= *kind == Kind::Punch && punches.hides(*version);
    }
    keep
}

/// Decides for the extents of an array which are needed. `floors` goes with `bounds`: the newest punch of the array or of a node above.
pub(crate) fn extents(extents: &[Span], bounds: &Bounds, floors: &[Version]) -> Vec<bool> {
    let mut keep: Vec<bool> = extents.iter().map(|extent| !bounds.reach(extent.version)).collect();
    let mut newest_first: Vec<usize> = (0..extents.len()).collect();
    newest_first.sort_by_key(|at| std::cmp::Reverse(extents[*at].version));
    let whole = Gap {
        index: extents.iter().map(|extent| extent.index).min().unwrap_or_default(),
        end: extents.iter().map(Span::end).max().unwrap_or_default(),
        at: 0,
    };
    let mut segments = Vec::new();
    for (bound, floor) in bounds.iter().zip(floors) {
        let counts = |at: &&usize| bound.sees(extents[**at].version) && extents[**at].version > *floor;
        let there: Vec<usize> = newest_first.iter().filter(counts).copied().collect();
        segments.clear();
        paint(there.iter().map(|at| &extents[*at]), &[whole], &mut segments);
        for which in segments.iter().filter_map(|segment| segment.span) {
            keep[there[which]] = true;
        }
    }
    // A hole is needed as long as it hides what is kept.
    let holes: Vec<usize> = (0..extents.len()).filter(|at| extents[*at].is_hole && !keep[*at]).collect();
    let too_many = holes.len().saturating_mul(extents.len()) > PAIRS_MAX;
    for at in holes {
        let hole = extents[at];
        let hides = |(other, kept): (&Span, &bool)| {
            *kept && !other.is_hole && other.version < hole.version && other.touches(&hole)
        };
        keep[at] = too_many || extents.iter().zip(&keep).any(hides);
    }
    keep
}
