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
use daos_net::tcp::Tcp;
use daos_net::unix::Unix;
use daos_net::{Limits, Transport};
use daos_types::{Durability, Rank};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A system, its host, and the same system as others reach it.
pub(crate) struct Served {
    pub(crate) system: Arc<dyn SystemService>,
    pub(crate) host: Host,
}

pub(crate) fn serve(transport: &Arc<dyn Transport>, address: &str, targets: u32, apart: bool) -> Served {
    let system = System::in_memory(&Options { targets, ..Options::default() }).unwrap();
    let limits = Limits::default();
    let options = HostOptions { system: "test".to_owned(), rank: Rank(3), incarnation: 5, limits };
    let host = Host::new(system, options);
    let at = host.listen(&**transport, address).unwrap();
    if apart {
        host.listen_targets(&**transport, |_| address.to_owned()).unwrap();
    }
    let hello = Hello {
        versions: (1, 1),
        rank: None,
        incarnation: 5,
        session: SessionId([9; 16]),
        frame_bytes: limits.frame_bytes,
        requests: 64,
        idle_ms: limits.idle_ms,
        system: "test".to_owned(),
    };
    let places = Places::new(Arc::clone(transport), limits, hello);
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
        serve(&mem, "here", targets, false),
        serve(&tcp, "127.0.0.1:0", targets, false),
        serve(&unix, &path, targets, false),
        // A thread and a port for each target.
        serve(&tcp, "127.0.0.1:0", targets, true),
    ]
}
