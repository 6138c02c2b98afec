//! Transforms of bytes: checksums today, erasure code, compression and encryption by the same rule later: slices in,
//! slices out, no I/O, no allocation that grows with anything but the result.

mod checksum;
mod crc;
mod units;

pub use checksum::{Mismatch, Verifier, sum, sums, verify, verify_all, verify_value};
pub use crc::{Follow, crc32c, crc32c_append, crc32c_parts};
pub use units::{UnitSums, join_units, piece_sums, unit_sums};
