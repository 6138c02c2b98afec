//! A system with endpoints.

use crate::control::grant;
use crate::handles::Handles;
use crate::handles::{Open, Rights};
use crate::service::{HostService, Outside, Shared};
use crate::workers::Workers;
use daos_client::{ContainerService, Error, Result, SystemService};
use daos_locks::Mutex;
use daos_net::serving::Identity;
use daos_net::{Limits, Listening, Service, Transport, near};
use daos_types::Rank;
use std::sync::Arc;

/// Who a host is to those who come.
#[derive(Debug, Clone)]
pub struct HostOptions {
    /// The system's name: 1 to 15 letters, digits, `-`, `_`, `.`.
    pub system: String,
    /// Its rank there.
    pub rank: Rank,
    /// Another number after each start, at least 1.
    pub incarnation: u64,
    /// Bounds of its connections.
    pub limits: Limits,
}

/// A system that others reach. Dropping it ends its endpoints and closes nothing: the system goes on.
#[derive(Debug)]
pub struct Host {
    shared: Arc<Shared>,
    options: HostOptions,
    endpoints: Mutex<Vec<Box<dyn Listening>>>,
}

impl Host {
    /// A host of a system, without endpoints yet.
    pub fn new(system: Arc<dyn SystemService>, options: HostOptions) -> Self {
        Self::with(system, options, None)
    }

    /// The same of a system whose pools are opened by their services: `outside` answers what is asked of them.
    pub fn with(
        system: Arc<dyn SystemService>,
        options: HostOptions,
        outside: Option<Arc<dyn Outside>>,
    ) -> Self {
        let shared = Arc::new(Shared {
            rank: options.rank.0,
            system,
            handles: Handles::default(),
            workers: Workers::default(),
            places: Mutex::default(),
            outside,
        });
        Self { shared, options, endpoints: Mutex::default() }
    }

    /// Serves at one more address; where that is.
    pub fn listen(&self, transport: &dyn Transport, address: &str) -> Result<String> {
        self.listen_with(None, |me, limits, service| transport.listen(address, me, limits, service))
    }

    /// Serves each target at an address of its own, with a thread of its own: `address` tells the place of each.
    pub fn listen_targets(&self, transport: &dyn Transport, address: impl Fn(u32) -> String) -> Result<()> {
        let mut places = Vec::new();
        for index in 0..self.shared.system.targets() {
            places.push(self.listen_with(Some(index), |me, limits, service| {
                transport.listen(&address(index), me, limits, service)
            })?);
        }
        *self.shared.places.lock() = places;
        Ok(())
    }

    /// Serves each target nearby as well, each with one more thread: to processes of this machine, by a provider that lets in those
    /// of this process's user only.
    pub fn listen_near(&self, transport: &dyn Transport) -> Result<()> {
        for index in 0..self.shared.system.targets() {
            self.listen_with(Some(index), |me, limits, service| {
                let address = near::address(&me.system, me.rank, me.incarnation, index);
                let limits = Limits { connections_max: near::CONNECTIONS_MAX, ..limits };
                transport.listen(&address, me, limits, service)
            })?;
        }
        Ok(())
    }

    /// Serves at what `begin` begins to listen to; where that is.
    pub(crate) fn listen_with(
        &self,
        only: Option<u32>,
        begin: impl FnOnce(Identity, Limits, Box<dyn Service>) -> daos_net::Result<Box<dyn Listening>>,
    ) -> Result<String> {
        let HostOptions { system, rank, incarnation, limits } = self.options.clone();
        let me = Identity { system, rank, incarnation };
        let service = Box::new(HostService::new(Arc::clone(&self.shared), only));
        let listening = begin(me, limits, service)
            .map_err(|error| Error::new(error.der, error.message).hint(error.hint))?;
        let at = listening.address();
        self.endpoints.lock().push(listening);
        Ok(at)
    }

    /// Admits requests for a container by a handle of this number.
    pub fn admit(&self, number: u64, container: Arc<dyn ContainerService>, rights: Rights) {
        let granted = grant(&*container, rights);
        self.shared.handles.install(number, Open::Container { container, granted });
    }

    /// Refuses requests by handles of these numbers from now on.
    pub fn revoke(&self, numbers: &[u64]) {
        self.shared.handles.revoke(numbers);
    }

    /// Where its targets are reached, in their order.
    pub fn places(&self) -> Vec<String> {
        self.shared.places.lock().clone()
    }

    /// Forgets all handles, as if others had taken their place: their owners open again what they need.
    pub fn forget_handles(&self) {
        self.shared.handles.clear();
    }

    /// Ends its endpoints: clients are told, what is under way is answered first or was never begun.
    pub fn end(&self) {
        let endpoints = std::mem::take(&mut *self.endpoints.lock());
        drop(endpoints);
        self.shared.workers.end();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.end();
    }
}
