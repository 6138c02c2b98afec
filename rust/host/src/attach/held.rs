//! A system that this process holds, and lets others use.

use super::host;
use super::neighbour::{self, Place};
use crate::Host;
use daos_client::{PoolService, Result, SystemService, SystemSpace};
use daos_embed::{Owner, System};
use daos_locks::Mutex;
use daos_net::unix::Bound;
use daos_types::{Origin, PoolId};
use rustix::process::{Uid, geteuid};
use std::path::Path;
use std::sync::Arc;

/// The system and what serves it. Its pools are those of the system itself: who holds it pays nothing for the others.
#[derive(Debug)]
pub(crate) struct Held {
    system: Arc<System>,
    host: Mutex<Option<Host>>,
    owner: Owner,
    /// Whose it is: as at its socket, others are not let in.
    user: Uid,
    /// Where neighbours look for it.
    place: Option<Place>,
}

impl Held {
    pub(crate) fn new(path: &Path, system: Arc<System>, bound: Option<&Bound>) -> Result<Arc<Self>> {
        let host = bound.map(|bound| host(Arc::clone(&system), bound)).transpose()?;
        let (host, owner, user) = (Mutex::new(host), Owner::here(), geteuid());
        let place = System::place(path);
        let held = Arc::new(Self { system, host, owner, user, place });
        if let Some(place) = place {
            neighbour::show(place, &held);
        }
        Ok(held)
    }

    pub(super) fn system(&self) -> &Arc<System> {
        &self.system
    }

    pub(super) fn is_for_this_user(&self) -> bool {
        self.user == geteuid()
    }
}

impl SystemService for Held {
    fn targets(&self) -> u32 {
        self.system.targets()
    }

    fn space(&self) -> Result<SystemSpace> {
        SystemService::space(&*self.system)
    }

    fn settle(&self, origin: Origin) -> Result<bool> {
        self.system.settle(origin)
    }

    fn close(&self) -> Result<()> {
        if !self.owner.is_forked() {
            // Before it takes no more calls: who looks for a neighbour from here on waits for the directory.
            if let Some(place) = self.place {
                neighbour::hide(place, self);
            }
            // Guests are told to go; they wait at the socket until the directory is free. Who closes at the same time waits, too:
            // as long as somebody is answered, the system is there.
            let mut host = self.host.lock();
            drop(host.take());
        }
        self.system.close()
    }

    fn pools(&self) -> Result<Vec<(PoolId, String)>> {
        self.system.pools()
    }

    fn pool_create(self: Arc<Self>, label: &str, props: &[u8]) -> Result<Arc<dyn PoolService>> {
        SystemService::pool_create(Arc::clone(&self.system), label, props)
    }

    fn pool_open(self: Arc<Self>, name: &str) -> Result<Arc<dyn PoolService>> {
        SystemService::pool_open(Arc::clone(&self.system), name)
    }

    fn pool_destroy(&self, name: &str) -> Result<()> {
        self.system.pool_destroy(name)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.owner.is_forked() {
            // The parent's threads and connections stay the parent's.
            std::mem::forget(self.host.get_mut().take());
        } else if let Some(place) = self.place {
            neighbour::hide(place, self);
        }
    }
}
