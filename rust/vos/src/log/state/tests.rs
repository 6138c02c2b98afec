//! The state machine alone, under seeded orders of events.

use super::*;
use std::collections::HashMap;

const SEGMENT_BLOCKS: u32 = 8;

fn state(options: LogOptions) -> State<u32> {
    let segments =
        (0..2).map(|number| Segment::ready(number, Entry { number, blocks: SEGMENT_BLOCKS })).collect();
    let cursor = Place { sequence: 1, offset: BLOCK };
    let begin = Begin { identity: 7, incarnation: 1, segments, head: 1, cursor, chain: 0, after: Lsn::ZERO };
    State::new(options, begin)
}

fn small() -> LogOptions {
    LogOptions {
        group_bytes_max: 4000,
        queue_records_max: 40,
        record_bytes_max: 9000,
        ..LogOptions::default()
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        ((self.0 >> 33) as usize) % bound
    }
}

/// What a device would hold, by what the jobs did to it.
#[derive(Default)]
struct Device {
    /// By sequence number and block: the last record in it, and whether that is durable.
    blocks: HashMap<(u64, u64), (Lsn, bool)>,
    files: HashMap<u64, u32>,
    next: u64,
    last: u64,
}

impl Device {
    fn apply(&mut self, job: &Job<u32>) {
        if let Some(write) = &job.write {
            let header = &write.header;
            assert_eq!(header.first.0, self.last + 1, "groups follow each other");
            assert!(u64::from(header.offset) % ALIGN == 0 && u64::from(header.offset) >= BLOCK);
            let place = (header.sequence, u64::from(header.offset));
            assert!(
                place.0 > self.next >> 32 || place.0 == self.next >> 32 && place.1 >= self.next & 0xFFFF_FFFF
            );
            let end = place.1 + write.padded as u64;
            assert!(end <= u64::from(SEGMENT_BLOCKS) * BLOCK, "an admitted record finds its room");
            assert!(write.padded >= write.buffer.len());
            self.next = place.0 << 32 | (place.1 + u64::from(header.bytes));
            self.last = header.first.0 + u64::from(header.records) - 1;
            self.files.insert(header.sequence, write.file);
            for block in place.1 / BLOCK..end.div_ceil(BLOCK) {
                let before = self.blocks.insert((header.sequence, block), (Lsn(self.last), write.durable));
                assert!(before.is_none_or(|(_, durable)| !durable), "a durable block is written again");
            }
        }
        for file in &job.sync {
            for ((sequence, _), state) in &mut self.blocks {
                state.1 |= self.files.get(sequence) == Some(file);
            }
        }
    }

    /// The first record that a power cut could take.
    fn first_at_risk(&self) -> Option<Lsn> {
        self.blocks.values().filter(|(_, durable)| !durable).map(|(lsn, _)| *lsn).min()
    }
}

#[test]
fn any_order_of_events_keeps_the_promises() {
    for seed in 0..300 {
        let mut random = Random(seed);
        let mut state = state(small());
        let mut device = Device::default();
        let mut in_flight: Option<Job<u32>> = None;
        let mut numbers = 2;
        for _ in 0..400 {
            match random.below(10) {
                0..=4 => {
                    let len = if random.below(9) == 0 { random.below(9000) } else { random.below(300) };
                    let expected = state.last().next();
                    match state.submit(&[&vec![0; len]]) {
                        Ok(lsn) => assert_eq!(lsn, expected),
                        Err(LogError::Busy) => assert_eq!(state.last().next(), expected),
                        Err(error) => panic!("{error}"),
                    }
                }
                5 => {
                    let lsn = Lsn(random.below(state.last().0 as usize + 1) as u64);
                    state.want(lsn, Durability::Synced);
                }
                6 if state.segment_needed() > 0 => {
                    let entry = Entry { number: numbers, blocks: SEGMENT_BLOCKS };
                    state.add_segment(Segment::ready(numbers, entry));
                    numbers += 1;
                }
                7 => {
                    let covered = Lsn(random.below(state.durable().0 as usize + 1) as u64);
                    if let Some(rotation) = state.rotation(covered).unwrap() {
                        device.blocks.retain(|(sequence, _), _| *sequence >= rotation.head.sequence);
                        state.recycled(&rotation);
                        assert_eq!(state.table(), rotation.table);
                    }
                }
                _ => match in_flight.take() {
                    Some(job) => {
                        device.apply(&job);
                        let covers = job.covers;
                        state.complete(job, Ok(random.below(1 << 30) as u32));
                        assert!(covers.is_none_or(|lsn| state.durable() == lsn));
                    }
                    None => in_flight = state.take(),
                },
            }
            assert!(state.durable() <= state.written() && state.written() <= state.last());
            assert!(device.first_at_risk().is_none_or(|lsn| lsn > state.durable()), "seed {seed}");
            assert!(in_flight.is_none() || state.take().is_none(), "one job at a time");
        }
    }
}

