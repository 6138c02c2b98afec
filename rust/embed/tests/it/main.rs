//! The embedded system through its public interface.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

mod attributes;
mod listing;
mod snapshots;

use daos_client::ContainerObjects as _;
use daos_embed::{Options, System};
use daos_types::{Cond, Der, ObjectId, ObjectType, ValueSink};
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

/// A directory of a test, gone with it.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("daos-embed-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn oid() -> ObjectId {
    ObjectId::generate(ObjectType::KvHashed, 1, 1, 0, 1)
}

#[test]
fn properties_that_fill_a_row_are_refused() {
    let system = System::in_memory(&Options::default()).unwrap();
    assert_eq!(system.pool_create("p", &vec![0; 5 << 20]).unwrap_err().der, Der::Rec2big);
    assert_eq!(system.pool_create(&"x".repeat(128), b"").unwrap_err().der, Der::Inval);
    assert!(system.pools().unwrap().is_empty());
    system.close().unwrap();
}

#[test]
fn object_numbers_end_with_an_error() {
    let system = System::in_memory(&Options::default()).unwrap();
    let container = system.pool_create("p", b"").unwrap().container_create("c", b"").unwrap();
    assert_eq!(container.alloc_oids(0).unwrap_err().der, Der::Overflow);
    assert_eq!(container.alloc_oids(u64::MAX - 1).unwrap(), 1);
    assert_eq!(container.alloc_oids(1).unwrap(), u64::MAX);
    assert_eq!(container.alloc_oids(1).unwrap_err().der, Der::Overflow);
}

#[test]
fn a_store_without_its_system_file_is_damage_and_not_a_place_for_a_new_one() {
    let place = Place::new("wipe");
    let system = System::open(&place.0, &Options::default()).unwrap();
    system.pool_create("p", b"").unwrap();
    drop(system);
    let head = std::fs::read(place.0.join("system")).unwrap();
    std::fs::remove_file(place.0.join("system")).unwrap();
    assert_eq!(System::open(&place.0, &Options::default()).unwrap_err().der, Der::DfInval);
    std::fs::write(place.0.join("system"), head).unwrap();
    let system = System::open(&place.0, &Options::default()).unwrap();
    assert_eq!(system.pools().unwrap().len(), 1);
}

/// A sink that takes its time.
#[derive(Debug)]
struct Slow(mpsc::Sender<()>, mpsc::Receiver<()>);

impl ValueSink for Slow {
    fn put(&mut self, _: &[u8]) {
        self.0.send(()).unwrap();
        self.1.recv_timeout(Duration::from_secs(20)).unwrap();
    }

    fn room(&mut self, _: usize) -> Option<&mut [u8]> {
        None
    }

    fn last(&self, _: usize) -> Option<&[u8]> {
        None
    }
}

#[test]
fn closing_waits_for_a_call_that_is_under_way() {
    let place = Place::new("close");
    let system = System::open(&place.0, &Options::default()).unwrap();
    let kv = system.pool_create("p", b"").unwrap().container_create("c", b"").unwrap().kv(oid()).unwrap();
    kv.put(b"k", b"v", Cond::NONE).unwrap();
    let (inside, entered) = mpsc::channel();
    let (leave, left) = mpsc::channel::<()>();
    let reader = std::thread::spawn(move || kv.get(b"k", Cond::NONE, &mut Slow(inside, left)));
    entered.recv_timeout(Duration::from_secs(20)).unwrap();
    let (closed, was_closed) = mpsc::channel();
    let closer = std::thread::spawn(move || closed.send(system.close()).unwrap());
    assert!(was_closed.recv_timeout(Duration::from_millis(200)).is_err(), "closed under a running call");
    assert_eq!(System::open(&place.0, &Options::default()).unwrap_err().der, Der::Busy);
    leave.send(()).unwrap();
    assert!(reader.join().unwrap().unwrap());
    was_closed.recv_timeout(Duration::from_secs(20)).unwrap().unwrap();
    closer.join().unwrap();
    System::open(&place.0, &Options::default()).unwrap();
}

#[test]
fn a_destroyed_container_takes_no_more_changes_and_its_space_is_collected() {
    let system = System::in_memory(&Options::default()).unwrap();
    let pool = system.pool_create("p", b"").unwrap();
    let kv = pool.container_create("c", b"").unwrap().kv(oid()).unwrap();
    for number in 0..100_u32 {
        kv.put(&number.to_le_bytes(), b"v", Cond::NONE).unwrap();
    }
    pool.container_destroy("c").unwrap();
    assert_eq!(kv.put(b"k", b"v", Cond::NONE).unwrap_err().der, Der::Nonexist);
    assert_eq!(kv.get(b"k", Cond::NONE, &mut Vec::new()).unwrap_err().der, Der::Nonexist);
    let again = pool.container_create("c", b"").unwrap().kv(oid()).unwrap();
    assert!(again.list(None, 10, false).unwrap().keys.is_empty());
}

#[test]
fn a_closed_system_keeps_no_more_of_its_log_than_a_new_one_has() {
    let place = Place::new("log");
    let options = Options { durability: daos_types::Durability::Buffered, ..Options::default() };
    let log_bytes = || -> u64 {
        let entries = walk(&place.0);
        let segments = entries
            .iter()
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("wal.0")));
        segments.map(|path| std::fs::metadata(path).unwrap().len()).sum()
    };
    drop(System::open(&place.0, &options).unwrap());
    let fresh = log_bytes();
    let values: Vec<Vec<u8>> = (0..300_u32).map(|seed| vec![seed as u8; 50_000]).collect();
    for round in 0..2 {
        let system = System::open(&place.0, &options).unwrap();
        if round == 0 {
            system.pool_create("p", b"").unwrap().container_create("c", b"").unwrap();
        }
        let kv = system.pool_open("p").unwrap().container_open("c").unwrap().kv(oid()).unwrap();
        for (number, value) in (0_u32..).zip(&values) {
            let mut found = Vec::new();
            assert_eq!(kv.get(&number.to_le_bytes(), Cond::NONE, &mut found).unwrap(), round > 0);
            assert!(round == 0 || found == *value);
            kv.put(&number.to_le_bytes(), value, Cond::NONE).unwrap();
        }
        assert!(log_bytes() > 4 * fresh);
        system.close().unwrap();
        assert_eq!(log_bytes(), fresh);
    }
}

/// The files below a directory.
fn walk(directory: &std::path::Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}
