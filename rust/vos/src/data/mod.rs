//! The data file of a shard: blocks that hold what is too large for the index. `docs/formats/data.md` tells when what is
//! written, and why a crash leaves no entry without its data.

mod files;
mod growth;
mod landing;
mod space;
mod stored;

pub(crate) use files::DataFiles;
use growth::holes_of;
pub use landing::Landed;
pub(crate) use space::Census;
pub use stored::VALUE_LEN_MAX;
#[cfg(test)]
pub(crate) use stored::encode as reference;
pub(crate) use stored::{BLOCK, Run, STORED_MIN, Stored};

use crate::error::{Result, VosError};
use crate::media::{self, Media, MediaError, MediaFile};
use daos_locks::{Condvar, Mutex};
use daos_types::{IodSums, TargetIdx};
use space::Space;
use std::collections::BTreeMap;
use std::io::IoSlice;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use stored::blocks_of;

/// Free blocks in a row that are worth a call, and a piece of the file, when they are given back.
const HOLE_MIN: u64 = (1 << 20) / BLOCK;
/// Bytes of blocks that wait for the index, for which it is worth a write.
pub(crate) const REST_MIN: u64 = 1 << 20;

/// Bytes after which a writer has the device begin, so that it has done most when somebody waits for it.
const UNBEGUN_MAX: u64 = 8 << 20;
/// Bytes after which a writer syncs.
const UNSYNCED_MAX: u64 = 64 << 20;

/// A shard's data file.
#[derive(Debug)]
pub(crate) struct DataFile {
    media: Arc<dyn Media>,
    name: String,
    identity: [u8; 16],
    /// The target whose it is: where it is made depends on that.
    target: AtomicU32,
    volume: AtomicUsize,
    place: Mutex<Place>,
    /// Whether it is known which blocks are free.
    counted: AtomicBool,
    /// Counts bytes of finished writes.
    written: AtomicU64,
    /// Of those, how many are durable; or why none is any more. Held while syncing.
    synced: Mutex<std::result::Result<u64, MediaError>>,
    /// Bytes that the last sync was about; 0 once [`DataFile::lengthen`] has looked at it.
    pace: AtomicU64,
    /// The file is not being made longer any more.
    lengthened: Condvar,
    /// Values that are on their way here, by their numbers.
    landings: Mutex<BTreeMap<u64, Arc<landing::Site>>>,
}

#[derive(Debug)]
struct Place {
    /// `None` until something is stored.
    file: Option<Arc<dyn MediaFile>>,
    space: Space,
    /// Blocks that the file has.
    size: u64,
    /// Blocks of these that the device does not hold, since they were given back: taking some needs room again. Some of
    /// the free ones, it is not known which.
    holes: u64,
    /// Somebody makes the file longer, from `size` on.
    lengthening: bool,
}

/// A part of a value that is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// Where in the value it begins.
    pub(crate) at: usize,
    /// Which bytes of the buffer it fills.
    pub(crate) out: Range<usize>,
}

