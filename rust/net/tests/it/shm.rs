//! Shared memory: what another process can do with it, and what it must not come to.

use crate::{ECHO, SECOND, echo, hello, me, providers, small};
use daos_net::frame::{Header, Kind, control};
use daos_net::shm::Shm;
use daos_net::unix::Unix;
use daos_net::{
    Answer, Call, Channel, Incoming, Limits, Listening, Moment, NetError, Replies, Reply, Service, Ticket,
    Transport,
};
use daos_types::Der;
use rustix::cmsg_space;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

const SHARED_LEN: u64 = 4096 + (1024 << 10);
/// Of the ring to the server: positions, who waits, the end; its bytes. Of the other: as many later.
const HEAD: u64 = 128;
const TAIL: u64 = 256;
const TAIL_BACK: u64 = TAIL + 512;
const READER_WAITS: u64 = 384;
const ENDED: u64 = 576;
const BYTES: u64 = 4096;

fn path(of: &str) -> String {
    let (_, path) = providers(false).into_iter().find(|(_, address)| address.ends_with("-shm")).unwrap();
    format!("{path}-{of}")
}

fn serve(of: &str, limits: Limits) -> Box<dyn Listening> {
    Shm::default().listen(&path(of), me(), limits, Box::new(echo)).unwrap()
}

fn ask(address: &str) -> Result<Vec<u8>, NetError> {
    let link = Shm::default().connect(address, SECOND)?;
    let channel = Channel::open(link, small(), &hello(), 5 * SECOND)?;
    let mut reply = Reply::default();
    channel.call(&Call::new(ECHO, 5 * SECOND, b"served"), &mut reply).map(|()| reply.body)
}

/// A client that has the memory and does with it what it likes.
struct Rude {
    socket: UnixStream,
    memory: File,
    bell: File,
}

impl Rude {
    fn new(address: &str) -> Self {
        let socket = UnixStream::connect(address).unwrap();
        socket.set_read_timeout(Some(10 * SECOND)).unwrap();
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(4))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut greeting = [0; 16];
        recvmsg(&socket, &mut [IoSliceMut::new(&mut greeting)], &mut control, RecvFlags::CMSG_CLOEXEC)
            .unwrap();
        let mut files: Vec<OwnedFd> = Vec::new();
        for part in control.drain() {
            if let RecvAncillaryMessage::ScmRights(more) = part {
                files.extend(more);
            }
        }
        assert_eq!((&greeting[..8], files.len()), (&b"DAOSSHM\x02"[..], 2));
        Self { socket, bell: File::from(files.remove(1)), memory: File::from(files.remove(0)) }
    }

    fn word(&self, at: u64, value: u64) {
        self.memory.write_all_at(&value.to_le_bytes(), at).unwrap();
    }

    fn ring(&mut self) {
        self.bell.write_all(&1_u64.to_ne_bytes()).unwrap();
    }

    /// Bytes for the server, from the beginning of the ring.
    fn say(&mut self, bytes: &[u8]) {
        self.memory.write_all_at(bytes, BYTES).unwrap();
        self.word(HEAD, bytes.len() as u64);
        self.ring();
    }

    /// The server ended the connection, without being asked again.
    fn must_be_ended(mut self) {
        let started = Instant::now();
        let mut bytes = [0; 256];
        // What the socket says does not matter.
        while matches!(self.socket.read(&mut bytes), Ok(1..)) {}
        assert!(started.elapsed() < 8 * SECOND, "it was let go on");
    }
}

#[test]
fn positions_that_cannot_be_end_the_connection_and_no_other() {
    let server = serve("lies", small());
    for lie in [(512 << 10) + 1, u64::MAX - (1 << 20), 1 << 63] {
        let mut rude = Rude::new(&server.address());
        rude.word(HEAD, lie);
        rude.ring();
        rude.must_be_ended();
        // Seen when the server answers.
        let mut rude = Rude::new(&server.address());
        rude.word(TAIL_BACK, lie);
        rude.say(&control(Header::new(Kind::Hello), &hello().encode()));
        rude.must_be_ended();
    }
    let mut rude = Rude::new(&server.address());
    rude.say(b"GET / HTTP/1.1\r\n\r\n");
    rude.must_be_ended();
    let mut rude = Rude::new(&server.address());
    rude.word(ENDED, 7);
    rude.ring();
    rude.must_be_ended();
    assert_eq!(ask(&server.address()).unwrap(), b"served");
}

