//! A system that another process holds, until this one does.

use super::pool::SharedPool;
use super::{CALL, CHANGE, Entered, enter};
use daos_client::{Error, PoolService, Result, SystemService, SystemSpace};
use daos_embed::{Inside, Options, Owner, System};
use daos_locks::Mutex;
use daos_net::frame::SessionId;
use daos_types::{Der, Origin, PoolId};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

/// How often one call goes on after its system was lost.
const ATTEMPTS_MAX: usize = 4;

/// The system, whoever holds it.
#[derive(Debug)]
pub(super) struct SharedSystem {
    path: PathBuf,
    options: Options,
    owner: Owner,
    /// Whose changes these are, whoever holds the system.
    session: SessionId,
    /// The number of the next one.
    sequence: AtomicU64,
    targets: u32,
    /// Counts the changes of who holds it; odd, somebody suspects that another is due.
    turn: AtomicU64,
    now: Mutex<Now>,
    /// What was opened of it and may have more than is needed once it is closed.
    opened: Mutex<Vec<Weak<dyn Opened>>>,
}

/// Something that is open, and is opened again for each turn.
pub(super) trait Opened: std::fmt::Debug + Send + Sync {
    /// Lets go what it has of the system, which others may open as soon as nobody in this process has it.
    fn let_go(&self);
}

/// What something that is open has of its system.
#[derive(Debug)]
pub(super) enum Had<T> {
    Open(At<T>),
    /// The system is closed. What its label was.
    Closed(String),
}

impl<T> Had<T> {
    /// As far as it is not closed.
    pub(super) fn open(&mut self) -> Result<&mut At<T>> {
        match self {
            Self::Open(at) => Ok(at),
            Self::Closed(_) => Err(closed()),
        }
    }

    /// Its label.
    pub(super) fn label(&self, of: impl Fn(&T) -> String) -> String {
        match self {
            Self::Open(at) => of(&at.value),
            Self::Closed(label) => label.clone(),
        }
    }

    /// Closes it.
    pub(super) fn close(had: &Mutex<Self>, label: impl Fn(&T) -> String) {
        let mut had = had.lock();
        let label = had.label(label);
        let gone = std::mem::replace(&mut *had, Self::Closed(label));
        drop(had);
        // What it holds goes outside of the lock.
        drop(gone);
    }
}

#[derive(Debug)]
struct Now {
    /// Of which turn it is: even.
    turn: u64,
    /// `None` once it is closed.
    system: Option<Arc<dyn SystemService>>,
    near: Near,
}

/// The system itself, where this process has it.
pub(super) type Near = Option<Arc<System>>;

/// Something of a system at one turn.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub(super) turn: u64,
    pub(super) near: Near,
    pub(super) value: T,
}

impl<T> At<T> {
    /// For who has to know of which turn it is.
    pub(super) fn with_turn(self) -> At<Self> {
        At { turn: self.turn, near: self.near.clone(), value: self }
    }

    /// Keeps it from being closed meanwhile, if it is in this process. Whether it is closed by then is found out here and nowhere
    /// else: a handle that is refused later is refused for another reason.
    pub(super) fn enter(&self) -> Result<Option<Inside<'_>>> {
        enter_near(&self.near)
    }

    /// What comes of it, of the same turn.
    pub(super) fn then<U>(&self, make: impl FnOnce(&T) -> Result<U>) -> Result<At<U>> {
        Ok(At { turn: self.turn, near: self.near.clone(), value: make(&self.value)? })
    }
}

impl SharedSystem {
    pub(super) fn new(path: &Path, options: &Options, session: SessionId, entered: Entered) -> Self {
        let (system, near) = entered.into_parts();
        Self {
            path: path.to_owned(),
            // It is there by now; its size is the holder's affair.
            options: Options { create: false, size: None, ..options.clone() },
            owner: Owner::here(),
            session,
            sequence: AtomicU64::new(1),
            targets: system.targets(),
            turn: AtomicU64::new(0),
            now: Mutex::new(Now { turn: 0, system: Some(system), near }),
            opened: Mutex::default(),
        }
    }

    /// Refuses what cannot be used any more, for the price of two loads.
    pub(super) fn check_open(&self) -> Result<()> {
        self.owner.check()?;
        if self.turn() == CLOSED { Err(closed()) } else { Ok(()) }
    }

    /// The turn; what is of another one has to be opened again.
    pub(super) fn turn(&self) -> u64 {
        self.turn.load(Ordering::Acquire)
    }

    /// The system as it is now.
    pub(super) fn current(&self) -> Result<At<Arc<dyn SystemService>>> {
        self.owner.check()?;
        let mut now = self.now.lock();
        let Some(system) = now.system.clone() else { return Err(closed()) };
        if self.turn() == now.turn {
            return Ok(At { turn: now.turn, near: now.near.clone(), value: system });
        }
        // Somebody suspects that its holder is gone. Others wait here until that is clear.
        let mut value = system;
        let gone = match &now.near {
            Some(system) => system.is_closed(),
            None => value.pools().is_err_and(|error| is_lost(&error)),
        };
        if gone {
            (value, now.near) = enter(&self.path, &self.options, self.session, CHANGE)?.into_parts();
            now.turn += 2;
            now.system = Some(Arc::clone(&value));
        }
        self.turn.store(now.turn, Ordering::Release);
        Ok(At { turn: now.turn, near: now.near.clone(), value })
    }

