//! Sums that came with the data: kept beside it, answered with it. `docs/formats/records.md` says what each stands for.

use crate::data::{DataFile, Part, Stored};
use crate::entry::{Content, Payload};
use crate::error::{Result, VosError};
use daos_codec::{sum, verify_all};
use daos_types::checksum::WrongSums;
use daos_types::part::parts;
use daos_types::{ChecksumKind, FetchedSums, Iod, IodSums, IodValue, ObjectId, Sums};
use std::cell::Cell;
use std::ops::Range;

/// The longest piece for which a thread keeps room.
const PIECE_KEPT_MAX: usize = 64 << 10;

thread_local! {
    /// Room for a piece that is read whole, as only a part of it was asked for: made and cleared once, not for each.
    static PIECE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

const KIND_MASK: u8 = 0x0F;
/// Piece and number of the sums follow.
const SEVERAL: u8 = 0x10;

/// Appends sums as an entry has them.
pub(crate) fn encode(sums: &Sums<'_>, out: &mut Vec<u8>) {
    let count = sums.bytes.len() / sums.kind.sum_len();
    if count == 1 {
        out.push(sums.kind as u8);
    } else {
        out.push(sums.kind as u8 | SEVERAL);
        out.extend_from_slice(&(sums.piece as u32).to_le_bytes());
        out.extend_from_slice(&(count as u16).to_le_bytes());
    }
    out.extend_from_slice(sums.bytes);
}

/// Sums of an entry whose bytes are not looked at yet.
#[derive(Clone, Copy)]
pub(crate) struct ParsedSums<'a> {
    kind: ChecksumKind,
    /// `None` for a single sum.
    piece: Option<usize>,
    bytes: &'a [u8],
}

impl<'a> ParsedSums<'a> {
    /// Reads what [`encode`] wrote, and what follows; `None` for anything else.
    pub(crate) fn parse(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (head, mut rest) = bytes.split_first()?;
        if head & !(KIND_MASK | SEVERAL) != 0 {
            return None;
        }
        let kind = ChecksumKind::from_number(head & KIND_MASK)?;
        let (mut piece, mut count) = (None, 1);
        if head & SEVERAL != 0 {
            let (len, tail) = rest.split_first_chunk()?;
            let (number, tail) = tail.split_first_chunk()?;
            piece = Some(u32::from_le_bytes(*len) as usize);
            count = usize::from(u16::from_le_bytes(*number));
            rest = tail;
        }
        let (bytes, rest) = rest.split_at_checked(count * kind.sum_len())?;
        Some((Self { kind, piece, bytes }, rest))
    }

    /// As sums of so many bytes; `None` if they are not.
    pub(crate) fn of(self, len: usize) -> Option<Sums<'a>> {
        let Self { kind, bytes, piece } = self;
        let Some(piece) = piece else { return Some(Sums { kind, piece: len.max(1), bytes }) };
        let sound = piece > 0 && bytes.len() > kind.sum_len();
        let sound = sound && Sums::count_of(len, piece) * kind.sum_len() == bytes.len();
        sound.then_some(Sums { kind, piece, bytes })
    }
}

/// Sums that are kept until what they stand for is read.
pub(crate) struct OwnedSums {
    kind: ChecksumKind,
    piece: usize,
    bytes: Vec<u8>,
}

impl OwnedSums {
    pub(crate) fn of(sums: Sums<'_>) -> Self {
        Self { kind: sums.kind, piece: sums.piece, bytes: sums.bytes.to_vec() }
    }

    pub(crate) fn lend(&self) -> Sums<'_> {
        Sums { kind: self.kind, piece: self.piece, bytes: &self.bytes }
    }
}

impl From<WrongSums> for VosError {
    fn from(_: WrongSums) -> Self {
        wrong_number()
    }
}

/// A single value with its sum.
pub(crate) fn single<'a>(mut sums: IodSums<'a>, content: Content<'a>, len: usize) -> Result<Payload<'a>> {
    let payload = Payload { content, sums: sums.take_single(len)? };
    check_rest(&sums)?;
    Ok(payload)
}

