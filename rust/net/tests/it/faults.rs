//! What goes wrong: other ends that do not keep to the format, and networks that do not carry what was sent.

use crate::{ECHO, KEEP, SECOND, echo, hello, me, pattern, small};
use daos_net::frame::{HEADER_LEN, Head, Header, Kind, Payload, Refusal, control, frame};
use daos_net::intake::Intake;
use daos_net::mem::{Faults, Mem};
use daos_net::tcp::Tcp;
use daos_net::{Call, Channel, Limits, Link, Listening, NetError, Outcome, Reply, Transport};
use daos_types::Der;
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// A peer that writes what it likes.
struct Rude {
    link: Box<dyn Link>,
    intake: Intake,
}

impl Rude {
    /// A connection to a server, with a hello that it accepts.
    fn greeted(net: &dyn Transport, server: &dyn Listening) -> Self {
        let link = net.connect(&server.address(), SECOND).unwrap();
        let mut rude = Self { link, intake: Intake::default() };
        rude.write(&control(Header::new(Kind::Hello), &hello().encode()));
        assert_eq!(rude.next().unwrap().header.kind, Kind::Welcome);
        rude
    }

    fn write(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.link.write(&[IoSlice::new(bytes)]) {
                Ok(len) => bytes = &bytes[len..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.link.wait(false, true, self.link.now().after(SECOND)).unwrap();
                }
                // It was closed meanwhile.
                Err(_) => return,
            }
        }
    }

    /// The next head; `None` where the connection ends first. Panics where neither comes.
    fn next(&mut self) -> Option<Head> {
        let until = self.link.now().after(5 * SECOND);
        loop {
            if let Some(head) = self.intake.next_head().unwrap() {
                return Some(head);
            }
            match self.link.read(self.intake.room()) {
                Ok(0) => return None,
                Ok(len) => self.intake.filled(len),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    assert!(self.link.now() < until, "neither a frame nor the end came");
                    self.link.wait(true, false, until).unwrap();
                }
                Err(_) => return None,
            }
        }
    }

    /// What the server says in parting.
    fn goodbye(&mut self) -> Option<Refusal> {
        let head = self.next()?;
        assert_eq!(head.header.kind, Kind::Goodbye);
        assert!(self.next().is_none(), "nothing follows a goodbye");
        Some(Refusal::decode(&head.body).unwrap())
    }
}

fn request(id: u64) -> Header {
    Header { opcode: ECHO, timeout_us: 1_000_000, reply_max: 1000, ..Header::new(Kind::Request).of(id) }
}

fn call(opcode: u16, body: &[u8]) -> Call<'_> {
    Call::new(opcode, 5 * SECOND, body)
}

fn ask(channel: &Channel, call: &Call<'_>) -> Result<Reply, NetError> {
    let mut reply = Reply::default();
    channel.call(call, &mut reply).map(|()| reply)
}

/// Runs a check against a server of each provider.
fn each(limits: Limits, check: impl Fn(&dyn Transport, &dyn Listening)) {
    for (transport, address) in crate::providers(false) {
        let server = transport.listen(&address, me(), limits, Box::new(echo)).unwrap();
        check(&*transport, &*server);
        // Whatever one did, others are served.
        let link = transport.connect(&server.address(), SECOND).unwrap();
        let channel = Channel::open(link, limits, &hello(), SECOND).unwrap();
        assert_eq!(ask(&channel, &call(ECHO, b"still there")).unwrap().body, b"still there");
    }
}

#[test]
fn garbage_ends_a_connection_without_a_word() {
    each(small(), |net, server| {
        for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xFF; 200], &Header::new(Kind::Hello).encode()[1..]]
        {
            let mut rude =
                Rude { link: net.connect(&server.address(), SECOND).unwrap(), intake: Intake::default() };
            rude.write(garbage);
            assert_eq!(rude.next(), None);
        }
    });
}

