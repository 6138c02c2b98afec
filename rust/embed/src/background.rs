//! The one background thread of an open system: merges, readies the log, syncs what may wait a second.

use crate::aggregation::{Aggregator, Step};
use crate::scrub::Scrubber;
use daos_locks::{Condvar, Mutex};
use daos_vos::Store;
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long it sleeps when nobody wakes it.
const NAP: Duration = Duration::from_millis(100);
/// How long changes acknowledged with `interval` may wait for a sync; half of what is promised.
const SYNC_EVERY: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
struct Shared {
    stop: Mutex<bool>,
    wake: Condvar,
    /// Versions went out of sight by other means than changes.
    sweep: AtomicBool,
}

/// The running thread.
#[derive(Debug)]
pub(crate) struct Background {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Starts it.
    pub(crate) fn start(
        store: Arc<Store>,
        aggregator: Aggregator,
        scrubber: Scrubber,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("daos-background".to_owned())
            .spawn(move || run(&store, aggregator, scrubber, &seen))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Has it look for work now.
    pub(crate) fn wake(&self) {
        self.shared.wake.notify_one();
    }

    /// Has it look through everything for versions that nobody can see any more.
    pub(crate) fn sweep(&self) {
        self.shared.sweep.store(true, Ordering::Release);
        self.wake();
    }

    /// Stops it and waits for it to end.
    pub(crate) fn stop(&mut self) {
        *self.shared.stop.lock() = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic in it was printed; whoever uses the store next meets its poison.
            let _ = thread.join();
        }
    }

    /// In a forked child there is no such thread.
    pub(crate) fn forget(self) {
        std::mem::forget(self);
    }
}

fn run(store: &Store, mut aggregator: Aggregator, mut scrubber: Scrubber, shared: &Shared) {
    let synced = Cell::new(Instant::now());
    loop {
        {
            let mut stop = shared.stop.lock();
            if !*stop {
                (stop, _) = shared.wake.wait_for(stop, NAP);
            }
            if *stop {
                return;
            }
        }
        // A failure stops the store by itself: the next caller is told.
        let sync_due = || {
            if synced.get().elapsed() >= SYNC_EVERY {
                let _ = store.sync_due();
                synced.set(Instant::now());
            }
        };
        // Syncs go first and in between: what waits for them was promised within a second, merges were not.
        sync_due();
        let _ = store.lengthen();
        while store.merge_wanted() && !*shared.stop.lock() {
            let more = store.merge_step().unwrap_or(false);
            sync_due();
            if !more {
                break;
            }
        }
        let _ = store.collect_step(COLLECT_BUDGET);
        // Before somebody has to wait for it. A damaged shard says so to whoever changes it.
        while !*shared.stop.lock() && store.census_step().unwrap_or(false) {}
        let refused = store.take_refused();
        if shared.sweep.swap(false, Ordering::AcqRel) || refused {
            aggregator.sweep();
        }
        aggregator.sweep_if_due();
        while !*shared.stop.lock() && !store.merge_wanted() {
            match aggregator.step() {
                Step::More => sync_due(),
                Step::Done => break,
                // Without a merge, what it removed gives nothing back.
                Step::Swept => {
                    let _ = store.reclaim();
                    sync_due();
                }
            }
        }
        if refused && !*shared.stop.lock() {
            // Where there is none to be had, the next writer is told.
            let _ = store.make_room();
        }
        // Last, and not for long: all else has somebody who waits for it.
        let scrubbing = Instant::now();
        let go_on = || {
            sync_due();
            !*shared.stop.lock()
        };
        while scrubbing.elapsed() < SCRUB_AT_ONCE && go_on() && !store.merge_wanted() {
            if !scrubber.step(&go_on) {
                break;
            }
        }
    }
}

/// How long it scrubs before it looks for other work; it naps in between.
const SCRUB_AT_ONCE: Duration = Duration::from_millis(50);
/// Index entries removed in one step of collection: some milliseconds of work.
const COLLECT_BUDGET: usize = 4096;
