//! The crate's integration tests, in one binary.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod index_conformance;
mod index_crash;
mod index_damage;
mod index_suite;
mod media_backends;
