//! Nodes and their versions: what of an object, dkey or akey is visible at a version.
//!
//! A node is visible at `at` by its newest entry at or before `at`, if that is not a punch and is newer than the
//! newest punch of any node above it. Undecided transactions are in the way of readers that would depend on them.

use crate::dtx::{DtxTable, Status};
use crate::entry::{Change, DtxNum, Entry};
use crate::error::{Result, VosError};
use crate::key::{self, KeyBuf, ObjNum};
use crate::levels::{First, Merge};
use crate::rollback::Stretch;
use daos_types::{Lsn, Version};
use std::cell::Cell;
use std::ops::ControlFlow;

/// One line of an object's history.
#[derive(Debug, Clone, Copy)]
struct ObjectEvent {
    version: Version,
    alive: bool,
    dtx: DtxNum,
}

/// What is known of an object without looking below it.
#[derive(Debug)]
pub(crate) struct ObjectState {
    /// Its short number; `None` for one that was only ever punched.
    pub(crate) num: Option<ObjNum>,
    /// Newest first.
    events: Vec<ObjectEvent>,
    /// These are all; else those since the newest punch that counts.
    whole: bool,
    /// The log position that all this depends on.
    pub(crate) seen: Lsn,
}

/// Who asks: its own transaction's changes are visible to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) version: Version,
    /// What it passes over, because the container was rolled back.
    pub(crate) hidden: &'a [Stretch],
    pub(crate) own: DtxNum,
    pub(crate) dtx: &'a DtxTable,
    /// Collects the log positions of the decisions that an answer depends on.
    pub(crate) decided: &'a Cell<Lsn>,
}

impl At<'_> {
    /// Whether no rollback hides a version.
    #[inline]
    pub(crate) fn sees(&self, version: Version) -> bool {
        self.hidden.is_empty() || !self.hidden.iter().any(|stretch| stretch.has(version.epoch))
    }

    /// Whether a change of this version and transaction counts; an error where that is not decided.
    pub(crate) fn counts(&self, version: Version, dtx: DtxNum) -> Result<bool> {
        if !self.sees(version) {
            return Ok(false);
        }
        if dtx == DtxNum::COMMITTED || dtx == self.own {
            return Ok(true);
        }
        let (status, decided) = self.dtx.status(dtx);
        self.decided.set(self.decided.get().max(decided));
        match status {
            Status::Committed => Ok(true),
            Status::Aborted => Ok(false),
            Status::Prepared => Err(VosError::InProgress),
        }
    }
}

/// How a node stands at a version, apart from what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct NodeState {
    /// It exists.
    pub(crate) alive: bool,
    /// The newest punch at or before the version, of it or of a node above: what is not newer is gone.
    pub(crate) floor: Version,
}

impl ObjectState {
    /// Reads an object's node; `None` where nothing was ever written of it.
    pub(crate) fn load(merge: &mut Merge<'_>, node: &mut KeyBuf) -> Result<Option<Self>> {
        Self::load_to(merge, node, |_| false)
    }

    /// The same, but nothing that is older than its newest decided punch: what was removed a thousand times is not read a thousand
    /// times.
    pub(crate) fn load_recent(merge: &mut Merge<'_>, node: &mut KeyBuf) -> Result<Option<Self>> {
        Self::load_to(merge, node, |event| !event.alive && event.dtx == DtxNum::COMMITTED)
    }

