//! Paths, on behalf of somebody: DAOS's `dfs_sys`, with the rules of POSIX.

mod walk;

use crate::access::{self, Credentials, EXECUTE, Guarded, READ, WRITE};
use crate::attr::{At, Attr, SetAttr, XattrSet};
use crate::entries::{Entry, New, OpenFlags};
use crate::errno::{Errno, Error, Result};
use crate::file::File;
use crate::mount::{Dfs, Dir};
use crate::names::shown;
use crate::record::{Kind, Time};
use crate::rename::Rename;
use daos_placement::ObjectClass;
use walk::{Follow, Last, Nameless, Step, Walked, exists, last_name, no_directory, split};

/// How often a file is looked for again that others make and remove.
const AGAIN_MAX: usize = 64;
/// How often a path is walked again on which another mount moved something.
const STALE_MAX: usize = 8;

/// A file system as somebody uses it. Relative paths begin at the root, and no path leads out of it.
#[derive(Debug, Clone)]
pub struct Paths {
    dfs: Dfs,
    who: Credentials,
}

/// How something is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Open {
    /// As files are.
    pub flags: OpenFlags,
    /// `ELOOP` if the last name is that of a symbolic link.
    pub no_follow: bool,
    /// `ENOTDIR` if it is no directory.
    pub directory: bool,
    /// Permissions of what is made.
    pub mode: u32,
    /// Bytes of a chunk of a file that is made.
    pub chunk_size: Option<u64>,
    /// The class of a file that is made.
    pub class: Option<ObjectClass>,
}

/// What was opened.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // nobody has many of them that are not files
pub enum Handle {
    /// A file.
    File(File),
    /// A directory.
    Dir(Dir),
}

impl Paths {
    /// A file system as somebody uses it.
    pub fn new(dfs: Dfs, who: Credentials) -> Self {
        Self { dfs, who }
    }

    /// The file system.
    pub fn dfs(&self) -> &Dfs {
        &self.dfs
    }

    fn may(&self, what: Guarded, asked: u32, path: &[u8]) -> Result<()> {
        access::may(&self.who, what, asked)
            .map_err(|error| Error { message: format!("{}: {}", shown(path), error.message), ..error })
    }

    /// What somebody makes in a directory.
    fn new_in(&self, top: &Step, kind: Kind, mode: u32) -> New {
        let (uid, gid, mode) = access::of_new(&self.who, top.guarded, kind, mode);
        New { mode, uid, gid, ..New::default() }
    }

    /// Runs what walks a path, again if another mount moved a directory of it meanwhile.
    fn again<T>(mut run: impl FnMut() -> Result<T>) -> Result<T> {
        let mut outcome = run();
        for _ in 1..STALE_MAX {
            match outcome {
                Err(error) if error.errno == Errno::ESTALE => outcome = run(),
                _ => break,
            }
        }
        outcome
    }

    fn may_add(&self, top: &Step, path: &[u8]) -> Result<()> {
        self.may(top.guarded, WRITE | EXECUTE, path)
    }

    /// What is known of something; a last symbolic link is followed.
    pub fn stat(&self, path: &[u8]) -> Result<Attr> {
        Self::again(|| match self.stat_entry(path)? {
            Some(attr) if attr.kind != Kind::Symlink => Ok(attr),
            _ => self.dfs.stat(self.there(path, true)?.at()),
        })
    }

    /// What is known of something; a last symbolic link is not followed.
    pub fn lstat(&self, path: &[u8]) -> Result<Attr> {
        Self::again(|| match self.stat_entry(path)? {
            Some(attr) => Ok(attr),
            None => self.dfs.stat(self.there(path, false)?.at()),
        })
    }

    /// What is known of the entry that a path ends with: to walk to it would look it up once more. `None` for a path that ends with
    /// no name, or with a slash.
    fn stat_entry(&self, path: &[u8]) -> Result<Option<Attr>> {
        let Some((above, name)) = last_name(path) else { return Ok(None) };
        let Walked { top, last } = self.walk(above, Follow::Always)?;
        let (dir, guarded) = match last {
            Last::Here(_) => (top.dir, top.guarded),
            Last::Name(_, Some((entry, Some(dir))), _) => (dir, entry.guarded()),
            Last::Name(_, Some(_), _) => return Err(no_directory(above)),
            Last::Name(_, None, _) => {
                return Err(Error::new(Errno::ENOENT, format!("there is no {}", shown(above))));
            }
        };
        self.may(guarded, EXECUTE, path)?;
        self.dfs.stat(At::Entry(&dir, name)).map(Some)
    }

