//! What a check finds and repairs: each kind of damage is made by hand.

use crate::common::{
    CREATE, InMemory, Untransacted, errno, mount, names, new, open, read, root, summed, write,
};
use daos_client::{ContainerRef, ContainerService, Object, Route};
use daos_dfs::{CheckMode, Dfs, Errno, Finding, FormatOptions, Kind, OpenFlags, Paths, Rename};
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
