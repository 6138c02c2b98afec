//! Each call, what it does and how it is refused.

use crate::common::{
    CREATE, InMemory, READ, WRITE, errno, fresh, mount, names, new, open, read, root, write,
};
use daos_dfs::access::{self, Credentials};
use daos_dfs::{
    Allocate, At, CheckMode, Consistency, Dfs, Errno, FormatOptions, Handle, Kind, MountOptions, New, Open,
    OpenFlags, Paths, Rename, SetAttr, Time, XattrSet,
};
use std::io::{IoSlice, IoSliceMut};
use std::sync::Arc;

#[test]
fn a_file_system_is_made_once_and_mounted_where_there_is_one() {
    let made = InMemory::new(2);
    let refused = Dfs::mount(Arc::clone(&made.container), MountOptions::default()).unwrap_err();
    assert_eq!(refused.errno, Errno::EINVAL);
    assert!(refused.hint.is_some());
    let options = FormatOptions {
        hints: "file:single".to_owned(),
        uid: 7,
        gid: 8,
        mode: Some(0o1777),
        chunk_size: Some(4096),
        ..FormatOptions::default()
    };
    Dfs::format(&made.container, &options).unwrap();
    assert_eq!(errno(Dfs::format(&made.container, &options)), Errno::EEXIST);
    let dfs = made.mount();
    let attr = dfs.root_attr().unwrap();
    assert_eq!((attr.kind, attr.mode, attr.uid, attr.gid), (Kind::Directory, 0o041_777, 7, 8));
    assert_eq!((attr.chunk_size, dfs.layout_version()), (4096, 3));
    let file = dfs.open(&dfs.root(), b"f", CREATE, &new()).unwrap();
    assert_eq!((file.oid().groups(), file.chunk_size()), (1, 4096));
    for options in [
        FormatOptions { hints: "file:huge".to_owned(), ..FormatOptions::default() },
        FormatOptions { chunk_size: Some(0), ..FormatOptions::default() },
    ] {
        assert_eq!(errno(Dfs::format(&made.container, &options)), Errno::EINVAL);
    }
    dfs.umount().unwrap();
    assert_eq!(errno(dfs.lookup(&dfs.root(), b"f")), Errno::ENODEV);
    assert_eq!(errno(file.write(0, b"x")), Errno::ENODEV);
}

#[test]
fn files_are_made_found_and_refused() {
    let (_made, dfs, paths) = fresh();
    write(&paths, b"/f", b"hello");
    assert_eq!(read(&paths, b"f"), b"hello");
    let exclusive = OpenFlags { exclusive: true, ..CREATE };
    assert_eq!(errno(paths.open(b"/f", &open(exclusive))), Errno::EEXIST);
    assert_eq!(errno(paths.open(b"/g", &open(READ))), Errno::ENOENT);
    assert_eq!(errno(paths.open(b"/g/h", &open(CREATE))), Errno::ENOENT);
    assert_eq!(errno(paths.open(b"/f/h", &open(CREATE))), Errno::ENOTDIR);
    assert_eq!(errno(paths.open(b"/f/", &open(READ))), Errno::ENOTDIR);
    assert_eq!(errno(paths.open(b"/g/", &open(CREATE))), Errno::EISDIR);
    assert_eq!(errno(paths.open(&[b'x'; 256], &open(CREATE))), Errno::ENAMETOOLONG);
    assert_eq!(errno(paths.open(&[b'x'; 4096], &open(CREATE))), Errno::ENAMETOOLONG);
    assert_eq!(errno(paths.open(b"", &open(CREATE))), Errno::ENOENT);
    paths.mkdir(b"/d", 0o755).unwrap();
    assert_eq!(errno(paths.open(b"/d", &open(WRITE))), Errno::EISDIR);
    assert_eq!(errno(paths.open(b"/d", &open(CREATE))), Errno::EISDIR);
    assert!(matches!(paths.open(b"/d", &open(READ)).unwrap(), Handle::Dir(_)));
    assert!(matches!(paths.open(b"/", &open(READ)).unwrap(), Handle::Dir(_)));
    let directory = |flags| Open { directory: true, ..open(flags) };
    assert_eq!(errno(paths.open(b"/f", &directory(READ))), Errno::ENOTDIR);
    assert_eq!(errno(paths.open(b"/x", &directory(CREATE))), Errno::EINVAL);
    assert_eq!(errno(dfs.open(&dfs.root(), b"a/b", CREATE, &new())), Errno::EINVAL);
    // Any bytes make a name.
    let odd: Vec<u8> = (1..=255).filter(|byte| *byte != b'/').collect();
    for name in [&odd[..200], &odd[54..], b"\xff", b" ", b"...", &[b'x'; 255]] {
        drop(dfs.open(&dfs.root(), name, CREATE, &new()).unwrap());
        assert!(dfs.names(&dfs.root()).unwrap().contains(&name.to_vec()));
        dfs.unlink(&dfs.root(), name).unwrap();
    }
    // A handle does what it was opened for.
    let reader = paths.open_file(b"/f", &open(READ)).unwrap();
    assert_eq!(errno(reader.write(0, b"x")), Errno::EBADF);
    assert_eq!(errno(reader.truncate(0)), Errno::EINVAL);
    assert_eq!(errno(reader.allocate(Allocate::Grow, 0, 1)), Errno::EBADF);
    let writer = paths.open_file(b"/f", &open(OpenFlags { read: false, ..WRITE })).unwrap();
    assert_eq!(errno(writer.read(0, &mut [0])), Errno::EBADF);
    writer.close().unwrap();
    assert_eq!(errno(writer.close()), Errno::EBADF);
    assert_eq!(errno(writer.write(0, b"x")), Errno::EBADF);
}

