//! Random operations here and on a directory of this machine's own file system: every answer must be the same.
//!
//! Names are few, so that operations meet; files stay open while their names change, and the file system is mounted anew in between.
//! Both are used by whoever runs the tests.

use crate::common::{self, InMemory, Random, Tree, Untransacted, mount};
use daos_client::ContainerService;
use daos_dfs::access::Credentials;
use daos_dfs::{
    At, CheckMode, Consistency, File, FormatOptions, Handle, Kind, Open, OpenFlags, Paths, Rename, SetAttr,
    XattrSet,
};
use rustix::fs::{self, AtFlags, Mode, OFlags, RenameFlags, XattrFlags};
use rustix::io::Errno as OsErrno;
use rustix::process;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A directory of a test, gone with it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("daos-dfs-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
/// Where symbolic links lead: never above the directory of the test, which is no root.
const TARGETS: [&str; 9] = ["a", "b", "c/d", "d/", ".", "./a", "e/e/e", "nowhere", "a/b/c"];
const LENGTHS: [usize; 7] = [0, 1, 5, 99, 100, 101, 1_000];

fn path(random: &mut Random) -> String {
    let depth = 1 + random.below(3);
    let mut path: Vec<&str> = (0..depth).map(|_| random.one(&NAMES)).collect();
    if random.below(30) == 0 {
        path.insert(1, ".");
    }
    let slash = if random.below(25) == 0 { "/" } else { "" };
    path.join("/") + slash
}

fn bytes(random: &mut Random) -> Vec<u8> {
    let (len, first) = (random.one(&LENGTHS), random.below(255));
    (0..len).map(|at| (first + at) as u8).collect()
}

/// What both sides answer: bytes, or the number of an error.
type Answer = Result<Vec<u8>, i32>;

fn ours<T>(result: daos_dfs::Result<T>, told: impl FnOnce(T) -> Vec<u8>) -> Answer {
    result.map(told).map_err(|error| {
        assert_ne!(error.errno, daos_dfs::Errno::EIO, "{error:?}");
        error.errno.number()
    })
}

fn theirs<T>(result: Result<T, OsErrno>, told: impl FnOnce(T) -> Vec<u8>) -> Answer {
    result.map(told).map_err(OsErrno::raw_os_error)
}

fn theirs_io<T>(result: std::io::Result<T>, told: impl FnOnce(T) -> Vec<u8>) -> Answer {
    result.map(told).map_err(|error| error.raw_os_error().unwrap())
}

fn nothing<T>(_: T) -> Vec<u8> {
    Vec::new()
}

/// A file that is open on both sides.
struct Opened {
    file: File,
    fd: std::fs::File,
}

struct Both<'a> {
    paths: Paths,
    place: &'a Place,
    opened: Vec<Opened>,
    /// Whether renames of this mount are compared that need more than one name.
    exchanges: bool,
    random: Random,
}

