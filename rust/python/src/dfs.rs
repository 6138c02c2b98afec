//! `Dfs`: a file system that is mounted, and `DfsListing`, a directory that is being listed.

use crate::container::Container;
use crate::dfs_check::{Checked, checked, mode};
use crate::dfs_file::DfsFile;
use crate::embedded::{Embedded, durability_of};
use crate::errors::file_raised;
use crate::lent::Lent;
use daos_dfs::access::Credentials;
use daos_dfs::{
    Anchor, Attr, Consistency, Dir, EntryFix, Errno, Error, FormatOptions, Kind, MountOptions, Open,
    OpenFlags, Paths, Rename, Result, Room, Time, XattrSet,
};
use daos_locks::Mutex;
use daos_placement::ObjectClass;
use daos_types::ObjectId;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::sync::Arc;

/// Nanoseconds of a second.
const SECOND_NS: i64 = 1_000_000_000;

/// Mode, object id, names, owner, group, bytes, blocks, times of access, of content and of the record, bytes of a chunk, class.
pub(crate) type Told = (u32, (u64, u64), u32, u32, u32, u64, u64, i64, i64, i64, u64, Option<String>);
/// A name, and what is known of what it leads to.
type Listed<'py> = (Bound<'py, PyString>, Option<Told>);
/// Bytes of a chunk; class, class of directories, class of files; whether it is balanced; hints.
type Made = (u64, Option<String>, Option<String>, Option<String>, bool, String);

/// A file system that is mounted, as somebody uses it.
#[pyclass(frozen, module = "daos._core")]
pub(crate) struct Dfs {
    paths: Paths,
    /// Who mounted it. What a child of his makes would have the ids of what he makes.
    pid: u32,
}

/// A directory that is being listed.
#[pyclass(frozen, module = "daos._core")]
pub(crate) struct DfsListing {
    dfs: daos_dfs::Dfs,
    dir: Dir,
    path: OsString,
    pid: u32,
    /// Where it goes on; `None` at the end.
    next: Mutex<Option<Anchor>>,
}

/// Refuses what belongs to another process.
pub(crate) fn check_process(pid: u32) -> Result<()> {
    if std::process::id() == pid {
        return Ok(());
    }
    let message = format!("what process {pid} mounted; a forked child cannot use it");
    Err(Error { forked: true, ..Error::new(Errno::ESTALE, message).hint("mount it again in this process") })
}

fn ns(time: Time) -> i64 {
    time.seconds.saturating_mul(SECOND_NS).saturating_add(time.nanoseconds.into())
}

const fn time(ns: i64) -> Time {
    Time { seconds: ns.div_euclid(SECOND_NS), nanoseconds: ns.rem_euclid(SECOND_NS) as u32 }
}

pub(crate) fn told(attr: Attr) -> Told {
    let Attr { oid, mode, links, uid, gid, size, blocks, atime, mtime, ctime, chunk_size, class, .. } = attr;
    let class = class.map(ObjectClass::name);
    let oid = (oid.hi, oid.lo);
    (mode, oid, links, uid, gid, size, blocks, ns(atime), ns(mtime), ns(ctime), chunk_size, class)
}

fn class_of(name: Option<&str>) -> Result<Option<ObjectClass>> {
    let named = name.map(|name| {
        ObjectClass::from_name(name)
            .map_err(|error| Error::new(Errno::EINVAL, error.to_string()).hint("such as S1, S4 or SX"))
    });
    named.transpose()
}

/// How something is opened by the flags of `open(2)`.
fn open_of(flags: i32, mode: u32) -> Open {
    let has = |flag: i32| flags & flag != 0;
    let access = flags & libc::O_ACCMODE;
    let flags = OpenFlags {
        read: access != libc::O_WRONLY,
        write: access != libc::O_RDONLY,
        append: has(libc::O_APPEND),
        create: has(libc::O_CREAT),
        exclusive: has(libc::O_EXCL),
        truncate: has(libc::O_TRUNC),
    };
    Open { flags, no_follow: has(libc::O_NOFOLLOW), mode, ..Open::default() }
}

/// A name as Python has it.
pub(crate) fn name<'py>(py: Python<'py>, name: &[u8]) -> PyResult<Bound<'py, PyString>> {
    // What is UTF-8 needs no look at how this process encodes names.
    match std::str::from_utf8(name) {
        Ok(name) => Ok(PyString::new(py, name)),
        Err(_) => OsStr::from_bytes(name).into_pyobject(py).map_err(Into::into),
    }
}

