//! Files in memory: what `":memory:"` stores run on, and what tests snapshot and rebuild.

use super::{Media, MediaError, MediaFile, Result, check_name};
use daos_locks::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::io::IoSlice;
use std::sync::Arc;
use twox_hash::XxHash3_128;

/// Bytes of one piece of a file. Pieces never written take no memory and are shared between snapshots.
const CHUNK: usize = 16 << 10;

type Chunk = Arc<[u8; CHUNK]>;

/// A directory in memory. Clones share it; [`MemoryMedia::snapshot`] does not.
#[derive(Debug, Clone, Default)]
pub struct MemoryMedia {
    files: Arc<Mutex<BTreeMap<String, Arc<MemoryFile>>>>,
}

impl MemoryMedia {
    /// An empty directory.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same files as they are now; later changes of either do not show in the other. Costs no copy.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        let files = self.files.lock();
        let copies = files.iter().map(|(name, file)| {
            (
                name.clone(),
                Arc::new(MemoryFile { name: name.clone(), bytes: RwLock::new(file.bytes.read().clone()) }),
            )
        });
        Self { files: Arc::new(Mutex::new(copies.collect())) }
    }

    /// A copy of all files of another media.
    pub fn copy_of(media: &dyn Media) -> Result<Self> {
        let copy = Self::new();
        for name in media.list()? {
            let file = media.open(&name)?;
            let mut bytes = Sparse::default();
            let size = file.size()?;
            bytes.set_size(size);
            let mut buffer = vec![0; CHUNK];
            let mut offset = 0;
            while offset < size {
                let len = (size - offset).min(CHUNK as u64) as usize;
                if let Some(part) = buffer.get_mut(..len) {
                    file.read_at(offset, part)?;
                    bytes.write(offset, part);
                }
                offset += len as u64;
            }
            copy.insert(&name, bytes);
        }
        Ok(copy)
    }

    pub(super) fn insert(&self, name: &str, bytes: Sparse) {
        let file = MemoryFile { name: name.to_owned(), bytes: RwLock::new(bytes) };
        self.files.lock().insert(name.to_owned(), Arc::new(file));
    }

    pub(super) fn contents(&self) -> BTreeMap<String, Sparse> {
        self.files.lock().iter().map(|(name, file)| (name.clone(), file.bytes.read().clone())).collect()
    }

    /// A hash of all names and contents: equal for equal directories.
    pub fn content_hash(&self) -> u128 {
        let mut summary = Vec::new();
        for (name, file) in self.files.lock().iter() {
            let bytes = file.bytes.read();
            summary.extend_from_slice(name.as_bytes());
            summary.push(0);
            summary.extend_from_slice(&bytes.len.to_le_bytes());
            for (index, chunk) in (0_u64..).zip(&bytes.chunks) {
                // A piece of zeros and one never written are the same content.
                if let Some(chunk) = chunk.as_ref().filter(|chunk| chunk.iter().any(|&byte| byte != 0)) {
                    summary.extend_from_slice(&index.to_le_bytes());
                    summary.extend_from_slice(&XxHash3_128::oneshot(&chunk[..]).to_le_bytes());
                }
            }
        }
        XxHash3_128::oneshot(&summary)
    }
}

impl Media for MemoryMedia {
    fn open(&self, name: &str) -> Result<Arc<dyn MediaFile>> {
        check_name(name)?;
        match self.files.lock().get(name) {
            Some(file) => Ok(Arc::<MemoryFile>::clone(file)),
            None => Err(MediaError::NotFound { name: name.to_owned() }),
        }
    }

    fn create(&self, name: &str) -> Result<Arc<dyn MediaFile>> {
        check_name(name)?;
        let mut files = self.files.lock();
        if files.contains_key(name) {
            return Err(MediaError::Exists { name: name.to_owned() });
        }
        let file = Arc::new(MemoryFile { name: name.to_owned(), bytes: RwLock::default() });
        files.insert(name.to_owned(), Arc::clone(&file));
        Ok(file)
    }

    fn list(&self) -> Result<Vec<String>> {
        Ok(self.files.lock().keys().cloned().collect())
    }

    fn remove(&self, name: &str) -> Result<()> {
        check_name(name)?;
        let removed = self.files.lock().remove(name);
        removed.map(drop).ok_or_else(|| MediaError::NotFound { name: name.to_owned() })
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        check_name(from)?;
        check_name(to)?;
        let mut files = self.files.lock();
        let file = files.remove(from).ok_or_else(|| MediaError::NotFound { name: from.to_owned() })?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn sync_names(&self) -> Result<()> {
        Ok(())
    }

    fn available(&self) -> Result<u64> {
        Ok(u64::MAX)
    }
}

#[derive(Debug)]
struct MemoryFile {
    name: String,
    bytes: RwLock<Sparse>,
}

impl MediaFile for MemoryFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn size(&self) -> Result<u64> {
        Ok(self.bytes.read().len)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let end = offset.saturating_add(buffer.len() as u64);
        let bytes = self.bytes.read();
        if end > bytes.len && !buffer.is_empty() {
            return Err(MediaError::Short { name: self.name.clone(), end });
        }
        bytes.read(offset, buffer);
        Ok(())
    }

    fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> Result<()> {
        let mut bytes = self.bytes.write();
        let mut at = offset;
        for part in parts {
            bytes.write(at, part);
            at += part.len() as u64;
        }
        Ok(())
    }