    /// Whether something is there, and may be used for all that `asked` says: `READ`, `WRITE`, `EXECUTE` of [`access`], or 0.
    pub fn access(&self, path: &[u8], asked: u32) -> Result<()> {
        let there = self.there(path, true)?;
        if asked & WRITE != 0 && self.dfs.is_read_only() {
            return Err(Error::new(Errno::EROFS, "the file system is mounted read-only"));
        }
        self.may(there.guarded, asked, path)
    }

    /// Opens a file or directory, and makes a file if that is wanted.
    pub fn open(&self, path: &[u8], open: &Open) -> Result<Handle> {
        Self::again(|| self.open_once(path, open))
    }

    fn open_once(&self, path: &[u8], open: &Open) -> Result<Handle> {
        let OpenFlags { create, exclusive, truncate, write, append, read } = open.flags;
        if create && open.directory {
            return Err(
                Error::new(Errno::EINVAL, "a directory is not made by opening it").hint("make it before")
            );
        }
        let follow = match (create, open.no_follow || (create && exclusive)) {
            (true, false) => Follow::WithoutSlash,
            (true, true) => Follow::Never,
            (false, true) => Follow::WithSlash,
            (false, false) => Follow::Always,
        };
        let changes = write || append || truncate;
        for _ in 0..AGAIN_MAX {
            let Walked { top, last } = self.walk(path, follow)?;
            let (name, found, slash) = match last {
                Last::Here(_) => (None, Some((Kind::Directory, top.guarded, Some(top.dir.clone()))), false),
                Last::Name(name, found, slash) => {
                    let found = found.map(|(entry, dir)| (entry.kind, entry.guarded(), dir));
                    (Some(name), found, slash)
                }
            };
            if create && slash {
                return Err(Error::new(Errno::EISDIR, format!("{} would be a directory", shown(path))));
            }
            let Some((kind, guarded, dir)) = found else {
                let name = name.unwrap_or_default();
                if !create {
                    return Err(Error::new(Errno::ENOENT, format!("there is no {}", shown(path))));
                }
                self.may_add(&top, path)?;
                let new = New {
                    chunk_size: open.chunk_size,
                    class: open.class,
                    ..self.new_in(&top, Kind::File, open.mode)
                };
                // Whoever comes first: what another has made is looked at again, as to who may open it.
                match self.dfs.open(&top.dir, &name, OpenFlags { exclusive: true, ..open.flags }, &new) {
                    Err(error) if error.errno == Errno::EEXIST && !exclusive => continue,
                    opened => {
                        let file = opened?;
                        if !self.who.is_privileged() {
                            file.is_a_users(false)?;
                        }
                        return Ok(Handle::File(file));
                    }
                }
            };
            if create && exclusive {
                return Err(exists(path));
            }
            match kind {
                Kind::Directory => {
                    if changes || create {
                        return Err(Error::new(Errno::EISDIR, format!("{} is a directory", shown(path))));
                    }
                    self.may(guarded, READ, path)?;
                    return dir.map(Handle::Dir).ok_or_else(|| no_directory(path));
                }
                Kind::Symlink if open.directory => return Err(no_directory(path)),
                Kind::Symlink => {
                    return Err(Error::new(Errno::ELOOP, format!("{} is a symbolic link", shown(path))));
                }
                Kind::File if slash || open.directory => return Err(no_directory(path)),
                Kind::File => {}
            }
            let asked = (u32::from(read) * READ) | (u32::from(changes) * WRITE);
            self.may(guarded, asked, path)?;
            let flags = OpenFlags { create: false, ..open.flags };
            let name = name.unwrap_or_default();
            let file = match self.dfs.open(&top.dir, &name, flags, &New::default()) {
                // It went, or became something else, since it was looked at.
                Err(error) if error.errno == Errno::ENOENT && create => continue,
                opened => opened?,
            };
            if changes && !self.who.is_privileged() {
                file.is_a_users(truncate)?;
            }
            return Ok(Handle::File(file));
        }
        Err(Error::new(Errno::EBUSY, format!("{} is made and removed all the time", shown(path))))
    }

