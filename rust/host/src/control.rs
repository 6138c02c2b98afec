//! Control requests, answered by the system that this process has.

use crate::handles::{Granted, Open, Rights};
use crate::serve::Refused;
use crate::service::{NO_HANDLE, Shared, WRONG_HANDLE};
use daos_client::{AttributeService, ContainerService, Error, NewContainer, PoolService, Result};
use daos_types::{ChecksumKind, Checksums, Der, Epoch, Origin, ScrubChange, ScrubMode};
use daos_wire::control::{
    ContainerReply, Control, Named, PoolReply, ScrubReply, SpaceReply, Summing, TargetPlace,
};
use daos_wire::{WireError, encode_control};
use serde_bytes::{ByteArray, ByteBuf};
use std::sync::Arc;

/// Carries a request out; the body of its reply.
pub(crate) fn answer(
    shared: &Shared,
    (session, handle): ([u8; 16], u64),
    request: Control,
) -> std::result::Result<Vec<u8>, Refused> {
    let system = &shared.system;
    let to = At { shared, handle };
    match request {
        Control::SystemTargets => told(encode_control(&system.targets())),
        Control::SystemSpace => {
            let space = system.space().map_err(Refused::Failed)?;
            let daos_client::SystemSpace { total, free, used, reserved } = space;
            told(encode_control(&SpaceReply { total, free, used, reserved }))
        }
        Control::ChangeSettle { sequence } => say(system.settle(Origin { session, sequence })),
        Control::PoolList => say(system
            .pools()
            .map(|pools| pools.into_iter().map(|(uuid, label)| named(uuid.0, label)).collect::<Vec<_>>())),
        Control::PoolCreate { label, props } => {
            say(Arc::clone(system).pool_create(&label, &props).map(|pool| to.pool_reply(pool)))
        }
        Control::PoolConnect { pool } => {
            say(Arc::clone(system).pool_open(&pool).map(|pool| to.pool_reply(pool)))
        }
        Control::PoolDestroy { pool } => say(system.pool_destroy(&pool)),
        Control::PoolChange { label, scrub_mode, scrub_freq, scrub_thresh } => {
            let pool = to.pool()?;
            let mode = scrub_mode.map(mode).transpose().map_err(Refused::Failed)?;
            let change = ScrubChange { mode, freq_s: scrub_freq, thresh: scrub_thresh };
            say(pool.change(label.as_deref(), change))
        }
        Control::PoolScrubStatus => say(to.pool()?.scrub_status().map(|status| ScrubReply {
            mode: status.settings.mode as u8,
            freq_s: status.settings.freq_s,
            thresh: status.settings.thresh,
            is_running: status.is_running,
            passes: status.passes,
            bytes: status.bytes,
            corruptions: status.corruptions,
            found: status.found,
            ended_s: status.ended_s,
            next_s: status.next_s,
        })),
        Control::ContainerList => say(to.pool()?.containers().map(|containers| {
            containers.into_iter().map(|(uuid, label)| named(uuid.0, label)).collect::<Vec<_>>()
        })),
        Control::ContainerCreate { label, props, checksums, scrub_disabled } => {
            let pool = to.pool()?;
            let checksums = summed(checksums).map_err(Refused::Failed)?;
            let new = NewContainer { label: &label, props: &props, checksums, scrub_disabled };
            say(pool.container_create(&new).map(|container| to.container_reply(container)))
        }
        Control::ContainerOpen { container } => {
            let opened = to.pool()?.container_open(&container);
            say(opened.map(|container| to.container_reply(container)))
        }
        Control::ContainerDestroy { container } => say(to.pool()?.container_destroy(&container)),
        Control::ContainerSetLabel { label } => say(to.container()?.set_label(&label)),
        Control::ContainerAllocOids { count } => say(to.container()?.alloc_oids(count)),
        Control::ContainerAggregate => say(to.container()?.aggregate()),
        Control::SnapshotCreate { name } => {
            let snapshot = to.container()?.snapshot_create(name.as_deref());
            say(snapshot.map(|snapshot| snapshot.epoch.0))
        }
        Control::SnapshotList => say(to
            .container()?
            .snapshots()
            .map(|snapshots| snapshots.into_iter().map(|one| (one.epoch.0, one.name)).collect::<Vec<_>>())),
        Control::SnapshotCheck { epoch } => say(to.container()?.at(Epoch(epoch)).map(drop)),
        Control::SnapshotDestroy { first, last } => {
            let gone = to.container()?.snapshot_destroy(Epoch(first), Epoch(last));
            say(gone.map(|count| count as u64))
        }
        Control::SnapshotRollback { epoch } => say(to.container()?.rollback(Epoch(epoch))),
        Control::AttributeSet { items } => {
            let items: Vec<(&str, &[u8])> =
                items.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
            say(to.attributes()?.set(&items))
        }
        Control::AttributeGet { names } => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            say(to
                .attributes()?
                .get(&names)
                .map(|values| values.into_iter().map(|value| value.map(ByteBuf::from)).collect::<Vec<_>>()))
        }
        Control::AttributeList => say(to.attributes()?.names()),
        Control::AttributeRemove { names } => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            say(to.attributes()?.remove(&names).map(|count| count as u64))
        }
    }
}

