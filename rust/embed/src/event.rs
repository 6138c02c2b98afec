//! Event queues: operations that somebody else carries out, and one descriptor that tells when some are done.
//!
//! Why it is as it is, and what happens when something fails: `docs/internals/events.md`.

use crate::debt;
use crate::fork::Owner;
use daos_client::{Error, Result};
use daos_locks::{Condvar, Mutex};
use daos_types::Der;
use rustix::event::{EventfdFlags, eventfd};
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Operations that one worker takes at once: they share one wait for the log.
const BATCH_MAX: usize = 256;
/// Bytes of results that make a worker hand over before its batch is done.
const RESULT_BYTES: usize = 8 << 20;

/// When an operation may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// At any time, beside others; its replies are put off together with theirs.
    Any,
    /// At any time, but not among others: it may take long, or close what they use.
    Alone,
    /// When all that was submitted before it is done.
    Last,
}

/// What is submitted: it owns all it needs.
pub trait Operation: Send + 'static {
    /// Does it and keeps the result; on a worker's thread.
    fn run(&mut self);

    /// How many of these, from the first on, are better done by one call of [`Operation::run_all`]; at least one.
    fn together(_: &[Self]) -> usize
    where
        Self: Sized,
    {
        1
    }

    /// Does as many as [`Operation::together`] said, and keeps the result of each.
    fn run_all(some: &mut [Self])
    where
        Self: Sized,
    {
        some.iter_mut().for_each(Self::run);
    }

    /// Takes an error for the result: the outcome is unknown, or it was never run.
    fn fail(&mut self, error: Error);

    /// Bytes of the buffers that it holds.
    fn bytes(&self) -> usize;

    /// Bytes of its result, when it has run.
    fn result_bytes(&self) -> usize;

    /// When it may begin.
    fn order(&self) -> Order;
}

/// Bounds of a queue.
#[derive(Debug, Clone, Copy)]
pub struct EventQueueOptions {
    /// Operations submitted and not yet taken back.
    pub operations_max: usize,
    /// Bytes that these hold; one operation may hold more, if it is the only one. And bytes of results not yet drained,
    /// beyond which no worker goes on.
    pub bytes_max: usize,
    /// Threads.
    pub workers: usize,
}

/// Whether an operation was taken.
#[derive(Debug)]
#[must_use]
pub enum Submitted<O> {
    /// It will come back by [`EventQueue::drain`].
    Taken,
    /// There is no room; here it is again.
    Full(O),
}

/// An event queue. Its threads start with the first operation.
#[derive(Debug)]
pub struct EventQueue<O: Operation> {
    shared: Arc<Shared<O>>,
    owner: Owner,
    options: EventQueueOptions,
}

#[derive(Debug)]
struct Shared<O> {
    state: Mutex<State<O>>,
    /// There is work, or nothing more to come.
    wake: Condvar,
    /// Results were drained.
    room: Condvar,
    /// A worker has ended.
    ended: Condvar,
    bytes_max: usize,
    /// Written when the first completion of a batch is there.
    ready: OwnedFd,
}

#[derive(Debug)]
struct State<O> {
    queued: VecDeque<O>,
    /// Taken by workers.
    running: usize,
    done: Vec<O>,
    /// Submitted and not yet drained.
    in_flight: usize,
    bytes: usize,
    /// Bytes of the results in `done`.
    result_bytes: usize,
    /// Workers that wait for work.
    idle: usize,
    /// Workers that have not ended.
    alive: usize,
    threads: Vec<JoinHandle<()>>,
    closed: bool,
}

