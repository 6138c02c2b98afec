use super::*;
use crate::frame::SessionId;
use crate::serving::{Asked, Identity, Serving};
use daos_types::Rank;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};

fn limits() -> Limits {
    Limits {
        frame_bytes: 1000,
        window_requests: 4,
        window_bytes: 200_000,
        hello_ms: 100,
        silence_ms: 1000,
        idle_ms: 60_000,
        ..Limits::default()
    }
}

fn hello() -> Hello {
    Hello {
        versions: (1, 1),
        rank: None,
        incarnation: 0,
        session: SessionId([1; 16]),
        frame_bytes: 1000,
        requests: 9,
        idle_ms: 5,
        system: "s".to_owned(),
    }
}

fn me() -> Identity {
    Identity { system: "s".to_owned(), rank: Rank(1), incarnation: 2 }
}

/// The frames of bytes that hold nothing else, without payloads.
fn heads(bytes: &[u8]) -> Vec<Head> {
    let mut intake = crate::intake::Intake::default();
    let mut heads = Vec::new();
    for piece in bytes.chunks(1000) {
        intake.room()[..piece.len()].copy_from_slice(piece);
        intake.filled(piece.len());
        while let Some(head) = intake.next_head().unwrap() {
            heads.push(head);
        }
    }
    heads
}

fn head(header: Header, body: &[u8]) -> Head {
    heads(&control(header, body)).remove(0)
}

/// A caller and the server's end, and what is under way between them.
struct Pair {
    now: Moment,
    caller: Caller,
    serving: Serving,
    to_server: VecDeque<Head>,
    to_client: VecDeque<Head>,
    /// What the server has to answer.
    asked: BTreeMap<u64, u32>,
    /// What the client waits for.
    waited: Vec<u64>,
}

impl Pair {
    fn new() -> Self {
        let now = Moment(1_000_000);
        let mut out = Vec::new();
        let caller = Caller::open(now, limits(), &hello(), &mut out);
        let (to_server, to_client) = (heads(&out).into(), VecDeque::new());
        let (asked, waited) = (BTreeMap::new(), Vec::new());
        Self { now, caller, serving: Serving::open(now, limits()), to_server, to_client, asked, waited }
    }

    fn greeted() -> Self {
        let mut pair = Self::new();
        while pair.deliver(true) || pair.deliver(false) {}
        pair
    }

    fn ask(&mut self, cost: Cost, timeout_ms: u32) -> Admission {
        let admission = self.caller.admit(cost, self.now.after_ms(timeout_ms));
        if let Admission::Go(request) = admission {
            self.waited.push(request);
            let header = Header {
                opcode: 1,
                timeout_us: timeout_ms * 1000,
                reply_max: cost.reply_max,
                ..Header::new(Kind::Request).of(request)
            };
            self.to_server.push_back(head(header, &vec![0; cost.inline_bytes as usize]));
        }
        admission
    }

    /// The next frame of a direction arrives; false where there is none. Neither end may find anything wrong.
    fn deliver(&mut self, to_server: bool) -> bool {
        let mut out = Vec::new();
        if to_server {
            let Some(head) = self.to_server.pop_front() else { return false };
            match self.serving.on_head(self.now, &me(), &head, &mut out).unwrap() {
                Asked::Request { .. } => drop(self.asked.insert(head.header.request, head.header.reply_max)),
                Asked::Cancel(request) => assert!(self.asked.contains_key(&request)),
                Asked::Nothing => {}
                Asked::Goodbye => panic!("nobody leaves"),
            }
            self.to_client.extend(heads(&out));
        } else {
            let Some(head) = self.to_client.pop_front() else { return false };
            match self.caller.on_head(self.now, &head, &mut out).unwrap() {
                Heard::Reply(request) => {
                    assert!(self.waited.contains(&request), "a reply that nobody waits for");
                    self.caller.answered(self.now, request);
                    self.waited.retain(|waited| *waited != request);
                }
                Heard::Refused(request, refusal) => {
                    assert!(self.waited.contains(&request) && refusal.der == Der::Busy);
                    self.waited.retain(|waited| *waited != request);
                }
                Heard::Late | Heard::Nothing => {}
            }
            self.to_server.extend(heads(&out));
        }
        true
    }

