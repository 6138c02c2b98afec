//! Looking for what crashes and others' mounts can leave, and repairing it.

mod fix;
mod repair;
mod walk;

use crate::errno::{Error, Result};
use crate::mount::Dfs;
use crate::names::check_name;
use crate::record::Kind;
use daos_types::{Epoch, ObjectId};
pub use fix::EntryFix;
use walk::{Found, Name, Wrong};

/// What is done about what is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CheckMode {
    /// Nothing.
    #[default]
    Print,
    /// What is wrong is repaired, what has no name removed.
    Remove,
    /// What is wrong is repaired, what has no name gets one below `/lost+found`.
    Relink,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// An object that nothing leads to.
    Leaked {
        /// Which.
        oid: ObjectId,
        /// What it is; `None` for what no file system makes.
        kind: Option<Kind>,
    },
    /// The record of something that had several names, to which none leads.
    LeakedInode {
        /// Which object.
        oid: ObjectId,
    },
    /// A file without a name that was open when its mount ended.
    Orphan {
        /// Which.
        oid: ObjectId,
    },
    /// A file says that it has another number of names than it has, or that this is uncertain.
    Links {
        /// One of its names.
        path: Vec<u8>,
        /// How many it says.
        stored: u32,
        /// How many there are.
        counted: u32,
    },
    /// A file has several names that do not know of each other.
    SeveralNames {
        /// They.
        paths: Vec<Vec<u8>>,
    },
    /// A directory has a second name.
    SecondName {
        /// The one that it has in the order of the walk.
        first: Vec<u8>,
        /// The other.
        path: Vec<u8>,
    },
    /// A name leads to a record that is not there.
    Dangling {
        /// The name.
        path: Vec<u8>,
    },
    /// An entry without a record that can be read.
    Damaged {
        /// Its name.
        path: Vec<u8>,
        /// What is wrong.
        why: String,
    },
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Directories that have names, the root among them.
    pub directories: u64,
    /// Names of files.
    pub files: u64,
    /// Names of symbolic links.
    pub symlinks: u64,
    /// What is wrong, in the same order each time.
    pub findings: Vec<Finding>,
    /// How many of them were repaired.
    pub repaired: usize,
}

impl Dfs {
    /// Looks at all of the file system as it is now. `Remove` and `Relink` need that nobody else has it mounted; the directory of
    /// what they name is called `name`, or after the time.
    ///
    /// `EROFS` for a repair of what is mounted read-only.
    pub fn check(&self, mode: CheckMode, name: Option<&[u8]>) -> Result<Report> {
        let shared = &*self.shared;
        shared.check()?;
        if let Some(name) = name {
            check_name(name)?;
        }
        if mode != CheckMode::Print {
            self.sync()?;
        }
        let container = &shared.container;
        if container.epoch() != Epoch::MAX {
            return Ok(report(&shared.examine(&**container)?));
        }
        let taken = container.snapshot_create(None)?;
        let outcome = container
            .at(taken.epoch)
            .map_err(Error::from)
            .and_then(|view| shared.examine(&*view))
            .and_then(|found| self.act(&found, mode, name));
        let gone = container.snapshot_destroy(taken.epoch, taken.epoch);
        let report = outcome?;
        gone?;
        Ok(report)
    }

    fn act(&self, found: &Found, mode: CheckMode, name: Option<&[u8]>) -> Result<Report> {
        let mut report = report(found);
        if mode == CheckMode::Print || report.findings.is_empty() {
            return Ok(report);
        }
        self.shared.repair(found, mode)?;
        if mode == CheckMode::Relink {
            self.relink(found, name)?;
        }
        self.shared.remove_leaked(found, mode)?;
        let left = if mode == CheckMode::Relink { found.others.len() } else { 0 };
        report.repaired = report.findings.len() - left;
        self.sync()?;
        Ok(report)
    }
}

fn report(found: &Found) -> Report {
    let tree = &found.tree;
    let mut findings = tree.findings.clone();
    for named in tree.named.values() {
        let path = |name: &Name| tree.path((name.0, &name.1));
        let Some((first, ..)) = named.names.first() else { continue };
        match named.wrong() {
            None => {}
            Some(Wrong::Links) => {
                let stored = named.inode.map_or(0, |inode| inode.links);
                findings.push(Finding::Links {
                    path: path(first),
                    stored,
                    counted: named.names.len() as u32,
                });
            }
            Some(Wrong::Unconnected) => {
                let paths = named.names.iter().map(|(name, ..)| path(name)).collect();
                findings.push(Finding::SeveralNames { paths });
            }
            Some(Wrong::Dangling) => findings.push(Finding::Dangling { path: path(first) }),
        }
    }
    findings.extend(found.orphans.iter().map(|(_, oid, _)| Finding::Orphan { oid: *oid }));
    let leaked = |kind| move |oid: &ObjectId| Finding::Leaked { oid: *oid, kind };
    findings.extend(found.directories.keys().map(leaked(Some(Kind::Directory))));
    findings.extend(found.files.iter().map(leaked(Some(Kind::File))));
    findings.extend(found.inodes.iter().map(|oid| Finding::LeakedInode { oid: *oid }));
    findings.extend(found.others.iter().map(leaked(None)));
    findings.sort();
    let files = tree.named.values().filter(|named| named.kind == Kind::File);
    Report {
        directories: tree.directories.len() as u64,
        files: files.map(|named| named.names.len() as u64).sum(),
        symlinks: tree.symlinks,
        findings,
        repaired: 0,
    }
}
