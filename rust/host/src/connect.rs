//! Clients of systems that engines serve.

use daos_client::{Places, RemoteSystem, Result, ServiceOptions};
use daos_embed::generation;
use daos_net::frame::{Hello, SessionId};
use daos_net::shm::Shm;
use daos_net::tcp::Tcp;
use daos_net::{Limits, Transport};
use daos_types::Durability;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The system of a name whose engine answers at an address, over TCP.
pub fn connect_tcp(
    address: &str,
    system: &str,
    durability: Durability,
    timeout: Duration,
) -> Result<Arc<RemoteSystem>> {
    RemoteSystem::connect(places(system, Arc::new(Tcp::default())), address, timeout, durability)
}

/// A pool of the system of a name, by its service. With `near`, data goes through shared memory where a target is on this machine
/// and of this user.
pub fn connect_service(
    system: &str,
    options: ServiceOptions,
    transport: Arc<dyn Transport>,
    near: bool,
    durability: Durability,
    timeout: Duration,
) -> Result<Arc<RemoteSystem>> {
    let places = places(system, transport);
    let places = if near { places.or_near(Arc::new(Shm::default())) } else { places };
    let places = places.and_children(generation, new_session);
    RemoteSystem::connect_service(places, options, timeout, durability)
}

fn places(system: &str, transport: Arc<dyn Transport>) -> Places {
    let limits = Limits::default();
    Places::new(transport, limits, Hello::of_asker(system, new_session(), &limits))
}

/// Another one each time.
pub(crate) fn new_session() -> SessionId {
    let numbers = RandomState::new();
    let (high, low) = (numbers.hash_one(std::process::id()), numbers.hash_one(Instant::now()));
    let mut id = [0; 16];
    id[..8].copy_from_slice(&high.to_le_bytes());
    id[8..].copy_from_slice(&low.to_le_bytes());
    SessionId(id)
}
