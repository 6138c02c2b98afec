//! What a container holds as a whole: its objects, and how two of its states differ.

use crate::array::{Holds, Leaf, Span};
use crate::dtx::DtxTable;
use crate::entry::{DtxNum, Entry};
use crate::error::{Result, VosError};
use crate::key::{self, ContNum, KeyBuf, LEVEL_BELOW, LEVEL_END, OBJECT_NODE_LEN};
use crate::levels::{Merge, Seen};
use crate::node::{self, At, NodeState, ObjectState};
use crate::read::{ObjectRef, PASSED_MAX, View, object_at};
use crate::rollback::Stretch;
use daos_types::difference::RANGES_MAX;
use daos_types::object_id::KeyKind;
use daos_types::{Epoch, Extent, How, KV_AKEY, KeyDifference, Lsn, ObjectId, ObjectType, Version};
use std::cell::Cell;

/// A page of objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectPage {
    /// Ascending, each once.
    pub oids: Vec<ObjectId>,
    /// Go on behind this one; `None` at the end.
    pub next: Option<ObjectId>,
}

/// A page of differences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DiffPage {
    /// In the order of their keys.
    pub keys: Vec<KeyDifference>,
    /// Where to go on; `None` at the end.
    pub next: Option<Vec<u8>>,
}

/// A reader at one epoch of several.
struct Reader<'a> {
    version: Version,
    hidden: Vec<Stretch>,
    dtx: &'a DtxTable,
    decided: &'a Cell<Lsn>,
}

impl Reader<'_> {
    fn at(&self) -> At<'_> {
        At {
            version: self.version,
            hidden: &self.hidden,
            own: DtxNum::COMMITTED,
            dtx: self.dtx,
            decided: self.decided,
        }
    }
}

impl View {
    /// Reads at several epochs while nothing changes.
    fn at_epochs<T>(
        &self,
        cont: ContNum,
        epochs: &[Epoch],
        read: impl FnOnce(&mut Merge<'_>, &[Reader<'_>]) -> Result<T>,
    ) -> (Seen, Result<T>) {
        self.look.levels.read(self.overlay.as_deref(), |merge| {
            let decided = Cell::new(Lsn::ZERO);
            let reader = |epoch: &Epoch| Reader {
                version: Version::read_at(*epoch),
                hidden: self.shard.hidden(cont, *epoch),
                dtx: &self.shard.dtx,
                decided: &decided,
            };
            let readers: Vec<Reader<'_>> = epochs.iter().map(reader).collect();
            let result = read(merge, &readers);
            (merge.seen().and(Seen(decided.get())), result)
        })
    }

    /// One page of the objects of a container that are visible at any of these epochs.
    pub fn objects(
        &self,
        cont: ContNum,
        epochs: &[Epoch],
        after: Option<ObjectId>,
        count_max: usize,
    ) -> (Seen, Result<ObjectPage>) {
        self.at_epochs(cont, epochs, |merge, readers| {
            let objects = KeyBuf::objects(cont);
            let mut place = objects.as_slice().to_vec();
            place.extend_from_slice(&after.map_or([0; 16], ObjectId::to_be_bytes));
            if after.is_some() {
                key::successor(&mut place);
            }
            let mut page = ObjectPage::default();
            let mut passed = 0;
            while merge.seek(&place)? && merge.key().starts_with(objects.as_slice()) {
                let (_, unit) = key::parse_object(merge.key()).ok_or_else(wrong)?;
                // An object may have several shards here.
                if page.next != Some(unit.oid)
                    && (page.oids.len() >= count_max.max(1) || passed >= PASSED_MAX)
                {
                    return Ok(page);
                }
                let mut node = KeyBuf::from_slice(merge.key().get(..OBJECT_NODE_LEN).ok_or_else(wrong)?)?;
                place = node.as_slice().to_vec();
                place.push(LEVEL_END);
                passed += 1;
                page.next = Some(unit.oid);
                let is_table =
                    matches!(unit.oid.object_type(), None | Some(ObjectType::Oit | ObjectType::OitV2));
                let Some(state) = ObjectState::load(merge, &mut node)?.filter(|_| !is_table) else {
                    continue;
                };
                for reader in readers {
                    if state.at(reader.at())?.unwrap_or_default().alive && page.oids.last() != Some(&unit.oid)
                    {
                        page.oids.push(unit.oid);
                    }
                }
            }
            page.next = None;
            Ok(page)
        })
    }

    /// One page of the akeys of an object that differ between two epochs: those with another version to be seen, or other extents.
    pub fn diff(
        &self,
        of: ObjectRef,
        before: Epoch,
        after: Epoch,
        from: Option<&[u8]>,
        count_max: usize,
    ) -> (Seen, Result<DiffPage>) {
        let kind = match of.kind() {
            Ok(kind) => kind,
            Err(error) => return (Seen::default(), Err(error)),
        };
        self.at_epochs(of.cont, &[before, after], |merge, readers| {
            let [before, after] = readers else { return Ok(DiffPage::default()) };
            let look = self.look.objects_changed;
            let mut stands = |at| object_at(&self.shard, look, merge, of, at, self.overlay.is_some());
            let Some((Some(num), then)) = stands(before.at())? else { return Ok(DiffPage::default()) };
            let object = Both(then, stands(after.at())?.map_or_else(NodeState::default, |(_, now)| now));
            let tree = KeyBuf::tree(num);
            Comparison { merge, at: Both(before.at(), after.at()), kind, tree, object }.page(from, count_max)
        })
    }
}

