//! Several mounts of one file system, and several threads of one mount.

use crate::common::{
    CREATE, InMemory, READ, Random, Untransacted, WRITE, errno, mount, names, new, open, read, root, write,
};
use daos_client::ContainerService;
use daos_dfs::{
    At, CheckMode, Consistency, Dfs, Errno, FormatOptions, MountOptions, OpenFlags, Rename, SetAttr, XattrSet,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

fn two(consistency: Consistency) -> (InMemory, Dfs, Dfs) {
    let made = InMemory::formatted(2, &FormatOptions { consistency, ..FormatOptions::default() });
    let (one, two) = (made.mount(), made.mount());
    (made, one, two)
}

#[test]
fn what_one_mount_did_the_other_sees() {
    let (_made, one, two) = two(Consistency::Relaxed);
    let (first, second) = (root(&one), root(&two));
    first.mkdir(b"/d", 0o755).unwrap();
    let d = second.open_dir(b"/d").unwrap();
    let file = first.open_file(b"/d/f", &open(CREATE)).unwrap();
    file.write(0, b"abc").unwrap();
    let same = second.open_file(b"/d/f", &open(WRITE)).unwrap();
    assert_eq!((same.oid(), same.size().unwrap(), read(&second, b"/d/f")), (file.oid(), 3, b"abc".to_vec()));
    same.truncate(1).unwrap();
    assert_eq!(file.size().unwrap(), 1);
    // A directory that the other moved: what is open works on, by its object; its record is not where it was.
    first.rename(b"/d", b"/e", Rename::Replace).unwrap();
    assert_eq!(names(&second, b"/e"), ["f"]);
    drop(two.open(&d, b"g", CREATE, &new()).unwrap());
    assert_eq!(names(&first, b"/e"), ["f", "g"]);
    // It was looked up by its new name, so this mount knows where it is.
    two.set_attr(At::Dir(&d), &SetAttr { mode: Some(0o700), ..SetAttr::default() }).unwrap();
    assert_eq!(first.stat(b"/e").unwrap().mode, 0o040_700);
    first.rename(b"/e/f", b"/h", Rename::Replace).unwrap();
    assert_eq!(errno(two.stat(At::File(&same))), Errno::ESTALE);
    same.write(1, b"still").unwrap();
    same.close().unwrap();
    assert_eq!(read(&first, b"/h"), b"astill");
    // Removed by the other: nothing is left of what is open.
    let same = second.open_file(b"/h", &open(WRITE)).unwrap();
    file.close().unwrap();
    first.unlink(b"/h").unwrap();
    assert_eq!(same.read(0, &mut [0]).unwrap(), 0);
    assert_eq!(errno(same.stat()), Errno::ESTALE);
    same.write(0, b"lost").unwrap();
    drop(same);
    // That is the one thing a check finds after mounts that did nothing wrong.
    assert_eq!(one.check(CheckMode::Remove, None).unwrap().findings.len(), 1);
    assert_eq!(one.check(CheckMode::Print, None).unwrap().findings, []);
}

#[test]
fn nothing_is_made_in_a_directory_that_another_thread_removes() {
    let made = InMemory::formatted(2, &FormatOptions::default());
    let dfs = made.mount();
    let exclusive = OpenFlags { exclusive: true, ..CREATE };
    std::thread::scope(|threads| {
        for thread in 0..3 {
            let paths = root(&dfs);
            threads.spawn(move || {
                for round in 0..1500 {
                    let path = format!("/a/b/{thread}.{round}").into_bytes();
                    loop {
                        match paths.open_file(&path, &open(exclusive)) {
                            Ok(file) => break file.close().unwrap(),
                            Err(error) => assert_eq!(error.errno, Errno::ENOENT, "{error}"),
                        }
                        for directory in [&b"/a"[..], b"/a/b"] {
                            let made = paths.mkdir(directory, 0o755).map(drop).map_err(|error| error.errno);
                            assert!(matches!(made, Ok(()) | Err(Errno::EEXIST | Errno::ENOENT)), "{made:?}");
                        }
                    }
                    // It was told that it is there.
                    paths.unlink(&path).unwrap();
                    for directory in [&b"/a/b"[..], b"/a"] {
                        let gone = paths.rmdir(directory).map_err(|error| error.errno);
                        assert!(matches!(gone, Ok(()) | Err(Errno::ENOENT | Errno::ENOTEMPTY)), "{gone:?}");
                    }
                }
            });
        }
    });
    assert_eq!(dfs.check(CheckMode::Print, None).unwrap().findings, []);
}

#[test]
fn a_link_made_elsewhere_is_followed() {
    let (_made, one, two) = two(Consistency::Relaxed);
    let (first, second) = (root(&one), root(&two));
    let file = first.open_file(b"/f", &open(CREATE)).unwrap();
    second.link(b"/f", b"/g", true).unwrap();
    file.write(0, b"x").unwrap();
    file.flush().unwrap();
    one.set_attr(At::File(&file), &SetAttr { mode: Some(0o600), ..SetAttr::default() }).unwrap();
    assert_eq!(
        (second.stat(b"/g").unwrap().mode, second.stat(b"/g").unwrap().mtime),
        (0o100_600, file.stat().unwrap().mtime)
    );
    first.unlink(b"/f").unwrap();
    assert_eq!((file.stat().unwrap().links, first.stat(b"/g").unwrap().links), (1, 1));
    file.close().unwrap();
    second.unlink(b"/g").unwrap();
    assert_eq!(one.check(CheckMode::Print, None).unwrap().findings, []);
}

#[test]
fn what_is_made_in_a_directory_that_another_removes() {
    // Balanced, one of both is first.
    let (made, one, two) = two(Consistency::Balanced);
    let (first, second) = (root(&one), root(&two));
    first.mkdir(b"/d", 0o755).unwrap();
    let d = second.open_dir(b"/d").unwrap();
    first.rmdir(b"/d").unwrap();
    for refused in [
        two.open(&d, b"f", CREATE, &new()).map(drop),
        two.mkdir(&d, b"e", &new()).map(drop),
        two.symlink(&d, b"s", b"x", &new()),
    ] {
        assert_eq!(errno(refused), Errno::ESTALE);
    }
    write(&second, b"/f", b"");
    assert_eq!(errno(two.link((&two.root(), b"f"), (&d, b"f"))), Errno::ESTALE);
    assert_eq!(one.check(CheckMode::Print, None).unwrap().findings, []);
    // A pool without transactions over all of its targets does not have it.
    let without: Arc<dyn ContainerService> = Arc::new(Untransacted(Arc::clone(&made.container)));
    let refused = Dfs::mount(Arc::clone(&without), MountOptions::default()).unwrap_err();
    assert!(
        refused.errno == Errno::EOPNOTSUPP && refused.message.contains("balanced") && refused.hint.is_some()
    );
    let options = MountOptions { read_only: true, ..MountOptions::default() };
    assert_eq!(names(&root(&Dfs::mount(without, options).unwrap()), b"/"), ["f"]);
}

/// Runs the same in several threads, each with a number.
fn together(threads: usize, run: impl Fn(usize) + Sync) {
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let run = &run;
            scope.spawn(move || run(thread));
        }
    });
}

