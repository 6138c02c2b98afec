//! Which clusters of a device are free. Pure.

use super::table::Run;
use std::collections::{BTreeMap, BTreeSet};

/// The free clusters.
#[derive(Debug, Default)]
pub(super) struct Clusters {
    /// Free runs by their first cluster; no two touch.
    by_start: BTreeMap<u32, u32>,
    /// The same by length.
    by_len: BTreeSet<(u32, u32)>,
    count: u64,
}

impl Clusters {
    /// All that these runs, of which no two overlap, leave of so many.
    pub(super) fn without(clusters: u32, used: impl Iterator<Item = Run>) -> Self {
        let mut used: Vec<Run> = used.collect();
        used.sort_by_key(|run| run.start);
        let mut free = Self::default();
        let mut at = 0;
        for run in used {
            if run.start > at {
                free.insert(Run { start: at, count: run.start - at });
            }
            at = run.end();
        }
        if at < clusters {
            free.insert(Run { start: at, count: clusters - at });
        }
        free
    }

    /// How many are free.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Takes clusters, those behind `after` first if they are free; else the shortest run that suffices, else the longest ones.
    /// `None` where there are not so many.
    pub(super) fn take(&mut self, count: u64, after: Option<u32>) -> Option<Vec<Run>> {
        if count > self.count {
            return None;
        }
        let mut left = count as u32;
        let mut runs = Vec::new();
        if let Some(start) = after
            && let Some(&len) = self.by_start.get(&start)
            && left > 0
        {
            runs.push(self.cut(start, len, left.min(len)));
            left -= left.min(len);
        }
        while left > 0 {
            let fitting = self.by_len.range((left, 0)..).next().or(self.by_len.last());
            let &(len, start) = fitting?;
            runs.push(self.cut(start, len, left.min(len)));
            left -= left.min(len);
        }
        Some(runs)
    }

    fn cut(&mut self, start: u32, len: u32, count: u32) -> Run {
        self.remove(start, len);
        if len > count {
            self.insert(Run { start: start + count, count: len - count });
        }
        Run { start, count }
    }

    /// Gives clusters back.
    pub(super) fn give_all(&mut self, runs: Vec<Run>) {
        for run in runs {
            self.give(run);
        }
    }

    /// Gives clusters back.
    pub(super) fn give(&mut self, run: Run) {
        let (mut start, mut end) = (run.start, run.end());
        if let Some((&before, &len)) = self.by_start.range(..start).next_back()
            && before + len == start
        {
            self.remove(before, len);
            start = before;
        }
        if let Some(&len) = self.by_start.get(&end) {
            self.remove(end, len);
            end += len;
        }
        self.insert(Run { start, count: end - start });
    }

    fn insert(&mut self, run: Run) {
        self.count += u64::from(run.count);
        self.by_start.insert(run.start, run.count);
        self.by_len.insert((run.count, run.start));
    }

    fn remove(&mut self, start: u32, len: u32) {
        self.count -= u64::from(len);
        self.by_start.remove(&start);
        self.by_len.remove(&(len, start));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_cluster_is_given_twice_and_all_come_back(
            steps in proptest::collection::vec((1..40_u64, any::<bool>(), any::<usize>()), 1..200)
        ) {
            let first = Run { start: 10, count: 5 };
            let mut free = Clusters::without(300, std::iter::once(first));
            let mut held = vec![vec![first]];
            for (count, gives, which) in steps {
                if gives && !held.is_empty() {
                    let at = which % held.len();
                    held.swap_remove(at).into_iter().for_each(|run| free.give(run));
                } else {
                    let before = free.count();
                    let after = held.last().and_then(|runs| runs.last()).map(|run| run.end());
                    let taken = free.take(count, after);
                    prop_assert_eq!(taken.is_some(), count <= before);
                    if let Some(runs) = taken {
                        prop_assert_eq!(runs.iter().map(|run| u64::from(run.count)).sum::<u64>(), count);
                        held.push(runs);
                    }
                }
                let mut used = [false; 300];
                for run in held.iter().flatten() {
                    for cluster in run.start..run.end() {
                        prop_assert!(!std::mem::replace(&mut used[cluster as usize], true));
                    }
                }
                prop_assert_eq!(free.count() as usize, used.iter().filter(|used| !**used).count());
            }
            held.into_iter().flatten().for_each(|run| free.give(run));
            prop_assert_eq!(free.take(300, None), Some(vec![Run { start: 0, count: 300 }]));
        }
    }

    #[test]
    fn a_file_goes_on_where_it_ends_if_that_is_free() {
        let mut free =
            Clusters::without(100, [Run { start: 0, count: 10 }, Run { start: 12, count: 1 }].into_iter());
        assert_eq!(
            free.take(5, Some(10)),
            Some(vec![Run { start: 10, count: 2 }, Run { start: 13, count: 3 }])
        );
        assert_eq!(free.take(0, Some(16)), Some(vec![]));
    }
}
