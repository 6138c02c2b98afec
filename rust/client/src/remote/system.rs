//! A system that another process has.

use super::call::{Asker, Failed, HandleId};
use super::pool::RemotePool;
use super::process::{PerProcess, ProcessNumber, by_pid};
use super::service::{Mine, Service, ServiceOptions};
use crate::error::{Error, Result};
use crate::service::{PoolService, SystemService, SystemSpace, only_served};
use daos_locks::Mutex;
use daos_net::frame::{Hello, SessionId};
use daos_net::{Endpoint, Limits, Transport};
use daos_types::{Durability, Origin, PoolId, Rank};
use daos_wire::Control;
use daos_wire::control::{Named, PoolReply, SpaceReply, Uuid};
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Who a client is and whom it means: how it opens connections to the engines of a system.
#[derive(Debug)]
pub struct Places {
    transport: Arc<dyn Transport>,
    limits: Limits,
    hello: Hello,
    /// Opened, by rank, address and, of those beside the first of an address, a number.
    known: Mutex<HashMap<(u32, String, u8), Arc<Endpoint>>>,
    /// By which targets on this machine are reached, too.
    near: Option<Arc<dyn Transport>>,
    process: ProcessNumber,
    /// Draws a session for a child that is forked.
    session: Option<fn() -> SessionId>,
}

/// Connections to targets that are open, by the way they go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ways {
    /// The nearer way: shared memory.
    pub near: usize,
    /// Over the network, to targets and to who answers control requests.
    pub far: usize,
}

impl Places {
    /// Connections by a provider, each with these first words.
    pub fn new(transport: Arc<dyn Transport>, limits: Limits, hello: Hello) -> Self {
        let known = Mutex::default();
        Self { transport, limits, hello, known, near: None, process: by_pid, session: None }
    }

    /// The same, to be used by children that are forked too: each by connections and in a session of its own.
    #[must_use]
    pub fn and_children(self, process: ProcessNumber, session: fn() -> SessionId) -> Self {
        Self { process, session: Some(session), ..self }
    }

    /// Those of a child, of what does not change of its parent's.
    fn of_child(&self) -> Self {
        let session = self.session.map_or(self.hello.session, |draw| draw());
        Self {
            transport: Arc::clone(&self.transport),
            limits: self.limits,
            hello: Hello { session, ..self.hello.clone() },
            known: Mutex::default(),
            near: self.near.clone(),
            process: self.process,
            session: self.session,
        }
    }

    /// The same, with a nearer way to targets on this machine.
    #[must_use]
    pub fn or_near(self, near: Arc<dyn Transport>) -> Self {
        Self { near: Some(near), ..self }
    }

    /// The connections that are open.
    pub(super) fn ways(&self) -> Ways {
        let known: Vec<_> = self.known.lock().values().cloned().collect();
        let count = |near: bool| known.iter().filter(|one| one.is_near() == Some(near)).count();
        Ways { near: count(true), far: count(false) }
    }

    /// As [`Places::endpoint`], of a target, which may be nearer than its address tells.
    pub(super) fn target(&self, rank: u32, address: &str, target: u32) -> Arc<Endpoint> {
        let Some(near) = &self.near else { return self.endpoint(rank, address) };
        let open = || Arc::new(self.make(Some(rank), address).or_near(Arc::clone(near), target));
        Arc::clone(self.known.lock().entry((rank, address.to_owned(), 0)).or_insert_with(open))
    }

    /// The endpoint at an address of an engine, opened when it is used; the same for all that ask for it.
    pub(super) fn endpoint(&self, rank: u32, address: &str) -> Arc<Endpoint> {
        self.beside(rank, address, 0)
    }

    /// A further one at that address, with a connection of its own; that of number 0 is the first.
    pub(super) fn beside(&self, rank: u32, address: &str, number: u8) -> Arc<Endpoint> {
        let mut known = self.known.lock();
        let open = || self.open(Some(rank), address);
        Arc::clone(known.entry((rank, address.to_owned(), number)).or_insert_with(open))
    }

    fn open(&self, rank: Option<u32>, address: &str) -> Arc<Endpoint> {
        Arc::new(self.make(rank, address))
    }

