//! Decoders fed with bytes nobody wrote: an error or some answer, never a panic.

use super::inner::Inner;
use super::leaf::{self, Leaf, Value};
use super::page::{Bounds, Edit, PAGE, Page, Pointer};
use super::superblock::{Slot, decode_slot};
use proptest::prelude::*;

const BOUNDS: Bounds = Bounds { page_count: 1000, generation: 1000 };

/// Every way to look at a page and to change it.
fn handle(page: &Page, key: &[u8]) -> bool {
    let mut out = Vec::new();
    let leaf = Leaf::new(page);
    let sound = leaf.verify(BOUNDS).is_ok();
    let place = leaf.0.find(key);
    let (Ok(at) | Err(at)) = place;
    if sound {
        for index in 0..leaf.0.count {
            out.clear();
            leaf.0.push_key(index, &mut out);
            assert_eq!(leaf.0.find(&out), Ok(index), "a sound leaf finds its keys");
            match leaf.value(index) {
                Value::Inline(value) => assert!(value.len() <= leaf::INLINE_MAX),
                Value::Run(run) => assert!(run.is_sound()),
            }
        }
        let mut copy = page.clone();
        if place.is_err() && leaf::insert(&mut copy, at, key, 3, b"abc") {
            assert!(Leaf::new(&copy).verify(BOUNDS).is_ok());
            assert_eq!(Leaf::new(&copy).0.find(key), Ok(at));
            leaf::remove(&mut copy, at);
            // Back to the same content, whatever the order of the cells is.
            assert!(Leaf::new(&copy).verify(BOUNDS).is_ok());
        }
    }
    let inner = Inner::new(page);
    let inner_sound = inner.verify(BOUNDS).is_ok();
    let child = inner.child_of(key);
    let _ = inner.child(child);
    for index in [at, child, 5, usize::from(u16::MAX)] {
        out.clear();
        leaf.0.push_key(index, &mut out);
        inner.0.push_key(index, &mut out);
        let _ = (leaf.value(index), inner.child(index));
        let mut copy = page.clone();
        let _ = leaf::replace(&mut copy, index, key, 1, b"x");
        let mut copy = page.clone();
        let _ = Edit::<true>(&mut copy).open(index, 1, 30);
    }
    sound || inner_sound
}

fn leaf_page(entries: &[(Vec<u8>, Vec<u8>)]) -> Page {
    let mut gather = super::gather::Gather::<false>::new();
    for (key, value) in entries {
        gather.put(key, value.len(), value);
    }
    let mut page = Page::zeroed();
    gather.page(0, entries.len(), &mut page);
    page
}

fn inner_page(keys: &[Vec<u8>]) -> Page {
    let mut gather = super::gather::Gather::<true>::new();
    for (number, key) in keys.iter().enumerate() {
        gather.put(key, Pointer { page: 20 + number as u64, generation: 3, crc: 7 });
    }
    let mut page = Page::zeroed();
    gather.page(1, 0, keys.len(), &mut page);
    page
}

fn keys() -> impl Strategy<Value = Vec<Vec<u8>>> {
    proptest::collection::btree_set(proptest::collection::vec(0_u8..4, 0..9), 1..40)
        .prop_map(|keys| keys.into_iter().map(|key| [b"pre".as_slice(), &key].concat()).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_pages(bytes in proptest::collection::vec(any::<u8>(), PAGE), small in 0_u16..40, key in proptest::collection::vec(any::<u8>(), 0..20)) {
        let mut page = Page::zeroed();
        page.0.copy_from_slice(&bytes);
        handle(&page, &key);
        // With a header that gets further.
        page.0[2..8].copy_from_slice(&[small as u8, 0, 0, 6, (small % 4) as u8, 0]);
        handle(&page, &key);
    }

    #[test]
    fn mutated_pages(keys in keys(), at in proptest::collection::vec((0_usize..PAGE, any::<u8>()), 0..4), low in any::<bool>(), key in proptest::collection::vec(0_u8..4, 0..9)) {
        let entries: Vec<_> = keys.iter().map(|key| (key.clone(), vec![9; key.len() * 5])).collect();
        let key = [b"pre".as_slice(), &key].concat();
        for mut page in [leaf_page(&entries), inner_page(&keys)] {
            prop_assert!(handle(&page, &key));
            for (at, byte) in &at {
                // Half of them hit header, heads and offsets.
                page.0[if low { at % 300 } else { *at }] = *byte;
            }
            handle(&page, &key);
        }
    }

    #[test]
    fn random_slots(bytes in proptest::collection::vec(any::<u8>(), PAGE)) {
        let mut page = [0; PAGE];
        page.copy_from_slice(&bytes);
        prop_assert_eq!(decode_slot(&page, 0, [0; 16]), Slot::Damaged);
    }
}
