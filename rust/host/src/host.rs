//! A system with endpoints.

use crate::control::grant;
use crate::handles::Handles;
use crate::handles::{Open, Rights};
use crate::service::{HostService, Outside, Shared};
use crate::workers::Workers;
use daos_client::{ContainerService, Error, Result, SystemService};
use daos_locks::Mutex;
use daos_net::serving::Identity;
use daos_net::shm::Shm;
use daos_net::{Limits, Listening, Service, Transport, near};
use daos_types::Rank;
use std::ops::Range;
use std::sync::Arc;
use std::thread;

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
            apart: Workers::default(),
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
            places.push(self.listen_with(Some(index..index + 1), |me, limits, service| {
                transport.listen(&address(index), me, limits, service)
            })?);
        }
        *self.shared.places.lock() = places;
        Ok(())
    }

    /// Serves each target nearby as well, to processes of this machine and of this process's user. These share its cores, so targets
    /// share threads where there are few.
    pub fn listen_near(&self, shm: &Shm) -> Result<()> {
        let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        for part in parts(self.shared.system.targets(), cores / 2) {
            self.listen_with(Some(part.clone()), |me, limits, service| {
                let name = |target| near::address(&me.system, me.rank, me.incarnation, target);
                let names: Vec<String> = part.map(name).collect();
                let connections_max = near::CONNECTIONS_MAX * names.len();
                let bytes_max = limits.bytes_max * names.len() as u64;
                shm.listen_all(&names, me, Limits { connections_max, bytes_max, ..limits }, service)
            })?;
        }
        Ok(())
    }

    /// Serves at what `begin` begins to listen to; where that is.
    pub(crate) fn listen_with(
        &self,
        only: Option<Range<u32>>,
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

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
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
        // What waits for the log is answered while there is who takes the answers.
        self.shared.apart.end();
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

/// Targets that follow each other, in so many parts at most, of which none has two more than another.
fn parts(targets: u32, parts_max: usize) -> impl Iterator<Item = Range<u32>> {
    let parts = u32::try_from(parts_max).unwrap_or(u32::MAX).clamp(1, targets.max(1));
    let begin = move |part: u32| (u64::from(targets) * u64::from(part) / u64::from(parts)) as u32;
    (0..parts).map(move |part| begin(part)..begin(part + 1))
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn targets_are_parted_evenly() {
        let of = |targets, parts_max| {
            parts(targets, parts_max).map(|part| (part.start, part.end)).collect::<Vec<_>>()
        };
        for few in [0, 1] {
            assert_eq!(of(2, few), [(0, 2)]);
        }
        assert_eq!(of(2, 8), [(0, 1), (1, 2)]);
        assert_eq!(of(8, 3), [(0, 2), (2, 5), (5, 8)]);
        assert_eq!(of(1, 3), [(0, 1)]);
    }
}
