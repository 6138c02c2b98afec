//! What the kernel hears of a peer by TCP, whatever its process does.
//!
//! There is a time for that in the kernel, `TCP_USER_TIMEOUT`. But that one also ends connections to who is there and has no room,
//! as a server that has more to do than it takes in; so it is not used, and what the kernel knows is looked at here.
#![allow(unsafe_code)]

use crate::limits::{GONE_MS, ROOM_ASKED_MIN, SENT_AGAIN_MIN};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};

/// What counts of what it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Heard {
    /// Milliseconds since a word that something arrived.
    pub(crate) since_ms: u32,
    /// Segments under way, that no such word came for.
    pub(crate) under_way: u32,
    /// How often the first of them was sent again.
    pub(crate) sent_again: u8,
    /// Questions for room, in a row, that brought no answer.
    pub(crate) room_asked: u8,
}

impl Heard {
    /// Of a connection.
    pub(crate) fn of(socket: &impl AsFd) -> io::Result<Self> {
        let mut info = MaybeUninit::<libc::tcp_info>::zeroed();
        let mut len = size_of::<libc::tcp_info>() as libc::socklen_t;
        let socket = socket.as_fd().as_raw_fd();
        // SAFETY: the socket is open as long as it is borrowed, and the kernel writes no more bytes than it is told that there are.
        let done = unsafe {
            libc::getsockopt(
                socket,
                libc::IPPROTO_TCP,
                libc::TCP_INFO,
                info.as_mut_ptr().cast(),
                &raw mut len,
            )
        };
        if done != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: all of it are numbers, and those that the kernel did not write are zero.
        let info = unsafe { info.assume_init() };
        Ok(Self {
            since_ms: info.tcpi_last_ack_recv,
            under_way: info.tcpi_unacked,
            sent_again: info.tcpi_retransmits,
            room_asked: info.tcpi_probes,
        })
    }

    /// Whether the peer is gone: who is there says that something arrived, also where his process does nothing.
    pub(crate) fn is_gone(self) -> bool {
        let sends = self.under_way > 0 && self.sent_again >= SENT_AGAIN_MIN;
        let asks_for_room = self.under_way == 0 && self.room_asked >= ROOM_ASKED_MIN;
        self.since_ms >= GONE_MS && (sends || asks_for_room)
    }
}

#[cfg(test)]
mod tests {
    use super::Heard;
    use crate::limits::{GONE_MS, ROOM_ASKED_MIN, SENT_AGAIN_MIN};
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    const SILENT: Heard =
        Heard { since_ms: GONE_MS, under_way: 1, sent_again: SENT_AGAIN_MIN, room_asked: 0 };

    #[test]
    fn who_says_nothing_to_what_is_sent_is_gone() {
        assert!(SILENT.is_gone());
        assert!(!Heard { since_ms: GONE_MS - 1, ..SILENT }.is_gone());
        // It was quiet for long, and something is sent just now.
        assert!(!Heard { sent_again: SENT_AGAIN_MIN - 1, ..SILENT }.is_gone());
    }

    #[test]
    fn who_has_no_room_is_there_as_long_as_he_says_so() {
        let full = Heard { since_ms: 60_000, under_way: 0, sent_again: 0, room_asked: 0 };
        assert!(!full.is_gone());
        assert!(!Heard { room_asked: ROOM_ASKED_MIN - 1, ..full }.is_gone());
        assert!(Heard { room_asked: ROOM_ASKED_MIN, ..full }.is_gone());
    }

    #[test]
    fn the_kernel_tells_of_a_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        stream.write_all(b"a word").unwrap();
        let heard = Heard::of(&stream).unwrap();
        assert!(heard.since_ms < GONE_MS && heard.sent_again == 0, "{heard:?}");
        assert!(!heard.is_gone());
        let (ours, _) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(Heard::of(&ours).is_err(), "a socket without TCP");
    }
}
