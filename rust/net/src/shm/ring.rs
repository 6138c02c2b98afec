//! Streams of bytes in shared memory: a ring for each direction, with one writer and one reader.
//!
//! Each end keeps its own position to itself, and believes of the other's only what can be. Layout: `docs/formats/frames.md`.

use super::map::Map;
use super::spin::processor;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// Bytes of a ring, a power of two: what fits a core's cache, together with the other direction.
pub(super) const RING_LEN: usize = 512 << 10;
/// Bytes before the rings.
const CONTROL_LEN: usize = 4096;
/// Bytes of all.
pub(super) const SHARED_LEN: usize = CONTROL_LEN + 2 * RING_LEN;
/// Who waits for room is woken when there is so much: each wake-up costs as much as copying this.
const ROOM_MIN: usize = RING_LEN / 4;

/// Where the words of the first ring are, each in lines of its own; those of the second are as far behind as they are long.
const WORDS_AT: usize = 128;
const WORDS_LEN: usize = 512;
const HEAD: usize = 0;
/// The writer's processor and one more, 0 where it is not known; in the line that he writes anyway.
const PROCESSOR: usize = 8;
const TAIL: usize = 128;
const READER_WAITS: usize = 256;
const WRITER_WAITS: usize = 384;
const ENDED: usize = 448;

/// One direction, as both ends see it.
#[derive(Debug, Clone)]
struct Ring {
    map: Arc<Map>,
    words: usize,
    bytes: usize,
}

impl Ring {
    /// The first goes to the server, the second to the client.
    fn new(map: &Arc<Map>, second: bool) -> Self {
        let nth = usize::from(second);
        Self { map: map.clone(), words: WORDS_AT + nth * WORDS_LEN, bytes: CONTROL_LEN + nth * RING_LEN }
    }

    fn word(&self, word: usize) -> &AtomicU64 {
        self.map.word(self.words + word)
    }

    /// What lies from a position on, without going round: its place, and how long it is at most.
    fn run(&self, position: u64, len: usize) -> (usize, usize) {
        let at = (position % RING_LEN as u64) as usize;
        (self.bytes + at, len.min(RING_LEN - at))
    }

    /// Wakes who waits, if somebody does: whether the bell has to be rung.
    fn take_waiting(&self, word: usize) -> bool {
        // What was written before must be seen by who says that he waits after this, or he by us.
        fence(Ordering::SeqCst);
        let waits = self.word(word);
        waits.load(Ordering::Relaxed) != 0 && waits.swap(0, Ordering::Relaxed) != 0
    }

    fn set_waiting(&self, word: usize) {
        self.word(word).store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }
}

fn lies() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the other process writes what cannot be into shared memory")
}

/// The end that writes.
#[derive(Debug)]
pub(super) struct Writer {
    ring: Ring,
    head: AtomicU64,
}

/// The end that reads.
#[derive(Debug)]
pub(super) struct Reader {
    ring: Ring,
    tail: AtomicU64,
}

/// Both ends of one process.
pub(super) fn ends(map: &Arc<Map>, is_server: bool) -> (Reader, Writer) {
    let reader = Reader { ring: Ring::new(map, !is_server), tail: AtomicU64::new(0) };
    let writer = Writer { ring: Ring::new(map, is_server), head: AtomicU64::new(0) };
    (reader, writer)
}

impl Writer {
    fn room(&self) -> io::Result<usize> {
        let tail = self.ring.word(TAIL).load(Ordering::Acquire);
        let used = self.head.load(Ordering::Relaxed).wrapping_sub(tail);
        match usize::try_from(used) {
            Ok(used) if used <= RING_LEN => Ok(RING_LEN - used),
            _ => Err(lies()),
        }
    }

    /// Writes what there is room for; how much, and whether the reader has to be woken. Not by two threads at once.
    pub(super) fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<(usize, bool)> {
        let mut room = self.room()?;
        let mut head = self.head.load(Ordering::Relaxed);
        let mut written = 0;
        for part in parts {
            let mut rest = part.get(..part.len().min(room)).unwrap_or_default();
            while !rest.is_empty() {
                let (at, len) = self.ring.run(head, rest.len());
                let (now, later) = rest.split_at(len);
                self.ring.map.put(at, now);
                head = head.wrapping_add(len as u64);
                (room, written, rest) = (room - len, written + len, later);
            }
            if room == 0 {
                break;
            }
        }
        if written == 0 {
            return Ok((0, false));
        }
        self.head.store(head, Ordering::Relaxed);
        self.ring.word(PROCESSOR).store(u64::from(processor()) + 1, Ordering::Relaxed);
        self.ring.word(HEAD).store(head, Ordering::Release);
        Ok((written, self.ring.take_waiting(READER_WAITS)))
    }

