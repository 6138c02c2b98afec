//! Whether something is done where it comes up or by another thread: by how long it took the last time.

use crate::workers::Workers;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Who took so long kept others waiting for longer than the kernel lets a thread that shares its core, and a thread that is woken is no
/// great part of it.
const LONG: Duration = Duration::from_millis(1);

/// Work of one kind, most of which is short.
#[derive(Debug, Default, Clone)]
pub(crate) struct Pace {
    was_long: Arc<AtomicBool>,
}

impl Pace {
    /// Whether it took long the last time.
    pub(crate) fn is_slow(&self) -> bool {
        self.was_long.load(Ordering::Relaxed)
    }

    /// As if it had taken long.
    #[cfg(test)]
    pub(crate) fn slow_down(&self) {
        self.was_long.store(true, Ordering::Relaxed);
    }

    /// Does it, and notes how long it takes.
    pub(crate) fn measured<R>(&self, work: impl FnOnce() -> R) -> R {
        let begun = Instant::now();
        let result = work();
        self.was_long.store(begun.elapsed() >= LONG, Ordering::Relaxed);
        result
    }

    /// Has it done: here where it was short the last time, and by a worker where it took long. Where none takes it, it is dropped.
    pub(crate) fn run(&self, workers: &Workers, work: impl FnOnce() + Send + 'static) {
        if self.is_slow() {
            let pace = self.clone();
            workers.run(move || pace.measured(work));
        } else {
            self.measured(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;
    use std::thread::{self, ThreadId};

    #[test]
    fn what_took_long_is_done_by_another_thread_until_it_is_short_again() {
        let (pace, workers) = (Pace::default(), Workers::default());
        let (done, was_done) = channel();
        let run = |time: Duration| -> ThreadId {
            let done = done.clone();
            pace.run(&workers, move || {
                thread::sleep(time);
                done.send(thread::current().id()).unwrap();
            });
            was_done.recv().unwrap()
        };
        let here = thread::current().id();
        assert_eq!(run(LONG), here);
        assert_ne!(run(LONG), here);
        // It is known soon after it was done.
        let mut times = 0;
        while run(Duration::ZERO) != here {
            times += 1;
            assert!(times < 10_000);
        }
        workers.end();
        assert_eq!(run(LONG), here);
        let (dropped, was_dropped) = channel::<()>();
        pace.run(&workers, move || drop(dropped));
        assert!(was_dropped.recv().is_err(), "nobody takes it");
    }
}
