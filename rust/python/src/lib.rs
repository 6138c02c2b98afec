//! `daos._core`: the seam between Python and Rust. Conversions only; `_core.pyi` is its reference.

mod array;
mod async_array;
mod async_kv;
mod async_object;
mod async_transaction;
mod attributes;
mod buffer;
mod container;
mod devices;
mod dfs;
mod dfs_check;
mod dfs_file;
mod embedded;
mod engine;
mod errors;
mod event_queue;
mod facts;
mod fuse;
mod kv;
mod lent;
mod load;
mod object;
mod pool;
#[cfg(feature = "server")]
mod rdb;
mod tls;
mod transaction;

use pyo3::prelude::*;

/// The native half of the package `daos`.
#[pymodule(gil_used = false)]
mod _core {
    #[pymodule_export]
    use super::array::Array;
    #[pymodule_export]
    use super::async_array::AsyncArray;
    #[pymodule_export]
    use super::async_kv::AsyncKV;
    #[pymodule_export]
    use super::async_object::AsyncObject;
    #[pymodule_export]
    use super::async_transaction::AsyncTransaction;
    #[pymodule_export]
    use super::attributes::Attributes;
    #[pymodule_export]
    use super::container::Container;
    #[pymodule_export]
    use super::devices::{device_format, device_inspect};
    #[pymodule_export]
    use super::dfs::{Dfs, DfsListing};
    #[pymodule_export]
    use super::dfs_file::DfsFile;
    #[pymodule_export]
    use super::embedded::Embedded;
    #[pymodule_export]
    use super::engine::{Engine, Messenger};
    #[pymodule_export]
    use super::event_queue::EventQueue;
    #[pymodule_export]
    use super::facts::{build_info, calls_within, crc32c, der_table};
    #[pymodule_export]
    use super::fuse::{Branch, Fuse};
    #[pymodule_export]
    use super::kv::KV;
    #[pymodule_export]
    use super::load::load_kv;
    #[pymodule_export]
    use super::object::Object;
    #[pymodule_export]
    use super::pool::Pool;
    #[cfg(feature = "server")]
    #[pymodule_export]
    use super::rdb::Rdb;
    #[pymodule_export]
    use super::transaction::Transaction;
}
