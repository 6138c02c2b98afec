//! What carries a connection's bytes.

use crate::Moment;
use crate::peer::Peer;
use std::fmt::Debug;
use std::io::{self, IoSlice};

/// One end of a stream of bytes in both directions. Nothing but [`Link::wait`] waits.
///
/// TLS is a link over a link.
pub trait Link: Debug + Send + Sync {
    /// Reads what is there; 0 at the end of the stream, `WouldBlock` where nothing is there yet.
    fn read(&self, into: &mut [u8]) -> io::Result<usize>;

    /// Writes what there is room for, of parts one behind the other; `WouldBlock` where there is none.
    fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Hands on what it took and kept, as far as there is room; how many bytes are still here. They go when somebody writes, waits or
    /// flushes.
    fn flush(&self) -> io::Result<usize> {
        Ok(0)
    }

    /// Returns when there may be something to read, or room to write, whichever is asked for; at the given time at the latest. It may
    /// return for nothing.
    fn wait(&self, readable: bool, writable: bool, until: Moment) -> io::Result<()>;

    /// The time by which deadlines on this link are counted.
    fn now(&self) -> Moment;

    /// Nothing more will be written: the peer sees the end of the stream, behind all that was.
    fn finish(&self);

    /// Both directions end now; whoever waits returns.
    fn close(&self);

    /// Whether it is this process's: a child that was forked must leave its parent's connections alone, and say nothing on them.
    fn is_own(&self) -> bool {
        true
    }

    /// Who is at the other end, as far as it is proved by now.
    fn peer(&self) -> Peer {
        Peer::Plain
    }
}
