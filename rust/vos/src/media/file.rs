//! A directory of the operating system as a [`Media`].

use super::{Media, MediaError, MediaFile, Result, check_name, write_zeros};
use rustix::fs::{AtFlags, FallocateFlags, FileType, FlockOperation, Mode, OFlags};
use rustix::io::{Errno, ReadWriteFlags};
use std::fs::File;
use std::io::IoSlice;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::sync::Arc;

/// Parts one system call takes (Linux: `UIO_MAXIOV`).
const PARTS_MAX: usize = 1024;
/// The descriptor of standard error.
const STANDARD_LAST: i32 = 2;
/// What the kernel zeroes faster than we write begins and ends at multiples of this.
const ZERO_ALIGN: u64 = 4096;

/// The files of one directory, by `pread`, `pwritev2` and `fdatasync`.
#[derive(Debug)]
pub struct FileMedia {
    // Names are resolved against the open directory, so that moving or replacing its path changes nothing.
    dir: OwnedFd,
}

impl FileMedia {
    /// The media of a directory that exists.
    pub fn open(dir: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = retry(|| rustix::fs::open(dir, flags, Mode::empty()))
            .and_then(above_standard)
            .map_err(|errno| failed("open", &dir.display().to_string(), errno))?;
        Ok(Self { dir })
    }

    /// Makes the directory, durably, where it does not exist, and opens it.
    pub fn create(dir: &Path) -> Result<Self> {
        let name = || dir.display().to_string();
        match std::fs::create_dir(dir) {
            Ok(()) => {
                let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
                File::open(parent.unwrap_or(Path::new(".")))
                    .and_then(|parent| parent.sync_all())
                    .map_err(|error| io("sync", &name(), error))?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io("create", &name(), error)),
        }
        Self::open(dir)
    }

    fn open_with(&self, what: &'static str, name: &str, flags: OFlags) -> Result<Arc<dyn MediaFile>> {
        check_name(name)?;
        // A name that leads to something else than a file of this directory is not ours.
        let flags = flags | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mode = Mode::from_raw_mode(0o660);
        let fd = retry(|| rustix::fs::openat(&self.dir, name, flags, mode))
            .and_then(above_standard)
            .map_err(|errno| failed(what, name, errno))?;
        Ok(Arc::new(OpenFile { fd, name: name.to_owned(), fixed: None }))
    }
}

/// How a device is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To be changed, by nobody else: [`Errno::BUSY`]'s kind of error where somebody has it so.
    Alone,
    /// To be looked at, whoever has it.
    Look,
}

/// A file whose size stays, or a block device.
pub fn open_device(path: &Path, access: Access) -> Result<Arc<dyn MediaFile>> {
    let is_alone = access == Access::Alone;
    let name = path.display().to_string();
    let meta = std::fs::metadata(path).map_err(|error| io("open", &name, error))?;
    let is_block = meta.file_type().is_block_device();
    let mut flags = OFlags::CLOEXEC | if is_alone { OFlags::RDWR } else { OFlags::RDONLY };
    if is_block {
        // Then nobody else does so, and nothing of it is mounted.
        flags |= if is_alone { OFlags::EXCL } else { OFlags::empty() };
    } else if !meta.is_file() {
        return Err(io("open", &name, std::io::Error::other("it is neither a file nor a block device")));
    }
    let fd = retry(|| rustix::fs::open(path, flags, Mode::empty()))
        .and_then(above_standard)
        .map_err(|errno| failed("open", &name, errno))?;
    if is_alone && !is_block {
        match rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Err(failed("open", &name, Errno::BUSY)),
            other => other.map_err(|errno| failed("lock", &name, errno))?,
        }
    }
    let size = rustix::fs::seek(&fd, rustix::fs::SeekFrom::End(0))
        .map_err(|errno| failed("ask the size of", &name, errno))?;
    Ok(Arc::new(OpenFile { fd, name, fixed: Some(size) }))
}

/// A descriptor that nobody prints on: where a process was started without standard streams, the next file that is opened would
/// become one, and what anybody prints would land in it.
fn above_standard(fd: OwnedFd) -> rustix::io::Result<OwnedFd> {
    if fd.as_raw_fd() > STANDARD_LAST {
        return Ok(fd);
    }
    rustix::io::fcntl_dupfd_cloexec(&fd, STANDARD_LAST + 1)
}