#[test]
fn of_several_makers_one_is_first() {
    let (made, one, two) = two(Consistency::Relaxed);
    let exclusive = OpenFlags { exclusive: true, ..CREATE };
    for round in 0..50 {
        let (won, name) = (AtomicUsize::new(0), format!("f{round}"));
        together(4, |thread| {
            let dfs = if thread % 2 == 0 { &one } else { &two };
            match dfs.open(&dfs.root(), name.as_bytes(), exclusive, &new()) {
                Ok(_) => drop(won.fetch_add(1, Ordering::Relaxed)),
                Err(error) => assert_eq!(error.errno, Errno::EEXIST),
            }
        });
        assert_eq!(won.into_inner(), 1);
    }
    assert_eq!(made.mount().check(CheckMode::Print, None).unwrap().findings, []);
}

#[test]
fn appends_of_several_mounts_keep_apart() {
    let (_made, one, two) = two(Consistency::Relaxed);
    let append = OpenFlags { append: true, ..CREATE };
    let (threads, rounds) = (4, 60);
    let places = std::sync::Mutex::new(BTreeSet::new());
    together(threads, |thread| {
        let dfs = if thread % 2 == 0 { &one } else { &two };
        let file = dfs.open(&dfs.root(), b"log", append, &new()).unwrap();
        for round in 0..rounds {
            let line = [thread as u8; 100];
            let (at, len) = file.append(&line[..=round]).unwrap();
            assert_eq!(len, round + 1);
            assert!(places.lock().unwrap().insert((at, len, thread)));
        }
    });
    let data = read(&root(&one), b"log");
    let mut end = 0;
    for (at, len, thread) in places.into_inner().unwrap() {
        assert_eq!(at, end, "without a gap, and nothing over another");
        assert!(data[at as usize..][..len].iter().all(|byte| *byte == thread as u8));
        end += len as u64;
    }
    assert_eq!(data.len() as u64, end);
}

