//! Files that are open.

use crate::attr::{At, Attr};
use crate::content::{self, Bytes, FILE_SIZE_MAX};
use crate::errno::{Errno, Error, Result};
use crate::mount::{Dfs, Shared};
use crate::node::{Node, Opened};
use crate::record::Time;
use daos_client::{Array, Route};
use daos_types::ObjectId;
use std::io::{IoSlice, IoSliceMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Bytes that one call appends: what one transaction takes well.
pub const APPEND_MAX: usize = 16 << 20;
/// Bytes that are gathered of several buffers, to be written at once.
const GATHER_MAX: usize = 1 << 20;

/// What a handle allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Rights {
    pub(crate) read: bool,
    pub(crate) write: bool,
    pub(crate) append: bool,
}

/// What `fallocate` is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocate {
    /// Room for a range: the file becomes at least so long. Nothing is set aside, as nothing is overwritten in place.
    Grow,
    /// The same, its length untouched, which leaves nothing to do.
    Keep,
    /// A hole, the file's length untouched.
    Hole,
    /// Zeros; the file becomes at least so long.
    Zero,
    /// Zeros, the file's length untouched.
    ZeroKeep,
}

/// A file that is open. Dropped, it is closed, and nobody is told of what failed.
#[derive(Debug)]
pub struct File {
    shared: Arc<Shared>,
    opened: Opened,
    rights: Rights,
    bytes: Bytes,
    array: Array<dyn Route>,
    chunk_size: u64,
    closed: AtomicBool,
    /// Whoever opened it may not do all.
    of_user: AtomicBool,
}

impl File {
    pub(crate) fn new(shared: &Arc<Shared>, opened: Opened, rights: Rights, chunk_size: u64) -> Result<Self> {
        let (work, oid) = (shared.plain(), opened.0.oid);
        let made =
            Bytes::new(&work, oid, chunk_size).and_then(|bytes| Ok((bytes, work.array(oid, chunk_size)?)));
        match made {
            Ok((bytes, array)) => Ok(Self {
                shared: Arc::clone(shared),
                opened,
                rights,
                bytes,
                array,
                chunk_size,
                closed: AtomicBool::new(false),
                of_user: AtomicBool::new(false),
            }),
            Err(error) => {
                close(shared, &opened, false)?;
                Err(error)
            }
        }
    }

    pub(crate) fn node(&self) -> &Node {
        &self.opened.0
    }

    /// Its object id: what tells two files from each other.
    pub fn oid(&self) -> ObjectId {
        self.node().oid
    }

    /// Bytes of a chunk: what lies in one is read and written at once.
    pub fn chunk_size(&self) -> u64 {
        self.chunk_size
    }

    /// What is known of it.
    pub fn stat(&self) -> Result<Attr> {
        Dfs { shared: Arc::clone(&self.shared) }.stat(At::File(self))
    }

    /// How long it is.
    pub fn size(&self) -> Result<u64> {
        self.check()?;
        content::size(&self.array)
    }

    fn check(&self) -> Result<()> {
        self.shared.check()?;
        if self.closed.load(Ordering::Acquire) {
            Err(Error::new(Errno::EBADF, "the file is closed"))
        } else {
            Ok(())
        }
    }

    fn readable(&self) -> Result<()> {
        self.check()?;
        if self.rights.read {
            Ok(())
        } else {
            Err(Error::new(Errno::EBADF, "the file is not open for reading"))
        }
    }

    fn writable(&self) -> Result<()> {
        self.check()?;
        if !self.rights.write {
            return Err(Error::new(Errno::EBADF, "the file is not open for writing"));
        }
        self.shared.writable()
    }

    /// It is written to by somebody who may not do all: what it runs as is lost with the next write, or at once.
    pub(crate) fn is_a_users(&self, written: bool) -> Result<()> {
        self.of_user.store(true, Ordering::Release);
        if written { self.lose() } else { Ok(()) }
    }

    /// When its content changed, by who knows better than the one who brings the bytes; stored with the next `flush`, `sync` or `close`.
    pub fn changed_at(&self, time: Time) -> Result<()> {
        self.writable()?;
        self.node().times.touched_at(time);
        Ok(())
    }