    fn load_to(
        merge: &mut Merge<'_>,
        node: &mut KeyBuf,
        last: impl Fn(&ObjectEvent) -> bool,
    ) -> Result<Option<Self>> {
        let mark = node.mark();
        node.below();
        let num = merge.get(node.as_slice(), |bytes| bytes.try_into().ok().map(u64::from_le_bytes))?;
        node.truncate(mark);
        let num = match num {
            None => None,
            Some(Some(num)) => Some(ObjNum(num)),
            Some(None) => {
                return Err(VosError::Corrupt { why: "an object's number has no known form".to_owned() });
            }
        };
        let (mut events, mut whole) = (Vec::new(), true);
        walk_versions(merge, node, Version::read_at(daos_types::Epoch::MAX), |version, entry| {
            let event = ObjectEvent { version, alive: entry.change.is_alive(), dtx: entry.dtx };
            whole = !last(&event);
            events.push(event);
            Ok(if whole { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        let seen = merge.seen().0;
        Ok((num.is_some() || !events.is_empty()).then_some(Self { num, events, whole, seen }))
    }

    /// How the object stands; `None` where that depends on what is older than what was loaded.
    pub(crate) fn at(&self, at: At<'_>) -> Result<Option<NodeState>> {
        let mut newest = None;
        for event in self.events.iter().filter(|event| event.version <= at.version) {
            if !at.counts(event.version, event.dtx)? {
                continue;
            }
            newest = newest.or(Some(event.alive));
            if !event.alive {
                return Ok(Some(NodeState { alive: newest == Some(true), floor: event.version }));
            }
        }
        let state = NodeState { alive: newest == Some(true), floor: Version::default() };
        Ok(self.whole.then_some(state))
    }
}

/// Shows a node's versions at or before `at`, newest first, until told to stop. Undecided ones as they are.
pub(crate) fn walk_versions(
    merge: &mut Merge<'_>,
    node: &mut KeyBuf,
    at: Version,
    show: impl FnMut(Version, Entry<'_>) -> Result<ControlFlow<()>>,
) -> Result<()> {
    walk_versions_from(merge, node, at, false, show)
}

/// The same; `near`: the walk stands before them, or at the first, having passed nothing of the node.
pub(crate) fn walk_versions_from(
    merge: &mut Merge<'_>,
    node: &mut KeyBuf,
    at: Version,
    near: bool,
    mut show: impl FnMut(Version, Entry<'_>) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let mark = node.mark();
    node.versions();
    let prefix_len = node.mark();
    node.truncate(mark);
    node.version(at);
    let mut on = if near { merge.advance(node.as_slice())? } else { merge.seek(node.as_slice())? };
    while on && merge.key().starts_with(&node.as_slice()[..prefix_len]) {
        let version = key::parse_version(&merge.key()[prefix_len..])
            .ok_or_else(|| VosError::Corrupt { why: "a version's key has no known form".to_owned() })?;
        if show(version, Entry::decode(merge.value())?)?.is_break() {
            break;
        }
        on = merge.step()?;
    }
    node.truncate(mark);
    Ok(())
}

/// Refuses a long key whose prefix and hash another key of the same parent has: what is stored is the other's.
pub(crate) fn check_long(merge: &mut Merge<'_>, node: &KeyBuf, user: &[u8]) -> Result<()> {
    if !key::is_long(user) {
        return Ok(());
    }
    let mut first = node.clone();
    first.versions();
    if merge.seek(first.as_slice())?
        && merge.key().starts_with(first.as_slice())
        && Entry::decode(merge.value())?.long_key != Some(user)
    {
        return Err(VosError::KeyShape {
            why: "another long key has the same beginning and hash".to_owned(),
        });
    }
    Ok(())
}

/// How a node below one with the given floor stands. Follows its versions down to its newest punch.
pub(crate) fn state(
    merge: &mut Merge<'_>,
    node: &mut KeyBuf,
    at: At<'_>,
    floor: Version,
) -> Result<NodeState> {
    let mut alive = None;
    let mut result = NodeState { alive: false, floor };
    walk_versions(merge, node, at.version, |version, entry| {
        if version <= floor {
            return Ok(ControlFlow::Break(()));
        }
        if !at.counts(version, entry.dtx)? {
            return Ok(ControlFlow::Continue(()));
        }
        alive = alive.or(Some(entry.change.is_alive()));
        if entry.change.is_alive() {
            return Ok(ControlFlow::Continue(()));
        }
        result.floor = version;
        Ok(ControlFlow::Break(()))
    })?;
    result.alive = alive == Some(true);
    Ok(result)
}

/// The newest visible entry of a node, shown to `found`; `None` where the node is not visible. For nodes with nothing
/// below that depends on their punches.
pub(crate) fn newest<R>(
    merge: &mut Merge<'_>,
    node: &mut KeyBuf,
    at: At<'_>,
    floor: Version,
    found: impl FnOnce(Version, Change<'_>) -> R,
) -> Result<Option<R>> {
    let mark = node.mark();
    node.versions();
    let prefix_len = node.mark();
    node.truncate(mark);
    node.version(at.version);
    let mut found = Some(found);
    let mut failed = None;
    let first = merge.first_version(
        node.as_slice(),
        prefix_len,
        |key| key::epoch_of(key).unwrap_or(0),
        |key, value| {
            let (version, entry) = match (key::parse_version(&key[prefix_len..]), Entry::decode(value)) {
                (Some(version), Ok(entry)) => (version, entry),
                (_, Err(error)) => {
                    failed = Some(error);
                    return Some(None);
                }
                (None, _) => return None,
            };
            if (entry.dtx != DtxNum::COMMITTED && entry.dtx != at.own) || !at.sees(version) {
                return None;
            }
            if version <= floor || !entry.change.is_alive() {
                return Some(None);
            }
            Some(found.take().map(|found| found(version, entry.change)))
        },
    )?;
    node.truncate(mark);
    match (failed, first) {
        (Some(error), _) => Err(error),
        (None, First::Nothing) => Ok(None),
        (None, First::Found(result)) => Ok(result),
        (None, First::Walk) => {
            let mut result = None;
            walk_versions(merge, node, at.version, |version, entry| {
                if version > floor {
                    if !at.counts(version, entry.dtx)? {
                        return Ok(ControlFlow::Continue(()));
                    }
                    if entry.change.is_alive() {
                        result = found.take().map(|found| found(version, entry.change));
                    }
                }
                Ok(ControlFlow::Break(()))
            })?;
            Ok(result)
        }
    }
}
