//! Replicas, their disks, and a network that does its worst, all from a seed. What must always hold is checked with each event.

use crate::disk::store;
use daos_consensus::{
    Answer, Change, ConsensusError, Effects, Event, Group, Members, Message, Output, ReplicaId, Saved, Seed,
    Snapshot, Token, Write,
};
use daos_net::Moment;
use daos_types::Rank;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub fn id(rank: u32, generation: u32) -> ReplicaId {
    ReplicaId::new(Rank(rank), generation).unwrap()
}

pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    pub fn happens(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }
}

pub struct Replica {
    pub group: Option<Group>,
    pub disk: Saved,
    /// What its disk was first, and every write that reached it.
    pub journal: (Saved, Vec<Write>),
    /// Written, and not synced.
    pub pending: VecDeque<Write>,
    /// What the application holds: its commands in order.
    pub state: Vec<Vec<u8>>,
    pub applied: u64,
    pub asked_for_snapshot: bool,
    /// Its storage is gone for good.
    pub dead: bool,
    /// What came while it was busy, and is told it together with what comes next.
    came: Vec<Event>,
}

#[derive(Default, Clone, Copy)]
pub struct Faults {
    pub lost: u64,
    pub doubled: u64,
    pub delay_us: u64,
    /// How often a replica does not look at what came before more has come.
    pub busy: u64,
}

enum Asked {
    Command(Vec<u8>),
    Change,
    /// What was acknowledged before.
    Read(u64),
}

pub struct World {
    pub random: Random,
    pub now: Moment,
    pub replicas: BTreeMap<ReplicaId, Replica>,
    /// What is under way: by when it arrives.
    wire: BTreeMap<(u64, u64), Vec<u8>>,
    serial: u64,
    pub faults: Faults,
    /// Ranks that do not hear others: (from, to).
    pub cut: BTreeSet<(Rank, Rank)>,
    asked: BTreeMap<Token, Asked>,
    /// What was applied anywhere, by place.
    pub chosen: BTreeMap<u64, (u64, Vec<u8>)>,
    /// The last place that was acknowledged to a client.
    pub acknowledged: u64,
    pub answers: u64,
    pub reads: u64,
    pub snapshots_installed: u64,
    leaders: BTreeMap<u64, ReplicaId>,
    pub members: (u64, Members),
    /// Whose disk does not answer.
    pub stalled: Option<ReplicaId>,
    /// A planted mistake: writes are called durable before they are.
    pub lies: bool,
}

impl World {
    pub fn new(seed: u64, voters: u32) -> Self {
        let members = Members::of((0..voters).map(|rank| id(rank, 1)));
        let mut world = Self {
            random: Random(seed),
            now: Moment(1),
            replicas: BTreeMap::new(),
            wire: BTreeMap::new(),
            serial: 0,
            faults: Faults { delay_us: 5_000, ..Faults::default() },
            cut: BTreeSet::new(),
            asked: BTreeMap::new(),
            chosen: BTreeMap::new(),
            acknowledged: 1,
            answers: 0,
            reads: 0,
            snapshots_installed: 0,
            leaders: BTreeMap::new(),
            members: (1, members.clone()),
            stalled: None,
            lies: false,
        };
        for me in members.voters.clone() {
            world.add(Saved::first(me, members.clone(), Vec::new()));
        }
        world
    }

    pub fn add(&mut self, disk: Saved) {
        let me = disk.me;
        let replica = Replica {
            group: None,
            journal: (disk.clone(), Vec::new()),
            disk,
            pending: VecDeque::new(),
            state: Vec::new(),
            applied: 0,
            asked_for_snapshot: false,
            dead: false,
            came: Vec::new(),
        };
        assert!(self.replicas.insert(me, replica).is_none());
        self.start(me);
    }

    pub fn start(&mut self, me: ReplicaId) {
        let seed = Seed(self.random.next());
        let now = self.now;
        let replica = self.replicas.get_mut(&me).unwrap();
        assert!(!replica.dead && replica.group.is_none());
        replica.pending.clear();
        replica.came.clear();
        (replica.state, replica.applied, replica.asked_for_snapshot) = (Vec::new(), 0, false);
        replica.group = Some(Group::new(now, seed, &replica.disk).unwrap());
        self.tell(me, Event::Time);
    }

    /// Without the last writes that were not synced.
    pub fn crash(&mut self, me: ReplicaId) {
        let kept = self.random.next();
        let replica = self.replicas.get_mut(&me).unwrap();
        replica.group = None;
        // A power cut may leave some of what was not synced, from the front.
        let kept = kept as usize % (replica.pending.len() + 1);
        for write in replica.pending.drain(..).take(kept) {
            store(&mut replica.disk, &write);
            replica.journal.1.push(write);
        }
        Group::new(self.now, Seed(0), &replica.disk).unwrap();
    }

