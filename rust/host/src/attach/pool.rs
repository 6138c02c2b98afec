//! Pools of a shared system.

use super::container::SharedContainer;
use super::shared::{At, Had, Opened, SharedSystem};
use daos_client::{AttributeService, ContainerService, NewContainer, PoolService, Result, SystemService};
use daos_locks::Mutex;
use daos_types::{ContainerId, PoolId, ScrubChange, ScrubStatus};
use std::fmt::Debug;
use std::sync::Arc;

/// An open pool, whoever holds the system.
#[derive(Debug, Clone)]
pub(super) struct SharedPool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    system: Arc<SharedSystem>,
    uuid: PoolId,
    props: Vec<u8>,
    now: Mutex<Had<Arc<dyn PoolService>>>,
}

impl Opened for Inner {
    fn let_go(&self) {
        Had::close(&self.now, |pool| pool.label());
    }
}

impl SharedPool {
    pub(super) fn new(system: Arc<SharedSystem>, opened: At<Arc<dyn PoolService>>) -> Self {
        let (uuid, props) = (opened.value.uuid(), opened.value.props().to_vec());
        let now = Mutex::new(Had::Open(opened));
        let inner = Arc::new(Inner { system, uuid, props, now });
        inner.system.keep(&inner);
        Self(inner)
    }

    pub(super) fn system(&self) -> &Arc<SharedSystem> {
        &self.0.system
    }

    /// The pool at this turn.
    pub(super) fn current(&self) -> Result<At<Arc<dyn PoolService>>> {
        self.0.system.check_open()?;
        let mut had = self.0.now.lock();
        let now = had.open()?;
        if now.turn != self.0.system.turn() {
            let system = self.0.system.current()?;
            if now.turn != system.turn {
                let _inside = system.enter()?;
                *now = system.then(|system| Arc::clone(system).pool_open(&self.0.uuid.to_string()))?;
            }
        }
        Ok(now.clone())
    }

    fn with<T>(&self, ask: impl FnMut(&Arc<dyn PoolService>) -> Result<T>) -> Result<T> {
        self.0.system.ask(|| self.current(), ask)
    }

    /// A container, and the turn that it is of.
    fn open(
        &self,
        open: impl Fn(&dyn PoolService) -> Result<Arc<dyn ContainerService>>,
    ) -> Result<At<Arc<dyn ContainerService>>> {
        self.0.system.ask(|| self.current().map(At::with_turn), |at| at.then(|pool| open(&**pool)))
    }
}

impl PoolService for SharedPool {
    fn uuid(&self) -> PoolId {
        self.0.uuid
    }

    fn label(&self) -> String {
        self.0.now.lock().label(|pool| pool.label())
    }

    fn props(&self) -> &[u8] {
        &self.0.props
    }

    fn targets(&self) -> u32 {
        SystemService::targets(&*self.0.system)
    }

    fn change(&self, label: Option<&str>, scrub: ScrubChange) -> Result<()> {
        self.with(|pool| pool.change(label, scrub))
    }

    fn scrub_status(&self) -> Result<ScrubStatus> {
        self.with(|pool| pool.scrub_status())
    }

    fn attributes(&self) -> Result<Arc<dyn AttributeService>> {
        let pool = self.clone();
        let open = move || pool.current()?.then(|pool| pool.attributes());
        Ok(Arc::new(SharedAttributes { system: Arc::clone(&self.0.system), open: Box::new(open) }))
    }

    fn container_create(&self, new: &NewContainer<'_>) -> Result<Arc<dyn ContainerService>> {
        let made = self.open(|pool| pool.container_create(new))?;
        Ok(Arc::new(SharedContainer::new(self.clone(), made)))
    }

    fn container_open(&self, name: &str) -> Result<Arc<dyn ContainerService>> {
        let opened = self.open(|pool| pool.container_open(name))?;
        Ok(Arc::new(SharedContainer::new(self.clone(), opened)))
    }

    fn container_destroy(&self, name: &str) -> Result<()> {
        self.with(|pool| pool.container_destroy(name))
    }

    fn containers(&self) -> Result<Vec<(ContainerId, String)>> {
        self.with(|pool| pool.containers())
    }
}

type OpenAttributes = Box<dyn Fn() -> Result<At<Arc<dyn AttributeService>>> + Send + Sync>;

/// The attributes of a pool or container.
pub(super) struct SharedAttributes {
    pub(super) system: Arc<SharedSystem>,
    pub(super) open: OpenAttributes,
}

impl Debug for SharedAttributes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedAttributes").field("system", &self.system).finish_non_exhaustive()
    }
}

impl SharedAttributes {
    fn with<T>(&self, ask: impl FnMut(&Arc<dyn AttributeService>) -> Result<T>) -> Result<T> {
        self.system.ask(&self.open, ask)
    }
}

impl AttributeService for SharedAttributes {
    fn set(&self, items: &[(&str, &[u8])]) -> Result<()> {
        self.with(|attributes| attributes.set(items))
    }

    fn get(&self, names: &[&str]) -> Result<Vec<Option<Vec<u8>>>> {
        self.with(|attributes| attributes.get(names))
    }

    fn names(&self) -> Result<Vec<String>> {
        self.with(|attributes| attributes.names())
    }

    fn remove(&self, names: &[&str]) -> Result<usize> {
        self.with(|attributes| attributes.remove(names))
    }
}
