//! Fuzzers of superblocks and tables.

use super::super::Roles;
use super::layout::{BLOCK, DeviceIdentity, Geometry, Superblock};
use super::table::{FileEntry, Run, Table};
use daos_codec::crc32c;
use daos_fuzz::fuzz;

fn seal(bytes: &mut [u8], len: usize) {
    if let Some(body) = bytes.get_mut(..len)
        && let Some((body, sum)) = body.split_last_chunk_mut::<4>()
    {
        *sum = crc32c(body).to_le_bytes();
    }
}

#[test]
fn superblocks() {
    let corpus: Vec<Vec<u8>> = [(64 << 20, "a"), (1 << 42, "system-of-tests")]
        .into_iter()
        .map(|(size, system)| {
            let identity = DeviceIdentity {
                uuid: [7; 16],
                system: system.to_owned(),
                index: 1,
                count: 3,
                roles: Roles::DATA.and(Roles::WAL),
            };
            Superblock { identity, geometry: Geometry::of(size).unwrap() }.encode()
        })
        .collect();
    fuzz("device superblock", &corpus, &|bytes| seal(bytes, BLOCK as usize), |bytes| {
        let Ok(found) = Superblock::decode(bytes) else { return false };
        assert_eq!(Superblock::decode(&found.encode()).unwrap(), found);
        assert_eq!(Geometry::of(found.geometry.size), Some(found.geometry));
        true
    });
}

#[test]
fn tables() {
    let geometry = Geometry::of(64 << 20).unwrap();
    let file = |size, runs: &[(u32, u32)]| FileEntry {
        size,
        runs: runs.iter().map(|&(start, count)| Run { start, count }).collect(),
    };
    let full = Table {
        generation: 9,
        files: [
            ("shard-00000000.idx".to_owned(), file(200_000, &[(3, 2), (9, 2)])),
            ("shard-00000001.dat".to_owned(), file(65_536, &[(0, 1)])),
            ("wal.super".to_owned(), file(0, &[])),
        ]
        .into(),
    };
    let corpus = [Table { generation: 1, ..Table::default() }, full].map(|table| table.encode([7; 16]));
    let reseal = |bytes: &mut [u8]| {
        let len = Table::len_of(bytes, geometry).unwrap_or(0);
        seal(bytes, len);
    };
    fuzz("device table", &corpus, &reseal, |bytes| {
        let Ok(found) = Table::decode(bytes, [7; 16], geometry) else { return false };
        let again = found.encode([7; 16]);
        assert_eq!(Some(&again[..]), bytes.get(..again.len()));
        for (name, file) in &found.files {
            let clusters: u64 = file.runs.iter().map(|run| u64::from(run.count)).sum();
            assert_eq!(clusters, file.size.div_ceil(geometry.cluster), "{name}");
            assert!(file.runs.iter().all(|run| run.end() <= geometry.clusters));
        }
        true
    });
}
