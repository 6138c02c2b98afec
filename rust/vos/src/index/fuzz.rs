//! Fuzzers of the index's bytes. A page that is verified can be read, searched and changed without a check.

use super::inner::{self, Inner};
use super::leaf::{self, INLINE_MAX, IS_RUN, Leaf};
use super::page::{Edit, FIRST_PAGE, PAGE, Page, Pointer};
use super::run::RunRef;
use super::store::verify;
use super::superblock::{Slot, Superblock, decode_slot};
use daos_codec::crc32c;
use daos_fuzz::{fuzz, unsealed};

const IDENTITY: [u8; 16] = [7; 16];
const NUMBER: u64 = FIRST_PAGE + 1;
const GENERATION: u64 = 9;

fn superblock() -> Superblock {
    Superblock {
        identity: IDENTITY,
        height: 2,
        generation: GENERATION,
        previous: 8,
        covers: 1234,
        page_count: 100,
        entries: 55,
        root: Pointer { page: 29, generation: GENERATION, crc: 3 },
        bitmap: Pointer { page: 32, generation: GENERATION, crc: 5 },
        bitmap_len: 4096,
    }
}

/// The page of some bytes, where it belongs, if it is verified there.
fn verified(bytes: &[u8], level: u8) -> Option<Box<Page>> {
    let mut page = Box::new(Page(*bytes.first_chunk::<PAGE>()?));
    page.set_kind(level);
    page.set_place(NUMBER, GENERATION, IDENTITY);
    let pointer = Pointer { page: NUMBER, generation: GENERATION, crc: crc32c(&page.0) };
    verify(&page, &superblock(), pointer, level).ok()?;
    Some(page)
}

#[test]
fn leaves() {
    let mut page = Page::zeroed();
    Edit::<false>(&mut page).clear(0, b"pre");
    let run = RunRef::of(FIRST_PAGE, 3, &[1; INLINE_MAX + 1]).encode();
    let keys: [&[u8]; 5] = [b"pre", b"prea", b"preabcdefgh", b"preabcdefghi", b"prez"];
    for (index, key) in keys.into_iter().enumerate() {
        let (len_field, value): (usize, &[u8]) = if index == 3 { (IS_RUN, &run) } else { (5, b"value") };
        assert!(leaf::insert(&mut page, index, key, len_field, value));
    }
    fuzz("leaf page", &[page.0.to_vec()], &unsealed, |bytes| {
        let Some(mut page) = verified(bytes, 0) else { return false };
        let leaf = Leaf::new(&page);
        let mut before: Option<Vec<u8>> = None;
        for index in 0..leaf.0.count {
            let (mut key, mut room) = (Vec::new(), [0; super::KEY_LEN_MAX]);
            leaf.0.push_key(index, &mut key);
            assert_eq!(leaf.0.write_key(index, &mut room), Some(key.as_slice()));
            assert_eq!(leaf.0.find(&key), Ok(index));
            assert!(before.as_ref().is_none_or(|before| *before < key));
            let _ = leaf.value(index);
            before = Some(key);
        }
        let (mut key, count) = (Vec::new(), leaf.0.count);
        leaf.0.push_key(count / 2, &mut key);
        let (len_field, value) = leaf.raw_value(count / 2);
        let value = value.to_vec();
        leaf::remove(&mut page, count / 2);
        assert!(leaf::insert(&mut page, count / 2, &key, len_field, &value));
        assert!(verified(&page.0, 0).is_some());
        true
    });
}

#[test]
fn inner_pages() {
    let mut page = Page::zeroed();
    Edit::<true>(&mut page).clear(1, b"p");
    let child = |page| Pointer { page, generation: GENERATION, crc: 1 };
    inner::set_child(&mut page, 0, child(20));
    for (key, number) in [(b"pa".as_slice(), 21), (b"pbcdefgh", 22), (b"pz", 23)] {
        assert!(inner::push(&mut page, key, child(number)));
    }
    fuzz("inner page", &[page.0.to_vec()], &unsealed, |bytes| {
        let Some(page) = verified(bytes, 1) else { return false };
        let inner = Inner::new(&page);
        for index in 0..inner.0.count {
            let mut key = Vec::new();
            inner.0.push_key(index, &mut key);
            assert_eq!(inner.child_of(&key), index + 1);
        }
        for index in 0..inner.children() {
            assert!(superblock().bounds().admit(inner.child(index).page, 1, inner.child(index).generation));
        }
        true
    });
}

#[test]
fn superblocks() {
    let reseal = |bytes: &mut [u8]| {
        for copy in bytes.as_chunks_mut::<512>().0 {
            let (body, sum) = copy.split_at_mut(508);
            sum.copy_from_slice(&crc32c(body).to_le_bytes());
        }
    };
    fuzz("index superblock", &[superblock().encode(1).to_vec()], &reseal, |bytes| {
        let Some(page) = bytes.first_chunk::<PAGE>() else { return false };
        let Slot::Valid(found, _) = decode_slot(page, 1, IDENTITY) else { return false };
        assert!(found.is_sound());
        assert_eq!(decode_slot(&found.encode(1), 1, IDENTITY), Slot::Valid(found, 0));
        true
    });
}
