//! Time as the state machines see it: an argument.

use std::time::Duration;

/// A point in the time of one process or simulation, in microseconds from some start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(pub u64);

impl Moment {
    /// Never.
    pub const MAX: Self = Self(u64::MAX);

    /// So long after it; never, where that is further than can be told.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX)))
    }

    /// So many milliseconds after it.
    #[must_use]
    pub fn after_ms(self, ms: u32) -> Self {
        self.after(Duration::from_millis(u64::from(ms)))
    }

    /// What is left until it, nothing where it has come.
    pub fn since(self, now: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(now.0))
    }
}
