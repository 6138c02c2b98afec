//! What a range of an array is made of: the extents that overlap it, the newest on top.

use super::geometry::{CLASS_FAR, Geometry, INDEX_END};
use crate::data::Stored;
use crate::entry::{Change, Entry, Payload};
use crate::error::{Result, VosError};
use crate::key::{self, KeyBuf};
use crate::levels::Merge;
use crate::node::At;
use daos_types::{Extent, Version};
use std::collections::BTreeMap;
use std::ops::Range;

/// A visible extent.
#[derive(Debug)]
pub(crate) struct Piece {
    index: u64,
    count: u64,
    blocks: u64,
    stride: u64,
    version: Version,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Hole,
    /// Bytes, or the reference to them, in [`Pieces::bytes`].
    Inline(Range<usize>),
    Stored(Range<usize>),
}

impl Piece {
    fn end(&self) -> u64 {
        self.index + (self.blocks - 1) * self.stride + self.count
    }

    /// Takes out of a gap what the piece holds; what is left goes to `left`.
    fn cut(
        &self,
        mut gap: Gap,
        holds: Option<usize>,
        segments: &mut Vec<Segment>,
        left: &mut dyn FnMut(Gap),
    ) {
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
                segments.push(Segment { piece: holds, index, count: end - index, at, from });
                gap = Gap { index: end, end: gap.end, at: at + (end - index) };
            }
            block += 1;
        }
        if gap.index < gap.end {
            left(gap);
        }
    }

    /// Whether all records of the other are its own.
    fn covers(&self, other: &Self) -> bool {
        self.blocks == 1 && self.index <= other.index && other.end() <= self.end()
    }
}

/// The extents that overlap a range, and their bytes.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    pieces: Vec<Piece>,
    bytes: Vec<u8>,
}

/// Records that are still to be found: from `index` to `end`, and where their place is among all that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) index: u64,
    pub(crate) end: u64,
    /// Records asked for before these.
    pub(crate) at: u64,
}

/// Records found in one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Which piece; `None` where they are a hole.
    pub(crate) piece: Option<usize>,
    /// The first record in the array.
    pub(crate) index: u64,
    /// How many.
    pub(crate) count: u64,
    /// Records asked for before these.
    pub(crate) at: u64,
    /// Records of the piece before these.
    pub(crate) from: u64,
}

