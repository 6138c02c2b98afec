//! Transactions that run beside each other.

use crate::serial::{Done, History};
use crate::workload::{By, KV, Op, World, op};
use daos_engine::target::Draft;
use daos_types::{Cond, Der, Epoch};
use proptest::prelude::*;

/// What happens next.
#[derive(Debug, Clone)]
enum Event {
    /// One of the open transactions does something; the last one stands for changes without a transaction.
    Do(usize, Op),
    Commit(usize),
    Abort(usize),
    Merge,
    Aggregate,
}

const OPEN: usize = 3;

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => (0..=OPEN, op()).prop_map(|(who, op)| Event::Do(who, op)),
        3 => (0..OPEN).prop_map(Event::Commit),
        1 => (0..OPEN).prop_map(Event::Abort),
        1 => Just(Event::Merge),
        1 => Just(Event::Aggregate),
    ]
}

/// An open transaction.
struct Running {
    epoch: Epoch,
    draft: Draft,
    read_after: usize,
    done: Done,
}

/// How many committed and how many conflicted.
type Counts = (usize, usize);

fn play(events: &[Event]) -> Result<Counts, String> {
    let world = World::new();
    let mut history = History::default();
    let mut open: [Option<Running>; OPEN] = [const { None }; OPEN];
    let mut counts = (0, 0);
    let ends = (0..OPEN).map(Event::Commit);
    for event in events.iter().cloned().chain(ends) {
        match event {
            Event::Do(OPEN, op) => {
                let answer = world.run(&op, &mut By::Itself);
                history.committed(history.changes(), vec![(op, answer)]);
            }
            Event::Do(who, op) => {
                let running = open[who].get_or_insert_with(|| {
                    let (epoch, draft) = world.begin();
                    Running { epoch, draft, read_after: history.changes(), done: Vec::new() }
                });
                let answer = world.run(&op, &mut By::Draft(&mut running.draft));
                running.done.push((op, answer));
            }
            Event::Commit(who) => {
                let Some(Running { draft, read_after, done, .. }) = open[who].take() else { continue };
                match world.commit(draft) {
                    Ok(()) => {
                        history.committed(read_after, done);
                        counts.0 += 1;
                    }
                    Err(error) if error.der() == Der::TxRestart => counts.1 += 1,
                    Err(error) => return Err(error.to_string()),
                }
            }
            Event::Abort(who) => open[who] = None,
            Event::Aggregate => world.aggregate(open.iter().flatten().map(|running| running.epoch).min()),
            Event::Merge => world.store.merge_all().map_err(|error| error.to_string())?,
        }
    }
    history.check()?;
    Ok(counts)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn what_committed_came_out_as_one_after_the_other(
        events in proptest::collection::vec(event(), 1..60)
    ) {
        prop_assert_eq!(play(&events).map(drop), Ok(()));
    }

    #[test]
    fn alone_a_transaction_never_conflicts(ops in proptest::collection::vec(op(), 1..40)) {
        let events: Vec<Event> = ops.into_iter().map(|op| Event::Do(0, op)).collect();
        prop_assert_eq!(play(&events), Ok((1, 0)));
    }
}

/// What is read and put back, and what gets in between.
fn put_back() -> impl Strategy<Value = Op> {
    let none = Cond::NONE;
    prop_oneof![
        4 => Just(read(0, 4)),
        1 => Just(read(0, 5)),
        4 => any::<u8>().prop_map(|value| Op::Write { object: 0, dkey: 0, index: 0, count: 4, value }),
        1 => Just(write(1, 0, 4)),
        1 => Just(Op::PunchDkey { object: 0, dkey: 0, cond: none }),
        1 => Just(Op::PunchAkey { object: 0, dkey: 0, akey: 2, cond: none }),
        1 => Just(Op::PunchObject { object: 0, cond: none }),
        1 => Just(Op::Extreme { object: 0, greatest: true, dkey: None }),
        1 => Just(Op::List { object: 0, dkey: Some(0), count: 9, pages: 1, reverse: false }),
        1 => Just(get(0)),
    ]
}

