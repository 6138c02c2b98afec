//! The client's end of a connection: decides, and does nothing. Time comes in with each event; what it wants sent is appended to
//! bytes that its owner writes.

use crate::Moment;
use crate::error::{NetError, Outcome};
use crate::frame::{FRAME_VERSION, FrameError, Head, Header, Hello, Kind, Refusal, Welcome, Window, control};
use crate::limits::{INLINE_LEN_MAX, Limits};
use daos_types::Der;
use std::collections::BTreeMap;

/// What a request needs of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Bytes of its payloads, a long body among them.
    pub payload_bytes: u64,
    /// Bytes of its inline body.
    pub inline_bytes: u64,
    /// Bytes that its reply may have.
    pub reply_max: u32,
}

impl Cost {
    fn bytes(&self) -> u64 {
        self.payload_bytes.saturating_add(self.inline_bytes).saturating_add(u64::from(self.reply_max))
    }
}

/// Whether a request may go now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Under this id. It must be sent next, or the connection ended.
    Go(u64),
    /// Not until others are answered.
    Wait,
    /// Not on this connection.
    Never(NetError),
}

/// What a frame meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Nothing that a request waits for.
    Nothing,
    /// The reply to a request, whose payloads follow. [`Caller::answered`] when they are in.
    Reply(u64),
    /// A request was refused, or failed.
    Refused(u64, Refusal),
    /// The reply to a request that was given up: its payloads are to be thrown away.
    Late,
}

#[derive(Debug)]
struct UnderWay {
    deadline: Moment,
    bytes: u64,
    reply_max: u32,
    /// Nobody waits for it any more, but the server may still be at it: it counts until it is answered.
    given_up: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Greeting { until: Moment },
    Open,
    Ended(NetError),
}

/// The client's end.
#[derive(Debug)]
pub struct Caller {
    limits: Limits,
    state: State,
    welcome: Option<Welcome>,
    window: Window,
    last_id: u64,
    under_way: BTreeMap<u64, UnderWay>,
    bytes: u64,
    /// No deadline of what is under way is earlier.
    earliest: Moment,
    heard: Moment,
    ping: Option<Moment>,
    pings: u64,
    idle_since: Moment,
}

impl Caller {
    /// Begins a connection: says hello.
    pub fn open(now: Moment, limits: Limits, hello: &Hello, out: &mut Vec<u8>) -> Self {
        out.extend(control(Header::new(Kind::Hello), &hello.encode()));
        Self {
            limits,
            state: State::Greeting { until: now.after_ms(limits.hello_ms) },
            welcome: None,
            window: Window { requests: 0, bytes: 0 },
            last_id: 0,
            under_way: BTreeMap::new(),
            bytes: 0,
            earliest: Moment::MAX,
            heard: now,
            ping: None,
            pings: 0,
            idle_since: now,
        }
    }

    /// Who the server is, once it said so.
    pub fn welcome(&self) -> Option<&Welcome> {
        self.welcome.as_ref()
    }

    /// Why the connection is of no use any more.
    pub fn ended(&self) -> Option<&NetError> {
        match &self.state {
            State::Ended(error) => Some(error),
            _ => None,
        }
    }

    /// Ends the connection. What is under way ends with it, uncertain.
    pub fn end(&mut self, error: NetError) {
        if self.ended().is_none() {
            self.state = State::Ended(NetError { outcome: Outcome::Nothing, ..error });
        }
    }

    /// As [`Caller::end`], because of what the server sent; says why, if it would be understood.
    pub fn refuse(&mut self, error: FrameError, out: &mut Vec<u8>) {
        if self.ended().is_none() && !error.is_foreign() {
            let refusal = Refusal::new(error.der(), error.to_string());
            out.extend(control(Header::new(Kind::Goodbye), &refusal.encode()));
        }
        self.end(error.into());
    }

    /// Says goodbye and ends.
    pub fn leave(&mut self, why: &str, out: &mut Vec<u8>) {
        if self.ended().is_none() {
            out.extend(control(Header::new(Kind::Goodbye), &Refusal::before(Der::Shutdown, why).encode()));
        }
        self.end(NetError::before(Der::Shutdown, why));
    }

