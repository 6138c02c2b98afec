//! Looking again and again, for a short while, instead of sleeping: a wake-up costs more than most replies take.

use rustix::thread::sched_getcpu;
use std::hint;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How it is looked.
#[derive(Debug)]
struct Pace {
    /// So long at most.
    most: Duration,
    /// So long where it was of use the last time or before that: longer than another needs to wake up, or two of which one sleeps
    /// would never come to look at once.
    outlast: Duration,
    /// Looks between two at the clock.
    looks: u32,
    /// Between two looks.
    pause: fn(),
}

const MEMORY: Pace = Pace {
    most: Duration::from_micros(60),
    outlast: Duration::from_micros(250),
    looks: 32,
    pause: hint::spin_loop,
};
/// A way through the kernel takes longer, and so does a wake-up in the middle of it.
const KERNEL: Pace = Pace {
    most: Duration::from_micros(120),
    outlast: Duration::from_micros(250),
    looks: 1,
    pause: thread::yield_now,
};
const OUTLASTS: u32 = 2;
/// So many times in a row it may be of no use; then it is left out so many times: of an end that always waits long, a sixteenth of the
/// longest time a wait.
const TRIES: u32 = 8;
const LEFT_OUT: u32 = 64;

/// Whether it pays to look, as it turned out.
#[derive(Debug)]
pub(crate) struct Spin {
    cores: usize,
    /// Times in a row that it was of no use or left out.
    vain: AtomicU32,
}

impl Default for Spin {
    fn default() -> Self {
        // On one core who looks keeps away whom it waits for.
        Self::new(thread::available_parallelism().map_or(1, std::num::NonZero::get))
    }
}

impl Spin {
    fn new(cores: usize) -> Self {
        Self { cores, vain: AtomicU32::new(0) }
    }

    /// Looks until there is something, as long as it pays; whether there is. `awaited` tells the processor on which they are who bring
    /// it, as far as that is known; it is asked only where that decides.
    pub(crate) fn look(&self, awaited: impl FnOnce() -> Option<u32>, look: impl FnMut() -> bool) -> bool {
        self.look_at(&MEMORY, awaited, look)
    }

    /// As [`Spin::look`], where each look is a system call: others who would run here get their turn in between.
    pub(crate) fn ask(&self, awaited: impl FnOnce() -> Option<u32>, look: impl FnMut() -> bool) -> bool {
        self.look_at(&KERNEL, awaited, look)
    }

    fn look_at(
        &self,
        pace: &Pace,
        awaited: impl FnOnce() -> Option<u32>,
        mut look: impl FnMut() -> bool,
    ) -> bool {
        if look() {
            return true;
        }
        // Who looks would keep away whom he waits for. To sleep at once makes room, and the kernel then goes over without a detour.
        if awaited() == Some(processor()) {
            return false;
        }
        let vain = self.vain.load(Ordering::Relaxed);
        let found = self.cores > 1 && vain < TRIES && try_look(vain, look, pace);
        let vain = if found || vain >= TRIES + LEFT_OUT { 0 } else { vain + 1 };
        self.vain.store(vain, Ordering::Relaxed);
        found
    }
}

/// The processor on which this runs now.
pub(crate) fn processor() -> u32 {
    u32::try_from(sched_getcpu()).unwrap_or(u32::MAX)
}

fn try_look(vain: u32, mut look: impl FnMut() -> bool, pace: &Pace) -> bool {
    let until = Instant::now() + if vain < OUTLASTS { pace.outlast } else { pace.most };
    loop {
        for _ in 0..pace.looks {
            (pace.pause)();
            if look() {
                return true;
            }
        }
        if Instant::now() >= until {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// The times of so many that it looked more than once.
    fn tries(spin: &Spin, times: u32, found: bool) -> Vec<u32> {
        let tries = |_: &u32| {
            let looks = Cell::new(0);
            let look = || {
                looks.set(looks.get() + 1);
                found && looks.get() == 2
            };
            assert_eq!(spin.look(|| None, look), found && looks.get() == 2);
            looks.get() > 1
        };
        (0..times).filter(tries).collect()
    }

    #[test]
    fn what_is_of_no_use_is_left_out_and_tried_again() {
        let spin = Spin::new(2);
        let tried = tries(&spin, 400, false);
        let cycle = TRIES + LEFT_OUT + 1;
        let wanted: Vec<u32> = (0..400).filter(|nth| nth % cycle < TRIES).collect();
        assert_eq!(tried, wanted);
        // What is of use goes on.
        let spin = Spin::new(2);
        assert_eq!(tries(&spin, 400, true).len(), 400);
    }

    #[test]
    fn who_waits_for_somebody_of_his_processor_sleeps_at_once() {
        let here = || {
            let before = processor();
            let looks = Cell::new(0);
            let found = Spin::new(2).look(|| Some(before), || looks.replace(looks.get() + 1) > 0);
            (before == processor()).then_some((found, looks.get()))
        };
        // It may have been moved in between.
        let seen = (0..1000).find_map(|_| here());
        assert_eq!(seen, Some((false, 1)));
        assert!(Spin::new(2).look(|| Some(u32::MAX), {
            let mut times = 0;
            move || {
                times += 1;
                times > 1
            }
        }));
    }

    #[test]
    fn it_ends_and_on_one_core_it_is_not_done() {
        let started = Instant::now();
        assert!(!Spin::new(2).look(|| None, || false));
        assert!(started.elapsed() < Duration::from_secs(1));
        assert_eq!(tries(&Spin::new(1), 400, false), [0_u32; 0]);
    }
}
