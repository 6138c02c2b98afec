//! The way to a target.

use crate::error::Result;
use crate::kv;
use daos_types::{Durability, FetchIod, KeyFound, Origin, TargetIdx};
use daos_wire::{
    Check, Checked, Count, Counted, Diff, Differences, Fetch, List, ListedKeys, ListedObjects, ListedPairs,
    Objects, Punch, Query, Update,
};

/// Carries requests of one pool to its targets. Each call returns when its reply may be believed: what it promises is as
/// durable as the request asks.
pub trait Route: std::fmt::Debug + Send + Sync {
    /// How many targets the pool has.
    fn targets(&self) -> u32;

    /// Puts new values under akeys of one dkey.
    fn update(&self, target: TargetIdx, request: &Update<'_>) -> Result<()>;

    /// Several updates, made durable together; those of one target happen in their order. Not atomic: a failure ends it, and others
    /// may or may not have happened.
    fn update_all(&self, requests: &mut dyn Iterator<Item = (TargetIdx, Update<'_>)>) -> Result<()> {
        for (target, request) in requests {
            self.update(target, &request)?;
        }
        Ok(())
    }

    /// Reads values of akeys of one dkey, straight into what the iods name.
    fn fetch(&self, target: TargetIdx, request: &Fetch<'_>, iods: &mut [FetchIod<'_>]) -> Result<()>;

    /// The extreme keys or records of an object; `None` where nothing is visible.
    fn query(&self, target: TargetIdx, request: &Query<'_>) -> Result<Option<KeyFound>>;

    /// Hides an object, a dkey or akeys.
    fn punch(&self, target: TargetIdx, request: &Punch<'_>) -> Result<()>;

    /// One page of keys.
    fn list(&self, target: TargetIdx, request: &List<'_>) -> Result<ListedKeys>;

    /// One page of the keys of a flat key-value object, with their values. Where the other side does not do it in one walk, a
    /// page of keys is listed and each is fetched.
    fn list_pairs(&self, target: TargetIdx, request: &List<'_>) -> Result<ListedPairs> {
        let listed = self.list(target, request)?;
        kv::fetch_listed(listed, request, |request, iods| self.fetch(target, request, iods))
    }
}

/// A way to targets that can tell of containers as a whole.
pub trait Survey: Route {
    /// One page of a container's objects on a target.
    fn objects(&self, target: TargetIdx, request: &Objects<'_>) -> Result<ListedObjects>;

    /// One page of the differences of an object shard.
    fn diff(&self, target: TargetIdx, request: &Diff<'_>) -> Result<Differences>;

    /// A part of a check of a container on a target.
    fn check(&self, target: TargetIdx, request: &Check<'_>) -> Result<Checked>;

    /// A part of a count of what a container holds on a target.
    fn count(&self, target: TargetIdx, request: &Count<'_>) -> Result<Counted>;
}

/// A way to targets on which transactions run. A draft is what one has read and would change; nobody else sees it, and dropping
/// it is all it takes to abort it.
pub trait Transact: Route {
    /// A transaction that has not committed.
    type Draft: Send + std::fmt::Debug;

    /// Refuses what cannot be used any more, without waiting for anything.
    fn check(&self) -> Result<()>;

    /// Begins a transaction: from here on it reads what is there now. What it promises when it has committed is `durability`.
    fn begin(&self, durability: Durability) -> Result<Self::Draft>;

    /// As [`Route::update`], seen by the draft alone.
    fn draft_update(&self, draft: &mut Self::Draft, target: TargetIdx, request: &Update<'_>) -> Result<()>;

    /// As [`Route::fetch`], at the draft's epoch and with its changes.
    fn draft_fetch(
        &self,
        draft: &mut Self::Draft,
        target: TargetIdx,
        request: &Fetch<'_>,
        iods: &mut [FetchIod<'_>],
    ) -> Result<()>;

    /// As [`Route::query`], at the draft's epoch and with its changes.
    fn draft_query(
        &self,
        draft: &mut Self::Draft,
        target: TargetIdx,
        request: &Query<'_>,
    ) -> Result<Option<KeyFound>>;

    /// As [`Route::punch`], seen by the draft alone.
    fn draft_punch(&self, draft: &mut Self::Draft, target: TargetIdx, request: &Punch<'_>) -> Result<()>;

    /// As [`Route::list`], at the draft's epoch and with its changes.
    fn draft_list(
        &self,
        draft: &mut Self::Draft,
        target: TargetIdx,
        request: &List<'_>,
    ) -> Result<ListedKeys>;

    /// As [`Route::list_pairs`], at the draft's epoch and with its changes.
    fn draft_list_pairs(
        &self,
        draft: &mut Self::Draft,
        target: TargetIdx,
        request: &List<'_>,
    ) -> Result<ListedPairs> {
        let listed = self.draft_list(draft, target, request)?;
        kv::fetch_listed(listed, request, |request, iods| self.draft_fetch(draft, target, request, iods))
    }

    /// Commits a draft, all or nothing. `Der::TxRestart`: another changed what it read, and nothing happened.
    fn commit(&self, draft: Self::Draft, durability: Durability, origin: Option<Origin>) -> Result<()>;
}
