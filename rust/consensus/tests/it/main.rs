//! Groups of replicas, under all that can go wrong.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)]

mod disk;
mod nodes;
mod sim;
mod stored;
mod world;
