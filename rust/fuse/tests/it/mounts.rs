//! Mounts as a whole: read-only ones and snapshots, slow requests, their end, several of one container.

use crate::common::{Mounted, Store, make, mkdir, mounted, no, open, soon, unlink};
use daos_dfs::{Dfs, MountOptions};
use daos_fuse::{Caching, Options};
use rustix::fs::{OFlags, XattrFlags};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[test]
fn nothing_changes_on_a_read_only_mount() {
    let store = Store::new();
    let Some(m) = Mounted::new(&store) else { return };
    fs::write(m.path("a"), b"a").unwrap();
    m.end();
    let options = MountOptions { read_only: true, ..MountOptions::default() };
    let dfs = Dfs::mount(Arc::clone(&store.container), options).unwrap();
    let Some(m) = Mounted::with(dfs, Options::default()) else { return };
    assert_eq!(fs::read(m.path("a")).unwrap(), b"a");
    assert_eq!(no(open(&m.path("a"), OFlags::RDWR)), Errno::ROFS);
    assert_eq!(no(open(&m.path("b"), OFlags::RDWR | OFlags::CREATE)), Errno::ROFS);
    assert_eq!(no(mkdir(&m.path("d"))), Errno::ROFS);
    assert_eq!(no(unlink(&m.path("a"))), Errno::ROFS);
    assert_eq!(no(rustix::fs::setxattr(m.path("a"), "user.a", b"", XattrFlags::empty())), Errno::ROFS);
    m.end();
}

#[test]
fn a_snapshot_is_mounted_as_it_was() {
    let store = Store::new();
    let Some(m) = Mounted::new(&store) else { return };
    fs::write(m.path("a"), b"before").unwrap();
    rustix::fs::fsync(File::open(m.path("a")).unwrap()).unwrap();
    m.end();
    let snapshot = store.container.snapshot_create(Some("s")).unwrap();
    let Some(m) = Mounted::new(&store) else { return };
    fs::write(m.path("a"), b"afterwards").unwrap();
    let options = MountOptions { epoch: Some(snapshot.epoch), ..MountOptions::default() };
    let then = Dfs::mount(Arc::clone(&store.container), options).unwrap();
    let Some(old) = Mounted::with(then, Options::default()) else { return };
    assert_eq!(fs::read(old.path("a")).unwrap(), b"before");
    assert_eq!(no(open(&old.path("a"), OFlags::WRONLY)), Errno::ROFS);
    old.end();
    m.end();
}

#[test]
fn what_is_looked_up_ahead_holds_as_long_as_the_kernel_might_have_kept_it() {
    let store = Store::new();
    let time = Duration::from_secs(2);
    let caching = Caching { attr: time, dentry: time, write_back: false, ..Caching::DEFAULT };
    let (Some(m), Some(other)) = (Mounted::cached(&store, caching), Mounted::cached(&store, Caching::NONE))
    else {
        return;
    };
    let name = |number: usize| format!("f{number:03}");
    (0..100).for_each(|number| fs::write(other.path(&name(number)), b"x").unwrap());
    fs::hard_link(other.path(&name(64)), other.path("z")).unwrap();
    let size = |number: usize| fs::metadata(m.path(&name(number))).unwrap().len();
    let begun = Instant::now();
    (0..20).for_each(|number| assert_eq!(size(number), 1));
    // Another mount changes what was looked up by now, and what was not.
    for number in [25, 90] {
        fs::write(other.path(&name(number)), b"longer").unwrap();
    }
    unlink(&other.path(&name(26))).unwrap();
    let (early, kept, late) = (size(25), m.path(&name(26)).exists(), size(90));
    if begun.elapsed() < Duration::from_secs(1) {
        assert_eq!((early, kept, late), (1, true, 6), "as the kernel would have kept it");
    }
    std::thread::sleep((begun + Duration::from_millis(2100)).saturating_duration_since(Instant::now()));
    assert_eq!((size(25), m.path(&name(26)).exists()), (6, false), "no longer than that");
    // What this mount changes is told at once.
    (30..60).for_each(|number| assert_eq!(size(number), 1));
    fs::write(m.path("z"), b"by another name").unwrap();
    fs::write(m.path(&name(62)), b"changed").unwrap();
    fs::rename(m.path(&name(63)), m.path("elsewhere")).unwrap();
    symlink("nowhere", m.path(&name(63))).unwrap();
    unlink(&m.path(&name(61))).unwrap();
    assert_eq!((size(60), size(62), size(64)), (1, 7, 15));
    assert!(fs::symlink_metadata(m.path(&name(63))).unwrap().is_symlink());
    assert!(!m.path(&name(61)).exists());
    (65..90).for_each(|number| assert_eq!(size(number), 1));
    m.end();
    other.end();
}

