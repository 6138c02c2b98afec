//! The embedded system: a whole system in the caller's process, like SQLite. One rank, its targets over one store in one
//! directory, requests by direct call.

mod aggregation;
mod attributes;
mod background;
mod calls;
mod debt;
mod devices;
mod directory;
mod epochs;
mod event;
mod fork;
#[cfg(test)]
mod fuzz;
mod labels;
mod pool;
mod route;
mod scrub;
mod services;
mod shards;
mod snapshots;
mod system;
mod tables;
mod transaction;

pub use attributes::Attributes;
pub use calls::Inside;
pub use daos_vos::VolumeSpace;
pub use daos_vos::media::{DeviceIdentity, Roles};
pub use debt::{Debt, collect, let_go};
pub use devices::{Devices, format_device, inspect_device};
pub use event::{EventQueue, EventQueueOptions, Operation, Order, Submitted};
pub use fork::{Owner, PerProcess, generation};
pub use pool::{Container, Pool};
pub use route::EmbeddedRoute;
pub use shards::{ContainerPart, parse_uuid};
pub use system::{Kept, Options, System, Taken, random_id};
