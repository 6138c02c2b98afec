//! A replica as its application has it.

use super::{Input, Shared};
use crate::error::{ConsensusError, Result};
use crate::group::{Answer, Event, Group, Output, Role, Token};
use crate::ids::{Change, GroupId, Members, ReplicaId};
use crate::limits;
use daos_locks::Mutex;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What an application is told, in order: an answer comes behind the outputs it rests on.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// What the group agreed on, and who leads.
    Output(Output),
    /// What became of a request.
    Answer(Token, Answer),
}

impl Told {
    fn len(&self) -> usize {
        64 + match self {
            Self::Output(Output::Command { data, .. }) => data.len(),
            Self::Output(Output::Install(snapshot)) => snapshot.data.len(),
            Self::Output(_) | Self::Answer(..) => 0,
        }
    }
}

/// How a replica stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Who it is.
    pub me: ReplicaId,
    /// Who leads.
    pub role: Role,
    /// Who belongs to the group, as far as it has given out entries.
    pub members: Members,
    /// The last entry given out.
    pub applied: u64,
    /// The first entry kept, and the last.
    pub log: (u64, u64),
    /// Why it takes part no more.
    pub stopped: Option<String>,
}

/// From the node's thread to an application.
pub(crate) struct Line {
    state: Mutex<State>,
    wake: Box<dyn Fn() + Send + Sync>,
}

struct State {
    told: VecDeque<Told>,
    bytes: usize,
    /// Requests that were not answered yet.
    waiting: BTreeSet<Token>,
    status: Status,
}

impl Line {
    pub(crate) fn new(me: ReplicaId, wake: impl Fn() + Send + Sync + 'static) -> Self {
        let status = Status {
            me,
            role: Role::default(),
            members: Members::default(),
            applied: 0,
            log: (1, 0),
            stopped: None,
        };
        let state = State { told: VecDeque::new(), bytes: 0, waiting: BTreeSet::new(), status };
        Self { state: Mutex::new(state), wake: Box::new(wake) }
    }

    /// Takes note of how the replica stands.
    pub(crate) fn note(&self, group: &Group) {
        let mut state = self.state.lock();
        let status = &mut state.status;
        (status.role, status.applied, status.log) = (group.role(), group.applied(), group.log_range());
        let members = group.members();
        if members != status.members {
            status.members = members;
        }
    }

    pub(crate) fn tell(&self, told: Told) {
        self.tell_all([told]);
    }

    /// Tells what came together, so that an application that was woken finds all of it.
    pub(crate) fn tell_all(&self, all: impl IntoIterator<Item = Told>) {
        let mut state = self.state.lock();
        let nothing = state.told.is_empty();
        for told in all {
            if let Told::Answer(token, _) = &told
                && !state.waiting.remove(token)
            {
                // Nobody waits for it any more.
                continue;
            }
            if let Told::Output(Output::Stopped(why)) = &told {
                state.status.stopped.get_or_insert_with(|| why.clone());
            }
            state.bytes += told.len();
            state.told.push_back(told);
        }
        let first = nothing && !state.told.is_empty();
        drop(state);
        if first {
            (self.wake)();
        }
    }

    /// Whether the application has left more than it may.
    pub(crate) fn is_full(&self) -> bool {
        self.state.lock().bytes > limits::TOLD_BYTES_MAX
    }

    /// Whether the replica takes part.
    pub(crate) fn runs(&self) -> bool {
        self.state.lock().status.stopped.is_none()
    }

    /// The time of a request is over.
    pub(crate) fn give_up(&self, token: Token) {
        let why = "its time was over before it was agreed on".to_owned();
        self.tell(Told::Answer(token, Answer::Refused(ConsensusError::Uncertain(why))));
    }

    /// There is no thread any more.
    pub(crate) fn end(&self, why: &str) {
        let waiting = self.state.lock().waiting.clone();
        for token in waiting {
            let refused = ConsensusError::Uncertain(why.to_owned());
            self.tell(Told::Answer(token, Answer::Refused(refused)));
        }
        if self.state.lock().status.stopped.is_none() {
            self.tell(Told::Output(Output::Stopped(why.to_owned())));
        }
    }
}

/// A replica that is open. Dropping it closes it: it takes part no more until it is opened again.
pub struct Replica {
    shared: Arc<Shared>,
    group: GroupId,
    line: Arc<Line>,
    tokens: AtomicU64,
}

