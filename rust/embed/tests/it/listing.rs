//! Listings with values, and batches, through the public interface.

use crate::oid;
use daos_client::{ContainerObjects as _, Kv, PairPage, Route};
use daos_embed::{Options, System};
use daos_types::{Cond, Der, ObjectId, ObjectType};
use std::collections::BTreeMap;

type Pairs = BTreeMap<Vec<u8>, Vec<u8>>;

fn pairs(page: &PairPage) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    page.keys.iter().zip(page.values.iter()).map(|(key, value)| (key.to_vec(), value.to_vec()))
}

fn all(kv: &Kv<dyn Route>, count: usize, reverse: bool) -> Pairs {
    let (mut found, mut anchor, mut listed) = (Pairs::new(), None::<Vec<u8>>, 0);
    loop {
        let page = kv.list_pairs(anchor.as_deref(), count, reverse).unwrap();
        assert!(page.keys.len() <= count && page.keys.len() == page.values.len());
        listed += page.keys.len();
        found.extend(pairs(&page));
        anchor = page.anchor;
        if anchor.is_none() {
            assert_eq!(found.len(), listed, "a key came twice");
            return found;
        }
    }
}

fn key(number: u32) -> Vec<u8> {
    format!("key {number:04}").into_bytes()
}

#[test]
fn a_batch_over_several_targets_is_what_its_puts_would_be() {
    let system = System::in_memory(&Options { targets: 3, ..Options::default() }).unwrap();
    let container = system.pool_create("p", b"").unwrap().container_create("c", b"").unwrap();
    let spread = ObjectId::generate(ObjectType::KvHashed, 1, u16::MAX, 0, 1);
    for oid in [oid(), spread] {
        let kv = container.kv(oid).unwrap();
        let mut expected = Pairs::new();
        // More than a record takes, some longer than a record, some of them twice.
        let items: Vec<(Vec<u8>, Vec<u8>)> = (0..900_u32)
            .map(|number| {
                let len = if number % 97 == 0 { 70_000 } else { number as usize % 700 };
                (key(number % 600), vec![number as u8; len])
            })
            .collect();
        expected.extend(items.iter().cloned());
        let slices: Vec<(&[u8], &[u8])> = items.iter().map(|(key, value)| (&key[..], &value[..])).collect();
        kv.put_all(&slices, Cond::NONE).unwrap();
        for (count, reverse) in [(100, false), (7, true), (10_000, false)] {
            assert!(all(&kv, count, reverse) == expected, "by {count}, reverse {reverse}");
        }
        // With a condition each is looked at, with those before it.
        let twice: [(&[u8], &[u8]); 3] = [(b"new", b"1"), (b"other", b"2"), (b"new", b"3")];
        assert_eq!(kv.put_all(&twice, Cond::DKEY_INSERT).unwrap_err().der, Der::Exist);
        let mut value = Vec::new();
        assert!(kv.get(b"new", Cond::NONE, &mut value).unwrap());
        assert_eq!(value, b"1");
        assert_eq!(kv.put_all(&[(b"absent", b"1")], Cond::DKEY_UPDATE).unwrap_err().der, Der::Nonexist);
        assert_eq!(kv.put_all(&[(b"k", b"1"), (b"", b"2")], Cond::NONE).unwrap_err().der, Der::Inval);
        kv.put_all(&[], Cond::NONE).unwrap();
    }
}

#[test]
fn a_listing_with_values_of_a_snapshot_is_what_was_then() {
    let system = System::in_memory(&Options::default()).unwrap();
    let container = system.pool_create("p", b"").unwrap().container_create("c", b"").unwrap();
    let kv = container.kv(oid()).unwrap();
    for number in 0..50 {
        kv.put(&key(number), b"then", Cond::NONE).unwrap();
    }
    let snapshot = container.snapshot_create(None).unwrap();
    kv.remove(&key(7), Cond::NONE).unwrap();
    kv.put(&key(8), &vec![1; 100_000], Cond::NONE).unwrap();
    kv.put(&key(99), b"later", Cond::NONE).unwrap();
    let then = container.at(snapshot.epoch).unwrap().kv(oid()).unwrap();
    let expected: Pairs = (0..50).map(|number| (key(number), b"then".to_vec())).collect();
    assert_eq!(all(&then, 8, false), expected);
    assert_eq!(all(&then, 8, true), expected);
    let now = all(&kv, 8, false);
    assert_eq!((now.len(), now[&key(8)].len(), now.get(&key(7))), (50, 100_000, None));
    let page = then.list_pairs(None, 8, false).unwrap();
    container.snapshot_destroy(snapshot.epoch, snapshot.epoch).unwrap();
    assert_eq!(then.list_pairs(page.anchor.as_deref(), 8, false).unwrap_err().der, Der::Nonexist);
    assert_eq!(kv.list_pairs(Some(b"x"), 8, false).unwrap_err().der, Der::Inval);
    kv.destroy().unwrap();
    assert_eq!(all(&kv, 8, false), Pairs::new());
}
