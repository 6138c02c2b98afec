//! What lets others reach a system that this process holds: handles, endpoints, and who answers. `docs/internals/served.md`.

mod attach;
mod connect;
mod control;
mod handles;
mod host;
mod messenger;
mod pace;
mod serve;
mod service;
mod workers;

pub use attach::open_shared;
pub use connect::{connect_service, connect_tcp};
pub use daos_wire::SERVED;
pub use handles::{Granted, Handles, Rights};
pub use host::{Host, HostOptions};
pub use messenger::{Messenger, Question, Questions};
pub use serve::{Answer, Refused, Request, serve};
pub use service::Outside;