impl std::fmt::Debug for Replica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replica").field("group", &self.group).finish_non_exhaustive()
    }
}

impl Replica {
    pub(super) fn new(shared: Arc<Shared>, group: GroupId, line: Arc<Line>) -> Self {
        Self { shared, group, line, tokens: AtomicU64::new(1) }
    }

    /// Has a command agreed on; its answer comes by [`Replica::take`], no later than this time from now.
    pub fn propose(&self, command: &[u8], timeout: Duration) -> Result<Token> {
        let bytes = command.len();
        self.ask(bytes, timeout, |token| Event::Propose { token, command: command.to_vec() })
    }

    /// Has several commands agreed on, each with its own time; all are taken, or none.
    pub fn propose_all(&self, commands: &[(&[u8], Duration)]) -> Result<Vec<Token>> {
        self.check_runs()?;
        let now = self.shared.now();
        let first = self.tokens.fetch_add(commands.len() as u64, Ordering::Relaxed);
        let tokens: Vec<Token> = (first..).take(commands.len()).map(Token).collect();
        self.line.state.lock().waiting.extend(&tokens);
        let bytes = commands.iter().map(|(command, _)| command.len()).sum();
        let ask = |(token, (command, timeout)): (&Token, &(&[u8], Duration))| {
            let event = Event::Propose { token: *token, command: command.to_vec() };
            (event, (*token, now.after(*timeout)))
        };
        let events = tokens.iter().zip(commands).map(ask).collect();
        if let Err(error) = self.shared.ask_all(self.group, events, bytes) {
            let waiting = &mut self.line.state.lock().waiting;
            for token in &tokens {
                waiting.remove(token);
            }
            return Err(error);
        }
        Ok(tokens)
    }

    /// Has a member come or go.
    pub fn change(&self, change: Change, timeout: Duration) -> Result<Token> {
        self.ask(0, timeout, |token| Event::Change { token, change })
    }

    /// Asks from which entry on the state holds all that was acknowledged so far.
    pub fn read(&self, timeout: Duration) -> Result<Token> {
        self.ask(0, timeout, |token| Event::Read { token })
    }

    /// Gives the state after an entry, so that entries up to it need not be kept.
    pub fn snapshot(&self, index: u64, data: Vec<u8>) -> Result<()> {
        if data.len() > limits::SNAPSHOT_BYTES_MAX {
            let (len, max) = (data.len(), limits::SNAPSHOT_BYTES_MAX);
            return Err(ConsensusError::Invalid(format!(
                "a snapshot has at most {max} bytes, this one {len}"
            )));
        }
        self.check_runs()?;
        let bytes = data.len();
        self.shared.ask(self.group, Event::Snapshot { index, data }, bytes, None)
    }

    fn ask(&self, bytes: usize, timeout: Duration, event: impl FnOnce(Token) -> Event) -> Result<Token> {
        self.check_runs()?;
        let token = Token(self.tokens.fetch_add(1, Ordering::Relaxed));
        self.line.state.lock().waiting.insert(token);
        let until = self.shared.now().after(timeout);
        let asked = self.shared.ask(self.group, event(token), bytes, Some((token, until)));
        if let Err(error) = asked {
            self.line.state.lock().waiting.remove(&token);
            return Err(error);
        }
        Ok(token)
    }

    fn check_runs(&self) -> Result<()> {
        match &self.line.state.lock().status.stopped {
            Some(why) => Err(ConsensusError::Stopped(why.clone())),
            None => Ok(()),
        }
    }

    /// All that was told since the last call.
    pub fn take(&self) -> Vec<Told> {
        let mut state = self.line.state.lock();
        state.bytes = 0;
        std::mem::take(&mut state.told).into()
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        self.line.state.lock().status.clone()
    }

    /// The group.
    pub const fn group(&self) -> GroupId {
        self.group
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.line.end("the replica was closed");
        let mut lines = self.shared.lines.lock();
        if lines.get(&self.group).is_some_and(|line| Arc::ptr_eq(line, &self.line)) {
            // Under the lock, so that nobody opens it before the thread was told.
            let _ = self.shared.put(Input::Remove(self.group), 0);
            lines.remove(&self.group);
        }
    }
}
