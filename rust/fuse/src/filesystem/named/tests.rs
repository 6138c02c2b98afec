//! What doors answer is what `daos_dfs::Paths` does, which knows the rules by itself: on behalf of several users, in random directories.

use super::*;
use crate::abi::{Args, Header, OUT_HEADER, Reply};
use crate::caching::Caching;
use crate::filesystem::Filesystem;
use daos_client::ContainerService;
use daos_dfs::{Dfs, FormatOptions, MountOptions, Paths, Time, XattrSet};
use daos_door::{Moment, Owner, SetTime, XattrHow, xattr};
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
    Filesystem::new(dfs, Caching::NONE, None, true, None)
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
    let asked_for = |op, how, more: &[u8]| {
        let asked = Asked { how, at: at(&path), to: at(&second), more, ..Asked::default() };
        match door.asked_at_door(op, who, &asked) {
            Ok(reply) => Some(Ok(reply[Status::LEN..].to_vec())),
            Err(Refusal::Later) => None,
            Err(refusal) => Some(Err(refusal.number())),
        }
    };
    let ask = |op, how| asked_for(op, how, &[]);
    match random.below(34) {
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
        16..=19 => {
            let value = random.one(&["a", "../a", "b/c", "..", "loop", "/", "none"]).as_bytes();
            let run = |paths: &Paths| number(paths.symlink(value, bytes));
            return agree(asked_for(Op::Symlink, 0, value), run(&there), || run(&here), &path);
        }
        20..=21 => {
            let run = |paths: &Paths| number(paths.link(bytes, to, false));
            return agree(ask(Op::Link, 0), run(&there), || run(&here), &format!("{path} {second}"));
        }
        22 => {
            let size = random.below(5000) as u64;
            let run = |paths: &Paths| number(paths.truncate(bytes, size));
            return agree(asked_for(Op::Truncate, 0, &size.to_le_bytes()), run(&there), || run(&here), &path);
        }
        23 => {
            let mode = random.below(0o10000) as u32;
            let run = |paths: &Paths| number(paths.chmod(bytes, mode));
            return agree(ask(Op::Chmod, mode), run(&there), || run(&here), &path);
        }
        24 => {
            let mut id = || random.one(&[None, Some(1), Some(2), Some(7)]);
            let owner = Owner { uid: id(), gid: id() };
            let follow = random.below(2) == 0;
            let run = |paths: &Paths| number(paths.chown(bytes, owner.uid, owner.gid, follow));
            let told = asked_for(Op::Chown, if follow { 0 } else { NO_FOLLOW }, &owner.encode());
            return agree(told, run(&there), || run(&here), &path);
        }
        25 => {
            let (time, follow) = (i64::from(random.below(2) > 0), random.below(2) == 0);
            let mtime = (time > 0).then_some(Time { seconds: time, nanoseconds: 5 });
            let modified = mtime.map_or(Moment::Now, |time| Moment::At(time.seconds, time.nanoseconds));
            let set = SetTime { modified, all_now: mtime.is_none() };
            let run = |paths: &Paths| number(paths.set_mtime(bytes, mtime, follow));
            let told = asked_for(Op::SetTime, if follow { 0 } else { NO_FOLLOW }, &set.encode());
            return agree(told, run(&there), || run(&here), &path);
        }
        kind @ 26..=29 => return step_of_xattrs(random, kind, &asked_for, (&here, &there), &path),
        30..=31 => {
            let Some(told) = ask(Op::List, 0) else { return false };
            let told = told.map(|bytes| {
                let (rest, _, mut left) = daos_door::Listing::decode(&bytes).unwrap();
                assert_eq!(rest, 0);
                let mut names = Vec::new();
                while let Some((entry, behind)) = daos_door::Listed::split(left) {
                    names.push(entry.name.to_vec());
                    left = behind;
                }
                assert_eq!(names.drain(..2).collect::<Vec<_>>(), [&b"."[..], b".."]);
                names.sort();
                names
            });
            let names = number(there.names(bytes)).map(|mut names| {
                names.sort();
                names
            });
            assert_eq!(told, names, "{path}");
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

/// What a door said, if anything.
type Said = Option<Result<Vec<u8>, i32>>;

/// What a door said is what was done in the other tree; if it said nothing, that is done here too.
fn agree<T>(told: Said, done: Result<T, i32>, here: impl FnOnce() -> Result<T, i32>, what: &str) -> bool {
    let said = told.is_some();
    let told = told.unwrap_or_else(|| here().map(|_| Vec::new()));
    assert_eq!(told.map(drop), done.map(drop), "{what}");
    said
}

fn step_of_xattrs(
    random: &mut Random,
    kind: usize,
    ask: &dyn Fn(Op, u32, &[u8]) -> Said,
    (here, there): (&Paths, &Paths),
    path: &str,
) -> bool {
    let (bytes, follow) = (path.as_bytes(), random.below(2) == 0);
    let name = random.one(&["user.a", "user.b", "trusted.a", "system.a", "security.capability"]).as_bytes();
    let value = random.one(&["", "x", "value"]).as_bytes();
    let how = XattrHow { room: random.below(9) as u32, ..XattrHow::default() };
    let bits = how.bits() | if follow { 0 } else { NO_FOLLOW };
    // What is told of a value that it is as long, and that it is it, if there is room.
    let sized = |value: Vec<u8>| {
        let fits = value.len() <= how.room as usize;
        [&(value.len() as u32).to_le_bytes()[..], if fits { &value } else { &[] }].concat()
    };
    match kind {
        26 => {
            let Some(told) = ask(Op::Getxattr, bits, name) else { return false };
            assert_eq!(told, number(there.xattr(bytes, name, follow)).map(sized), "{path}");
            true
        }
        27 => {
            let Some(told) = ask(Op::Listxattr, bits, &[]) else { return false };
            let joined = |names: Vec<Vec<u8>>| names.into_iter().flat_map(|name| [name, vec![0]].concat());
            // Those that are root's alone the kernel tells everybody of.
            let names = number(there.xattrs(bytes, follow));
            if told.as_ref().is_ok_and(|told| told.len() > 4) && names.as_ref().is_ok_and(Vec::is_empty) {
                return true;
            }
            let told_len = told.map(|told| daos_door::split_u32(&told).unwrap().0);
            let len = names.map(|names| joined(names).count() as u32);
            assert!(told_len == len || (told_len.is_ok() && told_len > len), "{path}");
            true
        }
        28 => {
            let (create, replace) = (random.below(3) == 0, random.below(4) == 0);
            let set = match (create, replace) {
                (true, _) => XattrSet::Create,
                (_, true) => XattrSet::Replace,
                _ => XattrSet::Any,
            };
            let replace = replace && !create;
            let bits = XattrHow { create, replace, ..how }.bits() | bits & NO_FOLLOW;
            let run = |paths: &Paths| number(paths.set_xattr(bytes, name, value, set, follow));
            agree(ask(Op::Setxattr, bits, &xattr(name, value)), run(there), || run(here), path)
        }
        _ => {
            let run = |paths: &Paths| number(paths.remove_xattr(bytes, name, follow));
            agree(ask(Op::Removexattr, bits, name), run(there), || run(here), path)
        }
    }
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
        for _ in 0..3000 {
            let who = random.below(users.len());
            said += usize::from(step(&mut random, &door, &other, &users[who]));
        }
        let [mut one, mut two] = [Vec::new(), Vec::new()];
        listed(&root[0], "", &mut one);
        listed(&root[1], "", &mut two);
        assert_eq!(one, two);
    }
    assert!(said > 3500, "{said}");
}

#[test]
fn what_is_no_node_of_the_kernels_is_left_to_it() {
    let files = files(&system(), "c");
    let asked = |node, path: &'static str| {
        let place = Place { node, path: path.as_bytes() };
        files.asked_at_door(Op::Stat, &Credentials::ROOT, &Asked { at: place, ..Asked::default() })
    };
    assert!(asked(ROOT, "").is_ok() && asked(ROOT, ".").is_ok());
    for (node, path) in
        [(2, ""), (2, "a"), (0, "."), (Tree(1).outside(ROOT), ""), (ROOT, ".."), (ROOT, "./..")]
    {
        assert!(matches!(asked(node, path), Err(Refusal::Later)), "{node} {path}");
    }
    let long = "x".repeat(NAME_LEN_MAX + 1);
    let place = Place { node: ROOT, path: long.as_bytes() };
    let asked = Asked { at: place, to: place, ..Asked::default() };
    let told = files.asked_at_door(Op::Unlink, &Credentials::ROOT, &asked);
    assert!(matches!(told, Err(Refusal::Later)));
    for op in [Op::Read, Op::Write] {
        let told = files.asked_at_door(op, &Credentials::ROOT, &asked);
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
        let asked = Asked { at: at(path), to: at(to), ..Asked::default() };
        files.asked_at_door(op, &Credentials::ROOT, &asked).map(drop)
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
    let shorter = Asked { at: at("open"), more: &[0; 8], ..Asked::default() };
    let answer = files.asked_at_door(Op::Truncate, &Credentials::ROOT, &shorter);
    assert!(matches!(answer, Err(Refusal::Later)), "it may be mapped");
    ask(Op::Link, "open", "second").unwrap();
    assert_eq!(files.inodes().entry(&root, b"second"), Some((ROOT, open)), "it has both names");
    ask(Op::Unlink, "open", "").unwrap();
    assert_eq!(told.lock()[3..], [removed_entry(ROOT, open, b"open")]);
    drop(kept);
}

#[test]
fn what_is_changed_at_a_door_is_not_told_as_it_was_looked_up_before() {
    const LOOKUP: u32 = 1;
    const OPEN: u32 = 14;
    const IOCTL: u32 = 39;
    let caching = Caching { write_back: false, ..Caching::DEFAULT };
    let dfs = Dfs::mount(container(&system(), "c"), MountOptions::default()).unwrap();
    let files = Filesystem::new(dfs, caching, None, true, Some(true));
    let info = daos_door::Info { write_back: false, names: true, doors: 1, token: [0; 16] };
    files.sides().open(info, |_| {});
    let (uid, root) = (rustix::process::geteuid().as_raw(), files.dfs().root());
    let name = |number: usize| format!("f{number:03}");
    for number in 0..100 {
        files.dfs().make(&root, name(number).as_bytes(), &New::default()).unwrap().0.close().unwrap();
    }
    let header = |opcode, node| Header { opcode, unique: 1, node, uid, gid: 0, thread: 0 };
    let asked = |opcode, node, args: &[u8]| {
        let mut buffer = vec![0; 4096];
        files.answer(&header(opcode, node), Args(args), &mut Reply::new(&mut buffer)).unwrap().unwrap();
        buffer
    };
    let look = |number| files.look_up(&header(LOOKUP, ROOT), Args((name(number) + "\0").as_bytes())).unwrap();
    // One that a door has.
    let taken = look(52).node;
    let flags = (libc::O_RDWR | libc::O_DIRECT | libc::O_APPEND).cast_unsigned();
    let opened = asked(OPEN, taken, &[flags.to_ne_bytes(), [0; 4]].concat());
    let handle = &opened[OUT_HEADER..OUT_HEADER + 8];
    asked(IOCTL, taken, &[handle, &[0; 4], &daos_door::IOCTL_TAKE.to_ne_bytes(), &[0; 16]].concat());
    let handle = u64::from_ne_bytes(handle.try_into().unwrap());
    let change = |op, path: &str, more: &[u8]| {
        let who = daos_door::Who { uid, ..Default::default() };
        let asked = Asked { who, at: at(path), how: 0o600, more, ..Asked::default() };
        files.names_at_door(op, &asked.encode()).unwrap();
    };
    // What is behind them is looked up by now.
    for number in 0..50 {
        look(number);
    }
    change(Op::Chmod, "f050", &[]);
    assert_eq!(look(50).attr.mode & 0o777, 0o600);
    change(Op::Truncate, "f051", &7_u64.to_le_bytes());
    assert_eq!(look(51).attr.size, 7);
    let body = [&daos_door::Range { at: 0, len: 3 }.encode()[..], b"abc"].concat();
    files.at_door(Op::Append, handle, &body, None).unwrap();
    assert_eq!(look(52).attr.size, 3);
}
