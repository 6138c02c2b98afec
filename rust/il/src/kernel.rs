//! Calls of the kernel that the library makes for itself: none of them goes by a function that is preloaded here.
#![allow(unsafe_code)]

use daos_door::{IOCTL_INFO, IOCTL_LEAVE, IOCTL_TAKE, Info, Taken};
use rustix::fd::BorrowedFd;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, SeekFrom, StatxFlags};
use rustix::io::Errno;
use rustix::process::Resource;

/// A descriptor for one call.
fn borrowed(descriptor: i32) -> Option<BorrowedFd<'static>> {
    // SAFETY: it is used for calls that tell of a descriptor that is none; what was opened here is kept by its owner.
    (descriptor >= 0).then(|| unsafe { BorrowedFd::borrow_raw(descriptor) })
}

/// What the kernel knows of a file without asking the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) device: (u32, u32),
    pub(crate) ino: u64,
    pub(crate) is_regular: bool,
    /// How long it is, as far as the kernel knows.
    pub(crate) size: u64,
}

fn identity_at(at: BorrowedFd<'_>) -> Option<Identity> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let told =
        rustix::fs::statx(at, c"", flags, StatxFlags::INO | StatxFlags::TYPE | StatxFlags::SIZE).ok()?;
    Some(Identity {
        device: (told.stx_dev_major, told.stx_dev_minor),
        ino: told.stx_ino,
        is_regular: FileType::from_raw_mode(told.stx_mode.into()) == FileType::RegularFile,
        size: told.stx_size,
    })
}

/// Of a descriptor.
pub(crate) fn identity(descriptor: i32) -> Option<Identity> {
    identity_at(borrowed(descriptor)?)
}

/// Of a directory that a path begins at.
pub(crate) fn directory(descriptor: i32) -> Option<Identity> {
    if descriptor == libc::AT_FDCWD { identity_at(rustix::fs::CWD) } else { identity(descriptor) }
}

/// The flags of a descriptor that is open.
pub(crate) fn flags(descriptor: i32) -> Option<i32> {
    Some(rustix::fs::fcntl_getfl(borrowed(descriptor)?).ok()?.bits().cast_signed())
}

/// Sets those flags that can be set.
pub(crate) fn set_flags(descriptor: i32, flags: i32) {
    if let Some(descriptor) = borrowed(descriptor) {
        // It was just opened with these and one more.
        let _ = rustix::fs::fcntl_setfl(descriptor, OFlags::from_bits_retain(flags.cast_unsigned()));
    }
}

/// Moves the offset of a descriptor in one step, also for who shares it; where it is then.
pub(crate) fn seek_by(descriptor: i32, by: i64) -> Option<i64> {
    let to = rustix::fs::seek(borrowed(descriptor)?, SeekFrom::Current(by)).ok()?;
    i64::try_from(to).ok()
}

/// Reads at a place, by the kernel.
pub(crate) fn read_at(descriptor: i32, into: &mut [u8], at: u64) -> Result<usize, i32> {
    let descriptor = borrowed(descriptor).ok_or(libc::EBADF)?;
    rustix::io::pread(descriptor, into, at).map_err(Errno::raw_os_error)
}

/// Writes at a place, by the kernel.
pub(crate) fn write_at(descriptor: i32, bytes: &[u8], at: u64) -> Result<usize, i32> {
    let descriptor = borrowed(descriptor).ok_or(libc::EBADF)?;
    rustix::io::pwrite(descriptor, bytes, at).map_err(Errno::raw_os_error)
}

/// Whether files may not grow as they like.
pub(crate) fn is_size_limited() -> bool {
    rustix::process::getrlimit(Resource::Fsize).current.is_some()
}

fn ioctl(descriptor: i32, command: u32, answer: Option<&mut [u8]>) -> Result<(), i32> {
    let answer = answer.map_or(std::ptr::null_mut(), <[u8]>::as_mut_ptr);
    // SAFETY: the number of the command has the length of the answer, and there is as much room.
    let done = unsafe { libc::syscall(libc::SYS_ioctl, descriptor, libc::c_ulong::from(command), answer) };
    if done == 0 { Ok(()) } else { Err(errno()) }
}

/// Asks a mount for its doors, by something that is open there.
pub(crate) fn ask_doors(descriptor: i32) -> Option<Info> {
    let mut bytes = [0; Info::LEN];
    ioctl(descriptor, IOCTL_INFO, Some(&mut bytes)).ok()?;
    Info::decode(&bytes)
}

/// Takes a file over; the number of an error where that is refused.
pub(crate) fn take(descriptor: i32) -> Result<u64, i32> {
    let mut bytes = [0; Taken::LEN];
    ioctl(descriptor, IOCTL_TAKE, Some(&mut bytes))?;
    Taken::decode(&bytes).map(|taken| taken.handle).ok_or(libc::ENOTTY)
}