    /// Opens a file. `EISDIR` for a directory.
    pub fn open_file(&self, path: &[u8], open: &Open) -> Result<File> {
        match self.open(path, open)? {
            Handle::File(file) => Ok(file),
            Handle::Dir(_) => Err(Error::new(Errno::EISDIR, format!("{} is a directory", shown(path)))),
        }
    }

    /// Opens a directory, to list it. `ENOTDIR` for all else.
    pub fn open_dir(&self, path: &[u8]) -> Result<Dir> {
        match self.open(path, &Open { directory: true, ..Open::default() })? {
            Handle::Dir(dir) => Ok(dir),
            Handle::File(_) => Err(no_directory(path)),
        }
    }

    /// The names in a directory, in no order.
    pub fn names(&self, path: &[u8]) -> Result<Vec<Vec<u8>>> {
        self.dfs.names(&self.open_dir(path)?)
    }

    /// The free name that a path ends with.
    fn free(&self, path: &[u8], may_have_slash: bool) -> Result<(Step, Vec<u8>)> {
        let Walked { top, last } = self.walk(path, Follow::Never)?;
        match last {
            Last::Here(_) | Last::Name(_, Some(_), _) => Err(exists(path)),
            Last::Name(_, None, true) if !may_have_slash => {
                Err(Error::new(Errno::ENOENT, format!("there is no directory {}", shown(path))))
            }
            Last::Name(name, None, _) => {
                self.may_add(&top, path)?;
                Ok((top, name))
            }
        }
    }

    /// Makes a directory.
    pub fn mkdir(&self, path: &[u8], mode: u32) -> Result<Dir> {
        Self::again(|| {
            let (top, name) = self.free(path, true)?;
            self.dfs.mkdir(&top.dir, &name, &self.new_in(&top, Kind::Directory, mode))
        })
    }

    /// Makes a directory and all above it that are missing; it may be there.
    pub fn mkdir_all(&self, path: &[u8], mode: u32) -> Result<()> {
        let (names, _) = split(path)?;
        let mut so_far: Vec<u8> = Vec::new();
        for name in names {
            so_far.push(b'/');
            so_far.extend_from_slice(&name);
            match self.mkdir(&so_far, mode) {
                Err(error) if error.errno == Errno::EEXIST => {}
                made => drop(made?),
            }
        }
        let there = self.there(path, true)?;
        if there.kind == Kind::Directory { Ok(()) } else { Err(exists(path)) }
    }

    /// Makes a symbolic link.
    pub fn symlink(&self, value: &[u8], path: &[u8]) -> Result<()> {
        Self::again(|| {
            let (top, name) = self.free(path, false)?;
            self.dfs.symlink(&top.dir, &name, value, &self.new_in(&top, Kind::Symlink, 0o777))
        })
    }

    /// Where a symbolic link leads.
    pub fn readlink(&self, path: &[u8]) -> Result<Vec<u8>> {
        let there = self.there(path, false)?;
        match &there.name {
            Some(name) if there.kind == Kind::Symlink => self.dfs.readlink(&there.top.dir, name),
            _ => Err(Error::new(Errno::EINVAL, format!("{} is no symbolic link", shown(path)))),
        }
    }

    /// An entry whose name is to go, or to be another's. `nameless` is the answer to a path that ends with no name.
    fn removable(
        walked: Walked,
        path: &[u8],
        nameless: impl FnOnce(Nameless) -> Errno,
    ) -> Result<(Step, Vec<u8>, Entry)> {
        let Walked { top, last } = walked;
        match last {
            Last::Here(why) => {
                Err(Error::new(nameless(why), format!("{} ends with no name that could go", shown(path))))
            }
            Last::Name(_, None, _) => Err(Error::new(Errno::ENOENT, format!("there is no {}", shown(path)))),
            Last::Name(_, Some((entry, _)), true) if entry.kind != Kind::Directory => Err(no_directory(path)),
            Last::Name(name, Some((entry, _)), _) => Ok((top, name, entry)),
        }
    }

    fn may_remove(&self, top: &Step, entry: &Entry, path: &[u8]) -> Result<()> {
        access::may_remove(&self.who, top.guarded, entry.guarded())
            .map_err(|error| Error { message: format!("{}: {}", shown(path), error.message), ..error })
    }

