//! Where bytes live: a directory of named files on one device.
//!
//! Everything the store knows of the outside world is this trait, so that tests can record every write and rebuild
//! the file a power cut leaves, or let the device lie.

pub(crate) mod capped;
pub mod conformance;
mod device;
pub mod faulty;
mod file;
mod memory;
pub mod recorded;
mod roles;
mod routed;

pub use device::{DEVICES_MAX, DeviceError, DeviceIdentity, DeviceMedia, SIZE_MIN, SYSTEM_LEN_MAX};
pub use file::{Access, FileMedia, open_device};
pub use memory::MemoryMedia;
pub use roles::Roles;
pub use routed::Routed;

use std::io::IoSlice;
use std::sync::Arc;

/// What a device can answer instead of doing what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum MediaError {
    /// No such file.
    #[error("no file {name}")]
    NotFound {
        /// The file's name.
        name: String,
    },
    /// The file is there already.
    #[error("file {name} exists")]
    Exists {
        /// The file's name.
        name: String,
    },
    /// The device, or the quota, is full. Nothing of the write may be relied on.
    #[error("no space left writing {name}")]
    NoSpace {
        /// The file's name.
        name: String,
    },
    /// A read went past the end of the file.
    #[error("{name} ends before byte {end}")]
    Short {
        /// The file's name.
        name: String,
        /// The end of the range that was asked for.
        end: u64,
    },
    /// A file is where it cannot be.
    #[error("{name}: {why}")]
    Corrupt {
        /// The file's name.
        name: String,
        /// Why not.
        why: String,
    },
    /// Any other failure of the operating system or the device.
    #[error("{what} {name}: {error}")]
    Io {
        /// The verb: `read`, `write`, `sync` ...
        what: &'static str,
        /// The file's name.
        name: String,
        /// What the operating system said.
        error: Arc<std::io::Error>,
    },
}

/// The result of every media call.
pub type Result<T> = std::result::Result<T, MediaError>;

/// A directory of files. Names are flat: `[a-z0-9._-]+`.
pub trait Media: Send + Sync + std::fmt::Debug {
    /// Opens a file that exists.
    fn open(&self, name: &str) -> Result<Arc<dyn MediaFile>>;

    /// Creates an empty file that must not exist. Its name is durable only after [`Media::sync_names`].
    fn create(&self, name: &str) -> Result<Arc<dyn MediaFile>>;

    /// The names of all files, sorted.
    fn list(&self) -> Result<Vec<String>>;

    /// Removes a file. Durable only after [`Media::sync_names`]; open handles go on working.
    fn remove(&self, name: &str) -> Result<()>;

    /// Gives a file another name, replacing what had it. Durable only after [`Media::sync_names`].
    fn rename(&self, from: &str, to: &str) -> Result<()>;

    /// Makes creations, removals and renames durable.
    fn sync_names(&self) -> Result<()>;

    /// Bytes by which files can grow before the device is full, about: others may use it, too. `u64::MAX` where nothing is known.
    fn available(&self) -> Result<u64>;

    /// As [`Media::create`], for one of several targets, which may have devices of their own.
    fn create_in(&self, name: &str, target: u32) -> Result<Arc<dyn MediaFile>> {
        let _ = target;
        self.create(name)
    }

    /// Whether several syncs at the same time are faster than one after the other.
    fn overlaps(&self) -> bool {
        false
    }

    /// How many volumes it has: what is full is one of them.
    fn volumes(&self) -> usize {
        1
    }

    /// On which volume a file is, or would be made for a target.
    fn volume_of(&self, name: &str, target: u32) -> usize {
        let _ = (name, target);
        0
    }

    /// As [`Media::available`], of one volume.
    fn available_in(&self, volume: usize) -> Result<u64> {
        let _ = volume;
        self.available()
    }

    /// Bytes by which files of a volume grow at least.
    fn granule_in(&self, volume: usize) -> u64 {
        let _ = volume;
        1
    }
}

