//! Several threads that wait for one bell: one of them listens to it, and tells the others.
//!
//! If each listened for itself, whoever hears what was rung would take it from the others: a thread that waits for room would sleep on
//! where one that waits for a reply has taken the byte that told of both.

use daos_locks::{Condvar, Mutex};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[derive(Debug, Default)]
pub(super) struct Bell {
    /// Somebody listens.
    heard_by: AtomicBool,
    /// How often there was something to hear, or nobody who listened.
    times: Mutex<u64>,
    rung: Condvar,
}

/// Whoever listens, until this is dropped: then all others look, and one of them listens.
#[derive(Debug)]
pub(super) struct Listener<'a>(&'a Bell);

/// What a thread does that waits.
#[derive(Debug)]
pub(super) enum Part<'a> {
    /// It listens.
    Listens(Listener<'a>),
    /// It waits for the one who listens, from this time on.
    Waits(u64),
}

impl Bell {
    /// Takes a part, before it is said that somebody waits.
    pub(super) fn part(&self) -> Part<'_> {
        let times = *self.times.lock();
        if self.heard_by.swap(true, Ordering::AcqRel) {
            Part::Waits(times)
        } else {
            Part::Listens(Listener(self))
        }
    }

    /// Waits until whoever listens has heard something since, or gone; so long at most.
    pub(super) fn wait(&self, since: u64, longest: Duration) {
        let mut times = self.times.lock();
        let mut late = false;
        while *times == since && !late {
            (times, late) = self.rung.wait_for(times, longest);
        }
    }

    /// All who wait look again.
    pub(super) fn tell(&self) {
        *self.times.lock() += 1;
        self.rung.notify_all();
    }
}

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        self.0.heard_by.store(false, Ordering::Release);
        self.0.tell();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn one_listens_and_the_others_wait_for_him() {
        let bell = Bell::default();
        let Part::Listens(listener) = bell.part() else { panic!("nobody listens") };
        let Part::Waits(since) = bell.part() else { panic!("somebody listens") };
        bell.tell();
        // At once, as it was told since.
        bell.wait(since, Duration::from_secs(600));
        let Part::Waits(since) = bell.part() else { panic!("somebody listens") };
        let begun = Instant::now();
        bell.wait(since, Duration::from_millis(20));
        assert!(begun.elapsed() >= Duration::from_millis(20), "nothing was told");
        std::thread::scope(|threads| {
            threads.spawn(|| bell.wait(since, Duration::from_secs(600)));
            // Whoever waits is told that nobody listens any more.
            drop(listener);
        });
        assert!(matches!(bell.part(), Part::Listens(_)));
    }
}