#[test]
fn bytes_are_read_as_they_were_written() {
    let (_made, dfs, _paths) = fresh();
    let small = New { chunk_size: Some(100), ..new() };
    let file = dfs.open(&dfs.root(), b"f", CREATE, &small).unwrap();
    let data: Vec<u8> = (0..1_000_u32).map(|byte| byte as u8 | 1).collect();
    assert_eq!(file.write(250, &data).unwrap(), 1_000);
    let mut buffer = vec![9; 2_000];
    assert_eq!(file.read(0, &mut buffer).unwrap(), 1_250);
    assert!(buffer[..250].iter().all(|byte| *byte == 0) && buffer[250..1_250] == data);
    assert_eq!(file.read(1_250, &mut buffer).unwrap(), 0);
    assert_eq!(file.read(u64::MAX, &mut buffer).unwrap(), 0);
    assert_eq!(file.read(1_240, &mut buffer[..20]).unwrap(), 10);
    assert_eq!(file.read(0, &mut []).unwrap(), 0);
    // Vectors.
    let (one, two) = (b"abc", vec![b'x'; 300]);
    assert_eq!(file.writev(95, &[IoSlice::new(one), IoSlice::new(b""), IoSlice::new(&two)]).unwrap(), 303);
    let (mut head, mut tail) = (vec![0; 3], vec![0; 300]);
    let read = file.readv(95, &mut [IoSliceMut::new(&mut head), IoSliceMut::new(&mut tail)]).unwrap();
    assert_eq!((read, &head[..], &tail), (303, &one[..], &two));
    assert_eq!(file.readv(1_249, &mut [IoSliceMut::new(&mut head), IoSliceMut::new(&mut tail)]).unwrap(), 1);
    let long = vec![7; 3 << 20];
    assert_eq!(
        file.writev(0, &[IoSlice::new(one), IoSlice::new(&long), IoSlice::new(one)]).unwrap(),
        3 + (3 << 20) + 3
    );
    let mut buffer = vec![0; (3 << 20) + 6];
    assert_eq!(file.read(0, &mut buffer).unwrap(), buffer.len());
    assert!(&buffer[..3] == one && buffer[3..][..3 << 20] == long && &buffer[3 + (3 << 20)..] == one);
    assert_eq!(errno(file.write(i64::MAX as u64, b"x")), Errno::EFBIG);
    assert_eq!(errno(file.write(u64::MAX, b"x")), Errno::EFBIG);
}