impl Both<'_> {
    /// One operation; what it was, and both answers.
    fn step(&mut self) -> (String, Answer, Answer) {
        let random = &mut self.random;
        let one = path(random);
        let here = self.place.path(&one);
        let (name, paths) = (one.as_bytes(), &self.paths);
        match random.below(27) {
            0 | 1 => {
                let mode = random.one(&[0o755, 0o700]);
                let real = fs::mkdir(&here, Mode::from_raw_mode(mode));
                (format!("mkdir {one}"), ours(paths.mkdir(name, mode), nothing), theirs(real, nothing))
            }
            2 => {
                (format!("rmdir {one}"), ours(paths.rmdir(name), nothing), theirs(fs::rmdir(&here), nothing))
            }
            3 | 4 => (
                format!("unlink {one}"),
                ours(paths.unlink(name), nothing),
                theirs(fs::unlink(&here), nothing),
            ),
            5..=9 => self.open(&one),
            10..=12 => {
                let two = path(random);
                let how = if self.exchanges {
                    random.one(&[Rename::Replace, Rename::Replace, Rename::NoReplace, Rename::Exchange])
                } else {
                    Rename::Replace
                };
                let flags = match how {
                    Rename::Replace => RenameFlags::empty(),
                    Rename::NoReplace => RenameFlags::NOREPLACE,
                    Rename::Exchange => RenameFlags::EXCHANGE,
                };
                let real = fs::renameat_with(fs::CWD, &here, fs::CWD, self.place.path(&two), flags);
                let mine = paths.rename(name, two.as_bytes(), how);
                (format!("rename {one} {two} {how:?}"), ours(mine, nothing), theirs(real, nothing))
            }
            13 => {
                let two = path(random);
                let follow = random.below(2) == 0;
                let flags = if follow { AtFlags::SYMLINK_FOLLOW } else { AtFlags::empty() };
                let real = fs::linkat(fs::CWD, &here, fs::CWD, self.place.path(&two), flags);
                let mine = paths.link(name, two.as_bytes(), follow);
                (format!("link {one} {two} {follow}"), ours(mine, nothing), theirs(real, nothing))
            }
            14 => {
                let target = random.one(&TARGETS);
                let mine = paths.symlink(target.as_bytes(), name);
                (
                    format!("symlink {target} {one}"),
                    ours(mine, nothing),
                    theirs(fs::symlink(target, &here), nothing),
                )
            }
            15 => {
                let real = fs::readlink(&here, Vec::new());
                let mine = paths.readlink(name);
                (
                    format!("readlink {one}"),
                    ours(mine, |value| value),
                    theirs(real, std::ffi::CString::into_bytes),
                )
            }
            16 => {
                // Who is not root has to be able to look at all of it.
                let root = process::geteuid().is_root();
                let mode = random.one(if root {
                    &[0o644, 0o600, 0o755, 0o4711]
                } else {
                    &[0o755, 0o700, 0o4711, 0o6755]
                });
                let real = fs::chmod(&here, Mode::from_raw_mode(mode));
                (format!("chmod {one}"), ours(paths.chmod(name, mode), nothing), theirs(real, nothing))
            }
            17 => {
                let follow = random.below(2) == 0;
                let (uid, gid) = (random.below(3) as u32, random.below(3) as u32);
                let real = if follow {
                    std::os::unix::fs::chown(&here, Some(uid), Some(gid))
                } else {
                    std::os::unix::fs::lchown(&here, Some(uid), Some(gid))
                };
                let mine = paths.chown(name, Some(uid), Some(gid), follow);
                (format!("chown {one} {follow}"), ours(mine, nothing), theirs_io(real, nothing))
            }
            18 => {
                let size = random.one(&LENGTHS) as u64;
                let real = rustix_truncate(&here, size);
                (
                    format!("truncate {one} {size}"),
                    ours(paths.truncate(name, size), nothing),
                    theirs_io(real, nothing),
                )
            }
            19 => {
                let (key, value) = (random.one(&["user.a", "user.b"]), bytes(random));
                let how = random.one(&[XattrSet::Any, XattrSet::Create, XattrSet::Replace]);
                let flags = match how {
                    XattrSet::Any => XattrFlags::empty(),
                    XattrSet::Create => XattrFlags::CREATE,
                    XattrSet::Replace => XattrFlags::REPLACE,
                };
                let follow = random.below(4) > 0;
                let real = if follow {
                    fs::setxattr(&here, key, &value, flags)
                } else {
                    fs::lsetxattr(&here, key, &value, flags)
                };
                let mine = paths.set_xattr(name, key.as_bytes(), &value, how, follow);
                (format!("setxattr {one} {key} {how:?} {follow}"), ours(mine, nothing), theirs(real, nothing))
            }
            20 => {
                let key = random.one(&["user.a", "user.b"]);
                let real = fs::removexattr(&here, key);
                let mine = paths.remove_xattr(name, key.as_bytes(), true);
                (format!("removexattr {one} {key}"), ours(mine, nothing), theirs(real, nothing))
            }
            21 => {
                let follow = random.below(2) == 0;
                let flags = if follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
                let mine = if follow { paths.stat(name) } else { paths.lstat(name) };
                let real = fs::statat(fs::CWD, &here, flags);
                let told = |mode: u32, size: u64, links: u64, uid: u32, gid: u32| {
                    // What a directory has of it is each file system's own.
                    let is_dir = Kind::of(mode) == Some(Kind::Directory);
                    let (size, links) = if is_dir { (0, 1) } else { (size, links) };
                    format!("{mode:o} {size} {links} {uid} {gid}").into_bytes()
                };
                let mine =
                    ours(mine, |attr| told(attr.mode, attr.size, attr.links.into(), attr.uid, attr.gid));
                let real = theirs(real, |stat| {
                    told(stat.st_mode, stat.st_size.cast_unsigned(), stat.st_nlink, stat.st_uid, stat.st_gid)
                });
                (format!("stat {one} {follow}"), mine, real)
            }
            _ => self.with_opened(),
        }
    }

    fn open(&mut self, one: &str) -> (String, Answer, Answer) {
        let random = &mut self.random;
        let mut flag = |in_how_many: usize| random.below(in_how_many) == 0;
        let (write, append) = (flag(2), flag(5));
        let flags = OpenFlags {
            read: !write || flag(2),
            write: write || append,
            append,
            create: flag(2),
            exclusive: flag(5),
            truncate: flag(6),
        };
        let flags = OpenFlags { exclusive: flags.exclusive && flags.create, ..flags };
        let (no_follow, directory) = (flag(6), flag(12));
        let mut os = match (flags.read, flags.write) {
            (true, true) => OFlags::RDWR,
            (false, true) => OFlags::WRONLY,
            _ => OFlags::RDONLY,
        };
        for (is_set, flag) in [
            (flags.append, OFlags::APPEND),
            (flags.create, OFlags::CREATE),
            (flags.exclusive, OFlags::EXCL),
            (flags.truncate, OFlags::TRUNC),
            (no_follow, OFlags::NOFOLLOW),
            (directory, OFlags::DIRECTORY),
        ] {
            if is_set {
                os |= flag;
            }
        }
        let mode = 0o644;
        let open = Open { flags, no_follow, directory, mode, ..Open::default() };
        let mine = self.paths.open(one.as_bytes(), &open);
        let real = fs::open(self.place.path(one), os, Mode::from_raw_mode(mode));
        let what = format!("open {one} {open:?}");
        match (mine, real) {
            (Ok(Handle::File(file)), Ok(fd)) => {
                let fd = std::fs::File::from(fd);
                let is_file = fd.metadata().unwrap().is_file();
                if self.opened.len() > 5 {
                    let at = self.random.below(self.opened.len());
                    self.opened.swap_remove(at).file.close().unwrap();
                }
                self.opened.push(Opened { file, fd });
                (what, Ok(vec![1]), Ok(vec![u8::from(is_file)]))
            }
            (Ok(Handle::Dir(dir)), Ok(fd)) => {
                let mut names = self.paths.dfs().names(&dir).unwrap();
                names.sort();
                (what, Ok(names.join(&b'/')), Ok(real_names(&fd).join(&b'/')))
            }
            (mine, real) => (what, ours(mine, nothing), theirs(real, nothing)),
        }
    }

    fn with_opened(&mut self) -> (String, Answer, Answer) {
        if self.opened.is_empty() {
            return ("nothing".to_owned(), Ok(vec![]), Ok(vec![]));
        }
        let at = self.random.below(self.opened.len());
        let random = &mut self.random;
        let Opened { file, fd } = &self.opened[at];
        let place = random.one(&[0, 1, 50, 100, 333, 1_000]);
        match random.below(8) {
            0..=2 => {
                let data = bytes(random);
                let mine = file.write(place, &data);
                let real = fd.write_at(&data, place);
                let told = |written: usize| vec![written as u8];
                (format!("write {at} {place} {}", data.len()), ours(mine, told), theirs_io(real, told))
            }
            3..=4 => {
                let len = random.one(&LENGTHS);
                let (mut mine, mut real) = (vec![1; len], vec![1; len]);
                let read = ours(file.read(place, &mut mine), |read| read.to_le_bytes().to_vec());
                let really = theirs_io(fd.read_at(&mut real, place), |read| read.to_le_bytes().to_vec());
                // Behind what was read, a buffer is whoever's.
                let all = |answer: Answer, data: Vec<u8>| {
                    answer.map(|len| {
                        let read = usize::from_le_bytes(len[..].try_into().unwrap());
                        [&len[..], &data[..read]].concat()
                    })
                };
                (format!("read {at} {place} {len}"), all(read, mine), all(really, real))
            }
            5 => {
                let size = random.one(&LENGTHS) as u64;
                let mine = file.truncate(size);
                (
                    format!("ftruncate {at} {size}"),
                    ours(mine, nothing),
                    theirs(fs::ftruncate(fd, size), nothing),
                )
            }
            6 => {
                let dfs = self.paths.dfs();
                let set = SetAttr { mode: Some(0o640), ..SetAttr::default() };
                let mine = dfs.set_attr(At::File(file), &set).and_then(|()| file.stat());
                let real = fd.set_permissions(std::fs::Permissions::from_mode(0o640));
                let real = real.and_then(|()| fd.metadata());
                let told = |mode: u32, size: u64, links: u64| format!("{mode:o} {size} {links}").into_bytes();
                let mine = ours(mine, |attr| told(attr.mode, attr.size, attr.links.into()));
                (
                    format!("fchmod {at}"),
                    mine,
                    theirs_io(real, |stat| told(stat.mode(), stat.size(), stat.nlink())),
                )
            }
            _ => {
                let Opened { file, fd } = self.opened.swap_remove(at);
                drop(fd);
                (format!("close {at}"), ours(file.close(), nothing), Ok(vec![]))
            }
        }
    }

    /// All of both trees.
    fn compare(&self) {
        assert_eq!(our_tree(&self.paths), real_tree(&self.place.0));
    }
}

