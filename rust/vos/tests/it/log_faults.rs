//! A device that fails: every write, sync and size change of a workload in turn.

use crate::log_workload::{IDENTITY, Random, Truth, Workload, check, open, options};
use daos_types::{Durability, Lsn};
use daos_vos::log::{Log, LogError};
use daos_vos::media::faulty::{Call, Fault, Faulty};
use daos_vos::media::{Media, MemoryMedia};
use std::sync::Arc;

struct Outcome {
    error: Option<LogError>,
    truth: Truth,
    inner: MemoryMedia,
    faulty: Arc<Faulty>,
}

/// Runs the same workload under a script that starts behind the log's creation.
fn run(seed: u64, faults: &[Fault]) -> Outcome {
    let inner = MemoryMedia::new();
    let faulty = Arc::new(Faulty::new(Arc::new(inner.clone())));
    let media: Arc<dyn Media> = faulty.clone();
    let log = Log::create(Arc::clone(&media), IDENTITY, &options()).unwrap();
    faulty.set(faults);
    let mut truth = Truth::default();
    let mut workload = Workload { random: Random(seed), position: &|| 0, acknowledge_early: false };
    let error = workload.run(&media, log, &mut truth, 80).err();
    faulty.set(&[]);
    Outcome { error, truth, inner, faulty }
}

#[test]
fn an_error_of_any_call_stops_the_log_and_loses_nothing() {
    for (call, always) in
        [(Call::Write, false), (Call::Write, true), (Call::Sync, false), (Call::SyncNames, false)]
    {
        let mut reached = 0;
        for nth in 0.. {
            let outcome = run(5, &[Fault::Fail { call, nth, always }]);
            let promise = outcome.truth.at(0);
            check(Arc::new(outcome.inner), &outcome.truth, promise)
                .unwrap_or_else(|why| panic!("{call:?} {nth}: {why}"));
            match outcome.error {
                None => break,
                Some(LogError::Uncertain(_) | LogError::Poisoned(_) | LogError::Media(_)) => reached += 1,
                Some(other) => panic!("{call:?} {nth}: {other}"),
            }
        }
        println!("{call:?}: {reached} failing calls");
        assert!(reached > 0, "no {call:?} failed");
    }
}

#[test]
fn a_full_device_at_any_call_is_clean_or_stops_the_log() {
    for (call, clean) in [(Call::Size, true), (Call::Write, false)] {
        let mut full = 0;
        for nth in 0..10_000 {
            let outcome = run(6, &[Fault::Full { call, nth, always: false }]);
            let promise = outcome.truth.at(0);
            check(Arc::new(outcome.inner), &outcome.truth, promise)
                .unwrap_or_else(|why| panic!("{call:?} {nth}: {why}"));
            match outcome.error {
                None => {}
                Some(LogError::NoSpace(_)) => full += 1,
                Some(LogError::Uncertain(_) | LogError::Poisoned(_)) if !clean => full += 1,
                Some(other) => panic!("{call:?} {nth}: {other}"),
            }
            let fewer = Faulty::count(&outcome.faulty, call) == 0 && nth > 400;
            if fewer {
                break;
            }
        }
        assert!(full > 0, "no {call:?} found the device full");
    }
}

