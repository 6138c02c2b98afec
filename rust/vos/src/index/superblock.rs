//! The superblock: two slots of eight copies each.

use super::page::{HEIGHT_MAX, PAGE, POINTER, Pointer};
use super::run::RunRef;
use daos_codec::crc32c;

const MAGIC: &[u8; 8] = b"daos-idx";
/// The format this program writes, and the newest it reads.
pub(crate) const FORMAT: u16 = 1;
const PAGE_SHIFT: u8 = 12;
const COPY: usize = 512;
const COPIES: usize = PAGE / COPY;
const CRC_AT: usize = COPY - 4;

/// What one state of an index is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Superblock {
    pub(crate) identity: [u8; 16],
    pub(crate) height: u8,
    pub(crate) generation: u64,
    pub(crate) previous: u64,
    pub(crate) covers: u64,
    pub(crate) page_count: u64,
    pub(crate) entries: u64,
    pub(crate) root: Pointer,
    pub(crate) bitmap: Pointer,
    pub(crate) bitmap_len: u64,
}

/// What a slot turned out to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    /// No valid copy.
    Damaged,
    /// A valid copy of a format this program does not know.
    Unknown(u16),
    /// A valid copy whose fields make no sense: someone wrote nonsense, which is no damage to be repaired.
    Nonsense,
    /// A valid copy of another index, and none of this one.
    Foreign,
    /// The newest valid copy, and how many copies are not valid.
    Valid(Superblock, usize),
}

impl Superblock {
    /// The bitmap's run.
    pub(crate) fn bitmap_run(&self) -> RunRef {
        let Pointer { page, generation, crc } = self.bitmap;
        RunRef { page, generation, len: self.bitmap_len as u32, crc }
    }

