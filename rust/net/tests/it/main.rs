//! Connections, over each provider.
#![allow(missing_docs, clippy::unwrap_used)]

mod certs;
mod conformance;
mod faults;
mod figures;
mod forks;
mod near;
mod shm;
mod tampered;
mod threads;
mod tls;

use daos_net::frame::{Hello, SessionId};
use daos_net::mem::{Faults, Mem};
use daos_net::serving::Identity;
use daos_net::shm::Shm;
use daos_net::tcp::Tcp;
use daos_net::unix::Unix;
use daos_net::{Answer, Bulk, Incoming, Limits, Moment, Replies, Transport};
use daos_types::{Rank, ShardIdx};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// What the tests' server does.
pub(crate) const ECHO: u16 = 1;
/// Payloads of as many bytes as the body says.
pub(crate) const GIVE: u16 = 2;
/// Never answers.
pub(crate) const KEEP: u16 = 3;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn me() -> Identity {
    Identity { system: "test".to_owned(), rank: Rank(3), incarnation: 7 }
}

pub(crate) fn hello() -> Hello {
    Hello {
        versions: (1, 1),
        rank: Some(Rank(3)),
        incarnation: 7,
        session: SessionId([9; 16]),
        frame_bytes: 64 << 20,
        requests: 64,
        idle_ms: 1000,
        system: "test".to_owned(),
    }
}

/// Answers with what came, what was asked for, or not at all.
pub(crate) fn echo(_: Moment, request: Incoming, replies: &Replies) {
    let Incoming { ticket, opcode, body, payloads, map_version, .. } = request;
    let payloads = match opcode {
        KEEP => return,
        GIVE => {
            let len = body.first_chunk().map_or(0, |len| u32::from_le_bytes(*len) as usize);
            vec![Bulk { shard: ShardIdx(1), ..Bulk::new(pattern(len)) }]
        }
        _ => payloads,
    };
    replies
        .send(ticket, Answer::Reply { map_version: map_version + 1, body, payloads, body_has_sums: false });
}

/// Bytes that no two places have alike.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8).collect()
}

/// The providers, and an address at each.
pub(crate) fn providers(threads: bool) -> Vec<(Arc<dyn Transport>, String)> {
    let delay_us = (5, 50);
    let mem = Mem::new(1, Faults { delay_us, ..Faults::default() });
    let mem = if threads { mem.for_threads() } else { mem };
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("daos-net-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name).display().to_string();
    vec![
        (Arc::new(mem), "server".to_owned()),
        (Arc::new(Tcp::default()), "127.0.0.1:0".to_owned()),
        (Arc::new(Shm::default()), format!("{path}-shm")),
        (Arc::new(Unix::default()), path),
        (Arc::new(certs::Ca::new().tcp()), "127.0.0.1:0".to_owned()),
    ]
}

pub(crate) fn small() -> Limits {
    Limits { frame_bytes: 4 << 20, window_bytes: 16 << 20, window_requests: 16, ..Limits::default() }
}
