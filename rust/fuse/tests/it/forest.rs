//! Mounts of several containers: by names that nobody stores, and by directories that lead to others.

use crate::common::{Mounted, Store, mkdir, no, open, soon};
use daos_client::ContainerService;
use daos_dfs::{Dfs, Errno, Error, MountOptions};
use daos_fuse::{Branch, Caching, Files, Links, Mount, Names, Options};
use rustix::fs::{OFlags, XattrFlags};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::{Arc, Mutex};

/// Containers by their names.
#[derive(Default)]
struct Shelf(Mutex<BTreeMap<Vec<u8>, Arc<dyn ContainerService>>>);

impl std::fmt::Debug for Shelf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shelf")
    }
}

impl Shelf {
    fn put(&self, name: &str, container: Arc<dyn ContainerService>) {
        self.0.lock().unwrap().insert(name.into(), container);
    }

    fn files(&self, name: &[u8]) -> daos_dfs::Result<Option<Branch>> {
        if name == b"locked" {
            return Err(Error::new(Errno::EACCES, "not yours"));
        }
        let Some(container) = self.0.lock().unwrap().get(name).cloned() else { return Ok(None) };
        let dfs = Dfs::mount(container, MountOptions::default())?;
        let identity = Some(String::from_utf8_lossy(name).into_owned());
        let caching = if name == b"brief" { Caching::NONE } else { Caching::DEFAULT };
        Ok(Some(Branch::Files(Files { dfs, caching, identity })))
    }
}

impl Names for Shelf {
    fn open(&self, name: &[u8]) -> daos_dfs::Result<Option<Branch>> {
        self.files(name)
    }

    fn list(&self) -> daos_dfs::Result<Vec<Vec<u8>>> {
        Ok(self.0.lock().unwrap().keys().cloned().collect())
    }
}

impl Links for Shelf {
    fn follow(&self, to: &[u8]) -> daos_dfs::Result<Option<Branch>> {
        self.files(to)
    }
}

#[test]
fn containers_are_directories_of_a_pool() {
    let store = Store::new();
    let shelf = Arc::new(Shelf::default());
    shelf.put("one", Arc::clone(&store.container));
    shelf.put("two", store.another("two"));
    let names: Arc<dyn Names> = Arc::<Shelf>::clone(&shelf);
    let start =
        |at: &std::path::Path| Mount::start_at(Branch::Names(names), false, at, Options::default()).unwrap();
    let Some(m) = Mounted::started(start) else { return };
    let listed = |path: &str| {
        let names = fs::read_dir(m.path(path)).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(listed(""), ["one", "two"]);
    for (name, text) in [("one", "first"), ("two", "second")] {
        fs::create_dir_all(m.path(name).join("a/b")).unwrap();
        fs::write(m.path(name).join("a/b/file"), text).unwrap();
    }
    assert_eq!(fs::read_to_string(m.path("one/a/b/file")).unwrap(), "first");
    assert_eq!((listed("two"), listed("two/a/b")), (vec!["a".to_owned()], vec!["file".to_owned()]));
    // What looks alike in two containers is not the same, not even by number.
    let numbers: Vec<u64> = ["", "one", "two", "one/a", "two/a", "one/a/b/file", "two/a/b/file"]
        .iter()
        .map(|path| fs::metadata(m.path(path)).unwrap().ino())
        .collect();
    let mut distinct = numbers.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), numbers.len(), "{numbers:?}");
    // From one into another nothing is moved; it is copied, as between any file systems.
    let moved = fs::rename(m.path("one/a/b/file"), m.path("two/a/b/other"));
    assert_eq!(moved.unwrap_err().raw_os_error(), Some(libc::EXDEV));
    let linked = fs::hard_link(m.path("one/a/b/file"), m.path("two/a/b/other"));
    assert_eq!(linked.unwrap_err().raw_os_error(), Some(libc::EXDEV));
    assert_eq!(fs::copy(m.path("one/a/b/file"), m.path("two/a/b/copy")).unwrap(), 5);
    fs::rename(m.path("two/a/b/copy"), m.path("two/c")).unwrap();
    assert_eq!(fs::read_to_string(m.path("two/c")).unwrap(), "first");
    fs::hard_link(m.path("two/c"), m.path("two/d")).unwrap();
    assert_eq!(fs::metadata(m.path("two/d")).unwrap().nlink(), 2);
    // Names of containers are not made here.
    assert_eq!(no(mkdir(&m.path("three"))), rustix::io::Errno::PERM);
    assert_eq!(fs::remove_dir(m.path("one")).unwrap_err().raw_os_error(), Some(libc::EPERM));
    assert_eq!(fs::write(m.path("file"), b"").unwrap_err().raw_os_error(), Some(libc::EPERM));
    assert_eq!(fs::metadata(m.path("none")).unwrap_err().raw_os_error(), Some(libc::ENOENT));
    assert_eq!(fs::metadata(m.path("locked")).unwrap_err().raw_os_error(), Some(libc::EACCES));
    // What is there by now is found, and listed.
    shelf.put("three", store.another("three"));
    fs::write(m.path("three/x"), b"x").unwrap();
    assert_eq!(listed(""), ["one", "three", "two"]);
    m.end();
    let Some(m) = Mounted::new(&store) else { return };
    assert_eq!(fs::read_to_string(m.path("a/b/file")).unwrap(), "first");
    m.end();
}