    fn answer(&mut self, nth: usize, refuse: bool) {
        let Some((request, reply_max)) = self.asked.iter().nth(nth).map(|(request, max)| (*request, *max))
        else {
            return;
        };
        self.asked.remove(&request);
        assert_eq!(self.serving.answer(request), Some(u64::from(reply_max)));
        assert_eq!(self.serving.answer(request), None, "there is no second answer");
        let answer = if refuse {
            head(Header::new(Kind::Error).of(request), &Refusal::new(Der::Busy, "no").encode())
        } else {
            head(Header::new(Kind::Reply).of(request), &vec![7; reply_max as usize])
        };
        self.to_client.push_back(answer);
        self.serving.sent(self.now, request);
    }

    fn pass(&mut self, ms: u32) {
        self.now = self.now.after_ms(ms);
        let mut out = Vec::new();
        self.caller.on_time(self.now, &mut out);
        self.waited.retain(|request| self.caller.waits(*request));
        self.to_server.extend(heads(&out));
        assert!(self.serving.on_time(self.now).is_none());
    }
}

fn cost(inline_bytes: u64, reply_max: u32) -> Cost {
    Cost { payload_bytes: 0, inline_bytes, reply_max }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever two ends do that keep to the rules, neither finds anything wrong with the other, and nothing is forgotten.
    #[test]
    fn two_ends_that_keep_to_the_rules_get_along(steps in vec((0..8_u8, any::<u32>()), 0..300)) {
        let mut pair = Pair::greeted();
        for (what, number) in steps {
            match what {
                0 | 1 => drop(pair.ask(cost(u64::from(number % 500), number % 60_000), 1 + number % 3000)),
                2 => drop(pair.deliver(true)),
                3 => drop(pair.deliver(false)),
                4 => pair.answer(number as usize % 4, number % 3 == 0),
                5 => pair.pass(number % 40),
                6 => {
                    let mut out = Vec::new();
                    if let Some(request) = pair.waited.get(number as usize % 4).copied() {
                        pair.caller.give_up(request, &mut out);
                        pair.waited.retain(|waited| *waited != request);
                    }
                    pair.to_server.extend(heads(&out));
                }
                _ => {
                    let window = Window { requests: number % 9, bytes: u64::from(number % 300_000) };
                    let mut out = Vec::new();
                    pair.serving.offer(pair.now, window, &mut out);
                    pair.to_client.extend(heads(&out));
                }
            }
            prop_assert!(pair.serving.bytes() <= 2 * 200_000);
            // A server that was not heard for long enough is given up.
            if pair.caller.ended().is_some() {
                return Ok(());
            }
        }
        // Once all is answered, nothing is held at either end.
        while pair.deliver(true) || pair.deliver(false) || !pair.asked.is_empty() {
            pair.answer(0, false);
        }
        prop_assert_eq!((pair.caller.count(), pair.caller.bytes, pair.serving.bytes()), (0, 0, 0));
        prop_assert!(pair.waited.is_empty());
    }
}

#[test]
fn requests_wait_for_the_welcome_and_for_the_window() {
    let mut pair = Pair::new();
    assert_eq!(pair.ask(cost(1, 1), 100), Admission::Wait);
    while pair.deliver(true) || pair.deliver(false) {}
    for id in 1..=4 {
        assert_eq!(pair.ask(cost(1, 1), 100), Admission::Go(id));
    }
    assert_eq!(pair.ask(cost(1, 1), 100), Admission::Wait, "four requests are the window");
    while pair.deliver(true) {}
    pair.answer(2, false);
    pair.deliver(false);
    assert_eq!(pair.ask(cost(1, 1), 100), Admission::Go(5));
    let Admission::Never(error) = pair.caller.admit(cost(1, 70_000), Moment::MAX) else { panic!("it goes") };
    assert_eq!((error.der, error.outcome), (Der::Overflow, Outcome::Nothing));
}