    /// Asks for a place in the window.
    pub fn admit(&mut self, cost: Cost, deadline: Moment) -> Admission {
        let welcome = match (&self.state, self.welcome) {
            (State::Ended(error), _) => return Admission::Never(error.clone()),
            (State::Open, Some(welcome)) => welcome,
            _ => return Admission::Wait,
        };
        let too_large = |what: &str, len: u64, max: u64| {
            let message = format!("{what}: {len}, at most {max}");
            Admission::Never(NetError::before(Der::Overflow, message).hint("divide it into several requests"))
        };
        if cost.payload_bytes > u64::from(welcome.frame_bytes) {
            return too_large(
                "bytes of payloads of a request",
                cost.payload_bytes,
                u64::from(welcome.frame_bytes),
            );
        }
        let reply_bytes_max = self.limits.frame_bytes.saturating_add(INLINE_LEN_MAX as u32);
        if cost.reply_max > reply_bytes_max {
            return too_large("bytes of a reply", u64::from(cost.reply_max), u64::from(reply_bytes_max));
        }
        let bytes = cost.bytes();
        if bytes > welcome.window.bytes {
            return too_large("bytes of a request and its reply", bytes, welcome.window.bytes);
        }
        if !self.has_room(cost) {
            return Admission::Wait;
        }
        self.last_id += 1;
        self.bytes += bytes;
        self.earliest = self.earliest.min(deadline);
        let under_way = UnderWay { deadline, bytes, reply_max: cost.reply_max, given_up: false };
        self.under_way.insert(self.last_id, under_way);
        Admission::Go(self.last_id)
    }

    /// Whether there is a place in the window for it now.
    pub fn has_room(&self, cost: Cost) -> bool {
        // Alone it may go even where the window became narrower than it is: else it would never.
        let fits = self.bytes + cost.bytes() <= self.window.bytes || self.under_way.is_empty();
        self.under_way.len() < self.window.requests as usize && fits
    }

    /// A frame's head came. An error is to be handed to [`Caller::refuse`].
    pub fn on_head(&mut self, now: Moment, head: &Head, out: &mut Vec<u8>) -> Result<Heard, FrameError> {
        self.heard = now;
        self.ping = None;
        let greeting = matches!(self.state, State::Greeting { .. });
        let request = head.header.request;
        match head.header.kind {
            Kind::Welcome if greeting => {
                let welcome = Welcome::decode(&head.body)?;
                if welcome.version != FRAME_VERSION {
                    return Err(FrameError::Malformed { what: "a version that was not offered" });
                }
                self.window = welcome.window;
                self.welcome = Some(welcome);
                self.state = State::Open;
                self.idle_since = now;
                Ok(Heard::Nothing)
            }
            Kind::Goodbye => {
                let refusal = Refusal::decode(&head.body)?;
                self.end(NetError::told(refusal));
                Ok(Heard::Nothing)
            }
            Kind::Reply if !greeting => self.on_reply(now, head),
            Kind::Error if !greeting => {
                let refusal = Refusal::decode(&head.body)?;
                match self.under_way.get(&request).map(|under_way| under_way.given_up) {
                    None => Ok(Heard::Nothing),
                    Some(given_up) => {
                        self.answered(now, request);
                        Ok(if given_up { Heard::Nothing } else { Heard::Refused(request, refusal) })
                    }
                }
            }
            Kind::Credit if !greeting => {
                let frame_bytes = self.welcome.map_or(0, |welcome| welcome.frame_bytes);
                let (serial, window) = Window::decode(&head.body, frame_bytes)?;
                self.window = window;
                out.extend(control(Header::new(Kind::Credit), &window.encode(serial)));
                Ok(Heard::Nothing)
            }
            Kind::Ping if !greeting => {
                out.extend(control(Header::new(Kind::Pong).of(request), &[]));
                Ok(Heard::Nothing)
            }
            Kind::Pong if !greeting => Ok(Heard::Nothing),
            _ => Err(FrameError::Malformed { what: "a frame that a server may not send now" }),
        }
    }

    fn on_reply(&mut self, now: Moment, head: &Head) -> Result<Heard, FrameError> {
        let request = head.header.request;
        let Some(under_way) = self.under_way.get(&request) else { return Ok(Heard::Late) };
        let (len, max) = (head.bytes(), u64::from(under_way.reply_max));
        if len > max {
            return Err(FrameError::TooLarge { what: "bytes of a reply", len, max });
        }
        if under_way.given_up {
            self.answered(now, request);
            return Ok(Heard::Late);
        }
        Ok(Heard::Reply(request))
    }

