//! The engine. So far its inner layers: targets that answer requests, as structs or as messages, synchronous and free of threads.

pub mod clock;
pub mod serve;
pub mod target;

pub use clock::{HybridClock, WallClock};
pub use target::Target;
