//! What every provider must do.

use crate::{ECHO, GIVE, KEEP, SECOND, echo, hello, me, pattern, providers, small};
use daos_locks::Mutex;
use daos_net::frame::{Header, Hello, Payload};
use daos_net::tcp::Tcp;
use daos_net::{
    Answer, Bulk, Call, Channel, Endpoint, Incoming, Limits, Link, Listening, Moment, NetError, Outcome,
    Receive, Replies, Reply, Service, Transport,
};
use daos_types::{Der, LANDING_MIN, Landing, Rank, ShardIdx};
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

struct Net {
    transport: Arc<dyn Transport>,
    server: Box<dyn Listening>,
    limits: Limits,
}

impl Net {
    fn open(&self) -> Channel {
        self.try_open(&hello()).unwrap()
    }

    fn try_open(&self, hello: &Hello) -> Result<Channel, NetError> {
        let link = self.transport.connect(&self.server.address(), SECOND).unwrap();
        Channel::open(link, self.limits, hello, SECOND)
    }
}

/// Runs a check on a server of each provider.
fn each(limits: Limits, service: impl Fn() -> Box<dyn Service>, check: impl Fn(&Net)) {
    for (transport, address) in providers(false) {
        let server = transport.listen(&address, me(), limits, service()).unwrap();
        check(&Net { transport, server, limits });
    }
}

fn echoes() -> Box<dyn Service> {
    Box::new(echo)
}

fn call<'a>(opcode: u16, body: &'a [u8], payloads: &'a [Payload<'a>]) -> Call<'a> {
    Call { payloads, reply_max: 4 << 20, ..Call::new(opcode, 5 * SECOND, body) }
}

fn ask(channel: &Channel, call: &Call<'_>) -> Result<Reply, NetError> {
    let mut reply = Reply::default();
    channel.call(call, &mut reply).map(|()| reply)
}

#[test]
fn what_is_asked_is_answered() {
    each(small(), echoes, |net| {
        let channel = net.open();
        let welcome = channel.welcome().unwrap();
        assert_eq!((welcome.rank, welcome.incarnation, welcome.window.requests), (Rank(3), 7, 16));
        for len in [0, 1, 5000, 65_536, 65_537, 200_000] {
            let (body, bulk) = (pattern(len), pattern(len / 2 + 1));
            let payloads = [
                Payload { shard: ShardIdx(4), ..Payload::new(&bulk) },
                Payload::new(b""),
                Payload::new(b"x"),
            ];
            let reply = ask(&channel, &Call { map_version: 8, ..call(ECHO, &body, &payloads) }).unwrap();
            let one = |shard, bytes: &[u8]| Bulk { shard: ShardIdx(shard), ..Bulk::new(bytes.to_vec()) };
            assert_eq!(reply, Reply { map_version: 9, body, payloads: vec![one(4, &bulk), one(0, b"x")] });
        }
    });
}

#[test]
fn large_payloads_go_both_ways() {
    each(small(), echoes, |net| {
        let channel = net.open();
        let bulk = pattern((4 << 20) - 100);
        let payloads = [Payload::new(&bulk[..1 << 20]), Payload::new(&bulk[1 << 20..])];
        let reply = ask(&channel, &call(ECHO, b"bulk", &payloads)).unwrap();
        assert_eq!(reply.payloads.iter().map(|bulk| &bulk.bytes[..]).collect::<Vec<_>>().concat(), bulk);
    });
}

/// Where payloads go into parts of the caller's memory.
struct Parts<'a>(Vec<&'a mut [u8]>);

impl Receive for Parts<'_> {
    fn head(&mut self, _: u32, _: &[u8], _: &[daos_net::frame::Place]) -> daos_net::Result<()> {
        Ok(())
    }

    fn rooms(&mut self, _: usize) -> daos_net::Result<Vec<&mut [u8]>> {
        Ok(self.0.iter_mut().map(|part| &mut **part).collect())
    }
}

