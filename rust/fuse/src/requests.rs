//! Requests of the kernel, as one thread takes and answers them.

use crate::device;
use daos_net::shm::Spin;
use rustix::fd::OwnedFd;
use rustix::io::Errno;

/// Where one thread takes requests, and answers them: at the same descriptor, as the kernel knows by which it gave one out.
#[derive(Debug)]
pub(crate) struct Requests {
    sleeping: OwnedFd,
    looking: Option<Looking>,
    looked: bool,
}

/// Another descriptor, which does not wait. To be woken on another processor, and to wake who asks there, takes longer than most
/// requests; who looks saves the first.
#[derive(Debug)]
struct Looking {
    device: OwnedFd,
    spin: Spin,
}

impl Requests {
    /// Of a mount, beside those of its other threads.
    pub(crate) fn beside(of: &OwnedFd) -> rustix::io::Result<Self> {
        let looking = device::clone(of).and_then(|device| {
            rustix::io::ioctl_fionbio(&device, true).ok()?;
            Some(Looking { device, spin: Spin::default() })
        });
        let sleeping = device::clone(of).map_or_else(|| rustix::io::fcntl_dupfd_cloexec(of, 0), Ok)?;
        Ok(Self { sleeping, looking, looked: false })
    }

    /// The next one, once it is there; its length. It may be looked for before this sleeps, where nobody sleeps beside, who would be
    /// woken in vain.
    pub(crate) fn next(&mut self, may_look: bool, request: &mut [u8]) -> rustix::io::Result<usize> {
        if may_look && let Some(looking) = &self.looking {
            let mut received = Err(Errno::AGAIN);
            let look = || {
                received = rustix::io::read(&looking.device, &mut *request);
                !matches!(received, Err(error) if is_none(error))
            };
            self.looked = looking.spin.ask(|| None, look);
            if self.looked {
                return received;
            }
        }
        self.looked = false;
        receive(&self.sleeping, request)
    }

    /// Answers the last one. Where nobody waits for that any more, or the mount ended, the next one tells.
    pub(crate) fn answer(&self, reply: &[u8]) {
        let device =
            self.looking.as_ref().filter(|_| self.looked).map_or(&self.sleeping, |looking| &looking.device);
        let _ = rustix::io::write(device, reply);
    }
}

/// The next request.
pub(crate) fn receive(device: &OwnedFd, request: &mut [u8]) -> rustix::io::Result<usize> {
    loop {
        match rustix::io::read(device, &mut *request) {
            Err(error) if is_none(error) => {}
            received => return received,
        }
    }
}

/// Whether there is no request yet. One that was taken back meanwhile is none.
fn is_none(error: Errno) -> bool {
    matches!(error, Errno::INTR | Errno::NOENT | Errno::AGAIN)
}