fn rustix_truncate(path: &Path, size: u64) -> std::io::Result<()> {
    // As truncate(2), which no crate of this workspace offers: opening for writing has its errors but for one.
    let opened = std::fs::OpenOptions::new().write(true).open(path)?;
    opened.set_len(size)
}

fn real_names(fd: &OwnedFd) -> Vec<Vec<u8>> {
    let listed = fs::Dir::read_from(fd).unwrap().map(|entry| entry.unwrap().file_name().to_bytes().to_vec());
    let mut names: Vec<Vec<u8>> = listed.filter(|name| name != b"." && name != b"..").collect();
    names.sort();
    names
}

fn real_tree(top: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut left = vec![top.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let stat = std::fs::symlink_metadata(&path).unwrap();
            let mut attributes = Vec::new();
            for key in ["user.a", "user.b"] {
                let mut value = vec![0; 2_000];
                if let Ok(len) = fs::lgetxattr(&path, key, &mut value[..]) {
                    value.truncate(len);
                    attributes.push((key, value));
                }
            }
            let content = if stat.is_dir() {
                left.push(path.clone());
                Vec::new()
            } else if stat.is_symlink() {
                std::fs::read_link(&path).unwrap().into_os_string().into_vec()
            } else {
                std::fs::read(&path).unwrap()
            };
            let links = if stat.is_dir() { 1 } else { stat.nlink() };
            let told = (format!("{:o}", stat.mode()), stat.uid(), stat.gid(), links, attributes, content);
            let name = path.strip_prefix(top).unwrap().as_os_str().as_bytes().to_vec();
            tree.insert(name, format!("{told:?}"));
        }
    }
    tree
}

