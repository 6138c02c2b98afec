//! Removing versions that nobody can read any more: `docs/internals/aggregation.md` tells which, and in which order.

mod bounds;
mod needed;

use crate::array::Span;
use crate::changes::ShardNum;
use crate::dtx::{DtxTable, Status};
use crate::entry::{Change, DtxNum, Entry};
use crate::error::{Result, VosError};
use crate::key::{self, ContNum, KeyBuf, LEVEL_END, OBJECT_NODE_LEN, ObjNum};
use crate::levels::Merge;
use crate::node;
use crate::rollback::{Rollbacks, Stretch};
use bounds::Bounds;
use daos_types::object_id::KeyKind;
use daos_types::{Epoch, ObjectType, Version};
use needed::{Kind, Punches};
use std::ops::ControlFlow;

/// Extents of one akey beyond which all are kept: they are decided together, in memory.
const EXTENTS_MAX: usize = 1 << 20;

/// A pass over a container in a shard.
#[derive(Debug)]
pub struct Aggregation {
    pub(crate) shard: ShardNum,
    pub(crate) cont: ContNum,
    up_to: Epoch,
    /// Reads at these, and at later ones, go on as they are.
    bounds: Bounds,
    /// What rollbacks hide, and whether any of it is kept nevertheless.
    hidden: Vec<(Stretch, bool)>,
    /// Where the next object is looked for.
    from: Vec<u8>,
    object: Option<Object>,
    /// Index entries removed so far.
    removed: u64,
}

/// An object at work.
#[derive(Debug)]
struct Object {
    node: KeyBuf,
    num: ObjNum,
    kind: ObjectType,
    own: Versions,
    /// Where the next dkey is looked for.
    from: Vec<u8>,
}

/// The versions of a node, newest first, and the node's punches.
#[derive(Debug, Default)]
struct Versions {
    list: Vec<(Version, Kind)>,
    punches: Punches,
    /// An undecided transaction wrote one of them: none is removed.
    undecided: bool,
}

/// What a look at the index found to be removed: the children first, of each node the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Removals {
    pub(crate) keys: Vec<Vec<u8>>,
    /// The object of this node may have nothing left.
    pub(crate) emptied: Option<(Vec<u8>, ObjNum)>,
    /// Entries looked at.
    pub(crate) seen: usize,
    /// There is nothing more in the container.
    pub(crate) done: bool,
}

impl Aggregation {
    /// A pass that keeps what can be read at the snapshots, and from `up_to` on.
    pub(crate) fn new(
        shard: ShardNum,
        cont: ContNum,
        snapshots: &[Epoch],
        rollbacks: &Rollbacks,
        up_to: Epoch,
    ) -> Self {
        let bounds = Bounds::new(snapshots, rollbacks, up_to);
        let hidden = rollbacks.stretches().map(|stretch| (stretch, false)).collect();
        let from = KeyBuf::objects(cont).as_slice().to_vec();
        Self { shard, cont, up_to, bounds, hidden, from, object: None, removed: 0 }
    }

    /// Of a pass that is done: up to which epoch it looked, and whether it left nothing of a hidden stretch.
    pub(crate) fn emptied(&self) -> (Epoch, impl Fn(Stretch) -> bool) {
        let is_empty = |stretch| self.hidden.iter().any(|(known, kept)| *known == stretch && !kept);
        (self.up_to, is_empty)
    }

    /// Index entries removed so far.
    pub fn removed(&self) -> u64 {
        self.removed
    }

    pub(crate) fn count_removed(&mut self, count: usize) {
        self.removed += count as u64;
    }

    /// Looks at the next dkey, or finishes an object.
    pub(crate) fn look(&mut self, merge: &mut Merge<'_>, dtx: &DtxTable) -> Result<Removals> {
        let mut found = Removals::default();
        let Some(mut object) = self.object.take() else {
            self.object = self.next_object(merge, dtx)?;
            found.done = self.object.is_none();
            found.seen = 1;
            return Ok(found);
        };
        let mut look = Look { merge, dtx, bounds: &self.bounds, hidden: &mut self.hidden, found };
        if look.dkey(&mut object)? {
            self.object = Some(object);
        } else {
            look.finish(object);
        }
        Ok(look.found)
    }

