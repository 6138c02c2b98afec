//! Transforms of bytes: checksums today, erasure code, compression and encryption by the same rule later: slices in,
//! slices out, no I/O, no allocation that grows with anything but the result.

mod checksum;
mod crc;

pub use checksum::{Mismatch, Verifier, sum, sums, verify, verify_all, verify_value};
pub use crc::{crc32c, crc32c_append, crc32c_parts};
