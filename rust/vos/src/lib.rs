//! The versioned object store of one device: a log, a memtable and a base index per pool shard, and above them the
//! key-array-value model with epochs.
//!
//! A deterministic library: bytes go through [`media`], epochs are given by the caller, there is no clock, no
//! socket and no thread in here.

pub mod index;
pub mod log;
pub mod media;
