//! Which extent each record of a range comes from: the newest that holds it. Pure.

use super::geometry::INDEX_END;
use crate::entry::Change;
use daos_types::Version;
use std::collections::BTreeMap;

/// So many gaps are gone through one by one.
const FEW: usize = 16;

/// Which records an extent is about, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) index: u64,
    /// Records of a block.
    pub(crate) count: u64,
    pub(crate) blocks: u64,
    pub(crate) stride: u64,
    pub(crate) version: Version,
    /// It takes records away.
    pub(crate) is_hole: bool,
}

/// Records that are still to be found: from `index` to `end`, and where their place is among all that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) index: u64,
    pub(crate) end: u64,
    /// Records asked for before these.
    pub(crate) at: u64,
}

/// Records found in one extent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Which extent; `None` where they are a hole.
    pub(crate) span: Option<usize>,
    /// The first record in the array.
    pub(crate) index: u64,
    /// How many.
    pub(crate) count: u64,
    /// Records asked for before these.
    pub(crate) at: u64,
    /// Records of the extent before these.
    pub(crate) from: u64,
}

impl Span {
    /// Of an entry whose key says `index`; `None` for what is no extent, or ends behind the last record.
    pub(crate) fn of(change: Change<'_>, index: u64, version: Version) -> Option<Self> {
        let (count, blocks, stride) = match change {
            Change::Records { count, .. } => (count.into(), 1, 0),
            Change::Strided { count, blocks, stride, .. } => (count.into(), blocks.into(), stride.into()),
            Change::Hole(count) => (count, 1, 0),
            _ => return None,
        };
        let is_hole = matches!(change, Change::Hole(_));
        let span = Self { index, count, blocks, stride, version, is_hole };
        index.checked_add(span.reach()).is_some_and(|end| end <= INDEX_END).then_some(span)
    }

    /// Records from the first to the last.
    pub(crate) fn reach(&self) -> u64 {
        (self.blocks - 1) * self.stride + self.count
    }

    /// Behind the last record.
    pub(crate) fn end(&self) -> u64 {
        self.index + self.reach()
    }

    /// Whether all from the first record of the other to its last are its own.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.blocks == 1 && self.index <= other.index && other.end() <= self.end()
    }

    /// Whether the stretches from the first record to the last meet.
    pub(crate) fn touches(&self, other: &Self) -> bool {
        self.index < other.end() && other.index < self.end()
    }

    /// Takes out of a gap what it holds; what is left goes to `left`.
    fn cut(&self, mut gap: Gap, which: usize, segments: &mut Vec<Segment>, left: &mut dyn FnMut(Gap)) {
        let mut block = gap.index.saturating_sub(self.index).checked_div(self.stride).unwrap_or(0);
        while block < self.blocks && gap.index < gap.end {
            let begin = self.index + block * self.stride;
            if begin >= gap.end {
                break;
            }
            let (index, end) = (begin.max(gap.index), (begin + self.count).min(gap.end));
            if index < end {
                if gap.index < index {
                    left(Gap { end: index, ..gap });
                }
                let at = gap.at + (index - gap.index);
                let from = block * self.count + (index - begin);
                let span = (!self.is_hole).then_some(which);
                segments.push(Segment { span, index, count: end - index, at, from });
                gap = Gap { index: end, end: gap.end, at: at + (end - index) };
            }
            block += 1;
        }
        if gap.index < gap.end {
            left(gap);
        }
    }
}

