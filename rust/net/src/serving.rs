//! The server's end of a connection: decides, and does nothing. Time comes in with each event; what it wants sent is appended to
//! bytes that its owner writes.

use crate::Moment;
use crate::frame::{
    FRAME_VERSION, FrameError, Head, Header, Hello, Kind, Refusal, SessionId, Welcome, Window, control,
};
use crate::limits::{INLINE_LEN_MAX, Limits};
use daos_types::{Der, Rank};
use std::collections::BTreeMap;
use std::time::Duration;

/// Who a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its system.
    pub system: String,
    /// Its rank there.
    pub rank: Rank,
    /// Since when it is that: another number after each start, at least 1.
    pub incarnation: u64,
}

/// What a frame meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Nothing that the service needs to know.
    Nothing,
    /// A request, which is counted from now on; its payloads follow.
    Request {
        /// Until when it makes sense to begin it.
        deadline: Moment,
        /// Bytes that it may need in all.
        bytes: u64,
    },
    /// A request is not waited for any more. It is answered all the same.
    Cancel(u64),
    /// The client leaves.
    Goodbye,
}

/// Why the server ends a connection; what it says then, if it would be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parting {
    /// The body of the goodbye.
    pub say: Option<Refusal>,
}

impl From<FrameError> for Parting {
    fn from(error: FrameError) -> Self {
        Self { say: (!error.is_foreign()).then(|| Refusal::new(error.der(), error.to_string())) }
    }
}

impl From<Refusal> for Parting {
    fn from(refusal: Refusal) -> Self {
        Self { say: Some(refusal) }
    }
}

#[derive(Debug)]
struct UnderWay {
    bytes: u64,
    reply_max: u32,
    /// Its answer is there and not yet sent: there is no second one.
    answered: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Greeting { until: Moment },
    Open { session: SessionId },
}

/// The server's end.
#[derive(Debug)]
pub struct Serving {
    limits: Limits,
    state: State,
    last_id: u64,
    under_way: BTreeMap<u64, UnderWay>,
    bytes: u64,
    /// What the client may count on.
    window: Window,
    /// What it will count on when it has seen it, and until when it must have.
    offered: Option<(u32, Window, Moment)>,
    serial: u32,
    idle_since: Moment,
}

impl Serving {
    /// Begins to wait for a hello.
    pub fn open(now: Moment, limits: Limits) -> Self {
        let bytes = limits.window_bytes.max(u64::from(limits.frame_bytes) + INLINE_LEN_MAX as u64);
        Self {
            limits: Limits { window_bytes: bytes, ..limits },
            state: State::Greeting { until: now.after_ms(limits.hello_ms) },
            last_id: 0,
            under_way: BTreeMap::new(),
            bytes: 0,
            window: Window { requests: limits.window_requests.max(1), bytes },
            offered: None,
            serial: 0,
            idle_since: now,
        }
    }

    /// Whose changes come, once it said hello.
    pub fn session(&self) -> Option<SessionId> {
        match self.state {
            State::Open { session } => Some(session),
            State::Greeting { .. } => None,
        }
    }

    /// A frame's head came.
    pub fn on_head(
        &mut self,
        now: Moment,
        me: &Identity,
        head: &Head,
        out: &mut Vec<u8>,
    ) -> Result<Asked, Parting> {
        let greeting = matches!(self.state, State::Greeting { .. });
        let request = head.header.request;
        match head.header.kind {
            Kind::Hello if greeting => self.on_hello(now, me, head, out),
            Kind::Goodbye => {
                Refusal::decode(&head.body)?;
                Ok(Asked::Goodbye)
            }
            Kind::Request if !greeting => Ok(self.on_request(now, head)?),
            Kind::Cancel if !greeting => {
                let waits = self.under_way.get(&request).is_some_and(|under_way| !under_way.answered);
                Ok(if waits { Asked::Cancel(request) } else { Asked::Nothing })
            }
            Kind::Credit if !greeting => {
                let (serial, window) = Window::decode(&head.body, self.limits.frame_bytes)?;
                match self.offered {
                    Some((offered, of, _)) if (offered, of) == (serial, window) => {
                        (self.window, self.offered) = (window, None);
                        Ok(Asked::Nothing)
                    }
                    _ => Err(FrameError::Malformed { what: "a window that was not offered" }.into()),
                }
            }
            Kind::Ping if !greeting => {
                out.extend(control(Header::new(Kind::Pong).of(request), &[]));
                Ok(Asked::Nothing)
            }
            Kind::Pong if !greeting => Ok(Asked::Nothing),
            _ => Err(FrameError::Malformed { what: "a frame that a client may not send now" }.into()),
        }
    }

