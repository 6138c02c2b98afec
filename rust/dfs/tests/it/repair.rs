//! What a check finds and repairs: each kind of damage is made by hand.

use crate::common::{
    CREATE, InMemory, Untransacted, errno, mount, names, new, open, read, root, summed, write,
};
use daos_client::{ContainerRef, ContainerService, Object, Route};
use daos_dfs::{
    CheckMode, Dfs, EntryFix, Errno, Finding, FormatOptions, Kind, MountOptions, OpenFlags, Paths, Rename,
};
use daos_types::{Cond, Durability, Epoch, Extent, Iod, IodValue, ObjectId, ObjectType, Punched};
use std::sync::Arc;

struct Broken {
    made: InMemory,
    dfs: Dfs,
    paths: Paths,
}

impl Broken {
    fn new() -> Self {
        let made = InMemory::formatted(2, &FormatOptions::default());
        let dfs = made.mount();
        let paths = root(&dfs);
        Self { made, dfs, paths }
    }

    fn object(&self, oid: ObjectId) -> Object<dyn Route> {
        let container = ContainerRef { id: self.made.container.uuid(), checksums: summed() };
        Object::open(self.made.container.route(), container, oid, Durability::Buffered, Epoch::MAX).unwrap()
    }

    fn root(&self) -> Object<dyn Route> {
        self.object(self.dfs.root().oid())
    }

    /// Takes a name away, and nothing else.
    fn forget(&self, name: &[u8]) {
        self.root().punch(Punched::Dkey(name), Cond::PUNCH).unwrap();
    }

    /// The record of an entry, as it is stored.
    fn record(&self, name: &[u8]) -> Vec<u8> {
        use daos_types::{ArrayFetch, FetchIod, FetchValue};
        let recxs = [Extent { index: 0, count: 88 }];
        let mut bytes = vec![0; 88];
        let mut iods =
            [FetchIod::new(b"DFS_INODE", FetchValue::Array(ArrayFetch::new(&recxs, &mut bytes, 1)))];
        self.root().fetch(name, &mut iods, Cond::NONE).unwrap();
        bytes
    }

    fn store(&self, name: &[u8], record: &[u8]) {
        let recxs = [Extent { index: 0, count: record.len() as u64 }];
        let iods = [Iod::new(b"DFS_INODE", IodValue::Array { rec_size: 1, recxs: &recxs, data: record })];
        self.root().update(name, &iods, Cond::NONE).unwrap();
    }

    fn check(&self, mode: CheckMode) -> Vec<Finding> {
        // Another mount: this one knows what it has open.
        let report = mount(&self.made.container).check(mode, Some(b"found")).unwrap();
        let left = if mode == CheckMode::Print { report.findings.len() } else { 0 };
        assert_eq!(report.repaired, report.findings.len() - left);
        report.findings
    }

    /// What was found is found again, until it is repaired.
    fn repaired(&self, mode: CheckMode, expected: &[Finding]) {
        assert_eq!(self.check(CheckMode::Print), expected);
        assert_eq!(self.check(mode), expected);
        assert_eq!(self.check(CheckMode::Print), []);
    }
}

fn in_lost(oid: ObjectId) -> String {
    format!("/lost+found/found/{:016x}{:016x}", oid.hi, oid.lo)
}

