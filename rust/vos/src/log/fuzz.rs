//! Fuzzers of the log's bytes: groups, the superblock, a segment as the scan sees it.

use super::group::{BLOCK, Found, HEADER, Header, seal};
use super::recover::Scanner;
use super::superblock::{Block, Entry, Head, Start, Superblock, check_segment_header, segment_header};
use daos_codec::crc32c;
use daos_fuzz::fuzz;
use daos_types::Lsn;

const IDENTITY: u64 = 77;
const BLOCK_LEN: usize = BLOCK as usize;

fn header() -> Header {
    Header {
        incarnation: 3,
        identity: IDENTITY,
        sequence: 5,
        offset: BLOCK as u32,
        bytes: 0,
        first: Lsn(11),
        durable_before: Lsn(10),
        records: 0,
        beside: true,
        chain: 1,
    }
}

/// A group of records and its chain.
fn group(header: &Header, records: &[&[u8]]) -> (Vec<u8>, u32) {
    let mut bytes = vec![0; HEADER];
    for record in records {
        bytes.extend_from_slice(&(record.len() as u32).to_le_bytes());
        bytes.extend_from_slice(record);
    }
    let header = Header { bytes: bytes.len() as u32, records: records.len() as u32, ..*header };
    let chain = seal(&mut bytes, &header);
    (bytes, chain)
}

/// Makes the checksums of the group at a place right, as far as there is one.
fn reseal(bytes: &mut [u8], at: usize) {
    let Some(group) = bytes.get_mut(at..).filter(|group| group.len() >= HEADER) else { return };
    let len = u32::from_le_bytes([group[28], group[29], group[30], group[31]]) as usize;
    if let Some(records) = group.get(HEADER..len) {
        let sum = crc32c(records).to_le_bytes();
        group[56..60].copy_from_slice(&sum);
    }
    let sum = crc32c(&group[..60]).to_le_bytes();
    group[60..64].copy_from_slice(&sum);
}

#[test]
fn groups() {
    let corpus = [group(&header(), &[b"one", b"", b"three"]).0, group(&header(), &[&[7; 200]]).0];
    fuzz("log group", &corpus, &|bytes| reseal(bytes, 0), |bytes| {
        let Some(found) = Found::decode(bytes) else { return false };
        let Some(records) = found.records(bytes) else { return false };
        let count = records.clone().count();
        if !records.are(found.header.records) {
            return false;
        }
        assert_eq!(count, found.header.records as usize);
        let whole = &bytes[..found.header.bytes as usize];
        let mut again = whole.to_vec();
        assert_eq!(seal(&mut again, &found.header), found.crc);
        assert_eq!(again, whole);
        true
    });
}

fn superblock() -> Superblock {
    Superblock {
        identity: [0; 16],
        generation: 9,
        incarnation: 3,
        head: Head { sequence: 5, after: Lsn(10), chain: 1 },
        start: Start { after: Lsn(10), sequence: 5, offset: BLOCK as u32, chain: 1 },
        durable: Lsn(10),
        table: vec![Entry { number: 0, blocks: 4 }, Entry { number: 1, blocks: 4 }],
    }
}

#[test]
fn superblocks() {
    let reseal = |bytes: &mut [u8]| {
        for copy in bytes.as_chunks_mut::<BLOCK_LEN>().0 {
            let (body, sum) = copy.split_at_mut(BLOCK_LEN - 4);
            sum.copy_from_slice(&crc32c(body).to_le_bytes());
        }
    };
    let older = Superblock { generation: 8, ..superblock() };
    let corpus = [[superblock().encode(), older.encode()].concat(), superblock().encode().to_vec()];
    fuzz("log superblock", &corpus, &reseal, |bytes| {
        let (first, second) = bytes.split_at(bytes.len().min(BLOCK_LEN));
        let Ok((chosen, _)) = Superblock::choose(first, second) else { return false };
        let block: Block = chosen.encode();
        assert_eq!(Superblock::choose(&block, &block).unwrap(), (chosen, 0));
        true
    });
}

#[test]
fn headers_of_segments() {
    let (identity, entry) = ([4; 16], Entry { number: 3, blocks: 9 });
    let right = segment_header(identity, entry);
    fuzz("segment header", &[right.to_vec()], &daos_fuzz::unsealed, |bytes| {
        let fits = check_segment_header(bytes, identity, entry).is_ok();
        assert_eq!(fits, bytes.starts_with(&right));
        fits
    });
}

#[test]
fn segments() {
    let superblock = superblock();
    let (one, chain) = group(&header(), &[b"one", b"two"]);
    let second =
        Header { offset: 2 * BLOCK as u32, first: Lsn(13), durable_before: Lsn(12), chain, ..header() };
    let (two, _) = group(&second, &[b"three"]);
    let mut segment = vec![0; 3 * BLOCK_LEN];
    segment[BLOCK_LEN..BLOCK_LEN + one.len()].copy_from_slice(&one);
    segment[2 * BLOCK_LEN..2 * BLOCK_LEN + two.len()].copy_from_slice(&two);
    let reseal = |bytes: &mut [u8]| [1, 2].into_iter().for_each(|block| reseal(bytes, block * BLOCK_LEN));
    fuzz("log segment", &[segment], &reseal, |bytes| {
        let mut last = Lsn(10);
        let mut scanner = Scanner::new(&superblock, IDENTITY, Lsn(u64::MAX));
        let scanned = scanner.segment(bytes, &mut |lsn, record| {
            assert_eq!(lsn, last.next());
            assert!(record.len() <= bytes.len());
            last = lsn;
            Ok(())
        });
        if scanned.is_err() {
            return false;
        }
        let Ok(end) = scanner.finish(Lsn::ZERO) else { return false };
        assert_eq!(end.start.after, last);
        last > Lsn(10)
    });
}
