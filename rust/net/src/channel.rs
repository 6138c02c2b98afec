//! A client's connection. Whoever waits for an answer reads for all; there is no thread of its own.

use crate::Moment;
use crate::call::{Call, Receive, Reply};
use crate::caller::{Admission, Caller, Cost};
use crate::error::{NetError, Result};
use crate::frame::{HEADER_LEN, Head, Header, Hello, Kind, PLACE_LEN, Place, Refusal, Welcome, frame};
use crate::intake::Intake;
use crate::limits::{INLINE_LEN_MAX, Limits};
use crate::link::Link;
use daos_locks::{Mutex, MutexGuard};
use daos_types::Der;
use sleepers::{For, Sleepers};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IoSlice};
use std::time::Duration;

mod receive;
mod sleepers;

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
    /// Small frames and short requests to be written before the next request, whole but perhaps for the beginning of the first.
    out: Vec<u8>,
    /// Somebody writes a request.
    writing: bool,
    came: BTreeMap<u64, Came>,
    /// A reply whose payloads are next to read, by the one who waits for it; where nobody does, by whoever waits for another.
    next: Option<(u64, Head)>,
    /// The requests that somebody waits for.
    awaited: BTreeSet<u64>,
    /// Those of them, and of who wants to send, that sleep. Where one does, another reads or writes, or was woken to.
    sleepers: Sleepers,
    /// Somebody was woken to read, or to send, and is not awake yet.
    reader_woken: bool,
    sender_woken: bool,
    /// How often somebody saw only when he looked again what he was to be woken for.
    overslept: u64,
    /// The last place in the line of those who want to send.
    last_place: u64,
}

/// A client's connection to a server.
///
/// Any thread may call; each reply is read by the thread that waits for it. A forked child must not use its parent's.
#[derive(Debug)]
pub struct Channel {
    link: Box<dyn Link>,
    state: Mutex<State>,
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
        let state = State {
            caller,
            intake: Some(Intake::default()),
            out,
            writing: false,
            came: BTreeMap::new(),
            next: None,
            awaited: BTreeSet::new(),
            sleepers: Sleepers::default(),
            reader_woken: false,
            sender_woken: false,
            overslept: 0,
            last_place: 0,
        };
        let channel = Self { link, state: Mutex::new(state) };
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
        state.sleepers.wake_all();
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
        // Where there are many payloads and little in them, their list is what takes the room.
        let places = (call.payloads.len() + usize::from(long)) * PLACE_LEN;
        let len = cost.payload_bytes + cost.inline_bytes + (HEADER_LEN + places) as u64;
        let (mut state, turn) = self.turn(self.state.lock(), cost, len, deadline);
        let (request, left) = match turn {
            Ok(turn) => turn,
            Err(error) => {
                state.leave();
                return Err(error);
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
        let framed = frame(header, call.body, call.payloads);
        let result = match &framed {
            Err(error) => {
                state.caller.answered(self.link.now(), request);
                Err(error.clone().into())
            }
            Ok((head, payloads)) if state.writing || soon && state.goes_behind(len) => {
                state.out.extend_from_slice(head);
                for payload in payloads {
                    state.out.extend_from_slice(payload);
                }
                Ok(())
            }
            Ok((head, payloads)) => {
                let result;
                (state, result) = self.write_now(state, request, head, payloads, deadline);
                result
            }
        };
        state.leave();
        drop(state);
        result.map(|()| Sent { channel: self, request })
    }

    /// Waits for a place in the window, and for who writes now, where the request of so many bytes is too long to go behind: its id,
    /// and what is left of its time.
    fn turn<'s>(
        &'s self,
        mut state: MutexGuard<'s, State>,
        cost: Cost,
        len: u64,
        deadline: Moment,
    ) -> (MutexGuard<'s, State>, Result<(u64, Duration)>) {
        let mut place = None;
        let turn = loop {
            let now = self.link.now();
            self.on_time(&mut state, now);
            if now >= deadline {
                let message = "the server did not take the request in time";
                break Err(NetError::before(Der::Timedout, message)
                    .hint("it has others to answer: give it more time"));
            }
            let waits = state.writing && !state.goes_behind(len);
            let admission = if waits { Admission::Wait } else { state.caller.admit(cost, deadline) };
            match admission {
                Admission::Go(request) => break Ok((request, deadline.since(now))),
                Admission::Never(error) => break Err(error),
                Admission::Wait => {
                    let place = *place.get_or_insert_with(|| {
                        state.last_place += 1;
                        state.last_place
                    });
                    state = self.wait(state, For::Turn(place, cost), deadline);
                }
            }
        };
        (state, turn)
    }