/// Something of the earlier state, and of the later one.
#[derive(Clone, Copy)]
struct Both<T>(T, T);

struct Comparison<'a, 'm> {
    merge: &'a mut Merge<'m>,
    at: Both<At<'a>>,
    kind: ObjectType,
    tree: KeyBuf,
    object: Both<NodeState>,
}

impl Comparison<'_, '_> {
    fn page(&mut self, from: Option<&[u8]>, count_max: usize) -> Result<DiffPage> {
        let mut page = DiffPage::default();
        let tree = self.tree.clone();
        let mut place = [tree.as_slice(), from.unwrap_or_default()].concat();
        let mut passed = 0;
        // The dkey that the walk is in: its node, key and states.
        let mut inside: Option<(KeyBuf, Vec<u8>, Both<NodeState>)> = None;
        while self.merge.seek(&place)? && self.merge.key().starts_with(tree.as_slice()) {
            if page.keys.len() >= count_max.max(1) || passed >= PASSED_MAX {
                page.next = place.get(tree.mark()..).map(<[u8]>::to_vec);
                break;
            }
            passed += 1;
            let here = self.merge.key().to_vec();
            let (node, dkey, states) = match inside.take() {
                Some(inside) if key::is_of_node(&here, inside.0.as_slice()) => inside,
                _ => {
                    let (mut node, dkey) = self.node_here(&tree, self.kind.dkey_kind())?;
                    if self.kind.is_kv() {
                        // Its versions hold the value; there is nothing below.
                        place.clear();
                        place.extend_from_slice(node.as_slice());
                        place.push(LEVEL_END);
                        if let Some(how) = self.newest(&mut node, self.object)? {
                            let akey = KV_AKEY.to_vec();
                            page.keys.push(KeyDifference { dkey, akey, how, records: Vec::new() });
                        }
                        continue;
                    }
                    let states = self.both(self.object, |merge, at, above| {
                        node::state(merge, &mut node, at, above.floor)
                    })?;
                    (node, dkey, states)
                }
            };
            place.clear();
            place.extend_from_slice(node.as_slice());
            let mut below = node.clone();
            below.below();
            if !(states.0.alive || states.1.alive)
                || here.as_slice() > below.as_slice() && !here.starts_with(below.as_slice())
            {
                place.push(LEVEL_END);
                continue;
            }
            if here.as_slice() < below.as_slice() {
                // The dkey's own versions.
                place.push(LEVEL_BELOW);
            } else if self.merge.seek(&here)? {
                let (mut akey_node, akey) = self.node_here(&below, self.kind.akey_kind())?;
                place.clear();
                place.extend_from_slice(akey_node.as_slice());
                place.push(LEVEL_END);
                if let Some((how, records)) = self.akey(&mut akey_node, states)? {
                    page.keys.push(KeyDifference { dkey: dkey.clone(), akey, how, records });
                }
            }
            inside = Some((node, dkey, states));
        }
        Ok(page)
    }

    fn both<A: Copy, T>(
        &mut self,
        above: Both<A>,
        mut read: impl FnMut(&mut Merge<'_>, At<'_>, A) -> Result<T>,
    ) -> Result<Both<T>> {
        Ok(Both(read(self.merge, self.at.0, above.0)?, read(self.merge, self.at.1, above.1)?))
    }

