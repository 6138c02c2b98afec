//! `fetch`: values of akeys of one dkey, all as of one epoch.

use crate::decoder::{Data, Decoder};
use crate::encoder::{Encoded, Encoder, is_payload};
use crate::{ShardRef, WireError};
use daos_types::{
    ArrayFetch, Buffer, ChecksumKind, Cond, Durability, Epoch, Extent, FetchIod, FetchValue, FetchedSums,
    Sums, ValueSink, ValueSum,
};
use std::ops::Range;

/// A read. What is read, and into what, goes beside it: [`daos_types::FetchIod`].
#[derive(Debug, Clone, Copy)]
pub struct Fetch<'a> {
    /// Where.
    pub of: ShardRef,
    /// The dkey.
    pub dkey: &'a [u8],
    /// As of when; [`Epoch::MAX`] is now.
    pub epoch: Epoch,
    /// Only if.
    pub cond: Cond,
    /// How safe what is answered has to be.
    pub durability: Durability,
}

const SINGLE: u8 = 0;
const RECORDS: u8 = 1;

/// Bytes of the shortest akey that is wanted.
const WANTED_LEN_MIN: usize = 5;
/// What is said of a reply that is too long: the caller may ask again with room for it.
const REPLY: &str = "bytes of the reply";

impl Fetch<'_> {
    /// Its message; the durability travels in the frame's header.
    pub fn encode(&self, iods: &[FetchIod<'_>]) -> Result<Encoded<'static>, WireError> {
        let mut to = Encoder::new();
        to.shard(self.of);
        to.key(self.dkey);
        to.u64(self.epoch.0);
        to.u64(self.cond.0);
        to.list(iods, |to, iod| {
            to.key(iod.akey);
            match &iod.value {
                FetchValue::Single(_) => to.u8(SINGLE),
                FetchValue::Array(fetch) => {
                    to.u8(RECORDS);
                    to.u64(fetch.rec_size);
                    to.extents(fetch.recxs);
                    to.len("bytes of a buffer", fetch.data.len());
                }
            }
        });
        to.finish()
    }
}

/// A fetch as it arrived: it borrows from the frame.
#[derive(Debug)]
pub struct ReadFetch<'a> {
    of: ShardRef,
    dkey: &'a [u8],
    epoch: Epoch,
    cond: Cond,
    durability: Durability,
    wanted: Vec<Wanted<'a>>,
    recxs: Vec<Extent>,
}

#[derive(Debug)]
struct Wanted<'a> {
    akey: &'a [u8],
    /// Of an array: the size of its records, which of them, and the bytes of the buffer.
    records: Option<(u64, Range<usize>, usize)>,
}

impl<'a> ReadFetch<'a> {
    /// The fetch of a message and the header's durability.
    pub fn decode(durability: Durability, body: &'a [u8], payloads: &[&[u8]]) -> Result<Self, WireError> {
        let mut from = Decoder::new(body, payloads)?;
        let (of, dkey) = (from.shard()?, from.key()?);
        let (epoch, cond) = (from.epoch()?, Cond(from.u64()?));
        let mut recxs = Vec::new();
        let wanted = from.list(WANTED_LEN_MIN, |from| {
            let akey = from.key()?;
            let records = match from.u8()? {
                SINGLE => None,
                RECORDS => Some((from.rec_size()?, from.extents(&mut recxs)?, from.at_most()?)),
                _ => return Err(from.wrong("neither a single value (0) nor records (1)")),
            };
            Ok(Wanted { akey, records })
        })?;
        from.end()?;
        Ok(Self { of, dkey, epoch, cond, durability, wanted, recxs })
    }

    /// Bytes of the buffers that it needs; besides there are single values, whose length nobody knows before.
    pub fn buffers_len(&self) -> usize {
        self.wanted
            .iter()
            .filter_map(|wanted| Some(wanted.records.as_ref()?.2))
            .fold(0, usize::saturating_add)
    }

