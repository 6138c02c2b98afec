//! A media that remembers everything done to it, so that the states a power cut can leave may be rebuilt.
//!
//! The model is the harshest a device that honours flushes allows: what a returned sync covers is there; of the
//! rest any subset is, torn at 512 bytes; lengths, creations, removals and renames count as writes of their own.
//! A write with [`MediaFile::write_at_durable`] is covered itself, and nothing else is by it.

mod replay;

pub use replay::{Crash, Explored, History};

use super::{Media, MediaFile, MemoryMedia, Result};
use daos_locks::Mutex;
use std::collections::BTreeMap;
use std::io::IoSlice;
use std::sync::Arc;

/// One thing done to the media. Files are numbers, since names change.
#[derive(Debug, Clone)]
pub(super) enum Event {
    Write { file: usize, offset: u64, data: Arc<[u8]>, durable: bool },
    Size { file: usize, size: u64 },
    Allocate { file: usize, end: u64 },
    Discard { file: usize, offset: u64, len: u64 },
    Sync { file: usize, worked: bool },
    Create { file: usize, name: String },
    Remove { name: String },
    Rename { from: String, to: String },
    SyncNames { worked: bool },
}

#[derive(Debug, Default)]
struct Tape {
    events: Vec<Event>,
    names: BTreeMap<String, usize>,
    files: usize,
}

/// Wraps a media and records every change and every sync, in the order they happened.
#[derive(Debug)]
pub struct Recorded {
    inner: Arc<dyn Media>,
    start: MemoryMedia,
    tape: Arc<Mutex<Tape>>,
}

impl Recorded {
    /// Records what is done from now on; what `inner` holds already counts as durable.
    pub fn new(inner: Arc<dyn Media>) -> Result<Self> {
        let start = MemoryMedia::copy_of(&*inner)?;
        let names: BTreeMap<_, _> = inner.list()?.into_iter().zip(0..).collect();
        let tape = Tape { events: Vec::new(), files: names.len(), names };
        Ok(Self { inner, start, tape: Arc::new(Mutex::new(tape)) })
    }

    /// How many events are recorded: a point to which a test ties what had been acknowledged by then.
    pub fn position(&self) -> usize {
        self.tape.lock().events.len()
    }

    /// Everything recorded so far.
    pub fn history(&self) -> History {
        History::new(self.start.snapshot(), self.tape.lock().events.clone())
    }
}

impl Media for Recorded {
    fn open(&self, name: &str) -> Result<Arc<dyn MediaFile>> {
        let tape = self.tape.lock();
        let inner = self.inner.open(name)?;
        let file = tape.names.get(name).copied().unwrap_or(usize::MAX);
        Ok(Arc::new(RecordedFile { inner, file, tape: Arc::clone(&self.tape) }))
    }

    fn create(&self, name: &str) -> Result<Arc<dyn MediaFile>> {
        let mut tape = self.tape.lock();
        let inner = self.inner.create(name)?;
        let file = tape.files;
        tape.files += 1;
        tape.names.insert(name.to_owned(), file);
        tape.events.push(Event::Create { file, name: name.to_owned() });
        Ok(Arc::new(RecordedFile { inner, file, tape: Arc::clone(&self.tape) }))
    }

    fn list(&self) -> Result<Vec<String>> {
        self.inner.list()
    }

    fn remove(&self, name: &str) -> Result<()> {
        let mut tape = self.tape.lock();
        self.inner.remove(name)?;
        tape.names.remove(name);
        tape.events.push(Event::Remove { name: name.to_owned() });
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        let mut tape = self.tape.lock();
        self.inner.rename(from, to)?;
        if let Some(file) = tape.names.remove(from) {
            tape.names.insert(to.to_owned(), file);
        }
        tape.events.push(Event::Rename { from: from.to_owned(), to: to.to_owned() });
        Ok(())
    }

    fn sync_names(&self) -> Result<()> {
        let mut tape = self.tape.lock();
        let result = self.inner.sync_names();
        tape.events.push(Event::SyncNames { worked: result.is_ok() });
        result
    }

    fn available(&self) -> Result<u64> {
        self.inner.available()
    }
}

#[derive(Debug)]
struct RecordedFile {
    inner: Arc<dyn MediaFile>,
    file: usize,
    tape: Arc<Mutex<Tape>>,
}

impl RecordedFile {
    fn write(&self, offset: u64, parts: &[IoSlice<'_>], durable: bool) -> Result<()> {
        let mut tape = self.tape.lock();
        let result = if durable {
            self.inner.write_at_durable(offset, parts)
        } else {
            self.inner.write_at(offset, parts)
        };
        let data: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
        // A failed write may have left any part of itself.
        let durable = durable && result.is_ok();
        tape.events.push(Event::Write { file: self.file, offset, data: data.into(), durable });
        result
    }
}

impl MediaFile for RecordedFile {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn size(&self) -> Result<u64> {
        self.inner.size()
    }

    fn allocated(&self) -> Result<u64> {
        self.inner.allocated()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.inner.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> Result<()> {
        self.write(offset, parts, false)
    }

    fn write_at_durable(&self, offset: u64, parts: &[IoSlice<'_>]) -> Result<()> {
        self.write(offset, parts, true)
    }

    fn sync(&self) -> Result<()> {
        let mut tape = self.tape.lock();
        let result = self.inner.sync();
        tape.events.push(Event::Sync { file: self.file, worked: result.is_ok() });
        result
    }

    fn set_size(&self, size: u64) -> Result<()> {
        let mut tape = self.tape.lock();
        let result = self.inner.set_size(size);
        tape.events.push(Event::Size { file: self.file, size });
        result
    }

    fn allocate(&self, offset: u64, len: u64) -> Result<()> {
        let mut tape = self.tape.lock();
        let result = self.inner.allocate(offset, len);
        if len > 0 {
            tape.events.push(Event::Allocate { file: self.file, end: offset.saturating_add(len) });
        }
        result
    }

    fn discard(&self, offset: u64, len: u64) -> Result<()> {
        let mut tape = self.tape.lock();
        let result = self.inner.discard(offset, len);
        tape.events.push(Event::Discard { file: self.file, offset, len });
        result
    }
}