    /// Whether there is as much room as to wake somebody for, or an error that writing tells.
    pub(super) fn has_room(&self) -> bool {
        self.room().map_or(true, |room| room >= ROOM_MIN)
    }

    pub(super) fn wait(&self) {
        self.ring.set_waiting(WRITER_WAITS);
    }

    /// Says that nothing more comes.
    pub(super) fn end(&self) -> bool {
        self.ring.word(ENDED).store(1, Ordering::Release);
        self.ring.take_waiting(READER_WAITS)
    }
}

impl Reader {
    fn there(&self) -> io::Result<usize> {
        let head = self.ring.word(HEAD).load(Ordering::Acquire);
        match usize::try_from(head.wrapping_sub(self.tail.load(Ordering::Relaxed))) {
            Ok(there) if there <= RING_LEN => Ok(there),
            _ => Err(lies()),
        }
    }

    /// Reads what is there; how much, and whether the writer has to be woken. Not by two threads at once.
    pub(super) fn read(&self, into: &mut [u8]) -> io::Result<(usize, bool)> {
        let there = self.there()?;
        let mut tail = self.tail.load(Ordering::Relaxed);
        let wanted = into.len().min(there);
        let mut rest = into.get_mut(..wanted).unwrap_or_default();
        while !rest.is_empty() {
            let (at, len) = self.ring.run(tail, rest.len());
            let (now, later) = rest.split_at_mut(len);
            self.ring.map.get(at, now);
            tail = tail.wrapping_add(len as u64);
            rest = later;
        }
        if wanted == 0 {
            return Ok((0, false));
        }
        self.tail.store(tail, Ordering::Relaxed);
        self.ring.word(TAIL).store(tail, Ordering::Release);
        let room = RING_LEN - (there - wanted);
        Ok((wanted, room >= ROOM_MIN && self.ring.take_waiting(WRITER_WAITS)))
    }

    /// Whether nothing more comes, once all is read.
    pub(super) fn has_ended(&self) -> bool {
        self.ring.word(ENDED).load(Ordering::Acquire) != 0
    }

    /// Whether there is something, or an end, or an error that reading tells.
    pub(super) fn has_news(&self) -> bool {
        self.there().map_or(true, |there| there > 0) || self.has_ended()
    }

    pub(super) fn wait(&self) {
        self.ring.set_waiting(READER_WAITS);
    }