    /// Makes room for what is wanted, no more than so many bytes, has it read, and answers with the reply.
    ///
    /// `TooLong` where the reply has more: of nothing else is known how long it is, so that the caller can be told.
    pub fn serve<E>(
        &self,
        bytes_max: usize,
        read: impl FnOnce(&Fetch<'_>, &mut [FetchIod<'_>]) -> Result<(), E>,
    ) -> Result<Result<FetchReply, E>, WireError> {
        let too_long = |len| WireError::TooLong { what: REPLY, len, max: bytes_max };
        let buffers_len = self.buffers_len();
        let left = bytes_max.checked_sub(buffers_len).ok_or_else(|| too_long(buffers_len))?;
        let mut slots: Vec<Slot> = self.wanted.iter().map(|wanted| Slot::of(wanted, left)).collect();
        let mut iods: Vec<FetchIod<'_>> = self
            .wanted
            .iter()
            .zip(&mut slots)
            .map(|(wanted, slot)| FetchIod::new(wanted.akey, self.value_of(wanted, slot)))
            .collect();
        let Self { of, dkey, epoch, cond, durability, .. } = *self;
        let result = read(&Fetch { of, dkey, epoch, cond, durability }, &mut iods);
        let answers: Vec<Answer> = iods.into_iter().map(Answer::of).collect();
        let singles_len = slots.iter().map(Slot::value_len).fold(0, usize::saturating_add);
        if singles_len > left {
            return Err(too_long(buffers_len.saturating_add(singles_len)));
        }
        let got = || {
            self.wanted
                .iter()
                .zip(slots)
                .zip(answers)
                .map(|((wanted, slot), answer)| Got::of(wanted, slot, answer))
        };
        Ok(result.map(|()| FetchReply { got: got().collect() }))
    }

    fn value_of<'s>(&'s self, wanted: &Wanted<'_>, slot: &'s mut Slot) -> FetchValue<'s> {
        match (slot, &wanted.records) {
            (Slot::Records(data), Some((rec_size, recxs, _))) => {
                let recxs = self.recxs.get(recxs.clone()).unwrap_or_default();
                FetchValue::Array(ArrayFetch::new(recxs, data, *rec_size))
            }
            (slot, _) => FetchValue::Single(slot),
        }
    }
}

/// Where a target puts what it reads.
#[derive(Debug)]
enum Slot {
    Single { value: Option<Buffer>, len_max: usize, refused_len: usize },
    Records(Buffer),
}

impl Slot {
    fn of(wanted: &Wanted<'_>, len_max: usize) -> Self {
        match &wanted.records {
            None => Self::Single { value: None, len_max, refused_len: 0 },
            Some((_, _, len)) => Self::Records(Buffer::zeroed(*len)),
        }
    }

    /// Bytes of a single value, also of one that was refused.
    fn value_len(&self) -> usize {
        match self {
            Self::Single { value, refused_len, .. } => {
                value.as_ref().map_or(*refused_len, |value| value.len())
            }
            Self::Records(_) => 0,
        }
    }
}

impl ValueSink for Slot {
    fn put(&mut self, bytes: &[u8]) {
        if let Some(room) = self.room(bytes.len()) {
            room.copy_from_slice(bytes);
        }
    }

    fn room(&mut self, len: usize) -> Option<&mut [u8]> {
        match self {
            Self::Single { len_max, refused_len, .. } if len > *len_max => {
                *refused_len = len;
                None
            }
            Self::Single { value, .. } => Some(value.insert(Buffer::zeroed(len))),
            Self::Records(_) => None,
        }
    }

    fn last(&self, len: usize) -> Option<&[u8]> {
        match self {
            Self::Single { value: Some(value), .. } => value.get(value.len().checked_sub(len)?..),
            _ => None,
        }
    }
}

/// What a fetch answers beside the bytes.
struct Answer {
    sum: ValueSum,
    records: Option<(u64, Vec<Range<usize>>, FetchedSums)>,
}

impl Answer {
    fn of(iod: FetchIod<'_>) -> Self {
        let records = match iod.value {
            FetchValue::Single(_) => None,
            FetchValue::Array(fetch) => Some((fetch.rec_size, fetch.holes, fetch.sums)),
        };
        Self { sum: iod.sum, records }
    }
}

