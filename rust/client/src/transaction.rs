//! Transactions as a way to targets: what goes through a [`TxRoute`] is read at one epoch and happens when it commits, or not
//! at all. So the objects know nothing of transactions.

use crate::error::{Error, Result};
use crate::route::{Route, Transact};
use crate::service::TransactionEnd;
use daos_locks::Mutex;
use daos_types::{Der, Durability, FetchIod, KeyFound, Origin, TargetIdx};
use daos_wire::{Fetch, List, ListedKeys, ListedPairs, Punch, Query, Update};
use std::sync::Arc;

/// The way to the targets inside one transaction. Threads may share it: their operations go one after the other.
#[derive(Debug)]
pub struct TxRoute<R: Transact> {
    base: Arc<R>,
    durability: Durability,
    state: Mutex<State<R::Draft>>,
}

/// How far a transaction is.
#[derive(Debug)]
enum State<D> {
    /// Nothing was done in it yet.
    Fresh,
    Open(D),
    Committed,
    Aborted,
    /// Another was first, or it took too long, or its outcome is unknown.
    Failed,
}

impl<D> State<D> {
    /// Why it takes no more operations.
    fn closed(&self) -> Error {
        let (what, hint) = match self {
            Self::Committed => ("committed", "begin another one, or use the container itself"),
            Self::Aborted => ("aborted", "begin another one, or use the container itself"),
            _ => ("failed", "run all of it again, as a new transaction"),
        };
        Error::new(Der::NoPerm, format!("the transaction has {what}")).hint(hint)
    }
}

impl<R: Transact> TxRoute<R> {
    /// A transaction. It reads what is there at its first operation; what it promises when it has committed is `durability`.
    pub fn new(base: Arc<R>, durability: Durability) -> Self {
        Self { base, durability, state: Mutex::new(State::Fresh) }
    }

    /// Runs an operation on the draft.
    fn with<T>(&self, operation: impl FnOnce(&R, &mut R::Draft) -> Result<T>) -> Result<T> {
        // Before the lock: in a forked child nobody may ever let go of it.
        self.base.check()?;
        let mut state = self.state.lock();
        if matches!(*state, State::Fresh) {
            *state = State::Open(self.base.begin(self.durability)?);
        }
        let State::Open(draft) = &mut *state else { return Err(state.closed()) };
        let result = operation(&self.base, draft);
        if matches!(&result, Err(error) if error.der == Der::TxRestart) {
            *state = State::Failed;
        }
        result
    }
}

impl<R: Transact> TransactionEnd for TxRoute<R> {
    fn commit_once(&self, origin: Option<Origin>) -> Result<()> {
        self.base.check()?;
        let mut state = self.state.lock();
        match &*state {
            State::Fresh | State::Open(_) => {}
            State::Committed => {
                return Err(Error::new(Der::Already, "the transaction has committed already"));
            }
            State::Aborted | State::Failed => return Err(state.closed()),
        }
        // An unknown outcome is no commit either.
        if let State::Open(draft) = std::mem::replace(&mut *state, State::Failed) {
            self.base.commit(draft, self.durability, origin)?;
        }
        *state = State::Committed;
        Ok(())
    }

    fn abort(&self) -> Result<()> {
        self.base.check()?;
        let mut state = self.state.lock();
        match &*state {
            State::Fresh | State::Open(_) | State::Failed => {
                *state = State::Aborted;
                Ok(())
            }
            State::Committed => Err(state.closed()),
            State::Aborted => Err(Error::new(Der::Already, "the transaction has been aborted already")),
        }
    }
}

impl<R: Transact> Route for TxRoute<R> {
    fn targets(&self) -> u32 {
        self.base.targets()
    }

    fn update(&self, target: TargetIdx, request: &Update<'_>) -> Result<()> {
        self.with(|base, draft| base.draft_update(draft, target, request))
    }

    fn fetch(&self, target: TargetIdx, request: &Fetch<'_>, iods: &mut [FetchIod<'_>]) -> Result<()> {
        self.with(|base, draft| base.draft_fetch(draft, target, request, iods))
    }

    fn query(&self, target: TargetIdx, request: &Query<'_>) -> Result<Option<KeyFound>> {
        self.with(|base, draft| base.draft_query(draft, target, request))
    }

    fn punch(&self, target: TargetIdx, request: &Punch<'_>) -> Result<()> {
        self.with(|base, draft| base.draft_punch(draft, target, request))
    }

    fn list(&self, target: TargetIdx, request: &List<'_>) -> Result<ListedKeys> {
        self.with(|base, draft| base.draft_list(draft, target, request))
    }

    fn list_pairs(&self, target: TargetIdx, request: &List<'_>) -> Result<ListedPairs> {
        self.with(|base, draft| base.draft_list_pairs(draft, target, request))
    }
}
