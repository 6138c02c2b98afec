//! Calls that change names: renames, links, removals of what is open.

use crate::common::{CREATE, READ, WRITE, errno, fresh, mount, names, new, open, read, write};
use daos_dfs::{At, CheckMode, Dfs, Errno, Kind, Open, OpenFlags, Rename, SetAttr, XattrSet};

#[test]
fn names_change_as_posix_says() {
    let (_made, dfs, paths) = fresh();
    let rename = |from: &[u8], to: &[u8], how| paths.rename(from, to, how);
    write(&paths, b"/a", b"a");
    write(&paths, b"/b", b"b");
    paths.mkdir_all(b"/d/e/f", 0o755).unwrap();
    paths.mkdir(b"/empty", 0o755).unwrap();
    assert_eq!(errno(rename(b"/x", b"/y", Rename::Replace)), Errno::ENOENT);
    assert_eq!(errno(rename(b"/a", b"/x/y", Rename::Replace)), Errno::ENOENT);
    assert_eq!(errno(rename(b"/a", b"/d", Rename::Replace)), Errno::EISDIR);
    assert_eq!(errno(rename(b"/d", b"/a", Rename::Replace)), Errno::ENOTDIR);
    assert_eq!(errno(rename(b"/empty", b"/d", Rename::Replace)), Errno::ENOTEMPTY);
    assert_eq!(errno(rename(b"/d", b"/d/e/g", Rename::Replace)), Errno::EINVAL);
    assert_eq!(errno(rename(b"/d", b"/d/g", Rename::Replace)), Errno::EINVAL);
    assert_eq!(errno(rename(b"/d/e", b"/d/e/f", Rename::Replace)), Errno::EINVAL);
    assert_eq!(errno(rename(b"/d/e/f", b"/d/e", Rename::Replace)), Errno::ENOTEMPTY);
    assert_eq!(errno(rename(b"/d/e", b"/d/e/f", Rename::Exchange)), Errno::EINVAL);
    assert_eq!(errno(rename(b"/d/e/f", b"/d/e", Rename::Exchange)), Errno::EINVAL);
    assert_eq!(errno(rename(b"/a", b"/b", Rename::NoReplace)), Errno::EEXIST);
    assert_eq!(errno(rename(b"/a", b"/a", Rename::NoReplace)), Errno::EEXIST);
    assert_eq!(errno(rename(b"/a", b"/x", Rename::Exchange)), Errno::ENOENT);
    assert_eq!(errno(rename(b"/", b"/x", Rename::Replace)), Errno::EBUSY);
    assert_eq!(errno(rename(b"/a", b"/", Rename::Replace)), Errno::EBUSY);
    assert_eq!(errno(rename(b"/d/.", b"/x", Rename::Replace)), Errno::EBUSY);
    assert_eq!(errno(rename(b"/a/", b"/x", Rename::Replace)), Errno::ENOTDIR);
    assert_eq!(errno(rename(b"/a", b"/x/", Rename::Replace)), Errno::ENOTDIR);
    rename(b"/a", b"/a", Rename::Replace).unwrap();
    rename(b"/d", b"/d", Rename::Replace).unwrap();
    rename(b"/a", b"/b", Rename::Replace).unwrap();
    assert_eq!((read(&paths, b"/b"), errno(paths.stat(b"/a"))), (b"a".to_vec(), Errno::ENOENT));
    rename(b"/b", b"/d/e/b", Rename::NoReplace).unwrap();
    rename(b"/d/e", b"/empty", Rename::Replace).unwrap();
    assert_eq!(
        (names(&paths, b"/"), names(&paths, b"/empty")),
        (vec!["d".into(), "empty".into()], vec!["b".into(), "f".into()])
    );
    rename(b"/empty/b", b"/d", Rename::Exchange).unwrap();
    assert_eq!(
        (paths.stat(b"/d").unwrap().kind, paths.stat(b"/empty/b").unwrap().kind),
        (Kind::File, Kind::Directory)
    );
    // Attributes go with what has them.
    paths.set_xattr(b"/d", b"user.a", b"1", XattrSet::Any, true).unwrap();
    write(&paths, b"/g", b"g");
    paths.set_xattr(b"/g", b"user.b", b"2", XattrSet::Any, true).unwrap();
    rename(b"/d", b"/g", Rename::Replace).unwrap();
    assert_eq!(paths.xattrs(b"/g", true).unwrap(), [b"user.a"]);
    paths.symlink(b"target", b"/s").unwrap();
    rename(b"/g", b"/s", Rename::Exchange).unwrap();
    assert_eq!((paths.readlink(b"/g").unwrap(), read(&paths, b"/s")), (b"target".to_vec(), b"a".to_vec()));
    rename(b"/s", b"/g", Rename::Replace).unwrap();
    assert_eq!((read(&paths, b"/g"), paths.lstat(b"/g").unwrap().kind), (b"a".to_vec(), Kind::File));
    assert_eq!(dfs.check(CheckMode::Print, None).unwrap().findings, []);
}

