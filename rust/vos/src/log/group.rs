//! Groups: encoding and decoding, bound to a place.

use daos_codec::crc32c;
use daos_types::Lsn;

/// Bytes that are written at once or, when durable, never again.
pub(super) const BLOCK: u64 = 4096;
/// Groups start at multiples of it, so that a header lies in one sector.
pub(super) const ALIGN: u64 = 64;
/// Bytes of a group's header.
pub(super) const HEADER: usize = 64;
/// Bytes before each record.
pub(super) const RECORD_PREFIX: usize = 4;

const MAGIC: [u8; 4] = *b"WGRP";
/// In the number of records: [`Header::beside`].
const BESIDE: u32 = 1 << 31;

/// Where a group is, and what it follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) incarnation: u32,
    pub(super) identity: u64,
    pub(super) sequence: u64,
    pub(super) offset: u32,
    pub(super) bytes: u32,
    pub(super) first: Lsn,
    pub(super) durable_before: Lsn,
    pub(super) records: u32,
    /// What its records and all before them name outside of the log was durable when it was written.
    pub(super) beside: bool,
    pub(super) chain: u32,
}

/// A header as found: what is known before the records are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) header: Header,
    pub(super) records_crc: u32,
    pub(super) crc: u32,
}

/// Completes a group in place: the buffer holds room for the header, then the records. Returns what chains on.
pub(super) fn seal(buffer: &mut [u8], header: &Header) -> u32 {
    let Some((head, records)) = buffer.split_first_chunk_mut::<HEADER>() else { return 0 };
    let mut fields = Fields(head, 0);
    fields.put(MAGIC);
    fields.put(header.incarnation.to_le_bytes());
    fields.put(header.identity.to_le_bytes());
    fields.put(header.sequence.to_le_bytes());
    fields.put(header.offset.to_le_bytes());
    fields.put(header.bytes.to_le_bytes());
    fields.put(header.first.0.to_le_bytes());
    fields.put(header.durable_before.0.to_le_bytes());
    fields.put((header.records | if header.beside { BESIDE } else { 0 }).to_le_bytes());
    fields.put(header.chain.to_le_bytes());
    fields.put(crc32c(records).to_le_bytes());
    let crc = fields.crc();
    fields.put(crc.to_le_bytes());
    crc
}

struct Fields<'a>(&'a mut [u8; HEADER], usize);

impl Fields<'_> {
    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        if let Some(room) = self.0.get_mut(self.1..self.1 + N) {
            room.copy_from_slice(&bytes);
        }
        self.1 += N;
    }

    fn crc(&self) -> u32 {
        self.0.get(..self.1).map_or(0, crc32c)
    }
}

/// The little-endian bytes at a place; zeros where there are none, which callers rule out by length first.
pub(super) fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied().unwrap_or([0; N])
}

impl Found {
    /// The header that starts `bytes`, if its own checksum fits.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let head: &[u8; HEADER] = bytes.first_chunk()?;
        if field(head, 0) != MAGIC {
            return None;
        }
        let crc = u32::from_le_bytes(field(head, 60));
        if crc32c(head.get(..60)?) != crc {
            return None;
        }
        let records = u32::from_le_bytes(field(head, 48));
        let header = Header {
            incarnation: u32::from_le_bytes(field(head, 4)),
            identity: u64::from_le_bytes(field(head, 8)),
            sequence: u64::from_le_bytes(field(head, 16)),
            offset: u32::from_le_bytes(field(head, 24)),
            bytes: u32::from_le_bytes(field(head, 28)),
            first: Lsn(u64::from_le_bytes(field(head, 32))),
            durable_before: Lsn(u64::from_le_bytes(field(head, 40))),
            records: records & !BESIDE,
            beside: records & BESIDE != 0,
            chain: u32::from_le_bytes(field(head, 52)),
        };
        Some(Self { header, records_crc: u32::from_le_bytes(field(head, 56)), crc })
    }

    /// The group's records, where `bytes` starts with the header and all of them are whole.
    pub(super) fn records<'a>(&self, bytes: &'a [u8]) -> Option<Records<'a>> {
        let records = bytes.get(HEADER..self.header.bytes as usize)?;
        (crc32c(records) == self.records_crc).then_some(Records(records))
    }
}