#[test]
fn what_lost_its_name_is_removed_or_named() {
    for mode in [CheckMode::Remove, CheckMode::Relink] {
        let broken = Broken::new();
        let paths = &broken.paths;
        write(paths, b"/f", b"content");
        write(paths, b"/stays", b"stays");
        paths.mkdir_all(b"/d/e", 0o755).unwrap();
        write(paths, b"/d/g", b"g");
        write(paths, b"/d/e/h", b"h");
        let file = paths.stat(b"/f").unwrap().oid;
        let [d, e, g, h] =
            [&b"/d"[..], b"/d/e", b"/d/g", b"/d/e/h"].map(|path| paths.stat(path).unwrap().oid);
        let (leaked, dir) = (|oid| Finding::Leaked { oid, kind: Some(Kind::File) }, Some(Kind::Directory));
        broken.forget(b"f");
        broken.forget(b"d");
        let mut directories = [d, e];
        directories.sort();
        let mut files = [file, g, h];
        files.sort();
        let expected: Vec<Finding> = directories
            .into_iter()
            .map(|oid| Finding::Leaked { oid, kind: dir })
            .chain(files.into_iter().map(leaked))
            .collect();
        broken.repaired(mode, &expected);
        let again = root(&broken.made.mount());
        assert_eq!(read(&again, b"/stays"), b"stays");
        if mode == CheckMode::Remove {
            assert_eq!(names(&again, b"/"), ["stays"]);
        } else {
            assert_eq!(read(&again, in_lost(file).as_bytes()), b"content");
            assert_eq!(names(&again, in_lost(d).as_bytes()), ["e", "g"]);
            assert_eq!(read(&again, format!("{}/e/h", in_lost(d)).as_bytes()), b"h");
            assert_eq!(names(&again, b"/lost+found/found").len(), 2);
        }
    }
}

#[test]
fn orphans_of_a_mount_that_ended_are_removed_or_named() {
    for mode in [CheckMode::Remove, CheckMode::Relink] {
        for linked in [false, true] {
            let broken = Broken::new();
            let file = broken.dfs.open(&broken.dfs.root(), b"f", CREATE, &new()).unwrap();
            file.write(0, b"content").unwrap();
            if linked {
                broken.paths.link(b"/f", b"/g", true).unwrap();
                broken.paths.unlink(b"/g").unwrap();
            }
            broken.paths.unlink(b"/f").unwrap();
            // It is as good as killed.
            broken.dfs.umount().unwrap();
            let oid = file.oid();
            drop(file);
            broken.repaired(mode, &[Finding::Orphan { oid }]);
            let again = root(&broken.made.mount());
            if mode == CheckMode::Remove {
                assert!(names(&again, b"/").is_empty());
            } else {
                assert_eq!(read(&again, in_lost(oid).as_bytes()), b"content");
                assert_eq!(again.stat(in_lost(oid).as_bytes()).unwrap().links, 1);
            }
        }
    }
}

#[test]
fn names_of_one_file_come_to_know_of_each_other() {
    for mode in [CheckMode::Remove, CheckMode::Relink] {
        let broken = Broken::new();
        write(&broken.paths, b"/a", b"a");
        let record = broken.record(b"a");
        broken.store(b"b", &record);
        let several = vec![b"/a".to_vec(), b"/b".to_vec()];
        broken.repaired(mode, &[Finding::SeveralNames { paths: several }]);
        let again = root(&broken.made.mount());
        assert_eq!((again.stat(b"/a").unwrap().links, read(&again, b"/b")), (2, b"a".to_vec()));
        assert_eq!(broken.made.mount().layout_version(), 4);
        again.unlink(b"/a").unwrap();
        assert_eq!(read(&again, b"/b"), b"a");
        // A plain name beside those that know.
        again.link(b"/b", b"/c", true).unwrap();
        broken.store(b"d", &record);
        let paths = [b"/b", b"/c", b"/d"].map(|path| path.to_vec()).to_vec();
        broken.repaired(mode, &[Finding::SeveralNames { paths }]);
        let again = root(&broken.made.mount());
        assert_eq!(again.stat(b"/d").unwrap().links, 3);
        // A name that went, and one that came.
        broken.forget(b"b");
        broken.repaired(mode, &[Finding::Links { path: b"/c".to_vec(), stored: 3, counted: 2 }]);
        assert_eq!(again.stat(b"/d").unwrap().links, 2);
    }
}

