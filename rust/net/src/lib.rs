//! Frames and connections: how requests get to other processes. Knows nothing of what they say. `docs/internals/network.md`.

pub mod frame;
pub mod intake;
pub mod limits;
mod moment;

pub use moment::Moment;

#[cfg(test)]
mod fuzz;
