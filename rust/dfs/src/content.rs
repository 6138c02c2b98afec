//! The bytes of files.

use crate::errno::{Errno, Error, Result};
use crate::mount::Shared;
use crate::record::{Record, damaged};
use crate::work::Work;
use daos_client::array::CELLS_MAX;
use daos_client::{Array, Object, Route};
use daos_types::{ArrayFetch, Cond, Extent, FetchIod, FetchValue, ObjectId};
use std::ops::Range;

/// Bytes of a file: so that each place in it fits a signed number.
pub const FILE_SIZE_MAX: u64 = CELLS_MAX;
/// The akey of bytes.
const AKEY: &[u8] = b"0";
/// Bytes of one request.
const REQUEST_MAX: u64 = 1 << 20;
/// Chunks that one transaction removes: it may take 65,534 operations.
const TX_CHUNKS_MAX: u64 = 16 << 10;
/// Chunks in which one looks for data before all that are there are listed.
const PROBES: u64 = 16;

/// Bytes up to the last one that was written and not removed.
pub(crate) fn size(array: &Array<dyn Route>) -> Result<u64> {
    Ok(array.size()?)
}

/// The same of many.
pub(crate) fn sizes(arrays: &[Array<dyn Route>]) -> Result<Vec<u64>> {
    Ok(Array::sizes(arrays)?)
}

/// Refuses what a file cannot hold.
pub(crate) fn check_end(at: u64, len: u64) -> Result<u64> {
    at.checked_add(len).filter(|end| *end <= FILE_SIZE_MAX).ok_or_else(|| {
        Error::new(Errno::EFBIG, format!("{len} bytes from {at} on; a file has at most {FILE_SIZE_MAX}"))
    })
}

/// The parts of a range that lie in one chunk each and fit one request: the chunk, the place in it, how long.
fn pieces(at: u64, len: u64, chunk_size: u64) -> impl Iterator<Item = (u64, u64, u64)> {
    let (mut at, end) = (at, at + len);
    std::iter::from_fn(move || {
        if at >= end {
            return None;
        }
        let (chunk, index) = (at / chunk_size, at % chunk_size);
        let count = (end - at).min(chunk_size - index).min(REQUEST_MAX);
        at += count;
        Some((chunk, index, count))
    })
}

/// The dkey of a chunk.
fn dkey_of(chunk: u64) -> [u8; 8] {
    (chunk + 1).to_le_bytes()
}

/// The bytes of an open file, to be read.
#[derive(Debug)]
pub(crate) struct Bytes {
    object: Object<dyn Route>,
    chunk_size: u64,
}

impl Bytes {
    pub(crate) fn new(work: &Work<'_>, oid: ObjectId, chunk_size: u64) -> Result<Self> {
        if chunk_size == 0 {
            return Err(damaged("a chunk of 0 bytes"));
        }
        Ok(Self { object: work.object(oid)?, chunk_size })
    }

    /// Reads a range; answers which of it are holes, ascending, neighbours joined.
    fn fetch(&self, at: u64, data: &mut [u8]) -> Result<Vec<Range<usize>>> {
        let mut holes: Vec<Range<usize>> = Vec::new();
        let mut rest = data;
        let mut from = 0;
        for (chunk, index, count) in pieces(at, rest.len() as u64, self.chunk_size) {
            let (part, others) = rest.split_at_mut(count as usize);
            let whole = 0..part.len();
            let recxs = [Extent { index, count }];
            let asked = ArrayFetch::new(&recxs, part, 1);
            let mut iods = [FetchIod::new(AKEY, FetchValue::Array(asked))];
            self.object.fetch(&dkey_of(chunk), &mut iods, Cond::NONE)?;
            let [FetchIod { value: FetchValue::Array(answered), .. }] = iods else { return Ok(holes) };
            let found = match answered.rec_size {
                0 => vec![whole],
                1 => answered.holes,
                size => return Err(damaged(&format!("a file in pieces of {size} bytes"))),
            };
            for hole in found {
                let hole = from + hole.start..from + hole.end;
                match holes.last_mut() {
                    Some(last) if last.end == hole.start => last.end = hole.end,
                    _ => holes.push(hole),
                }
            }
            from += count as usize;
            rest = others;
        }
        Ok(holes)
    }

    /// Reads from a place on, holes as zeros; answers how many bytes there are, less than asked for at the end of the file.
    pub(crate) fn read(&self, at: u64, data: &mut [u8], size: impl FnOnce() -> Result<u64>) -> Result<usize> {
        if at >= FILE_SIZE_MAX || data.is_empty() {
            return Ok(0);
        }
        let len = data.len().min(usize::try_from(FILE_SIZE_MAX - at).unwrap_or(usize::MAX));
        let data = data.get_mut(..len).unwrap_or_default();
        let holes = self.fetch(at, data)?;
        for hole in &holes {
            data.get_mut(hole.clone()).unwrap_or_default().fill(0);
        }
        // What ends with a byte that is there is not beyond the end, and the size need not be asked for.
        if holes.last().is_none_or(|hole| hole.end < len) {
            return Ok(len);
        }
        let there = usize::try_from(size()?.saturating_sub(at)).unwrap_or(usize::MAX);
        Ok(there.min(len))
    }

