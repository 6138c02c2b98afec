//! Systems that others reach, over each provider.
#![allow(missing_docs, clippy::unwrap_used)]

mod bent;
mod messages;
mod remote;
mod together;
mod transactions;

use daos_client::{Places, RemoteSystem, SystemService};
use daos_embed::{Options, System};
use daos_host::{Host, HostOptions};
use daos_net::frame::{Hello, SessionId};
use daos_net::mem::{Faults, Mem};
use daos_net::shm::Shm;
use daos_net::tcp::Tcp;
use daos_net::unix::Unix;
use daos_net::{Limits, Transport};
use daos_types::{Durability, Rank};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// A system, its host, and the same system as others reach it.
pub(crate) struct Served {
    pub(crate) system: Arc<dyn SystemService>,
    pub(crate) host: Host,
}

/// What its targets have beside the endpoint that serves all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beside {
    Nothing,
    /// An endpoint each.
    Apart,
    /// And each a nearer way.
    Near,
}

pub(crate) fn serve(transport: &Arc<dyn Transport>, address: &str, targets: u32, beside: Beside) -> Served {
    // The names of the nearer way are made of it.
    static INCARNATION: AtomicU64 = AtomicU64::new(1);
    let incarnation = u64::from(std::process::id()) << 32 | INCARNATION.fetch_add(1, Ordering::Relaxed);
    let system = System::in_memory(&Options { targets, ..Options::default() }).unwrap();
    let limits = Limits::default();
    let options = HostOptions { system: "test".to_owned(), rank: Rank(3), incarnation, limits };
    let host = Host::new(system, options);
    let at = host.listen(&**transport, address).unwrap();
    if beside != Beside::Nothing {
        host.listen_targets(&**transport, |_| address.to_owned()).unwrap();
    }
    let hello = Hello {
        versions: (1, 1),
        rank: None,
        incarnation,
        session: SessionId([9; 16]),
        frame_bytes: limits.frame_bytes,
        requests: 64,
        idle_ms: limits.idle_ms,
        system: "test".to_owned(),
    };
    let mut places = Places::new(Arc::clone(transport), limits, hello);
    if beside == Beside::Near {
        host.listen_near(&Shm::default()).unwrap();
        places = places.or_near(Arc::new(Shm::default()));
    }
    let system = RemoteSystem::connect(places, &at, Duration::from_secs(20), Durability::Synced).unwrap();
    Served { system, host }
}

/// One over each provider whose threads are real; control requests are answered by others.
pub(crate) fn served(targets: u32) -> Vec<Served> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("daos-host-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name).display().to_string();
    let mem: Arc<dyn Transport> =
        Arc::new(Mem::new(3, Faults { delay_us: (5, 50), ..Faults::default() }).for_threads());
    let tcp: Arc<dyn Transport> = Arc::new(Tcp::default());
    let unix: Arc<dyn Transport> = Arc::new(Unix::default());
    vec![
        serve(&mem, "here", targets, Beside::Nothing),
        serve(&tcp, "127.0.0.1:0", targets, Beside::Nothing),
        serve(&unix, &path, targets, Beside::Nothing),
        // A thread and a port for each target.
        serve(&tcp, "127.0.0.1:0", targets, Beside::Apart),
        // Threads that targets share, where there are few cores.
        serve(&tcp, "127.0.0.1:0", targets, Beside::Near),
    ]
}
