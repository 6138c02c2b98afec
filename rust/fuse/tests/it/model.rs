//! Random operations through a mount and on a local directory: every answer is compared, and all that is there at the end.

use crate::common::{Mounted, Random, Scratch, Store};
use daos_fuse::{Caching, DataCache};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
const STEPS: usize = 400;

/// What is done, on either side.
#[derive(Debug, Clone)]
enum Step {
    Open { path: String, slot: usize, flags: OFlags },
    Close(usize),
    Write { slot: usize, at: u64, len: usize, byte: u8 },
    Read { slot: usize, at: u64, len: usize },
    Truncate { slot: usize, len: u64 },
    Mkdir(String),
    Rmdir(String),
    Unlink(String),
    Symlink { value: String, path: String },
    Link { from: String, to: String },
    Rename { from: String, to: String, flags: RenameFlags },
    Chmod { path: String, mode: u32 },
    List(String),
    Stat(String),
    Fstat(usize),
    Sync(usize),
    Xattr { path: String, value: Option<Vec<u8>> },
}

fn path(random: &mut Random) -> String {
    let depth = 1 + random.below(3);
    (0..depth).map(|_| random.one(&NAMES)).collect::<Vec<_>>().join("/")
}

fn step(random: &mut Random) -> Step {
    let slot = random.below(4);
    match random.below(22) {
        0..3 => {
            let access = random.one(&[OFlags::RDWR, OFlags::RDWR, OFlags::WRONLY, OFlags::RDONLY]);
            let more = random.one(&[
                OFlags::CREATE,
                OFlags::CREATE,
                OFlags::CREATE.union(OFlags::EXCL),
                OFlags::empty(),
                OFlags::CREATE.union(OFlags::TRUNC),
                OFlags::CREATE.union(OFlags::APPEND),
            ]);
            Step::Open { path: path(random), slot, flags: access | more }
        }
        3 => Step::Close(slot),
        4..7 => Step::Write {
            slot,
            at: random.below(9000) as u64,
            len: random.below(9000),
            byte: 1 + random.below(255) as u8,
        },
        7..9 => Step::Read { slot, at: random.below(9000) as u64, len: random.below(20_000) },
        9 => Step::Truncate { slot, len: random.below(20_000) as u64 },
        10 | 11 => Step::Mkdir(path(random)),
        12 => Step::Rmdir(path(random)),
        13 => Step::Unlink(path(random)),
        14 => Step::Symlink { value: random.one(&NAMES).to_owned(), path: path(random) },
        15 => Step::Link { from: path(random), to: path(random) },
        16 | 17 => Step::Rename {
            from: path(random),
            to: path(random),
            flags: random.one(&[
                RenameFlags::empty(),
                RenameFlags::empty(),
                RenameFlags::NOREPLACE,
                RenameFlags::EXCHANGE,
            ]),
        },
        18 => Step::Chmod { path: path(random), mode: 0o600 + random.below(0o177) as u32 },
        19 => match random.below(3) {
            0 => Step::List(path(random)),
            1 => Step::Sync(slot),
            _ => Step::Fstat(slot),
        },
        20 => Step::Stat(path(random)),
        _ => {
            let value = (random.below(3) > 0).then(|| vec![random.below(256) as u8; random.below(50)]);
            Step::Xattr { path: path(random), value }
        }
    }
}

/// One side: a directory, and what is open in it.
struct Side {
    root: PathBuf,
    open: [Option<File>; 4],
}

fn told(stat: &fs::Metadata) -> String {
    // The numbers of names and bytes of a directory are each file system's own.
    let counts = if stat.is_dir() { String::new() } else { format!("{} {}", stat.nlink(), stat.len()) };
    format!("{:o} {counts} {} {}", stat.mode(), stat.uid(), stat.gid())
}

