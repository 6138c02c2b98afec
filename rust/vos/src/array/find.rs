//! What a range of an array is made of: the extents that overlap it, the newest on top.

use super::geometry::{CLASS_FAR, Geometry, INDEX_END};
use super::paint::{Gap, Segment, Span, paint};
use crate::data::Stored;
use crate::entry::{self, Entry};
use crate::error::{Result, VosError};
use crate::key::{self, KeyBuf};
use crate::levels::Merge;
use crate::node::At;
use daos_types::{ChecksumKind, Extent, Sums, Version};
use std::ops::Range;

/// Records of the first window behind the extent at an array's end.
const WINDOW_MIN: u64 = 64;
/// Extents of an array that are read all at once to find its end.
const FEW: usize = 16;

/// A visible extent.
#[derive(Debug)]
struct Piece {
    span: Span,
    content: Content,
    sums: Option<PieceSums>,
}

/// The sums of an extent, in [`Pieces::bytes`].
#[derive(Debug)]
struct PieceSums {
    kind: ChecksumKind,
    piece: usize,
    bytes: Range<usize>,
}

#[derive(Debug)]
enum Content {
    Hole,
    /// Bytes, or the reference to them, in [`Pieces::bytes`].
    Inline(Range<usize>),
    Stored(Range<usize>),
}

/// The extents that overlap a range, and their bytes.
#[derive(Debug, Default)]
#[allow(clippy::struct_field_names)] // they are pieces
pub(crate) struct Pieces {
    pieces: Vec<Piece>,
    bytes: Vec<u8>,
    /// Only where they are counts.
    is_bare: bool,
}

