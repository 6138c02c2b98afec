//! Several threads on files: group commit, back-pressure, a background thread, and everything acknowledged is there.

use crate::log_workload::{IDENTITY, Random};
use daos_types::{Durability, Lsn};
use daos_vos::log::{Log, LogError, LogOptions, Merged};
use daos_vos::media::FileMedia;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const THREADS: u64 = 6;
const RECORDS: u64 = 250;

#[test]
fn threads_of_all_durabilities_share_syncs() {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("log-threads-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    let options = LogOptions {
        segment_bytes_min: 64 << 10,
        record_bytes_max: 32 << 10,
        queue_records_max: 64,
        ..LogOptions::default()
    };
    let media = Arc::new(FileMedia::create(&dir).unwrap());
    let log = Log::create(media.clone(), IDENTITY, &options).unwrap();
    let done = AtomicBool::new(false);
    let mut acknowledged: Vec<(u64, Vec<u8>)> = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                while log.prepare().unwrap() {}
                log.sync_due().unwrap();
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        let workers: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn({
                    let log = &log;
                    move || work(log, thread)
                })
            })
            .collect();
        let all = workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect();
        done.store(true, Ordering::Relaxed);
        all
    });
    let stats = log.stats();
    println!("{stats:?}");
    assert_eq!(stats.records, THREADS * RECORDS);
    let syncs = stats.syncs + stats.durable_writes;
    assert!(syncs < THREADS * RECORDS / 2, "{syncs} syncs for {} records", THREADS * RECORDS);
    drop(log);
    let mut found = Vec::new();
    Log::open(media, IDENTITY, &options, Merged::default(), &mut |lsn, record| {
        found.push((lsn.0, record.to_vec()));
        Ok(())
    })
    .unwrap();
    acknowledged.sort();
    assert!(found == acknowledged, "{} found, {} acknowledged", found.len(), acknowledged.len());
    let _ = std::fs::remove_dir_all(&dir);
}

fn work(log: &Log, thread: u64) -> Vec<(u64, Vec<u8>)> {
    let mut random = Random(thread);
    let mut acknowledged = Vec::new();
    for record in 0..RECORDS {
        let mut content = format!("{thread}/{record}").into_bytes();
        content.resize(content.len() + random.below(600), thread as u8);
        let lsn = loop {
            match log.submit(&[&content]) {
                Ok(lsn) => break lsn,
                Err(LogError::Busy) => log.relieve().unwrap(),
                Err(error) => panic!("{error}"),
            }
        };
        let durability = match thread % 3 {
            0 => Durability::Buffered,
            1 => Durability::Interval,
            _ => Durability::Synced,
        };
        log.wait(lsn, durability, None).unwrap();
        assert!(log.written() >= lsn);
        if durability == Durability::Synced {
            assert!(log.durable() >= lsn);
        }
        acknowledged.push((lsn.0, content));
    }
    acknowledged
}

#[test]
fn waiting_ends_in_time() {
    let media = Arc::new(daos_vos::media::MemoryMedia::new());
    let log = Log::create(media, IDENTITY, &LogOptions::default()).unwrap();
    let lsn = log.submit(&[b"x"]).unwrap();
    log.wait(lsn, Durability::Synced, Some(Duration::from_secs(5))).unwrap();
    log.wait(lsn, Durability::Synced, Some(Duration::ZERO)).unwrap();
    assert_eq!(log.durable(), Lsn(1));
}