    /// On which processor the writer was when he wrote last, as he says.
    pub(super) fn writers_processor(&self) -> Option<u32> {
        u32::try_from(self.ring.word(PROCESSOR).load(Ordering::Relaxed)).ok()?.checked_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::stream::memory;
    use super::*;
    use proptest::prelude::*;
    use std::os::fd::AsFd;
    use std::thread;

    fn shared() -> Arc<Map> {
        Arc::new(Map::new(memory().unwrap().as_fd(), SHARED_LEN).unwrap())
    }

    /// Bytes that no two places near each other have alike.
    fn byte(at: usize) -> u8 {
        (at ^ (at >> 8) ^ (at >> 16)) as u8
    }

    fn write(writer: &Writer, bytes: &[u8]) -> usize {
        writer.write(&[IoSlice::new(bytes)]).unwrap().0
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_written_is_read_in_its_order(steps in prop::collection::vec((any::<bool>(), 0..RING_LEN), 1..60)) {
            let map = shared();
            let ((reader, _), (_, writer)) = (ends(&map, true), ends(&map, false));
            let (mut written, mut read) = (0, 0);
            for (writes, len) in steps {
                if writes {
                    let bytes: Vec<u8> = (written..written + len).map(byte).collect();
                    let (one, two) = bytes.split_at(len / 3);
                    let went = writer.write(&[IoSlice::new(one), IoSlice::new(&[]), IoSlice::new(two)]).unwrap().0;
                    prop_assert_eq!(went, len.min(RING_LEN - (written - read)));
                    written += went;
                } else {
                    let mut into = vec![0; len];
                    let came = reader.read(&mut into).unwrap().0;
                    prop_assert_eq!(came, len.min(written - read));
                    prop_assert!((read..read + came).map(byte).eq(into[..came].iter().copied()));
                    read += came;
                }
                prop_assert_eq!(reader.has_news(), written > read);
                prop_assert_eq!(writer.has_room(), RING_LEN - (written - read) >= ROOM_MIN);
            }
        }
    }

    #[test]
    fn who_waits_is_woken_once_and_when_it_is_worth_it() {
        let map = shared();
        let ((reader, _), (_, writer)) = (ends(&map, true), ends(&map, false));
        assert_eq!(writer.write(&[IoSlice::new(b"a")]).unwrap(), (1, false), "nobody waits");
        reader.wait();
        assert_eq!(writer.write(&[IoSlice::new(b"b")]).unwrap(), (1, true));
        assert_eq!(writer.write(&[IoSlice::new(b"c")]).unwrap(), (1, false), "it was woken already");
        reader.wait();
        assert!(!reader.has_ended() && writer.end() && reader.has_ended());
        // The writer is woken for a quarter of the ring.
        write(&writer, &vec![0; RING_LEN]);
        writer.wait();
        assert_eq!(reader.read(&mut vec![0; ROOM_MIN - 1]).unwrap(), (ROOM_MIN - 1, false));
        assert!(!writer.has_room());
        assert_eq!(reader.read(&mut [0; 1]).unwrap(), (1, true));
        assert!(writer.has_room());
    }

    #[test]
    fn two_threads_that_sleep_and_wake_pass_all_bytes() {
        let map = shared();
        let ((reader, _), (_, writer)) = (ends(&map, true), ends(&map, false));
        let (bell, heard) = std::sync::mpsc::channel();
        let (room, got_room) = std::sync::mpsc::channel();
        let total = 20 << 20;
        let writes = move || {
            let mut at = 0;
            while at < total {
                let len = (at * 7 % 50_000 + 1).min(total - at);
                let bytes: Vec<u8> = (at..at + len).map(byte).collect();
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let (went, wake) = writer.write(&[IoSlice::new(rest)]).unwrap();
                    rest = &rest[went..];
                    if wake {
                        bell.send(()).unwrap();
                    }
                    if went == 0 {
                        writer.wait();
                        if !writer.has_room() {
                            got_room
                                .recv_timeout(std::time::Duration::from_secs(20))
                                .expect("a wake-up was lost");
                        }
                    }
                }
                at += len;
            }
        };
        let thread = thread::spawn(writes);
        let (mut at, mut into) = (0, vec![0; 30_000]);
        while at < total {
            let (came, wake) = reader.read(&mut into).unwrap();
            assert!((at..at + came).map(byte).eq(into[..came].iter().copied()), "at {at}");
            at += came;
            if wake {
                // The writer may be through by now.
                let _ = room.send(());
            }
            if came == 0 {
                reader.wait();
                if !reader.has_news() {
                    heard.recv_timeout(std::time::Duration::from_secs(20)).expect("a wake-up was lost");
                }
            }
        }
        thread.join().unwrap();
    }

    #[test]
    fn positions_that_cannot_be_are_errors_and_no_places() {
        let lies = [RING_LEN as u64 + 1, u64::MAX - 2 * RING_LEN as u64, u64::MAX / 2, 1 << 63];
        for lie in lies {
            let map = shared();
            let ((reader, writer), (_, other)) = (ends(&map, true), ends(&map, false));
            write(&other, b"bytes");
            map.word(WORDS_AT + HEAD).store(lie, Ordering::Relaxed);
            assert!(reader.has_news(), "so that somebody reads, and sees");
            assert_eq!(reader.read(&mut [0; 10]).unwrap_err().kind(), io::ErrorKind::InvalidData);
            map.word(WORDS_AT + WORDS_LEN + TAIL).store(lie, Ordering::Relaxed);
            assert!(writer.has_room());
            assert_eq!(writer.write(&[IoSlice::new(b"x")]).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
        // What goes back is one as well.
        let map = shared();
        let ((reader, _), (_, other)) = (ends(&map, true), ends(&map, false));
        write(&other, b"bytes");
        reader.read(&mut [0; 5]).unwrap();
        map.word(WORDS_AT + HEAD).store(2, Ordering::Relaxed);
        assert!(reader.read(&mut [0; 10]).is_err());
    }
}
