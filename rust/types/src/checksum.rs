//! Checksums that travel with the data from the client to the store and back. `docs/formats/records.md` says what each sum
//! stands for.

use alloc::vec::Vec;
use core::ops::Range;

/// Bytes of the longest sum.
pub const SUM_LEN_MAX: usize = 64;
/// Bytes of the sums of one extent: they stand in an index entry.
pub const SUMS_LEN_MAX: usize = 2048;
/// Bytes that one sum of an array may be asked to stand for at most.
pub const PIECE_SIZE_MAX: u32 = 1 << 30;

/// An algorithm, with DAOS's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ChecksumKind {
    /// CRC-16/T10-DIF.
    Crc16 = 1,
    /// CRC-32C, also called CRC-32/ISCSI.
    Crc32 = 2,
    /// CRC-64/XZ: ECMA-182, reflected.
    Crc64 = 3,
    /// SHA-1.
    Sha1 = 4,
    /// SHA-256.
    Sha256 = 5,
    /// SHA-512.
    Sha512 = 6,
    /// Adler-32.
    Adler32 = 7,
}

impl ChecksumKind {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 7] =
        [Self::Crc16, Self::Crc32, Self::Crc64, Self::Sha1, Self::Sha256, Self::Sha512, Self::Adler32];

    /// The one with a number.
    pub fn from_number(number: u8) -> Option<Self> {
        // Asked of each entry that is read: one look into a table.
        Self::ALL.get(usize::from(number).wrapping_sub(1)).copied()
    }

    /// Whether it finds damage at least as surely as the CRC-32C under which the store has its blocks.
    pub const fn is_strong(self) -> bool {
        !matches!(self, Self::Crc16 | Self::Adler32)
    }

    /// Bytes of a sum.
    pub const fn sum_len(self) -> usize {
        match self {
            Self::Crc16 => 2,
            Self::Crc32 | Self::Adler32 => 4,
            Self::Crc64 => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// How the data of a container is summed. The default is not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checksums {
    /// By what; `None` for off.
    pub kind: Option<ChecksumKind>,
    /// Bytes of an array that one sum stands for at most, if it is not less than a record; at least 1.
    pub piece_size: u32,
    /// Whether the target compares them before it stores anything.
    pub server_verifies: bool,
}

impl Checksums {
    /// Bytes of each piece of an extent of `len` bytes in records of `rec_size`, at least 1.
    pub fn piece(self, rec_size: u64, len: usize) -> usize {
        let sum = self.kind.map_or(1, ChecksumKind::sum_len);
        let rec_size = rec_size.max(1);
        let mut piece = ((u64::from(self.piece_size) / rec_size).max(1) * rec_size) as usize;
        while len.div_ceil(piece) * sum > SUMS_LEN_MAX {
            piece *= 2;
        }
        piece
    }
}

/// The sums of one value or extent: one for each piece of its bytes, the last for what is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sums<'a> {
    /// By what.
    pub kind: ChecksumKind,
    /// Bytes of a piece, at least 1.
    pub piece: usize,
    /// One behind the other.
    pub bytes: &'a [u8],
}

impl<'a> Sums<'a> {
    /// How many a value of so many bytes has: one at least.
    pub fn count_of(len: usize, piece: usize) -> usize {
        len.div_ceil(piece.max(1)).max(1)
    }

    /// The sum of a piece.
    pub fn get(&self, at: usize) -> Option<&'a [u8]> {
        self.range(at..at + 1)
    }

    /// The sums of several pieces.
    pub fn range(&self, pieces: Range<usize>) -> Option<&'a [u8]> {
        let len = self.kind.sum_len();
        self.bytes.get(pieces.start.checked_mul(len)?..pieces.end.checked_mul(len)?)
    }
}

/// An update with fewer sums than its bytes ask for, or with sums and no algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongSums;

/// The sums of what an update writes to one akey: those of its extents, one behind the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct IodSums<'a> {
    /// How they were made.
    pub by: Checksums,
    /// The sums; none where nothing is summed.
    pub bytes: &'a [u8],
    /// The CRC-32C of each [unit](crate::unit) of the data, if this process has made them of these very bytes: they do not travel.
    pub units: &'a [u32],
    /// The number of the [landing](crate::Landing) where these very bytes are by now; 0 where they are at none. It does not travel.
    pub landed: u64,
}

