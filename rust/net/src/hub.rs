//! A server: its connections, its service, its memory. Driven from outside: by a thread that waits for sockets, or step by step.

use crate::Moment;
use crate::frame::Refusal;
use crate::limits::Limits;
use crate::link::Link;
use crate::service::{Answer, Incoming, Replies, Service};
use crate::serving::Identity;
use crate::session::{Read, Session};
use daos_types::Der;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

/// Milliseconds between two looks at the times of all connections: they are of seconds.
const SCAN_MS: u32 = 50;
/// Connections beyond the limit that are told so; more are closed without a word.
const REFUSED_MAX: usize = 64;
/// Bytes of answers that are written before the next request is worked on: who waits for them has something to do meanwhile.
const EARLY_BYTES: usize = 128 << 10;
/// Milliseconds after which a client that found no room may try again.
const BUSY_RETRY_MS: u32 = 1_000;

/// What the owner of a connection's link is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Tell when this happens.
    Watch { readable: bool, writable: bool },
    /// Nothing: it is gone.
    Gone,
}

pub(crate) struct Hub {
    me: Identity,
    limits: Limits,
    service: Box<dyn Service>,
    replies: Replies,
    sessions: BTreeMap<u64, Session>,
    last_number: u64,
    /// Bytes that the requests of all connections hold.
    held: u64,
    /// Connections whose next request waits for room, first come first served.
    waiting: VecDeque<(u64, u64)>,
    /// Connections that may have more to read than what their links tell.
    again: BTreeSet<u64>,
    /// Connections whose wishes may have changed.
    touched: BTreeSet<u64>,
    next_scan: Moment,
    /// Requests were handed to the service since it had its rest.
    busy: bool,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { me, sessions, held, .. } = self;
        f.debug_struct("Hub")
            .field("me", me)
            .field("sessions", &sessions.len())
            .field("held", held)
            .finish_non_exhaustive()
    }
}

impl Hub {
    pub(crate) fn new(me: Identity, limits: Limits, service: Box<dyn Service>, replies: Replies) -> Self {
        Self {
            me,
            limits,
            service,
            replies,
            sessions: BTreeMap::new(),
            last_number: 0,
            held: 0,
            waiting: VecDeque::new(),
            again: BTreeSet::new(),
            touched: BTreeSet::new(),
            next_scan: Moment::default(),
            busy: false,
        }
    }

    /// A connection came; its number.
    pub(crate) fn accept(&mut self, now: Moment, link: Box<dyn Link>) -> Option<u64> {
        let full = self.sessions.len() >= self.limits.connections_max;
        if self.sessions.len() >= self.limits.connections_max + REFUSED_MAX {
            link.close();
            return None;
        }
        self.last_number += 1;
        let number = self.last_number;
        let mut session = Session::new(number, now, self.limits, link);
        if full {
            let message =
                format!("the server has {} connections, the most it takes", self.limits.connections_max);
            let refusal = Refusal { retry_ms: BUSY_RETRY_MS, ..Refusal::before(Der::Busy, message) };
            session.leave(now, refusal.into());
        }
        self.sessions.insert(number, session);
        self.again.insert(number);
        Some(number)
    }

    /// A connection may have something to read, or room to write.
    pub(crate) fn ready(&mut self, now: Moment, number: u64) {
        self.touched.insert(number);
        self.read(now, number);
    }

    /// A connection is gone: nothing that it asked can be answered.
    pub(crate) fn hung_up(&mut self, number: u64) {
        self.forget(number);
    }

    /// Whether a connection's next request waits for room, so that nothing is read of it.
    pub(crate) fn is_waiting(&self, number: u64) -> bool {
        self.waiting.iter().any(|(waiting, _)| *waiting == number)
    }

    fn read(&mut self, now: Moment, number: u64) {
        let mut turn = 0;
        loop {
            let Some(session) = self.sessions.get_mut(&number) else { return };
            match session.read(now, &self.me, &mut turn) {
                Read::Nothing => return,
                Read::Turn => {
                    self.again.insert(number);
                    return;
                }
                Read::Needs(bytes) => {
                    // Who came first is served first, also where a later one would fit.
                    if !self.waiting.is_empty() || !self.has_room(bytes) {
                        if !self.is_waiting(number) {
                            self.waiting.push_back((number, bytes));
                        }
                        return;
                    }
                    self.reserve(now, number, bytes);
                }
                Read::Request(request) => self.serve(now, *request),
                Read::Cancel(ticket) => self.service.cancel(ticket, &self.replies),
                Read::Over => {
                    self.forget(number);
                    return;
                }
            }
        }
    }