/// Where a piece has its bytes.
pub(crate) enum Bytes<'a> {
    Inline(&'a [u8]),
    Stored(Stored<'a>),
}

impl Pieces {
    /// Collects what is visible of the array below `node` and overlaps the records of `range`.
    pub(crate) fn collect(
        &mut self,
        merge: &mut Merge<'_>,
        node: &KeyBuf,
        at: At<'_>,
        floor: Version,
        rec_size: u64,
        range: Range<u64>,
    ) -> Result<()> {
        self.pieces.clear();
        self.bytes.clear();
        let geometry = Geometry::of(rec_size);
        let mut extents = node.clone();
        extents.extents();
        let prefix = extents.mark();
        let mut class = 0;
        extents.extent(class, geometry.begins_at(class, range.start));
        let mut on = merge.seek(extents.as_slice())?;
        while on && merge.key().starts_with(&extents.as_slice()[..prefix]) {
            let (found, index, version) = key::parse_extent(&merge.key()[prefix..]).ok_or_else(wrong)?;
            if found > CLASS_FAR {
                return Err(wrong());
            }
            if found != class {
                // Nothing of the classes between: on to where this one begins.
                class = found;
                let begins = geometry.begins_at(class, range.start);
                if index < begins {
                    extents.truncate(prefix);
                    extents.extent(class, begins);
                    on = merge.seek(extents.as_slice())?;
                    continue;
                }
            }
            if index >= range.end {
                if class == CLASS_FAR {
                    break;
                }
                class += 1;
                extents.truncate(prefix);
                extents.extent(class, geometry.begins_at(class, range.start));
                on = merge.seek(extents.as_slice())?;
                continue;
            }
            if version > floor && version <= at.version {
                let entry = Entry::decode(merge.value())?;
                self.take(entry, at, (class, index, version), rec_size, &range)?;
            }
            on = merge.step()?;
        }
        // The newest first: it hides the others.
        self.pieces.sort_by_key(|piece| std::cmp::Reverse(piece.version));
        Ok(())
    }

    fn take(
        &mut self,
        entry: Entry<'_>,
        at: At<'_>,
        (class, index, version): (u8, u64, Version),
        rec_size: u64,
        range: &Range<u64>,
    ) -> Result<()> {
        let (count, blocks, stride) = match entry.change {
            Change::Records { count, .. } => (count.into(), 1, 0),
            Change::Strided { count, blocks, stride, .. } => (count.into(), blocks.into(), stride.into()),
            Change::Hole(count) => (count, 1, 0),
            _ => return Err(wrong()),
        };
        let mut piece = Piece { index, count, blocks, stride, version, content: Content::Hole };
        // One that reaches further than its class says would be missed by who looks from behind it.
        let (geometry, span) = (Geometry::of(rec_size), (blocks - 1) * stride + count);
        let sound = index.checked_add(span).is_some_and(|end| end <= INDEX_END)
            && (class == CLASS_FAR || geometry.begins_at(class, index + span - 1) <= index);
        if !sound {
            return Err(wrong());
        }
        // Versions of one index come newest first: what the last one covers need not be looked at.
        let hidden = self.pieces.last().is_some_and(|last| last.version > version && last.covers(&piece));
        if piece.end() <= range.start || hidden || !at.counts(entry.dtx)? {
            return Ok(());
        }
        if let Some(payload) = entry.change.payload() {
            if payload.len() as u64 != rec_size * count * blocks {
                return Err(VosError::Corrupt {
                    why: format!("an extent with records of another size than its array's {rec_size}"),
                });
            }
            let from = self.bytes.len();
            piece.content = match payload {
                Payload::Inline(bytes) => {
                    self.bytes.extend_from_slice(bytes);
                    Content::Inline(from..self.bytes.len())
                }
                Payload::Stored(stored) => {
                    stored.encode(&mut self.bytes);
                    Content::Stored(from..self.bytes.len())
                }
            };
        }
        self.pieces.push(piece);
        Ok(())
    }

    /// Finds the records of the gaps, which ascend; those that nothing holds come last, as holes.
    pub(crate) fn fill(&self, gaps: &[Gap], segments: &mut Vec<Segment>) {
        let mut open: BTreeMap<u64, Gap> = gaps.iter().map(|gap| (gap.index, *gap)).collect();
        let mut reached = Vec::new();
        for (which, piece) in self.pieces.iter().enumerate() {
            if open.is_empty() {
                return;
            }
            let holds = (!matches!(piece.content, Content::Hole)).then_some(which);
            // The gap before may reach into the piece.
            let before = open.range(..piece.index).next_back().filter(|(_, gap)| gap.end > piece.index);
            let from = before.map_or(piece.index, |(index, _)| *index);
            reached.extend(open.range(from..piece.end()).map(|(_, gap)| *gap));
            for gap in reached.drain(..) {
                open.remove(&gap.index);
                piece.cut(gap, holds, segments, &mut |left| {
                    open.insert(left.index, left);
                });
            }
        }
        segments.extend(open.into_values().map(|Gap { index, end, at }| Segment {
            piece: None,
            index,
            count: end - index,
            at,
            from: 0,
        }));
    }

    /// The greatest or least visible stretch of records of the array; `None` where all are holes.
    pub(crate) fn extreme(
        &mut self,
        merge: &mut Merge<'_>,
        node: &KeyBuf,
        at: At<'_>,
        floor: Version,
        rec_size: u64,
        greatest: bool,
    ) -> Result<Option<Extent>> {
        let chunk = Geometry::of(rec_size).chunk();
        // Chunk after chunk that holds any extent, until one shows a record. A hole alone shows none: class 3 need not be asked.
        let mut bound = if greatest { INDEX_END } else { 0 };
        let mut segments = Vec::new();
        while let Some(index) = nearest(merge, node, bound, greatest)? {
            let begin = index / chunk * chunk;
            let gap = Gap { index: begin, end: begin + chunk, at: 0 };
            self.collect(merge, node, at, floor, rec_size, gap.index..gap.end)?;
            segments.clear();
            self.fill(&[gap], &mut segments);
            let visible = segments.iter().filter(|segment| segment.piece.is_some());
            let extents = visible.map(|segment| Extent { index: segment.index, count: segment.count });
            let found = if greatest { extents.max() } else { extents.min() };
            if found.is_some() {
                return Ok(found);
            }
            bound = if greatest { gap.index } else { gap.end };
        }
        Ok(None)
    }

    /// The bytes of a piece.
    pub(crate) fn bytes_of(&self, piece: usize) -> Result<Bytes<'_>> {
        let bytes = |range: &Range<usize>| self.bytes.get(range.clone()).unwrap_or_default();
        match self.pieces.get(piece).map(|piece| &piece.content) {
            Some(Content::Inline(range)) => Ok(Bytes::Inline(bytes(range))),
            Some(Content::Stored(range)) => Stored::parse(bytes(range)).map(Bytes::Stored).ok_or_else(wrong),
            _ => Err(wrong()),
        }
    }
}

