//! A pool that another process has.

use super::call::{Failed, Opened, with_handle};
use super::container::RemoteContainer;
use super::route::RemoteTarget;
use super::service::closed;
use super::system::{RemoteSystem, Way, unfit};
use crate::error::Result;
use crate::service::{AttributeService, ContainerService, NewContainer, PoolService};
use daos_locks::Mutex;
use daos_types::{ContainerId, PoolId, ScrubChange, ScrubMode, ScrubSettings, ScrubStatus};
use daos_wire::Control;
use daos_wire::control::{ContainerReply, Named, PoolReply, ScrubReply, Summing};
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;
use std::sync::Arc;

/// An open pool.
#[derive(Debug)]
pub(super) struct RemotePool {
    pub(super) opened: Arc<OpenedPool>,
    label: Mutex<String>,
    props: Vec<u8>,
    pub(super) targets: Vec<RemoteTarget>,
}

/// Its handle.
#[derive(Debug)]
pub(super) struct OpenedPool {
    pub(super) system: Arc<RemoteSystem>,
    uuid: PoolId,
    handle: Mutex<u64>,
}

impl Opened for OpenedPool {
    fn handle(&self) -> u64 {
        *self.handle.lock()
    }

    fn reopen(&self, stale: u64, _: Option<&RemoteTarget>) -> Result<u64> {
        if self.system.service().is_some() {
            // Whoever closed it meant it.
            return Err(closed());
        }
        let mut handle = self.handle.lock();
        if *handle == stale {
            let request = Control::PoolConnect { pool: self.uuid.to_string() };
            *handle = self.system.control::<PoolReply>(&request)?.handle;
        }
        Ok(*handle)
    }
}

impl OpenedPool {
    pub(super) fn control<T: DeserializeOwned>(&self, request: &Control) -> Result<T> {
        with_handle(self, None, |handle| self.ask(handle, request))
    }

    fn ask<T: DeserializeOwned>(&self, handle: u64, request: &Control) -> std::result::Result<T, Failed> {
        self.system.control_by(handle, request)
    }
}

impl RemotePool {
    pub(super) fn new(system: Arc<RemoteSystem>, reply: PoolReply) -> Result<Self> {
        let mut targets = Vec::with_capacity(reply.targets.len());
        for place in &reply.targets {
            let endpoint = match place.address.as_str() {
                "" => match &system.way {
                    Way::Holder(first) => Arc::clone(first),
                    Way::Service { .. } => return Err(unfit("a target without an address")),
                },
                address => system.places.target(place.rank, address, place.index),
            };
            targets.push(RemoteTarget { endpoint, rank: place.rank, index: place.index });
        }
        if targets.is_empty() {
            return Err(unfit("a pool without targets"));
        }
        let (uuid, handle) = (PoolId(*reply.uuid), Mutex::new(reply.handle));
        let opened = Arc::new(OpenedPool { system, uuid, handle });
        Ok(Self { opened, label: Mutex::new(reply.label), props: reply.props.into_vec(), targets })
    }

    fn container(&self, reply: ContainerReply) -> Result<Arc<dyn ContainerService>> {
        Ok(Arc::new(RemoteContainer::new(self, reply)?))
    }
}

impl PoolService for RemotePool {
    fn uuid(&self) -> PoolId {
        self.opened.uuid
    }

    fn label(&self) -> String {
        self.label.lock().clone()
    }

    fn props(&self) -> &[u8] {
        &self.props
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
            label.clone_into(&mut self.label.lock());
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
        let reply = self.opened.control(&Control::ContainerCreate {
            label: new.label.to_owned(),
            props: new.props.to_vec().into(),
            checksums: Summing {
                kind: sums.kind.map_or(0, |kind| kind as u8),
                piece_size: sums.piece_size,
                server_verifies: sums.server_verifies,
            },
            scrub_disabled: new.scrub_disabled,
        })?;
        self.container(reply)
    }

    fn container_open(&self, name: &str) -> Result<Arc<dyn ContainerService>> {
        self.container(self.opened.control(&Control::ContainerOpen { container: name.to_owned() })?)
    }

    fn container_destroy(&self, name: &str) -> Result<()> {
        self.opened.control(&Control::ContainerDestroy { container: name.to_owned() })
    }

    fn service_request(&self, body: &[u8], changes: bool) -> Result<Vec<u8>> {
        let system = &self.opened.system;
        with_handle(&*self.opened, None, |handle| system.other(handle, body, changes))
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
