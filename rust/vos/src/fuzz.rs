//! Fuzzers of what entries, keys, rows and records are made of. What is canonical encodes to the bytes it came from.

use crate::changes::{self, Changes, OneChange, ShardNum};
use crate::data::{Stored, reference};
use crate::dtx::{DtxId, DtxRow, Status};
use crate::entry::{self, Change, Content, DtxNum, Entry, Payload};
use crate::key::{self, ContNum, KeyBuf, ObjNum};
use crate::rollback::Rollbacks;
use daos_fuzz::{Meter, fuzz, unsealed};
use daos_types::object_id::KeyKind;
use daos_types::{ChecksumKind, Epoch, ObjectId, ShardIdx, Sums, UnitOid, Version};

#[global_allocator]
static METER: Meter = Meter;

fn references() -> Vec<Vec<u8>> {
    [1, 4096, 5000, 300_000]
        .into_iter()
        .map(|len| {
            let mut out = Vec::new();
            reference(&[1; 16], 7, &vec![9; len], &[], &mut out);
            out
        })
        .collect()
}

#[test]
fn references_into_the_data_file() {
    fuzz("reference", &references(), &unsealed, |bytes| {
        let Some(stored) = Stored::parse(bytes) else { return false };
        let mut again = Vec::new();
        stored.encode(&mut again);
        assert_eq!(again, bytes);
        assert!(stored.run().count * 4096 >= stored.len() as u64 && stored.unit() > 0);
        let _ = stored.fits(&[1; 16], bytes.len(), b"any");
        true
    });
}

#[test]
fn entries() {
    let references = references();
    let stored = Stored::parse(&references[2]).unwrap();
    let plain = |content| Payload { content, sums: None };
    let one = Sums { kind: ChecksumKind::Crc32, piece: 5, bytes: &[7; 4] };
    let many = Sums { kind: ChecksumKind::Crc64, piece: 1, bytes: &[7; 32] };
    let changes = [
        Change::Create,
        Change::Punch,
        Change::NoValue,
        Change::Array(8),
        Change::Hole(3),
        Change::Value(plain(Content::Inline(b"value"))),
        Change::Value(Payload { content: Content::Inline(b"value"), sums: Some(one) }),
        Change::Value(plain(Content::Stored(stored))),
        Change::Records { count: 2, payload: plain(Content::Inline(b"abcd")) },
        Change::Records {
            count: 2,
            payload: Payload { content: Content::Inline(b"abcd"), sums: Some(many) },
        },
        Change::Strided { count: 3, blocks: 2, stride: 4, payload: plain(Content::Stored(stored)) },
    ];
    let mut corpus = Vec::new();
    for change in changes {
        for (dtx, long_key) in [(0, None), (7, Some(&b"a long key"[..]))] {
            let mut out = Vec::new();
            Entry { dtx: DtxNum(dtx), long_key, change }.encode(&mut out);
            corpus.push(out);
        }
    }
    fuzz("entry", &corpus, &unsealed, |bytes| {
        let dtx = entry::dtx_of(bytes);
        let run = entry::run_of(bytes);
        let mut committed = Vec::new();
        entry::as_committed(bytes, &mut committed);
        let Ok(entry) = Entry::decode(bytes) else { return false };
        let mut again = Vec::new();
        entry.encode(&mut again);
        assert_eq!(again, bytes);
        assert_eq!(dtx, entry.dtx);
        let payload = entry.change.payload();
        let named = payload.and_then(|payload| match payload.content {
            Content::Stored(stored) => Some(stored.run()),
            Content::Inline(_) => None,
        });
        assert_eq!(run.unwrap(), named);
        assert_eq!(Entry::decode(&committed).unwrap(), Entry { dtx: DtxNum::COMMITTED, ..entry });
        true
    });
}

#[test]
fn records_of_changes() {
    let mut changes = Changes::default();
    changes.clear();
    let empty = changes.as_slice().to_vec();
    changes.put(ShardNum(1), b"key", |out| out.extend_from_slice(b"value"));
    changes.remove(ShardNum(2), b"gone");
    changes.put(ShardNum(1), b"", |_| ());
    fuzz("changes", &[empty, changes.as_slice().to_vec()], &unsealed, |bytes| {
        let Ok(found) = changes::decode(bytes) else { return false };
        let mut again = Changes::default();
        again.clear();
        for change in found {
            let Ok(OneChange { shard, key, value }) = change else { return false };
            match value {
                Some(value) => again.put(shard, key, |out| out.extend_from_slice(value)),
                None => again.remove(shard, key),
            }
        }
        assert_eq!(again.as_slice(), bytes);
        true
    });
}