fn our_tree(paths: &Paths) -> Tree {
    common::tree(paths, |at, attr, content| {
        let attributes: Vec<_> = ["user.a", "user.b"]
            .into_iter()
            .filter_map(|key| Some((key, paths.dfs().xattr(at, key.as_bytes()).ok()?)))
            .collect();
        let told = (format!("{:o}", attr.mode), attr.uid, attr.gid, attr.links, attributes, content);
        format!("{told:?}")
    })
}

/// The file system, as who runs the tests may use it.
fn used(container: &Arc<dyn ContainerService>) -> Paths {
    let (uid, gid) = (process::geteuid().as_raw(), process::getegid().as_raw());
    let groups = process::getgroups().unwrap().into_iter().map(process::Gid::as_raw).collect();
    Paths::new(mount(container), Credentials { uid, gid, groups })
}

/// How it is made: its root belongs to who runs the tests.
pub(crate) fn format(consistency: Consistency) -> FormatOptions {
    let (uid, gid) = (process::geteuid().as_raw(), process::getegid().as_raw());
    let hints = "dir:max".to_owned();
    FormatOptions { chunk_size: Some(100), consistency, hints, uid, gid, ..FormatOptions::default() }
}

/// So many operations of each of several seeds.
pub(crate) fn run(name: &str, container: &Arc<dyn ContainerService>, seed: u64, steps: usize, leaks: bool) {
    let place = Place::new(&format!("{name}-{seed}"));
    let mut both = Both {
        paths: used(container),
        place: &place,
        opened: Vec::new(),
        exchanges: true,
        random: Random(seed),
    };
    let mut done = 0;
    let mut log: Vec<String> = Vec::new();
    for step in 0..steps {
        let (what, mine, real) = both.step();
        log.push(format!("{what}: {real:?}"));
        let last = || log[log.len().saturating_sub(40)..].join("\n");
        assert_eq!(mine, real, "seed {seed}, step {step}, {what}; before it:\n{}", last());
        done += usize::from(real.is_ok());
        if step % 97 == 96 {
            both.compare();
        }
        if step % 499 == 498 {
            both.opened.clear();
            both.paths.dfs().umount().unwrap();
            both.paths = used(container);
            both.compare();
            let report = both.paths.dfs().check(CheckMode::Print, None).unwrap();
            assert!(leaks || report.findings.is_empty(), "seed {seed}, step {step}: {:?}", report.findings);
        }
    }
    assert!(done > steps / 5, "only {done} of {steps} operations did something");
    both.opened.clear();
    both.compare();
    let report = both.paths.dfs().check(CheckMode::Remove, None).unwrap();
    assert!(leaks || report.findings.is_empty(), "seed {seed}: {:?}", report.findings);
    both.compare();
    assert_eq!(both.paths.dfs().check(CheckMode::Print, None).unwrap().findings, []);
}

/// The seeds of the ordinary run; `DAOS_DFS_SEEDS` sets another number of them.
fn seeds(first: u64, ordinary: u64) -> std::ops::Range<u64> {
    let seeds = std::env::var("DAOS_DFS_SEEDS").ok().and_then(|text| text.parse().ok());
    first..first + seeds.unwrap_or(ordinary)
}

fn made(consistency: Consistency) -> InMemory {
    InMemory::formatted(3, &format(consistency))
}

#[test]
fn every_answer_is_that_of_a_local_file_system() {
    for seed in seeds(1, 4) {
        run("relaxed", &made(Consistency::Relaxed).container, seed, 3_000, false);
    }
}

#[test]
fn so_it_is_balanced() {
    for seed in seeds(11, 1) {
        run("balanced", &made(Consistency::Balanced).container, seed, 3_000, false);
    }
}

#[test]
fn so_it_is_without_transactions_but_for_what_a_check_removes() {
    for seed in seeds(21, 1) {
        let made = made(Consistency::Relaxed);
        let container: Arc<dyn ContainerService> = Arc::new(Untransacted(Arc::clone(&made.container)));
        run("ordered", &container, seed, 3_000, true);
    }
}
