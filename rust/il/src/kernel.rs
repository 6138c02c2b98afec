//! Calls of the kernel that the library makes for itself: none of them goes by a function that is preloaded here.
#![allow(unsafe_code)]

use daos_door::{GROUPS_MAX, IOCTL_INFO, IOCTL_LEAVE, IOCTL_TAKE, Info, Taken, Who};
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

/// What `name_to_handle_at` tells: of a file system of FUSE, its number of a node in two halves, and a number of no use here.
#[repr(C)]
struct Handle {
    bytes: u32,
    kind: i32,
    words: [u32; 3],
}

/// Something of a mount of FUSE, as the kernel and the mount know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Node {
    /// The mount's number.
    pub(crate) number: u64,
    /// The number of the mount among others.
    pub(crate) mount: i32,
}

/// What a path leads to, or, without one, a descriptor or the directory of the process. Nothing is asked of a mount, and rights to
/// search the directories above are looked at.
pub(crate) fn node(directory: i32, path: Option<&std::ffi::CStr>) -> Option<Node> {
    /// 64 bits of a number, 32 of a generation.
    const NUMBER: i32 = 0x81;
    let words = [0_u32; 3];
    let mut handle = Handle { bytes: size_of_val(&words) as u32, kind: 0, words };
    let mut mount: i32 = -1;
    let flags = if path.is_some() { 0 } else { libc::AT_EMPTY_PATH };
    // SAFETY: the path ends with a NUL, and the handle has as much room as it says.
    let done = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            directory,
            path.unwrap_or(c"").as_ptr(),
            &raw mut handle,
            &raw mut mount,
            flags,
        )
    };
    let [high, low, _] = handle.words;
    let is_one = done == 0 && handle.kind == NUMBER && handle.bytes as usize == size_of_val(&words);
    is_one.then_some(Node { number: u64::from(high) << 32 | u64::from(low), mount })
}

/// What the kernel tells of a path, as far as it knows without asking a mount.
pub(crate) fn statx_of(path: &std::ffi::CStr) -> Option<libc::statx> {
    // SAFETY: all of it are numbers, of which each can be 0.
    let mut told: libc::statx = unsafe { std::mem::zeroed() };
    let mask = libc::STATX_BASIC_STATS | libc::STATX_MNT_ID;
    // SAFETY: the path ends with a NUL, and there is room for what is told.
    let done = unsafe {
        libc::syscall(
            libc::SYS_statx,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_STATX_DONT_SYNC,
            mask,
            &raw mut told,
        )
    };
    (done == 0).then_some(told)
}

/// Rights over files that a thread has beside those of its user: to pass by modes, owners, and what both mean.
const OVER_FILES: u32 = 0b1_1111;

/// On whose behalf this thread works. Nothing where that is not one user, or one who has some of root's rights only, or in too many
/// groups.
pub(crate) fn who() -> Option<Who> {
    let (mut users, mut groups) = ([0_u32; 3], [0_u32; 3]);
    let [real, effective, saved] = users.each_mut().map(|id| &raw mut *id);
    // SAFETY: there is room for three numbers each; what sets anything to a number that is none changes nothing and tells the one
    // before.
    let (done, user) = unsafe {
        (
            libc::syscall(libc::SYS_getresuid, real, effective, saved),
            libc::syscall(libc::SYS_setfsuid, u32::MAX),
        )
    };
    let [real, effective, saved] = groups.each_mut().map(|id| &raw mut *id);
    // SAFETY: as above.
    let (done_too, group) = unsafe {
        (
            libc::syscall(libc::SYS_getresgid, real, effective, saved),
            libc::syscall(libc::SYS_setfsgid, u32::MAX),
        )
    };
    let (uid, gid) = (u32::try_from(user).ok()?, u32::try_from(group).ok()?);
    if done != 0 || done_too != 0 || users != [uid; 3] || groups != [gid; 3] {
        return None;
    }
    // Version 3: two halves of 64 bits, three sets of them; the first is what holds.
    let mut header = [0x2008_0522_u32, 0];
    let mut sets = [0_u32; 6];
    // SAFETY: there is as much room as that version has.
    let done = unsafe { libc::syscall(libc::SYS_capget, header.as_mut_ptr(), sets.as_mut_ptr()) };
    let over_files = sets.first()? & OVER_FILES;
    if done != 0 || over_files != if uid == 0 { OVER_FILES } else { 0 } {
        return None;
    }
    if uid == 0 {
        // Who may do all needs no group to do it.
        return Some(Who { uid, gid, groups: Vec::new() });
    }
    let mut others = vec![0_u32; GROUPS_MAX];
    // SAFETY: there is room for as many.
    let count = unsafe { libc::syscall(libc::SYS_getgroups, GROUPS_MAX, others.as_mut_ptr()) };
    others.truncate(usize::try_from(count).ok()?);
    Some(Who { uid, gid, groups: others })
}

/// A file of the kernel's own, to be watched.
pub(crate) fn open_own(path: &std::ffi::CStr) -> Option<rustix::fd::OwnedFd> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()
}

/// Whether what is told by a watched file of the kernel's is another by now. Nothing where it is no such file.
pub(crate) fn has_changed(descriptor: i32) -> Option<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let descriptor = borrowed(descriptor)?;
    let mut fds = [PollFd::new(&descriptor, PollFlags::PRI)];
    poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).ok()?;
    let told = fds.first()?.revents();
    (!told.contains(PollFlags::NVAL)).then(|| told.intersects(PollFlags::PRI | PollFlags::ERR))
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

/// Puts the offset of a descriptor somewhere.
pub(crate) fn seek_to(descriptor: i32, place: i64) {
    if let (Some(descriptor), Ok(place)) = (borrowed(descriptor), u64::try_from(place)) {
        // It is a file that was just written to.
        let _ = rustix::fs::seek(descriptor, SeekFrom::Start(place));
    }
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

/// Whether a descriptor is of a directory that can be read, and of which nothing was read yet.
pub(crate) fn is_directory_at_its_beginning(descriptor: i32) -> bool {
    let reads = flags(descriptor)
        .is_some_and(|flags| flags & libc::O_PATH == 0 && flags & libc::O_ACCMODE == libc::O_RDONLY);
    let is_directory = || {
        let told = rustix::fs::statx(
            borrowed(descriptor)?,
            c"",
            AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC,
            StatxFlags::TYPE,
        );
        Some(FileType::from_raw_mode(told.ok()?.stx_mode.into()) == FileType::Directory)
    };
    reads && is_directory() == Some(true) && seek_by(descriptor, 0) == Some(0)
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
    fn what_is_of_no_mount_of_fuse_has_no_node() {
        assert_eq!((node(-1, None), node(libc::AT_FDCWD, Some(c"/nothing"))), (None, None));
        assert_eq!(node(libc::AT_FDCWD, Some(c"/proc")), None);
    }

    #[test]
    fn one_works_as_oneself() {
        let who = who().unwrap();
        assert_eq!(who.uid, rustix::process::geteuid().as_raw());
        assert_eq!(who.gid, rustix::process::getegid().as_raw());
    }

    #[test]
    fn a_table_that_is_watched_has_not_changed() {
        let table = open_own(c"/proc/self/mountinfo").unwrap();
        assert_eq!(has_changed(table.as_raw_fd()), Some(false));
        assert_eq!(has_changed(1 << 20), None);
    }

    #[test]
    fn the_kernels_files_are_read_whole() {
        assert!(read_all(c"/proc/self/mountinfo").unwrap().len() > 100);
        assert_eq!(read_all(c"/nothing"), Err(Errno::NOENT));
    }
}
