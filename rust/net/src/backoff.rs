//! When to try to connect again. Pure: time and chance are arguments.

use crate::Moment;
use std::time::Duration;

/// Milliseconds after the first failure, at most.
const FIRST_MS: u64 = 10;
/// Milliseconds after any failure, at most.
const LAST_MS: u64 = 5_000;

/// How often it failed, and until when not to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backoff {
    failures: u32,
    until: Moment,
}

impl Backoff {
    /// When it may be tried again.
    pub fn until(&self) -> Moment {
        self.until
    }

    /// It failed; the next attempt waits twice as long as this one did, of that by chance a half to the whole, and no less than the
    /// server asked for.
    pub fn failed(&mut self, now: Moment, asked_ms: u32, chance: u64) {
        let whole = (FIRST_MS << self.failures.min(20)).min(LAST_MS);
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
                let whole = (10 << nth.min(9)).min(5_000);
                let wait = backoff.until().since(now).as_millis();
                assert!((whole / 2..=whole).contains(&wait), "{nth}: {wait} of {whole}");
            }
            backoff.worked();
            assert_eq!(backoff, Backoff::default());
        }
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
