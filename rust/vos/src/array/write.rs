//! Writing into arrays.

use super::geometry::{self, Geometry, check_len, check_recxs};
use super::state::{Holds, Leaf};
use crate::checksum::check_rest;
use crate::entry::{Change, Entry, Payload};
use crate::error::{Result, VosError};
use crate::key::{self, KeyBuf, LEVEL_VERSIONS};
use crate::node::{self, NodeState};
use crate::stage::StagedIod;
use crate::tx::Writing;
use daos_types::part::parts;
use daos_types::{Epoch, Extent, IodSums, Version};
use std::ops::ControlFlow;

/// What is written to an array: the words of `IodValue::Array`, and what of it lies in the data file already.
pub(crate) struct Records<'a> {
    pub(crate) rec_size: u64,
    pub(crate) recxs: &'a [Extent],
    pub(crate) data: &'a [u8],
    pub(crate) sums: IodSums<'a>,
    pub(crate) staged: Option<&'a StagedIod>,
}

impl Writing<'_, '_> {
    /// Writes records of the array at an akey's node, below a dkey that stands as given.
    pub(crate) fn write_array(
        &mut self,
        node: &mut KeyBuf,
        akey: &[u8],
        dkey: NodeState,
        records: &Records<'_>,
    ) -> Result<()> {
        let Records { rec_size, recxs, data, mut sums, staged } = *records;
        check_len(rec_size, check_recxs(recxs)?, data.len())?;
        self.ensure_array(node, akey, dkey, rec_size)?;
        let geometry = Geometry::of(rec_size);
        for (at, part) in parts(rec_size, recxs).into_iter().enumerate() {
            let bytes = part.bytes(rec_size, data);
            let payload = Payload {
                content: StagedIod::content(staged, at, bytes),
                sums: sums.take(rec_size, bytes.len())?,
            };
            // Both are below a chunk's records, 2^20.
            let (count, blocks) = (part.count as u32, part.blocks as u32);
            let change = if blocks == 1 {
                Change::Records { count, payload }
            } else {
                Change::Strided { count, blocks, stride: part.stride as u32, payload }
            };
            self.put_extent(node, geometry.class(part.span()), part.index, change)?;
        }
        check_rest(&sums)
    }

    /// Takes records out of the array at an akey's node.
    pub(crate) fn punch_records(
        &mut self,
        node: &mut KeyBuf,
        akey: &[u8],
        dkey: NodeState,
        recxs: &[Extent],
    ) -> Result<()> {
        check_recxs(recxs)?;
        let rec_size = self.ensure_array(node, akey, dkey, 0)?;
        for (class, recx) in geometry::holes(rec_size, recxs) {
            self.put_extent(node, class, recx.index, Change::Hole(recx.count))?;
        }
        Ok(())
    }

    /// Makes sure that the akey holds an array with records of this size, 0 for any; answers the size it has.
    fn ensure_array(
        &mut self,
        node: &mut KeyBuf,
        akey: &[u8],
        dkey: NodeState,
        rec_size: u64,
    ) -> Result<u64> {
        node::check_long(self.merge, node, akey)?;
        let at = self.at();
        let leaf = Leaf::load(self.merge, node, at, dkey.floor)?;
        leaf.check_array(rec_size)?;
        if self.may_be_late() {
            self.check_later(node, rec_size)?;
        }
        match leaf.holds {
            Holds::Array(stored) if stored != 0 || rec_size == 0 => Ok(stored),
            _ => {
                self.put(node, Some(akey), self.version, Change::Array(rec_size))?;
                Ok(rec_size)
            }
        }
    }

    /// A write that arrives late must fit what was made of the akey after it: their extents share one order of keys.
    fn check_later(&mut self, node: &mut KeyBuf, rec_size: u64) -> Result<()> {
        let mut later = None;
        let own = self.version;
        node::walk_versions(self.merge, node, Version::read_at(Epoch::MAX), |version, entry| {
            if version <= own {
                return Ok(ControlFlow::Break(()));
            }
            later = Some(match entry.change {
                Change::Punch => None,
                Change::Array(0) => return Ok(ControlFlow::Continue(())),
                Change::Array(rec_size) => Some(Holds::Array(rec_size)),
                _ => Some(Holds::Single),
            });
            Ok(ControlFlow::Continue(()))
        })?;
        match later.flatten() {
            None => Ok(()),
            Some(holds) => Leaf { holds, floor: Version::default() }.check_array(rec_size),
        }
    }

    /// A punch that arrives late takes the array entry away that later extents relied on: this puts it again where the first
    /// of them is, with the size where the first records are.
    pub(crate) fn revive_array(&mut self, node: &[u8]) -> Result<()> {
        let punched = self.version;
        let (mut sizes, mut next, mut sized) = (Vec::new(), None, None);
        let (mut extents, mut records) = (None, None);
        let mut long_key = None;
        let earliest = |earliest: &mut Option<Version>, version| {
            *earliest = earliest.iter().copied().chain([version]).min();
        };
        let mut on = self.merge.seek(node)?;
        while on && key::is_of_node(self.merge.key(), node) {
            let entry = Entry::decode(self.merge.value())?;
            long_key = long_key.or_else(|| entry.long_key.map(<[u8]>::to_vec));
            let version = key::version_of(self.merge.key()).unwrap_or_default();
            if let Change::Array(rec_size @ 1..) = entry.change {
                sizes.push((version, rec_size));
            }
            // An undecided change makes a late punch wait.
            if version > punched && self.at().counts(version, entry.dtx)? {
                let is_own = self.merge.key().get(node.len()) == Some(&LEVEL_VERSIONS);
                match entry.change {
                    Change::Array(0) => earliest(&mut next, version),
                    _ if is_own => {
                        earliest(&mut next, version);
                        earliest(&mut sized, version);
                    }
                    Change::Hole(_) => earliest(&mut extents, version),
                    _ => {
                        earliest(&mut extents, version);
                        earliest(&mut records, version);
                    }
                }
            }
            on = self.merge.step()?;
        }
        let size_at = |at: Version| {
            let size = sizes.iter().filter(|(version, _)| *version <= at).max();
            size.map_or(0, |(_, rec_size)| *rec_size)
        };
        let lost = |first: Option<Version>, next: Option<Version>| {
            first.filter(|first| next.is_none_or(|next| *first < next))
        };
        let again = lost(extents, next);
        let sized_again = lost(records, sized)
            .filter(|first| again.is_none_or(|again| size_at(again) == 0 && again != *first));
        let mut node = KeyBuf::from_slice(node)?;
        for version in again.into_iter().chain(sized_again) {
            let change = Change::Array(size_at(version));
            self.revive_at(&mut node, long_key.as_deref(), Some(version), change)?;
        }
        Ok(())
    }

    /// Writes one extent below an akey's node.
    fn put_extent(&mut self, node: &mut KeyBuf, class: u8, index: u64, change: Change<'_>) -> Result<()> {
        let mark = node.mark();
        node.extents();
        node.extent(class, index);
        node.push_version(self.version);
        if self.may_be_late() && self.merge.get(node.as_slice(), |_| ())?.is_some() {
            return Err(VosError::SameVersion);
        }
        let entry = Entry { dtx: self.dtx, long_key: None, change };
        self.changes.put(self.shard.num, node.as_slice(), |out| entry.encode(out));
        node.truncate(mark);
        Ok(())
    }
}
