//! A server's connection: its bytes in and out. What they mean is decided by [`Serving`].

use crate::Moment;
use crate::frame::{
    BODY_HAS_SUMS, BODY_IS_PAYLOAD, FrameError, Head, Header, Kind, Payload, Refusal, control, frame,
};
use crate::intake::Intake;
use crate::limits::{Limits, PIECE_LEN};
use crate::link::Link;
use crate::peer::Peer;
use crate::service::{Answer, Bulk, Incoming, Ticket};
use crate::serving::{Asked, Identity, Parting, Serving};
use crate::spare;
use daos_codec::UnitSums;
use daos_types::unit::UNIT_MIN;
use daos_types::{Buffer, Der, LANDING_MIN, Landing};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;

/// Parts that are written by one call.
const PARTS_MAX: usize = 64;
/// Bytes that are put where they are to be by one call, at least: they are in the core's cache.
const LAND_LEN: usize = 128 << 10;
/// Milliseconds that a connection stays after its goodbye, so that the peer reads that before it sees the end.
const LINGER_MS: u32 = 1_000;

/// What reading brought.
#[derive(Debug)]
pub(crate) enum Read {
    /// There is nothing more for now.
    Nothing,
    /// It was this one's turn for long enough.
    Turn,
    /// A request needs so many bytes: [`Session::reserve`] gives them.
    Needs(u64),
    /// A request that is whole.
    Request(Box<Incoming>),
    /// A request is not waited for any more.
    Cancel(Ticket),
    /// The connection is over.
    Over,
}

/// A request whose payloads are coming.
#[derive(Debug)]
struct Coming {
    head: Head,
    deadline: Moment,
    bytes: u64,
    /// Room was found for it; before, nothing of it is read.
    reserved: bool,
    payloads: Vec<Bulk>,
    /// Bytes of the last one that are there, and their sums.
    filled: usize,
    sums: UnitSums,
    landing: Option<Arc<dyn Landing>>,
    /// Bytes of the payload that were put there.
    landed: usize,
}

/// Frames without a request that wait to be written: a peer that keeps to the rules has two.
const SMALL_MAX: usize = 64;

/// Bytes to be written.
#[derive(Debug)]
struct Chunk {
    bytes: Buffer,
    ends: Ends,
}

/// What ends with a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ends {
    Nothing,
    /// A frame without a request.
    Small,
    /// The answer to a request.
    Answer(u64),
}

#[derive(Debug)]
pub(crate) struct Session {
    number: u64,
    link: Box<dyn Link>,
    /// Who is at the other end; known when the first request came.
    peer: Option<Peer>,
    serving: Serving,
    intake: Intake,
    coming: Option<Coming>,
    out: VecDeque<Chunk>,
    /// Bytes of the first chunk that are written.
    written: usize,
    /// Bytes that the link took and still has.
    kept: usize,
    /// Small frames among the chunks.
    small: usize,
    /// When bytes of a begun frame moved last, in and out.
    read_at: Moment,
    written_at: Moment,
    stall_ms: u32,
    turn_bytes: usize,
    /// It said goodbye: what comes is thrown away, until then.
    leaving: Option<Moment>,
    finished: bool,
}

impl Session {
    pub(crate) fn new(number: u64, now: Moment, limits: Limits, link: Box<dyn Link>) -> Self {
        Self {
            number,
            link,
            peer: None,
            serving: Serving::open(now, limits),
            intake: Intake::default(),
            coming: None,
            out: VecDeque::new(),
            written: 0,
            kept: 0,
            small: 0,
            read_at: now,
            written_at: now,
            stall_ms: limits.stall_ms,
            turn_bytes: limits.turn_bytes,
            leaving: None,
            finished: false,
        }
    }

    /// Bytes that its requests hold, those that have room.
    pub(crate) fn held(&self) -> u64 {
        let waiting = self.coming.as_ref().filter(|coming| !coming.reserved).map_or(0, |coming| coming.bytes);
        self.serving.bytes() - waiting
    }

    /// Whether it would read, and whether it has something to write.
    pub(crate) fn interest(&self) -> (bool, bool) {
        let waits = self.coming.as_ref().is_some_and(|coming| !coming.reserved);
        (!waits, !self.out.is_empty() || self.kept > 0)
    }