#[test]
fn threads_that_move_each_others_things_leave_a_tree() {
    for consistency in [Consistency::Relaxed, Consistency::Balanced] {
        let (_made, one, two) = two(consistency);
        for name in [b"a", b"b", b"c"] {
            one.mkdir(&one.root(), name, &new()).unwrap();
        }
        together(4, |thread| {
            let mut random = Random(thread as u64);
            // Two threads of one mount, and one of each: those that share a mount know of each other.
            let paths = root(if thread == 3 && consistency == Consistency::Balanced { &two } else { &one });
            for _ in 0..400 {
                let path = |random: &mut Random| {
                    let depth = 1 + random.below(3);
                    (0..depth)
                        .map(|_| random.one(&["a", "b", "c"]))
                        .collect::<Vec<_>>()
                        .join("/")
                        .into_bytes()
                };
                let (one, two) = (path(&mut random), path(&mut random));
                let outcome = match random.below(8) {
                    0 | 1 => paths.mkdir(&one, 0o755).map(drop),
                    2 => paths.rmdir(&one),
                    3 => paths.open_file(&one, &open(CREATE)).and_then(|file| {
                        file.write(0, b"x")?;
                        file.close()
                    }),
                    4 => paths.unlink(&one),
                    5 => paths.link(&one, &two, false),
                    _ => paths.rename(&one, &two, random.one(&[Rename::Replace, Rename::Exchange])),
                };
                if let Err(error) = outcome {
                    let expected = [
                        Errno::ENOENT,
                        Errno::EEXIST,
                        Errno::ENOTDIR,
                        Errno::EISDIR,
                        Errno::ENOTEMPTY,
                        Errno::EINVAL,
                        Errno::EPERM,
                        Errno::ESTALE,
                    ];
                    assert!(expected.contains(&error.errno), "{error:?}");
                }
            }
        });
        let report = one.check(CheckMode::Print, None).unwrap();
        // A file that one mount has open while another removes it is written to afterwards.
        let harmless = |finding: &daos_dfs::Finding| {
            consistency == Consistency::Balanced
                && matches!(finding, daos_dfs::Finding::Leaked { kind: Some(daos_dfs::Kind::File), .. })
        };
        assert!(report.findings.iter().all(harmless), "{consistency:?}: {:?}", report.findings);
    }
}

#[test]
fn files_that_are_opened_and_removed_at_once_are_open_or_gone() {
    let (made, one, _) = two(Consistency::Relaxed);
    let paths = root(&one);
    let read_whole = AtomicUsize::new(0);
    let end = Instant::now() + Duration::from_secs(30);
    together(3, |thread| {
        for round in 0_u32.. {
            if read_whole.load(Ordering::Relaxed) >= 200 || Instant::now() > end {
                break;
            }
            match thread {
                0 => {
                    let path = b"/f.new";
                    write(&paths, path, &round.to_le_bytes());
                    paths.rename(path, b"/f", Rename::Replace).unwrap();
                }
                1 => {
                    if let Err(error) = paths.unlink(b"/f") {
                        assert_eq!(error.errno, Errno::ENOENT);
                    }
                }
                _ => match paths.open_file(b"/f", &open(READ)) {
                    Err(error) => assert_eq!(error.errno, Errno::ENOENT),
                    Ok(file) => {
                        // Whatever happens to its name, its bytes are there.
                        let mut data = [0; 8];
                        assert_eq!(file.read(0, &mut data).unwrap(), 4);
                        assert!(file.stat().unwrap().size == 4);
                        read_whole.fetch_add(1, Ordering::Relaxed);
                        file.close().unwrap();
                    }
                },
            }
        }
    });
    assert!(read_whole.into_inner() >= 200);
    drop(paths.unlink(b"/f"));
    assert_eq!(one.check(CheckMode::Print, None).unwrap().findings, []);
    let report = mount(&made.container).check(CheckMode::Print, None).unwrap();
    assert_eq!((report.findings, report.files), (vec![], 0));
}

