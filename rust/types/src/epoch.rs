//! Epochs: hybrid logical clock stamps that order every version of every value.
//!
//! Source: DAOS's hybrid logical clock: 64 bits in units of 1/16 ns since 2021-01-01T00:00:00Z, of which the low
//! 18 bits are logical.

use core::fmt;

/// Nanoseconds from the Unix epoch to the first HLC tick, 2021-01-01T00:00:00Z.
const HLC_START_NS: u64 = 1_609_459_200 * 1_000_000_000;
/// The low bits that count events inside one physical tick.
const LOGICAL_MASK: u64 = 0x3_FFFF;

/// A point in a container's history. Larger is later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Epoch(pub u64);

impl Epoch {
    /// Before everything: no write carries it.
    pub const ZERO: Self = Self(0);
    /// After everything: a read at it sees the newest versions.
    pub const MAX: Self = Self(u64::MAX);

    /// The epoch of a wall-clock time, in nanoseconds since the Unix epoch; times before 2021 give zero.
    pub const fn from_unix_ns(ns: u64) -> Self {
        Self((ns.saturating_sub(HLC_START_NS) << 4) & !LOGICAL_MASK)
    }

    /// The wall-clock time it stands for, in nanoseconds since the Unix epoch.
    pub const fn unix_ns(self) -> u64 {
        ((self.0 & !LOGICAL_MASK) >> 4) + HLC_START_NS
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// An epoch and the place of one change among those of the same transaction: what orders versions in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Version {
    /// The epoch of the operation or transaction.
    pub epoch: Epoch,
    /// The change's place inside its transaction, from 1; `u16::MAX` in a read means "after all of it".
    pub minor: u16,
}

impl Version {
    /// The version of a read that sees everything up to and including `epoch`.
    pub const fn read_at(epoch: Epoch) -> Self {
        Self { epoch, minor: u16::MAX }
    }

    /// The version of a change at `epoch`, the `minor`-th of its transaction.
    pub const fn new(epoch: Epoch, minor: u16) -> Self {
        Self { epoch, minor }
    }
}

/// A hybrid logical clock: follows the wall clock, never goes back, never gives the same stamp twice.
///
/// It is pure: the wall clock is an argument.
#[derive(Debug, Clone)]
pub struct Hlc {
    last: u64,
}

impl Hlc {
    /// A clock that will only give stamps later than `floor` (after a restart: the durable epoch ceiling).
    pub const fn new(floor: Epoch) -> Self {
        Self { last: floor.0 }
    }

    /// The next stamp: the wall clock's, or the successor of the last one if the wall clock lags.
    pub fn next(&mut self, unix_ns: u64) -> Epoch {
        let wall = Epoch::from_unix_ns(unix_ns).0;
        self.last = wall.max(self.last.saturating_add(1));
        Epoch(self.last)
    }

    /// Takes note of a stamp from elsewhere: later stamps are after it.
    pub fn observe(&mut self, seen: Epoch) {
        self.last = self.last.max(seen.0);
    }

    /// The last stamp given or seen.
    pub const fn last(&self) -> Epoch {
        Epoch(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_survives_the_round_trip_to_within_a_tick() {
        let ns = 1_795_000_000_123_456_789;
        let back = Epoch::from_unix_ns(ns).unix_ns();
        assert!(ns - back < (LOGICAL_MASK + 1) >> 4);
    }

    #[test]
    fn the_clock_never_goes_back_nor_repeats() {
        let mut hlc = Hlc::new(Epoch::ZERO);
        let first = hlc.next(1_795_000_000_000_000_000);
        let second = hlc.next(1_794_000_000_000_000_000);
        assert!(second > first);
        hlc.observe(Epoch(second.0 + 1_000));
        assert!(hlc.next(0).0 > second.0 + 1_000);
    }
}
