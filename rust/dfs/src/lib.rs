//! File systems in containers, over the objects of a client: DAOS's DFS.
//!
//! [`Dfs`] works on names in directories, as `libdfs` does, and asks nobody whether he may; [`Paths`] walks paths on behalf of somebody
//! and keeps to the rules of [`access`]. What is stored: `docs/formats/dfs.md`; why so: `docs/internals/dfs.md`.

pub mod access;
mod attr;
mod check;
mod classes;
mod content;
mod entries;
mod errno;
mod file;
mod format;
mod ids;
mod left;
mod listing;
mod mount;
mod names;
mod node;
mod paths;
mod recent;
mod record;
mod remove;
mod rename;
mod superblock;
mod times;
mod together;
mod work;

pub use attr::{At, Attr, SetAttr, XattrSet};
pub use check::{CheckMode, EntryFix, Finding, Report};
pub use classes::{HINTS_LEN_MAX, Hints, Spread};
pub use content::FILE_SIZE_MAX;
pub use entries::{Entry, New, OpenFlags};
pub use errno::{Errno, Error, Result};
pub use file::{APPEND_MAX, Allocate, File};
pub use format::FormatOptions;
pub use listing::{Anchor, Listed, PAGE_MAX, Page};
pub use mount::{Dfs, Dir, MountOptions, Room, Space};
pub use names::{NAME_LEN_MAX, PATH_LEN_MAX, XATTR_NAME_LEN_MAX, XATTR_VALUE_LEN_MAX, check_name};
pub use paths::{Handle, Open, Paths};
pub use record::{Kind, MODE_MASK, Time};
pub use rename::{LINKS_MAX, Rename};
pub use superblock::{CHUNK_SIZE, CHUNK_SIZE_MAX, Consistency};
pub use together::{KindOf, Looked};