#[test]
fn a_file_is_as_long_as_it_is_made() {
    let (_made, dfs, paths) = fresh();
    let small = New { chunk_size: Some(100), ..new() };
    let file = dfs.open(&dfs.root(), b"f", CREATE, &small).unwrap();
    file.write(0, &[7; 950]).unwrap();
    for size in [950, 951, 400, 399, 1, 0, 5_000, 0] {
        file.truncate(size).unwrap();
        assert_eq!((file.size().unwrap(), file.stat().unwrap().size), (size, size));
        let mut buffer = vec![1; 6_000];
        assert_eq!(file.read(0, &mut buffer).unwrap() as u64, size);
    }
    file.write(0, &[7; 950]).unwrap();
    paths.truncate(b"/f", 300).unwrap();
    paths.truncate(b"/f", 600).unwrap();
    let data = read(&paths, b"/f");
    assert!(data[..300].iter().all(|byte| *byte == 7) && data[300..].iter().all(|byte| *byte == 0));
    assert_eq!(errno(paths.truncate(b"/f", u64::MAX)), Errno::EFBIG);
    assert_eq!(errno(paths.truncate(b"/", 0)), Errno::EISDIR);
    paths.symlink(b"f", b"/l").unwrap();
    let link = At::Entry(&dfs.root(), b"l");
    assert_eq!(errno(dfs.set_attr(link, &SetAttr { size: Some(0), ..SetAttr::default() })), Errno::EINVAL);
    paths.truncate(b"/l", 10).unwrap();
    assert_eq!(file.size().unwrap(), 10);
    // Opened to be emptied.
    drop(paths.open_file(b"/f", &open(OpenFlags { truncate: true, ..WRITE })).unwrap());
    assert_eq!(file.size().unwrap(), 0);
}

#[test]
fn truncation_of_more_than_a_transaction_takes() {
    let (_made, dfs, _) = fresh();
    let tiny = New { chunk_size: Some(1), ..new() };
    let file = dfs.open(&dfs.root(), b"f", CREATE, &tiny).unwrap();
    let data: Vec<u8> = (0..20_000_u32).map(|at| at as u8 | 1).collect();
    file.write(0, &data).unwrap();
    file.truncate(10).unwrap();
    assert_eq!(file.size().unwrap(), 10);
    file.truncate(20_000).unwrap();
    let mut buffer = vec![9; 20_000];
    assert_eq!(file.read(0, &mut buffer).unwrap(), 20_000);
    assert!(buffer[..10] == data[..10] && buffer[10..].iter().all(|byte| *byte == 0));
    file.write(0, &data).unwrap();
    file.allocate(Allocate::Hole, 5, 19_990).unwrap();
    assert_eq!(file.read(0, &mut buffer).unwrap(), 20_000);
    assert!(buffer[..5] == data[..5] && buffer[19_995..] == data[19_995..]);
    assert!(buffer[5..19_995].iter().all(|byte| *byte == 0));
}

#[test]
fn holes_are_made_and_found() {
    let (_made, dfs, _) = fresh();
    let small = New { chunk_size: Some(100), ..new() };
    let file = dfs.open(&dfs.root(), b"f", CREATE, &small).unwrap();
    file.write(0, &[7; 1_000]).unwrap();
    file.allocate(Allocate::Hole, 150, 300).unwrap();
    assert_eq!((file.seek_hole(0).unwrap(), file.seek_data(150).unwrap()), (150, 450));
    assert_eq!((file.seek_data(0).unwrap(), file.seek_hole(450).unwrap()), (0, 1_000));
    let mut buffer = [1; 1_000];
    file.read(0, &mut buffer).unwrap();
    assert!(buffer[150..450].iter().all(|byte| *byte == 0));
    assert!(buffer[..150].iter().chain(&buffer[450..]).all(|byte| *byte == 7));
    // At its end, and behind it, a hole does not change how long it is.
    file.allocate(Allocate::Hole, 900, 10_000).unwrap();
    file.allocate(Allocate::Hole, 5_000, 10).unwrap();
    assert_eq!(file.size().unwrap(), 1_000);
    file.allocate(Allocate::ZeroKeep, 800, 900).unwrap();
    assert_eq!(file.size().unwrap(), 1_000);
    file.allocate(Allocate::Zero, 990, 110).unwrap();
    assert_eq!(file.size().unwrap(), 1_100);
    file.allocate(Allocate::Keep, 0, 5_000).unwrap();
    assert_eq!(file.size().unwrap(), 1_100);
    file.allocate(Allocate::Grow, 100, 100).unwrap();
    assert_eq!(file.size().unwrap(), 1_100);
    file.allocate(Allocate::Grow, 2_000, 100).unwrap();
    assert_eq!(file.size().unwrap(), 2_100);
    assert_eq!(errno(file.allocate(Allocate::Hole, 0, 0)), Errno::EINVAL);
    assert_eq!(errno(file.allocate(Allocate::Grow, i64::MAX as u64, 1)), Errno::EFBIG);
    for at in [2_100, 3_000, u64::MAX] {
        assert_eq!(errno(file.seek_hole(at)), Errno::ENXIO);
        assert_eq!(errno(file.seek_data(at)), Errno::ENXIO);
    }
    // Chunks that are not there are passed over, however many.
    file.write(1 << 50, b"far").unwrap();
    assert_eq!(file.seek_data(2_100).unwrap(), 1 << 50);
    assert_eq!(file.seek_hole(1 << 50).unwrap(), (1 << 50) + 3);
    file.truncate(1 << 51).unwrap();
    assert_eq!(file.seek_data((1 << 50) + 3).unwrap(), (1 << 51) - 1);
    file.truncate(1 << 49).unwrap();
    assert_eq!(file.size().unwrap(), 1 << 49);
}