/// What a fetch came to.
#[derive(Debug)]
pub struct FetchReply {
    got: Vec<Got>,
}

#[derive(Debug)]
enum Got {
    Single(Option<(ValueSum, Buffer)>),
    /// `data` is what is not a hole.
    Records {
        rec_size: u64,
        holes: Vec<Range<usize>>,
        sums: FetchedSums,
        data: Buffer,
    },
}

impl Got {
    fn of(wanted: &Wanted<'_>, slot: Slot, answer: Answer) -> Self {
        match (slot, &wanted.records, answer.records) {
            (Slot::Records(mut data), Some((asked, ..)), Some((rec_size, holes, sums))) => {
                if rec_size != *asked {
                    // Nothing was read.
                    let (holes, sums, data) = (Vec::new(), FetchedSums::default(), Buffer::default());
                    return Self::Records { rec_size, holes, sums, data };
                }
                close_gaps(&mut data, &holes);
                Self::Records { rec_size, holes, sums, data }
            }
            (Slot::Single { value, .. }, ..) => Self::Single(value.map(|value| (answer.sum, value))),
            (Slot::Records(_), ..) => Self::Single(None),
        }
    }
}

impl Got {
    fn is_payload(&self) -> bool {
        match self {
            Self::Single(value) => value.as_ref().is_some_and(|(_, value)| is_payload(value)),
            Self::Records { data, .. } => is_payload(data),
        }
    }
}

/// Moves together what lies between the holes of a buffer, which are ascending.
fn close_gaps(data: &mut Buffer, holes: &[Range<usize>]) {
    let mut end = holes.first().map_or(data.len(), |hole| hole.start.min(data.len()));
    for (nth, hole) in holes.iter().enumerate() {
        let stop = holes.get(nth + 1).map_or(data.len(), |next| next.start);
        if hole.end < stop && stop <= data.len() {
            data.copy_within(hole.end..stop, end);
            end += stop - hole.end;
        }
    }
    data.truncate(end);
}

/// What lies between the holes of a buffer.
fn between(holes: &[Range<usize>], len: usize) -> impl Iterator<Item = Range<usize>> {
    let starts = std::iter::once(0).chain(holes.iter().map(|hole| hole.end));
    let ends = holes.iter().map(|hole| hole.start).chain(std::iter::once(len));
    starts.zip(ends).map(|(start, end)| start..end).filter(|range| !range.is_empty())
}

/// Whether sums as good as the network's stand for each byte of a buffer that is no hole.
fn are_summed<'s>(
    holes: &[Range<usize>],
    len: usize,
    sums: impl Iterator<Item = (ChecksumKind, &'s [Range<usize>])>,
) -> bool {
    let strong = sums.filter(|(kind, _)| kind.is_strong());
    let mut stretches: Vec<&Range<usize>> = strong.flat_map(|(_, stretches)| stretches).collect();
    stretches.sort_unstable_by_key(|stretch| stretch.start);
    let (mut stretches, mut end) = (stretches.into_iter().peekable(), 0);
    between(holes, len).all(|part| {
        end = part.start.max(end);
        while end < part.end
            && let Some(stretch) = stretches.next_if(|stretch| stretch.start <= end)
        {
            end = stretch.end.max(end);
        }
        end >= part.end
    })
}

impl FetchReply {
    /// Whether there are payloads, and it has sums of all their bytes for the client to compare.
    pub fn has_sums(&self) -> bool {
        let mut payloads = self.got.iter().filter(|got| got.is_payload()).peekable();
        payloads.peek().is_some()
            && payloads.all(|got| match got {
                // The client appends these to what is there, and cannot ask for them once more.
                Got::Single(_) => false,
                Got::Records { holes, sums, data, .. } => {
                    let len = data.len() + holes.iter().map(Range::len).sum::<usize>();
                    are_summed(holes, len, sums.iter().map(|(sums, stretches)| (sums.kind, stretches)))
                }
            })
    }

