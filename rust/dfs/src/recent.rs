//! What a mount saw of the store a moment ago, and may tell again. No I/O.

use daos_locks::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Counts what a mount changed: what was seen before is not told again.
#[derive(Debug, Default)]
pub(crate) struct Changes(AtomicU64);

/// So much was changed. To be asked before a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count(u64);

impl Changes {
    pub(crate) fn count(&self) -> Count {
        Count(self.0.load(Ordering::Acquire))
    }

    /// To be called when a change is done, before anybody is told of it.
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// What was seen last, when, and after which changes.
#[derive(Debug)]
pub(crate) struct Recent<T>(Mutex<Option<(T, Instant, Count)>>);

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Copy> Recent<T> {
    /// It was looked up: the look began then, after these changes. What a later look saw stays.
    pub(crate) fn put(&self, seen: T, begun: Instant, changes: Count) {
        let mut last = self.0.lock();
        if last.as_ref().is_none_or(|(_, then, _)| *then <= begun) {
            *last = Some((seen, begun, changes));
        }
    }

    /// What was seen less than so long before `now`, and how long before; nothing if something was changed since.
    pub(crate) fn get(&self, now: Instant, within: Duration, changes: Count) -> Option<(T, Duration)> {
        let (seen, begun, then) = (*self.0.lock())?;
        let age = now.saturating_duration_since(begun);
        (then == changes && age < within).then_some((seen, age))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_for_a_while_and_until_something_changes() {
        let (changes, recent, begun) = (Changes::default(), Recent::default(), Instant::now());
        let at = |ms| begun + Duration::from_millis(ms);
        let within = Duration::from_millis(10);
        assert_eq!(recent.get(begun, within, changes.count()), None);
        recent.put(7, begun, changes.count());
        assert_eq!(recent.get(at(4), within, changes.count()), Some((7, Duration::from_millis(4))));
        assert_eq!(recent.get(at(10), within, changes.count()), None, "too old");
        assert_eq!(recent.get(begun, Duration::ZERO, changes.count()), None, "nothing may be kept");
        changes.add();
        assert_eq!(recent.get(at(4), within, changes.count()), None, "changed since");
    }

    #[test]
    fn a_look_that_began_before_a_change_is_not_told_after_it() {
        let (changes, recent, begun) = (Changes::default(), Recent::default(), Instant::now());
        let before = changes.count();
        changes.add();
        recent.put(7, begun, before);
        assert_eq!(recent.get(begun, Duration::from_secs(1), changes.count()), None);
    }

    #[test]
    fn what_a_later_look_saw_stays() {
        let (changes, recent, begun) = (Changes::default(), Recent::default(), Instant::now());
        let later = begun + Duration::from_millis(1);
        recent.put(8, later, changes.count());
        recent.put(7, begun, changes.count());
        assert_eq!(recent.get(later, Duration::from_secs(1), changes.count()), Some((8, Duration::ZERO)));
    }
}