#[test]
fn a_slow_request_holds_nobody_up() {
    let store = Store::new();
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    // Whoever asks for the room waits until he is let go.
    let space = move || {
        let _ = held.lock().unwrap().recv_timeout(Duration::from_secs(20));
        Ok(daos_client::SystemSpace { total: 1 << 20, free: 0, used: 1 << 20, reserved: 0 })
    };
    let options = MountOptions { space: Some(Arc::new(space)), ..MountOptions::default() };
    let dfs = Dfs::mount(Arc::clone(&store.container), options).unwrap();
    let Some(m) = Mounted::with(dfs, Options { threads: 4, ..Options::default() }) else { return };
    let asked = Arc::new(File::open(m.root()).unwrap());
    let (told, answers) = std::sync::mpsc::channel();
    for _ in 0..3 {
        let (asked, told) = (Arc::clone(&asked), told.clone());
        std::thread::spawn(move || told.send(rustix::fs::fstatfs(&*asked).unwrap().f_blocks));
    }
    // Three of four threads wait.
    for number in 0..20 {
        fs::write(m.path(&format!("f{number}")), b"x").unwrap();
    }
    assert!(answers.try_recv().is_err());
    for _ in 0..3 {
        hold.send(()).unwrap();
        answers.recv_timeout(Duration::from_secs(20)).unwrap();
    }
    drop(asked);
    m.end();
}

#[test]
fn a_mount_that_is_in_use_says_so_and_ends_with_its_last_user() {
    mounted!(store, m);
    let mut file = make(&m.path("a"));
    assert!(!m.mount.unmount(Duration::from_millis(300)).unwrap());
    assert!(!m.path("a").exists(), "nobody new gets in");
    file.write_all(b"late").unwrap();
    file.rewind().unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "late");
    drop(file);
    assert!(m.mount.wait(Duration::from_secs(20)));
    m.end();
    let Some(m) = Mounted::new(&store) else { return };
    assert_eq!(fs::read(m.path("a")).unwrap(), b"late");
    m.end();
}

#[test]
fn a_store_that_vanishes_gives_errors_and_lets_go() {
    let store = Store::new();
    let told = Arc::new(std::sync::Mutex::new(Vec::<String>::new()));
    let sink = Arc::clone(&told);
    let report: daos_fuse::Report = Arc::new(move |line: &str| sink.lock().unwrap().push(line.to_owned()));
    let options = Options { report: Some(report), caching: Caching::NONE, ..Options::default() };
    let dfs = store.dfs();
    let Some(m) = Mounted::with(dfs.clone(), options) else { return };
    let file = make(&m.path("a"));
    dfs.umount().unwrap();
    assert_eq!(no(rustix::io::pwrite(&file, b"x", 0)), Errno::NODEV);
    assert_eq!(fs::metadata(m.path("a")).unwrap_err().raw_os_error(), Some(libc::ENODEV));
    assert!(told.lock().unwrap()[0].contains("not mounted"), "{told:?}");
    drop(file);
    m.end();
}

#[test]
fn two_mounts_see_each_other() {
    let store = Store::new();
    let Some(one) = Mounted::cached(&store, Caching::NONE) else { return };
    let Some(two) = Mounted::cached(&store, Caching::NONE) else { return };
    fs::write(one.path("a"), b"one").unwrap();
    assert_eq!(fs::read(two.path("a")).unwrap(), b"one");
    fs::write(two.path("a"), b"two and more").unwrap();
    assert_eq!(fs::read(one.path("a")).unwrap(), b"two and more");
    fs::rename(one.path("a"), one.path("b")).unwrap();
    assert_eq!(fs::read(two.path("b")).unwrap(), b"two and more");
    assert!(!two.path("a").exists());
    // A name that was another's meanwhile.
    let open_b = File::open(one.path("b")).unwrap();
    fs::write(two.path("c"), b"c").unwrap();
    fs::rename(two.path("c"), two.path("b")).unwrap();
    assert_eq!(fs::read(one.path("b")).unwrap(), b"c");
    drop(open_b);
    let mut log = open(&one.path("log"), OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE).unwrap();
    let mut other = open(&two.path("log"), OFlags::WRONLY | OFlags::APPEND).unwrap();
    for _ in 0..10 {
        log.write_all(b"1").unwrap();
        other.write_all(b"2").unwrap();
    }
    assert_eq!(fs::read(one.path("log")).unwrap(), b"12121212121212121212");
    drop((log, other));
    one.end();
    two.end();
}

