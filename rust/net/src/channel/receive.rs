//! How a reply comes to who waits for it: of those who wait one reads, for all.

use super::{Came, Channel, LOOK_AGAIN, OUT_MAX, Sent, State};
use crate::Moment;
use crate::call::{Kept, Receive, check_rooms};
use crate::caller::Heard;
use crate::channel::sleepers::For;
use crate::error::{NetError, Result};
use crate::frame::{BODY_IS_PAYLOAD, FrameError, Head, Place};
use crate::intake::Intake;
use crate::limits::PIECE_LEN;
use daos_codec::UnitSums;
use daos_locks::MutexGuard;
use daos_types::Der;
use std::io;

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

impl Channel {
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
                state.leave();
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
            state = self.wait(state, For::Reply(request), Moment::MAX);
        };
        state.awaited.remove(&request);
        state.leave();
        drop(state);
        match came {
            Came::Reply(head) => into.head(head.header.map_version, &head.body, &[]),
            Came::Whole(reply, places) => reply.hand_on(&places, into),
            Came::Refused(refusal) => Err(NetError::told(refusal)),
            Came::Failed(error) => Err(error),
        }
    }

    /// Waits for something to change: by reading, where nobody does, else for whoever does.
    pub(super) fn wait<'s>(
        &'s self,
        mut state: MutexGuard<'s, State>,
        what: For,
        until: Moment,
    ) -> MutexGuard<'s, State> {
        // Who may send as soon as another has written does not wait for what the server says.
        let reads = state.intake.is_some() && !(state.writing && matches!(what, For::Turn(..)));
        match &state.next {
            None if reads => return self.read_some(state, until),
            Some((request, _)) if reads && !state.awaited.contains(request) => {
                return self.read_for_another(state);
            }
            _ => {}
        }
        self.flush(&mut state);
        let bell = state.sleepers.add(what);
        let (mut state, _) = bell.wait_for(state, LOOK_AGAIN);
        if !state.sleepers.remove(what) {
            // It may have been he.
            state.reader_woken = false;
            state.sender_woken &= matches!(what, For::Reply(_));
        } else if state.has_something(what) {
            state.overslept += 1;
        }
        state
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
            state.sleepers.wake(request);
        }
        state
    }

    /// Reads once, and takes in what came. The caller found an intake there.
    pub(super) fn read_some<'s>(
        &'s self,
        mut state: MutexGuard<'s, State>,
        until: Moment,
    ) -> MutexGuard<'s, State> {
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
        state
    }

    /// Understands what was read, up to a reply whose payloads somebody has to read.
    fn take_in(&self, state: &mut State) {
        let now = self.link.now();
        let State { caller, intake: Some(intake), out, came, next, sleepers, .. } = state else { return };
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
                Ok(Heard::Refused(request, refusal)) => {
                    came.insert(request, Came::Refused(refusal));
                    sleepers.wake(request);
                }
                Ok(Heard::Reply(request)) if head.places.is_empty() => {
                    caller.answered(now, request);
                    came.insert(request, Came::Reply(head));
                    sleepers.wake(request);
                }
                Ok(Heard::Reply(request)) => {
                    *next = Some((request, head));
                    sleepers.wake(request);
                }
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
        state.rouse();
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
            if let Err(error) = self.link.wait(true, false, until) {
                return Err(Stop::Link(NetError::broken("reading a reply", &error)));
            }
        }
    }
}

impl State {
    /// Whether somebody who was not woken had cause to be: what he looks again for is there for that alone.
    fn has_something(&self, what: For) -> bool {
        let to_read = self.intake.is_some() && self.next.is_none() && !self.reader_woken;
        match what {
            For::Reply(request) => {
                let is_next = self.next.as_ref().is_some_and(|(next, _)| *next == request);
                let is_his = self.intake.is_some() && is_next || self.came.contains_key(&request);
                is_his || to_read || self.caller.ended().is_some() || !self.caller.waits(request)
            }
            For::Turn(_, cost) => {
                let may_send = self.caller.has_room(cost) && !self.sender_woken;
                !self.writing && (to_read || may_send) || self.caller.ended().is_some()
            }
        }
    }
}
