//! The nearer way of an endpoint: taken where the very process is there that was reached, and nobody is told where it is not.

use crate::{ECHO, KEEP, SECOND, echo, hello, me, small};
use daos_net::frame::Hello;
use daos_net::near::address;
use daos_net::serving::Identity;
use daos_net::shm::Shm;
use daos_net::tcp::Tcp;
use daos_net::{
    Answer, Call, Endpoint, Incoming, Limits, Link, Listening, Moment, Outcome, Peer, Replies, Reply, Result,
    Service, Transport,
};
use daos_types::{Der, Rank};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Shared memory, and how often somebody came by it.
#[derive(Debug, Default)]
struct Counted {
    shm: Shm,
    tries: AtomicUsize,
}

impl Transport for Counted {
    fn connect(&self, address: &str, timeout: Duration) -> Result<Box<dyn Link>> {
        self.tries.fetch_add(1, Ordering::Relaxed);
        self.shm.connect(address, timeout)
    }

    fn listen(
        &self,
        address: &str,
        me: Identity,
        limits: Limits,
        service: Box<dyn Service>,
    ) -> Result<Box<dyn Listening>> {
        self.shm.listen(address, me, limits, service)
    }

    fn now(&self) -> Moment {
        self.shm.now()
    }
}

/// An incarnation that no other test has, so that none meets the name of another.
fn incarnation() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    u64::from(std::process::id()) << 32 | NEXT.fetch_add(1, Ordering::Relaxed)
}

fn of(incarnation: u64) -> Identity {
    Identity { incarnation, ..me() }
}

/// Answers with the kind of peer that asks.
fn who(_: Moment, request: Incoming, replies: &Replies) {
    if request.opcode == KEEP {
        return;
    }
    let body = match request.peer {
        Peer::Local => b"local".to_vec(),
        Peer::Plain => b"plain".to_vec(),
        other => format!("{other:?}").into_bytes(),
    };
    replies.send(request.ticket, Answer::of_body(1, body));
}

fn far(incarnation: u64) -> Box<dyn Listening> {
    Tcp::default().listen("127.0.0.1:0", of(incarnation), small(), Box::new(who)).unwrap()
}

/// Who serves as an incarnation, at the name of another.
fn near_as(incarnation: u64, at: u64, limits: Limits) -> Box<dyn Listening> {
    let name = address("test", Rank(3), at, 5);
    Shm::default().listen(&name, of(incarnation), limits, Box::new(who)).unwrap()
}

fn endpoint(server: &dyn Listening, near: &Arc<Counted>) -> Endpoint {
    let hello = Hello { incarnation: 0, ..hello() };
    let near: Arc<dyn Transport> = near.clone();
    Endpoint::new(Arc::new(Tcp::default()), &server.address(), small(), hello, 5).or_near(near, 5)
}

fn ask(endpoint: &Endpoint) -> String {
    let mut reply = Reply::default();
    endpoint.call(&Call::new(ECHO, 5 * SECOND, b""), &mut reply).unwrap();
    String::from_utf8(reply.body).unwrap()
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + 20 * SECOND;
    while !is_so() {
        assert!(Instant::now() < end, "{what}");
        thread::sleep(SECOND / 50);
    }
}

#[test]
fn who_is_beside_the_server_goes_the_nearer_way_and_proves_no_role() {
    let (me, near) = (incarnation(), Arc::<Counted>::default());
    let server = far(me);
    let beside = near_as(me, me, small());
    let endpoint = endpoint(&*server, &near);
    assert_eq!(endpoint.is_near(), None);
    for _ in 0..100 {
        assert_eq!(ask(&endpoint), "local");
    }
    assert_eq!((endpoint.is_near(), near.tries.load(Ordering::Relaxed)), (Some(true), 1));
    assert_eq!((Peer::Local.role(), Peer::Local.is_private()), (None, true));
    drop(beside);
}

#[test]
fn nobody_there_is_no_error_and_not_asked_for_by_each_call() {
    let (me, near) = (incarnation(), Arc::<Counted>::default());
    let server = far(me);
    let endpoint = endpoint(&*server, &near);
    let begun = Instant::now();
    let mut calls = 0_usize;
    while begun.elapsed() < SECOND / 2 {
        assert_eq!(ask(&endpoint), "plain");
        calls += 1;
    }
    assert!(calls > 3, "{calls}");
    // Once when it connected; a second look is a second later.
    assert_eq!((endpoint.is_near(), near.tries.load(Ordering::Relaxed)), (Some(false), 1));
    // Somebody who comes to be there is found in a while, without a new connection.
    let beside = near_as(me, me, small());
    until("the nearer way", || ask(&endpoint) == "local");
    assert_eq!(endpoint.is_near(), Some(true));
    drop(beside);
}

