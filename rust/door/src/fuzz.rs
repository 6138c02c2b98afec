//! Fuzzers of what is said at doors: what decodes is encoded again, to the same bytes.

use crate::{Asked, Attr, Info, Listed, Listing, Moment, Owner, Place, Range, SetTime, Status, Taken, Who};
use daos_fuzz::{Meter, fuzz, unsealed};

#[global_allocator]
static METER: Meter = Meter;

#[test]
fn what_is_asked_of_names() {
    let place = |node: u64, path: &'static [u8]| Place { node, path };
    let who = Who { uid: 1000, gid: 100, groups: vec![1, 2, 3] };
    let corpus = [
        Asked { who, how: 1, at: place(1, b"a/b"), to: place(9, b"c"), more: b"/v\0" },
        Asked { at: place(7, b""), ..Asked::default() },
        Asked { at: place(7, &[b'x'; 300]), ..Asked::default() },
    ];
    fuzz("door asked", &corpus.map(|asked| asked.encode()), &unsealed, |bytes| {
        let Some(asked) = Asked::decode(bytes) else { return false };
        assert_eq!(asked.encode(), bytes);
        true
    });
}

#[test]
fn what_is_set() {
    let set = SetTime { modified: Moment::At(-1, 5), all_now: false };
    fuzz("door times", &[set.encode(), SetTime::default().encode()], &unsealed, |bytes| {
        let Some(set) = SetTime::decode(bytes) else { return false };
        assert_eq!(set.encode(), bytes);
        true
    });
    let owner = Owner { uid: Some(1), gid: None };
    fuzz("door owner", &[owner.encode().to_vec()], &unsealed, |bytes| {
        let Some(owner) = Owner::decode(bytes) else { return false };
        assert_eq!(owner.encode(), bytes);
        true
    });
}

#[test]
fn listings() {
    let mut listing = Listing::new(3);
    for name in [&b"."[..], b"..", b"name", b"another one"] {
        assert!(listing.put(&Listed { ino: 7, kind: 4, name }));
    }
    fuzz("door listing", &[listing.encode(5), Listing::new(1).encode(0)], &unsealed, |bytes| {
        let Some((rest, ino, mut left)) = Listing::decode(bytes) else { return false };
        let mut again = Listing::new(ino);
        while let Some((entry, behind)) = Listed::split(left) {
            assert!(again.put(&entry));
            left = behind;
        }
        assert_eq!(again.encode(rest), bytes);
        true
    });
}

#[test]
fn attributes() {
    let attr =
        Attr { ino: 5, size: 6, times: [(1, 2), (3, 4), (-5, 6)], block_size: 4096, ..Attr::default() };
    fuzz("door attributes", &[attr.encode()], &unsealed, |bytes| {
        let Some(attr) = Attr::decode(bytes) else { return false };
        assert_eq!(attr.encode(), bytes);
        true
    });
}

#[test]
fn bytes_of_files() {
    let corpus = [[&Range { at: 1 << 30, len: 4096 }.encode()[..], b"data"].concat()];
    fuzz("door range", &corpus, &unsealed, |bytes| {
        let Some((range, rest)) = Range::decode(bytes) else { return false };
        assert_eq!([&range.encode()[..], rest].concat(), bytes);
        true
    });
    fuzz("door status", &[Status(0).and(b"data")], &unsealed, |bytes| {
        let Some((status, rest)) = Status::decode(bytes) else { return false };
        assert_eq!(status.and(rest), bytes);
        true
    });
}

#[test]
fn what_the_kernel_carries() {
    let info = Info { write_back: false, names: true, doors: 4, token: [7; Info::TOKEN] };
    fuzz("door info", &[info.encode().to_vec()], &unsealed, |bytes| {
        let Some(info) = bytes.first_chunk().and_then(Info::decode) else { return false };
        assert_eq!(Info::decode(&info.encode()), Some(info));
        true
    });
    fuzz("door taken", &[Taken { handle: 9 }.encode().to_vec()], &unsealed, |bytes| {
        let Some(taken) = bytes.first_chunk().and_then(Taken::decode) else { return false };
        assert_eq!(Taken::decode(&taken.encode()), Some(taken));
        true
    });
}
