//! The engine: targets that answer requests, as structs or as messages, synchronous and free of threads; around them what serves one
//! to a network.

pub mod clock;
pub mod host;
pub mod serve;
pub mod target;

pub use clock::{HybridClock, WallClock};
pub use target::Target;