    /// Its message. Values longer than a page stay where they lie.
    pub fn encode(&self) -> Result<Encoded<'_>, WireError> {
        let mut to = Encoder::new();
        to.list(&self.got, |to, got| match got {
            Got::Single(value) => to.option(value.as_ref(), |to, (sum, value)| {
                to.sum(sum.get());
                to.data(value);
            }),
            Got::Records { rec_size, holes, sums, data } => {
                to.u64(*rec_size);
                to.ranges(holes);
                let runs: Vec<_> = sums.iter().collect();
                to.list(runs, |to, (sums, stretches)| {
                    to.u8(sums.kind as u8);
                    to.len("bytes of a piece", sums.piece);
                    to.ranges(stretches);
                    to.bytes(sums.bytes);
                });
                to.data(data);
            }
        });
        to.finish()
    }
}

impl FetchReply {
    /// Its message, body and payloads, as [`FetchReply::encode`] tells it; what was read is not copied.
    pub fn into_message(self) -> Result<(Vec<u8>, Vec<Buffer>), WireError> {
        let body = self.encode()?.body;
        let data = self.got.into_iter().filter_map(|got| match got {
            Got::Single(value) => value.map(|(_, value)| value),
            Got::Records { data, .. } => Some(data),
        });
        Ok((body, data.filter(|data| is_payload(data)).collect()))
    }
}

/// The reply to a fetch as it arrived, its payloads perhaps not yet: it tells where they go.
#[derive(Debug)]
pub struct ReadFetchReply<'a> {
    got: Vec<ReadGot<'a>>,
}

/// The sum of a single value, where it has one.
type ValueSumBytes<'a> = Option<(ChecksumKind, &'a [u8])>;

#[derive(Debug)]
enum ReadGot<'a> {
    Single(Option<(ValueSumBytes<'a>, Data<'a>)>),
    Records { rec_size: u64, holes: Vec<Range<usize>>, runs: Vec<Run<'a>>, data: Data<'a> },
}

#[derive(Debug)]
struct Run<'a> {
    sums: Sums<'a>,
    stretches: Vec<Range<usize>>,
}

impl<'a> ReadFetchReply<'a> {
    /// The reply to a fetch of these iods, with payloads of these lengths.
    pub fn decode(body: &'a [u8], payload_lens: &[usize], iods: &[FetchIod<'_>]) -> Result<Self, WireError> {
        let mut from = Decoder::new(body, payload_lens)?;
        if from.count(1)? != iods.len() {
            return Err(from.wrong("as many answers as akeys were asked for"));
        }
        let got = iods.iter().map(|iod| ReadGot::decode(&mut from, iod)).collect::<Result<_, _>>()?;
        from.end()?;
        Ok(Self { got })
    }

    /// Whether it has sums of all bytes of its payloads that go to these iods, as [`FetchReply::has_sums`] says.
    pub fn has_sums(&self, iods: &[FetchIod<'_>]) -> bool {
        self.got.iter().zip(iods).all(|(got, iod)| match (got, &iod.value) {
            (ReadGot::Records { holes, runs, data: Data::Payload { .. }, .. }, FetchValue::Array(fetch)) => {
                are_summed(
                    holes,
                    fetch.data.len(),
                    runs.iter().map(|run| (run.sums.kind, &run.stretches[..])),
                )
            }
            (got, _) => matches!(got.data(), Data::Inline(_)),
        })
    }

    /// The parts of the caller's memory that a payload goes to, in their order.
    ///
    /// `None` where a sink has no room for its value.
    pub fn rooms<'b>(&self, iods: &'b mut [FetchIod<'_>], payload: usize) -> Option<Vec<&'b mut [u8]>> {
        let here = |data: &Data<'_>| matches!(data, Data::Payload { nth, .. } if *nth == payload);
        let (got, iod) = self.got.iter().zip(iods).find(|(got, _)| here(got.data()))?;
        match (got, &mut iod.value) {
            (ReadGot::Records { holes, .. }, FetchValue::Array(fetch)) => Some(parts(fetch.data, holes)),
            (got, FetchValue::Single(sink)) => Some(vec![sink.room(got.data().len())?]),
            _ => None,
        }
    }

    /// Tells the caller all but the payloads, which are where they belong by now, and of each of them the sums of its units.
    pub fn finish(&self, iods: &mut [FetchIod<'_>], units: &mut [Vec<u32>]) {
        for (got, iod) in self.got.iter().zip(iods) {
            match (got, &mut iod.value) {
                (ReadGot::Single(Some((sum, data))), FetchValue::Single(sink)) => {
                    if let Data::Inline(value) = data {
                        sink.put(value);
                    }
                    let len = data.len();
                    iod.sum.set(sum.map(|(kind, bytes)| Sums { kind, piece: len.max(1), bytes }), len);
                }
                (ReadGot::Records { rec_size, holes, runs, data }, FetchValue::Array(fetch)) => {
                    if let &Data::Inline(mut rest) = data {
                        for part in parts(fetch.data, holes) {
                            let (bytes, behind) = rest.split_at_checked(part.len()).unwrap_or_default();
                            if bytes.len() == part.len() {
                                part.copy_from_slice(bytes);
                            }
                            rest = behind;
                        }
                    }
                    fetch.rec_size = *rec_size;
                    fetch.holes.clone_from(holes);
                    fetch.units.clear();
                    if let Data::Payload { nth, .. } = data
                        && holes.is_empty()
                        && let Some(units) = units.get_mut(*nth)
                    {
                        fetch.units = std::mem::take(units);
                    }
                    fetch.sums.clear();
                    for run in runs {
                        fetch.sums.push(run.sums, run.stretches.iter().cloned());
                    }
                }
                _ => {}
            }
        }
    }
}

/// The parts of a buffer between its holes.
fn parts<'b>(mut buffer: &'b mut [u8], holes: &[Range<usize>]) -> Vec<&'b mut [u8]> {
    let mut at = 0;
    let mut parts = Vec::with_capacity(holes.len() + 1);
    for range in between(holes, buffer.len()) {
        let Some((_, rest)) = buffer.split_at_mut_checked(range.start - at) else { break };
        let Some((part, rest)) = rest.split_at_mut_checked(range.len()) else { break };
        parts.push(part);
        (at, buffer) = (range.end, rest);
    }
    parts
}

