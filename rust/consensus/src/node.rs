//! The thread that carries out what groups decide: ticks, storage, messages. What applications do, or do not do, holds nothing up here.

mod replica;

pub use replica::{Replica, Status, Told};

use crate::error::{ConsensusError, Result};
use crate::group::{Effects, Event, Group, Saved, Seed, Token, Write};
use crate::ids::GroupId;
use crate::limits;
use crate::message::Message;
use crate::vault::Vault;
use daos_locks::{Condvar, Mutex};
use daos_net::Moment;
use daos_types::Lsn;
use replica::Line;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The way to other replicas.
pub trait Peers: std::fmt::Debug + Send + Sync {
    /// Sends a message, without waiting for anything. It may be lost: what matters is said again.
    fn send(&self, group: GroupId, message: Message);
}

/// The longest nap, whatever there is to wait for.
const NAP_MAX: Duration = Duration::from_millis(100);

enum Input {
    Add(GroupId, Box<Group>, Arc<Line>),
    Remove(GroupId),
    Message(GroupId, Box<Message>),
    Ask(GroupId, Box<Event>, Option<(Token, Moment)>),
}

#[derive(Default)]
struct Inbox {
    inputs: Vec<Input>,
    bytes: usize,
    stop: bool,
}

/// What the thread and its users share.
pub(crate) struct Shared {
    vault: Vault,
    started: Instant,
    inbox: Mutex<Inbox>,
    wake: Condvar,
    lines: Mutex<BTreeMap<GroupId, Arc<Line>>>,
}

impl Shared {
    pub(crate) fn now(&self) -> Moment {
        Moment(1).after(self.started.elapsed())
    }

    /// Hands something to the thread; [`ConsensusError::Busy`] where too much waits already.
    fn put(&self, input: Input, bytes: usize) -> Result<()> {
        let mut inbox = self.inbox.lock();
        if inbox.stop {
            return Err(ConsensusError::Stopped("the node was closed".to_owned()));
        }
        let full = inbox.inputs.len() >= limits::INBOX_MAX || inbox.bytes + bytes > limits::INBOX_BYTES_MAX;
        if full && !matches!(input, Input::Add(..) | Input::Remove(_)) {
            return Err(ConsensusError::Busy);
        }
        inbox.bytes += bytes;
        inbox.inputs.push(input);
        self.wake.notify_one();
        Ok(())
    }

    /// Hands over several requests of a group, all or none: the thread is woken once, and finds them together.
    pub(crate) fn ask_all(
        &self,
        group: GroupId,
        events: Vec<(Event, (Token, Moment))>,
        bytes: usize,
    ) -> Result<()> {
        let mut inbox = self.inbox.lock();
        if inbox.stop {
            return Err(ConsensusError::Stopped("the node was closed".to_owned()));
        }
        let too_many = inbox.inputs.len() + events.len() > limits::INBOX_MAX;
        if too_many || inbox.bytes + bytes > limits::INBOX_BYTES_MAX {
            return Err(ConsensusError::Busy);
        }
        inbox.bytes += bytes;
        let asks = events.into_iter().map(|(event, until)| Input::Ask(group, Box::new(event), Some(until)));
        inbox.inputs.extend(asks);
        self.wake.notify_one();
        Ok(())
    }

    pub(crate) fn ask(
        &self,
        group: GroupId,
        event: Event,
        bytes: usize,
        until: Option<(Token, Moment)>,
    ) -> Result<()> {
        self.put(Input::Ask(group, Box::new(event), until), bytes)
    }
}

/// The replicas of one process, and their thread.
pub struct Node {
    shared: Arc<Shared>,
    seed: Seed,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").finish_non_exhaustive()
    }
}

impl Node {
    /// Starts it, without any replica. The seed, any number, makes its elections differ from those of others.
    pub fn start(vault: Vault, peers: Arc<dyn Peers>, seed: Seed) -> Result<Self> {
        let shared = Arc::new(Shared {
            vault,
            started: Instant::now(),
            inbox: Mutex::default(),
            wake: Condvar::new(),
            lines: Mutex::default(),
        });
        let driver = Driver {
            shared: Arc::clone(&shared),
            peers,
            groups: BTreeMap::new(),
            deadlines: BTreeSet::new(),
        };
        let thread =
            std::thread::Builder::new().name("daos-consensus".to_owned()).spawn(move || driver.run());
        let thread = thread.map_err(|error| ConsensusError::Stopped(format!("no thread: {error}")))?;
        Ok(Self { shared, seed, thread: Mutex::new(Some(thread)) })
    }

