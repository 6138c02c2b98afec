//! A media whose files together have at most so many bytes, and which knows how many they have. Where it has several volumes, the
//! first of them is bounded: the others are devices, and have a size of their own.

use super::{Media, MediaError, MediaFile, Result};
use daos_locks::Mutex;
use std::collections::BTreeMap;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of all files by volume, and how many there may be of the one that is bounded.
#[derive(Debug)]
struct Account {
    used: Vec<AtomicU64>,
    max: AtomicU64,
}

impl Account {
    fn max_in(&self, volume: usize) -> u64 {
        if volume == BOUNDED { self.max.load(Ordering::Acquire) } else { u64::MAX }
    }

    /// Counts a growth that is about to happen; false where it is too much.
    fn take(&self, volume: usize, bytes: u64) -> bool {
        let max = self.max_in(volume);
        let grown = |used: u64| used.checked_add(bytes).filter(|used| *used <= max);
        let Some(used) = self.used.get(volume) else { return false };
        used.fetch_update(Ordering::AcqRel, Ordering::Acquire, grown).is_ok()
    }

    fn give(&self, volume: usize, bytes: u64) {
        if let Some(used) = self.used.get(volume) {
            used.fetch_sub(bytes, Ordering::AcqRel);
        }
    }

    fn used_in(&self, volume: usize) -> u64 {
        self.used.get(volume).map_or(0, |used| used.load(Ordering::Acquire))
    }
}

/// The size of a file, shared by all its handles.
#[derive(Debug)]
struct Size {
    /// `None` once the file is removed: what handles do to it then is not counted.
    bytes: Mutex<Option<u64>>,
    volume: usize,
    account: Arc<Account>,
}

/// The volume that is bounded.
const BOUNDED: usize = 0;

impl Size {
    /// Has `change` make the file as long as `bytes`, unless it is longer. Counted before it happens, and taken back where it does not.
    fn grow<T>(&self, name: &str, bytes: u64, change: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut size = self.bytes.lock();
        let growth = size.map_or(0, |size| bytes.saturating_sub(size));
        if growth == 0 {
            drop(size);
            return change();
        }
        if !self.account.take(self.volume, growth) {
            return Err(MediaError::NoSpace { name: name.to_owned() });
        }
        let changed = change();
        match &changed {
            Ok(_) => *size = Some(bytes),
            Err(_) => self.account.give(self.volume, growth),
        }
        changed
    }
}

/// Wraps a media that nobody else writes to.
#[derive(Debug)]
pub(crate) struct Capped {
    inner: Arc<dyn Media>,
    account: Arc<Account>,
    /// Sizes of the files that there are.
    sizes: Mutex<BTreeMap<String, Arc<Size>>>,
}

impl Capped {
    /// A media with the files that are there, and no bound.
    pub(crate) fn new(inner: Arc<dyn Media>) -> Result<Self> {
        let used = (0..inner.volumes()).map(|_| AtomicU64::new(0)).collect();
        let account = Arc::new(Account { used, max: AtomicU64::new(u64::MAX) });
        let mut sizes = BTreeMap::new();
        for name in inner.list()? {
            let bytes = inner.open(&name)?.size()?;
            let volume = inner.volume_of(&name, 0);
            account.take(volume, bytes);
            let size = Size { bytes: Mutex::new(Some(bytes)), volume, account: Arc::clone(&account) };
            sizes.insert(name, Arc::new(size));
        }
        Ok(Self { inner, account, sizes: Mutex::new(sizes) })
    }

    /// Bytes of all files of a volume.
    pub(crate) fn used_in(&self, volume: usize) -> u64 {
        self.account.used_in(volume)
    }

    /// Bytes of the files whose names `are` tells.
    pub(crate) fn used_by(&self, are: impl Fn(&str) -> bool) -> u64 {
        let sizes = self.sizes.lock();
        sizes.iter().filter(|(name, _)| are(name)).filter_map(|(_, size)| *size.bytes.lock()).sum()
    }

    /// Bytes that all files of a volume may have together; `u64::MAX` where that is not bounded.
    pub(crate) fn max_in(&self, volume: usize) -> u64 {
        self.account.max_in(volume)
    }

