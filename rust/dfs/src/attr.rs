//! What is known of files, directories and symbolic links, and how it is changed: modes, owners, times, sizes, extended attributes.

use crate::access::{Guarded, without_set_ids};
use crate::classes;
use crate::content::{self, FILE_SIZE_MAX};
use crate::errno::{Errno, Error, Result};
use crate::file::File;
use crate::mount::{Dfs, Dir, Shared};
use crate::names::{XATTR_PREFIX, XATTR_VALUE_LEN_MAX, check_name, shown, xattr_akey};
use crate::node::Node;
use crate::record::{Kind, MODE_MASK, Record, Time};
use crate::superblock;
use crate::work::{Found, Slot, Work};
use daos_placement::ObjectClass;
use daos_types::{Cond, Der, FetchIod, FetchValue, Iod, IodValue, ObjectId, Punched};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// Bytes of a block as `stat` counts them.
const STAT_BLOCK: u64 = 512;

/// What something is to be found by.
#[derive(Debug, Clone, Copy)]
pub enum At<'a> {
    /// Its name in a directory; a symbolic link is not followed.
    Entry(&'a Dir, &'a [u8]),
    /// A directory.
    Dir(&'a Dir),
    /// A file that is open.
    File(&'a File),
}

impl At<'_> {
    fn node(&self) -> Option<&Node> {
        match self {
            Self::Entry(..) => None,
            Self::Dir(dir) => Some(&dir.node),
            Self::File(file) => Some(file.node()),
        }
    }
}

/// What is known of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attr {
    /// Its object id; nil for a symbolic link that never had several names.
    pub oid: ObjectId,
    /// What it is.
    pub kind: Kind,
    /// Kind and permissions, as `stat` has them.
    pub mode: u32,
    /// How many names it has, none if it is only open; 1 for a directory.
    pub links: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Bytes of a file, or of where a symbolic link leads; 0 for a directory.
    pub size: u64,
    /// Blocks of 512 bytes, holes included.
    pub blocks: u64,
    /// The later of the other two: times of access are not stored.
    pub atime: Time,
    /// When its content changed.
    pub mtime: Time,
    /// When its content, or what is known of it, changed.
    pub ctime: Time,
    /// Bytes of a chunk of a file; of a directory, of files made in it.
    pub chunk_size: u64,
    /// The class of a file's object; of a directory, of what is made in it, if it says so.
    pub class: Option<ObjectClass>,
}

impl Attr {
    /// What the rules of access look at.
    pub fn guarded(&self) -> Guarded {
        Guarded { mode: self.mode, uid: self.uid, gid: self.gid }
    }
}

/// What is to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SetAttr {
    /// Permissions.
    pub mode: Option<u32>,
    /// The owner.
    pub uid: Option<u32>,
    /// The group.
    pub gid: Option<u32>,
    /// Bytes of a file: what is behind goes, what is missing becomes a hole.
    pub size: Option<u64>,
    /// When its content changed.
    pub mtime: Option<Time>,
}

/// How an extended attribute is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum XattrSet {
    /// Whether it is there or not.
    #[default]
    Any,
    /// Only if it is not there; else `EEXIST`.
    Create,
    /// Only if it is there; else `ENODATA`.
    Replace,
}

impl Work<'_> {
    /// What something leads to.
    fn find_at(&self, at: &At<'_>) -> Result<Found> {
        match at {
            At::Entry(dir, name) => {
                check_name(name)?;
                let found = self.find(&Slot::entry(dir.node.oid, name))?;
                found.ok_or_else(|| Error::new(Errno::ENOENT, format!("there is no {}", shown(name))))
            }
            At::Dir(Dir { node }) => self.locate(node),
            At::File(file) => self.locate(file.node()),
        }
    }
}

