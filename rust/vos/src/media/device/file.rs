//! An open file of a device: its bytes, and its size.

use super::super::{MediaError, MediaFile, Result};
use super::table::Run;
use super::{Map, Node, Shared};
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// An open file.
#[derive(Debug)]
pub(super) struct DeviceFile {
    pub(super) shared: Arc<Shared>,
    pub(super) node: Arc<Node>,
    pub(super) name: String,
}

impl Drop for DeviceFile {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        let last = self.node.handles.fetch_sub(1, Ordering::Relaxed) == 1;
        if last && self.node.unlinked.load(Ordering::Relaxed) {
            let runs = std::mem::take(&mut *self.node.map.write()).runs;
            state.give_up(runs);
        }
    }
}

impl DeviceFile {
    fn write_pieces(&self, map: &Map, offset: u64, parts: &[IoSlice<'_>], durable: bool) -> Result<()> {
        let device = &*self.shared.device;
        let write = |at: u64, parts: &[IoSlice<'_>]| {
            if durable { device.write_at_durable(at, parts) } else { device.write_at(at, parts) }
        };
        let len = len_of(parts);
        let all =
            |act: &mut dyn FnMut(u64, u64) -> Result<()>| map.pieces(self.shared.geometry, offset, len, act);
        let mut done = 0;
        let mut one = |at, here: u64| {
            // The common case is one piece, with the caller's own array.
            if here == len {
                return write(at, parts);
            }
            let written = write(at, &slice_of(parts, done, here));
            done += here;
            written
        };
        if durable { self.shared.durably(|| all(&mut one)) } else { all(&mut one) }
    }

    /// Writes inside of the file, or lets it grow.
    fn write(&self, offset: u64, parts: &[IoSlice<'_>], durable: bool) -> Result<()> {
        let len = len_of(parts);
        if len == 0 {
            return Ok(());
        }
        let end = offset.checked_add(len).ok_or_else(|| self.no_space())?;
        {
            let map = self.node.map.read();
            if end <= map.size {
                return self.write_pieces(&map, offset, parts, durable);
            }
        }
        let written = self.grow(end, |map, size| {
            self.zero(map, size, offset)?;
            self.write_pieces(map, offset, parts, durable)
        })?;
        if written {
            return Ok(());
        }
        // Another thread was faster.
        self.write(offset, parts, durable)
    }

    /// Makes the file so long when `fill` has written what is new; it is given the file's future map, and its size. False where the file is
    /// so long already.
    fn grow(&self, end: u64, fill: impl FnOnce(&Map, u64) -> Result<()>) -> Result<bool> {
        let _resizing = self.node.resizing.lock();
        let map = self.node.map.read().clone();
        if end <= map.size {
            return Ok(false);
        }
        let geometry = self.shared.geometry;
        let there = geometry.clusters_of(map.size);
        let wanted = geometry.clusters_of(end);
        let last = map.runs.last().map(|run| run.end());
        let taken = self.shared.take(&self.name, wanted - there, last)?;
        let grown = map.with(end, &taken);
        let filled = fill(&grown, map.size);
        let mut state = self.shared.state.lock();
        if filled.is_err() {
            // No table has named them.
            state.free.give_all(taken);
            return filled.map(|()| true);
        }
        *self.node.map.write() = grown;
        let version = state.change();
        self.node.changed.store(version, Ordering::Relaxed);
        Ok(true)
    }

    fn zero(&self, map: &Map, from: u64, to: u64) -> Result<()> {
        if from >= to {
            return Ok(());
        }
        let device = &self.shared.device;
        map.pieces(self.shared.geometry, from, to - from, &mut |at, here| device.zero(at, here))
    }

    fn grow_zeroed(&self, end: u64) -> Result<()> {
        self.grow(end, |map, size| self.zero(map, size, end)).map(drop)
    }

    fn no_space(&self) -> MediaError {
        MediaError::NoSpace { name: self.name.clone() }
    }
}

fn len_of(parts: &[IoSlice<'_>]) -> u64 {
    parts.iter().map(|part| part.len() as u64).sum()
}

/// A range of what parts hold, as parts.
fn slice_of<'a>(parts: &'a [IoSlice<'_>], from: u64, len: u64) -> Vec<IoSlice<'a>> {
    let (mut skip, mut left) = (from, len);
    let mut out = Vec::new();
    for part in parts {
        let start = skip.min(part.len() as u64);
        skip -= start;
        let here = left.min(part.len() as u64 - start);
        left -= here;
        if let Some(bytes) =
            part.get(start as usize..(start + here) as usize).filter(|bytes| !bytes.is_empty())
        {
            out.push(IoSlice::new(bytes));
        }
    }
    out
}

impl MediaFile for DeviceFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn size(&self) -> Result<u64> {
        Ok(self.node.map.read().size)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        if buffer.is_empty() {
            return Ok(());
        }
        let end = offset.saturating_add(buffer.len() as u64);
        // Held while it reads, so that nobody cuts the file meanwhile.
        let map = self.node.map.read();
        if end > map.size {
            return Err(MediaError::Short { name: self.name.clone(), end });
        }
        let len = buffer.len() as u64;
        let mut rest = buffer;
        map.pieces(self.shared.geometry, offset, len, &mut |at, here| {
            let (head, tail) = std::mem::take(&mut rest).split_at_mut(here as usize);
            rest = tail;
            self.shared.device.read_at(at, head)
        })
    }

    fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> Result<()> {
        self.write(offset, parts, false)
    }

    fn write_at_durable(&self, offset: u64, parts: &[IoSlice<'_>]) -> Result<()> {
        self.write(offset, parts, true)
    }

    fn sync(&self) -> Result<()> {
        self.shared.check()?;
        // Whoever wrote the table may have synced before the last bytes came.
        if !self.shared.commit(self.node.changed.load(Ordering::Acquire))? {
            self.shared.durably(|| self.shared.device.sync())?;
        }
        Ok(())
    }

    fn set_size(&self, size: u64) -> Result<()> {
        if size > self.node.map.read().size {
            return self.grow_zeroed(size);
        }
        let _resizing = self.node.resizing.lock();
        let mut state = self.shared.state.lock();
        let mut map = self.node.map.write();
        if size < map.size {
            let mut left = self.shared.geometry.clusters_of(size) as u32;
            let mut kept = Vec::new();
            let mut cut = Vec::new();
            for run in &map.runs {
                let here = left.min(run.count);
                left -= here;
                kept.extend((here > 0).then_some(Run { start: run.start, count: here }));
                let more = Run { start: run.start + here, count: run.count - here };
                cut.extend((more.count > 0).then_some(more));
            }
            *map = Map::of(size, kept);
            drop(map);
            state.give_up(cut);
            let version = state.change();
            self.node.changed.store(version, Ordering::Relaxed);
        }
        Ok(())
    }

    fn allocate(&self, offset: u64, len: u64) -> Result<()> {
        if len == 0 {
            return Ok(());
        }
        let end = offset.checked_add(len).ok_or_else(|| self.no_space())?;
        self.grow_zeroed(end)
    }

    fn fill(&self, _offset: u64, _len: u64) -> Result<()> {
        // What a file here is given is written with zeros already.
        Ok(())
    }

    fn discard(&self, _offset: u64, _len: u64) -> Result<()> {
        Ok(())
    }
}