    /// Removes an empty directory.
    pub fn rmdir(&self, path: &[u8]) -> Result<()> {
        let (top, name, entry) = Self::removable(self.walk(path, Follow::Never)?, path, |why| match why {
            Nameless::Root => Errno::EBUSY,
            Nameless::Dot => Errno::EINVAL,
            Nameless::DotDot => Errno::ENOTEMPTY,
        })?;
        self.may_remove(&top, &entry, path)?;
        self.dfs.rmdir(&top.dir, &name)
    }

    /// Removes the name of a file or symbolic link.
    pub fn unlink(&self, path: &[u8]) -> Result<()> {
        let (top, name, entry) = Self::removable(self.walk(path, Follow::Never)?, path, |_| Errno::EISDIR)?;
        self.may_remove(&top, &entry, path)?;
        self.dfs.unlink(&top.dir, &name)
    }

    /// Removes something with all that is below it. Not one step: what fails leaves the rest.
    pub fn remove_all(&self, path: &[u8]) -> Result<()> {
        let mut left = vec![Self::removable(self.walk(path, Follow::Never)?, path, |_| Errno::EBUSY)?];
        while let Some((top, name, entry)) = left.pop() {
            self.may_remove(&top, &entry, &name)?;
            if entry.kind != Kind::Directory {
                self.dfs.unlink(&top.dir, &name)?;
                continue;
            }
            let (_, dir) = self.dfs.walk(&top.dir, &name)?;
            let dir = dir.ok_or_else(|| no_directory(&name))?;
            match self.dfs.rmdir(&top.dir, &name) {
                Err(error) if error.errno == Errno::ENOTEMPTY => {}
                gone => {
                    gone?;
                    continue;
                }
            }
            let inside = Step { dir, guarded: entry.guarded() };
            self.may(inside.guarded, READ | EXECUTE, &name)?;
            left.push((top, name, entry));
            // A page at a time: what is removed need not be remembered.
            let from = self.dfs.first_anchor(&inside.dir)?;
            for listed in self.dfs.readdir(&inside.dir, &from, 1024, false)?.entries {
                match self.dfs.lookup(&inside.dir, &listed.name) {
                    Ok(entry) => left.push((inside.clone(), listed.name, entry)),
                    Err(error) if error.errno == Errno::ENOENT => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Gives something another name.
    pub fn rename(&self, from: &[u8], to: &[u8], how: Rename) -> Result<()> {
        Self::again(|| self.rename_once(from, to, how))
    }

    fn rename_once(&self, from: &[u8], to: &[u8], how: Rename) -> Result<()> {
        // Both ways are walked before either end is looked at.
        let (walked, Walked { top, last }) = (self.walk(from, Follow::Never)?, self.walk(to, Follow::Never)?);
        if let Last::Here(_) = walked.last {
            return Err(Error::new(Errno::EBUSY, format!("{} has no name of its own", shown(from))));
        }
        let (name, other, slash) = match last {
            Last::Here(_) if how == Rename::NoReplace => return Err(exists(to)),
            Last::Here(_) => {
                return Err(Error::new(Errno::EBUSY, format!("{} has no name of its own", shown(to))));
            }
            Last::Name(name, other, slash) => (name, other, slash),
        };
        let from_is_there = matches!(walked.last, Last::Name(_, Some(_), _));
        if from_is_there && other.is_some() && how == Rename::NoReplace {
            return Err(exists(to));
        }
        if from_is_there && other.is_none() && how == Rename::Exchange {
            return Err(Error::new(Errno::ENOENT, format!("there is no {}", shown(to))));
        }
        let (from_top, from_name, entry) = Self::removable(walked, from, |_| Errno::EBUSY)?;
        let ends = if how == Rename::Exchange {
            other.as_ref().map(|(other, _)| other.kind)
        } else {
            Some(entry.kind)
        };
        if slash && ends != Some(Kind::Directory) {
            return Err(no_directory(to));
        }
        let same = from_top.dir.oid() == top.dir.oid();
        let told = |error: Error| Error { message: format!("{}: {}", shown(from), error.message), ..error };
        access::may_move(&self.who, from_top.guarded, top.guarded, entry.guarded(), same).map_err(told)?;
        if let Some((other, _)) = other {
            self.may_remove(&top, &other, to)?;
            if how == Rename::Exchange {
                let moves = access::may_move(&self.who, top.guarded, from_top.guarded, other.guarded(), same);
                moves.map_err(told)?;
            }
        }
        self.dfs.rename((&from_top.dir, &from_name), (&top.dir, &name), how)
    }

    /// Gives a file or symbolic link a further name; a last symbolic link is followed only if that is wanted.
    pub fn link(&self, from: &[u8], to: &[u8], follow: bool) -> Result<()> {
        Self::again(|| self.link_once(from, to, follow))
    }

    fn link_once(&self, from: &[u8], to: &[u8], follow: bool) -> Result<()> {
        let there = self.there(from, follow)?;
        let (top, name) = self.free(to, false)?;
        match &there.name {
            Some(from) if there.kind != Kind::Directory => {
                self.dfs.link((&there.top.dir, from), (&top.dir, &name))
            }
            _ => Err(Error::new(Errno::EPERM, "a directory has one name")),
        }
    }

    /// Sets permissions.
    pub fn chmod(&self, path: &[u8], mode: u32) -> Result<()> {
        let there = self.there(path, true)?;
        let mode = access::after_chmod(&self.who, there.guarded, mode)?;
        self.dfs.set_attr(there.at(), &SetAttr { mode: Some(mode), ..SetAttr::default() })
    }

    /// Gives something to another owner or group.
    pub fn chown(&self, path: &[u8], uid: Option<u32>, gid: Option<u32>, follow: bool) -> Result<()> {
        let there = self.there(path, follow)?;
        let mode = access::after_chown(&self.who, there.guarded, uid, gid)?;
        let mode = Some(mode).filter(|mode| *mode != there.guarded.mode & crate::record::MODE_MASK);
        let mode = mode.filter(|_| there.kind != Kind::Symlink);
        self.dfs.set_attr(there.at(), &SetAttr { mode, uid, gid, ..SetAttr::default() })
    }

    /// Sets when something changed; `None` is now.
    pub fn set_mtime(&self, path: &[u8], mtime: Option<Time>, follow: bool) -> Result<()> {
        let there = self.there(path, follow)?;
        access::may_set_times(&self.who, there.guarded, mtime.is_none())?;
        let mtime = Some(mtime.unwrap_or_else(Time::now));
        self.dfs.set_attr(there.at(), &SetAttr { mtime, ..SetAttr::default() })
    }

    /// Makes a file exactly so long.
    pub fn truncate(&self, path: &[u8], size: u64) -> Result<()> {
        let there = self.there(path, true)?;
        if there.kind == Kind::Directory {
            return Err(Error::new(Errno::EISDIR, format!("{} is a directory", shown(path))));
        }
        self.may(there.guarded, WRITE, path)?;
        let mode = access::after_write(&self.who, there.guarded);
        let mode = Some(mode).filter(|mode| *mode != there.guarded.mode & crate::record::MODE_MASK);
        self.dfs.set_attr(there.at(), &SetAttr { size: Some(size), mode, ..SetAttr::default() })
    }

    /// The value of an extended attribute.
    pub fn xattr(&self, path: &[u8], name: &[u8], follow: bool) -> Result<Vec<u8>> {
        let there = self.there(path, follow)?;
        access::may_use_xattr(&self.who, there.guarded, name, false)?;
        self.dfs.xattr(there.at(), name)
    }

    /// The names of the extended attributes that one may know of.
    pub fn xattrs(&self, path: &[u8], follow: bool) -> Result<Vec<Vec<u8>>> {
        let there = self.there(path, follow)?;
        let mut names = self.dfs.xattrs(there.at())?;
        names.retain(|name| self.who.is_privileged() || !name.starts_with(b"trusted."));
        Ok(names)
    }

    /// Sets an extended attribute.
    pub fn set_xattr(
        &self,
        path: &[u8],
        name: &[u8],
        value: &[u8],
        how: XattrSet,
        follow: bool,
    ) -> Result<()> {
        let there = self.there(path, follow)?;
        access::may_use_xattr(&self.who, there.guarded, name, true)?;
        self.dfs.set_xattr(there.at(), name, value, how)
    }

    /// Removes an extended attribute.
    pub fn remove_xattr(&self, path: &[u8], name: &[u8], follow: bool) -> Result<()> {
        let there = self.there(path, follow)?;
        access::may_use_xattr(&self.who, there.guarded, name, true)?;
        self.dfs.remove_xattr(there.at(), name)
    }
}