    fn next_object(&mut self, merge: &mut Merge<'_>, dtx: &DtxTable) -> Result<Option<Object>> {
        let objects = KeyBuf::objects(self.cont);
        loop {
            if !merge.seek(&self.from)? || !merge.key().starts_with(objects.as_slice()) {
                return Ok(None);
            }
            let wrong = || VosError::Corrupt { why: "an object's key has no known form".to_owned() };
            let (_, oid) = key::parse_object(merge.key()).ok_or_else(wrong)?;
            let mut node = KeyBuf::from_slice(merge.key().get(..OBJECT_NODE_LEN).ok_or_else(wrong)?)?;
            self.from = node.as_slice().to_vec();
            self.from.push(LEVEL_END);
            let state = node::ObjectState::load_recent(merge, &mut node)?;
            let kind = oid.oid.object_type();
            if let (Some(num), Some(kind)) = (state.and_then(|state| state.num), kind) {
                let own = Versions::load(merge, &mut node, dtx)?;
                let from = KeyBuf::tree(num).as_slice().to_vec();
                return Ok(Some(Object { node, num, kind, own, from }));
            }
        }
    }
}

impl Versions {
    fn load(merge: &mut Merge<'_>, node: &mut KeyBuf, dtx: &DtxTable) -> Result<Self> {
        let mut versions = Self::default();
        node::walk_versions(merge, node, Version::read_at(Epoch::MAX), |version, entry| {
            let kind = match entry.change {
                Change::Punch => Kind::Punch,
                Change::Array(0) => Kind::Unsized,
                Change::Array(_) => Kind::Sized,
                _ => Kind::Alive,
            };
            match status(dtx, entry.dtx) {
                Status::Committed => versions.list.push((version, kind)),
                // A merge takes it away.
                Status::Aborted => {}
                Status::Prepared => versions.undecided = true,
            }
            Ok(ControlFlow::Continue(()))
        })?;
        versions.punches = Punches::of(&versions.list);
        Ok(versions)
    }

    /// Which are needed, all of them where one is undecided.
    fn needed(&mut self, bounds: &Bounds, floors: &[Version]) -> Vec<bool> {
        let keep = needed::versions(&self.list, bounds, floors, &mut self.punches);
        if self.undecided { vec![true; keep.len()] } else { keep }
    }
}

fn status(dtx: &DtxTable, num: DtxNum) -> Status {
    if num == DtxNum::COMMITTED { Status::Committed } else { dtx.status(num).0 }
}

/// One look at the index.
struct Look<'a, 'm> {
    merge: &'a mut Merge<'m>,
    dtx: &'a DtxTable,
    bounds: &'a Bounds,
    hidden: &'a mut [(Stretch, bool)],
    found: Removals,
}

impl Look<'_, '_> {
    /// Decides what of the next dkey is needed; false where the object has no more.
    fn dkey(&mut self, object: &mut Object) -> Result<bool> {
        let parent = KeyBuf::tree(object.num);
        let Some(mut node) = self.next_node(&object.from, parent.as_slice(), object.kind.dkey_kind())? else {
            return Ok(false);
        };
        object.from = node.as_slice().to_vec();
        object.from.push(LEVEL_END);
        let mut own = Versions::load(self.merge, &mut node, self.dtx)?;
        self.found.seen += own.list.len();
        let above = floors(self.bounds, &object.own.punches, &[]);
        if !object.kind.is_kv() {
            let inside = floors(self.bounds, &own.punches, &above);
            self.akeys(object, &node, &mut own, &inside)?;
        }
        let keep = own.needed(self.bounds, &above);
        for ((version, kind), _) in own.list.iter().zip(&keep).filter(|(_, keep)| **keep) {
            if *kind != Kind::Punch {
                object.own.punches.keep(*version, self.bounds);
            }
        }
        self.remove_versions(&mut node, &own, &keep);
        Ok(true)
    }

    /// Decides what is needed of the akeys of a dkey.
    fn akeys(
        &mut self,
        object: &mut Object,
        dkey: &KeyBuf,
        above: &mut Versions,
        inside: &[Version],
    ) -> Result<()> {
        let mut parent = dkey.clone();
        parent.below();
        let mut from = parent.as_slice().to_vec();
        while let Some(mut node) = self.next_node(&from, parent.as_slice(), object.kind.akey_kind())? {
            from = node.as_slice().to_vec();
            from.push(LEVEL_END);
            let mut own = Versions::load(self.merge, &mut node, self.dtx)?;
            let floors = floors(self.bounds, &own.punches, inside);
            let (spans, keys, undecided) = self.extents(&node)?;
            self.found.seen += own.list.len() + spans.len();
            own.undecided |= undecided;
            let keep_spans = if own.undecided || spans.len() > EXTENTS_MAX {
                self.note_unknown();
                vec![true; spans.len()]
            } else {
                needed::extents(&spans, self.bounds, &floors)
            };
            let kept = spans.iter().zip(&keep_spans).filter(|(_, keep)| **keep);
            self.note_kept(kept.clone().map(|(span, _)| span.version));
            for (span, _) in kept.filter(|(span, _)| !span.is_hole) {
                own.punches.keep(span.version, self.bounds);
                above.punches.keep(span.version, self.bounds);
                object.own.punches.keep(span.version, self.bounds);
            }
            let keep = own.needed(self.bounds, inside);
            for ((version, kind), _) in own.list.iter().zip(&keep).filter(|(_, keep)| **keep) {
                if *kind != Kind::Punch {
                    above.punches.keep(*version, self.bounds);
                    object.own.punches.keep(*version, self.bounds);
                }
            }
            above.undecided |= own.undecided;
            // A punch goes after all that it hides.
            let mut extents: Vec<(Version, Vec<u8>)> = spans
                .iter()
                .zip(keys)
                .zip(keep_spans)
                .filter(|(_, keep)| !keep)
                .map(|((span, key), _)| (span.version, key))
                .collect();
            extents.sort_unstable();
            self.found.keys.extend(extents.into_iter().map(|(_, key)| key));
            self.remove_versions(&mut node, &own, &keep);
        }
        Ok(())
    }

