//! How a thread of a mount and who asks it come to wait for each other as little as can be.
//!
//! Where both are on one processor, the kernel goes from one to the other, and nothing is faster. Where they are on two, each wakes the
//! other one's processor for each request, which takes a virtual machine many times what a small request does. Kernels of virtual
//! machines know that in part: they wake nobody on a processor that the host has taken away. But of two threads on two processors
//! neither processor is idle for that long. So it is measured how soon requests follow answers, and where both are apart
//!
//! - the thread goes to the processor of who asks, and pauses there until all others sleep: then the kernel leaves both there;
//! - where that brings nothing, or was done a moment ago, it stays awake for the next request, and saves one of two wake-ups.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::thread;
use std::time::{Duration, Instant};

/// Requests of which it is measured how soon they follow an answer.
const ROUND: u32 = 16;
/// Sooner than that nobody is woken on another processor.
const NEAR: Duration = Duration::from_micros(25);
/// Who takes longer to ask again did something else, and may be elsewhere now.
const THINKS: Duration = Duration::from_micros(500);
/// So many requests pass before it is measured again whether to stay awake.
const REST: u32 = 512;
/// Guest and host each look for some time whether there is something to do for a processor before it is taken away: with a millisecond
/// of pause both came together half of the times.
const PAUSE: Duration = Duration::from_millis(4);
/// Pauses are a twenty-fifth of the time at most; after each that brings nothing twice as much passes, up to the most.
const PAUSE_EVERY: Duration = Duration::from_millis(100);
const PAUSE_EVERY_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy)]
enum Now {
    /// For so many more requests at least.
    Asleep { rest: u32 },
    /// It was paused.
    Joined,
    /// It stays awake, to see whether that is better than it was: so long took a round.
    Trying { before: Duration },
    /// It is; for so many more requests.
    Awake { rest: u32 },
}

/// Of one thread that takes requests.
#[derive(Debug)]
pub(crate) struct Awake {
    /// Who asked last.
    thread: u32,
    now: Now,
    count: u32,
    took: Duration,
    /// There is no pause before, and after the next one for so long.
    paused_until: Option<Instant>,
    pause_every: Duration,
}

impl Default for Awake {
    fn default() -> Self {
        let now = Now::Asleep { rest: 0 };
        Self { thread: 0, now, count: 0, took: Duration::ZERO, paused_until: None, pause_every: PAUSE_EVERY }
    }
}

impl Awake {
    /// Whether to stay awake for the next one.
    pub(crate) fn is_worth_it(&self) -> bool {
        matches!(self.now, Now::Trying { .. } | Now::Awake { .. })
    }

    /// A thread that waits for the answer asked so long after the last one. True: it is time to [`join`] it.
    pub(crate) fn asked(&mut self, thread: u32, since: Duration, at: Instant) -> bool {
        let is_other = std::mem::replace(&mut self.thread, thread) != thread;
        if is_other || since >= THINKS {
            self.others();
            return false;
        }
        match &mut self.now {
            Now::Asleep { rest: rest @ 1.. } | Now::Awake { rest: rest @ 1.. } => {
                *rest -= 1;
                return false;
            }
            Now::Awake { .. } => self.now = Now::Asleep { rest: 0 },
            Now::Asleep { .. } | Now::Joined | Now::Trying { .. } => {}
        }
        self.count += 1;
        self.took += since;
        if self.count < ROUND {
            return false;
        }
        self.count = 0;
        let took = std::mem::take(&mut self.took);
        let is_near = took <= NEAR * ROUND;
        if matches!(self.now, Now::Joined) {
            self.pause_every =
                if is_near { PAUSE_EVERY } else { (self.pause_every * 2).min(PAUSE_EVERY_MAX) };
        }
        self.now = match self.now {
            Now::Trying { before } if took < before * 3 / 4 => Now::Awake { rest: REST },
            Now::Trying { .. } => Now::Asleep { rest: REST },
            _ if is_near => Now::Asleep { rest: 0 },
            Now::Asleep { .. } if self.paused_until.is_none_or(|until| at >= until) => {
                self.paused_until = Some(at + self.pause_every);
                Now::Joined
            }
            _ => Now::Trying { before: took },
        };
        matches!(self.now, Now::Joined)
    }

    /// There are several who ask: they are not waited for so long.
    pub(crate) fn others(&mut self) {
        (self.now, self.count, self.took) = (Now::Asleep { rest: 0 }, 0, Duration::ZERO);
    }
}

/// Goes to the processor of a thread that waits, and lets the others fall asleep. It may be anywhere again then.
pub(crate) fn join(asks: u32) {
    let (Some(at), Ok(all)) = (processor_of(asks), sched_getaffinity(None)) else { return };
    if at >= CpuSet::MAX_CPU || all.count() < 2 || !all.is_set(at) {
        return;
    }
    let mut one = CpuSet::new();
    one.set(at);
    if sched_setaffinity(None, &one).is_ok() {
        thread::sleep(PAUSE);
        let _ = sched_setaffinity(None, &all);
    }
}

