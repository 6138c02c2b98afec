//! What wakes who sleeps: a counter that the server watches among its descriptors, and a word in the memory for the threads of a client.
//!
//! Neither is a socket. The kernel takes a write to one as a word that the writer goes to sleep, and puts the reader on the writer's
//! core: both would go on there one after the other, with the other core idle.

use super::map::Map;
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::Errno;
use rustix::thread::futex;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Where the client's word is in the memory.
const CLIENTS_AT: usize = 64;

/// A counter for who serves.
pub(super) fn servers_bell() -> io::Result<OwnedFd> {
    Ok(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)
}

/// Whether ringing it never waits.
pub(super) fn is_bell(file: &OwnedFd) -> bool {
    fcntl_getfl(file).is_ok_and(|flags| flags.contains(OFlags::NONBLOCK))
}

/// Wakes the server. It never reads the counter: each write is told once to who watches.
pub(super) fn ring_server(bell: &OwnedFd) {
    // A counter that is full was heard.
    let _ = rustix::io::write(bell, &1_u64.to_ne_bytes());
}

/// Wakes all threads of the client that sleep.
pub(super) fn ring_client(map: &Map) {
    let word = map.half_word(CLIENTS_AT);
    word.fetch_add(1, Ordering::SeqCst);
    // Nothing fails here but a word that is none.
    let _ = futex::wake(word, futex::Flags::empty(), i32::MAX.cast_unsigned());
}

/// How often the client was woken: to be asked before it is said that somebody sleeps.
pub(super) fn rung(map: &Map) -> u32 {
    map.half_word(CLIENTS_AT).load(Ordering::SeqCst)
}

/// Sleeps until the client is woken again, so long at most.
pub(super) fn sleep(map: &Map, since: u32, longest: Duration) -> io::Result<()> {
    let time =
        Timespec { tv_sec: longest.as_secs().cast_signed(), tv_nsec: i64::from(longest.subsec_nanos()) };
    match futex::wait(map.half_word(CLIENTS_AT), futex::Flags::empty(), since, Some(&time)) {
        // It was woken before, is over, or a signal came.
        Ok(()) | Err(Errno::AGAIN | Errno::TIMEDOUT | Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::ring::SHARED_LEN;
    use super::super::stream::memory;
    use super::*;
    use std::os::fd::AsFd;
    use std::thread;
    use std::time::Instant;

    #[test]
    fn all_who_sleep_are_woken_and_who_was_woken_before_does_not_sleep() {
        let map = Map::new(memory().unwrap().as_fd(), SHARED_LEN).unwrap();
        let since = rung(&map);
        thread::scope(|threads| {
            for _ in 0..3 {
                threads.spawn(|| sleep(&map, since, Duration::from_secs(600)).unwrap());
            }
            ring_client(&map);
        });
        // At once, as it was rung since.
        sleep(&map, since, Duration::from_secs(600)).unwrap();
        let begun = Instant::now();
        sleep(&map, rung(&map), Duration::from_millis(20)).unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(20), "nothing was rung");
    }

    #[test]
    fn a_bell_is_one_that_is_rung_without_waiting() {
        let bell = servers_bell().unwrap();
        assert!(is_bell(&bell));
        rustix::io::write(&bell, &(u64::MAX - 1).to_ne_bytes()).unwrap();
        ring_server(&bell);
        let waits = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        assert!(!is_bell(&waits));
    }
}
