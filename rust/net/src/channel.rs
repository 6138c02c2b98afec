//! A client's connection. Whoever waits for an answer reads for all; there is no thread of its own.

use crate::Moment;
use crate::call::{Call, Kept, Receive, Reply, check_rooms};
use crate::caller::{Admission, Caller, Cost, Heard};
use crate::error::{NetError, Result};
use crate::frame::{
    BODY_IS_PAYLOAD, FrameError, Head, Header, Hello, Kind, Place, Refusal, Welcome, control, frame,
};
use crate::intake::Intake;
use crate::limits::{INLINE_LEN_MAX, Limits, PIECE_LEN};
use crate::link::Link;
use daos_codec::UnitSums;
use daos_locks::{Condvar, Mutex, MutexGuard};
use daos_types::Der;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::time::Duration;

/// Who waits for another's reading or writing looks again after so long, whatever happens.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What came for a request, for whoever waits for it.
#[derive(Debug)]
enum Came {
    /// A reply without payloads.
    Reply(Head),
    /// A reply that was read for one who was not waiting yet, its payloads as the list has them.
    Whole(Reply, Vec<Place>),
    Refused(Refusal),
    /// Its payloads did not come.
    Failed(NetError),
}

#[derive(Debug)]
struct State {
    caller: Caller,
    /// `None` while somebody reads.
    intake: Option<Intake>,
    /// Small frames to be written before the next request, whole but perhaps for the beginning of the first.
    out: Vec<u8>,
    /// Somebody writes a request.
    writing: bool,
    came: BTreeMap<u64, Came>,
    /// A reply whose payloads are next to read, by the one who waits for it; where nobody does, by whoever waits for another.
    next: Option<(u64, Head)>,
    /// The requests that somebody waits for.
    awaited: BTreeSet<u64>,
}

/// A client's connection to a server.
///
/// Any thread may call; each reply is read by the thread that waits for it. A forked child must not use its parent's.
#[derive(Debug)]
pub struct Channel {
    link: Box<dyn Link>,
    state: Mutex<State>,
    changed: Condvar,
}

/// A request that was sent. Dropping it gives the request up.
#[derive(Debug)]
pub struct Sent<'c> {
    channel: &'c Channel,
    request: u64,
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        self.channel.forget(self.request);
    }
}

impl Channel {
    /// Says hello over a link, and waits for the welcome, no longer than this.
    pub fn open(link: Box<dyn Link>, limits: Limits, hello: &Hello, timeout: Duration) -> Result<Self> {
        let mut out = Vec::new();
        let now = link.now();
        let caller = Caller::open(now, limits, hello, &mut out);
        let (intake, came) = (Some(Intake::default()), BTreeMap::new());
        let state = State { caller, intake, out, writing: false, came, next: None, awaited: BTreeSet::new() };
        let channel = Self { link, state: Mutex::new(state), changed: Condvar::new() };
        let deadline = now.after(timeout);
        let mut state = channel.state.lock();
        while state.caller.welcome().is_none() {
            let now = channel.link.now();
            channel.on_time(&mut state, now);
            if let Some(error) = state.caller.ended() {
                return Err(error.clone());
            }
            if now >= deadline {
                channel.link.close();
                let message = "no connection in the time that was given";
                return Err(NetError::before(Der::Timedout, message)
                    .hint("check that the server runs and is reached"));
            }
            state = channel.read_some(state, deadline);
        }
        drop(state);
        Ok(channel)
    }

    /// Who the server is.
    pub fn welcome(&self) -> Option<Welcome> {
        self.state.lock().caller.welcome().copied()
    }

    /// Whether it is of no use any more, or may be at any moment because nothing was asked for long.
    pub fn is_over(&self) -> bool {
        let mut state = self.state.lock();
        if state.caller.is_stale(self.link.now()) {
            let State { caller, out, .. } = &mut *state;
            caller.leave("nothing was asked for long", out);
            self.flush(&mut state);
            self.link.close();
        }
        state.caller.ended().is_some()
    }

    /// Says goodbye. What is under way ends, uncertain.
    pub fn close(&self) {
        let mut state = self.state.lock();
        let State { caller, out, .. } = &mut *state;
        caller.leave("the connection was closed here", out);
        self.flush(&mut state);
        self.link.close();
        self.changed.notify_all();
    }

