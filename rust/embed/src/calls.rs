//! The calls inside a system, and its end: closing waits for those that have begun, and lets no other begin.

use crate::system::System;
use daos_locks::{Condvar, Mutex};
use std::cell::Cell;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Of the state: it is closed, or waits to be. Below it, how many are inside.
const CLOSED: usize = 1 << (usize::BITS - 1);

thread_local! {
    /// Calls of this thread, of any system. One that is inside may enter again, also while somebody waits to close.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
}

/// Who is inside, and whether it is closed. To enter and to leave is one atomic addition each.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    state: AtomicUsize,
    /// For whoever closes: the last one has left.
    lock: Mutex<()>,
    left: Condvar,
}

/// A call of this thread that is inside until this is dropped.
#[derive(Debug)]
pub struct Inside<'a> {
    calls: &'a Calls,
    /// It is counted on the thread that began it.
    _thread: PhantomData<*const ()>,
}

/// Keeps it from being closed as a call does, on any thread.
#[derive(Debug)]
pub(crate) struct Hold(Arc<Calls>);

impl Calls {
    /// Begins a call; `None` where it is closed.
    #[inline]
    pub(crate) fn enter(&self) -> Option<Inside<'_>> {
        let before = self.state.fetch_add(1, Ordering::Acquire);
        if before >= CLOSED && (before == CLOSED || DEPTH.get() == 0) {
            self.leave();
            return None;
        }
        DEPTH.set(DEPTH.get() + 1);
        Some(Inside { calls: self, _thread: PhantomData })
    }

    /// Keeps it open for longer than the call that the caller is inside of.
    pub(crate) fn hold(self: &Arc<Self>) -> Hold {
        self.state.fetch_add(1, Ordering::Acquire);
        Hold(Arc::clone(self))
    }

    /// Lets no other call begin and waits for those inside; false where it was closed before. Of several who close it at
    /// once the others do not wait.
    pub(crate) fn close(&self) -> bool {
        if self.state.fetch_or(CLOSED, Ordering::AcqRel) >= CLOSED {
            return false;
        }
        let mut guard = self.lock.lock();
        while self.state.load(Ordering::Acquire) != CLOSED {
            guard = self.left.wait(guard);
        }
        true
    }

    /// Whether no other call may begin.
    pub(crate) fn is_closed(&self) -> bool {
        self.state.load(Ordering::Acquire) >= CLOSED
    }

    /// Whether anybody is inside.
    pub(crate) fn is_busy(&self) -> bool {
        self.state.load(Ordering::Relaxed) & !CLOSED > 0
    }

    #[inline]
    fn leave(&self) {
        if self.state.fetch_sub(1, Ordering::Release) == CLOSED + 1 {
            // Under the lock, so that this does not come between the other's look and its wait.
            let _guard = self.lock.lock();
            self.left.notify_all();
        }
    }
}

impl System {
    /// Keeps it from being closed while several calls are made. `None` where it is closed: then nothing is begun.
    pub fn enter(&self) -> Option<Inside<'_>> {
        self.guard.calls.enter()
    }

    /// Whether it takes no more calls.
    pub fn is_closed(&self) -> bool {
        self.guard.calls.is_closed()
    }
}

impl Drop for Inside<'_> {
    #[inline]
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        self.calls.leave();
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;
    use std::sync::mpsc::channel;

    #[test]
    fn closing_waits_for_calls_and_what_they_hold_and_refuses_others() {
        let calls = Arc::new(Calls::default());
        let (closed, waits) = (AtomicBool::new(false), || calls.state.load(Ordering::Acquire) >= CLOSED);
        std::thread::scope(|scope| {
            let call = calls.enter().unwrap();
            scope.spawn(|| {
                assert!(calls.close());
                closed.store(true, Ordering::Release);
            });
            while !waits() {
                std::thread::yield_now();
            }
            assert!(!calls.close(), "it is being closed already");
            // Another thread's call is too late, a call within one is not.
            scope.spawn(|| assert!(calls.enter().is_none())).join().unwrap();
            drop(calls.enter().unwrap());
            let hold = calls.hold();
            drop(call);
            assert!(calls.enter().is_none(), "this thread is not inside any more");
            assert!(!closed.load(Ordering::Acquire));
            drop(hold);
        });
        assert!(closed.load(Ordering::Acquire));
        assert!(calls.enter().is_none());
        assert!(!calls.close());
    }

    #[test]
    fn one_who_is_inside_another_system_is_refused_by_a_closed_one() {
        let (open, closed) = (Calls::default(), Calls::default());
        assert!(closed.close());
        let _call = open.enter().unwrap();
        assert!(closed.enter().is_none());
    }

    #[test]
    fn closing_ends_whatever_many_threads_do() {
        for _ in 0..200 {
            let (calls, (began, begun)) = (Calls::default(), channel());
            let inside = AtomicUsize::new(0);
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    let (began, calls, inside) = (began.clone(), &calls, &inside);
                    scope.spawn(move || {
                        let mut first = true;
                        while let Some(call) = calls.enter() {
                            inside.fetch_add(1, Ordering::SeqCst);
                            if std::mem::take(&mut first) {
                                began.send(()).unwrap();
                            }
                            let again = calls.enter().unwrap();
                            inside.fetch_sub(1, Ordering::SeqCst);
                            drop((again, call));
                        }
                    });
                }
                for _ in 0..3 {
                    begun.recv().unwrap();
                }
                assert!(calls.close());
                assert_eq!(inside.load(Ordering::SeqCst), 0);
            });
        }
    }
}
