//! Crafted segments: each rule of the scan alone.

use super::super::group::{Header, seal};
use super::super::superblock::{Entry, Head};
use super::*;
use proptest::prelude::*;

const IDENTITY: u64 = 77;
const BLOCKS: u32 = 8;

/// Two segments, of sequence numbers 5 and 6; the log begins in the first one.
fn superblock() -> Superblock {
    Superblock {
        identity: [0; 16],
        generation: 9,
        incarnation: 3,
        head: Head { sequence: 5, after: Lsn(10), chain: 1 },
        start: Start { after: Lsn(10), sequence: 5, offset: 4096, chain: 1 },
        durable: Lsn(10),
        table: vec![Entry { number: 0, blocks: BLOCKS }, Entry { number: 1, blocks: BLOCKS }],
    }
}

struct Segments([Vec<u8>; 2]);

impl Segments {
    fn new() -> Self {
        Self([vec![0; 4096 * BLOCKS as usize], vec![0; 4096 * BLOCKS as usize]])
    }

    /// Writes a group of one record where its header says, into this segment; returns its chain.
    fn put(&mut self, segment: usize, header: &Header) -> u32 {
        self.put_records(segment, header, b"\x02\0\0\0ok")
    }

    fn put_records(&mut self, segment: usize, header: &Header, records: &[u8]) -> u32 {
        let mut bytes = vec![0; HEADER];
        bytes.extend_from_slice(records);
        let header = Header { bytes: bytes.len() as u32, ..*header };
        let crc = seal(&mut bytes, &header);
        let at = header.offset as usize;
        self.0[segment][at..at + bytes.len()].copy_from_slice(&bytes);
        crc
    }

    fn scan(&self, superblock: &Superblock, covered: u64) -> Result<End> {
        let mut scanner = Scanner::new(superblock, IDENTITY, Lsn(u64::MAX));
        for bytes in &self.0 {
            scanner.segment(bytes, &mut |_, _| Ok(()))?;
        }
        scanner.finish(Lsn(covered))
    }

    /// The last record of the log, 0 where it is corrupt.
    fn last(&self, superblock: &Superblock) -> u64 {
        match self.scan(superblock, 0) {
            Ok(end) => end.start.after.0,
            Err(LogError::Corrupt(_)) => 0,
            Err(error) => panic!("{error}"),
        }
    }
}

/// The group that comes next in [`superblock`]'s log.
fn first() -> Header {
    Header {
        incarnation: 3,
        identity: IDENTITY,
        sequence: 5,
        offset: 4096,
        bytes: 0,
        first: Lsn(11),
        durable_before: Lsn(10),
        records: 1,
        beside: false,
        chain: 1,
    }
}

#[test]
fn only_the_group_that_comes_next_is_taken() {
    let last = |header: Header| {
        let mut segments = Segments::new();
        segments.put(0, &header);
        segments.last(&superblock())
    };
    assert_eq!(last(first()), 11);
    assert_eq!(last(Header { incarnation: 2, ..first() }), 10, "an older incarnation");
    assert_eq!(last(Header { identity: 78, ..first() }), 10, "another log");
    assert_eq!(last(Header { sequence: 4, ..first() }), 10, "before the segment was recycled");
    assert_eq!(last(Header { chain: 2, ..first() }), 10, "behind another group");
    assert_eq!(last(Header { first: Lsn(12), ..first() }), 10, "another record");
    assert_eq!(
        last(Header { offset: 4096 + 128, ..first() }),
        10,
        "neither behind the one before nor in a new block"
    );
    assert_eq!(last(Header { records: 2, ..first() }), 0, "whole, and not what it says");
}

#[test]
fn misplaced_bytes_are_not_a_group() {
    let mut segments = Segments::new();
    segments.put(0, &first());
    let (from, to) = (4096..4096 + 128, 8192..8192 + 128);
    let moved = segments.0[0][from.clone()].to_vec();
    segments.0[0][to].copy_from_slice(&moved);
    segments.0[0][from].fill(0);
    assert_eq!(segments.last(&superblock()), 10);
}

#[test]
fn the_next_group_is_near_or_in_a_new_block_or_in_a_later_segment() {
    for (segment, sequence, offset) in [(0, 5, 4096 + 128), (0, 5, 8192), (1, 6, 4096)] {
        let mut segments = Segments::new();
        let chain = segments.put(0, &first());
        segments.put(segment, &Header { sequence, offset, first: Lsn(12), chain, ..first() });
        let end = segments.scan(&superblock(), 0).unwrap();
        assert_eq!((end.start.after, end.start.sequence), (Lsn(12), sequence));
        let block = if offset < 8192 && segment == 0 { 8192 } else { offset + 4096 };
        assert_eq!(end.start.offset, block);
    }
}

