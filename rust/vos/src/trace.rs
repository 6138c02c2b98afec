//! What an answer was made of, as a digest: two reads that were answered from the same versions have the same.
//!
//! A transaction keeps one for each read. Versions stand for what they hold, so that nothing has to be read again from the
//! data file to see that it is the same; the transaction's own changes stand for themselves by their place in it.

use daos_types::{Epoch, Version};

/// Bytes that are collected before they are folded into the digest.
const BUFFER_MAX: usize = 64 << 10;

/// A digest under construction.
#[derive(Debug)]
pub struct Trace {
    /// The epoch of the transaction's own changes.
    own: Epoch,
    /// Only the digest is wanted, not the answer.
    pub(crate) is_probe: bool,
    folded: u128,
    buffer: Vec<u8>,
}

impl Trace {
    /// Of a read by a transaction whose own changes carry this epoch.
    pub fn new(own: Epoch) -> Self {
        Self { own, is_probe: false, folded: 0, buffer: Vec::new() }
    }

    /// The same, where the answer itself is not wanted: buffers may be empty, and nothing is read from the data file.
    pub fn probe(own: Epoch) -> Self {
        Self { is_probe: true, ..Self::new(own) }
    }

    /// Takes note of a number.
    pub fn number(&mut self, number: u64) {
        self.buffer.extend_from_slice(&number.to_le_bytes());
        if self.buffer.len() >= BUFFER_MAX {
            self.fold();
        }
    }

    /// Takes note of bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        self.number(bytes.len() as u64);
    }

    /// Takes note of a version that was found.
    pub(crate) fn version(&mut self, version: Version) {
        let epoch = if version.epoch == self.own { Epoch::MAX } else { version.epoch };
        self.number(epoch.0);
        self.number(version.minor.into());
    }

    /// Takes note that there was nothing.
    pub(crate) fn nothing(&mut self) {
        self.number(0);
    }

    fn fold(&mut self) {
        self.buffer.extend_from_slice(&self.folded.to_le_bytes());
        self.folded = twox_hash::XxHash3_128::oneshot(&self.buffer);
        self.buffer.clear();
    }

    /// The digest.
    pub fn finish(mut self) -> u128 {
        self.fold();
        self.folded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(own: u64, note: impl FnOnce(&mut Trace)) -> u128 {
        let mut trace = Trace::new(Epoch(own));
        note(&mut trace);
        trace.finish()
    }

    #[test]
    fn own_changes_are_told_by_their_place_and_others_by_their_epoch() {
        let seen = |own, epoch, minor| of(own, |trace| trace.version(Version::new(Epoch(epoch), minor)));
        assert_eq!(seen(7, 7, 3), seen(9, 9, 3));
        assert_ne!(seen(7, 7, 3), seen(9, 9, 4));
        assert_eq!(seen(7, 5, 1), seen(9, 5, 1));
        assert_ne!(seen(7, 5, 1), seen(7, 6, 1));
        assert_ne!(seen(7, 7, 1), seen(9, 7, 1));
        assert_ne!(seen(7, 5, 1), of(7, Trace::nothing));
    }

    #[test]
    fn long_answers_are_folded_and_every_byte_counts() {
        let keys = |last: u8| {
            of(1, |trace| {
                for _ in 0..3000 {
                    trace.bytes(&[5; 40]);
                }
                trace.bytes(&[last]);
            })
        };
        assert_eq!(keys(1), keys(1));
        assert_ne!(keys(1), keys(2));
        assert_ne!(
            of(1, |trace| trace.bytes(b"ab")),
            of(1, |trace| (trace.bytes(b"a"), trace.bytes(b"b")).0)
        );
    }
}
