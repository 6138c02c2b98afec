//! A replica of one group: decides what is stored, sent and applied. No clock, no I/O, no randomness but from its seed.
//!
//! What is Raft in here is the library `raft`; this file alone talks to it.

mod asking;
mod types;

pub use types::{Answer, Effects, Event, Hard, Output, Role, Saved, Seed, Token, Write};

use crate::entry::{Entry, EntryKind, Snapshot};
use crate::error::{ConsensusError, Result};
use crate::ids::{Members, ReplicaId};
use crate::limits;
use crate::memlog::MemLog;
use crate::message::Message;
use asking::to_raft;
use daos_net::Moment;
use raft::eraftpb::MessageType;
use raft::{Config, ProgressState, RawNode, Ready, SnapshotStatus, StateRole};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A replica of a group.
pub struct Group {
    me: ReplicaId,
    seed: u64,
    tick_us: u64,
    /// Ticks are counted from here.
    ticked: Moment,
    raw: RawNode<MemLog>,
    /// Number of the last write that is not empty, and of the last that is durable.
    written: u64,
    durable: u64,
    /// What may be said when a write is durable.
    held: VecDeque<(u64, Vec<Message>)>,
    /// Snapshots that came: by the number of their write.
    installed: VecDeque<(u64, u64)>,
    /// Proposals by their place: index and term.
    proposals: VecDeque<(u64, u64, Token)>,
    /// Reads that nobody has been asked about yet.
    reads_new: VecDeque<Token>,
    reads: BTreeSet<Token>,
    /// Reads that a majority has confirmed, by the entry that must be given out first.
    confirmed: BTreeSet<(u64, Token)>,
    /// The last entry given out, and who belonged to the group from which entry on.
    applied: u64,
    members: BTreeMap<u64, Members>,
    /// Bytes of entries given out since the newest snapshot.
    bytes_since: u64,
    asked_for_snapshot: bool,
    /// For how many ticks a follower has been waiting for the outcome of a snapshot.
    snapshots_sent: BTreeMap<u64, u32>,
    role: Role,
    out: Effects,
    stopped: Option<String>,
    /// Ticks of a group that nobody has led.
    first_ticks: usize,
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group")
            .field("me", &self.me)
            .field("role", &self.role)
            .field("applied", &self.applied)
            .finish_non_exhaustive()
    }
}

/// The term of a group that nobody has led.
const FIRST_TERM: u64 = 1;

impl Group {
    /// A replica as its storage has it. The first effects install the snapshot it begins with.
    pub fn new(now: Moment, seed: Seed, saved: &Saved) -> Result<Self> {
        saved.check()?;
        let config = Config {
            id: saved.me.number(),
            election_tick: limits::ELECTION_TICKS,
            heartbeat_tick: limits::HEARTBEAT_TICKS,
            applied: saved.snapshot.index,
            max_size_per_msg: limits::APPEND_BYTES_MAX as u64,
            max_inflight_msgs: limits::INFLIGHT_MAX,
            max_uncommitted_size: limits::UNCOMMITTED_BYTES_MAX as u64,
            max_committed_size_per_ready: limits::APPEND_BYTES_MAX as u64,
            check_quorum: true,
            pre_vote: true,
            ..Config::default()
        };
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let made = catch_unwind(AssertUnwindSafe(|| RawNode::new(&config, MemLog::new(saved), &logger)));
        let raw = match made {
            Ok(Ok(raw)) => raw,
            Ok(Err(error)) => return Err(ConsensusError::Damaged(error.to_string())),
            Err(_) => return Err(ConsensusError::Damaged("what is stored contradicts itself".to_owned())),
        };
        let snapshot = saved.snapshot.clone();
        let mut out = Effects::default();
        let (applied, members) =
            (snapshot.index, BTreeMap::from([(snapshot.index, snapshot.members.clone())]));
        if snapshot.index > 0 {
            out.outputs.push(Output::Install(snapshot));
        }
        let mut group = Self {
            me: saved.me,
            seed: seed.0,
            tick_us: u64::from(saved.tick_ms) * 1000,
            ticked: now,
            raw,
            written: 0,
            durable: 0,
            held: VecDeque::new(),
            installed: VecDeque::new(),
            proposals: VecDeque::new(),
            reads_new: VecDeque::new(),
            reads: BTreeSet::new(),
            confirmed: BTreeSet::new(),
            applied,
            members,
            bytes_since: 0,
            asked_for_snapshot: false,
            snapshots_sent: BTreeMap::new(),
            first_ticks: 0,
            role: Role::default(),
            out,
            stopped: None,
        };
        group.choose_timeout();
        Ok(group)
    }

    /// Who it is.
    pub const fn me(&self) -> ReplicaId {
        self.me
    }

