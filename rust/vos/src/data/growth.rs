//! How a data file gets longer and shorter, and has the device hold what it needs.

use super::{BLOCK, DataFile, Place, Run};
use crate::error::{Result, VosError};
use crate::media::{self, MediaError, MediaFile};
use std::sync::atomic::Ordering;

/// Bytes by which the file grows at least, and at most.
const GROW_MIN: u64 = 1 << 20;
const GROW_MAX: u64 = 64 << 20;
/// Of what is available it takes no larger share ahead of need.
const AMPLE: u64 = 64;
/// Bytes of free blocks at its end that it keeps, so that what is written over again and again finds room that is there already; and
/// where there is less room than many times that.
const TAIL_MAX: u64 = 256 << 20;
const TAIL_MIN: u64 = GROW_MAX;

/// Bytes by which it is made longer at least, where there is ample room.
const LENGTHEN_MIN: u64 = 8 << 20;
/// Bytes of it that are written and synced at once.
const FILL_PIECE: u64 = 4 << 20;
/// Bytes between two syncs, up to which they count as frequent.
const PACE_MAX: u64 = 8 << 20;

impl DataFile {
    /// Has the device hold what it does not hold of a run.
    pub(super) fn take_room(&self, place: &mut Place, file: &dyn MediaFile, run: Run) -> Result<()> {
        if place.holes > 0 {
            file.allocate(run.block * BLOCK, run.end().min(place.size).saturating_sub(run.block) * BLOCK)?;
            place.holes = holes_of(file)?;
        }
        if run.end() > place.size {
            grow(self.media.available_in(self.volume())?, file, &mut place.size, run.end())?;
        }
        Ok(())
    }

    /// Cuts the file behind its last used block, where that gives back more than so many blocks.
    pub(crate) fn cut(&self, blocks_min: u64) -> Result<()> {
        let mut place = self.place.lock();
        while place.lengthening {
            place = self.lengthened.wait(place);
        }
        let end = place.space.end();
        if let Some(file) = &place.file
            && place.size.saturating_sub(end) > blocks_min
        {
            file.set_size(end * BLOCK)?;
            place.size = end;
            place.holes = place.holes.min(end);
        }
        Ok(())
    }

    /// Gives back what is free at its end and more than may soon be needed.
    pub(crate) fn trim(&self) -> Result<()> {
        let ample = self.media.available_in(self.volume())? / TAIL_MAX >= AMPLE / 4;
        self.cut(if ample { TAIL_MAX } else { TAIL_MIN } / BLOCK)
    }

    /// Makes the file longer before anybody needs it, by blocks that hold zeros, where it is synced often: to sync what was written to
    /// a block for the first time, the file system has to make a note of that, which takes longer than the block. True where it did.
    pub(crate) fn lengthen(&self) -> Result<bool> {
        let pace = self.pace.swap(0, Ordering::Relaxed);
        if pace == 0 || pace > PACE_MAX {
            return Ok(false);
        }
        let (file, size, step) = {
            let mut place = self.place.lock();
            let (size, end) = (place.size, place.space.end());
            let Some(file) = place.file.clone().filter(|_| !place.lengthening) else { return Ok(false) };
            let available = self.media.available_in(self.volume())?;
            let step = step(size, available).max(LENGTHEN_MIN.min(available / AMPLE)) / BLOCK;
            let ready = place.space.free_blocks().saturating_sub(place.holes) + (size - end);
            if step == 0 || ready > step / 2 {
                return Ok(false);
            }
            place.lengthening = true;
            (file, size, step)
        };
        let made = self.make_longer(&*file, size * BLOCK, step * BLOCK);
        let mut place = self.place.lock();
        place.lengthening = false;
        if made.is_ok() {
            place.size = size + step;
        }
        self.lengthened.notify_all();
        match made {
            Err(MediaError::NoSpace { .. }) => Ok(false),
            made => made.map(|()| true).map_err(VosError::from),
        }
    }

