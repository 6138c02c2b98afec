use super::shared::SharedSystem;
use super::{Entered, neighbour, open_shared};
use crate::connect::new_session;
use daos_client::{
    ContainerObjects as _, ContainerService, Error, Kv, NewContainer, Result, Route, SystemService,
};
use daos_embed::{Options, collect};
use daos_types::{Checksums, Cond, Der, Durability, Epoch, ObjectId, ObjectType};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory of a test, gone with it.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("daos-attach-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    fn open(&self, durability: Durability) -> Arc<dyn SystemService> {
        open_shared(&self.0, &Options { durability, ..Options::default() }).unwrap()
    }

    /// Opened once more in this process, not by the way that `open` hides.
    fn beside(&self) -> SharedSystem {
        let options = Options::default();
        let session = new_session();
        let entered = super::enter(&self.0, &options, session, super::ALONE).unwrap();
        assert!(matches!(entered, Entered::Neighbour(_)));
        SharedSystem::new(&self.0, &options, session, entered)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn container(system: &Arc<dyn SystemService>) -> Arc<dyn ContainerService> {
    let pool = Arc::clone(system).pool_create("p", b"\x80").unwrap();
    let checksums = Checksums { kind: None, piece_size: 0, server_verifies: false };
    let new = NewContainer { label: "c", props: b"\x80", checksums, scrub_disabled: false };
    pool.container_create(&new).unwrap()
}

fn oid() -> ObjectId {
    ObjectId::generate(ObjectType::KvHashed, 1, 1, 0, 1)
}

fn read(kv: &Kv<dyn Route>, key: &[u8]) -> Result<Option<Vec<u8>>> {
    let mut value = Vec::new();
    Ok(kv.get(key, Cond::NONE, &mut value)?.then_some(value))
}

#[test]
fn a_neighbour_has_what_the_holder_has_and_promises_what_he_was_promised() {
    let place = Place::new();
    let holder = place.open(Durability::Synced);
    let made = container(&holder);
    made.kv(oid()).unwrap().put(b"k", b"1", Cond::NONE).unwrap();
    let neighbour = place.open(Durability::Buffered);
    let pool = Arc::clone(&neighbour).pool_open("p").unwrap();
    assert_eq!((pool.targets(), Arc::clone(&holder).pool_open("p").unwrap().targets()), (1, 1));
    let there = pool.container_open("c").unwrap();
    assert_eq!((made.durability(), there.durability()), (Durability::Synced, Durability::Buffered));
    let kv = there.kv(oid()).unwrap();
    assert_eq!(read(&kv, b"k").unwrap(), Some(b"1".to_vec()));
    neighbour.close().unwrap();
    assert_eq!(read(&kv, b"k").unwrap_err().der, Der::NoHdl);
    assert_eq!(there.label(), "c", "its label stays");
    assert_eq!(read(&made.kv(oid()).unwrap(), b"k").unwrap(), Some(b"1".to_vec()));
    holder.close().unwrap();
}

#[test]
fn only_a_closed_holder_is_looked_for_anew() {
    let place = Place::new();
    let holder = place.open(Durability::Synced);
    let system = place.beside();
    let refused = || Error::new(Der::NoHdl, "of something else");
    let mut asked = 0;
    let result = system.ask(
        || system.current(),
        |_| {
            asked += 1;
            Err::<(), _>(refused())
        },
    );
    assert_eq!((result.unwrap_err().der, asked, system.turn()), (Der::NoHdl, 1, 0));
    holder.close().unwrap();
    // The holder is this one by now: the next turn.
    let pools = SystemService::pools(&system).unwrap();
    assert_eq!((pools.len(), system.turn()), (0, 2));
    assert!(neighbour::find(&place.0).is_some(), "others ask this one now");
    SystemService::close(&system).unwrap();
    assert!(neighbour::find(&place.0).is_none());
    // What is closed is held by nobody, though objects of it are there.
    place.open(Durability::Synced).close().unwrap();
}

#[test]
fn what_was_opened_before_the_holder_went_is_opened_again() {
    let place = Place::new();
    let holder = place.open(Durability::Synced);
    let made = container(&holder);
    made.kv(oid()).unwrap().put(b"k", b"1", Cond::NONE).unwrap();
    let taken = made.snapshot_create(None).unwrap();
    let neighbour = place.open(Durability::Synced);
    let there = Arc::clone(&neighbour).pool_open("p").unwrap().container_open("c").unwrap();
    let (now, then) = (there.kv(oid()).unwrap(), there.at(taken.epoch).unwrap());
    let tx = there.transaction(Durability::Synced).unwrap();
    tx.container.kv(oid()).unwrap().put(b"t", b"1", Cond::NONE).unwrap();
    holder.close().unwrap();
    now.put(b"k", b"2", Cond::NONE).unwrap();
    assert_eq!(tx.end.commit().unwrap_err().der, Der::TxRestart);
    assert_eq!((then.epoch(), there.epoch()), (taken.epoch, Epoch::MAX));
    assert_eq!(read(&then.kv(oid()).unwrap(), b"k").unwrap(), Some(b"1".to_vec()));
    assert_eq!(read(&now, b"k").unwrap(), Some(b"2".to_vec()));
    assert_eq!(read(&now, b"t").unwrap(), None);
    neighbour.close().unwrap();
}

#[test]
fn who_owes_the_holder_something_does_not_wait_for_him_while_he_waits_for_that() {
    let place = Place::new();
    let holder = place.open(Durability::Synced);
    container(&holder);
    let neighbour = place.open(Durability::Synced);
    let there = Arc::clone(&neighbour).pool_open("p").unwrap().container_open("c").unwrap();
    let kv = there.kv(oid()).unwrap();
    let system = Arc::clone(neighbour::find(&place.0).unwrap().system());
    let (put, debt) = collect(|| kv.put(b"a", b"1", Cond::NONE));
    put.unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| holder.close().unwrap());
        while !system.is_closed() {
            std::thread::yield_now();
        }
        // By the next holder, when this one has gone.
        kv.put(b"b", b"2", Cond::NONE).unwrap();
    });
    debt.settle().unwrap();
    assert_eq!(read(&kv, b"a").unwrap(), Some(b"1".to_vec()));
    neighbour.close().unwrap();
}
