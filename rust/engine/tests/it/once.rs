//! Changes that come again happen once.

use crate::workload::{CONTAINER, World};
use daos_engine::Target;
use daos_engine::target::{Draft, settle};
use daos_types::{
    Cond, DONE_SLOTS, Der, Durability, Epoch, FetchIod, FetchValue, Iod, IodValue, ObjectId, ObjectType,
    Origin, Punched, ShardIdx, TargetIdx, UnitOid,
};
use daos_wire::{Fetch, Punch, ShardRef, Update};

const DURABILITY: Durability = Durability::Buffered;

fn of() -> ShardRef {
    let oid = ObjectId::generate(ObjectType::KvHashed, 1, 1, 0, 1);
    ShardRef { cont: CONTAINER, oid: UnitOid { oid, shard: ShardIdx(0) } }
}

fn origin(session: u8, sequence: u64) -> Origin {
    Origin { session: [session; 16], sequence }
}

fn put(target: &Target, value: &[u8], cond: Cond, origin: impl Into<Option<Origin>>) -> Result<(), Der> {
    let iods = [Iod::new(b"0", IodValue::Single(value))];
    let request =
        Update { of: of(), dkey: b"k", iods: &iods, cond, durability: DURABILITY, origin: origin.into() };
    target.update(&request).1.map_err(|error| error.der())
}

fn remove(target: &Target, origin: impl Into<Option<Origin>>) -> Result<(), Der> {
    let what = Punched::Dkey(b"k");
    let request = Punch { of: of(), what, cond: Cond::PUNCH, durability: DURABILITY, origin: origin.into() };
    target.punch(&request).1.map_err(|error| error.der())
}

fn get(target: &Target) -> Vec<u8> {
    let mut value = Vec::new();
    let mut iods = [FetchIod::new(b"0", FetchValue::Single(&mut value))];
    let request = Fetch { of: of(), dkey: b"k", epoch: Epoch::MAX, cond: Cond::NONE, durability: DURABILITY };
    target.fetch(&request, &mut iods).1.unwrap();
    value
}

#[test]
fn an_update_or_punch_that_comes_again_changes_nothing_and_is_answered_the_same() {
    let world = World::new();
    let target = &world.targets[0];
    assert_eq!(put(target, b"one", Cond::DKEY_INSERT, origin(1, 1)), Ok(()));
    assert_eq!(put(target, b"two", Cond::NONE, origin(2, 1)), Ok(()), "another session");
    assert_eq!(put(target, b"one", Cond::DKEY_INSERT, origin(1, 1)), Ok(()), "it is there by itself");
    assert_eq!(get(target), b"two");
    assert_eq!(put(target, b"one", Cond::DKEY_INSERT, origin(1, 2)), Err(Der::Exist));
    assert_eq!(remove(target, origin(1, 3)), Ok(()));
    assert_eq!(put(target, b"three", Cond::NONE, None), Ok(()));
    assert_eq!(remove(target, origin(1, 3)), Ok(()));
    assert_eq!(get(target), b"three");
    // What was refused was not done: asked again it is another question.
    assert_eq!(remove(target, None), Ok(()));
    assert_eq!(put(target, b"four", Cond::DKEY_INSERT, origin(1, 2)), Ok(()));
    assert_eq!(get(target), b"four");
}

#[test]
fn of_a_change_that_too_many_have_followed_nothing_is_said() {
    let world = World::new();
    let target = &world.targets[0];
    for sequence in 1..=DONE_SLOTS + 1 {
        assert_eq!(put(target, &[sequence as u8], Cond::NONE, origin(1, sequence)), Ok(()));
    }
    assert_eq!(put(target, b"again", Cond::NONE, origin(1, 1)), Err(Der::TxUncertain));
    assert_eq!(put(target, b"again", Cond::NONE, origin(1, 2)), Ok(()));
    assert_eq!(get(target), [(DONE_SLOTS + 1) as u8]);
    let settled = settle(&world.store, &world.clock, origin(1, 1));
    assert_eq!(settled.1.unwrap_err().der(), Der::TxUncertain);
}

#[test]
fn a_commit_that_comes_again_happens_once_and_one_that_was_given_up_never() {
    let world = World::new();
    let target = &world.targets[0];
    let draft = |value: &[u8]| {
        let (_, mut draft): (Epoch, Draft) = world.begin();
        let iods = [Iod::new(b"0", IodValue::Single(value))];
        let request = Update {
            of: of(),
            dkey: b"k",
            iods: &iods,
            cond: Cond::NONE,
            durability: DURABILITY,
            origin: None,
        };
        target.draft_update(TargetIdx(0), &mut draft, &request).1.unwrap();
        draft
    };
    let commit = |value, sequence| {
        Target::commit(&world.targets, draft(value), Some(origin(1, sequence))).1.map_err(|error| error.der())
    };
    let settled = |sequence| settle(&world.store, &world.clock, origin(1, sequence)).1.unwrap();
    assert_eq!(commit(b"one", 1), Ok(()));
    assert!(settled(1) && settled(1));
    assert_eq!(commit(b"again", 1), Ok(()));
    assert_eq!(get(target), b"one");
    assert!(!settled(2) && !settled(2));
    assert_eq!(commit(b"late", 2), Err(Der::TxRestart), "it was said that it never happens");
    assert_eq!(put(target, b"late", Cond::NONE, origin(1, 2)), Err(Der::TxRestart));
    assert_eq!(get(target), b"one");
}

#[test]
fn what_was_done_is_known_after_a_crash() {
    let world = World::new();
    assert_eq!(put(&world.targets[0], b"one", Cond::NONE, origin(1, 1)), Ok(()));
    assert!(!settle(&world.store, &world.clock, origin(1, 2)).1.unwrap());
    world.store.sync().unwrap();
    let again = world.crash();
    assert_eq!(put(&again.targets[0], b"two", Cond::NONE, None), Ok(()));
    assert_eq!(put(&again.targets[0], b"one", Cond::NONE, origin(1, 1)), Ok(()));
    assert_eq!(get(&again.targets[0]), b"two");
    assert_eq!(put(&again.targets[0], b"late", Cond::NONE, origin(1, 2)), Err(Der::TxRestart));
}
