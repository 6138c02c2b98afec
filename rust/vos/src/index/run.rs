//! Runs: contiguous pages without a header, for values that do not fit into a leaf and for the bitmap.

use super::leaf::INLINE_MAX;
use super::page::{PAGE, U48_END};
use super::{IndexError, VALUE_LEN_MAX};
use crate::media::{MediaError, MediaFile};
use daos_codec::crc32c_parts;

/// Bytes of an encoded reference.
pub(crate) const RUN_REF: usize = 20;

/// Where a run is, which writing of it is meant, how long it is, and what it adds up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct RunRef {
    pub(crate) page: u64,
    pub(crate) generation: u64,
    pub(crate) len: u32,
    pub(crate) crc: u32,
}

impl RunRef {
    pub(crate) fn encode(self) -> [u8; RUN_REF] {
        let mut out = [0; RUN_REF];
        out[..6].copy_from_slice(&self.page.to_le_bytes()[..6]);
        out[6..12].copy_from_slice(&self.generation.to_le_bytes()[..6]);
        out[12..16].copy_from_slice(&self.len.to_le_bytes());
        out[16..].copy_from_slice(&self.crc.to_le_bytes());
        out
    }

    /// Fewer bytes than a reference has give one that is not sound.
    pub(crate) fn decode(bytes: &[u8]) -> Self {
        let Some(bytes) = bytes.first_chunk::<RUN_REF>() else { return Self::default() };
        let (place, rest) = bytes.split_at(12);
        let mut wide = [0; 16];
        wide[..12].copy_from_slice(place);
        let place = u128::from_le_bytes(wide);
        let mut numbers = [0; 8];
        numbers.copy_from_slice(rest);
        let numbers = u64::from_le_bytes(numbers);
        Self {
            page: (place as u64) & (U48_END - 1),
            generation: (place >> 48) as u64,
            len: numbers as u32,
            crc: (numbers >> 32) as u32,
        }
    }

    /// Whether the length is one that a value's run can have.
    pub(crate) fn is_sound(self) -> bool {
        (INLINE_MAX + 1..=VALUE_LEN_MAX).contains(&(self.len as usize))
    }

    pub(crate) fn pages(self) -> u64 {
        pages_of(self.len as usize)
    }

    /// The reference to `data` written there.
    pub(crate) fn of(page: u64, generation: u64, data: &[u8]) -> Self {
        let mut run = Self { page, generation, len: data.len() as u32, crc: 0 };
        run.crc = run.sum(data);
        run
    }

    fn sum(self, data: &[u8]) -> u32 {
        let seed = self.encode();
        crc32c_parts([&seed[..16], data])
    }

    /// Reads the run into `out`, replacing what is there.
    pub(crate) fn read(self, file: &dyn MediaFile, out: &mut Vec<u8>) -> Result<(), IndexError> {
        out.resize(self.len as usize, 0);
        match file.read_at(self.page * PAGE as u64, out) {
            Ok(()) if self.sum(out) == self.crc => Ok(()),
            Ok(()) => Err(self.corrupt(file, "the run's bytes do not fit its reference")),
            Err(MediaError::Short { .. }) => Err(self.corrupt(file, "the file ends inside the run")),
            Err(error) => Err(error.into()),
        }
    }

    fn corrupt(self, file: &dyn MediaFile, why: &str) -> IndexError {
        IndexError::Corrupt { file: file.name().to_owned(), page: self.page, why: why.to_owned() }
    }
}

/// Pages that `len` bytes take.
pub(crate) fn pages_of(len: usize) -> u64 {
    len.div_ceil(PAGE) as u64
}
