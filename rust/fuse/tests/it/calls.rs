//! Each call and its errors, as POSIX has them.

use crate::common::{Mounted, Store, make, mkdir, mounted, no, open, unlink};
use daos_fuse::{Caching, Options};
use rustix::fs::{
    AtFlags, CWD, FallocateFlags, FlockOperation, Mode, OFlags, RenameFlags, SeekFrom, Timespec, Timestamps,
    XattrFlags,
};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn rmdir(path: &Path) -> rustix::io::Result<()> {
    rustix::fs::unlinkat(CWD, path, AtFlags::REMOVEDIR)
}

fn renameat2(from: &Path, to: &Path, flags: RenameFlags) -> rustix::io::Result<()> {
    rustix::fs::renameat_with(CWD, from, CWD, to, flags)
}

#[test]
fn open_and_create() {
    mounted!(store, m);
    let a = m.path("a");
    assert_eq!(no(open(&a, OFlags::RDONLY)), Errno::NOENT);
    drop(make(&a));
    assert_eq!(no(open(&a, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)), Errno::EXIST);
    open(&a, OFlags::RDWR | OFlags::CREATE).unwrap();
    assert_eq!(no(open(&a, OFlags::RDONLY | OFlags::DIRECTORY)), Errno::NOTDIR);
    assert_eq!(no(open(&a.join("x"), OFlags::RDONLY)), Errno::NOTDIR);
    assert_eq!(no(open(m.root(), OFlags::RDWR)), Errno::ISDIR);
    symlink("a", m.path("link")).unwrap();
    assert_eq!(no(open(&m.path("link"), OFlags::RDONLY | OFlags::NOFOLLOW)), Errno::LOOP);
    assert_eq!(no(open(&m.path("link"), OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)), Errno::EXIST);
    open(&m.path("link"), OFlags::RDONLY).unwrap();
    symlink("self", m.path("self")).unwrap();
    assert_eq!(no(open(&m.path("self"), OFlags::RDONLY)), Errno::LOOP);
    symlink("nowhere", m.path("dangling")).unwrap();
    assert_eq!(no(open(&m.path("dangling"), OFlags::RDONLY)), Errno::NOENT);
    open(&m.path("dangling"), OFlags::RDWR | OFlags::CREATE).unwrap();
    assert!(m.path("nowhere").exists());
    assert_eq!(no(open(&m.path(&"x".repeat(256)), OFlags::RDWR | OFlags::CREATE)), Errno::NAMETOOLONG);
    open(&m.path(&"x".repeat(255)), OFlags::RDWR | OFlags::CREATE).unwrap();
    let mut long = m.path("d");
    for _ in 0..20 {
        long = long.join("y".repeat(250));
    }
    assert_eq!(no(open(&long, OFlags::RDONLY)), Errno::NAMETOOLONG);
    // What is there is lost with O_TRUNC, whoever has it open.
    fs::write(&a, b"hello").unwrap();
    let mut before = File::open(&a).unwrap();
    open(&a, OFlags::WRONLY | OFlags::TRUNC).unwrap();
    assert_eq!(before.metadata().unwrap().len(), 0);
    let mut text = String::new();
    before.read_to_string(&mut text).unwrap();
    assert_eq!(text, "");
    drop(before);
    m.end();
}