#[test]
fn rows_of_transactions() {
    let id = DtxId { uuid: [3; 16], hlc: 9 };
    let corpus: Vec<Vec<u8>> = [Status::Prepared, Status::Committed, Status::Aborted]
        .into_iter()
        .map(|status| {
            let mut out = Vec::new();
            DtxRow { id, status, keys: vec![Box::from(&b"one"[..]), Box::from(&b""[..])] }.encode(&mut out);
            out
        })
        .collect();
    fuzz("transaction row", &corpus, &unsealed, |bytes| {
        let Ok(row) = DtxRow::decode(bytes) else { return false };
        let mut again = Vec::new();
        row.encode(&mut again);
        assert_eq!(again, bytes);
        true
    });
}

#[test]
fn rows_of_rollbacks() {
    let mut rollbacks = Rollbacks::default();
    rollbacks.add(Epoch(50), Epoch(20), &[Epoch(30)]);
    rollbacks.add(Epoch(90), Epoch(60), &[Epoch(30), Epoch(70)]);
    fuzz("rollbacks", &[Vec::new(), rollbacks.encode()], &unsealed, |bytes| {
        let Some(rollbacks) = Rollbacks::decode(bytes) else { return false };
        assert_eq!(rollbacks.encode(), bytes);
        for epoch in [Epoch::ZERO, rollbacks.newest(), Epoch::MAX] {
            assert!(rollbacks.hidden(epoch).len() <= rollbacks.len());
        }
        true
    });
}

#[test]
fn keys_of_users() {
    let kinds = [KeyKind::Hashed, KeyKind::Lexical, KeyKind::Uint64];
    let users: [&[u8]; 4] = [b"plain", b"with\0zeros\0\xFF", &[0xFE; 8], &[7; 300]];
    let mut corpus = Vec::new();
    for user in users {
        let kind = if user.len() == 8 { KeyKind::Uint64 } else { KeyKind::Hashed };
        let mut key = KeyBuf::tree(ObjNum(3));
        let mark = key.mark();
        key.user_key(kind, user).unwrap();
        key.version(Version::new(Epoch(5), 1));
        corpus.push(key.as_slice()[mark..].to_vec());
    }
    fuzz("user key", &corpus, &unsealed, |bytes| {
        let mut any = false;
        for kind in kinds {
            let Some(parsed) = key::parse_user_key(kind, bytes) else { continue };
            any = true;
            let (encoded, rest) = bytes.split_at(parsed.encoded_len);
            assert_eq!(parsed.rest, rest);
            let mut user = Vec::new();
            key::decode_user_key(kind, encoded, &mut user);
            assert!(user.len() <= bytes.len());
            // A long key is found whole in its entry, not in its key.
            let mut again = KeyBuf::tree(ObjNum(3));
            let mark = again.mark();
            if !parsed.long && !key::is_long(&user) && again.user_key(kind, &user).is_ok() {
                assert_eq!(&again.as_slice()[mark..], encoded);
            }
        }
        any
    });
}

#[test]
fn keys_of_the_index() {
    let oid = UnitOid { oid: ObjectId::from_be_bytes([5; 16]), shard: ShardIdx(2) };
    let mut object = KeyBuf::object(ContNum(4), oid);
    object.version(Version::new(Epoch(9), 3));
    let mut extent = KeyBuf::tree(ObjNum(8));
    extent.extents();
    let mark = extent.mark();
    extent.extent(1, 77);
    extent.push_version(Version::new(Epoch(9), 3));
    let corpus = [object.as_slice().to_vec(), extent.as_slice().to_vec(), extent.as_slice()[mark..].to_vec()];
    fuzz("index key", &corpus, &unsealed, |bytes| {
        let mut any = key::version_of(bytes).is_some();
        assert_eq!(key::epoch_of(bytes), key::version_of(bytes).map(|version| version.epoch.0));
        if let Some((cont, oid)) = key::parse_object(bytes) {
            assert!(bytes.starts_with(KeyBuf::object(cont, oid).as_slice()));
            any = true;
        }
        if let Some((class, index, version)) = key::parse_extent(bytes) {
            let mut again = KeyBuf::tree(ObjNum(0));
            let mark = again.mark();
            again.extent(class, index);
            again.push_version(version);
            assert_eq!(&again.as_slice()[mark..], bytes);
            any = true;
        }
        let mut next = bytes.to_vec();
        key::successor(&mut next);
        assert!(next.is_empty() || next.as_slice() > bytes);
        any
    });
}
