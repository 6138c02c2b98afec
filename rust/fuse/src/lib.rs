//! File systems of containers, mounted: what `dfuse` is made of.
//!
//! [`Mount::start`] puts a [`daos_dfs::Dfs`], or all of a pool or system, where programs find it, by the kernel's FUSE. Why so: `docs/internals/dfuse.md`.

mod abi;
mod ahead;
mod alone;
mod awake;
mod caching;
mod device;
mod doors;
mod filesystem;
mod forest;
mod inodes;
mod listing;
mod mount;
mod names;
mod requests;
mod tally;

pub use caching::{Caching, DataCache};
pub use filesystem::Usage;
pub use forest::{Branch, Files, Links, Names};
pub use mount::{Error, Mount, Options, Report, Result, THREADS, THREADS_MAX};
