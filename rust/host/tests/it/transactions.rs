//! What a transaction over a network asks, and how often.

use crate::{Beside, Served, serve};
use daos_client::{ContainerObjects as _, ContainerRef, ContainerService, Kv, NewContainer, Route};
use daos_net::frame::Header;
use daos_net::mem::{Faults, Mem};
use daos_net::serving::Identity;
use daos_net::{Incoming, Limits, Link, Listening, Moment, Replies, Result, Service, Ticket, Transport};
use daos_types::{Checksums, Cond, Der, Durability, Iod, IodValue, KV_AKEY, Landing, ObjectId, ObjectType};
use daos_wire::Opcode::{Fetch, ListPairs, TxAbort, TxChanges, TxFirst, Update};
use daos_wire::{CONTROL, Opcode};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The data requests that came.
type Seen = Arc<Mutex<Vec<(Opcode, Durability)>>>;

/// A transport whose servers tell what came.
#[derive(Debug)]
struct Telling {
    inner: Mem,
    seen: Seen,
}

impl Transport for Telling {
    fn connect(&self, address: &str, timeout: Duration) -> Result<Box<dyn Link>> {
        self.inner.connect(address, timeout)
    }

    fn listen(
        &self,
        address: &str,
        me: Identity,
        limits: Limits,
        inner: Box<dyn Service>,
    ) -> Result<Box<dyn Listening>> {
        let seen = Arc::clone(&self.seen);
        self.inner.listen(address, me, limits, Box::new(Told { inner, seen }))
    }

    fn now(&self) -> Moment {
        self.inner.now()
    }
}

struct Told {
    inner: Box<dyn Service>,
    seen: Seen,
}

impl Service for Told {
    fn request(&mut self, now: Moment, request: Incoming, replies: &Replies) {
        if request.opcode != CONTROL {
            let opcode = Opcode::from_number(request.opcode).unwrap();
            self.seen.lock().unwrap().push((opcode, request.durability));
        }
        self.inner.request(now, request, replies);
    }

    fn land(&mut self, header: &Header, len: usize) -> Option<Arc<dyn Landing>> {
        self.inner.land(header, len)
    }

    fn cancel(&mut self, ticket: Ticket, replies: &Replies) {
        self.inner.cancel(ticket, replies);
    }

    fn rest(&mut self, now: Moment, replies: &Replies) {
        self.inner.rest(now, replies);
    }
}

const KEYS: Cond = Cond::NONE;

struct World {
    seen: Seen,
    served: Served,
    container: Arc<dyn ContainerService>,
}

impl World {
    fn new() -> Self {
        let seen = Seen::default();
        let inner = Mem::new(3, Faults::default()).for_threads();
        let transport: Arc<dyn Transport> = Arc::new(Telling { inner, seen: Arc::clone(&seen) });
        let served = serve(&transport, "here", 2, Beside::Nothing);
        let pool = Arc::clone(&served.system).pool_create("p", b"\x80").unwrap();
        assert_eq!(pool.targets(), 2);
        let checksums = Checksums { kind: None, piece_size: 0, server_verifies: false };
        let new = NewContainer { label: "c", props: b"\x80", checksums, scrub_disabled: false };
        let container = pool.container_create(&new).unwrap();
        for key in [b"a", b"b"] {
            container.kv(oid()).unwrap().put(key, b"1", KEYS).unwrap();
        }
        let world = Self { seen, served, container };
        world.asked();
        world
    }

    /// What was asked since this was asked last.
    fn asked(&self) -> Vec<Opcode> {
        self.promised().into_iter().map(|(opcode, _)| opcode).collect()
    }

    /// The same, with what was to be promised.
    fn promised(&self) -> Vec<(Opcode, Durability)> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }

    fn begin(&self) -> (Kv<dyn Route>, daos_client::Transaction) {
        let tx = self.container.transaction(Durability::Synced).unwrap();
        (tx.container.kv(oid()).unwrap(), tx)
    }

    fn value(&self, key: &[u8]) -> Option<Vec<u8>> {
        let found = get(&self.container.kv(oid()).unwrap(), key);
        self.asked();
        found
    }
}