#[test]
fn appends_go_to_the_end() {
    let (_made, dfs, paths) = fresh();
    let append = OpenFlags { append: true, ..CREATE };
    let one = dfs.open(&dfs.root(), b"f", append, &new()).unwrap();
    let two = paths
        .open_file(b"/f", &open(OpenFlags { append: true, write: false, read: false, ..WRITE }))
        .unwrap();
    assert_eq!(one.write(77, b"one").unwrap(), 3);
    assert_eq!(two.append(b"two").unwrap(), (3, 3));
    assert_eq!(one.writev(0, &[IoSlice::new(b"th"), IoSlice::new(b"ree")]).unwrap(), 5);
    assert_eq!(two.append(b"").unwrap(), (11, 0));
    assert_eq!(read(&paths, b"/f"), b"onetwothree");
    one.truncate(3).unwrap();
    two.write(0, b"!").unwrap();
    assert_eq!(read(&paths, b"/f"), b"one!");
    let long = vec![5; (16 << 20) + 1];
    assert_eq!(one.write(0, &long).unwrap(), 16 << 20, "what one call appends");
}

#[test]
fn directories_are_made_and_removed() {
    let (_made, dfs, paths) = fresh();
    paths.mkdir(b"/d", 0o755).unwrap();
    paths.mkdir(b"/d/e/", 0o755).unwrap();
    assert_eq!(errno(paths.mkdir(b"/d", 0o755)), Errno::EEXIST);
    assert_eq!(errno(paths.mkdir(b"/", 0o755)), Errno::EEXIST);
    assert_eq!(errno(paths.mkdir(b"/d/.", 0o755)), Errno::EEXIST);
    assert_eq!(errno(paths.mkdir(b"/x/y", 0o755)), Errno::ENOENT);
    assert_eq!(errno(paths.rmdir(b"/d")), Errno::ENOTEMPTY);
    assert_eq!(errno(paths.rmdir(b"/x")), Errno::ENOENT);
    assert_eq!(errno(paths.rmdir(b"/")), Errno::EBUSY);
    assert_eq!(errno(paths.rmdir(b"/d/e/.")), Errno::EINVAL);
    assert_eq!(errno(paths.rmdir(b"/d/e/..")), Errno::ENOTEMPTY);
    write(&paths, b"/d/f", b"");
    assert_eq!(errno(paths.rmdir(b"/d/f")), Errno::ENOTDIR);
    assert_eq!(errno(paths.unlink(b"/d/e")), Errno::EISDIR);
    assert_eq!(errno(paths.unlink(b"/d/e/..")), Errno::EISDIR);
    assert_eq!(errno(paths.unlink(b"/d/g")), Errno::ENOENT);
    assert_eq!(errno(paths.unlink(b"/d/f/")), Errno::ENOTDIR);
    assert_eq!(names(&paths, b"/d"), ["e", "f"]);
    let e = paths.open_dir(b"/d/e").unwrap();
    paths.rmdir(b"/d/e").unwrap();
    // What is still open there takes nothing any more.
    assert_eq!(errno(dfs.open(&e, b"f", CREATE, &new())), Errno::ENOENT);
    assert_eq!(errno(dfs.mkdir(&e, b"g", &new())), Errno::ENOENT);
    assert_eq!(errno(dfs.link((&dfs.open_dir(&dfs.root(), b"d").unwrap(), b"f"), (&e, b"f"))), Errno::ENOENT);
    assert_eq!(
        errno(dfs.rename((&dfs.open_dir(&dfs.root(), b"d").unwrap(), b"f"), (&e, b"f"), Rename::Replace)),
        Errno::ENOENT
    );
    assert_eq!(errno(dfs.stat(At::Dir(&e))), Errno::ESTALE);
    assert!(dfs.names(&e).unwrap().is_empty());
    paths.mkdir_all(b"/a/b//c/", 0o755).unwrap();
    paths.mkdir_all(b"/a/b/c/d", 0o755).unwrap();
    assert_eq!(errno(paths.mkdir_all(b"/d/f", 0o755)), Errno::EEXIST);
    for number in 0..1_500 {
        write(&paths, format!("/a/b/{number}").as_bytes(), b"x");
    }
    paths.remove_all(b"/a").unwrap();
    assert_eq!(names(&paths, b"/"), ["d"]);
    assert_eq!(dfs.check(CheckMode::Print, None).unwrap().findings, []);
}

