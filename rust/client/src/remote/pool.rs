//! A pool that another process has.

use super::call::{Failed, HandleId, Opened, with_handle};
use super::container::RemoteContainer;
use super::global::{GlobalPool, decode, encode};
use super::process::Label;
use super::route::{RemoteTarget, Targets};
use super::service::{Service, closed};
use super::system::{RemoteSystem, unfit};
use crate::error::Result;
use crate::service::{AttributeService, ContainerService, NewContainer, PoolService, only_served};
use daos_locks::Mutex;
use daos_types::{ContainerId, Epoch, PoolId, ScrubChange, ScrubMode, ScrubSettings, ScrubStatus};
use daos_wire::Control;
use daos_wire::control::{ContainerReply, Named, PoolReply, ScrubReply, Summing, Uuid};
use serde::de::DeserializeOwned;
use serde_bytes::{ByteArray, ByteBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// An open pool.
#[derive(Debug)]
pub(super) struct RemotePool {
    pub(super) opened: Arc<OpenedPool>,
    label: Label,
    props: Vec<u8>,
    pub(super) targets: Arc<Targets>,
}

/// Its handle.
#[derive(Debug)]
pub(super) struct OpenedPool {
    pub(super) system: Arc<RemoteSystem>,
    uuid: PoolId,
    handle: Kept,
}

/// A handle as it is known: of a service it never changes; a holder may give another.
#[derive(Debug)]
pub(super) struct Kept {
    uuid: Option<Uuid>,
    number: AtomicU64,
    /// Held by who opens it again.
    reopening: Mutex<()>,
}

impl Kept {
    pub(super) fn new(HandleId { number, uuid }: HandleId) -> Self {
        Self { uuid, number: AtomicU64::new(number), reopening: Mutex::default() }
    }

    /// Takes no lock: in a child that was forked nobody may be there to let go of it.
    pub(super) fn get(&self) -> HandleId {
        HandleId { number: self.number.load(Ordering::Acquire), uuid: self.uuid }
    }

    /// Has it opened again by its holder, unless somebody did since it was `stale`.
    pub(super) fn renew(&self, stale: HandleId, open: impl FnOnce() -> Result<u64>) -> Result<HandleId> {
        let _one_at_a_time = self.reopening.lock();
        if self.get() == stale {
            self.number.store(open()?, Ordering::Release);
        }
        Ok(self.get())
    }
}

impl Opened for OpenedPool {
    fn handle(&self) -> HandleId {
        self.handle.get()
    }

    fn reopen(&self, stale: HandleId, _: Option<&RemoteTarget>) -> Result<HandleId> {
        if self.system.service().is_some() {
            // Whoever closed it meant it.
            return Err(closed());
        }
        self.handle.renew(stale, || {
            let request = Control::PoolConnect { pool: self.uuid.to_string() };
            Ok(self.system.control::<PoolReply>(&request)?.handle)
        })
    }
}

impl OpenedPool {
    pub(super) fn control<T: DeserializeOwned>(&self, request: &Control) -> Result<T> {
        with_handle(self, None, |handle| self.ask(handle, request))
    }

    fn ask<T: DeserializeOwned>(
        &self,
        handle: HandleId,
        request: &Control,
    ) -> std::result::Result<T, Failed> {
        self.system.control_by(handle, request)
    }
}

impl RemotePool {
    pub(super) fn new(system: Arc<RemoteSystem>, reply: PoolReply) -> Result<Self> {
        let targets = Arc::new(Targets::new(&system, reply.targets)?);
        let by_holder = HandleId { number: reply.handle, uuid: None };
        let handle = Kept::new(system.service().map_or(by_holder, Service::pool_handle));
        let label = Label::new(system.process(), reply.label);
        let opened = Arc::new(OpenedPool { system, uuid: PoolId(*reply.uuid), handle });
        Ok(Self { opened, label, props: reply.props.into_vec(), targets })
    }

    /// Has a container opened.
    fn container(&self, request: &Control) -> Result<Arc<dyn ContainerService>> {
        let system = &self.opened.system;
        let opens = system.draw()?;
        let reply: ContainerReply =
            with_handle(&*self.opened, None, |handle| system.open_by(handle, request, opens))?;
        let by_holder = HandleId { number: reply.handle, uuid: None };
        let handle = opens.map_or(by_holder, HandleId::of);
        Ok(Arc::new(RemoteContainer::new(self, reply, handle)?))
    }

    fn process(&self) -> u64 {
        self.opened.system.process()
    }
}

impl PoolService for RemotePool {
    fn uuid(&self) -> PoolId {
        self.opened.uuid
    }

    fn label(&self) -> String {
        self.label.get(self.process())
    }

    fn props(&self) -> &[u8] {
        &self.props
    }

    fn targets(&self) -> u32 {
        self.targets.places().count() as u32
    }

    fn change(&self, label: Option<&str>, scrub: ScrubChange) -> Result<()> {
        let ScrubChange { mode, freq_s, thresh } = scrub;
        let () = self.opened.control(&Control::PoolChange {
            label: label.map(str::to_owned),
            scrub_mode: mode.map(|mode| mode as u8),
            scrub_freq: freq_s,
            scrub_thresh: thresh,
        })?;
        if let Some(label) = label {
            self.label.set(self.process(), label);
        }
        Ok(())
    }

    fn scrub_status(&self) -> Result<ScrubStatus> {
        let told: ScrubReply = self.opened.control(&Control::PoolScrubStatus)?;
        let mode = ScrubMode::from_number(told.mode).ok_or_else(|| unfit("an unknown mode of scrubbing"))?;
        Ok(ScrubStatus {
            settings: ScrubSettings { mode, freq_s: told.freq_s, thresh: told.thresh },
            is_running: told.is_running,
            passes: told.passes,
            bytes: told.bytes,
            corruptions: told.corruptions,
            found: told.found,
            ended_s: told.ended_s,
            next_s: told.next_s,
        })
    }

    fn attributes(&self) -> Result<Arc<dyn AttributeService>> {
        let (system, of) = (Arc::clone(&self.opened.system), Arc::clone(&self.opened));
        Ok(Arc::new(RemoteAttributes { system, of }))
    }

    fn container_create(&self, new: &NewContainer<'_>) -> Result<Arc<dyn ContainerService>> {
        let sums = new.checksums;
        self.container(&Control::ContainerCreate {
            label: new.label.to_owned(),
            props: new.props.to_vec().into(),
            checksums: Summing {
                kind: sums.kind.map_or(0, |kind| kind as u8),
                piece_size: sums.piece_size,
                server_verifies: sums.server_verifies,
            },
            scrub_disabled: new.scrub_disabled,
        })
    }

    fn container_open(&self, name: &str) -> Result<Arc<dyn ContainerService>> {
        self.container(&Control::ContainerOpen { container: name.to_owned() })
    }

    fn container_destroy(&self, name: &str) -> Result<()> {
        self.opened.control(&Control::ContainerDestroy { container: name.to_owned() })
    }

    fn service_request(&self, body: &[u8], changes: bool) -> Result<Vec<u8>> {
        let system = &self.opened.system;
        with_handle(&*self.opened, None, |handle| system.other(handle, body, changes))
    }

    fn local2global(&self) -> Result<Vec<u8>> {
        if self.opened.system.service().is_none() {
            return Err(only_served());
        }
        encode(&GlobalPool {
            uuid: ByteArray::new(self.opened.uuid.0),
            label: self.label(),
            props: ByteBuf::from(self.props.clone()),
            targets: self.targets.places().collect(),
        })
    }

    fn container_global2local(
        &self,
        global: &[u8],
        epoch: Option<Epoch>,
    ) -> Result<Arc<dyn ContainerService>> {
        if self.opened.system.service().is_none() {
            return Err(only_served());
        }
        let container = RemoteContainer::shared(self, decode(global)?)?;
        Ok(Arc::new(epoch.map_or_else(|| container.clone(), |epoch| container.as_of(epoch))))
    }

    fn containers(&self) -> Result<Vec<(ContainerId, String)>> {
        let containers: Vec<Named> = self.opened.control(&Control::ContainerList)?;
        Ok(containers.into_iter().map(|one| (ContainerId(*one.uuid), one.label)).collect())
    }
}

/// The attributes of a pool or container.
#[derive(Debug)]
pub(super) struct RemoteAttributes {
    pub(super) system: Arc<RemoteSystem>,
    pub(super) of: Arc<dyn Opened>,
}

impl RemoteAttributes {
    fn control<T: DeserializeOwned>(&self, request: &Control) -> Result<T> {
        with_handle(&*self.of, None, |handle| self.system.control_by(handle, request))
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

impl AttributeService for RemoteAttributes {
    fn set(&self, items: &[(&str, &[u8])]) -> Result<()> {
        let items =
            items.iter().map(|(name, value)| ((*name).to_owned(), ByteBuf::from(value.to_vec()))).collect();
        self.control(&Control::AttributeSet { items })
    }

    fn get(&self, names: &[&str]) -> Result<Vec<Option<Vec<u8>>>> {
        let values: Vec<Option<ByteBuf>> = self.control(&Control::AttributeGet { names: owned(names) })?;
        if values.len() != names.len() {
            return Err(unfit("other attributes than were asked for"));
        }
        Ok(values.into_iter().map(|value| value.map(ByteBuf::into_vec)).collect())
    }

    fn names(&self) -> Result<Vec<String>> {
        self.control(&Control::AttributeList)
    }

    fn remove(&self, names: &[&str]) -> Result<usize> {
        let gone: u64 = self.control(&Control::AttributeRemove { names: owned(names) })?;
        Ok(usize::try_from(gone).unwrap_or(usize::MAX))
    }
}
