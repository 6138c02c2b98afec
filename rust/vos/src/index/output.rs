//! New pages on their way to the file: neighbours leave in one write.

use super::cache::Frame;
use super::page::PAGE;
use super::run::pages_of;
use crate::media::{MediaError, MediaFile, Result};
use std::io::IoSlice;
use std::sync::Arc;

/// Pages that are gathered before they are written.
const CHUNK: usize = 256;
/// Runs of fewer bytes are gathered with their neighbours; larger ones are written from where they are.
const COPIED_MAX: usize = 64 << 10;
/// The file grows by a sixteenth of its size, within these bounds.
const GROW_MIN: u64 = 256 << 10;
const GROW_MAX: u64 = 16 << 20;

static ZEROS: [u8; PAGE] = [0; PAGE];

/// What is known of the file while batches are written to it.
#[derive(Debug, Default)]
pub(crate) struct Extension {
    /// Space up to here is reserved: no write below fails, late, for lack of it.
    pub(crate) end: u64,
    /// Bytes below it for which it is not, since they were given back: a write there may fail for lack of space.
    pub(crate) holes: u64,
    /// A write failed in a way that says nothing about what is on the device.
    pub(crate) failed: Option<MediaError>,
}

impl Extension {
    /// Of a file as it is.
    pub(crate) fn of(file: &dyn MediaFile) -> Result<Self> {
        let end = file.size()?;
        Ok(Self { end, holes: end.saturating_sub(file.allocated()?), failed: None })
    }

    /// Pages up to the end, less those that writes have to find anew.
    pub(crate) fn reserved_pages(&self) -> u64 {
        self.end.saturating_sub(self.holes) / PAGE as u64
    }

    /// After writes, which may have filled holes.
    pub(crate) fn measure_holes(&mut self, file: &dyn MediaFile) {
        // What it was is no less than what it is.
        self.holes = file.allocated().map_or(self.holes, |held| self.end.saturating_sub(held));
    }
}

/// Pages that are to be written.
enum Part {
    Page(Arc<Frame>),
    Run(Vec<u8>),
}

impl Part {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Page(frame) => &frame.page.0,
            Self::Run(bytes) => bytes,
        }
    }
}

/// Gathers pages with ascending numbers.
pub(crate) struct Output<'a> {
    file: &'a dyn MediaFile,
    extension: &'a mut Extension,
    gathered: Vec<Part>,
    /// The page the gathered ones begin with.
    start: u64,
    /// How many pages are gathered.
    pages: usize,
}

impl<'a> Output<'a> {
    pub(crate) fn new(file: &'a dyn MediaFile, extension: &'a mut Extension) -> Self {
        Self { file, extension, gathered: Vec::new(), start: 0, pages: 0 }
    }

    /// Writes a tree page.
    pub(crate) fn page(&mut self, page: u64, frame: Arc<Frame>) -> Result<()> {
        self.gather(page, 1, Part::Page(frame))
    }

    /// Writes a run, padded with zeros.
    pub(crate) fn run(&mut self, page: u64, data: &[u8]) -> Result<()> {
        let len = pages_of(data.len()) as usize * PAGE;
        let padding = ZEROS.get(..len - data.len()).unwrap_or_default();
        if len > COPIED_MAX {
            return self.write_at(page, len, &[IoSlice::new(data), IoSlice::new(padding)]);
        }
        self.gather(page, len / PAGE, Part::Run([data, padding].concat()))
    }

    fn gather(&mut self, page: u64, pages: usize, part: Part) -> Result<()> {
        if page != self.start + self.pages as u64 || self.pages + pages > CHUNK {
            self.flush()?;
            self.start = page;
        }
        self.pages += pages;
        self.gathered.push(part);
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        let gathered = std::mem::take(&mut self.gathered);
        let parts: Vec<IoSlice<'_>> = gathered.iter().map(|part| IoSlice::new(part.bytes())).collect();
        let pages = std::mem::take(&mut self.pages);
        self.write_at(self.start, pages * PAGE, &parts)
    }

    fn write_at(&mut self, page: u64, len: usize, parts: &[IoSlice<'_>]) -> Result<()> {
        let offset = page * PAGE as u64;
        let end = offset + len as u64;
        let done = self.reserve(end).and_then(|()| self.file.write_at(offset, parts));
        if let Err(error) = &done
            && !matches!(error, MediaError::NoSpace { .. })
        {
            self.extension.failed = Some(error.clone());
        }
        done
    }

    /// Reserves space up to `end` at least, so that a full device says so now and not at the sync.
    fn reserve(&mut self, end: u64) -> Result<()> {
        let from = self.extension.end;
        if end <= from {
            return Ok(());
        }
        let step = (from / 16).clamp(GROW_MIN, GROW_MAX) / PAGE as u64 * PAGE as u64;
        let mut to = end.max(from + step);
        let mut reserved = self.file.allocate(from, to - from);
        if matches!(reserved, Err(MediaError::NoSpace { .. })) {
            to = end;
            reserved = self.file.allocate(from, to - from);
        }
        reserved?;
        self.extension.end = to;
        Ok(())
    }
}
