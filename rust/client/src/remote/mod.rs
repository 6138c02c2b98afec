//! A system of another process: requests as messages over connections. `docs/internals/served.md`, `docs/internals/network.md`.

mod call;
mod container;
mod pool;
mod route;
mod service;
mod system;
mod together;

pub use route::{RemoteRoute, RemoteTarget};
pub use service::ServiceOptions;
pub use system::{Places, RemoteSystem, Ways};
