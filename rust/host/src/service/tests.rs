//! A service of several targets, of which something takes long.

use super::*;
use crate::{Host, HostOptions};
use daos_client::{ContainerObjects as _, NewContainer, Places, RemoteSystem};
use daos_embed::{Options, System};
use daos_net::frame::{Hello, SessionId};
use daos_net::serving::Identity;
use daos_net::tcp::Tcp;
use daos_net::{Limits, Transport as _};
use daos_types::{Checksums, Cond, ObjectId, ObjectType, Rank};
use std::time::Duration;

#[test]
fn what_takes_long_is_answered_all_the_same() {
    let limits = Limits::default();
    let options = HostOptions { system: "test".to_owned(), rank: Rank(3), incarnation: 5, limits };
    let stored = System::in_memory(&Options { targets: 2, ..Options::default() }).unwrap();
    let host = Host::new(stored, options);
    let shared = host.shared();
    let service = HostService::new(Arc::clone(shared), Some(0..2));
    let paces = service.paces.clone().unwrap();
    let me = Identity { system: "test".to_owned(), rank: Rank(3), incarnation: 5 };
    let tcp = Tcp::default();
    let listening = tcp.listen("127.0.0.1:0", me, limits, Box::new(service)).unwrap();
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
    let places = Places::new(Arc::new(tcp), limits, hello);
    let at = listening.address();
    let system = RemoteSystem::connect(places, &at, Duration::from_secs(20), Durability::Synced).unwrap();
    let pool = system.pool_create("tank", b"\x80").unwrap();
    let checksums = Checksums { kind: None, piece_size: 32 << 10, server_verifies: false };
    let new = NewContainer { label: "c", props: b"\x80", checksums, scrub_disabled: false };
    let container = pool.container_create(&new).unwrap();
    let kv = container.kv(ObjectId::generate(ObjectType::KvHashed, 1, 2, 0, 1)).unwrap();
    let put_and_list = |number: u32| {
        paces.waits.slow_down();
        kv.put(&number.to_be_bytes(), b"there", Cond::NONE).unwrap();
        paces.pages.slow_down();
        let page = kv.list_pairs(None, 100, false).unwrap();
        assert_eq!(page.keys.iter().count(), number as usize + 1);
    };
    (0..20).for_each(put_and_list);
    // Where no thread can be had, waits are answered by who drops them.
    shared.apart.end();
    paces.waits.slow_down();
    kv.put(b"last", b"there", Cond::NONE).unwrap();
    let mut found = Vec::new();
    assert!(kv.get(b"last", Cond::NONE, &mut found).unwrap());
    assert_eq!(found, b"there");
}