#[test]
fn a_record_of_several_names_that_nothing_leads_to_goes() {
    for mode in [CheckMode::Remove, CheckMode::Relink] {
        let broken = Broken::new();
        let again = root(&broken.made.mount());
        // Of a link that was cut short: the record has moved, no name says so.
        write(&again, b"/a", b"a");
        let record = broken.record(b"a");
        again.link(b"/a", b"/b", true).unwrap();
        broken.forget(b"b");
        broken.forget(b"a");
        broken.store(b"a", &record);
        let oid = again.stat(b"/a").unwrap().oid;
        let inode = ObjectId { hi: 0x0001_0001_0000_0000 | u64::from(oid.hi as u32), lo: oid.lo };
        broken.repaired(mode, &[Finding::LeakedInode { oid: inode }]);
        assert_eq!(read(&again, b"/a"), b"a");
        // And the other way round: names that lead to a record that is not there.
        again.link(b"/a", b"/b", true).unwrap();
        again.symlink(b"a", b"/s").unwrap();
        again.link(b"/s", b"/t", false).unwrap();
        let link = again.lstat(b"/s").unwrap().oid;
        for oid in [oid, link] {
            let inode = ObjectId { hi: 0x0001_0001_0000_0000 | u64::from(oid.hi as u32), lo: oid.lo };
            broken.object(inode).punch(Punched::Object, Cond::NONE).unwrap();
        }
        assert_eq!(errno(again.stat(b"/a")), Errno::EIO);
        let found = broken.check(mode);
        let dangling = [b"/a", b"/s"].map(|path| Finding::Dangling { path: path.to_vec() });
        assert_eq!(found, dangling);
        assert_eq!(broken.check(CheckMode::Print), []);
        assert_eq!((again.stat(b"/b").unwrap().links, read(&again, b"/b")), (2, b"a".to_vec()));
        assert!(names(&again, b"/").iter().all(|name| name != "s" && name != "t"));
        again.unlink(b"/a").unwrap();
        again.unlink(b"/b").unwrap();
        assert_eq!(broken.check(CheckMode::Print), []);
    }
}

#[test]
fn a_directory_keeps_one_name() {
    let broken = Broken::new();
    broken.paths.mkdir(b"/a", 0o755).unwrap();
    write(&broken.paths, b"/a/f", b"f");
    broken.store(b"b", &broken.record(b"a"));
    let again = root(&broken.made.mount());
    assert_eq!(names(&again, b"/b"), ["f"]);
    let found = broken.check(CheckMode::Remove);
    assert_eq!(found, [Finding::SecondName { first: b"/a".to_vec(), path: b"/b".to_vec() }]);
    assert_eq!(broken.check(CheckMode::Print), []);
    assert_eq!((names(&again, b"/"), read(&again, b"/a/f")), (vec!["a".to_owned()], b"f".to_vec()));
}

#[test]
fn what_is_no_entry_is_removed() {
    let broken = Broken::new();
    write(&broken.paths, b"/good", b"good");
    let good = broken.record(b"good");
    let iods = [Iod::new(b"x:user.a", IodValue::Single(b"1"))];
    broken.root().update(b"alone", &iods, Cond::NONE).unwrap();
    broken.store(b"short", &good[..60]);
    broken.store(b"odd", &[&[0, 0, 0, 0], &good[4..]].concat());
    broken.store(b"a/b", &good);
    broken.store(b"nil", &[&good[..4], &[0; 16], &good[20..]].concat());
    assert_eq!(errno(broken.paths.stat(b"/short")), Errno::EIO);
    assert_eq!(errno(broken.paths.stat(b"/odd")), Errno::EIO);
    assert_eq!(errno(broken.paths.stat(b"/alone")), Errno::ENOENT);
    // A listing goes on behind what is damaged.
    let (dfs, top) = (&broken.dfs, broken.dfs.root());
    let page = dfs.readdir(&top, &dfs.first_anchor(&top).unwrap(), 100, true).unwrap();
    let told: Vec<bool> = page.entries.iter().map(|entry| entry.attr.is_some()).collect();
    assert_eq!((told.len(), told.iter().filter(|told| **told).count()), (5, 2));
    let mut paths: Vec<Vec<u8>> = broken
        .check(CheckMode::Remove)
        .into_iter()
        .map(|finding| match finding {
            Finding::Damaged { path, why } if !why.is_empty() => path,
            other => panic!("{other:?}"),
        })
        .collect();
    paths.sort();
    assert_eq!(paths, [&b"/a/b"[..], b"/alone", b"/nil", b"/odd", b"/short"]);
    assert_eq!(broken.check(CheckMode::Print), []);
    assert_eq!(
        (names(&broken.paths, b"/"), read(&broken.paths, b"/good")),
        (vec!["good".to_owned()], b"good".to_vec())
    );
}

