//! A system that another process has.

use super::call::{Asker, Failed};
use super::pool::RemotePool;
use crate::error::{Error, Result};
use crate::service::{PoolService, SystemService, SystemSpace};
use daos_locks::Mutex;
use daos_net::frame::Hello;
use daos_net::{Endpoint, Limits, Transport};
use daos_types::{Durability, Origin, PoolId, Rank};
use daos_wire::Control;
use daos_wire::control::{Named, PoolReply, SpaceReply};
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Who a client is and whom it means: how it opens connections to the engines of a system.
#[derive(Debug)]
pub struct Places {
    transport: Arc<dyn Transport>,
    limits: Limits,
    hello: Hello,
    /// Opened, by rank and address.
    known: Mutex<HashMap<(u32, String), Arc<Endpoint>>>,
}

impl Places {
    /// Connections by a provider, each with these first words.
    pub fn new(transport: Arc<dyn Transport>, limits: Limits, hello: Hello) -> Self {
        Self { transport, limits, hello, known: Mutex::default() }
    }

    /// The endpoint at an address of an engine, opened when it is used; the same for all that ask for it.
    pub(super) fn endpoint(&self, rank: u32, address: &str) -> Arc<Endpoint> {
        let mut known = self.known.lock();
        let endpoint =
            known.entry((rank, address.to_owned())).or_insert_with(|| self.open(Some(rank), address));
        Arc::clone(endpoint)
    }

    fn open(&self, rank: Option<u32>, address: &str) -> Arc<Endpoint> {
        let hello = Hello { rank: rank.map(Rank), ..self.hello.clone() };
        // Attempts of clients to connect again are spread by who they are.
        let [a, b, c, d, e, f, g, h, ..] = hello.session.0;
        let chance = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        Arc::new(Endpoint::new(Arc::clone(&self.transport), address, self.limits, hello, chance))
    }
}

/// A system that another process has. Closing it closes nothing there.
#[derive(Debug)]
pub struct RemoteSystem {
    pub(super) first: Arc<Endpoint>,
    pub(super) places: Places,
    pub(super) asker: Asker,
    pub(super) durability: Durability,
    targets: u32,
}

impl RemoteSystem {
    /// The system that answers at an address: its control requests go there, its targets are where it says. A call takes no
    /// longer than `timeout`; changes are so durable when they return.
    pub fn connect(
        places: Places,
        address: &str,
        timeout: Duration,
        durability: Durability,
    ) -> Result<Arc<Self>> {
        let first = places.open(places.hello.rank.map(|rank| rank.0), address);
        let asker = Asker::new(timeout);
        let told: u32 = asker.control(&first, 0, &Control::SystemTargets).map_err(|failed| failed.error)?;
        Ok(Arc::new(Self { first, places, asker, durability, targets: told }))
    }

    pub(super) fn control<T: DeserializeOwned>(&self, request: &Control) -> Result<T> {
        self.control_by(0, request).map_err(|failed| failed.error)
    }

    pub(super) fn control_by<T: DeserializeOwned>(
        &self,
        handle: u64,
        request: &Control,
    ) -> std::result::Result<T, Failed> {
        self.asker.control(&self.first, handle, request)
    }

    fn pool(self: &Arc<Self>, reply: PoolReply) -> Result<Arc<dyn PoolService>> {
        Ok(Arc::new(RemotePool::new(Arc::clone(self), reply)?))
    }
}

impl SystemService for RemoteSystem {
    fn targets(&self) -> u32 {
        self.targets
    }

    fn space(&self) -> Result<SystemSpace> {
        let SpaceReply { total, free, used, reserved } = self.control(&Control::SystemSpace)?;
        Ok(SystemSpace { total, free, used, reserved })
    }

    fn settle(&self, origin: Origin) -> Result<bool> {
        self.control(&Control::ChangeSettle { sequence: origin.sequence })
    }

    fn close(&self) -> Result<()> {
        self.asker.close();
        Ok(())
    }

    fn pools(&self) -> Result<Vec<(PoolId, String)>> {
        let pools: Vec<Named> = self.control(&Control::PoolList)?;
        Ok(pools.into_iter().map(|pool| (PoolId(*pool.uuid), pool.label)).collect())
    }

    fn pool_create(self: Arc<Self>, label: &str, props: &[u8]) -> Result<Arc<dyn PoolService>> {
        let request = Control::PoolCreate { label: label.to_owned(), props: props.to_vec().into() };
        self.pool(self.control(&request)?)
    }

    fn pool_open(self: Arc<Self>, name: &str) -> Result<Arc<dyn PoolService>> {
        self.pool(self.control(&Control::PoolConnect { pool: name.to_owned() })?)
    }

    fn pool_destroy(&self, name: &str) -> Result<()> {
        self.control(&Control::PoolDestroy { pool: name.to_owned() })
    }
}

/// What a system told is not to be believed.
pub(super) fn unfit(message: impl Into<String>) -> Error {
    Error::new(daos_types::Der::Proto, message)
        .hint("the other end may be of another version of daos: install the same on both")
}
