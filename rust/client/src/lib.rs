//! The object layer: written once against [`Route`], the way to a target, be that a direct call or a network.

mod error;
mod kv;
mod route;

pub use error::{Error, Result};
pub use kv::{KeyPage, Kv, PairPage};
pub use route::Route;

pub use daos_types as types;
pub use daos_wire as wire;
