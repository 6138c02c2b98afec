//! Frames and connections: how requests get to other processes. Knows nothing of what they say. `docs/internals/network.md`.

pub mod backoff;
mod call;
pub mod caller;
mod channel;
mod error;
pub mod frame;
mod heard;
mod hub;
pub mod intake;
pub mod limits;
mod link;
pub mod mem;
mod moment;
pub mod near;
mod peer;
mod service;
pub mod serving;
mod session;
pub mod shm;
mod socket;
mod spare;
pub mod tcp;
mod tls;
mod transport;
pub mod unix;

pub use call::{Call, Receive, Reply};
pub use channel::{Channel, Sent};
pub use error::{NetError, Outcome, Result};
pub use limits::Limits;
pub use link::Link;
pub use moment::Moment;
pub use peer::{Peer, Role, Subject};
pub use service::{Answer, Bulk, Incoming, Replies, Service, Ticket};
pub use tls::{ClientAuth, Tls, TlsFiles};
pub use transport::{Endpoint, Listening, Transport};

#[cfg(test)]
mod fuzz;