impl<'a> ReadGot<'a> {
    fn data(&self) -> &Data<'a> {
        match self {
            Self::Single(Some((_, data))) | Self::Records { data, .. } => data,
            Self::Single(None) => &Data::Inline(&[]),
        }
    }

    fn decode(from: &mut Decoder<'a, '_, usize>, iod: &FetchIod<'_>) -> Result<Self, WireError> {
        let fetch = match &iod.value {
            FetchValue::Single(_) => {
                return Ok(Self::Single(from.option(|from| Ok((from.sum()?, from.data()?)))?));
            }
            FetchValue::Array(fetch) => fetch,
        };
        let rec_size = from.rec_size()?;
        // Where the records have another size, nothing was read.
        let len = if rec_size == fetch.rec_size { fetch.data.len() } else { 0 };
        let mut end = 0;
        let holes = from.list(8, |from| {
            let hole = from.range(len)?;
            if hole.start < end {
                return Err(from.wrong("holes that are not in their order"));
            }
            end = hole.end;
            Ok(hole)
        })?;
        let runs = from.list(13, |from| Run::decode(from, len))?;
        let data = from.data()?;
        if data.len() != between(&holes, len).map(|range| range.len()).sum::<usize>() {
            return Err(from.wrong("other than what the buffer holds beside its holes"));
        }
        Ok(Self::Records { rec_size, holes, runs, data })
    }
}

impl<'a> Run<'a> {
    fn decode(from: &mut Decoder<'a, '_, usize>, buffer_len: usize) -> Result<Self, WireError> {
        let Some(kind) = from.checksum_kind()? else { return Err(from.wrong("sums of no algorithm")) };
        let piece = from.at_most()?;
        let stretches = from.list(8, |from| from.range(buffer_len))?;
        let bytes = from.bytes()?;
        if piece == 0 || bytes.len() % kind.sum_len() != 0 {
            return Err(from.wrong("sums that are not whole, or for no bytes"));
        }
        Ok(Self { sums: Sums { kind, piece, bytes }, stretches })
    }
}