#[test]
fn each_violation_has_its_goodbye() {
    each(Limits { window_requests: 2, ..small() }, |net, server| {
        let said = |bytes: &[&[u8]]| {
            let mut rude = Rude::greeted(net, server);
            rude.write(&bytes.concat());
            rude.goodbye().map(|refusal| (refusal.der, refusal.message))
        };
        let der = |bytes: &[&[u8]]| said(bytes).map(|(der, _)| der);
        let hello = control(Header::new(Kind::Hello), &hello().encode());
        assert_eq!(der(&[&hello]), Some(Der::Proto), "a second hello");
        assert_eq!(
            der(&[&control(Header::new(Kind::Reply).of(1), b"")]),
            Some(Der::Proto),
            "a reply to a server"
        );
        let credit = control(
            Header::new(Kind::Credit),
            &daos_net::frame::Window { requests: 1, bytes: 9 << 20 }.encode(1),
        );
        assert_eq!(der(&[&credit]), Some(Der::Proto), "a window that was not offered");
        let kept = |id| control(Header { opcode: KEEP, ..request(id) }, b"");
        assert_eq!(der(&[&kept(2), &kept(2)]), Some(Der::Proto), "a request that came twice");
        assert_eq!(der(&[&kept(2), &kept(1)]), Some(Der::Proto), "a request that was overtaken");
        assert_eq!(
            der(&[&kept(1), &kept(2), &kept(3)]),
            Some(Der::Dos),
            "more requests than the window holds"
        );
        let wide = control(Header { opcode: KEEP, reply_max: 12 << 20, ..request(1) }, b"");
        let more = control(Header { opcode: KEEP, reply_max: 5 << 20, ..request(2) }, b"");
        assert_eq!(der(&[&wide, &more]), Some(Der::Dos), "more bytes than the window holds");
        let bulk = vec![1; (4 << 20) + 1];
        let large = frame(request(1), b"", &[Payload::new(&bulk)]).unwrap().0;
        assert_eq!(der(&[&large]), Some(Der::Overflow), "a frame larger than is taken, by its head alone");
        let (head, _) = frame(request(1), b"", &[Payload::new(b"bulk")]).unwrap();
        assert_eq!(der(&[&head, b"bulx"]), Some(Der::Csum), "a payload that was changed");
        let mut body = control(request(1), b"body");
        body[HEADER_LEN] ^= 1;
        assert_eq!(der(&[&body]), Some(Der::Csum), "a body that was changed");
        let mut header = control(request(1), b"body");
        header[20] ^= 1;
        assert_eq!(said(&[&header]), None, "a header that was changed: nothing is said");
    });
}

#[test]
fn a_peer_that_dies_inside_a_frame_leaves_nothing_behind() {
    each(Limits { bytes_max: 6 << 20, ..small() }, |net, server| {
        let bulk = pattern(2 << 20);
        let (head, _) = frame(request(1), b"", &[Payload::new(&bulk)]).unwrap();
        for part in [1, 63, 64, 70, head.len()] {
            let rude = Rude::greeted(net, server);
            rude.write(&head[..part]);
            rude.link.close();
        }
        // If any of their room were still held, there would be none for this.
        for _ in 0..3 {
            let rude = Rude::greeted(net, server);
            rude.write(&head);
            rude.write(&bulk[..1000]);
            rude.link.close();
        }
    });
}

#[test]
fn who_dies_while_his_request_waits_leaves_the_line() {
    each(Limits { bytes_max: 6 << 20, ..small() }, |net, server| {
        let open = || {
            Channel::open(net.connect(&server.address(), SECOND).unwrap(), small(), &hello(), SECOND).unwrap()
        };
        let (one, three) = (open(), open());
        let _kept = one.send(&Call { reply_max: 4 << 20, ..call(KEEP, b"") }).unwrap();
        ask(&one, &Call { reply_max: 10, ..call(ECHO, b"") }).unwrap();
        // Its request does not fit beside that one, and others wait behind it.
        let mut two = Rude::greeted(net, server);
        two.write(&control(Header { reply_max: 4 << 20, ..request(1) }, b""));
        let small = Call { reply_max: 10, ..call(ECHO, b"small") };
        let short = Call { timeout: Duration::from_millis(50), ..small };
        // It may take a moment until it stands there.
        let refused = (0..1000).find_map(|_| ask(&three, &short).err());
        assert_eq!(refused.map(|error| error.der), Some(Der::Timedout));
        two.link.close();
        assert_eq!(two.next(), None);
        assert_eq!(ask(&three, &small).unwrap().body, b"small");
    });
}