    /// Makes a replica, durable at return, and opens it.
    pub fn create(
        &self,
        group: GroupId,
        first: &Saved,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> Result<Replica> {
        self.shared.vault.create_group(group, first)?;
        self.open(group, wake)
    }

    /// Opens a replica that is stored here. `wake` is called, from the node's thread, when there is something to be taken where there was
    /// nothing; it must not wait.
    pub fn open(&self, group: GroupId, wake: impl Fn() + Send + Sync + 'static) -> Result<Replica> {
        let mut lines = self.shared.lines.lock();
        if lines.contains_key(&group) {
            return Err(ConsensusError::Exists);
        }
        let saved = self.shared.vault.open_group(group)?;
        let seed = Seed(self.seed.0 ^ u64::from(saved.me.rank.0) ^ u64::from(group.0[0]) << 32);
        let opened = Group::new(self.shared.now(), seed, &saved)?;
        let line = Arc::new(Line::new(saved.me, wake));
        self.shared.put(Input::Add(group, Box::new(opened), Arc::clone(&line)), 0)?;
        lines.insert(group, Arc::clone(&line));
        drop(lines);
        // Its first effects are told at once.
        let _ = self.shared.ask(group, Event::Time, 0, None);
        Ok(Replica::new(Arc::clone(&self.shared), group, line))
    }

    /// A message came for a replica here. What is for none, and what finds no room, is lost, as on its way.
    pub fn deliver(&self, group: GroupId, message: Message) {
        self.mailbox().deliver(group, message);
    }

    /// Where messages are handed in, for who must not keep the node.
    pub fn mailbox(&self) -> Mailbox {
        Mailbox(Arc::clone(&self.shared))
    }

    /// The groups that have a replica stored here, open or not.
    pub fn groups(&self) -> Result<Vec<GroupId>> {
        self.shared.vault.groups()
    }

    /// Ends the thread, then the storage, cleanly. Whoever waits is told that the outcome is unknown.
    pub fn close(&self) -> Result<()> {
        if self.stop() { self.shared.vault.close() } else { Ok(()) }
    }

    fn stop(&self) -> bool {
        let Some(thread) = self.thread.lock().take() else { return false };
        self.shared.inbox.lock().stop = true;
        self.shared.wake.notify_one();
        // A panic in it was printed.
        let _ = thread.join();
        for (_, line) in std::mem::take(&mut *self.shared.lines.lock()) {
            line.end("the node was closed");
        }
        true
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Where messages for a node's replicas are handed in.
#[derive(Clone)]
pub struct Mailbox(Arc<Shared>);

impl std::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailbox").finish_non_exhaustive()
    }
}

impl Mailbox {
    /// A message came for a replica. What is for none, and what finds no room, is lost, as on its way.
    pub fn deliver(&self, group: GroupId, message: Message) {
        let bytes = message.len();
        let _ = self.0.put(Input::Message(group, Box::new(message)), bytes);
    }
}

struct Running {
    group: Group,
    line: Arc<Line>,
    /// The last write that was handed to the vault and is not known to be durable.
    unsynced: Option<(u64, Lsn)>,
}

struct Driver {
    shared: Arc<Shared>,
    peers: Arc<dyn Peers>,
    groups: BTreeMap<GroupId, Running>,
    /// Until when somebody waits.
    deadlines: BTreeSet<(Moment, GroupId, Token)>,
}

impl Driver {
    fn run(mut self) {
        while let Some(inputs) = self.next_inputs() {
            self.take_all(inputs);
            self.pass_time();
            self.sync();
            // Between other work, so that the store's memory stays small.
            if let Err(error) = self.shared.vault.step() {
                self.fail_all(&error);
            }
        }
    }

    /// Waits for the next input or tick; `None` at the end.
    fn next_inputs(&self) -> Option<Vec<Input>> {
        let ticks = self.groups.values().map(|running| running.group.next_time());
        let next = ticks.chain(self.deadlines.first().map(|(at, ..)| *at)).min().unwrap_or(Moment::MAX);
        let mut inbox = self.shared.inbox.lock();
        if inbox.inputs.is_empty() && !inbox.stop {
            let nap = next.since(self.shared.now()).min(NAP_MAX);
            inbox = self.shared.wake.wait_for(inbox, nap).0;
        }
        if inbox.stop {
            return None;
        }
        inbox.bytes = 0;
        Some(std::mem::take(&mut inbox.inputs))
    }

