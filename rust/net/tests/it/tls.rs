//! TLS: who is let in, and what the network can do to it.

use crate::certs::{Ca, Odd, write};
use crate::{ECHO, SECOND, echo, hello, me, pattern, small};
use daos_net::frame::{Header, Kind, Payload, control, frame};
use daos_net::tcp::Tcp;
use daos_net::{
    Answer, Call, Channel, ClientAuth, Endpoint, Incoming, Limits, Listening, Moment, NetError, Outcome,
    Peer, Replies, Reply, Role, Tls, TlsFiles, Transport,
};
use daos_types::Der;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

fn server(tls: Tls) -> Box<dyn Listening> {
    let tcp = Tcp::default().with_tls(Arc::new(tls));
    tcp.listen("127.0.0.1:0", me(), small(), Box::new(echo)).unwrap()
}

pub(crate) fn open(tcp: &Tcp, address: &str) -> Result<Channel, NetError> {
    Channel::open(tcp.connect(address, SECOND)?, small(), &hello(), 5 * SECOND)
}

fn client(tls: Tls) -> Tcp {
    Tcp::default().with_tls(Arc::new(tls))
}

pub(crate) fn ask(channel: &Channel, body: &[u8]) -> Result<Reply, NetError> {
    let mut reply = Reply::default();
    channel.call(&Call::new(ECHO, 5 * SECOND, body), &mut reply).map(|()| reply)
}

/// Opens and asks: who has shown his certificate may be refused when he thinks that he is in.
fn refused(tcp: &Tcp, address: &str) -> NetError {
    let error = open(tcp, address).and_then(|channel| ask(&channel, b"").map(|_| ())).unwrap_err();
    assert_eq!(error.outcome, Outcome::Nothing, "{error:?}");
    assert!(!error.hint.is_empty(), "{error:?}");
    error
}

fn says(error: &NetError) -> (Der, &str) {
    (error.der, &error.message)
}

#[test]
fn a_service_is_told_who_asks() {
    let ca = Ca::new();
    let seen: Arc<Mutex<Vec<Peer>>> = Arc::default();
    let tell = seen.clone();
    let service = move |_: Moment, request: Incoming, replies: &Replies| {
        tell.lock().unwrap().push(request.peer);
        replies.send(request.ticket, Answer::of_body(0, vec![]));
    };
    let tls = Tls::server(ca.sign("server", Odd::No), ClientAuth::Optional).unwrap();
    let tcp = client(tls);
    let server = tcp.listen("127.0.0.1:0", me(), small(), Box::new(service)).unwrap();
    let told = |tls: Tls| {
        ask(&open(&client(tls), &server.address()).unwrap(), b"").unwrap();
        seen.lock().unwrap().pop().unwrap()
    };
    for role in Role::ALL {
        let peer = told(Tls::client(ca.sign(role.name(), Odd::No), &[Role::Server]).unwrap());
        assert_eq!(peer.role(), Some(role));
        let Peer::Certified(subject) = peer else { panic!("{peer:?}") };
        assert_eq!(subject.organizations, ["A lab"]);
    }
    assert_eq!(told(Tls::anonymous(ca.path()).unwrap()), Peer::Anonymous);
    // Without TLS nothing is proved.
    let plain = Tcp::default();
    let peers = seen.clone();
    let service = move |_: Moment, request: Incoming, replies: &Replies| {
        peers.lock().unwrap().push(request.peer);
        replies.send(request.ticket, Answer::of_body(0, vec![]));
    };
    let server = plain.listen("127.0.0.1:0", me(), small(), Box::new(service)).unwrap();
    ask(&open(&plain, &server.address()).unwrap(), b"").unwrap();
    assert_eq!(seen.lock().unwrap().pop(), Some(Peer::Plain));
}