#[test]
fn who_says_nothing_or_stops_in_the_middle_is_sent_away() {
    each(Limits { hello_ms: 100, stall_ms: 150, ..small() }, |net, server| {
        let mut silent =
            Rude { link: net.connect(&server.address(), SECOND).unwrap(), intake: Intake::default() };
        let refusal = silent.goodbye().unwrap();
        assert_eq!((refusal.der, &refusal.message[..]), (Der::Timedout, "no hello came in time"));
        let mut stops = Rude::greeted(net, server);
        stops.write(&control(request(1), b"a body")[..66]);
        assert_eq!(stops.goodbye().unwrap().message, "the rest of a frame did not come in time");
    });
}

#[test]
fn an_idle_connection_ends_and_an_endpoint_does_not_meet_its_end() {
    each(Limits { idle_ms: 200, ..small() }, |net, server| {
        let mut idle = Rude::greeted(net, server);
        assert_eq!(idle.goodbye().unwrap().message, "nothing was asked for long");
    });
}

#[test]
fn a_slow_reader_holds_its_window_and_nothing_else() {
    each(Limits { stall_ms: 300, ..small() }, |net, server| {
        let slow = Rude::greeted(net, server);
        let bulk = pattern(3 << 20);
        for id in 1..=2 {
            let header = Header { reply_max: 4 << 20, timeout_us: 60_000_000, ..request(id) };
            let (head, _) = frame(header, b"", &[Payload::new(&bulk)]).unwrap();
            slow.write(&head);
            slow.write(&bulk);
        }
        // Others are served while its replies wait.
        let channel =
            Channel::open(net.connect(&server.address(), SECOND).unwrap(), small(), &hello(), SECOND)
                .unwrap();
        for _ in 0..5 {
            assert!(ask(&channel, &call(ECHO, b"x")).is_ok());
        }
        // It never reads: after its time it is cut off.
        let until = net.now().after(Duration::from_millis(600));
        while net.now() < until && channel.call(&call(ECHO, b"tick"), &mut Reply::default()).is_ok() {
            slow.link.wait(false, false, net.now().after(Duration::from_millis(20))).unwrap();
        }
        let mut read = 0;
        loop {
            match slow.link.read(&mut vec![0; 65_536]) {
                Ok(0) => break,
                Ok(len) => read += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    slow.link.wait(true, false, net.now().after(SECOND)).unwrap();
                }
                Err(_) => break,
            }
        }
        assert!(read < 2 * bulk.len(), "it was cut off before it got both");
    });
}

#[test]
fn a_server_that_is_something_else_is_told_as_such() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let other = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"220 mail.example.org ESMTP\r\n").unwrap();
        let _ = stream.read(&mut [0; 1000]);
    });
    let link = Tcp::default().connect(&address, SECOND).unwrap();
    let error = Channel::open(link, small(), &hello(), SECOND).unwrap_err();
    assert_eq!((error.der, error.outcome), (Der::Proto, Outcome::Nothing));
    assert!(error.message.contains("no frame") && error.hint.contains("port"), "{error:?}");
    other.join().unwrap();
}

