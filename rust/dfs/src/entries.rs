//! Looking names up, and making what is behind them.

use crate::attr::{At, Attr};
use crate::errno::{Errno, Error, Result};
use crate::file::{File, Rights};
use crate::mount::{Dfs, Dir, Shared};
use crate::names::{CAPABILITY_AKEY, check_link_value, check_name, shown};
use crate::node::{Defaults, Moment, Node, Opened, Place};
use crate::record::{Kind, Record, Time};
use crate::superblock::{self, Consistency};
use crate::work::{Content, Found, Slot};
use daos_locks::RwLockReadGuard;
use daos_placement::ObjectClass;
use daos_types::ObjectId;
use std::sync::Arc;
use std::time::Instant;

/// How often one looks again for what others make and remove.
const AGAIN_MAX: usize = 64;

/// What is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct New {
    /// Permissions.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Of a file, bytes of a chunk; of a directory, of files in it. As the directory says if nothing is said here.
    pub chunk_size: Option<u64>,
    /// The class of the object.
    pub class: Option<ObjectClass>,
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::struct_excessive_bools)] // each is a flag of open(2)
pub struct OpenFlags {
    /// To be read.
    pub read: bool,
    /// To be written.
    pub write: bool,
    /// What is written goes to its end.
    pub append: bool,
    /// Make it if it is not there.
    pub create: bool,
    /// With `create`: only if it is not there.
    pub exclusive: bool,
    /// Without its content.
    pub truncate: bool,
}

/// What a name leads to, its size left aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Its object id; nil for a symbolic link that never had several names.
    pub oid: ObjectId,
    /// Kind and permissions.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Where a symbolic link leads; empty for all else.
    pub value: Vec<u8>,
}

impl Entry {
    /// What the rules of access look at.
    pub fn guarded(&self) -> crate::access::Guarded {
        crate::access::Guarded { mode: self.mode, uid: self.uid, gid: self.gid }
    }
}

pub(crate) fn absent(name: &[u8]) -> Error {
    Error::new(Errno::ENOENT, format!("there is no {}", shown(name)))
}

/// Refuses what is made by names that nothing has.
pub(crate) fn removed() -> Error {
    Error::new(Errno::ENOENT, "the directory was removed")
}

impl Shared {
    /// The record of something new.
    fn new_record(&self, kind: Kind, parent: &Node, new: &New) -> Result<Record> {
        let Defaults { chunk_size, class } = parent.defaults();
        if let Some(chunk_size) = new.chunk_size {
            superblock::check_chunk_size(chunk_size)?;
        }
        let oid = match kind {
            Kind::Symlink => ObjectId::default(),
            kind => {
                let class = self.class_of_new(kind, new.class, parent.defaults());
                self.new_oid(kind, class)?
            }
        };
        let mut record = Record::new(kind, new.mode, oid, (new.uid, new.gid), Time::now());
        match kind {
            Kind::File => record.chunk_size = new.chunk_size.unwrap_or(chunk_size),
            Kind::Directory => {
                record.chunk_size = new.chunk_size.unwrap_or(chunk_size);
                record.class = new.class.map_or(class, |class| crate::classes::id_of(Some(class)));
            }
            Kind::Symlink => {}
        }
        Ok(record)
    }

    /// Keeps a directory from being removed, until what this answers is dropped. `ENOENT` if it was.
    pub(crate) fn alive<'n>(&self, directory: &'n Node) -> Result<RwLockReadGuard<'n, bool>> {
        let live = directory.live.read();
        if !*live {
            return Err(removed());
        }
        if directory.is_doubtful() {
            match self.patiently(|| self.plain().locate(directory)) {
                Err(error) if error.errno == Errno::ESTALE => return Err(removed()),
                found => found?,
            };
            directory.is_there();
        }
        Ok(live)
    }

    /// Makes an entry that must not be there. One request, nothing is read, but in a balanced file system.
    fn insert(&self, parent: &Arc<Node>, name: &[u8], record: &Record, content: &Content) -> Result<()> {
        let live = self.alive(parent)?;
        let slot = Slot::entry(parent.oid, name);
        match self.superblock.consistency {
            Consistency::Relaxed => self.plain().insert(&slot, record, content)?,
            Consistency::Balanced => self.patiently(|| {
                self.atomically(|work| {
                    work.locate(parent)?;
                    work.insert(&slot, record, content)
                })
            })?,
        }
        drop(live);
        self.touch_directory(parent);
        Ok(())
    }

    /// Looks a name up, and takes note of what is open there.
    fn open_found(&self, parent: &Arc<Node>, name: &[u8], capable: bool) -> Result<(Found, Opened)> {
        for _ in 0..AGAIN_MAX {
            let looked = self.table.moment();
            let (begun, changes) = (Instant::now(), self.xattrs.count());
            let slot = Slot::entry(parent.oid, name);
            let beside = if capable { self.plain().read_beside(&slot, CAPABILITY_AKEY)? } else { None };
            let (found, incapable) = match beside {
                Some((entry, value)) if !entry.record.is_linked() => {
                    (Found { entry, slot, held: entry }, value.is_none())
                }
                _ => (self.plain().find(&slot)?.ok_or_else(|| absent(name))?, false),
            };
            match found.kind() {
                Kind::File => {}
                Kind::Directory => {
                    return Err(Error::new(Errno::EISDIR, format!("{} is a directory", shown(name))));
                }
                Kind::Symlink => {
                    return Err(Error::new(Errno::ELOOP, format!("{} is a symbolic link", shown(name)))
                        .hint("open what it leads to"));
                }
            }
            let place = if found.entry.record.is_linked() {
                Place::Inode
            } else {
                Place::Entry(Arc::clone(parent), name.to_vec())
            };
            if let Some(opened) = self.table.open(found.oid(), place, looked)? {
                opened.0.note_mode(found.held.record.mode);
                opened.0.times.saw(found.held.record.mtime);
                if incapable {
                    opened.0.incapable.put((), begun, changes);
                }
                return Ok((found, opened));
            }
        }
        Err(Error::new(Errno::EBUSY, format!("{} is made and removed all the time", shown(name))))
    }
}