#[test]
fn listings_have_pages_parts_and_attributes() {
    let made =
        InMemory::formatted(4, &FormatOptions { hints: "dir:max".to_owned(), ..FormatOptions::default() });
    let dfs = made.mount();
    let paths = root(&dfs);
    let mut expected: Vec<String> = (0..300).map(|number| format!("f{number:03}")).collect();
    for name in &expected {
        write(&paths, name.as_bytes(), name.as_bytes());
    }
    paths.symlink(b"f000", b"/link").unwrap();
    paths.mkdir(b"/sub", 0o700).unwrap();
    expected.extend(["link".to_owned(), "sub".to_owned()]);
    let all = |anchors: Vec<daos_dfs::Anchor>, count| {
        let mut found = Vec::new();
        for anchor in anchors {
            let mut next = Some(anchor);
            while let Some(anchor) = next {
                let page = dfs.readdir(&dfs.root(), &anchor, count, true).unwrap();
                assert!(page.entries.len() <= count);
                found.extend(page.entries.into_iter().map(|entry| {
                    let attr = entry.attr.unwrap();
                    let size = match attr.kind {
                        Kind::Directory => 0,
                        _ => 4,
                    };
                    assert_eq!(attr.size, size);
                    String::from_utf8(entry.name).unwrap()
                }));
                next = page.anchor;
            }
        }
        found.sort();
        found
    };
    let first = || dfs.first_anchor(&dfs.root()).unwrap();
    assert_eq!(all(vec![first()], 1), expected);
    assert_eq!(all(vec![first()], 17), expected);
    assert_eq!(all(vec![first()], 10_000), expected);
    let split = dfs.split_anchors(&dfs.root()).unwrap();
    assert_eq!(split.len(), 4);
    assert_eq!(all(split.clone(), 7), expected);
    // Each part has some of them.
    let part = dfs.readdir(&dfs.root(), &split[2], 10_000, false).unwrap();
    assert!(!part.entries.is_empty() && part.entries.len() < 300 && part.anchor.is_none());
    assert!(part.entries.iter().all(|entry| entry.attr.is_none()));
    // What is listed while it is removed.
    let mut next = Some(first());
    let mut removed = 0;
    while let Some(anchor) = next {
        let page = dfs.readdir(&dfs.root(), &anchor, 50, false).unwrap();
        for entry in &page.entries {
            if entry.name != b"sub" {
                dfs.unlink(&dfs.root(), &entry.name).unwrap();
                removed += 1;
            }
        }
        next = page.anchor;
    }
    assert_eq!((removed, names(&paths, b"/")), (301, vec!["sub".to_owned()]));
}

#[test]
fn attributes_are_set_and_refused() {
    let (_made, dfs, paths) = fresh();
    write(&paths, b"/f", b"");
    let (set, replace, create) = (XattrSet::Any, XattrSet::Replace, XattrSet::Create);
    let call = |name: &[u8], value: &[u8], how| paths.set_xattr(b"/f", name, value, how, true);
    assert_eq!(errno(paths.xattr(b"/f", b"user.a", true)), Errno::ENODATA);
    assert_eq!(errno(call(b"user.a", b"1", replace)), Errno::ENODATA);
    call(b"user.a", b"1", create).unwrap();
    assert_eq!(errno(call(b"user.a", b"2", create)), Errno::EEXIST);
    call(b"user.a", b"3", replace).unwrap();
    call(b"user.empty", b"", set).unwrap();
    call(b"trusted.a", &vec![7; 64 << 10], set).unwrap();
    assert_eq!(paths.xattr(b"/f", b"user.a", true).unwrap(), b"3");
    assert_eq!(paths.xattr(b"/f", b"user.empty", true).unwrap(), b"");
    assert_eq!(paths.xattr(b"/f", b"trusted.a", true).unwrap().len(), 64 << 10);
    let mut listed = paths.xattrs(b"/f", true).unwrap();
    listed.sort();
    assert_eq!(listed, [&b"trusted.a"[..], b"user.a", b"user.empty"]);
    assert_eq!(errno(call(b"user.b", &vec![0; (64 << 10) + 1], set)), Errno::E2BIG);
    assert_eq!(errno(call(&[b"user.", &[b'x'; 251][..]].concat(), b"", set)), Errno::ERANGE);
    assert_eq!(errno(call(b"other.a", b"", set)), Errno::EOPNOTSUPP);
    assert_eq!(errno(dfs.set_xattr(At::Dir(&dfs.root()), b"", b"", set)), Errno::ERANGE);
    let before = paths.stat(b"/f").unwrap();
    paths.remove_xattr(b"/f", b"user.a", true).unwrap();
    let after = paths.stat(b"/f").unwrap();
    assert!(after.ctime > before.ctime && after.mtime == before.mtime);
    assert_eq!(errno(paths.remove_xattr(b"/f", b"user.a", true)), Errno::ENODATA);
    assert_eq!(errno(paths.xattr(b"/x", b"user.a", true)), Errno::ENOENT);
    // Of directories, the root as well.
    paths.set_xattr(b"/", b"user.r", b"root", set, true).unwrap();
    assert_eq!(paths.xattr(b"/", b"user.r", true).unwrap(), b"root");
    assert_eq!(dfs.check(CheckMode::Print, None).unwrap().findings, []);
}

