//! The way to a target.

use crate::error::Result;
use daos_types::{FetchIod, KeyFound, TargetIdx};
use daos_wire::{Fetch, List, ListedKeys, Punch, Query, Update};

/// Carries requests of one pool to its targets. Each call returns when its reply may be believed: what it promises is as
/// durable as the request asks.
pub trait Route: Send + Sync {
    /// How many targets the pool has.
    fn targets(&self) -> u32;

    /// Puts new values under akeys of one dkey.
    fn update(&self, target: TargetIdx, request: &Update<'_>) -> Result<()>;

    /// Several updates, made durable together; stops at the first failure, what came before it stays.
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
}
