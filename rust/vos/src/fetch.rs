//! Reading values of akeys of one dkey: what memory and index hold under one look at the levels, what lies in the data file
//! afterwards, without holding anything but the view.

use crate::array::{Bytes, Gap, Holds, Leaf, Pieces, Segment, check_bounds};
use crate::checksum::{self, OwnedSums};
use crate::data;
use crate::entry::{Change, Content, Payload};
use crate::error::{Result, VosError};
use crate::key::KeyBuf;
use crate::levels::Seen;
use crate::node;
use crate::read::{ObjectRef, Scope, View, check_kv_akey};
use crate::trace::Trace;
use daos_types::{ArrayFetch, Cond, FetchIod, FetchValue, ValueSink, ValueSum, Version};
use std::ops::Range;

/// Two extents nearer than this are looked up together.
const NEAR: u64 = 4096;

/// What is still to be read from the data file.
struct Later {
    iod: usize,
    /// The reference to a value.
    reference: Vec<u8>,
    /// Of an array: from where in the value, to where in the buffer.
    parts: Vec<data::Part>,
    sums: Option<OwnedSums>,
    /// The records of the extent, from the first to the last.
    records: Range<u64>,
}

/// A read of an array at work.
#[derive(Default)]
struct Finder<'a> {
    floor: Version,
    iod: usize,
    akey: &'a [u8],
    /// The walk stands behind the versions of the akey.
    near: bool,
    /// What of an extent is answered with sums.
    summed: Vec<data::Part>,
    /// Neighbours that are looked up together.
    group: Vec<Gap>,
    pieces: Pieces,
    segments: Vec<Segment>,
}

/// What was found of a single value.
enum Single {
    Shown,
    Stored(Vec<u8>),
    Absent,
    IsArray,
}