    /// Has something let go what it has when this is closed.
    pub(super) fn keep<O: Opened + 'static>(&self, one: &Arc<O>) {
        let mut opened = self.opened.lock();
        if opened.len().is_power_of_two() {
            opened.retain(|one| one.strong_count() > 0);
        }
        let weak: Weak<O> = Arc::downgrade(one);
        opened.push(weak);
        drop(opened);
        if self.turn() == CLOSED {
            one.let_go();
        }
    }

    /// Takes note that the holder of a turn did not answer.
    pub(super) fn suspect(&self, turn: u64) {
        if turn == CLOSED || turn % 2 == 1 {
            return;
        }
        // Where it is not that turn any more, somebody has looked already.
        let _ = self.turn.compare_exchange(turn, turn + 1, Ordering::AcqRel, Ordering::Acquire);
    }

    /// An origin for the next change.
    pub(super) fn next_origin(&self) -> Origin {
        Origin { session: self.session.0, sequence: self.sequence.fetch_add(1, Ordering::Relaxed) }
    }

    /// Asks something that is opened by `open` for each turn; goes on with the next where nothing was begun.
    pub(super) fn ask<S, T>(
        &self,
        open: impl Fn() -> Result<At<S>>,
        mut ask: impl FnMut(&S) -> Result<T>,
    ) -> Result<T> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let (turn, result) = match open() {
                Ok(at) => (at.turn, at.enter().and_then(|_inside| ask(&at.value))),
                // The holder may go while something is opened again.
                Err(error) => (self.turn(), Err(error)),
            };
            match result {
                Err(error) if is_lost(&error) => {
                    self.suspect(turn);
                    if !error.nothing_happened || attempts >= ATTEMPTS_MAX {
                        return Err(error);
                    }
                }
                result => return result,
            }
        }
    }

    /// The same of a change that says which it is, once it has left this process: where its outcome is unknown it is sent again, and
    /// happens once. It stays unknown unless that succeeds: what was sent before may still be on its way. Before it has left, no
    /// answer is lost, and `ask` is told that it need not say.
    pub(super) fn ask_once<S>(
        &self,
        open: impl Fn() -> Result<At<S>>,
        is_near: impl Fn(&S) -> bool,
        mut ask: impl FnMut(&S, bool) -> Result<()>,
    ) -> Result<()> {
        let begun = Instant::now();
        let mut first: Option<Error> = None;
        let mut says = false;
        for attempt in 1.. {
            let mut ask = |of: &S| {
                says |= !is_near(of);
                ask(of, says)
            };
            let Err(error) = self.ask(&open, &mut ask) else { break };
            let goes_on =
                says && error.der == Der::TxUncertain && begun.elapsed() < CALL && attempt < ATTEMPTS_MAX;
            let told = first.get_or_insert(error);
            if !goes_on || told.der != Der::TxUncertain {
                return Err(told.clone());
            }
        }
        Ok(())
    }

    fn with<T>(&self, ask: impl FnMut(&Arc<dyn SystemService>) -> Result<T>) -> Result<T> {
        self.ask(|| self.current(), ask)
    }

    /// A pool, and the turn that it is of.
    fn open(
        &self,
        open: impl Fn(Arc<dyn SystemService>) -> Result<Arc<dyn PoolService>>,
    ) -> Result<At<Arc<dyn PoolService>>> {
        self.ask(|| self.current().map(At::with_turn), |at| at.then(|system| open(Arc::clone(system))))
    }
}

/// The turn of what is closed.
const CLOSED: u64 = u64::MAX - 1;

fn closed() -> Error {
    Error::new(Der::NoHdl, "the system is closed").hint("open it again")
}

/// Begins a call of a system that is in this process, if it is not closed.
pub(super) fn enter_near(near: &Near) -> Result<Option<Inside<'_>>> {
    let Some(system) = near else { return Ok(None) };
    let lost = || Error {
        nothing_happened: true,
        ..Error::new(Der::Shutdown, "the holder of the system has closed it")
    };
    system.enter().map(Some).ok_or_else(lost)
}

/// Whether nobody answered, or only that he goes.
pub(super) fn is_lost(error: &Error) -> bool {
    matches!(error.der, Der::Unreach | Der::Shutdown | Der::TxUncertain)
}

impl SystemService for SharedSystem {
    fn targets(&self) -> u32 {
        self.targets
    }

    fn space(&self) -> Result<SystemSpace> {
        self.with(|system| system.space())
    }

    fn settle(&self, origin: Origin) -> Result<bool> {
        self.with(|system| system.settle(origin))
    }

    fn close(&self) -> Result<()> {
        if self.owner.is_forked() {
            return Ok(());
        }
        let mut now = self.now.lock();
        self.turn.store(CLOSED, Ordering::Release);
        now.turn = CLOSED;
        let (system, near) = (now.system.take(), now.near.take());
        drop(now);
        let opened = std::mem::take(&mut *self.opened.lock());
        opened.iter().filter_map(Weak::upgrade).for_each(|one| one.let_go());
        drop(near);
        // Where this process became the holder, all ends here; where it is a guest, only what it has.
        system.map_or(Ok(()), |system| system.close())
    }

    fn pools(&self) -> Result<Vec<(PoolId, String)>> {
        self.with(|system| system.pools())
    }

    fn pool_create(self: Arc<Self>, label: &str, props: &[u8]) -> Result<Arc<dyn PoolService>> {
        let made = self.open(|system| system.pool_create(label, props))?;
        Ok(Arc::new(SharedPool::new(self, made)))
    }

    fn pool_open(self: Arc<Self>, name: &str) -> Result<Arc<dyn PoolService>> {
        let opened = self.open(|system| system.pool_open(name))?;
        Ok(Arc::new(SharedPool::new(self, opened)))
    }

    fn pool_destroy(&self, name: &str) -> Result<()> {
        self.with(|system| system.pool_destroy(name))
    }
}

impl Drop for SharedSystem {
    fn drop(&mut self) {
        if self.owner.is_forked() {
            let now = self.now.get_mut();
            std::mem::forget((now.system.take(), now.near.take()));
        }
    }
}
