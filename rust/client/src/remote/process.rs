//! What each process has for itself of something that its parent made: a child that was forked inherits locks that somebody held
//! who is not there, connections that are its parent's, and numbers that its parent goes on with. It uses none of them.

use daos_locks::Mutex;
use once_cell::race::OnceBox;
use std::sync::Arc;

/// Tells processes from each other: a number that is another one in a child than in its parent.
pub type ProcessNumber = fn() -> u64;

/// By the number that the kernel gave it: a system call.
pub(super) fn by_pid() -> u64 {
    u64::from(std::process::id())
}

/// Something of which each process has its own. What was inherited stays as it was, and is not used any more.
#[derive(Debug)]
pub(super) struct PerProcess<T> {
    here: ProcessNumber,
    process: u64,
    value: Arc<T>,
    /// That of a child. Made without a lock: a child may be forked in the midst of it. What two threads make at once, one of them
    /// drops unused.
    child: OnceBox<PerProcess<T>>,
}

impl<T> PerProcess<T> {
    pub(super) fn new(here: ProcessNumber, value: T) -> Self {
        Self { here, process: here(), value: Arc::new(value), child: OnceBox::new() }
    }

    /// That of this process; made of what it inherited when it is first asked for.
    pub(super) fn get(&self, make: impl Fn(&T) -> T) -> &T {
        let process = (self.here)();
        let mut at = self;
        while at.process != process {
            at = at.child.get_or_init(|| Box::new(Self::new(at.here, make(&at.value))));
        }
        &at.value
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        if self.process != (self.here)() {
            // A thread of the parent may have been in the midst of changing it: what is half done is not taken apart either.
            std::mem::forget(Arc::clone(&self.value));
        }
    }
}

/// A label that changes.
#[derive(Debug)]
pub(super) struct Label {
    process: u64,
    opened: String,
    now: Mutex<String>,
}

impl Label {
    pub(super) fn new(process: u64, label: String) -> Self {
        Self { process, opened: label.clone(), now: Mutex::new(label) }
    }

    /// As it is known in a process. Where a parent was changing it when it forked, a child knows the one before.
    pub(super) fn get(&self, process: u64) -> String {
        if self.process == process {
            return self.now.lock().clone();
        }
        self.now.try_lock().map_or_else(|| self.opened.clone(), |label| label.clone())
    }

    pub(super) fn set(&self, process: u64, label: &str) {
        if self.process == process {
            label.clone_into(&mut self.now.lock());
        } else if let Some(mut now) = self.now.try_lock() {
            label.clone_into(&mut now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// What counts those that are dropped.
    struct Counted(u32, Arc<AtomicU64>);

    impl Drop for Counted {
        fn drop(&mut self) {
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_child_has_its_own_and_so_has_its_child() {
        static PROCESS: AtomicU64 = AtomicU64::new(7);
        let (made, dropped) = (Cell::new(0), Arc::new(AtomicU64::new(0)));
        let make = |before: &Counted| {
            made.set(made.get() + 1);
            Counted(before.0 + 1, before.1.clone())
        };
        let one = PerProcess::new(|| PROCESS.load(Ordering::Relaxed), Counted(40, dropped.clone()));
        assert_eq!((one.get(make).0, made.get()), (40, 0));
        PROCESS.store(9, Ordering::Relaxed);
        assert_eq!((one.get(make).0, one.get(make).0, made.get()), (41, 41, 1));
        // A child of that child.
        PROCESS.store(12, Ordering::Relaxed);
        assert_eq!((one.get(make).0, one.get(make).0, made.get()), (42, 42, 2));
        drop(one);
        assert_eq!(dropped.load(Ordering::Relaxed), 1, "only what is its own");
    }

    #[test]
    fn a_label_whose_lock_nobody_lets_go_of_is_the_one_before() {
        let label = Label::new(1, "old".to_owned());
        label.set(1, "new");
        assert_eq!((label.get(1), label.get(2)), ("new".to_owned(), "new".to_owned()));
        label.set(2, "newer");
        assert_eq!(label.get(2), "newer");
        let held = label.now.lock();
        label.set(2, "newest");
        assert_eq!(label.get(2), "old");
        drop(held);
        assert_eq!(label.get(1), "newer");
    }
}
