//! Snapshots through the public interface.

use crate::{Place, oid};
use daos_client::{ContainerObjects as _, ContainerService as _, Kv, Route};
use daos_embed::{Container, Options, System};
use daos_types::{Cond, Der, Epoch};

fn value(kv: &Kv<dyn Route>) -> Option<Vec<u8>> {
    let mut value = Vec::new();
    kv.get(b"k", Cond::NONE, &mut value).unwrap().then_some(value)
}

fn container(system: &std::sync::Arc<System>) -> Container {
    system.pool_create("p", b"").unwrap().container_create("c", b"").unwrap()
}

#[test]
fn each_snapshot_reads_what_was_there_and_lasts_over_a_reopening() {
    let place = Place::new("snapshots");
    let system = System::open(&place.0, &Options::default()).unwrap();
    let cont = container(&system);
    let kv = cont.kv(oid()).unwrap();
    let empty = cont.snapshot_create(None).unwrap();
    kv.put(b"k", b"one", Cond::NONE).unwrap();
    let one = cont.snapshot_create(Some("one")).unwrap();
    kv.remove(b"k", Cond::NONE).unwrap();
    drop((kv, cont, system));

    let system = System::open(&place.0, &Options::default()).unwrap();
    let cont = system.pool_open("p").unwrap().container_open("c").unwrap();
    let kv = cont.kv(oid()).unwrap();
    kv.put(b"k", b"two", Cond::NONE).unwrap();
    let last = cont.snapshot_create(Some("last")).unwrap();
    assert!(empty.epoch < one.epoch && one.epoch < last.epoch);
    assert_eq!(cont.snapshots().unwrap(), [empty.clone(), one.clone(), last.clone()]);
    for (snapshot, expected) in [(&empty, None), (&one, Some(&b"one"[..])), (&last, Some(b"two"))] {
        let then = cont.at(snapshot.epoch).unwrap().kv(oid()).unwrap();
        assert_eq!(value(&then).as_deref(), expected);
        assert_eq!(then.list(None, 10, false).unwrap().keys.len(), usize::from(expected.is_some()));
    }
    assert_eq!(cont.snapshot_create(Some("one")).unwrap_err().der, Der::Exist);
    assert_eq!(cont.snapshot_destroy(empty.epoch, one.epoch).unwrap(), 2);
    assert_eq!(cont.snapshots().unwrap(), [last]);
}

#[test]
fn a_snapshot_takes_no_changes() {
    let system = System::in_memory(&Options::default()).unwrap();
    let cont = container(&system);
    cont.kv(oid()).unwrap().put(b"k", b"v", Cond::NONE).unwrap();
    let snapshot = cont.snapshot_create(None).unwrap();
    let then = cont.at(snapshot.epoch).unwrap();
    let kv = then.kv(oid()).unwrap();
    let refused = [
        kv.put(b"k", b"w", Cond::NONE),
        kv.put_all(&[], Cond::NONE),
        kv.remove(b"k", Cond::NONE),
        kv.destroy(),
        then.alloc_oids(1).map(drop),
        then.snapshot_create(None).map(drop),
        then.rollback(snapshot.epoch),
        then.snapshot_destroy(Epoch::ZERO, Epoch::MAX).map(drop),
    ];
    for result in refused {
        assert_eq!(result.unwrap_err().der, Der::NoPerm);
    }
    assert_eq!(value(&kv).as_deref(), Some(&b"v"[..]));
    assert_eq!(cont.snapshots().unwrap(), [snapshot]);
}

#[test]
fn an_epoch_that_is_no_snapshot_or_none_any_more_is_not_read() {
    let system = System::in_memory(&Options::default()).unwrap();
    let cont = container(&system);
    cont.kv(oid()).unwrap().put(b"k", b"v", Cond::NONE).unwrap();
    let snapshot = cont.snapshot_create(None).unwrap();
    assert_eq!(cont.at(Epoch(snapshot.epoch.0 + 1)).unwrap_err().der, Der::Nonexist);
    assert_eq!(cont.snapshot_destroy(Epoch::ZERO, Epoch::ZERO).unwrap_err().der, Der::Nonexist);
    let kv = cont.at(snapshot.epoch).unwrap().kv(oid()).unwrap();
    cont.snapshot_destroy(snapshot.epoch, snapshot.epoch).unwrap();
    assert_eq!(kv.get(b"k", Cond::NONE, &mut Vec::new()).unwrap_err().der, Der::Nonexist);
    assert_eq!(kv.list(None, 10, false).unwrap_err().der, Der::Nonexist);
}

#[test]
fn snapshots_go_with_their_container() {
    let system = System::in_memory(&Options::default()).unwrap();
    let cont = container(&system);
    let pool = system.pool_open("p").unwrap();
    let other = pool.container_create("other", b"").unwrap();
    let snapshot = cont.snapshot_create(Some("s")).unwrap();
    let kept = other.snapshot_create(Some("s")).unwrap();
    let kv = cont.at(snapshot.epoch).unwrap().kv(oid()).unwrap();
    pool.container_destroy("c").unwrap();
    assert_eq!(kv.get(b"k", Cond::NONE, &mut Vec::new()).unwrap_err().der, Der::Nonexist);
    assert_eq!(cont.snapshots().unwrap_err().der, Der::ContNonexist);
    assert_eq!(cont.snapshot_create(None).unwrap_err().der, Der::ContNonexist);
    assert_eq!(other.snapshots().unwrap(), [kept]);
    assert!(pool.container_create("c", b"").unwrap().snapshots().unwrap().is_empty());
}