#[test]
fn a_window_that_narrows_counts_when_it_is_confirmed() {
    let mut pair = Pair::greeted();
    let mut out = Vec::new();
    assert!(pair.serving.offer(pair.now, Window { requests: 1, bytes: 0 }, &mut out));
    assert!(!pair.serving.offer(pair.now, Window { requests: 2, bytes: 0 }, &mut out), "one at a time");
    pair.to_client.extend(heads(&out));
    // Sent before it is seen: under the window before.
    assert_eq!(pair.ask(cost(1, 1), 100), Admission::Go(1));
    assert_eq!(pair.ask(cost(1, 1), 100), Admission::Go(2));
    assert!(pair.deliver(false));
    assert_eq!(pair.ask(cost(1, 1), 100), Admission::Wait);
    while pair.deliver(true) {}
    assert_eq!(pair.asked.len(), 2);
    // Confirmed: who sends more than one now goes beyond the window.
    let header = Header { opcode: 1, timeout_us: 1, ..Header::new(Kind::Request).of(3) };
    let refused = pair.serving.on_head(pair.now, &me(), &head(header, b""), &mut out).unwrap_err();
    assert_eq!(refused.say.map(|refusal| refusal.der), Some(Der::Dos));
    // One that is never confirmed ends the connection.
    let mut pair = Pair::greeted();
    pair.serving.offer(pair.now, Window { requests: 1, bytes: 0 }, &mut out);
    let late = pair.now.after_ms(limits().stall_ms);
    assert_eq!(pair.serving.next_time(), late);
    let parting = pair.serving.on_time(late).unwrap();
    assert_eq!(parting.say.unwrap().message, "a window was not confirmed in time");
}

#[test]
fn a_silent_server_is_asked_once_and_then_dead() {
    let mut pair = Pair::greeted();
    assert_eq!(
        pair.caller.next_time(),
        Moment::MAX,
        "nothing is expected of a server that was asked nothing"
    );
    pair.ask(cost(1, 1), 60_000);
    pair.to_server.clear();
    pair.pass(999);
    assert!(pair.to_server.is_empty());
    pair.pass(1);
    assert_eq!(pair.to_server.pop_front().unwrap().header.kind, Kind::Ping);
    pair.pass(999);
    assert!(pair.to_server.is_empty() && pair.caller.ended().is_none());
    pair.pass(1);
    assert_eq!(pair.caller.ended().unwrap().der, Der::Unreach);
}

#[test]
fn a_server_that_answers_pings_is_not_dead() {
    let mut pair = Pair::greeted();
    pair.ask(cost(1, 1), 60_000);
    for _ in 0..20 {
        pair.pass(500);
        while pair.deliver(true) || pair.deliver(false) {}
    }
    assert!(pair.caller.ended().is_none());
}

#[test]
fn a_welcome_that_does_not_come_ends_it_and_an_idle_one_is_stale() {
    let mut pair = Pair::new();
    let late = pair.now.after_ms(100);
    assert_eq!((pair.caller.next_time(), pair.serving.next_time()), (late, late));
    pair.caller.on_time(late, &mut Vec::new());
    assert_eq!(pair.caller.ended().unwrap().der, Der::Timedout);
    assert_eq!(pair.serving.on_time(late).unwrap().say.unwrap().message, "no hello came in time");
    let mut pair = Pair::greeted();
    pair.pass(29_999);
    assert!(!pair.caller.is_stale(pair.now));
    pair.pass(1);
    assert!(pair.caller.is_stale(pair.now), "half of the time after which the server leaves");
}

#[test]
fn what_a_server_may_not_send_is_refused() {
    let refused = |pair: &mut Pair, header: Header, body: &[u8]| {
        pair.caller.on_head(pair.now, &head(header, body), &mut Vec::new()).unwrap_err()
    };
    let mut pair = Pair::new();
    let reply = Header::new(Kind::Reply).of(1);
    assert_eq!(refused(&mut pair, reply, b"").der(), Der::Proto, "a reply before welcome");
    let mut pair = Pair::greeted();
    assert_eq!(refused(&mut pair, Header::new(Kind::Hello), b"").der(), Der::Proto);
    assert_eq!(refused(&mut pair, Header::new(Kind::Cancel).of(1), b"").der(), Der::Proto);
    pair.ask(cost(1, 3), 100);
    assert_eq!(refused(&mut pair, reply, b"four").der(), Der::Overflow, "more than the request allowed");
    let mut out = Vec::new();
    pair.caller.refuse(FrameError::Sum { of: "a payload" }, &mut out);
    assert_eq!(Refusal::decode(&heads(&out)[0].body).unwrap().der, Der::Csum);
    assert_eq!(pair.caller.ended().unwrap().der, Der::Csum);
    out.clear();
    Pair::new().caller.refuse(FrameError::Foreign { what: "mail" }, &mut out);
    assert!(out.is_empty(), "nothing is said to who would not understand it");
}