    fn on_hello(
        &mut self,
        now: Moment,
        me: &Identity,
        head: &Head,
        out: &mut Vec<u8>,
    ) -> Result<Asked, Parting> {
        let hello = Hello::decode(&head.body)?;
        let (least, greatest) = hello.versions;
        if !(least..=greatest).contains(&FRAME_VERSION) {
            let message =
                format!("this server speaks version {FRAME_VERSION}, the client {least} to {greatest}");
            return Err(Refusal::before(Der::Proto, message)
                .hint("use the same release on both sides")
                .into());
        }
        if hello.system != me.system {
            let message = format!("this is system '{}', not '{}'", me.system, hello.system);
            return Err(Refusal::before(Der::Mismatch, message)
                .hint("check the address of the system")
                .into());
        }
        let (rank, incarnation) = (hello.rank.unwrap_or(me.rank), hello.incarnation);
        if rank != me.rank || !(incarnation == 0 || incarnation == me.incarnation) {
            let message = format!(
                "this is rank {} of incarnation {}, not rank {} of incarnation {incarnation}",
                me.rank.0, me.incarnation, rank.0
            );
            return Err(Refusal::before(Der::Stale, message)
                .hint("ask for the ranks of the system again")
                .into());
        }
        self.state = State::Open { session: hello.session };
        self.window.requests = self.window.requests.min(hello.requests);
        self.idle_since = now;
        let welcome = Welcome {
            version: FRAME_VERSION,
            rank: me.rank,
            incarnation: me.incarnation,
            window: self.window,
            frame_bytes: self.limits.frame_bytes,
            idle_ms: self.limits.idle_ms,
        };
        out.extend(control(Header::new(Kind::Welcome), &welcome.encode()));
        Ok(Asked::Nothing)
    }

    fn on_request(&mut self, now: Moment, head: &Head) -> Result<Asked, FrameError> {
        let header = &head.header;
        if header.request <= self.last_id {
            return Err(FrameError::Malformed { what: "a request that came twice, or was overtaken" });
        }
        let (len, max) = (head.payload_bytes(), u64::from(self.limits.frame_bytes));
        if len > max {
            return Err(FrameError::TooLarge { what: "bytes of payloads of a request", len, max });
        }
        let bytes = head.bytes().saturating_add(u64::from(header.reply_max));
        // What was offered and not yet confirmed may be what it goes by.
        let offered = self.offered.map_or(self.window, |(_, window, _)| window);
        if self.under_way.len() >= self.window.requests.max(offered.requests) as usize {
            return Err(FrameError::Window { what: "requests" });
        }
        let alone = self.under_way.is_empty() && bytes <= self.limits.window_bytes;
        if self.bytes.saturating_add(bytes) > self.window.bytes.max(offered.bytes) && !alone {
            return Err(FrameError::Window { what: "bytes" });
        }
        self.last_id = header.request;
        self.bytes += bytes;
        self.under_way
            .insert(header.request, UnderWay { bytes, reply_max: header.reply_max, answered: false });
        let deadline = now.after(Duration::from_micros(u64::from(header.timeout_us)));
        Ok(Asked::Request { deadline, bytes })
    }

    /// A request's answer is there: the bytes that it may have. `None` where there is one already, or nothing was asked.
    pub fn answer(&mut self, request: u64) -> Option<u64> {
        let under_way = self.under_way.get_mut(&request)?;
        (!std::mem::replace(&mut under_way.answered, true)).then_some(u64::from(under_way.reply_max))
    }

    /// A request's answer is sent: its place in the window is free. Bytes that it held.
    pub fn sent(&mut self, now: Moment, request: u64) -> u64 {
        let Some(under_way) = self.under_way.remove(&request) else { return 0 };
        self.bytes -= under_way.bytes;
        self.idle_since = now;
        under_way.bytes
    }

    /// Bytes that all its requests hold.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Offers the client another window, no wider than the limits and no narrower than one request. While it has not seen the one
    /// before, nothing is offered: false.
    pub fn offer(&mut self, now: Moment, window: Window, out: &mut Vec<u8>) -> bool {
        if self.session().is_none() || self.offered.is_some() {
            return false;
        }
        let bytes_min = u64::from(self.limits.frame_bytes) + INLINE_LEN_MAX as u64;
        let window = Window {
            requests: window.requests.clamp(1, self.limits.window_requests.max(1)),
            bytes: window.bytes.clamp(bytes_min, self.limits.window_bytes),
        };
        self.serial += 1;
        self.offered = Some((self.serial, window, now.after_ms(self.limits.stall_ms)));
        out.extend(control(Header::new(Kind::Credit), &window.encode(self.serial)));
        true
    }

    /// Looks at the time: whether the connection ends, and why.
    pub fn on_time(&self, now: Moment) -> Option<Parting> {
        if now < self.next_time() {
            return None;
        }
        let late = |what: &str| Refusal::before(Der::Timedout, what).into();
        Some(match (self.state, self.offered) {
            (State::Greeting { .. }, _) => late("no hello came in time"),
            (_, Some((_, _, until))) if now >= until => late("a window was not confirmed in time"),
            _ => Refusal::before(Der::Shutdown, "nothing was asked for long").into(),
        })
    }

    /// When to look at the time next.
    pub fn next_time(&self) -> Moment {
        let idle = match self.state {
            State::Greeting { until } => until,
            State::Open { .. } if self.under_way.is_empty() => self.idle_since.after_ms(self.limits.idle_ms),
            State::Open { .. } => Moment::MAX,
        };
        self.offered.map_or(idle, |(_, _, until)| idle.min(until))
    }
}
