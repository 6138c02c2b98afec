//! What the tests share.

use daos_client::{AttributeService, ContainerService, Error, Result, Route, Survey, Transaction};
use daos_dfs::access::Credentials;
use daos_dfs::{
    At, Attr, Dfs, Errno, FormatOptions, Handle, Kind, MountOptions, New, Open, OpenFlags, Paths,
};
use daos_embed::{Options, System};
use daos_types::{ChecksumKind, Checksums, ContainerId, Der, Durability, Epoch, Snapshot};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    pub(crate) fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

/// A container in memory; it goes with the system.
pub(crate) struct InMemory {
    pub(crate) system: Arc<System>,
    pub(crate) container: Arc<dyn ContainerService>,
}

pub(crate) fn summed() -> Checksums {
    Checksums { kind: Some(ChecksumKind::ALL[0]), piece_size: 32 << 10, server_verifies: false }
}

impl InMemory {
    pub(crate) fn new(targets: u32) -> Self {
        let system = System::in_memory(&Options { targets, ..Options::default() }).unwrap();
        let pool = system.pool_create("p", b"").unwrap();
        let container = Arc::new(pool.container_create_summed("c", b"", summed(), false).unwrap());
        Self { system, container }
    }

    pub(crate) fn formatted(targets: u32, options: &FormatOptions) -> Self {
        let made = Self::new(targets);
        Dfs::format(&made.container, options).unwrap();
        made
    }

    pub(crate) fn mount(&self) -> Dfs {
        mount(&self.container)
    }
}

/// One with its mount, used by who may do all.
pub(crate) fn fresh() -> (InMemory, Dfs, Paths) {
    let made = InMemory::formatted(2, &FormatOptions::default());
    let dfs = made.mount();
    let paths = root(&dfs);
    (made, dfs, paths)
}

pub(crate) fn mount(container: &Arc<dyn ContainerService>) -> Dfs {
    Dfs::mount(Arc::clone(container), MountOptions::default()).unwrap()
}

pub(crate) fn root(dfs: &Dfs) -> Paths {
    Paths::new(dfs.clone(), Credentials::ROOT)
}

pub(crate) fn new() -> New {
    New { mode: 0o644, ..New::default() }
}

pub(crate) const CREATE: OpenFlags =
    OpenFlags { read: true, write: true, create: true, append: false, exclusive: false, truncate: false };
pub(crate) const READ: OpenFlags = OpenFlags { write: false, create: false, ..CREATE };
pub(crate) const WRITE: OpenFlags = OpenFlags { create: false, ..CREATE };

pub(crate) fn open(flags: OpenFlags) -> Open {
    Open { flags, mode: 0o644, ..Open::default() }
}

pub(crate) fn write(paths: &Paths, path: &[u8], data: &[u8]) {
    let flags = OpenFlags { truncate: true, ..CREATE };
    let Handle::File(file) = paths.open(path, &open(flags)).unwrap() else { panic!("a directory") };
    assert_eq!(file.write(0, data).unwrap(), data.len());
    file.close().unwrap();
}

/// What can be seen, by paths.
pub(crate) type Tree = BTreeMap<Vec<u8>, String>;

/// All entries, as `tell` shows each of them by what it is, its attributes and its content.
pub(crate) fn tree(paths: &Paths, tell: impl Fn(At<'_>, &Attr, &[u8]) -> String) -> Tree {
    let dfs = paths.dfs();
    let mut tree = Tree::new();
    let mut left = vec![(Vec::new(), dfs.root())];
    while let Some((above, dir)) = left.pop() {
        for name in dfs.names(&dir).unwrap() {
            let path = if above.is_empty() { name.clone() } else { [&above[..], b"/", &name].concat() };
            let at = At::Entry(&dir, &name);
            let attr = dfs.stat(at).unwrap();
            let content = match attr.kind {
                Kind::Directory => {
                    left.push((path.clone(), dfs.open_dir(&dir, &name).unwrap()));
                    Vec::new()
                }
                Kind::Symlink => dfs.readlink(&dir, &name).unwrap(),
                Kind::File => read(paths, &path),
            };
            tree.insert(path, tell(at, &attr, &content));
        }
    }
    tree
}

pub(crate) fn read(paths: &Paths, path: &[u8]) -> Vec<u8> {
    let file = paths.open_file(path, &open(READ)).unwrap();
    let mut data = vec![0; file.size().unwrap() as usize];
    assert_eq!(file.read(0, &mut data).unwrap(), data.len());
    data
}

pub(crate) fn errno<T: std::fmt::Debug>(result: daos_dfs::Result<T>) -> Errno {
    result.unwrap_err().errno
}

pub(crate) fn names(paths: &Paths, path: &[u8]) -> Vec<String> {
    let mut names: Vec<String> =
        paths.names(path).unwrap().into_iter().map(|name| String::from_utf8(name).unwrap()).collect();
    names.sort();
    names
}

/// A container whose pool has no transactions, as one over several engines.
#[derive(Debug)]
pub(crate) struct Untransacted(pub(crate) Arc<dyn ContainerService>);

impl ContainerService for Untransacted {
    fn uuid(&self) -> ContainerId {
        self.0.uuid()
    }
    fn label(&self) -> String {
        self.0.label()
    }
    fn props(&self) -> &[u8] {
        self.0.props()
    }
    fn checksums(&self) -> Checksums {
        self.0.checksums()
    }
    fn epoch(&self) -> Epoch {
        self.0.epoch()
    }
    fn durability(&self) -> Durability {
        self.0.durability()
    }
    fn check_open(&self) -> Result<()> {
        self.0.check_open()
    }
    fn route(&self) -> Arc<dyn Route> {
        self.0.route()
    }
    fn survey(&self) -> Arc<dyn Survey> {
        self.0.survey()
    }
    fn set_label(&self, label: &str) -> Result<()> {
        self.0.set_label(label)
    }
    fn attributes(&self) -> Result<Arc<dyn AttributeService>> {
        self.0.attributes()
    }
    fn alloc_oids(&self, count: u64) -> Result<u64> {
        self.0.alloc_oids(count)
    }
    fn snapshot_create(&self, name: Option<&str>) -> Result<Snapshot> {
        self.0.snapshot_create(name)
    }
    fn snapshots(&self) -> Result<Vec<Snapshot>> {
        self.0.snapshots()
    }
    fn snapshot_destroy(&self, first: Epoch, last: Epoch) -> Result<usize> {
        self.0.snapshot_destroy(first, last)
    }
    fn rollback(&self, to: Epoch) -> Result<()> {
        self.0.rollback(to)
    }
    fn aggregate(&self) -> Result<u64> {
        self.0.aggregate()
    }
    fn at(&self, epoch: Epoch) -> Result<Arc<dyn ContainerService>> {
        self.0.at(epoch)
    }
    fn transaction(&self, _: Durability) -> Result<Transaction> {
        Err(Error::new(Der::Nosys, "a transaction cannot be over several engines yet"))
    }
}