impl Shared {
    /// Finds something and works on it, in a transaction where one can be had.
    fn with<T>(&self, at: &At<'_>, mut run: impl FnMut(&Work<'_>, &Found) -> Result<T>) -> Result<T> {
        let is_directory = Cell::new(false);
        let done = self.patiently(|| {
            self.atomically(|work| {
                let found = work.find_at(at)?;
                is_directory.set(found.kind() == Kind::Directory);
                if work.is_atomic {
                    return run(work, &found);
                }
                // Threads of this mount keep out of each other's way by themselves.
                let _claim = self.table.claim([found.oid()])?;
                let again = work.find_at(at)?;
                if again.oid() != found.oid() {
                    return Err(Error::new(Errno::ESTALE, "the name is another's by now"));
                }
                run(work, &again)
            })
        });
        if is_directory.get() {
            self.directories.add();
        }
        done
    }

    /// The times of a record, with what this mount knows and has not stored.
    fn with_times(&self, record: &mut Record, node: Option<&Node>) {
        let known = if node.is_none() { self.table.get(record.oid) } else { None };
        if let Some(written) = node.or(known.as_deref()).and_then(|node| node.times.written()) {
            record.mtime = written;
            record.ctime = record.ctime.max(written);
        }
    }

    /// What is told of a record; the size of a file is asked for.
    pub(crate) fn attr(&self, work: &Work<'_>, found: &Found, node: Option<&Node>) -> Result<Attr> {
        let record = &found.held.record;
        let size = match record.kind() {
            Kind::Directory => 0,
            Kind::File => self.size(work, record)?,
            Kind::Symlink => record.value_len,
        };
        Ok(self.attr_of(record, node, size))
    }

    /// What is told of a record whose size is known.
    pub(crate) fn attr_of(&self, record: &Record, node: Option<&Node>, size: u64) -> Attr {
        let mut record = *record;
        self.with_times(&mut record, node);
        let kind = record.kind();
        let class = match kind {
            Kind::Directory => classes::of_id(record.class),
            Kind::File => Some(ObjectClass { ordinal: record.oid.ordinal(), groups: record.oid.groups() }),
            Kind::Symlink => None,
        };
        Attr {
            oid: record.oid,
            kind,
            mode: record.mode,
            links: if node.is_some_and(Node::is_orphan) { 0 } else { record.names() },
            uid: record.uid,
            gid: record.gid,
            size,
            blocks: size.div_ceil(STAT_BLOCK),
            atime: record.mtime.max(record.ctime),
            mtime: record.mtime,
            ctime: record.ctime,
            chunk_size: self.chunk_size(record.chunk_size),
            class,
        }
    }

    /// Changes the length of a file and its times, in a transaction that looks whether it is the same.
    pub(crate) fn truncate(&self, at: &At<'_>, size: u64) -> Result<()> {
        self.set_attr(at, &SetAttr { size: Some(size), ..SetAttr::default() })
    }

    pub(crate) fn set_attr(&self, at: &At<'_>, set: &SetAttr) -> Result<()> {
        if let Some(size) = set.size {
            content::check_end(size, 0)?;
            // What is too much for one transaction goes before.
            if size > 0 {
                let found = self.patiently(|| self.plain().find_at(at))?;
                if found.kind() == Kind::File {
                    self.punch_ahead(&found.held.record, size, FILE_SIZE_MAX)?;
                }
            }
        }
        let now = Time::now();
        let done = self.with(at, |work, found| {
            let mut record = found.held.record;
            let known = if at.node().is_none() { self.table.get(record.oid) } else { None };
            let written = at.node().or(known.as_deref()).and_then(|node| node.times.written());
            self.with_times(&mut record, at.node());
            match (record.kind(), set) {
                (Kind::Directory, SetAttr { size: Some(_), .. }) => {
                    return Err(Error::new(Errno::EISDIR, "a directory has no length that can be set"));
                }
                (Kind::Symlink, SetAttr { size: Some(_), .. }) => {
                    return Err(Error::new(Errno::EINVAL, "a symbolic link has no length that can be set"));
                }
                (Kind::Symlink, SetAttr { mode: Some(_), .. }) => {
                    return Err(Error::new(Errno::EOPNOTSUPP, "a symbolic link has no permissions"));
                }
                _ => {}
            }
            if let Some(mode) = set.mode {
                record.mode = record.kind().bits() | mode & MODE_MASK;
            }
            record.uid = set.uid.unwrap_or(record.uid);
            record.gid = set.gid.unwrap_or(record.gid);
            record.ctime = now;
            if let Some(size) = set.size {
                content::resize(work, &record, self.chunk_size(record.chunk_size), size)?;
                record.set_mtime(now, now);
            }
            if let Some(mtime) = set.mtime {
                record.set_mtime(mtime, now);
            }
            work.patch(&found.slot, &found.held, &record, &[])?;
            Ok((known, written, record.mtime))
        });
        let (node, written, mtime) = match (done, set) {
            (Err(error), SetAttr { size: Some(size), mode: None, uid: None, gid: None, mtime: None })
                if error.errno == Errno::ENOSPC =>
            {
                return self.shrink(at, *size, error);
            }
            (done, _) => done?,
        };
        if let Some(node) = at.node().or(node.as_deref()) {
            if let Some(mode) = set.mode {
                node.note_mode(mode);
            }
            node.times.stored(mtime);
            // What was written to since then is another time.
            if written.is_some() {
                node.times.settled(written);
            }
        }
        Ok(())
    }

    /// A file is no program any more that runs as another.
    pub(crate) fn lose_set_ids(&self, at: &At<'_>) -> Result<()> {
        self.with(at, |work, found| {
            let record = &found.held.record;
            let mode = record.kind().bits() | without_set_ids(record.mode);
            work.patch(&found.slot, &found.held, &Record { mode, ctime: Time::now(), ..*record }, &[])
        })
    }

    /// Shortens a file where there is no room to note when: that is stored later. What makes room must not need any.
    fn shrink(&self, at: &At<'_>, size: u64, refused: Error) -> Result<()> {
        let work = self.plain();
        let found = self.patiently(|| work.find_at(at))?;
        let record = &found.held.record;
        let before = self.size(&work, record)?;
        if before <= size {
            return Err(refused);
        }
        if size == 0 {
            work.remove_object(record.oid)?;
        } else {
            work.array(record.oid, self.chunk_size(record.chunk_size))?.punch(size, before - size)?;
        }
        if self.size(&work, record)? < size {
            // It ends with a hole, which takes a byte to tell.
            return Err(refused);
        }
        if let Some(node) = self.table.get(found.oid()) {
            node.times.touch(Time::now());
        }
        Ok(())
    }

    /// Makes holes in a file, or zeros, which are the same but for what is behind the end.
    pub(crate) fn punch(&self, at: &At<'_>, (from, len): (u64, u64), grow: bool) -> Result<()> {
        let end = if grow { content::check_end(from, len)? } else { from.saturating_add(len) };
        let found = self.patiently(|| self.plain().find_at(at))?;
        if found.kind() == Kind::File {
            self.punch_ahead(&found.held.record, from, end)?;
        }
        let now = Time::now();
        self.with(at, |work, found| {
            let mut record = found.held.record;
            let chunk_size = self.chunk_size(record.chunk_size);
            content::punch(work, &record, chunk_size, from, len)?;
            if grow && self.size(work, &record)? < end {
                content::resize(work, &record, chunk_size, end)?;
            }
            record.set_mtime(now, now);
            record.ctime = now;
            work.patch(&found.slot, &found.held, &record, &[])
        })?;
        at.node().inspect(|node| node.times.stored(now));
        Ok(())
    }

    /// Makes a file at least so long.
    pub(crate) fn grow(&self, at: &At<'_>, size: u64) -> Result<()> {
        content::check_end(size, 0)?;
        let now = Time::now();
        let grown = self.with(at, |work, found| {
            let mut record = found.held.record;
            if self.size(work, &record)? >= size {
                return Ok(false);
            }
            content::resize(work, &record, self.chunk_size(record.chunk_size), size)?;
            record.set_mtime(now, now);
            record.ctime = now;
            work.patch(&found.slot, &found.held, &record, &[]).map(|()| true)
        })?;
        at.node().filter(|_| grown).inspect(|node| node.times.stored(now));
        Ok(())
    }
}