#[test]
fn what_is_open_is_known_wherever_its_names_go() {
    for transactions in [true, false] {
        let (made, one, _) = two(Consistency::Relaxed);
        let container = Arc::clone(&made.container);
        let one = if transactions { one } else { mount(&(Arc::new(Untransacted(container)) as Arc<_>)) };
        let paths = root(&one);
        paths.mkdir(b"/d", 0o755).unwrap();
        let names: [&[u8]; 5] = [b"/a", b"/b", b"/c", b"/d/a", b"/d/b"];
        let end = Instant::now() + Duration::from_secs(30);
        let seen = AtomicUsize::new(0);
        together(4, |thread| {
            let mut random = Random(thread as u64 + 7);
            while seen.load(Ordering::Relaxed) < 400 && Instant::now() < end {
                let (from, to) = (random.one(&names), random.one(&names));
                let outcome = match thread {
                    0 | 1 => match random.below(8) {
                        0 => paths.unlink(from),
                        1 if transactions => paths.link(from, to, false),
                        2 => paths.rename(from, to, Rename::Exchange),
                        _ => paths.rename(from, to, Rename::Replace),
                    },
                    2 => paths
                        .rename(b"/d", b"/e", Rename::Replace)
                        .and_then(|()| paths.rename(b"/e", b"/d", Rename::Replace)),
                    _ => paths.open_file(from, &open(CREATE)).and_then(|file| {
                        // Never stale: all that happens to its names, this mount does.
                        for mode in [0o600, 0o640] {
                            file.write(0, b"x")?;
                            one.set_attr(
                                At::File(&file),
                                &SetAttr { mode: Some(mode), ..SetAttr::default() },
                            )
                            .unwrap();
                            assert_eq!(
                                file.stat().unwrap().mode & 0o777,
                                mode,
                                "with transactions: {transactions}"
                            );
                        }
                        seen.fetch_add(1, Ordering::Relaxed);
                        file.close()
                    }),
                };
                if let Err(error) = outcome {
                    let expected = [Errno::ENOENT, Errno::EEXIST, Errno::ENOTDIR];
                    assert!(expected.contains(&error.errno), "{error:?}");
                }
            }
        });
        assert!(seen.into_inner() >= 400, "it took too long");
        for name in names {
            drop(paths.unlink(name));
        }
        // Nothing is left: no file, and no orphan.
        let report = mount(&made.container).check(CheckMode::Print, None).unwrap();
        assert_eq!((report.findings, report.files), (vec![], 0), "with transactions: {transactions}");
    }
}

#[test]
fn directories_are_not_removed_while_something_is_made_in_them() {
    let (_made, one, _) = two(Consistency::Relaxed);
    let paths = root(&one);
    together(3, |thread| {
        for _ in 0..300 {
            let outcome = match thread {
                0 => paths.mkdir(b"/d", 0o755).map(drop),
                1 => paths.rmdir(b"/d"),
                _ => paths.open_file(b"/d/f", &open(CREATE)).and_then(|file| {
                    file.write(0, b"x")?;
                    file.close()?;
                    paths.unlink(b"/d/f")
                }),
            };
            if let Err(error) = outcome {
                let expected = [Errno::ENOENT, Errno::EEXIST, Errno::ENOTEMPTY];
                assert!(expected.contains(&error.errno), "{error:?}");
            }
        }
    });
    assert_eq!(one.check(CheckMode::Print, None).unwrap().findings, []);
}