#[expect(clippy::too_many_arguments, reason = "what a file system is made with")]
fn format_options(
    chunk_size: Option<u64>,
    oclass: Option<&str>,
    dir_oclass: Option<&str>,
    file_oclass: Option<&str>,
    balanced: bool,
    hints: String,
    uid: u32,
    gid: u32,
    mode: Option<u32>,
) -> Result<FormatOptions> {
    Ok(FormatOptions {
        chunk_size,
        class: class_of(oclass)?,
        directory_class: class_of(dir_oclass)?,
        file_class: class_of(file_oclass)?,
        consistency: if balanced { Consistency::Balanced } else { Consistency::Relaxed },
        hints,
        uid,
        gid,
        mode,
    })
}

impl Dfs {
    /// What a call comes to, about one path or two.
    fn call<T: Send>(
        &self,
        py: Python<'_>,
        paths: &[&OsStr],
        run: impl FnOnce(&Paths) -> Result<T> + Send,
    ) -> PyResult<T> {
        py.detach(|| check_process(self.pid).and_then(|()| run(&self.paths)))
            .map_err(|error| file_raised(py, &error, paths))
    }
}

// Arguments that Python hands over are owned by the call.
#[allow(clippy::needless_pass_by_value)]
#[pymethods]
impl Dfs {
    /// Object ids of the superblock and the root of a file system that is made so.
    #[staticmethod]
    #[pyo3(signature = (targets, *, chunk_size, oclass, dir_oclass, file_oclass, hints))]
    fn root_oids(
        py: Python<'_>,
        targets: u32,
        chunk_size: Option<u64>,
        oclass: Option<&str>,
        dir_oclass: Option<&str>,
        file_oclass: Option<&str>,
        hints: String,
    ) -> PyResult<Vec<(u64, u64)>> {
        let options = format_options(chunk_size, oclass, dir_oclass, file_oclass, false, hints, 0, 0, None);
        let oids = options.and_then(|options| daos_dfs::Dfs::root_oids(&options, targets));
        let oids = oids.map_err(|error| file_raised(py, &error, &[]))?;
        Ok(oids.map(|ObjectId { hi, lo }| (hi, lo)).to_vec())
    }

    /// Makes a file system in a container that has none.
    #[staticmethod]
    #[expect(clippy::too_many_arguments, reason = "keywords of a call from Python")]
    #[pyo3(signature = (container, *, chunk_size, oclass, dir_oclass, file_oclass, balanced, hints, uid, gid, mode))]
    fn format(
        py: Python<'_>,
        container: &Container,
        chunk_size: Option<u64>,
        oclass: Option<&str>,
        dir_oclass: Option<&str>,
        file_oclass: Option<&str>,
        balanced: bool,
        hints: String,
        uid: u32,
        gid: u32,
        mode: Option<u32>,
    ) -> PyResult<()> {
        py.detach(|| {
            let options =
                format_options(chunk_size, oclass, dir_oclass, file_oclass, balanced, hints, uid, gid, mode)?;
            daos_dfs::Dfs::format(&container.0, &options)
        })
        .map_err(|error| file_raised(py, &error, &[]))
    }

    /// Writes the superblock of a file system anew that has none that can be read.
    #[staticmethod]
    #[expect(clippy::too_many_arguments, reason = "keywords of a call from Python")]
    #[pyo3(signature = (container, *, chunk_size, oclass, dir_oclass, file_oclass, balanced, hints))]
    fn fix_superblock(
        py: Python<'_>,
        container: &Container,
        chunk_size: Option<u64>,
        oclass: Option<&str>,
        dir_oclass: Option<&str>,
        file_oclass: Option<&str>,
        balanced: bool,
        hints: String,
    ) -> PyResult<()> {
        py.detach(|| {
            let options =
                format_options(chunk_size, oclass, dir_oclass, file_oclass, balanced, hints, 0, 0, None)?;
            daos_dfs::Dfs::fix_superblock(&container.0, &options)
        })
        .map_err(|error| file_raised(py, &error, &[]))
    }

    /// Has the superblock lead to a root directory again; tells whether it did not.
    #[staticmethod]
    #[pyo3(signature = (container, *, root, uid, gid, mode))]
    fn fix_root(
        py: Python<'_>,
        container: &Container,
        root: (u64, u64),
        uid: u32,
        gid: u32,
        mode: u32,
    ) -> PyResult<bool> {
        let root = ObjectId { hi: root.0, lo: root.1 };
        py.detach(|| daos_dfs::Dfs::fix_root(&container.0, root, (uid, gid), mode))
            .map_err(|error| file_raised(py, &error, &[]))
    }

