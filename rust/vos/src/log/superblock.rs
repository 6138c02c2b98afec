//! The superblock and the segment header: everything the log knows but the records.

use super::error::{LogError, Result};
use super::group::{BLOCK, field};
use daos_codec::crc32c;
use daos_types::Lsn;

/// Blocks of the longest segment: 1 GiB, of which opening reads one at a time.
pub(super) const SEGMENT_BLOCKS_MAX: u32 = 1 << 18;
/// Segments a log can have.
pub(super) const SEGMENTS_MAX: usize = 256;

const VERSION: u32 = 1;
const MAGIC: [u8; 8] = *b"DAOSWAL\0";
const SEGMENT_MAGIC: [u8; 8] = *b"DAOSWSEG";
const TABLE: usize = 128;
const CRC: usize = BLOCK as usize - 4;

/// One block as it is stored.
pub(super) type Block = [u8; BLOCK as usize];

/// A segment file as the table names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) number: u32,
    pub(super) blocks: u32,
}

/// Where this incarnation's groups begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    /// The last record before it.
    pub(super) after: Lsn,
    pub(super) sequence: u64,
    pub(super) offset: u32,
    pub(super) chain: u32,
}

/// The first segment of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) sequence: u64,
    /// The last record before it.
    pub(super) after: Lsn,
    pub(super) chain: u32,
}

/// The superblock's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Superblock {
    pub(super) identity: [u8; 16],
    pub(super) generation: u64,
    pub(super) incarnation: u32,
    pub(super) head: Head,
    pub(super) start: Start,
    /// Everything up to here is durable; more may be.
    pub(super) durable: Lsn,
    /// In sequence order, from the head on.
    pub(super) table: Vec<Entry>,
}

fn put<const N: usize>(block: &mut Block, at: usize, bytes: [u8; N]) {
    if let Some(room) = block.get_mut(at..at + N) {
        room.copy_from_slice(&bytes);
    }
}

fn seal(block: &mut Block) {
    let crc = block.get(..CRC).map_or(0, crc32c);
    put(block, CRC, crc.to_le_bytes());
}

/// A block whose checksum fits and that starts with the magic; `Format` if it is of a later version.
fn check<'a>(bytes: &'a [u8], magic: [u8; 8], what: &str) -> Result<Option<&'a Block>> {
    let Some(block) = bytes.first_chunk() else { return Ok(None) };
    let whole = block.get(..CRC).is_some_and(|body| crc32c(body).to_le_bytes() == field(block, CRC));
    if !whole || field(block, 0) != magic {
        return Ok(None);
    }
    match u32::from_le_bytes(field(block, 8)) {
        VERSION => Ok(Some(block)),
        other => Err(LogError::Format(format!("{what} of version {other}, this program knows {VERSION}"))),
    }
}

impl Superblock {
    pub(super) fn encode(&self) -> Block {
        let mut block = [0; BLOCK as usize];
        put(&mut block, 0, MAGIC);
        put(&mut block, 8, VERSION.to_le_bytes());
        put(&mut block, 12, (self.table.len() as u32).to_le_bytes());
        put(&mut block, 16, self.identity);
        put(&mut block, 32, self.generation.to_le_bytes());
        put(&mut block, 40, self.incarnation.to_le_bytes());
        put(&mut block, 48, self.head.sequence.to_le_bytes());
        put(&mut block, 56, self.head.after.0.to_le_bytes());
        put(&mut block, 64, self.head.chain.to_le_bytes());
        put(&mut block, 72, self.start.after.0.to_le_bytes());
        put(&mut block, 80, self.durable.0.to_le_bytes());
        put(&mut block, 88, self.start.sequence.to_le_bytes());
        put(&mut block, 96, self.start.offset.to_le_bytes());
        put(&mut block, 100, self.start.chain.to_le_bytes());
        for (index, entry) in self.table.iter().enumerate() {
            put(&mut block, TABLE + 8 * index, entry.number.to_le_bytes());
            put(&mut block, TABLE + 8 * index + 4, entry.blocks.to_le_bytes());
        }
        seal(&mut block);
        block
    }

    /// One copy; `None` if it is torn or damaged.
    fn decode(bytes: &[u8]) -> Result<Option<Self>> {
        let Some(block) = check(bytes, MAGIC, "superblock")? else { return Ok(None) };
        let count = u32::from_le_bytes(field(block, 12)) as usize;
        let lsn = |at| Lsn(u64::from_le_bytes(field(block, at)));
        let superblock = Self {
            identity: field(block, 16),
            generation: u64::from_le_bytes(field(block, 32)),
            incarnation: u32::from_le_bytes(field(block, 40)),
            head: Head {
                sequence: u64::from_le_bytes(field(block, 48)),
                after: lsn(56),
                chain: u32::from_le_bytes(field(block, 64)),
            },
            start: Start {
                after: lsn(72),
                sequence: u64::from_le_bytes(field(block, 88)),
                offset: u32::from_le_bytes(field(block, 96)),
                chain: u32::from_le_bytes(field(block, 100)),
            },
            durable: lsn(80),
            table: (0..count.min(SEGMENTS_MAX))
                .map(|index| Entry {
                    number: u32::from_le_bytes(field(block, TABLE + 8 * index)),
                    blocks: u32::from_le_bytes(field(block, TABLE + 8 * index + 4)),
                })
                .collect(),
        };
        if count > SEGMENTS_MAX || !superblock.is_sound() {
            return Err(LogError::Corrupt("the superblock contradicts itself".to_owned()));
        }
        Ok(Some(superblock))
    }

