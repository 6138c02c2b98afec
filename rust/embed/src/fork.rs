//! Telling a child process from the one that opened a system, for the price of one load.

#![allow(unsafe_code)]

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

static GENERATION: AtomicU64 = AtomicU64::new(0);
static REGISTERED: Once = Once::new();

extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

/// The process generation in which something was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Generation(u64);

impl Generation {
    /// The generation of this process; its children will have another.
    pub(crate) fn here() -> Self {
        REGISTERED.call_once(|| {
            // SAFETY: the handler only adds to an atomic, which is allowed between fork and exec. A failure to register
            // (no memory) leaves children undetected here; the directory's lock still keeps them out of the files.
            unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        });
        Self(GENERATION.load(Ordering::Relaxed))
    }

    /// Whether this process is another than the one it was made in.
    pub(crate) fn is_forked(self) -> bool {
        GENERATION.load(Ordering::Relaxed) != self.0
    }
}
