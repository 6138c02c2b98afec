//! A system that this process holds, for whoever opens it once more here: he asks the holder by direct call, and no socket.

use super::held::Held;
use daos_client::{PoolService, Result, SystemService, SystemSpace};
use daos_embed::{PerProcess, System};
use daos_locks::Mutex;
use daos_types::{Durability, Origin, PoolId};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Weak};

/// Which directory it is.
pub(super) type Place = (u64, u64);

/// What this process holds and shares. A child that was forked holds nothing.
static HERE: PerProcess<Mutex<HashMap<Place, Weak<Held>>>> = PerProcess::new();

/// From now on neighbours find it.
pub(super) fn show(place: Place, held: &Arc<Held>) {
    HERE.get().lock().insert(place, Arc::downgrade(held));
}

/// Nobody finds it any more, unless another holder of the directory is shown by now.
pub(super) fn hide(place: Place, held: &Held) {
    let mut here = HERE.get().lock();
    if here.get(&place).is_some_and(|shown| std::ptr::eq(shown.as_ptr(), held)) {
        here.remove(&place);
    }
}

/// Who holds the system in a directory, if this process does and shares it with the user that it is now.
pub(super) fn find(path: &Path) -> Option<Arc<Held>> {
    let place = System::place(path)?;
    // Not under the lock: this may be the last one who has it, and it hides itself when it goes.
    let shown = HERE.get().lock().get(&place).and_then(Weak::upgrade);
    shown.filter(|held| held.is_for_this_user() && !held.system().is_closed())
}

/// The system of a neighbour. To close it closes nothing: its holder has it.
#[derive(Debug)]
pub(super) struct Neighbour {
    held: Arc<Held>,
    /// What was promised to who opened it here.
    durability: Durability,
}

impl Neighbour {
    pub(super) fn new(held: Arc<Held>, durability: Durability) -> Self {
        Self { held, durability }
    }

    pub(super) fn system(&self) -> &Arc<System> {
        self.held.system()
    }
}

impl SystemService for Neighbour {
    fn targets(&self) -> u32 {
        self.held.targets()
    }

    fn space(&self) -> Result<SystemSpace> {
        self.held.space()
    }

    fn settle(&self, origin: Origin) -> Result<bool> {
        self.held.settle(origin)
    }

    fn close(&self) -> Result<()> {
        Ok(())
    }

    fn pools(&self) -> Result<Vec<(PoolId, String)>> {
        self.held.pools()
    }

    fn pool_create(self: Arc<Self>, label: &str, props: &[u8]) -> Result<Arc<dyn PoolService>> {
        let pool = self.system().pool_create(label, props)?;
        Ok(Arc::new(pool.promising(self.durability)))
    }

    fn pool_open(self: Arc<Self>, name: &str) -> Result<Arc<dyn PoolService>> {
        let pool = self.system().pool_open(name)?;
        Ok(Arc::new(pool.promising(self.durability)))
    }

    fn pool_destroy(&self, name: &str) -> Result<()> {
        self.held.pool_destroy(name)
    }
}