    /// Whether the fields can be those of one log.
    fn is_sound(&self) -> bool {
        let Self { head, start, table, .. } = self;
        let mut files: Vec<u32> = table.iter().map(|entry| entry.number).collect();
        files.sort_unstable();
        let distinct = files.windows(2).all(|pair| pair.first() != pair.last());
        let sizes = table.iter().all(|entry| (2..=SEGMENT_BLOCKS_MAX).contains(&entry.blocks));
        // Numbers near the end of their range have not been counted up to: nothing later needs to fear to wrap.
        let numbers =
            [head.sequence, start.sequence, head.after.0, start.after.0, self.durable.0, self.generation];
        let counted = numbers.iter().all(|&number| number < 1 << 62) && self.incarnation < u32::MAX;
        if !counted {
            return false;
        }
        let started = start.sequence < head.sequence + table.len() as u64;
        let order = if start.sequence < head.sequence {
            head.after >= start.after
        } else {
            let index = (start.sequence - head.sequence) as usize;
            let size = table.get(index).map_or(0, |entry| u64::from(entry.blocks) * BLOCK);
            let offset = u64::from(start.offset);
            head.after <= start.after && offset >= BLOCK && offset <= size && offset % BLOCK == 0
        };
        !table.is_empty() && distinct && sizes && started && order
    }

    /// The truth of two copies, and which of them (0 or 1) says it.
    pub(super) fn choose(first: &[u8], second: &[u8]) -> Result<(Self, usize)> {
        match (Self::decode(first)?, Self::decode(second)?) {
            (Some(one), Some(other)) if one.identity != other.identity => {
                Err(LogError::Corrupt("the superblock's copies are of different logs".to_owned()))
            }
            (Some(one), Some(other)) if one.generation == other.generation && one != other => {
                Err(LogError::Corrupt("the superblock's copies contradict each other".to_owned()))
            }
            (Some(one), Some(other)) => {
                Ok(if one.generation >= other.generation { (one, 0) } else { (other, 1) })
            }
            (Some(only), None) => Ok((only, 0)),
            (None, Some(only)) => Ok((only, 1)),
            (None, None) => Err(LogError::Corrupt("both copies of the superblock are damaged".to_owned())),
        }
    }
}

/// The static first block of a segment file.
pub(super) fn segment_header(identity: [u8; 16], entry: Entry) -> Block {
    let mut block = [0; BLOCK as usize];
    put(&mut block, 0, SEGMENT_MAGIC);
    put(&mut block, 8, VERSION.to_le_bytes());
    put(&mut block, 12, entry.number.to_le_bytes());
    put(&mut block, 16, identity);
    put(&mut block, 32, entry.blocks.to_le_bytes());
    seal(&mut block);
    block
}

/// Whether the file that starts with `bytes` is the one the table names.
pub(super) fn check_segment_header(bytes: &[u8], identity: [u8; 16], entry: Entry) -> Result<()> {
    let block = check(bytes, SEGMENT_MAGIC, "segment")?;
    if block == Some(&segment_header(identity, entry)) {
        return Ok(());
    }
    let what = if block.is_some() { "is another segment" } else { "has a damaged header" };
    Err(LogError::Corrupt(format!("segment file {} {what}", entry.number)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample(generation: u64) -> Superblock {
        Superblock {
            identity: *b"0123456789abcdef",
            generation,
            incarnation: 2,
            head: Head { sequence: 4, after: Lsn(10), chain: 7 },
            start: Start { after: Lsn(20), sequence: 5, offset: 8192, chain: 8 },
            durable: Lsn(25),
            table: vec![Entry { number: 1, blocks: 256 }, Entry { number: 0, blocks: 512 }],
        }
    }

    #[test]
    fn the_newer_valid_copy_counts() {
        let [old, new] = [sample(1), sample(2)].map(|superblock| superblock.encode());
        assert_eq!(Superblock::choose(&old, &new).unwrap(), (sample(2), 1));
        assert_eq!(Superblock::choose(&new, &old).unwrap(), (sample(2), 0));
        let mut torn = new;
        torn[512..].copy_from_slice(&[0; 4096 - 512]);
        assert_eq!(Superblock::choose(&torn, &old).unwrap(), (sample(1), 1));
        assert!(matches!(Superblock::choose(&torn, &torn), Err(LogError::Corrupt(_))));
        let mut other = sample(2);
        other.incarnation = 3;
        assert!(matches!(Superblock::choose(&new, &other.encode()), Err(LogError::Corrupt(_))));
    }

    #[test]
    fn a_later_version_is_refused_by_name() {
        let mut block = sample(1).encode();
        block[8] = 2;
        seal(&mut block);
        assert!(matches!(Superblock::choose(&block, &sample(1).encode()), Err(LogError::Format(_))));
    }

    #[test]
    fn a_segment_header_fits_one_file_of_one_log() {
        let entry = Entry { number: 3, blocks: 256 };
        let block = segment_header([1; 16], entry);
        check_segment_header(&block, [1; 16], entry).unwrap();
        for (identity, number, blocks) in [([2; 16], 3, 256), ([1; 16], 4, 256), ([1; 16], 3, 512)] {
            let result = check_segment_header(&block, identity, Entry { number, blocks });
            assert!(matches!(result, Err(LogError::Corrupt(_))));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(fields in prop::collection::vec(any::<u8>(), 128), count in 0..300_u32) {
            let mut block = sample(1).encode();
            block[16..128].copy_from_slice(&fields[16..]);
            block[12..16].copy_from_slice(&count.to_le_bytes());
            seal(&mut block);
            let _ = Superblock::decode(&block);
            let _ = Superblock::decode(&fields);
        }
    }
}