#[test]
fn a_log_that_cannot_grow_goes_on_after_recycling() {
    let inner = MemoryMedia::new();
    let faulty = Arc::new(Faulty::new(Arc::new(inner.clone())));
    let log = Log::create(faulty.clone(), IDENTITY, &options()).unwrap();
    faulty.set(&[Fault::FullAfter { bytes: 5000 }]);
    let mut last = Lsn::ZERO;
    let mut refused = 0;
    for round in 0..2000_u32 {
        match log.submit(&[&round.to_le_bytes(), &[7; 200]]) {
            Ok(lsn) => last = lsn,
            Err(LogError::Busy) => match log.relieve() {
                Ok(()) => {}
                Err(LogError::NoSpace(_)) => {
                    refused += 1;
                    log.wait(last, Durability::Synced, None).unwrap();
                    log.recycle(last).unwrap();
                }
                Err(error) => panic!("{error}"),
            },
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused > 3 && log.stats().segments_recycled > 3, "{refused} {:?}", log.stats());
    log.wait(last, Durability::Synced, None).unwrap();
    drop(log);
    assert_eq!(open(Arc::new(inner), last.0).unwrap().1.last, last);
}

#[test]
fn after_a_failed_sync_nothing_is_reported_durable() {
    let faulty = Arc::new(Faulty::new(Arc::new(MemoryMedia::new())));
    let log = Log::create(faulty.clone(), IDENTITY, &options()).unwrap();
    let safe = log.submit(&[b"safe"]).unwrap();
    log.wait(safe, Durability::Synced, None).unwrap();
    let written = log.submit(&[b"written"]).unwrap();
    log.wait(written, Durability::Buffered, None).unwrap();
    let lost = log.submit(&[b"lost"]).unwrap();
    faulty.set(&[Fault::Fail { call: Call::Sync, nth: 0, always: false }]);
    assert!(matches!(log.wait(lost, Durability::Synced, None), Err(LogError::Uncertain(_))));
    // The device works again, which proves nothing.
    assert!(matches!(log.wait(lost, Durability::Synced, None), Err(LogError::Uncertain(_))));
    assert!(matches!(log.wait(written, Durability::Synced, None), Err(LogError::Uncertain(_))));
    assert!(matches!(log.submit(&[b"more"]), Err(LogError::Poisoned(_))));
    assert!(log.recycle(safe).is_err() && log.prepare().is_err() && log.sync_due().is_err());
    log.wait(safe, Durability::Synced, None).unwrap();
    assert_eq!(log.durable(), safe);
}

#[test]
fn bounds_have_names() {
    let log = Log::create(Arc::new(MemoryMedia::new()), IDENTITY, &options()).unwrap();
    assert!(matches!(
        log.submit(&[&[0; 12 << 10], b"x"]),
        Err(LogError::TooLarge { len: 12_289, max: 12_288 })
    ));
    assert!(matches!(log.wait(Lsn(1), Durability::Synced, None), Err(LogError::NotSubmitted(Lsn(1)))));
    log.wait(Lsn::ZERO, Durability::Synced, None).unwrap();
    let count = (0..100).take_while(|_| log.submit(&[b""]).is_ok()).count();
    assert_eq!(count, 50);
    assert!(matches!(log.submit(&[b""]), Err(LogError::Busy)));
    log.relieve().unwrap();
    assert_eq!(log.submit(&[b""]).unwrap(), Lsn(51));
    assert_eq!(log.written(), Lsn(50));
    let media: Arc<dyn Media> = Arc::new(MemoryMedia::new());
    assert!(matches!(open(Arc::clone(&media), 0), Err(LogError::Missing(_))));
    Log::create(Arc::clone(&media), IDENTITY, &options()).unwrap();
    assert!(matches!(Log::create(media, IDENTITY, &options()), Err(LogError::Exists)));
    let wrong = daos_vos::log::LogOptions { record_bytes_max: 1 << 20, ..options() };
    assert!(matches!(Log::create(Arc::new(MemoryMedia::new()), IDENTITY, &wrong), Err(LogError::Options(_))));
}

/// A record larger than every segment so far, in a log whose cap is taken by small segments.
#[test]
fn small_segments_give_way_to_a_large_record() {
    let options = daos_vos::log::LogOptions {
        segment_bytes_min: 8 << 10,
        segment_bytes_max: 64 << 10,
        log_bytes_max: 72 << 10,
        record_bytes_max: 50 << 10,
        ..options()
    };
    let media: Arc<dyn Media> = Arc::new(MemoryMedia::new());
    let log = Log::create(Arc::clone(&media), IDENTITY, &options).unwrap();
    let put = |record: &[u8]| {
        loop {
            match log.submit(&[record]) {
                Ok(lsn) => return log.wait(lsn, Durability::Synced, None).unwrap(),
                Err(LogError::Busy) => match log.relieve() {
                    Err(LogError::NoSpace(_)) => log.recycle(log.durable()).unwrap(),
                    other => other.unwrap(),
                },
                Err(error) => panic!("{error}"),
            }
        }
    };
    for _ in 0..30 {
        put(&[1; 3000]);
    }
    put(&vec![2; 50 << 10]);
    put(&[3; 3000]);
    let covered = log.pressure().records;
    assert!(covered >= 2);
    let last = log.last();
    drop(log);
    let merged = daos_vos::log::Merged::all(Lsn(last.0 - 2));
    let mut lens = Vec::new();
    Log::open(media, IDENTITY, &options, merged, &mut |_, record| {
        lens.push(record.len());
        Ok(())
    })
    .unwrap();
    assert_eq!(lens, [50 << 10, 3000]);
}