impl Side {
    fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), open: Default::default() }
    }

    fn run(&mut self, step: &Step) -> String {
        match self.try_run(step) {
            Ok(told) => told,
            Err(error) => format!("{:?}", error.raw_os_error()),
        }
    }

    fn handle(&self, slot: usize) -> std::io::Result<&File> {
        self.open[slot].as_ref().ok_or_else(|| std::io::Error::from_raw_os_error(libc::EBADF))
    }

    fn try_run(&mut self, step: &Step) -> std::io::Result<String> {
        let at = |path: &str| self.root.join(path);
        Ok(match step {
            Step::Open { path, slot, flags } => {
                let opened =
                    rustix::fs::open(at(path), *flags | OFlags::CLOEXEC, Mode::from_raw_mode(0o644))?;
                self.open[*slot] = Some(File::from(opened));
                String::new()
            }
            Step::Close(slot) => {
                self.open[*slot] = None;
                String::new()
            }
            Step::Write { slot, at, len, byte } => {
                self.handle(*slot)?.write_at(&vec![*byte; *len], *at)?.to_string()
            }
            Step::Read { slot, at, len } => {
                let mut data = vec![0; *len];
                let read = self.handle(*slot)?.read_at(&mut data, *at)?;
                data.truncate(read);
                format!("{read} {:x?}", runs(&data))
            }
            Step::Truncate { slot, len } => {
                self.handle(*slot)?.set_len(*len)?;
                String::new()
            }
            Step::Mkdir(path) => {
                rustix::fs::mkdir(at(path), Mode::from_raw_mode(0o755))?;
                String::new()
            }
            Step::Rmdir(path) => {
                rustix::fs::unlinkat(CWD, at(path), AtFlags::REMOVEDIR)?;
                String::new()
            }
            Step::Unlink(path) => {
                rustix::fs::unlinkat(CWD, at(path), AtFlags::empty())?;
                String::new()
            }
            Step::Symlink { value, path } => {
                rustix::fs::symlink(value.as_str(), at(path))?;
                String::new()
            }
            Step::Link { from, to } => {
                rustix::fs::linkat(CWD, at(from), CWD, at(to), AtFlags::empty())?;
                String::new()
            }
            Step::Rename { from, to, flags } => {
                rustix::fs::renameat_with(CWD, at(from), CWD, at(to), *flags)?;
                String::new()
            }
            Step::Chmod { path, mode } => {
                fs::set_permissions(at(path), fs::Permissions::from_mode(*mode))?;
                String::new()
            }
            Step::List(path) => {
                let mut names = Vec::new();
                for entry in fs::read_dir(at(path))? {
                    let entry = entry?;
                    names.push(format!("{} {:?}", entry.file_name().display(), entry.file_type()?));
                }
                names.sort();
                names.join(",")
            }
            Step::Stat(path) => told(&fs::symlink_metadata(at(path))?),
            Step::Fstat(slot) => told(&self.handle(*slot)?.metadata()?),
            Step::Sync(slot) => {
                self.handle(*slot)?.sync_all()?;
                String::new()
            }
            Step::Xattr { path, value } => match value {
                Some(value) => {
                    rustix::fs::setxattr(at(path), "user.x", value, rustix::fs::XattrFlags::empty())?;
                    String::new()
                }
                None => {
                    let mut value = [0; 64];
                    let len = rustix::fs::getxattr(at(path), "user.x", &mut value[..])?;
                    format!("{:?}", &value[..len])
                }
            },
        })
    }

    /// All that is there.
    fn tree(&self) -> BTreeMap<Vec<u8>, String> {
        let mut tree = BTreeMap::new();
        let mut left = vec![self.root.clone()];
        while let Some(dir) = left.pop() {
            for entry in fs::read_dir(&dir).unwrap() {
                let path = entry.unwrap().path();
                let stat = fs::symlink_metadata(&path).unwrap();
                let content = if stat.is_dir() {
                    left.push(path.clone());
                    String::new()
                } else if stat.is_symlink() {
                    format!("{}", fs::read_link(&path).unwrap().display())
                } else {
                    format!("{:x?}", runs(&fs::read(&path).unwrap()))
                };
                let name = path.strip_prefix(&self.root).unwrap().as_os_str().as_bytes().to_vec();
                tree.insert(name, format!("{} {content}", told(&stat)));
            }
        }
        tree
    }
}

/// Bytes, and how often each comes in a row.
fn runs(data: &[u8]) -> Vec<(u8, usize)> {
    let mut runs: Vec<(u8, usize)> = Vec::new();
    for byte in data {
        match runs.last_mut() {
            Some((last, count)) if last == byte => *count += 1,
            _ => runs.push((*byte, 1)),
        }
    }
    runs
}

fn compare(seed: u64, caching: Caching) -> bool {
    let store = Store::new();
    let Some(mut mounted) = Mounted::cached(&store, caching) else { return false };
    let local = Scratch::new();
    let mut random = Random(seed);
    let (mut there, mut here) = (Side::new(mounted.root()), Side::new(&local.0));
    let mut done: Vec<String> = Vec::new();
    for number in 0..STEPS {
        if random.below(100) == 0 {
            // What was open is closed on both sides.
            (there.open, here.open) = Default::default();
            mounted.end();
            let Some(again) = Mounted::cached(&store, caching) else { return false };
            mounted = again;
            mounted.root().clone_into(&mut there.root);
            done.push("remount".into());
        }
        let step = step(&mut random);
        let (ours, theirs) = (there.run(&step), here.run(&step));
        done.push(format!("{number}: {step:?} -> {theirs}"));
        let last = done[done.len().saturating_sub(25)..].join("\n");
        assert_eq!(ours, theirs, "seed {seed}, {caching:?}\n{last}");
    }
    assert_eq!(there.tree(), here.tree(), "seed {seed}, {caching:?}");
    (there.open, here.open) = Default::default();
    assert_eq!(there.tree(), here.tree(), "seed {seed}, {caching:?}, closed");
    mounted.end();
    true
}

#[test]
fn a_mount_behaves_as_a_local_directory() {
    let seeds = std::env::var("DAOS_FUSE_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(6);
    let written_through = Caching { write_back: false, ..Caching::DEFAULT };
    let long = Caching {
        attr: Duration::from_secs(60),
        dentry: Duration::from_secs(60),
        ndentry: Duration::from_secs(60),
        data: DataCache::OpenToClose,
        ..Caching::DEFAULT
    };
    for seed in 1..=seeds {
        for caching in [Caching::DEFAULT, written_through, long, Caching::NONE] {
            if !compare(seed, caching) {
                return;
            }
        }
    }
}