#[test]
fn payloads_go_straight_to_the_callers_memory() {
    each(small(), echoes, |net| {
        let channel = net.open();
        let mut memory = vec![0xEE; 300_000];
        let (first, rest) = memory.split_at_mut(100_000);
        let body = 250_000_u32.to_le_bytes();
        channel
            .call(&call(GIVE, &body, &[]), &mut Parts(vec![&mut first[..99_000], &mut rest[..151_000]]))
            .unwrap();
        let wanted = pattern(250_000);
        assert!(memory[..99_000] == wanted[..99_000] && memory[100_000..251_000] == wanted[99_000..]);
        assert!(memory[99_000..100_000].iter().chain(&memory[251_000..]).all(|byte| *byte == 0xEE));
        // Where the caller has no room for it, the call fails and the connection goes on.
        let error = channel.call(&call(GIVE, &body, &[]), &mut Parts(vec![&mut [0; 10]])).unwrap_err();
        assert_eq!(error.der, Der::Overflow);
        assert_eq!(ask(&channel, &call(ECHO, b"after", &[])).unwrap().body, b"after");
    });
}

#[test]
fn several_are_under_way_at_once_and_answered_in_any_order() {
    each(
        small(),
        || Box::new(Backwards::default()),
        |net| {
            let channel = net.open();
            let bodies: Vec<[u8; 1]> = (0..16).map(|nth| [nth]).collect();
            let asked = |body| Call { reply_max: 8 << 10, ..call(ECHO, body, &[]) };
            let sent: Vec<_> = bodies.iter().map(|body| channel.send(&asked(body)).unwrap()).collect();
            for (body, sent) in bodies.iter().zip(sent) {
                let mut reply = Reply::default();
                channel.receive(sent, &mut reply).unwrap();
                assert_eq!(reply.body, body);
                assert_eq!(*reply.payloads[0].bytes, pattern(1000 + usize::from(body[0])));
            }
        },
    );
}

/// Answers only when it has 16 requests: the last first, each with a payload.
#[derive(Default)]
struct Backwards(Vec<Incoming>);

impl Service for Backwards {
    fn request(&mut self, _: Moment, request: Incoming, _: &Replies) {
        self.0.push(request);
    }

    fn rest(&mut self, _: Moment, replies: &Replies) {
        if self.0.len() < 16 {
            return;
        }
        while let Some(request) = self.0.pop() {
            let bulk = Bulk::new(pattern(1000 + usize::from(request.body[0])));
            let answer = Answer::Reply {
                map_version: 0,
                body: request.body,
                payloads: vec![bulk],
                body_has_sums: false,
            };
            replies.send(request.ticket, answer.clone());
            // A second answer is dropped.
            replies.send(request.ticket, answer);
        }
    }
}

#[test]
fn short_requests_are_written_together() {
    each(small(), echoes, |net| {
        let channel = net.open();
        for round in 0..5_u8 {
            // More than are gathered, and one with a payload among them.
            let bodies: Vec<Vec<u8>> = (0..15).map(|nth| vec![round * 15 + nth; 2000]).collect();
            let asked = |body| Call { reply_max: 8 << 10, ..call(ECHO, body, &[]) };
            let sent: Vec<_> = bodies.iter().map(|body| channel.send_soon(&asked(body)).unwrap()).collect();
            let payloads = [Payload::new(b"bulk")];
            let last = channel.send_soon(&Call { payloads: &payloads, ..asked(b"last") }).unwrap();
            for (body, sent) in bodies.iter().zip(sent) {
                let mut reply = Reply::default();
                channel.receive(sent, &mut reply).unwrap();
                assert_eq!(&reply.body, body);
            }
            let mut reply = Reply::default();
            channel.receive(last, &mut reply).unwrap();
            assert_eq!((&reply.body[..], reply.payloads.len()), (&b"last"[..], 1));
        }
        // What is given up before it was written is cancelled with it.
        drop(channel.send_soon(&call(ECHO, b"", &[])).unwrap());
        assert_eq!(ask(&channel, &call(ECHO, b"after", &[])).unwrap().body, b"after");
    });
}

/// Counts what is written at once.
#[derive(Debug)]
struct Counted {
    inner: Box<dyn Link>,
    writes: Arc<AtomicUsize>,
}

impl Link for Counted {
    fn read(&self, into: &mut [u8]) -> std::io::Result<usize> {
        self.inner.read(into)
    }