    /// Sets that bound. What is there already stays.
    pub(crate) fn set_max(&self, bytes: u64) {
        self.account.max.store(bytes, Ordering::Release);
    }

    fn size_of(&self, name: &str, file: &dyn MediaFile) -> Result<Arc<Size>> {
        let mut sizes = self.sizes.lock();
        if let Some(size) = sizes.get(name) {
            return Ok(Arc::clone(size));
        }
        let bytes = Mutex::new(Some(file.size()?));
        let size = Size { bytes, volume: self.inner.volume_of(name, 0), account: Arc::clone(&self.account) };
        Ok(Arc::clone(sizes.entry(name.to_owned()).or_insert(Arc::new(size))))
    }

    fn forget(&self, size: Option<Arc<Size>>) {
        let Some(size) = size else { return };
        if let Some(bytes) = size.bytes.lock().take() {
            self.account.give(size.volume, bytes);
        }
    }
}

impl Media for Capped {
    fn open(&self, name: &str) -> Result<Arc<dyn MediaFile>> {
        let inner = self.inner.open(name)?;
        let size = self.size_of(name, &*inner)?;
        Ok(Arc::new(CappedFile { inner, size }))
    }

    fn create(&self, name: &str) -> Result<Arc<dyn MediaFile>> {
        self.create_in(name, 0)
    }

    fn list(&self) -> Result<Vec<String>> {
        self.inner.list()
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.inner.remove(name)?;
        let size = self.sizes.lock().remove(name);
        self.forget(size);
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.inner.rename(from, to)?;
        let mut sizes = self.sizes.lock();
        let replaced = match sizes.remove(from) {
            Some(size) => sizes.insert(to.to_owned(), size),
            None => None,
        };
        drop(sizes);
        self.forget(replaced);
        Ok(())
    }

    fn sync_names(&self) -> Result<()> {
        self.inner.sync_names()
    }

    fn available(&self) -> Result<u64> {
        let mut sum = 0_u64;
        for volume in 0..self.inner.volumes() {
            sum = sum.saturating_add(self.available_in(volume)?);
        }
        Ok(sum)
    }

    fn create_in(&self, name: &str, target: u32) -> Result<Arc<dyn MediaFile>> {
        let inner = self.inner.create_in(name, target)?;
        let size = self.size_of(name, &*inner)?;
        Ok(Arc::new(CappedFile { inner, size }))
    }

    fn overlaps(&self) -> bool {
        self.inner.overlaps()
    }

    fn volumes(&self) -> usize {
        self.inner.volumes()
    }

    fn volume_of(&self, name: &str, target: u32) -> usize {
        self.inner.volume_of(name, target)
    }

    fn available_in(&self, volume: usize) -> Result<u64> {
        let left = self.max_in(volume).saturating_sub(self.used_in(volume));
        Ok(self.inner.available_in(volume)?.min(left))
    }

    fn granule_in(&self, volume: usize) -> u64 {
        self.inner.granule_in(volume)
    }
}

#[derive(Debug)]
struct CappedFile {
    inner: Arc<dyn MediaFile>,
    size: Arc<Size>,
}