/// Refuses sums that stand for nothing.
pub(crate) fn check_rest(sums: &IodSums<'_>) -> Result<()> {
    if sums.bytes.is_empty() { Ok(()) } else { Err(wrong_number()) }
}

fn wrong_number() -> VosError {
    VosError::Invalid { why: "an update with more or fewer checksums than its bytes ask for".to_owned() }
}

/// Compares the bytes of an update with the sums that ask for it. What is malformed is left to the update itself.
pub fn verify_update(oid: ObjectId, dkey: &[u8], iods: &[Iod<'_>]) -> Result<()> {
    for iod in iods.iter().filter(|iod| iod.sums.by.server_verifies) {
        let wrong = |records: &dyn std::fmt::Display| VosError::Checksum {
            what: format!(
                "object {oid}, dkey \"{}\", akey \"{}\"{records}: the update came with other bytes than it left with",
                dkey.escape_ascii(),
                iod.akey.escape_ascii()
            ),
        };
        let mut sums = iod.sums;
        match iod.value {
            IodValue::Single(value) => {
                if let Some(sums) = sums.take_single(value.len())? {
                    verify_all(&sums, value).map_err(|_| wrong(&""))?;
                }
            }
            IodValue::Array { rec_size, recxs, data } => {
                crate::array::check_len(rec_size, crate::array::check_recxs(recxs)?, data.len())?;
                for part in parts(rec_size, recxs) {
                    let bytes = part.bytes(rec_size, data);
                    if let Some(sums) = sums.take(rec_size, bytes.len())? {
                        verify_all(&sums, bytes)
                            .map_err(|_| wrong(&records(&(part.index..part.index + part.span()))))?;
                    }
                }
            }
            IodValue::NoSingle | IodValue::Holes(_) => {}
        }
    }
    Ok(())
}

/// Records as an error names them.
pub(crate) fn records(of: &Range<u64>) -> String {
    format!(", records {} to {}", of.start, of.end - 1)
}

/// Shows for each piece what is asked of it, of parts of a value of `len` bytes that ascend: where the piece lies in the value,
/// whether it is asked for whole, and the parts.
fn by_piece(
    piece: usize,
    len: usize,
    parts: &[Part],
    mut show: impl FnMut(Range<usize>, bool, &[Part]) -> Result<()>,
) -> Result<()> {
    let mut inside: Vec<Part> = Vec::new();
    let (mut covered, mut begin) = (0, 0);
    let end = |begin: usize| (begin + piece).min(len);
    for part in parts {
        let (mut at, mut out) = (part.at, part.out.clone());
        while !out.is_empty() {
            let here = at / piece * piece;
            if here != begin && !inside.is_empty() {
                show(begin..end(begin), covered == end(begin) - begin, &inside)?;
                inside.clear();
                covered = 0;
            }
            begin = here;
            let count = (end(begin).saturating_sub(at)).min(out.len());
            if count == 0 {
                return Err(VosError::Corrupt { why: "an extent is shorter than its records".to_owned() });
            }
            inside.push(Part { at, out: out.start..out.start + count });
            covered += count;
            (at, out.start) = (at + count, out.start + count);
        }
    }
    if inside.is_empty() { Ok(()) } else { show(begin..end(begin), covered == end(begin) - begin, &inside) }
}

/// The sum of parts of a piece that was verified, joined.
fn push_parts(kind: ChecksumKind, piece: &[u8], begin: usize, parts: &[Part], fetched: &mut FetchedSums) {
    let slice =
        |part: &Part| piece.get(part.at - begin..part.at - begin + part.out.len()).unwrap_or_default();
    let joined;
    let bytes = match parts {
        [part] => slice(part),
        _ => {
            joined = parts.iter().map(slice).collect::<Vec<_>>().concat();
            &joined[..]
        }
    };
    let made = sum(kind, bytes);
    let sums =
        Sums { kind, piece: bytes.len().max(1), bytes: made.get(..kind.sum_len()).unwrap_or_default() };
    fetched.push(sums, parts.iter().map(|part| part.out.clone()));
}

fn stored_sum<'a>(sums: &Sums<'a>, piece: &Range<usize>) -> Sums<'a> {
    Sums { bytes: sums.get(piece.start / sums.piece.max(1)).unwrap_or_default(), ..*sums }
}