    fn write(&self, parts: &[IoSlice<'_>]) -> std::io::Result<usize> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.inner.write(parts)
    }

    fn wait(&self, readable: bool, writable: bool, until: Moment) -> std::io::Result<()> {
        self.inner.wait(readable, writable, until)
    }

    fn now(&self) -> Moment {
        self.inner.now()
    }

    fn finish(&self) {
        self.inner.finish();
    }

    fn close(&self) {
        self.inner.close();
    }
}

#[test]
fn short_requests_are_written_by_one_call() {
    let server = Tcp::default().listen("127.0.0.1:0", me(), Limits::default(), echoes()).unwrap();
    let writes = Arc::new(AtomicUsize::new(0));
    let inner = Tcp::default().connect(&server.address(), SECOND).unwrap();
    let link = Box::new(Counted { inner, writes: Arc::clone(&writes) });
    let channel = Channel::open(link, Limits::default(), &hello(), SECOND).unwrap();
    let before = writes.load(Ordering::Relaxed);
    let sent: Vec<_> = (0..8).map(|_| channel.send_soon(&call(ECHO, b"body", &[])).unwrap()).collect();
    assert_eq!(writes.load(Ordering::Relaxed), before);
    for sent in sent {
        channel.receive(sent, &mut Reply::default()).unwrap();
    }
    assert_eq!(writes.load(Ordering::Relaxed), before + 1);
    // A list of payloads is long, however little is in each: what waits to be written has a bound.
    let payloads = vec![Payload::new(b""); 2000];
    let sent = channel.send_soon(&Call { payloads: &payloads, ..call(ECHO, b"", &[]) }).unwrap();
    assert_eq!(writes.load(Ordering::Relaxed), before + 2);
    channel.receive(sent, &mut Reply::default()).unwrap();
}

#[test]
fn what_is_sent_out_is_there_before_anybody_waits_for_it() {
    each(
        small(),
        || Box::new(Backwards::default()),
        |net| {
            // One service for both: it answers when the requests of both are there.
            let (first, second) = (net.open(), net.open());
            let bodies: Vec<[u8; 1]> = (0..16).map(|nth| [nth]).collect();
            let asked = |body| Call { reply_max: 8 << 10, ..call(ECHO, body, &[]) };
            let sent: Vec<_> =
                bodies[..8].iter().map(|body| first.send_soon(&asked(body)).unwrap()).collect();
            let other: Vec<_> =
                bodies[8..].iter().map(|body| second.send_soon(&asked(body)).unwrap()).collect();
            second.send_out();
            for (nth, sent) in sent.into_iter().enumerate() {
                let mut reply = Reply::default();
                first.receive(sent, &mut reply).unwrap();
                assert_eq!(reply.body, [nth as u8]);
            }
            for (nth, sent) in other.into_iter().enumerate() {
                let mut reply = Reply::default();
                second.receive(sent, &mut reply).unwrap();
                assert_eq!(reply.body, [8 + nth as u8]);
            }
        },
    );
}

#[test]
fn a_full_window_makes_wait_and_ends_with_the_deadline() {
    each(Limits { window_requests: 2, ..small() }, echoes, |net| {
        let channel = net.open();
        let first = channel.send(&call(KEEP, b"", &[])).unwrap();
        let second = channel.send(&call(KEEP, b"", &[])).unwrap();
        let short = Call { timeout: Duration::from_millis(50), ..call(ECHO, b"", &[]) };
        let error = ask(&channel, &short).unwrap_err();
        assert_eq!((error.der, error.outcome), (Der::Timedout, Outcome::Nothing));
        // What is given up counts until it is answered: the server is still at it.
        drop((first, second));
        assert_eq!(ask(&channel, &short).unwrap_err().der, Der::Timedout);
    });
}

#[test]
fn a_deadline_ends_a_call_and_not_the_connection() {
    each(small(), echoes, |net| {
        let channel = net.open();
        let error =
            ask(&channel, &Call { timeout: Duration::from_millis(50), ..call(KEEP, b"", &[]) }).unwrap_err();
        assert_eq!((error.der, error.is_uncertain()), (Der::Timedout, true));
        assert_eq!(ask(&channel, &call(ECHO, b"after", &[])).unwrap().body, b"after");
    });
}

/// Answers a cancelled request, and tells how many were.
#[derive(Default)]
struct Cancelled(Arc<AtomicUsize>);

impl Service for Cancelled {
    fn request(&mut self, now: Moment, request: Incoming, replies: &Replies) {
        echo(now, request, replies);
    }

