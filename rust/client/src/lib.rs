//! The object layer: written once against [`Route`], the way to a target, be that a direct call or a network.

pub mod array;
mod checksum;
mod error;
#[cfg(test)]
mod fuzz;
mod kv;
mod listing;
mod object;
mod plan;
mod remote;
mod route;
mod service;
mod survey;
mod transaction;

pub use array::Array;
pub use checksum::ContainerRef;
pub use error::{Error, Result};
pub use kv::{Kv, PairPage, Values};
pub use listing::KeyPage;
pub use object::Object;
pub use remote::{
    Places, ProcessNumber, RemoteRoute, RemoteSystem, RemoteTarget, ServiceOptions, SharedPool, Ways,
    end_calls_by,
};
pub use route::{Change, FetchOne, Route, Survey, Transact, each_pair};
pub use service::{
    AttributeService, ContainerObjects, ContainerService, NewContainer, PoolService, SystemService,
    SystemSpace, Transaction, TransactionEnd,
};
pub use survey::{DiffPage, ObjectPage, diff, objects};
pub use transaction::TxRoute;

pub use daos_types as types;
pub use daos_wire as wire;