impl Shared {
    /// The directory that a name leads to, if it is one.
    pub(crate) fn directory_of(
        &self,
        parent: &Dir,
        name: &[u8],
        found: &Found,
        looked: Moment,
    ) -> Option<Dir> {
        let Record { oid, chunk_size, class, .. } = found.held.record;
        (found.kind() == Kind::Directory).then(|| {
            let place = Place::Entry(Arc::clone(&parent.node), name.to_vec());
            Dir { node: self.table.directory(oid, place, Defaults { chunk_size, class }, looked) }
        })
    }
}

impl Dfs {
    /// What a name leads to; a symbolic link is not followed.
    pub fn lookup(&self, parent: &Dir, name: &[u8]) -> Result<Entry> {
        self.shared.check()?;
        check_name(name)?;
        let found = self.shared.plain().find_link(&Slot::entry(parent.node.oid, name))?;
        let (found, value) = found.ok_or_else(|| absent(name))?;
        let Record { mode, uid, gid, oid, .. } = found.held.record;
        Ok(Entry { kind: found.kind(), oid, mode, uid, gid, value })
    }

    /// All that is known of what a name leads to, and, if that is a directory, the directory: one look at the record. A symbolic link
    /// is not followed.
    pub fn look(&self, parent: &Dir, name: &[u8]) -> Result<(Attr, Option<Dir>)> {
        let shared = &*self.shared;
        shared.check()?;
        check_name(name)?;
        let looked = shared.table.moment();
        let work = shared.plain();
        let found = work.find(&Slot::entry(parent.node.oid, name))?.ok_or_else(|| absent(name))?;
        let attr = shared.attr(&work, &found, None)?;
        Ok((attr, shared.directory_of(parent, name, &found, looked)))
    }

    /// A directory by its name. `ENOTDIR` if it is none.
    pub fn open_dir(&self, parent: &Dir, name: &[u8]) -> Result<Dir> {
        Ok(self.lookup_dir(parent, name)?.0)
    }

    /// What a name leads to, and, if that is a directory, the directory.
    pub(crate) fn walk(&self, parent: &Dir, name: &[u8]) -> Result<(Entry, Option<Dir>)> {
        check_name(name)?;
        let shared = &self.shared;
        let looked = shared.table.moment();
        let found = shared.plain().find_link(&Slot::entry(parent.node.oid, name))?;
        let (found, value) = found.ok_or_else(|| absent(name))?;
        let Record { mode, uid, gid, oid, .. } = found.held.record;
        let dir = shared.directory_of(parent, name, &found, looked);
        Ok((Entry { kind: found.kind(), oid, mode, uid, gid, value }, dir))
    }

    fn lookup_dir(&self, parent: &Dir, name: &[u8]) -> Result<(Dir, Entry)> {
        self.shared.check()?;
        let (entry, dir) = self.walk(parent, name)?;
        let dir =
            dir.ok_or_else(|| Error::new(Errno::ENOTDIR, format!("{} is no directory", shown(name))))?;
        Ok((dir, entry))
    }

    /// Opens a file, and makes it if that is wanted. `ELOOP` for a symbolic link: the caller follows it.
    ///
    /// One request makes a file: of several makers one is first, and with `exclusive` all others get `EEXIST`.
    pub fn open(&self, parent: &Dir, name: &[u8], flags: OpenFlags, new: &New) -> Result<File> {
        self.open_looking(parent, name, flags, new, false)
    }

    /// Opens a file that is there, to be read and written, and looks whether it has capabilities, which are asked for before it is
    /// written to: [`File::is_incapable`].
    pub fn open_to_write(&self, parent: &Dir, name: &[u8]) -> Result<File> {
        let flags = OpenFlags { read: true, write: true, ..OpenFlags::default() };
        self.open_looking(parent, name, flags, &New::default(), true)
    }

