//! Scrubbing of pools: what was set, when something is read, and what was found. `docs/internals/scrub.md`.

mod board;
mod row;
mod scrubber;

pub(crate) use board::Board;
pub(crate) use row::{encode_settings, settings_name};
pub(crate) use scrubber::Scrubber;

use daos_types::ScrubSettings;
use std::time::Duration;

/// What a complete pass came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// Passes so far, this one included.
    pub(crate) passes: u64,
    pub(crate) began_s: u64,
    pub(crate) ended_s: u64,
    pub(crate) bytes: u64,
    pub(crate) corruptions: u64,
    /// At most [`FOUND_MAX`].
    pub(crate) found: Vec<String>,
}

/// Corruptions that are told one by one.
pub(crate) const FOUND_MAX: usize = 64;
/// Bytes of what is told of one.
pub(crate) const FOUND_LEN_MAX: usize = 512;

impl Findings {
    /// Counts a corruption, and keeps what there is to tell of it if it is among the first.
    pub(crate) fn add(&mut self, mut what: String) {
        self.corruptions += 1;
        if self.found.len() < FOUND_MAX {
            if what.len() > FOUND_LEN_MAX {
                let end = (0..=FOUND_LEN_MAX).rev().find(|at| what.is_char_boundary(*at));
                what.truncate(end.unwrap_or_default());
            }
            self.found.push(what);
        }
    }

    /// When a pass is to begin after this one.
    fn next_s(&self, settings: ScrubSettings) -> u64 {
        if self.passes == 0 { 0 } else { self.began_s.saturating_add(settings.freq_s.into()) }
    }

    /// Whether a pass is to begin now. A begin that lies ahead was told by a clock that was wrong.
    pub(crate) fn is_due(&self, settings: ScrubSettings, now_s: u64) -> bool {
        now_s >= self.next_s(settings) || now_s < self.began_s
    }
}

/// Whether a timed pass has read less than it should have by now.
fn is_behind(read: u64, total: u64, since: Duration, freq_s: u32) -> bool {
    let freq = Duration::from_secs(freq_s.into());
    since >= freq || u128::from(read) * freq.as_millis() < u128::from(total) * since.as_millis()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timed_pass_is_spread_over_its_time() {
        let behind = |read, millis| is_behind(read, 1_000, Duration::from_millis(millis), 10);
        assert!(!behind(0, 0));
        assert!(behind(0, 10) && behind(499, 5_000));
        assert!(!behind(500, 5_000) && !behind(2_000, 9_999));
        // More than was foreseen, or late: on to the end.
        assert!(behind(2_000, 10_000));
        assert!(is_behind(5, 0, Duration::ZERO, 0));
        // A year of a full device.
        assert!(!is_behind(1 << 59, 1 << 60, Duration::from_secs(15_000_000), 31_536_000));
    }

    #[test]
    fn passes_begin_a_time_after_each_other() {
        let settings = ScrubSettings { freq_s: 100, ..ScrubSettings::default() };
        let none = Findings::default();
        assert!(none.is_due(settings, 5));
        let last = Findings { passes: 3, began_s: 1_000, ended_s: 1_090, ..Findings::default() };
        assert!(!last.is_due(settings, 1_000) && !last.is_due(settings, 1_099));
        assert!(last.is_due(settings, 1_100));
        assert!(last.is_due(settings, 999), "the clock went back");
        assert!(last.is_due(ScrubSettings { freq_s: 0, ..settings }, 1_000));
    }

    #[test]
    fn what_is_told_is_bounded_and_all_is_counted() {
        let mut findings = Findings::default();
        for _ in 0..FOUND_MAX + 10 {
            findings.add("é".repeat(FOUND_LEN_MAX));
        }
        assert_eq!(findings.corruptions, FOUND_MAX as u64 + 10);
        assert_eq!(findings.found, vec!["é".repeat(FOUND_LEN_MAX / 2); FOUND_MAX]);
    }
}
