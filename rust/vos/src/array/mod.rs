//! Arrays: which extents a write makes of its records, and which bytes of which extents a read is made of.
//! `docs/formats/records.md` draws the entries.

mod find;
mod geometry;
mod paint;
mod state;
mod write;

pub(crate) use find::{Bytes, Pieces};
pub(crate) use geometry::{check_bounds, check_len, check_recxs};
pub(crate) use paint::{Gap, Segment, Span, paint};
pub(crate) use state::{Holds, Leaf};
pub(crate) use write::Records;
