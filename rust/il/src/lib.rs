//! `libdaos_il.so`, to be preloaded into programs: reads and writes of files on a mount of `dfuse`, and questions about paths there, go
//! to that process through shared memory, and not through the kernel. `docs/internals/interception.md`.
//!
//! Descriptors are the kernel's, as are offsets, locks and all else. So whatever is in doubt is left to the kernel, which does
//! the same: more slowly, never otherwise.

#![cfg_attr(
    test,
    allow(dead_code, reason = "what programs call is not in test programs, which would call it themselves")
)]

mod descriptors;
mod door;
#[cfg(not(test))]
mod hooks;
#[cfg(not(test))]
mod hooks_attributes;
#[cfg(not(test))]
mod hooks_listing;
#[cfg(not(test))]
mod hooks_names;
mod io;
mod kernel;
#[cfg(not(test))]
mod memory;
mod mounts;
mod names;
mod policy;
mod process;
#[cfg(not(test))]
mod real;
mod report;
mod streams;
