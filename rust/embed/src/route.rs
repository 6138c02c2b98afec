//! The way to the targets of an embedded pool: a direct call, then the reply gate.

use crate::background::Background;
use crate::calls::{Calls, Inside};
use crate::debt;
use crate::epochs::OpenEpochs;
use crate::fork::Owner;
use crate::scrub::Board;
use crate::tables;
use daos_client::{Change, Error, Result, Route, Survey};
use daos_engine::{Target, target::Outcome};
use daos_locks::Mutex;
use daos_types::{ContainerId, Der, Durability, Epoch, FetchIod, KeyFound, Landing, PoolId, TargetIdx};
use daos_vos::{Landed, Rows, Seen, Store, VosError};
use daos_wire::{
    Check, Checked, Count, Counted, Diff, Differences, Fetch, List, ListedKeys, ListedObjects, ListedPairs,
    Objects, Punch, PutPairs, Query, Update,
};
use std::sync::Arc;

/// Direct calls into the targets of one pool.
#[derive(Debug)]
pub struct EmbeddedRoute {
    pub(crate) pool: PoolId,
    pub(crate) targets: Vec<Target>,
    pub(crate) guard: Arc<Guard>,
}

/// What every handle of a system shares: whether it may still be used, and who works in the background.
#[derive(Debug)]
pub(crate) struct Guard {
    pub(crate) store: Arc<Store>,
    pub(crate) owner: Owner,
    /// Closing waits for the calls inside: none works on files that another process may have open by then.
    pub(crate) calls: Arc<Calls>,
    pub(crate) background: Mutex<Option<Background>>,
    /// The epochs at which transactions read.
    pub(crate) epochs: Arc<OpenEpochs>,
    /// What the scrubber is told and tells.
    pub(crate) scrubs: Arc<Board>,
}

impl Guard {
    /// Begins a call; the system stays open until what this answers is dropped.
    pub(crate) fn enter(&self) -> Result<Inside<'_>> {
        self.owner.check()?;
        self.calls.enter().ok_or_else(|| Error::new(Der::NoHdl, "the system is closed").hint("open it again"))
    }

    /// A row of the tables. Like all that is read there it is answered once it is as safe as a synced reply has to be.
    pub(crate) fn row(&self, name: &[u8]) -> Result<Option<Vec<u8>>> {
        let (seen, row) = self.store.service_row(name).map_err(told)?;
        self.store.wait(seen.0, Durability::Synced).map_err(told)?;
        Ok(row)
    }

    /// The rows below a prefix: the rest of the name, and the row.
    pub(crate) fn rows(&self, prefix: &[u8]) -> Result<Rows> {
        let (seen, rows) = self.store.service_rows(prefix).map_err(told)?;
        self.store.wait(seen.0, Durability::Synced).map_err(told)?;
        Ok(rows)
    }

    /// Lets the background thread look for work.
    pub(crate) fn wake_background(&self) {
        if let Some(background) = &*self.background.lock() {
            background.wake();
        }
    }
}

impl EmbeddedRoute {
    pub(crate) fn target(&self, target: TargetIdx) -> Result<&Target> {
        self.targets
            .get(target.0 as usize)
            .ok_or_else(|| Error::new(Der::BadTarget, format!("there is no target {}", target.0)))
    }

    /// Refuses what was read of the past unless it is that of a snapshot. To be asked when the read is done: epochs do not
    /// come back, so a snapshot that is there now was there all the while, and kept what the read saw.
    fn check_kept(&self, cont: ContainerId, epoch: Epoch) -> Result<()> {
        if epoch == Epoch::MAX { Ok(()) } else { self.check_snapshot(cont, epoch) }
    }

    /// Refuses an epoch that is no snapshot of a container.
    pub(crate) fn check_snapshot(&self, cont: ContainerId, epoch: Epoch) -> Result<()> {
        match self.guard.row(&tables::snap_name(&self.pool.0, &cont.0, epoch))? {
            Some(_) => Ok(()),
            None => Err(Error::new(Der::Nonexist, format!("epoch {epoch} is no snapshot of the container"))
                .hint("list the snapshots: it may have been destroyed")),
        }
    }

    /// Nothing is told before it is as safe as was asked, be it a result or a refusal.
    pub(crate) fn reply<T>(
        &self,
        target: &Target,
        durability: Durability,
        (seen, result): Outcome<T>,
    ) -> Result<T> {
        self.gate(target, seen, durability)?;
        result.map_err(told)
    }

    fn gate(&self, target: &Target, seen: Seen, durability: Durability) -> Result<()> {
        if debt::put_off(&self.guard, seen, durability) {
            return Ok(());
        }
        target.gate(seen, durability).map_err(told)
    }
}

/// A landing, which is written to as long as the system is open, like all else.
#[derive(Debug)]
struct Guarded {
    guard: Arc<Guard>,
    inner: Landed,
}

impl Landing for Guarded {
    fn number(&self) -> u64 {
        self.inner.number()
    }

    fn put(&self, at: usize, bytes: &[u8]) {
        if let Ok(_open) = self.guard.enter() {
            self.inner.put(at, bytes);
        }
    }
}

impl Route for EmbeddedRoute {
    fn targets(&self) -> u32 {
        self.targets.len() as u32
    }

    fn update(&self, target: TargetIdx, request: &Update<'_>) -> Result<()> {
        let _open = self.guard.enter()?;
        let target = self.target(target)?;
        self.reply(target, request.durability, target.update(request))
    }

    fn land(&self, target: TargetIdx, len: usize, durability: Durability) -> Option<Arc<dyn Landing>> {
        let _open = self.guard.enter().ok()?;
        let inner = self.target(target).ok()?.land(len, durability)?;
        Some(Arc::new(Guarded { guard: Arc::clone(&self.guard), inner }))
    }