impl<O: Operation> EventQueue<O> {
    /// An empty queue.
    pub fn new(options: EventQueueOptions) -> Result<Self> {
        let ready = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|error| Error::new(Der::Nomem, format!("cannot make an eventfd: {error}")))?;
        let state = State {
            queued: VecDeque::new(),
            running: 0,
            done: Vec::new(),
            in_flight: 0,
            bytes: 0,
            result_bytes: 0,
            idle: 0,
            alive: 0,
            threads: Vec::new(),
            closed: false,
        };
        let shared = Shared {
            state: Mutex::new(state),
            wake: Condvar::new(),
            room: Condvar::new(),
            ended: Condvar::new(),
            bytes_max: options.bytes_max,
            ready,
        };
        Ok(Self { shared: Arc::new(shared), owner: Owner::here(), options })
    }

    /// The descriptor that becomes readable when operations are done.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.shared.ready.as_fd()
    }

    /// Operations submitted and not yet drained.
    pub fn in_flight(&self) -> Result<usize> {
        self.owner.check()?;
        Ok(self.shared.state.lock().in_flight)
    }

    /// Gives an operation to the workers; waits for nothing.
    pub fn submit(&self, operation: O) -> Result<Submitted<O>> {
        // Before the lock: in a child, a thread that is not there may hold it.
        self.owner.check()?;
        let bytes = operation.bytes();
        let mut state = self.shared.state.lock();
        if state.closed {
            return Err(Error::new(Der::NoHdl, "the event queue is closed"));
        }
        let many = state.in_flight >= self.options.operations_max;
        let large = state.bytes.saturating_add(bytes) > self.options.bytes_max;
        if state.in_flight > 0 && (many || large) {
            return Ok(Submitted::Full(operation));
        }
        if state.alive == 0 {
            self.start(&mut state)?;
        }
        state.in_flight += 1;
        state.bytes += bytes;
        state.queued.push_back(operation);
        let wake = state.idle > 0;
        drop(state);
        if wake {
            self.shared.wake.notify_one();
        }
        Ok(Submitted::Taken)
    }

    fn start(&self, state: &mut State<O>) -> Result<()> {
        for number in 0..self.options.workers.max(1) {
            let shared = Arc::clone(&self.shared);
            let thread =
                std::thread::Builder::new().name(format!("daos-event-{number}")).spawn(move || work(&shared));
            match thread {
                Ok(thread) => {
                    state.threads.push(thread);
                    state.alive += 1;
                }
                Err(error) if state.alive == 0 => {
                    return Err(Error::new(Der::Nomem, format!("cannot start a worker thread: {error}")));
                }
                // Fewer do the same.
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// Takes back what is done, in the order it was done; waits for nothing.
    pub fn drain(&self) -> Result<Vec<O>> {
        self.owner.check()?;
        // First the descriptor, then the list: what is done in between makes it readable again, or is taken now.
        let _ = rustix::io::read(&self.shared.ready, &mut [0; 8]);
        let mut state = self.shared.state.lock();
        let done = std::mem::take(&mut state.done);
        state.in_flight -= done.len();
        state.bytes -= done.iter().map(Operation::bytes).sum::<usize>();
        let waited_for = std::mem::take(&mut state.result_bytes) > self.options.bytes_max;
        drop(state);
        if waited_for {
            self.shared.room.notify_all();
        }
        Ok(done)
    }

    /// Takes no more operations and waits, at most so long, until all that were submitted are done and the threads have
    /// ended; false where they have not. Those done can still be drained. In a forked child it touches nothing.
    pub fn close(&self, timeout: Duration) -> bool {
        if self.owner.is_forked() {
            return true;
        }
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.shared.state.lock();
        state.closed = true;
        self.shared.wake.notify_all();
        self.shared.room.notify_all();
        while state.alive > 0 {
            let ended = &self.shared.ended;
            let Some(deadline) = deadline else {
                state = ended.wait(state);
                continue;
            };
            let over;
            (state, over) = ended.wait_until(state, deadline);
            if over {
                break;
            }
        }
        if state.alive > 0 {
            return false;
        }
        let threads = std::mem::take(&mut state.threads);
        drop(state);
        for thread in threads {
            // It has no more to do than to return.
            let _ = thread.join();
        }
        true
    }

    /// Takes no more operations and takes back those that no worker has begun.
    pub fn abandon(&self) -> Vec<O> {
        if self.owner.is_forked() {
            return Vec::new();
        }
        let mut state = self.shared.state.lock();
        state.closed = true;
        let queued = std::mem::take(&mut state.queued);
        state.in_flight -= queued.len();
        state.bytes -= queued.iter().map(Operation::bytes).sum::<usize>();
        drop(state);
        self.shared.wake.notify_all();
        self.shared.room.notify_all();
        queued.into()
    }
}

impl<O: Operation> Drop for EventQueue<O> {
    fn drop(&mut self) {
        // The threads end by themselves, and are not waited for: what they run may need a lock that the caller holds.
        drop(self.abandon());
    }
}

impl<O: Operation> Shared<O> {
    /// Waits for work; false when there is no more to come.
    fn take(&self, batch: &mut Vec<O>) -> bool {
        let mut state = self.state.lock();
        loop {
            if state.take(batch) {
                if state.idle > 0 && state.may_begin().is_some() {
                    self.wake.notify_one();
                }
                return true;
            }
            if state.closed && state.queued.is_empty() {
                state.alive -= 1;
                self.ended.notify_all();
                return false;
            }
            state.idle += 1;
            state = self.wake.wait(state);
            state.idle -= 1;
        }
    }

    /// Hands over what is done.
    fn complete(&self, done: &mut Vec<O>) {
        if done.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        state.running -= done.len();
        state.result_bytes += done.iter().map(Operation::result_bytes).sum::<usize>();
        let first = state.done.is_empty();
        state.done.append(done);
        if state.running == 0 && !state.queued.is_empty() {
            // One that had to be the last may begin.
            self.wake.notify_one();
        }
        if first {
            // Fails only where the counter is full, which is readable too.
            let _ = rustix::io::write(&self.ready, &1_u64.to_ne_bytes());
        }
    }

    /// Waits while too much of what is done was not drained. A worker that waits here keeps nothing from others.
    fn wait_for_room(&self) {
        let mut state = self.state.lock();
        while state.result_bytes > self.bytes_max && !state.closed {
            state = self.room.wait(state);
        }
    }
}

impl<O: Operation> State<O> {
    /// The order of the next operation, if it may begin.
    fn may_begin(&self) -> Option<Order> {
        let order = self.queued.front()?.order();
        (order != Order::Last || self.running == 0).then_some(order)
    }

    fn take(&mut self, batch: &mut Vec<O>) -> bool {
        let Some(order) = self.may_begin() else { return false };
        let count = match order {
            Order::Any => {
                self.queued.iter().take(BATCH_MAX).take_while(|next| next.order() == Order::Any).count()
            }
            Order::Alone | Order::Last => 1,
        };
        batch.extend(self.queued.drain(..count));
        self.running += count;
        true
    }
}

fn work<O: Operation>(shared: &Shared<O>) {
    let mut batch = Vec::new();
    while shared.take(&mut batch) {
        if batch.first().is_some_and(|first| first.order() == Order::Any) {
            run_together(shared, &mut batch);
        } else {
            batch.chunks_mut(1).for_each(run);
            shared.complete(&mut batch);
        }
    }
}

/// Runs a batch and waits once for what its replies depend on; more often only where results are large.
fn run_together<O: Operation>(shared: &Shared<O>, batch: &mut Vec<O>) {
    let mut left: VecDeque<O> = batch.drain(..).collect();
    while !left.is_empty() {
        let mut settled = Vec::new();
        let mut owing = Vec::new();
        let mut result_bytes = 0;
        while result_bytes < RESULT_BYTES && !left.is_empty() {
            let rest = left.make_contiguous();
            let count = O::together(rest).clamp(1, rest.len());
            let mut some: Vec<O> = left.drain(..count).collect();
            let ((), debt) = debt::collect(|| run(&mut some));
            result_bytes += some.iter().map(Operation::result_bytes).sum::<usize>();
            if debt.is_settled() {
                settled.append(&mut some);
            } else {
                owing.push((some, debt));
            }
        }
        // What depends on nothing new does not wait for the others' sync.
        shared.complete(&mut settled);
        // The first one waits for the whole group, the others find it done.
        for (some, debt) in &mut owing {
            if let Err(error) = debt.settle() {
                fail(some, &error);
            }
        }
        shared.complete(&mut owing.into_iter().flat_map(|(some, _)| some).collect());
        shared.wait_for_room();
    }
}

/// Runs some; a panic is the result of each.
fn run<O: Operation>(some: &mut [O]) {
    if catch_unwind(AssertUnwindSafe(|| O::run_all(some))).is_err() {
        let error = Error::new(Der::Misc, "the operation panicked; what it did is unknown")
            .hint("report it, with what was printed");
        fail(some, &error);
    }
}

fn fail<O: Operation>(some: &mut [O], error: &Error) {
    for operation in some {
        operation.fail(error.clone());
    }
}

#[cfg(test)]
mod tests;
