//! A system's directory: who may use it, and what it says about itself. `docs/formats/directory.md` draws the files.

use crate::fork::{Owner, PerProcess};
use crate::route::told;
use crate::system::TARGETS_MAX;
use daos_client::{Error, Result};
use daos_locks::Mutex;
use daos_types::Der;
use daos_vos::media::{FileMedia, Media, MediaError};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const LOCK_NAME: &str = "lock";
const SYSTEM_NAME: &str = "system";
const NEW_NAME: &str = "system.new";
const STORE_NAME: &str = "store";
/// Where others reach it while it is open: a socket, and what becomes one.
const SOCKET_NAMES: [&str; 2] = ["socket", "socket.new"];
const MAGIC: &[u8; 8] = b"DAOSSYS\0";
const FORMAT: u32 = 1;
const HEAD_LEN: usize = 40;

/// Directories this process has open, by device and inode of their lock's file: its own file locks would not stop it from
/// opening one twice.
static OPEN_HERE: PerProcess<Mutex<BTreeSet<(u64, u64)>>> = PerProcess::new();

/// What a system's directory says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SystemHead {
    pub(crate) identity: [u8; 16],
    pub(crate) targets: u32,
}

impl SystemHead {
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_LEN);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&self.targets.to_le_bytes());
        bytes.extend_from_slice(&self.identity);
        bytes.extend_from_slice(&[0; 4]);
        let crc = daos_codec::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// What the bytes of a file say; its path is for what is told of it.
    pub(crate) fn decode(bytes: &[u8], path: &Path) -> Result<Self> {
        let damaged = || {
            Error::new(Der::DfInval, format!("{} is damaged", path.display()))
                .hint("restore the file `system` from a copy of the directory")
        };
        let Some(head) = bytes.first_chunk::<HEAD_LEN>() else { return Err(damaged()) };
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        if &head[..8] != MAGIC || word(36) != daos_codec::crc32c(&head[..36]) {
            return Err(damaged());
        }
        if word(8) != FORMAT {
            let message =
                format!("{} has format {}; this program knows format {FORMAT}", path.display(), word(8));
            return Err(Error::new(Der::DfIncompt, message).hint("install a newer version of daos"));
        }
        let mut identity = [0; 16];
        identity.copy_from_slice(&head[16..32]);
        let targets = word(12);
        if !(1..=TARGETS_MAX).contains(&targets) {
            return Err(damaged());
        }
        Ok(Self { identity, targets })
    }
}

/// A directory that this process holds.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    key: (u64, u64),
    owner: Owner,
    /// Gone with it; `None` only while it is dropped.
    lock: Option<File>,
}

impl Directory {
    /// Takes the directory, making it if that is allowed. `None` for the head where there is no system in it yet.
    pub(crate) fn take(path: &Path, create: bool) -> Result<(Self, Option<SystemHead>)> {
        let shown = path.display();
        let absent = || {
            Error::new(Der::Nonexist, format!("there is no system at {shown}"))
                .hint("check the path, or create the system by opening it without create=False")
        };
        if !is_there(path)? {
            if !create {
                return Err(absent());
            }
            create_durably(path)?;
        }
        if !path.is_dir() {
            return Err(Error::new(Der::Notdir, format!("{shown} is not a directory"))
                .hint("a system lives in a directory of its own"));
        }
        let system = path.join(SYSTEM_NAME);
        if !is_there(&system)? {
            if !looks_unused(path)? {
                return Err(Error::new(Der::Inval, format!("{shown} is not a DAOS system, and not empty"))
                    .hint("choose an empty or new directory"));
            }
            if !create {
                return Err(absent());
            }
        }
        let directory = Self::lock(path)?;
        let head = if is_there(&system)? { Some(read_head(&system)?) } else { None };
        Ok((directory, head))
    }