#[test]
fn read_and_write() {
    mounted!(store, m);
    let a = m.path("a");
    let mut file = make(&a);
    file.write_all(b"hello").unwrap();
    file.write_all_at(b"end", 3 << 20).unwrap();
    assert_eq!(file.metadata().unwrap().len(), (3 << 20) + 3);
    let mut buffer = vec![1; 10];
    file.read_exact_at(&mut buffer, 1 << 20).unwrap();
    assert_eq!(buffer, [0; 10]);
    assert_eq!(file.read_at(&mut buffer, (3 << 20) + 1).unwrap(), 2);
    assert_eq!(file.read_at(&mut buffer, 4 << 20).unwrap(), 0);
    let reader = open(&a, OFlags::RDONLY).unwrap();
    assert_eq!(no(rustix::io::pwrite(&reader, b"x", 0)), Errno::BADF);
    let writer = open(&a, OFlags::WRONLY).unwrap();
    assert_eq!(no(rustix::io::pread(&writer, &mut buffer[..], 0)), Errno::BADF);
    // Bigger than one request is.
    let data: Vec<u8> = (0..5_000_000_u32).map(|number| (number % 251) as u8).collect();
    fs::write(m.path("big"), &data).unwrap();
    assert_eq!(fs::read(m.path("big")).unwrap(), data);
    file.sync_all().unwrap();
    file.sync_data().unwrap();
    drop((file, reader, writer));
    m.end();
}

#[test]
fn truncate_and_fallocate() {
    mounted!(store, m);
    let file = make(&m.path("a"));
    file.write_all_at(&[7; 10_000], 0).unwrap();
    file.set_len(5000).unwrap();
    file.set_len(8000).unwrap();
    let mut buffer = vec![1; 8000];
    file.read_exact_at(&mut buffer, 0).unwrap();
    assert!(buffer[..5000].iter().all(|byte| *byte == 7) && buffer[5000..].iter().all(|byte| *byte == 0));
    let allocate = |flags, at, len| rustix::fs::fallocate(&file, flags, at, len);
    let (keep, punch, zero) =
        (FallocateFlags::KEEP_SIZE, FallocateFlags::PUNCH_HOLE, FallocateFlags::ZERO_RANGE);
    allocate(FallocateFlags::empty(), 0, 20_000).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 20_000);
    allocate(keep, 0, 40_000).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 20_000);
    allocate(punch | keep, 100, 100).unwrap();
    allocate(zero, 19_000, 2000).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 21_000);
    file.read_exact_at(&mut buffer, 0).unwrap();
    assert!(buffer[100..200].iter().all(|byte| *byte == 0) && buffer[99] == 7 && buffer[200] == 7);
    assert_eq!(no(allocate(punch, 0, 10)), Errno::OPNOTSUPP);
    assert_eq!(no(allocate(FallocateFlags::COLLAPSE_RANGE, 0, 4096)), Errno::OPNOTSUPP);
    assert_eq!(no(allocate(FallocateFlags::empty(), 0, 0)), Errno::INVAL);
    assert_eq!(no(rustix::fs::ftruncate(open(&m.path("a"), OFlags::RDONLY).unwrap(), 0)), Errno::INVAL);
    let by_path = std::ffi::CString::new(m.root().as_os_str().as_bytes()).unwrap();
    #[allow(unsafe_code)]
    // SAFETY: the path ends with a NUL.
    let done = unsafe { libc::truncate(by_path.as_ptr(), 0) };
    assert_eq!((done, std::io::Error::last_os_error().raw_os_error()), (-1, Some(libc::EISDIR)));
    drop(file);
    m.end();
}

#[test]
fn holes_are_found() {
    mounted!(store, m);
    let file = make(&m.path("a"));
    file.write_all_at(b"x", 4 << 20).unwrap();
    file.set_len(8 << 20).unwrap();
    file.sync_all().unwrap();
    let seek = |to| rustix::fs::seek(&file, to);
    assert_eq!(seek(SeekFrom::Hole(0)).unwrap(), 0);
    // The kernel writes whole pages.
    assert_eq!(seek(SeekFrom::Hole(4 << 20)).unwrap(), (4 << 20) + 4096);
    assert_eq!(seek(SeekFrom::Data(4 << 20)).unwrap(), 4 << 20);
    assert_eq!(no(seek(SeekFrom::Data((8 << 20) + 1))), Errno::NXIO);
    assert_eq!(no(seek(SeekFrom::Hole(8 << 20))), Errno::NXIO);
    drop(file);
    m.end();
}

