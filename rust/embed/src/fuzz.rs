//! Fuzzers of what an embedded system keeps beside its store's own bytes: the directory's head, rows of the tables, and UUIDs.

use crate::directory::SystemHead;
use crate::tables::{self, Row};
use crate::{attributes, snapshots};
use daos_codec::crc32c;
use daos_fuzz::{Meter, fuzz, unsealed};
use daos_types::{ChecksumKind, Checksums};
use std::path::Path;

#[global_allocator]
static METER: Meter = Meter;

#[test]
fn heads_of_systems() {
    let head = SystemHead { identity: [5; 16], targets: 3 };
    let reseal = |bytes: &mut [u8]| {
        if let Some((body, rest)) = bytes.split_at_mut_checked(36)
            && let Some(sum) = rest.first_chunk_mut()
        {
            *sum = crc32c(body).to_le_bytes();
        }
    };
    fuzz("system head", &[head.encode()], &reseal, |bytes| {
        let Ok(found) = SystemHead::decode(bytes, Path::new("system")) else { return false };
        assert_eq!(SystemHead::decode(&found.encode(), Path::new("system")).unwrap(), found);
        true
    });
}

#[test]
fn rows_of_pools_and_containers() {
    let row = |label: &str, props: &[u8]| {
        let checksums =
            Checksums { kind: Some(ChecksumKind::Crc64), piece_size: 4096, server_verifies: true };
        Row {
            label: label.to_owned(),
            oids_given: 9,
            checksums,
            scrub_disabled: false,
            props: props.to_vec(),
        }
    };
    let corpus = [row("a", b"").encode(), row(&"x".repeat(127), &[0x81; 40]).encode()];
    fuzz("table row", &corpus, &unsealed, |bytes| {
        let Ok(row) = Row::decode(bytes) else { return false };
        // Of the form before, which said nothing of checksums, another is made.
        assert!(bytes.first() == Some(&1) || row.encode() == bytes);
        assert_eq!(Row::decode(&row.encode()).unwrap(), row);
        true
    });
}

#[test]
fn rows_of_attributes() {
    let corpus = [attributes::encode("name", b"value"), attributes::encode("ä", b"")];
    fuzz("attribute row", &corpus, &unsealed, |bytes| {
        let Some((name, value)) = attributes::decode(bytes) else { return false };
        assert_eq!(attributes::encode(name, value), bytes);
        true
    });
}

#[test]
fn rows_of_snapshots() {
    let with_epoch = |row: Vec<u8>| [&7_u64.to_be_bytes()[..], &row].concat();
    let corpus = [with_epoch(snapshots::encode(None)), with_epoch(snapshots::encode(Some("before")))];
    fuzz("snapshot row", &corpus, &unsealed, |bytes| {
        let (epoch, row) = bytes.split_at(bytes.len().min(8));
        let Some(snapshot) = snapshots::decode(epoch, row) else { return false };
        assert_eq!(snapshot.epoch.0.to_be_bytes(), epoch);
        assert_eq!(snapshots::encode(snapshot.name.as_deref()), row);
        true
    });
}

#[test]
fn uuids() {
    let corpus =
        [b"6F9619FF-8B86-D011-B42D-00C04FC964FF".to_vec(), b"6f9619ff8b86d011b42d00c04fc964ff".to_vec()];
    fuzz("uuid", &corpus, &unsealed, |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return false };
        let Some(uuid) = tables::parse_uuid(text) else { return false };
        let hex = format!("{:032x}", u128::from_be_bytes(uuid));
        assert_eq!(hex, text.replace('-', "").to_lowercase());
        true
    });
}
