//! Writing into arrays.

use super::geometry::{self, Geometry, check_len, check_recxs, parts};
use super::state::{Holds, Leaf};
use crate::data::Stored;
use crate::entry::{Change, Entry, Payload};
use crate::error::{Result, VosError};
use crate::key::KeyBuf;
use crate::node::{self, NodeState};
use crate::stage::StagedIod;
use crate::tx::Writing;
use daos_types::{Epoch, Extent, Version};
use std::ops::ControlFlow;

impl Writing<'_, '_> {
    /// Writes records of the array at an akey's node, below a dkey that stands as given.
    pub(crate) fn write_array(
        &mut self,
        node: &mut KeyBuf,
        akey: &[u8],
        dkey: NodeState,
        rec_size: u64,
        recxs: &[Extent],
        data: &[u8],
        staged: Option<&StagedIod>,
    ) -> Result<()> {
        check_len(rec_size, check_recxs(recxs)?, data.len())?;
        self.ensure_array(node, akey, dkey, rec_size)?;
        let geometry = Geometry::of(rec_size);
        for (at, part) in parts(geometry, recxs).into_iter().enumerate() {
            let from = (part.from * rec_size) as usize;
            let len = (part.records() * rec_size) as usize;
            let stored = staged.and_then(|staged| staged.part(at)).and_then(Stored::parse);
            let payload = match stored {
                Some(stored) => Payload::Stored(stored),
                None => Payload::Inline(data.get(from..from + len).unwrap_or_default()),
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
        Ok(())
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
        if self.merge.may_hold(self.version.epoch) {
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

    /// Writes one extent below an akey's node.
    fn put_extent(&mut self, node: &mut KeyBuf, class: u8, index: u64, change: Change<'_>) -> Result<()> {
        let mark = node.mark();
        node.extents();
        node.extent(class, index);
        node.push_version(self.version);
        if self.merge.may_hold(self.version.epoch) && self.merge.get(node.as_slice(), |_| ())?.is_some() {
            return Err(VosError::SameVersion);
        }
        let entry = Entry { dtx: self.dtx, long_key: None, change };
        self.changes.put(self.shard.num, node.as_slice(), |out| entry.encode(out));
        node.truncate(mark);
        Ok(())
    }
}
