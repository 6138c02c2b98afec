//! Who sleeps over a channel, each over a bell of his own: only who has something to do is woken.

use crate::caller::{Caller, Cost};
use daos_locks::Condvar;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What somebody sleeps for.
#[derive(Debug, Clone, Copy)]
pub(super) enum For {
    /// The reply to a request, or to be the one who reads.
    Reply(u64),
    /// A place in the window, and that nobody else writes. The number is his place in the line.
    Turn(u64, Cost),
}

/// All who sleep. Who is woken is none of them any more.
#[derive(Debug, Default)]
pub(super) struct Sleepers {
    replies: BTreeMap<u64, Arc<Condvar>>,
    turns: BTreeMap<u64, (Cost, Arc<Condvar>)>,
}

impl Sleepers {
    /// One more; over what he sleeps.
    pub(super) fn add(&mut self, what: For) -> Arc<Condvar> {
        let bell = Arc::new(Condvar::new());
        match what {
            For::Reply(request) => drop(self.replies.insert(request, Arc::clone(&bell))),
            For::Turn(place, cost) => drop(self.turns.insert(place, (cost, Arc::clone(&bell)))),
        }
        bell
    }

    /// Who woke up, for whatever reason; whether nobody woke him.
    pub(super) fn remove(&mut self, what: For) -> bool {
        match what {
            For::Reply(request) => self.replies.remove(&request).is_some(),
            For::Turn(place, _) => self.turns.remove(&place).is_some(),
        }
    }

    /// Wakes who waits for this reply.
    pub(super) fn wake(&mut self, request: u64) {
        if let Some(bell) = self.replies.remove(&request) {
            bell.notify_one();
        }
    }

    /// Wakes all whose requests were given up.
    pub(super) fn wake_given_up(&mut self, caller: &Caller) {
        self.replies.retain(|request, bell| {
            let waits = caller.waits(*request);
            if !waits {
                bell.notify_one();
            }
            waits
        });
    }

    /// Wakes one to read for all: who will wait longest, as far as one can tell, so that the reading changes
    /// hands seldom. Whether there is one.
    pub(super) fn wake_reader(&mut self) -> bool {
        let last = self.replies.pop_last().map(|(_, bell)| bell);
        let one = last.or_else(|| self.turns.pop_first().map(|(_, (_, bell))| bell));
        if let Some(bell) = &one {
            bell.notify_one();
        }
        one.is_some()
    }

    /// Wakes the first of those who may send now. The next one is woken when he has sent. Whether there is one.
    pub(super) fn wake_sender(&mut self, caller: &Caller) -> bool {
        let first = self.turns.iter().find(|(_, (cost, _))| caller.has_room(*cost)).map(|(place, _)| *place);
        let one = first.and_then(|place| self.turns.remove(&place));
        if let Some((_, bell)) = &one {
            bell.notify_one();
        }
        one.is_some()
    }

    pub(super) fn wake_all(&mut self) {
        for bell in std::mem::take(&mut self.replies).into_values() {
            bell.notify_one();
        }
        for (_, bell) in std::mem::take(&mut self.turns).into_values() {
            bell.notify_one();
        }
    }
}
