//! Locks that a forked child can use: each is a word of its own, and nothing is shared with other locks.
//!
//! They are those of `std`, without its poison. A library with a table of waiting threads behind all its locks keeps
//! that table locked for ever in a child that was forked while a thread changed it, so that the child hangs at its
//! first wait, on locks of its own too.
//!
//! A panic under a lock does not make later callers panic. What is left half done then has to be marked by who does
//! it: the store stops where a record was logged and its changes did not all arrive (`daos_vos::Store`), the log
//! never tells that something is durable before its group was written. What else these locks guard is changed by
//! single steps of collections, and whole between any two.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{self, PoisonError, TryLockError};
use std::time::{Duration, Instant};

pub use std::sync::{MutexGuard, RwLockReadGuard, RwLockWriteGuard};

/// Mutual exclusion. Not fair: who is awake goes first.
#[derive(Debug, Default)]
pub struct Mutex<T: ?Sized>(sync::Mutex<T>);

/// Many readers or one writer. A writer that waits holds up new readers, so no thread may read twice at once.
#[derive(Debug, Default)]
pub struct RwLock<T: ?Sized>(sync::RwLock<T>);

/// A place to wait for what another thread does under a [`Mutex`].
#[derive(Debug, Default)]
pub struct Condvar {
    inner: sync::Condvar,
    /// Who waits, or is about to. Raised under the lock, so whoever has changed something under it sees who missed that;
    /// where nobody waits, to notify is one load and no call of the kernel.
    waiting: AtomicUsize,
}

impl<T> Mutex<T> {
    /// An open lock around a value.
    pub const fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Takes the lock; waits for whoever holds it.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the lock if nobody holds it.
    #[inline]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// What it guards, of who has it for himself: no lock is taken, so that it is had also in a child that was forked while
    /// another thread held it.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> RwLock<T> {
    /// An open lock around a value.
    pub const fn new(value: T) -> Self {
        Self(sync::RwLock::new(value))
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Shares the value with other readers; waits for a writer that has it or waits for it.
    #[inline]
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the value alone; waits for all that have it.
    #[inline]
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Condvar {
    /// A place where nobody waits.
    pub const fn new() -> Self {
        Self { inner: sync::Condvar::new(), waiting: AtomicUsize::new(0) }
    }

    /// Lets the lock go until woken, or for no reason: the caller looks again.
    #[inline]
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let guard = self.inner.wait(guard).unwrap_or_else(PoisonError::into_inner);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        guard
    }

    /// As [`Condvar::wait`], but no longer than until a time; true if that has come.
    #[inline]
    pub fn wait_until<'a, T>(&self, guard: MutexGuard<'a, T>, end: Instant) -> (MutexGuard<'a, T>, bool) {
        self.wait_for(guard, end.saturating_duration_since(Instant::now()))
    }

    /// As [`Condvar::wait`], but no longer than this; true if so long was waited.
    #[inline]
    pub fn wait_for<'a, T>(&self, guard: MutexGuard<'a, T>, longest: Duration) -> (MutexGuard<'a, T>, bool) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let (guard, result) = self.inner.wait_timeout(guard, longest).unwrap_or_else(PoisonError::into_inner);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        (guard, result.timed_out())
    }

    /// Wakes one that waits for a change that was made under the lock.
    #[inline]
    pub fn notify_one(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.inner.notify_one();
        }
    }

    /// Wakes all that wait for a change that was made under the lock; how many they are.
    #[inline]
    pub fn notify_all(&self) -> usize {
        let waiting = self.waiting.load(Ordering::Relaxed);
        if waiting > 0 {
            self.inner.notify_all();
        }
        waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn panic_in(run: impl FnOnce()) {
        assert!(catch_unwind(AssertUnwindSafe(run)).is_err());
    }

    #[test]
    fn a_panic_of_a_holder_stays_its_own() {
        let (mutex, lock, condvar) = (Mutex::new(1), RwLock::new(2), Condvar::new());
        panic_in(|| {
            let _held = (mutex.lock(), lock.write());
            panic!("while both are held");
        });
        assert_eq!((*mutex.lock(), *lock.read()), (1, 2));
        *lock.write() += 1;
        assert_eq!(mutex.try_lock().as_deref(), Some(&1));
        let (guard, timed_out) = condvar.wait_for(mutex.lock(), Duration::ZERO);
        assert!(timed_out && *guard == 1);
    }

    #[test]
    fn a_lock_that_is_held_is_not_taken_twice() {
        let mutex = Mutex::new(());
        let held = mutex.lock();
        assert!(mutex.try_lock().is_none());
        drop(held);
        assert!(mutex.try_lock().is_some());
    }

    #[test]
    fn who_waits_is_woken_by_a_change_or_by_the_time() {
        let (flag, changed) = (Mutex::new(false), Condvar::new());
        let (guard, timed_out) = changed.wait_until(flag.lock(), Instant::now());
        assert!(timed_out);
        drop(guard);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                *flag.lock() = true;
                changed.notify_all();
            });
            let mut guard = flag.lock();
            while !*guard {
                guard = changed.wait(guard);
            }
        });
        assert!(*flag.lock());
    }
}