impl DataFile {
    /// The data file of a shard whose index has this identity, be it there already or not.
    pub(crate) fn open(media: &Arc<dyn Media>, name: String, identity: [u8; 16]) -> Result<Self> {
        let file = match media.open(&name) {
            Ok(file) => Some(file),
            Err(MediaError::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let (size, holes) = match &file {
            Some(file) => (file.size()?.div_ceil(BLOCK), holes_of(&**file)?),
            None => (0, 0),
        };
        Ok(Self {
            volume: AtomicUsize::new(media.volume_of(&name, 0)),
            media: Arc::clone(media),
            name,
            identity,
            target: AtomicU32::new(0),
            place: Mutex::new(Place {
                file,
                space: Space::used_up_to(size),
                size,
                holes,
                lengthening: false,
            }),
            counted: AtomicBool::new(false),
            written: AtomicU64::new(0),
            synced: Mutex::new(Ok(0)),
            pace: AtomicU64::new(0),
            lengthened: Condvar::new(),
            landings: Mutex::default(),
        })
    }

    /// Says whose it is.
    pub(crate) fn set_target(&self, target: TargetIdx) {
        self.target.store(target.0, Ordering::Relaxed);
        self.volume.store(self.media.volume_of(&self.name, target.0), Ordering::Relaxed);
    }

    /// On which volume it is, or will be.
    pub(crate) fn volume(&self) -> usize {
        self.volume.load(Ordering::Relaxed)
    }

    /// Bytes that were stored since it was opened.
    pub(crate) fn stored_bytes(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Bytes of blocks that are used.
    pub(crate) fn used_bytes(&self) -> u64 {
        let place = self.place.lock();
        (place.space.end() - place.space.free_blocks()) * BLOCK
    }

    /// Whether there is a file.
    pub(crate) fn is_there(&self) -> bool {
        self.place.lock().file.is_some()
    }

    /// Whether it is known which blocks are free: before that nothing can be stored.
    pub(crate) fn is_counted(&self) -> bool {
        self.counted.load(Ordering::Acquire)
    }

    /// A census of the blocks that the file has.
    pub(crate) fn census(&self) -> Census {
        Census::new(self.place.lock().space.end())
    }

    /// Ends a census.
    pub(crate) fn counted(&self, census: &Census) {
        let mut place = self.place.lock();
        census.free().into_iter().for_each(|run| place.space.give(run));
        self.counted.store(true, Ordering::Release);
    }

    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Bytes below its end, and how many of them are known to be free and need no room.
    pub(crate) fn usage(&self) -> (u64, u64) {
        let place = self.place.lock();
        (place.space.end() * BLOCK, place.space.free_blocks().saturating_sub(place.holes) * BLOCK)
    }

    /// Blocks behind its last used one that the file has already.
    pub(crate) fn tail_blocks(&self) -> u64 {
        let place = self.place.lock();
        place.size.saturating_sub(place.space.end())
    }

    /// Writes a value to free blocks and appends the reference to `out`. Durable after [`DataFile::sync`]. The sums of its units may be
    /// known, and it may have landed. The file may grow by `room` bytes for it; what of them it took is taken off.
    pub(crate) fn store(
        &self,
        bytes: &[u8],
        sums: IodSums<'_>,
        out: &mut Vec<u8>,
        room: &mut u64,
    ) -> Result<Run> {
        let (file, run) = match self.landed(sums.landed, bytes.len()) {
            Some(there) => there,
            None => self.put(bytes, room)?,
        };
        let written = self.written.fetch_add(run.count * BLOCK, Ordering::AcqRel);
        stored::encode(&self.identity, run.block, bytes, sums.units, out);
        // Whoever writes much syncs some of it himself, so that a small change need not wait for all of it.
        let passes = |bytes: u64| written / bytes != (written + run.count * BLOCK) / bytes;
        if passes(UNSYNCED_MAX) {
            self.sync()?;
        } else if passes(UNBEGUN_MAX) {
            file.begin_sync();
        }
        Ok(run)
    }

    /// Writes a value to free blocks.
    fn put(&self, bytes: &[u8], room: &mut u64) -> Result<(Arc<dyn MediaFile>, Run)> {
        let (file, run) = self.take(blocks_of(bytes.len()), room)?;
        if let Err(error) = write_blocks(&*file, run.block * BLOCK, bytes) {
            self.give(run);
            return Err(error.into());
        }
        Ok((file, run))
    }

    fn take(&self, count: u64, room: &mut u64) -> Result<(Arc<dyn MediaFile>, Run)> {
        let mut place = self.place.lock();
        let file = if let Some(file) = &place.file {
            Arc::clone(file)
        } else {
            let file = match self.media.create_in(&self.name, self.target.load(Ordering::Relaxed)) {
                Err(MediaError::Exists { .. }) => self.media.open(&self.name)?,
                made => made?,
            };
            self.media.sync_names()?;
            Arc::clone(place.file.insert(file))
        };
        let mut run = place.space.take(count);
        while run.end() > place.size && place.lengthening {
            // There will be room enough in a moment, and until then nobody else may touch what lies behind.
            place.space.give(run);
            place = self.lengthened.wait(place);
            run = place.space.take(count);
        }
        let growth = run.end().saturating_sub(place.size);
        let more = (growth + place.holes.min(run.count - growth.min(run.count))) * BLOCK;
        if more > 0 {
            let taken = if more > *room {
                Err(VosError::NoSpace { why: format!("{} would have to grow into the reserve", self.name) })
            } else {
                self.take_room(&mut place, &*file, run)
            };
            if let Err(error) = taken {
                place.space.give(run);
                return Err(error);
            }
            *room -= more;
        }
        Ok((file, run))
    }

    /// Gives the device what is free, for a file that is put away.
    pub(crate) fn rest(&self) -> Result<()> {
        self.cut(0)?;
        let mut place = self.place.lock();
        let Some(file) = place.file.clone() else { return Ok(()) };
        let runs = place.space.free_runs(HOLE_MIN);
        for run in &runs {
            // A hint: what is not given back is only kept.
            drop(file.discard(run.block * BLOCK, run.count * BLOCK));
        }
        if !runs.is_empty() {
            place.holes = holes_of(&*file)?;
        }
        Ok(())
    }

    /// Gives blocks back that nothing names and nobody reads.
    pub(crate) fn give(&self, run: Run) {
        self.place.lock().space.give(run);
    }

    /// Whether anything that was stored may not be durable.
    pub(crate) fn is_dirty(&self) -> bool {
        !matches!(&*self.synced.lock(), Ok(synced) if *synced == self.written.load(Ordering::Acquire))
    }

    /// Makes all that was stored durable. Once it failed it never succeeds again: a second sync would prove nothing.
    pub(crate) fn sync(&self) -> media::Result<()> {
        let mut synced = self.synced.lock();
        let written = self.written.load(Ordering::Acquire);
        let before = synced.clone()?;
        if before == written {
            return Ok(());
        }
        self.pace.store(written - before, Ordering::Relaxed);
        let file = self.place.lock().file.clone();
        *synced = file.map_or(Ok(()), |file| file.sync()).map(|()| written);
        synced.clone().map(drop)
    }

    /// Reads parts of a value into `out`; all are verified. Parts that ascend read each unit once.
    pub(crate) fn read(&self, stored: &Stored<'_>, parts: &[Part], out: &mut [u8]) -> Result<()> {
        let file = self.place.lock().file.clone();
        let file = file.ok_or_else(|| self.corrupt(stored, "the file is not there"))?;
        let mut reader = Reader { data: self, file: &*file, stored, unit: Vec::new(), loaded: None };
        parts.iter().try_for_each(|part| match out.get_mut(part.out.clone()) {
            Some(out) => reader.read(part.at, out),
            None => Err(VosError::Invalid { why: "the buffer ends before what was asked for".to_owned() }),
        })
    }

    /// Reads what lies from a place on.
    pub(crate) fn read_part(&self, stored: &Stored<'_>, at: usize, out: &mut [u8]) -> Result<()> {
        self.read(stored, &[Part { at, out: 0..out.len() }], out)
    }

    /// Reads bytes of a value without verifying them: for who has other sums of them.
    pub(crate) fn read_plain(&self, stored: &Stored<'_>, at: usize, out: &mut [u8]) -> Result<()> {
        let file = self.place.lock().file.clone();
        let file = file.ok_or_else(|| self.corrupt(stored, "the file is not there"))?;
        if at.checked_add(out.len()).is_none_or(|end| end > stored.len()) {
            return Err(self.corrupt(stored, "the value is shorter than its entry says"));
        }
        match file.read_at(stored.run().block * BLOCK + at as u64, out) {
            Err(MediaError::Short { .. }) => Err(self.corrupt(stored, "the file ends before")),
            other => Ok(other?),
        }
    }

    /// Reads a whole value.
    pub(crate) fn read_whole(&self, stored: &Stored<'_>, out: &mut [u8]) -> Result<()> {
        self.read_part(stored, 0, out)
    }

    /// Whether a value is there as it was stored; then it is written again, to be durable after [`DataFile::sync`]: what the page
    /// cache holds may not be on the device.
    pub(crate) fn write_again(&self, stored: &Stored<'_>) -> Result<bool> {
        let Some(file) = self.place.lock().file.clone() else { return Ok(false) };
        let mut bytes = Vec::new();
        for at in (0..stored.len()).step_by(stored.unit()) {
            bytes.resize(stored.unit().min(stored.len() - at), 0);
            let part = Part { at, out: 0..bytes.len() };
            match self.read(stored, &[part], &mut bytes) {
                Ok(()) => {}
                Err(VosError::Corrupt { .. }) => return Ok(false),
                Err(error) => return Err(error),
            }
            file.write_at(stored.run().block * BLOCK + at as u64, &[IoSlice::new(&bytes)])?;
        }
        self.written.fetch_add(1, Ordering::AcqRel);
        Ok(true)
    }

    fn corrupt(&self, stored: &Stored<'_>, why: &str) -> VosError {
        let Run { block, count } = stored.run();
        VosError::Corrupt { why: format!("{}: blocks {block} to {}: {why}", self.name, block + count - 1) }
    }
}

/// Writes whole blocks, so that the kernel need not read what is overwritten.
fn write_blocks(file: &dyn MediaFile, offset: u64, bytes: &[u8]) -> media::Result<()> {
    const ZEROS: [u8; BLOCK as usize] = [0; BLOCK as usize];
    let padding = bytes.len().next_multiple_of(ZEROS.len()) - bytes.len();
    let parts = [IoSlice::new(bytes), IoSlice::new(&ZEROS[..padding])];
    file.write_at(offset, &parts[..=usize::from(padding > 0)])
}

/// A read of parts of one value.
struct Reader<'a> {
    data: &'a DataFile,
    file: &'a dyn MediaFile,
    stored: &'a Stored<'a>,
    /// A unit that is asked for in part.
    unit: Vec<u8>,
    loaded: Option<usize>,
}

impl Reader<'_> {
    fn read(&mut self, mut at: usize, mut out: &mut [u8]) -> Result<()> {
        let (unit, len) = (self.stored.unit(), self.stored.len());
        if at.checked_add(out.len()).is_none_or(|end| end > len) {
            return Err(self.data.corrupt(self.stored, "the value is shorter than its entry says"));
        }
        while !out.is_empty() {
            let (first, inside) = (at / unit, at % unit);
            let here = (len - first * unit).min(unit);
            // As many whole units as are asked for go straight to where they are wanted.
            let whole = if inside > 0 || out.len() < here {
                0
            } else if at + out.len() == len {
                out.len()
            } else {
                out.len() / unit * unit
            };
            if whole > 0 {
                let (part, rest) = out.split_at_mut(whole);
                self.load(at, part)?;
                (at, out) = (at + whole, rest);
            } else {
                self.load_unit(first, here)?;
                let count = (here - inside).min(out.len());
                let (part, rest) = out.split_at_mut(count);
                part.copy_from_slice(&self.unit[inside..inside + count]);
                (at, out) = (at + count, rest);
            }
        }
        Ok(())
    }

    fn load_unit(&mut self, at: usize, len: usize) -> Result<()> {
        if self.loaded != Some(at) {
            self.loaded = None;
            let mut bytes = std::mem::take(&mut self.unit);
            bytes.resize(len, 0);
            self.load(at * self.stored.unit(), &mut bytes)?;
            self.unit = bytes;
            self.loaded = Some(at);
        }
        Ok(())
    }

    /// Reads and verifies whole units.
    fn load(&self, at: usize, out: &mut [u8]) -> Result<()> {
        let offset = self.stored.run().block * BLOCK + at as u64;
        match self.file.read_at(offset, out) {
            Ok(()) => {}
            Err(MediaError::Short { .. }) => {
                return Err(self.data.corrupt(self.stored, "the file ends before"));
            }
            Err(error) => return Err(error.into()),
        }
        let unit = self.stored.unit();
        let fits =
            |(index, bytes): (usize, &[u8])| self.stored.fits(&self.data.identity, at / unit + index, bytes);
        if out.chunks(unit).enumerate().all(fits) {
            return Ok(());
        }
        Err(self.data.corrupt(self.stored, "their bytes do not fit the checksum"))
    }
}