#[test]
fn who_is_not_let_in_is_told_why() {
    let (ca, other) = (Ca::new(), Ca::new());
    let strict = server(Tls::server(ca.sign("server", Odd::No), ClientAuth::Required).unwrap());
    let open_to_all = server(Tls::server(ca.sign("server", Odd::No), ClientAuth::Optional).unwrap());
    let tls = |files: TlsFiles| client(Tls::client(files, &[Role::Server]).unwrap());
    let anonymous = client(Tls::anonymous(ca.path()).unwrap());
    assert_eq!(
        says(&refused(&anonymous, &strict.address())),
        (Der::NoCert, "the peer refused the connection: it lets in nobody without a certificate")
    );
    assert!(open(&anonymous, &open_to_all.address()).is_ok());
    // Of another CA, but trusting this one.
    let foreign = TlsFiles { ca: ca.path(), ..other.sign("agent", Odd::No) };
    let expired = ca.sign("agent", Odd::Expired);
    let early = ca.sign("agent", Odd::NotYet);
    let nobody = ca.sign("user", Odd::No);
    for server in [&strict, &open_to_all] {
        let says = |files: &TlsFiles| {
            let error = refused(&tls(files.clone()), &server.address());
            (error.der, error.message)
        };
        let (der, message) = says(&foreign);
        assert_eq!(der, Der::BadCert);
        assert!(message.ends_with("this end's certificate was not signed by the CA that is trusted there"));
        for files in [&expired, &early] {
            let (der, message) = says(files);
            assert_eq!(der, Der::BadCert);
            assert!(message.ends_with("this end's certificate has expired or is not valid yet"), "{message}");
        }
        let (der, message) = says(&nobody);
        assert_eq!(der, Der::NoPerm);
        assert!(message.ends_with("this end's certificate is of no role that is let in there"), "{message}");
        assert!(open(&tls(ca.sign("admin", Odd::No)), &server.address()).is_ok(), "others are let in");
    }
}

#[test]
fn a_server_that_is_not_the_one_is_refused() {
    let (ca, other) = (Ca::new(), Ca::new());
    let serve = |files| server(Tls::server(files, ClientAuth::Optional).unwrap());
    let anonymous = client(Tls::anonymous(ca.path()).unwrap());
    let known = client(Tls::client(ca.sign("agent", Odd::No), &[Role::Admin, Role::Server]).unwrap());
    let (foreign, expired) = (serve(other.sign("server", Odd::No)), serve(ca.sign("server", Odd::Expired)));
    let (early, agent) = (serve(ca.sign("server", Odd::NotYet)), serve(ca.sign("agent", Odd::No)));
    for tcp in [&anonymous, &known] {
        assert_eq!(
            says(&refused(tcp, &foreign.address())),
            (Der::BadCert, "the server's certificate was not signed by the CA that is trusted here")
        );
        assert_eq!(
            says(&refused(tcp, &expired.address())),
            (Der::BadCert, "the server's certificate has expired")
        );
        assert_eq!(
            says(&refused(tcp, &early.address())),
            (Der::BadCert, "the server's certificate is not valid yet")
        );
    }
    // A key of an agent is on each client's host: it must not do for a server.
    assert_eq!(
        says(&refused(&anonymous, &agent.address())),
        (Der::NoPerm, "the peer's certificate is of 'agent', expected is server")
    );
    assert_eq!(
        says(&refused(&known, &agent.address())),
        (Der::NoPerm, "the peer's certificate is of 'agent', expected is admin or server")
    );
    let agents = client(Tls::client(ca.sign("server", Odd::No), &[Role::Agent]).unwrap());
    assert!(open(&agents, &agent.address()).is_ok());
}

#[test]
fn one_end_with_tls_and_one_without_are_told_so() {
    let ca = Ca::new();
    let tls_server = server(Tls::server(ca.sign("server", Odd::No), ClientAuth::Optional).unwrap());
    let plain_server = Tcp::default().listen("127.0.0.1:0", me(), small(), Box::new(echo)).unwrap();
    let tls_client = client(Tls::anonymous(ca.path()).unwrap());
    let error = refused(&Tcp::default(), &tls_server.address());
    assert_eq!(says(&error), (Der::NoCert, "this server speaks TLS alone"));
    let error = refused(&tls_client, &plain_server.address());
    assert_eq!(says(&error), (Der::Unreach, "the server ended the connection before TLS was agreed on"));
    assert!(error.hint.contains("without certificates"));
    // Something else altogether.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let other = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"220 mail.example.org ESMTP\r\n").unwrap();
        while stream.read(&mut [0; 1000]).is_ok_and(|len| len > 0) {}
    });
    let error = refused(&tls_client, &address);
    assert_eq!(says(&error), (Der::Proto, "the server does not speak TLS"));
    other.join().unwrap();
    // And something else that comes to a server: it is closed, others are served.
    let mut web = TcpStream::connect(tls_server.address()).unwrap();
    web.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    web.set_read_timeout(Some(5 * SECOND)).unwrap();
    let mut said = Vec::new();
    let _ = web.read_to_end(&mut said);
    assert!(said.len() < 100, "an alert at most");
    assert!(open(&tls_client, &tls_server.address()).is_ok());
}