    pub fn up(&self) -> Vec<ReplicaId> {
        self.replicas.iter().filter(|(_, replica)| replica.group.is_some()).map(|(me, _)| *me).collect()
    }

    pub fn leader(&self) -> Option<ReplicaId> {
        let leading = |(me, replica): (&ReplicaId, &Replica)| {
            let role = replica.group.as_ref()?.role();
            role.leads.then_some((role.term, *me))
        };
        self.replicas.iter().filter_map(leading).max().map(|(_, me)| me)
    }

    pub fn tell(&mut self, me: ReplicaId, event: Event) {
        let now = self.now;
        let Some(replica) = self.replicas.get_mut(&me) else { return };
        let Some(group) = &mut replica.group else { return };
        let may_wait = !matches!(event, Event::Time | Event::Durable(_));
        replica.came.push(event);
        if may_wait && self.random.happens(self.faults.busy) {
            return;
        }
        let effects = group.on_all(now, std::mem::take(&mut replica.came));
        self.carry_out(me, effects);
    }

    fn carry_out(&mut self, me: ReplicaId, effects: Effects) {
        let wrote = effects.writes.iter().map(|write| write.number).max();
        for write in effects.writes {
            self.replicas.get_mut(&me).unwrap().pending.push_back(write);
        }
        for output in effects.outputs {
            self.apply(me, output);
        }
        for message in effects.sends {
            self.send(&message);
        }
        for (token, answer) in effects.answers {
            self.answered(me, token, &answer);
        }
        if self.random.happens(if self.lies { 50 } else { 700 }) {
            self.sync(me);
        } else if self.lies
            && let Some(last) = wrote
        {
            self.tell(me, Event::Durable(last));
        }
    }

    pub fn sync(&mut self, me: ReplicaId) {
        let Some(replica) = self.replicas.get_mut(&me) else { return };
        if self.stalled == Some(me) {
            return;
        }
        let mut last = 0;
        for write in replica.pending.drain(..) {
            store(&mut replica.disk, &write);
            last = last.max(write.number);
            replica.journal.1.push(write);
        }
        if last > 0 {
            self.tell(me, Event::Durable(last));
        }
    }

    fn send(&mut self, message: &Message) {
        assert!(message.from() != message.to());
        let bytes = message.encode();
        assert!(Message::decode(&bytes).is_some_and(|again| again.encode() == bytes), "{message:?}");
        if self.random.happens(self.faults.lost) {
            return;
        }
        for _ in 0..=u64::from(self.random.happens(self.faults.doubled)) {
            let at = self.now.0 + 100 + self.random.below(self.faults.delay_us);
            self.serial += 1;
            self.wire.insert((at, self.serial), bytes.clone());
        }
    }

    fn apply(&mut self, me: ReplicaId, output: Output) {
        let now_acknowledged = self.acknowledged;
        let replica = self.replicas.get_mut(&me).unwrap();
        match output {
            Output::Install(Snapshot { index, data, members, .. }) => {
                assert!(index > replica.applied, "a state goes back");
                replica.applied = index;
                replica.state = unpack(&data);
                self.snapshots_installed += u64::from(index > 1);
                let commands = self.chosen.range(..=index).map(|(_, (_, command))| command);
                assert!(
                    commands.eq(replica.state.iter()),
                    "a snapshot holds something else than what was agreed on"
                );
                self.note_members(index, members);
            }
            Output::Command { index, term, data } => {
                assert!(index > replica.applied, "an entry is applied twice, or too late");
                replica.applied = index;
                replica.state.push(data.clone());
                let chosen = self.chosen.entry(index).or_insert_with(|| (term, data.clone()));
                assert_eq!(*chosen, (term, data), "state machine safety: two entries at one place");
            }
            Output::Members { index, members } => {
                replica.applied = replica.applied.max(index);
                self.note_members(index, members);
            }
            Output::Role(role) => {
                if let Some(leader) = role.leader {
                    let known = *self.leaders.entry(role.term).or_insert(leader);
                    assert_eq!(known, leader, "election safety: two leaders of term {}", role.term);
                }
                if role.leads {
                    assert_eq!(role.leader, Some(me));
                    let applied = replica.group.as_ref().unwrap().applied();
                    assert!(
                        applied >= now_acknowledged,
                        "leader completeness: it lacks what was acknowledged"
                    );
                }
            }
            Output::SnapshotWanted { .. } => replica.asked_for_snapshot = true,
            Output::Stopped(why) => panic!("{me} stopped: {why}"),
        }
    }

    fn note_members(&mut self, index: u64, members: Members) {
        if index >= self.members.0 {
            assert!(index > self.members.0 || members == self.members.1, "two memberships at one place");
            self.members = (index, members);
        }
    }