    /// The node below a parent on which the walk stands, and its key as the caller knows it.
    fn node_here(&mut self, parent: &KeyBuf, kind: KeyKind) -> Result<(KeyBuf, Vec<u8>)> {
        let below = self.merge.key().get(parent.mark()..).unwrap_or_default();
        let parsed = key::parse_user_key(kind, below).ok_or_else(wrong)?;
        let node = KeyBuf::from_slice(&self.merge.key()[..parent.mark() + parsed.encoded_len])?;
        let mut user = Vec::new();
        key::decode_user_key(kind, &below[..parsed.encoded_len], &mut user);
        if parsed.long {
            // The whole key is in each of its versions.
            let mut versions = node.clone();
            versions.versions();
            if self.merge.seek(versions.as_slice())? && self.merge.key().starts_with(versions.as_slice()) {
                let entry = Entry::decode(self.merge.value())?;
                user = entry.long_key.ok_or_else(wrong)?.to_vec();
            }
        }
        Ok((node, user))
    }

    /// How a node differs by its newest versions, below what stands as given.
    fn newest(&mut self, node: &mut KeyBuf, above: Both<NodeState>) -> Result<Option<How>> {
        let versions =
            self.both(above, |merge, at, above| node::newest(merge, node, at, above.floor, |at, _| at))?;
        Ok(match versions {
            Both(None, Some(_)) => Some(How::Added),
            Both(Some(_), None) => Some(How::Removed),
            Both(before, after) => (before != after).then_some(How::Changed),
        })
    }

    /// How an akey differs.
    fn akey(&mut self, node: &mut KeyBuf, dkey: Both<NodeState>) -> Result<Option<(How, Vec<Extent>)>> {
        let leaf = self.both(dkey, |merge, at, above| Leaf::load(merge, node, at, above.floor))?;
        let is_array = |leaf: &Leaf| matches!(leaf.holds, Holds::Array(_));
        if !is_array(&leaf.0) && !is_array(&leaf.1) {
            return Ok(self.newest(node, dkey)?.map(|how| (how, Vec::new())));
        }
        let records = self.records(node, leaf)?;
        Ok(match (leaf.0.holds, leaf.1.holds) {
            (Holds::Nothing, _) => Some((How::Added, records)),
            (_, Holds::Nothing) => Some((How::Removed, records)),
            _ if records.is_empty() && is_array(&leaf.0) == is_array(&leaf.1) => None,
            _ => Some((How::Changed, records)),
        })
    }

    /// The records of extents that count in one state and not in the other.
    fn records(&mut self, node: &KeyBuf, leaf: Both<Leaf>) -> Result<Vec<Extent>> {
        let mut prefix = node.clone();
        prefix.extents();
        let mut found = Vec::new();
        let mut on = self.merge.seek(prefix.as_slice())?;
        while on && self.merge.key().starts_with(prefix.as_slice()) {
            let (_, index, version) =
                key::parse_extent(&self.merge.key()[prefix.mark()..]).ok_or_else(wrong)?;
            let entry = Entry::decode(self.merge.value())?;
            let counts = |at: At<'_>, leaf: Leaf| -> Result<bool> {
                Ok(version <= at.version && version > leaf.floor && at.counts(version, entry.dtx)?)
            };
            if counts(self.at.0, leaf.0)? != counts(self.at.1, leaf.1)? {
                let span = Span::of(entry.change, index, version).ok_or_else(wrong)?;
                found.push(Extent { index, count: span.end() - index });
            }
            on = self.merge.step()?;
        }
        Ok(joined(found))
    }
}

/// Ranges that hold these, ascending and apart, few enough to be told.
fn joined(mut extents: Vec<Extent>) -> Vec<Extent> {
    extents.sort_unstable();
    let (mut ranges, mut count): (Vec<Extent>, usize) = (Vec::new(), 0);
    for extent in extents {
        match ranges.last_mut() {
            Some(last) if extent.index <= last.end() || count == RANGES_MAX => {
                last.count = last.end().max(extent.end()) - last.index;
            }
            _ => {
                ranges.push(extent);
                count += 1;
            }
        }
    }
    ranges
}

fn wrong() -> VosError {
    VosError::Corrupt { why: "a key of a container has no known form".to_owned() }
}