fn end_of(offset: u64, parts: &[IoSlice<'_>]) -> u64 {
    offset.saturating_add(parts.iter().map(|part| part.len() as u64).sum())
}

impl MediaFile for CappedFile {
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
        self.size.grow(self.name(), end_of(offset, parts), || self.inner.write_at(offset, parts))
    }

    fn write_at_durable(&self, offset: u64, parts: &[IoSlice<'_>]) -> Result<()> {
        self.size.grow(self.name(), end_of(offset, parts), || self.inner.write_at_durable(offset, parts))
    }

    fn sync(&self) -> Result<()> {
        self.inner.sync()
    }

    fn set_size(&self, size: u64) -> Result<()> {
        self.size.grow(self.name(), size, || self.inner.set_size(size))?;
        let mut bytes = self.size.bytes.lock();
        if let Some(before) = *bytes
            && before > size
        {
            self.size.account.give(self.size.volume, before - size);
            *bytes = Some(size);
        }
        Ok(())
    }

    fn allocate(&self, offset: u64, len: u64) -> Result<()> {
        self.size.grow(self.name(), offset.saturating_add(len), || self.inner.allocate(offset, len))
    }

    fn begin_sync(&self) {
        self.inner.begin_sync();
    }

    fn fill(&self, offset: u64, len: u64) -> Result<()> {
        self.inner.fill(offset, len)
    }

    fn discard(&self, offset: u64, len: u64) -> Result<()> {
        self.inner.discard(offset, len)
    }

    fn zero(&self, offset: u64, len: u64) -> Result<()> {
        self.inner.zero(offset, len)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{MemoryMedia, conformance};
    use super::*;

    fn write(file: &dyn MediaFile, offset: u64, len: usize) -> Result<()> {
        file.write_at(offset, &[IoSlice::new(&vec![1; len])])
    }

    #[test]
    fn it_counts_all_that_files_have_and_refuses_what_is_too_much() {
        let inner = Arc::new(MemoryMedia::new());
        write(&*inner.create("old").unwrap(), 0, 10).unwrap();
        let media = Capped::new(inner).unwrap();
        assert_eq!((media.used_in(BOUNDED), media.available().unwrap()), (10, u64::MAX - 10));
        media.set_max(100);
        let file = media.create("a").unwrap();
        file.allocate(0, 50).unwrap();
        write(&*file, 40, 30).unwrap();
        assert_eq!((media.used_in(BOUNDED), media.available().unwrap()), (80, 20));
        assert!(matches!(write(&*file, 70, 21), Err(MediaError::NoSpace { .. })));
        assert!(matches!(file.allocate(0, 91), Err(MediaError::NoSpace { .. })));
        assert!(matches!(file.set_size(91), Err(MediaError::NoSpace { .. })));
        write(&*file, 0, 70).unwrap();
        assert_eq!(
            (media.used_in(BOUNDED), file.size().unwrap()),
            (80, 70),
            "what was refused did not happen"
        );
        file.set_size(20).unwrap();
        media.rename("a", "old").unwrap();
        assert_eq!((media.used_in(BOUNDED), media.used_by(|name| name == "old")), (20, 20));
        write(&*media.open("old").unwrap(), 0, 100).unwrap();
        media.remove("old").unwrap();
        assert_eq!(media.used_in(BOUNDED), 0);
    }

    #[test]
    fn each_volume_has_its_bytes_and_one_is_bounded() {
        use super::super::{Roles, Routed};
        let device: Arc<dyn Media> = Arc::new(MemoryMedia::new());
        let routed = Routed::new(Arc::new(MemoryMedia::new()), vec![(Roles::DATA, device)]).unwrap();
        let media = Capped::new(Arc::new(routed)).unwrap();
        media.set_max(100);
        let data = media.create_in("shard-00000001.dat", 0).unwrap();
        write(&*data, 0, 1000).unwrap();
        let index = media.create("shard-00000001.idx").unwrap();
        write(&*index, 0, 60).unwrap();
        assert!(matches!(write(&*index, 60, 41), Err(MediaError::NoSpace { .. })));
        assert_eq!((media.used_in(0), media.used_in(1)), (60, 1000));
        assert_eq!((media.available_in(0).unwrap(), media.available_in(1).unwrap()), (40, u64::MAX - 1000));
        media.remove("shard-00000001.dat").unwrap();
        assert_eq!(media.used_in(1), 0);
    }

    #[test]
    fn a_failure_of_the_device_is_not_counted() {
        use super::super::faulty::{Call, Fault, Faulty};
        let faulty = Arc::new(Faulty::new(Arc::new(MemoryMedia::new())));
        let media = Capped::new(Arc::clone(&faulty) as Arc<dyn Media>).unwrap();
        let file = media.create("a").unwrap();
        faulty.set(&[Fault::Full { call: Call::Write, nth: 0, always: false }]);
        assert!(write(&*file, 0, 10).is_err());
        assert_eq!(media.used_in(BOUNDED), 0);
        write(&*file, 0, 10).unwrap();
        assert_eq!(media.used_in(BOUNDED), 10);
    }

    #[test]
    fn it_is_a_media() {
        conformance::suite(&|| Arc::new(Capped::new(Arc::new(MemoryMedia::new())).unwrap()));
    }
}