    /// Mounts the file system of a container for a user.
    #[staticmethod]
    #[expect(clippy::too_many_arguments, reason = "keywords of a call from Python")]
    #[pyo3(signature = (container, *, system, read_only, durability, uid, gid, groups))]
    fn mount(
        py: Python<'_>,
        container: &Container,
        system: &Embedded,
        read_only: bool,
        durability: u8,
        uid: u32,
        gid: u32,
        groups: Vec<u32>,
    ) -> PyResult<Self> {
        let system = Arc::clone(&system.system);
        let options = MountOptions {
            read_only,
            epoch: None,
            durability: Some(durability_of(durability)?),
            space: Some(Arc::new(move || system.space())),
        };
        let dfs = py
            .detach(|| daos_dfs::Dfs::mount(Arc::clone(&container.0), options))
            .map_err(|error| file_raised(py, &error, &[]))?;
        let paths = Paths::new(dfs, Credentials { uid, gid, groups });
        Ok(Self { paths, pid: std::process::id() })
    }

    /// Ends the mount; all that was done is durable at return.
    fn umount(&self, py: Python<'_>) -> PyResult<()> {
        self.call(py, &[], |paths| paths.dfs().umount())
    }

    /// Makes durable all that was done.
    fn sync(&self, py: Python<'_>) -> PyResult<()> {
        self.call(py, &[], |paths| paths.dfs().sync())
    }

    /// Makes durable the entries of a directory.
    fn sync_dir(&self, py: Python<'_>, path: OsString) -> PyResult<()> {
        self.call(py, &[&path], |paths| paths.dfs().sync_dir(&paths.open_dir(path.as_bytes())?))
    }

    /// Whether nothing can be changed.
    #[getter]
    fn read_only(&self) -> bool {
        self.paths.dfs().is_read_only()
    }

    /// The version of the layout, as far as it is known.
    #[getter]
    fn layout_version(&self) -> u16 {
        self.paths.dfs().layout_version()
    }

    /// How it was made.
    fn made_as(&self) -> Made {
        let FormatOptions { chunk_size, class, directory_class, file_class, consistency, hints, .. } =
            self.paths.dfs().made_as();
        let name = |class: Option<ObjectClass>| class.map(ObjectClass::name);
        let balanced = consistency == Consistency::Balanced;
        (
            chunk_size.unwrap_or_default(),
            name(class),
            name(directory_class),
            name(file_class),
            balanced,
            hints,
        )
    }

    /// Bytes of a block, blocks, free blocks, bytes of a name.
    fn statfs(&self, py: Python<'_>) -> PyResult<(u64, u64, u64, u64)> {
        let Room { block_size, blocks, blocks_free, name_len_max } =
            self.call(py, &[], |paths| paths.dfs().statfs())?;
        Ok((block_size, blocks, blocks_free, name_len_max))
    }

    /// What is known of something.
    fn stat(&self, py: Python<'_>, path: OsString, follow: bool) -> PyResult<Told> {
        let attr = self.call(py, &[&path], |paths| {
            if follow { paths.stat(path.as_bytes()) } else { paths.lstat(path.as_bytes()) }
        })?;
        Ok(told(attr))
    }

    /// Whether something is there and may be used so.
    fn access(&self, py: Python<'_>, path: OsString, asked: u32) -> PyResult<()> {
        self.call(py, &[&path], |paths| paths.access(path.as_bytes(), asked))
    }

    /// Opens a file, or makes it.
    #[pyo3(signature = (path, flags, mode, chunk_size = None, oclass = None))]
    fn open(
        &self,
        py: Python<'_>,
        path: OsString,
        flags: i32,
        mode: u32,
        chunk_size: Option<u64>,
        oclass: Option<&str>,
    ) -> PyResult<DfsFile> {
        let file = self.call(py, &[&path], |paths| {
            let open = Open { chunk_size, class: class_of(oclass)?, ..open_of(flags, mode) };
            paths.open_file(path.as_bytes(), &open)
        })?;
        Ok(DfsFile::new(file, path, self.pid))
    }