proptest! {
    #[test]
    fn what_was_read_and_is_put_back_is_there_for_who_looks(
        events in proptest::collection::vec(
            prop_oneof![
                12 => (0..=OPEN, put_back()).prop_map(|(who, op)| Event::Do(who, op)),
                2 => (0..OPEN).prop_map(Event::Commit),
                1 => (0..OPEN).prop_map(Event::Abort),
                1 => Just(Event::Merge),
            ],
            1..40,
        ),
    ) {
        play(&events).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn an_update_of_what_was_just_read_conflicts_as_any_other() {
    let two = [write(0, 0, 4), put(0, 1)];
    let punch = |dkey| Op::PunchDkey { object: 0, dkey, cond: Cond::NONE };
    let same = [read(0, 4), write(0, 0, 4)];
    assert_eq!(race(&two, &same, &same), ONE, "both read and put back");
    assert_eq!(race(&two, &same, &[punch(0)]), ONE, "it went");
    assert_eq!(race(&two, &same, &[write(1, 0, 4), punch(1)]), BOTH, "another dkey");
    let other = Op::Write { object: 0, dkey: 0, index: 0, count: 4, value: 9 };
    let looks = [read(0, 4), other, read(0, 4), punch(0), read(0, 4)];
    assert_eq!(race(&two, &looks, &[put(0, 2)]), BOTH, "who put it back looks again");
}

fn put(dkey: u8, value: u8) -> Op {
    Op::Put { object: KV, dkey, akey: 0, value, len: 1, cond: Cond::NONE }
}

fn get(dkey: u8) -> Op {
    Op::Get { object: KV, dkey, akey: 0, cond: Cond::NONE }
}

fn list(reverse: bool, pages: usize) -> Op {
    Op::List { object: KV, dkey: None, count: 1, pages, reverse }
}

fn read(index: u64, count: u64) -> Op {
    Op::Read { object: 0, dkey: 0, recxs: vec![(index, count)] }
}

fn write(dkey: u8, index: u64, count: u64) -> Op {
    Op::Write { object: 0, dkey, index, count, value: 7 }
}

/// Two transactions that both begin before either commits, the first to commit being the second: what becomes of the first.
fn race(before: &[Op], first: &[Op], second: &[Op]) -> Counts {
    let step = |who: usize| move |op: &Op| Event::Do(who, op.clone());
    let mut events: Vec<Event> = before.iter().map(step(OPEN)).collect();
    events.extend(first.iter().map(step(0)));
    events.extend(second.iter().map(step(1)));
    events.extend([Event::Commit(1), Event::Commit(0)]);
    play(&events).unwrap()
}

/// A name; what is there before, what the first transaction does, what the second.
type Race<'a> = (&'a str, &'a [Op], &'a [Op], &'a [Op]);

const BOTH: Counts = (2, 0);
const ONE: Counts = (1, 1);

#[test]
fn what_must_conflict_does() {
    let two = [put(0, 1), put(1, 1)];
    let hole = Op::Hole { object: 0, dkey: 0, index: 2, count: 1 };
    let insert = Op::Put { object: KV, dkey: 2, akey: 0, value: 2, len: 1, cond: Cond::DKEY_INSERT };
    let extreme = |greatest| Op::Extreme { object: 0, greatest, dkey: None };
    let akey = |akey| Op::Put { object: 0, dkey: 0, akey, value: 1, len: 1, cond: Cond::NONE };
    let punch = Op::PunchAkey { object: 0, dkey: 0, akey: 0, cond: Cond::NONE };
    let dkeys = Op::List { object: 0, dkey: None, count: 9, pages: 1, reverse: false };
    let cases: [Race<'_>; 12] = [
        ("lost update", &two, &[get(0), put(0, 2)], &[get(0), put(0, 3)]),
        ("write skew", &two, &[get(0), put(1, 2)], &[get(1), put(0, 2)]),
        ("phantom", &two, &[list(false, 9), put(0, 9)], &[put(2, 1)]),
        ("phantom, descending", &two, &[list(true, 9), put(0, 9)], &[put(2, 1)]),
        (
            "a key that went",
            &two,
            &[list(false, 9), put(0, 9)],
            &[Op::PunchObject { object: KV, cond: Cond::NONE }],
        ),
        ("two inserts", &two, std::slice::from_ref(&insert), std::slice::from_ref(&insert)),
        (
            "a refusal",
            std::slice::from_ref(&insert),
            &[insert.clone(), put(0, 2)],
            &[Op::PunchDkey { object: KV, dkey: 2, cond: Cond::NONE }],
        ),
        ("records", &[write(0, 0, 9)], &[read(2, 2), put(0, 1)], &[write(0, 3, 4)]),
        ("a hole", &[write(0, 0, 9)], &[read(2, 2), put(0, 1)], &[hole]),
        ("the end of an array", &[write(0, 0, 9)], &[extreme(true), put(0, 1)], &[write(1, 20, 1)]),
        ("its beginning", &[write(0, 5, 9)], &[extreme(false), put(0, 1)], &[write(0, 2, 1)]),
        ("a dkey that an emptied akey took away", &[akey(0)], &[punch, dkeys], &[akey(1)]),
    ];
    for (what, before, first, second) in cases {
        assert_eq!(race(before, first, second), ONE, "{what}");
    }
}

#[test]
fn what_need_not_conflict_does_not() {
    let two = [put(0, 1), put(1, 1)];
    let cases: [Race<'_>; 9] = [
        ("other keys", &two, &[get(0), put(0, 2)], &[get(1), put(1, 2)]),
        ("blind writes", &two, &[put(0, 2)], &[put(0, 3)]),
        ("a blind write that is read back", &two, &[put(0, 2), get(0)], &[put(0, 3)]),
        ("new values of listed keys", &two, &[list(false, 9), put(2, 9)], &[put(0, 2), put(1, 2)]),
        ("a key behind the page", &two, &[list(false, 1), put(0, 9)], &[put(2, 1)]),
        (
            "a key before the page, descending",
            &[put(1, 1), put(2, 1)],
            &[list(true, 1), put(1, 9)],
            &[put(0, 1)],
        ),
        ("records beside", &[write(0, 0, 9)], &[read(2, 2), put(0, 1)], &[write(0, 4, 4)]),
        ("only reads", &two, &[get(0), get(1), list(false, 9)], &[put(0, 2), put(2, 2)]),
        ("another object", &[], &[list(false, 9), put(0, 1)], &[write(0, 0, 1)]),
    ];
    for (what, before, first, second) in cases {
        assert_eq!(race(before, first, second), BOTH, "{what}");
    }
}

#[test]
fn an_object_that_is_forgotten_while_a_transaction_writes_it_stays_there_for_that() {
    let punch = Op::PunchObject { object: 0, cond: Cond::NONE };
    let dkeys = Op::List { object: 0, dkey: None, count: 1, pages: 1, reverse: false };
    let events = [
        Event::Do(OPEN, write(0, 0, 1)),
        Event::Do(OPEN, punch),
        Event::Do(0, write(0, 0, 1)),
        Event::Aggregate,
        Event::Do(0, dkeys),
        Event::Do(0, read(0, 1)),
    ];
    assert_eq!(play(&events), Ok((1, 0)));
}

#[test]
fn the_check_finds_a_commit_that_looked_at_nothing() {
    // What committing without validation would have let through.
    let mut history = History::default();
    let taken = |op: Op, answer: &str| (op, answer.to_owned());
    history.committed(0, vec![taken(put(0, 5), "done")]);
    history.committed(1, vec![taken(get(0), "1 of Some(5)"), taken(put(0, 6), "done")]);
    history.committed(1, vec![taken(get(0), "1 of Some(5)"), taken(put(0, 7), "done")]);
    assert!(history.check().unwrap_err().contains("1 of Some(6) one after the other"));
    // One that only reads counts where it began, and may read what is old.
    let mut history = History::default();
    history.committed(0, vec![taken(put(0, 5), "done")]);
    history.committed(1, vec![taken(put(0, 6), "done")]);
    history.committed(1, vec![taken(get(0), "1 of Some(5)")]);
    assert_eq!(history.check(), Ok(()));
}

#[test]
fn a_draft_has_bounds_and_what_is_too_much_has_not_happened() {
    let world = World::new();
    let (_, mut draft) = world.begin();
    let by = &mut By::Draft(&mut draft);
    let large = |dkey| Op::Put { object: KV, dkey, akey: 0, value: 1, len: 5_000, cond: Cond::NONE };
    let mut puts = 0;
    while world.run(&large(0), by) == "done" {
        puts += 1;
        assert!(puts < 5_000);
    }
    assert!(puts > 1_000, "{puts}");
    assert_eq!(world.run(&large(1), by), "Overflow");
    assert_eq!(world.run(&get(1), by), "0 of None");
    assert_eq!(world.run(&get(0), by), "5000 of Some(1)");
    world.commit(draft).unwrap();
    let (_, mut draft) = world.begin();
    let by = &mut By::Draft(&mut draft);
    let reads = (0..u16::MAX).take_while(|_| world.run(&get(0), by) != "Overflow").count();
    assert_eq!(reads, usize::from(u16::MAX) - 1);
    world.commit(draft).unwrap();
}
