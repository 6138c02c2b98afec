//! Damage that no power cut explains: found, or at worst the log ends earlier; never wrong records, never a panic.

use crate::log_workload::{IDENTITY, Random, Truth, Workload, open, options};
use daos_types::{Durability, Lsn};
use daos_vos::log::{Log, LogError, LogOptions, Merged};
use daos_vos::media::{Media, MemoryMedia};
use std::io::IoSlice;
use std::sync::Arc;

/// A log with several segments and several incarnations, all of it durable.
fn sample(seed: u64) -> (MemoryMedia, Truth) {
    let memory = MemoryMedia::new();
    let media: Arc<dyn Media> = Arc::new(memory.clone());
    let log = Log::create(Arc::clone(&media), IDENTITY, &options()).unwrap();
    let mut truth = Truth::default();
    let mut workload = Workload { random: Random(seed), position: &|| 0, acknowledge_early: false };
    let log = workload.run(&media, log, &mut truth, 60).unwrap();
    log.wait(log.last(), Durability::Synced, None).unwrap();
    (memory, truth)
}

fn change(media: &MemoryMedia, name: &str, offset: u64, change: impl Fn(&mut u8), len: usize) {
    let file = media.open(name).unwrap();
    let mut bytes = vec![0; len];
    file.read_at(offset, &mut bytes).unwrap();
    bytes.iter_mut().for_each(change);
    file.write_at(offset, &[IoSlice::new(&bytes)]).unwrap();
}

/// What a damaged log answers: an error, or a prefix of the truth. Tells whether it is shorter.
fn examine(media: MemoryMedia, truth: &Truth) -> Result<bool, LogError> {
    let covered = truth.at(0).covered;
    let (_, _, replayed) = open(Arc::new(media), covered)?;
    for (lsn, (found, record)) in (covered + 1..).zip(&replayed) {
        assert_eq!(*found, lsn);
        assert_eq!(truth.records.get(&lsn), Some(record));
    }
    Ok(covered + (replayed.len() as u64) < truth.records.len() as u64)
}

#[test]
fn flipped_bits_and_overwritten_ranges() {
    let (mut corrupt, mut shorter, mut same) = (0, 0, 0);
    for seed in 0..4 {
        let (media, truth) = sample(seed);
        let names = media.list().unwrap();
        let mut random = Random(seed);
        for round in 0..700 {
            let damaged = media.snapshot();
            let name = &names[random.below(names.len())];
            let size = damaged.open(name).unwrap().size().unwrap() as usize;
            if round % 3 == 0 {
                let len = 1 + random.below(6000.min(size));
                change(&damaged, name, random.below(size - len + 1) as u64, |byte| *byte ^= 0x5A, len);
            } else {
                let bit = random.below(8);
                change(&damaged, name, random.below(size) as u64, |byte| *byte ^= 1 << bit, 1);
            }
            match examine(damaged, &truth) {
                Ok(true) => shorter += 1,
                Ok(false) => same += 1,
                Err(LogError::Corrupt(_) | LogError::Format(_)) => corrupt += 1,
                Err(error) => panic!("{error}"),
            }
        }
    }
    println!("damaged: {corrupt} refused, {shorter} shorter, {same} whole");
    assert!(corrupt > 10 && same > 10);
}

/// A group that a later one, or a later opening, knows to be durable is missed.
#[test]
fn damage_below_what_is_known_durable_is_never_truncated() {
    let media = MemoryMedia::new();
    let log = Log::create(Arc::new(media.clone()), IDENTITY, &LogOptions::default()).unwrap();
    for record in 0..6_u8 {
        let lsn = log.submit(&[&[record; 4000]]).unwrap();
        log.wait(lsn, Durability::Synced, None).unwrap();
    }
    drop(log);
    let damage = |block: u64, at: u64| {
        let damaged = media.snapshot();
        change(&damaged, "wal.00000000", block * 4096 + at, |byte| *byte ^= 1, 1);
        open(Arc::new(damaged), 0).map(|(_, _, replayed)| replayed.len())
    };
    for at in [0, 30, 63, 64, 100] {
        for block in 1..6 {
            assert!(matches!(damage(block, at), Err(LogError::Corrupt(_))), "block {block}, byte {at}");
        }
        assert_eq!(damage(6, at).unwrap(), 5, "the last group cannot be told from one torn by a power cut");
    }
    drop(open(Arc::new(media.clone()), 0).unwrap());
    let damaged = media.snapshot();
    change(&damaged, "wal.00000000", 6 * 4096, |byte| *byte ^= 1, 1);
    assert!(matches!(open(Arc::new(damaged), 0), Err(LogError::Corrupt(_))), "an opening vouches for it");
}

