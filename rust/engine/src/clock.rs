//! The engine's hybrid clock: every epoch it gives is later than all before.

use daos_locks::Mutex;
use daos_types::{Epoch, Hlc};
use std::sync::Arc;

/// Where wall-clock time comes from.
pub trait WallClock: Send + Sync + std::fmt::Debug {
    /// Nanoseconds since the Unix epoch; may jump.
    fn unix_ns(&self) -> u64;
}

/// A hybrid clock that threads share.
#[derive(Debug)]
pub struct HybridClock {
    hlc: Mutex<Hlc>,
    wall: Arc<dyn WallClock>,
}

impl HybridClock {
    /// A clock that goes on behind `floor`: after a restart, the store's epoch ceiling.
    pub fn new(wall: Arc<dyn WallClock>, floor: Epoch) -> Self {
        Self { hlc: Mutex::new(Hlc::new(floor)), wall }
    }

    /// The next epoch.
    pub fn next(&self) -> Epoch {
        self.hlc.lock().next(self.wall.unix_ns())
    }

    /// Takes note of an epoch from elsewhere: later ones are after it.
    pub fn observe(&self, seen: Epoch) {
        self.hlc.lock().observe(seen);
    }
}
