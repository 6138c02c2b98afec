//! When to try to connect again. Pure: time and chance are arguments.

use crate::Moment;
use std::time::Duration;

/// Milliseconds after the first failure, at most.
const FIRST_MS: u64 = 10;
/// Milliseconds after any failure, at most.
const LAST_MS: u64 = 5_000;
/// Milliseconds after a failure, at most, of what has not been away for long.
const SOON_MS: u64 = 1_000;
/// What has been away for longer is tried after this part of that time: who waits for it finds it back soon after it is.
const PART_OF_AWAY: u64 = 8;

/// How often it failed, since when, and until when not to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backoff {
    failures: u32,
    since: Moment,
    until: Moment,
}

impl Backoff {
    /// When it may be tried again.
    pub fn until(&self) -> Moment {
        self.until
    }

    /// It failed; the next attempt waits twice as long as this one did, of that by chance a half to the whole, and no less than the
    /// server asked for. It waits no longer than a second, or than a part of the time that it has failed for.
    pub fn failed(&mut self, now: Moment, asked_ms: u32, chance: u64) {
        if self.failures == 0 {
            self.since = now;
        }
        let away_ms = u64::try_from(now.since(self.since).as_millis()).unwrap_or(u64::MAX);
        let most = (away_ms / PART_OF_AWAY).clamp(SOON_MS, LAST_MS);
        let whole = (FIRST_MS << self.failures.min(20)).min(most);
        let wait = whole / 2 + chance % (whole - whole / 2 + 1);
        self.failures = self.failures.saturating_add(1);
        self.until = now.after(Duration::from_millis(wait.max(u64::from(asked_ms).min(LAST_MS))));
    }

    /// It worked.
    pub fn worked(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_differ() {
        for chance in [0, 1, u64::MAX, 12_345_678_901] {
            let (mut backoff, now) = (Backoff::default(), Moment(1_000_000));
            assert_eq!(backoff.until(), Moment(0));
            for nth in 0..40_u32 {
                backoff.failed(now, 0, chance);
                let whole = (10 << nth.min(9)).min(1_000);
                let wait = backoff.until().since(now).as_millis();
                assert!((whole / 2..=whole).contains(&wait), "{nth}: {wait} of {whole}");
            }
            backoff.worked();
            assert_eq!(backoff, Backoff::default());
        }
    }

    #[test]
    fn what_comes_back_is_found_within_a_second_or_a_part_of_the_time_that_it_was_away() {
        let begun = Moment(7_000_000);
        let (mut backoff, mut now, mut attempts) = (Backoff::default(), begun, 0);
        while now < begun.after_ms(600_000) {
            backoff.failed(now, 0, u64::MAX);
            let (away, wait) = (now.since(begun), backoff.until().since(now));
            let most = (away / 8).clamp(Duration::from_secs(1), Duration::from_secs(5));
            assert!(wait <= most, "{wait:?} after {away:?}");
            (now, attempts) = (backoff.until(), attempts + 1);
        }
        // Of what stays away nobody is a burden all the same.
        assert!((120..300).contains(&attempts), "{attempts} attempts in ten minutes");
        // What has been there counts anew.
        backoff.worked();
        backoff.failed(now, 0, 0);
        assert!(backoff.until().since(now) <= Duration::from_millis(10));
    }

    #[test]
    fn a_server_may_ask_for_more_time_but_not_for_any() {
        let (mut backoff, now) = (Backoff::default(), Moment(0));
        backoff.failed(now, 400, 0);
        assert_eq!(backoff.until(), now.after_ms(400));
        backoff.failed(now, u32::MAX, 0);
        assert_eq!(backoff.until(), now.after_ms(5_000));
    }
}
