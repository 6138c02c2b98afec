//! Power cuts at every point of a workload: what was promised is there, and nothing else.

use crate::common::crash_states;
use crate::log_workload::{IDENTITY, Random, Truth, Workload, check, options};
use daos_vos::log::Log;
use daos_vos::media::faulty::{Call, Fault, Faulty};
use daos_vos::media::recorded::{Crash, History, Recorded};
use daos_vos::media::{Media, MemoryMedia};
use std::ops::ControlFlow;
use std::sync::Arc;

/// States of the ordinary run; `DAOS_CRASH_STATES` sets another number.
const STATES: usize = 2_500;

/// A workload on a fresh log.
fn record(seed: u64, steps: usize, acknowledge_early: bool) -> (History, Truth) {
    let recorded = Arc::new(Recorded::new(Arc::new(MemoryMedia::new())).unwrap());
    let media: Arc<dyn Media> = recorded.clone();
    let log = Log::create(Arc::clone(&media), IDENTITY, &options()).unwrap();
    let mut truth = Truth::default();
    let position = || recorded.position();
    let mut workload = Workload { random: Random(seed), position: &position, acknowledge_early };
    workload.promise_created(&mut truth);
    workload.run(&media, log, &mut truth, steps).unwrap();
    (recorded.history(), truth)
}

impl Workload<'_> {
    /// Before this point there was no log, and nothing to check.
    fn promise_created(&self, truth: &mut Truth) {
        let position = (self.position)();
        truth.promises.push(crate::log_workload::Promise { position, durable: 0, covered: 0 });
    }
}

/// Opens a crash state under a recorder, goes on working, and cuts the power again: in the recovery or behind it.
fn crash_again(
    media: MemoryMedia,
    truth: &Truth,
    point: usize,
    seed: u64,
    states: usize,
) -> Result<usize, String> {
    let promise = truth.at(point);
    let recorded = Arc::new(Recorded::new(Arc::new(media)).unwrap());
    let media: Arc<dyn Media> = recorded.clone();
    let (log, replayed) = check(Arc::clone(&media), truth, promise)?;
    // From here on, what was found is the truth. While the recovery has not returned, the old promise holds.
    let mut later = Truth { records: replayed, promises: vec![] };
    later.promises.push(crate::log_workload::Promise { position: 0, ..promise });
    let durable = log.durable().0;
    later.promises.push(crate::log_workload::Promise { position: recorded.position(), durable, ..promise });
    let position = || recorded.position();
    let mut workload = Workload { random: Random(seed), position: &position, acknowledge_early: false };
    // "Write less": a short history over a long one that was cut off.
    let steps = 1 + workload.random.below(6);
    workload.run(&media, log, &mut later, steps).map_err(|error| error.to_string())?;
    let mut failure = Ok(());
    let explored = recorded.history().crashes(
        Crash { seed, states },
        &|point| later.stage(point),
        &mut |point, media| {
            failure = check(Arc::new(media), &later, later.at(point))
                .map(drop)
                .map_err(|why| format!("{point}: {why}"));
            if failure.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        },
    );
    failure.map(|()| explored.distinct)
}

