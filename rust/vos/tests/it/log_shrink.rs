//! What a log gives back at rest, and power cuts and failing devices meanwhile.

use crate::log_workload::{IDENTITY, Promise, Truth, check, open, options};
use daos_types::{Durability, Lsn};
use daos_vos::log::{Log, LogError, LogOptions};
use daos_vos::media::faulty::{Call, Fault, Faulty};
use daos_vos::media::recorded::{Crash, Recorded};
use daos_vos::media::{Media, MemoryMedia};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Bytes and number of the segment files.
fn segments(media: &dyn Media) -> (u64, usize) {
    let names = media.list().unwrap();
    let files: Vec<u64> = names
        .iter()
        .filter(|name| name.starts_with("wal.0"))
        .map(|name| media.open(name).unwrap().size().unwrap())
        .collect();
    (files.iter().sum(), files.len())
}

fn write(log: &Log, truth: &mut Truth, count: u64) {
    for _ in 0..count {
        let record = vec![(log.last().0 % 251) as u8; 3_000];
        let lsn = log.submit(&[&record]).or_else(|_| log.relieve().and_then(|()| log.submit(&[&record])));
        let lsn = lsn.unwrap();
        log.wait(lsn, Durability::Synced, None).unwrap();
        truth.records.insert(lsn.0, record);
    }
}

/// A log of several segments, the last of them large, all synced.
fn grown(media: &Arc<dyn Media>) -> (Log, Truth) {
    let log = Log::create(Arc::clone(media), IDENTITY, &options()).unwrap();
    let mut truth = Truth::default();
    write(&log, &mut truth, 20);
    assert!(log.is_large() && segments(&**media).1 > 3);
    (log, truth)
}

fn promise(position: usize, durable: Lsn, covered: Lsn) -> Promise {
    Promise { position, durable: durable.0, covered: covered.0 }
}

#[test]
fn a_log_at_rest_gives_back_what_it_took_and_grows_again() {
    let media: Arc<dyn Media> = Arc::new(MemoryMedia::new());
    let (log, mut truth) = grown(&media);
    for _ in 0..3 {
        log.shrink(log.last()).unwrap();
        assert!(!log.is_large());
        assert_eq!(segments(&*media), (2 * u64::from(options().segment_bytes_min), 2));
        write(&log, &mut truth, 20);
        assert!(log.is_large());
    }
    let covered = log.last();
    log.shrink(covered).unwrap();
    log.close().unwrap();
    drop(log);
    let (log, recovered, replayed) = open(Arc::clone(&media), covered.0).unwrap();
    assert_eq!((recovered.last, replayed.len()), (covered, 0));
    write(&log, &mut truth, 3);
    drop(log);
    check(media, &truth, promise(0, Lsn(covered.0 + 3), covered)).unwrap();
}

#[test]
fn what_some_base_lacks_stays() {
    let media: Arc<dyn Media> = Arc::new(MemoryMedia::new());
    let (log, truth) = grown(&media);
    let there = segments(&*media);
    for covered in [0, 1, 7, 19] {
        log.shrink(Lsn(covered)).unwrap();
        assert_eq!(segments(&*media), there);
    }
    let (durable, covered) = (log.durable(), Lsn(19));
    drop(log);
    let (log, replayed) = check(media, &truth, promise(0, durable, covered)).unwrap();
    assert_eq!(replayed.len(), 1);
    drop(log);
}

#[test]
fn records_under_way_keep_their_place() {
    let media: Arc<dyn Media> = Arc::new(MemoryMedia::new());
    let (log, mut truth) = grown(&media);
    let covered = log.last();
    log.relieve().unwrap();
    while log.prepare().unwrap() {}
    let lsn = log.submit(&[b"queued"]).unwrap();
    truth.records.insert(lsn.0, b"queued".to_vec());
    log.shrink(covered).unwrap();
    log.wait(lsn, Durability::Buffered, None).unwrap();
    log.shrink(covered).unwrap();
    drop(log);
    check(media, &truth, promise(0, lsn, covered)).unwrap();
}

#[test]
fn a_power_cut_at_any_point_finds_a_whole_log() {
    let recorded = Arc::new(Recorded::new(Arc::new(MemoryMedia::new())).unwrap());
    let media: Arc<dyn Media> = recorded.clone();
    let (log, mut truth) = grown(&media);
    let begun = recorded.position();
    let covered = log.last();
    truth.promises.push(promise(begun, covered, covered));
    log.shrink(covered).unwrap();
    let shrunk = recorded.position();
    // What follows goes over what was given back.
    write(&log, &mut truth, 12);
    truth.promises.push(promise(recorded.position(), log.durable(), covered));
    let mut seen = 0;
    let crash = Crash { seed: 1, states: 600 };
    recorded.history().crashes_from(begun, crash, &|point| truth.stage(point), &mut |point, media| {
        seen += usize::from(point < shrunk);
        let (log, _) = check(Arc::new(media), &truth, truth.at(point))
            .unwrap_or_else(|why| panic!("point {point} of {begun}..{shrunk}: {why}"));
        log.shrink(covered).unwrap();
        write(&log, &mut truth.clone(), 1);
        ControlFlow::Continue(())
    });
    assert!(seen > 30, "only {seen} states while it shrank");
}

#[test]
fn a_device_that_fails_meanwhile_loses_nothing() {
    for call in [Call::Write, Call::Sync, Call::SyncNames, Call::Size, Call::Name] {
        for (full, nth) in [false, true].into_iter().flat_map(|full| (0..40).map(move |nth| (full, nth))) {
            let inner = MemoryMedia::new();
            let faulty = Arc::new(Faulty::new(Arc::new(inner.clone())));
            let media: Arc<dyn Media> = faulty.clone();
            let (log, mut truth) = grown(&media);
            let covered = log.last();
            let always = false;
            let fault =
                if full { Fault::Full { call, nth, always } } else { Fault::Fail { call, nth, always } };
            faulty.set(&[fault]);
            let shrunk = log.shrink(covered);
            faulty.set(&[]);
            // Where the superblock is not in doubt, the log goes on.
            if !matches!(shrunk, Err(LogError::Uncertain(_))) {
                write(&log, &mut truth, 3);
            }
            let durable = log.durable();
            drop(log);
            check(Arc::new(inner), &truth, promise(0, durable, covered))
                .unwrap_or_else(|why| panic!("{call:?} {nth}, full {full}: {why}"));
            if shrunk.is_ok() {
                break;
            }
        }
    }
}

#[test]
fn a_log_without_room_for_more_stays_as_it_is() {
    let small = LogOptions { log_bytes_max: 32 << 10, ..options() };
    let media: Arc<dyn Media> = Arc::new(MemoryMedia::new());
    let log = Log::create(Arc::clone(&media), IDENTITY, &small).unwrap();
    let mut truth = Truth::default();
    write(&log, &mut truth, 4);
    assert!(!log.is_large());
    log.shrink(log.last()).unwrap();
    assert_eq!(segments(&*media), (32 << 10, 2));
}