fn oid() -> ObjectId {
    ObjectId::generate(ObjectType::KvHashed, 1, 1, 0, 1)
}

fn get(kv: &Kv<dyn Route>, key: &[u8]) -> Option<Vec<u8>> {
    let mut found = Vec::new();
    kv.get(key, KEYS, &mut found).unwrap().then_some(found)
}

#[test]
fn a_read_and_a_change_of_it_are_two_requests() {
    let world = World::new();
    let (kv, tx) = world.begin();
    let value = get(&kv, b"a").unwrap();
    kv.put(b"a", &[&value[..], b"+"].concat(), KEYS).unwrap();
    tx.end.commit().unwrap();
    assert_eq!(world.asked(), [TxFirst, TxChanges]);
    assert_eq!(world.value(b"a"), Some(b"1+".to_vec()));

    // Of another key than those that change: nothing has to be sent before.
    let (kv, tx) = world.begin();
    let (one, other) = (get(&kv, b"a").unwrap(), {
        kv.put(b"a", b"from b", KEYS).unwrap();
        get(&kv, b"b").unwrap()
    });
    kv.put(b"b", &one, KEYS).unwrap();
    tx.end.commit().unwrap();
    assert_eq!(world.asked(), [TxFirst, Fetch, TxChanges]);
    assert_eq!((other, world.value(b"a")), (b"1".to_vec(), Some(b"from b".to_vec())));
    assert_eq!(world.value(b"b"), Some(b"1+".to_vec()));
}

#[test]
fn changes_alone_are_one_request_and_none_are_none() {
    let world = World::new();
    let (kv, tx) = world.begin();
    kv.put(b"c", b"2", KEYS).unwrap();
    kv.remove(b"a", KEYS).unwrap();
    kv.put(b"c", b"3", KEYS).unwrap();
    assert_eq!((world.asked(), world.value(b"c")), (vec![], None));
    tx.end.commit().unwrap();
    assert_eq!(world.asked(), [TxChanges]);
    assert_eq!((world.value(b"a"), world.value(b"c")), (None, Some(b"3".to_vec())));
    for ends in [true, false] {
        let (kv, tx) = world.begin();
        if !ends {
            kv.put(b"d", b"4", KEYS).unwrap();
        }
        let ended = if ends { tx.end.commit() } else { tx.end.abort() };
        ended.unwrap();
        assert_eq!((world.asked(), world.value(b"d")), (vec![], None));
    }
    // As many as one request takes go with it.
    let (kv, tx) = world.begin();
    (0..300_u32).for_each(|number| kv.put(&number.to_le_bytes(), b"v", KEYS).unwrap());
    tx.end.commit().unwrap();
    assert_eq!(world.asked(), [TxChanges, TxChanges]);
    assert_eq!(world.value(&299_u32.to_le_bytes()), Some(b"v".to_vec()));
}

#[test]
fn what_has_to_see_a_change_comes_behind_it() {
    let world = World::new();
    let (kv, tx) = world.begin();
    kv.put(b"a", b"2", KEYS).unwrap();
    assert_eq!(get(&kv, b"a"), Some(b"2".to_vec()));
    assert_eq!(world.asked(), [TxChanges, Fetch]);
    kv.remove(b"b", KEYS).unwrap();
    assert_eq!(kv.list_pairs(None, 10, false).unwrap().keys.len(), 1);
    assert_eq!(world.asked(), [TxChanges, ListPairs]);
    kv.put(b"c", b"3", KEYS).unwrap();
    assert_eq!(kv.put(b"c", b"4", Cond::DKEY_INSERT).unwrap_err().der, Der::Exist);
    assert_eq!(world.asked(), [TxChanges, Update]);
    kv.put(b"large", &[7; 5_000], KEYS).unwrap();
    assert_eq!(world.asked(), [Update]);
    kv.destroy().unwrap();
    assert_eq!(get(&kv, b"large"), None);
    assert_eq!(world.asked(), [TxChanges, Fetch]);
    kv.put(b"a", b"5", KEYS).unwrap();
    tx.end.commit().unwrap();
    assert_eq!(world.asked(), [TxChanges]);
    assert_eq!((world.value(b"a"), world.value(b"c")), (Some(b"5".to_vec()), None));
    // What is refused is an answer, and the transaction goes on.
    let (kv, tx) = world.begin();
    assert_eq!(kv.put(b"a", b"6", Cond::DKEY_INSERT).unwrap_err().der, Der::Exist);
    kv.put(b"e", b"7", KEYS).unwrap();
    tx.end.commit().unwrap();
    assert_eq!(world.asked(), [TxFirst, TxChanges]);
    assert_eq!(world.value(b"e"), Some(b"7".to_vec()));
    let (kv, tx) = world.begin();
    assert_eq!(get(&kv, b"none"), None);
    tx.end.abort().unwrap();
    assert_eq!(world.asked(), [TxFirst, TxAbort]);
}