/// The greatest index below `bound` at which an extent of records begins, or the least from it on.
fn nearest(merge: &mut Merge<'_>, node: &KeyBuf, bound: u64, greatest: bool) -> Result<Option<u64>> {
    let mut best = None;
    for class in 0..CLASS_FAR {
        let mut key = node.clone();
        key.extents();
        let prefix = key.mark();
        key.extent(class, bound);
        let on = if greatest { merge.seek_before(key.as_slice())? } else { merge.seek(key.as_slice())? };
        if !on || !merge.key().starts_with(&key.as_slice()[..=prefix]) {
            continue;
        }
        let (_, index, _) = key::parse_extent(&merge.key()[prefix..]).ok_or_else(wrong)?;
        let better = best.is_none_or(|best| if greatest { index > best } else { index < best });
        best = if better { Some(index) } else { best };
    }
    Ok(best)
}

fn wrong() -> VosError {
    VosError::Corrupt { why: "an extent of an array has no known form".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use daos_types::Epoch;
    use proptest::prelude::*;

    fn piece() -> impl Strategy<Value = Piece> {
        (0..60_u64, 1..20_u64, 1..6_u64, 0..9_u64, any::<bool>()).prop_map(
            |(index, count, blocks, gap, is_hole)| {
                let stride = if blocks > 1 { count + 1 + gap } else { 0 };
                let content = if is_hole { Content::Hole } else { Content::Inline(0..0) };
                Piece { index, count, blocks, stride, version: Version::default(), content }
            },
        )
    }

    proptest! {
        #[test]
        fn each_record_comes_from_the_newest_piece_that_holds_it(
            list in proptest::collection::vec(piece(), 0..8),
            gaps in proptest::collection::vec((0..20_u64, 1..30_u64), 1..5),
        ) {
            let mut pieces = Pieces::default();
            for (at, piece) in list.into_iter().enumerate() {
                pieces.pieces.push(Piece { version: Version::new(Epoch(100 - at as u64), 1), ..piece });
            }
            // The newest comes first: the first piece that holds a record has it.
            let expected = |record: u64| {
                pieces.pieces.iter().enumerate().find_map(|(which, piece)| {
                    (0..piece.blocks).find_map(|block| {
                        let from = piece.index + block * piece.stride;
                        (from..from + piece.count).contains(&record).then(|| {
                            let hole = matches!(piece.content, Content::Hole);
                            if hole { None } else { Some((which, block * piece.count + record - from)) }
                        })
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
            pieces.fill(&wanted, &mut segments);
            let mut found = vec![0; at as usize];
            for segment in segments {
                for step in 0..segment.count {
                    let place = segment.at + step;
                    found[place as usize] += 1;
                    let gap = wanted.iter().find(|gap| (gap.at..gap.at + gap.end - gap.index).contains(&place)).unwrap();
                    prop_assert_eq!(segment.index + step, gap.index + place - gap.at);
                    let holds = segment.piece.map(|piece| (piece, segment.from + step));
                    prop_assert_eq!(holds, expected(segment.index + step));
                }
            }
            prop_assert!(found.iter().all(|times| *times == 1));
        }
    }
}
