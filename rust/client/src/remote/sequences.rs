//! The numbers of a session's changes, by which one that is sent again is known.
//!
//! An engine knows of a session's last [`DONE_SLOTS`] changes what became of them, and refuses what is older: it may have been forgotten.
//! A change that was only slow (its thread had no core for a moment, while others went on) would be refused like that, and it would
//! look as if it may have happened. So nobody gets a number as long as one is under way that it would push out.

use daos_locks::{Condvar, Mutex};
use daos_types::{DONE_SLOTS, Origin};
use std::collections::BTreeSet;
use std::ops::Range;
use std::time::{Duration, Instant};

/// So long others wait for one that is stuck, as at an engine that does not answer; then what became of it may stay unknown.
const STUCK: Duration = Duration::from_millis(250);

/// The numbers of changes of a session.
#[derive(Debug)]
pub(super) struct Sequences {
    session: [u8; 16],
    numbers: Mutex<Numbers>,
    ended: Condvar,
}

#[derive(Debug)]
struct Numbers {
    next: u64,
    under_way: BTreeSet<u64>,
}

/// Numbers that are under way until this is dropped.
#[derive(Debug)]
pub(super) struct Drawn<'s> {
    of: &'s Sequences,
    numbers: Range<u64>,
}

impl Numbers {
    /// Whether so many more would push one out that is under way.
    fn is_full(&self, count: u64) -> bool {
        self.under_way.first().is_some_and(|oldest| self.next + count - oldest > DONE_SLOTS)
    }
}

impl Sequences {
    pub(super) fn new(session: [u8; 16]) -> Self {
        let numbers = Numbers { next: 1, under_way: BTreeSet::new() };
        Self { session, numbers: Mutex::new(numbers), ended: Condvar::default() }
    }

    /// Draws so many numbers, a session's slots at most, once they push nothing out.
    pub(super) fn draw(&self, count: usize) -> Drawn<'_> {
        let count = count as u64;
        let mut numbers = self.numbers.lock();
        let mut until = None;
        while numbers.is_full(count) {
            let until = *until.get_or_insert_with(|| Instant::now() + STUCK);
            let left = until.saturating_duration_since(Instant::now());
            let late;
            (numbers, late) = self.ended.wait_for(numbers, left);
            if late {
                // It is not waited for again.
                numbers.under_way.pop_first();
            }
        }
        let first = numbers.next;
        numbers.next += count;
        numbers.under_way.extend(first..first + count);
        Drawn { of: self, numbers: first..first + count }
    }
}

impl Drawn<'_> {
    /// The origins of the changes, in their order.
    pub(super) fn origins(&self) -> impl Iterator<Item = Origin> + '_ {
        self.numbers.clone().map(|sequence| Origin { session: self.of.session, sequence })
    }
}

impl Drop for Drawn<'_> {
    fn drop(&mut self) {
        let mut numbers = self.of.numbers.lock();
        for number in self.numbers.clone() {
            numbers.under_way.remove(&number);
        }
        drop(numbers);
        self.of.ended.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;

    fn first(drawn: &Drawn<'_>) -> u64 {
        drawn.origins().next().unwrap().sequence
    }

    #[test]
    fn no_change_that_is_under_way_is_pushed_out() {
        let numbers = Sequences::new([7; 16]);
        let slow = numbers.draw(1);
        let others: Vec<Drawn<'_>> = (1..DONE_SLOTS).map(|_| numbers.draw(1)).collect();
        drop(others);
        let reached = AtomicU64::new(0);
        thread::scope(|threads| {
            threads.spawn(|| reached.store(first(&numbers.draw(1)), Ordering::SeqCst));
            thread::sleep(STUCK / 5);
            assert_eq!(reached.load(Ordering::SeqCst), 0, "it has pushed out the first");
            drop(slow);
        });
        assert_eq!(reached.into_inner(), 1 + DONE_SLOTS);
    }

    #[test]
    fn one_that_is_stuck_holds_the_others_up_once() {
        let numbers = Sequences::new([7; 16]);
        let stuck = numbers.draw(1);
        let begun = Instant::now();
        for _ in 0..4 * DONE_SLOTS {
            numbers.draw(1);
        }
        assert!((STUCK..4 * STUCK).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        drop(stuck);
    }

    #[test]
    fn batches_get_numbers_in_a_row() {
        let numbers = Sequences::new([7; 16]);
        let (one, two) = (numbers.draw(3), numbers.draw(DONE_SLOTS as usize - 3));
        assert_eq!((one.numbers.clone(), two.numbers.clone()), (1..4, 4..DONE_SLOTS + 1));
        assert!(one.origins().all(|origin| origin.session == [7; 16]));
        drop(one);
        assert!(numbers.numbers.lock().is_full(4) && !numbers.numbers.lock().is_full(3));
        drop(two);
        assert!(numbers.numbers.lock().under_way.is_empty());
    }
}