#[test]
fn objects_of_others_are_told_and_removed() {
    let broken = Broken::new();
    let oid = ObjectId::generate(ObjectType::KvHashed, 1, 1, 0, 77);
    broken.object(oid).update(b"k", &[Iod::new(b"0", IodValue::Single(b"v"))], Cond::NONE).unwrap();
    let expected = [Finding::Leaked { oid, kind: None }];
    let report = mount(&broken.made.container).check(CheckMode::Relink, None).unwrap();
    assert_eq!((&report.findings[..], report.repaired), (&expected[..], 0), "it has no place to be named in");
    broken.repaired(CheckMode::Remove, &expected);
}

#[test]
fn a_check_tells_what_there_is() {
    let broken = Broken::new();
    let paths = &broken.paths;
    paths.mkdir_all(b"/a/b", 0o755).unwrap();
    write(paths, b"/a/f", b"");
    paths.link(b"/a/f", b"/a/b/g", true).unwrap();
    write(paths, b"/h", b"x");
    paths.symlink(b"h", b"/s").unwrap();
    paths.symlink(b"h", b"/t").unwrap();
    paths.link(b"/t", b"/u", false).unwrap();
    let report = broken.dfs.check(CheckMode::Print, None).unwrap();
    assert_eq!((report.directories, report.files, report.symlinks), (3, 3, 3));
    assert_eq!((&report.findings[..], report.repaired), (&[][..], 0));
    assert!(broken.made.container.snapshots().unwrap().is_empty(), "it took its snapshot away");
    assert_eq!(errno(broken.dfs.check(CheckMode::Relink, Some(b"a/b"))), Errno::EINVAL);
}

/// What is there in pieces after each step of an operation without transactions: the test's own steps of `docs/formats/dfs.md`.
#[test]
fn names_counted_without_transactions_free_nothing_until_a_check_counts() {
    let made = InMemory::formatted(2, &FormatOptions::default());
    let container: Arc<dyn ContainerService> = Arc::new(Untransacted(Arc::clone(&made.container)));
    let dfs = mount(&container);
    let paths = root(&dfs);
    write(&paths, b"/a", b"a");
    paths.link(b"/a", b"/b", true).unwrap();
    let check = |mode| mount(&made.container).check(mode, None).unwrap().findings;
    let uncertain = Finding::Links { path: b"/a".to_vec(), stored: 2, counted: 2 };
    assert_eq!(check(CheckMode::Remove), [uncertain]);
    assert_eq!(check(CheckMode::Print), []);
    paths.unlink(b"/a").unwrap();
    paths.rename(b"/b", b"/c", Rename::Replace).unwrap();
    assert_eq!(read(&paths, b"/c"), b"a");
    let oid = paths.stat(b"/c").unwrap().oid;
    paths.unlink(b"/c").unwrap();
    let found = check(CheckMode::Remove);
    assert!(
        found.contains(&Finding::Leaked { oid, kind: Some(Kind::File) }) && found.len() == 2,
        "{found:?}"
    );
    assert_eq!(check(CheckMode::Print), []);
    drop(paths.open_file(b"/new", &open(OpenFlags { exclusive: true, ..CREATE })).unwrap());
    assert_eq!(check(CheckMode::Print), []);
}

fn superblock(broken: &Broken) -> Object<dyn Route> {
    broken.object(ObjectId { hi: 0x0001_0001_0000_0000, lo: 0 })
}

fn single(object: &Object<dyn Route>, akey: &[u8], value: &[u8]) {
    let iods = [Iod::new(akey, IodValue::Single(value))];
    object.update(b"DFS_SB_METADATA", &iods, Cond::NONE).unwrap();
}

