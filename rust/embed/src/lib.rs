//! The embedded system: a whole system in the caller's process, like SQLite. One rank, its targets over one store in one
//! directory, requests by direct call.

mod background;
mod debt;
mod directory;
mod event;
mod fork;
mod pool;
mod route;
mod system;
mod tables;

pub use event::{EventQueue, EventQueueOptions, Operation, Order, Submitted};
pub use pool::{Container, Pool};
pub use route::EmbeddedRoute;
pub use system::{Options, System};
