//! Looking again and again, for a short while, instead of sleeping: a wake-up costs more than most replies take.

use std::hint;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// So long at most.
const SPIN_MAX_US: u32 = 20;
/// Looks between two at the clock.
const LOOKS: u32 = 32;
/// Where it was of no use it is tried again each so many times.
const TRY_AGAIN: u32 = 64;

/// How long it pays to look, as it turned out: all of the time where something came, half as long where not, down to nothing.
#[derive(Debug)]
pub(crate) struct Spin {
    limit_us: u32,
    now_us: AtomicU32,
    skipped: AtomicU32,
}

impl Default for Spin {
    fn default() -> Self {
        // On one core who looks keeps away whom it waits for.
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self::new(if cores > 1 { SPIN_MAX_US } else { 0 })
    }
}

impl Spin {
    fn new(limit_us: u32) -> Self {
        Self { limit_us, now_us: AtomicU32::new(limit_us), skipped: AtomicU32::new(0) }
    }

    /// Looks until there is something, for no longer than it pays; whether there is.
    pub(crate) fn look(&self, mut look: impl FnMut() -> bool) -> bool {
        if look() {
            return true;
        }
        let time_us = self.time_us();
        if time_us == 0 {
            return false;
        }
        let until = Instant::now() + Duration::from_micros(u64::from(time_us));
        loop {
            for _ in 0..LOOKS {
                hint::spin_loop();
                if look() {
                    self.now_us.store(self.limit_us, Ordering::Relaxed);
                    return true;
                }
            }
            if Instant::now() >= until {
                self.now_us.store(time_us / 2, Ordering::Relaxed);
                return false;
            }
        }
    }

    fn time_us(&self) -> u32 {
        let now_us = self.now_us.load(Ordering::Relaxed);
        if now_us > 0 || self.limit_us == 0 {
            return now_us;
        }
        let skipped = self.skipped.fetch_add(1, Ordering::Relaxed) + 1;
        if skipped.is_multiple_of(TRY_AGAIN) { self.limit_us } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_no_use_is_done_ever_shorter_and_tried_again() {
        let spin = Spin::new(8);
        let times: Vec<u32> = (0..70)
            .map(|_| {
                let time = spin.time_us();
                spin.now_us.store(time / 2, Ordering::Relaxed);
                time
            })
            .collect();
        assert_eq!(times[..5], [8, 4, 2, 1, 0]);
        assert_eq!(times.iter().filter(|time| **time == 8).count(), 2, "once more after a while");
        assert!(!spin.look(|| false));
        let mut looks = 0;
        spin.now_us.store(8, Ordering::Relaxed);
        assert!(spin.look(|| {
            looks += 1;
            looks == 3
        }));
        assert_eq!(spin.time_us(), 8, "it was of use");
    }

    #[test]
    fn it_ends_and_on_one_core_it_is_not_done() {
        let started = Instant::now();
        assert!(!Spin::new(8).look(|| false));
        assert!(started.elapsed() < Duration::from_secs(1));
        let (alone, mut looks) = (Spin::new(0), 0);
        for _ in 0..200 {
            alone.look(|| {
                looks += 1;
                false
            });
        }
        assert_eq!(looks, 200, "once each");
    }
}
