//! The object layer over a network: clients, connections, servers, targets.

use daos_client::{Array, ContainerRef, Kv, Object, RemoteRoute, RemoteTarget, Route as _, Survey as _};
use daos_engine::host::TargetService;
use daos_engine::{HybridClock, Target, WallClock};
use daos_net::frame::{Hello, SessionId};
use daos_net::mem::{Faults, Mem};
use daos_net::serving::Identity;
use daos_net::tcp::Tcp;
use daos_net::{Endpoint, Limits, Listening, Transport};
use daos_types::{
    ChecksumKind, Checksums, Cond, ContainerId, Der, Durability, Epoch, FetchIod, FetchValue, Iod, IodValue,
    ObjectId, ObjectType, PoolId, Punched, Rank, TargetIdx,
};
use daos_vos::media::MemoryMedia;
use daos_vos::{Store, StoreOptions};
use daos_wire::Objects;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const CONT: ContainerId = ContainerId([2; 16]);
const TARGETS: u32 = 3;
const SYNCED: Durability = Durability::Synced;

#[derive(Debug)]
struct Still;

impl WallClock for Still {
    fn unix_ns(&self) -> u64 {
        1_795_000_000_000_000_000
    }
}

/// A pool whose targets listen, each for itself.
struct Served {
    listening: Vec<Box<dyn Listening>>,
    route: Arc<RemoteRoute>,
}

fn serve(transport: &Arc<dyn Transport>, place: impl Fn(u32) -> String) -> Served {
    let store =
        Arc::new(Store::create(Arc::new(MemoryMedia::new()), [7; 16], StoreOptions::default()).unwrap());
    let clock = Arc::new(HybridClock::new(Arc::new(Still), Epoch::ZERO));
    let (mut listening, mut targets) = (Vec::new(), Vec::new());
    for at in 0..TARGETS {
        let shard = store.shard_create(PoolId([1; 16]), TargetIdx(at)).unwrap();
        let mut tx = store.begin().unwrap();
        tx.cont_open(shard, CONT).unwrap();
        tx.commit().unwrap();
        let target = Target::new(Arc::clone(&store), shard, Arc::clone(&clock));
        let service = Box::new(TargetService::new(target, 1));
        let me = Identity { system: "test".to_owned(), rank: Rank(0), incarnation: 5 };
        let server = transport.listen(&place(at), me, Limits::default(), service).unwrap();
        let hello = Hello {
            versions: (1, 1),
            rank: Some(Rank(0)),
            incarnation: 5,
            session: SessionId([9; 16]),
            frame_bytes: 64 << 20,
            requests: 64,
            idle_ms: 1000,
            system: "test".to_owned(),
        };
        let address = server.address();
        let endpoint =
            Endpoint::new(Arc::clone(transport), &address, Limits::default(), hello, u64::from(at));
        targets.push(RemoteTarget { endpoint: Arc::new(endpoint), index: 0 });
        listening.push(server);
    }
    Served { listening, route: Arc::new(RemoteRoute::new(targets, 0, Duration::from_secs(20))) }
}

fn providers() -> Vec<Served> {
    let faults = Faults { delay_us: (5, 50), ..Faults::default() };
    let mem: Arc<dyn Transport> = Arc::new(Mem::new(3, faults));
    let tcp: Arc<dyn Transport> = Arc::new(Tcp::default());
    vec![serve(&mem, |at| format!("target {at}")), serve(&tcp, |_| "127.0.0.1:0".to_owned())]
}

/// A container whose data is summed by its clients.
fn summed() -> ContainerRef {
    let checksums =
        Checksums { kind: Some(ChecksumKind::Crc32), piece_size: 32 << 10, server_verifies: true };
    ContainerRef { id: CONT, checksums }
}

fn oid(kind: ObjectType, number: u64) -> ObjectId {
    ObjectId::generate(kind, 1, TARGETS as u16, 0, number)
}

