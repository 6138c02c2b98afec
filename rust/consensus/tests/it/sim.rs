//! Whole groups under faults from a seed, and what they must do when the faults end.

use crate::world::{Faults, World, id};
use daos_consensus::{Change, Event, Saved};
use daos_types::Rank;

fn seeds(ordinary: u64) -> u64 {
    std::env::var("DAOS_SIM_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ordinary)
}

const SECOND: u64 = 1_000_000;

/// Something goes wrong, or somebody asks for something.
fn stir(world: &mut World, generations: &mut [u32; 5]) {
    let up = world.up();
    let all: Vec<_> = world.replicas.keys().copied().collect();
    let some = |world: &mut World, of: &[_]| of[world.random.below(of.len() as u64) as usize];
    match world.random.below(100) {
        0..=44 => {
            let me = world.leader().filter(|_| up.len() > 1).unwrap_or_else(|| all[0]);
            let me = if world.random.happens(900) || up.is_empty() { me } else { some(world, &up) };
            world.propose_if_up(me);
        }
        45..=59 if !up.is_empty() => {
            let me = world.leader().unwrap_or(up[0]);
            let me = if world.random.happens(700) { me } else { some(world, &up) };
            world.read(me);
        }
        60..=61 if !up.is_empty() => {
            let me = some(world, &up);
            world.crash(me);
        }
        62 => up.iter().for_each(|me| world.crash(*me)),
        63..=79 => {
            let down: Vec<_> = world
                .replicas
                .iter()
                .filter(|(_, it)| it.group.is_none() && !it.dead)
                .map(|(me, _)| *me)
                .collect();
            if !down.is_empty() {
                let me = some(world, &down);
                world.start(me);
            }
        }
        80..=82 => {
            let (one, other) = (Rank(world.random.below(5) as u32), Rank(world.random.below(5) as u32));
            world.cut.insert((one, other));
            if world.random.happens(500) {
                world.cut.insert((other, one));
            }
        }
        83..=89 => world.cut.clear(),
        90..=93 if !up.is_empty() => {
            let me = some(world, &up);
            world.take_snapshot(me);
        }
        94..=96 => change_members(world, generations),
        97 => lose_storage(world),
        _ => {
            let lost = world.random.below(150);
            let doubled = world.random.below(200);
            let delay_us = 1_000 << world.random.below(8);
            let busy = world.random.below(600);
            world.faults = Faults { lost, doubled, delay_us, busy };
        }
    }
}

fn change_members(world: &mut World, generations: &mut [u32; 5]) {
    let Some(leader) = world.leader() else { return };
    let members = world.members.1.clone();
    let dead = members.all().into_iter().find(|me| world.replicas[me].dead);
    let rank = world.random.below(5) as usize;
    if let Some(dead) = dead {
        // The rank comes back under its next generation, and only then is what it was taken out.
        let next = id(dead.rank.0, dead.generation + 1);
        if members.voters.contains(&next) {
            world.change(leader, Change::Remove(dead));
        } else if !members.all().contains(&next) {
            generations[dead.rank.0 as usize] = next.generation;
            if !world.replicas.contains_key(&next) {
                world.add(Saved::joining(next));
            }
            world.change(leader, Change::Add(next));
        }
        return;
    }
    let here = members.all().into_iter().find(|me| me.rank.0 as usize == rank);
    match here {
        Some(me) if members.voters.len() > 3 => world.change(leader, Change::Remove(me)),
        Some(_) => {}
        None => {
            generations[rank] += 1;
            let me = id(rank as u32, generations[rank]);
            world.add(Saved::joining(me));
            world.change(leader, Change::Add(me));
        }
    }
}

/// One voter's storage is lost, where the others are enough to go on.
fn lose_storage(world: &mut World) {
    let members = world.members.1.clone();
    let none_lost = members.all().iter().all(|me| !world.replicas[me].dead);
    // Who does not know yet that an earlier one was taken out still counts it: then this would be the second.
    let known = members.voters.iter().all(|me| world.replicas[me].applied >= world.members.0);
    if none_lost && known && members.voters.len() >= 3 && members.learners.is_empty() {
        let voters: Vec<_> = members.voters.iter().copied().collect();
        let me = voters[world.random.below(voters.len() as u64) as usize];
        let replica = world.replicas.get_mut(&me).unwrap();
        (replica.group, replica.dead) = (None, true);
        replica.pending.clear();
    }
}

/// Without faults a group must agree again, and all its members must come to the same state.
fn heal(world: &mut World, seed: u64) {
    world.cut.clear();
    world.faults = Faults { delay_us: 5_000, ..Faults::default() };
    let down: Vec<_> =
        world.replicas.iter().filter(|(_, it)| it.group.is_none() && !it.dead).map(|(me, _)| *me).collect();
    for me in down {
        world.start(me);
    }
    let before = world.answers;
    for _ in 0..60 {
        world.run(SECOND / 4);
        if let Some(leader) = world.leader() {
            world.propose(leader);
            world.read(leader);
        }
    }
    world.run(2 * SECOND);
    assert!(world.answers > before, "seed {seed}: the group does not agree any more: {}", world.describe());
    let leader = world.leader().unwrap();
    let members = world.members.1.clone();
    for me in members.all() {
        let replica = &world.replicas[&me];
        if !replica.dead {
            assert!(
                replica.state == world.replicas[&leader].state,
                "seed {seed}: {me} did not catch up: {}",
                world.describe()
            );
        }
    }
    assert!(
        members.learners.is_empty() || members.learners.iter().all(|me| world.replicas[me].dead),
        "seed {seed}: a learner stays one"
    );
}

/// One seed of everything.
pub fn run(seed: u64, lies: bool) -> World {
    let mut world = World::new(seed, 3);
    world.lies = lies;
    let mut generations = [1, 1, 1, 0, 0];
    for _ in 0..600 {
        let us = world.random.below(100_000);
        world.run(us);
        stir(&mut world, &mut generations);
        world.check_logs();
    }
    heal(&mut world, seed);
    world.check_logs();
    world
}

#[test]
fn saying_durable_of_what_is_not_is_found() {
    let found = (1..=50).any(|seed| std::panic::catch_unwind(|| run(seed, true)).is_err());
    assert!(found, "no seed sees that acknowledged writes are lost");
}

#[test]
fn a_group_agrees_whatever_happens() {
    let first: u64 = std::env::var("DAOS_SIM_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let (mut answers, mut reads, mut installed, mut changes) = (0, 0, 0, 0);
    for seed in first..first + seeds(60) {
        println!("seed {seed}");
        let world = run(seed, false);
        answers += world.answers;
        reads += world.reads;
        installed += world.snapshots_installed;
        changes += u64::from(world.members.0 > 1);
    }
    println!(
        "{answers} commands, {reads} reads, {installed} snapshots, {changes} groups with changed members"
    );
    assert!(answers > 0 && reads > 0 && installed > 0 && changes > 0);
}

#[test]
fn a_single_replica_leads_itself() {
    let mut world = World::new(5, 1);
    world.run(3 * SECOND);
    let me = world.leader().unwrap();
    world.propose(me);
    world.read(me);
    world.run(SECOND);
    assert_eq!((world.answers, world.reads), (1, 1));
    world.crash(me);
    world.start(me);
    world.run(3 * SECOND);
    assert_eq!(world.replicas[&me].state.len(), 1);
}

#[test]
fn a_minority_neither_leads_nor_answers() {
    let mut world = World::new(9, 3);
    world.run(5 * SECOND);
    let leader = world.leader().unwrap();
    for rank in 0..3 {
        world.cut.insert((leader.rank, Rank(rank)));
        world.cut.insert((Rank(rank), leader.rank));
    }
    let before = (world.answers, world.reads);
    world.propose(leader);
    world.read(leader);
    world.run(5 * SECOND);
    assert_eq!((world.answers, world.reads), before);
    assert!(
        !world.replicas[&leader].group.as_ref().unwrap().role().leads,
        "a leader without a majority steps down"
    );
    let next = world.leader().unwrap();
    assert!(next != leader);
    world.propose(next);
    world.run(SECOND);
    assert_eq!(world.answers, before.0 + 1);
}

#[test]
fn a_leader_whose_disk_is_slow_neither_acknowledges_nor_answers_reads_too_early() {
    let mut world = World::new(6, 3);
    world.run(5 * SECOND);
    let leader = world.leader().unwrap();
    world.stalled = Some(leader);
    world.propose(leader);
    world.run(SECOND / 2);
    // The others have stored it: it is agreed on. Only this replica cannot say so yet.
    world.read(leader);
    world.run(SECOND / 2);
    assert_eq!((world.answers, world.reads), (0, 0));
    world.stalled = None;
    world.run(SECOND);
    assert_eq!((world.answers, world.reads), (1, 1));
}

#[test]
fn who_comes_back_after_a_cut_disturbs_nobody() {
    let mut world = World::new(3, 3);
    world.run(5 * SECOND);
    let leader = world.leader().unwrap();
    let term = world.replicas[&leader].group.as_ref().unwrap().role().term;
    let away = world.up().into_iter().find(|me| *me != leader).unwrap();
    for rank in 0..3 {
        world.cut.insert((away.rank, Rank(rank)));
        world.cut.insert((Rank(rank), away.rank));
    }
    world.run(20 * SECOND);
    world.cut.clear();
    world.run(5 * SECOND);
    assert_eq!(world.leader(), Some(leader));
    assert_eq!(world.replicas[&leader].group.as_ref().unwrap().role().term, term, "a term was wasted");
}

#[test]
fn a_replica_that_forgot_what_it_acknowledged_stops() {
    let mut world = World::new(4, 3);
    world.run(5 * SECOND);
    let leader = world.leader().unwrap();
    world.propose(leader);
    world.run(SECOND);
    let other = world.up().into_iter().find(|me| *me != leader).unwrap();
    let replica = world.replicas.get_mut(&other).unwrap();
    replica.group = None;
    replica.disk = Saved::first(other, world.members.1.clone(), Vec::new());
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        world.start(other);
        world.run(5 * SECOND);
    }));
    let said = outcome.unwrap_err().downcast::<String>().unwrap();
    assert!(said.contains("lost what it acknowledged"), "{said}");
}

impl World {
    fn describe(&self) -> String {
        let one = |(me, it): (&daos_consensus::ReplicaId, &crate::world::Replica)| {
            let group = it.group.as_ref();
            format!(
                "\n{me}: dead {}, {group:?}, log {:?}, {:?}",
                it.dead,
                group.map(daos_consensus::Group::log_range),
                it.disk.hard
            )
        };
        format!("{:?}{}", self.members, self.replicas.iter().map(one).collect::<String>())
    }

    fn propose_if_up(&mut self, me: daos_consensus::ReplicaId) {
        if self.replicas[&me].group.is_some() {
            self.propose(me);
        } else {
            self.tell(me, Event::Time);
        }
    }
}
