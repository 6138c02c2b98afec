//! What doors answer is what `daos_dfs::Paths` does, which knows the rules by itself: on behalf of several users, in random directories.

use super::*;
use crate::caching::Caching;
use crate::filesystem::Filesystem;
use daos_client::ContainerService;
use daos_dfs::{Dfs, FormatOptions, MountOptions, Paths};
use daos_embed::{Options as SystemOptions, System};
use daos_types::{ChecksumKind, Checksums};
use std::sync::Arc;

const WORDS: [&str; 12] = ["a", "b", "c", "d", "a", "b", "link", "up", "loop", ".", "..", "none"];

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// A path of some words; the door's begins at the root, too.
    fn path(&mut self) -> String {
        let count = 1 + self.below(3);
        let words: Vec<&str> = (0..count).map(|_| self.one(&WORDS)).collect();
        words.join("/") + if self.below(12) == 0 { "/" } else { "" }
    }
}

fn container(system: &Arc<System>, label: &str) -> Arc<dyn ContainerService> {
    let sums = Checksums { kind: Some(ChecksumKind::ALL[0]), piece_size: 32 << 10, server_verifies: false };
    let pool = system.pool_open("p").unwrap();
    let container: Arc<dyn ContainerService> =
        Arc::new(pool.container_create_summed(label, b"", sums, false).unwrap());
    Dfs::format(&container, &FormatOptions::default()).unwrap();
    container
}

fn system() -> Arc<System> {
    let system = System::in_memory(&SystemOptions { targets: 2, ..SystemOptions::default() }).unwrap();
    system.pool_create("p", b"").unwrap();
    system
}

fn files(system: &Arc<System>, label: &str) -> Filesystem {
    let dfs = Dfs::mount(container(system, label), MountOptions::default()).unwrap();
    Filesystem::new(dfs, Caching::NONE, None, true)
}

fn user(uid: u32, gid: u32, groups: &[u32]) -> Credentials {
    Credentials { uid, gid, groups: groups.to_vec() }
}

fn at(path: &str) -> Place<'_> {
    Place { node: ROOT, path: path.as_bytes() }
}

/// The number of what was said; `None` where nothing was.
fn number<T>(told: Result<T, Error>) -> Result<T, i32> {
    told.map_err(|error| error.errno.number())
}

/// Both trees, as root sees them.
fn listed(paths: &Paths, directory: &str, into: &mut Vec<String>) {
    let mut names = paths.names(format!("{directory}/").as_bytes()).unwrap();
    names.sort();
    for name in names {
        let path = format!("{directory}/{}", String::from_utf8(name).unwrap());
        let attr = paths.lstat(path.as_bytes()).unwrap();
        into.push(format!("{path} {:o} {} {} {} {}", attr.mode, attr.uid, attr.gid, attr.links, attr.size));
        if attr.kind == Kind::Directory {
            listed(paths, &path, into);
        }
    }
}