fn options() -> FormatOptions {
    FormatOptions { chunk_size: Some(4096), hints: "file:single".to_owned(), ..FormatOptions::default() }
}

fn try_mount(broken: &Broken) -> Errno {
    Dfs::mount(Arc::clone(&broken.made.container), MountOptions::default()).unwrap_err().errno
}

type Damage = (fn(&Object<dyn Route>), Errno);

#[test]
fn a_superblock_that_is_lost_is_written_anew() {
    let damages: [Damage; 5] = [
        (|object| object.punch(Punched::Dkey(b"DFS_SB_METADATA"), Cond::NONE).unwrap(), Errno::EINVAL),
        (
            |object| object.punch(Punched::Akeys(b"DFS_SB_METADATA", &[b"DFS_MAGIC"]), Cond::NONE).unwrap(),
            Errno::EINVAL,
        ),
        (|object| single(object, b"DFS_MAGIC", &[7; 8]), Errno::EIO),
        (|object| single(object, b"DFS_CHUNK_SIZE", &[0; 8]), Errno::EIO),
        (|object| single(object, b"DFS_LAYOUT_VERSION", &[3]), Errno::EIO),
    ];
    for (index, (damage, errno)) in damages.into_iter().enumerate() {
        for links in [false, true] {
            let broken = Broken::new();
            write(&broken.paths, b"/f", b"content");
            broken.dfs.mkdir(&broken.dfs.root(), b"d", &new()).unwrap();
            if links {
                broken.paths.link(b"/f", b"/g", false).unwrap();
            }
            broken.dfs.umount().unwrap();
            let fix = || Dfs::fix_superblock(&broken.made.container, &options());
            assert_eq!(fix().unwrap_err().errno, Errno::EEXIST);
            damage(&superblock(&broken));
            assert_eq!(try_mount(&broken), errno, "{index}");
            fix().unwrap();
            assert_eq!(fix().unwrap_err().errno, Errno::EEXIST);
            let dfs = mount(&broken.made.container);
            // What told of the layout may be gone; files tell of it.
            assert_eq!(dfs.layout_version(), if links { 4 } else { 3 }, "{index}");
            let made = dfs.made_as();
            assert_eq!((made.chunk_size, &*made.hints), (Some(4096), "file:single"));
            assert_eq!(read(&root(&dfs), b"/f"), b"content");
            assert_eq!(dfs.check(CheckMode::Print, None).unwrap().findings, []);
        }
    }
}

#[test]
fn a_superblock_of_another_version_is_left_alone() {
    let broken = Broken::new();
    single(&superblock(&broken), b"DFS_LAYOUT_VERSION", &[9, 0]);
    let fix =
        |options: &FormatOptions| Dfs::fix_superblock(&broken.made.container, options).unwrap_err().errno;
    assert_eq!(fix(&options()), Errno::EOPNOTSUPP);
    assert_eq!(fix(&FormatOptions { chunk_size: Some(0), ..options() }), Errno::EINVAL);
    assert_eq!(fix(&FormatOptions { hints: "what".to_owned(), ..options() }), Errno::EINVAL);
}

