//! A system of another process: requests as messages over connections. `docs/internals/served.md`, `docs/internals/network.md`.

mod call;
mod container;
mod draft;
mod fetched;
mod global;
mod pool;
mod process;
mod route;
mod sequences;
mod service;
mod system;
mod together;

pub use call::end_calls_by;
pub use global::SharedPool;
pub use process::ProcessNumber;
pub use route::{RemoteRoute, RemoteTarget};
pub use service::ServiceOptions;
pub use system::{Places, RemoteSystem, Ways};
