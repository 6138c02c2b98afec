//! What the log is told, and what it tells.

use super::error::{LogError, Result};
use super::group::{BLOCK, HEADER, RECORD_PREFIX};
use super::superblock::SEGMENT_BLOCKS_MAX;
use daos_types::Lsn;

/// Sizes and bounds of a log. They are not stored: each opening may choose others.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// Bytes of the two segments a fresh log has.
    pub segment_bytes_min: u32,
    /// Bytes to which new segments grow, each twice the one before.
    pub segment_bytes_max: u32,
    /// Bytes of all segments together: beyond it the store must merge and recycle.
    pub log_bytes_max: u64,
    /// Bytes of one record.
    pub record_bytes_max: u32,
    /// Bytes of a group, unless one record is longer: what a waiter in front may have to wait for.
    pub group_bytes_max: u32,
    /// Bytes submitted and not yet being written.
    pub queue_bytes_max: u64,
    /// Records submitted and not yet being written.
    pub queue_records_max: u64,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes_min: 1 << 20,
            segment_bytes_max: 64 << 20,
            log_bytes_max: 512 << 20,
            record_bytes_max: 8 << 20,
            group_bytes_max: 1 << 20,
            queue_bytes_max: 16 << 20,
            queue_records_max: 65_536,
        }
    }
}

impl LogOptions {
    /// Bytes of the smallest segment that holds a record of this length.
    pub(super) const fn segment_for(record: u64) -> u64 {
        (BLOCK + HEADER as u64 + RECORD_PREFIX as u64 + record).next_multiple_of(BLOCK)
    }

    pub(super) fn check(&self) -> Result<()> {
        let sizes = [self.segment_bytes_min, self.segment_bytes_max];
        let bad = if sizes.iter().any(|&size| u64::from(size) < 2 * BLOCK || u64::from(size) % BLOCK != 0) {
            "a segment is at least two whole blocks of 4096 bytes"
        } else if u64::from(self.segment_bytes_max) > u64::from(SEGMENT_BLOCKS_MAX) * BLOCK {
            "a segment is at most 1 GiB"
        } else if self.segment_bytes_min > self.segment_bytes_max {
            "the first segments are larger than the largest"
        } else if Self::segment_for(u64::from(self.record_bytes_max)) > u64::from(self.segment_bytes_max) {
            "the longest record does not fit into the largest segment"
        } else if self.log_bytes_max < 2 * u64::from(self.segment_bytes_min) {
            "the log's cap is below two segments"
        } else {
            return Ok(());
        };
        Err(LogError::Options(bad))
    }
}

/// How far the bases of the shards that use the log have come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Merged {
    /// Every base covers the records up to here: they are not replayed.
    pub by_all: Lsn,
    /// Some base covers a record up to here: the log must hold it.
    pub by_any: Lsn,
}

impl Merged {
    /// One base, or all alike.
    pub const fn all(lsn: Lsn) -> Self {
        Self { by_all: lsn, by_any: lsn }
    }
}

/// Takes the records of a log that is opened, one by one; a refusal ends the opening.
pub type Receive<'a> = dyn FnMut(Lsn, &[u8]) -> std::result::Result<(), String> + 'a;

/// What records name that lies outside of the log.
pub trait Beside: Send + Sync + std::fmt::Debug {
    /// Makes it durable, as far as records submitted so far name it: to be done before anything of the log counts as durable. A
    /// failure is one of the log.
    fn sync(&self) -> crate::media::Result<()>;

    /// Whether anything of it may not be durable yet.
    fn is_dirty(&self) -> bool;

    /// Whether what a record names is there, whole; if so, it is written again, to be durable after the next sync. Asked
    /// while the log is opened, of records of which nothing proves that this was durable. An answer of false ends the log before them.
    fn recover(&self, record: &[u8]) -> std::result::Result<bool, String>;
}

/// What opening found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovered {
    /// The last record in the log: all up to here is durable.
    pub last: Lsn,
    /// Records given to the receiver.
    pub replayed: u64,
    /// Records found, those that are merged already among them.
    pub found: u64,
    /// Groups behind the end that were whole and not acknowledged as synced: cut off with what was torn before them.
    pub cut_groups: u64,
    /// How often the log was opened, its creation counted.
    pub incarnation: u32,
}

/// How full the log is: the store merges by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pressure {
    /// Bytes of segments not yet given back.
    pub bytes: u64,
    /// Bytes the log may have.
    pub bytes_max: u64,
    /// Records that some base does not cover yet.
    pub records: u64,
    /// Bytes waiting to be written.
    pub queued_bytes: u64,
}

/// What the log did since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogStats {
    /// Records submitted.
    pub records: u64,
    /// Groups written.
    pub groups: u64,
    /// Bytes written, padding included.
    pub bytes: u64,
    /// Groups written durably in one call.
    pub durable_writes: u64,
    /// Syncs of segment files.
    pub syncs: u64,
    /// Segments made.
    pub segments_made: u64,
    /// Segments given a new sequence number.
    pub segments_recycled: u64,
    /// Ready segments that were removed.
    pub segments_dropped: u64,
}