#[test]
fn what_was_read_conflicts_though_the_change_waited() {
    let world = World::new();
    let ((one, first), (other, second)) = (world.begin(), world.begin());
    for kv in [&one, &other] {
        let value = get(kv, b"a").unwrap();
        kv.put(b"a", &[&value[..], b"+"].concat(), KEYS).unwrap();
    }
    first.end.commit().unwrap();
    assert_eq!(second.end.commit().unwrap_err().der, Der::TxRestart);
    assert_eq!(world.value(b"a"), Some(b"1+".to_vec()));
}

#[test]
fn what_cannot_be_made_in_the_end_ends_the_transaction() {
    let world = World::new();
    let (kv, tx) = world.begin();
    kv.put(b"c", b"1", KEYS).unwrap();
    let (read, begun) = world.begin();
    assert!(get(&read, b"a").is_some());
    read.put(b"c", b"1", KEYS).unwrap();
    let (seen, failed) = world.begin();
    seen.put(b"c", b"1", KEYS).unwrap();
    let pool = Arc::clone(&world.served.system).pool_open("p").unwrap();
    pool.container_destroy("c").unwrap();
    // That it is not there any more, the read tells, and the commit again.
    let mut found = Vec::new();
    assert_eq!(seen.get(b"c", KEYS, &mut found).unwrap_err().der, Der::Nonexist);
    for tx in [tx, begun, failed] {
        assert_eq!(tx.end.commit().unwrap_err().der, Der::Nonexist);
        assert_eq!(tx.end.commit().unwrap_err().der, Der::NoPerm);
    }
}

#[test]
fn what_can_be_refused_by_itself_is_refused_at_once() {
    let world = World::new();
    let (kv, tx) = world.begin();
    let object = tx.container.object(oid()).unwrap();
    kv.put(b"c", b"1", KEYS).unwrap();
    let of = |akey| Iod::new(akey, IodValue::Single(b"2"));
    for iods in [&[][..], &[of(b"x")], &[of(KV_AKEY), of(KV_AKEY)]] {
        assert_eq!(object.update(b"a", iods, KEYS).unwrap_err().der, Der::Inval);
    }
    object.update(b"b", &[of(KV_AKEY)], KEYS).unwrap();
    tx.end.commit().unwrap();
    assert_eq!(world.asked(), [TxChanges, Update, Update, Update, TxChanges]);
    let values = [&b"a"[..], b"b", b"c"].map(|key| world.value(key));
    assert_eq!(values, [b"1", b"2", b"1"].map(|value| Some(value.to_vec())));
}

#[test]
fn a_transaction_promises_what_it_was_begun_with() {
    let world = World::new();
    let tx = world.container.transaction(Durability::Synced).unwrap();
    let cont = ContainerRef { id: tx.container.uuid(), checksums: tx.container.checksums() };
    let kv = Kv::open(tx.container.route(), cont, oid(), Durability::Buffered).unwrap();
    assert!(get(&kv, b"a").is_some());
    kv.put(b"a", b"2", KEYS).unwrap();
    tx.end.commit().unwrap();
    assert_eq!(world.promised(), [(TxFirst, Durability::Synced), (TxChanges, Durability::Synced)]);
}