#[test]
fn times_follow_what_happens() {
    let (made, dfs, paths) = fresh();
    let file = dfs.open(&dfs.root(), b"f", CREATE, &new()).unwrap();
    let made_at = file.stat().unwrap();
    assert_eq!((made_at.mtime, made_at.atime), (made_at.ctime, made_at.ctime));
    file.write(0, b"x").unwrap();
    let written = file.stat().unwrap();
    assert!(written.mtime > made_at.mtime && written.ctime == written.mtime);
    let other = mount(&made.container);
    assert_eq!(root(&other).stat(b"/f").unwrap().mtime, made_at.mtime, "not stored yet");
    file.flush().unwrap();
    assert_eq!(root(&other).stat(b"/f").unwrap(), file.stat().unwrap());
    let past = Time { seconds: -5, nanoseconds: 7 };
    file.write(0, b"y").unwrap();
    paths.set_mtime(b"/f", Some(past), true).unwrap();
    assert_eq!(file.stat().unwrap().mtime, past);
    file.close().unwrap();
    let stored = root(&other).stat(b"/f").unwrap();
    assert_eq!((stored.mtime, stored.atime), (past, stored.ctime));
    paths.set_mtime(b"/f", None, true).unwrap();
    assert!(paths.stat(b"/f").unwrap().mtime > written.mtime);
    // Directories change with what is in them.
    let d = paths.mkdir(b"/d", 0o755).unwrap();
    let mut before = dfs.stat(At::Dir(&d)).unwrap().mtime;
    let mut later = |what: &str| {
        let now = dfs.stat(At::Dir(&d)).unwrap().mtime;
        assert!(now > before, "{what}");
        before = now;
    };
    write(&paths, b"/d/f", b"");
    later("create");
    paths.rename(b"/d/f", b"/d/g", Rename::Replace).unwrap();
    later("rename");
    paths.link(b"/d/g", b"/d/h", true).unwrap();
    later("link");
    paths.unlink(b"/d/h").unwrap();
    later("unlink");
    paths.mkdir(b"/d/e", 0o755).unwrap();
    later("mkdir");
    paths.rmdir(b"/d/e").unwrap();
    later("rmdir");
    dfs.sync_dir(&d).unwrap();
    assert_eq!(root(&other).stat(b"/d").unwrap().mtime, before);
    dfs.umount().unwrap();
    assert_eq!(root(&mount(&made.container)).stat(b"/d").unwrap().mtime, before);
}