impl Dfs {
    /// What is known of something.
    pub fn stat(&self, at: At<'_>) -> Result<Attr> {
        let shared = &*self.shared;
        shared.check()?;
        shared.patiently(|| {
            let work = shared.plain();
            let found = work.find_at(&at)?;
            shared.attr(&work, &found, at.node())
        })
    }

    /// The same, of a directory as it was at most so long ago, and how long ago that was. What this mount did since is seen at once, what
    /// another did is not.
    pub fn stat_lately(&self, at: At<'_>, within: Duration) -> Result<(Attr, Duration)> {
        let At::Dir(Dir { node }) = at else { return Ok((self.stat(at)?, Duration::ZERO)) };
        let shared = &*self.shared;
        shared.check()?;
        let (begun, changes) = (Instant::now(), shared.directories.count());
        if let Some((record, age)) = node.record.get(begun, within, changes) {
            let attr = shared.attr_of(&record, Some(node), 0);
            // A time that was in memory may be stored by now, and in this record is the one before.
            if shared.directories.count() == changes {
                return Ok((attr, age));
            }
        }
        shared.patiently(|| {
            let found = shared.plain().locate(node)?;
            node.record.put(found.held.record, begun, changes);
            Ok((shared.attr_of(&found.held.record, Some(node), 0), Duration::ZERO))
        })
    }

    /// What was seen a moment ago is not told again.
    pub fn forget_recent(&self) {
        self.shared.directories.add();
        self.shared.xattrs.add();
    }

    /// Changes what is known of something, all of it or nothing. A file loses what is behind a new size.
    pub fn set_attr(&self, at: At<'_>, set: &SetAttr) -> Result<()> {
        self.shared.writable()?;
        self.shared.set_attr(&at, set)
    }

    /// Sets, of a directory, the bytes of a chunk and the class that are given to what is made in it from now on; `None` leaves it to
    /// the file system. `EOPNOTSUPP` for all else.
    pub fn set_defaults(&self, dir: &Dir, chunk_size: Option<u64>, class: Option<ObjectClass>) -> Result<()> {
        let shared = &*self.shared;
        shared.writable()?;
        if let Some(chunk_size) = chunk_size {
            superblock::check_chunk_size(chunk_size)?;
        }
        if let Some(class) = class {
            class.redundancy().map_err(|error| Error::new(Errno::EINVAL, error.to_string()))?;
        }
        let defaults =
            crate::node::Defaults { chunk_size: chunk_size.unwrap_or(0), class: classes::id_of(class) };
        shared.with(&At::Dir(dir), |work, found| {
            let (chunk_size, class) = (defaults.chunk_size, defaults.class);
            let record = Record { chunk_size, class, ctime: Time::now(), ..found.held.record };
            work.patch(&found.slot, &found.held, &record, &[])
        })?;
        dir.node.set_defaults(defaults);
        Ok(())
    }