#[test]
fn memory_full_of_garbage_that_changes_all_the_time_harms_nobody_else() {
    let server = serve("garbage", Limits { hello_ms: 500, ..small() });
    let address = server.address();
    let rudeness = |seed: u64| {
        let mut random = seed;
        let mut next = move || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random
        };
        let end = Instant::now() + 2 * SECOND;
        while Instant::now() < end {
            let mut rude = Rude::new(&address);
            if seed.is_multiple_of(2) {
                rude.say(&control(Header::new(Kind::Hello), &hello().encode()));
            }
            for _ in 0..next() % 40 {
                let mut garbage = vec![0; (next() % 8192) as usize];
                garbage.fill_with(|| next() as u8);
                rude.memory.write_all_at(&garbage, next() % (SHARED_LEN - 8192)).unwrap();
                // Where it would be believed, and where it would not.
                let at = [HEAD, TAIL, TAIL_BACK, READER_WAITS, ENDED, HEAD + 512][(next() % 6) as usize];
                rude.word(at, next() >> (next() % 64));
                rude.ring();
            }
            if next().is_multiple_of(2) {
                let _ = rude.socket.write(&[b'!'; 5000]);
                // A bell that is full, and one that was heard by another.
                let _ = rude.bell.write(&(u64::MAX - 1).to_ne_bytes());
                let _ = rude.bell.read(&mut [0; 8]);
            }
        }
    };
    thread::scope(|scope| {
        let all: Vec<_> = (1..=3).map(|seed| scope.spawn(move || rudeness(seed * 7919))).collect();
        let mut asked = 0;
        while all.iter().any(|one| !one.is_finished()) {
            let started = Instant::now();
            assert_eq!(ask(&address).unwrap(), b"served");
            assert!(started.elapsed() < 4 * SECOND);
            asked += 1;
        }
        assert!(asked > 10, "{asked}");
    });
    assert_eq!(ask(&address).unwrap(), b"served");
}

#[test]
fn the_memory_cannot_shrink_or_grow_under_the_server() {
    let server = serve("seals", small());
    let mut rude = Rude::new(&server.address());
    for len in [0, 4096, SHARED_LEN - 1, SHARED_LEN + 1] {
        assert_eq!(ftruncate(&rude.memory, len), Err(rustix::io::Errno::PERM));
    }
    assert!(fcntl_add_seals(&rude.memory, SealFlags::WRITE).is_err(), "nor become read-only");
    rude.say(&[0xFF; 100]);
    rude.must_be_ended();
}

#[test]
fn who_says_nothing_and_who_dies_makes_room_for_others() {
    let server = serve("room", Limits { connections_max: 1, hello_ms: 200, ..small() });
    Rude::new(&server.address()).must_be_ended();
    for _ in 0..5 {
        // It dies with a request under way.
        let mut rude = Rude::new(&server.address());
        rude.say(&control(Header::new(Kind::Hello), &hello().encode()));
        drop(rude);
        let end = Instant::now() + 5 * SECOND;
        while let Err(error) = ask(&server.address()) {
            assert!(error.der == Der::Busy && Instant::now() < end, "{error:?}");
        }
    }
}

/// A server that offers what it likes.
fn offers(of: &str, greeting: &'static [u8], files: Vec<OwnedFd>) -> NetError {
    let path = path(of);
    let listener = UnixListener::bind(&path).unwrap();
    let server = thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(4))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let files: Vec<_> = files.iter().map(AsFd::as_fd).collect();
        if !files.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(&files));
        }
        if !greeting.is_empty() {
            sendmsg(&socket, &[IoSlice::new(greeting)], &mut control, SendFlags::empty()).unwrap();
        }
        // Until the client is gone.
        let _ = (&socket).read(&mut [0; 10]);
    });
    let started = Instant::now();
    let error = Shm::default().connect(&path, SECOND / 2).unwrap_err();
    assert!(started.elapsed() < 5 * SECOND);
    server.join().unwrap();
    std::fs::remove_file(&path).unwrap();
    error
}

fn memory(len: u64, seals: SealFlags) -> OwnedFd {
    let file = memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    ftruncate(&file, len).unwrap();
    fcntl_add_seals(&file, seals).unwrap();
    file
}

fn bell() -> OwnedFd {
    eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).unwrap()
}

#[test]
fn a_client_takes_only_memory_that_is_what_it_must_be() {
    const GREETING: &[u8] = b"DAOSSHM\x02\x00\x00\x08\x00\x00\x00\x00\x00";
    let sealed = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    let good = || memory(SHARED_LEN, sealed);
    let says = |error: &NetError, what: &str| assert!(error.message.contains(what), "{error:?}");
    says(&offers("one", GREETING, vec![]), "does not share memory");
    says(&offers("two", GREETING, vec![good()]), "does not share memory");
    let cut = &offers("cut", GREETING, vec![good(), bell(), bell()]);
    assert!(
        cut.message.contains("of another form") || cut.message.contains("does not share memory"),
        "{cut:?}"
    );
    const BEFORE: &[u8] = b"DAOSSHM\x01\x00\x00\x08\x00\x00\x00\x00\x00";
    const SHORT: &[u8] = b"DAOSSHM\x02\x00\x00\x04\x00\x00\x00\x00\x00";
    says(&offers("three", BEFORE, vec![good(), bell()]), "of another form");
    says(&offers("four", SHORT, vec![good(), bell()]), "of another form");
    says(&offers("five", &GREETING[..9], vec![good(), bell()]), "of another form");
    says(&offers("six", GREETING, vec![memory(SHARED_LEN, SealFlags::SHRINK), bell()]), "not sealed");
    says(&offers("seven", GREETING, vec![memory(SHARED_LEN - 4096, sealed), bell()]), "of another size");
    says(&offers("eight", GREETING, vec![File::open("/dev/zero").unwrap().into(), bell()]), "not sealed");
    let waits = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
    says(&offers("deaf", GREETING, vec![good(), waits]), "wait to wake him");
    assert_eq!(offers("nine", b"", vec![]).der, Der::Timedout);
}