#[test]
fn directories() {
    mounted!(store, m);
    let d = m.path("d");
    mkdir(&d).unwrap();
    assert_eq!(no(mkdir(&d)), Errno::EXIST);
    assert_eq!(no(mkdir(&m.path("none/x"))), Errno::NOENT);
    make(&d.join("f"));
    assert_eq!(no(mkdir(&d.join("f/x"))), Errno::NOTDIR);
    assert_eq!(no(rmdir(&d)), Errno::NOTEMPTY);
    assert_eq!(no(rmdir(&d.join("f"))), Errno::NOTDIR);
    assert_eq!(no(unlink(&d)), Errno::ISDIR);
    assert_eq!(no(unlink(&d.join("none"))), Errno::NOENT);
    assert_eq!(no(rmdir(&d.join("."))), Errno::INVAL);
    assert_eq!(no(rmdir(m.root())), Errno::BUSY);
    unlink(&d.join("f")).unwrap();
    rmdir(&d).unwrap();
    assert_eq!(no(rmdir(&d)), Errno::NOENT);
    m.end();
}

#[test]
fn a_directory_that_was_removed_is_empty_for_who_has_it() {
    mounted!(store, m);
    let d = m.path("d");
    mkdir(&d).unwrap();
    make(&d.join("f"));
    let handle = open(&d, OFlags::RDONLY | OFlags::DIRECTORY).unwrap();
    unlink(&d.join("f")).unwrap();
    rmdir(&d).unwrap();
    assert_eq!(rustix::fs::fstat(&handle).unwrap().st_nlink, 0);
    let seen: Vec<_> = rustix::fs::Dir::read_from(&handle).unwrap().collect();
    assert!(seen.iter().all(Result::is_ok) && seen.len() <= 2, "{seen:?}");
    let made = rustix::fs::openat(&handle, "x", OFlags::CREATE | OFlags::RDWR, Mode::from_raw_mode(0o600));
    assert_eq!(no(made), Errno::NOENT);
    assert_eq!(no(rustix::fs::mkdirat(&handle, "y", Mode::from_raw_mode(0o700))), Errno::NOENT);
    drop(handle);
    m.end();
}

#[test]
fn a_big_directory_is_listed_whole() {
    mounted!(store, m);
    for number in 0..3000 {
        make(&m.path(&format!("file-{number:05}-{}", "n".repeat(number % 40))));
    }
    let all = names(m.root());
    assert_eq!(all.len(), 3000);
    // From a place in it, which stays what it is while entries go.
    let mut dir =
        rustix::fs::Dir::read_from(open(m.root(), OFlags::RDONLY | OFlags::DIRECTORY).unwrap()).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    while let Some(entry) = dir.read() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_str().unwrap().to_owned();
        if name.starts_with('.') {
            continue;
        }
        unlink(&m.path(&name)).unwrap();
        assert!(seen.insert(name));
    }
    assert_eq!(seen.len(), 3000);
    dir.rewind();
    let left: Vec<_> = std::iter::from_fn(|| dir.read()).map(|entry| entry.unwrap()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    drop(dir);
    m.end();
}

#[test]
fn listings_tell_kinds_and_numbers() {
    mounted!(store, m);
    mkdir(&m.path("d")).unwrap();
    make(&m.path("f"));
    symlink("f", m.path("l")).unwrap();
    m.end();
    // Nothing is known yet.
    let Some(m) = Mounted::new(&store) else { return };
    for entry in fs::read_dir(m.root()).unwrap() {
        use std::os::unix::fs::DirEntryExt as _;
        let entry = entry.unwrap();
        let (listed, number) = (entry.file_type().unwrap(), entry.ino());
        let found = fs::symlink_metadata(entry.path()).unwrap();
        assert_eq!((listed, number), (found.file_type(), found.ino()), "{:?}", entry.path());
    }
    m.end();
}

