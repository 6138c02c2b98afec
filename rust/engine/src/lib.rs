//! The engine: targets that answer requests, synchronous and free of threads.

pub mod clock;
pub mod target;

pub use clock::{HybridClock, WallClock};
pub use target::Target;