    fn make(&self, rank: Option<u32>, address: &str) -> Endpoint {
        let hello = Hello { rank: rank.map(Rank), ..self.hello.clone() };
        // Attempts of clients to connect again are spread by who they are.
        let [a, b, c, d, e, f, g, h, ..] = hello.session.0;
        let chance = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        Endpoint::new(Arc::clone(&self.transport), address, self.limits, hello, chance)
    }
}

/// A system that another process has. Closing it closes nothing there.
#[derive(Debug)]
pub struct RemoteSystem {
    here: Arc<PerProcess<Here>>,
    pub(super) process: ProcessNumber,
    pub(super) asker: Asker,
    pub(super) durability: Durability,
    pub(super) way: Way,
    targets: u32,
}

/// What a process has of it for itself.
#[derive(Debug)]
pub(super) struct Here {
    pub(super) places: Places,
    pub(super) mine: Mine,
}

impl Here {
    fn new(places: Places, draw: Option<fn() -> Result<[u8; 16]>>) -> Self {
        let session = places.hello.session.0;
        // Where none can be drawn, that of the session, which nobody else has either.
        let client = draw.and_then(|draw| draw().ok()).unwrap_or(session);
        Self { places, mine: Mine::new(client, session) }
    }
}

/// Who answers control requests.
#[derive(Debug)]
pub(super) enum Way {
    /// Whoever has the whole system.
    Holder(Arc<Endpoint>),
    /// The service of the only pool that is to be reached.
    Service {
        service: Box<Service>,
        /// It was opened by this client, which closes it.
        is_opened: AtomicBool,
    },
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
        let (process, way) = (places.process, Way::Holder(first));
        let here = Arc::new(PerProcess::new(process, Here::new(places, None)));
        Ok(Arc::new(Self { here, process, asker, durability, way, targets: told }))
    }

    /// A pool, by its service. A call takes no longer than `timeout`; changes are so durable when they return.
    pub fn connect_service(
        places: Places,
        options: ServiceOptions,
        timeout: Duration,
        durability: Durability,
    ) -> Result<Arc<Self>> {
        let (process, draw) = (places.process, options.draw);
        let here = Arc::new(PerProcess::new(process, Here::new(places, Some(draw))));
        let service = Box::new(Service::new(options, process())?);
        let way = Way::Service { service, is_opened: AtomicBool::new(false) };
        Ok(Arc::new(Self { here, process, asker: Asker::new(timeout), durability, way, targets: 0 }))
    }

    /// The number of the process that asks.
    pub(super) fn process(&self) -> u64 {
        (self.process)()
    }

    /// What this process has of it.
    pub(super) fn here(&self) -> &Here {
        let draw = || self.service().map(|service| service.options.draw);
        self.here.get(|parents| Here::new(parents.places.of_child(), draw()))
    }

    /// The service, where one answers.
    pub(super) fn service(&self) -> Option<&Service> {
        match &self.way {
            Way::Service { service, .. } => Some(service),
            Way::Holder(_) => None,
        }
    }

    pub(super) fn control<T: DeserializeOwned>(&self, request: &Control) -> Result<T> {
        self.control_by(HandleId::default(), request).map_err(|failed| failed.error)
    }

    pub(super) fn control_by<T: DeserializeOwned>(
        &self,
        handle: HandleId,
        request: &Control,
    ) -> std::result::Result<T, Failed> {
        self.open_by(handle, request, None)
    }

    /// A request that opens something, under a UUID that was drawn for it.
    pub(super) fn open_by<T: DeserializeOwned>(
        &self,
        handle: HandleId,
        request: &Control,
        opens: Option<Uuid>,
    ) -> std::result::Result<T, Failed> {
        match &self.way {
            Way::Holder(first) => self.asker.control(first, handle.number, request),
            Way::Service { service, .. } => service.control(self.here(), &self.asker, handle, request, opens),
        }
    }

    /// A UUID for what is opened, where it is its opener who names it.
    pub(super) fn draw(&self) -> Result<Option<Uuid>> {
        self.service().map(|service| Ok(Uuid::new((service.options.draw)()?))).transpose()
    }

    pub(super) fn other(
        &self,
        handle: HandleId,
        body: &[u8],
        changes: bool,
    ) -> std::result::Result<Vec<u8>, Failed> {
        match &self.way {
            Way::Holder(_) => Err(Failed::sure(Error::new(
                daos_types::Der::Notsupported,
                "an embedded system has none of this: nobody serves it",
            ))),
            Way::Service { service, .. } => service.other(self.here(), &self.asker, handle, body, changes),
        }
    }

    fn pool(self: &Arc<Self>, reply: PoolReply) -> Result<Arc<dyn PoolService>> {
        Ok(Arc::new(RemotePool::new(Arc::clone(self), reply)?))
    }
}