    /// The first place from `at` on, below `end`, that is data or, if `hole`, that is none.
    fn seek_in(&self, at: u64, end: u64, hole: bool) -> Result<Option<u64>> {
        let mut buffer = vec![0; usize::try_from(REQUEST_MAX.min(end.saturating_sub(at))).unwrap_or(0)];
        let mut at = at;
        while at < end {
            let len = (end - at).min(buffer.len() as u64) as usize;
            let holes = self.fetch(at, buffer.get_mut(..len).unwrap_or_default())?;
            let found = if hole {
                holes.first().map(|hole| hole.start)
            } else {
                // Behind the hole at the front, or at once.
                let front = holes.first().filter(|hole| hole.start == 0).map_or(0, |hole| hole.end);
                Some(front).filter(|front| *front < len)
            };
            if let Some(found) = found {
                return Ok(Some(at + found as u64));
            }
            at += len as u64;
        }
        Ok(None)
    }

    /// The first hole from a place on; the end of the file counts as one.
    pub(crate) fn seek_hole(&self, at: u64, size: u64) -> Result<u64> {
        Ok(self.seek_in(at, size, true)?.unwrap_or(size))
    }

    /// The first data from a place on; `None` where only a hole follows.
    pub(crate) fn seek_data(&self, at: u64, size: u64) -> Result<Option<u64>> {
        let chunk = at / self.chunk_size;
        let probed = (chunk.saturating_add(PROBES)).saturating_mul(self.chunk_size).min(size);
        if self.chunk_size <= REQUEST_MAX {
            if let Some(found) = self.seek_in(at, probed, false)? {
                return Ok(Some(found));
            }
            if probed == size {
                return Ok(None);
            }
        }
        // A long hole: chunks without anything in them are not even looked at.
        for chunk in self.chunks_from(chunk)? {
            let first = chunk * self.chunk_size;
            let end = first.saturating_add(self.chunk_size).min(size);
            if let Some(found) = self.seek_in(first.max(at), end, false)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The chunks that are there, from one on, ascending.
    fn chunks_from(&self, chunk: u64) -> Result<Vec<u64>> {
        let (mut chunks, mut anchor): (Vec<u64>, Option<Vec<u8>>) = (Vec::new(), None);
        loop {
            let page = self.object.list_dkeys(anchor.as_deref(), usize::MAX, false)?;
            let numbers = page.keys.iter().filter_map(|key| <[u8; 8]>::try_from(&key[..]).ok());
            let numbers = numbers.filter_map(|key| u64::from_le_bytes(key).checked_sub(1));
            chunks.extend(numbers.filter(|number| *number >= chunk));
            anchor = page.anchor;
            if anchor.is_none() {
                chunks.sort_unstable();
                return Ok(chunks);
            }
        }
    }
}

/// Makes a file exactly so long, in a transaction. Its whole content goes in one step.
pub(crate) fn resize(work: &Work<'_>, record: &Record, chunk_size: u64, to: u64) -> Result<()> {
    if to == 0 {
        return work.remove_object(record.oid);
    }
    Ok(work.array(record.oid, chunk_size)?.set_size(to, &[0])?)
}

/// Makes holes of a range of a file, whose length stays, in a transaction.
pub(crate) fn punch(work: &Work<'_>, record: &Record, chunk_size: u64, at: u64, len: u64) -> Result<()> {
    let array = work.array(record.oid, chunk_size)?;
    let size = size(&array)?;
    let end = at.saturating_add(len).min(size);
    if at >= end {
        return Ok(());
    }
    array.punch(at, end - at)?;
    if end == size {
        // The last byte is what the length is told by.
        array.write(size - 1, &[0])?;
    }
    Ok(())
}

impl Shared {
    /// Takes so much of the end of a file that one transaction can do the rest, or of a range; from the end on, so that what
    /// interrupts it leaves what is before.
    pub(crate) fn punch_ahead(&self, record: &Record, from: u64, to: u64) -> Result<()> {
        let chunk_size = self.chunk_size(record.chunk_size);
        let work = self.plain();
        let array = work.array(record.oid, chunk_size)?;
        let to = to.min(size(&array)?);
        let first = from.div_ceil(chunk_size);
        // Whole chunks, but for the last one of the file.
        let last = to / chunk_size;
        if last.saturating_sub(first) > TX_CHUNKS_MAX {
            array.punch(first * chunk_size, (last - first) * chunk_size)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_at_chunks_and_requests() {
        let cut = |at, len, chunk| pieces(at, len, chunk).collect::<Vec<_>>();
        assert_eq!(cut(8, 13, 10), [(0, 8, 2), (1, 0, 10), (2, 0, 1)]);
        assert_eq!(cut(8, 0, 10), []);
        let mib = 1 << 20;
        assert_eq!(cut(5, 2 * mib + 1, 1 << 40), [(0, 5, mib), (0, mib + 5, mib), (0, 2 * mib + 5, 1)]);
    }

    #[test]
    fn a_file_has_an_end() {
        assert_eq!(check_end(FILE_SIZE_MAX - 1, 1).unwrap(), FILE_SIZE_MAX);
        assert_eq!(check_end(FILE_SIZE_MAX, 1).unwrap_err().errno, Errno::EFBIG);
        assert_eq!(check_end(u64::MAX, 1).unwrap_err().errno, Errno::EFBIG);
    }
}
