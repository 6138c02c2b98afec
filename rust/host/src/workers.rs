//! Threads for what takes long. They come when there is work and leave when there has been none for a while.

use daos_locks::{Condvar, Mutex};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// Threads at once: one that takes minutes does not keep the others waiting.
const WORKERS_MAX: usize = 4;
/// How long a thread without work stays.
const IDLE: Duration = Duration::from_secs(2);

type Work = Box<dyn FnOnce() + Send>;

/// A bounded number of threads that run what they are given, in that order. As much waits as its callers have under way.
#[derive(Debug, Default, Clone)]
pub(crate) struct Workers(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    came: Condvar,
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

    /// Drops what has not begun, and takes no more.
    pub(crate) fn end(&self) {
        let mut state = self.0.state.lock();
        state.ended = true;
        let dropped = std::mem::take(&mut state.waiting);
        self.0.came.notify_all();
        drop(state);
        drop(dropped);
    }
}

fn work_off(shared: &Shared) {
    let mut state = shared.state.lock();
    loop {
        if let Some(work) = state.waiting.pop_front() {
            drop(state);
            // What panics was reported where it happened; its caller gets no answer, and its time ends.
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
        workers.end();
        assert!(!workers.run(|| ()));
        drop(release);
    }
}