#[test]
fn another_incarnation_under_the_name_is_not_taken() {
    let (me, near) = (incarnation(), Arc::<Counted>::default());
    let server = far(me);
    let beside = near_as(incarnation(), me, small());
    let endpoint = endpoint(&*server, &near);
    assert_eq!(ask(&endpoint), "plain");
    assert_eq!((endpoint.is_near(), near.tries.load(Ordering::Relaxed)), (Some(false), 1));
    drop(beside);
}

#[test]
fn beyond_the_bound_of_connections_clients_go_the_other_way() {
    let (me, near) = (incarnation(), Arc::<Counted>::default());
    let server = far(me);
    let beside = near_as(me, me, Limits { connections_max: 2, ..small() });
    let endpoints: Vec<_> = (0..5).map(|_| endpoint(&*server, &near)).collect();
    let said: Vec<_> = endpoints.iter().map(ask).collect();
    assert_eq!(said, ["local", "local", "plain", "plain", "plain"]);
    drop(beside);
}

#[test]
fn the_end_of_the_nearer_way_is_not_the_end() {
    let (me, near) = (incarnation(), Arc::<Counted>::default());
    let server = far(me);
    let beside = near_as(me, me, small());
    let endpoint = endpoint(&*server, &near);
    assert_eq!(ask(&endpoint), "local");
    let kept = endpoint.channel(SECOND).unwrap();
    let sent = kept.send(&Call::new(KEEP, 5 * SECOND, b"")).unwrap();
    drop(beside);
    // What was sent that way may have happened: its caller is told so, and asks again.
    let error = kept.receive(sent, &mut Reply::default()).unwrap_err();
    assert_ne!(error.outcome, Outcome::Nothing, "{error}");
    assert_eq!((ask(&endpoint), endpoint.is_near()), ("plain".to_owned(), Some(false)));
    assert_eq!(near.tries.load(Ordering::Relaxed), 1);
    // The engine was started anew, at its old port.
    let (at, again) = (server.address(), incarnation());
    drop(server);
    let server = Tcp::default().listen(&at, of(again), small(), Box::new(who)).unwrap();
    let beside = near_as(again, again, small());
    let mut reply = Reply::default();
    until("the nearer way of the new one", || {
        let answered = endpoint.call(&Call::new(ECHO, SECOND, b""), &mut reply);
        answered.is_ok() && reply.body == b"local"
    });
    drop((server, beside));
}

#[test]
fn who_does_not_answer_nearby_is_not_waited_for() {
    let (me, near) = (incarnation(), Arc::<Counted>::default());
    let server = far(me);
    let name = address("test", Rank(3), me, 5);
    // A line that nobody serves.
    let silent = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name[1..]).unwrap()).unwrap();
    let endpoint = endpoint(&*server, &near);
    let begun = Instant::now();
    assert_eq!(ask(&endpoint), "plain");
    assert!(begun.elapsed() < 3 * SECOND, "{:?}", begun.elapsed());
    // Nor a line that is full.
    let mut line = Vec::new();
    while line.len() < 10_000 {
        let socket =
            socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::NONBLOCK, None).unwrap();
        let full = connect(&socket, &SocketAddrUnix::new_abstract_name(&name.as_bytes()[1..]).unwrap());
        line.push(socket);
        if full.is_err() {
            break;
        }
    }
    assert!(line.len() < 10_000);
    let begun = Instant::now();
    assert!(Shm::default().connect(&name, 10 * SECOND).is_err());
    assert!(begun.elapsed() < 5 * SECOND, "{:?}", begun.elapsed());
    drop((silent, server));
}

#[test]
fn a_name_is_given_to_one_at_a_time_and_nothing_is_left_of_it() {
    let me = incarnation();
    let first = near_as(me, me, small());
    let second = Shm::default().listen(&first.address(), of(me), small(), Box::new(echo));
    assert!(second.is_err());
    let name = first.address();
    drop(first);
    assert_eq!(Shm::default().connect(&name, SECOND).unwrap_err().der, Der::Unreach);
    drop(near_as(me, me, small()));
}
