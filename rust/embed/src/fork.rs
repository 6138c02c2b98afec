//! Telling a child process from the one that opened a system, for the price of one load; what each process has once.

#![allow(unsafe_code)]

use daos_client::{Error, Result};
use daos_types::Der;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

static GENERATION: AtomicU64 = AtomicU64::new(0);
static REGISTERED: AtomicBool = AtomicBool::new(false);

extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// A number of this process: another one in each child that is forked than in its parent, for the price of a load.
pub fn generation() -> u64 {
    watch();
    GENERATION.load(Ordering::Relaxed)
}

/// Has children counted.
fn watch() {
    // Not a `Once`: a child that was forked in the midst of it would wait for ever. Twice does no harm.
    if !REGISTERED.load(Ordering::Acquire) {
        // SAFETY: the handler only adds to an atomic, which is allowed between fork and exec. A failure to register
        // (no memory) leaves children undetected here; the directory's lock still keeps them out of the files.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        REGISTERED.store(true, Ordering::Release);
    }
}

/// The process in which something was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// Children have another.
    generation: u64,
    pid: u32,
}

impl Owner {
    /// This process.
    pub fn here() -> Self {
        watch();
        Self { generation: GENERATION.load(Ordering::Relaxed), pid: std::process::id() }
    }

    /// Whether this process is another than the owner.
    pub fn is_forked(self) -> bool {
        GENERATION.load(Ordering::Relaxed) != self.generation
    }

    /// Refuses what a child does with what it inherited.
    pub fn check(self) -> Result<()> {
        if !self.is_forked() {
            return Ok(());
        }
        let message = format!("this handle belongs to process {}; a forked child cannot use it", self.pid);
        let mut error = Error::new(Der::NoHdl, message).hint(
            "open the system again in this process; it is shared unless it was opened with share=False",
        );
        error.holder_pid = Some(self.pid);
        error.forked = true;
        Err(error)
    }
}

/// A static of which each process has its own, made when it is first asked for. A child does not see its parent's, whose
/// locks may be held by threads that are not there.
#[derive(Debug)]
pub struct PerProcess<T: 'static>(AtomicPtr<(Owner, T)>);

impl<T: Default + Send + Sync> PerProcess<T> {
    /// One that no process has asked for.
    #[expect(clippy::new_without_default, reason = "a static is made of it")]
    pub const fn new() -> Self {
        Self(AtomicPtr::new(std::ptr::null_mut()))
    }

    /// This process's.
    pub fn get(&self) -> &'static T {
        let mut seen = self.0.load(Ordering::Acquire);
        loop {
            // SAFETY: it is null or was leaked below, whole before it was stored, and is never freed.
            if let Some((owner, value)) = unsafe { seen.as_ref::<'static>() }
                && !owner.is_forked()
            {
                return value;
            }
            let made = Box::into_raw(Box::new((Owner::here(), T::default())));
            match self.0.compare_exchange(seen, made, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => seen = made,
                Err(other) => {
                    // SAFETY: it came from a box just now and nobody else has seen it.
                    drop(unsafe { Box::from_raw(made) });
                    seen = other;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_one_and_a_child_another() {
        static ONE: PerProcess<AtomicU64> = PerProcess::new();
        let firsts = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| ONE.get().fetch_add(1, Ordering::Relaxed))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u64>()
        });
        assert_eq!((firsts, ONE.get().load(Ordering::Relaxed)), (6, 4));
        let parent = std::ptr::from_ref(ONE.get());
        // SAFETY: the child allocates nothing but what it asks for here, and ends at once.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let fresh = parent != std::ptr::from_ref(ONE.get()) && ONE.get().load(Ordering::Relaxed) == 0;
            // SAFETY: ends this process, running nothing of it.
            unsafe { libc::_exit(i32::from(!fresh)) };
        }
        let mut status = -1;
        // SAFETY: waits for the child made above.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!((status, parent), (0, std::ptr::from_ref(ONE.get())));
    }
}
