//! What is known of each descriptor of the process. No locks: a signal, another thread or a child of `vfork` may come at any moment.
//!
//! What is noted is a guess. A descriptor may have been closed and be another file's by a way that nobody saw, so who uses what is
//! noted of a file that was taken over compares device and number of the file first ([`Seen`]).

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Descriptors that are looked after; those of higher numbers are the kernel's.
const DESCRIPTORS_MAX: usize = 1 << 16;

const KIND_UNKNOWN: u64 = 0;
const KIND_OTHER: u64 = 1;
const KIND_ASIDE: u64 = 2;
const KIND_TAKEN: u64 = 3;
const KIND_BITS: u64 = 0b11;
/// What is added to tell one note from the next.
const TURN: u64 = 4;

/// What is known of a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// Nothing: it has to be looked at.
    Unknown,
    /// It is the kernel's.
    Other,
    /// It is a file of a mount that can be taken over, after so many more requests.
    Aside { after: u32, refused: u32 },
    /// The doors have it.
    Taken(Seen),
}

/// A file that was taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Its number at the doors.
    pub(crate) handle: u64,
    /// By which it is known again: its number in its file system, and the device.
    pub(crate) ino: u64,
    pub(crate) device: (u32, u32),
}

/// What is noted of one descriptor: its kind and a turn in one word, by which who reads the rest sees that it is of one time.
#[derive(Debug)]
struct Slot {
    kind: AtomicU64,
    first: AtomicU64,
    ino: AtomicU64,
    major: AtomicU32,
    minor: AtomicU32,
}

static SLOTS: [Slot; DESCRIPTORS_MAX] = [const {
    Slot {
        kind: AtomicU64::new(0),
        first: AtomicU64::new(0),
        ino: AtomicU64::new(0),
        major: AtomicU32::new(0),
        minor: AtomicU32::new(0),
    }
}; DESCRIPTORS_MAX];

fn slot(descriptor: i32) -> Option<&'static Slot> {
    SLOTS.get(usize::try_from(descriptor).ok()?)
}

/// What is known of a descriptor.
pub(crate) fn known(descriptor: i32) -> Known {
    let Some(slot) = slot(descriptor) else { return Known::Other };
    let before = slot.kind.load(Ordering::Acquire);
    match before & KIND_BITS {
        KIND_UNKNOWN => return Known::Unknown,
        KIND_OTHER => return Known::Other,
        _ => {}
    }
    let (first, ino) = (slot.first.load(Ordering::Acquire), slot.ino.load(Ordering::Acquire));
    let device = (slot.major.load(Ordering::Acquire), slot.minor.load(Ordering::Acquire));
    if slot.kind.load(Ordering::Acquire) != before {
        // Somebody notes something else: this time the kernel.
        return Known::Other;
    }
    if before & KIND_BITS == KIND_TAKEN {
        Known::Taken(Seen { handle: first, ino, device })
    } else {
        Known::Aside { after: first as u32, refused: (first >> 32) as u32 }
    }
}

/// Notes what is known of a descriptor.
pub(crate) fn note(descriptor: i32, known: Known) {
    let Some(slot) = slot(descriptor) else { return };
    let before = slot.kind.load(Ordering::Acquire);
    let turn = (before & !KIND_BITS).wrapping_add(TURN);
    let (kind, first, seen) = match known {
        Known::Unknown => (KIND_UNKNOWN, 0, None),
        Known::Other => (KIND_OTHER, 0, None),
        Known::Aside { after, refused } => (KIND_ASIDE, u64::from(after) | u64::from(refused) << 32, None),
        Known::Taken(seen) => (KIND_TAKEN, seen.handle, Some(seen)),
    };
    // One notes at a time; who comes second leaves it, as what is noted is a guess.
    if slot.kind.compare_exchange(before, turn | KIND_OTHER, Ordering::AcqRel, Ordering::Acquire).is_err() {
        return;
    }
    slot.first.store(first, Ordering::Release);
    if let Some(seen) = seen {
        slot.ino.store(seen.ino, Ordering::Release);
        slot.major.store(seen.device.0, Ordering::Release);
        slot.minor.store(seen.device.1, Ordering::Release);
    }
    let _ = slot.kind.compare_exchange(
        turn | KIND_OTHER,
        turn.wrapping_add(TURN) | kind,
        Ordering::AcqRel,
        Ordering::Acquire,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_is_known() {
        let seen = Seen { handle: u64::MAX - 1, ino: 77, device: (0, 45) };
        for what in
            [Known::Aside { after: 3, refused: u32::MAX }, Known::Taken(seen), Known::Other, Known::Unknown]
        {
            note(60_001, what);
            assert_eq!(known(60_001), what);
        }
        assert_eq!(known(60_002), Known::Unknown);
        for beyond in [-1, 1 << 16, i32::MAX] {
            note(beyond, Known::Taken(seen));
            assert_eq!(known(beyond), Known::Other);
        }
    }

    #[test]
    fn what_is_read_is_of_one_time() {
        let note_of =
            |turn: u64| Known::Taken(Seen { handle: turn, ino: turn, device: (turn as u32, turn as u32) });
        std::thread::scope(|scope| {
            for thread in 0..3_u64 {
                scope.spawn(move || {
                    for turn in 0..50_000 {
                        note(60_003, note_of(turn * 3 + thread));
                    }
                });
            }
            for _ in 0..100_000 {
                if let Known::Taken(seen) = known(60_003) {
                    assert_eq!(
                        seen,
                        Seen { handle: seen.ino, ino: seen.ino, device: (seen.ino as u32, seen.ino as u32) }
                    );
                }
            }
        });
    }
}