    /// Takes the lock. All that opens or closes the lock's file does so under the table's mutex: closing any handle of the
    /// file would give up the lock of this process.
    fn lock(path: &Path) -> Result<Self> {
        let mut open_here = OPEN_HERE.get().lock();
        let lock_path = path.join(LOCK_NAME);
        if Self::place(path).is_some_and(|place| open_here.contains(&place)) {
            return Err(busy(path, std::process::id()));
        }
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(|error| failed(&error, "open", &lock_path))?;
        if let Some(pid) = try_lock(&lock, &lock_path)? {
            return Err(busy(path, pid));
        }
        let meta = lock.metadata().map_err(|error| failed(&error, "look at", &lock_path))?;
        let key = (meta.dev(), meta.ino());
        open_here.insert(key);
        Ok(Self { path: path.to_owned(), key, owner: Owner::here(), lock: Some(lock) })
    }

    /// Device and inode of the lock's file. It is not opened, see [`Directory::lock`].
    pub(crate) fn place(path: &Path) -> Option<(u64, u64)> {
        let meta = fs::metadata(path.join(LOCK_NAME)).ok()?;
        Some((meta.dev(), meta.ino()))
    }

    /// Where others reach the system while it is open.
    pub(crate) fn socket_path(path: &Path) -> PathBuf {
        path.join(SOCKET_NAMES[0])
    }

    /// Removes the socket of a holder that died.
    pub(crate) fn remove_socket(&self) {
        let _ = fs::remove_file(Self::socket_path(&self.path));
    }

    /// Where the store's files are.
    pub(crate) fn store_path(&self) -> PathBuf {
        self.path.join(STORE_NAME)
    }

    /// Declares the directory a system: the last step of making one.
    pub(crate) fn write_head(&self, head: SystemHead) -> Result<()> {
        let media = FileMedia::open(&self.path).map_err(|error| told(error.into()))?;
        declare(&media, head).map_err(|error| told(error.into()))?;
        // The directory's own name has to last as well.
        let sync = || match self.path.canonicalize()?.parent() {
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        };
        sync().map_err(|error| failed(&error, "sync", &self.path))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let lock = self.lock.take();
        if self.owner.is_forked() {
            // A child's copy. Closing it would give up a lock that the child has taken for itself since.
            std::mem::forget(lock);
            return;
        }
        let mut open_here = OPEN_HERE.get().lock();
        drop(lock);
        open_here.remove(&self.key);
    }
}

/// Whether a path exists; an error where that cannot be told, so that nothing is taken for missing.
/// The file that makes a directory a system gets its name when it is whole and durable.
fn declare(media: &dyn Media, head: SystemHead) -> std::result::Result<(), MediaError> {
    match media.remove(NEW_NAME) {
        Ok(()) | Err(MediaError::NotFound { .. }) => {}
        Err(error) => return Err(error),
    }
    let file = media.create(NEW_NAME)?;
    file.write_at(0, &[IoSlice::new(&head.encode())])?;
    file.sync()?;
    media.rename(NEW_NAME, SYSTEM_NAME)?;
    media.sync_names()
}

fn is_there(path: &Path) -> Result<bool> {
    path.try_exists().map_err(|error| failed(&error, "look at", path))
}

/// Makes a directory and those above it, each durable in the one that holds it.
fn create_durably(path: &Path) -> Result<()> {
    if is_there(path)? {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    create_durably(parent)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed(&error, "create", path)),
        _ => {}
    }
    let sync = File::open(parent).and_then(|parent| parent.sync_all());
    sync.map_err(|error| failed(&error, "sync", parent))
}