#[test]
fn files_that_are_missing_short_swapped_or_foreign() {
    let (media, truth) = sample(3);
    let covered = truth.at(0).covered;
    let refused = |media: MemoryMedia| matches!(open(Arc::new(media), covered), Err(LogError::Corrupt(_)));
    let names: Vec<String> =
        media.list().unwrap().into_iter().filter(|name| name.starts_with("wal.0")).collect();
    assert!(names.len() > 2);
    for name in &names {
        let missing = media.snapshot();
        missing.remove(name).unwrap();
        assert!(refused(missing), "{name} missing");
        let short = media.snapshot();
        short.open(name).unwrap().set_size(10_000).unwrap();
        assert!(refused(short), "{name} short");
    }
    let swapped = media.snapshot();
    swapped.rename(&names[0], "x").unwrap();
    swapped.rename(&names[1], &names[0]).unwrap();
    swapped.rename("x", &names[1]).unwrap();
    assert!(refused(swapped), "swapped");
    let nameless = media.snapshot();
    nameless.remove("wal.super").unwrap();
    assert!(matches!(open(Arc::new(nameless), covered), Err(LogError::Missing(_))));
    let merged = Merged::all(Lsn(covered));
    let other = Log::open(Arc::new(media.snapshot()), [9; 16], &options(), merged, &mut |_, _| Ok(()));
    assert!(matches!(other, Err(LogError::Corrupt(_))));
    assert!(examine(media, &truth).is_ok());
}

#[test]
fn records_that_no_base_has_are_missed() {
    let (media, truth) = sample(12);
    assert!(truth.at(0).covered > 0);
    assert!(matches!(open(Arc::new(media), 0), Err(LogError::Corrupt(_))));
}

/// The last group of a log that is at rest, or was closed, is known to be durable; so is one that a base covers.
#[test]
fn rest_closing_and_bases_vouch_for_the_last_group() {
    let lost = |settle: &dyn Fn(&Log), merged: Merged| {
        let media = MemoryMedia::new();
        let log = Log::create(Arc::new(media.clone()), IDENTITY, &LogOptions::default()).unwrap();
        let lsn = log.submit(&[b"last"]).unwrap();
        log.wait(lsn, Durability::Synced, None).unwrap();
        settle(&log);
        drop(log);
        change(&media, "wal.00000000", 4096 + 70, |byte| *byte ^= 1, 1);
        let options = LogOptions::default();
        Log::open(Arc::new(media), IDENTITY, &options, merged, &mut |_, _| Ok(()))
            .map(|(_, found)| found.last.0)
    };
    assert_eq!(lost(&|_| (), Merged::default()).unwrap(), 0);
    assert_eq!(lost(&|log| log.sync_due().unwrap(), Merged::default()).unwrap(), 0);
    let rest = |log: &Log| (0..2).for_each(|_| log.sync_due().unwrap());
    assert!(matches!(lost(&rest, Merged::default()), Err(LogError::Corrupt(_))));
    assert!(matches!(lost(&|log| log.close().unwrap(), Merged::default()), Err(LogError::Corrupt(_))));
    let merged = Merged { by_all: Lsn::ZERO, by_any: Lsn(1) };
    assert!(matches!(lost(&|_| (), merged), Err(LogError::Corrupt(_))));
}

#[test]
fn a_log_without_its_superblock_is_not_made_anew() {
    let (media, _) = sample(13);
    media.remove("wal.super").unwrap();
    assert!(matches!(Log::create(Arc::new(media), IDENTITY, &options()), Err(LogError::Corrupt(_))));
}
