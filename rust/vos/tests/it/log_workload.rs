//! A seeded workload on a log, and the truth about it.

use daos_types::{Durability, Lsn};
use daos_vos::log::{Log, LogError, LogOptions, Merged, Recovered};
use daos_vos::media::Media;
use std::collections::BTreeMap;
use std::sync::Arc;

pub const IDENTITY: [u8; 16] = *b"log test's store";

/// Small segments, so that a short workload sees many.
pub fn options() -> LogOptions {
    LogOptions {
        segment_bytes_min: 16 << 10,
        segment_bytes_max: 32 << 10,
        log_bytes_max: 128 << 10,
        record_bytes_max: 12 << 10,
        group_bytes_max: 8 << 10,
        queue_bytes_max: 24 << 10,
        queue_records_max: 50,
    }
}

pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        ((self.0 >> 33) as usize) % bound.max(1)
    }
}

/// What was promised when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promise {
    /// After so many recorded events ...
    pub position: usize,
    /// ... all up to here was durable in the log,
    pub durable: u64,
    /// and a base covered all up to here.
    pub covered: u64,
}

/// Everything submitted, and what was promised about it.
#[derive(Debug, Clone, Default)]
pub struct Truth {
    pub records: BTreeMap<u64, Vec<u8>>,
    pub promises: Vec<Promise>,
}

impl Truth {
    /// What held when so many events had returned.
    pub fn at(&self, position: usize) -> Promise {
        let held = self.promises.iter().rev().find(|promise| promise.position <= position);
        held.copied().unwrap_or(Promise { position: 0, durable: 0, covered: 0 })
    }

    /// A number that changes with the promise.
    pub fn stage(&self, position: usize) -> u64 {
        let promise = self.at(position);
        promise.durable * 1_000_003 + promise.covered
    }
}

pub type Replayed = BTreeMap<u64, Vec<u8>>;

pub fn open(media: Arc<dyn Media>, covered: u64) -> Result<(Log, Recovered, Replayed), LogError> {
    let mut replayed = BTreeMap::new();
    let merged = Merged::all(Lsn(covered));
    let (log, recovered) = Log::open(media, IDENTITY, &options(), merged, &mut |lsn, record| {
        assert!(replayed.insert(lsn.0, record.to_vec()).is_none(), "LSN {lsn} came twice");
        Ok(())
    })?;
    Ok((log, recovered, replayed))
}

/// Checks what a crash left against what was promised, and opens it for more.
pub fn check(media: Arc<dyn Media>, truth: &Truth, promise: Promise) -> Result<(Log, Replayed), String> {
    let (log, recovered, replayed) = open(media, promise.covered).map_err(|error| error.to_string())?;
    let last = promise.covered + replayed.len() as u64;
    for (lsn, (found, record)) in (promise.covered + 1..).zip(&replayed) {
        if *found != lsn {
            return Err(format!("LSN {found} was replayed where {lsn} was due"));
        }
        if truth.records.get(&lsn) != Some(record) {
            return Err(format!("LSN {lsn} is not what was submitted"));
        }
    }
    if last < promise.durable {
        return Err(format!("LSN {} was durable, {last} is the last one found", promise.durable));
    }
    if recovered.last.0 != last || log.durable() != recovered.last || log.last() != recovered.last {
        return Err(format!("{recovered:?} does not fit the last LSN replayed, {last}"));
    }
    Ok((log, replayed))
}

/// How a workload treats the log.
pub struct Workload<'a> {
    pub random: Random,
    /// How many events the media has seen.
    pub position: &'a dyn Fn() -> usize,
    /// A mistake the crash test must find: `Buffered` is taken for `Synced`.
    pub acknowledge_early: bool,
}

impl Workload<'_> {
    fn record(&mut self, lsn: u64) -> Vec<u8> {
        let len = match self.random.below(20) {
            0 => self.random.below(10_000),
            1..=3 => self.random.below(3_000),
            4 => 0,
            _ => 8 + self.random.below(200),
        };
        let salt = self.random.below(1 << 30) as u64;
        (0..len as u64).map(|i| ((lsn ^ salt).wrapping_mul(i + 7) >> 3) as u8).collect()
    }

    fn promise(&self, truth: &mut Truth, durable: u64, covered: u64) {
        let last = truth.at(usize::MAX);
        let position = (self.position)();
        let (durable, covered) = (durable.max(last.durable), covered.max(last.covered));
        truth.promises.push(Promise { position, durable, covered });
    }

    /// Runs some steps; the log comes back, perhaps opened anew.
    pub fn run(
        &mut self,
        media: &Arc<dyn Media>,
        mut log: Log,
        truth: &mut Truth,
        steps: usize,
    ) -> Result<Log, LogError> {
        for _ in 0..steps {
            match self.random.below(40) {
                0 => {
                    log.wait(log.last(), Durability::Buffered, None)?;
                    let last = log.last();
                    drop(log);
                    let (opened, recovered, _) = open(Arc::clone(media), truth.at(usize::MAX).covered)?;
                    assert_eq!(
                        recovered.last, last,
                        "the death of the process takes nothing that was written"
                    );
                    log = opened;
                    self.promise(truth, log.durable().0, 0);
                }
                1 => log.sync_due()?,
                2 => log.close()?,
                3..=4 => while log.prepare()? {},
                5..=8 => self.recycle(&log, truth)?,
                9 => self.shrink(&log, truth)?,
                _ => self.write(&log, truth)?,
            }
            self.promise(truth, log.durable().0, 0);
        }
        Ok(log)
    }

    fn recycle(&mut self, log: &Log, truth: &mut Truth) -> Result<(), LogError> {
        let before = truth.at(usize::MAX).covered;
        let ahead = log.durable().0.saturating_sub(before);
        let covered = before + self.random.below(ahead as usize + 1) as u64;
        self.promise(truth, 0, covered);
        log.recycle(Lsn(covered))
    }

    /// At rest, with everything in the bases, or in between.
    fn shrink(&mut self, log: &Log, truth: &mut Truth) -> Result<(), LogError> {
        if self.random.below(3) > 0 {
            log.wait(log.last(), Durability::Synced, None)?;
        }
        let covered = log.durable();
        self.promise(truth, covered.0, covered.0);
        match log.shrink(covered) {
            Err(LogError::NoSpace(_)) => Ok(()),
            other => other,
        }
    }

    fn write(&mut self, log: &Log, truth: &mut Truth) -> Result<(), LogError> {
        for _ in 0..=self.random.below(4) {
            let next = log.last().0 + 1;
            let record = self.record(next);
            let (front, back) = record.split_at(record.len() / 3);
            let lsn = loop {
                match log.submit(&[front, back]) {
                    Ok(lsn) => break lsn.0,
                    Err(LogError::Busy) => match log.relieve() {
                        Err(LogError::NoSpace(_)) => {
                            log.sync_due()?;
                            self.promise(truth, log.durable().0, log.durable().0);
                            log.recycle(log.durable())?;
                            log.relieve()?;
                        }
                        other => other?,
                    },
                    Err(error) => return Err(error),
                }
            };
            assert_eq!(lsn, next);
            truth.records.insert(lsn, record);
        }
        let last = log.last().0;
        let (lsn, durability) = match self.random.below(6) {
            0 => return Ok(()),
            1 => (last, Durability::Interval),
            2 => (last, Durability::Buffered),
            3 => (last.saturating_sub(2), Durability::Synced),
            _ => (last, Durability::Synced),
        };
        log.wait(Lsn(lsn), durability, None)?;
        if self.acknowledge_early {
            self.promise(truth, lsn, 0);
        }
        Ok(())
    }
}
