//! Where things belong: object classes and layouts. Pure functions of object id, class and pool map.

mod class;
mod layout;

pub use class::{ClassError, ObjectClass, Redundancy};
pub use layout::{Layout, dkey_hash};