#[test]
fn what_no_snapshot_shows_is_removed_and_what_one_shows_is_not() {
    let system = System::in_memory(&Options::default()).unwrap();
    let cont = container(&system);
    let kv = cont.kv(oid()).unwrap();
    let put = |text: &str| kv.put(b"k", text.as_bytes(), Cond::NONE).unwrap();
    for round in 0..10 {
        put(&format!("before {round}"));
    }
    let snapshot = cont.snapshot_create(None).unwrap();
    for round in 0..10 {
        put(&format!("after {round}"));
    }
    let removed = cont.aggregate().unwrap();
    assert_eq!(removed, 18);
    assert_eq!(value(&cont.at(snapshot.epoch).unwrap().kv(oid()).unwrap()).unwrap(), b"before 9");
    assert_eq!(value(&kv).unwrap(), b"after 9");
    cont.snapshot_destroy(snapshot.epoch, snapshot.epoch).unwrap();
    // The background may have been there already.
    assert!(cont.aggregate().unwrap() <= 1);
    kv.remove(b"k", Cond::NONE).unwrap();
    // Here as well; whoever it was, the value and its punch are gone.
    assert!(cont.aggregate().unwrap() <= 3);
    for target in 0..cont.route().targets() {
        let tally = cont.count(daos_types::TargetIdx(target), None, 1000).unwrap().tally;
        assert_eq!((tally.values, tally.removals), (0, 0));
    }
    assert_eq!(value(&kv), None);
    assert_eq!(cont.aggregate().unwrap(), 0);
}

#[test]
fn a_rollback_is_a_new_version_and_lasts_over_a_reopening() {
    let place = Place::new("rollback");
    let system = System::open(&place.0, &Options { targets: 3, ..Options::default() }).unwrap();
    let cont = container(&system);
    let kv = cont.kv(oid()).unwrap();
    let keys: Vec<String> = (0..50).map(|number| format!("key {number}")).collect();
    let put = |value: &[u8]| {
        for key in &keys {
            kv.put(key.as_bytes(), value, Cond::NONE).unwrap();
        }
    };
    put(b"one");
    let one = cont.snapshot_create(Some("one")).unwrap();
    put(b"two");
    let two = cont.snapshot_create(Some("two")).unwrap();
    kv.destroy().unwrap();
    cont.rollback(one.epoch).unwrap();
    let all = |kv: &Kv<dyn Route>, expected: &[u8]| {
        for key in &keys {
            let mut value = Vec::new();
            assert!(kv.get(key.as_bytes(), Cond::NONE, &mut value).unwrap());
            assert_eq!(value, expected);
        }
        assert_eq!(kv.list(None, 100, false).unwrap().keys.len(), keys.len());
    };
    all(&kv, b"one");
    kv.put(b"k", b"after", Cond::NONE).unwrap();
    cont.aggregate().unwrap();
    drop((kv, cont, system));

    let system = System::open(&place.0, &Options::default()).unwrap();
    let cont = system.pool_open("p").unwrap().container_open("c").unwrap();
    let kv = cont.kv(oid()).unwrap();
    assert_eq!(value(&kv).as_deref(), Some(&b"after"[..]));
    kv.remove(b"k", Cond::NONE).unwrap();
    all(&kv, b"one");
    all(&cont.at(two.epoch).unwrap().kv(oid()).unwrap(), b"two");
    assert_eq!(cont.snapshots().unwrap(), [one.clone(), two.clone()]);
    cont.rollback(two.epoch).unwrap();
    all(&kv, b"two");
    cont.snapshot_destroy(Epoch::ZERO, Epoch::MAX).unwrap();
    assert_eq!(cont.rollback(one.epoch).unwrap_err().der, Der::Nonexist);
    cont.aggregate().unwrap();
    all(&kv, b"two");
}

#[test]
fn transactions_notice_a_rollback() {
    let system = System::in_memory(&Options::default()).unwrap();
    let cont = container(&system);
    let kv = cont.kv(oid()).unwrap();
    kv.put(b"k", b"one", Cond::NONE).unwrap();
    let snapshot = cont.snapshot_create(None).unwrap();
    kv.put(b"k", b"two", Cond::NONE).unwrap();
    let [reads, blind, looks] = [(); 3].map(|()| cont.transaction().unwrap());
    let [of_reads, of_blind, of_looks] = [&reads, &blind, &looks].map(|tx| tx.container.kv(oid()).unwrap());
    assert_eq!(value(&of_reads).as_deref(), Some(&b"two"[..]));
    of_reads.put(b"read", b"1", Cond::NONE).unwrap();
    of_blind.put(b"blind", b"1", Cond::NONE).unwrap();
    assert_eq!(value(&of_looks).as_deref(), Some(&b"two"[..]));
    cont.rollback(snapshot.epoch).unwrap();
    // They go on reading what they began with.
    assert_eq!(value(&of_reads).as_deref(), Some(&b"two"[..]));
    assert_eq!(value(&of_looks).as_deref(), Some(&b"two"[..]));
    assert_eq!(reads.end.commit().unwrap_err().der, Der::TxRestart);
    blind.end.commit().unwrap();
    looks.end.commit().unwrap();
    assert_eq!(value(&kv).as_deref(), Some(&b"one"[..]));
    assert_eq!(kv.list(None, 10, false).unwrap().keys, [b"blind".to_vec(), b"k".to_vec()]);
}