/// One step: what the door says is what the other tree's `Paths` says. True where the door said anything.
fn step(random: &mut Random, door: &Filesystem, other: &Dfs, who: &Credentials) -> bool {
    let (here, there) = (Paths::new(door.dfs().clone(), who.clone()), Paths::new(other.clone(), who.clone()));
    let (path, second) = (random.path(), random.path());
    let (bytes, to) = (path.as_bytes(), second.as_bytes());
    let mode = random.below(0o2000) as u32;
    let ask = |op, how| match door.asked_at_door(op, who, (&at(&path), &at(&second)), how) {
        Ok(reply) => Some(Ok(reply[Status::LEN..].to_vec())),
        Err(Refusal::Later) => None,
        Err(refusal) => Some(Err(refusal.number())),
    };
    match random.below(18) {
        kind @ 0..=3 => {
            let told = ask(Op::Stat, if kind < 2 { 0 } else { NO_FOLLOW });
            let seen = number(if kind < 2 { there.stat(bytes) } else { there.lstat(bytes) });
            let Some(told) = told else { return false };
            let told = told.map(|bytes| daos_door::Attr::decode(&bytes).unwrap());
            let seen = seen.map(|attr| (attr.mode, attr.uid, attr.gid, attr.links, attr.size));
            assert_eq!(
                told.map(|attr| (attr.mode, attr.uid, attr.gid, attr.links, attr.size)),
                seen,
                "{path}"
            );
        }
        4..=6 => {
            let rights = random.below(8) as u32;
            let Some(told) = ask(Op::Access, rights) else { return false };
            assert_eq!(told.map(|_| ()), number(there.access(bytes, rights)), "{path} {rights} {who:?}");
        }
        7 => {
            let Some(told) = ask(Op::Readlink, 0) else { return false };
            assert_eq!(told, number(there.readlink(bytes)), "{path}");
        }
        kind @ 8..=15 => {
            let (op, how) = match kind {
                8..=9 => (Op::Unlink, 0),
                10 => (Op::Rmdir, 0),
                11..=13 => (Op::Mkdir, mode),
                14 => (Op::Rename, NO_REPLACE),
                _ => (Op::Rename, 0),
            };
            let run = |paths: &Paths| match op {
                Op::Unlink => number(paths.unlink(bytes)),
                Op::Rmdir => number(paths.rmdir(bytes)),
                Op::Mkdir => number(paths.mkdir(bytes, mode & 0o1777).map(drop)),
                _ if how == NO_REPLACE => number(paths.rename(bytes, to, Rename::NoReplace)),
                _ => number(paths.rename(bytes, to, Rename::Replace)),
            };
            let told = ask(op, how);
            let done = run(&there);
            match told {
                Some(told) => assert_eq!(told.map(|_| ()), done, "{op:?} {path} {second} {who:?}"),
                // The kernel does it.
                None => {
                    assert_eq!(run(&here), done, "{op:?} {path} {second} {who:?}");
                    return false;
                }
            }
        }
        16 => {
            let value = random.one(&["a", "../a", "b/c", "..", "loop", "/", "none"]).as_bytes();
            assert_eq!(number(here.symlink(value, bytes)), number(there.symlink(value, bytes)));
            return false;
        }
        _ => {
            let open = daos_dfs::Open {
                flags: daos_dfs::OpenFlags { create: true, write: true, ..Default::default() },
                mode: mode & 0o777,
                ..Default::default()
            };
            let make = |paths: &Paths| number(paths.open_file(bytes, &open).map(drop));
            assert_eq!(make(&here), make(&there), "{path}");
            return false;
        }
    }
    true
}

#[test]
fn doors_know_the_rules_for_each_user() {
    let system = system();
    let mut said = 0;
    for seed in 1..=4 {
        let door = files(&system, &format!("door{seed}"));
        let other = Dfs::mount(container(&system, &format!("other{seed}")), MountOptions::default()).unwrap();
        let root = [door.dfs().clone(), other.clone()].map(|dfs| Paths::new(dfs, Credentials::ROOT));
        for paths in &root {
            paths.chmod(b"/", 0o1777).unwrap();
            paths.mkdir(b"/a", 0o2775).unwrap();
            paths.chown(b"/a", Some(1), Some(7), true).unwrap();
            paths.chmod(b"/a", 0o2775).unwrap();
            paths.mkdir(b"/b", 0o1777).unwrap();
            paths.chmod(b"/b", 0o1777).unwrap();
        }
        let users = [Credentials::ROOT, user(1, 1, &[]), user(1, 1, &[7]), user(2, 7, &[]), user(3, 3, &[2])];
        let mut random = Random(seed);
        for _ in 0..1500 {
            let who = random.below(users.len());
            said += usize::from(step(&mut random, &door, &other, &users[who]));
        }
        let [mut one, mut two] = [Vec::new(), Vec::new()];
        listed(&root[0], "", &mut one);
        listed(&root[1], "", &mut two);
        assert_eq!(one, two);
    }
    assert!(said > 2000, "{said}");
}