#[test]
fn when_a_closed_file_was_changed_is_stored_soon() {
    let store = Store::new();
    let Some(m) = Mounted::new(&store) else { return };
    let (other, root) = (store.dfs(), store.dfs().root());
    let stored = |name: &str| {
        let mtime = other.look(&root, name.as_bytes()).unwrap().0.mtime;
        (mtime.seconds, i64::from(mtime.nanoseconds))
    };
    let told = |name: &str| {
        let attr = fs::metadata(m.path(name)).unwrap();
        (attr.mtime(), attr.mtime_nsec())
    };
    let write = |name: &str| {
        fs::write(m.path(name), b"").unwrap();
        std::thread::sleep(Duration::from_millis(20));
        fs::write(m.path(name), b"x").unwrap();
    };
    write("a");
    soon(|| stored("a") == told("a"));
    // Not only when nobody asks for anything.
    write("b");
    soon(|| {
        let asked = (0..20).all(|_| m.path("none").try_exists().is_ok_and(|there| !there));
        asked && stored("b") == told("b")
    });
    write("c");
    let last = told("c");
    m.end();
    assert_eq!(stored("c"), last);
    // Where nothing is kept it is stored when the file is closed, for which nobody waits either.
    let Some(m) = Mounted::cached(&store, Caching::NONE) else { return };
    fs::write(m.path("c"), b"y").unwrap();
    soon(|| stored("c") != last);
    m.end();
}

/// Asks a mount by something of it that is open.
fn asked(file: &File, question: u64, told: &mut [u64]) -> Result<(), Option<i32>> {
    #[allow(unsafe_code)]
    // SAFETY: the answer has as many bytes as the number of the question says, which is no more than there are.
    let done = unsafe { libc::ioctl(std::os::fd::AsRawFd::as_raw_fd(file), question, told.as_mut_ptr()) };
    if done == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().raw_os_error()) }
}

#[test]
fn what_a_mount_was_asked_is_counted_by_operation() {
    const TALLY: u64 = 0x8408_a3cb;
    const MKDIR: usize = 9;
    const RMDIR: usize = 11;
    mounted!(store, m);
    let file = make(&m.path("a"));
    let tally = || {
        let mut told = [0; 129];
        asked(&file, TALLY, &mut told).unwrap();
        assert_eq!(told[0], 1, "the version");
        move |operation: usize| (told[1 + 2 * operation], told[2 + 2 * operation])
    };
    let before = tally();
    for _ in 0..3 {
        std::fs::create_dir(m.path("d")).unwrap();
        std::fs::remove_dir(m.path("d")).unwrap();
    }
    let after = tally();
    for operation in [MKDIR, RMDIR] {
        assert_eq!(after(operation).0 - before(operation).0, 3);
        assert!(after(operation).1 > before(operation).1);
    }
    assert_eq!(after(63), (0, 0), "nobody asks for that");
    // Who has less room for it is not told.
    assert_eq!(asked(&file, 0x8400_a3cb, &mut [0; 128]), Err(Some(libc::ENOTTY)));
}

#[test]
fn what_the_kernel_knows_is_told_and_can_be_forgotten() {
    const USAGE: u64 = 0x8028_a3c8;
    const RESIDENT: u64 = 0xc008_a3c9;
    const EVICT: u64 = 0x8008_a3ca;
    mounted!(store, m);
    let mut file = make(&m.path("a"));
    let mut told = [0; 5];
    asked(&file, USAGE, &mut told).unwrap();
    assert_eq!(told, [1, 0, 1, 2, 1], "a version, a container, the root and a file, which is open");
    assert_eq!((m.mount.usage().inodes, m.mount.usage().open_files), (2, 1));
    // Others mean nothing here.
    assert_eq!(asked(&file, 0xa3c9, &mut told), Err(Some(libc::ENOTTY)));
    // What is forgotten is written before, and found again.
    file.write_all(b"kept").unwrap();
    let ino = file.metadata().unwrap().ino();
    let resident = |ino: u64| {
        let mut told = [ino];
        asked(&File::open(m.root()).unwrap(), RESIDENT, &mut told).unwrap();
        told[0] == 1
    };
    assert!(resident(ino) && !resident(ino + 1));
    let mut told = [0];
    asked(&file, EVICT, &mut told).unwrap();
    assert_eq!(told, [ino]);
    drop(file);
    let end = std::time::Instant::now() + Duration::from_secs(20);
    while resident(ino) {
        assert!(std::time::Instant::now() < end, "it is not forgotten");
        std::thread::yield_now();
    }
    assert_eq!(fs::read(m.path("a")).unwrap(), b"kept");
    assert!(resident(ino));
    let mut told = [0];
    asked(&File::open(m.root()).unwrap(), EVICT, &mut told).unwrap();
    assert_eq!(told[0], fs::metadata(m.root()).unwrap().ino());
    m.end();
}
