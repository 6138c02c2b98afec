//! File systems that are really mounted, through the calls that programs make.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod calls;
mod common;
mod forest;
mod model;
mod mounts;
