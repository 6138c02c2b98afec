//! What a connection costs, over each provider: `cargo test --profile fast -p daos-net --test it figures -- --ignored --nocapture`.

use crate::certs::Ca;
use crate::{ECHO, GIVE, SECOND, echo, hello, me, pattern};
use daos_net::frame::{Payload, Place};
use daos_net::tcp::Tcp;
use daos_net::unix::Unix;
use daos_net::{Answer, Bulk, Call, Channel, Incoming, Limits, Moment, Receive, Replies, Reply, Transport};
use daos_types::ShardIdx;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
        let payloads = vec![Bulk { shard: ShardIdx(0), bytes: bulk.clone() }];
        replies.send(request.ticket, Answer::Reply { map_version: 0, body: vec![], payloads });
    }
}

/// The median of so many runs, each the time of one of its calls.
fn median(runs: usize, calls: u32, mut call: impl FnMut()) -> Duration {
    let run = |call: &mut dyn FnMut()| {
        let started = Instant::now();
        (0..calls).for_each(|_| call());
        started.elapsed() / calls
    };
    let mut times: Vec<Duration> = (0..runs).map(|_| run(&mut call)).collect();
    times.sort_unstable();
    times[runs / 2]
}

#[test]
#[ignore = "prints figures; checks nothing"]
fn figures() {
    let bulk = pattern(1 << 20);
    let path = std::env::temp_dir().join(format!("daos-net-figures-{}", std::process::id()));
    let path = path.display().to_string();
    let all: Vec<(&str, Arc<dyn Transport>, &str)> = vec![
        ("tcp", Arc::new(Tcp::default()), "127.0.0.1:0"),
        ("tcp+tls", Arc::new(Ca::new().tcp()), "127.0.0.1:0"),
        ("unix", Arc::new(Unix::default()), &path),
    ];
    for (name, transport, address) in all {
        let limits = Limits::default();
        let server = transport.listen(address, me(), limits, Box::new(service(bulk.clone()))).unwrap();
        let open = || {
            let link = transport.connect(&server.address(), SECOND).unwrap();
            Channel::open(link, limits, &hello(), SECOND).unwrap()
        };
        let channel = open();
        let small = [7; 64];
        let mut reply = Reply::default();
        let short = median(9, 3000, || {
            channel.call(&Call::new(ECHO, SECOND, &small), &mut reply).unwrap();
        });
        let deep = median(9, 50, || {
            let sent: Vec<_> =
                (0..64).map(|_| channel.send_soon(&Call::new(ECHO, SECOND, &small)).unwrap()).collect();
            sent.into_iter().for_each(|sent| channel.receive(sent, &mut reply).unwrap());
        }) / 64;
        let payloads = [Payload::new(&bulk)];
        let put = median(9, 100, || {
            channel.call(&Call { payloads: &payloads, ..Call::new(ECHO, SECOND, b"") }, &mut reply).unwrap();
        });
        let mut memory = vec![0; 1 << 20];
        let get = median(9, 100, || {
            let call = Call { reply_max: 2 << 20, ..Call::new(GIVE, SECOND, b"") };
            channel.call(&call, &mut To(&mut memory)).unwrap();
        });
        assert_eq!(memory, bulk);
        let connect = median(9, 20, || drop(open()));
        println!(
            "{name:8} 64 B: {short:8.1?} at depth 1, {deep:7.2?} each at 64;  1 MiB: {put:7.0?} there, {get:7.0?} back;  connect: {connect:7.0?}"
        );
    }
}