#[test]
fn attributes_that_are_set_at_once_are_all_there() {
    let (_made, one, two) = two(Consistency::Relaxed);
    write(&root(&one), b"/f", b"");
    together(4, |thread| {
        let dfs = if thread % 2 == 0 { &one } else { &two };
        let root = dfs.root();
        let at = At::Entry(&root, b"f");
        for round in 0..40 {
            let name = format!("user.{thread}.{round}");
            dfs.set_xattr(at, name.as_bytes(), b"v", XattrSet::Create).unwrap();
            let set = match thread {
                0 => SetAttr { uid: Some(round), ..SetAttr::default() },
                1 => SetAttr { gid: Some(round), ..SetAttr::default() },
                2 => SetAttr { mode: Some(0o600 | round & 7), ..SetAttr::default() },
                _ => SetAttr { size: Some(round.into()), ..SetAttr::default() },
            };
            dfs.set_attr(at, &set).unwrap();
        }
    });
    let attr = root(&one).stat(b"/f").unwrap();
    assert_eq!((attr.uid, attr.gid, attr.mode & 0o777, attr.size), (39, 39, 0o607, 39));
    assert_eq!(root(&two).xattrs(b"/f", true).unwrap().len(), 160);
}

#[test]
fn a_directory_as_it_was_a_moment_ago_is_not_older_than_what_this_mount_did() {
    let (_made, one, two) = two(Consistency::Relaxed);
    let (first, second) = (root(&one), root(&two));
    first.mkdir(b"/d", 0o755).unwrap();
    let d = first.open_dir(b"/d").unwrap();
    let within = Duration::from_secs(600);
    let lately = || one.stat_lately(At::Dir(&d), within).unwrap();
    let (before, age) = lately();
    assert_eq!((before.mode, age), (0o040_755, Duration::ZERO), "looked up");
    // Another mount's change is seen when what was seen is too old.
    second.chmod(b"/d", 0o711).unwrap();
    assert_eq!(lately().0, before);
    assert_eq!(one.stat_lately(At::Dir(&d), Duration::ZERO).unwrap().0.mode, 0o040_711);
    second.chmod(b"/d", 0o755).unwrap();
    one.forget_recent();
    assert_eq!(lately().0.mode, 0o040_755);
    // What this mount does is seen at once: entries, attributes, a new name, the end.
    let mut last = lately().0;
    let mut changed = |what: &str| {
        let now = lately().0;
        assert_ne!(now, last, "{what}");
        assert_eq!(now, one.stat(At::Dir(&d)).unwrap(), "{what}");
        last = now;
    };
    first.open_file(b"/d/f", &open(CREATE)).unwrap().close().unwrap();
    changed("a new entry");
    first.unlink(b"/d/f").unwrap();
    changed("one less");
    one.sync().unwrap();
    assert_eq!(lately().0, one.stat(At::Dir(&d)).unwrap(), "times are stored");
    first.chmod(b"/d", 0o700).unwrap();
    changed("a mode");
    first.set_xattr(b"/d", b"user.x", b"1", XattrSet::Any, true).unwrap();
    changed("an attribute");
    first.rename(b"/d", b"/e", Rename::Replace).unwrap();
    changed("a name");
    first.rmdir(b"/e").unwrap();
    assert_eq!(errno(one.stat_lately(At::Dir(&d), within)), Errno::ESTALE);
}

#[test]
fn a_file_that_is_opened_to_be_written_is_known_to_have_no_capabilities() {
    let (_made, one, two) = two(Consistency::Relaxed);
    let (first, name) = (root(&one), b"security.capability");
    let within = Duration::from_secs(600);
    let (made, _) = one.make(&one.root(), b"f", &new()).unwrap();
    assert!(made.is_incapable(within), "it is new");
    assert!(!made.is_incapable(Duration::ZERO));
    first.set_xattr(b"/f", name, b"1", XattrSet::Any, true).unwrap();
    assert!(!made.is_incapable(within), "this mount has given it some");
    drop(made);
    let opened = one.open_to_write(&one.root(), b"f").unwrap();
    assert!(!opened.is_incapable(within), "it has some");
    drop(opened);
    first.remove_xattr(b"/f", name, true).unwrap();
    let opened = one.open_to_write(&one.root(), b"f").unwrap();
    assert!(opened.is_incapable(within));
    opened.write(0, b"abc").unwrap();
    drop(opened);
    // Others are asked for, and so is one whose record lies elsewhere.
    let opened = one.open(&one.root(), b"f", READ, &new()).unwrap();
    assert!(!opened.is_incapable(within));
    drop(opened);
    first.link(b"/f", b"/g", false).unwrap();
    let opened = two.open_to_write(&two.root(), b"g").unwrap();
    assert!(!opened.is_incapable(within));
    drop(opened);
    assert_eq!(errno(one.open_to_write(&one.root(), b"h")), Errno::ENOENT);
}