    fn write_at_durable(&self, offset: u64, parts: &[IoSlice<'_>]) -> Result<()> {
        self.write_at(offset, parts)
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn set_size(&self, size: u64) -> Result<()> {
        self.bytes.write().set_size(size);
        Ok(())
    }

    fn allocate(&self, offset: u64, len: u64) -> Result<()> {
        let end = offset.saturating_add(len);
        let mut bytes = self.bytes.write();
        if len > 0 && bytes.len < end {
            bytes.set_size(end);
        }
        Ok(())
    }

    fn discard(&self, offset: u64, len: u64) -> Result<()> {
        self.bytes.write().discard(offset, len);
        Ok(())
    }
}

/// Bytes in pieces that are absent where nothing was written and shared until changed.
#[derive(Debug, Clone, Default)]
pub(super) struct Sparse {
    chunks: Vec<Option<Chunk>>,
    len: u64,
}

impl Sparse {
    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    /// Copies out, zeros where nothing is.
    fn read(&self, offset: u64, buffer: &mut [u8]) {
        let mut at = offset;
        let mut rest = buffer;
        while !rest.is_empty() {
            let (index, start) = place(at);
            let len = rest.len().min(CHUNK - start);
            let (head, tail) = rest.split_at_mut(len);
            match self
                .chunks
                .get(index)
                .and_then(Option::as_ref)
                .and_then(|chunk| chunk.get(start..start + len))
            {
                Some(bytes) => head.copy_from_slice(bytes),
                None => head.fill(0),
            }
            at += len as u64;
            rest = tail;
        }
    }

    /// Copies in, growing as needed.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        let mut at = offset;
        let mut rest = data;
        while !rest.is_empty() {
            let (index, start) = place(at);
            let len = rest.len().min(CHUNK - start);
            let (head, tail) = rest.split_at(len);
            let absent = self.chunks.get(index).is_none_or(Option::is_none);
            // Zeros over nothing change nothing, and must not take memory: logs fill their files with zeros.
            if !(absent && head.iter().all(|&byte| byte == 0)) {
                if self.chunks.len() <= index {
                    self.chunks.resize(index + 1, None);
                }
                if let Some(slot) = self.chunks.get_mut(index) {
                    let chunk = slot.get_or_insert_with(|| Arc::new([0; CHUNK]));
                    if let Some(bytes) = Arc::make_mut(chunk).get_mut(start..start + len) {
                        bytes.copy_from_slice(head);
                    }
                }
            }
            at += len as u64;
            rest = tail;
        }
        if !data.is_empty() {
            self.len = self.len.max(at);
        }
    }

    /// Zeros a range inside the length.
    pub(super) fn discard(&mut self, offset: u64, len: u64) {
        let end = offset.saturating_add(len).min(self.len);
        let mut at = offset;
        while at < end {
            let (index, start) = place(at);
            let len = ((end - at).min((CHUNK - start) as u64)) as usize;
            if let Some(slot) = self.chunks.get_mut(index) {
                if len == CHUNK {
                    *slot = None;
                } else if let Some(bytes) =
                    slot.as_mut().and_then(|chunk| Arc::make_mut(chunk).get_mut(start..start + len))
                {
                    bytes.fill(0);
                }
            }
            at += len as u64;
        }
    }

    pub(super) fn set_size(&mut self, size: u64) {
        if size < self.len {
            self.discard(size, self.len - size);
            self.chunks.truncate(usize::try_from(size.div_ceil(CHUNK as u64)).unwrap_or(usize::MAX));
        }
        self.len = size;
    }
}

const fn place(offset: u64) -> (usize, usize) {
    ((offset / CHUNK as u64) as usize, (offset % CHUNK as u64) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_does_not_follow_later_writes() {
        let media = MemoryMedia::new();
        let file = media.create("a").unwrap();
        file.write_at(0, &[IoSlice::new(b"one")]).unwrap();
        let before = media.snapshot();
        let hash = before.content_hash();
        file.write_at(0, &[IoSlice::new(b"two")]).unwrap();
        let mut read = [0; 3];
        before.open("a").unwrap().read_at(0, &mut read).unwrap();
        assert_eq!(&read, b"one");
        assert_eq!(before.content_hash(), hash);
        assert_ne!(media.content_hash(), hash);
    }

    #[test]
    fn written_zeros_and_holes_hash_alike() {
        let [written, hole] = [MemoryMedia::new(), MemoryMedia::new()];
        written.create("a").unwrap().write_at(0, &[IoSlice::new(&[0; 5000])]).unwrap();
        hole.create("a").unwrap().set_size(5000).unwrap();
        assert_eq!(written.content_hash(), hole.content_hash());
    }

    #[test]
    fn shrinking_and_growing_again_reads_zeros() {
        let media = MemoryMedia::new();
        let file = media.create("a").unwrap();
        file.write_at(0, &[IoSlice::new(&vec![7; 3 * CHUNK])]).unwrap();
        file.set_size(CHUNK as u64 + 5).unwrap();
        file.set_size(3 * CHUNK as u64).unwrap();
        let mut read = vec![1; 3 * CHUNK];
        file.read_at(0, &mut read).unwrap();
        assert!(read[..CHUNK + 5].iter().all(|&byte| byte == 7));
        assert!(read[CHUNK + 5..].iter().all(|&byte| byte == 0));
    }
}