#[test]
fn links() {
    mounted!(store, m);
    let (a, b) = (m.path("a"), m.path("b"));
    fs::write(&a, b"one").unwrap();
    fs::hard_link(&a, &b).unwrap();
    let (of_a, of_b) = (fs::metadata(&a).unwrap(), fs::metadata(&b).unwrap());
    assert_eq!((of_a.ino(), of_a.nlink(), of_b.nlink()), (of_b.ino(), 2, 2));
    let error = fs::hard_link(&a, &b).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EEXIST));
    let error = fs::hard_link(m.root(), m.path("c")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EPERM));
    unlink(&a).unwrap();
    assert_eq!(fs::metadata(&b).unwrap().nlink(), 1);
    assert_eq!(fs::read(&b).unwrap(), b"one");
    // A symbolic link can have two names as well.
    symlink("b", m.path("l")).unwrap();
    rustix::fs::linkat(CWD, m.path("l"), CWD, m.path("k"), AtFlags::empty()).unwrap();
    assert_eq!(fs::read_link(m.path("k")).unwrap(), Path::new("b"));
    unlink(&m.path("l")).unwrap();
    assert_eq!(fs::read_link(m.path("k")).unwrap(), Path::new("b"));
    assert_eq!(no(rustix::fs::readlink(&b, Vec::new())), Errno::INVAL);
    let long = "x".repeat(4095);
    symlink(&long, m.path("long")).unwrap();
    assert_eq!(fs::read_link(m.path("long")).unwrap().as_os_str().len(), 4095);
    m.end();
}

#[test]
fn rename() {
    mounted!(store, m);
    let (a, b, d, e) = (m.path("a"), m.path("b"), m.path("d"), m.path("e"));
    fs::write(&a, b"a").unwrap();
    fs::write(&b, b"b").unwrap();
    mkdir(&d).unwrap();
    mkdir(&e).unwrap();
    make(&e.join("x"));
    let plain = |from: &Path, to: &Path| renameat2(from, to, RenameFlags::empty());
    assert_eq!(no(plain(&m.path("none"), &a)), Errno::NOENT);
    assert_eq!(no(plain(&a, &d)), Errno::ISDIR);
    assert_eq!(no(plain(&d, &a)), Errno::NOTDIR);
    assert_eq!(no(plain(&d, &e)), Errno::NOTEMPTY);
    assert_eq!(no(plain(&d, &d.join("in"))), Errno::INVAL);
    assert_eq!(no(plain(&a, &m.path("none/x"))), Errno::NOENT);
    assert_eq!(no(renameat2(&a, &b, RenameFlags::NOREPLACE)), Errno::EXIST);
    assert_eq!(no(renameat2(&a, &m.path("none"), RenameFlags::EXCHANGE)), Errno::NOENT);
    assert_eq!(no(renameat2(&a, &b, RenameFlags::WHITEOUT)), Errno::INVAL);
    renameat2(&a, &e, RenameFlags::EXCHANGE).unwrap();
    assert_eq!(fs::read(&e).unwrap(), b"a");
    assert_eq!(names(&a), ["x"]);
    renameat2(&a, &e, RenameFlags::EXCHANGE).unwrap();
    let open_b = File::open(&b).unwrap();
    plain(&a, &b).unwrap();
    assert_eq!(fs::read(&b).unwrap(), b"a");
    // Who had the one that was replaced still has it.
    let mut text = String::new();
    (&open_b).read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), open_b.metadata().unwrap().nlink()), ("b", 0));
    plain(&e, &d.join("moved")).unwrap();
    assert_eq!(names(&d.join("moved")), ["x"]);
    drop(open_b);
    m.end();
}