#[test]
fn what_is_open_follows_its_name() {
    let (_made, dfs, paths) = fresh();
    paths.mkdir_all(b"/d/e", 0o755).unwrap();
    let e = paths.open_dir(b"/d/e").unwrap();
    let file = dfs.open(&e, b"f", CREATE, &new()).unwrap();
    paths.rename(b"/d", b"/x", Rename::Replace).unwrap();
    paths.rename(b"/x/e/f", b"/g", Rename::Replace).unwrap();
    file.write(0, b"abc").unwrap();
    let set = SetAttr { mode: Some(0o600), ..SetAttr::default() };
    dfs.set_attr(At::File(&file), &set).unwrap();
    assert_eq!((paths.stat(b"/g").unwrap().mode, paths.stat(b"/g").unwrap().size), (0o100_600, 3));
    assert_eq!(
        (e.parent().oid(), e.parent().parent().oid()),
        (paths.open_dir(b"/x").unwrap().oid(), dfs.root().oid())
    );
    drop(dfs.open(&e, b"h", CREATE, &new()).unwrap());
    assert_eq!(names(&paths, b"/x/e"), ["h"]);
    write(&paths, b"/other", b"other");
    paths.rename(b"/g", b"/other", Rename::Exchange).unwrap();
    dfs.set_attr(At::File(&file), &SetAttr { uid: Some(5), ..SetAttr::default() }).unwrap();
    assert_eq!((paths.stat(b"/other").unwrap().uid, paths.stat(b"/g").unwrap().uid), (5, 0));
}

#[test]
fn a_file_without_a_name_lives_until_it_is_closed() {
    let (made, dfs, paths) = fresh();
    let orphans = |dfs: &Dfs| {
        let report = dfs.check(CheckMode::Print, None).unwrap();
        report.findings.len()
    };
    for replaced in [false, true] {
        let file = dfs.open(&dfs.root(), b"f", CREATE, &new()).unwrap();
        let again = paths.open_file(b"/f", &open(WRITE)).unwrap();
        file.write(0, b"before").unwrap();
        dfs.set_xattr(At::File(&file), b"user.a", b"1", XattrSet::Any).unwrap();
        if replaced {
            write(&paths, b"/g", b"new");
            paths.rename(b"/g", b"/f", Rename::Replace).unwrap();
            assert_eq!(read(&paths, b"/f"), b"new");
            paths.unlink(b"/f").unwrap();
        } else {
            paths.unlink(b"/f").unwrap();
        }
        assert_eq!(errno(paths.stat(b"/f")), Errno::ENOENT);
        file.write(6, b" after").unwrap();
        let mut buffer = [0; 20];
        assert_eq!(again.read(0, &mut buffer).unwrap(), 12);
        assert_eq!(&buffer[..12], b"before after");
        file.truncate(3).unwrap();
        dfs.set_attr(At::File(&file), &SetAttr { mode: Some(0o400), ..SetAttr::default() }).unwrap();
        assert_eq!((again.stat().unwrap().mode, again.stat().unwrap().size), (0o100_400, 3));
        assert_eq!(dfs.xattr(At::File(&again), b"user.a").unwrap(), b"1");
        file.sync().unwrap();
        assert_eq!(orphans(&dfs), 0, "this mount knows that it is open");
        let other = mount(&made.container);
        assert_eq!(orphans(&other), 1, "another does not");
        file.close().unwrap();
        assert_eq!(orphans(&other), 1);
        drop(again);
        assert_eq!(orphans(&other), 0);
    }
}