    /// Who leads, as far as it knows.
    pub const fn role(&self) -> Role {
        self.role
    }

    /// Who belongs to the group, as of the last entry given out.
    pub fn members(&self) -> Members {
        self.members.values().next_back().cloned().unwrap_or_default()
    }

    /// The last entry given out.
    pub const fn applied(&self) -> u64 {
        self.applied
    }

    /// The first entry kept, and the last.
    pub fn log_range(&self) -> (u64, u64) {
        let log = self.raw.store();
        (log.start.0 + 1, log.last())
    }

    /// When it wants to be told the time: never, where it takes part no more.
    pub fn next_time(&self) -> Moment {
        if self.stopped.is_some() {
            return Moment::MAX;
        }
        Moment(self.ticked.0.saturating_add(self.tick_us))
    }

    /// Takes an event, and answers what is to be done about it.
    ///
    /// Effects must be carried out in the order in which they came. [`Event::Durable`] may be said of a [`Write`] only when a power
    /// cut cannot take it back.
    pub fn on(&mut self, now: Moment, event: Event) -> Effects {
        self.on_all(now, [event])
    }

    /// Takes events that came together, in their order, as [`Group::on`] does one: what they lead to is stored and sent as one,
    /// however many they are.
    pub fn on_all(&mut self, now: Moment, events: impl IntoIterator<Item = Event>) -> Effects {
        let mut events = events.into_iter();
        if self.stopped.is_none() {
            let done = catch_unwind(AssertUnwindSafe(|| {
                let mut commands = Vec::new();
                while self.stopped.is_none()
                    && let Some(event) = events.next()
                {
                    if let Event::Propose { token, command } = event {
                        commands.push((token, command));
                        continue;
                    }
                    let before = self.standing();
                    self.propose_all(std::mem::take(&mut commands));
                    self.take(now, event);
                    if self.standing() != before {
                        // What was asked of a leader that is none any more is answered before anything else is asked.
                        self.settle();
                    }
                }
                self.propose_all(commands);
                self.settle();
            }));
            if done.is_err() {
                // The library panics where it finds what cannot be: this replica must not go on, others may.
                self.stop("its state contradicts what another replica says".to_owned());
            }
        }
        for event in events {
            if let Event::Propose { token, .. } | Event::Change { token, .. } | Event::Read { token } = event
            {
                let why = self.stopped.clone().unwrap_or_default();
                self.out.answers.push((token, Answer::Refused(ConsensusError::Stopped(why))));
            }
        }
        std::mem::take(&mut self.out)
    }

    /// Who leads, in the library's words.
    fn standing(&self) -> (u64, StateRole, u64) {
        let raft = &self.raw.raft;
        (raft.term, raft.state, raft.leader_id)
    }

    fn take(&mut self, now: Moment, event: Event) {
        match event {
            Event::Time => self.on_time(now),
            Event::Message(message) => self.on_message(message),
            Event::Propose { token, command } => self.propose_all(vec![(token, command)]),
            Event::Change { token, change } => self.change(token, change),
            Event::Read { token } => self.read(token),
            Event::Durable(number) => self.on_durable(number),
            Event::Fail(why) => self.stop(why),
            Event::Snapshot { index, data } => self.on_snapshot(index, data),
        }
    }

    fn stop(&mut self, why: String) {
        // What this very event brought was decided on a state that is not to be trusted.
        self.out = Effects::default();
        self.lose(&format!("the replica stopped: {why}"));
        self.out.outputs.push(Output::Stopped(why.clone()));
        self.stopped = Some(why);
    }

    fn on_time(&mut self, now: Moment) {
        let passed = now.0.saturating_sub(self.ticked.0) / self.tick_us.max(1);
        if passed == 0 {
            return;
        }
        self.ticked =
            if passed > limits::CATCH_UP_TICKS { now } else { Moment(self.ticked.0 + passed * self.tick_us) };
        for _ in 0..passed.min(limits::CATCH_UP_TICKS) {
            self.raw.tick();
            self.look_at_first_election();
            self.choose_timeout();
            self.look_after_snapshots();
        }
        self.promote();
    }

    /// The library draws election timeouts by chance of its own: here they come from the seed, the term and the role.
    fn choose_timeout(&mut self) {
        let raft = &mut self.raw.raft;
        let chance = mix(self.seed ^ mix(raft.term) ^ raft.state as u64);
        let ticks = limits::ELECTION_TICKS + (chance % limits::ELECTION_TICKS as u64) as usize;
        raft.set_randomized_election_timeout(ticks);
    }

