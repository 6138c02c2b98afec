//! What a replica's storage does with its writes, in the plainest form: the model of the real one.

use daos_consensus::{Saved, Write};

pub fn store(saved: &mut Saved, write: &Write) {
    saved.hard = write.hard;
    if write.clears_log {
        saved.entries.clear();
    }
    if let Some(snapshot) = &write.snapshot {
        saved.snapshot = snapshot.clone();
    }
    if let Some(start) = write.start {
        saved.entries.retain(|entry| entry.index > start.0);
        saved.start = start;
    }
    if let Some(first) = write.entries.first() {
        saved.entries.retain(|entry| entry.index < first.index);
        saved.entries.extend(write.entries.iter().cloned());
    }
}