impl Media for FileMedia {
    fn open(&self, name: &str) -> Result<Arc<dyn MediaFile>> {
        self.open_with("open", name, OFlags::empty())
    }

    fn create(&self, name: &str) -> Result<Arc<dyn MediaFile>> {
        self.open_with("create", name, OFlags::CREATE | OFlags::EXCL)
    }

    fn list(&self) -> Result<Vec<String>> {
        let fail = |errno| failed("list", ".", errno);
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.dir).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if check_name(name).is_err() {
                continue;
            }
            let kind = match entry.file_type() {
                // Some file systems do not tell.
                FileType::Unknown => match rustix::fs::statat(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                    Err(Errno::NOENT) => continue,
                    Err(errno) => return Err(fail(errno)),
                },
                kind => kind,
            };
            if kind == FileType::RegularFile {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    fn remove(&self, name: &str) -> Result<()> {
        check_name(name)?;
        rustix::fs::unlinkat(&self.dir, name, AtFlags::empty()).map_err(|errno| failed("remove", name, errno))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        check_name(from)?;
        check_name(to)?;
        rustix::fs::renameat(&self.dir, from, &self.dir, to).map_err(|errno| failed("rename", from, errno))
    }

    fn sync_names(&self) -> Result<()> {
        // Never retried: a second try of a failed sync proves nothing, and an interrupted one is a failed one.
        rustix::fs::fsync(&self.dir).map_err(|errno| failed("sync", ".", errno))
    }

    fn overlaps(&self) -> bool {
        true
    }

    fn available(&self) -> Result<u64> {
        let stat = rustix::fs::fstatvfs(&self.dir).map_err(|errno| failed("ask the room of", ".", errno))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

#[derive(Debug)]
struct OpenFile {
    fd: OwnedFd,
    name: String,
    /// The size of one that has always the same: of a block device the kernel tells it in another way.
    fixed: Option<u64>,
}

impl OpenFile {
    fn fail(&self, what: &'static str) -> impl Fn(Errno) -> MediaError + '_ {
        move |errno| failed(what, &self.name, errno)
    }

    /// Writes all parts, however many calls it takes.
    fn write_parts(
        &self,
        offset: u64,
        parts: &[IoSlice<'_>],
        flags: ReadWriteFlags,
    ) -> rustix::io::Result<()> {
        let total: usize = parts.iter().map(|part| part.len()).sum();
        // The common case is one call, with the caller's own array.
        let first = parts.get(..PARTS_MAX).unwrap_or(parts);
        let mut done = retry(|| rustix::io::pwritev2(&self.fd, first, offset, flags))?;
        while done < total {
            let mut rest = remaining(parts, done);
            rest.truncate(PARTS_MAX);
            match retry(|| rustix::io::pwritev2(&self.fd, &rest, offset + done as u64, flags))? {
                0 => return Err(Errno::IO),
                more => done += more,
            }
        }
        Ok(())
    }
}

/// What of the parts lies behind the first `done` bytes.
fn remaining<'a>(parts: &'a [IoSlice<'_>], mut done: usize) -> Vec<IoSlice<'a>> {
    let mut rest = Vec::with_capacity(parts.len());
    for part in parts {
        let skip = done.min(part.len());
        done -= skip;
        if let Some(tail) = part.get(skip..).filter(|tail| !tail.is_empty()) {
            rest.push(IoSlice::new(tail));
        }
    }
    rest
}

impl MediaFile for OpenFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn size(&self) -> Result<u64> {
        if let Some(size) = self.fixed {
            return Ok(size);
        }
        let stat = rustix::fs::fstat(&self.fd).map_err(self.fail("stat"))?;
        Ok(u64::try_from(stat.st_size).unwrap_or(0))
    }

    fn allocated(&self) -> Result<u64> {
        let stat = rustix::fs::fstat(&self.fd).map_err(self.fail("stat"))?;
        // File systems count in blocks of 512 bytes, and what they have set aside behind the end, too.
        let held = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512);
        Ok(held.min(u64::try_from(stat.st_size).unwrap_or(0)))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let end = offset.saturating_add(buffer.len() as u64);
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match retry(|| rustix::io::pread(&self.fd, &mut *rest, offset + done as u64)) {
                Ok(0) => return Err(MediaError::Short { name: self.name.clone(), end }),
                Ok(more) => done += more,
                Err(errno) => return Err(failed("read", &self.name, errno)),
            }
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> Result<()> {
        self.write_parts(offset, parts, ReadWriteFlags::empty()).map_err(self.fail("write"))
    }

    fn write_at_durable(&self, offset: u64, parts: &[IoSlice<'_>]) -> Result<()> {
        match self.write_parts(offset, parts, ReadWriteFlags::DSYNC) {
            // A file system that does not know the flag refuses it before writing anything.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                self.write_at(offset, parts)?;
                self.sync()
            }
            other => other.map_err(self.fail("write")),
        }
    }

    fn sync(&self) -> Result<()> {
        // Not retried on EINTR: see `sync_names`.
        rustix::fs::fdatasync(&self.fd).map_err(self.fail("sync"))
    }

    fn begin_sync(&self) {
        // What fails shows at the next sync.
        let (whole, begin) = ((0, 0), libc::SYNC_FILE_RANGE_WRITE);
        #[expect(
            unsafe_code,
            reason = "a call that takes numbers only, of a descriptor that is ours and open"
        )]
        // SAFETY: no memory is given.
        let _ = unsafe { libc::sync_file_range(self.fd.as_raw_fd(), whole.0, whole.1, begin) };
    }

    fn set_size(&self, size: u64) -> Result<()> {
        retry(|| rustix::fs::ftruncate(&self.fd, size)).map_err(self.fail("resize"))
    }

    fn allocate(&self, offset: u64, len: u64) -> Result<()> {
        if len == 0 {
            return Ok(());
        }
        match retry(|| rustix::fs::fallocate(&self.fd, FallocateFlags::empty(), offset, len)) {
            // This device promises nothing; the length still has to grow.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                let end = offset.saturating_add(len);
                if self.size()? < end { self.set_size(end) } else { Ok(()) }
            }
            other => other.map_err(self.fail("allocate")),
        }
    }

    fn discard(&self, offset: u64, len: u64) -> Result<()> {
        if len == 0 {
            return Ok(());
        }
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match retry(|| rustix::fs::fallocate(&self.fd, flags, offset, len)) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            other => other.map_err(self.fail("discard")),
        }
    }

    fn zero(&self, offset: u64, len: u64) -> Result<()> {
        let end = offset.saturating_add(len);
        // Block devices do it by whole blocks only.
        let (first, last) = (offset.next_multiple_of(ZERO_ALIGN), end / ZERO_ALIGN * ZERO_ALIGN);
        if first >= last {
            return write_zeros(self, offset, end);
        }
        let flags = FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE;
        match retry(|| rustix::fs::fallocate(&self.fd, flags, first, last - first)) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => return write_zeros(self, offset, end),
            other => other.map_err(self.fail("zero"))?,
        }
        write_zeros(self, offset, first)?;
        write_zeros(self, last, end)
    }
}