/// The processor on which a thread ran last, if that can be known.
fn processor_of(thread: u32) -> Option<usize> {
    let stat = std::fs::read(format!("/proc/{thread}/stat")).ok()?;
    // What is before the last parenthesis is the program's name, which may be anything.
    let behind = stat.rsplit(|byte| *byte == b')').next()?;
    // The 39th in all; the third is the first behind the name.
    str::from_utf8(behind.split(|byte| *byte == b' ').nth(37)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two threads that are apart, or are not: who asks does so at once, and the time stands still but for that.
    struct Both {
        awake: Awake,
        at: Instant,
        apart: bool,
        /// What a pause does.
        joins: bool,
        /// Requests during which it was looked, and pauses.
        looked: u32,
        pauses: u32,
    }

    impl Both {
        fn new(joins: bool) -> Self {
            let awake = Awake { thread: 7, ..Awake::default() };
            Self { awake, at: Instant::now(), apart: true, joins, looked: 0, pauses: 0 }
        }

        fn ask(&mut self, count: u32) {
            for _ in 0..count {
                let looks = self.awake.is_worth_it();
                self.looked += u32::from(looks);
                let since = Duration::from_micros(if looks {
                    40
                } else if self.apart {
                    80
                } else {
                    8
                });
                self.at += since;
                if self.awake.asked(7, since, self.at) {
                    self.pauses += 1;
                    self.at += PAUSE;
                    self.apart &= !self.joins;
                }
            }
        }
    }

    #[test]
    fn who_is_on_the_same_processor_is_never_waited_for() {
        let mut both = Both { apart: false, ..Both::new(true) };
        both.ask(10_000);
        assert_eq!((both.looked, both.pauses), (0, 0));
    }

    #[test]
    fn a_pause_brings_both_together() {
        let mut both = Both::new(true);
        both.ask(10_000);
        assert_eq!((both.looked, both.pauses, both.apart), (0, 1, false));
        // Soon after, it is looked instead; later paused again.
        both.at += PAUSE_EVERY;
        both.apart = true;
        both.ask(1_000);
        assert_eq!((both.looked, both.pauses, both.apart), (0, 2, false));
        both.apart = true;
        both.awake.others();
        both.ask(1_000);
        assert_eq!((both.pauses, both.apart), (2, true));
        assert!(both.looked > 900);
        both.ask(10_000);
        assert_eq!((both.pauses, both.apart), (3, false));
    }

    #[test]
    fn where_pauses_bring_nothing_they_are_rare_and_it_stays_awake() {
        let mut both = Both::new(false);
        both.ask(1_000_000);
        assert!(both.looked > 950_000);
        // Of 40 s: at once, after 0.1 s, 0.3, 0.7, and so on.
        assert_eq!(both.pauses, 9);
    }

    #[test]
    fn what_brings_nothing_is_not_tried_again_at_once() {
        let (mut awake, at) = (Awake { thread: 7, ..Awake::default() }, Instant::now());
        let us = Duration::from_micros;
        let mut looks = |count, micros| {
            (0..count)
                .filter(|_| {
                    awake.asked(7, us(micros), at);
                    awake.is_worth_it()
                })
                .count() as u32
        };
        assert_eq!(looks(2 * ROUND - 1, 80), 0, "once apart, once after a pause");
        assert_eq!(looks(ROUND, 70), ROUND);
        assert_eq!(looks(REST + ROUND, 70), 0);
    }

    #[test]
    fn after_a_pause_of_his_own_and_with_others_nothing_is_known() {
        let mut both = Both::new(false);
        let apart = |both: &mut Both| {
            both.ask(2 * ROUND);
            assert!(both.awake.is_worth_it());
        };
        apart(&mut both);
        assert!(!both.awake.asked(7, THINKS, both.at));
        assert!(!both.awake.is_worth_it());
        both.at += PAUSE_EVERY_MAX;
        apart(&mut both);
        both.awake.others();
        assert!(!both.awake.is_worth_it());
        apart(&mut both);
        assert!(!both.awake.asked(8, Duration::ZERO, both.at));
        assert!(!both.awake.is_worth_it(), "somebody else asks");
    }

    #[test]
    fn a_thread_is_found_and_joined() {
        let before = sched_getaffinity(None).unwrap();
        let here = rustix::thread::gettid().as_raw_nonzero().get().cast_unsigned();
        assert!(before.is_set(processor_of(here).unwrap()));
        let joined = thread::spawn(move || {
            join(here);
            // Nobody has this number.
            join(0);
            sched_getaffinity(None).unwrap()
        });
        assert_eq!(joined.join().unwrap(), before);
    }
}