#[test]
fn what_is_open_follows_its_names() {
    mounted!(store, m);
    let d = m.path("d");
    mkdir(&d).unwrap();
    let file = make(&d.join("f"));
    fs::rename(&d, m.path("e")).unwrap();
    fs::rename(m.path("e/f"), m.path("g")).unwrap();
    file.write_all_at(b"here", 0).unwrap();
    file.set_permissions(fs::Permissions::from_mode(0o600)).unwrap();
    file.sync_all().unwrap();
    assert_eq!(fs::read(m.path("g")).unwrap(), b"here");
    assert_eq!(fs::metadata(m.path("g")).unwrap().mode() & 0o777, 0o600);
    unlink(&m.path("g")).unwrap();
    file.write_all_at(b"gone", 0).unwrap();
    file.set_len(2).unwrap();
    let mut text = [0; 2];
    file.read_exact_at(&mut text, 0).unwrap();
    assert_eq!((&text, file.metadata().unwrap().nlink()), (b"go", 0));
    // It can be opened again as long as somebody has it.
    let again = File::open(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file))).unwrap();
    again.read_exact_at(&mut text, 0).unwrap();
    assert_eq!(names(m.root()), ["e"]);
    drop((file, again));
    m.end();
}

#[test]
fn attributes() {
    mounted!(store, m);
    let a = m.path("a");
    let file = make(&a);
    assert_eq!(file.metadata().unwrap().mode(), 0o100_644);
    fs::set_permissions(&a, fs::Permissions::from_mode(0o4711)).unwrap();
    assert_eq!(fs::metadata(&a).unwrap().mode(), 0o104_711);
    std::os::unix::fs::chown(&a, Some(12), Some(34)).unwrap();
    let found = fs::metadata(&a).unwrap();
    // What runs as another does not any more once it is given away.
    assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777), (12, 34, 0o711));
    let when = Timespec { tv_sec: 1_000_000_000, tv_nsec: 123_456_789 };
    let times = Timestamps { last_access: when, last_modification: when };
    rustix::fs::utimensat(CWD, &a, &times, AtFlags::empty()).unwrap();
    let found = fs::metadata(&a).unwrap();
    assert_eq!((found.mtime(), found.mtime_nsec()), (1_000_000_000, 123_456_789));
    drop(file);
    m.end();
    let Some(m) = Mounted::new(&store) else { return };
    let found = fs::metadata(m.path("a")).unwrap();
    assert_eq!((found.uid(), found.gid(), found.mtime_nsec()), (12, 34, 123_456_789));
    m.end();
}

#[test]
fn what_is_made_in_a_directory_with_its_group_belongs_to_that() {
    mounted!(store, m);
    let d = m.path("d");
    mkdir(&d).unwrap();
    std::os::unix::fs::chown(&d, None, Some(77)).unwrap();
    fs::set_permissions(&d, fs::Permissions::from_mode(0o2775)).unwrap();
    drop(make(&d.join("f")));
    mkdir(&d.join("e")).unwrap();
    let (file, below) = (fs::metadata(d.join("f")).unwrap(), fs::metadata(d.join("e")).unwrap());
    assert_eq!((file.gid(), below.gid(), below.mode() & 0o2000), (77, 77, 0o2000));
    m.end();
}

#[test]
fn special_files_are_refused() {
    mounted!(store, m);
    let node =
        |name: &str, kind, mode| rustix::fs::mknodat(CWD, m.path(name), kind, Mode::from_raw_mode(mode), 0);
    node("f", rustix::fs::FileType::RegularFile, 0o600).unwrap();
    assert_eq!(no(node("f", rustix::fs::FileType::RegularFile, 0o600)), Errno::EXIST);
    for kind in [
        rustix::fs::FileType::Fifo,
        rustix::fs::FileType::Socket,
        rustix::fs::FileType::CharacterDevice,
        rustix::fs::FileType::BlockDevice,
    ] {
        assert_eq!(no(node("x", kind, 0o600)), Errno::PERM);
    }
    assert_eq!(names(m.root()), ["f"]);
    m.end();
}