#[test]
fn a_server_that_dies_leaves_calls_uncertain() {
    // Dies after the head of a reply, in the middle of its payload.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut read = |len| stream.read_exact(&mut vec![0; len]).unwrap();
        read(64 + hello().encode().len());
        let window = daos_net::frame::Window { requests: 1, bytes: 16 << 20 };
        let welcome = daos_net::frame::Welcome {
            version: 1,
            rank: daos_types::Rank(3),
            incarnation: 7,
            window,
            frame_bytes: 1 << 20,
            idle_ms: 60_000,
        };
        stream.write_all(&control(Header::new(Kind::Welcome), &welcome.encode())).unwrap();
        stream.read_exact(&mut [0; 64]).unwrap();
        let bulk = pattern(10_000);
        let (head, _) = frame(Header::new(Kind::Reply).of(1), b"", &[Payload::new(&bulk)]).unwrap();
        stream.write_all(&[&head[..], &bulk[..5000]].concat()).unwrap();
    });
    let link = Tcp::default().connect(&address, SECOND).unwrap();
    let channel = Channel::open(link, small(), &hello(), SECOND).unwrap();
    let error = ask(&channel, &call(ECHO, b"")).unwrap_err();
    assert_eq!((error.der, error.outcome), (Der::Unreach, Outcome::Uncertain), "{error}");
    server.join().unwrap();
    // Nobody is there any more: it is refused, not waited for.
    let started = Instant::now();
    let error = Tcp::default().connect(&address, 5 * SECOND).unwrap_err();
    assert_eq!(error.der, Der::Unreach);
    assert!(started.elapsed() < 2 * SECOND);
}

#[test]
fn a_server_that_never_answers_is_given_up_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let link = Tcp::default().connect(&address, SECOND).unwrap();
    let started = Instant::now();
    let error = Channel::open(link, small(), &hello(), Duration::from_millis(100)).unwrap_err();
    assert_eq!((error.der, error.outcome), (Der::Timedout, Outcome::Nothing));
    assert!((Duration::from_millis(100)..SECOND).contains(&started.elapsed()));
    drop(listener);
    assert!(TcpStream::connect(&address).is_err());
}

fn mem(faults: Faults, limits: Limits) -> (Mem, Box<dyn Listening>) {
    let net = Mem::new(3, faults);
    let server = net.listen("server", me(), limits, Box::new(echo)).unwrap();
    (net, server)
}

fn open(net: &Mem, limits: Limits) -> Result<Channel, NetError> {
    Channel::open(net.connect("server", SECOND)?, limits, &hello(), SECOND)
}

#[test]
fn a_half_open_connection_is_found_dead() {
    let limits = Limits { silence_ms: 1000, idle_ms: 60_000, ..small() };
    let (net, _server) = mem(Faults::default(), limits);
    let channel = open(&net, limits).unwrap();
    let before = net.now();
    net.hold("server", false);
    let error = ask(&channel, &Call { timeout: 60 * SECOND, ..call(ECHO, b"") }).unwrap_err();
    assert_eq!((error.der, error.outcome), (Der::Unreach, Outcome::Uncertain));
    assert_eq!(net.now().since(before), 2 * SECOND, "a ping after one silence, dead after another");
    // A server that is only slow is not dead: it answers pings.
    net.heal();
    let channel = open(&net, limits).unwrap();
    let error = ask(&channel, &Call { timeout: 10 * SECOND, ..call(KEEP, b"") }).unwrap_err();
    assert_eq!((error.der, error.outcome), (Der::Timedout, Outcome::Uncertain));
    assert!(ask(&channel, &call(ECHO, b"")).is_ok());
}

#[test]
fn what_was_held_arrives_when_the_network_heals() {
    let (net, _server) = mem(Faults { delay_us: (10, 100), ..Faults::default() }, small());
    let channel = open(&net, small()).unwrap();
    net.hold("server", true);
    let sent = channel.send(&call(ECHO, b"late")).unwrap();
    net.pass(SECOND);
    net.heal();
    let mut reply = Reply::default();
    channel.receive(sent, &mut reply).unwrap();
    assert_eq!(reply.body, b"late");
    net.cut("server");
    let error = ask(&channel, &call(ECHO, b"")).unwrap_err();
    assert_eq!(error.der, Der::Unreach);
}

/// Of a call: its number, and what came of it.
type Told = (u32, Result<usize, (Der, Outcome)>);