    /// Says goodbye, and reads no more.
    pub(crate) fn leave(&mut self, now: Moment, parting: Parting) {
        if self.leaving.is_some() {
            return;
        }
        let silent = parting.say.is_none();
        if let Some(refusal) = parting.say {
            self.push(now, control(Header::new(Kind::Goodbye), &refusal.encode()), Ends::Small);
        }
        self.leaving = Some(if silent { now } else { now.after_ms(LINGER_MS) });
        if let Some(coming) = self.coming.take()
            && !coming.reserved
        {
            // Nothing was reserved for it, so nothing is given back.
            self.serving.sent(now, coming.head.header.request);
        }
    }

    fn push(&mut self, now: Moment, bytes: impl Into<Buffer>, ends: Ends) {
        let bytes = bytes.into();
        if bytes.is_empty() {
            return;
        }
        if self.out.is_empty() {
            // There was nothing to write: its time begins.
            self.written_at = now;
        }
        self.small += usize::from(ends == Ends::Small);
        self.out.push_back(Chunk { bytes, ends });
    }

    /// Reads what is there, up to the next thing that somebody has to do something about.
    pub(crate) fn read(&mut self, now: Moment, me: &Identity, turn: &mut usize) -> Read {
        if self.leaving.is_some() {
            return self.throw_away(now);
        }
        match self.try_read(now, me, turn) {
            Ok(read) => read,
            Err(parting) => {
                self.leave(now, parting);
                Read::Nothing
            }
        }
    }

    fn throw_away(&mut self, now: Moment) -> Read {
        let mut rubbish = [0; 4096];
        let over = self.leaving.is_none_or(|until| now >= until);
        match self.link.read(&mut rubbish) {
            Ok(1..) if !over => Read::Turn,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && !over => Read::Nothing,
            _ => Read::Over,
        }
    }

    fn try_read(&mut self, now: Moment, me: &Identity, turn: &mut usize) -> Result<Read, Parting> {
        loop {
            if *turn >= self.turn_bytes {
                return Ok(Read::Turn);
            }
            let read = match &mut self.coming {
                Some(coming) if !coming.reserved => return Ok(Read::Needs(coming.bytes)),
                Some(coming) => match coming.room()? {
                    None => return Ok(self.whole()),
                    Some(room) => match self.intake.take(room) {
                        0 => self.link.read(room).inspect(|len| coming.came(*len)),
                        len => {
                            coming.came(len);
                            Ok(len)
                        }
                    },
                },
                None => match self.intake.next_head()? {
                    Some(head) => {
                        if let Some(read) = self.on_head(now, me, head)? {
                            return Ok(read);
                        }
                        continue;
                    }
                    None => self.link.read(self.intake.room()).inspect(|len| self.intake.filled(*len)),
                },
            };
            match read {
                Ok(0) => return Ok(Read::Over),
                Ok(len) => {
                    *turn += len;
                    self.read_at = now;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Read::Nothing),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Ok(Read::Over),
            }
        }
    }

    fn on_head(&mut self, now: Moment, me: &Identity, head: Head) -> Result<Option<Read>, Parting> {
        let mut say = Vec::new();
        let asked = self.serving.on_head(now, me, &head, &mut say)?;
        if self.small >= SMALL_MAX && !say.is_empty() {
            return Err(FrameError::Window { what: "pings that it does not read the answers to" }.into());
        }
        self.push(now, say, Ends::Small);
        Ok(match asked {
            Asked::Nothing => None,
            Asked::Goodbye => Some(Read::Over),
            Asked::Cancel(request) => Some(Read::Cancel(Ticket { connection: self.number, request })),
            Asked::Request { deadline, bytes } => {
                let payloads = Vec::with_capacity(head.places.len());
                self.coming = Some(Coming {
                    head,
                    deadline,
                    bytes,
                    reserved: false,
                    payloads,
                    filled: 0,
                    sums: UnitSums::new(0),
                    landing: None,
                    landed: 0,
                });
                Some(Read::Needs(bytes))
            }
        })
    }

