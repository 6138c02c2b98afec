//! Looking again and again, for a short while, instead of sleeping: a wake-up costs more than most replies take.

use daos_locks::Mutex;
use rustix::thread::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
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
/// Whoever has the core for so long does more than to answer a request.
const CROWDED: Duration = Duration::from_micros(100);
/// So many times in a row it may be of no use; then it is left out so many times: of an end that always waits long, a sixteenth of the
/// longest time a wait.
const TRIES: u32 = 8;
const LEFT_OUT: u32 = 64;

/// So many times in a row a thread finds whom it waits for on its own processor before it goes to another; and so long it stays there at
/// least.
const TOGETHER_MAX: u32 = 3;
const STAY: Duration = Duration::from_millis(10);

/// Whether it pays to look, as it turned out.
#[derive(Debug)]
pub struct Spin {
    cores: usize,
    /// Times in a row that it was of no use or left out.
    vain: AtomicU32,
    aside: Option<Mutex<Aside>>,
}

/// Going out of the way of whom one waits for. The kernel leaves two threads of which one always sleeps on one processor, as there is
/// never one too many; each byte would then be handled by one with the other standing still.
#[derive(Debug, Default)]
struct Aside {
    /// Times in a row that both were on one processor.
    together: u32,
    went: Option<Instant>,
}

impl Default for Spin {
    fn default() -> Self {
        // On one core who looks keeps away whom it waits for.
        Self::new(thread::available_parallelism().map_or(1, std::num::NonZero::get))
    }
}

impl Spin {
    fn new(cores: usize) -> Self {
        Self { cores, vain: AtomicU32::new(0), aside: None }
    }

    /// For a thread of our own, which goes to another of its processors when it is in the way of whom it waits for.
    pub(crate) fn apart() -> Self {
        Self { aside: Some(Mutex::default()), ..Self::default() }
    }

    /// Looks until there is something, as long as it pays; whether there is. `awaited` tells the processor on which they are who bring
    /// it, as far as that is known; it is asked only where that decides.
    pub(crate) fn look(&self, awaited: impl FnOnce() -> Option<u32>, look: impl FnMut() -> bool) -> bool {
        self.look_at(&MEMORY, awaited, look)
    }

    /// Looks until there is something, as long as it pays; whether there is. Each look is a system call: others who would run here get
    /// their turn in between. `awaited` tells the processor on which they are who bring it, as far as that is known.
    pub fn ask(&self, awaited: impl FnOnce() -> Option<u32>, look: impl FnMut() -> bool) -> bool {
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
        let here = processor();
        let together = awaited() == Some(here);
        let goes = self.aside.as_ref().is_some_and(|aside| aside.lock().goes(together, Instant::now()));
        if together && !(goes && step_aside(here)) {
            return false;
        }
        let vain = self.vain.load(Ordering::Relaxed);
        let (found, crowded) = if self.cores > 1 && vain < TRIES {
            try_look(vain, look, pace, self.aside.is_some())
        } else {
            (false, false)
        };
        let vain = if crowded {
            // There are others who need the core: who sleeps is put before them when he is woken, who looks is not.
            TRIES
        } else if found || vain >= TRIES + LEFT_OUT {
            0
        } else {
            vain + 1
        };
        self.vain.store(vain, Ordering::Relaxed);
        found
    }
}

impl Aside {
    /// Whether it is time to go. What it costs is little only if it is rare.
    fn goes(&mut self, together: bool, now: Instant) -> bool {
        self.together = if together { self.together + 1 } else { 0 };
        let goes = self.together >= TOGETHER_MAX && self.went.is_none_or(|went| now >= went + STAY);
        if goes {
            *self = Self { together: 0, went: Some(now) };
        }
        goes
    }
}

/// Goes to another of the processors on which this thread may be; false where there is none.
fn step_aside(here: u32) -> bool {
    let Ok(all) = sched_getaffinity(None) else { return false };
    let mut others = all;
    if here as usize >= CpuSet::MAX_CPU {
        return false;
    }
    others.unset(here as usize);
    if others.count() == 0 || sched_setaffinity(None, &others).is_err() {
        return false;
    }
    // What was allowed before is allowed now.
    let _ = sched_setaffinity(None, &all);
    true
}

/// The processor on which this runs now.
pub(crate) fn processor() -> u32 {
    u32::try_from(sched_getcpu()).unwrap_or(u32::MAX)
}

/// Whether there was something, and whether others took the core for long meanwhile.
fn try_look(vain: u32, mut look: impl FnMut() -> bool, pace: &Pace, gives_way: bool) -> (bool, bool) {
    let until = Instant::now() + if vain < OUTLASTS { pace.outlast } else { pace.most };
    loop {
        for _ in 0..pace.looks {
            (pace.pause)();
            if look() {
                return (true, false);
            }
        }
        let now = Instant::now();
        if now >= until {
            return (false, false);
        }
        if gives_way {
            // Another target's thread that was woken on this processor does not wait until it was looked long enough.
            thread::yield_now();
            if now.elapsed() >= CROWDED {
                return (look(), true);
            }
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
    fn who_finds_the_other_on_his_processor_again_and_again_goes_to_another() {
        let (mut aside, begun) = (Aside::default(), Instant::now());
        let mut goes = |together, ms| aside.goes(together, begun + Duration::from_millis(ms));
        assert_eq!(
            [true, true, false, true, true, true].map(|together| goes(together, 0)),
            [false, false, false, false, false, true]
        );
        assert_eq!([0, 0, 0, 9, 10].map(|ms| goes(true, ms)), [false, false, false, false, true]);
    }

    #[test]
    fn to_step_aside_leaves_a_thread_where_it_may_be() {
        thread::spawn(|| {
            let before = sched_getaffinity(None).unwrap();
            let from = processor();
            let went = step_aside(from);
            assert_eq!(went, before.count() > 1);
            assert_eq!(sched_getaffinity(None).unwrap(), before);
            let mut one = CpuSet::new();
            one.set(processor() as usize);
            sched_setaffinity(None, &one).unwrap();
            assert!(!step_aside(processor()), "there is no other");
            assert_eq!(sched_getaffinity(None).unwrap(), one);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn it_ends_and_on_one_core_it_is_not_done() {
        let started = Instant::now();
        assert!(!Spin::new(2).look(|| None, || false));
        assert!(started.elapsed() < Duration::from_secs(1));
        assert_eq!(tries(&Spin::new(1), 400, false), [0_u32; 0]);
    }
}