    /// A request's answer is in, or what is left of it is thrown away: its place in the window is free.
    pub fn answered(&mut self, now: Moment, request: u64) {
        if let Some(under_way) = self.under_way.remove(&request) {
            self.bytes -= under_way.bytes;
            self.idle_since = now;
        }
    }

    /// Nobody waits for a request any more: the server is told.
    pub fn give_up(&mut self, request: u64, out: &mut Vec<u8>) {
        if let Some(under_way) = self.under_way.get_mut(&request)
            && !std::mem::replace(&mut under_way.given_up, true)
        {
            out.extend(control(Header::new(Kind::Cancel).of(request), &[]));
        }
    }

    /// Whether a request still waits for its answer.
    pub fn waits(&self, request: u64) -> bool {
        self.under_way.get(&request).is_some_and(|under_way| !under_way.given_up)
    }

    /// How many requests are under way, also of those that were given up.
    pub fn count(&self) -> usize {
        self.under_way.len()
    }

    /// Whether nothing was asked for so long that the server may be about to leave: half of its time, or all of ours.
    pub fn is_stale(&self, now: Moment) -> bool {
        let server_ms = self.welcome.map_or(u32::MAX, |welcome| welcome.idle_ms / 2);
        self.under_way.is_empty()
            && self.state == State::Open
            && now >= self.idle_since.after_ms(self.limits.idle_ms.min(server_ms))
    }

    /// Looks at the time: gives up what is over, asks a silent server whether it is there, ends a dead connection. Whether something
    /// may have been given up.
    pub fn on_time(&mut self, now: Moment, out: &mut Vec<u8>) -> bool {
        match self.state {
            State::Ended(_) => return false,
            State::Greeting { until } if now >= until => {
                let message = "the server did not say welcome in time";
                self.end(
                    NetError::before(Der::Timedout, message)
                        .hint("check that the server runs and is reached"),
                );
                return false;
            }
            _ => {}
        }
        let over = now >= self.earliest;
        if over {
            self.give_up_what_is_over(now, out);
        }
        if self.under_way.is_empty() || self.state != State::Open {
            return over;
        }
        match self.ping {
            None if now >= self.silent_until() => {
                self.pings += 1;
                self.ping = Some(now);
                out.extend(control(Header::new(Kind::Ping).of(self.pings), &[]));
            }
            Some(asked) if now >= asked.after_ms(self.limits.silence_ms) => {
                let silent_ms = u64::from(self.limits.silence_ms) * 2;
                let message =
                    format!("nothing came from the server for {silent_ms} ms, and no answer to a ping");
                self.end(
                    NetError::before(Der::Unreach, message).hint("check that the server runs and is reached"),
                );
            }
            _ => {}
        }
        over
    }

    fn give_up_what_is_over(&mut self, now: Moment, out: &mut Vec<u8>) {
        let waiting = || self.under_way.iter().filter(|(_, under_way)| !under_way.given_up);
        let over = waiting().filter(|(_, under_way)| now >= under_way.deadline);
        let over: Vec<u64> = over.map(|(request, _)| *request).collect();
        let later = waiting().map(|(_, under_way)| under_way.deadline).filter(|deadline| *deadline > now);
        self.earliest = later.min().unwrap_or(Moment::MAX);
        for request in over {
            self.give_up(request, out);
        }
    }

    /// Until when it is not asked whether the server is there. Nothing is expected before something is under way.
    fn silent_until(&self) -> Moment {
        self.heard.max(self.idle_since).after_ms(self.limits.silence_ms)
    }

    /// When to look at the time next; sometimes there is nothing to see then.
    pub fn next_time(&self) -> Moment {
        let mut next = Moment::MAX;
        match self.state {
            State::Ended(_) => return next,
            State::Greeting { until } => next = until,
            State::Open => {}
        }
        if !self.under_way.is_empty() && self.state == State::Open {
            let silent =
                self.ping.map_or(self.silent_until(), |asked| asked.after_ms(self.limits.silence_ms));
            next = next.min(self.earliest).min(silent);
        }
        next
    }
}

#[cfg(test)]
mod tests;