#[test]
fn extended_attributes() {
    let store = Store::new();
    let options = Options { identity: Some("DAOS.POSIX://p/c".into()), ..Options::default() };
    let Some(m) = Mounted::with(store.dfs(), options) else { return };
    let a = m.path("a");
    drop(make(&a));
    mkdir(&m.path("d")).unwrap();
    let get = |path: &Path, name: &str| {
        let mut value = vec![0; 65_536];
        let len = rustix::fs::getxattr(path, name, &mut value[..])?;
        value.truncate(len);
        Ok::<_, Errno>(value)
    };
    let set = |path: &Path, name: &str, value: &[u8], flags| rustix::fs::setxattr(path, name, value, flags);
    for path in [&a, &m.path("d"), &m.root().to_owned()] {
        assert_eq!(no(get(path, "user.a")), Errno::NODATA);
        set(path, "user.a", b"one", XattrFlags::CREATE).unwrap();
        assert_eq!(no(set(path, "user.a", b"two", XattrFlags::CREATE)), Errno::EXIST);
        assert_eq!(no(set(path, "user.b", b"two", XattrFlags::REPLACE)), Errno::NODATA);
        set(path, "user.a", b"two", XattrFlags::REPLACE).unwrap();
        set(path, "trusted.t", &vec![9; 60_000], XattrFlags::empty()).unwrap();
        assert_eq!(get(path, "user.a").unwrap(), b"two");
        assert_eq!(get(path, "trusted.t").unwrap(), vec![9; 60_000]);
        let mut short = [0; 2];
        assert_eq!(no(rustix::fs::getxattr(path, "user.a", &mut short[..])), Errno::RANGE);
        let mut list = vec![0; 1000];
        let len = rustix::fs::listxattr(path, &mut list[..]).unwrap();
        let mut names: Vec<&[u8]> =
            list[..len].split(|byte| *byte == 0).filter(|name| !name.is_empty()).collect();
        names.sort_unstable();
        assert_eq!(names, [&b"trusted.t"[..], b"user.a"]);
        rustix::fs::removexattr(path, "user.a").unwrap();
        assert_eq!(no(rustix::fs::removexattr(path, "user.a")), Errno::NODATA);
    }
    assert_eq!(get(m.root(), "user.daos").unwrap(), b"DAOS.POSIX://p/c");
    assert_eq!(no(get(&a, "user.daos")), Errno::NODATA);
    set(&m.path("d"), "user.daos", b"DAOS.POSIX://q/d", XattrFlags::empty()).unwrap();
    assert_eq!(get(&m.path("d"), "user.daos").unwrap(), b"DAOS.POSIX://q/d");
    assert_eq!(no(set(&a, "other.a", b"", XattrFlags::empty())), Errno::OPNOTSUPP);
    assert_eq!(no(get(&a, "system.posix_acl_access")), Errno::OPNOTSUPP);
    m.end();
}

#[test]
fn the_room_is_told() {
    mounted!(store, m);
    let room = rustix::fs::statvfs(m.root()).unwrap();
    assert_eq!((room.f_blocks * room.f_frsize, room.f_bavail * room.f_frsize), (1 << 30, 1 << 29));
    assert_eq!(room.f_namemax, 255);
    m.end();
}

#[test]
fn ranges_are_copied() {
    mounted!(store, m);
    let data: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 253) as u8).collect();
    fs::write(m.path("a"), &data).unwrap();
    let (from, to) = (File::open(m.path("a")).unwrap(), make(&m.path("b")));
    let (mut from_at, mut to_at) = (1000, 10);
    while rustix::fs::copy_file_range(&from, Some(&mut from_at), &to, Some(&mut to_at), 10_000_000).unwrap()
        > 0
    {}
    let mut copied = vec![0; data.len() - 1000];
    to.read_exact_at(&mut copied, 10).unwrap();
    assert_eq!(copied, data[1000..]);
    assert_eq!(to.metadata().unwrap().len(), data.len() as u64 - 990);
    drop((from, to));
    m.end();
}