#[test]
fn a_directory_leads_to_another_container() {
    let store = Store::new();
    let shelf = Arc::new(Shelf::default());
    let two = store.another("two");
    shelf.put("two", Arc::clone(&two));
    let options = |shelf: &Arc<Shelf>| Options {
        links: Some(Arc::<Shelf>::clone(shelf) as Arc<dyn Links>),
        identity: Some("own".into()),
        ..Options::default()
    };
    let Some(m) = Mounted::with(store.dfs(), options(&shelf)) else { return };
    for name in ["link", "dangling", "own", "plain"] {
        fs::create_dir(m.path(name)).unwrap();
    }
    let set = |path: &str, to: &[u8]| {
        rustix::fs::setxattr(m.path(path), "user.daos", to, XattrFlags::empty()).unwrap();
    };
    set("link", b"two");
    set("dangling", b"gone");
    set("own", b"own");
    // At once, and not only when the kernel has forgotten the directory.
    fs::write(m.path("link/early"), b"early").unwrap();
    m.end();
    let Some(m) = Mounted::with(store.dfs(), options(&shelf)) else { return };
    // The kernel is told of what the directory leads to, and not of itself.
    fs::metadata(m.path("link/early")).unwrap();
    assert_eq!(m.mount.usage().inodes, 3);
    // Listed with all that is known, it is still what it leads to.
    let mut names: Vec<_> = fs::read_dir(m.root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["dangling", "link", "own", "plain"]);
    for name in ["link", "dangling", "own", "plain"] {
        fs::create_dir(m.path(name).join("sub")).unwrap();
        fs::write(m.path(name).join("sub/file"), name).unwrap();
        assert_eq!(fs::read_to_string(m.path(name).join("sub/file")).unwrap(), name);
    }
    assert_eq!(fs::read(m.path("link/early")).unwrap(), b"early");
    let mut value = [0_u8; 64];
    let len = rustix::fs::getxattr(m.path("link"), "user.daos", &mut value[..]).unwrap();
    assert_eq!(&value[..len], b"two", "what it is");
    let moved = fs::rename(m.path("link/sub"), m.path("plain/moved"));
    assert_eq!(moved.unwrap_err().raw_os_error(), Some(libc::EXDEV));
    m.end();
    let there = Dfs::mount(two, MountOptions::default()).unwrap();
    let Some(m) = Mounted::with(there, Options::default()) else { return };
    assert_eq!(fs::read_to_string(m.path("sub/file")).unwrap(), "link");
    m.end();
    // Without anybody who knows where it leads, it is an empty directory.
    let Some(m) = Mounted::new(&store) else { return };
    assert!(fs::read_dir(m.path("link")).unwrap().next().is_none());
    fs::remove_dir(m.path("link")).unwrap();
    assert_eq!(fs::read_to_string(m.path("plain/sub/file")).unwrap(), "plain");
    m.end();
}

#[test]
fn a_name_leads_to_what_has_it_now() {
    let store = Store::new();
    let shelf = Arc::new(Shelf::default());
    shelf.put("brief", store.another("brief"));
    let names: Arc<dyn Names> = Arc::<Shelf>::clone(&shelf);
    let start =
        |at: &std::path::Path| Mount::start_at(Branch::Names(names), false, at, Options::default()).unwrap();
    let Some(m) = Mounted::started(start) else { return };
    fs::write(m.path("brief/old"), b"old").unwrap();
    store.destroy("brief");
    shelf.put("brief", store.another("brief"));
    // As soon as the kernel has forgotten what the name led to.
    soon(|| fs::write(m.path("brief/new"), b"new").is_ok());
    let names: Vec<_> =
        fs::read_dir(m.path("brief")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["new"]);
    // And nowhere, if it is gone for good.
    store.destroy("brief");
    shelf.0.lock().unwrap().clear();
    let gone =
        || fs::metadata(m.path("brief")).is_err_and(|error| error.raw_os_error() == Some(libc::ENOENT));
    soon(gone);
    m.end();
}

#[test]
fn a_directory_that_led_to_what_is_gone_is_a_directory() {
    let store = Store::new();
    let shelf = Arc::new(Shelf::default());
    shelf.put("brief", store.another("brief"));
    let options = || Options {
        links: Some(Arc::<Shelf>::clone(&shelf) as Arc<dyn Links>),
        caching: Caching::NONE,
        ..Options::default()
    };
    let Some(m) = Mounted::with(store.dfs(), options()) else { return };
    fs::create_dir(m.path("link")).unwrap();
    rustix::fs::setxattr(m.path("link"), "user.daos", b"brief", XattrFlags::empty()).unwrap();
    fs::write(m.path("link/file"), b"there").unwrap();
    store.destroy("brief");
    shelf.0.lock().unwrap().clear();
    soon(|| fs::remove_dir(m.path("link")).is_ok());
    m.end();
}

#[test]
fn what_the_kernel_knows_something_of_stays() {
    let store = Store::new();
    let shelf = Arc::new(Shelf::default());
    // One container is as good as many: each name has its own mount of it.
    for name in ["brief".to_owned()].into_iter().chain((0..300).map(|number| format!("n{number}"))) {
        shelf.put(&name, Arc::clone(&store.container));
    }
    let names: Arc<dyn Names> = Arc::<Shelf>::clone(&shelf);
    let start =
        |at: &std::path::Path| Mount::start_at(Branch::Names(names), false, at, Options::default()).unwrap();
    let Some(m) = Mounted::started(start) else { return };
    fs::write(m.path("brief/file"), b"12345").unwrap();
    // Not open, but not to be forgotten either.
    let held = open(&m.path("brief/file"), OFlags::PATH).unwrap();
    for number in 0..300 {
        assert!(fs::metadata(m.path(&format!("n{number}"))).unwrap().is_dir());
    }
    assert_eq!(held.metadata().unwrap().len(), 5);
    drop(held);
    m.end();
}
