//! Which requests the extents of an array become. Pure.

use daos_types::Extent;
use std::ops::Range;

/// Bytes of one request: so much a target takes at once, whatever the size of a chunk.
const RUN_BYTES_MAX: u64 = 1 << 20;
/// Extents that are planned at a time: 4 MiB of them, however long a list is.
const BATCH_EXTENTS_MAX: usize = 256 << 10;

/// Cuts extents of an array into requests, a batch at a time.
#[derive(Debug)]
pub(crate) struct Plan<I> {
    extents: I,
    /// What is left of an extent that was cut.
    rest: Option<Extent>,
    /// The place in the caller's buffer.
    at: usize,
    cell_size: u64,
    chunk_size: u64,
}

/// Requests, in the order of the caller's buffer.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Records inside their chunks.
    pub(crate) recxs: Vec<Extent>,
    /// The requests.
    pub(crate) runs: Vec<Run>,
}

/// One request: ascending records of one chunk, which lie together in the caller's buffer.
#[derive(Debug)]
pub(crate) struct Run {
    /// The chunk.
    pub(crate) chunk: u64,
    /// Which records of the batch.
    pub(crate) recxs: Range<usize>,
    /// Where they are in the caller's buffer.
    pub(crate) bytes: Range<usize>,
}

impl<I: Iterator<Item = Extent>> Plan<I> {
    /// A plan for extents that are checked: none is empty or runs past the last cell.
    pub(crate) fn new(extents: I, cell_size: u64, chunk_size: u64) -> Self {
        Self { extents, rest: None, at: 0, cell_size, chunk_size }
    }

    /// The next part of an extent that lies in one chunk and fits one request: the chunk, and the records in it.
    fn next_piece(&mut self) -> Option<(u64, Extent)> {
        let extent = self.rest.take().or_else(|| self.extents.next())?;
        let index = extent.index % self.chunk_size;
        let fit = (RUN_BYTES_MAX / self.cell_size).max(1);
        let count = extent.count.min(self.chunk_size - index).min(fit);
        self.rest = Extent::new(extent.index + count, extent.count - count);
        Some((extent.index / self.chunk_size, Extent { index, count }))
    }

    /// The next requests; `None` at the end.
    pub(crate) fn next_batch(&mut self) -> Option<Batch> {
        let mut batch = Batch::default();
        while batch.recxs.len() < BATCH_EXTENTS_MAX
            && let Some((chunk, recx)) = self.next_piece()
        {
            let end = self.at + (recx.count * self.cell_size) as usize;
            let behind = batch.recxs.last().is_some_and(|last| recx.index >= last.end());
            batch.recxs.push(recx);
            match batch.runs.last_mut() {
                Some(run)
                    if run.chunk == chunk && behind && (end - run.bytes.start) as u64 <= RUN_BYTES_MAX =>
                {
                    run.recxs.end = batch.recxs.len();
                    run.bytes.end = end;
                }
                _ => {
                    let recxs = batch.recxs.len() - 1..batch.recxs.len();
                    batch.runs.push(Run { chunk, recxs, bytes: self.at..end });
                }
            }
            self.at = end;
        }
        (!batch.runs.is_empty()).then_some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Chunk, records in it, place in the buffer.
    type Planned = (u64, Vec<(u64, u64)>, Range<usize>);

    fn planned(extents: &[(u64, u64)], cell_size: u64, chunk_size: u64) -> Vec<Planned> {
        let extents = extents.iter().map(|(index, count)| Extent { index: *index, count: *count });
        let mut plan = Plan::new(extents, cell_size, chunk_size);
        let mut found = Vec::new();
        while let Some(batch) = plan.next_batch() {
            for run in &batch.runs {
                let recxs = batch.recxs[run.recxs.clone()].iter().map(|recx| (recx.index, recx.count));
                found.push((run.chunk, recxs.collect(), run.bytes.clone()));
            }
        }
        found
    }

    #[test]
    fn a_long_extent_is_cut_at_chunks() {
        let expected = vec![(0, vec![(8, 2)], 0..4), (1, vec![(0, 10)], 4..24), (2, vec![(0, 1)], 24..26)];
        assert_eq!(planned(&[(8, 13)], 2, 10), expected);
    }

    #[test]
    fn a_list_is_one_request_a_chunk_as_long_as_it_ascends() {
        let list = [(1, 1), (3, 2), (9, 2), (12, 1), (11, 1), (2, 1)];
        let expected = vec![
            (0, vec![(1, 1), (3, 2), (9, 1)], 0..4),
            (1, vec![(0, 1), (2, 1)], 4..6),
            (1, vec![(1, 1)], 6..7),
            (0, vec![(2, 1)], 7..8),
        ];
        assert_eq!(planned(&list, 1, 10), expected);
    }

    #[test]
    fn a_request_has_a_bound_whatever_the_chunk() {
        let mib = 1 << 20;
        let sizes: Vec<usize> =
            planned(&[(5, 3 * mib)], 1, u64::MAX >> 1).iter().map(|(.., bytes)| bytes.len()).collect();
        assert_eq!(sizes, [1 << 20; 3]);
        let sizes: Vec<usize> = planned(&[(0, 4)], mib, 4).iter().map(|(.., bytes)| bytes.len()).collect();
        assert_eq!(sizes, [1 << 20; 4]);
    }

    #[test]
    fn a_list_without_end_is_planned_in_batches() {
        let extents = (0..300_000).map(|index| Extent { index: 2 * index, count: 1 });
        let mut plan = Plan::new(extents, 1, 1 << 20);
        let lengths: Vec<usize> =
            std::iter::from_fn(|| plan.next_batch()).map(|batch| batch.recxs.len()).collect();
        assert_eq!(lengths, [256 << 10, 300_000 - (256 << 10)]);
    }
}