    /// Sends a request and waits for its reply.
    pub fn call(&self, call: &Call<'_>, into: &mut dyn Receive) -> Result<()> {
        self.receive(self.send(call)?, into)
    }

    /// Sends a request, once there is a place in the window; others may be sent before its reply is asked for.
    pub fn send(&self, call: &Call<'_>) -> Result<Sent<'_>> {
        self.send_now_or_soon(call, false)
    }

    /// As [`Channel::send`], where others follow at once: a short request is written together with them, by [`Channel::send_out`] or
    /// when somebody waits for a reply of this channel, whichever is first.
    pub fn send_soon(&self, call: &Call<'_>) -> Result<Sent<'_>> {
        self.send_now_or_soon(call, true)
    }

    /// Writes what was to be sent soon: nobody may wait here before he has waited for a reply of another channel.
    pub fn send_out(&self) {
        self.flush(&mut self.state.lock());
    }

    fn send_now_or_soon(&self, call: &Call<'_>, soon: bool) -> Result<Sent<'_>> {
        let deadline = self.link.now().after(call.timeout);
        let payload_bytes = call.payloads.iter().map(|payload| payload.bytes.len() as u64).sum::<u64>();
        let long = call.body.len() > INLINE_LEN_MAX;
        let (inline_bytes, body_bytes) = if long { (0, call.body.len()) } else { (call.body.len(), 0) };
        let cost = Cost {
            payload_bytes: payload_bytes + body_bytes as u64,
            inline_bytes: inline_bytes as u64,
            reply_max: call.reply_max,
        };
        let mut state = self.state.lock();
        let (request, left) = loop {
            let now = self.link.now();
            self.on_time(&mut state, now);
            if now >= deadline {
                let message = "the server did not take the request in time";
                return Err(NetError::before(Der::Timedout, message)
                    .hint("it has others to answer: give it more time"));
            }
            let admission = if state.writing { Admission::Wait } else { state.caller.admit(cost, deadline) };
            match admission {
                Admission::Go(request) => break (request, deadline.since(now)),
                Admission::Never(error) => return Err(error),
                Admission::Wait => state = self.wait(state, deadline),
            }
        };
        let header = Header {
            opcode: call.opcode,
            flags: Header::flags_of(call.durability),
            map_version: call.map_version,
            timeout_us: u32::try_from(left.as_micros()).unwrap_or(u32::MAX).max(1),
            handle: call.handle,
            sequence: call.sequence,
            target: call.target,
            reply_max: call.reply_max,
            ..Header::new(Kind::Request).of(request)
        };
        let sent = Sent { channel: self, request };
        if soon && call.payloads.is_empty() && call.body.len() + state.out.len() < SOON_MAX {
            // Without payloads and so short, it is always framed.
            state.out.extend(control(header, call.body));
            return Ok(sent);
        }
        state.writing = true;
        let before = std::mem::take(&mut state.out);
        drop(state);
        let written = match frame(header, call.body, call.payloads) {
            Ok((head, payloads)) => self.write(&before, &head, &payloads, deadline),
            Err(error) => Err((0, error.into())),
        };
        let mut state = self.state.lock();
        state.writing = false;
        let result = match written {
            Ok(()) => Ok(sent),
            Err((len, error)) => {
                state.caller.answered(self.link.now(), request);
                if len > before.len() {
                    // A frame that is cut short: nothing can follow it. The server never had it whole.
                    state.caller.end(error.clone());
                    self.link.close();
                } else {
                    state.out.splice(..0, before.into_iter().skip(len));
                }
                Err(error)
            }
        };
        self.flush(&mut state);
        drop(state);
        self.changed.notify_all();
        result
    }

    /// Writes small frames, a head and payloads; where that fails, how many bytes of all went.
    fn write(
        &self,
        before: &[u8],
        head: &[u8],
        payloads: &[&[u8]],
        deadline: Moment,
    ) -> std::result::Result<(), (usize, NetError)> {
        let parts =
            [before, head].into_iter().chain(payloads.iter().copied()).filter(|part| !part.is_empty());
        let mut parts: Vec<IoSlice<'_>> = parts.map(IoSlice::new).collect();
        let (mut rest, mut done) = (&mut parts[..], 0);
        while !rest.is_empty() {
            let few = rest.len().min(PARTS_MAX);
            match self.link.write(rest.get(..few).unwrap_or_default()) {
                Ok(0) => {
                    return Err((done, NetError::before(Der::Unreach, "the connection takes no more bytes")));
                }
                Ok(len) => {
                    done += len;
                    IoSlice::advance_slices(&mut rest, len);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.link.now() >= deadline {
                        let message = "the server did not read the request in time";
                        return Err((done, NetError::before(Der::Timedout, message)));
                    }
                    if let Err(error) = self.link.wait(false, true, deadline) {
                        return Err((done, NetError::broken("sending a request", &error)));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((done, NetError::broken("sending a request", &error))),
            }
        }
        // Nobody may come by for long who would hand on what the link keeps.
        loop {
            match self.link.flush() {
                Ok(0) => return Ok(()),
                Ok(_) if self.link.now() >= deadline => {
                    let message = "the server did not read the request in time";
                    return Err((done, NetError::before(Der::Timedout, message)));
                }
                Ok(_) => {}
                Err(error) => return Err((done, NetError::broken("sending a request", &error))),
            }
            if let Err(error) = self.link.wait(false, true, deadline) {
                return Err((done, NetError::broken("sending a request", &error)));
            }
        }
    }

    /// Waits for the reply to a request that was sent, and reads it to where it belongs.
    pub fn receive(&self, sent: Sent<'_>, into: &mut dyn Receive) -> Result<()> {
        let request = sent.request;
        // From here on it is given up by its time alone.
        std::mem::forget(sent);
        let mut state = self.state.lock();
        state.awaited.insert(request);
        let came = loop {
            if let Some(came) = state.came.remove(&request) {
                break came;
            }
            if state.intake.is_some()
                && let Some((_, head)) = state.next.take_if(|(of, _)| *of == request)
            {
                let (mut state, result) = self.read_payloads(state, request, &head, into);
                state.awaited.remove(&request);
                return result.unwrap_or_else(|| Err(over_time()));
            }
            if let Some(error) = state.caller.ended() {
                break Came::Failed(error.clone().after_sending());
            }
            let now = self.link.now();
            self.on_time(&mut state, now);
            if !state.caller.waits(request) {
                break Came::Failed(over_time());
            }
            state = self.wait(state, Moment::MAX);
        };
        state.awaited.remove(&request);
        drop(state);
        match came {
            Came::Reply(head) => into.head(head.header.map_version, &head.body, &[]),
            Came::Whole(reply, places) => reply.hand_on(&places, into),
            Came::Refused(refusal) => Err(NetError::told(refusal)),
            Came::Failed(error) => Err(error),
        }
    }

    /// Waits for something to change: by reading, where nobody does, else for whoever does.
    fn wait<'s>(&'s self, mut state: MutexGuard<'s, State>, until: Moment) -> MutexGuard<'s, State> {
        if state.intake.is_some() {
            match &state.next {
                None => return self.read_some(state, until),
                Some((request, _)) if !state.awaited.contains(request) => {
                    return self.read_for_another(state);
                }
                Some(_) => {}
            }
        }
        self.flush(&mut state);
        self.changed.wait_for(state, LOOK_AGAIN).0
    }

    /// Reads the payloads that are next into memory of their own: who sent several requests may ask for the replies in any order.
    fn read_for_another<'s>(&'s self, mut state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        let Some((request, head)) = state.next.take() else { return state };
        let mut kept = Kept::default();
        let (mut state, result) = self.read_payloads(state, request, &head, &mut kept);
        // Its sender may have dropped it meanwhile.
        if let Some(result) = result {
            let body_is_payload = head.header.flags & BODY_IS_PAYLOAD != 0;
            let places = head.places.into_iter().skip(usize::from(body_is_payload)).collect();
            let came = result.map_or_else(Came::Failed, |()| Came::Whole(kept.0, places));
            state.came.insert(request, came);
        }
        state
    }

    /// What the time says is to be written; it goes with the next that is, or when somebody waits.
    fn on_time(&self, state: &mut State, now: Moment) {
        let State { caller, out, next, .. } = state;
        caller.on_time(now, out);
        // Nobody comes for the payloads that are next.
        if let Some((request, head)) = next.take_if(|(request, _)| !caller.waits(*request)) {
            caller.answered(now, request);
            if let Some(intake) = &mut state.intake {
                intake.skip(head.payload_bytes());
            }
        }
        if state.caller.ended().is_some() {
            self.flush(state);
            self.link.close();
        }
    }

    /// Writes small frames as far as there is room.
    fn flush(&self, state: &mut State) {
        if state.writing || state.out.is_empty() {
            return;
        }
        // What does not go now goes before the next request, or when somebody looks at the time.
        if let Ok(len) = self.link.write(&[IoSlice::new(&state.out)]) {
            state.out.drain(..len.min(state.out.len()));
        }
    }

    /// Reads once, and takes in what came. The caller found an intake there.
    fn read_some<'s>(&'s self, mut state: MutexGuard<'s, State>, until: Moment) -> MutexGuard<'s, State> {
        self.flush(&mut state);
        let Some(mut intake) = state.intake.take() else { return state };
        let until = until.min(state.caller.next_time());
        let unsent = !state.out.is_empty() && !state.writing;
        drop(state);
        let mut read = self.link.read(intake.room());
        if let Err(error) = &read
            && error.kind() == io::ErrorKind::WouldBlock
        {
            let waited = self.link.wait(true, unsent, until);
            read = waited.and_then(|()| self.link.read(intake.room()));
        }
        let mut state = self.state.lock();
        match read {
            Ok(0) => state.caller.end(NetError::before(Der::Unreach, "the server closed the connection")),
            Ok(len) => intake.filled(len),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => state.caller.end(NetError::broken("reading from the server", &error)),
        }
        state.intake = Some(intake);
        self.take_in(&mut state);
        self.changed.notify_all();
        state
    }

    /// Understands what was read, up to a reply whose payloads somebody has to read.
    fn take_in(&self, state: &mut State) {
        let now = self.link.now();
        let State { caller, intake: Some(intake), out, came, next, .. } = state else { return };
        while next.is_none() && caller.ended().is_none() {
            let head = match intake.next_head() {
                Ok(Some(head)) => head,
                Ok(None) => break,
                Err(error) => {
                    caller.refuse(error, out);
                    break;
                }
            };
            match caller.on_head(now, &head, out) {
                Ok(Heard::Nothing) => {}
                Ok(Heard::Late) => intake.skip(head.payload_bytes()),
                Ok(Heard::Refused(request, refusal)) => drop(came.insert(request, Came::Refused(refusal))),
                Ok(Heard::Reply(request)) if head.places.is_empty() => {
                    caller.answered(now, request);
                    came.insert(request, Came::Reply(head));
                }
                Ok(Heard::Reply(request)) => *next = Some((request, head)),
                Err(error) => caller.refuse(error, out),
            }
        }
        if out.len() > OUT_MAX {
            caller.refuse(FrameError::Window { what: "pings" }, &mut Vec::new());
        }
        self.flush(state);
        if state.caller.ended().is_some() {
            self.link.close();
        }
    }

    /// Reads the payloads of a reply to where they belong, and hands the reading on. `None` where nobody waits for it any more.
    fn read_payloads<'s>(
        &'s self,
        mut state: MutexGuard<'s, State>,
        request: u64,
        head: &Head,
        into: &mut dyn Receive,
    ) -> (MutexGuard<'s, State>, Option<Result<()>>) {
        let Some(mut intake) = state.intake.take() else { return (state, None) };
        drop(state);
        let mut left = head.payload_bytes();
        let read = self.try_read_payloads(request, head, &mut intake, into, &mut left);
        // What is left of a reply that was given up is thrown away by whoever reads next.
        intake.skip(left);
        let mut state = self.state.lock();
        let wanted = state.caller.waits(request);
        state.caller.answered(self.link.now(), request);
        let result = match read {
            Ok(()) => Ok(()),
            Err(Stop::Caller(error)) => Err(error),
            Err(Stop::Frame(error)) => {
                let State { caller, out, .. } = &mut *state;
                caller.refuse(error.clone(), out);
                Err(NetError::from(error).after_sending())
            }
            Err(Stop::Link(error)) => {
                state.caller.end(error.clone());
                Err(error.after_sending())
            }
        };
        state.intake = Some(intake);
        self.take_in(&mut state);
        self.changed.notify_all();
        (state, wanted.then_some(result))
    }

    fn try_read_payloads(
        &self,
        request: u64,
        head: &Head,
        intake: &mut Intake,
        into: &mut dyn Receive,
        left: &mut u64,
    ) -> std::result::Result<(), Stop> {
        let mut places = head.places.iter();
        let mut long_body = Vec::new();
        if head.header.flags & BODY_IS_PAYLOAD != 0
            && let Some(place) = places.next()
        {
            long_body = vec![0; place.len as usize];
            self.fill(request, place, vec![&mut long_body], intake, left)?;
        }
        let body = if long_body.is_empty() { &head.body } else { &long_body };
        into.head(head.header.map_version, body, places.as_slice()).map_err(Stop::Caller)?;
        for (nth, place) in places.enumerate() {
            let rooms = into.rooms(nth).map_err(Stop::Caller)?;
            check_rooms(&rooms, place.len as usize).map_err(Stop::Caller)?;
            let units = self.fill(request, place, rooms, intake, left)?;
            into.came(nth, units);
        }
        Ok(())
    }

    fn fill(
        &self,
        request: u64,
        place: &Place,
        rooms: Vec<&mut [u8]>,
        intake: &mut Intake,
        left: &mut u64,
    ) -> std::result::Result<Vec<u32>, Stop> {
        let mut sums = UnitSums::new(place.len as usize);
        for room in rooms {
            let mut filled = 0;
            // Piece by piece, so that what is summed is still in the cache of the core, and more comes meanwhile.
            while let Some(rest) = room.get_mut(filled..).filter(|rest| !rest.is_empty()) {
                let piece = rest.len().min(PIECE_LEN);
                let piece = rest.get_mut(..piece).unwrap_or_default();
                let len = match intake.take(piece) {
                    0 => self.read_into(request, piece)?,
                    len => len,
                };
                sums.update(piece.get(..len).unwrap_or_default());
                filled += len;
                *left -= len as u64;
            }
        }
        place.check_sum(sums.whole()).map_err(Stop::Frame)?;
        Ok(sums.into_sums())
    }

    /// Reads some bytes of a payload, no longer than its request's time; the times of others are looked at meanwhile.
    fn read_into(&self, request: u64, into: &mut [u8]) -> std::result::Result<usize, Stop> {
        loop {
            match self.link.read(into) {
                Ok(0) => {
                    let message = "the server closed the connection in the middle of a reply";
                    return Err(Stop::Link(NetError::before(Der::Unreach, message)));
                }
                Ok(len) => return Ok(len),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(Stop::Link(NetError::broken("reading a reply", &error))),
            }
            let mut state = self.state.lock();
            let now = self.link.now();
            self.on_time(&mut state, now);
            self.flush(&mut state);
            if let Some(error) = state.caller.ended() {
                return Err(Stop::Link(error.clone()));
            }
            if !state.caller.waits(request) {
                return Err(Stop::Caller(over_time()));
            }
            let until = state.caller.next_time();
            drop(state);
            self.changed.notify_all();
            if let Err(error) = self.link.wait(true, false, until) {
                return Err(Stop::Link(NetError::broken("reading a reply", &error)));
            }
        }
    }

    fn forget(&self, request: u64) {
        let mut state = self.state.lock();
        let State { caller, out, came, .. } = &mut *state;
        caller.give_up(request, out);
        came.remove(&request);
        let now = self.link.now();
        self.on_time(&mut state, now);
        self.flush(&mut state);
        drop(state);
        self.changed.notify_all();
    }
}

/// Bytes of short requests that wait to be written with others.
const SOON_MAX: usize = 16 << 10;
/// Bytes of small frames that wait to be written: a server that keeps to the rules gives no cause for more than a few.
const OUT_MAX: usize = 64 << 10;
/// Parts that are written by one call.
const PARTS_MAX: usize = 64;

/// Why a reply was not read to its end.
enum Stop {
    /// Its caller does not want it any more; the connection goes on.
    Caller(NetError),
    Frame(FrameError),
    Link(NetError),
}

fn over_time() -> NetError {
    NetError::before(Der::Timedout, "no reply came in the time that was given")
        .hint("look whether it happened before you ask again")
        .after_sending()
}

impl Drop for Channel {
    fn drop(&mut self) {
        if self.link.is_own() {
            self.close();
        }
    }
}
