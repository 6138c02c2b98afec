//! A file system as the kernel asks for it: each request, answered by `daos_dfs`.

mod content;
mod entries;
mod named;
pub(crate) mod nodes;
mod sides;

use crate::abi::{Args, EntryOut, Header, Malformed, NodeAttr, Opcode, Reply};
use crate::ahead::Ahead;
use crate::caching::Caching;
use crate::inodes::{Inodes, Known, Place};
use crate::listing::Listing;
use daos_dfs::{At, Attr, Dfs, Dir, Errno, Error, File, Kind};
use daos_locks::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use named::Rests;
use sides::Hold;
pub(crate) use sides::Sides;

/// How often one looks again for what is renamed all the time.
const AGAIN_MAX: usize = 64;
/// Bytes that a program is told to read and write at once.
const BLOCK_MAX: u64 = 1 << 20;

/// What a request is refused with.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// A number alone.
    Number(i32),
    /// What the file system said.
    Said(Error),
    /// Nothing was begun: at a side door, of a file that the kernel has.
    Later,
}

impl Refusal {
    /// Its number.
    pub(crate) fn number(&self) -> i32 {
        match self {
            Self::Number(number) => *number,
            Self::Said(error) => error.errno.number(),
            Self::Later => libc::EAGAIN,
        }
    }

    /// What a person should know of who looks after the mount: the store failed, not the request.
    pub(crate) fn trouble(&self) -> Option<String> {
        match self {
            Self::Said(error)
                if matches!(
                    error.errno,
                    Errno::EIO | Errno::ETIMEDOUT | Errno::ESHUTDOWN | Errno::ENODEV | Errno::ENOMEM
                ) =>
            {
                Some(error.to_string())
            }
            _ => None,
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Said(error)
    }
}

impl From<Malformed> for Refusal {
    fn from(_: Malformed) -> Self {
        Self::Number(libc::EINVAL)
    }
}

/// What a request comes to.
pub(crate) type Answer<T = ()> = Result<T, Refusal>;

pub(crate) fn no<T>(number: i32) -> Answer<T> {
    Err(Refusal::Number(number))
}

/// A file as one handle has it.
#[derive(Debug)]
struct Opened {
    node: u64,
    file: Arc<File>,
    /// What is written goes to the end, wherever that is by then.
    appends: bool,
    /// What it was opened for.
    reads: bool,
    writes: bool,
    /// Its part in who has the file.
    hold: Hold,
}

/// What is open, by the numbers of its handles.
#[derive(Debug)]
pub(crate) struct Handles<T> {
    next: AtomicU64,
    open: RwLock<HashMap<u64, Arc<T>>>,
}

impl<T> Handles<T> {
    pub(crate) fn new() -> Self {
        Self { next: AtomicU64::new(1), open: RwLock::new(HashMap::new()) }
    }

    pub(crate) fn add(&self, what: T) -> u64 {
        let handle = self.next.fetch_add(1, Ordering::Relaxed);
        self.open.write().insert(handle, Arc::new(what));
        handle
    }

    pub(crate) fn get(&self, handle: u64) -> Answer<Arc<T>> {
        self.open.read().get(&handle).cloned().ok_or(Refusal::Number(libc::EBADF))
    }

    pub(crate) fn remove(&self, handle: u64) -> Option<Arc<T>> {
        self.open.write().remove(&handle)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.read().is_empty()
    }
}

/// What somebody may want to know of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Pools whose containers are mounted, as far as these say whose they are.
    pub pools: usize,
    /// Containers that are mounted.
    pub containers: usize,
    /// Nodes that the kernel knows.
    pub inodes: usize,
    /// Files that are open.
    pub open_files: usize,
}

/// A file system that is mounted.
#[derive(Debug)]
pub(crate) struct Filesystem {
    dfs: Dfs,
    caching: Caching,
    inodes: Inodes,
    files: Handles<Opened>,
    dirs: Handles<Listing>,
    /// What the root tells as `user.daos`: which container it is.
    identity: Option<String>,
    sides: Sides,
    /// What was begun to be listed at the doors.
    rests: Rests,
    /// What was looked up before it was asked for.
    ahead: Ahead,
    /// Directories may lead to other containers.
    links: bool,
}

impl Filesystem {
    pub(crate) fn new(
        dfs: Dfs,
        caching: Caching,
        identity: Option<String>,
        links: bool,
        look_ahead: Option<bool>,
    ) -> Self {
        let inodes = Inodes::new(&dfs.root());
        let (files, dirs) = (Handles::new(), Handles::new());
        let looks_ahead = look_ahead.unwrap_or_else(|| dfs.is_far());
        let valid = if looks_ahead { caching.attr.min(caching.dentry) } else { Duration::ZERO };
        Self {
            dfs,
            caching,
            inodes,
            files,
            dirs,
            identity,
            links,
            sides: Sides::default(),
            rests: Rests::default(),
            ahead: Ahead::new(valid),
        }
    }