/// Answers the sums of parts of a value that lies in memory; `parts` ascend.
pub(crate) fn answer(
    sums: &Sums<'_>,
    bytes: &[u8],
    parts: &[Part],
    fetched: &mut FetchedSums,
    wrong: impl Fn() -> VosError,
) -> Result<()> {
    // Nearly always all of a small value.
    if let [part] = parts
        && part.at == 0
        && part.out.len() == bytes.len()
        && bytes.len() <= sums.piece
    {
        fetched.push(stored_sum(sums, &(0..bytes.len())), [part.out.clone()]);
        return Ok(());
    }
    by_piece(sums.piece, bytes.len(), parts, |piece, is_whole, parts| {
        let stored = stored_sum(sums, &piece);
        if is_whole {
            fetched.push(stored, parts.iter().map(|part| part.out.clone()));
            return Ok(());
        }
        let whole = bytes.get(piece.clone()).unwrap_or_default();
        verify_all(&stored, whole).map_err(|_| wrong())?;
        push_parts(sums.kind, whole, piece.start, parts, fetched);
        Ok(())
    })
}

/// Reads parts of a value from the data file into `out`, and answers their sums; `parts` ascend. A piece that is asked for in part
/// is read and verified whole. One that is asked for whole is compared by who asked: where its sum is as good as the seal, that is
/// not looked at, so that big reads are gone through once.
pub(crate) fn read(
    data: &DataFile,
    stored: &Stored<'_>,
    sums: &Sums<'_>,
    parts: &[Part],
    out: &mut [u8],
    fetched: &mut FetchedSums,
    wrong: impl Fn() -> VosError,
) -> Result<()> {
    let load = |part: &Part, out: &mut [u8]| match out.get_mut(part.out.clone()) {
        Some(to) if sums.kind.is_strong() => data.read_plain(stored, part.at, to),
        _ => data.read(stored, std::slice::from_ref(part), out),
    };
    let mut whole: Vec<Part> = Vec::new();
    // An error leaves it behind.
    let mut kept = PIECE.take();
    by_piece(sums.piece, stored.len(), parts, |piece, is_whole, parts| {
        let wanted = stored_sum(sums, &piece);
        if is_whole {
            fetched.push(wanted, parts.iter().map(|part| part.out.clone()));
            for part in parts {
                // Neighbours are read as one.
                match whole.last_mut() {
                    Some(last) if last.at + last.out.len() == part.at && last.out.end == part.out.start => {
                        last.out.end = part.out.end;
                    }
                    _ => whole.push(part.clone()),
                }
            }
            return Ok(());
        }
        if kept.len() < piece.len() {
            kept.resize(piece.len(), 0);
        }
        let buffer = kept.get_mut(..piece.len()).unwrap_or_default();
        load(&Part { at: piece.start, out: 0..piece.len() }, buffer)?;
        verify_all(&wanted, buffer).map_err(|_| wrong())?;
        for part in parts {
            let from = part.at - piece.start;
            if let (Some(to), Some(from)) =
                (out.get_mut(part.out.clone()), buffer.get(from..from + part.out.len()))
            {
                to.copy_from_slice(from);
            }
        }
        push_parts(sums.kind, buffer, piece.start, parts, fetched);
        Ok(())
    })?;
    if kept.len() <= PIECE_KEPT_MAX {
        PIECE.set(kept);
    }
    whole.iter().try_for_each(|part| load(part, out))
}