/// What came of many calls on a bad network, each in its order.
fn story(seed: u64, faults: Faults) -> Vec<Told> {
    let limits = Limits { silence_ms: 200, stall_ms: 500, hello_ms: 500, ..small() };
    let net = Mem::new(seed, faults);
    let _server = net.listen("server", me(), limits, Box::new(echo)).unwrap();
    let mut story = Vec::new();
    let mut channel = None;
    for nth in 0..150_u32 {
        let open = channel.take().filter(|channel: &Channel| !channel.is_over());
        let Ok(open) = open.map_or_else(|| open_one(&net, limits), Ok) else {
            story.push((nth, Err((Der::Unreach, Outcome::Nothing))));
            continue;
        };
        let (body, bulk) = (nth.to_le_bytes(), pattern((nth as usize * 997) % 20_000 + 1));
        let payloads = [Payload::new(&bulk)];
        let asked = Call { payloads: &payloads, timeout: SECOND, ..call(ECHO, &body) };
        let before = net.now();
        let result = ask(&open, &asked);
        assert!(net.now().since(before) <= SECOND, "a call ends in its time");
        if let Ok(reply) = &result {
            assert_eq!(
                (&reply.body[..], &reply.payloads[0].bytes[..]),
                (&body[..], &bulk[..]),
                "a reply is to its request"
            );
        }
        story.push((nth, result.map(|reply| reply.body.len()).map_err(|error| (error.der, error.outcome))));
        channel = Some(open);
    }
    story
}

fn open_one(net: &Mem, limits: Limits) -> Result<Channel, NetError> {
    open(net, limits)
}

#[test]
fn on_a_bad_network_a_call_has_its_reply_or_an_error_and_never_that_of_another() {
    let delay_us = (10, 5_000);
    let bad = Faults { delay_us, lost: 20, doubled: 20, overtaken: 20, flipped: 20, broken: 20 };
    let only = |faults: Faults| Faults { delay_us, ..faults };
    let one = Faults { lost: 100, ..Faults::default() };
    for (seed, faults) in [
        (1, bad),
        (2, bad),
        (3, only(one)),
        (4, only(Faults { lost: 0, doubled: 100, ..one })),
        (5, only(Faults { lost: 0, overtaken: 100, ..one })),
        (6, only(Faults { lost: 0, flipped: 100, ..one })),
        (7, only(Faults { lost: 0, broken: 100, ..one })),
    ] {
        let told = story(seed, faults);
        let good = told.iter().filter(|(_, result)| result.is_ok()).count();
        assert!(good > 20, "{seed}: {good} of {} were answered", told.len());
        assert!(good < told.len() || seed == 5, "{seed}: nothing went wrong");
        assert_eq!(told, story(seed, faults), "a seed tells the same story twice");
    }
    let good = story(8, Faults { delay_us, ..Faults::default() });
    assert!(good.iter().all(|(_, result)| result.is_ok()));
}

#[test]
fn who_sends_pings_and_does_not_read_is_cut_off() {
    each(small(), |net, server| {
        let rude = Rude::greeted(net, server);
        let pings: Vec<u8> =
            (1..=1000).flat_map(|number| control(Header::new(Kind::Ping).of(number), b"")).collect();
        let until = rude.link.now().after(5 * SECOND);
        while rude.link.now() < until {
            match rude.link.write(&[IoSlice::new(&pings)]) {
                // Time passes between them.
                Ok(_) => {
                    rude.link.wait(false, false, rude.link.now().after(Duration::from_millis(2))).unwrap();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    rude.link.wait(false, true, rude.link.now().after(Duration::from_millis(20))).unwrap();
                }
                Err(_) => return,
            }
        }
        panic!("it was let go on");
    });
}

#[test]
fn what_is_asked_after_a_long_rest_has_its_full_time() {
    let limits = Limits { stall_ms: 200, ..small() };
    let (net, _server) = mem(Faults::default(), limits);
    let channel = open(&net, limits).unwrap();
    let body = 100_000_u32.to_le_bytes();
    // At each place between two looks of the server at its times.
    for _ in 0..60 {
        net.pass(Duration::from_millis(501));
        assert!(ask(&channel, &Call { reply_max: 200_000, ..call(crate::GIVE, &body) }).is_ok());
    }
}
