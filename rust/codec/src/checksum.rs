//! The sums of a container's data: `docs/formats/records.md` says what each stands for.

use crate::crc32c;
use crc_fast::{CrcAlgorithm, Digest as CrcDigest};
use daos_types::checksum::{SUM_LEN_MAX, Sums};
use daos_types::{ChecksumKind, ValueSum};
use sha2::Digest;
use std::ops::Range;

/// A sum under way.
enum Summer {
    Crc(CrcDigest),
    Adler(adler2::Adler32),
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
}

impl Summer {
    fn new(kind: ChecksumKind) -> Self {
        match kind {
            ChecksumKind::Crc16 => Self::Crc(CrcDigest::new(CrcAlgorithm::Crc16T10Dif)),
            ChecksumKind::Crc32 => Self::Crc(CrcDigest::new(CrcAlgorithm::Crc32Iscsi)),
            ChecksumKind::Crc64 => Self::Crc(CrcDigest::new(CrcAlgorithm::Crc64Xz)),
            ChecksumKind::Adler32 => Self::Adler(adler2::Adler32::new()),
            ChecksumKind::Sha1 => Self::Sha1(sha1::Sha1::new()),
            ChecksumKind::Sha256 => Self::Sha256(sha2::Sha256::new()),
            ChecksumKind::Sha512 => Self::Sha512(sha2::Sha512::new()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc(digest) => digest.update(bytes),
            Self::Adler(adler) => adler.write_slice(bytes),
            Self::Sha1(sha) => sha.update(bytes),
            Self::Sha256(sha) => sha.update(bytes),
            Self::Sha512(sha) => sha.update(bytes),
        }
    }

    /// The sum at the front of what is answered.
    fn finish(self) -> [u8; SUM_LEN_MAX] {
        let mut sum = [0; SUM_LEN_MAX];
        let mut put = |bytes: &[u8]| sum.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        match self {
            Self::Crc(digest) => put(&digest.finalize().to_le_bytes()),
            Self::Adler(adler) => put(&adler.checksum().to_le_bytes()),
            Self::Sha1(sha) => put(&sha.finalize()),
            Self::Sha256(sha) => put(&sha.finalize()),
            Self::Sha512(sha) => put(&sha.finalize()),
        }
        sum
    }
}

/// The sum of all that `bytes` holds; it takes the first [`ChecksumKind::sum_len`] bytes of what is answered.
pub fn sum(kind: ChecksumKind, bytes: &[u8]) -> [u8; SUM_LEN_MAX] {
    if kind == ChecksumKind::Crc32 {
        // The short way of the default: small values come here all the time.
        let mut sum = [0; SUM_LEN_MAX];
        if let Some(place) = sum.first_chunk_mut() {
            *place = crc32c(bytes).to_le_bytes();
        }
        return sum;
    }
    let mut summer = Summer::new(kind);
    summer.update(bytes);
    summer.finish()
}

/// Appends the sum of each piece of `bytes`; of nothing there is one as well.
pub fn sums(kind: ChecksumKind, piece: usize, bytes: &[u8], out: &mut Vec<u8>) {
    let mut put = |piece: &[u8]| out.extend(sum(kind, piece).iter().take(kind.sum_len()));
    if bytes.is_empty() {
        put(bytes);
    }
    bytes.chunks(piece.max(1)).for_each(put);
}

/// Bytes that do not have their sum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// The first of them, where they lie in the buffer.
    pub at: usize,
}

/// Compares a value with its sum, if it has one. What was not kept cannot be compared.
pub fn verify_value(wanted: &ValueSum, value: Option<&[u8]>) -> Result<(), Mismatch> {
    let (Some((kind, wanted)), Some(value)) = (wanted.get(), value) else { return Ok(()) };
    let fits = match kind {
        ChecksumKind::Crc32 => crc32c(value).to_le_bytes() == *wanted,
        _ => sum(kind, value).starts_with(wanted),
    };
    if fits { Ok(()) } else { Err(Mismatch { at: 0 }) }
}

/// Compares all of some bytes with their sums.
pub fn verify_all(sums: &Sums<'_>, bytes: &[u8]) -> Result<(), Mismatch> {
    verify(sums, std::slice::from_ref(&(0..bytes.len())), bytes)
}

/// Compares bytes that come bit by bit with their sums.
pub struct Verifier<'a> {
    sums: Sums<'a>,
    /// Pieces compared so far.
    compared: usize,
    /// A piece that did not come whole yet: where it begins, what is missing of it.
    open: Option<(Summer, usize, usize)>,
}

impl std::fmt::Debug for Verifier<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("compared", &self.compared).finish_non_exhaustive()
    }
}

impl<'a> Verifier<'a> {
    /// Nothing came yet.
    pub fn new(sums: Sums<'a>) -> Self {
        Self { sums, compared: 0, open: None }
    }

    fn compare(&mut self, found: [u8; SUM_LEN_MAX], at: usize) -> Result<(), Mismatch> {
        let wanted = self.sums.get(self.compared).filter(|wanted| found.starts_with(wanted));
        self.compared += 1;
        wanted.map(drop).ok_or(Mismatch { at })
    }

    /// The next bytes, which lie at `at` for him who is told of a mismatch.
    pub fn update(&mut self, mut at: usize, mut rest: &[u8]) -> Result<(), Mismatch> {
        let (kind, piece) = (self.sums.kind, self.sums.piece.max(1));
        while !rest.is_empty() {
            if self.open.is_none()
                && let Some((whole, tail)) = rest.split_at_checked(piece)
            {
                self.compare(sum(kind, whole), at)?;
                (rest, at) = (tail, at + piece);
                continue;
            }
            let (mut summer, begin, missing) =
                self.open.take().unwrap_or_else(|| (Summer::new(kind), at, piece));
            let (some, tail) = rest.split_at(missing.min(rest.len()));
            summer.update(some);
            (rest, at) = (tail, at + some.len());
            if some.len() < missing {
                self.open = Some((summer, begin, missing - some.len()));
            } else {
                self.compare(summer.finish(), begin)?;
            }
        }
        Ok(())
    }