#[test]
fn what_lies_behind_the_end_can_prove_a_loss() {
    let last = |header: Header| {
        let mut segments = Segments::new();
        segments.put(usize::from(header.sequence == 6), &header);
        segments.last(&superblock())
    };
    let later = Header { offset: 12_288, first: Lsn(13), durable_before: Lsn(10), ..first() };
    assert_eq!(last(later), 10, "nothing that is missing was durable");
    assert_eq!(last(Header { durable_before: Lsn(11), ..later }), 0);
    assert_eq!(last(Header { durable_before: Lsn(11), sequence: 6, ..later }), 0);
    assert_eq!(last(Header { durable_before: Lsn(11), incarnation: 2, ..later }), 10, "an abandoned history");
    assert_eq!(last(Header { incarnation: 4, ..later }), 0, "the superblock is an old one");
    assert_eq!(last(Header { sequence: 7, ..later }), 0, "astray");
    assert_eq!(last(Header { sequence: 4, durable_before: Lsn(11), ..later }), 10, "before recycling");
}

#[test]
fn what_was_vouched_for_must_be_there() {
    let mut segments = Segments::new();
    segments.put(0, &first());
    assert_eq!(segments.scan(&superblock(), 11).unwrap().start.after, Lsn(11));
    assert!(matches!(segments.scan(&superblock(), 12), Err(LogError::Corrupt(_))), "a base has more");
    let noted = Superblock { durable: Lsn(12), ..superblock() };
    assert!(matches!(segments.scan(&noted, 0), Err(LogError::Corrupt(_))), "the superblock knows of more");
    let recovered = Start { after: Lsn(12), offset: 8192, ..superblock().start };
    let recovered = Superblock { start: recovered, ..superblock() };
    assert!(matches!(segments.scan(&recovered, 0), Err(LogError::Corrupt(_))), "an opening found more");
}

/// An abandoned group between the last one accepted and the start has the next LSN, and a current impostor.
#[test]
fn behind_the_start_the_log_goes_on_only_there() {
    let mut segments = Segments::new();
    let chain = segments.put(0, &Header { incarnation: 2, ..first() });
    let start = Start { after: Lsn(11), sequence: 5, offset: 12_288, chain };
    let superblock = Superblock { start, ..superblock() };
    let next = Header { offset: 8192, first: Lsn(12), durable_before: Lsn(11), chain, ..first() };
    segments.put(0, &next);
    assert_eq!(segments.last(&superblock), 11);
    segments.put(0, &Header { offset: 12_288, ..next });
    assert_eq!(segments.last(&superblock), 12);
    let other = Superblock { start: Start { chain: chain ^ 1, ..start }, ..superblock };
    assert_eq!(segments.last(&other), 0, "another history than the one that was recovered");
}

#[test]
fn groups_that_nothing_proves_durable_are_written_again_by_whole_blocks() {
    let mut segments = Segments::new();
    let one = segments.put(0, &first());
    let two = segments
        .put(0, &Header { offset: 8192, first: Lsn(12), durable_before: Lsn(11), chain: one, ..first() });
    segments.put(
        0,
        &Header { offset: 8192 + 128, first: Lsn(13), durable_before: Lsn(11), chain: two, ..first() },
    );
    let end = segments.scan(&superblock(), 0).unwrap();
    assert_eq!((end.proven, end.cut), (Lsn(11), 0));
    let blocks: Vec<_> = end.marks.iter().map(|mark| mark.unproven(end.proven)).collect();
    assert_eq!(blocks, [Some(8192..12_288), None]);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        groups in prop::collection::vec((0..7_u32, 0..9_u64, any::<u8>(), prop::collection::vec(any::<u8>(), 0..40)), 0..20),
        start in (8..14_u64, 4..8_u64, 0..10_u32),
        head in 8..13_u64,
    ) {
        let mut segments = Segments::new();
        let mut chain = 1;
        for (block, pick, small, records) in groups {
            let header = Header {
                incarnation: 3 + u32::from(small) % 3 - 1,
                sequence: 4 + pick % 3,
                offset: 4096 * (1 + block),
                first: Lsn(9 + pick),
                durable_before: Lsn(u64::from(small) % 14),
                records: u32::from(small) % 4,
                chain,
                ..first()
            };
            chain = segments.put_records(usize::from(small % 2), &header, &records);
        }
        let start = Start { after: Lsn(start.0), sequence: start.1, offset: 4096 * start.2, chain: 1 };
        let superblock = Superblock { start, head: Head { after: Lsn(head), ..superblock().head }, ..superblock() };
        let _ = segments.scan(&superblock, 11);
    }
}
