//! The crate's integration tests, in one binary.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]

mod common;
mod index_conformance;
mod index_crash;
mod index_damage;
mod index_rest;
mod index_suite;
mod log_crash;
mod log_damage;
mod log_faults;
mod log_shrink;
mod log_threads;
mod log_workload;
mod media_backends;
mod store_arrays;
mod store_crash;
mod store_data;
mod store_devices;
mod store_dtx;
mod store_faults;
mod store_gate;
mod store_model;
mod store_query;
mod store_relief;
mod store_scrub;
mod store_space;
