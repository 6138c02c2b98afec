//! The way to a target.

use crate::error::Result;
use daos_types::TargetIdx;
use daos_wire::{Fetch, List, ListedKeys, Punch, Update};

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

    /// Shows a value to `found`, at most once; false where there is none. `found` must not wait for anything.
    fn fetch(&self, target: TargetIdx, request: &Fetch<'_>, found: &mut dyn FnMut(&[u8])) -> Result<bool>;

    /// Hides an object, a dkey or akeys.
    fn punch(&self, target: TargetIdx, request: &Punch<'_>) -> Result<()>;

    /// One page of keys.
    fn list(&self, target: TargetIdx, request: &List<'_>) -> Result<ListedKeys>;
}
