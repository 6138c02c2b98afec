//! Threads for what takes long. They come when there is work and leave when there has been none for a while.

use daos_locks::{Condvar, Mutex};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Threads at once: one that takes minutes does not keep the others waiting.
const WORKERS_MAX: usize = 4;
/// How long a thread without work stays.
const IDLE: Duration = Duration::from_secs(2);
/// How long the end waits for what is worked on: most of it takes milliseconds, and for what takes minutes the end of its system
/// waits, where that ends as well.
const END: Duration = Duration::from_secs(5);

type Work = Box<dyn FnOnce() + Send>;

/// A bounded number of threads that run what they are given, in that order. As much waits as its callers have under way.
#[derive(Debug, Default, Clone)]
pub(crate) struct Workers(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    came: Condvar,
    left: Condvar,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workers").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Work>,
    threads: usize,
    idle: usize,
    ended: bool,
}

impl Workers {
    /// Has a thread run something; false where none can be had, or all is over.
    pub(crate) fn run(&self, work: impl FnOnce() + Send + 'static) -> bool {
        let mut state = self.0.state.lock();
        if state.ended {
            return false;
        }
        state.waiting.push_back(Box::new(work));
        if state.idle >= state.waiting.len() || state.threads >= WORKERS_MAX {
            self.0.came.notify_one();
            return true;
        }
        let shared = Arc::clone(&self.0);
        let spawned =
            std::thread::Builder::new().name("daos-control".to_owned()).spawn(move || work_off(&shared));
        match spawned {
            Ok(_) => state.threads += 1,
            // Others will come to it.
            Err(_) if state.threads > 0 => {}
            Err(_) => {
                state.waiting.pop_back();
                return false;
            }
        }
        true
    }

    /// Drops what has not begun, and takes no more. Waits for the threads, though not for ever.
    pub(crate) fn end(&self) {
        let mut state = self.0.state.lock();
        state.ended = true;
        let dropped = std::mem::take(&mut state.waiting);
        self.0.came.notify_all();
        drop(state);
        drop(dropped);
        let end = Instant::now() + END;
        let mut state = self.0.state.lock();
        while state.threads > 0 && Instant::now() < end {
            state = self.0.left.wait_until(state, end).0;
        }
    }
}

fn work_off(shared: &Shared) {
    let mut state = shared.state.lock();
    loop {
        if let Some(work) = state.waiting.pop_front() {
            drop(state);
            // What panics was reported where it happened; what answers its caller is told so by being dropped.
            let _ = catch_unwind(AssertUnwindSafe(work));
            state = shared.state.lock();
            continue;
        }
        if state.ended {
            break;
        }
        state.idle += 1;
        let (again, timed_out) = shared.came.wait_for(state, IDLE);
        state = again;
        state.idle -= 1;
        if timed_out && state.waiting.is_empty() {
            break;
        }
    }
    state.threads -= 1;
    shared.left.notify_all();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn what_blocks_does_not_keep_others_waiting_and_what_panics_harms_nobody() {
        let workers = Workers::default();
        let (release, released) = channel::<()>();
        let (done, was_done) = channel();
        assert!(workers.run(move || {
            let _ = released.recv();
        }));
        assert!(workers.run(|| panic!("as a test wants it")));
        for number in 0..20 {
            let done = done.clone();
            assert!(workers.run(move || done.send(number).unwrap()));
        }
        let mut all: Vec<i32> = (0..20).map(|_| was_done.recv().unwrap()).collect();
        all.sort_unstable();
        assert_eq!(all, (0..20).collect::<Vec<_>>());
        drop(release);
        workers.end();
        assert!(!workers.run(|| ()));
        assert_eq!(workers.0.state.lock().threads, 0);
    }

    #[test]
    fn the_end_drops_what_has_not_begun_and_waits_for_what_has() {
        let workers = Workers::default();
        let (release, released) = channel::<()>();
        let (done, was_done) = channel();
        let (begun, has_begun) = channel();
        // As many as there may be, so that none is left for what comes behind them.
        let released = Arc::new(Mutex::new(released));
        for number in 0..WORKERS_MAX {
            let (released, done, begun) = (released.clone(), done.clone(), begun.clone());
            assert!(workers.run(move || {
                begun.send(()).unwrap();
                let _ = released.lock().recv();
                done.send(number).unwrap();
            }));
            has_begun.recv().unwrap();
        }
        let late = done.clone();
        assert!(workers.run(move || late.send(WORKERS_MAX).unwrap()));
        drop(done);
        let others = workers.clone();
        let releasing = std::thread::spawn(move || {
            // Once the end has begun.
            while !others.0.state.lock().ended {
                std::thread::yield_now();
            }
            // Who does not wait is done long before.
            std::thread::sleep(Duration::from_millis(50));
            drop(release);
        });
        workers.end();
        assert_eq!(workers.0.state.lock().threads, 0);
        releasing.join().unwrap();
        let mut all: Vec<usize> = was_done.iter().collect();
        all.sort_unstable();
        assert_eq!(all, (0..WORKERS_MAX).collect::<Vec<_>>());
    }
}