/// What a creation that was cut short leaves behind, and nothing else: no pool's shard was ever made.
fn looks_unused(path: &Path) -> Result<bool> {
    for name in names(path)? {
        let ours = [LOCK_NAME, STORE_NAME, NEW_NAME];
        if !ours.contains(&name.as_str()) && !SOCKET_NAMES.contains(&name.as_str()) {
            return Ok(false);
        }
    }
    let store = path.join(STORE_NAME);
    if is_there(&store)?
        && names(&store)?.iter().any(|name| name.starts_with("shard-") && !name.contains("00000000"))
    {
        let message = format!("{} holds a store, but the file `system` beside it is missing", path.display());
        return Err(
            Error::new(Der::DfInval, message).hint("restore the file `system` from a copy of the directory")
        );
    }
    Ok(true)
}

fn names(path: &Path) -> Result<Vec<String>> {
    let list = || -> std::io::Result<Vec<String>> {
        fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    };
    list().map_err(|error| failed(&error, "list", path))
}

fn read_head(path: &Path) -> Result<SystemHead> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(4096).read_to_end(&mut bytes));
    read.map_err(|error| failed(&error, "read", path))?;
    SystemHead::decode(&bytes, path)
}

/// Takes the lock, or tells who has it. A lock of this kind belongs to the process: children do not inherit it.
fn try_lock(lock: &File, path: &Path) -> Result<Option<u32>> {
    use rustix::fs::{FlockOperation, fcntl_lock};
    match fcntl_lock(lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {
            let _ = lock.set_len(0);
            let _ = (&*lock).write_all(format!("{}\n", std::process::id()).as_bytes());
            Ok(None)
        }
        Err(rustix::io::Errno::ACCESS | rustix::io::Errno::AGAIN) => {
            let mut text = String::new();
            let _ = lock.take(32).read_to_string(&mut text);
            Ok(Some(text.trim().parse().unwrap_or(0)))
        }
        Err(error) => Err(failed(&error.into(), "lock", path)),
    }
}

fn busy(path: &Path, pid: u32) -> Error {
    let mut error = Error::new(Der::Busy, format!("{} is open in process {pid}", path.display()))
        .hint("close it there first, or open it without share=False in both");
    error.holder_pid = Some(pid);
    error
}

pub(crate) fn failed(error: &std::io::Error, what: &str, path: &Path) -> Error {
    let der = match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Der::NoPerm,
        ErrorKind::NotFound => Der::Nonexist,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Der::Nospace,
        ErrorKind::NotADirectory => Der::Notdir,
        _ => Der::Io,
    };
    let hint = match der {
        _ if error.kind() == ErrorKind::ReadOnlyFilesystem => "choose a place that can be written to",
        Der::NoPerm => "check its permissions, or be another user",
        Der::Nospace => "make room there, or choose another place",
        Der::Io => "the kernel's log may say more; if the device is sound, try again",
        _ => "check the path",
    };
    Error::new(der, format!("cannot {what} {}: {error}", path.display())).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use daos_vos::media::MemoryMedia;
    use daos_vos::media::recorded::{Crash, Recorded};
    use std::ops::ControlFlow;
    use std::sync::Arc;

    #[test]
    fn a_power_cut_leaves_a_whole_head_or_none() {
        let head = SystemHead { identity: [5; 16], targets: 3 };
        let recorded = Recorded::new(Arc::new(MemoryMedia::new())).unwrap();
        declare(&recorded, head).unwrap();
        let history = recorded.history();
        let (mut none, mut whole) = (0, 0);
        let visit = &mut |point, media: MemoryMedia| {
            if let Ok(file) = media.open(SYSTEM_NAME) {
                let mut bytes = vec![0; file.size().unwrap() as usize];
                file.read_at(0, &mut bytes).unwrap();
                assert_eq!(SystemHead::decode(&bytes, Path::new(SYSTEM_NAME)).unwrap(), head);
                whole += 1;
            } else {
                assert!(point < history.len(), "it was declared and is gone");
                none += 1;
            }
            ControlFlow::Continue(())
        };
        history.crashes(Crash { seed: 1, states: 200 }, &|point| point as u64, visit);
        assert!(none > 0 && whole > 0);
    }
}