fn retry<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return other,
        }
    }
}

fn io(what: &'static str, name: &str, error: std::io::Error) -> MediaError {
    match error.raw_os_error() {
        Some(code) => failed(what, name, Errno::from_raw_os_error(code)),
        None => MediaError::Io { what, name: name.to_owned(), error: Arc::new(error) },
    }
}

fn failed(what: &'static str, name: &str, errno: Errno) -> MediaError {
    let name = name.to_owned();
    match errno {
        Errno::NOENT => MediaError::NotFound { name },
        Errno::EXIST => MediaError::Exists { name },
        Errno::NOSPC | Errno::DQUOT => MediaError::NoSpace { name },
        errno => MediaError::Io { what, name, error: Arc::new(errno.into()) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_write_goes_on_where_it_stopped() {
        let parts = [IoSlice::new(b"abc"), IoSlice::new(b""), IoSlice::new(b"defg")];
        let joined =
            |done| remaining(&parts, done).iter().flat_map(|part| part.to_vec()).collect::<Vec<u8>>();
        for done in 0..=7 {
            assert_eq!(joined(done), b"abcdefg"[done..]);
        }
    }

    #[test]
    fn a_full_device_or_quota_is_no_space() {
        for errno in [Errno::NOSPC, Errno::DQUOT] {
            assert!(matches!(failed("write", "x", errno), MediaError::NoSpace { .. }));
        }
    }
}
