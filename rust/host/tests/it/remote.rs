//! Systems, pools, containers and their objects over a network: as they are in one process.

use crate::{Served, served};
use daos_client::{ContainerObjects as _, ContainerService, NewContainer};
use daos_types::{
    ChecksumKind, Checksums, Cond, Der, Extent, FetchIod, FetchValue, Iod, IodValue, ObjectId, ObjectType,
    Punched, ScrubChange, ScrubMode, TargetIdx,
};
use std::collections::BTreeMap;
use std::sync::Arc;

const TARGETS: u32 = 3;

/// A container whose data is summed by its clients, reached as others reach it.
fn container(served: &Served) -> Arc<dyn ContainerService> {
    let pool = Arc::clone(&served.system).pool_create("tank", b"\x80").unwrap();
    let checksums =
        Checksums { kind: Some(ChecksumKind::Crc32), piece_size: 32 << 10, server_verifies: true };
    let new = NewContainer { label: "c", props: b"\x80", checksums, scrub_disabled: false };
    pool.container_create(&new).unwrap()
}

fn oid(kind: ObjectType, number: u64) -> ObjectId {
    ObjectId::generate(kind, 1, TARGETS as u16, 0, number)
}

#[test]
fn a_key_value_store_is_the_map_that_was_put() {
    for served in served(TARGETS) {
        let kv = container(&served).kv(oid(ObjectType::KvHashed, 1)).unwrap();
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
fn many_keys_at_once_are_as_one_after_the_other() {
    for served in served(TARGETS) {
        let kv = container(&served).kv(oid(ObjectType::KvHashed, 1)).unwrap();
        let mut model = BTreeMap::new();
        // More than a change takes, more than an answer has room for, and keys that come twice.
        let items: Vec<(Vec<u8>, Vec<u8>)> = (0..1500_u32)
            .map(|number| {
                let len = if number % 100 == 7 { 90_000 } else { [0, 10, 900, 4_097][number as usize % 4] };
                (format!("key {}", number % 1400).into_bytes(), vec![number as u8; len])
            })
            .collect();
        let slices: Vec<(&[u8], &[u8])> = items.iter().map(|(key, value)| (&key[..], &value[..])).collect();
        let (first, second) = slices.split_at(700);
        kv.put_all(first, Cond::NONE).unwrap();
        assert!(kv.put_each(second, Cond::NONE).iter().all(Result::is_ok));
        model.extend(slices.iter().copied());
        let mut keys: Vec<&[u8]> = model.keys().copied().collect();
        keys.push(b"absent");
        keys.push(b"key 1");
        let values = kv.get_all(&keys).unwrap();
        assert_eq!(values.len(), keys.len());
        for (key, value) in keys.iter().zip(values.iter()) {
            assert!(value == model.get(key).copied(), "{}", String::from_utf8_lossy(key));
        }
        assert!(kv.get_all(&[]).unwrap().is_empty());
        // On a condition each is told its own.
        let some: [(&[u8], &[u8]); 3] = [(b"new 1", b"a"), (b"key 1", b"b"), (b"new 2", b"c")];
        let each = kv.put_each(&some, Cond::DKEY_INSERT);
        let ders: Vec<_> = each.into_iter().map(|result| result.err().map(|error| error.der)).collect();
        assert_eq!(ders, [None, Some(Der::Exist), None]);
        assert_eq!(kv.put_all(&some, Cond::DKEY_INSERT).unwrap_err().der, Der::Exist);
        let long = vec![0; 70_000];
        let refused = kv.put_each(&[(&long, b"v"), (b"good", b"v")], Cond::NONE);
        assert_eq!(refused[0].as_ref().unwrap_err().der, Der::Key2big);
        assert!(refused[1].is_ok() && kv.get_all(&[b"good"]).unwrap().get(0) == Some(b"v"));
    }
}

#[test]
fn many_keys_in_a_transaction_and_of_a_snapshot() {
    for served in served(TARGETS) {
        let container = container(&served);
        let kv = container.kv(oid(ObjectType::KvHashed, 1)).unwrap();
        let keys: Vec<Vec<u8>> = (0..40).map(|number| format!("key {number}").into_bytes()).collect();
        let slices: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        let items = |value: &'static [u8]| slices.iter().map(|key| (*key, value)).collect::<Vec<_>>();
        kv.put_all(&items(b"before"), Cond::NONE).unwrap();
        let snapshot = container.snapshot_create(None).unwrap();
        let tx = container.transaction(daos_types::Durability::Synced).unwrap();
        let inside = tx.container.kv(oid(ObjectType::KvHashed, 1)).unwrap();
        inside.put_all(&items(b"inside"), Cond::NONE).unwrap();
        let all =
            |values: &daos_client::Values, wanted: &[u8]| values.iter().all(|value| value == Some(wanted));
        assert!(all(&inside.get_all(&slices).unwrap(), b"inside"));
        assert!(all(&kv.get_all(&slices).unwrap(), b"before"));
        tx.end.commit_once(None).unwrap();
        assert!(all(&kv.get_all(&slices).unwrap(), b"inside"));
        let then = container.at(snapshot.epoch).unwrap().kv(oid(ObjectType::KvHashed, 1)).unwrap();
        assert!(all(&then.get_all(&slices).unwrap(), b"before"));
        let refused = then.put_each(&items(b"past"), Cond::NONE);
        assert!(refused.iter().all(|result| result.as_ref().unwrap_err().der == Der::NoPerm));
    }
}

#[test]
fn arrays_and_objects_are_what_was_written() {
    for served in served(TARGETS) {
        let container = container(&served);
        let array = container.array_create(oid(ObjectType::Array, 2), 8, Some(1_000)).unwrap();
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
        // Extents in any order, several of a chunk, some in holes, one behind the end.
        let extents = [(9_990, 20), (0, 3), (999, 2), (1_500, 1), (2_100, 1_200), (5, 1)];
        let wanted: Vec<u8> = extents
            .iter()
            .flat_map(|(start, count)| {
                (*start..start + count).flat_map(|cell| match model.get(cell * 8) {
                    Some(_) => model[cell * 8..cell * 8 + 8].to_vec(),
                    None => vec![b'.'; 8],
                })
            })
            .collect();
        let mut listed = vec![0; wanted.len()];
        let extents = extents.map(|(index, count)| Extent { index: index as u64, count: count as u64 });
        array.read_list(extents, &mut listed, Some(&[b'.'; 8])).unwrap();
        assert!(listed == wanted);

        let object = container.object(oid(ObjectType::MultiHashed, 3)).unwrap();
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
        let page = container.objects(None, 10).unwrap();
        assert_eq!((page.oids.len(), page.next), (2, None));
        for target in 0..TARGETS {
            assert_eq!(container.check(TargetIdx(target), None, 1 << 20).unwrap().damaged, []);
        }
    }
}

#[test]
fn long_values_are_what_was_written_however_they_come() {
    for served in served(TARGETS) {
        let container = container(&served);
        let object = container.object(oid(ObjectType::MultiHashed, 4)).unwrap();
        let value = |len: usize, seed: u8| (0..len).map(|at| (at / 7) as u8 ^ seed).collect::<Vec<u8>>();
        // One payload that lands; two of one update; one that is refused after it came; one in a transaction.
        let (one, two) = (value((1 << 20) + 3, 1), value(300 << 10, 2));
        let of = |akey, value| Iod::new(akey, IodValue::Single(value));
        object.update(b"one", &[of(b"a", &one)], Cond::NONE).unwrap();
        object.update(b"both", &[of(b"a", &one), of(b"b", &two)], Cond::NONE).unwrap();
        let refused = object.update(b"one", &[of(b"a", &two)], Cond::DKEY_INSERT).unwrap_err();
        assert_eq!(refused.der, Der::Exist);
        let opened = container.transaction(daos_types::Durability::Synced).unwrap();
        let inside = opened.container.object(oid(ObjectType::MultiHashed, 4)).unwrap();
        inside.update(b"later", &[of(b"a", &two)], Cond::NONE).unwrap();
        opened.end.commit().unwrap();
        let read = |dkey: &[u8], akey: &[u8]| {
            let mut found = Vec::new();
            let mut wanted = [FetchIod::new(akey, FetchValue::Single(&mut found))];
            object.fetch(dkey, &mut wanted, Cond::NONE).unwrap();
            found
        };
        assert!(read(b"one", b"a") == one && read(b"both", b"a") == one);
        assert!(read(b"both", b"b") == two && read(b"later", b"a") == two);
        for target in 0..TARGETS {
            assert_eq!(container.check(TargetIdx(target), None, 4 << 20).unwrap().damaged, []);
        }
    }
}

#[test]
fn pools_and_containers_are_what_they_are_for_their_holder() {
    for served in served(TARGETS) {
        let system = &served.system;
        assert_eq!(system.targets(), TARGETS);
        assert!(system.space().unwrap().free > 0);
        let pool = Arc::clone(system).pool_create("tank", b"props").unwrap();
        assert_eq!(Arc::clone(system).pool_create("tank", b"").unwrap_err().der, Der::Exist);
        assert_eq!(Arc::clone(system).pool_open("other").unwrap_err().der, Der::Nonexist);
        assert_eq!((pool.label(), pool.props()), ("tank".to_owned(), &b"props"[..]));
        let timed = ScrubChange { mode: Some(ScrubMode::Timed), freq_s: Some(77), thresh: None };
        pool.change(Some("lake"), timed).unwrap();
        assert_eq!(pool.label(), "lake");
        let settings = pool.scrub_status().unwrap().settings;
        assert_eq!((settings.mode, settings.freq_s), (ScrubMode::Timed, 77));
        assert_eq!(system.pools().unwrap(), [(pool.uuid(), "lake".to_owned())]);

        let plain = |label| NewContainer {
            label,
            props: b"p",
            checksums: Checksums::default(),
            scrub_disabled: false,
        };
        let one = pool.container_create(&plain("one")).unwrap();
        assert_eq!(pool.container_create(&plain("one")).unwrap_err().der, Der::Exist);
        one.set_label("uno").unwrap();
        assert_eq!(pool.containers().unwrap(), [(one.uuid(), "uno".to_owned())]);
        assert_eq!(pool.container_open(&one.uuid().to_string()).unwrap().label(), "uno");
        let (first, second) = (one.alloc_oids(5).unwrap(), one.alloc_oids(1).unwrap());
        assert!(second >= first + 5);

        for attributes in [pool.attributes().unwrap(), one.attributes().unwrap()] {
            attributes.set(&[("a", b"1"), ("b", &[7; 3_000])]).unwrap();
            assert_eq!(attributes.names().unwrap(), ["a", "b"]);
            assert_eq!(attributes.get(&["b", "x"]).unwrap(), [Some(vec![7; 3_000]), None]);
            assert_eq!(attributes.remove(&["a", "x"]).unwrap(), 1);
            assert_eq!(attributes.set(&[("", b"")]).unwrap_err().der, Der::Inval);
        }

        let kv = one.kv(oid(ObjectType::KvHashed, 1)).unwrap();
        kv.put(b"k", b"before", Cond::NONE).unwrap();
        let snapshot = one.snapshot_create(Some("then")).unwrap();
        assert_eq!(one.snapshot_create(Some("then")).unwrap_err().der, Der::Exist);
        kv.put(b"k", b"after", Cond::NONE).unwrap();
        let then = one.at(snapshot.epoch).unwrap();
        let mut found = Vec::new();
        assert!(then.kv(oid(ObjectType::KvHashed, 1)).unwrap().get(b"k", Cond::NONE, &mut found).unwrap());
        assert_eq!(found, b"before");
        assert_eq!(then.set_label("x").unwrap_err().der, Der::NoPerm);
        assert_eq!(one.snapshots().unwrap(), std::slice::from_ref(&snapshot));
        assert_eq!(one.diff(snapshot.epoch, None, 10).unwrap().differences.len(), 1);
        one.rollback(snapshot.epoch).unwrap();
        assert_eq!(one.snapshot_destroy(snapshot.epoch, snapshot.epoch).unwrap(), 1);
        assert_eq!(one.at(snapshot.epoch).unwrap_err().der, Der::Nonexist);
        one.aggregate().unwrap();
        found.clear();
        assert!(kv.get(b"k", Cond::NONE, &mut found).unwrap());
        assert_eq!(found, b"before");

        pool.container_destroy("uno").unwrap();
        assert_eq!(kv.put(b"k", b"v", Cond::NONE).unwrap_err().der, Der::Nonexist);
        assert_eq!(one.alloc_oids(1).unwrap_err().der, Der::ContNonexist);
        system.pool_destroy("lake").unwrap();
        assert_eq!(pool.containers().unwrap_err().der, Der::Nonexist);
    }
}

#[test]
fn transactions_are_all_or_nothing_and_see_their_own_writes() {
    for served in served(TARGETS) {
        let container = container(&served);
        let (oid, durability) = (oid(ObjectType::KvHashed, 1), container.durability());
        let kv = container.kv(oid).unwrap();
        let get = |kv: &daos_client::Kv<dyn daos_client::Route>, key: &[u8]| {
            let mut found = Vec::new();
            kv.get(key, Cond::NONE, &mut found).unwrap().then_some(found)
        };
        kv.put(b"a", b"1", Cond::NONE).unwrap();
        let tx = container.transaction(durability).unwrap();
        let inside = tx.container.kv(oid).unwrap();
        for number in 0..20_u8 {
            inside.put(&[number], b"new", Cond::NONE).unwrap();
        }
        assert_eq!(get(&inside, b"a"), Some(b"1".to_vec()));
        assert_eq!((get(&inside, &[3]), get(&kv, &[3])), (Some(b"new".to_vec()), None));
        assert_eq!(inside.list_pairs(None, 100, false).unwrap().keys.len(), 21);
        tx.end.commit().unwrap();
        assert_eq!(get(&kv, &[3]), Some(b"new".to_vec()));
        assert_eq!(tx.end.commit().unwrap_err().der, Der::Already);

        let (one, other) =
            (container.transaction(durability).unwrap(), container.transaction(durability).unwrap());
        for tx in [&one, &other] {
            let inside = tx.container.kv(oid).unwrap();
            let value = get(&inside, b"a").unwrap();
            inside.put(b"a", &[&value[..], b"+"].concat(), Cond::NONE).unwrap();
        }
        one.end.commit().unwrap();
        assert_eq!(other.end.commit().unwrap_err().der, Der::TxRestart);
        assert_eq!(get(&kv, b"a"), Some(b"1+".to_vec()));

        let given_up = container.transaction(durability).unwrap();
        given_up.container.kv(oid).unwrap().remove(b"a", Cond::NONE).unwrap();
        given_up.end.abort().unwrap();
        assert_eq!(get(&kv, b"a"), Some(b"1+".to_vec()));
        // What is in no transaction has no part in one.
        assert!(tx.container.kv(oid).unwrap().get(b"a", Cond::NONE, &mut Vec::new()).is_err());
    }
}

#[test]
fn handles_that_the_holder_has_forgotten_are_opened_again() {
    for served in served(TARGETS) {
        let container = container(&served);
        let kv = container.kv(oid(ObjectType::KvHashed, 1)).unwrap();
        kv.put(b"k", b"v", Cond::NONE).unwrap();
        let tx = container.transaction(container.durability()).unwrap();
        let inside = tx.container.kv(kv.oid()).unwrap();
        inside.put(b"k", b"w", Cond::NONE).unwrap();
        let mut found = Vec::new();
        assert!(inside.get(b"k", Cond::NONE, &mut found).unwrap());
        served.host.forget_handles();
        found.clear();
        assert!(kv.get(b"k", Cond::NONE, &mut found).unwrap());
        served.host.forget_handles();
        kv.put(b"k", b"again", Cond::NONE).unwrap();
        let array = container.array_create(oid(ObjectType::Array, 2), 1, Some(100)).unwrap();
        let (cells, mut read) = (vec![7; 1_000], vec![0; 1_000]);
        served.host.forget_handles();
        array.write(0, &cells).unwrap();
        served.host.forget_handles();
        array.read(0, &mut read, None).unwrap();
        assert_eq!(read, cells);
        served.host.forget_handles();
        container.alloc_oids(1).unwrap();
        // A transaction is not: what it was about to do is gone.
        inside.put(b"l", b"w", Cond::NONE).unwrap();
        assert_eq!(inside.get(b"l", Cond::NONE, &mut found).unwrap_err().der, Der::TxRestart);
        assert_eq!(tx.end.commit().unwrap_err().der, Der::NoPerm);
        found.clear();
        assert!(kv.get(b"k", Cond::NONE, &mut found).unwrap());
        assert_eq!(found, b"again");
    }
}

#[test]
fn a_holder_that_is_gone_is_told() {
    let mut all = served(TARGETS);
    let served = all.remove(1);
    let kv = container(&served).kv(oid(ObjectType::KvHashed, 1)).unwrap();
    kv.put(b"k", b"v", Cond::NONE).unwrap();
    served.host.end();
    for _ in 0..3 {
        let error = kv.put(b"k", b"w", Cond::NONE).unwrap_err();
        // It said goodbye before, or while the change was on its way.
        assert!(matches!(error.der, Der::Unreach | Der::TxUncertain), "{error:?}");
    }
    let error = kv.get(b"k", Cond::NONE, &mut Vec::new()).unwrap_err();
    assert_eq!((error.der, error.nothing_happened), (Der::Unreach, true));
}
