//! What extents a write into an array becomes. Client and store cut alike: each extent has sums of its own.

use crate::Extent;
use alloc::vec::Vec;

/// Bytes of records that no extent reaches beyond.
pub const CHUNK_BYTES: u64 = 1 << 20;

/// Records of a chunk, with records of so many bytes: a power of two, at least 1.
pub const fn chunk_records(rec_size: u64) -> u64 {
    let fit = CHUNK_BYTES / if rec_size == 0 { 1 } else { rec_size };
    1 << (if fit == 0 { 1 } else { fit }).ilog2()
}

/// One extent of a write: `blocks` times `count` records, `stride` apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The first record.
    pub index: u64,
    /// Records of a block.
    pub count: u64,
    /// How many blocks.
    pub blocks: u64,
    /// From block to block; 0 where there is one.
    pub stride: u64,
    /// Records of the write before these.
    pub from: u64,
}

impl Part {
    /// Records from its first to its last.
    pub fn span(self) -> u64 {
        (self.blocks - 1) * self.stride + self.count
    }

    /// Its bytes among those of the write.
    pub fn bytes(self, rec_size: u64, data: &[u8]) -> &[u8] {
        let from = (self.from * rec_size) as usize;
        let len = (self.blocks * self.count * rec_size) as usize;
        data.get(from..from + len).unwrap_or_default()
    }
}

/// Divides a write: split where chunks meet, neighbours joined, regular lists of blocks in one.
pub fn parts(rec_size: u64, recxs: &[Extent]) -> Vec<Part> {
    let chunk = chunk_records(rec_size);
    let mut parts: Vec<Part> = Vec::with_capacity(recxs.len().min(64));
    let mut from = 0;
    for recx in recxs {
        let (mut index, end) = (recx.index, recx.end());
        while index < end {
            let stop = end.min((index / chunk + 1) * chunk);
            let part = Part { index, count: stop - index, blocks: 1, stride: 0, from };
            from += part.count;
            index = stop;
            let joined = parts.last_mut().filter(|last| last.index / chunk == part.index / chunk);
            if !joined.is_some_and(|last| last.take(part)) {
                parts.push(part);
            }
        }
    }
    parts
}

impl Part {
    /// Takes the next part of the same chunk in, if it goes on as this one does.
    fn take(&mut self, next: Self) -> bool {
        let Some(distance) = next.index.checked_sub(self.index) else { return false };
        if self.blocks == 1 {
            if distance == self.count {
                self.count += next.count;
                return true;
            }
            if next.count == self.count && distance > self.count {
                (self.blocks, self.stride) = (2, distance);
                return true;
            }
            return false;
        }
        let goes_on = next.count == self.count && distance == self.blocks * self.stride;
        self.blocks += u64::from(goes_on);
        goes_on
    }
}
