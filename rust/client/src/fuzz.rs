//! Fuzzers of the anchors that a caller hands back.

use crate::listing;
use crate::survey::Place;
use daos_fuzz::{Meter, fuzz, unsealed};
use daos_types::{ContainerId, Durability, Epoch, ObjectId, ShardIdx, TargetIdx, UnitOid};
use daos_wire::{List, ShardRef};

#[global_allocator]
static METER: Meter = Meter;

#[test]
fn anchors_of_listings() {
    let oid = UnitOid { oid: ObjectId::from_be_bytes([0; 16]), shard: ShardIdx(0) };
    let request = |reverse| List {
        of: ShardRef { cont: ContainerId([0; 16]), oid },
        dkey: None,
        epoch: Epoch::MAX,
        from: None,
        count_max: 5,
        bytes_max: 100,
        reverse,
        durability: Durability::Buffered,
    };
    let shards: Vec<(ShardIdx, TargetIdx)> =
        (0..3).map(|number| (ShardIdx(number), TargetIdx(number))).collect();
    let corpus = [vec![0; 4], [&2_u32.to_le_bytes()[..], b"place"].concat()];
    fuzz("listing anchor", &corpus, &unsealed, |bytes| {
        let mut decoded = true;
        for reverse in [false, true] {
            let mut asked = Vec::new();
            let next = listing::each(&shards, &request(reverse), Some(bytes), |target, request| {
                asked.push((target.0, request.from.map(<[u8]>::to_vec)));
                Ok((5, Some(b"next".to_vec())))
            });
            let Ok(next) = next else {
                decoded = false;
                continue;
            };
            // It goes on where the anchor says, or is at the end.
            let at = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            let from = bytes.get(4..).filter(|rest| !rest.is_empty()).map(<[u8]>::to_vec);
            let target = if reverse { 2_u32.wrapping_sub(at) } else { at };
            assert_eq!(asked, if at < 3 { vec![(target, from)] } else { vec![] });
            assert_eq!(next.is_some(), at < 3);
        }
        decoded
    });
}

#[test]
fn places_of_comparisons() {
    let oid = ObjectId::from_be_bytes([9; 16]);
    let corpus = [Place::Behind(Some(oid)).encode(), Place::In(oid, 3, b"place".to_vec()).encode()];
    fuzz("diff anchor", &corpus, &unsealed, |bytes| {
        let Some(place) = Place::decode(Some(bytes)) else { return false };
        assert_eq!(place.encode(), bytes);
        true
    });
}