#[test]
fn a_root_that_nothing_leads_to_is_found_again() {
    let damages: [fn(&Object<dyn Route>); 4] = [
        |object| object.punch(Punched::Dkey(b"/"), Cond::NONE).unwrap(),
        |object| object.punch(Punched::Akeys(b"/", &[b"DFS_INODE"]), Cond::NONE).unwrap(),
        |object| {
            let recxs = [Extent { index: 0, count: 4 }];
            let iods =
                [Iod::new(b"DFS_INODE", IodValue::Array { rec_size: 1, recxs: &recxs, data: &[0; 4] })];
            object.update(b"/", &iods, Cond::NONE).unwrap();
        },
        |object| {
            // To another object.
            let recxs = [Extent { index: 4, count: 8 }];
            let iods =
                [Iod::new(b"DFS_INODE", IodValue::Array { rec_size: 1, recxs: &recxs, data: &[1; 8] })];
            object.update(b"/", &iods, Cond::NONE).unwrap();
        },
    ];
    for (index, damage) in damages.into_iter().enumerate() {
        let broken = Broken::new();
        write(&broken.paths, b"/f", b"content");
        let oid = broken.dfs.root().oid();
        broken.dfs.umount().unwrap();
        let fix = |oid| Dfs::fix_root(&broken.made.container, oid, (7, 8), 0o750);
        assert!(!fix(oid).unwrap());
        damage(&superblock(&broken));
        if index < 3 {
            assert_eq!(try_mount(&broken), Errno::EIO, "{index}");
        }
        for wrong in [ObjectId::default(), ObjectId { lo: 1, ..oid }, ObjectId { hi: oid.hi + 1, lo: 0 }] {
            assert_eq!(fix(wrong).unwrap_err().errno, Errno::EINVAL);
        }
        assert!(fix(oid).unwrap(), "{index}");
        assert!(!fix(oid).unwrap());
        let dfs = mount(&broken.made.container);
        let attr = root(&dfs).stat(b"/").unwrap();
        assert_eq!((attr.mode, attr.uid, attr.gid), (0o40_750, 7, 8));
        assert_eq!(read(&root(&dfs), b"/f"), b"content");
        assert_eq!(dfs.check(CheckMode::Print, None).unwrap().findings, []);
    }
}

#[test]
fn an_entry_of_the_wrong_kind_is_what_its_object_is() {
    let broken = Broken::new();
    let paths = &broken.paths;
    write(paths, b"/f", b"content");
    paths.mkdir(b"/d", 0o755).unwrap();
    write(paths, b"/d/x", b"1");
    paths.symlink(b"f", b"/s").unwrap();
    write(paths, b"/two", b"names");
    paths.link(b"/two", b"/three", false).unwrap();
    let kind = EntryFix { kind: true, ..EntryFix::default() };
    for (name, right, permissions) in
        [(b"/f", Kind::File, 0o644_u32), (b"/d", Kind::Directory, 0o755), (b"/s", Kind::Symlink, 0o777)]
    {
        let before = broken.record(&name[1..]);
        for wrong in [0_u32, 0o020_000, 0o040_000, 0o100_000, 0o120_000] {
            let mut record = before.clone();
            record[..4].copy_from_slice(&(wrong | permissions).to_le_bytes());
            broken.store(&name[1..], &record);
            let fixed = root(&mount(&broken.made.container)).fix_entry(name, kind);
            assert_eq!(fixed.unwrap(), right, "{name:?} {wrong:o}");
            assert_eq!(broken.record(&name[1..])[2..], before[2..], "{name:?} {wrong:o}");
        }
    }
    // Of several names, record and entries are in different places.
    assert_eq!(root(&mount(&broken.made.container)).fix_entry(b"/two", kind).unwrap(), Kind::File);
    let mut entry = vec![0; 4];
    entry.copy_from_slice(&0o040_644_u32.to_le_bytes());
    broken.store(b"two", &entry);
    assert!(!broken.check(CheckMode::Print).is_empty());
    root(&mount(&broken.made.container)).fix_entry(b"/two/", kind).unwrap();
    assert_eq!(broken.check(CheckMode::Print), []);
    let paths = root(&mount(&broken.made.container));
    assert_eq!((read(&paths, b"/f"), read(&paths, b"/d/x")), (b"content".to_vec(), b"1".to_vec()));
    assert_eq!(read(&paths, b"/two"), b"names");
    assert_eq!(paths.readlink(b"/s").unwrap(), b"f");
}