    fn answered(&mut self, me: ReplicaId, token: Token, answer: &Answer) {
        let Some(asked) = self.asked.remove(&token) else { panic!("an answer to nothing, or a second one") };
        match (asked, answer) {
            (Asked::Command(command), Answer::Committed { index, term }) => {
                assert_eq!(
                    self.chosen.get(index),
                    Some(&(*term, command)),
                    "acknowledged, and not agreed on"
                );
                self.acknowledged = self.acknowledged.max(*index);
                self.answers += 1;
            }
            (Asked::Change, Answer::Committed { index, .. }) => {
                self.acknowledged = self.acknowledged.max(*index);
            }
            (Asked::Read(before), Answer::Read { index }) => {
                assert!(*index >= before, "a read does not see what was acknowledged before it");
                assert!(
                    self.replicas[&me].group.as_ref().unwrap().applied() >= *index,
                    "a read is told before its state"
                );
                self.reads += 1;
            }
            (_, Answer::Refused(error)) => {
                let known = matches!(
                    error,
                    ConsensusError::NotLeader { .. }
                        | ConsensusError::Uncertain(_)
                        | ConsensusError::Busy
                        | ConsensusError::Invalid(_)
                );
                assert!(known, "{error}");
            }
            _ => panic!("an answer to another question"),
        }
    }

    fn ask(&mut self, asked: Asked) -> Token {
        self.serial += 1;
        let token = Token(self.serial);
        self.asked.insert(token, asked);
        token
    }

    pub fn propose(&mut self, me: ReplicaId) {
        let command = format!("command {}", self.random.next()).into_bytes();
        let token = self.ask(Asked::Command(command.clone()));
        self.tell(me, Event::Propose { token, command });
    }

    pub fn read(&mut self, me: ReplicaId) {
        let token = self.ask(Asked::Read(self.acknowledged));
        self.tell(me, Event::Read { token });
    }

    pub fn change(&mut self, me: ReplicaId, change: Change) {
        let token = self.ask(Asked::Change);
        self.tell(me, Event::Change { token, change });
    }

    pub fn take_snapshot(&mut self, me: ReplicaId) {
        let Some(replica) = self.replicas.get(&me) else { return };
        let Some(group) = &replica.group else { return };
        let (index, data) = (group.applied(), pack(&replica.state));
        self.replicas.get_mut(&me).unwrap().asked_for_snapshot = false;
        self.tell(me, Event::Snapshot { index, data });
    }

    /// Lets so much time pass.
    pub fn run(&mut self, us: u64) {
        let end = self.now.0 + us;
        loop {
            let ticks = self
                .replicas
                .iter()
                .filter_map(|(me, replica)| Some((replica.group.as_ref()?.next_time().0, *me)));
            let tick = ticks.min();
            let arrival = self.wire.keys().next().map(|(at, _)| *at);
            let next = tick.map_or(u64::MAX, |(at, _)| at).min(arrival.unwrap_or(u64::MAX));
            if next > end {
                self.now = Moment(end);
                return;
            }
            self.now = Moment(self.now.0.max(next));
            if arrival == Some(next) {
                let (_, bytes) = self.wire.pop_first().unwrap();
                let message = Message::decode(&bytes).unwrap();
                if !self.cut.contains(&(message.from().rank, message.to().rank)) {
                    self.tell(message.to(), Event::Message(message));
                }
            } else if let Some((_, me)) = tick {
                // What was written is synced sooner or later.
                if !self.lies || self.random.happens(50) {
                    self.sync(me);
                }
                self.tell(me, Event::Time);
                if self.replicas[&me].asked_for_snapshot && self.random.happens(200) {
                    self.take_snapshot(me);
                }
            }
        }
    }

    /// Two logs that have an entry of one place and term in common are the same up to there.
    pub fn check_logs(&self) {
        let disks: Vec<&Saved> = self.replicas.values().map(|replica| &replica.disk).collect();
        for (nth, one) in disks.iter().enumerate() {
            for other in &disks[..nth] {
                let theirs: BTreeMap<u64, _> =
                    other.entries.iter().map(|entry| (entry.index, entry)).collect();
                let mut matched = false;
                for entry in one.entries.iter().rev() {
                    let Some(their) = theirs.get(&entry.index) else { continue };
                    matched |= their.term == entry.term;
                    assert!(!matched || *their == entry, "log matching: {} and {}", one.me, other.me);
                }
            }
        }
    }
}

fn pack(state: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for command in state {
        out.push(command.len() as u8);
        out.extend_from_slice(command);
    }
    out
}

fn unpack(mut data: &[u8]) -> Vec<Vec<u8>> {
    let mut state = Vec::new();
    while let [len, rest @ ..] = data {
        let (command, behind) = rest.split_at(usize::from(*len));
        state.push(command.to_vec());
        data = behind;
    }
    state
}