#[test]
fn locks_are_kept_by_the_kernel() {
    mounted!(store, m);
    let one = make(&m.path("a"));
    let other = open(&m.path("a"), OFlags::RDWR).unwrap();
    rustix::fs::flock(&one, FlockOperation::NonBlockingLockExclusive).unwrap();
    assert_eq!(no(rustix::fs::flock(&other, FlockOperation::NonBlockingLockShared)), Errno::WOULDBLOCK);
    rustix::fs::flock(&one, FlockOperation::Unlock).unwrap();
    rustix::fs::flock(&other, FlockOperation::NonBlockingLockShared).unwrap();
    rustix::fs::fcntl_lock(&one, FlockOperation::NonBlockingLockExclusive).unwrap();
    drop((one, other));
    m.end();
}

#[test]
fn appends_do_not_get_into_each_other() {
    for caching in [Caching::DEFAULT, Caching { write_back: false, ..Caching::DEFAULT }, Caching::NONE] {
        let store = Store::new();
        let Some(m) = Mounted::cached(&store, caching) else { return };
        let path = m.path("log");
        std::thread::scope(|scope| {
            for thread in 0..4_u8 {
                let path = &path;
                scope.spawn(move || {
                    let mut file = open(path, OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE).unwrap();
                    for _ in 0..100 {
                        file.write_all(&[b'a' + thread; 37]).unwrap();
                    }
                });
            }
        });
        let data = fs::read(&path).unwrap();
        assert_eq!(data.len(), 4 * 100 * 37, "{caching:?}");
        for piece in data.chunks(37) {
            assert!(piece.iter().all(|byte| *byte == piece[0]), "{caching:?}");
        }
        m.end();
    }
}

#[test]
fn direct_reads_and_writes() {
    mounted!(store, m);
    let file = open(&m.path("a"), OFlags::RDWR | OFlags::CREATE | OFlags::DIRECT).unwrap();
    let data = vec![5; 8192];
    file.write_all_at(&data, 4096).unwrap();
    let mut read = vec![0; 8192];
    file.read_exact_at(&mut read, 4096).unwrap();
    assert_eq!(read, data);
    // Who reads by the cache sees it.
    assert_eq!(fs::read(m.path("a")).unwrap()[4096..], data);
    drop(file);
    m.end();
}

#[test]
fn memory_is_shared_with_files() {
    for caching in [Caching::DEFAULT, Caching { write_back: false, ..Caching::DEFAULT }, Caching::NONE] {
        let store = Store::new();
        let Some(m) = Mounted::cached(&store, caching) else { return };
        let file = make(&m.path("a"));
        file.set_len(8192).unwrap();
        map_and_write(&file);
        file.sync_all().unwrap();
        let mut text = [0; 5];
        file.read_exact_at(&mut text, 5000).unwrap();
        assert_eq!(&text, b"there", "{caching:?}");
        drop(file);
        m.end();
    }
}

#[allow(unsafe_code)]
fn map_and_write(file: &File) {
    use rustix::mm::{MapFlags, MsyncFlags, ProtFlags, mmap, msync, munmap};
    // SAFETY: the mapping is of 8192 bytes of a file that long, used only here, and ended here.
    unsafe {
        let map =
            mmap(std::ptr::null_mut(), 8192, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, file, 0)
                .unwrap();
        std::ptr::copy_nonoverlapping(b"there".as_ptr(), map.cast::<u8>().add(5000), 5);
        msync(map, 8192, MsyncFlags::SYNC).unwrap();
        munmap(map, 8192).unwrap();
    }
}

#[test]
fn names_are_any_bytes() {
    mounted!(store, m);
    for name in [&b"\xff\xfe"[..], b" ", b"\n\t", b"-", b"...", "ä€😀".as_bytes()] {
        let path = m.root().join(std::ffi::OsStr::from_bytes(name));
        fs::write(&path, name).unwrap();
        assert_eq!(fs::read(&path).unwrap(), name);
    }
    assert_eq!(fs::read_dir(m.root()).unwrap().count(), 6);
    m.end();
}
