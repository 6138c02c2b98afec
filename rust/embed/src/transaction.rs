//! Transactions of an embedded pool: by direct call, all its targets being of one store.

use crate::epochs::OpenEpoch;
use crate::pool::Container;
use crate::route::{EmbeddedRoute, told};
use daos_client::{ContainerObjects as _, Error, Result, Route, Transact, Transaction, TxRoute};
use daos_engine::target::{Draft, Target};
use daos_types::{Der, Durability, Epoch, FetchIod, KeyFound, Origin, TargetIdx, limits};
use daos_wire::{Fetch, List, ListedKeys, Punch, Query, Update};
use std::sync::Arc;
use std::time::Instant;

impl Container {
    /// A transaction; it begins with its first operation. When it has committed it is as durable as the pool was opened for.
    pub fn transaction(&self) -> Result<Transaction> {
        self.transaction_as(self.pool.durability)
    }

    /// The same, as durable as is said here.
    pub(crate) fn transaction_as(&self, durability: Durability) -> Result<Transaction> {
        let _open = self.pool.system.guard.enter()?;
        self.check_writable()?;
        let end = Arc::new(TxRoute::new(Arc::clone(&self.pool.route), durability));
        let by: Arc<dyn Route> = Arc::<TxRoute<EmbeddedRoute>>::clone(&end);
        Ok(Transaction { container: Arc::new(self.by(by)), end })
    }
}

/// A transaction that has not committed.
#[derive(Debug)]
pub struct OpenDraft {
    draft: Draft,
    epoch: OpenEpoch,
}

/// Refuses one that takes too long. To be asked when a read is done: until then all it reads was kept.
fn check_life(epoch: &OpenEpoch) -> Result<()> {
    if !epoch.is_over(Instant::now()) {
        return Ok(());
    }
    let message =
        format!("the transaction took longer than {} s; nothing of it happened", limits::TX_LIFE_S_MAX);
    Err(Error::new(Der::TxRestart, message)
        .hint("run all of it again, in smaller parts if it has to take long"))
}

impl EmbeddedRoute {
    /// Runs an operation of a draft on a target.
    fn draft<T>(
        &self,
        draft: &mut OpenDraft,
        target: TargetIdx,
        durability: Durability,
        operation: impl FnOnce(&Target, &mut Draft) -> daos_engine::target::Outcome<T>,
    ) -> Result<T> {
        let _open = self.guard.enter()?;
        let target = self.target(target)?;
        let outcome = operation(target, &mut draft.draft);
        check_life(&draft.epoch)?;
        self.reply(target, durability, outcome)
    }
}

impl Transact for EmbeddedRoute {
    type Draft = OpenDraft;

    fn check(&self) -> Result<()> {
        self.guard.enter().map(drop)
    }

    fn begin(&self, _: Durability) -> Result<OpenDraft> {
        let _open = self.guard.enter()?;
        let note = |epoch: Epoch| self.guard.epochs.open(self.guard.owner, epoch, Instant::now());
        let epoch = self.target(TargetIdx(0))?.read_epoch(note).map_err(told)?;
        Ok(OpenDraft { draft: Draft::new(epoch.epoch()), epoch })
    }

    fn draft_update(&self, draft: &mut OpenDraft, at: TargetIdx, request: &Update<'_>) -> Result<()> {
        self.draft(draft, at, request.durability, |target, draft| target.draft_update(at, draft, request))
    }

    fn draft_fetch(
        &self,
        draft: &mut OpenDraft,
        at: TargetIdx,
        request: &Fetch<'_>,
        iods: &mut [FetchIod<'_>],
    ) -> Result<()> {
        self.draft(draft, at, request.durability, |target, draft| {
            target.draft_fetch(at, draft, request, iods)
        })
    }

    fn draft_query(
        &self,
        draft: &mut OpenDraft,
        at: TargetIdx,
        request: &Query<'_>,
    ) -> Result<Option<KeyFound>> {
        self.draft(draft, at, request.durability, |target, draft| target.draft_query(at, draft, request))
    }

    fn draft_punch(&self, draft: &mut OpenDraft, at: TargetIdx, request: &Punch<'_>) -> Result<()> {
        self.draft(draft, at, request.durability, |target, draft| target.draft_punch(at, draft, request))
    }

    fn draft_list(&self, draft: &mut OpenDraft, at: TargetIdx, request: &List<'_>) -> Result<ListedKeys> {
        self.draft(draft, at, request.durability, |target, draft| target.draft_list(at, draft, request))
    }

    fn commit(&self, draft: OpenDraft, durability: Durability, origin: Option<Origin>) -> Result<()> {
        let _open = self.guard.enter()?;
        check_life(&draft.epoch)?;
        let first = self.target(TargetIdx(0))?;
        self.reply(first, durability, Target::commit(&self.targets, draft.draft, origin))
    }
}