impl<'a> IodSums<'a> {
    /// Sums without those of units.
    pub fn new(by: Checksums, bytes: &'a [u8]) -> Self {
        Self { by, bytes, units: &[], landed: 0 }
    }

    /// Takes off the front those of the next extent of `len` bytes, in records of `rec_size`; `None` where nothing is summed.
    pub fn take(&mut self, rec_size: u64, len: usize) -> Result<Option<Sums<'a>>, WrongSums> {
        let Some(kind) = self.by.kind else { return self.none() };
        let piece = self.by.piece(rec_size, len);
        let (bytes, rest) =
            self.bytes.split_at_checked(Sums::count_of(len, piece) * kind.sum_len()).ok_or(WrongSums)?;
        self.bytes = rest;
        Ok(Some(Sums { kind, piece, bytes }))
    }

    /// As [`IodSums::take`], of a single value.
    pub fn take_single(&mut self, len: usize) -> Result<Option<Sums<'a>>, WrongSums> {
        let Some(kind) = self.by.kind else { return self.none() };
        let (bytes, rest) = self.bytes.split_at_checked(kind.sum_len()).ok_or(WrongSums)?;
        self.bytes = rest;
        Ok(Some(Sums { kind, piece: len.max(1), bytes }))
    }

    fn none(&self) -> Result<Option<Sums<'a>>, WrongSums> {
        if self.bytes.is_empty() { Ok(None) } else { Err(WrongSums) }
    }
}

/// The sum of one single value, without allocation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ValueSum {
    kind: Option<ChecksumKind>,
    bytes: [u8; SUM_LEN_MAX],
    /// Bytes of the value.
    pub value_len: usize,
}

impl Default for ValueSum {
    fn default() -> Self {
        Self { kind: None, bytes: [0; SUM_LEN_MAX], value_len: 0 }
    }
}

impl core::fmt::Debug for ValueSum {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ValueSum")
            .field("sum", &self.get())
            .field("value_len", &self.value_len)
            .finish_non_exhaustive()
    }
}

impl ValueSum {
    /// Takes note of the sum of a value of so many bytes, or that it has none.
    pub fn set(&mut self, sums: Option<Sums<'_>>, value_len: usize) {
        self.kind = None;
        self.value_len = value_len;
        if let Some(Sums { kind, bytes, .. }) = sums
            && let Some(place) = self.bytes.get_mut(..kind.sum_len())
            && let Some(sum) = bytes.get(..kind.sum_len())
        {
            place.copy_from_slice(sum);
            self.kind = Some(kind);
        }
    }

    /// The algorithm and the sum; `None` where the value has none.
    pub fn get(&self) -> Option<(ChecksumKind, &[u8])> {
        let kind = self.kind?;
        Some((kind, self.bytes.get(..kind.sum_len())?))
    }
}

/// The sums of what was read into a buffer: each run of pieces over stretches of the buffer that follow each other in the extent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FetchedSums {
    runs: Vec<FetchedRun>,
    stretches: Vec<Range<usize>>,
    bytes: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FetchedRun {
    kind: ChecksumKind,
    piece: usize,
    /// How many stretches, and the bytes they have.
    stretches: usize,
    len: usize,
    /// Bytes of sums.
    sums: usize,
}

impl FetchedSums {
    /// Forgets all.
    pub fn clear(&mut self) {
        self.runs.clear();
        self.stretches.clear();
        self.bytes.clear();
    }

    /// Takes note of the sums of stretches of the buffer, cut into pieces as if they were joined.
    pub fn push(&mut self, sums: Sums<'_>, stretches: impl IntoIterator<Item = Range<usize>>) {
        let Sums { kind, piece, bytes } = sums;
        // A run that ended where a piece ends goes on.
        let goes_on = |run: &FetchedRun| {
            (run.kind, run.piece) == (kind, piece) && run.len * kind.sum_len() == run.sums * piece
        };
        if !self.runs.last().is_some_and(goes_on) {
            self.runs.push(FetchedRun { kind, piece, stretches: 0, len: 0, sums: 0 });
        }
        let Some(run) = self.runs.last_mut() else { return };
        self.bytes.extend_from_slice(bytes);
        run.sums += bytes.len();
        for stretch in stretches {
            run.len += stretch.len();
            match self.stretches.last_mut().filter(|_| run.stretches > 0) {
                Some(last) if last.end == stretch.start => last.end = stretch.end,
                _ => {
                    self.stretches.push(stretch);
                    run.stretches += 1;
                }
            }
        }
    }