#[test]
fn hard_links_are_names_of_one_file() {
    let (made, dfs, paths) = fresh();
    write(&paths, b"/a", b"a");
    paths.set_xattr(b"/a", b"user.a", b"1", XattrSet::Any, true).unwrap();
    paths.mkdir(b"/d", 0o755).unwrap();
    let before = paths.stat(b"/a").unwrap();
    let opened = paths.open_file(b"/a", &open(WRITE)).unwrap();
    assert_eq!((dfs.layout_version(), before.links), (3, 1));
    paths.link(b"/a", b"/d/b", true).unwrap();
    assert_eq!(dfs.layout_version(), 4);
    paths.link(b"/d/b", b"/c", true).unwrap();
    assert_eq!(made.mount().layout_version(), 4);
    for path in [&b"/a"[..], b"/d/b", b"/c"] {
        let attr = paths.stat(path).unwrap();
        assert_eq!((attr.oid, attr.links, attr.mtime), (before.oid, 3, before.mtime));
        assert_eq!(paths.xattr(path, b"user.a", true).unwrap(), b"1");
        assert_eq!(paths.xattrs(path, true).unwrap(), [b"user.a"]);
        assert_eq!(read(&paths, path), b"a");
    }
    paths.chmod(b"/c", 0o600).unwrap();
    dfs.set_attr(At::File(&opened), &SetAttr { uid: Some(9), ..SetAttr::default() }).unwrap();
    assert_eq!((paths.stat(b"/a").unwrap().mode, paths.stat(b"/c").unwrap().uid), (0o100_600, 9));
    assert_eq!(errno(paths.link(b"/d", b"/e", true)), Errno::EPERM);
    assert_eq!(errno(paths.link(b"/", b"/e", true)), Errno::EPERM);
    assert_eq!(errno(paths.link(b"/a", b"/c", true)), Errno::EEXIST);
    assert_eq!(errno(paths.link(b"/x", b"/e", true)), Errno::ENOENT);
    assert_eq!(errno(paths.link(b"/a", b"/x/e", true)), Errno::ENOENT);
    assert_eq!(errno(paths.link(b"/a", b"/e/", true)), Errno::ENOENT);
    // Of two names of one file, neither replaces the other.
    paths.rename(b"/a", b"/c", Rename::Replace).unwrap();
    assert_eq!(names(&paths, b"/"), ["a", "c", "d"]);
    paths.rename(b"/a", b"/d/a", Rename::Replace).unwrap();
    write(&paths, b"/new", b"new");
    paths.rename(b"/new", b"/c", Rename::Replace).unwrap();
    assert_eq!((paths.stat(b"/d/a").unwrap().links, read(&paths, b"/c")), (2, b"new".to_vec()));
    assert_eq!(paths.stat(b"/c").unwrap().links, 1);
    paths.unlink(b"/d/a").unwrap();
    assert_eq!(paths.stat(b"/d/b").unwrap().links, 1);
    assert_eq!(dfs.check(CheckMode::Print, None).unwrap().findings, []);
    paths.unlink(b"/d/b").unwrap();
    opened.write(0, b"still").unwrap();
    assert_eq!((opened.stat().unwrap().links, opened.stat().unwrap().size), (0, 5));
    assert_eq!(dfs.check(CheckMode::Print, None).unwrap().findings, []);
    opened.close().unwrap();
    let report = mount(&made.container).check(CheckMode::Print, None).unwrap();
    assert_eq!((report.findings, report.files, report.directories), (vec![], 1, 2));
}