    /// Writes a request, what was to go before it, and what others put behind it meanwhile.
    fn write_now<'s>(
        &'s self,
        mut state: MutexGuard<'s, State>,
        request: u64,
        head: &[u8],
        payloads: &[&[u8]],
        deadline: Moment,
    ) -> (MutexGuard<'s, State>, Result<()>) {
        let before = std::mem::take(&mut state.out);
        state.writing = true;
        drop(state);
        let written = self.write(&before, head, payloads, deadline);
        let mut state = self.state.lock();
        state.writing = false;
        if let Err((len, error)) = written {
            state.caller.answered(self.link.now(), request);
            if len > before.len() {
                // A frame that is cut short: nothing can follow it. The server never had it whole.
                state.caller.end(error.clone());
                self.link.close();
            } else {
                state.out.splice(..0, before.into_iter().skip(len));
            }
            self.flush(&mut state);
            return (state, Err(error));
        }
        self.flush(&mut state);
        for _ in 0..BEHIND_MAX {
            if state.out.is_empty() {
                break;
            }
            // There is no room for what others put behind, and none of them may come by to write it.
            let behind = std::mem::take(&mut state.out);
            state.writing = true;
            drop(state);
            let written = self.write(&behind, &[], &[], deadline);
            state = self.state.lock();
            state.writing = false;
            if let Err((len, _)) = written {
                state.out.splice(..0, behind.into_iter().skip(len));
                break;
            }
            self.flush(&mut state);
        }
        (state, Ok(()))
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

    /// What the time says is to be written; it goes with the next that is, or when somebody waits.
    fn on_time(&self, state: &mut State, now: Moment) {
        let State { caller, out, next, sleepers, .. } = state;
        if caller.on_time(now, out) {
            sleepers.wake_given_up(caller);
        }
        // Nobody comes for the payloads that are next.
        if let Some((request, head)) = next.take_if(|(request, _)| !caller.waits(*request)) {
            caller.answered(now, request);
            if let Some(intake) = &mut state.intake {
                intake.skip(head.payload_bytes());
            }
            state.rouse();
        }
        if state.caller.ended().is_some() {
            self.flush(state);
            self.link.close();
            state.sleepers.wake_all();
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

    fn forget(&self, request: u64) {
        let mut state = self.state.lock();
        let State { caller, out, came, .. } = &mut *state;
        caller.give_up(request, out);
        came.remove(&request);
        let now = self.link.now();
        self.on_time(&mut state, now);
        self.flush(&mut state);
        state.leave();
    }

    /// How often somebody saw only when he looked again what he was to be woken for. Anything but 0 is a mistake of this crate.
    #[doc(hidden)]
    pub fn overslept(&self) -> u64 {
        self.state.lock().overslept
    }
}

impl State {
    /// Whether a request of so many bytes may be kept to be written with others.
    fn goes_behind(&self, len: u64) -> bool {
        len + (self.out.len() as u64) < SOON_MAX
    }

    /// To be called by who goes, with his reply or without: wakes who has to go on in his place.
    fn leave(&mut self) {
        self.rouse();
        let Self { intake, next, awaited, sleepers, reader_woken, .. } = self;
        let nobodys = intake.is_some() && next.as_ref().is_none_or(|(request, _)| !awaited.contains(request));
        if nobodys && !*reader_woken {
            *reader_woken = sleepers.wake_reader();
        }
    }

    /// Wakes who may send now, or everybody, where it is over.
    fn rouse(&mut self) {
        if self.caller.ended().is_some() {
            self.sleepers.wake_all();
        } else if !self.writing {
            self.sender_woken |= self.sleepers.wake_sender(&self.caller);
        }
    }
}

/// Bytes of short requests that wait to be written with others.
const SOON_MAX: u64 = 16 << 10;
/// How often who wrote a request writes what others put behind it: he has a reply to wait for.
const BEHIND_MAX: usize = 4;
/// Bytes of small frames that wait to be written: a server that keeps to the rules gives no cause for more than a few.
const OUT_MAX: usize = 64 << 10;
/// Parts that are written by one call.
const PARTS_MAX: usize = 64;

impl Drop for Channel {
    fn drop(&mut self) {
        if self.link.is_own() {
            self.close();
        }
    }
}