#[test]
fn a_key_value_store_is_the_map_that_was_put() {
    for served in providers() {
        let kv = Kv::open(Arc::clone(&served.route), summed(), oid(ObjectType::KvHashed, 1), SYNCED).unwrap();
        let mut model = BTreeMap::new();
        for number in 0..60_u32 {
            let value = vec![number as u8; [0, 10, 4_000, 5_000, 70_000, 300_000][number as usize % 6]];
            let key = format!("key {number}").into_bytes();
            kv.put(&key, &value, Cond::NONE).unwrap();
            model.insert(key, value);
        }
        for number in (0..60_u32).step_by(7) {
            let key = format!("key {number}").into_bytes();
            kv.remove(&key, Cond::PUNCH).unwrap();
            assert_eq!(kv.remove(&key, Cond::PUNCH).unwrap_err().der, Der::Nonexist);
            model.remove(&key);
        }
        assert_eq!(kv.put(b"key 1", b"again", Cond::DKEY_INSERT).unwrap_err().der, Der::Exist);
        for (key, value) in &model {
            let mut found = Vec::new();
            assert!(kv.get(key, Cond::NONE, &mut found).unwrap());
            assert!(found == *value, "{}", String::from_utf8_lossy(key));
        }
        assert!(!kv.get(b"key 0", Cond::NONE, &mut Vec::new()).unwrap());
        let (mut listed, mut anchor) = (BTreeMap::new(), None);
        loop {
            let page = kv.list_pairs(anchor.as_deref(), 9, false).unwrap();
            for (key, value) in page.keys.iter().zip(page.values.iter()) {
                assert!(listed.insert(key.to_vec(), value.to_vec()).is_none());
            }
            anchor = page.anchor;
            if anchor.is_none() {
                break;
            }
        }
        assert!(listed == model);
    }
}

#[test]
fn arrays_and_objects_are_what_was_written() {
    for served in providers() {
        let route = &served.route;
        let array =
            Array::create(Arc::clone(route), summed(), oid(ObjectType::Array, 2), SYNCED, 8, 1_000).unwrap();
        let mut model = vec![b'.'; 80_000];
        for (start, count) in [(0, 5_000), (4_990, 20), (7_003, 1), (9_000, 1_000), (123, 4_321)] {
            let data: Vec<u8> = (0..count * 8).map(|at| (at * 7 + start) as u8).collect();
            array.write(start as u64, &data).unwrap();
            model[start * 8..(start + count) * 8].copy_from_slice(&data);
        }
        array.punch(2_000, 500).unwrap();
        model[16_000..20_000].fill(b'.');
        model[5_010 * 8..7_003 * 8].fill(b'.');
        assert_eq!(array.size().unwrap(), 10_000);
        let mut read = vec![0; 80_000];
        array.read(0, &mut read, Some(&[b'.'; 8])).unwrap();
        assert!(read == model);

        let id = oid(ObjectType::MultiHashed, 3);
        let object = Object::open(Arc::clone(route), summed(), id, SYNCED, Epoch::MAX).unwrap();
        let long = vec![5; 200_000];
        let iods = [Iod::new(b"a", IodValue::Single(b"short")), Iod::new(b"b", IodValue::Single(&long))];
        for dkey in [b"one".as_slice(), b"two", b"three"] {
            object.update(dkey, &iods, Cond::NONE).unwrap();
        }
        object.punch(Punched::Akeys(b"two", &[b"b"]), Cond::NONE).unwrap();
        let (mut short, mut found) = (Vec::new(), Vec::new());
        let mut wanted = [
            FetchIod::new(b"a", FetchValue::Single(&mut short)),
            FetchIod::new(b"b", FetchValue::Single(&mut found)),
        ];
        object.fetch(b"three", &mut wanted, Cond::NONE).unwrap();
        assert_eq!((short.as_slice(), found == long), (&b"short"[..], true));
        assert_eq!(object.list_dkeys(None, 10, false).unwrap().keys.len(), 3);
        assert_eq!(object.list_akeys(b"two", None, 10, false).unwrap().keys, [b"a"]);
        let epochs = [Epoch::MAX];
        let request = Objects { cont: CONT, epochs: &epochs, after: None, count_max: 10, durability: SYNCED };
        let ids = (0..TARGETS).map(|target| route.objects(TargetIdx(target), &request).unwrap().oids.len());
        assert!(ids.sum::<usize>() >= 2 && route.targets() == TARGETS);
    }
}

#[test]
fn a_server_that_is_gone_is_told() {
    let tcp: Arc<dyn Transport> = Arc::new(Tcp::default());
    let mut served = serve(&tcp, |_| "127.0.0.1:0".to_owned());
    let kv = Kv::open(Arc::clone(&served.route), summed(), oid(ObjectType::KvHashed, 1), SYNCED).unwrap();
    kv.put(b"k", b"v", Cond::NONE).unwrap();
    served.listening.clear();
    for _ in 0..3 {
        let error = kv.put(b"k", b"w", Cond::NONE).unwrap_err();
        // It said goodbye before, or while the change was on its way.
        assert!(matches!(error.der, Der::Unreach | Der::TxUncertain), "{error:?}");
    }
    assert_eq!(kv.get(b"k", Cond::NONE, &mut Vec::new()).unwrap_err().der, Der::Unreach);
}