    fn make_longer(&self, file: &dyn MediaFile, offset: u64, len: u64) -> media::Result<()> {
        file.allocate(offset, len)?;
        let end = offset + len;
        // In pieces: who syncs what he wrote meanwhile waits for one of them at most.
        for at in (offset..end).step_by(FILL_PIECE as usize) {
            file.fill(at, FILL_PIECE.min(end - at))?;
            if let Err(error) = file.sync() {
                // It may be about what was stored before, and nobody is told twice.
                *self.synced.lock() = Err(error.clone());
                return Err(error);
            }
        }
        Ok(())
    }
}

/// Blocks of a file that its device does not hold.
pub(super) fn holes_of(file: &dyn MediaFile) -> media::Result<u64> {
    let size = file.size()?;
    Ok(size.saturating_sub(file.allocated()?) / BLOCK)
}

/// Bytes by which a file of so many blocks grows, where that leaves ample room.
fn step(size: u64, available: u64) -> u64 {
    (size * BLOCK / 4).clamp(GROW_MIN, GROW_MAX).min(available / AMPLE)
}

/// Makes the file long enough for `end` blocks, and longer where there is ample room.
fn grow(available: u64, file: &dyn MediaFile, size: &mut u64, end: u64) -> Result<()> {
    let step = step(*size, available) / BLOCK;
    let generous = end.max(*size + step);
    for wanted in [generous, end] {
        match file.allocate(*size * BLOCK, (wanted - *size) * BLOCK) {
            Ok(()) => {
                *size = wanted;
                return Ok(());
            }
            Err(MediaError::NoSpace { .. }) if wanted > end => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Stored;
    use crate::media::faulty::{Call, Fault, Faulty};
    use crate::media::{Media, MemoryMedia};
    use daos_locks::Mutex;
    use daos_types::IodSums;
    use std::io::IoSlice;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Duration;

    fn opened(media: &Arc<dyn Media>) -> DataFile {
        let file = DataFile::open(media, "shard.dat".to_owned(), [7; 16]).unwrap();
        file.counted(&file.census());
        file
    }

    fn store(file: &DataFile, len: usize) -> Result<(Run, Vec<u8>)> {
        let mut reference = Vec::new();
        let run = file.store(&vec![0xA5; len], IodSums::default(), &mut reference, &mut u64::MAX.clone())?;
        Ok((run, reference))
    }

    fn size(file: &DataFile) -> u64 {
        file.place.lock().size * BLOCK
    }

    #[test]
    fn it_gets_longer_ahead_where_it_is_synced_often() {
        let media: Arc<dyn Media> = Arc::new(MemoryMedia::new());
        let file = opened(&media);
        assert!(!file.lengthen().unwrap(), "there is nothing");
        store(&file, 1 << 20).unwrap();
        assert!(!file.lengthen().unwrap(), "nobody synced");
        file.sync().unwrap();
        let before = size(&file);
        assert!(file.lengthen().unwrap());
        assert_eq!(size(&file), before + LENGTHEN_MIN);
        assert_eq!(media.open("shard.dat").unwrap().size().unwrap(), size(&file));
        assert!(!file.lengthen().unwrap(), "nobody synced since");
        store(&file, 1 << 20).unwrap();
        file.sync().unwrap();
        assert!(!file.lengthen().unwrap(), "there is enough");
        // What is synced rarely is written faster without.
        store(&file, (PACE_MAX + BLOCK) as usize).unwrap();
        file.sync().unwrap();
        assert!(!file.lengthen().unwrap());
        store(&file, 1 << 20).unwrap();
        file.sync().unwrap();
        assert!(file.lengthen().unwrap());
    }

    #[test]
    fn a_sync_that_fails_meanwhile_is_one_of_the_file() {
        let media = Arc::new(Faulty::new(Arc::new(MemoryMedia::new())));
        let file = opened(&(Arc::clone(&media) as Arc<dyn Media>));
        store(&file, 1 << 20).unwrap();
        file.sync().unwrap();
        media.set(&[Fault::Fail { call: Call::Sync, nth: 0, always: false }]);
        file.lengthen().unwrap_err();
        store(&file, 1 << 20).unwrap();
        assert!(file.is_dirty());
        file.sync().unwrap_err();
    }

    #[test]
    fn nobody_stores_where_zeros_are_being_written() {
        let media: Arc<dyn Media> = Arc::new(MemoryMedia::new());
        let file = opened(&media);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let longer = scope.spawn(|| {
                let mut times = 0;
                while !stop.load(Ordering::Acquire) {
                    file.pace.store(1, Ordering::Relaxed);
                    times += u32::from(file.lengthen().unwrap());
                }
                times
            });
            let stored: Vec<Vec<u8>> = (0..300).map(|_| store(&file, 256 << 10).unwrap().1).collect();
            stop.store(true, Ordering::Release);
            assert!(longer.join().unwrap() > 0);
            let mut bytes = vec![0; 256 << 10];
            for reference in &stored {
                let stored = Stored::decode(reference).unwrap();
                file.read_whole(&stored, &mut bytes).unwrap();
            }
        });
    }

    /// A file of which nothing is filled before somebody lets it go on; who does so is told when it begins.
    #[derive(Debug)]
    struct Gated {
        file: Arc<dyn MediaFile>,
        begun: Mutex<Sender<()>>,
        go_on: Mutex<Receiver<()>>,
    }

    impl MediaFile for Gated {
        fn name(&self) -> &str {
            self.file.name()
        }
        fn size(&self) -> media::Result<u64> {
            self.file.size()
        }
        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> media::Result<()> {
            self.file.read_at(offset, buffer)
        }
        fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> media::Result<()> {
            self.file.write_at(offset, parts)
        }
        fn write_at_durable(&self, offset: u64, parts: &[IoSlice<'_>]) -> media::Result<()> {
            self.file.write_at_durable(offset, parts)
        }
        fn sync(&self) -> media::Result<()> {
            self.file.sync()
        }
        fn set_size(&self, size: u64) -> media::Result<()> {
            self.file.set_size(size)
        }
        fn allocate(&self, offset: u64, len: u64) -> media::Result<()> {
            self.file.allocate(offset, len)
        }
        fn fill(&self, offset: u64, len: u64) -> media::Result<()> {
            self.begun.lock().send(()).ok();
            self.go_on.lock().recv().ok();
            self.file.fill(offset, len)
        }
        fn discard(&self, offset: u64, len: u64) -> media::Result<()> {
            self.file.discard(offset, len)
        }
    }

    #[test]
    fn who_has_no_room_waits_while_zeros_are_being_written() {
        let media: Arc<dyn Media> = Arc::new(MemoryMedia::new());
        let file = opened(&media);
        store(&file, 1 << 20).unwrap();
        file.sync().unwrap();
        let (begun, has_begun) = channel();
        let (go_on, may_go_on) = channel();
        let inner = file.place.lock().file.clone().unwrap();
        let gated = Gated { file: inner, begun: Mutex::new(begun), go_on: Mutex::new(may_go_on) };
        file.place.lock().file = Some(Arc::new(gated));
        std::thread::scope(|scope| {
            let longer = scope.spawn(|| file.lengthen().unwrap());
            has_begun.recv().unwrap();
            assert!(file.place.lock().lengthening, "others have to know");
            // More than there is, so that it would be put where the zeros go.
            let (stored, is_stored) = channel();
            let file = &file;
            scope.spawn(move || stored.send(store(file, 4 << 20).unwrap().1).unwrap());
            assert!(is_stored.recv_timeout(Duration::from_millis(100)).is_err());
            drop(go_on);
            assert!(longer.join().unwrap());
            let reference = is_stored.recv().unwrap();
            let mut bytes = vec![0; 4 << 20];
            file.read_whole(&Stored::decode(&reference).unwrap(), &mut bytes).unwrap();
        });
    }

    #[test]
    fn without_room_it_stays_as_it_is() {
        let media = Arc::new(Faulty::new(Arc::new(MemoryMedia::new())));
        let file = opened(&(Arc::clone(&media) as Arc<dyn Media>));
        store(&file, 1 << 20).unwrap();
        file.sync().unwrap();
        let before = size(&file);
        media.set(&[Fault::Full { call: Call::Size, nth: 0, always: true }]);
        assert!(!file.lengthen().unwrap());
        media.set(&[]);
        assert_eq!(size(&file), before);
        store(&file, 1 << 20).unwrap();
        file.sync().unwrap();
    }
}
