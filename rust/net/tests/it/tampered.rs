//! TLS over a network that somebody holds in his hands.

use crate::certs::Ca;
use crate::tls::{ask, open};
use crate::{ECHO, SECOND, echo, hello, me, pattern, small};
use daos_net::frame::{Header, Kind, Payload, control};
use daos_net::tcp::Tcp;
use daos_net::{Call, Channel, NetError, Reply, Transport};
use daos_types::Der;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// What a proxy does to the records that go to the server, or come from it.
type Meddle = Box<dyn FnMut(Vec<u8>) -> Vec<Vec<u8>> + Send>;

/// Between a client and a server: hands records on, one way or another, and keeps all that it sees.
struct Proxy {
    address: String,
    seen: Arc<Mutex<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
}

/// A whole record of TLS; `None` at the end of the stream.
fn record(from: &mut TcpStream) -> Option<Vec<u8>> {
    let mut record = vec![0; 5];
    from.read_exact(&mut record).ok()?;
    let len = usize::from(u16::from_be_bytes([record[3], record[4]]));
    record.resize(5 + len, 0);
    from.read_exact(&mut record[5..]).ok()?;
    Some(record)
}

fn pump(mut from: TcpStream, mut to: TcpStream, seen: &Mutex<Vec<u8>>, mut meddle: Meddle) {
    while let Some(record) = record(&mut from) {
        seen.lock().unwrap().extend(&record);
        for record in meddle(record) {
            // Nothing of it: it is to be cut.
            if record.is_empty() || to.write_all(&record).is_err() {
                let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
                return;
            }
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

impl Proxy {
    /// Stands before a server; each connection is meddled with in its own way.
    fn before(server: &str, ways: impl Fn(usize) -> (Meddle, Meddle) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (seen, stop) = (Arc::<Mutex<Vec<u8>>>::default(), Arc::<AtomicBool>::default());
        let (server, saw, stopped) = (server.to_owned(), seen.clone(), stop.clone());
        let run = move || {
            for (nth, client) in listener.incoming().enumerate() {
                if stopped.load(Ordering::Acquire) {
                    return;
                }
                let (client, server) = (client.unwrap(), TcpStream::connect(&server).unwrap());
                let (up, down) = ways(nth);
                let both = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (one, two) = (saw.clone(), saw.clone());
                thread::spawn(move || pump(client, server, &one, up));
                thread::spawn(move || pump(both.1, both.0, &two, down));
            }
        };
        Self { address, seen, thread: Some(thread::spawn(run)), stop }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let _ = TcpStream::connect(&self.address);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn pass() -> Meddle {
    Box::new(|record| vec![record])
}

/// Passes all but the records from this number on, which go through another's hands.
fn from(number: usize, mut meddle: impl FnMut(usize, Vec<u8>) -> Vec<Vec<u8>> + Send + 'static) -> Meddle {
    let mut nth = 0;
    Box::new(move |record| {
        nth += 1;
        if nth < number { vec![record] } else { meddle(nth - number, record) }
    })
}

#[test]
fn nothing_can_be_read_on_the_way() {
    let ca = Ca::new();
    let tcp = ca.tcp();
    let server = tcp.listen("127.0.0.1:0", me(), small(), Box::new(echo)).unwrap();
    let proxy = Proxy::before(&server.address(), |_| (pass(), pass()));
    let channel = open(&tcp, &proxy.address).unwrap();
    let marker = b"a marker that nobody else has said";
    let bulk = marker.repeat(10_000);
    let payloads = [Payload::new(&bulk)];
    let mut reply = Reply::default();
    let call = Call { payloads: &payloads, reply_max: 4 << 20, ..Call::new(ECHO, 5 * SECOND, marker) };
    channel.call(&call, &mut reply).unwrap();
    assert_eq!((&reply.body[..], &reply.payloads[0].bytes[..]), (&marker[..], &bulk[..]));
    let seen = proxy.seen.lock().unwrap();
    assert!(seen.len() > 2 * bulk.len(), "it all went by");
    for plain in [&marker[..], b"DAOF", b"agent", b"A lab"] {
        assert!(
            !seen.windows(plain.len()).any(|window| window == plain),
            "{:?}",
            String::from_utf8_lossy(plain)
        );
    }
}

/// Opens a connection through a proxy and calls until something is wrong. What comes back is right or an error, and soon one.
fn meddled(tcp: &Tcp, proxy: &Proxy) -> NetError {
    let link = tcp.connect(&proxy.address, SECOND).unwrap();
    let channel = match Channel::open(link, small(), &hello(), SECOND) {
        Ok(channel) => channel,
        Err(error) => return error,
    };
    for nth in 0..20_u8 {
        let body = [nth; 100];
        let mut reply = Reply::default();
        let call = Call::new(ECHO, SECOND, &body);
        match channel.call(&call, &mut reply) {
            Ok(()) => assert_eq!(reply.body, body, "a reply is what was sent"),
            Err(error) => return error,
        }
    }
    panic!("nothing was noticed");
}

#[test]
fn what_is_changed_on_the_way_ends_the_connection() {
    let ca = Ca::new();
    let tcp = ca.tcp();
    let server = tcp.listen("127.0.0.1:0", me(), small(), Box::new(echo)).unwrap();
    // A byte of each record from the first hello on, at its begin, in it, and at its end, in both directions.
    let ways = |nth: usize| {
        let (number, place) = (1 + (nth / 2) % 9, nth / 18);
        let flip = from(number, move |nth, mut record| {
            if nth == 0 {
                let at = [0, 3, 5, 5 + (record.len() - 5) / 2, record.len() - 1][place];
                record[at] ^= 0x10;
            }
            vec![record]
        });
        if nth.is_multiple_of(2) { (flip, pass()) } else { (pass(), flip) }
    };
    let proxy = Proxy::before(&server.address(), ways);
    thread::scope(|scope| {
        for _ in 0..9 {
            // Some wait for the rest of what became longer: together they need not wait long.
            scope.spawn(|| (0..10).for_each(|_| assert!(!meddled(&tcp, &proxy).message.is_empty())));
        }
    });
    assert!(ask(&open(&tcp, &server.address()).unwrap(), b"others").is_ok());
}

#[test]
fn records_that_come_twice_late_or_from_elsewhere_are_refused() {
    let ca = Ca::new();
    let tcp = ca.tcp();
    let server = tcp.listen("127.0.0.1:0", me(), small(), Box::new(echo)).unwrap();
    // What was sent over the connection before.
    let before: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let ways = move |nth: usize| -> (Meddle, Meddle) {
        let (kept, other) = (before.clone(), before.clone());
        match nth {
            0 => {
                let keep = from(1, move |_, record| {
                    kept.lock().unwrap().push(record.clone());
                    vec![record]
                });
                (keep, from(12, |_, _| vec![vec![]]))
            }
            // Twice.
            1 | 2 => {
                let twice = from(6, |_, record| vec![record.clone(), record]);
                if nth == 1 { (twice, pass()) } else { (pass(), twice) }
            }
            // One is left out.
            3 | 4 => {
                let lost = from(8, |nth, record| if nth == 0 { vec![] } else { vec![record] });
                if nth == 3 { (lost, pass()) } else { (pass(), lost) }
            }
            // The very bytes of another connection, from its beginning and in its middle.
            5 => (from(1, move |nth, _| vec![other.lock().unwrap()[nth].clone()]), pass()),
            6 => (from(7, move |nth, _| vec![other.lock().unwrap()[6 + nth].clone()]), pass()),
            // A record of one's own between them; one cut in two records; two made one.
            7 => (from(7, |_, record| vec![[&[0x17, 3, 3, 0, 40][..], &[7; 40]].concat(), record]), pass()),
            8 => {
                let cut = |_, record: Vec<u8>| {
                    let (one, two) = record[5..].split_at((record.len() - 5) / 2);
                    let of =
                        |part: &[u8]| [&[0x17, 3, 3][..], &(part.len() as u16).to_be_bytes(), part].concat();
                    vec![of(one), of(two)]
                };
                (from(7, cut), pass())
            }
            // Back to who sent it: what one says is not taken for what the other says.
            _ => (pass(), from(7, move |_, _| vec![other.lock().unwrap()[6].clone()])),
        }
    };
    let proxy = Proxy::before(&server.address(), ways);
    for nth in 0..10 {
        let error = meddled(&tcp, &proxy);
        assert!(
            matches!(error.der, Der::Unreach | Der::Csum | Der::Timedout | Der::Proto),
            "{nth}: {error:?}"
        );
    }
    assert!(ask(&open(&tcp, &server.address()).unwrap(), b"others").is_ok());
}

#[test]
fn a_connection_that_is_cut_is_told_from_one_that_ended() {
    let ca = Ca::new();
    let tcp = ca.tcp();
    let server = tcp.listen("127.0.0.1:0", me(), small(), Box::new(echo)).unwrap();
    // The stream of the server ends in the middle, with all the bytes of TCP in order.
    let proxy = Proxy::before(&server.address(), |_| (pass(), from(7, |_, _| vec![vec![]])));
    let error = meddled(&tcp, &proxy);
    assert_eq!((error.der, &error.message[..]), (Der::Unreach, "the connection was cut"));
    drop(proxy);
    // Where the server ends it, it says so, frames or not.
    let link = tcp.connect(&server.address(), SECOND).unwrap();
    link.write(&[std::io::IoSlice::new(&control(Header::new(Kind::Hello), &hello().encode()))]).unwrap();
    let mut read = 0;
    let until = link.now().after(5 * SECOND);
    loop {
        match link.read(&mut [0; 4096]) {
            Ok(0) => break,
            Ok(len) => {
                read += len;
                // The welcome is there; what follows is none of ours, and the server leaves without a word of frames.
                if read == 128 {
                    link.write(&[std::io::IoSlice::new(&[0xEE; 64])]).unwrap();
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                assert!(link.now() < until);
                link.wait(true, false, until).unwrap();
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(read, 128, "a welcome came before the end");
}

#[test]
fn records_that_come_in_pieces_are_whole_again() {
    let ca = Ca::new();
    let tcp = ca.tcp();
    let server = tcp.listen("127.0.0.1:0", me(), small(), Box::new(echo)).unwrap();
    let pieces =
        |len: usize| -> Meddle { Box::new(move |record| record.chunks(len).map(<[u8]>::to_vec).collect()) };
    let proxy = Proxy::before(&server.address(), move |nth| match nth {
        0 => (pieces(1), pieces(3)),
        1 => (pieces(700), pieces(1)),
        _ => (pieces(5000), pieces(16_000)),
    });
    for len in [0, 5000, 300_000] {
        let channel = open(&tcp, &proxy.address).unwrap();
        let bulk = pattern(len + 1);
        let payloads = [Payload::new(&bulk)];
        let call = Call { payloads: &payloads, reply_max: 4 << 20, ..Call::new(ECHO, 10 * SECOND, b"body") };
        let mut reply = Reply::default();
        channel.call(&call, &mut reply).unwrap();
        assert_eq!((&reply.body[..], &reply.payloads[0].bytes[..]), (&b"body"[..], &bulk[..]));
    }
}