    /// There is room for the request that needed it; false where there is none any more.
    pub(crate) fn reserve(&mut self, now: Moment) -> bool {
        self.read_at = now;
        self.coming.as_mut().is_some_and(|coming| !std::mem::replace(&mut coming.reserved, true))
    }

    /// Asks for a place for the only payload of the request that has room.
    pub(crate) fn land(&mut self, find: impl FnOnce(&Header, usize) -> Option<Arc<dyn Landing>>) {
        if let Some(coming) = &mut self.coming
            && let [only] = coming.head.places.as_slice()
            && only.len as usize >= LANDING_MIN
            && coming.head.header.flags & BODY_IS_PAYLOAD == 0
        {
            coming.landing = find(&coming.head.header, only.len as usize);
        }
    }

    /// The request whose payloads are all there.
    fn whole(&mut self) -> Read {
        let Some(Coming { head, deadline, payloads, landing, .. }) = self.coming.take() else {
            return Read::Nothing;
        };
        let Head { header, mut body, .. } = head;
        let mut payloads = VecDeque::from(payloads);
        if header.flags & BODY_IS_PAYLOAD != 0
            && let Some(first) = payloads.pop_front()
        {
            body = first.bytes.into();
        }
        Read::Request(Box::new(Incoming {
            ticket: Ticket { connection: self.number, request: header.request },
            peer: self.peer.get_or_insert_with(|| self.link.peer()).clone(),
            session: self.serving.session().unwrap_or_default(),
            opcode: header.opcode,
            durability: header.durability(),
            map_version: header.map_version,
            handle: header.handle,
            sequence: header.sequence,
            target: header.target,
            reply_max: header.reply_max,
            deadline,
            body,
            payloads: payloads.into(),
            landing,
        }))
    }

    /// Queues an answer; one that nobody waits for is dropped.
    pub(crate) fn answer(&mut self, now: Moment, request: u64, answer: Answer) {
        let Some(reply_max) = self.serving.answer(request) else { return };
        let (map_version, body, payloads, body_has_sums) = match answer {
            Answer::Refused(refusal) => return self.push_error(now, request, &refusal),
            Answer::Reply { map_version, body, payloads, body_has_sums } => {
                (map_version, body, payloads, body_has_sums)
            }
        };
        let room = (payloads.iter().map(|bulk| bulk.bytes.len()).sum::<usize>() + body.len()) as u64;
        if room > reply_max {
            let message = format!("the reply has {room} bytes, at most {reply_max} were allowed");
            let refusal =
                Refusal { room, ..Refusal::new(Der::Overflow, message).hint("ask again with room for it") };
            return self.push_error(now, request, &refusal);
        }
        let parts: Vec<_> =
            payloads.iter().map(|bulk| Payload { shard: bulk.shard, ..Payload::new(&bulk.bytes) }).collect();
        let flags = if body_has_sums { BODY_HAS_SUMS } else { 0 };
        let header = Header { flags, map_version, ..Header::new(Kind::Reply).of(request) };
        let (head, sent) = match frame(header, &body, &parts) {
            Ok(frame) => frame,
            Err(error) => {
                return self.push_error(now, request, &Refusal::new(error.der(), error.to_string()));
            }
        };
        // The frame is `head`, then what it lists: a long body, and the payloads that have bytes. They are moved, not copied.
        let body_is_payload = sent.len() > parts.iter().filter(|part| !part.bytes.is_empty()).count();
        self.push(now, head, Ends::Nothing);
        if body_is_payload {
            self.push(now, body, Ends::Nothing);
        }
        for bulk in payloads {
            self.push(now, bulk.bytes, Ends::Nothing);
        }
        if let Some(last) = self.out.back_mut() {
            last.ends = Ends::Answer(request);
        }
    }

    fn push_error(&mut self, now: Moment, request: u64, refusal: &Refusal) {
        let bytes = control(Header::new(Kind::Error).of(request), &refusal.encode());
        self.push(now, bytes, Ends::Answer(request));
    }