    /// The slot's page.
    pub(crate) fn encode(&self, slot: usize) -> Box<[u8; PAGE]> {
        let mut page = Box::new([0; PAGE]);
        let (copies, _) = page.as_chunks_mut::<COPY>();
        for (number, copy) in copies.iter_mut().enumerate() {
            copy[..8].copy_from_slice(MAGIC);
            copy[8..10].copy_from_slice(&FORMAT.to_le_bytes());
            copy[10] = slot as u8;
            copy[11] = number as u8;
            copy[12] = PAGE_SHIFT;
            copy[13] = self.height;
            copy[16..32].copy_from_slice(&self.identity);
            let numbers = [self.generation, self.previous, self.covers, self.page_count, self.entries];
            for (at, number) in (32..).step_by(8).zip(numbers) {
                copy[at..at + 8].copy_from_slice(&number.to_le_bytes());
            }
            copy[72..72 + POINTER].copy_from_slice(&self.root.encode());
            copy[88..88 + POINTER].copy_from_slice(&self.bitmap.encode());
            copy[104..112].copy_from_slice(&self.bitmap_len.to_le_bytes());
            let crc = crc32c(&copy[..CRC_AT]);
            copy[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        }
        page
    }

    fn decode(copy: &[u8; COPY]) -> Self {
        let number = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&copy[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        let pointer = |at: usize| {
            let mut bytes = [0; POINTER];
            bytes.copy_from_slice(&copy[at..at + POINTER]);
            Pointer::decode(bytes)
        };
        let mut identity = [0; 16];
        identity.copy_from_slice(&copy[16..32]);
        Self {
            identity,
            height: copy[13],
            generation: number(32),
            previous: number(40),
            covers: number(48),
            page_count: number(56),
            entries: number(64),
            root: pointer(72),
            bitmap: pointer(88),
            bitmap_len: number(104),
        }
    }

    /// Whether the fields are possible at all; the crc says only that someone wrote them.
    pub(crate) fn is_sound(&self) -> bool {
        self.height <= HEIGHT_MAX
            && self.generation > 0
            && self.generation < super::page::U48_END
            && self.previous <= self.generation
            && self.page_count < super::page::U48_END
            && self.bitmap_len >= self.page_count.div_ceil(8)
            && self.bitmap_len < u64::from(u32::MAX)
            && self.bounds().admit(self.bitmap.page, self.bitmap_run().pages(), self.bitmap.generation)
            && if self.height == 0 {
                self.root == Pointer::default()
            } else {
                self.bounds().admit(self.root.page, 1, self.root.generation)
            }
    }

    pub(crate) fn bounds(&self) -> super::page::Bounds {
        super::page::Bounds { page_count: self.page_count, generation: self.generation }
    }
}

/// Reads the page of slot `slot` of the index `identity`.
pub(crate) fn decode_slot(page: &[u8; PAGE], slot: usize, identity: [u8; 16]) -> Slot {
    let mut newest: Option<Superblock> = None;
    let (mut bad, mut foreign) = (0, false);
    for (number, copy) in page.as_chunks::<COPY>().0.iter().enumerate() {
        let valid = &copy[..8] == MAGIC
            && copy[CRC_AT..] == crc32c(&copy[..CRC_AT]).to_le_bytes()
            && usize::from(copy[10]) == slot
            && usize::from(copy[11]) == number;
        if !valid {
            bad += 1;
            continue;
        }
        let format = u16::from_le_bytes([copy[8], copy[9]]);
        if format != FORMAT || copy[12] != PAGE_SHIFT {
            return Slot::Unknown(format);
        }
        let found = Superblock::decode(copy);
        if found.identity != identity {
            foreign = true;
            bad += 1;
            continue;
        }
        if !found.is_sound() {
            return Slot::Nonsense;
        }
        match &newest {
            // Two attempts at one state: neither can be trusted, but the other slot can.
            Some(newest) if newest.generation == found.generation && *newest != found => {
                return Slot::Damaged;
            }
            Some(newest) if newest.generation >= found.generation => {}
            _ => newest = Some(found),
        }
    }
    debug_assert!(bad <= COPIES);
    match newest {
        Some(newest) => Slot::Valid(newest, bad),
        None if foreign => Slot::Foreign,
        None => Slot::Damaged,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Superblock {
        Superblock {
            identity: [7; 16],
            height: 2,
            generation: 9,
            previous: 8,
            covers: 1234,
            page_count: 100,
            entries: 55,
            root: Pointer { page: 29, generation: 9, crc: 3 },
            bitmap: Pointer { page: 32, generation: 9, crc: 5 },
            bitmap_len: 4096,
        }
    }

    #[test]
    fn a_slot_is_read_as_it_was_written() {
        assert_eq!(decode_slot(&sample().encode(1), 1, [7; 16]), Slot::Valid(sample(), 0));
        assert_eq!(decode_slot(&sample().encode(1), 0, [7; 16]), Slot::Damaged, "the other slot's page");
        assert_eq!(decode_slot(&[0; PAGE], 0, [7; 16]), Slot::Damaged);
    }

    #[test]
    fn one_good_copy_is_enough_and_the_newest_wins() {
        let old = Superblock { generation: 7, previous: 6, root: Pointer::default(), height: 0, ..sample() };
        let old = Superblock { bitmap: Pointer { generation: 7, ..old.bitmap }, ..old };
        for torn_at in 1..COPIES {
            let mut page = *sample().encode(0);
            page[torn_at * COPY..].copy_from_slice(&old.encode(0)[torn_at * COPY..]);
            assert_eq!(decode_slot(&page, 0, [7; 16]), Slot::Valid(sample(), 0));
        }
        let mut page = *sample().encode(0);
        for copy in 0..COPIES - 1 {
            page[copy * COPY + 60 * copy + 10] ^= 4;
            assert_eq!(decode_slot(&page, 0, [7; 16]), Slot::Valid(sample(), copy + 1));
        }
        page[PAGE - 1] ^= 1;
        assert_eq!(decode_slot(&page, 0, [7; 16]), Slot::Damaged);
    }

    #[test]
    fn one_generation_has_one_content() {
        let mut page = *sample().encode(0);
        let other = Superblock { covers: 1, ..sample() };
        page[COPY..].copy_from_slice(&other.encode(0)[COPY..]);
        assert_eq!(decode_slot(&page, 0, [7; 16]), Slot::Damaged);
        assert_eq!(decode_slot(&sample().encode(0), 0, [8; 16]), Slot::Foreign);
    }

    #[test]
    fn a_newer_format_is_told_from_damage() {
        let mut page = *sample().encode(0);
        page[8] = 2;
        let crc = crc32c(&page[..CRC_AT]);
        page[CRC_AT..COPY].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(decode_slot(&page, 0, [7; 16]), Slot::Unknown(2));
    }
}