    pub(crate) fn inodes(&self) -> &Inodes {
        &self.inodes
    }

    /// Whether nobody can ask for anything in it before it is looked up again.
    pub(crate) fn is_idle(&self) -> bool {
        self.inodes.all_forgotten() && self.files.is_empty() && self.dirs.is_empty()
    }

    pub(crate) fn caching(&self) -> &Caching {
        &self.caching
    }

    /// What was looked up and is not told yet is looked up again.
    pub(crate) fn forget_ahead(&self) {
        self.ahead.changed();
    }

    pub(crate) fn sides(&self) -> &Sides {
        &self.sides
    }

    pub(crate) fn dfs(&self) -> &Dfs {
        &self.dfs
    }

    /// Nodes that the kernel knows, and files that are open.
    pub(crate) fn counts(&self) -> (usize, usize) {
        self.inodes.counts()
    }

    /// Which container it is.
    pub(crate) fn identity(&self) -> Option<&str> {
        self.identity.as_deref()
    }

    /// Closes all that is open, when nobody can ask any more; the kernel does not tell of what it drops with a mount.
    pub(crate) fn close_all(&self) {
        self.dirs.open.write().clear();
        let files: Vec<Arc<Opened>> = self.files.open.write().drain().map(|(_, opened)| opened).collect();
        for opened in files {
            self.close(opened);
        }
    }

    /// Answers a request; `None` where none is expected.
    pub(crate) fn answer(&self, header: &Header, args: Args<'_>, reply: &mut Reply<'_>) -> Option<Answer> {
        let Some(opcode) = Opcode::of(header.opcode) else { return Some(no(libc::ENOSYS)) };
        let answer = self.answered(opcode, header, args, reply);
        // Before anybody is told of the change.
        if changes(opcode, args) {
            self.ahead.changed();
        }
        answer
    }

    fn answered(
        &self,
        opcode: Opcode,
        header: &Header,
        args: Args<'_>,
        reply: &mut Reply<'_>,
    ) -> Option<Answer> {
        Some(match opcode {
            Opcode::Forget => {
                let mut args = args;
                if let Ok(lookups) = args.u64() {
                    self.forget(header.node, lookups);
                }
                return None;
            }
            Opcode::Lookup => self.look_up(header, args).map(|entry| reply.entry(&entry)),
            Opcode::Getattr => self.getattr(header, args, reply),
            Opcode::Setattr => self.setattr(header, args, reply),
            Opcode::Readlink => self.readlink(header, reply),
            Opcode::Symlink => self.symlink(header, args, reply),
            Opcode::Mknod => self.mknod(header, args, reply),
            Opcode::Mkdir => self.mkdir(header, args, reply),
            Opcode::Unlink => self.unlink(header, args),
            Opcode::Rmdir => self.rmdir(header, args),
            Opcode::Rename => self.rename(header, args, false),
            Opcode::Rename2 => self.rename(header, args, true),
            Opcode::Link => self.link(header, args, reply),
            Opcode::Open => self.open(header, args, reply),
            Opcode::Create => self.create(header, args, reply),
            Opcode::Read => self.read(args, reply),
            Opcode::Write => self.write(args, reply),
            Opcode::Statfs => self.statfs(reply),
            Opcode::Release => self.release(args),
            Opcode::Fsync => self.fsync(args),
            Opcode::Setxattr => self.setxattr(header, args),
            Opcode::Getxattr => self.getxattr(header, args, reply),
            Opcode::Listxattr => self.listxattr(header, args, reply),
            Opcode::Removexattr => self.removexattr(header, args),
            Opcode::Opendir => self.opendir(header, reply),
            Opcode::Readdir => self.readdir(header, args, reply, false),
            Opcode::Readdirplus => self.readdir(header, args, reply, true),
            Opcode::Releasedir => self.releasedir(args),
            Opcode::Fsyncdir => self.fsyncdir(args),
            Opcode::Fallocate => self.fallocate(args),
            Opcode::Lseek => self.lseek(args, reply),
            Opcode::CopyFileRange => self.copy_file_range(args, reply),
            Opcode::Ioctl => self.ioctl_of_doors(header, args, reply).unwrap_or_else(|| no(libc::ENOTTY)),
            Opcode::Destroy => Ok(()),
            // One comes once, before all others, the other is taken apart for all trees.
            Opcode::Init | Opcode::BatchForget => no(libc::EIO),
        })
    }

    /// Whether the store is another process.
    pub(crate) fn is_far(&self) -> bool {
        self.dfs.is_far()
    }

