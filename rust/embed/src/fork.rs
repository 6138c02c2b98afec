//! Telling a child process from the one that opened a system, for the price of one load.

#![allow(unsafe_code)]

use daos_client::{Error, Result};
use daos_types::Der;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

static GENERATION: AtomicU64 = AtomicU64::new(0);
static REGISTERED: Once = Once::new();

extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// The process in which something was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    /// Children have another.
    generation: u64,
    pid: u32,
}

impl Owner {
    /// This process.
    pub(crate) fn here() -> Self {
        REGISTERED.call_once(|| {
            // SAFETY: the handler only adds to an atomic, which is allowed between fork and exec. A failure to register
            // (no memory) leaves children undetected here; the directory's lock still keeps them out of the files.
            unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        });
        Self { generation: GENERATION.load(Ordering::Relaxed), pid: std::process::id() }
    }

    /// Whether this process is another than the owner.
    pub(crate) fn is_forked(self) -> bool {
        GENERATION.load(Ordering::Relaxed) != self.generation
    }

    /// Refuses what a child does with what it inherited.
    pub(crate) fn check(self) -> Result<()> {
        if !self.is_forked() {
            return Ok(());
        }
        let message = format!("this handle belongs to process {}; a forked child cannot use it", self.pid);
        let mut error = Error::new(Der::NoHdl, message)
            .hint("open the system in the process that uses it, after the parent has closed it");
        error.holder_pid = Some(self.pid);
        error.forked = true;
        Err(error)
    }
}
