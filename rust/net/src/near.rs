//! The nearer way to a server: where it is, and when to look for it. Pure. `docs/internals/network.md`, "The nearer way".

use crate::Moment;
use daos_types::Rank;
use std::time::Duration;

/// Of an address that stands in no file system: the kernel keeps it, for one network namespace, as long as somebody listens there.
pub(crate) const NAMELESS: char = '@';
/// For connecting and the first words: who listens on this machine and does not answer by then is too busy to be the nearer one.
pub(crate) const WAIT_MAX: Duration = Duration::from_millis(250);
/// Milliseconds after the first failure.
const FIRST_MS: u32 = 1_000;
/// Milliseconds after any failure.
const LAST_MS: u32 = 60_000;

/// Connections of a target by shared memory, each of 516 KiB of the server's; more are told `BUSY`.
pub const CONNECTIONS_MAX: usize = 256;

/// Where a target of an engine is served nearby. The incarnation makes it another after each start of the engine.
pub fn address(system: &str, rank: Rank, incarnation: u64, target: u32) -> String {
    format!("{NAMELESS}daos/{system}/{}/{incarnation:016x}/{target}", rank.0)
}

/// Until when not to look for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Patience {
    until: Moment,
    failures: u32,
}

impl Patience {
    /// Whether it may be looked for.
    pub(crate) fn is_over(&self, now: Moment) -> bool {
        now >= self.until
    }

    /// It was not there, or ended: the next look is after a second, two, four, up to a minute.
    pub(crate) fn failed(&mut self, now: Moment) {
        let pause_ms = FIRST_MS.saturating_mul(1 << self.failures.min(16)).min(LAST_MS);
        self.failures = self.failures.saturating_add(1);
        self.until = now.after_ms(pause_ms);
    }

    /// It was there.
    pub(crate) fn worked(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_rarer_each_time_up_to_a_bound() {
        let (mut patience, mut now) = (Patience::default(), Moment(5));
        assert!(patience.is_over(now));
        let mut pauses = Vec::new();
        for _ in 0..40 {
            patience.failed(now);
            assert!(!patience.is_over(now));
            pauses.push(patience.until.since(now).as_secs());
            now = patience.until;
            assert!(patience.is_over(now));
        }
        assert_eq!(pauses[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pauses[39], 60);
        patience.worked();
        patience.failed(now);
        assert_eq!(patience.until, now.after_ms(1_000));
    }

    #[test]
    fn the_longest_address_fits_a_socket_and_each_has_its_own() {
        let longest = address(&"s".repeat(15), Rank(u32::MAX), u64::MAX, u32::MAX);
        assert!(longest.len() <= 107, "{longest}");
        let first = address("daos", Rank(1), 1, 1);
        for other in
            [address("daos2", Rank(1), 1, 1), address("daos", Rank(2), 1, 1), address("daos", Rank(1), 2, 1)]
        {
            assert_ne!(first, other);
        }
        assert_ne!(first, address("daos", Rank(1), 1, 2));
    }
}