    fn open_looking(
        &self,
        parent: &Dir,
        name: &[u8],
        flags: OpenFlags,
        new: &New,
        capable: bool,
    ) -> Result<File> {
        let shared = &self.shared;
        shared.check()?;
        check_name(name)?;
        let OpenFlags { read, write, append, create, exclusive, truncate } = flags;
        let write = write || append;
        if write || truncate {
            shared.writable()?;
        }
        let rights = Rights { read, write, append };
        for _ in 0..AGAIN_MAX {
            if create {
                // Of a file system that cannot be changed, what is there can still be opened.
                match if shared.is_read_only() {
                    Err(shared.exists(parent, name))
                } else {
                    self.create(parent, name, rights, new).map(|(file, _)| file)
                } {
                    Err(error) if error.errno == Errno::EEXIST && !exclusive => {}
                    outcome => return outcome,
                }
            }
            let (found, opened) = match shared.open_found(&parent.node, name, capable) {
                Err(error) if error.errno == Errno::ENOENT && create => continue,
                outcome => outcome?,
            };
            let file = File::new(shared, opened, rights, shared.chunk_size(found.held.record.chunk_size))?;
            if truncate {
                shared.truncate(&At::File(&file), 0)?;
            }
            return Ok(file);
        }
        Err(Error::new(Errno::EBUSY, format!("{} is made and removed all the time", shown(name))))
    }

    /// Makes a file that must not be there, to be read and written; it, and what is known of it, which takes no further request.
    pub fn make(&self, parent: &Dir, name: &[u8], new: &New) -> Result<(File, Attr)> {
        self.shared.writable()?;
        check_name(name)?;
        let rights = Rights { read: true, write: true, append: false };
        let (file, record) = self.create(parent, name, rights, new)?;
        let attr = self.shared.attr_of(&record, Some(file.node()), 0);
        Ok((file, attr))
    }

    /// Makes a file and opens it.
    fn create(&self, parent: &Dir, name: &[u8], rights: Rights, new: &New) -> Result<(File, Record)> {
        let shared = &self.shared;
        let record = shared.new_record(Kind::File, &parent.node, new)?;
        // Known before it is there, so that nobody can free it in between.
        let place = Place::Entry(Arc::clone(&parent.node), name.to_vec());
        let opened = shared.table.open(record.oid, place, shared.table.moment())?;
        let opened = opened.ok_or_else(|| Error::new(Errno::EIO, "a new object id was given before"))?;
        opened.0.note_mode(record.mode);
        opened.0.times.saw(record.mtime);
        opened.0.incapable.put((), Instant::now(), shared.xattrs.count());
        let file = File::new(shared, opened, rights, shared.chunk_size(record.chunk_size))?;
        shared.insert(&parent.node, name, &record, &Content::default())?;
        Ok((file, record))
    }

    /// Makes a directory. `EEXIST` if the name is taken.
    pub fn mkdir(&self, parent: &Dir, name: &[u8], new: &New) -> Result<Dir> {
        let shared = &self.shared;
        shared.writable()?;
        check_name(name)?;
        let record = shared.new_record(Kind::Directory, &parent.node, new)?;
        let looked = shared.table.moment();
        shared.insert(&parent.node, name, &record, &Content::default())?;
        let Record { oid, chunk_size, class, .. } = record;
        let place = Place::Entry(Arc::clone(&parent.node), name.to_vec());
        Ok(Dir { node: shared.table.directory(oid, place, Defaults { chunk_size, class }, looked) })
    }

    /// Makes a symbolic link. Where it leads is not looked at.
    pub fn symlink(&self, parent: &Dir, name: &[u8], value: &[u8], new: &New) -> Result<()> {
        let shared = &self.shared;
        shared.writable()?;
        check_name(name)?;
        check_link_value(value)?;
        let mut record = shared.new_record(Kind::Symlink, &parent.node, &New { mode: 0o777, ..*new })?;
        record.value_len = value.len() as u64;
        shared.insert(&parent.node, name, &record, &Content::of_link(value))
    }

    /// Where a symbolic link leads. `EINVAL` if it is none.
    pub fn readlink(&self, parent: &Dir, name: &[u8]) -> Result<Vec<u8>> {
        let entry = self.lookup(parent, name)?;
        match entry.kind {
            Kind::Symlink => Ok(entry.value),
            _ => Err(Error::new(Errno::EINVAL, format!("{} is no symbolic link", shown(name)))),
        }
    }

    /// What is known of the root directory.
    pub fn root_attr(&self) -> Result<Attr> {
        self.stat(At::Dir(&self.root()))
    }
}

impl Shared {
    /// Why something cannot be made where nothing can: it is there, or the file system is read-only.
    fn exists(&self, parent: &Dir, name: &[u8]) -> Error {
        match self.plain().find(&Slot::entry(parent.node.oid, name)) {
            Ok(Some(_)) => Error::new(Errno::EEXIST, format!("{} is there", shown(name))),
            Ok(None) => Error::new(Errno::EROFS, "the file system is mounted read-only"),
            Err(error) => error,
        }
    }
}