impl View {
    /// Reads values of akeys of one dkey as of one version.
    ///
    /// With [`Cond::DKEY_FETCH`] or [`Cond::AKEY_FETCH`] a missing key is an error.
    pub fn fetch(
        &self,
        of: ObjectRef,
        dkey: &[u8],
        iods: &mut [FetchIod<'_>],
        version: Version,
        cond: Cond,
    ) -> (Seen, Result<()>) {
        self.fetch_traced(of, dkey, iods, version, cond, None)
    }

    /// The same, and a digest of what the answer was made of. Where the trace is a probe, arrays need no buffers and the digest is
    /// all there is.
    pub fn fetch_traced(
        &self,
        of: ObjectRef,
        dkey: &[u8],
        iods: &mut [FetchIod<'_>],
        version: Version,
        cond: Cond,
        mut trace: Option<&mut Trace>,
    ) -> (Seen, Result<()>) {
        let is_probe = trace.as_ref().is_some_and(|trace| trace.is_probe);
        let mut later = Vec::new();
        let (seen, found) =
            self.scoped(of, version, |scope| scope.fetch(dkey, iods, cond, &mut later, trace.as_deref_mut()));
        let result = found.and_then(|found| match found {
            Some(()) if is_probe => Ok(()),
            Some(()) => self.fetch_stored(iods, &later),
            None if cond.has(Cond::DKEY_FETCH) => Err(VosError::NotFound { what: "dkey" }),
            None if cond.has(Cond::AKEY_FETCH) => Err(VosError::NotFound { what: "akey" }),
            None => {
                for iod in iods {
                    if let Some(trace) = &mut trace {
                        trace.nothing();
                    }
                    if let FetchValue::Array(fetch) = &mut iod.value {
                        check_bounds(fetch, is_probe)?;
                        leave(fetch);
                    }
                }
                Ok(())
            }
        });
        let result = result.map_err(|error| match error {
            VosError::Checksum { what } => VosError::Checksum {
                what: format!("object {}, dkey \"{}\", {what}", of.oid.oid, dkey.escape_ascii()),
            },
            other => other,
        });
        (seen, result)
    }

    fn fetch_stored(&self, iods: &mut [FetchIod<'_>], later: &[Later]) -> Result<()> {
        let data = &self.shard.data;
        for Later { iod, reference, parts, sums, records } in later {
            let stored = data::Stored::decode(reference)?;
            let Some(FetchIod { akey, value, .. }) = iods.get_mut(*iod) else { continue };
            match (value, sums) {
                (FetchValue::Single(sink), _) => {
                    let room = sink.room(stored.len()).filter(|room| room.len() == stored.len());
                    let room = room.ok_or_else(|| VosError::Invalid {
                        why: format!("there is no room for a value of {} bytes", stored.len()),
                    })?;
                    data.read_whole(&stored, room)?;
                }
                (FetchValue::Array(fetch), None) => data.read(&stored, parts, fetch.data)?,
                (FetchValue::Array(fetch), Some(sums)) => {
                    let wrong = || mismatch(akey, records);
                    let ArrayFetch { data: out, sums: fetched, .. } = fetch;
                    checksum::read(data, &stored, &sums.lend(), parts, out, fetched, wrong)?;
                }
            }
        }
        Ok(())
    }
}

impl Scope<'_, '_> {
    fn fetch(
        &mut self,
        dkey: &[u8],
        iods: &mut [FetchIod<'_>],
        cond: Cond,
        later: &mut Vec<Later>,
        mut trace: Option<&mut Trace>,
    ) -> Result<()> {
        let mut node = self.dkey_node(dkey)?;
        let mut floor = self.object.floor;
        if !self.kind.is_kv() {
            let state = node::state(self.merge, &mut node, self.at, floor)?;
            if cond.has(Cond::DKEY_FETCH) && !state.alive {
                return Err(VosError::NotFound { what: "dkey" });
            }
            floor = state.floor;
        }
        // The dkey's versions were looked at; its akeys are behind them.
        let mut near = !self.kind.is_kv();
        for (at, iod) in iods.iter_mut().enumerate() {
            let mark = node.mark();
            if self.kind.is_kv() {
                check_kv_akey(iod.akey)?;
            } else {
                self.down_to_akey(&mut node, iod.akey)?;
            }
            let there = match &mut iod.value {
                FetchValue::Single(sink) => {
                    self.single(&mut node, floor, (*sink, &mut iod.sum), at, later, trace.as_deref_mut())?
                }
                FetchValue::Array(fetch) => {
                    self.array(&mut node, (floor, near), iod.akey, fetch, at, later, trace.as_deref_mut())?
                }
            };
            near = false;
            if !there {
                if let Some(trace) = &mut trace {
                    trace.nothing();
                }
                // In a flat key-value object a missing value is a missing dkey.
                if cond.has(Cond::DKEY_FETCH) && self.kind.is_kv() {
                    return Err(VosError::NotFound { what: "dkey" });
                }
                if cond.has(Cond::AKEY_FETCH) {
                    return Err(VosError::NotFound { what: "akey" });
                }
            }
            node.truncate(mark);
        }
        Ok(())
    }

    /// Shows a single value to its sink, or notes where it lies; false where there is none.
    fn single(
        &mut self,
        node: &mut KeyBuf,
        floor: Version,
        (sink, sum): (&mut dyn ValueSink, &mut ValueSum),
        at: usize,
        later: &mut Vec<Later>,
        trace: Option<&mut Trace>,
    ) -> Result<bool> {
        let found = node::newest(self.merge, node, self.at, floor, |version, change| {
            if let (Some(trace), Change::Value(_)) = (trace, change) {
                trace.version(version);
            }
            match change {
                Change::Value(payload) => {
                    sum.set(payload.sums, payload.len());
                    match payload {
                        Payload { content: Content::Inline(value), .. } => {
                            sink.put(value);
                            Single::Shown
                        }
                        Payload { content: Content::Stored(stored), .. } => {
                            let mut reference = Vec::new();
                            stored.encode(&mut reference);
                            Single::Stored(reference)
                        }
                    }
                }
                Change::Array(_) => Single::IsArray,
                _ => Single::Absent,
            }
        })?;
        match found.unwrap_or(Single::Absent) {
            Single::Shown => Ok(true),
            Single::Absent => Ok(false),
            Single::IsArray => Err(VosError::OtherKind { holds: "an array" }),
            Single::Stored(reference) => {
                later.push(Later { iod: at, reference, parts: Vec::new(), sums: None, records: 0..1 });
                Ok(true)
            }
        }
    }

    /// Copies records of an array, or notes where they lie; false where there is no array.
    #[allow(clippy::too_many_arguments)] // what a read of an akey is about
    fn array(
        &mut self,
        node: &mut KeyBuf,
        (floor, near): (Version, bool),
        akey: &[u8],
        fetch: &mut ArrayFetch<'_>,
        at: usize,
        later: &mut Vec<Later>,
        mut trace: Option<&mut Trace>,
    ) -> Result<bool> {
        check_bounds(fetch, trace.as_ref().is_some_and(|trace| trace.is_probe))?;
        let leaf = Leaf::load_from(self.merge, node, self.at, floor, near)?;
        let asked = fetch.rec_size;
        leave(fetch);
        match leaf.holds {
            Holds::Single => return Err(VosError::OtherKind { holds: "a single value" }),
            Holds::Nothing => return Ok(false),
            Holds::Array(rec_size) => fetch.rec_size = rec_size,
        }
        if let Some(trace) = &mut trace {
            // Apart from what tells that there is none.
            trace.number(fetch.rec_size + 1);
        }
        if fetch.rec_size == 0 || fetch.rec_size != asked {
            return Ok(true);
        }
        fetch.holes.clear();
        let mut finder = Finder { floor: leaf.floor, iod: at, akey, near: true, ..Finder::default() };
        let mut before = 0;
        for recx in fetch.recxs {
            let gap = Gap { index: recx.index, end: recx.end(), at: before };
            before += recx.count;
            let near = |last: &Gap| gap.index >= last.end && gap.index - last.end <= NEAR;
            if !finder.group.last().is_none_or(near) {
                self.find(node, &mut finder, fetch, later, trace.as_deref_mut())?;
            }
            finder.group.push(gap);
        }
        self.find(node, &mut finder, fetch, later, trace)?;
        join(&mut fetch.holes);
        Ok(true)
    }

    /// Finds the records of a group of neighbours.
    fn find(
        &mut self,
        node: &KeyBuf,
        finder: &mut Finder<'_>,
        fetch: &mut ArrayFetch<'_>,
        later: &mut Vec<Later>,
        mut trace: Option<&mut Trace>,
    ) -> Result<()> {
        let Finder { floor, iod, akey, near, summed, group, pieces, segments } = finder;
        let (Some(first), Some(last)) = (group.first(), group.last()) else { return Ok(()) };
        let range = first.index..last.end;
        pieces.collect(self.merge, node, self.at, *floor, fetch.rec_size, range, std::mem::take(near))?;
        segments.clear();
        pieces.fill(group, segments);
        group.clear();
        // Of each piece what follows in it: its units are read once.
        segments.sort_unstable_by_key(|segment| (segment.span, segment.from));
        let is_probe = trace.as_ref().is_some_and(|trace| trace.is_probe);
        let bytes = |records: u64| (records * fetch.rec_size) as usize;
        let mut last_piece = None;
        for (nth, segment) in segments.iter().enumerate() {
            let out = bytes(segment.at)..bytes(segment.at + segment.count);
            let Some(piece) = segment.span else {
                fetch.holes.push(out);
                continue;
            };
            // Holes are where these are not.
            if let Some(trace) = &mut trace {
                trace.number(segment.at);
                trace.number(segment.count);
                trace.version(pieces.version_of(piece));
            }
            let from = bytes(segment.from);
            match pieces.bytes_of(piece)? {
                Bytes::Inline(inline) => {
                    if let (Some(from), Some(to)) =
                        (inline.get(from..from + out.len()), fetch.data.get_mut(out.clone()))
                    {
                        to.copy_from_slice(from);
                    }
                    if is_probe {
                        continue;
                    }
                    let Some(sums) = pieces.sums_of(piece) else { continue };
                    summed.push(data::Part { at: from, out });
                    if segments.get(nth + 1).and_then(|next| next.span) != segment.span {
                        let wrong = || mismatch(akey, &pieces.records_of(piece));
                        checksum::answer(&sums, inline, summed, &mut fetch.sums, wrong)?;
                        summed.clear();
                    }
                }
                Bytes::Stored(stored) => {
                    if last_piece != Some(piece) {
                        let mut reference = Vec::new();
                        stored.encode(&mut reference);
                        let sums = pieces.sums_of(piece).map(OwnedSums::of);
                        let records = pieces.records_of(piece);
                        later.push(Later { iod: *iod, reference, parts: Vec::new(), sums, records });
                        last_piece = Some(piece);
                    }
                    if let Some(later) = later.last_mut() {
                        later.parts.push(data::Part { at: from, out });
                    }
                }
            }
        }
        Ok(())
    }
}

/// A piece of an extent that does not have its sum.
fn mismatch(akey: &[u8], records: &Range<u64>) -> VosError {
    let what = format!("akey \"{}\"{}", akey.escape_ascii(), checksum::records(records));
    VosError::Checksum { what }
}

/// Says of an array that nothing was read.
fn leave(fetch: &mut ArrayFetch<'_>) {
    fetch.rec_size = 0;
    fetch.holes.clear();
    fetch.sums.clear();
    if !fetch.data.is_empty() {
        fetch.holes.push(0..fetch.data.len());
    }
}

/// Orders ranges and joins neighbours.
fn join(ranges: &mut Vec<Range<usize>>) {
    ranges.sort_unstable_by_key(|range| range.start);
    ranges.dedup_by(|next, last| {
        let joined = next.start == last.end;
        if joined {
            last.end = next.end;
        }
        joined
    });
}
