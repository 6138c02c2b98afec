//! The log against the bare system calls, in the same run: medians of five, and their ratio.
//!
//! With `--test` (as `cargo test --benches` runs it) each body runs a few times only.
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_precision_loss)]

use daos_types::{Durability, Lsn};
use daos_vos::log::{Log, LogError, LogOptions, Merged};
use daos_vos::media::{FileMedia, Media, MediaFile};
use std::io::IoSlice;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

const RUNS: usize = 5;

fn main() {
    let quick = std::env::args().any(|arg| arg == "--test");
    let scale = if quick { 100 } else { 1 };
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("log-bench-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let mut bench = Bench { dir: dir.clone(), count: 0 };
    println!("64 B records, medians of {RUNS}, microseconds");
    let synced = 1000 / scale;
    let bare = bench.median(synced, &mut |file, n| bare(file, n, 4096, 4096, true));
    bench.log("synced", synced, bare, "pwritev2(RWF_DSYNC) of 4 KiB", &mut |log, n| {
        for _ in 0..n {
            log.wait(put(log), Durability::Synced, None).unwrap();
        }
    });
    let buffered = 100_000 / scale;
    let bare_buffered = bench.median(buffered, &mut |file, n| crate::bare(file, n, 132, 192, false));
    bench.log("buffered", buffered, bare_buffered, "pwrite of 132 B", &mut |log, n| {
        for _ in 0..n {
            log.wait(put(log), Durability::Buffered, None).unwrap();
        }
    });
    bench.log("submit only, 256 a write", buffered, bare_buffered, "pwrite of 132 B", &mut |log, n| {
        for i in 0..n {
            let lsn = put(log);
            if i % 256 == 255 {
                log.wait(lsn, Durability::Buffered, None).unwrap();
            }
        }
    });
    bench.log("synced, 64 a sync", synced * 8, bare, "pwritev2(RWF_DSYNC) of 4 KiB", &mut |log, n| {
        for i in 0..n {
            let lsn = put(log);
            if i % 64 == 63 {
                log.wait(lsn, Durability::Synced, None).unwrap();
            }
        }
    });
    bench.log("synced, 4 threads", synced * 2, bare, "pwritev2(RWF_DSYNC) of 4 KiB", &mut |log, n| {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..n / 4 {
                        log.wait(put(log), Durability::Synced, None).unwrap();
                    }
                });
            }
        });
    });
    bench.replay(1_000_000 / scale);
    std::fs::remove_dir_all(&dir).unwrap();
}

fn put(log: &Log) -> Lsn {
    loop {
        match log.submit(&[&[7; 64]]) {
            Ok(lsn) => return lsn,
            Err(LogError::Busy) => log.relieve().unwrap(),
            Err(error) => panic!("{error}"),
        }
    }
}

fn bare(file: &dyn MediaFile, n: usize, len: usize, step: u64, durable: bool) {
    let data = vec![7; len];
    for i in 0..n as u64 {
        let parts = [IoSlice::new(&data)];
        let offset = i * step;
        if durable { file.write_at_durable(offset, &parts) } else { file.write_at(offset, &parts) }.unwrap();
    }
}

struct Bench {
    dir: PathBuf,
    count: usize,
}

impl Bench {
    fn media(&mut self) -> Arc<FileMedia> {
        self.count += 1;
        Arc::new(FileMedia::create(&self.dir.join(self.count.to_string())).unwrap())
    }

    fn options() -> LogOptions {
        LogOptions { segment_bytes_min: 32 << 20, ..LogOptions::default() }
    }

    /// Microseconds an operation of a bare loop takes on a zero-filled, synced file.
    fn median(&mut self, n: usize, body: &mut dyn FnMut(&dyn MediaFile, usize)) -> f64 {
        let file = self.media().create("bare").unwrap();
        let zeros = vec![0; 1 << 20];
        for i in 0..32 {
            file.write_at(i << 20, &[IoSlice::new(&zeros)]).unwrap();
        }
        file.sync().unwrap();
        middle(n, &mut |n| body(&*file, n))
    }

    fn log(&mut self, name: &str, n: usize, bare: f64, peer: &str, body: &mut dyn FnMut(&Log, usize)) {
        let log = Log::create(self.media(), [1; 16], &Self::options()).unwrap();
        let took = middle(n, &mut |n| {
            while log.prepare().unwrap() {}
            body(&log, n);
            // What the run left to the kernel must not burden the next one.
            log.close().unwrap();
            log.recycle(log.durable()).unwrap();
        });
        let ratio = took / bare;
        println!("{name:28} {took:9.3}   {peer:30} {bare:9.3}   ratio {ratio:.3}   {:?}", log.stats());
    }

    fn replay(&mut self, n: usize) {
        let media = self.media();
        let log = Log::create(media.clone(), [1; 16], &Self::options()).unwrap();
        for _ in 0..n {
            put(&log);
        }
        log.close().unwrap();
        drop(log);
        let took = middle(n, &mut |n| {
            let mut found = 0;
            Log::open(media.clone(), [1; 16], &Self::options(), Merged::default(), &mut |_, _| {
                found += 1;
                Ok(())
            })
            .unwrap();
            assert_eq!(found, n);
        });
        println!("replay: {:.2} million records/s", 1.0 / took);
    }
}

fn middle(n: usize, body: &mut dyn FnMut(usize)) -> f64 {
    let mut times: Vec<f64> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            body(n);
            start.elapsed().as_secs_f64() * 1e6 / n as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[RUNS / 2]
}