#[test]
fn nothing_promised_is_lost_and_nothing_comes_back() {
    // Many histories with few states each differ more than few with many.
    let rounds = crash_states(STATES) / 250 + 1;
    let (mut distinct, mut again, mut visited) = (0, 0, 0);
    for seed in 0..rounds as u64 {
        let (history, truth) = record(seed, 120, false);
        let created = truth.promises[0].position;
        let explored = history.crashes(
            Crash { seed, states: crash_states(STATES) / rounds },
            &|point| truth.stage(point),
            &mut |point, media| {
                if point < created {
                    // A log that is half made is no log, or an empty one.
                    if media.open("wal.super").is_ok() {
                        let (_, replayed) = check(Arc::new(media), &truth, truth.at(point))
                            .unwrap_or_else(|why| panic!("seed {seed}, point {point}: {why}"));
                        assert!(replayed.is_empty());
                    } else {
                        Log::create(Arc::new(media), IDENTITY, &options()).unwrap();
                    }
                    return ControlFlow::Continue(());
                }
                visited += 1;
                if visited % 7 == 0 {
                    again += crash_again(media, &truth, point, visited, 24)
                        .unwrap_or_else(|why| panic!("seed {seed}, point {point}, second crash: {why}"));
                } else {
                    check(Arc::new(media), &truth, truth.at(point))
                        .unwrap_or_else(|why| panic!("seed {seed}, point {point}: {why}"));
                }
                ControlFlow::Continue(())
            },
        );
        distinct += explored.distinct;
    }
    println!("{distinct} distinct states after one power cut, {again} after a second one");
    assert!(distinct > crash_states(STATES) / 3, "only {distinct} distinct states");
}

/// How many states contradict the promises.
fn losses(history: &History, truth: &Truth) -> usize {
    let created = truth.promises[0].position;
    let mut lost = 0;
    history.crashes(Crash { seed: 1, states: 1_000 }, &|point| truth.stage(point), &mut |point, media| {
        if point >= created && check(Arc::new(media), truth, truth.at(point)).is_err() {
            lost += 1;
        }
        ControlFlow::Continue(())
    });
    lost
}

/// The checks above can fail: each of these mistakes is found.
#[test]
fn planted_mistakes_are_found() {
    let (history, truth) = record(9, 60, false);
    assert_eq!(losses(&history, &truth), 0);
    let without = losses(&history.without_syncs(), &truth);
    let narrow = losses(&history.with_narrow_syncs(), &truth);
    let (history, truth) = record(9, 60, true);
    let early = losses(&history, &truth);
    println!("losses found: no sync {without}, narrow sync {narrow}, early acknowledgement {early}");
    assert!(without > 0 && narrow > 0 && early > 0);
}

/// After a sync that failed, the page cache shows what the device may not have and calls it clean. The process goes
/// on with a new opening, later syncs work, and then the power goes.
#[test]
fn an_opening_after_a_failed_sync_relies_on_nothing() {
    let mut failures = 0;
    for nth in 0..14 {
        let faulty = Arc::new(Faulty::new(Arc::new(MemoryMedia::new())));
        let recorded = Arc::new(Recorded::new(faulty.clone()).unwrap());
        let media: Arc<dyn Media> = recorded.clone();
        let log = Log::create(Arc::clone(&media), IDENTITY, &options()).unwrap();
        faulty.set(&[Fault::Fail { call: Call::Sync, nth, always: false }]);
        let mut truth = Truth::default();
        let position = || recorded.position();
        let mut workload = Workload { random: Random(nth), position: &position, acknowledge_early: false };
        if workload.run(&media, log, &mut truth, 80).is_ok() {
            continue;
        }
        failures += 1;
        faulty.set(&[]);
        let (log, replayed) = check(Arc::clone(&media), &truth, truth.at(usize::MAX)).unwrap();
        let covered = truth.at(usize::MAX).covered;
        let opened = recorded.position();
        truth.records.retain(|lsn, _| *lsn <= covered || replayed.contains_key(lsn));
        let durable = log.durable().0;
        truth.promises.push(crate::log_workload::Promise { position: opened, durable, covered });
        workload.run(&media, log, &mut truth, 10).unwrap();
        let crash = Crash { seed: nth, states: 40 * recorded.position() };
        recorded.history().crashes_from(opened, crash, &|point| truth.stage(point), &mut |point, media| {
            check(Arc::new(media), &truth, truth.at(point))
                .unwrap_or_else(|why| panic!("sync {nth} failed, point {point} of {opened}..: {why}"));
            ControlFlow::Continue(())
        });
    }
    assert!(failures > 5, "only {failures} failed syncs stopped the log");
}
