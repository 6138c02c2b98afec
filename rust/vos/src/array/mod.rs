//! Arrays: which extents a write makes of its records, and which bytes of which extents a read is made of.
//! `docs/formats/records.md` draws the entries.

mod find;
mod geometry;
mod state;
mod write;

pub(crate) use find::{Bytes, Gap, Pieces, Segment};
pub(crate) use geometry::{Geometry, check_bounds, check_len, check_recxs, parts};
pub(crate) use state::{Holds, Leaf};
pub(crate) use write::Records;