    /// The extents of an akey, their keys, and whether any is undecided.
    fn extents(&mut self, node: &KeyBuf) -> Result<(Vec<Span>, Vec<Vec<u8>>, bool)> {
        let wrong = || VosError::Corrupt { why: "an extent of an array has no known form".to_owned() };
        let mut prefix = node.clone();
        prefix.extents();
        let prefix = prefix.as_slice();
        let (mut spans, mut keys, mut undecided) = (Vec::new(), Vec::new(), false);
        let mut on = self.merge.seek(prefix)?;
        while on && self.merge.key().starts_with(prefix) && spans.len() <= EXTENTS_MAX {
            let (_, index, version) =
                key::parse_extent(&self.merge.key()[prefix.len()..]).ok_or_else(wrong)?;
            let entry = Entry::decode(self.merge.value())?;
            match status(self.dtx, entry.dtx) {
                Status::Aborted => {}
                status => {
                    undecided |= status == Status::Prepared;
                    spans.push(Span::of(entry.change, index, version).ok_or_else(wrong)?);
                    keys.push(self.merge.key().to_vec());
                }
            }
            on = self.merge.step()?;
        }
        Ok((spans, keys, undecided))
    }

    /// The next node below `parent`, from a place on.
    fn next_node(&mut self, from: &[u8], parent: &[u8], kind: KeyKind) -> Result<Option<KeyBuf>> {
        if !self.merge.seek(from)? || !self.merge.key().starts_with(parent) {
            return Ok(None);
        }
        let parsed = key::parse_user_key(kind, &self.merge.key()[parent.len()..])
            .ok_or_else(|| VosError::Corrupt { why: "a key below an object has no known form".to_owned() })?;
        KeyBuf::from_slice(&self.merge.key()[..parent.len() + parsed.encoded_len]).map(Some)
    }

    /// Takes note of what is kept although a rollback hides it.
    fn note_kept(&mut self, kept: impl Iterator<Item = Version>) {
        if self.hidden.is_empty() {
            return;
        }
        for version in kept {
            let has = |(stretch, _): &&mut (Stretch, bool)| stretch.has(version.epoch);
            self.hidden.iter_mut().filter(has).for_each(|(_, kept)| *kept = true);
        }
    }

    /// The same where not all that is kept was looked at.
    fn note_unknown(&mut self) {
        self.hidden.iter_mut().for_each(|(_, kept)| *kept = true);
    }

    fn remove_versions(&mut self, node: &mut KeyBuf, own: &Versions, keep: &[bool]) {
        let kept = own.list.iter().zip(keep).filter(|(_, keep)| **keep);
        self.note_kept(kept.map(|((version, _), _)| *version));
        if own.undecided {
            self.note_unknown();
        }
        let mark = node.mark();
        for ((version, _), keep) in own.list.iter().zip(keep).rev() {
            if !keep {
                node.version(*version);
                self.found.keys.push(node.as_slice().to_vec());
                node.truncate(mark);
            }
        }
    }

    /// Decides what is needed of an object's own versions, after all that is below it.
    fn finish(&mut self, object: Object) {
        let Object { mut node, num, mut own, .. } = object;
        let above = vec![Version::default(); self.bounds.iter().count()];
        let keep = own.needed(self.bounds, &above);
        self.found.seen += own.list.len();
        self.remove_versions(&mut node, &own, &keep);
        if keep.iter().all(|keep| !keep) {
            self.found.emptied = Some((node.as_slice().to_vec(), num));
        }
    }
}

/// The newest punch at or before each bound: of these, or of those above.
fn floors(bounds: &Bounds, punches: &Punches, above: &[Version]) -> Vec<Version> {
    let above = above.iter().copied().chain(std::iter::repeat(Version::default()));
    bounds.iter().zip(above).map(|(bound, above)| punches.floor(bound).max(above)).collect()
}