/// Gives a file to the kernel for good, which looks at how long it is by now: what is behind that cannot be mapped.
pub(crate) fn leave(descriptor: i32) {
    // What is no file of a mount has nothing to give.
    let _ = ioctl(descriptor, IOCTL_LEAVE, None);
    if let Some(descriptor) = borrowed(descriptor) {
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_FORCE_SYNC;
        let _ = rustix::fs::statx(descriptor, c"", flags, StatxFlags::SIZE);
    }
}

/// The number of the error of the last call, as the program sees it.
pub(crate) fn errno() -> i32 {
    // SAFETY: the place is this thread's, always.
    unsafe { *libc::__errno_location() }
}

/// Sets it.
pub(crate) fn set_errno(number: i32) {
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = number };
}

/// The process that this is now, also in a child of `vfork`.
pub(crate) fn process() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

/// All of a file of the kernel's own.
pub(crate) fn read_all(path: &std::ffi::CStr) -> rustix::io::Result<Vec<u8>> {
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let (mut all, mut piece) = (Vec::new(), vec![0; 16 << 10]);
    loop {
        match rustix::io::read(&file, &mut piece[..]) {
            Ok(0) => return Ok(all),
            Ok(len) => all.extend(piece.get(..len).unwrap_or_default()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// What a mount's root is, opened to ask it something.
pub(crate) fn open_directory(path: &[u8]) -> Option<rustix::fd::OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).ok()
}

/// Opens a file once more, by what is open of it, so that it avoids the page cache, under the same number.
pub(crate) fn open_again(descriptor: i32, flags: i32) -> bool {
    let path = format!("/proc/self/fd/{descriptor}");
    let kept = flags
        & (libc::O_ACCMODE
            | libc::O_APPEND
            | libc::O_NONBLOCK
            | libc::O_SYNC
            | libc::O_DSYNC
            | libc::O_NOATIME);
    let how = OFlags::from_bits_retain((kept | libc::O_DIRECT | libc::O_CLOEXEC).cast_unsigned());
    // Who may not open it again has it as it is.
    let Ok(again) = rustix::fs::open(path, how, Mode::empty()) else { return false };
    use rustix::fd::AsRawFd;
    if flags & libc::O_DIRECT == 0 {
        set_flags(again.as_raw_fd(), kept);
    }
    // SAFETY: two numbers and flags; the program has just been given the second, by this call.
    let done =
        unsafe { libc::syscall(libc::SYS_dup3, again.as_raw_fd(), descriptor, flags & libc::O_CLOEXEC) };
    done >= 0
}

/// Closes descriptors for good: of a child, which has copies of its parent's.
pub(crate) fn close(descriptor: i32) {
    // SAFETY: the caller has it for himself, and uses it no more.
    unsafe { libc::syscall(libc::SYS_close, descriptor) };
}

/// A further descriptor of what one is of, from a number on.
pub(crate) fn duplicate(descriptor: i32, from: i32) -> Option<i32> {
    use rustix::fd::IntoRawFd;
    Some(rustix::io::fcntl_dupfd_cloexec(borrowed(descriptor)?, from).ok()?.into_raw_fd())
}

/// Tells somebody.
pub(crate) fn tell(descriptor: i32, text: &[u8]) {
    if let Some(descriptor) = borrowed(descriptor) {
        // Where nobody reads there is nobody to tell.
        let _ = rustix::io::write(descriptor, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn files_are_known_by_device_and_number() {
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        let other = std::fs::File::open("/").unwrap();
        let one = identity(file.as_raw_fd()).unwrap();
        assert!(one.is_regular && one == identity(file.as_raw_fd()).unwrap());
        let two = identity(other.as_raw_fd()).unwrap();
        assert!(!two.is_regular && one.ino != two.ino);
        assert_eq!((identity(-1), identity(1 << 20), flags(-1), seek_by(-1, 0)), (None, None, None, None));
        assert!(directory(libc::AT_FDCWD).is_some());
    }

    #[test]
    fn an_offset_moves_and_what_is_no_mount_says_so() {
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        assert_eq!(seek_by(file.as_raw_fd(), 10), Some(10));
        assert_eq!(seek_by(file.as_raw_fd(), -4), Some(6));
        assert_eq!(seek_by(file.as_raw_fd(), -7), None);
        assert_eq!(flags(file.as_raw_fd()).unwrap() & libc::O_ACCMODE, libc::O_RDONLY);
        assert_eq!(take(file.as_raw_fd()), Err(libc::ENOTTY));
        assert_eq!(ask_doors(file.as_raw_fd()), None);
    }

    #[test]
    fn the_kernels_files_are_read_whole() {
        assert!(read_all(c"/proc/self/mountinfo").unwrap().len() > 100);
        assert_eq!(read_all(c"/nothing"), Err(Errno::NOENT));
    }
}
