//! Which epochs a reader sees of a container that was rolled back: pure. `docs/internals/rollback.md` tells the whole.

use daos_types::Epoch;

/// Rollbacks that a container may stand on.
pub(crate) const ROLLBACKS_MAX: usize = 1024;

/// Bytes of one in its row.
const LEN: usize = 16;

/// At an epoch the container went back to what it was at another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rollback {
    at: Epoch,
    to: Epoch,
}

/// Epochs that a reader passes over: those after the first up to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    after: Epoch,
    up_to: Epoch,
}

impl Stretch {
    /// Whether it has an epoch.
    pub(crate) fn has(self, epoch: Epoch) -> bool {
        epoch > self.after && epoch <= self.up_to
    }
}

/// The rollbacks of a container, in the order in which they were made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rollbacks(Vec<Rollback>);

impl Rollbacks {
    /// Reads a row; `None` for anything else.
    pub(crate) fn decode(row: &[u8]) -> Option<Self> {
        let (rows, rest) = row.as_chunks::<LEN>();
        let mut rollbacks: Vec<Rollback> = Vec::with_capacity(rows.len());
        for row in rows {
            let (at, to) = row.split_at(LEN / 2);
            let epoch = |bytes: &[u8]| bytes.try_into().ok().map(|bytes| Epoch(u64::from_le_bytes(bytes)));
            let next = Rollback { at: epoch(at)?, to: epoch(to)? };
            if next.to >= next.at || rollbacks.last().is_some_and(|last| last.at >= next.at) {
                return None;
            }
            rollbacks.push(next);
        }
        rest.is_empty().then_some(Self(rollbacks))
    }

