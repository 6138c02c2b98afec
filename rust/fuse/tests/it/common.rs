//! What the tests share: a container in memory that is really mounted, in a mount namespace that is the test's own.

use daos_client::{ContainerService, SystemSpace};
use daos_dfs::{Dfs, FormatOptions, MountOptions};
use daos_embed::{Options as SystemOptions, System};
use daos_fuse::{Caching, Mount, Options};
use daos_types::{ChecksumKind, Checksums};
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_change};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

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

/// A directory of the test's own, which goes with it.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("dfuse-it-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A container with a file system, in memory.
pub(crate) struct Store {
    pub(crate) container: Arc<dyn ContainerService>,
    system: Arc<System>,
}

impl Store {
    pub(crate) fn new() -> Self {
        let system = System::in_memory(&SystemOptions { targets: 2, ..SystemOptions::default() }).unwrap();
        system.pool_create("p", b"").unwrap();
        let container = made(&system, "c");
        Self { container, system }
    }

    /// Another container with a file system.
    pub(crate) fn another(&self, label: &str) -> Arc<dyn ContainerService> {
        made(&self.system, label)
    }

    /// Destroys one of them.
    pub(crate) fn destroy(&self, label: &str) {
        self.system.pool_open("p").unwrap().container_destroy(label).unwrap();
    }

    pub(crate) fn dfs(&self) -> Dfs {
        let space = || Ok(SystemSpace { total: 1 << 30, free: 1 << 29, used: 1 << 29, reserved: 0 });
        let options = MountOptions { space: Some(Arc::new(space)), ..MountOptions::default() };
        Dfs::mount(Arc::clone(&self.container), options).unwrap()
    }
}

fn made(system: &Arc<System>, label: &str) -> Arc<dyn ContainerService> {
    let pool = system.pool_open("p").unwrap();
    let sums = Checksums { kind: Some(ChecksumKind::ALL[0]), piece_size: 32 << 10, server_verifies: false };
    let container: Arc<dyn ContainerService> =
        Arc::new(pool.container_create_summed(label, b"", sums, false).unwrap());
    Dfs::format(&container, &FormatOptions::default()).unwrap();
    container
}

/// A mount, which goes with it.
pub(crate) struct Mounted {
    pub(crate) mount: Mount,
    at: Scratch,
}

impl Mounted {
    /// `None`, with a line that says why, where this machine cannot mount.
    pub(crate) fn with(dfs: Dfs, options: Options) -> Option<Self> {
        Self::started(|at| Mount::start(dfs, at, options).unwrap())
    }

    /// The same, mounted by `start`.
    pub(crate) fn started(start: impl FnOnce(&Path) -> Mount) -> Option<Self> {
        if let Err(why) = own_namespace() {
            eprintln!("skipped: this machine cannot mount: {why}");
            return None;
        }
        let at = Scratch::new();
        let mount = start(&at.0);
        Some(Self { mount, at })
    }

    pub(crate) fn new(store: &Store) -> Option<Self> {
        Self::with(store.dfs(), Options::default())
    }

    pub(crate) fn cached(store: &Store, caching: Caching) -> Option<Self> {
        Self::with(store.dfs(), Options { caching, look_ahead: Some(true), ..Options::default() })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.at.0
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.at.0.join(name)
    }

    /// Ends it as a person would.
    pub(crate) fn end(self) {
        assert!(self.mount.unmount(Duration::from_secs(20)).unwrap(), "somebody is still in it");
        self.mount.finish().unwrap();
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.at.0, rustix::mount::UnmountFlags::DETACH);
    }
}

thread_local! {
    static UNSHARED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// What this test mounts, nobody else sees, and it is gone with the test.
fn own_namespace() -> Result<(), String> {
    // A second namespace would have copies of the mounts of the first.
    if UNSHARED.replace(true) {
        return Ok(());
    }
    let told = |what: &'static str| move |error: rustix::io::Errno| format!("{what}: {error}");
    let flags = rustix::fs::OFlags::RDWR;
    rustix::fs::open("/dev/fuse", flags, rustix::fs::Mode::empty()).map_err(told("/dev/fuse"))?;
    unshare()?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).map_err(told("mount"))
}

#[allow(unsafe_code)]
fn unshare() -> Result<(), String> {
    // SAFETY: the thread gets mounts of its own; no memory and no descriptor is touched.
    let done = unsafe { libc::unshare(libc::CLONE_NEWNS) };
    if done == 0 { Ok(()) } else { Err(format!("unshare: {}", std::io::Error::last_os_error())) }
}

pub(crate) fn no<T: std::fmt::Debug>(result: rustix::io::Result<T>) -> Errno {
    result.unwrap_err()
}

/// Waits until something is so.
pub(crate) fn soon(is_so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < end, "not in 20 s");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn open(path: &Path, flags: OFlags) -> rustix::io::Result<File> {
    rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::from_raw_mode(0o644)).map(File::from)
}

pub(crate) fn make(path: &Path) -> File {
    open(path, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL).unwrap()
}

pub(crate) fn unlink(path: &Path) -> rustix::io::Result<()> {
    rustix::fs::unlinkat(CWD, path, AtFlags::empty())
}

pub(crate) fn mkdir(path: &Path) -> rustix::io::Result<()> {
    rustix::fs::mkdir(path, Mode::from_raw_mode(0o755))
}

/// A container that is mounted, or the end of the test, where this machine cannot mount.
macro_rules! mounted {
    ($store:ident, $mounted:ident) => {
        let $store = Store::new();
        let Some($mounted) = Mounted::new(&$store) else { return };
    };
}
pub(crate) use mounted;
