//! File systems through the public interface, over embedded systems.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod calls;
mod common;
mod crash;
mod full;
mod left;
mod model;
mod mounts;
mod names;
mod repair;
mod served;
