//! The log's files: the superblock, and segments made ready ahead of need.

use super::error::{LogError, Result};
use super::group::{BLOCK, Found, HEADER};
use super::options::LogOptions;
use super::superblock::{Block, Entry, SEGMENTS_MAX, Superblock, check_segment_header, segment_header};
use crate::media::{Media, MediaError, MediaFile};
use std::io::IoSlice;
use std::sync::Arc;

/// The superblock's name.
pub(crate) const SUPER: &str = "wal.super";
/// Its name while a log is being created.
pub(super) const SUPER_NEW: &str = "wal.super.new";
/// Where the superblock's second copy is: in another page, stripe and file system block than the first.
const SECOND_COPY: u64 = 64 << 10;
const PREFIX: &str = "wal.";
/// Bytes zeroed and synced in one step of preparation, so that no step keeps the device from the hot path for long.
const STEP_BYTES: u64 = 4 << 20;
static ZEROS: [u8; 256 << 10] = [0; 256 << 10];

/// The name of a segment file.
pub(super) fn segment_name(number: u32) -> String {
    format!("{PREFIX}{number:08}")
}

/// Whether a file belongs to a log.
pub(super) fn is_ours(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// A segment that is not in the table yet.
#[derive(Debug)]
pub(super) struct Making {
    pub(super) file: Arc<dyn MediaFile>,
    pub(super) entry: Entry,
    done: u64,
}

impl Making {
    /// Makes the file. What was left under its name by an attempt that failed is replaced.
    pub(super) fn begin(media: &dyn Media, identity: [u8; 16], entry: Entry) -> Result<Self> {
        let name = segment_name(entry.number);
        match media.remove(&name) {
            Ok(()) | Err(MediaError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let file = media.create(&name)?;
        let begun = file
            .allocate(0, u64::from(entry.blocks) * BLOCK)
            .and_then(|()| file.write_at(0, &[IoSlice::new(&segment_header(identity, entry))]));
        if let Err(error) = begun {
            abandon(media, entry);
            return Err(error.into());
        }
        Ok(Self { file, entry, done: BLOCK })
    }

    /// Zeroes some more. True when all is there, and durable.
    pub(super) fn step(&mut self, media: &dyn Media) -> Result<bool> {
        let result = self.fill();
        if result.is_err() {
            abandon(media, self.entry);
        }
        result
    }

    fn fill(&mut self) -> Result<bool> {
        let size = u64::from(self.entry.blocks) * BLOCK;
        let end = size.min(self.done + STEP_BYTES);
        while self.done < end {
            let len = (end - self.done).min(ZEROS.len() as u64);
            let zeros = ZEROS.get(..len as usize).unwrap_or(&ZEROS);
            self.file.write_at(self.done, &[IoSlice::new(zeros)])?;
            self.done += len;
        }
        self.file.sync()?;
        Ok(self.done == size)
    }
}

/// Gives the space of a file back that nothing names. That it stays is no harm: opening removes it, too.
fn abandon(media: &dyn Media, entry: Entry) {
    let _ = media.remove(&segment_name(entry.number));
}

/// Writes both copies, one behind the other. The one that says the truth so far comes last: the other may be torn
/// or damaged, and then this one is all there is.
pub(super) fn write_superblock(file: &dyn MediaFile, superblock: &Superblock, truth: usize) -> Result<()> {
    let block = superblock.encode();
    for offset in if truth == 0 { [SECOND_COPY, 0] } else { [0, SECOND_COPY] } {
        file.write_at_durable(offset, &[IoSlice::new(&block)])?;
    }
    Ok(())
}

/// Reads both copies; tells the truth and which of them says it.
pub(super) fn read_superblock(file: &dyn MediaFile) -> Result<(Superblock, usize)> {
    if file.size()? < SECOND_COPY + BLOCK {
        return Err(LogError::Corrupt("the superblock is cut short".to_owned()));
    }
    let mut copies: [Block; 2] = [[0; BLOCK as usize]; 2];
    let [first, second] = &mut copies;
    file.read_at(0, first)?;
    file.read_at(SECOND_COPY, second)?;
    Superblock::choose(first, second)
}

/// Opens a segment file of the table and reads all of it.
pub(super) fn read_segment(
    media: &dyn Media,
    identity: [u8; 16],
    entry: Entry,
    bytes: &mut Vec<u8>,
) -> Result<Arc<dyn MediaFile>> {
    let name = segment_name(entry.number);
    let file = match media.open(&name) {
        Err(MediaError::NotFound { .. }) => {
            return Err(LogError::Corrupt(format!("segment file {name} is missing")));
        }
        other => other?,
    };
    let size = u64::from(entry.blocks) * BLOCK;
    if file.size()? < size {
        return Err(LogError::Corrupt(format!("segment file {name} is cut short")));
    }
    bytes.resize(size as usize, 0);
    file.read_at(0, bytes)?;
    check_segment_header(bytes, identity, entry)?;
    Ok(file)
}

/// The header of the group a segment file begins with.
pub(super) fn first_group(file: &dyn MediaFile) -> Result<Option<Found>> {
    let mut first = [0; HEADER];
    if file.size()? >= 2 * BLOCK {
        file.read_at(BLOCK, &mut first)?;
    }
    Ok(Found::decode(&first))
}

/// The files of ours that the table does not name: half made or given up. One that holds a group of a place behind
/// the table shows that the table is not the truth.
pub(super) fn leftovers(media: &dyn Media, superblock: &Superblock, identity: u64) -> Result<Vec<String>> {
    let named: Vec<String> = superblock.table.iter().map(|entry| segment_name(entry.number)).collect();
    let end = superblock.head.sequence + superblock.table.len() as u64;
    let ours =
        media.list()?.into_iter().filter(|name| is_ours(name) && name != SUPER && !named.contains(name));
    let mut left = Vec::new();
    for name in ours {
        let file = media.open(&name)?;
        if let Some(Found { header, .. }) = first_group(&*file)?
            && header.identity == identity
            && header.incarnation >= superblock.incarnation
            && header.sequence >= end
        {
            return Err(LogError::Corrupt(format!(
                "file {name} holds records, and the superblock does not name it"
            )));
        }
        left.push(name);
    }
    Ok(left)
}

/// The number and size of the next segment to make, at least `need` bytes; `None` if the caps forbid it.
pub(super) fn next_segment(options: &LogOptions, table: &[Entry], need: u64) -> Option<Entry> {
    let size = |entry: &Entry| u64::from(entry.blocks) * BLOCK;
    let largest = table.iter().map(size).max().unwrap_or(0);
    let room = options.log_bytes_max.saturating_sub(table.iter().map(size).sum());
    let wish = (2 * largest).clamp(options.segment_bytes_min.into(), options.segment_bytes_max.into());
    let bytes = wish.max(need).min(room) / BLOCK * BLOCK;
    if bytes < need.max(options.segment_bytes_min.into()) {
        return None;
    }
    entry_of(table, bytes)
}

/// The number of a segment as a fresh log has it; `None` if the caps forbid it.
pub(super) fn fresh_segment(options: &LogOptions, table: &[Entry]) -> Option<Entry> {
    let bytes = u64::from(options.segment_bytes_min);
    let there: u64 = table.iter().map(|entry| u64::from(entry.blocks) * BLOCK).sum();
    if there + bytes > options.log_bytes_max { None } else { entry_of(table, bytes) }
}

/// The next segment of a table, of this size.
fn entry_of(table: &[Entry], bytes: u64) -> Option<Entry> {
    if table.len() >= SEGMENTS_MAX {
        return None;
    }
    let number =
        table.iter().map(|entry| entry.number).max().map_or(Some(0), |number| number.checked_add(1))?;
    Some(Entry { number, blocks: u32::try_from(bytes / BLOCK).ok()? })
}