    /// In a group that nobody has led yet there is no leader whom haste could disturb: its replicas take turns, the first at once.
    fn look_at_first_election(&mut self) {
        let raft = &self.raw.raft;
        if raft.term != FIRST_TERM || raft.state != StateRole::Follower || raft.leader_id != 0 {
            return;
        }
        let members = self.members.values().next_back();
        let place = members.and_then(|members| members.voters.iter().position(|voter| *voter == self.me));
        let Some(place) = place else { return };
        self.first_ticks += 1;
        if self.first_ticks == limits::FIRST_ELECTION_TICKS + place * limits::FIRST_ELECTION_TURN_TICKS {
            // It fails only where the replica may not ask, and then it waits like others.
            let _ = self.raw.campaign();
        }
    }

    /// A snapshot may be lost on its way like anything else.
    fn look_after_snapshots(&mut self) {
        if self.raw.raft.state != StateRole::Leader {
            self.snapshots_sent.clear();
            return;
        }
        let sent: Vec<u64> = self
            .raw
            .raft
            .prs()
            .iter()
            .filter(|(_, progress)| progress.state == ProgressState::Snapshot)
            .map(|(id, _)| *id)
            .collect();
        self.snapshots_sent.retain(|id, _| sent.contains(id));
        for id in sent {
            let ticks = self.snapshots_sent.entry(id).or_default();
            *ticks += 1;
            if *ticks >= limits::SNAPSHOT_TICKS {
                *ticks = 0;
                self.raw.report_snapshot(id, SnapshotStatus::Failure);
            }
        }
    }

    fn on_message(&mut self, message: Message) {
        if message.to() != self.me {
            // For a replica that was here before.
            return;
        }
        let raft = &self.raw.raft;
        let heartbeat = message.raft.get_msg_type() == MessageType::MsgHeartbeat;
        if heartbeat && message.raft.term >= raft.term && message.raft.commit > raft.raft_log.last_index() {
            self.stop(format!(
                "{} says that entry {} is here, and it is not: the storage has lost what it acknowledged",
                message.from(),
                message.raft.commit
            ));
            return;
        }
        // What a replica says that is no member, or says too late, is nobody's concern.
        let _ = self.raw.step(message.raft);
        self.choose_timeout();
    }

    fn on_durable(&mut self, number: u64) {
        if number <= self.durable {
            return;
        }
        self.durable = number;
        self.raw.on_persist_ready(number);
        while let Some((of, index)) = self.installed.front().copied()
            && of <= number
        {
            self.installed.pop_front();
            if index > self.raw.raft.raft_log.applied {
                self.raw.advance_apply_to(index);
            }
        }
        while self.held.front().is_some_and(|(of, _)| *of <= number) {
            let messages = self.held.pop_front().map(|(_, messages)| messages);
            self.out.sends.extend(messages.into_iter().flatten());
        }
    }

    fn on_snapshot(&mut self, index: u64, data: Vec<u8>) {
        self.asked_for_snapshot = false;
        let log = self.raw.store();
        let newer = index > log.snapshot.index && index <= self.applied;
        // What was installed meanwhile is newer than what the application looked at.
        let Some(term) = log.term_at(index).filter(|_| newer && data.len() <= limits::SNAPSHOT_BYTES_MAX)
        else {
            return;
        };
        let Some((_, members)) = self.members.range(..=index).next_back() else { return };
        let snapshot = Snapshot { index, term, members: members.clone(), data: std::sync::Arc::new(data) };
        self.members = self.members.split_off(&index);
        self.members.entry(index).or_insert_with(|| snapshot.members.clone());
        self.bytes_since = 0;
        self.raw.mut_store().compact(snapshot.clone(), index.saturating_sub(limits::KEPT_ENTRIES));
        let log = self.raw.store();
        self.out.writes.push(Write {
            snapshot: Some(snapshot),
            start: Some(log.start),
            hard: log.hard,
            ..Write::default()
        });
    }

    /// Takes from the library what it wants done.
    fn settle(&mut self) {
        if self.stopped.is_some() {
            return;
        }
        loop {
            self.ask_reads();
            if !self.raw.has_ready() {
                break;
            }
            let ready = self.raw.ready();
            self.carry(ready);
        }
        self.tell_role();
        self.want_snapshot();
    }