    /// The value of an extended attribute. `ENODATA` if there is none.
    pub fn xattr(&self, at: At<'_>, name: &[u8]) -> Result<Vec<u8>> {
        let shared = &*self.shared;
        shared.check()?;
        let akey = xattr_akey(name)?;
        shared.patiently(|| {
            let work = shared.plain();
            // Nearly always it lies beside a record that is where it is looked for: one question.
            let slot = match at {
                At::Entry(dir, name) => {
                    check_name(name)?;
                    Slot::entry(dir.node.oid, name)
                }
                At::Dir(Dir { node }) => Slot::of(node),
                At::File(file) => Slot::of(file.node()),
            };
            let is_it = |record: &Record| {
                let same = |node: &Node| (record.oid, record.kind()) == (node.oid, node.kind);
                !record.is_linked() && at.node().is_none_or(same)
            };
            if let Some((held, value)) = work.read_beside(&slot, &akey)?
                && is_it(&held.record)
            {
                return value.ok_or_else(|| Error::new(Errno::ENODATA, none_such(name)));
            }
            let found = work.find_at(&at)?;
            let mut value: Vec<u8> = Vec::new();
            let mut iods = [FetchIod::new(&akey, FetchValue::Single(&mut value))];
            let fetched = work.object(found.slot.oid)?.fetch(&found.slot.dkey, &mut iods, Cond::AKEY_FETCH);
            fetched.map_err(|error| no_attribute(error.into(), name))?;
            Ok(value)
        })
    }

    /// The names of all extended attributes.
    pub fn xattrs(&self, at: At<'_>) -> Result<Vec<Vec<u8>>> {
        let shared = &*self.shared;
        shared.check()?;
        shared.patiently(|| {
            let work = shared.plain();
            let found = work.find_at(&at)?;
            let akeys = work.akeys(&found.slot)?;
            Ok(akeys.iter().filter_map(|akey| akey.strip_prefix(XATTR_PREFIX)).map(<[u8]>::to_vec).collect())
        })
    }

    /// Sets an extended attribute.
    pub fn set_xattr(&self, at: At<'_>, name: &[u8], value: &[u8], how: XattrSet) -> Result<()> {
        let shared = &*self.shared;
        shared.writable()?;
        let akey = xattr_akey(name)?;
        if value.len() > XATTR_VALUE_LEN_MAX {
            let message = format!(
                "a value of {} bytes for attribute {}; at most {XATTR_VALUE_LEN_MAX}",
                value.len(),
                shown(name)
            );
            return Err(Error::new(Errno::E2BIG, message));
        }
        let cond = match how {
            XattrSet::Any => Cond::NONE,
            XattrSet::Create => Cond::AKEY_INSERT,
            XattrSet::Replace => Cond::AKEY_UPDATE,
        };
        let now = Time::now();
        let done = shared.with(&at, |work, found| {
            let record = Record { ctime: now, ..found.held.record };
            let iod = Iod { cond, ..Iod::new(&akey, IodValue::Single(value)) };
            work.patch(&found.slot, &found.held, &record, &[iod]).map_err(|error| {
                no_attribute(error, name)
                    .meaning(Der::Exist, Errno::EEXIST, || format!("attribute {} is there", shown(name)))
            })
        });
        shared.xattrs.add();
        done
    }

    /// Removes an extended attribute. `ENODATA` if there is none.
    pub fn remove_xattr(&self, at: At<'_>, name: &[u8]) -> Result<()> {
        let shared = &*self.shared;
        shared.writable()?;
        let akey = xattr_akey(name)?;
        let now = Time::now();
        shared.with(&at, |work, found| {
            let akeys = [&akey[..]];
            let punched =
                work.object(found.slot.oid)?.punch(Punched::Akeys(&found.slot.dkey, &akeys), Cond::PUNCH);
            punched.map_err(|error| no_attribute(error.into(), name))?;
            let record = Record { ctime: now, ..found.held.record };
            work.patch(&found.slot, &found.held, &record, &[])
        })
    }
}

fn no_attribute(error: Error, name: &[u8]) -> Error {
    error.meaning(Der::Nonexist, Errno::ENODATA, || none_such(name))
}

fn none_such(name: &[u8]) -> String {
    format!("there is no attribute {}", shown(name))
}
