//! What a mount was asked, by operation: how often, and how long the answers took.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Operations that are told apart, by the kernel's numbers; the others count as number 0, which nobody has.
pub(crate) const OPERATIONS: usize = 64;

/// Requests of one operation.
#[derive(Debug, Default)]
struct Kind {
    count: AtomicU64,
    nanoseconds: AtomicU64,
}

/// Requests of a mount, since it began.
#[derive(Debug)]
pub(crate) struct Tally {
    kinds: [Kind; OPERATIONS],
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self { kinds: std::array::from_fn(|_| Kind::default()) }
    }

    /// Takes note of an answer.
    pub(crate) fn add(&self, operation: u32, took: Duration) {
        let place = usize::try_from(operation).ok().filter(|place| *place < OPERATIONS).unwrap_or(0);
        if let Some(kind) = self.kinds.get(place) {
            kind.count.fetch_add(1, Ordering::Relaxed);
            kind.nanoseconds.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    }

    /// Requests of each operation, and nanoseconds that the answers took.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u64, u64)> {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        self.kinds.iter().map(move |kind| (read(&kind.count), read(&kind.nanoseconds)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_operation_counts_for_itself_and_unknown_ones_together() {
        let tally = Tally::new();
        let us = Duration::from_micros;
        for (operation, took) in
            [(3, us(2)), (3, us(5)), (63, us(1)), (64, us(7)), (u32::MAX, us(1)), (0, us(1))]
        {
            tally.add(operation, took);
        }
        let all: Vec<_> = tally.all().collect();
        assert_eq!((all.len(), all[3], all[63], all[0]), (OPERATIONS, (2, 7000), (1, 1000), (3, 9000)));
        assert_eq!(all.iter().map(|(count, _)| count).sum::<u64>(), 6);
    }
}
