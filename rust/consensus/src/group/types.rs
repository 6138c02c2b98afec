//! What goes into a group and what comes out.

use crate::entry::{Entry, Snapshot};
use crate::error::{ConsensusError, Result};
use crate::ids::{Change, Members, ReplicaId};
use crate::limits;
use crate::message::Message;

/// Which request an answer is for: any number that the caller does not use twice at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub u64);

/// Where election timeouts come from: another number for each replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(pub u64);

/// What a replica promised: it must be stored before anybody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hard {
    /// The latest term it has seen.
    pub term: u64,
    /// Whom it voted for in that term, as a number; 0 for nobody.
    pub vote: u64,
    /// Up to where it knows entries to be committed.
    pub commit: u64,
}

/// What a replica's storage holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Who it is.
    pub me: ReplicaId,
    /// Milliseconds of a tick: the same at all replicas of a group.
    pub tick_ms: u32,
    /// Its promises.
    pub hard: Hard,
    /// The newest snapshot.
    pub snapshot: Snapshot,
    /// The last entry before those that are kept: its index and term. Not behind the snapshot.
    pub start: (u64, u64),
    /// The entries behind it, without a gap.
    pub entries: Vec<Entry>,
}

/// Milliseconds of a tick where nothing else is asked for: elections after one to two seconds.
pub(crate) const TICK_MS: u32 = 100;

impl Saved {
    /// The first state of a replica of a new group. All its first replicas are given the same.
    pub fn first(me: ReplicaId, members: Members, data: Vec<u8>) -> Self {
        let snapshot = Snapshot::first(members, data);
        let hard = Hard { term: 1, vote: 0, commit: 1 };
        Self {
            me,
            tick_ms: TICK_MS,
            hard,
            start: (snapshot.index, snapshot.term),
            snapshot,
            entries: Vec::new(),
        }
    }

    /// The state of a replica that joins a group, of which it knows nothing: its leader tells it all.
    pub fn joining(me: ReplicaId) -> Self {
        let hard = Hard { term: 1, ..Hard::default() };
        Self { me, tick_ms: TICK_MS, hard, snapshot: Snapshot::default(), start: (0, 0), entries: Vec::new() }
    }

    /// The same with other ticks; refuses a first state that is none.
    pub fn ticking(self, tick_ms: u32) -> Result<Self> {
        let wrong = |why: &str| Err(ConsensusError::Invalid(why.to_owned()));
        let Members { voters, .. } = &self.snapshot.members;
        if !(1..=10_000).contains(&tick_ms) {
            return wrong("a tick has 1 to 10000 milliseconds");
        }
        if self.snapshot.index > 0 && !voters.contains(&self.me) {
            return wrong("the replica is not among those of its group");
        }
        if voters.len() > limits::REPLICAS_MAX || self.snapshot.data.len() > limits::SNAPSHOT_BYTES_MAX {
            return wrong("a group has at most 32 replicas, and begins with a state of at most 32 MiB");
        }
        Ok(Self { tick_ms, ..self })
    }

    /// Refuses what no replica can have stored.
    pub(crate) fn check(&self) -> Result<()> {
        let (start, last) = (self.start.0, self.start.0 + self.entries.len() as u64);
        let gapless = self.entries.iter().zip(start + 1..).all(|(entry, index)| entry.index == index);
        let terms = std::iter::once(self.start.1).chain(self.entries.iter().map(|entry| entry.term));
        let rising = terms.clone().zip(terms.skip(1)).all(|(one, next)| one <= next);
        let last_term = self.entries.last().map_or(self.start.1, |entry| entry.term);
        let snapshot = self.snapshot.index;
        let sound = gapless
            && rising
            && self.tick_ms > 0
            && last_term <= self.hard.term
            && (start..=last).contains(&snapshot)
            && (snapshot..=last).contains(&self.hard.commit)
            && (snapshot == 0) == self.snapshot.members.voters.is_empty();
        if sound {
            return Ok(());
        }
        Err(ConsensusError::Damaged("its records contradict each other".to_owned()))
    }
}

/// What happens to a replica.
#[derive(Debug, Clone)]
pub enum Event {
    /// Time has passed.
    Time,
    /// Another replica says something.
    Message(Message),
    /// A command is to be agreed on.
    Propose {
        /// To answer it by.
        token: Token,
        /// The command.
        command: Vec<u8>,
    },
    /// A member is to come or go.
    Change {
        /// To answer it by.
        token: Token,
        /// Who.
        change: Change,
    },
    /// A read wants to see all that was acknowledged before it was asked.
    Read {
        /// To answer it by.
        token: Token,
    },
    /// All writes up to this number survive a power cut.
    Durable(u64),
    /// It must not go on, for this reason.
    Fail(String),
    /// The application's state after an entry.
    Snapshot {
        /// The entry, one that was given out.
        index: u64,
        /// The state.
        data: Vec<u8>,
    },
}

/// What is to be stored, as one: all of it or nothing may survive.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Write {
    /// To be told when it is durable; 0 where nobody waits for that.
    pub number: u64,
    /// The promises.
    pub hard: Hard,
    /// Stored entries from the first of these on give way to them.
    pub entries: Vec<Entry>,
    /// A new snapshot, in place of the old one.
    pub snapshot: Option<Snapshot>,
    /// Entries up to this one, given by index and term, are needed no more.
    pub start: Option<(u64, u64)>,
    /// No stored entry is needed any more; those above are stored behind `start`.
    pub clears_log: bool,
    /// Nobody waits for it, and a power cut may take it back: it becomes durable with the next one that is awaited.
    pub lazy: bool,
}

/// Who leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Role {
    /// The term.
    pub term: u64,
    /// Its leader, where one is known.
    pub leader: Option<ReplicaId>,
    /// This replica leads, and has given out all that was committed before.
    pub leads: bool,
}

/// What the application is told, in the order of the log.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Its state is this one now, whatever it was.
    Install(Snapshot),
    /// A command was agreed on.
    Command {
        /// Its place.
        index: u64,
        /// The term of the leader that took it.
        term: u64,
        /// The command.
        data: Vec<u8>,
    },
    /// Members changed.
    Members {
        /// By which entry.
        index: u64,
        /// Who belongs now.
        members: Members,
    },
    /// Who leads changed.
    Role(Role),
    /// The log has grown: a snapshot of the state after this entry, or a later one, is wanted.
    SnapshotWanted {
        /// The last entry given out.
        index: u64,
    },
    /// The replica takes part no more.
    Stopped(String),
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// It is agreed on for ever.
    Committed {
        /// Its place.
        index: u64,
        /// In which term.
        term: u64,
    },
    /// Whoever has applied all entries up to here sees all that was acknowledged before the read was asked for.
    Read {
        /// The entry.
        index: u64,
    },
    /// Why not; an uncertain one may still be agreed on.
    Refused(ConsensusError),
}

/// What is to be done.
#[derive(Debug, Clone, Default)]
pub struct Effects {
    /// To be sent, whenever; each may be lost.
    pub sends: Vec<Message>,
    /// To be stored, in this order.
    pub writes: Vec<Write>,
    /// To be told to the application, in this order.
    pub outputs: Vec<Output>,
    /// Outcomes of requests; what they rest on is among the outputs so far.
    pub answers: Vec<(Token, Answer)>,
}