    /// The row.
    pub(crate) fn encode(&self) -> Vec<u8> {
        self.0.iter().flat_map(|one| [one.at.0.to_le_bytes(), one.to.0.to_le_bytes()]).flatten().collect()
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// When the newest was made.
    pub(crate) fn newest(&self) -> Epoch {
        self.0.last().map_or(Epoch::ZERO, |one| one.at)
    }

    /// The rollbacks on the branch of a reader at an epoch, newest first.
    fn branch(&self, epoch: Epoch) -> impl Iterator<Item = &Rollback> {
        let mut rest = self.0.as_slice();
        let mut from = epoch;
        std::iter::from_fn(move || {
            let count = rest.partition_point(|one| one.at <= from);
            let (next, before) = rest.get(..count)?.split_last()?;
            (rest, from) = (before, next.to);
            Some(next)
        })
    }

    /// What a reader at an epoch passes over, newest first.
    pub(crate) fn hidden(&self, epoch: Epoch) -> Vec<Stretch> {
        self.branch(epoch).map(|one| Stretch { after: one.to, up_to: one.at }).collect()
    }

    /// What the rollbacks hide, in the order in which they were made.
    pub(crate) fn stretches(&self) -> impl Iterator<Item = Stretch> {
        self.0.iter().map(|one| Stretch { after: one.to, up_to: one.at })
    }

    /// Where the rollbacks made after an epoch went back to.
    pub(crate) fn origins_after(&self, epoch: Epoch) -> impl Iterator<Item = Epoch> {
        self.0.iter().filter(move |one| one.at > epoch).map(|one| one.to)
    }

    /// Goes back once more, and forgets those that no reader passes: `readers` beside the present.
    pub(crate) fn add(&mut self, at: Epoch, to: Epoch, readers: &[Epoch]) {
        self.0.push(Rollback { at, to });
        let mut passed: Vec<Rollback> =
            readers.iter().chain([&Epoch::MAX]).flat_map(|reader| self.branch(*reader)).copied().collect();
        passed.sort_unstable();
        passed.dedup();
        self.0 = passed;
    }

    /// Forgets those made up to an epoch whose stretch is empty. Where others were made in a stretch, its own end hides them too: it stays as long as they do.
    pub(crate) fn forget_empty(&mut self, up_to: Epoch, is_empty: impl Fn(Stretch) -> bool) {
        let all = self.0.clone();
        self.0.retain(|one| {
            let stretch = Stretch { after: one.to, up_to: one.at };
            one.at > up_to
                || !is_empty(stretch)
                || all.iter().any(|other| other != one && stretch.has(other.at))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(rollbacks: &[(u64, u64)]) -> Rollbacks {
        Rollbacks(rollbacks.iter().map(|(at, to)| Rollback { at: Epoch(*at), to: Epoch(*to) }).collect())
    }

    fn seen(rollbacks: &Rollbacks, reader: u64) -> Vec<u64> {
        let hidden = rollbacks.hidden(Epoch(reader));
        (1..=reader).filter(|epoch| !hidden.iter().any(|stretch| stretch.has(Epoch(*epoch)))).collect()
    }

    #[test]
    fn a_reader_sees_its_branch_down_to_the_root() {
        let rollbacks = made(&[(5, 2), (8, 6), (11, 4)]);
        assert_eq!(seen(&rollbacks, 4), [1, 2, 3, 4]);
        assert_eq!(seen(&rollbacks, 5), [1, 2]);
        assert_eq!(seen(&rollbacks, 7), [1, 2, 6, 7]);
        assert_eq!(seen(&rollbacks, 10), [1, 2, 6, 9, 10]);
        assert_eq!(seen(&rollbacks, 12), [1, 2, 3, 4, 12], "back on a branch that had been left");
        assert_eq!(rollbacks.newest(), Epoch(11));
        assert_eq!(rollbacks.origins_after(Epoch(7)).collect::<Vec<_>>(), [Epoch(6), Epoch(4)]);
    }

    #[test]
    fn readers_of_one_epoch_see_the_same_before_it() {
        let rollbacks = made(&[(5, 2), (8, 6), (11, 4), (14, 9)]);
        for (one, other) in (1..16).flat_map(|one| (1..16).map(move |other| (one, other))) {
            let (one, other) = (seen(&rollbacks, one), seen(&rollbacks, other));
            if let Some(common) = one.iter().rev().find(|epoch| other.contains(epoch)) {
                let up_to =
                    |seen: &[u64]| seen.iter().copied().filter(|epoch| epoch <= common).collect::<Vec<_>>();
                assert_eq!(up_to(&one), up_to(&other));
            }
        }
    }

    #[test]
    fn what_nobody_passes_is_forgotten() {
        let mut rollbacks = made(&[(5, 2), (8, 6)]);
        rollbacks.add(Epoch(11), Epoch(4), &[]);
        assert_eq!(rollbacks, made(&[(11, 4)]));
        let mut rollbacks = made(&[(5, 2), (8, 6)]);
        rollbacks.add(Epoch(11), Epoch(4), &[Epoch(7)]);
        assert_eq!(rollbacks, made(&[(5, 2), (11, 4)]));
        rollbacks.forget_empty(Epoch(10), |stretch| stretch.has(Epoch(3)));
        assert_eq!(rollbacks, made(&[(11, 4)]), "one that is newer than what was looked at stays");
        rollbacks.forget_empty(Epoch(11), |_| false);
        assert_eq!(rollbacks.len(), 1);
        rollbacks.forget_empty(Epoch(11), |_| true);
        assert!(rollbacks.is_empty());
        let mut rollbacks = made(&[(4, 1), (5, 2)]);
        rollbacks.forget_empty(Epoch(5), |stretch| stretch.has(Epoch(3)) && !stretch.has(Epoch(2)));
        assert_eq!(
            seen(&rollbacks, 9),
            [1, 2, 6, 7, 8, 9],
            "a rollback inside of the stretch must not come forth"
        );
    }

    #[test]
    fn rows_come_back_and_others_are_refused() {
        let rollbacks = made(&[(5, 2), (8, 6)]);
        assert_eq!(Rollbacks::decode(&rollbacks.encode()), Some(rollbacks));
        assert_eq!(Rollbacks::decode(&[]), Some(Rollbacks::default()));
        assert_eq!(Rollbacks::decode(&[0; 15]), None);
        for wrong in [made(&[(5, 5)]), made(&[(8, 6), (8, 2)])] {
            assert_eq!(Rollbacks::decode(&wrong.encode()), None);
        }
    }
}