    fn cancel(&mut self, ticket: daos_net::Ticket, replies: &Replies) {
        self.0.fetch_add(1, Ordering::Relaxed);
        let bulk = Bulk::new(vec![1; 5000]);
        replies.send(
            ticket,
            Answer::Reply { map_version: 0, body: vec![], payloads: vec![bulk], body_has_sums: false },
        );
    }
}

#[test]
fn a_request_that_is_given_up_is_cancelled_and_its_late_reply_thrown_away() {
    let cancelled = Arc::new(AtomicUsize::new(0));
    each(
        Limits { window_requests: 1, ..small() },
        || Box::new(Cancelled(cancelled.clone())),
        |net| {
            let channel = net.open();
            let before = cancelled.load(Ordering::Relaxed);
            for nth in 1..=3 {
                drop(channel.send(&call(KEEP, b"", &[])).unwrap());
                // There is one place in the window: this waits for the late reply.
                assert_eq!(ask(&channel, &call(ECHO, b"next", &[])).unwrap().body, b"next");
                assert_eq!(cancelled.load(Ordering::Relaxed) - before, nth);
            }
        },
    );
}

#[test]
fn what_is_too_large_is_refused_before_it_is_sent() {
    each(small(), echoes, |net| {
        let channel = net.open();
        let bulk = vec![0; (4 << 20) + 1];
        let error = ask(&channel, &call(ECHO, b"", &[Payload::new(&bulk)])).unwrap_err();
        assert_eq!((error.der, error.outcome), (Der::Overflow, Outcome::Nothing));
        assert_eq!(error.message, "bytes of payloads of a request: 4194305, at most 4194304");
        let error = ask(&channel, &Call { reply_max: 5 << 20, ..call(ECHO, b"", &[]) }).unwrap_err();
        assert_eq!(error.der, Der::Overflow);
        // A reply that has no room tells how much it needs.
        let body = 5000_u32.to_le_bytes();
        let error = ask(&channel, &Call { reply_max: 4999, ..call(GIVE, &body, &[]) }).unwrap_err();
        assert_eq!((error.der, error.room, error.outcome), (Der::Overflow, 5004, Outcome::Told));
        assert!(ask(&channel, &Call { reply_max: 5004, ..call(GIVE, &body, &[]) }).is_ok());
    });
}

#[test]
fn a_server_says_who_it_is_and_refuses_who_means_another() {
    each(small(), echoes, |net| {
        let refused = |change: &dyn Fn(&mut Hello)| {
            let mut hello = hello();
            change(&mut hello);
            let error = net.try_open(&hello).unwrap_err();
            assert_eq!(error.outcome, Outcome::Nothing);
            (error.der, error.message)
        };
        let (der, message) = refused(&|hello| hello.system = "other".to_owned());
        assert_eq!((der, &message[..]), (Der::Mismatch, "this is system 'test', not 'other'"));
        let (der, message) = refused(&|hello| hello.rank = Some(Rank(4)));
        assert_eq!(
            (der, &message[..]),
            (Der::Stale, "this is rank 3 of incarnation 7, not rank 4 of incarnation 7")
        );
        assert_eq!(refused(&|hello| hello.incarnation = 6).0, Der::Stale);
        assert_eq!(refused(&|hello| hello.versions = (2, 3)).0, Der::Proto);
        let anyone = Hello { rank: None, incarnation: 0, ..hello() };
        assert!(net.try_open(&anyone).is_ok());
    });
}

#[test]
fn a_server_with_too_many_connections_says_so() {
    each(Limits { connections_max: 2, ..small() }, echoes, |net| {
        let (one, _two) = (net.open(), net.open());
        let error = net.try_open(&hello()).unwrap_err();
        assert_eq!((error.der, error.retry_ms), (Der::Busy, 1000));
        assert!(ask(&one, &call(ECHO, b"", &[])).is_ok());
    });
}

#[test]
fn memory_of_a_server_is_bounded_and_others_wait_for_it() {
    let limits = Limits { bytes_max: 6 << 20, ..small() };
    each(limits, echoes, |net| {
        let (one, two) = (net.open(), net.open());
        // Holds its bytes for as long as it is under way: 4 MiB and a little of the 6.
        let kept = one.send(&call(KEEP, b"", &[])).unwrap();
        // It is there once the next is answered.
        ask(&one, &Call { reply_max: 10, ..call(ECHO, b"", &[]) }).unwrap();
        let bulk = pattern(1 << 20);
        let payloads = [Payload::new(&bulk)];
        let asked = Call { timeout: Duration::from_millis(100), ..call(ECHO, b"", &payloads) };
        let refused = ask(&two, &asked).map_err(|error| error.der).map(|reply| reply.payloads.len());
        assert_eq!(refused, Err(Der::Timedout));
        drop(kept);
        one.close();
        // The request may have been cut short, and its connection with it.
        assert_eq!(ask(&net.open(), &call(ECHO, b"", &payloads)).unwrap().payloads.len(), 1);
    });
}

#[test]
fn an_endpoint_opens_again_after_its_connection_ended() {
    each(small(), echoes, |net| {
        let endpoint = Endpoint::new(net.transport.clone(), &net.server.address(), net.limits, hello(), 5);
        let mut reply = Reply::default();
        endpoint.call(&call(ECHO, b"one", &[]), &mut reply).unwrap();
        endpoint.channel(SECOND).unwrap().close();
        endpoint.call(&call(ECHO, b"two", &[]), &mut reply).unwrap();
        assert_eq!(reply.body, b"two");
    });
}

#[test]
fn an_endpoint_without_a_server_waits_before_it_tries_again() {
    for (transport, _) in providers(false) {
        // Nobody listens at the port of discarding, nor under that name.
        let endpoint = Endpoint::new(transport.clone(), "127.0.0.1:9", small(), hello(), 5);
        let ask = || endpoint.call(&call(ECHO, b"", &[]), &mut Reply::default()).unwrap_err();
        let first = ask();
        assert_eq!((first.der, first.outcome, first.retry_ms), (Der::Unreach, Outcome::Nothing, 0));
        let second = ask();
        assert_eq!((second.der, second.outcome), (Der::Unreach, Outcome::Nothing));
        assert!(second.retry_ms > 0 && second.message.contains("a moment ago"), "{second}");
    }
}

#[test]
fn a_server_that_ends_says_goodbye() {
    for (transport, address) in providers(false) {
        let server = transport.listen(&address, me(), small(), echoes()).unwrap();
        let net = Net { transport, server, limits: small() };
        let channel = net.open();
        let sent = channel.send(&call(KEEP, b"", &[])).unwrap();
        // It is there once another is answered.
        ask(&channel, &call(ECHO, b"", &[])).unwrap();
        drop(net.server);
        let error = channel.receive(sent, &mut Reply::default()).unwrap_err();
        assert_eq!((error.der, error.is_uncertain()), (Der::Shutdown, true), "{error}");
        let error = ask(&channel, &call(ECHO, b"", &[])).unwrap_err();
        assert_eq!((error.der, error.outcome), (Der::Shutdown, Outcome::Nothing));
    }
}

#[test]
fn many_connections_and_threads_share_a_server() {
    for (transport, address) in providers(true) {
        let server = transport.listen(&address, me(), small(), echoes()).unwrap();
        let net = Net { transport, server, limits: small() };
        let channels: Vec<Channel> = (0..20).map(|_| net.open()).collect();
        std::thread::scope(|scope| {
            for thread in 0..6_usize {
                let channels = &channels;
                scope.spawn(move || {
                    for nth in 0..60_usize {
                        // Half of the threads share a connection.
                        let channel =
                            &channels[if thread < 3 { 0 } else { (thread * 7 + nth) % channels.len() }];
                        let (body, bulk) = ([thread as u8, nth as u8], pattern(nth * 500 + 1));
                        let payloads = [Payload::new(&bulk)];
                        let reply =
                            ask(channel, &Call { timeout: 60 * SECOND, ..call(ECHO, &body, &payloads) })
                                .unwrap();
                        assert_eq!((&reply.body[..], &reply.payloads[0].bytes[..]), (&body[..], &bulk[..]));
                    }
                });
            }
        });
    }
}

#[test]
fn answers_may_come_from_another_thread() {
    for (transport, address) in providers(true) {
        let (hand_over, takes) = std::sync::mpsc::channel::<(Moment, Incoming, Replies)>();
        let worker = std::thread::spawn(move || {
            for (now, request, replies) in takes {
                echo(now, request, &replies);
            }
        });
        let service = move |now: Moment, request: Incoming, replies: &Replies| {
            hand_over.send((now, request, replies.clone())).unwrap();
        };
        let server = transport.listen(&address, me(), small(), Box::new(service)).unwrap();
        let net = Net { transport, server, limits: small() };
        let channel = net.open();
        for nth in 0..500_u32 {
            // Now at once, now when the server sleeps already.
            if nth.is_multiple_of(100) {
                std::thread::sleep(Duration::from_millis(2));
            }
            let body = nth.to_le_bytes();
            assert_eq!(ask(&channel, &call(ECHO, &body, &[])).unwrap().body, body);
        }
        drop((channel, net));
        worker.join().unwrap();
    }
}

/// Where a payload is put; it must come in order, in whole blocks.
#[derive(Debug, Default)]
struct Place(Mutex<Vec<u8>>);

impl Landing for Place {
    fn number(&self) -> u64 {
        7
    }