    /// The kernel forgets a node as often.
    pub(crate) fn forget(&self, node: u64, lookups: u64) {
        self.inodes.forget(node, lookups);
        if self.sides.minds_forgotten() && self.inodes.get(node).is_err() {
            self.sides.forgotten(node);
        }
    }

    /// So long the kernel may keep what it is told of a node: not at all while programs change it at the side doors.
    fn attr_valid(&self, node: u64) -> Duration {
        if self.sides.is_taken(node) { Duration::ZERO } else { self.caching.attr }
    }

    /// Works on a node by what it is to be found by; again, if a name of it changed meanwhile.
    fn with<T>(&self, node: u64, run: impl Fn(&Known, At<'_>) -> daos_dfs::Result<T>) -> Answer<T> {
        for _ in 0..AGAIN_MAX {
            let (known, moment) = self.inodes.get(node)?;
            let done = match &known.place {
                None => Err(Error::new(Errno::ESTALE, "it has no name any more")),
                Some(Place::Dir(dir)) => run(&known, At::Dir(dir)),
                Some(Place::File(file)) => run(&known, At::File(file)),
                Some(Place::Name(dir, name)) => run(&known, At::Entry(dir, name)),
            };
            match done {
                Err(error) if error.errno == Errno::ESTALE || error.errno == Errno::ENOENT => {
                    if !self.inodes.moved_since(moment) {
                        // By this name there is something else, or nothing: the kernel is to look again.
                        return Err(Error { errno: Errno::ESTALE, ..error }.into());
                    }
                }
                done => return Ok(done?),
            }
        }
        no(libc::ESTALE)
    }

    /// What is known of a node.
    fn stat(&self, node: u64) -> Answer<(Attr, u64)> {
        self.stat_lately(node, Duration::ZERO).map(|(attr, ino, _)| (attr, ino))
    }

    /// The same, of a directory as it was less than so long ago, and how long ago that was.
    fn stat_lately(&self, node: u64, within: Duration) -> Answer<(Attr, u64, Duration)> {
        self.with(node, |known, at| {
            let (mut attr, mut age) = self.dfs.stat_lately(at, within)?;
            if !age.is_zero() && (attr.mode, attr.uid, attr.gid) != known.seen {
                // Another mount changed it, and it was seen since by its name: what was told is not taken back.
                (attr, age) = self.dfs.stat_lately(at, Duration::ZERO)?;
            }
            if attr.kind != known.kind || attr.oid != known.oid {
                return Err(Error::new(Errno::ESTALE, "the name is another's"));
            }
            Ok((attr, known.ino, age))
        })
        .inspect(|(attr, _, _)| self.inodes.seen(node, attr))
    }

    /// What a name leads to, told to the kernel.
    fn told(&self, dir: &Dir, name: &[u8], attr: &Attr, as_dir: Option<Dir>) -> EntryOut {
        self.told_late(dir, name, attr, as_dir, Duration::ZERO)
    }

    /// The same, so long after it was looked up: of the time for which the kernel may keep it, the rest is left.
    fn told_late(&self, dir: &Dir, name: &[u8], attr: &Attr, as_dir: Option<Dir>, age: Duration) -> EntryOut {
        let (node, ino) = self.inodes.found(dir, name, attr, as_dir);
        let name_valid =
            if attr.kind == Kind::Directory { self.caching.dentry_dir } else { self.caching.dentry };
        let (name_valid, attr_valid) =
            (name_valid.saturating_sub(age), self.attr_valid(node).saturating_sub(age));
        EntryOut { node, name_valid, attr_valid, attr: node_attr(attr, ino) }
    }
}

/// Whether a request may change what a name leads to, or what is told of that.
fn changes(opcode: Opcode, args: Args<'_>) -> bool {
    match opcode {
        Opcode::Open => content::truncates(args),
        Opcode::Lookup
        | Opcode::Forget
        | Opcode::Getattr
        | Opcode::Readlink
        | Opcode::Read
        | Opcode::Statfs
        | Opcode::Release
        | Opcode::Fsync
        | Opcode::Getxattr
        | Opcode::Listxattr
        | Opcode::Opendir
        | Opcode::Readdir
        | Opcode::Readdirplus
        | Opcode::Releasedir
        | Opcode::Fsyncdir
        | Opcode::Lseek
        | Opcode::Ioctl => false,
        _ => true,
    }
}

/// Attributes as the kernel has them.
fn node_attr(attr: &Attr, ino: u64) -> NodeAttr {
    let block = attr.chunk_size.clamp(4096, BLOCK_MAX);
    NodeAttr {
        ino,
        size: attr.size,
        blocks: attr.blocks,
        times: [attr.atime, attr.mtime, attr.ctime].map(|time| (time.seconds, time.nanoseconds)),
        mode: attr.mode,
        links: attr.links,
        uid: attr.uid,
        gid: attr.gid,
        // A power of two.
        block_size: 1 << block.ilog2(),
    }
}
