//! Which blocks of a data file are free. In memory only: what is used is what entries name.

use super::stored::Run;
use std::collections::{BTreeMap, BTreeSet};

/// The free blocks of a file.
#[derive(Debug, Default)]
pub(crate) struct Space {
    /// Free runs by their first block; no two touch.
    free: BTreeMap<u64, u64>,
    /// The same by length.
    by_len: BTreeSet<(u64, u64)>,
    /// Blocks of all of them.
    free_blocks: u64,
    /// Behind this nothing is used.
    end: u64,
}

impl Space {
    /// A file whose blocks below `end` are all used.
    pub(crate) fn used_up_to(end: u64) -> Self {
        Self { end, ..Self::default() }
    }

    /// Behind this nothing is used.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Free blocks below the end.
    pub(crate) fn free_blocks(&self) -> u64 {
        self.free_blocks
    }

    /// The free runs of at least so many blocks.
    pub(crate) fn free_runs(&self, count_min: u64) -> Vec<Run> {
        let runs = self.by_len.range((count_min, 0)..);
        runs.map(|&(count, block)| Run { block, count }).collect()
    }

    /// Takes blocks: the shortest free run that suffices, else behind the end.
    pub(crate) fn take(&mut self, count: u64) -> Run {
        let found = self.by_len.range((count, 0)..).next().copied();
        let Some((len, block)) = found else {
            let run = Run { block: self.end, count };
            self.end += count;
            return run;
        };
        self.remove(block, len);
        if len > count {
            self.insert(block + count, len - count);
        }
        Run { block, count }
    }

    /// Gives blocks back. Those at the end shorten it.
    pub(crate) fn give(&mut self, run: Run) {
        let (mut block, mut end) = (run.block, run.end());
        if let Some((&before, &len)) = self.free.range(..block).next_back()
            && before + len == block
        {
            self.remove(before, len);
            block = before;
        }
        if let Some(&len) = self.free.get(&end) {
            self.remove(end, len);
            end += len;
        }
        if end == self.end {
            self.end = block;
        } else {
            self.insert(block, end - block);
        }
    }

    fn insert(&mut self, block: u64, len: u64) {
        self.free_blocks += len;
        self.free.insert(block, len);
        self.by_len.insert((len, block));
    }

    fn remove(&mut self, block: u64, len: u64) {
        self.free_blocks -= len;
        self.free.remove(&block);
        self.by_len.remove(&(len, block));
    }
}

/// Which blocks below a file's end entries name, while that is being found out.
#[derive(Debug)]
pub(crate) struct Census {
    words: Vec<u64>,
    end: u64,
}

impl Census {
    pub(crate) fn new(end: u64) -> Self {
        Self { words: vec![0; end.div_ceil(64) as usize], end }
    }

    /// The end of the file when the census began; runs behind it do not concern it.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Notes that an entry names a run; false where another one names some of it, too.
    pub(crate) fn note(&mut self, run: Run) -> bool {
        (run.block..run.end().min(self.end)).all(|block| {
            let (word, bit) = ((block / 64) as usize, 1 << (block % 64));
            let Some(word) = self.words.get_mut(word) else { return false };
            let is_new = *word & bit == 0;
            *word |= bit;
            is_new
        })
    }

    /// The runs that nothing names.
    pub(crate) fn free(&self) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        let mut block = 0;
        while block < self.end {
            let word = self.words.get((block / 64) as usize).copied().unwrap_or(u64::MAX);
            if word == u64::MAX {
                block = (block / 64 + 1) * 64;
                continue;
            }
            if word & (1 << (block % 64)) == 0 {
                match runs.last_mut() {
                    Some(last) if last.end() == block => last.count += 1,
                    _ => runs.push(Run { block, count: 1 }),
                }
            }
            block += 1;
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn no_block_is_given_twice_and_all_come_back(steps in proptest::collection::vec((1..40u64, any::<bool>(), any::<usize>()), 1..200)) {
            let mut space = Space::used_up_to(10);
            let mut held: Vec<Run> = Vec::new();
            for (count, gives, which) in steps {
                if gives && !held.is_empty() {
                    space.give(held.swap_remove(which % held.len()));
                } else {
                    held.push(space.take(count));
                }
                let mut used: BTreeSet<u64> = (0..10).collect();
                for run in &held {
                    for block in run.block..run.end() {
                        prop_assert!(used.insert(block));
                    }
                }
                prop_assert!(used.iter().all(|block| *block < space.end()));
                prop_assert_eq!(space.free_blocks() + used.len() as u64, space.end());
            }
            held.drain(..).for_each(|run| space.give(run));
            prop_assert_eq!((space.end(), space.free_blocks()), (10, 0));
        }

        #[test]
        fn a_census_finds_the_gaps(runs in proptest::collection::vec((0..300u64, 1..70u64), 0..9)) {
            let mut census = Census::new(200);
            let mut used = BTreeSet::new();
            for (block, count) in runs {
                let run = Run { block, count };
                let fresh = (block..run.end()).filter(|block| *block < 200).all(|block| !used.contains(&block));
                prop_assert_eq!(census.note(run), fresh);
                // A conflict ends the noting: what follows is not relied upon.
                if !fresh {
                    return Ok(());
                }
                used.extend((block..run.end()).filter(|block| *block < 200));
            }
            let free: BTreeSet<u64> = census.free().iter().flat_map(|run| run.block..run.end()).collect();
            let expected: BTreeSet<u64> = (0..200).filter(|block| !used.contains(block)).collect();
            prop_assert_eq!(free, expected);
        }
    }

    #[test]
    fn the_shortest_run_that_suffices_is_taken() {
        let mut space = Space::used_up_to(0);
        let runs: Vec<Run> = [5, 1, 3, 1, 9].into_iter().map(|count| space.take(count)).collect();
        for at in [0, 2] {
            space.give(runs[at]);
        }
        assert_eq!(space.take(3), runs[2]);
        assert_eq!(space.take(2), Run { block: 0, count: 2 });
        assert_eq!(space.take(4).block, 19);
    }
}
