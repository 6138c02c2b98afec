//! The way to a target.

use crate::error::Result;
use crate::kv;
use daos_types::{FetchIod, KeyFound, TargetIdx};
use daos_wire::{Fetch, List, ListedKeys, ListedPairs, Punch, Query, Update};

/// Carries requests of one pool to its targets. Each call returns when its reply may be believed: what it promises is as
/// durable as the request asks.
pub trait Route: Send + Sync {
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
        kv::list_and_fetch(self, target, request)
    }
}
