//! What lets others reach a system that this process holds: handles, endpoints, and who answers. `docs/internals/served.md`.

mod attach;
mod connect;
mod control;
mod handles;
mod host;
mod serve;
mod service;
mod workers;

pub use attach::open_shared;
pub use connect::connect_tcp;
pub use handles::{Granted, Handles};
pub use host::{Host, HostOptions};
pub use serve::{Answer, Refused, Request, serve};
