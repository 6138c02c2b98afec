//! `/dev/fuse`, and mounting by it: by the kernel itself for who may, by `fusermount3` for all others.

#![allow(unsafe_code)]

use crate::mount::{Error, Result};
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketFlags, SocketType,
};
use std::io::{IoSliceMut, Read};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const DEVICE: &str = "/dev/fuse";
const HELPER: &str = "fusermount3";
/// So long the helper has to mount.
const HELPER_WAIT: Duration = Duration::from_secs(30);

/// What is mounted, and for whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct How {
    pub(crate) read_only: bool,
    /// All users may use it; else only who mounted it.
    pub(crate) allow_other: bool,
}

fn open() -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(DEVICE, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
}

/// Another descriptor of the same connection, whose reader gets in nobody's way; `None` where there can be none.
pub(crate) fn clone(of: &OwnedFd) -> Option<OwnedFd> {
    /// `FUSE_DEV_IOC_CLONE`.
    const CLONE: libc::c_ulong = 0x8004_e500;
    // Who mounted by the helper may not be let in here.
    let fresh = open().ok()?;
    let source = of.as_raw_fd();
    // SAFETY: the kernel reads one 32-bit number from where the pointer points to, and both descriptors are open.
    let done = unsafe { libc::ioctl(fresh.as_raw_fd(), CLONE, &raw const source) };
    (done == 0).then_some(fresh)
}

/// Mounts; the descriptor that requests come by.
pub(crate) fn mount(at: &Path, how: How) -> Result<OwnedFd> {
    let device = match open() {
        Ok(device) => device,
        Err(Errno::NOENT | Errno::NODEV | Errno::NXIO) => {
            return Err(Error::new(Errno::NODEV, format!("there is no {DEVICE}")).hint(
                "load the kernel's module `fuse` (`modprobe fuse`), or give the container that device",
            ));
        }
        // Who may not open it can still be helped.
        Err(Errno::ACCESS | Errno::PERM) => return by_helper(at, how),
        Err(error) => return Err(Error::new(error, format!("{DEVICE} cannot be opened"))),
    };
    let mut options = format!(
        "fd={},rootmode=40000,user_id={},group_id={},default_permissions",
        device.as_raw_fd(),
        rustix::process::getuid().as_raw(),
        rustix::process::getgid().as_raw(),
    );
    if how.allow_other {
        options.push_str(",allow_other");
    }
    let mut flags = MountFlags::NOSUID | MountFlags::NODEV;
    flags.set(MountFlags::RDONLY, how.read_only);
    let options = std::ffi::CString::new(options).unwrap_or_default();
    match rustix::mount::mount("dfuse", at, "fuse.daos", flags, Some(options.as_c_str())) {
        Ok(()) => Ok(device),
        Err(Errno::PERM) => by_helper(at, how),
        Err(Errno::BUSY) => Err(Error::new(Errno::BUSY, format!("{} is mounted already", at.display()))),
        Err(error) => Err(Error::new(error, format!("{} cannot be mounted on", at.display()))),
    }
}

fn no_helper() -> Error {
    Error::new(Errno::NOENT, format!("only root mounts without {HELPER}, and there is no {HELPER}"))
        .hint("install the package fuse3, or run dfuse as root")
}

/// Lets `fusermount3` mount, which hands the descriptor over.
fn by_helper(at: &Path, how: How) -> Result<OwnedFd> {
    let failed = |error: Errno| Error::new(error, format!("{HELPER} cannot be talked to"));
    let (ours, theirs) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
            .map_err(failed)?;
    rustix::net::sockopt::set_socket_timeout(&ours, rustix::net::sockopt::Timeout::Recv, Some(HELPER_WAIT))
        .map_err(failed)?;
    let mut options = String::from("fsname=dfuse,subtype=daos,default_permissions,nosuid,nodev");
    for (wanted, option) in [(how.allow_other, ",allow_other"), (how.read_only, ",ro")] {
        if wanted {
            options.push_str(option);
        }
    }
    let number = theirs.as_raw_fd();
    let mut command = Command::new(HELPER);
    command.arg("-o").arg(options).arg("--").arg(at);
    command.env("_FUSE_COMMFD", number.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    // SAFETY: the closure runs in the child before it becomes the helper, and makes one call of the kernel, on a descriptor that is open.
    unsafe {
        command.pre_exec(move || {
            if libc::fcntl(number, libc::F_SETFD, 0) < 0 {
                return Err(std::io::Error::last_os_error());
            }
            Ok(())
        });
    }
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(no_helper()),
        Err(error) => return Err(failed(Errno::from_io_error(&error).unwrap_or(Errno::IO))),
    };
    drop(theirs);
    let received = receive(&ours);
    let mut said = String::new();
    if !matches!(received, Ok(Some(_))) {
        let _ = child.kill();
        if let Some(stderr) = &mut child.stderr {
            let _ = stderr.take(4096).read_to_string(&mut said);
        }
    }
    let _ = child.wait();
    match received {
        Ok(Some(device)) => Ok(device),
        Ok(None) => {
            let said = said.trim().trim_start_matches("fusermount3:").trim();
            let error = Error::new(Errno::PERM, format!("{HELPER} refused: {said}"));
            Err(if said.contains("allow_other") {
                error.hint("write `user_allow_other` into /etc/fuse.conf, or leave out --multi-user")
            } else if said.contains(DEVICE) {
                error.hint("its owner lets all users in: chmod 666 /dev/fuse")
            } else {
                error
            })
        }
        Err(error) => Err(failed(error)),
    }
}

/// The descriptor that is handed over; `None` if the other end was closed instead.
fn receive(from: &OwnedFd) -> rustix::io::Result<Option<OwnedFd>> {
    let mut byte = [0; 1];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut data = [IoSliceMut::new(&mut byte)];
    let message = rustix::net::recvmsg(from, &mut data, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    if message.bytes == 0 {
        return Ok(None);
    }
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(mut descriptors) = message {
            return Ok(descriptors.next());
        }
    }
    Ok(None)
}

/// Takes a mount from where it is; who uses it keeps it until he is done.
pub(crate) fn detach(at: &Path) -> Result<()> {
    match rustix::mount::unmount(at, UnmountFlags::DETACH) {
        // It is not mounted there any more.
        Ok(()) | Err(Errno::INVAL | Errno::NOENT) => Ok(()),
        Err(Errno::PERM) => {
            let done = Command::new(HELPER)
                .args(["-u", "-z", "-q", "--"])
                .arg(at)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            match done {
                Ok(status) if status.success() => Ok(()),
                Ok(_) => Err(Error::new(Errno::PERM, format!("{HELPER} did not unmount {}", at.display()))),
                Err(_) => Err(no_helper()),
            }
        }
        Err(error) => Err(Error::new(error, format!("{} cannot be unmounted", at.display()))),
    }
}

/// Lets the kernel read further ahead than it does by itself, where it lets us say so.
pub(crate) fn read_ahead(of: &Path, kib: u32) {
    if let Ok(stat) = rustix::fs::stat(of) {
        let (major, minor) = (rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev));
        // Refused to all but root, and in some containers: then it stays as it is.
        let _ = std::fs::write(format!("/sys/class/bdi/{major}:{minor}/read_ahead_kb"), kib.to_string());
    }
}

/// Writes what the kernel keeps of a mount: it asks for it by requests as any other.
pub(crate) fn write_back(at: &Path) -> rustix::io::Result<()> {
    let root = rustix::fs::open(at, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::fs::syncfs(root.as_fd())
}

/// A descriptor that can be waited for.
pub(crate) fn bell() -> rustix::io::Result<OwnedFd> {
    rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC)
}
