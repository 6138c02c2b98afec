//! A container that another process has.

use super::call::{HandleId, Opened, told, with_handle};
use super::global::{GlobalContainer, encode};
use super::pool::{Kept, OpenedPool, RemoteAttributes, RemotePool};
use super::process::Label;
use super::route::{RemoteRoute, RemoteTarget};
use super::service::closed;
use super::system::{RemoteSystem, unfit};
use crate::error::{Error, Result};
use crate::route::{Route, Survey};
use crate::service::{AttributeService, ContainerObjects as _, ContainerService, Transaction, only_served};
use crate::transaction::TxRoute;
use daos_types::{ChecksumKind, Checksums, ContainerId, Der, Durability, Epoch, Snapshot};
use daos_wire::Control;
use daos_wire::control::{ContainerReply, Summing};
use serde::de::DeserializeOwned;
use serde_bytes::{ByteArray, ByteBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// An open container.
#[derive(Debug, Clone)]
pub(super) struct RemoteContainer {
    opened: Arc<OpenedContainer>,
    label: Arc<Label>,
    props: Vec<u8>,
    checksums: Checksums,
    epoch: Epoch,
    base: Arc<RemoteRoute>,
    /// That of a transaction, or the base.
    route: Arc<dyn Route>,
}

/// Its handle.
#[derive(Debug)]
struct OpenedContainer {
    pool: Arc<OpenedPool>,
    uuid: ContainerId,
    handle: Kept,
    /// The process that opened it.
    process: u64,
    /// Others have it too, so that it stays open until the pool is closed.
    is_shared: AtomicBool,
}

impl Drop for OpenedContainer {
    fn drop(&mut self) {
        let system = &self.pool.system;
        // A child that was forked must not close what is its parent's.
        if system.service().is_some()
            && !self.is_shared.load(Ordering::Acquire)
            && self.process == system.process()
            && let Some(handle) = self.handle.get().uuid
        {
            system.here().mine.forget(handle);
        }
    }
}

impl Opened for OpenedContainer {
    fn handle(&self) -> HandleId {
        self.handle.get()
    }

    fn reopen(&self, stale: HandleId, at: Option<&RemoteTarget>) -> Result<HandleId> {
        let system = &self.pool.system;
        if let Some(service) = system.service() {
            service.present(system.here(), &system.asker, stale, at.ok_or_else(closed)?)?;
            return Ok(stale);
        }
        self.handle.renew(stale, || {
            let request = Control::ContainerOpen { container: self.uuid.to_string() };
            let reply: Result<ContainerReply> = self.pool.control(&request);
            let reply = reply.map_err(|error| match error.der {
                // As who has it open is told.
                Der::Nonexist => Error::new(Der::ContNonexist, "the container was destroyed"),
                _ => error,
            });
            Ok(reply?.handle)
        })
    }
}

impl RemoteContainer {
    pub(super) fn new(pool: &RemotePool, reply: ContainerReply, handle: HandleId) -> Result<Self> {
        let summing = reply.checksums;
        let kind = ChecksumKind::from_number(summing.kind);
        if kind.is_none() && summing.kind != 0 {
            return Err(unfit(format!("a container with checksums of kind {}", summing.kind)));
        }
        let system = Arc::clone(&pool.opened.system);
        let opened = Arc::new(OpenedContainer {
            pool: Arc::clone(&pool.opened),
            uuid: ContainerId(*reply.uuid),
            handle: Kept::new(handle),
            process: system.process(),
            is_shared: AtomicBool::new(false),
        });
        let by: Arc<dyn Opened> = Arc::<OpenedContainer>::clone(&opened);
        let label = Arc::new(Label::new(system.process(), reply.label));
        let base = Arc::new(RemoteRoute::new(Arc::clone(&pool.targets), by, system));
        Ok(Self {
            opened,
            label,
            props: reply.props.into_vec(),
            checksums: Checksums {
                kind,
                piece_size: summing.piece_size,
                server_verifies: summing.server_verifies,
            },
            epoch: Epoch::MAX,
            route: Arc::<RemoteRoute>::clone(&base),
            base,
        })
    }

    /// One that another process has opened.
    pub(super) fn shared(pool: &RemotePool, global: GlobalContainer) -> Result<Self> {
        let GlobalContainer { handle, uuid, label, props, checksums } = global;
        let handle = HandleId::of(handle);
        let reply = ContainerReply { handle: handle.number, uuid, label, props, checksums };
        let container = Self::new(pool, reply, handle)?;
        container.opened.is_shared.store(true, Ordering::Release);
        Ok(container)
    }

    /// The same as of a snapshot.
    pub(super) fn as_of(&self, epoch: Epoch) -> Self {
        Self { epoch, ..self.clone() }
    }

    fn system(&self) -> &Arc<RemoteSystem> {
        &self.opened.pool.system
    }

    fn control<T: DeserializeOwned>(&self, request: &Control) -> Result<T> {
        with_handle(&*self.opened, None, |handle| self.system().control_by(handle, request))
    }

    /// The same of what is no snapshot.
    fn change<T: DeserializeOwned>(&self, request: &Control) -> Result<T> {
        self.check_writable()?;
        self.control(request)
    }
}

impl ContainerService for RemoteContainer {
    fn uuid(&self) -> ContainerId {
        self.opened.uuid
    }

    fn label(&self) -> String {
        self.label.get(self.system().process())
    }

    fn props(&self) -> &[u8] {
        &self.props
    }

    fn checksums(&self) -> Checksums {
        self.checksums
    }

    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn durability(&self) -> Durability {
        self.system().durability
    }

    fn check_open(&self) -> Result<()> {
        self.system().asker.check_open().map_err(|error| told(error, false))
    }

    fn route(&self) -> Arc<dyn Route> {
        Arc::clone(&self.route)
    }

    fn survey(&self) -> Arc<dyn Survey> {
        Arc::<RemoteRoute>::clone(&self.base)
    }

    fn set_label(&self, label: &str) -> Result<()> {
        let () = self.change(&Control::ContainerSetLabel { label: label.to_owned() })?;
        self.label.set(self.system().process(), label);
        Ok(())
    }

    fn attributes(&self) -> Result<Arc<dyn AttributeService>> {
        if self.epoch != Epoch::MAX {
            return Err(Error::new(Der::Notsupported, "attributes have no history: a snapshot has none")
                .hint("ask the container itself"));
        }
        let (system, of) = (Arc::clone(self.system()), Arc::<OpenedContainer>::clone(&self.opened));
        Ok(Arc::new(RemoteAttributes { system, of }))
    }

    fn alloc_oids(&self, count: u64) -> Result<u64> {
        self.change(&Control::ContainerAllocOids { count })
    }

    fn snapshot_create(&self, name: Option<&str>) -> Result<Snapshot> {
        let name = name.map(str::to_owned);
        let epoch: u64 = self.change(&Control::SnapshotCreate { name: name.clone() })?;
        Ok(Snapshot { epoch: Epoch(epoch), name })
    }

    fn snapshots(&self) -> Result<Vec<Snapshot>> {
        let listed: Vec<(u64, Option<String>)> = self.control(&Control::SnapshotList)?;
        Ok(listed.into_iter().map(|(epoch, name)| Snapshot { epoch: Epoch(epoch), name }).collect())
    }

    fn snapshot_destroy(&self, first: Epoch, last: Epoch) -> Result<usize> {
        let gone: u64 = self.change(&Control::SnapshotDestroy { first: first.0, last: last.0 })?;
        Ok(usize::try_from(gone).unwrap_or(usize::MAX))
    }

    fn rollback(&self, to: Epoch) -> Result<()> {
        self.change(&Control::SnapshotRollback { epoch: to.0 })
    }

    fn aggregate(&self) -> Result<u64> {
        self.change(&Control::ContainerAggregate)
    }

    fn service_request(&self, body: &[u8], changes: bool) -> Result<Vec<u8>> {
        with_handle(&*self.opened, None, |handle| self.system().other(handle, body, changes))
    }

    fn local2global(&self) -> Result<Vec<u8>> {
        let Some(handle) = self.opened.handle().uuid else { return Err(only_served()) };
        // Before anybody else has it.
        self.opened.is_shared.store(true, Ordering::Release);
        let Checksums { kind, piece_size, server_verifies } = self.checksums;
        encode(&GlobalContainer {
            handle,
            uuid: ByteArray::new(self.opened.uuid.0),
            label: self.label(),
            props: ByteBuf::from(self.props.clone()),
            checksums: Summing { kind: kind.map_or(0, |kind| kind as u8), piece_size, server_verifies },
        })
    }

    fn at(&self, epoch: Epoch) -> Result<Arc<dyn ContainerService>> {
        let () = self.control(&Control::SnapshotCheck { epoch: epoch.0 })?;
        Ok(Arc::new(self.as_of(epoch)))
    }

    fn transaction(&self, durability: Durability) -> Result<Transaction> {
        self.check_writable()?;
        let end = Arc::new(TxRoute::new(Arc::new(self.base.of_this_process()), durability));
        let route: Arc<dyn Route> = Arc::<TxRoute<RemoteRoute>>::clone(&end);
        Ok(Transaction { container: Arc::new(Self { route, ..self.clone() }), end })
    }
}
