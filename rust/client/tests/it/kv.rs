use crate::memory::Memory;
use crate::{CONT, oid};
use daos_client::Kv;
use daos_types::{Cond, Durability, ObjectType};
use std::collections::BTreeMap;
use std::sync::Arc;

fn open(route: &Arc<Memory>) -> Kv<Memory> {
    Kv::open(Arc::clone(route), CONT, oid(ObjectType::KvHashed, 4), Durability::Synced).unwrap()
}

#[test]
fn a_key_that_comes_twice_has_the_later_value_and_is_put_once_where_there_are_several_changes() {
    for (count, len) in [(10, 10), (2_000, 10), (20, 50_000), (3, 70_000)] {
        let route = Arc::new(Memory::new(4));
        let kv = open(&route);
        let items: Vec<(Vec<u8>, Vec<u8>)> = (0..count)
            .map(|number: usize| {
                (vec![b'k', (number % 7) as u8], [&number.to_le_bytes()[..], &vec![0; len]].concat())
            })
            .collect();
        let slices: Vec<(&[u8], &[u8])> = items.iter().map(|(key, value)| (&key[..], &value[..])).collect();
        kv.put_all(&slices, Cond::NONE).unwrap();
        let model: BTreeMap<&[u8], &[u8]> = slices.iter().copied().collect();
        let keys: Vec<&[u8]> = model.keys().copied().collect();
        assert!(kv.get_all(&keys).unwrap().iter().eq(model.values().map(|value| Some(*value))));
        if count > 1_000 {
            assert_eq!(route.asked().updates.len(), model.len());
        }
    }
}

#[test]
fn values_come_in_the_order_of_their_keys_however_many_answers_they_take() {
    let route = Arc::new(Memory::new(4));
    let kv = open(&route);
    let value = |number: u32| vec![number as u8; 3_000 * (1 + number as usize % 40)];
    for number in (0..200_u32).step_by(2) {
        kv.put(&number.to_le_bytes(), &value(number), Cond::NONE).unwrap();
    }
    let keys: Vec<[u8; 4]> = (0..200_u32).rev().map(u32::to_le_bytes).collect();
    let slices: Vec<&[u8]> = keys.iter().map(<[u8; 4]>::as_slice).collect();
    let values = kv.get_all(&slices).unwrap();
    for (nth, number) in (0..200_u32).rev().enumerate() {
        let wanted = (number % 2 == 0).then(|| value(number));
        assert_eq!(values.get(nth), wanted.as_deref(), "{number}");
    }
    assert_eq!(values.get(200), None);
}