impl SystemService for RemoteSystem {
    fn ways(&self) -> Ways {
        self.here().places.ways()
    }

    fn targets(&self) -> u32 {
        self.targets
    }

    fn again(&self) -> Result<Arc<dyn SystemService>> {
        let Some(service) = self.service().filter(|service| service.options.shared.is_some()) else {
            return Err(only_served());
        };
        let process = (self.process)();
        let service = Box::new(Service::new(service.options.clone(), process)?);
        Ok(Arc::new(Self {
            here: Arc::clone(&self.here),
            process: self.process,
            asker: Asker::new(self.asker.timeout),
            durability: self.durability,
            way: Way::Service { service, is_opened: AtomicBool::new(false) },
            targets: self.targets,
        }))
    }

    fn space(&self) -> Result<SystemSpace> {
        if self.service().is_some() {
            return Err(beyond("the space of a system"));
        }
        let SpaceReply { total, free, used, reserved } = self.control(&Control::SystemSpace)?;
        Ok(SystemSpace { total, free, used, reserved })
    }

    fn settle(&self, origin: Origin) -> Result<bool> {
        if self.service().is_some() {
            return Err(beyond("settling a change"));
        }
        self.control(&Control::ChangeSettle { sequence: origin.sequence })
    }

    fn close(&self) -> Result<()> {
        let mut closed = Ok(());
        if let Way::Service { service, is_opened } = &self.way
            && self.asker.check_open().is_ok()
            && service.is_own(self.process())
            && is_opened.load(Ordering::Acquire)
        {
            closed = service.disconnect(self.here(), &self.asker);
        }
        self.asker.close();
        closed
    }

    fn pools(&self) -> Result<Vec<(PoolId, String)>> {
        if self.service().is_some() {
            return Err(beyond("the list of pools"));
        }
        let pools: Vec<Named> = self.control(&Control::PoolList)?;
        Ok(pools.into_iter().map(|pool| (PoolId(*pool.uuid), pool.label)).collect())
    }

    fn pool_create(self: Arc<Self>, label: &str, props: &[u8]) -> Result<Arc<dyn PoolService>> {
        if self.service().is_some() {
            return Err(beyond("making pools"));
        }
        let request = Control::PoolCreate { label: label.to_owned(), props: props.to_vec().into() };
        self.pool(self.control(&request)?)
    }

    fn pool_open(self: Arc<Self>, name: &str) -> Result<Arc<dyn PoolService>> {
        if let Some(reply) = self.service().and_then(Service::shared).transpose()? {
            return self.pool(reply);
        }
        let reply = self.control(&Control::PoolConnect { pool: name.to_owned() })?;
        if let Way::Service { is_opened, .. } = &self.way {
            is_opened.store(true, Ordering::Release);
        }
        self.pool(reply)
    }

    fn pool_destroy(&self, name: &str) -> Result<()> {
        if self.service().is_some() {
            return Err(beyond("destroying pools"));
        }
        self.control(&Control::PoolDestroy { pool: name.to_owned() })
    }
}

/// What is an administrator's.
fn beyond(what: &str) -> Error {
    Error::new(daos_types::Der::NoPerm, format!("{what} is for the administrator of a served system"))
        .hint("dmg does it")
}

/// What a system told is not to be believed.
pub(super) fn unfit(message: impl Into<String>) -> Error {
    Error::new(daos_types::Der::Proto, message)
        .hint("the other end may be of another version of daos: install the same on both")
}