    /// What came for a group together, it decides on together.
    fn take_all(&mut self, inputs: Vec<Input>) {
        let mut together: BTreeMap<GroupId, Vec<Event>> = BTreeMap::new();
        for input in inputs {
            match input {
                Input::Add(id, group, line) => {
                    self.groups.insert(id, Running { group: *group, line, unsynced: None });
                }
                Input::Remove(id) => {
                    self.tell(id, together.remove(&id).unwrap_or_default());
                    self.groups.remove(&id);
                    self.deadlines.retain(|(_, of, _)| *of != id);
                }
                Input::Message(id, message) => together.entry(id).or_default().push(Event::Message(*message)),
                Input::Ask(id, event, until) => {
                    if let Some((token, at)) = until {
                        self.deadlines.insert((at, id, token));
                    }
                    together.entry(id).or_default().push(*event);
                }
            }
        }
        for (id, events) in together {
            self.tell(id, events);
        }
    }

    fn tell(&mut self, id: GroupId, events: Vec<Event>) {
        let now = self.shared.now();
        let Some(running) = self.groups.get_mut(&id) else { return };
        let effects = running.group.on_all(now, events);
        if let Err(error) = self.carry_out(id, effects) {
            self.fail_all(&error);
        }
        let Some(running) = self.groups.get(&id) else { return };
        if running.line.is_full() && running.line.runs() {
            let why = "its application takes nothing of what was agreed on".to_owned();
            self.tell(id, vec![Event::Fail(why)]);
        }
    }

    fn carry_out(&mut self, id: GroupId, effects: Effects) -> Result<()> {
        let Some(running) = self.groups.get_mut(&id) else { return Ok(()) };
        let Effects { sends, writes, outputs, answers } = effects;
        for message in sends {
            self.peers.send(id, message);
        }
        for write in writes {
            let position = self.shared.vault.write(id, &write)?;
            let Write { number, lazy, .. } = write;
            if lazy {
                continue;
            }
            let (before, upto) = running.unsynced.unwrap_or_default();
            running.unsynced = Some((before.max(number), upto.max(position)));
        }
        // First, so that who is told something and then looks finds it so.
        running.line.note(&running.group);
        let outputs = outputs.into_iter().map(Told::Output);
        let answers = answers.into_iter().map(|(token, answer)| Told::Answer(token, answer));
        running.line.tell_all(outputs.chain(answers));
        Ok(())
    }

    fn pass_time(&mut self) {
        let now = self.shared.now();
        let due =
            self.groups.iter().filter(|(_, running)| running.group.next_time() <= now).map(|(id, _)| *id);
        for id in due.collect::<Vec<_>>() {
            self.tell(id, vec![Event::Time]);
        }
        while let Some((at, id, token)) = self.deadlines.first().copied()
            && at <= now
        {
            self.deadlines.pop_first();
            if let Some(running) = self.groups.get(&id) {
                running.line.give_up(token);
            }
        }
    }

    /// One sync for all groups; what it makes durable may bring more to be stored.
    fn sync(&mut self) {
        loop {
            let waiting: Vec<(GroupId, u64, Lsn)> = self
                .groups
                .iter_mut()
                .filter_map(|(id, running)| running.unsynced.take().map(|(number, upto)| (*id, number, upto)))
                .collect();
            let Some(upto) = waiting.iter().map(|(_, _, upto)| *upto).max() else { return };
            if let Err(error) = self.shared.vault.sync(upto) {
                self.fail_all(&error);
                return;
            }
            for (id, number, _) in waiting {
                self.tell(id, vec![Event::Durable(number)]);
            }
        }
    }

    /// The storage failed: nothing that any replica says from now on would rest on anything.
    fn fail_all(&mut self, error: &ConsensusError) {
        let now = self.shared.now();
        for running in self.groups.values_mut() {
            running.unsynced = None;
            let effects = running.group.on(now, Event::Fail(error.to_string()));
            for output in effects.outputs {
                running.line.tell(Told::Output(output));
            }
            for (token, answer) in effects.answers {
                running.line.tell(Told::Answer(token, answer));
            }
        }
    }
}