    /// Writes what there is room for; false where the connection is over.
    pub(crate) fn write(&mut self, now: Moment) -> bool {
        while !self.out.is_empty() {
            let chunks = self.out.iter().take(PARTS_MAX).enumerate();
            let skip = |nth| if nth == 0 { self.written } else { 0 };
            let parts: Vec<IoSlice<'_>> = chunks
                .map(|(nth, chunk)| IoSlice::new(chunk.bytes.get(skip(nth)..).unwrap_or_default()))
                .collect();
            match self.link.write(&parts) {
                Ok(0) => return false,
                Ok(len) => self.wrote(now, len),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        let Ok(kept) = self.link.flush() else { return false };
        if std::mem::replace(&mut self.kept, kept) != kept {
            self.written_at = now;
        }
        if !self.out.is_empty() || kept > 0 {
            return true;
        }
        if self.leaving.is_some() && !std::mem::replace(&mut self.finished, true) {
            self.link.finish();
        }
        true
    }

    fn wrote(&mut self, now: Moment, len: usize) {
        self.written += len;
        self.written_at = now;
        while let Some(first) = self.out.front()
            && self.written >= first.bytes.len()
        {
            self.written -= first.bytes.len();
            match first.ends {
                Ends::Answer(request) => {
                    self.serving.sent(now, request);
                }
                Ends::Small => self.small -= 1,
                Ends::Nothing => {}
            }
            if let Some(sent) = self.out.pop_front() {
                spare::give(sent.bytes);
            }
        }
    }

    /// Looks at the time; false where the connection is over.
    pub(crate) fn on_time(&mut self, now: Moment) -> bool {
        if let Some(until) = self.leaving {
            return now < until;
        }
        let stalled = |since: Moment| now >= since.after_ms(self.stall_ms);
        if (!self.out.is_empty() || self.kept > 0) && stalled(self.written_at) {
            // It does not read: it would not read a goodbye either.
            return false;
        }
        let inside = self.intake.is_inside() || self.coming.as_ref().is_some_and(|coming| coming.reserved);
        if inside && stalled(self.read_at) {
            let why = Refusal::before(Der::Timedout, "the rest of a frame did not come in time");
            self.leave(now, why.into());
        } else if let Some(parting) = self.serving.on_time(now) {
            self.leave(now, parting);
        }
        true
    }

    /// Ends it without a word.
    pub(crate) fn close(&self) {
        self.link.close();
    }
}

impl Coming {
    /// Room for the next piece of the payload that is coming; `None` when all are there, and their sums right.
    fn room(&mut self) -> Result<Option<&mut [u8]>, FrameError> {
        if self.payloads.last().is_none_or(|last| self.filled == last.bytes.len()) {
            let nth = self.payloads.len();
            let next = self.head.places.get(nth);
            let sums = UnitSums::new(next.map_or(0, |next| next.len as usize));
            let sums = std::mem::replace(&mut self.sums, sums);
            if let (Some(place), Some(last)) =
                (nth.checked_sub(1).and_then(|nth| self.head.places.get(nth)), self.payloads.last_mut())
            {
                place.check_sum(sums.whole())?;
                last.units = sums.into_sums();
            }
            let Some(next) = next else { return Ok(None) };
            self.payloads.push(Bulk { shard: next.shard, ..Bulk::new(spare::take(next.len as usize)) });
            self.filled = 0;
        }
        let rest = self.payloads.last_mut().and_then(|last| last.bytes.get_mut(self.filled..));
        Ok(rest.map(|rest| {
            let piece = rest.len().min(PIECE_LEN);
            rest.get_mut(..piece).unwrap_or_default()
        }))
    }

    /// So many bytes came into the room. They are summed at once, while they are in the core's cache and more is on its way.
    fn came(&mut self, len: usize) {
        let piece = self.payloads.last().and_then(|last| last.bytes.get(self.filled..self.filled + len));
        self.sums.update(piece.unwrap_or_default());
        self.filled += len;
        self.put();
    }

    /// Puts what is there of the payload where it is to be, once that is worth a call.
    fn put(&mut self) {
        let (Some(landing), Some(bytes)) = (&self.landing, self.payloads.last().map(|last| &last.bytes))
        else {
            return;
        };
        let end = if self.filled == bytes.len() { self.filled } else { self.filled / UNIT_MIN * UNIT_MIN };
        if end == bytes.len() || end >= self.landed + LAND_LEN {
            landing.put(self.landed, bytes.get(self.landed..end).unwrap_or_default());
            self.landed = end;
        }
    }
}