/// Where a piece has its bytes.
pub(crate) enum Bytes<'a> {
    Inline(&'a [u8]),
    Stored(Stored<'a>),
}

/// Which of the versions that follow show nothing of a range any more: those of an index come newest first, and one may hide all
/// that are older. What was overwritten a thousand times is not looked at a thousand times.
struct Rest {
    /// What is not newer is gone.
    floor: Version,
    /// The greatest version of what covers the whole range: what is older is hidden.
    cover: Version,
    /// Where the older versions show nothing, and how many of them were passed.
    over: Option<(u8, u64)>,
    passed: usize,
}

impl Rest {
    /// Steps that cost about as much as a search.
    const STEPS_MAX: usize = 4;

    fn new(floor: Version) -> Self {
        Self { floor, cover: Version::default(), over: None, passed: 0 }
    }

    /// Whether this version shows nothing, and so none behind it at this index.
    fn is_over(&mut self, class: u8, index: u64, version: Version) -> bool {
        let known = self.over == Some((class, index));
        if !known {
            if version > self.floor && version >= self.cover {
                return false;
            }
            (self.over, self.passed) = (Some((class, index)), 0);
        }
        self.passed += 1;
        true
    }

    /// Whether what is over is better searched behind than stepped through.
    const fn is_long(&self) -> bool {
        self.passed > Self::STEPS_MAX
    }

    /// Takes note of what is visible: an extent of a class that ends at `reach` at most.
    fn saw(&mut self, span: &Span, class: u8, reach: u64, range: &Range<u64>) {
        if span.blocks > 1 || span.end() < range.end.min(reach) {
            return;
        }
        // All that begins where it does, and is older, lies below it.
        (self.over, self.passed) = (Some((class, span.index)), 0);
        if span.index <= range.start && span.end() >= range.end {
            self.cover = self.cover.max(span.version);
        }
    }
}

impl Pieces {
    /// Of which only is asked where they are, not what they hold.
    pub(crate) fn bare() -> Self {
        Self { is_bare: true, ..Self::default() }
    }

    /// Collects what is visible of the array below `node` and overlaps the records of `range`. The walk stands behind the versions of
    /// the node, or somewhere else altogether if it is not `near`.
    #[allow(clippy::too_many_arguments)] // what a read of an array is about
    pub(crate) fn collect(
        &mut self,
        merge: &mut Merge<'_>,
        node: &KeyBuf,
        at: At<'_>,
        floor: Version,
        rec_size: u64,
        range: Range<u64>,
        near: bool,
    ) -> Result<()> {
        self.pieces.clear();
        self.bytes.clear();
        let geometry = Geometry::of(rec_size);
        let mut extents = node.clone();
        extents.extents();
        let prefix = extents.mark();
        let mut class = 0;
        extents.extent(class, geometry.begins_at(class, range.start));
        let from = extents.as_slice();
        let mut on = if near { merge.advance(from)? } else { merge.seek(from)? };
        let mut rest = Rest::new(floor);
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
            if rest.is_over(class, index, version) {
                if rest.is_long() {
                    extents.truncate(prefix);
                    extents.extent(class, index + 1);
                    on = merge.seek(extents.as_slice())?;
                } else {
                    on = merge.step()?;
                }
                continue;
            }
            if version <= at.version {
                let entry = Entry::decode(merge.value())?;
                if let Some(span) = self.take(entry, at, (class, index, version), rec_size, &range)? {
                    rest.saw(&span, class, geometry.ends_at(class, index), &range);
                }
            }
            on = merge.step()?;
        }
        // The newest first: it hides the others.
        self.pieces.sort_by_key(|piece| std::cmp::Reverse(piece.span.version));
        Ok(())
    }

    fn take(
        &mut self,
        entry: Entry<'_>,
        at: At<'_>,
        (class, index, version): (u8, u64, Version),
        rec_size: u64,
        range: &Range<u64>,
    ) -> Result<Option<Span>> {
        let span = Span::of(entry.change, index, version).ok_or_else(wrong)?;
        // One that reaches further than its class says would be missed by who looks from behind it.
        if class != CLASS_FAR && Geometry::of(rec_size).begins_at(class, span.end() - 1) > index {
            return Err(wrong());
        }
        // Versions of one index come newest first: what the last one covers need not be looked at.
        let hidden =
            self.pieces.last().is_some_and(|last| last.span.version > version && last.span.covers(&span));
        if span.end() <= range.start || hidden || !at.counts(version, entry.dtx)? {
            return Ok(None);
        }
        let (mut content, mut sums) = (Content::Hole, None);
        if let Some(payload) = entry.change.payload().filter(|_| !self.is_bare) {
            if payload.len() as u64 != rec_size * span.count * span.blocks {
                return Err(VosError::Corrupt {
                    why: format!("an extent with records of another size than its array's {rec_size}"),
                });
            }
            let from = self.bytes.len();
            content = match payload.content {
                entry::Content::Inline(bytes) => {
                    self.bytes.extend_from_slice(bytes);
                    Content::Inline(from..self.bytes.len())
                }
                entry::Content::Stored(stored) => {
                    stored.encode(&mut self.bytes);
                    Content::Stored(from..self.bytes.len())
                }
            };
            sums = payload.sums.map(|Sums { kind, piece, bytes }| {
                let from = self.bytes.len();
                self.bytes.extend_from_slice(bytes);
                PieceSums { kind, piece, bytes: from..self.bytes.len() }
            });
        }
        self.pieces.push(Piece { span, content, sums });
        Ok(Some(span))
    }

    /// Finds the records of the gaps, which ascend; those that nothing holds come last, as holes.
    pub(crate) fn fill(&self, gaps: &[Gap], segments: &mut Vec<Segment>) {
        paint(self.pieces.iter().map(|piece| &piece.span), gaps, segments);
    }

    /// The same of a whole array that consists of few extents; false if it has more. The walk stands behind the versions of the node.
    pub(crate) fn collect_few(
        &mut self,
        merge: &mut Merge<'_>,
        node: &mut KeyBuf,
        at: At<'_>,
        floor: Version,
        rec_size: u64,
    ) -> Result<bool> {
        self.pieces.clear();
        self.bytes.clear();
        let mark = node.mark();
        node.extents();
        let mut on = merge.advance(node.as_slice())?;
        let mut seen = 0;
        while on && merge.key().starts_with(node.as_slice()) {
            seen += 1;
            if seen > FEW {
                break;
            }
            let place = key::parse_extent(&merge.key()[node.mark()..]).ok_or_else(wrong)?;
            if place.0 > CLASS_FAR {
                return Err(wrong());
            }
            if place.2 > floor && place.2 <= at.version {
                self.take(Entry::decode(merge.value())?, at, place, rec_size, &(0..INDEX_END))?;
            }
            on = merge.step()?;
        }
        node.truncate(mark);
        self.pieces.sort_by_key(|piece| std::cmp::Reverse(piece.span.version));
        Ok(seen <= FEW)
    }

    /// The last visible stretch of records of what [`collect_few`](Self::collect_few) collected.
    pub(crate) fn last(&self) -> Option<Extent> {
        self.extreme_of(&(0..INDEX_END), true).map(|(found, _)| found)
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
        // Chunk after chunk that holds any extent, until one shows a record; no extent of records reaches into another. A hole
        // alone shows none: class 3 need not be asked.
        let mut bound = if greatest { INDEX_END } else { 0 };
        while let Some(index) = nearest(merge, node, bound, greatest)? {
            let begin = index / chunk * chunk;
            let all = begin..begin + chunk;
            // From the far end on, window after window, each twice as wide: a chunk of many extents is not read for its last one.
            let mut window = if greatest { index..all.end } else { begin..index + 1 };
            let mut width = WINDOW_MIN;
            while !window.is_empty() {
                self.collect(merge, node, at, floor, rec_size, window.clone(), false)?;
                if let Some((found, piece)) = self.extreme_of(&window, greatest) {
                    // What begins before the window, or ends behind it, is seen in part only.
                    let whole = self.records_of(piece);
                    let wider = if greatest && found.index == window.start {
                        window.start.min(whole.start.max(begin))..window.end
                    } else if !greatest && found.index + found.count == window.end {
                        window.start..window.end.max(whole.end.min(all.end))
                    } else {
                        return Ok(Some(found));
                    };
                    if wider == window {
                        return Ok(Some(found));
                    }
                    self.collect(merge, node, at, floor, rec_size, wider.clone(), false)?;
                    return Ok(self.extreme_of(&wider, greatest).map(|(found, _)| found));
                }
                window = if greatest {
                    window.start.saturating_sub(width).max(begin)..window.start
                } else {
                    window.end..window.end.saturating_add(width).min(all.end)
                };
                width *= 2;
            }
            bound = if greatest { all.start } else { all.end };
        }
        Ok(None)
    }

    /// The greatest or least visible stretch of what was collected, inside of a window, and its piece.
    fn extreme_of(&self, window: &Range<u64>, greatest: bool) -> Option<(Extent, usize)> {
        let mut segments = Vec::new();
        self.fill(&[Gap { index: window.start, end: window.end, at: 0 }], &mut segments);
        let visible = segments.iter().filter_map(|segment| {
            Some((Extent { index: segment.index, count: segment.count }, segment.span?))
        });
        if greatest { visible.max() } else { visible.min() }
    }

    /// The version of a piece.
    pub(crate) fn version_of(&self, piece: usize) -> Version {
        self.pieces.get(piece).map_or(Version::default(), |piece| piece.span.version)
    }

    /// The records from the first of a piece to its last.
    pub(crate) fn records_of(&self, piece: usize) -> Range<u64> {
        self.pieces.get(piece).map_or(0..1, |piece| piece.span.index..piece.span.end())
    }

    /// The sums of a piece.
    pub(crate) fn sums_of(&self, piece: usize) -> Option<Sums<'_>> {
        let PieceSums { kind, piece, bytes } = self.pieces.get(piece)?.sums.as_ref()?;
        Some(Sums { kind: *kind, piece: *piece, bytes: self.bytes.get(bytes.clone())? })
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
    use crate::dtx::DtxId;
    use crate::error::{Result, VosError};
    use crate::key::KeyBuf;
    use crate::node::ObjectState;
    use crate::read::ObjectRef;
    use crate::store::{Store, StoreOptions};
    use daos_types::{
        ArrayFetch, Cond, ContainerId, Epoch, Extent, FetchIod, FetchValue, Iod, IodValue, ObjectId,
        ObjectType, PoolId, Punched, ShardIdx, TargetIdx, UnitOid, Version,
    };
    use std::sync::Arc;

    /// A store in which an object is changed again and again.
    struct Hot {
        store: Store,
        of: ObjectRef,
        clock: u64,
    }

    const SHARD: crate::ShardNum = crate::ShardNum(1);

    impl Hot {
        fn new() -> Self {
            let media = Arc::new(crate::media::MemoryMedia::new());
            let store = Store::create(media, [7; 16], StoreOptions::default()).unwrap();
            assert_eq!(store.shard_create(PoolId([1; 16]), TargetIdx(0)).unwrap(), SHARD);
            let mut tx = store.begin().unwrap();
            let cont = tx.cont_open(SHARD, ContainerId([2; 16])).unwrap();
            tx.commit().unwrap();
            let oid = ObjectId::generate(ObjectType::MultiHashed, 1, 1, 0, 7);
            let of = ObjectRef { cont, oid: UnitOid { oid, shard: ShardIdx(0) } };
            Self { store, of, clock: 10 }
        }

        fn version(&mut self) -> Version {
            self.clock += 1;
            Version { epoch: Epoch(self.clock), minor: 1 }
        }

        fn write(&mut self, index: u64, data: &[u8]) -> u64 {
            let recxs = [Extent { index, count: data.len() as u64 }];
            let iods = [Iod::new(b"a", IodValue::Array { rec_size: 1, recxs: &recxs, data })];
            let version = self.version();
            let mut tx = self.store.begin().unwrap();
            tx.update(SHARD, self.of, version, b"d", &iods, Cond::NONE).unwrap();
            tx.commit().unwrap();
            self.clock
        }

        fn punch(&mut self, what: Punched<'_>) {
            let version = self.version();
            let mut tx = self.store.begin().unwrap();
            tx.punch(SHARD, self.of, version, what, Cond::NONE).unwrap();
            tx.commit().unwrap();
        }

        /// The same in a transaction that nobody has decided.
        fn prepare(&mut self, index: u64, data: &[u8]) -> DtxId {
            let recxs = [Extent { index, count: data.len() as u64 }];
            let iods = [Iod::new(b"a", IodValue::Array { rec_size: 1, recxs: &recxs, data })];
            let version = self.version();
            let id = DtxId { uuid: [7; 16], hlc: self.clock };
            let mut tx = self.store.begin_dtx(id).unwrap();
            tx.update(SHARD, self.of, version, b"d", &iods, Cond::NONE).unwrap();
            tx.prepare().unwrap();
            id
        }

        /// Bytes from the first on, as they were at an epoch; unwritten ones are 0.
        fn try_read(&self, len: usize, epoch: u64) -> Result<Vec<u8>> {
            let recxs = [Extent { index: 0, count: len as u64 }];
            let mut data = vec![0; len];
            let array = ArrayFetch::new(&recxs, &mut data, 1);
            let mut iods = [FetchIod::new(b"a", FetchValue::Array(array))];
            let version = Version::read_at(Epoch(epoch));
            let fetched =
                self.store.view(SHARD).unwrap().fetch(self.of, b"d", &mut iods, version, Cond::NONE);
            fetched.1.map(|()| data)
        }

        fn read(&self, len: usize, epoch: u64) -> Vec<u8> {
            self.try_read(len, epoch).unwrap()
        }

        /// Entries that are looked at to find what so many bytes are made of.
        fn looked_at(&self, len: u64) -> usize {
            let view = self.store.view(SHARD).unwrap();
            let version = Version::read_at(Epoch(self.clock));
            let (_, looked) = view.scoped(self.of, version, |scope| {
                let (mut node, state) = scope.dkey(b"d")?;
                scope.down_to_akey(&mut node, b"a")?;
                let before = scope.merge.stood;
                super::Pieces::default().collect(
                    scope.merge,
                    &node,
                    scope.at,
                    state.floor,
                    1,
                    0..len,
                    false,
                )?;
                Ok(scope.merge.stood - before)
            });
            looked.unwrap().unwrap()
        }
    }

    #[test]
    fn what_was_overwritten_a_thousand_times_is_not_looked_at_a_thousand_times() {
        let mut hot = Hot::new();
        hot.write(0, &[1; 96]);
        let then = hot.write(20, &[2; 8]);
        for round in 0..1000_u64 {
            hot.write(20, &[3; 8]);
            hot.write(48, &[4; 16]);
            hot.write(0, &[round as u8; 96]);
        }
        let last = hot.write(20, &[5; 8]);
        assert!(hot.looked_at(96) < 30, "{}", hot.looked_at(96));
        let mut expected = vec![999_u64 as u8; 96];
        expected[20..28].fill(5);
        assert_eq!(hot.read(96, last), expected);
        // A shorter one hides no more than it holds, and what was, is.
        expected[..4].fill(6);
        let now = hot.write(0, &[6; 4]);
        assert_eq!(hot.read(96, now), expected);
        let mut expected = vec![1; 96];
        expected[20..28].fill(2);
        assert_eq!(hot.read(96, then), expected);
    }

    #[test]
    fn what_is_not_decided_hides_nothing_and_is_in_the_way_where_it_would_show() {
        for is_merged in [false, true] {
            let mut hot = Hot::new();
            let before = hot.write(0, &[1; 8]);
            let aborted = hot.prepare(0, &[2; 8]);
            assert!(matches!(hot.try_read(8, hot.clock), Err(VosError::InProgress)));
            assert_eq!(hot.read(8, before), [1; 8]);
            // What lies above it is read without.
            let now = hot.write(0, &[3; 4]);
            assert_eq!(hot.read(4, now), [3; 4]);
            assert!(matches!(hot.try_read(8, now), Err(VosError::InProgress)));
            let committed = hot.prepare(2, &[4; 2]);
            if is_merged {
                hot.store.merge_all().unwrap();
            }
            hot.store.dtx_abort(aborted).unwrap();
            hot.store.dtx_commit(committed).unwrap();
            assert_eq!(hot.read(8, now), [3, 3, 3, 3, 1, 1, 1, 1]);
            assert_eq!(hot.read(8, hot.clock), [3, 3, 4, 4, 1, 1, 1, 1]);
        }
    }

    #[test]
    fn what_was_removed_is_not_looked_at() {
        let mut hot = Hot::new();
        for _ in 0..500 {
            hot.write(0, &[7; 10]);
            hot.write(40, &[8; 10]);
        }
        hot.punch(Punched::Dkey(b"d"));
        let last = hot.write(5, &[9]);
        assert!(hot.looked_at(96) < 30, "{}", hot.looked_at(96));
        assert_eq!(hot.read(8, last), [0, 0, 0, 0, 0, 9, 0, 0]);
        assert_eq!(hot.read(2, last - 2), [7, 7]);
    }

    #[test]
    fn of_an_object_that_was_removed_often_only_the_last_time_is_read() {
        let mut hot = Hot::new();
        let mut epochs = Vec::new();
        for round in 0..300_u64 {
            epochs.push(hot.write(0, &[round as u8]));
            hot.punch(Punched::Object);
        }
        let last = hot.write(0, &[77]);
        let view = hot.store.view(SHARD).unwrap();
        let looked = view.look.levels.read(None, |merge| {
            let before = merge.stood;
            ObjectState::load_recent(merge, &mut KeyBuf::object(hot.of.cont, hot.of.oid)).unwrap().unwrap();
            merge.stood - before
        });
        assert!(looked < 10, "{looked}");
        assert_eq!(hot.read(1, last), [77]);
        for (round, epoch) in epochs.into_iter().enumerate() {
            assert_eq!(hot.read(1, epoch), [round as u8], "before it was removed");
            assert_eq!(hot.read(1, epoch + 1), [0], "after");
            let version = Version::read_at(Epoch(epoch));
            let (_, looked) = view.scoped(hot.of, version, |scope| Ok(scope.merge.stood));
            let looked = looked.unwrap().unwrap();
            assert!(looked < 10, "{looked}");
        }
    }
}
