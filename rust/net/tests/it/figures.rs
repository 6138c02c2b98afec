//! What a connection costs, over each provider: `cargo test --profile fast -p daos-net --test it figures -- --ignored --nocapture`.

use crate::certs::Ca;
use crate::{ECHO, GIVE, SECOND, echo, hello, me, pattern};
use daos_net::frame::{Payload, Place};
use daos_net::shm::Shm;
use daos_net::tcp::Tcp;
use daos_net::unix::Unix;
use daos_net::{Answer, Bulk, Call, Channel, Incoming, Limits, Moment, Receive, Replies, Reply, Transport};
use std::sync::Arc;
use std::time::Instant;

/// A reply that goes to memory which is there.
struct To<'m>(&'m mut [u8]);

impl Receive for To<'_> {
    fn head(&mut self, _: u32, _: &[u8], _: &[Place]) -> daos_net::Result<()> {
        Ok(())
    }

    fn rooms(&mut self, _: usize) -> daos_net::Result<Vec<&mut [u8]>> {
        Ok(vec![self.0])
    }
}

/// Swallows payloads, echoes bodies, gives what it has: with as little work of its own as can be.
fn service(bulk: Vec<u8>) -> impl FnMut(Moment, Incoming, &Replies) + Send {
    move |now, request, replies| {
        if request.opcode != GIVE {
            return echo(now, Incoming { payloads: vec![], ..request }, replies);
        }
        let payloads = vec![Bulk::new(bulk.clone())];
        replies.send(
            request.ticket,
            Answer::Reply { map_version: 0, body: vec![], payloads, body_has_sums: false },
        );
    }
}

/// The microseconds of a call in the best of so many runs: others use the machine as well, and how the kernel spreads two threads
/// over the cores makes a difference of three.
fn best(runs: usize, calls: u32, mut call: impl FnMut()) -> f64 {
    let run = |_| {
        let started = Instant::now();
        (0..calls).for_each(|_| call());
        started.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
    };
    (0..runs).map(run).fold(f64::MAX, f64::min)
}

/// The microseconds of a short call, by so many threads that share a connection.
fn of_threads(channel: &Channel, threads: u32) -> f64 {
    let calls = 4000 / threads;
    let all = best(10, 1, || {
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let mut reply = Reply::default();
                    let small = Call::new(ECHO, 60 * SECOND, &[7; 64]);
                    (0..calls).for_each(|_| channel.call(&small, &mut reply).unwrap());
                });
            }
        });
    });
    all / f64::from(calls * threads)
}

/// What one provider costs, in microseconds.
fn figures_of(transport: &dyn Transport, address: &str, bulk: &[u8]) -> [f64; 7] {
    let limits = Limits::default();
    let server = transport.listen(address, me(), limits, Box::new(service(bulk.to_vec()))).unwrap();
    let open = || {
        let link = transport.connect(&server.address(), SECOND).unwrap();
        Channel::open(link, limits, &hello(), SECOND).unwrap()
    };
    let channel = open();
    let small = Call::new(ECHO, SECOND, &[7; 64]);
    let mut reply = Reply::default();
    let short = best(20, 500, || channel.call(&small, &mut reply).unwrap());
    let deep = best(20, 20, || {
        let sent: Vec<_> = (0..64).map(|_| channel.send_soon(&small).unwrap()).collect();
        for sent in sent {
            channel.receive(sent, &mut reply).unwrap();
        }
    });
    let payloads = [Payload::new(bulk)];
    let call = Call { payloads: &payloads, ..Call::new(ECHO, SECOND, b"") };
    let put = best(20, 30, || channel.call(&call, &mut reply).unwrap());
    let mut memory = vec![0; bulk.len()];
    let call = Call { reply_max: 2 << 20, ..Call::new(GIVE, SECOND, b"") };
    let get = best(20, 30, || channel.call(&call, &mut To(&mut memory)).unwrap());
    assert_eq!(memory, bulk);
    let connect = best(20, 10, || drop(open()));
    [short, of_threads(&channel, 4), of_threads(&channel, 32), deep / 64.0, put, get, connect]
}

#[test]
#[ignore = "prints figures; checks nothing"]
fn figures() {
    let bulk = pattern(1 << 20);
    let path = std::env::temp_dir().join(format!("daos-net-figures-{}", std::process::id()));
    let path = path.display().to_string();
    let shm = format!("{path}-shm");
    let all: Vec<(&str, Arc<dyn Transport>, &str)> = vec![
        ("tcp", Arc::new(Tcp::default()), "127.0.0.1:0"),
        ("tcp+tls", Arc::new(Ca::new().tcp()), "127.0.0.1:0"),
        ("shm", Arc::new(Shm::default()), &shm),
        ("unix", Arc::new(Unix::default()), &path),
    ];
    let mut least = vec![[f64::MAX; 7]; all.len()];
    for _ in 0..3 {
        for ((_, transport, address), least) in all.iter().zip(&mut least) {
            let now = figures_of(&**transport, address, &bulk);
            *least = std::array::from_fn(|nth| least[nth].min(now[nth]));
        }
    }
    println!(
        "us: 64 B alone, each by 4 threads, by 32, of 64 at once, 1 MiB there, 1 MiB back, a connection"
    );
    for ((name, ..), [short, few, many, deep, put, get, connect]) in all.iter().zip(least) {
        println!("{name:8} {short:8.1} {few:8.2} {many:8.2} {deep:8.2} {put:8.0} {get:8.0} {connect:8.0}");
    }
}