    /// All of a file.
    fn read_file<'py>(&self, py: Python<'py>, path: OsString) -> PyResult<Bound<'py, PyBytes>> {
        let (file, size) = self.call(py, &[&path], |paths| {
            let open = Open { flags: OpenFlags { read: true, ..OpenFlags::default() }, ..Open::default() };
            let file = paths.open_file(path.as_bytes(), &open)?;
            let size = file.size()?;
            Ok((file, size))
        })?;
        let file = DfsFile::new(file, path, self.pid);
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let bytes = file.bytes(py, 0, size)?;
        file.close(py)?;
        Ok(bytes)
    }

    /// Writes a file from its beginning on, opened by these flags; how many bytes, all of them.
    fn write_file(
        &self,
        py: Python<'_>,
        path: OsString,
        data: Lent,
        flags: i32,
        mode: u32,
    ) -> PyResult<usize> {
        let data = data.as_slice();
        self.call(py, &[&path], |paths| {
            let file = paths.open_file(path.as_bytes(), &open_of(flags, mode))?;
            let mut written = 0;
            while let Some(rest) = data.get(written..).filter(|rest| !rest.is_empty()) {
                written += file.write(written as u64, rest)?;
            }
            file.close()?;
            Ok(written)
        })
    }

    /// Makes a directory.
    fn mkdir(&self, py: Python<'_>, path: OsString, mode: u32) -> PyResult<()> {
        self.call(py, &[&path], |paths| paths.mkdir(path.as_bytes(), mode).map(drop))
    }

    /// Makes a directory and those above it.
    fn mkdir_all(&self, py: Python<'_>, path: OsString, mode: u32) -> PyResult<()> {
        self.call(py, &[&path], |paths| paths.mkdir_all(path.as_bytes(), mode))
    }

    /// Removes an empty directory.
    fn rmdir(&self, py: Python<'_>, path: OsString) -> PyResult<()> {
        self.call(py, &[&path], |paths| paths.rmdir(path.as_bytes()))
    }

    /// Removes a name.
    fn unlink(&self, py: Python<'_>, path: OsString) -> PyResult<()> {
        self.call(py, &[&path], |paths| paths.unlink(path.as_bytes()))
    }

    /// Removes something with all below it.
    fn remove_all(&self, py: Python<'_>, path: OsString) -> PyResult<()> {
        self.call(py, &[&path], |paths| paths.remove_all(path.as_bytes()))
    }

    /// Gives something another name: 0 whatever has that, 1 only if it is free, 2 in exchange.
    #[pyo3(signature = (from, to, how, /))]
    fn rename(&self, py: Python<'_>, from: OsString, to: OsString, how: u8) -> PyResult<()> {
        let how = match how {
            0 => Rename::Replace,
            1 => Rename::NoReplace,
            _ => Rename::Exchange,
        };
        self.call(py, &[&from, &to], |paths| paths.rename(from.as_bytes(), to.as_bytes(), how))
    }

    /// Gives a file a further name.
    #[pyo3(signature = (from, to, follow, /))]
    fn link(&self, py: Python<'_>, from: OsString, to: OsString, follow: bool) -> PyResult<()> {
        self.call(py, &[&from, &to], |paths| paths.link(from.as_bytes(), to.as_bytes(), follow))
    }

    /// Makes a symbolic link.
    fn symlink(&self, py: Python<'_>, value: OsString, path: OsString) -> PyResult<()> {
        self.call(py, &[&value, &path], |paths| paths.symlink(value.as_bytes(), path.as_bytes()))
    }

    /// Where a symbolic link leads.
    fn readlink<'py>(&self, py: Python<'py>, path: OsString) -> PyResult<Bound<'py, PyString>> {
        name(py, &self.call(py, &[&path], |paths| paths.readlink(path.as_bytes()))?)
    }

    /// All names in a directory.
    fn names<'py>(&self, py: Python<'py>, path: OsString) -> PyResult<Vec<Bound<'py, PyString>>> {
        let names = self.call(py, &[&path], |paths| paths.names(path.as_bytes()))?;
        names.iter().map(|found| name(py, found)).collect()
    }

    /// Begins a listing of a directory.
    fn listing(&self, py: Python<'_>, path: OsString) -> PyResult<DfsListing> {
        let (dfs, dir, first) = self.call(py, &[&path], |paths| {
            let dir = paths.open_dir(path.as_bytes())?;
            let first = paths.dfs().first_anchor(&dir)?;
            Ok((paths.dfs().clone(), dir, first))
        })?;
        Ok(DfsListing { dfs, dir, path, pid: self.pid, next: Mutex::new(Some(first)) })
    }

    /// Sets permissions.
    fn chmod(&self, py: Python<'_>, path: OsString, mode: u32) -> PyResult<()> {
        self.call(py, &[&path], |paths| paths.chmod(path.as_bytes(), mode))
    }

    /// Gives it to another owner or group.
    fn chown(
        &self,
        py: Python<'_>,
        path: OsString,
        uid: Option<u32>,
        gid: Option<u32>,
        follow: bool,
    ) -> PyResult<()> {
        self.call(py, &[&path], |paths| paths.chown(path.as_bytes(), uid, gid, follow))
    }

    /// Sets when it changed, in nanoseconds since 1970; None is now.
    fn set_mtime(&self, py: Python<'_>, path: OsString, mtime: Option<i64>, follow: bool) -> PyResult<()> {
        self.call(py, &[&path], |paths| paths.set_mtime(path.as_bytes(), mtime.map(time), follow))
    }

    /// Makes a file so long.
    fn truncate(&self, py: Python<'_>, path: OsString, size: u64) -> PyResult<()> {
        self.call(py, &[&path], |paths| paths.truncate(path.as_bytes(), size))
    }

    /// Gives a directory what is made in it from now on: bytes of a chunk and class, those of the file system without.
    fn set_defaults(
        &self,
        py: Python<'_>,
        path: OsString,
        chunk_size: Option<u64>,
        oclass: Option<&str>,
    ) -> PyResult<()> {
        self.call(py, &[&path], |paths| {
            let class = class_of(oclass)?;
            paths.dfs().set_defaults(&paths.open_dir(path.as_bytes())?, chunk_size, class)
        })
    }

    /// The value of an extended attribute.
    fn get_xattr<'py>(
        &self,
        py: Python<'py>,
        path: OsString,
        name: OsString,
        follow: bool,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let value = self.call(py, &[&path], |paths| paths.xattr(path.as_bytes(), name.as_bytes(), follow))?;
        Ok(PyBytes::new(py, &value))
    }

    /// The names of extended attributes.
    fn list_xattrs<'py>(
        &self,
        py: Python<'py>,
        path: OsString,
        follow: bool,
    ) -> PyResult<Vec<Bound<'py, PyString>>> {
        let names = self.call(py, &[&path], |paths| paths.xattrs(path.as_bytes(), follow))?;
        names.iter().map(|found| name(py, found)).collect()
    }

    /// Sets an extended attribute: 0 in any case, 1 only if it is not there, 2 only if it is.
    fn set_xattr(
        &self,
        py: Python<'_>,
        path: OsString,
        name: OsString,
        value: &[u8],
        how: u8,
        follow: bool,
    ) -> PyResult<()> {
        let how = match how {
            0 => XattrSet::Any,
            1 => XattrSet::Create,
            _ => XattrSet::Replace,
        };
        self.call(py, &[&path], |paths| paths.set_xattr(path.as_bytes(), name.as_bytes(), value, how, follow))
    }

    /// Removes an extended attribute.
    fn remove_xattr(&self, py: Python<'_>, path: OsString, name: OsString, follow: bool) -> PyResult<()> {
        self.call(py, &[&path], |paths| paths.remove_xattr(path.as_bytes(), name.as_bytes(), follow))
    }

    /// Repairs the record of an entry: the size of its chunks, its kind. Tells its kind, as bits of a mode.
    fn fix_entry(
        &self,
        py: Python<'_>,
        path: OsString,
        chunk_size: Option<u64>,
        kind: bool,
    ) -> PyResult<u32> {
        let fix = EntryFix { chunk_size, kind };
        self.call(py, &[&path], |paths| paths.fix_entry(path.as_bytes(), fix)).map(Kind::bits)
    }

    /// Looks for what is wrong: 0 tells, 1 removes, 2 gives names.
    fn check<'py>(&self, py: Python<'py>, how: u8, name: Option<OsString>) -> PyResult<Checked<'py>> {
        let name = name.map(OsString::into_vec);
        let report = self.call(py, &[], |paths| paths.dfs().check(mode(how), name.as_deref()))?;
        checked(py, &report)
    }
}

#[pymethods]
impl DfsListing {
    /// The next entries, at most so many, with what is known of each if that is wanted; empty at the end.
    fn page<'py>(&self, py: Python<'py>, count: usize, with_attr: bool) -> PyResult<Vec<Listed<'py>>> {
        let read = || {
            check_process(self.pid)?;
            let mut next = self.next.lock();
            while let Some(from) = next.clone() {
                let page = self.dfs.readdir(&self.dir, &from, count, with_attr)?;
                *next = page.anchor;
                if !page.entries.is_empty() {
                    return Ok(page.entries);
                }
            }
            Ok(vec![])
        };
        let entries = py.detach(read).map_err(|error| file_raised(py, &error, &[&self.path]))?;
        entries.into_iter().map(|entry| Ok((name(py, &entry.name)?, entry.attr.map(told)))).collect()
    }
}
