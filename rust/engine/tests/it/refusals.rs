//! What a refusal depends on.

use crate::workload::{CONTAINER, World};
use daos_types::{Cond, Durability, Iod, IodValue, ObjectId, ObjectType, Punched, ShardIdx, UnitOid};
use daos_wire::{Punch, ShardRef, Update};

#[test]
fn a_refusal_waits_for_the_change_that_refused_it() {
    let world = World::new();
    let target = &world.targets[0];
    let oid = UnitOid { oid: ObjectId::generate(ObjectType::KvHashed, 1, 1, 0, 1), shard: ShardIdx(0) };
    let of = ShardRef { cont: CONTAINER, oid };
    let durability = Durability::Synced;
    let iods = [Iod::new(b"0", IodValue::Single(b"v"))];
    let update = |cond| target.update(&Update { of, dkey: b"k", iods: &iods, cond, durability });
    let punch = |cond| target.punch(&Punch { of, what: Punched::Dkey(b"k"), cond, durability });
    let (written, done) = update(Cond::NONE);
    done.unwrap();
    let (seen, refused) = update(Cond::DKEY_INSERT);
    refused.unwrap_err();
    assert!(seen.0 >= written.0, "an insert that finds a key");
    let (gone, done) = punch(Cond::NONE);
    done.unwrap();
    for (what, (seen, refused)) in [("update", update(Cond::DKEY_UPDATE)), ("punch", punch(Cond::PUNCH))] {
        refused.unwrap_err();
        assert!(seen.0 >= gone.0, "{what} of a key that is gone");
    }
}
