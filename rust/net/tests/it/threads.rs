//! Threads that share a connection: each is woken for what it waits for, and in time.

use crate::{ECHO, GIVE, KEEP, SECOND, echo, hello, me, pattern, providers, small};
use daos_net::frame::Payload;
use daos_net::{Call, Channel, Incoming, Limits, Moment, Replies, Reply};
use daos_types::Der;
use std::time::Duration;

/// Many more than there are places in the window.
const THREADS: usize = 24;

fn ask(channel: &Channel, opcode: u16, body: &[u8], bulk: &[u8]) -> Reply {
    let payloads = [Payload::new(bulk)];
    let call = Call {
        payloads: &payloads,
        reply_max: 300 << 10,
        ..Call::new(opcode, Duration::from_secs(60), body)
    };
    let mut reply = Reply::default();
    channel.call(&call, &mut reply).unwrap();
    reply
}

/// Short and long ones, alone and several at once, given up and over their time.
fn work(channel: &Channel, thread: usize) {
    for nth in 0..60_usize {
        let body = [thread as u8, nth as u8, 7];
        match (thread + nth) % 8 {
            0 => {
                let bulk = pattern(100_000 + nth);
                let reply = ask(channel, ECHO, &body, &bulk);
                assert_eq!((&reply.body[..], &reply.payloads[0].bytes[..]), (&body[..], &bulk[..]));
            }
            1 => {
                let reply = ask(channel, GIVE, &200_000_u32.to_le_bytes(), b"");
                assert_eq!(*reply.payloads[0].bytes, pattern(200_000));
            }
            2 => {
                let call = Call { reply_max: 1 << 10, ..Call::new(ECHO, Duration::from_secs(60), &body) };
                let sent: Vec<_> = (0..3).map(|_| channel.send_soon(&call).unwrap()).collect();
                // In another order than they were sent, and one of them never.
                for sent in sent.into_iter().skip(1).rev() {
                    let mut reply = Reply::default();
                    channel.receive(sent, &mut reply).unwrap();
                    assert_eq!(reply.body, body);
                }
            }
            3 if nth % 20 == 3 => {
                let error = channel
                    .call(&Call::new(KEEP, Duration::from_millis(5), &body), &mut Reply::default())
                    .unwrap_err();
                assert_eq!(error.der, Der::Timedout);
            }
            4 | 5 => assert_eq!(ask(channel, ECHO, &body, b"few").body, body),
            _ => assert_eq!(ask(channel, ECHO, &body, b"").body, body),
        }
    }
}

/// Runs a check on a connection by each provider: nobody may oversleep.
fn on_each(check: impl Fn(&Channel)) {
    for (transport, address) in providers(true) {
        let server = transport.listen(&address, me(), small(), Box::new(echo)).unwrap();
        let link = transport.connect(&server.address(), SECOND).unwrap();
        let channel = Channel::open(link, small(), &hello(), SECOND).unwrap();
        check(&channel);
        assert_eq!(channel.overslept(), 0, "at {address}");
    }
}

#[test]
fn threads_that_share_a_connection_are_woken_for_what_is_theirs() {
    on_each(|channel| {
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                scope.spawn(move || work(channel, thread));
            }
        });
    });
}

#[test]
fn all_who_wait_are_woken_when_it_ends() {
    on_each(|channel| {
        std::thread::scope(|scope| {
            // Those who have no place in the window are told as well.
            for _ in 0..THREADS {
                scope.spawn(move || {
                    let call = Call::new(KEEP, Duration::from_secs(60), b"");
                    assert!(channel.call(&call, &mut Reply::default()).is_err());
                });
            }
            std::thread::sleep(Duration::from_millis(50));
            channel.close();
        });
    });
}

/// Keeps what comes by one opcode until something else comes.
fn keeper() -> impl FnMut(Moment, Incoming, &Replies) + Send {
    let mut kept: Vec<Incoming> = Vec::new();
    move |now, request, replies| {
        if request.opcode == KEEP {
            return kept.push(request);
        }
        let asked = request.body.clone();
        for request in kept.extract_if(.., |kept| kept.body == asked) {
            echo(now, Incoming { opcode: ECHO, ..request }, replies);
        }
        echo(now, request, replies);
    }
}

#[test]
fn who_waits_for_a_place_and_who_has_no_time_are_woken_by_who_reads() {
    let limits = Limits { window_requests: 3, ..small() };
    for (transport, address) in providers(true) {
        if address == "server" {
            // Its time goes on only where somebody asks for something.
            continue;
        }
        let server = transport.listen(&address, me(), limits, Box::new(keeper())).unwrap();
        let open = || {
            let link = transport.connect(&server.address(), SECOND).unwrap();
            Channel::open(link, limits, &hello(), SECOND).unwrap()
        };
        let (channel, other) = (open(), open());
        let keep = |body: &'static [u8], ms| {
            let call = Call::new(KEEP, Duration::from_millis(ms), body);
            channel.call(&call, &mut Reply::default())
        };
        std::thread::scope(|scope| {
            let reads = scope.spawn(|| keep(b"long", 10_000));
            std::thread::sleep(Duration::from_millis(20));
            let sleeps = scope.spawn(|| keep(b"short", 10_000));
            let over = scope.spawn(|| keep(b"never", 30));
            std::thread::sleep(Duration::from_millis(20));
            let waits =
                scope.spawn(|| channel.call(&Call::new(ECHO, 10 * SECOND, b""), &mut Reply::default()));
            assert_eq!(over.join().unwrap().unwrap_err().der, Der::Timedout);
            ask(&other, ECHO, b"short", b"");
            assert!(sleeps.join().unwrap().is_ok());
            assert!(waits.join().unwrap().is_ok());
            ask(&other, ECHO, b"long", b"");
            assert!(reads.join().unwrap().is_ok());
        });
        assert_eq!(channel.overslept(), 0, "at {address}");
    }
}