#[test]
fn owners_and_others_are_told_apart() {
    let (_made, dfs, paths) = fresh();
    let user = |uid, gid| Paths::new(dfs.clone(), Credentials { uid, gid, groups: vec![] });
    let (one, two) = (user(1, 10), user(2, 20));
    assert_eq!(errno(one.mkdir(b"/d", 0o755)), Errno::EACCES);
    assert_eq!(errno(one.open(b"/f", &open(CREATE))), Errno::EACCES);
    paths.mkdir(b"/tmp", 0o1777).unwrap();
    write(&one, b"/tmp/f", b"one");
    let attr = two.stat(b"/tmp/f").unwrap();
    assert_eq!((attr.uid, attr.gid, attr.mode), (1, 10, 0o100_644));
    assert_eq!(read(&two, b"/tmp/f"), b"one");
    assert_eq!(errno(two.open(b"/tmp/f", &open(CREATE))), Errno::EACCES);
    assert_eq!(errno(two.open(b"/tmp/f", &open(OpenFlags { truncate: true, ..READ }))), Errno::EACCES);
    assert_eq!(errno(two.unlink(b"/tmp/f")), Errno::EPERM);
    assert_eq!(errno(two.rename(b"/tmp/f", b"/tmp/g", Rename::Replace)), Errno::EPERM);
    assert_eq!(errno(two.truncate(b"/tmp/f", 0)), Errno::EACCES);
    assert_eq!(errno(two.chmod(b"/tmp/f", 0o666)), Errno::EPERM);
    assert_eq!(errno(two.chown(b"/tmp/f", Some(2), None, true)), Errno::EPERM);
    assert_eq!(errno(two.set_mtime(b"/tmp/f", None, true)), Errno::EACCES);
    assert_eq!(errno(two.set_xattr(b"/tmp/f", b"user.a", b"", XattrSet::Any, true)), Errno::EACCES);
    one.chmod(b"/tmp/f", 0o600).unwrap();
    assert_eq!(errno(two.open(b"/tmp/f", &open(READ))), Errno::EACCES);
    assert_eq!(errno(two.access(b"/tmp/f", access::READ)), Errno::EACCES);
    one.access(b"/tmp/f", access::READ | access::WRITE).unwrap();
    assert_eq!(errno(one.access(b"/tmp/f", access::EXECUTE)), Errno::EACCES);
    one.mkdir(b"/tmp/private", 0o700).unwrap();
    write(&one, b"/tmp/private/f", b"");
    for result in
        [two.stat(b"/tmp/private/f"), two.stat(b"/tmp/private/nothing"), two.stat(b"/tmp/private/..")]
    {
        assert_eq!(errno(result), Errno::EACCES);
    }
    assert_eq!(errno(two.names(b"/tmp/private")), Errno::EACCES);
    // A directory of a group.
    paths.mkdir(b"/group", 0o777).unwrap();
    paths.chown(b"/group", None, Some(77), true).unwrap();
    paths.chmod(b"/group", 0o2777).unwrap();
    write(&one, b"/group/f", b"");
    one.mkdir(b"/group/d", 0o755).unwrap();
    assert_eq!(one.stat(b"/group/f").unwrap().gid, 77);
    assert_eq!((one.stat(b"/group/d").unwrap().gid, one.stat(b"/group/d").unwrap().mode), (77, 0o042_755));
    // Who writes to a program takes from it what it ran as.
    write(&paths, b"/prog", b"x");
    paths.chmod(b"/prog", 0o6777).unwrap();
    write(&paths, b"/prog", b"x");
    assert_eq!(paths.stat(b"/prog").unwrap().mode, 0o106_777);
    let file = two.open_file(b"/prog", &open(WRITE)).unwrap();
    assert_eq!(paths.stat(b"/prog").unwrap().mode, 0o106_777);
    file.write(0, b"y").unwrap();
    assert_eq!(paths.stat(b"/prog").unwrap().mode, 0o100_777);
    paths.chmod(b"/prog", 0o4777).unwrap();
    drop(two.open_file(b"/prog", &open(OpenFlags { truncate: true, ..WRITE })).unwrap());
    assert_eq!(paths.stat(b"/prog").unwrap().mode, 0o100_777);
    paths.chmod(b"/prog", 0o4777).unwrap();
    paths.chown(b"/prog", Some(4), None, true).unwrap();
    assert_eq!((paths.stat(b"/prog").unwrap().mode, paths.stat(b"/prog").unwrap().uid), (0o100_777, 4));
}

