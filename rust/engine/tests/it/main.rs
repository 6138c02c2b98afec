//! The engine through its public interface.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod once;
mod refusals;
mod serial;
mod transactions;
mod workload;