#[test]
fn later_waiters_do_not_put_a_sync_off() {
    let mut state = state(LogOptions { group_bytes_max: 200, ..small() });
    let first = state.submit(&[&[0; 100]]).unwrap();
    state.want(first, Durability::Synced);
    for round in 0.. {
        let lsn = state.submit(&[&[0; 100]]).unwrap();
        state.want(lsn, Durability::Synced);
        let job = state.take().unwrap();
        state.complete(job, Ok(1));
        if state.durable() >= first {
            break;
        }
        assert!(round < 2, "two groups are there, and no sync");
    }
}

#[test]
fn unsynced_groups_share_a_block_and_synced_ones_do_not() {
    let mut state = state(small());
    let mut offset = |durability| {
        let lsn = state.submit(&[&[0; 10]]).unwrap();
        state.want(lsn, durability);
        let job = state.take().unwrap();
        let write = job.write.as_ref().unwrap();
        let place = (write.header.offset, write.padded, write.durable, job.sync.len());
        state.complete(job, Ok(1));
        place
    };
    assert_eq!(offset(Durability::Buffered), (4096, 4096, false, 0));
    assert_eq!(offset(Durability::Buffered), (4096 + 128, 78, false, 0));
    // The earlier ones need a sync of the file, which a durable write is not.
    assert_eq!(offset(Durability::Synced), (4096 + 256, 78, false, 1));
    assert_eq!(offset(Durability::Synced), (8192, 4096, true, 0));
    assert_eq!(offset(Durability::Buffered), (12_288, 4096, false, 0));
}

#[test]
fn failure_tells_what_is_uncertain_and_what_never_happened() {
    let mut state = state(LogOptions { group_bytes_max: 200, ..small() });
    let [one, two] = [0, 0].map(|_| state.submit(&[&[0; 100]]).unwrap());
    let job = state.take().unwrap();
    state.complete(job, Err("EIO".to_owned()));
    assert!(matches!(state.status(one, Durability::Buffered), Status::Failed(LogError::Uncertain(_))));
    assert!(matches!(state.status(two, Durability::Buffered), Status::Failed(LogError::Poisoned(_))));
    assert!(state.take().is_none() && state.submit(&[]).is_err());
}

#[test]
fn a_base_may_not_be_ahead_of_the_log() {
    let mut state = state(small());
    state.submit(&[b"x"]).unwrap();
    assert!(matches!(state.rotation(Lsn(1)), Err(LogError::NotDurable(Lsn(1)))));
}

#[test]
fn company_is_expected_until_two_groups_had_none() {
    let mut state = state(small());
    assert_eq!(state.others(), 0);
    state.note_others(3);
    assert_eq!(state.others(), 3);
    // One that came too late for the last group leads one alone.
    state.note_others(0);
    assert_eq!(state.others(), 3);
    state.note_others(1);
    state.note_others(0);
    assert_eq!(state.others(), 1);
    state.note_others(0);
    assert_eq!(state.others(), 0);
    state.note_others(0);
    assert_eq!(state.others(), 0);
}