/// Finds the records of the gaps, which ascend, in the spans, of which the newest comes first. Those that nothing holds come
/// last, as holes.
pub(crate) fn paint<'a>(
    newest_first: impl Iterator<Item = &'a Span>,
    gaps: &[Gap],
    segments: &mut Vec<Segment>,
) {
    let mut newest_first = newest_first.enumerate().peekable();
    // Nearly always the newest has all.
    if let ([gap], Some((which, first))) = (gaps, newest_first.peek())
        && first.blocks == 1
        && first.index <= gap.index
        && first.end() >= gap.end
    {
        first.cut(*gap, *which, segments, &mut |_| {});
        return;
    }
    // Few gaps are gone through, for each span.
    let (mut few, mut left) = (Vec::with_capacity(FEW.min(gaps.len() + 4)), Vec::new());
    if gaps.len() <= FEW {
        few.extend_from_slice(gaps);
        while few.len() <= FEW
            && let Some((which, span)) = newest_first.next()
        {
            if few.is_empty() {
                return;
            }
            for gap in few.drain(..) {
                if gap.index < span.end() && span.index < gap.end {
                    span.cut(gap, which, segments, &mut |gap| left.push(gap));
                } else {
                    left.push(gap);
                }
            }
            std::mem::swap(&mut few, &mut left);
        }
    }
    let gaps = if gaps.len() <= FEW { &few } else { gaps };
    let hole = |Gap { index, end, at }: Gap| Segment { span: None, index, count: end - index, at, from: 0 };
    if newest_first.peek().is_none() {
        segments.extend(gaps.iter().copied().map(hole));
        return;
    }
    let mut open: BTreeMap<u64, Gap> = gaps.iter().map(|gap| (gap.index, *gap)).collect();
    let mut reached = Vec::new();
    for (which, span) in newest_first {
        if open.is_empty() {
            return;
        }
        // The gap before may reach into the span.
        let before = open.range(..span.index).next_back().filter(|(_, gap)| gap.end > span.index);
        let from = before.map_or(span.index, |(index, _)| *index);
        reached.extend(open.range(from..span.end()).map(|(_, gap)| *gap));
        for gap in reached.drain(..) {
            open.remove(&gap.index);
            span.cut(gap, which, segments, &mut |left| {
                open.insert(left.index, left);
            });
        }
    }
    segments.extend(open.into_values().map(hole));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn span() -> impl Strategy<Value = Span> {
        (0..60_u64, 1..20_u64, 1..6_u64, 0..9_u64, any::<bool>()).prop_map(
            |(index, count, blocks, gap, is_hole)| {
                let stride = if blocks > 1 { count + 1 + gap } else { 0 };
                Span { index, count, blocks, stride, version: Version::default(), is_hole }
            },
        )
    }

    proptest! {
        #[test]
        fn each_record_comes_from_the_newest_span_that_holds_it(
            spans in proptest::collection::vec(span(), 0..8),
            gaps in proptest::collection::vec((0..20_u64, 1..30_u64), 1..5),
        ) {
            let expected = |record: u64| {
                spans.iter().enumerate().find_map(|(which, span)| {
                    (0..span.blocks).find_map(|block| {
                        let from = span.index + block * span.stride;
                        (from..from + span.count)
                            .contains(&record)
                            .then(|| (!span.is_hole).then_some((which, block * span.count + record - from)))
                    })
                }).flatten()
            };
            let (mut index, mut at) = (0, 0);
            let mut wanted = Vec::new();
            for (gap, count) in gaps {
                index += gap;
                wanted.push(Gap { index, end: index + count, at });
                index += count;
                at += count;
            }
            let mut segments = Vec::new();
            paint(spans.iter(), &wanted, &mut segments);
            let mut found = vec![0; at as usize];
            for segment in segments {
                for step in 0..segment.count {
                    let place = segment.at + step;
                    found[place as usize] += 1;
                    let holds = |gap: &&Gap| (gap.at..gap.at + gap.end - gap.index).contains(&place);
                    let gap = wanted.iter().find(holds).unwrap();
                    prop_assert_eq!(segment.index + step, gap.index + place - gap.at);
                    let holds = segment.span.map(|span| (span, segment.from + step));
                    prop_assert_eq!(holds, expected(segment.index + step));
                }
            }
            prop_assert!(found.iter().all(|times| *times == 1));
        }
    }
}