#[test]
fn symbolic_links_lead_somewhere_or_not() {
    let (_made, dfs, paths) = fresh();
    paths.mkdir_all(b"/d/e", 0o755).unwrap();
    write(&paths, b"/d/f", b"f");
    paths.symlink(b"d", b"/rel").unwrap();
    paths.symlink(b"/d/e/../f", b"/d/e/abs").unwrap();
    paths.symlink(b"nowhere", b"/dangling").unwrap();
    paths.symlink(b"loop2", b"/loop1").unwrap();
    paths.symlink(b"loop1", b"/loop2").unwrap();
    assert_eq!(read(&paths, b"/rel/e/abs"), b"f");
    assert_eq!(
        (paths.stat(b"/rel").unwrap().kind, paths.lstat(b"/rel").unwrap().kind),
        (Kind::Directory, Kind::Symlink)
    );
    assert_eq!((paths.lstat(b"/rel").unwrap().size, paths.lstat(b"/rel").unwrap().mode), (1, 0o120_777));
    assert_eq!(paths.lstat(b"/rel/").unwrap().kind, Kind::Directory);
    assert_eq!(paths.readlink(b"/d/e/abs").unwrap(), b"/d/e/../f");
    assert_eq!(errno(paths.readlink(b"/d")), Errno::EINVAL);
    assert_eq!(errno(paths.readlink(b"/")), Errno::EINVAL);
    assert_eq!(errno(paths.stat(b"/dangling")), Errno::ENOENT);
    assert_eq!(errno(paths.stat(b"/loop1")), Errno::ELOOP);
    assert_eq!(errno(paths.stat(b"/loop1/x")), Errno::ELOOP);
    assert_eq!(errno(paths.open(b"/loop1", &open(CREATE))), Errno::ELOOP);
    assert_eq!(errno(paths.symlink(b"x", b"/rel")), Errno::EEXIST);
    assert_eq!(errno(paths.symlink(b"", b"/y")), Errno::ENOENT);
    assert_eq!(errno(paths.symlink(&[b'x'; 4096], b"/y")), Errno::ENAMETOOLONG);
    let no_follow = |flags| Open { no_follow: true, ..open(flags) };
    assert_eq!(errno(paths.open(b"/rel", &no_follow(READ))), Errno::ELOOP);
    assert_eq!(errno(paths.open(b"/rel", &Open { directory: true, ..no_follow(READ) })), Errno::ENOTDIR);
    assert_eq!(errno(dfs.open(&dfs.root(), b"rel", READ, &new())), Errno::ELOOP);
    // What is made through a link is made where it leads.
    write(&paths, b"/dangling", b"there");
    assert_eq!(read(&paths, b"/nowhere"), b"there");
    let exclusive = OpenFlags { exclusive: true, ..CREATE };
    paths.symlink(b"nowhere2", b"/dangling2").unwrap();
    assert_eq!(errno(paths.open(b"/dangling2", &open(exclusive))), Errno::EEXIST);
    // No path leads out.
    paths.symlink(b"../../../../d/f", b"/d/e/up").unwrap();
    assert_eq!(read(&paths, b"/d/e/up"), b"f");
    assert_eq!(read(&paths, b"/../../d/f"), b"f");
    // 40 are followed, 41 are not.
    paths.symlink(b"d", b"/l0").unwrap();
    for number in 1..=40 {
        paths.symlink(format!("l{}", number - 1).as_bytes(), format!("/l{number}").as_bytes()).unwrap();
    }
    assert_eq!(paths.stat(b"/l39").unwrap().kind, Kind::Directory);
    assert_eq!(errno(paths.stat(b"/l40")), Errno::ELOOP);
    assert_eq!(errno(paths.chmod(b"/loop1", 0o600)), Errno::ELOOP);
    let link = At::Entry(&dfs.root(), b"rel");
    assert_eq!(
        errno(dfs.set_attr(link, &SetAttr { mode: Some(0o600), ..SetAttr::default() })),
        Errno::EOPNOTSUPP
    );
    paths.chown(b"/rel", Some(3), Some(4), false).unwrap();
    assert_eq!((paths.lstat(b"/rel").unwrap().uid, paths.stat(b"/rel").unwrap().uid), (3, 0));
    // They can have several names.
    paths.link(b"/rel", b"/rel2", false).unwrap();
    assert_eq!((paths.readlink(b"/rel2").unwrap(), paths.lstat(b"/rel").unwrap().links), (b"d".to_vec(), 2));
    paths.unlink(b"/rel").unwrap();
    assert_eq!(paths.stat(b"/rel2/f").unwrap().size, 1);
    paths.unlink(b"/rel2").unwrap();
    assert_eq!(dfs.check(CheckMode::Print, None).unwrap().findings, []);
}