    /// A file that is changed by somebody who may not do all is no program any more that runs as another.
    pub fn lose_set_ids(&self) -> Result<()> {
        self.writable()?;
        if self.node().runs_as_another() {
            self.shared.lose_set_ids(&At::File(self))?;
            self.node().note_mode(0);
        }
        Ok(())
    }

    /// Whether it is known to have had no capabilities less than so long ago; this mount has given it none since.
    pub fn is_incapable(&self, within: Duration) -> bool {
        self.node().incapable.get(Instant::now(), within, self.shared.xattrs.count()).is_some()
    }

    fn lose(&self) -> Result<()> {
        if self.of_user.load(Ordering::Acquire) { self.lose_set_ids() } else { Ok(()) }
    }

    /// Reads from a place on into `data`, holes as zeros; answers how many bytes, less at the end of the file.
    pub fn read(&self, at: u64, data: &mut [u8]) -> Result<usize> {
        self.readable()?;
        self.bytes.read(at, data, || content::size(&self.array))
    }

    /// The same into several buffers, one after the other. What is in different buffers is not read at the same moment.
    pub fn readv(&self, at: u64, data: &mut [IoSliceMut<'_>]) -> Result<usize> {
        let mut total = 0;
        for part in data {
            let read = self.read(at.saturating_add(total as u64), part)?;
            total += read;
            if read < part.len() {
                break;
            }
        }
        Ok(total)
    }

    /// Writes at a place, or, of a file that is open to append, at its end; answers how many bytes. What lies in one chunk is written
    /// as a whole or not at all. Of what is appended, nothing of another appender is in between; at most [`APPEND_MAX`] bytes are.
    pub fn write(&self, at: u64, data: &[u8]) -> Result<usize> {
        if self.rights.append {
            return self.append(data).map(|(_, written)| written);
        }
        self.writable()?;
        if data.is_empty() {
            return Ok(0);
        }
        content::check_end(at, data.len() as u64)?;
        self.lose()?;
        self.array.write(at, data)?;
        self.node().times.touch(Time::now());
        Ok(data.len())
    }

    /// The same of several buffers, one after the other; up to 1 MiB of them as if they were one.
    pub fn writev(&self, at: u64, data: &[IoSlice<'_>]) -> Result<usize> {
        let total: usize = data.iter().map(|part| part.len()).sum();
        if !self.rights.append {
            content::check_end(at, total as u64)?;
        }
        let most = if self.rights.append { APPEND_MAX } else { GATHER_MAX };
        let (mut gathered, mut written) = (Vec::with_capacity(total.min(most)), 0);
        for part in data {
            if !gathered.is_empty() && gathered.len() + part.len() > most {
                let now = self.write(at.saturating_add(written as u64), &gathered)?;
                written += now;
                if now < gathered.len() || self.rights.append {
                    return Ok(written);
                }
                gathered.clear();
            }
            if gathered.is_empty() && part.len() > most {
                let now = self.write(at.saturating_add(written as u64), part)?;
                written += now;
                if now < part.len() || self.rights.append {
                    return Ok(written);
                }
                continue;
            }
            gathered.extend_from_slice(part);
        }
        if gathered.is_empty() {
            self.writable()?;
        } else {
            written += self.write(at.saturating_add(written as u64), &gathered)?;
        }
        Ok(written)
    }

    /// Writes at the end of the file, wherever it is then; answers where that was, and how many bytes.
    pub fn append(&self, data: &[u8]) -> Result<(u64, usize)> {
        self.writable()?;
        let data = data.get(..data.len().min(APPEND_MAX)).unwrap_or_default();
        self.lose()?;
        let node = self.node();
        // Threads of this mount take turns instead of getting into each other's way.
        let turn = node.appending.lock();
        let at = self.shared.atomically(|work| {
            let array = work.array(node.oid, self.chunk_size)?;
            let at = content::size(&array)?;
            content::check_end(at, data.len() as u64)?;
            if !data.is_empty() {
                array.write(at, data)?;
            }
            Ok(at)
        })?;
        drop(turn);
        if !data.is_empty() {
            node.times.touch(Time::now());
        }
        Ok((at, data.len()))
    }

    /// Makes it exactly so long.
    pub fn truncate(&self, size: u64) -> Result<()> {
        self.writable_here()?;
        self.lose()?;
        self.shared.truncate(&At::File(self), size)
    }

    /// Not open for writing is, for the length, a wrong argument.
    fn writable_here(&self) -> Result<()> {
        self.writable().map_err(|error| match error.errno {
            Errno::EBADF if !self.closed.load(Ordering::Acquire) => Error { errno: Errno::EINVAL, ..error },
            _ => error,
        })
    }

    /// Gives a range what is asked for.
    pub fn allocate(&self, how: Allocate, at: u64, len: u64) -> Result<()> {
        self.writable()?;
        if len == 0 {
            return Err(Error::new(Errno::EINVAL, "a range without bytes"));
        }
        let end = content::check_end(at, len)?;
        self.lose()?;
        match how {
            Allocate::Grow => self.shared.grow(&At::File(self), end),
            Allocate::Keep => Ok(()),
            Allocate::Hole | Allocate::ZeroKeep => self.shared.punch(&At::File(self), (at, len), false),
            Allocate::Zero => self.shared.punch(&At::File(self), (at, len), true),
        }
    }

    /// The first data from a place on. `ENXIO` where there is none.
    pub fn seek_data(&self, at: u64) -> Result<u64> {
        let size = self.inside(at)?;
        let found = self.bytes.seek_data(at, size)?;
        found.ok_or_else(|| Error::new(Errno::ENXIO, format!("only a hole follows {at}")))
    }

    /// The first hole from a place on; the end of the file is one.
    pub fn seek_hole(&self, at: u64) -> Result<u64> {
        let size = self.inside(at)?;
        self.bytes.seek_hole(at, size)
    }

    fn inside(&self, at: u64) -> Result<u64> {
        let size = self.size()?;
        if at >= size.min(FILE_SIZE_MAX) {
            return Err(Error::new(Errno::ENXIO, format!("place {at} of a file of {size} bytes")));
        }
        Ok(size)
    }

    /// Stores when it was written to, as far as that is in memory only.
    pub fn flush(&self) -> Result<()> {
        self.check()?;
        if self.shared.is_read_only() { Ok(()) } else { self.shared.store_times(self.node()) }
    }

    /// Makes durable all that was written to it, and its entry.
    pub fn sync(&self) -> Result<()> {
        self.flush()?;
        if self.shared.is_read_only() {
            return Ok(());
        }
        self.shared.mark(Some(&self.shared.targets_of(self.node())))
    }

    /// Closes it. What was written is as safe as it was; of a file without a name all goes.
    pub fn close(&self) -> Result<()> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Err(Error::new(Errno::EBADF, "the file is closed"));
        }
        close(&self.shared, &self.opened, false)
    }

