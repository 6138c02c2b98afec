//! The epochs at which open transactions read: what is visible at them has to stay.

use crate::fork::Owner;
use daos_locks::Mutex;
use daos_types::{Epoch, limits};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a transaction may take.
const LIFE_MAX: Duration = Duration::from_secs(limits::TX_LIFE_S_MAX);

/// The epochs that are read. Each is unique; with it, when it was opened.
#[derive(Debug, Default)]
pub(crate) struct OpenEpochs(Mutex<BTreeMap<Epoch, Instant>>);

/// An epoch that is read as long as this lives, but not longer than a transaction may take.
#[derive(Debug)]
pub(crate) struct OpenEpoch {
    epochs: Arc<OpenEpochs>,
    owner: Owner,
    epoch: Epoch,
    opened: Instant,
}

impl OpenEpochs {
    /// Takes note of an epoch that this process reads. To be called under the writer's lock under which it was drawn.
    pub(crate) fn open(self: &Arc<Self>, owner: Owner, epoch: Epoch, now: Instant) -> OpenEpoch {
        self.0.lock().insert(epoch, now);
        OpenEpoch { epochs: Arc::clone(self), owner, epoch, opened: now }
    }

    /// The least epoch that is read; what only earlier epochs saw may go. To be called under the writer's lock, and before an
    /// epoch is drawn under the same hold: then none at or before that one comes later.
    pub(crate) fn oldest(&self, now: Instant) -> Option<Epoch> {
        let mut epochs = self.0.lock();
        epochs.retain(|_, opened| now.duration_since(*opened) <= LIFE_MAX);
        epochs.first_key_value().map(|(epoch, _)| *epoch)
    }

    /// All epochs that are read. To be called under the writer's lock.
    pub(crate) fn all(&self) -> Vec<Epoch> {
        self.0.lock().keys().copied().collect()
    }
}

impl OpenEpoch {
    /// The epoch.
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether it has been read for as long as is allowed. To be asked when a read is done: until then it was kept.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.opened) > LIFE_MAX
    }
}

impl Drop for OpenEpoch {
    fn drop(&mut self) {
        // In a forked child somebody who is not there may hold the lock.
        if !self.owner.is_forked() {
            self.epochs.0.lock().remove(&self.epoch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_kept_until_it_is_let_go_or_too_old() {
        let epochs = Arc::new(OpenEpochs::default());
        let begin = Instant::now();
        assert_eq!(epochs.oldest(begin), None);
        let first = epochs.open(Owner::here(), Epoch(5), begin);
        let second = epochs.open(Owner::here(), Epoch(7), begin + LIFE_MAX / 2);
        assert_eq!((first.epoch(), epochs.oldest(begin)), (Epoch(5), Some(Epoch(5))));
        drop(first);
        assert_eq!(epochs.oldest(begin + LIFE_MAX), Some(Epoch(7)));
        assert!(!second.is_over(begin + LIFE_MAX));
        let late = begin + 2 * LIFE_MAX;
        assert!(second.is_over(late));
        assert_eq!(epochs.oldest(late), None, "a transaction that was forgotten keeps nothing for ever");
    }
}