/// The records of one group, in order. Ends early, with bytes left, where a length does not fit.
#[derive(Debug, Clone)]
pub(super) struct Records<'a>(&'a [u8]);

impl Records<'_> {
    /// Whether they are exactly so many.
    pub(super) fn are(&self, count: u32) -> bool {
        let mut rest = self.clone();
        let mut found = 0_u64;
        while rest.next().is_some() {
            found += 1;
        }
        found == u64::from(count) && rest.0.is_empty() && count > 0
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (prefix, rest) = self.0.split_first_chunk::<RECORD_PREFIX>()?;
        let (record, rest) = rest.split_at_checked(u32::from_le_bytes(*prefix) as usize)?;
        self.0 = rest;
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sealed(records: &[Vec<u8>]) -> (Vec<u8>, Header) {
        let mut buffer = vec![0; HEADER];
        for record in records {
            buffer.extend_from_slice(&(record.len() as u32).to_le_bytes());
            buffer.extend_from_slice(record);
        }
        let header = Header {
            incarnation: 3,
            identity: 0x0123_4567_89AB_CDEF,
            sequence: 5,
            offset: 8192,
            bytes: buffer.len() as u32,
            first: Lsn(77),
            durable_before: Lsn(70),
            records: records.len() as u32,
            beside: records.len() % 2 == 1,
            chain: 99,
        };
        let crc = seal(&mut buffer, &header);
        assert_eq!(u32::from_le_bytes(field(&buffer, 60)), crc);
        (buffer, header)
    }

    #[test]
    fn the_first_bytes_are_those_of_the_page() {
        let (bytes, _) = sealed(&[b"x".to_vec()]);
        assert_eq!(&bytes[..8], b"WGRP\x03\0\0\0");
        assert_eq!(&bytes[24..32], b"\x00\x20\0\0\x45\0\0\0");
        assert_eq!(&bytes[64..], b"\x01\0\0\0x");
    }

    proptest! {
        #[test]
        fn what_is_sealed_is_found(records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..20)) {
            let (bytes, header) = sealed(&records);
            let found = Found::decode(&bytes).unwrap();
            prop_assert_eq!(found.header, header);
            let read = found.records(&bytes).unwrap();
            prop_assert!(read.are(records.len() as u32));
            prop_assert!(!read.are(records.len() as u32 + 1));
            prop_assert_eq!(read.map(<[u8]>::to_vec).collect::<Vec<_>>(), records);
        }

        #[test]
        fn any_flipped_bit_or_cut_shows(
            records in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 1..5),
            at in any::<prop::sample::Index>(),
            bit in 0..8_u8,
        ) {
            let whole = |bytes: &[u8]| Found::decode(bytes).and_then(|found| found.records(bytes)).is_some();
            let (mut bytes, _) = sealed(&records);
            prop_assert!(whole(&bytes));
            let at = at.index(bytes.len());
            prop_assert!(!whole(&bytes[..at]));
            bytes[at] ^= 1 << bit;
            prop_assert!(!whole(&bytes));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), count in any::<u32>()) {
            let _ = Found::decode(&bytes);
            let _ = Records(&bytes).are(count);
            // A header that says anything at all, with a good checksum.
            if let Some((head, _)) = bytes.split_first_chunk::<HEADER>() {
                let mut bytes = bytes.clone();
                bytes[..4].copy_from_slice(&MAGIC);
                let crc = crc32c(&[&MAGIC, &head[4..60]].concat());
                bytes[60..64].copy_from_slice(&crc.to_le_bytes());
                let found = Found::decode(&bytes).unwrap();
                let _ = found.records(&bytes);
            }
        }
    }
}