    fn put_pairs(&self, target: TargetIdx, request: &PutPairs<'_>) -> Result<()> {
        let _open = self.guard.enter()?;
        let target = self.target(target)?;
        self.reply(target, request.durability, target.put_pairs(request))
    }

    fn change_all(&self, changes: &[(TargetIdx, Change<'_>)]) -> Result<()> {
        let _open = self.guard.enter()?;
        let mut durability = Durability::Buffered;
        for (index, change) in changes {
            self.target(*index)?;
            durability = durability.max(change.durability());
        }
        // All targets share one log: one wait for the last record covers all.
        let mut last: Option<(&Target, Seen)> = None;
        let mut failed = None;
        for (index, change) in changes {
            let target = self.target(*index)?;
            let (seen, result) = match change {
                Change::Update(update) => target.update(update),
                Change::PutPairs(put) => target.put_pairs(put),
            };
            last = Some((target, last.map_or(seen, |(_, before)| seen.and(before))));
            failed = result.err();
            if failed.is_some() {
                break;
            }
        }
        if let Some((target, seen)) = last {
            self.gate(target, seen, durability)?;
        }
        failed.map_or(Ok(()), |error| Err(told(error)))
    }

    fn fetch(&self, target: TargetIdx, request: &Fetch<'_>, iods: &mut [FetchIod<'_>]) -> Result<()> {
        let _open = self.guard.enter()?;
        let target = self.target(target)?;
        let read = self.reply(target, request.durability, target.fetch(request, iods));
        self.check_kept(request.of.cont, request.epoch)?;
        read
    }

    fn query(&self, target: TargetIdx, request: &Query<'_>) -> Result<Option<KeyFound>> {
        let _open = self.guard.enter()?;
        let target = self.target(target)?;
        let found = self.reply(target, request.durability, target.query(request));
        self.check_kept(request.of.cont, request.epoch)?;
        found
    }

    fn punch(&self, target: TargetIdx, request: &Punch<'_>) -> Result<()> {
        let _open = self.guard.enter()?;
        let target = self.target(target)?;
        self.reply(target, request.durability, target.punch(request))
    }

    fn list(&self, target: TargetIdx, request: &List<'_>) -> Result<ListedKeys> {
        let _open = self.guard.enter()?;
        let target = self.target(target)?;
        let keys = self.reply(target, request.durability, target.list(request))?;
        self.check_kept(request.of.cont, request.epoch)?;
        Ok(keys)
    }

    fn list_pairs(&self, target: TargetIdx, request: &List<'_>) -> Result<ListedPairs> {
        let _open = self.guard.enter()?;
        let target = self.target(target)?;
        let pairs = self.reply(target, request.durability, target.list_pairs(request))?;
        self.check_kept(request.of.cont, request.epoch)?;
        Ok(pairs)
    }
}

impl Survey for EmbeddedRoute {
    fn objects(&self, target: TargetIdx, request: &Objects<'_>) -> Result<ListedObjects> {
        let _open = self.guard.enter()?;
        let target = self.target(target)?;
        let objects = self.reply(target, request.durability, target.objects(request))?;
        request.epochs.iter().try_for_each(|epoch| self.check_kept(request.cont, *epoch))?;
        Ok(objects)
    }

    fn diff(&self, target: TargetIdx, request: &Diff<'_>) -> Result<Differences> {
        let _open = self.guard.enter()?;
        let target = self.target(target)?;
        let differences = self.reply(target, request.durability, target.diff(request))?;
        self.check_kept(request.of.cont, request.before)?;
        self.check_kept(request.of.cont, request.after)?;
        Ok(differences)
    }

    fn check(&self, target: TargetIdx, request: &Check<'_>) -> Result<Checked> {
        let _open = self.guard.enter()?;
        let target = self.target(target)?;
        self.reply(target, request.durability, target.check(request))
    }

    fn count(&self, target: TargetIdx, request: &Count<'_>) -> Result<Counted> {
        let _open = self.guard.enter()?;
        let target = self.target(target)?;
        self.reply(target, request.durability, target.count(request))
    }
}

/// A failure of the store as the caller is told it.
#[allow(clippy::needless_pass_by_value)] // what `map_err` hands over
pub(crate) fn told(error: VosError) -> Error {
    let hint = match &error {
        VosError::NoSpace { .. } => {
            Some("delete what is not needed, or give the system more room, then try again")
        }
        VosError::Corrupt { .. } => Some("stop using this system and restore it from a copy"),
        VosError::Checksum { .. } => {
            Some("read it from a snapshot or a copy; if it was an update, send it again")
        }
        VosError::Uncertain { .. } => Some("reopen the system and read before you write again"),
        VosError::Stopped { .. } => Some("look at the device, then close the system and open it again"),
        VosError::Format { .. } => Some("install a newer version of daos"),
        VosError::ValueTooLong { .. } => Some("split the value over several keys"),
        VosError::KeyTooLong { .. } => Some("use a shorter key, or a type of object whose keys are hashed"),
        VosError::OtherKind { .. } => {
            Some("read it as that; to hold anything else the akey is punched first")
        }
        VosError::InProgress | VosError::SameVersion => Some("try again"),
        VosError::Conflict => Some("run all of it again, as a new transaction"),
        VosError::TransactionTooLong { .. } => Some("divide it into several transactions"),
        _ => None,
    };
    let told = Error::new(error.der(), error.to_string());
    match hint {
        Some(hint) => told.hint(hint),
        None => told,
    }
}

#[cfg(test)]
mod tests;
