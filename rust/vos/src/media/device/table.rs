//! Which files a device has, and their clusters: `docs/formats/device.md`. Pure.

use super::super::check_name;
use super::layout::{Geometry, Reader, Unreadable};
use std::collections::BTreeMap;

const MAGIC: &[u8; 8] = b"DAOSTBL\0";
const HEAD_LEN: usize = 40;
/// Bytes of a file without its name and its runs.
const FILE_LEN: usize = 13;

/// Consecutive clusters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) start: u32,
    pub(super) count: u32,
}

impl Run {
    pub(super) fn end(self) -> u32 {
        self.start + self.count
    }
}

/// What the table says of a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FileEntry {
    pub(super) size: u64,
    pub(super) runs: Vec<Run>,
}

/// All files, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) generation: u64,
    pub(super) files: BTreeMap<String, FileEntry>,
}

/// Bytes that a file takes in a table, its runs aside.
pub(super) fn bytes_of_file(name: &str) -> u64 {
    (FILE_LEN + name.len()) as u64
}

/// Bytes that a table of files with these names has, their runs aside.
pub(super) fn bytes_of_files<'a>(names: impl Iterator<Item = &'a str>) -> u64 {
    names.map(bytes_of_file).sum::<u64>() + (HEAD_LEN + 4) as u64
}

impl Table {
    pub(super) fn encode(&self, uuid: [u8; 16]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(4096);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&uuid);
        bytes.extend_from_slice(&self.generation.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&(self.files.len() as u32).to_le_bytes());
        for (name, file) in &self.files {
            bytes.push(name.len() as u8);
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(&file.size.to_le_bytes());
            bytes.extend_from_slice(&(file.runs.len() as u32).to_le_bytes());
            for run in &file.runs {
                bytes.extend_from_slice(&run.start.to_le_bytes());
                bytes.extend_from_slice(&run.count.to_le_bytes());
            }
        }
        let len = (bytes.len() + 4) as u32;
        bytes[32..36].copy_from_slice(&len.to_le_bytes());
        bytes.extend_from_slice(&daos_codec::crc32c(&bytes).to_le_bytes());
        bytes
    }

    /// How many bytes of a slot its table has, by its head; `None` where that is none, or longer than a slot.
    pub(super) fn len_of(head: &[u8], geometry: Geometry) -> Option<usize> {
        let mut reader = Reader(head.get(..HEAD_LEN)?);
        if reader.take(8)? != MAGIC {
            return None;
        }
        reader.take(24)?;
        let len = u64::from(reader.u32()?);
        (len >= (HEAD_LEN + 4) as u64 && len <= geometry.slot).then_some(len as usize)
    }

    pub(super) fn decode(bytes: &[u8], uuid: [u8; 16], geometry: Geometry) -> Result<Self, Unreadable> {
        let Some(len) = Self::len_of(bytes, geometry) else { return Err(Unreadable::Absent) };
        let damaged = Unreadable::Damaged;
        let Some((body, sum)) = bytes.get(..len).and_then(|bytes| bytes.split_last_chunk::<4>()) else {
            return Err(damaged("it is cut short"));
        };
        if *sum != daos_codec::crc32c(body).to_le_bytes() {
            return Err(damaged("its checksum does not fit"));
        }
        let mut reader = Reader(body);
        reader.take(8);
        if reader.take(16) != Some(&uuid) {
            return Err(damaged("it is another device's"));
        }
        let table = Self::read(&mut reader, geometry).ok_or(damaged("it says what cannot be"))?;
        if table.has_shared_clusters() {
            return Err(damaged("two files have one cluster"));
        }
        Ok(table)
    }

    fn read(reader: &mut Reader<'_>, geometry: Geometry) -> Option<Self> {
        let generation = reader.u64()?;
        reader.u32()?;
        let mut files = BTreeMap::new();
        for _ in 0..reader.u32()? {
            let len = usize::from(*reader.take(1)?.first()?);
            let name = std::str::from_utf8(reader.take(len)?).ok()?;
            check_name(name).ok()?;
            if files.last_key_value().is_some_and(|(last, _): (&String, _)| last.as_str() >= name) {
                return None;
            }
            let size = reader.u64()?;
            let count = reader.u32()?;
            let mut runs = Vec::new();
            let mut clusters = 0;
            for _ in 0..count {
                let run = Run { start: reader.u32()?, count: reader.u32()? };
                if run.count == 0 || run.start.checked_add(run.count)? > geometry.clusters {
                    return None;
                }
                clusters += u64::from(run.count);
                runs.push(run);
            }
            if clusters != geometry.clusters_of(size) {
                return None;
            }
            files.insert(name.to_owned(), FileEntry { size, runs });
        }
        reader.0.is_empty().then_some(Self { generation, files })
    }

    fn has_shared_clusters(&self) -> bool {
        let mut runs: Vec<Run> = self.files.values().flat_map(|file| file.runs.iter().copied()).collect();
        runs.sort_by_key(|run| run.start);
        runs.windows(2).any(|pair| pair[0].end() > pair[1].start)
    }
}