    fn carry(&mut self, mut ready: Ready) {
        let number = ready.number();
        self.out.sends.extend(ready.take_messages().into_iter().filter_map(Message::of));
        let mut write = Write { number, ..Write::default() };
        let snapshot = ready.snapshot();
        if snapshot.get_metadata().index > 0 {
            let snapshot = Snapshot::from_raft(snapshot);
            self.install(number, &snapshot);
            write.start = Some((snapshot.index, snapshot.term));
            write.clears_log = true;
            write.snapshot = Some(snapshot);
        }
        let entries = ready.take_entries();
        let log = self.raw.mut_store();
        log.append(&entries);
        if let Some(hard) = ready.hs() {
            log.hard = Hard { term: hard.term, vote: hard.vote, commit: hard.commit };
        }
        write.hard = log.hard;
        write.entries = entries.iter().map(Entry::from_raft).collect();
        let nothing = ready.hs().is_none() && write.entries.is_empty() && write.snapshot.is_none();
        // Nothing is new but how far the log is committed, which is told again by whoever leads next; and nothing before it is awaited.
        write.lazy = !ready.must_sync() && self.written <= self.durable;
        let reads = ready.take_read_states();
        let committed = ready.take_committed_entries();
        let after: Vec<Message> =
            ready.take_persisted_messages().into_iter().filter_map(Message::of).collect();
        self.raw.advance_append_async(ready);
        if write.lazy {
            self.raw.on_persist_ready(number);
            self.durable = self.durable.max(number);
            self.out.sends.extend(after);
            if !nothing {
                self.out.writes.push(write);
            }
        } else {
            self.held.push_back((number, after));
            self.written = number;
            self.out.writes.push(write);
        }
        for entry in committed {
            self.apply(&Entry::from_raft(&entry));
        }
        if self.raw.raft.state == StateRole::Leader && !self.members().all().contains(&self.me) {
            // Who was removed must not go on leading those that stay: they would never choose another.
            let term = self.raw.raft.term;
            self.raw.raft.become_follower(term, 0);
        }
        if self.raw.raft.raft_log.applied < self.applied && self.installed.is_empty() {
            self.raw.advance_apply_to(self.applied);
        }
        for read in reads {
            let Some(token) = read.request_ctx.as_slice().try_into().ok().map(u64::from_le_bytes).map(Token)
            else {
                continue;
            };
            if self.reads.remove(&token) {
                self.confirmed.insert((read.index, token));
            }
        }
        // Others may have stored an entry before this replica has: then it is committed, and not given out yet.
        while let Some((index, token)) = self.confirmed.first().copied()
            && index <= self.applied
        {
            self.confirmed.pop_first();
            self.out.answers.push((token, Answer::Read { index }));
        }
    }

    fn install(&mut self, number: u64, snapshot: &Snapshot) {
        self.raw.mut_store().install(snapshot.clone());
        self.installed.push_back((number, snapshot.index));
        self.applied = snapshot.index;
        self.members = BTreeMap::from([(snapshot.index, snapshot.members.clone())]);
        (self.bytes_since, self.asked_for_snapshot) = (0, false);
        self.out.outputs.push(Output::Install(snapshot.clone()));
    }

    fn apply(&mut self, entry: &Entry) {
        let Entry { index, term, kind } = entry;
        self.applied = *index;
        self.bytes_since += entry.len() as u64;
        match kind {
            EntryKind::Empty => {}
            EntryKind::Command(data) => {
                self.out.outputs.push(Output::Command { index: *index, term: *term, data: data.clone() });
            }
            EntryKind::Members(change) => {
                // What the library refuses it refuses at every replica: then the entry changes nothing.
                if let Ok(state) = self.raw.apply_conf_change(&to_raft(*change)) {
                    let members = Members::from_raft(&state);
                    self.members.insert(*index, members.clone());
                    self.out.outputs.push(Output::Members { index: *index, members });
                }
            }
        }
        while let Some((at, of, token)) = self.proposals.front().copied()
            && at <= *index
        {
            self.proposals.pop_front();
            let ours = at == *index && of == *term;
            let answer = if ours {
                Answer::Committed { index: at, term: of }
            } else {
                Answer::Refused(ConsensusError::Uncertain("another leader's entry took its place".to_owned()))
            };
            self.out.answers.push((token, answer));
        }
    }

    fn tell_role(&mut self) {
        let raft = &self.raw.raft;
        let leader = ReplicaId::from_number(raft.leader_id);
        let state = raft.state == StateRole::Leader;
        if !state {
            self.lose("the replica lost its leadership");
        }
        let raft = &self.raw.raft;
        // A leader acts only on what its predecessors committed, which is known with the first entry of its own.
        let leads = state && raft.apply_to_current_term();
        let role = Role { term: raft.term, leader, leads };
        if role != self.role {
            self.role = role;
            self.out.outputs.push(Output::Role(role));
        }
    }

    fn want_snapshot(&mut self) {
        let behind = self.applied - self.raw.store().snapshot.index;
        let enough = behind >= limits::SNAPSHOT_ENTRIES || self.bytes_since >= limits::SNAPSHOT_LOG_BYTES;
        if (enough || self.raw.store().take_wanted()) && !self.asked_for_snapshot && self.applied > 0 {
            self.asked_for_snapshot = true;
            self.out.outputs.push(Output::SnapshotWanted { index: self.applied });
        }
    }
}

/// A number that looks like chance.
fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests;