    fn has_room(&self, bytes: u64) -> bool {
        self.held == 0 || self.held.saturating_add(bytes) <= self.limits.bytes_max
    }

    fn reserve(&mut self, now: Moment, number: u64, bytes: u64) {
        if let Some(session) = self.sessions.get_mut(&number)
            && session.reserve(now)
        {
            self.held += bytes;
            session.land(|header, len| self.service.land(header, len));
        }
    }

    fn serve(&mut self, now: Moment, request: Incoming) {
        if now >= request.deadline {
            let late = Refusal::before(Der::Timedout, "its time was over before it was begun");
            self.replies.send(request.ticket, Answer::Refused(late));
            return;
        }
        self.busy = true;
        self.service.request(now, request, &self.replies);
        if self.replies.bytes() >= EARLY_BYTES {
            for number in self.answer(now) {
                self.write(now, number);
            }
        }
    }

    /// Hands answers to their connections; to which.
    fn answer(&mut self, now: Moment) -> BTreeSet<u64> {
        let mut numbers = BTreeSet::new();
        for (ticket, answer) in self.replies.take() {
            if let Some(session) = self.sessions.get_mut(&ticket.connection) {
                session.answer(now, ticket.request, answer);
                numbers.insert(ticket.connection);
            }
        }
        self.touched.extend(&numbers);
        numbers
    }

    fn forget(&mut self, number: u64) {
        if let Some(session) = self.sessions.remove(&number) {
            self.held -= session.held();
            session.close();
        }
        self.waiting.retain(|(waiting, _)| *waiting != number);
        self.again.remove(&number);
        self.touched.insert(number);
    }

    /// Whether the end of this wake-up waits for what was handed to the service.
    pub(crate) fn is_to_wait(&self) -> bool {
        self.busy && self.service.is_to_wait()
    }

    /// Ends a wake-up: lets the service rest, writes what it answered, looks at the time. True where there is more to do at once.
    pub(crate) fn settle(&mut self, now: Moment) -> bool {
        for number in std::mem::take(&mut self.again) {
            self.touched.insert(number);
            self.read(now, number);
        }
        if std::mem::take(&mut self.busy) {
            self.service.rest(now, &self.replies);
        }
        self.answer(now);
        if now >= self.next_scan {
            self.scan(now);
        }
        for number in self.touched.clone() {
            self.write(now, number);
        }
        self.admit_waiting(now);
        !self.again.is_empty()
    }

    fn write(&mut self, now: Moment, number: u64) {
        let Some(session) = self.sessions.get_mut(&number) else { return };
        let before = session.held();
        let lives = session.write(now);
        self.held -= before - session.held();
        if !lives {
            self.forget(number);
        }
    }

    fn admit_waiting(&mut self, now: Moment) {
        while let Some((number, bytes)) = self.waiting.front().copied()
            && self.has_room(bytes)
        {
            self.waiting.pop_front();
            self.reserve(now, number, bytes);
            self.again.insert(number);
        }
    }

    fn scan(&mut self, now: Moment) {
        self.next_scan = now.after_ms(SCAN_MS);
        let numbers: Vec<u64> = self.sessions.keys().copied().collect();
        for number in numbers {
            let Some(session) = self.sessions.get_mut(&number) else { continue };
            let before = session.held();
            let lives = session.on_time(now);
            self.held -= before - session.held();
            let (_, writable) = session.interest();
            if !lives {
                self.forget(number);
            } else if writable {
                self.touched.insert(number);
            }
        }
    }

    /// When to look at the time next.
    pub(crate) fn next_time(&self) -> Moment {
        if self.sessions.is_empty() { Moment::MAX } else { self.next_scan }
    }

    /// What is wished for connections that something happened to.
    pub(crate) fn wishes(&mut self) -> Vec<(u64, Wish)> {
        let touched = std::mem::take(&mut self.touched);
        let wish = |number: &u64| match self.sessions.get(number) {
            None => Wish::Gone,
            Some(session) => {
                let (readable, writable) = session.interest();
                Wish::Watch { readable, writable }
            }
        };
        touched.iter().map(|number| (*number, wish(number))).collect()
    }

    /// Says goodbye to all, and ends.
    pub(crate) fn end(&mut self, now: Moment) {
        for (_, mut session) in std::mem::take(&mut self.sessions) {
            session.leave(now, Refusal::before(Der::Shutdown, "the server stops").into());
            session.write(now);
            session.close();
        }
    }
}