    /// Closes it; when it was written to may be stored later, by [`Dfs::store_left`], and is known to this mount alone until then.
    pub fn leave(self) -> Result<()> {
        self.closed.store(true, Ordering::Release);
        close(&self.shared, &self.opened, true)
    }
}

/// Ends one handle.
fn close(shared: &Shared, opened: &Opened, leaves: bool) -> Result<()> {
    let usable = shared.check().is_ok() && !shared.is_read_only();
    let last = shared.table.close(opened);
    if !usable {
        return Ok(());
    }
    let node = &opened.0;
    if last {
        shared.free_orphan(node)
    } else if node.times.written().is_none() || (leaves && shared.left.add(node, Instant::now())) {
        Ok(())
    } else {
        shared.store_times(node)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        if !self.closed.swap(true, Ordering::AcqRel) {
            // There is nobody to tell; what is left of a file without a name, a check finds.
            let _ = close(&self.shared, &self.opened, false);
        }
    }
}

impl Dfs {
    /// Makes durable a directory's entries, and when they changed.
    pub fn sync_dir(&self, dir: &crate::mount::Dir) -> Result<()> {
        self.shared.writable()?;
        self.shared.store_times(&dir.node)?;
        self.shared.mark(Some(&self.shared.targets_of(&dir.node)))
    }
}