#[test]
fn the_size_of_chunks_of_an_entry_is_set() {
    let broken = Broken::new();
    let paths = &broken.paths;
    write(paths, b"/f", &[7; 10_000]);
    write(paths, b"/two", &[8; 10_000]);
    paths.link(b"/two", b"/three", false).unwrap();
    paths.symlink(b"f", b"/s").unwrap();
    let before = broken.record(b"f");
    let mut record = before.clone();
    record[36..44].copy_from_slice(&u64::MAX.to_le_bytes());
    broken.store(b"f", &record);
    // A check would remove it, and its bytes.
    let found = broken.check(CheckMode::Print);
    assert!(matches!(&found[..], [Finding::Leaked { .. }, Finding::Damaged { .. }]), "{found:?}");
    let paths = root(&mount(&broken.made.container));
    let chunk = |chunk_size| EntryFix { chunk_size: Some(chunk_size), kind: false };
    assert_eq!(paths.fix_entry(b"/f", chunk(1 << 20)).unwrap(), Kind::File);
    assert_eq!(broken.record(b"f")[36..44], (1_u64 << 20).to_le_bytes());
    assert_eq!(read(&paths, b"/f"), [7; 10_000]);
    // It is what the bytes are looked for by.
    paths.fix_entry(b"/two", chunk(4096)).unwrap();
    assert_eq!(paths.stat(b"/three").unwrap().chunk_size, 4096);
    paths.fix_entry(b"/three", chunk(1 << 20)).unwrap();
    assert_eq!(read(&paths, b"/two"), [8; 10_000]);
    assert_eq!(broken.check(CheckMode::Print), []);
    let refused = |path: &[u8], fix| paths.fix_entry(path, fix).unwrap_err().errno;
    assert_eq!(refused(b"/f", chunk(0)), Errno::EINVAL);
    assert_eq!(refused(b"/s", chunk(1 << 20)), Errno::EINVAL);
    assert_eq!(refused(b"/", chunk(1 << 20)), Errno::EINVAL);
    assert_eq!(refused(b"/none", chunk(1 << 20)), Errno::ENOENT);
    assert_eq!(refused(b"/f/x", chunk(1 << 20)), Errno::ENOTDIR);
    // What is damaged otherwise stays as it is.
    let mut record = before.clone();
    record[48..56].copy_from_slice(&u64::MAX.to_le_bytes());
    broken.store(b"f", &record);
    assert_eq!(refused(b"/f", chunk(4096)), Errno::EIO);
    assert_eq!(broken.record(b"f"), record);
    let read_only = MountOptions { read_only: true, ..MountOptions::default() };
    let paths = root(&Dfs::mount(Arc::clone(&broken.made.container), read_only).unwrap());
    assert_eq!(paths.fix_entry(b"/f", chunk(4096)).unwrap_err().errno, Errno::EROFS);
}

/// Formatted anew, it would have another owner and other chunks than it was made with, and nobody would be told.
#[test]
fn what_has_lost_its_superblock_is_not_formatted() {
    for punched in [Punched::Dkey(b"DFS_SB_METADATA"), Punched::Akeys(b"DFS_SB_METADATA", &[b"DFS_MAGIC"])] {
        for root_too in [false, true] {
            let broken = Broken::new();
            write(&broken.paths, b"/f", b"content");
            superblock(&broken).punch(punched, Cond::NONE).unwrap();
            if root_too {
                superblock(&broken).punch(Punched::Dkey(b"/"), Cond::NONE).unwrap();
            }
            let error = Dfs::format(&broken.made.container, &FormatOptions::default()).unwrap_err();
            assert_eq!(error.errno, Errno::EIO, "{error:?}");
            assert_eq!(error.hint.as_deref(), Some("daos fs fix-sb writes it anew"));
            Dfs::fix_superblock(&broken.made.container, &FormatOptions::default()).unwrap();
            if !root_too {
                assert_eq!(read(&root(&mount(&broken.made.container)), b"/f"), b"content");
            }
        }
    }
    // What has nothing in it may be made, as after an attempt that was cut short.
    let broken = Broken::new();
    superblock(&broken).punch(Punched::Dkey(b"DFS_SB_METADATA"), Cond::NONE).unwrap();
    Dfs::format(&broken.made.container, &FormatOptions::default()).unwrap();
    let again = Dfs::format(&broken.made.container, &FormatOptions::default()).unwrap_err();
    assert_eq!(again.errno, Errno::EEXIST);
}