#[test]
fn sockets_with_and_without_memory_are_told_apart() {
    let shm = serve("apart", small());
    let link = Unix::default().connect(&shm.address(), SECOND).unwrap();
    let error = Channel::open(link, small(), &hello(), SECOND).unwrap_err();
    assert_eq!(error.der, Der::Proto, "{error:?}");
    let unix = Unix::default().listen(&path("plain"), me(), small(), Box::new(echo)).unwrap();
    let error = Shm::default().connect(&unix.address(), Duration::from_millis(200)).unwrap_err();
    assert_eq!(error.der, Der::Timedout, "{error:?}");
    assert_eq!(ask(&shm.address()).unwrap(), b"served");
}

fn open(address: &str) -> Channel {
    Channel::open(Shm::default().connect(address, SECOND).unwrap(), small(), &hello(), 5 * SECOND).unwrap()
}

/// Names that no other test has.
fn names(of: &str) -> [String; 2] {
    ["one", "two"].map(|name| format!("@daos-test-{}-{of}-{name}", std::process::id()))
}

#[test]
fn several_names_are_served_by_one_thread() {
    let names = names("names");
    let answer = |_: Moment, request: Incoming, replies: &Replies| {
        let thread = format!("{:?}", thread::current().id()).into_bytes();
        replies.send(request.ticket, Answer::of_body(1, thread));
    };
    let server = Shm::default().listen_all(&names, me(), small(), Box::new(answer)).unwrap();
    let taken = Shm::default().listen_all(&names[1..], me(), small(), Box::new(answer));
    assert_eq!(taken.unwrap_err().der, Der::Unreach);
    let threads: Vec<_> = names.iter().map(|name| ask(name).unwrap()).collect();
    assert_eq!(threads[0], threads[1]);
    let others = names.each_ref().map(|name| open(name));
    drop(server);
    for (name, other) in names.iter().zip(others) {
        assert!(ask(name).is_err());
        assert!(other.call(&Call::new(ECHO, SECOND, b""), &mut Reply::default()).is_err());
    }
}

/// Answers when it rests, with the number of requests that it rests for; tells when one comes, and goes on when it may.
struct Resting {
    came: Vec<Ticket>,
    begun: Sender<()>,
    go_on: Receiver<()>,
}

impl Service for Resting {
    fn request(&mut self, _: Moment, request: Incoming, _: &Replies) {
        self.came.push(request.ticket);
        self.begun.send(()).unwrap();
        self.go_on.recv().unwrap();
    }

    fn is_to_wait(&self) -> bool {
        !self.came.is_empty()
    }

    fn rest(&mut self, _: Moment, replies: &Replies) {
        let body = vec![self.came.len() as u8];
        self.came.drain(..).for_each(|ticket| replies.send(ticket, Answer::of_body(1, body.clone())));
    }
}

#[test]
fn what_came_by_another_ring_meanwhile_is_waited_for_together() {
    let (begun, has_begun) = channel();
    let (go_on, may_go_on) = channel();
    let names = names("rests");
    let service = Resting { came: Vec::new(), begun, go_on: may_go_on };
    let _server = Shm::default().listen_all(&names, me(), small(), Box::new(service)).unwrap();
    let [one, two] = names.map(|name| open(&name));
    let call = Call::new(ECHO, 5 * SECOND, b"");
    let mut reply = Reply::default();
    // A ring that the server was asleep over when something came is not among those that it looks at: then it is tried again, until the
    // machine has a core for the server to look. With one alone it never does.
    let (started, cores) =
        (Instant::now(), thread::available_parallelism().map_or(1, std::num::NonZero::get));
    let mut tries = std::iter::repeat(()).take_while(|()| cores > 1 && started.elapsed() < 40 * SECOND);
    let together = tries.any(|()| {
        let mut before = Reply::default();
        let first = two.send(&call).unwrap();
        has_begun.recv().unwrap();
        let second = one.send(&call).unwrap();
        go_on.send(()).unwrap();
        // Both were heard, whether together or not.
        has_begun.recv().unwrap();
        let third = two.send(&call).unwrap();
        go_on.send(()).unwrap();
        has_begun.recv().unwrap();
        go_on.send(()).unwrap();
        two.receive(first, &mut before).unwrap();
        one.receive(second, &mut Reply::default()).unwrap();
        reply = Reply::default();
        two.receive(third, &mut reply).unwrap();
        reply.body[0] > 1
    });
    assert!(together || cores == 1, "one by one");
}