#[test]
fn what_is_no_node_of_the_kernels_is_left_to_it() {
    let files = files(&system(), "c");
    let asked = |node, path: &'static str| {
        let place = Place { node, path: path.as_bytes() };
        files.asked_at_door(Op::Stat, &Credentials::ROOT, (&place, &Place::default()), 0)
    };
    assert!(asked(ROOT, "").is_ok() && asked(ROOT, ".").is_ok());
    for (node, path) in
        [(2, ""), (2, "a"), (0, "."), (Tree(1).outside(ROOT), ""), (ROOT, ".."), (ROOT, "./..")]
    {
        assert!(matches!(asked(node, path), Err(Refusal::Later)), "{node} {path}");
    }
    let long = "x".repeat(NAME_LEN_MAX + 1);
    let place = Place { node: ROOT, path: long.as_bytes() };
    let told = files.asked_at_door(Op::Unlink, &Credentials::ROOT, (&place, &place), 0);
    assert!(matches!(told, Err(Refusal::Later)));
    for op in [Op::Read, Op::Write] {
        let told = files.asked_at_door(op, &Credentials::ROOT, (&place, &place), 0);
        assert_eq!(told.unwrap_err().number(), libc::EINVAL);
    }
    assert_eq!(files.names_at_door(Op::Stat, b"none").unwrap_err().number(), libc::EINVAL);
    let stranger = daos_door::Who { uid: rustix::process::geteuid().as_raw() + 1, ..Default::default() };
    let body = Asked { who: stranger, at: at(""), ..Asked::default() }.encode();
    assert!(matches!(files.names_at_door(Op::Stat, &body), Err(Refusal::Later)));
}

#[test]
fn the_kernel_is_told_of_names_that_it_knows() {
    let files = files(&system(), "c");
    let told = Arc::new(daos_locks::Mutex::new(Vec::new()));
    let telling = Arc::clone(&told);
    let info = daos_door::Info { write_back: false, names: true, doors: 1, token: [0; 16] };
    files.sides().open(info, move |word| telling.lock().push(word.to_vec()));
    let root = files.dfs().root();
    let ask = |op, path: &str, to: &str| {
        files.asked_at_door(op, &Credentials::ROOT, (&at(path), &at(to)), 0).map(drop)
    };
    let known = |name: &[u8]| {
        let (attr, dir) = files.dfs().look(&root, name).unwrap();
        files.inodes().found(&root, name, &attr, dir).0
    };
    for name in [&b"f"[..], b"g", b"h", b"open"] {
        files.dfs().make(&root, name, &New::default()).unwrap().0.close().unwrap();
    }
    ask(Op::Unlink, "f", "").unwrap();
    assert!(told.lock().is_empty(), "nobody knows of it");
    ask(Op::Mkdir, "d", "").unwrap();
    let (directory, file) = (known(b"d"), known(b"g"));
    ask(Op::Rmdir, "d", "").unwrap();
    assert_eq!(*told.lock(), [removed_entry(ROOT, directory, b"d")]);
    let replaced = known(b"h");
    ask(Op::Rename, "g", "h").unwrap();
    let words = [removed_entry(ROOT, replaced, b"h"), forget_entry(ROOT, b"g")];
    assert_eq!(told.lock()[1..], words);
    assert_eq!(files.inodes().entry(&root, b"h"), Some((ROOT, file)), "it is followed");
    let open = known(b"open");
    let flags = daos_dfs::OpenFlags { read: true, ..Default::default() };
    let kept = files.inodes().opened(open, files.dfs().open(&root, b"open", flags, &New::default()).unwrap());
    assert!(matches!(ask(Op::Rename, "open", "h"), Err(Refusal::Later)));
    ask(Op::Unlink, "open", "").unwrap();
    assert_eq!(told.lock()[3..], [removed_entry(ROOT, open, b"open")]);
    drop(kept);
}