/// What a handle of a container may reach.
pub(crate) fn grant(container: &dyn ContainerService, rights: Rights) -> Granted {
    let (cont, route, survey) = (container.uuid(), container.route(), Some(container.survey()));
    Granted { cont, route, survey, rights }
}

/// Where a request goes.
struct At<'a> {
    shared: &'a Shared,
    handle: u64,
}

impl At<'_> {
    fn open(&self) -> std::result::Result<Open, Refused> {
        self.shared.handles.get(self.handle).ok_or(NO_HANDLE)
    }

    fn pool(&self) -> std::result::Result<Arc<dyn PoolService>, Refused> {
        match self.open()? {
            Open::Pool(pool) => Ok(pool),
            _ => Err(WRONG_HANDLE),
        }
    }

    fn container(&self) -> std::result::Result<Arc<dyn ContainerService>, Refused> {
        match self.open()? {
            Open::Container { container, .. } => Ok(container),
            _ => Err(WRONG_HANDLE),
        }
    }

    fn attributes(&self) -> std::result::Result<Arc<dyn AttributeService>, Refused> {
        let attributes = match self.open()? {
            Open::Pool(pool) => pool.attributes(),
            Open::Container { container, .. } => container.attributes(),
            Open::Transaction { .. } => return Err(WRONG_HANDLE),
        };
        attributes.map_err(Refused::Failed)
    }

    fn pool_reply(&self, pool: Arc<dyn PoolService>) -> PoolReply {
        let places = self.shared.places.lock();
        let address = |index: u32| places.get(index as usize).cloned().unwrap_or_default();
        let targets = (0..self.shared.system.targets())
            .map(|index| TargetPlace { rank: self.shared.rank, index, address: address(index) })
            .collect();
        PoolReply {
            uuid: ByteArray::new(pool.uuid().0),
            label: pool.label(),
            props: pool.props().to_vec().into(),
            map_version: 1,
            targets,
            handle: self.shared.handles.insert(Open::Pool(pool)),
        }
    }

    fn container_reply(&self, container: Arc<dyn ContainerService>) -> ContainerReply {
        let granted = grant(&*container, Rights::ALL);
        let Checksums { kind, piece_size, server_verifies } = container.checksums();
        ContainerReply {
            uuid: ByteArray::new(container.uuid().0),
            label: container.label(),
            props: container.props().to_vec().into(),
            checksums: Summing { kind: kind.map_or(0, |kind| kind as u8), piece_size, server_verifies },
            handle: self.shared.handles.insert(Open::Container { container, granted }),
        }
    }
}

/// The body that tells a result.
fn say<T: serde::Serialize>(result: Result<T>) -> std::result::Result<Vec<u8>, Refused> {
    told(encode_control(&result.map_err(Refused::Failed)?))
}

fn told(body: std::result::Result<Vec<u8>, WireError>) -> std::result::Result<Vec<u8>, Refused> {
    body.map_err(|error| match error {
        WireError::TooLong { len, max, .. } => Refused::TooLong { len, max },
        error => Refused::Message(error),
    })
}

fn named(uuid: [u8; 16], label: String) -> Named {
    Named { uuid: ByteArray::new(uuid), label }
}

fn mode(number: u8) -> Result<ScrubMode> {
    let unknown = || Error::new(Der::Inval, format!("there is no mode {number} of scrubbing"));
    ScrubMode::from_number(number).ok_or_else(unknown)
}

fn summed(of: Summing) -> Result<Checksums> {
    let kind = ChecksumKind::from_number(of.kind);
    if of.kind != 0 && kind.is_none() {
        return Err(Error::new(Der::Inval, format!("there is no checksum of number {}", of.kind)));
    }
    Ok(Checksums { kind, piece_size: of.piece_size, server_verifies: of.server_verifies })
}