    /// The sums, each with its stretches of the buffer.
    pub fn iter(&self) -> impl Iterator<Item = (Sums<'_>, &[Range<usize>])> {
        let (mut at, mut from) = (0, 0);
        self.runs.iter().map(move |run| {
            let stretches = self.stretches.get(at..at + run.stretches).unwrap_or_default();
            let bytes = self.bytes.get(from..from + run.sums).unwrap_or_default();
            (at, from) = (at + run.stretches, from + run.sums);
            (Sums { kind: run.kind, piece: run.piece, bytes }, stretches)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::iter;

    #[test]
    fn pieces_are_whole_records_and_their_sums_fit_an_entry() {
        let by = |kind, piece_size| Checksums { kind: Some(kind), piece_size, server_verifies: false };
        let crc = by(ChecksumKind::Crc32, 32 << 10);
        assert_eq!(crc.piece(1, 1 << 20), 32 << 10);
        assert_eq!(crc.piece(3000, 1 << 20), 30_000);
        assert_eq!(crc.piece(1 << 30, 1 << 30), 1 << 30);
        assert_eq!(by(ChecksumKind::Crc32, 1).piece(1, 1 << 20), 2048);
        assert_eq!(by(ChecksumKind::Sha512, 32 << 10).piece(1, 1 << 20), 32 << 10);
        assert_eq!(by(ChecksumKind::Sha512, 1).piece(7, 7), 7);
        for kind in ChecksumKind::ALL {
            assert_eq!(ChecksumKind::from_number(kind as u8), Some(kind));
            let piece = by(kind, 1).piece(8, 1 << 20);
            assert!(
                piece.is_multiple_of(8) && Sums::count_of(1 << 20, piece) * kind.sum_len() <= SUMS_LEN_MAX
            );
        }
        assert_eq!((ChecksumKind::from_number(0), ChecksumKind::from_number(8)), (None, None));
    }

    #[test]
    fn sums_of_an_update_are_taken_extent_by_extent() {
        let by = Checksums { kind: Some(ChecksumKind::Crc16), piece_size: 10, server_verifies: false };
        let bytes: Vec<u8> = (0..8).collect();
        let mut sums = IodSums::new(by, &bytes);
        assert_eq!(sums.take(3, 20).unwrap().unwrap().bytes, [0, 1, 2, 3, 4, 5]);
        assert_eq!(sums.take(3, 12), Err(WrongSums));
        assert_eq!(sums.take_single(0).unwrap().unwrap().bytes, [6, 7]);
        assert_eq!(sums.take_single(0), Err(WrongSums));
        assert_eq!(IodSums::default().take(1, 1), Ok(None));
        assert_eq!(IodSums { bytes: &[1], ..IodSums::default() }.take_single(1), Err(WrongSums));
    }

    #[test]
    fn fetched_sums_come_back_with_their_stretches() {
        let mut fetched = FetchedSums::default();
        fetched.push(Sums { kind: ChecksumKind::Crc16, piece: 4, bytes: &[1, 2, 3, 4] }, [0..5, 7..9]);
        fetched.push(Sums { kind: ChecksumKind::Crc32, piece: 9, bytes: &[5, 6, 7, 8] }, iter::once(9..18));
        // Neighbours in buffer and extent are one.
        fetched.push(Sums { kind: ChecksumKind::Crc32, piece: 9, bytes: &[9; 4] }, [18..20, 30..32]);
        let found: Vec<_> = fetched.iter().map(|(sums, stretches)| (sums.bytes, stretches)).collect();
        assert_eq!(
            found,
            [(&[1, 2, 3, 4][..], &[0..5, 7..9][..]), (&[5, 6, 7, 8, 9, 9, 9, 9], &[9..20, 30..32])]
        );
        let mut sum = ValueSum::default();
        sum.set(Some(Sums { kind: ChecksumKind::Crc16, piece: 1, bytes: &[8, 9] }), 3);
        assert_eq!((sum.get(), sum.value_len), (Some((ChecksumKind::Crc16, &[8, 9][..])), 3));
        sum.set(None, 0);
        assert_eq!(sum.get(), None);
    }
}
