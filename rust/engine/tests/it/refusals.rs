//! What a refusal depends on, and what a commit looks at.

use crate::workload::{CONTAINER, World};
use daos_engine::Target;
use daos_types::{
    Cond, Durability, Epoch, FetchIod, FetchValue, Iod, IodValue, ObjectId, ObjectType, Punched, ShardIdx,
    TargetIdx, UnitOid,
};
use daos_vos::{StoreOptions, VosError};
use daos_wire::{Fetch, Punch, ShardRef, Update};

#[test]
fn a_refusal_waits_for_the_change_that_refused_it() {
    let world = World::new();
    let target = &world.targets[0];
    let oid = UnitOid { oid: ObjectId::generate(ObjectType::KvHashed, 1, 1, 0, 1), shard: ShardIdx(0) };
    let of = ShardRef { cont: CONTAINER, oid };
    let durability = Durability::Synced;
    let iods = [Iod::new(b"0", IodValue::Single(b"v"))];
    let update =
        |cond| target.update(&Update { of, dkey: b"k", iods: &iods, cond, durability, origin: None });
    let punch = |cond| target.punch(&Punch { of, what: Punched::Dkey(b"k"), cond, durability, origin: None });
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

#[test]
fn a_commit_sees_what_is_set_aside_for_a_merge() {
    let world = World::with(StoreOptions { memtable_count_max: 6, ..StoreOptions::default() });
    let target = &world.targets[0];
    let oid = UnitOid { oid: ObjectId::generate(ObjectType::KvHashed, 1, 1, 0, 1), shard: ShardIdx(0) };
    let of = ShardRef { cont: CONTAINER, oid };
    let durability = Durability::Buffered;
    let put = |dkey: &[u8], value: &[u8]| {
        let iods = [Iod::new(b"0", IodValue::Single(value))];
        target
            .update(&Update { of, dkey, iods: &iods, cond: Cond::NONE, durability, origin: None })
            .1
            .unwrap();
    };
    put(b"k", b"old");
    world.store.merge_all().unwrap();
    let (epoch, mut draft) = world.begin();
    let mut value = Vec::new();
    let mut iods = [FetchIod::new(b"0", FetchValue::Single(&mut value))];
    let request = Fetch { of, dkey: b"k", epoch: Epoch::MAX, cond: Cond::NONE, durability };
    target.draft_fetch(TargetIdx(0), &mut draft, &request, &mut iods).1.unwrap();
    assert_eq!((value.as_slice(), epoch > Epoch::ZERO), (&b"old"[..], true));
    let iods = [Iod::new(b"0", IodValue::Single(b"mine"))];
    let update = Update { of, dkey: b"other", iods: &iods, cond: Cond::NONE, durability, origin: None };
    target.draft_update(TargetIdx(0), &mut draft, &update).1.unwrap();
    // What comes in between fills the memtable, which is set aside; nothing newer is in the next one.
    let mut number = 0_u8;
    while !world.store.merge_wanted() {
        number += 1;
        put(b"k", &[number]);
    }
    let committed = Target::commit(&world.targets, draft, None).1;
    assert!(matches!(committed, Err(VosError::Conflict)), "{committed:?}");
}