/// One open file. All methods may be called from several threads at once.
pub trait MediaFile: Send + Sync + std::fmt::Debug {
    /// The file's name, for messages.
    fn name(&self) -> &str;

    /// The size in bytes.
    fn size(&self) -> Result<u64>;

    /// How many of these bytes the device holds for it: fewer where ranges were discarded, or never written. All of them where
    /// the device does not tell.
    fn allocated(&self) -> Result<u64> {
        self.size()
    }

    /// Fills the whole buffer from `offset` on; [`MediaError::Short`] where the file ends before.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()>;

    /// Writes all parts one behind the other from `offset` on, growing the file as needed. Survives the death of
    /// the process at return, not a power cut. After an error any part of the range may hold either content.
    fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> Result<()>;

    /// As [`MediaFile::write_at`], and *this range* is durable at return. Earlier writes of other ranges are not
    /// covered. The range must lie inside the file's durable length, or its growth is not covered either.
    fn write_at_durable(&self, offset: u64, parts: &[IoSlice<'_>]) -> Result<()>;

    /// Makes all earlier writes of this file, and its length, durable. After an error nothing is known of any of
    /// them, and a second try proves nothing: the caller must stop using the file.
    fn sync(&self) -> Result<()>;

    /// Sets the size; a larger file reads as zeros there.
    fn set_size(&self, size: u64) -> Result<()>;

    /// Reserves space for the range, so that a later write in it does not fail for lack of space where the device
    /// can promise that. The range reads as zeros where it was not written; the length grows to cover it.
    fn allocate(&self, offset: u64, len: u64) -> Result<()>;

    /// Has the device begin with what was written, without waiting for it: a hint.
    fn begin_sync(&self) {}

    /// Writes zeros over a range that was allocated and not written since, so that a durable write in it later changes no metadata,
    /// once this is synced.
    fn fill(&self, offset: u64, len: u64) -> Result<()> {
        write_zeros(self, offset, offset.saturating_add(len))
    }

    /// Gives the range's space back; it reads as zeros. A hint: a device may ignore it and keep the bytes.
    fn discard(&self, offset: u64, len: u64) -> Result<()>;

    /// Writes zeros over a range inside of the file, as [`MediaFile::write_at`] would.
    fn zero(&self, offset: u64, len: u64) -> Result<()> {
        write_zeros(self, offset, offset.saturating_add(len))
    }
}

/// How many times the zeros there are go in one call.
const PARTS_ZERO: usize = 16;

static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

fn write_zeros(file: &(impl MediaFile + ?Sized), from: u64, to: u64) -> Result<()> {
    let mut at = from;
    while at < to {
        let here = (to - at).min(ZEROS.len() as u64 * PARTS_ZERO as u64);
        let (whole, rest) = (here / ZEROS.len() as u64, here % ZEROS.len() as u64);
        let mut parts = [IoSlice::new(&[]); PARTS_ZERO];
        let lens = std::iter::repeat_n(ZEROS.len(), whole as usize).chain([rest as usize]);
        parts
            .iter_mut()
            .zip(lens)
            .for_each(|(part, len)| *part = IoSlice::new(ZEROS.get(..len).unwrap_or(&ZEROS)));
        file.write_at(at, &parts)?;
        at += here;
    }
    Ok(())
}

/// Refuses names that are not `[a-z0-9._-]+`, or that mean a directory.
fn check_name(name: &str) -> Result<()> {
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    if name.is_empty() || name.len() > NAME_LEN_MAX || name == "." || name == ".." || !name.bytes().all(known)
    {
        let error = std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a name of a file here");
        return Err(MediaError::Io { what: "name", name: name.to_owned(), error: Arc::new(error) });
    }
    Ok(())
}

/// Bytes of the longest name: what common file systems take.
const NAME_LEN_MAX: usize = 255;
