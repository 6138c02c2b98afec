//! Replies that are put off: whoever runs several operations waits for all of them at once, and tells none before.

use crate::route::{Guard, told};
use daos_client::Result;
use daos_types::{Durability, Lsn};
use daos_vos::{Seen, Store};
use parking_lot::{ArcRwLockReadGuard, RawRwLock};
use std::cell::RefCell;
use std::sync::Arc;

thread_local! {
    /// What the operation that runs on this thread owes; `None` where replies are not put off.
    static OWED: RefCell<Option<Debt>> = const { RefCell::new(None) };
}

/// What must be safe before the reply of one operation may be told.
#[derive(Debug, Default)]
pub(crate) struct Debt {
    system: Option<Held>,
    written: Lsn,
    durable: Lsn,
}

/// A system that stays open until the debt is settled: later, other processes may have its files.
#[derive(Debug)]
struct Held {
    store: Arc<Store>,
    _open: ArcRwLockReadGuard<RawRwLock, bool>,
}

/// Runs an operation whose reply waits for nothing: what it would have waited for is answered beside its result.
pub(crate) fn collect<R>(run: impl FnOnce() -> R) -> (R, Debt) {
    OWED.set(Some(Debt::default()));
    let result = run();
    (result, OWED.take().unwrap_or_default())
}

/// Puts a wait off, within [`collect`]; false where the caller has to wait now. The caller is inside a call of the
/// system.
pub(crate) fn put_off(guard: &Guard, seen: Seen, durability: Durability) -> bool {
    OWED.with_borrow_mut(|owed| {
        let Some(debt) = owed else { return false };
        match &debt.system {
            Some(held) if !Arc::ptr_eq(&held.store, &guard.store) => return false,
            Some(_) => {}
            None => {
                // The call holds it already, perhaps while somebody waits to close.
                let open = guard.closed.read_arc_recursive();
                debt.system = Some(Held { store: Arc::clone(&guard.store), _open: open });
            }
        }
        let position = if durability == Durability::Synced { &mut debt.durable } else { &mut debt.written };
        *position = seen.0.max(*position);
        true
    })
}

impl Debt {
    /// Whether there is nothing to wait for any more.
    pub(crate) fn is_settled(&self) -> bool {
        self.system
            .as_ref()
            .is_none_or(|held| self.written == Lsn::ZERO && held.store.is_durable(self.durable))
    }

    /// Waits until the reply may be told.
    pub(crate) fn settle(&self) -> Result<()> {
        let Some(held) = &self.system else { return Ok(()) };
        held.store.wait(self.written, Durability::Buffered).map_err(told)?;
        held.store.wait(self.durable, Durability::Synced).map_err(told)
    }
}