#[test]
fn what_directories_give_to_what_is_made_in_them() {
    let made = InMemory::formatted(4, &FormatOptions::default());
    let dfs = made.mount();
    let paths = root(&dfs);
    let class = |name| daos_placement::ObjectClass::from_name(name).unwrap();
    let d = paths.mkdir(b"/d", 0o755).unwrap();
    dfs.set_defaults(&d, Some(8192), Some(class("S2"))).unwrap();
    let file = dfs.open(&d, b"f", CREATE, &new()).unwrap();
    assert_eq!((file.chunk_size(), file.oid().groups()), (8192, 2));
    let own = New { chunk_size: Some(512), class: Some(class("S1")), ..new() };
    let file = dfs.open(&d, b"g", CREATE, &own).unwrap();
    assert_eq!((file.chunk_size(), file.oid().groups()), (512, 1));
    let e = dfs.mkdir(&d, b"e", &new()).unwrap();
    assert_eq!(e.oid().groups(), 2);
    let other = mount(&made.container);
    let e = root(&other).open_dir(b"/d/e").unwrap();
    let file = other.open(&e, b"f", CREATE, &new()).unwrap();
    assert_eq!((file.chunk_size(), file.oid().groups()), (8192, 2));
    let attr = other.stat(At::Dir(&e)).unwrap();
    assert_eq!((attr.chunk_size, attr.class), (8192, Some(class("S2"))));
    dfs.set_defaults(&d, None, None).unwrap();
    let file = dfs.open(&d, b"h", CREATE, &new()).unwrap();
    assert_eq!((file.chunk_size(), file.oid().groups()), (1 << 20, 4));
    assert_eq!(errno(dfs.set_defaults(&d, Some(0), None)), Errno::EINVAL);
    let beyond = New { class: Some(class("RP_2G1")), ..new() };
    assert_eq!(errno(dfs.open(&d, b"i", CREATE, &beyond)), Errno::EINVAL);
    assert_eq!(errno(dfs.lookup(&d, b"i")), Errno::ENOENT);
}

#[test]
fn what_is_mounted_read_only_does_not_change() {
    let (made, dfs, paths) = fresh();
    write(&paths, b"/f", b"then");
    dfs.sync().unwrap();
    let taken = made.container.snapshot_create(None).unwrap();
    write(&paths, b"/f", b"now!!");
    paths.mkdir(b"/new", 0o755).unwrap();
    let at = |options| Dfs::mount(Arc::clone(&made.container), options).unwrap();
    let then = at(MountOptions { epoch: Some(taken.epoch), ..MountOptions::default() });
    let now = at(MountOptions { read_only: true, ..MountOptions::default() });
    assert_eq!(
        (read(&root(&then), b"/f"), names(&root(&then), b"/")),
        (b"then".to_vec(), vec!["f".to_owned()])
    );
    assert_eq!(read(&root(&now), b"/f"), b"now!!");
    for dfs in [&then, &now] {
        let paths = root(dfs);
        assert!(dfs.is_read_only());
        for refused in [
            paths.mkdir(b"/x", 0o755).map(drop),
            paths.open(b"/x", &open(CREATE)).map(drop),
            paths.open(b"/f", &open(WRITE)).map(drop),
            paths.open(b"/f", &open(OpenFlags { truncate: true, ..READ })).map(drop),
            paths.unlink(b"/f"),
            paths.rename(b"/f", b"/g", Rename::Replace),
            paths.link(b"/f", b"/g", true),
            paths.symlink(b"f", b"/g"),
            paths.chmod(b"/f", 0o600),
            paths.truncate(b"/f", 0),
            paths.set_xattr(b"/f", b"user.a", b"", XattrSet::Any, true),
            paths.access(b"/f", access::WRITE),
            dfs.sync(),
        ] {
            assert_eq!(errno(refused), Errno::EROFS);
        }
        // What is there can be opened as if to make it.
        drop(paths.open(b"/f", &open(OpenFlags { write: false, ..CREATE })).unwrap());
        assert_eq!(errno(paths.open(b"/f", &open(OpenFlags { exclusive: true, ..CREATE }))), Errno::EEXIST);
        assert_eq!(dfs.check(CheckMode::Print, None).unwrap().findings, []);
        assert_eq!(errno(dfs.check(CheckMode::Remove, None)), Errno::EROFS);
        dfs.umount().unwrap();
    }
    assert_eq!(read(&paths, b"/f"), b"now!!");
}

#[test]
fn room_is_told_by_who_knows() {
    let made = InMemory::formatted(
        1,
        &FormatOptions { consistency: Consistency::Balanced, ..FormatOptions::default() },
    );
    assert_eq!(errno(made.mount().statfs()), Errno::EOPNOTSUPP);
    let system = Arc::clone(&made.system);
    let space: daos_dfs::Space = Arc::new(move || daos_client::SystemService::space(&*system));
    let options = MountOptions { space: Some(space), ..MountOptions::default() };
    let dfs = Dfs::mount(Arc::clone(&made.container), options).unwrap();
    let room = dfs.statfs().unwrap();
    let told = made.system.space().unwrap();
    assert_eq!((room.blocks, room.block_size, room.name_len_max), (told.total / 4096, 4096, 255));
    assert!(room.blocks_free <= room.blocks && room.blocks_free > 0);
    assert_eq!(dfs.consistency(), Consistency::Balanced);
}
