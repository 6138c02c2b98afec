//! Files that are open, and their bytes.

use super::entries::new_in;
use super::{AGAIN_MAX, Answer, Filesystem, Opened, no};
use crate::abi::{Args, Header, OPEN_KILL_SUIDGID, Reply, WRITE_CACHE, WRITE_KILL_SUIDGID, fopen};
use crate::caching::DataCache;
use crate::inodes::Place;
use daos_dfs::{Allocate, Errno, Error, File, Kind, New, OpenFlags};
use std::sync::Arc;
use std::time::Duration;

/// Bytes that one request copies, and one piece of them: others want an answer, too.
const COPY_MAX: u64 = 16 << 20;
const COPY_PIECE: usize = 1 << 20;

/// So long at most it is not stored when a file was changed that was closed.
const LEFT_MAX: Duration = Duration::from_secs(1);

const KEEP_SIZE: u32 = 1;
const PUNCH_HOLE: u32 = 2;
const ZERO_RANGE: u32 = 0x10;

/// Whether a file is opened without its content.
pub(super) fn truncates(mut args: Args<'_>) -> bool {
    args.u32().is_ok_and(|flags| flags.cast_signed() & libc::O_TRUNC != 0)
}

impl Filesystem {
    /// The file of a node; all handles share it.
    fn file(&self, node: u64, writes: bool) -> Answer<Arc<File>> {
        for _ in 0..AGAIN_MAX {
            let (known, moment) = self.inodes.get(node)?;
            let (dir, name) = match known.place {
                Some(Place::File(file)) => return Ok(file),
                Some(Place::Name(dir, name)) => (dir, name),
                Some(Place::Dir(_)) => return no(libc::EISDIR),
                None => return no(libc::ESTALE),
            };
            // Who may do what, the kernel knows.
            let opened = if writes && !self.dfs.is_read_only() {
                self.dfs.open_to_write(&dir, &name)
            } else {
                let flags = OpenFlags { read: true, write: !self.dfs.is_read_only(), ..OpenFlags::default() };
                self.dfs.open(&dir, &name, flags, &New::default())
            };
            match opened {
                Ok(file) if file.oid() == known.oid => return Ok(self.inodes.opened(node, file)),
                // By this name there is another by now.
                Ok(_) if !self.inodes.moved_since(moment) => return no(libc::ESTALE),
                Err(error) if matches!(error.errno, Errno::ENOENT | Errno::ELOOP | Errno::EISDIR) => {
                    if !self.inodes.moved_since(moment) {
                        return Err(Error { errno: Errno::ESTALE, ..error }.into());
                    }
                }
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
        }
        no(libc::ESTALE)
    }

    /// A handle, and what the kernel is told of how to use it.
    fn handle(&self, node: u64, file: Arc<File>, flags: u32, keeps: bool) -> (u64, u32) {
        let flags = flags.cast_signed();
        let appends = flags & libc::O_APPEND != 0;
        let avoids = flags & libc::O_DIRECT != 0 && !self.caching.direct_io_disable;
        // Without the page cache the end of a file is known here alone.
        let access = flags & libc::O_ACCMODE;
        let (reads, writes) = (access != libc::O_WRONLY, access != libc::O_RDONLY);
        let exact = appends && !self.caching.write_back && writes;
        let (hold, fresh) = self.sides.opened(node, !avoids);
        let direct = self.caching.data == DataCache::Off || avoids || exact;
        let told = match (direct, keeps && fresh) {
            (true, _) if exact => fopen::DIRECT_IO,
            (true, _) => fopen::DIRECT_IO | fopen::PARALLEL_DIRECT_WRITES,
            (false, true) => fopen::KEEP_CACHE,
            (false, false) => 0,
        };
        (self.files.add(Opened { node, file, appends: exact, reads, writes, hold }), told)
    }

    pub(super) fn open(&self, header: &Header, mut args: Args<'_>, reply: &mut Reply<'_>) -> Answer {
        let (flags, more) = (args.u32()?, args.u32()?);
        let (known, _) = self.inodes.get(header.node)?;
        let is_open = matches!(known.place, Some(Place::File(_)));
        let keeps = is_open || self.caching.keeps(known.closed);
        let file = self.file(header.node, flags.cast_signed() & libc::O_ACCMODE != libc::O_RDONLY)?;
        if flags.cast_signed() & libc::O_TRUNC != 0 {
            file.truncate(0)?;
            if more & OPEN_KILL_SUIDGID != 0 {
                file.lose_set_ids()?;
            }
        }
        let (handle, told) = self.handle(header.node, file, flags, keeps);
        reply.opened(handle, told);
        Ok(())
    }

    pub(super) fn create(&self, header: &Header, mut args: Args<'_>, reply: &mut Reply<'_>) -> Answer {
        let (flags, mode) = (args.u32()?, args.u32()?);
        args.bytes(8)?;
        let name = args.name()?;
        let (dir, seen) = self.inodes.dir_seen(header.node)?;
        let new = new_in(header, seen, Kind::File, mode);
        for _ in 0..AGAIN_MAX {
            match self.dfs.make(&dir, name, &new) {
                Ok((file, attr)) => {
                    let entry = self.told(&dir, name, &attr, None);
                    let file = self.inodes.opened(entry.node, file);
                    reply.entry(&entry);
                    let (handle, told) = self.handle(entry.node, file, flags, true);
                    reply.opened(handle, told);
                    return Ok(());
                }
                // Another mount was first: it is opened, unless that is what nobody wants.
                Err(error) if error.errno == Errno::EEXIST && flags.cast_signed() & libc::O_EXCL == 0 => {}
                Err(error) => return Err(error.into()),
            }
            let (attr, _) = match self.dfs.look(&dir, name) {
                Err(error) if error.errno == Errno::ENOENT => continue,
                found => found?,
            };
            match attr.kind {
                Kind::File => {}
                Kind::Directory => return no(libc::EISDIR),
                // The kernel looks again, and follows it.
                Kind::Symlink => return no(libc::ESTALE),
            }
            let entry = self.told(&dir, name, &attr, None);
            let opened = self.file(entry.node, false).and_then(|file| {
                if flags.cast_signed() & libc::O_TRUNC != 0 {
                    file.truncate(0)?;
                }
                Ok(file)
            });
            let file = opened.inspect_err(|_| self.inodes.forget(entry.node, 1))?;
            reply.entry(&entry);
            let (handle, told) = self.handle(entry.node, file, flags, false);
            reply.opened(handle, told);
            return Ok(());
        }
        no(libc::EBUSY)
    }

    pub(super) fn release(&self, mut args: Args<'_>) -> Answer {
        if let Some(opened) = self.files.remove(args.u64()?) {
            self.close(opened);
        }
        Ok(())
    }

    /// A handle goes, and with the last one what is in memory of the file. Nobody waits for what comes of it.
    pub(super) fn close(&self, opened: Arc<Opened>) {
        if let Some(Opened { node, file, .. }) = Arc::into_inner(opened)
            && let Some(file) = self.inodes.closing(node, file)
        {
            if self.leaves_for().is_zero() {
                drop(file);
            } else {
                let _ = file.leave();
            }
        }
    }

    /// So long the time of a file that was closed may wait until it is stored: as long as another mount may keep the one before.
    fn leaves_for(&self) -> Duration {
        self.caching.attr.min(LEFT_MAX)
    }

    /// Stores when files were changed that were closed: of all while nobody asks for anything, and of those that waited long enough.
    pub(crate) fn store_left(&self, is_idle: &dyn Fn() -> bool) {
        // There is nobody to tell, as when a file is closed.
        let _ = self.dfs.store_left(Duration::ZERO, is_idle);
        let _ = self.dfs.store_left(self.leaves_for(), || true);
    }

    pub(super) fn read(&self, mut args: Args<'_>, reply: &mut Reply<'_>) -> Answer {
        let (handle, at) = (args.u64()?, args.u64()?);
        let len = args.u32()? as usize;
        let opened = self.files.get(handle)?;
        let read = opened.file.read(at, reply.room(len))?;
        reply.take(read);
        Ok(())
    }

    pub(super) fn write(&self, mut args: Args<'_>, reply: &mut Reply<'_>) -> Answer {
        let (handle, at) = (args.u64()?, args.u64()?);
        let (len, flags) = (args.u32()? as usize, args.u32()?);
        args.bytes(16)?;
        let data = args.bytes(len)?;
        let opened = self.files.get(handle)?;
        if flags & WRITE_KILL_SUIDGID != 0 {
            opened.file.lose_set_ids()?;
        }
        let written = if opened.appends && flags & WRITE_CACHE == 0 {
            opened.file.append(data)?.1
        } else {
            opened.file.write(at, data)?
        };
        reply.u32(written as u32);
        reply.u32(0);
        Ok(())
    }

    pub(super) fn fsync(&self, mut args: Args<'_>) -> Answer {
        Ok(self.files.get(args.u64()?)?.file.sync()?)
    }

    pub(super) fn fallocate(&self, mut args: Args<'_>) -> Answer {
        let (handle, at, len) = (args.u64()?, args.u64()?, args.u64()?);
        let how = match args.u32()? {
            0 => Allocate::Grow,
            KEEP_SIZE => Allocate::Keep,
            mode if mode == PUNCH_HOLE | KEEP_SIZE => Allocate::Hole,
            ZERO_RANGE => Allocate::Zero,
            mode if mode == ZERO_RANGE | KEEP_SIZE => Allocate::ZeroKeep,
            _ => return no(libc::EOPNOTSUPP),
        };
        Ok(self.files.get(handle)?.file.allocate(how, at, len)?)
    }

    pub(super) fn lseek(&self, mut args: Args<'_>, reply: &mut Reply<'_>) -> Answer {
        let (handle, at) = (args.u64()?, args.u64()?);
        let whence = args.u32()?.cast_signed();
        let opened = self.files.get(handle)?;
        let found = match whence {
            libc::SEEK_DATA => opened.file.seek_data(at)?,
            libc::SEEK_HOLE => opened.file.seek_hole(at)?,
            _ => return no(libc::EINVAL),
        };
        reply.u64(found);
        Ok(())
    }

    pub(super) fn copy_file_range(&self, mut args: Args<'_>, reply: &mut Reply<'_>) -> Answer {
        let (from, mut from_at, _node) = (args.u64()?, args.u64()?, args.u64()?);
        let (to, mut to_at, len) = (args.u64()?, args.u64()?, args.u64()?);
        let (from, to) = (self.files.get(from)?, self.files.get(to)?);
        let mut left = len.min(COPY_MAX);
        let mut piece = vec![0; COPY_PIECE.min(left as usize)];
        let mut copied = 0_u32;
        while left > 0 {
            let want = piece.len().min(left as usize);
            let read = from.file.read(from_at, piece.get_mut(..want).unwrap_or_default())?;
            if read == 0 {
                break;
            }
            let written = match to.file.write(to_at, piece.get(..read).unwrap_or_default()) {
                // What was copied before is told first.
                Err(_) if copied > 0 => break,
                written => written?,
            };
            copied += written as u32;
            (from_at, to_at) = (from_at + written as u64, to_at + written as u64);
            left -= written as u64;
        }
        reply.u32(copied);
        reply.u32(0);
        Ok(())
    }
}
