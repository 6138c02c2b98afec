//! Scrubbing of pools: what is set, and what was found.

use alloc::string::String;
use alloc::vec::Vec;

/// When a pool is scrubbed. The numbers are DAOS's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ScrubMode {
    /// Never.
    #[default]
    Off = 0,
    /// While nobody else works.
    Lazy = 1,
    /// Evenly, one pass in the time that is set.
    Timed = 2,
}

impl ScrubMode {
    /// The mode of a number.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Off, Self::Lazy, Self::Timed].into_iter().find(|mode| *mode as u8 == number)
    }
}

/// The scrubber's properties of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScrubSettings {
    /// When.
    pub mode: ScrubMode,
    /// Seconds from the begin of a pass to the begin of the next.
    pub freq_s: u32,
    /// So many corruptions, and the pool's status says that it is over its threshold; 0 is never.
    pub thresh: u32,
}

impl Default for ScrubSettings {
    fn default() -> Self {
        Self { mode: ScrubMode::Off, freq_s: 604_800, thresh: 0 }
    }
}

/// What is to change of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScrubChange {
    /// Another mode.
    pub mode: Option<ScrubMode>,
    /// Another time.
    pub freq_s: Option<u32>,
    /// Another threshold.
    pub thresh: Option<u32>,
}

impl ScrubSettings {
    /// The settings with a change.
    #[must_use]
    pub fn with(self, change: ScrubChange) -> Self {
        Self {
            mode: change.mode.unwrap_or(self.mode),
            freq_s: change.freq_s.unwrap_or(self.freq_s),
            thresh: change.thresh.unwrap_or(self.thresh),
        }
    }
}

/// What the scrubber has to tell about a pool. Times are seconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScrubStatus {
    /// What is set.
    pub settings: ScrubSettings,
    /// A pass is under way.
    pub is_running: bool,
    /// Passes that came to their end.
    pub passes: u64,
    /// Bytes that the pass under way has read, or else the last one.
    pub bytes: u64,
    /// What the last pass and the one under way found wrong.
    pub corruptions: u64,
    /// The first of them, for people.
    pub found: Vec<String>,
    /// When the last pass ended.
    pub ended_s: Option<u64>,
    /// When the next one begins; `None` where none will, or one is under way.
    pub next_s: Option<u64>,
}