    /// All came, up to `end`.
    pub fn finish(mut self, end: usize) -> Result<(), Mismatch> {
        if let Some((summer, begin, _)) = self.open.take() {
            self.compare(summer.finish(), begin)?;
        } else if self.compared == 0 {
            // Nothing has a sum as well.
            self.compare(sum(self.sums.kind, &[]), end)?;
        }
        if self.sums.get(self.compared).is_some() { Err(Mismatch { at: end }) } else { Ok(()) }
    }
}

/// Compares stretches of a buffer, cut into pieces as if they were joined, with their sums. Sums that are too few or too many are
/// a mismatch, as are stretches behind the buffer's end.
pub fn verify(sums: &Sums<'_>, stretches: &[Range<usize>], buffer: &[u8]) -> Result<(), Mismatch> {
    let mut verifier = Verifier::new(*sums);
    let mut end = 0;
    for stretch in stretches {
        let bytes = buffer.get(stretch.clone()).ok_or(Mismatch { at: stretch.start })?;
        verifier.update(stretch.start, bytes)?;
        end = stretch.end;
    }
    verifier.finish(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hex(bytes: &[u8]) -> String {
        let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or('?');
        bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
    }

    #[test]
    fn the_check_values_of_the_catalogues() {
        // Of "123456789": the CRC catalogue, RFC 1950's definition; of "abc": FIPS 180-4.
        let of = |kind: ChecksumKind, data: &[u8]| sum(kind, data)[..kind.sum_len()].to_vec();
        let digits = b"123456789";
        assert_eq!(of(ChecksumKind::Crc16, digits), 0xD0DB_u16.to_le_bytes());
        assert_eq!(of(ChecksumKind::Crc32, digits), 0xE306_9283_u32.to_le_bytes());
        assert_eq!(of(ChecksumKind::Crc64, digits), 0x995D_C9BB_DF19_39FA_u64.to_le_bytes());
        assert_eq!(of(ChecksumKind::Adler32, digits), 0x091E_01DE_u32.to_le_bytes());
        assert_eq!(hex(&of(ChecksumKind::Sha1, b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert_eq!(
            hex(&of(ChecksumKind::Sha256, b"abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            hex(&of(ChecksumKind::Sha512, b"abc")),
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
             2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        );
    }

    proptest! {
        #[test]
        fn a_flipped_bit_is_found_however_the_bytes_are_laid_out(
            kind in 0..7usize,
            parts in proptest::collection::vec((0..5usize, 1..40usize), 1..8),
            piece in 1..50usize,
            flip in any::<usize>(),
        ) {
            let kind = ChecksumKind::ALL[kind];
            let (mut buffer, mut stretches) = (Vec::new(), Vec::new());
            for (gap, len) in parts {
                buffer.resize(buffer.len() + gap, 0xAA);
                stretches.push(buffer.len()..buffer.len() + len);
                buffer.extend((0..len).map(|at| (at * 7) as u8));
            }
            let joined: Vec<u8> = stretches.iter().flat_map(|stretch| buffer[stretch.clone()].to_vec()).collect();
            let mut bytes = Vec::new();
            sums(kind, piece, &joined, &mut bytes);
            prop_assert_eq!(bytes.len(), Sums::count_of(joined.len(), piece) * kind.sum_len());
            let wanted = Sums { kind, piece, bytes: &bytes };
            prop_assert_eq!(verify(&wanted, &stretches, &buffer), Ok(()));
            let fewer = Sums { bytes: &bytes[kind.sum_len()..], ..wanted };
            prop_assert!(verify(&fewer, &stretches, &buffer).is_err());
            let more = [&bytes[..], &bytes[..kind.sum_len()]].concat();
            let more = Sums { bytes: &more, ..wanted };
            prop_assert!(verify(&more, &stretches, &buffer).is_err());
            let places: Vec<usize> = stretches.iter().cloned().flatten().collect();
            let place = places[flip % places.len()];
            buffer[place] ^= 1 << (flip % 8);
            let Err(Mismatch { at }) = verify(&wanted, &stretches, &buffer) else {
                return Err(TestCaseError::fail("a flipped bit was not found"));
            };
            prop_assert!(at <= place);
        }
    }

    #[test]
    fn nothing_has_a_sum_too() {
        let mut bytes = Vec::new();
        sums(ChecksumKind::Crc64, 9, b"", &mut bytes);
        assert_eq!(bytes, [0; 8]);
        let sums = Sums { kind: ChecksumKind::Crc64, piece: 1, bytes: &bytes };
        assert_eq!(verify_all(&sums, b""), Ok(()));
        assert_eq!(verify_all(&Sums { bytes: &[1; 8], ..sums }, b""), Err(Mismatch { at: 0 }));
        assert_eq!(verify_all(&Sums { bytes: &[0; 16], ..sums }, b""), Err(Mismatch { at: 0 }));
        let mut wanted = ValueSum::default();
        assert_eq!(verify_value(&wanted, Some(b"x")), Ok(()));
        wanted.set(Some(sums), 0);
        assert_eq!(verify_value(&wanted, Some(b"")), Ok(()));
        assert_eq!(verify_value(&wanted, Some(b"x")), Err(Mismatch { at: 0 }));
        assert_eq!(verify_value(&wanted, None), Ok(()));
    }
}