#[test]
fn ends_are_not_mixed_up() {
    let ca = Ca::new();
    let both = ca.tcp();
    let only_server = client(Tls::server(ca.sign("server", Odd::No), ClientAuth::Required).unwrap());
    let only_client = client(Tls::anonymous(ca.path()).unwrap());
    let server = both.listen("127.0.0.1:0", me(), small(), Box::new(echo)).unwrap();
    // Who has certificates for one end alone does not do without at the other.
    let error = refused(&only_server, &server.address());
    assert_eq!(says(&error), (Der::NoCert, "there are certificates, but none to connect with"));
    let error = only_client.listen("127.0.0.1:0", me(), small(), Box::new(echo)).unwrap_err();
    assert_eq!(says(&error), (Der::NoCert, "there are certificates, but none to serve with"));
}

#[test]
fn key_files_that_others_can_read_are_refused() {
    let ca = Ca::new();
    let files = ca.sign("server", Odd::No);
    let load = || Tls::server(files.clone(), ClientAuth::Required).map(|_| ());
    for mode in [0o400, 0o600, 0o440, 0o200 | 0o400] {
        fs::set_permissions(&files.key, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(load(), Ok(()), "{mode:o}");
    }
    for mode in [0o444, 0o640, 0o644, 0o660, 0o604, 0o401, 0o700, 0o4400] {
        fs::set_permissions(&files.key, fs::Permissions::from_mode(mode)).unwrap();
        let error = load().unwrap_err();
        assert_eq!(error.der, Der::BadCert);
        let key = files.key.display();
        assert_eq!(error.message, format!("the key {key} has mode {mode:04o}: others may read it"));
        assert!(error.hint.starts_with("chmod 0400"));
    }
}

#[test]
fn files_that_are_wrong_are_told_by_their_name() {
    let ca = Ca::new();
    let good = ca.sign("server", Odd::No);
    let load = |files: &TlsFiles| Tls::server(files.clone(), ClientAuth::Required).unwrap_err();
    let nowhere = ca.path().with_extension("nowhere");
    for files in [
        TlsFiles { ca: nowhere.clone(), ..good.clone() },
        TlsFiles { cert: nowhere.clone(), ..good.clone() },
        TlsFiles { key: nowhere.clone(), ..good.clone() },
    ] {
        let error = load(&files);
        assert_eq!(error.der, Der::NoCert);
        assert!(error.message.contains("nowhere") && error.message.contains("No such file"), "{error}");
    }
    let junk = ca.path().with_extension("junk");
    write(&junk, "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n", 0o400);
    for files in [
        TlsFiles { ca: junk.clone(), ..good.clone() },
        TlsFiles { cert: junk.clone(), ..good.clone() },
        TlsFiles { key: junk.clone(), ..good.clone() },
    ] {
        let error = load(&files);
        assert!(error.der == Der::BadCert && error.message.contains("junk"), "{error:?}");
    }
    let mixed = TlsFiles { key: ca.sign("server", Odd::No).key, ..good.clone() };
    let error = load(&mixed);
    assert!(error.message.starts_with("these certificates cannot be used"), "{error}");
    assert_eq!(error.hint, "certificate and key must belong together");
    let directory = TlsFiles { key: std::env::temp_dir(), ..good.clone() };
    assert!(load(&directory).message.ends_with("it is no file"));
    let device = TlsFiles { ca: "/dev/zero".into(), ..good };
    assert!(load(&device).message.ends_with("it is no file"));
}

/// Waits until a connection shows this, and no longer than ten seconds.
fn until(what: &str, check: impl Fn() -> bool) {
    let end = Instant::now() + 10 * SECOND;
    while !check() {
        assert!(Instant::now() < end, "{what}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn certificates_that_are_replaced_count_without_a_restart() {
    let ca = Ca::new();
    let files = ca.sign("server", Odd::No);
    let server = server(Tls::server(files.clone(), ClientAuth::Optional).unwrap());
    let anonymous = client(Tls::anonymous(ca.path()).unwrap());
    let old = open(&anonymous, &server.address()).unwrap();
    // A key without its certificate: half of a rotation, or a mistake. What was there goes on to count.
    let good_key = fs::read_to_string(&files.key).unwrap();
    let foreign = fs::read_to_string(ca.sign("server", Odd::No).key).unwrap();
    write(&files.key, &foreign, 0o400);
    let ends = Instant::now() + Duration::from_millis(1300);
    while Instant::now() < ends {
        assert!(ask(&open(&anonymous, &server.address()).unwrap(), b"").is_ok());
    }
    write(&files.key, &good_key, 0o400);
    // Others take their place, and what shows it is that they are of no use.
    ca.sign_to(&files, "server", Odd::Expired);
    until("the expired certificate counts", || {
        open(&anonymous, &server.address()).is_err_and(|error| error.message.contains("has expired"))
    });
    ca.sign_to(&files, "server", Odd::No);
    until("the new certificate counts", || open(&anonymous, &server.address()).is_ok());
    assert!(ask(&old, b"still").is_ok(), "a connection that is open stays");
}

#[test]
fn what_is_there_is_not_waited_for() {
    let ca = Ca::new();
    let tcp = ca.tcp();
    let server = tcp.listen("127.0.0.1:0", me(), small(), Box::new(echo)).unwrap();
    let link = tcp.connect(&server.address(), SECOND).unwrap();
    link.write(&[std::io::IoSlice::new(&control(Header::new(Kind::Hello), &hello().encode()))]).unwrap();
    let body = pattern(50_000);
    let header = Header {
        opcode: ECHO,
        timeout_us: 5_000_000,
        reply_max: 1 << 20,
        ..Header::new(Kind::Request).of(1)
    };
    let (head, _) = frame(header, &body, &[]).unwrap();
    // A byte at a time, with a wait before each: what was decrypted is nowhere else, so that none may wait for more to come.
    let total = 64 + 64 + head.len();
    let (mut read, mut sent) = (0, false);
    let (started, until) = (link.now(), link.now().after(10 * SECOND));
    while read < total {
        let mut byte = [0; 1];
        match link.read(&mut byte) {
            Ok(1) => read += 1,
            Ok(_) => panic!("the end after {read} of {total}"),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
        if read == 128 && !sent {
            sent = true;
            assert_eq!(link.write(&[std::io::IoSlice::new(&head)]).unwrap(), head.len());
        }
        if read < total && read != 128 || !sent {
            link.wait(true, false, until).unwrap();
        }
    }
    assert!(link.now().since(started) < 5 * SECOND);
}

#[test]
fn who_begins_a_handshake_and_stops_is_sent_away_and_holds_up_nobody() {
    let ca = Ca::new();
    let tcp = ca.tcp();
    let limits = Limits { hello_ms: 300, ..small() };
    let server = tcp.listen("127.0.0.1:0", me(), limits, Box::new(echo)).unwrap();
    let mut idle: Vec<TcpStream> = Vec::new();
    for begin in [&b""[..], &[0x16], &[0x16, 3, 1, 0x40, 0], &[0x16, 3, 1, 0, 200, 1, 0, 0, 196]] {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(begin).unwrap();
        stream.set_read_timeout(Some(5 * SECOND)).unwrap();
        idle.push(stream);
    }
    assert!(ask(&open(&tcp, &server.address()).unwrap(), b"meanwhile").is_ok());
    for stream in &mut idle {
        // It ends, by whatever means, without being asked again.
        let started = Instant::now();
        while matches!(stream.read(&mut [0; 100]), Ok(1..)) {}
        assert!(started.elapsed() < 4 * SECOND);
    }
    // A client meets the same: a server that takes the connection and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let link = tcp.connect(&listener.local_addr().unwrap().to_string(), SECOND).unwrap();
    let started = Instant::now();
    let error = Channel::open(link, small(), &hello(), Duration::from_millis(200)).unwrap_err();
    assert_eq!((error.der, error.outcome), (Der::Timedout, Outcome::Nothing));
    assert!(started.elapsed() < 2 * SECOND);
}

#[test]
fn an_endpoint_opens_again_under_tls() {
    let ca = Ca::new();
    let tcp = ca.tcp();
    let server = tcp.listen("127.0.0.1:0", me(), small(), Box::new(echo)).unwrap();
    let endpoint = Endpoint::new(Arc::new(tcp), &server.address(), small(), hello(), 5);
    let bulk = pattern(3 << 20);
    for _ in 0..5 {
        let payloads = [Payload::new(&bulk)];
        let call = Call { payloads: &payloads, reply_max: 4 << 20, ..Call::new(ECHO, 5 * SECOND, b"") };
        let mut reply = Reply::default();
        endpoint.call(&call, &mut reply).unwrap();
        assert_eq!(*reply.payloads[0].bytes, bulk);
        endpoint.channel(SECOND).unwrap().close();
    }
}