    fn put(&self, at: usize, bytes: &[u8]) {
        let mut there = self.0.lock();
        assert_eq!(there.len(), at);
        assert!(at.is_multiple_of(4096));
        there.extend_from_slice(bytes);
    }
}

/// Gives places, and answers how many it gave and what was put into the last one.
#[derive(Default)]
struct Lands {
    given: u8,
    last: Option<Arc<Place>>,
}

impl Service for Lands {
    fn land(&mut self, header: &Header, len: usize) -> Option<Arc<dyn Landing>> {
        assert!(len >= LANDING_MIN);
        if header.opcode != ECHO {
            return None;
        }
        self.given += 1;
        let place = self.last.insert(Arc::default());
        Some(place.clone())
    }

    fn request(&mut self, _: Moment, request: Incoming, replies: &Replies) {
        let there = self.last.take().map_or(Vec::new(), |last| last.0.lock().clone());
        assert_eq!(request.landing.map(|landing| landing.number()), (!there.is_empty()).then_some(7));
        assert!(there.is_empty() || request.payloads[0].bytes[..] == there[..]);
        let length = (there.len() as u64).to_le_bytes();
        replies.send(request.ticket, Answer::of_body(0, [&[self.given][..], &length].concat()));
    }
}

#[test]
fn a_long_payload_is_put_where_it_is_to_be_while_it_comes() {
    let lands = || Box::new(Lands::default()) as Box<dyn Service>;
    each(small(), lands, |net| {
        let channel = net.open();
        let answer = |opcode, body: &[u8], payloads: &[&[u8]]| {
            let payloads: Vec<_> = payloads.iter().map(|bytes| Payload::new(bytes)).collect();
            let body = ask(&channel, &call(opcode, body, &payloads)).unwrap().body;
            (body[0], u64::from_le_bytes(body[1..].try_into().unwrap()))
        };
        let long = pattern((2 << 20) + 77);
        assert_eq!(answer(ECHO, b"", &[&long]), (1, long.len() as u64));
        assert_eq!(answer(ECHO, b"", &[&long[..LANDING_MIN]]), (2, LANDING_MIN as u64));
        // What is short, one of several, a body, or what the service wants no place for.
        assert_eq!(answer(ECHO, b"", &[&long[..LANDING_MIN - 1]]), (2, 0));
        assert_eq!(answer(ECHO, b"", &[&long[..LANDING_MIN], b"x"]), (2, 0));
        assert_eq!(answer(ECHO, &long, &[]), (2, 0));
        assert_eq!(answer(ECHO + 1, b"", &[&long]), (2, 0));
    });
}
