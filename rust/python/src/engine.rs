//! `Engine`: a system in this process that clients reach over the network; `Messenger`: what asks other engines.

use crate::devices::{DeviceList, devices_of};
use crate::embedded::durability_of;
use crate::errors::OrRaise;
use crate::pool::{ScrubFound, found_of};
use crate::tls::{Paths, of_server};
use daos_client::{ContainerService, Error, Result, SystemService};
#[cfg(feature = "server")]
use daos_consensus::{Mailboxes, OPCODE};
use daos_embed::{ContainerPart, Options, System, VolumeSpace, parse_uuid};
use daos_host::{Host, HostOptions, Outside, Questions, Rights, SERVED};
use daos_net::frame::Refusal;
use daos_net::shm::Shm;
use daos_net::{Answer, Incoming, Limits, Peer, Replies, Role};
use daos_types::{ChecksumKind, Checksums, ContainerId, Der, Epoch, PoolId, Rank, ScrubMode, ScrubSettings};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A system and its endpoints: one for control, one for each target, each with a thread.
#[pyclass(frozen, module = "daos._core")]
pub(crate) struct Engine {
    system: Arc<System>,
    host: Mutex<Option<Host>>,
    questions: Option<Arc<Questions>>,
    #[cfg(feature = "server")]
    pub(crate) mailboxes: Arc<Mailboxes>,
    #[pyo3(get)]
    address: String,
    /// Why processes of this machine do not reach its targets by shared memory; `None` where they do.
    #[pyo3(get)]
    far: Option<String>,
}

/// What is neither data nor control: messages between replicas are handed on, questions wait for Python.
#[derive(Debug)]
struct Sorter {
    questions: Arc<Questions>,
    #[cfg(feature = "server")]
    mailboxes: Arc<Mailboxes>,
}

impl Outside for Sorter {
    fn request(&self, request: Incoming, replies: &Replies) {
        // Without certificates anybody may say that he is an engine: then nobody else is on that network.
        let of_engine = matches!(request.peer, Peer::Plain) || request.peer.role() == Some(Role::Server);
        if request.opcode != SERVED && !of_engine {
            let why = "only engines and servers ask this, with their certificate";
            return replies.send(request.ticket, Answer::Refused(Refusal::before(Der::NoPerm, why)));
        }
        #[cfg(feature = "server")]
        if request.opcode == OPCODE {
            return self.mailboxes.receive(&request, replies);
        }
        self.questions.request(request, replies);
    }
}

fn checksums_of((number, piece_size, server_verifies): (u8, u32, bool)) -> Result<Checksums> {
    let kind = ChecksumKind::from_number(number);
    if number != 0 && kind.is_none() {
        return Err(Error::new(Der::Inval, format!("there is no checksum of number {number}")));
    }
    Ok(Checksums { kind, piece_size, server_verifies })
}

/// A container's UUID, its properties, how its data is summed, whether the scrubber passes it over.
type NewPart = (String, Vec<u8>, (u8, u32, bool), bool);

/// Bytes in all, free, used and kept back; what is there.
type Volume = (u64, u64, u64, u64, u8);

impl Engine {
    fn with_host<T>(&self, act: impl FnOnce(&Host) -> T) -> Result<T> {
        let host = self.host.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        host.as_ref().map(act).ok_or_else(|| Error::new(Der::NoHdl, "the engine is closed"))
    }

    fn pool(&self, pool: &str) -> Result<daos_embed::Pool> {
        System::pool_open(&self.system, pool)
    }

    fn container(&self, pool: &str, container: &str) -> Result<daos_embed::Container> {
        self.pool(pool)?.container_open(container)
    }

    fn questions(&self) -> Result<&Questions> {
        let none = || Error::new(Der::NoPerm, "this engine answers control requests itself");
        self.questions.as_deref().ok_or_else(none)
    }
}

// Arguments that Python hands over are owned by the call.
#[allow(clippy::needless_pass_by_value)]
#[pymethods]
impl Engine {
    /// Opens a system, or makes it, and serves it.
    #[staticmethod]
    #[expect(clippy::too_many_arguments, reason = "keywords of a call from Python")]
    #[pyo3(signature = (
        path, *, create, targets, durability, listen, system, rank, incarnation, served = false, size = None,
        cache_bytes = None, memtable_bytes = None, tls = None, near = false, devices = None
    ))]
    fn start(
        py: Python<'_>,
        path: &str,
        create: bool,
        targets: u32,
        durability: u8,
        listen: &str,
        system: &str,
        rank: u32,
        incarnation: u64,
        served: bool,
        size: Option<u64>,
        cache_bytes: Option<usize>,
        memtable_bytes: Option<usize>,
        tls: Option<Paths>,
        near: bool,
        devices: Option<DeviceList>,
    ) -> PyResult<Self> {
        let durability = durability_of(durability)?;
        let devices = devices.map(|list| devices_of(list, system)).transpose().or_raise(py)?;
        let options = Options {
            create,
            targets,
            durability,
            memtable_bytes_max: memtable_bytes,
            cache_bytes,
            size,
            devices,
        };
        let at: SocketAddr = listen
            .parse()
            .map_err(|_| {
                Error::new(Der::Inval, format!("'{listen}' is no address"))
                    .hint("write ip:port, as 127.0.0.1:10001; port 0 is any")
            })
            .or_raise(py)?;
        let start = || -> Result<Self> {
            let transport = of_server(tls.as_ref())?;
            let opened = match path {
                ":memory:" => System::in_memory(&options)?,
                path => System::open(Path::new(path), &options)?,
            };
            let (system, rank) = (system.to_owned(), Rank(rank));
            let options = HostOptions { system, rank, incarnation, limits: Limits::default() };
            let service: Arc<dyn SystemService> = Arc::<System>::clone(&opened);
            let questions = if served { Some(Arc::new(Questions::new()?)) } else { None };
            #[cfg(feature = "server")]
            let mailboxes = Arc::<Mailboxes>::default();
            let outside = questions.as_ref().map(|questions| -> Arc<dyn Outside> {
                Arc::new(Sorter {
                    questions: Arc::clone(questions),
                    #[cfg(feature = "server")]
                    mailboxes: Arc::clone(&mailboxes),
                })
            });
            let host = Host::with(service, options, outside);
            // Targets first: whoever reaches the control endpoint is told of them.
            host.listen_targets(&*transport, |index| target_address(at.ip(), at.port(), index))?;
            let address = host.listen(&*transport, listen)?;
            // Without it all is as well, but slower.
            let far = if near {
                host.listen_near(&Shm::default()).err().map(|error| error.message)
            } else {
                Some("it is turned off".to_owned())
            };
            Ok(Self {
                system: opened,
                host: Mutex::new(Some(host)),
                questions,
                #[cfg(feature = "server")]
                mailboxes,
                address,
                far,
            })
        };
        py.detach(start).or_raise(py)
    }

    /// Where its targets are reached.
    #[getter]
    fn target_addresses(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        py.detach(|| self.with_host(Host::places)).or_raise(py)
    }

    /// The descriptor that is readable when there are questions.
    fn fileno(&self, py: Python<'_>) -> PyResult<i32> {
        self.questions().map(|questions| questions.fd().as_raw_fd()).or_raise(py)
    }

    /// Questions that came since the last call: token, whether an engine asks, what.
    fn drain<'py>(&self, py: Python<'py>) -> PyResult<Vec<(u64, bool, Bound<'py, PyBytes>)>> {
        let taken = self.questions().map(Questions::take).or_raise(py)?;
        Ok(taken.into_iter().map(|one| (one.token, one.of_engine, PyBytes::new(py, &one.body))).collect())
    }

    /// Answers a question.
    fn answer(&self, py: Python<'_>, token: u64, body: &[u8]) -> PyResult<()> {
        let answer = Answer::of_body(1, body.to_vec());
        py.detach(|| self.questions().map(|questions| questions.answer(token, answer))).or_raise(py)
    }

    /// Answers several questions.
    fn answer_all(&self, py: Python<'_>, answers: Vec<(u64, PyBackedBytes)>) -> PyResult<()> {
        let send = || {
            let questions = self.questions()?;
            for (token, body) in &answers {
                let answer = Answer::of_body(1, body.to_vec());
                questions.answer(*token, answer);
            }
            Ok(())
        };
        py.detach(send).or_raise(py)
    }

    /// Refuses a question.
    #[pyo3(signature = (token, code, message, hint, *, nothing_happened))]
    fn refuse(
        &self,
        py: Python<'_>,
        token: u64,
        code: u32,
        message: &str,
        hint: &str,
        nothing_happened: bool,
    ) -> PyResult<()> {
        let told = Refusal::new(Der::from_number(code), message).hint(hint);
        let answer = Answer::Refused(Refusal { nothing_happened, ..told });
        py.detach(|| self.questions().map(|questions| questions.answer(token, answer))).or_raise(py)
    }

    /// The UUIDs of the pools that have shards here.
    fn pools(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let pools = py.detach(|| self.system.pools()).or_raise(py)?;
        Ok(pools.into_iter().map(|(uuid, _)| uuid.to_string()).collect())
    }

    /// Makes a pool's shards.
    fn pool_create(&self, py: Python<'_>, pool: &str) -> PyResult<()> {
        py.detach(|| self.system.pool_shards_create(PoolId(parse_uuid(pool)?)).map(drop)).or_raise(py)
    }

    /// Deletes a pool's shards.
    fn pool_destroy(&self, py: Python<'_>, pool: &str) -> PyResult<()> {
        py.detach(|| self.system.pool_shards_destroy(PoolId(parse_uuid(pool)?))).or_raise(py)
    }

    /// The UUIDs of the containers of a pool that have shards here.
    fn containers(&self, py: Python<'_>, pool: &str) -> PyResult<Vec<String>> {
        let listed = py.detach(|| self.pool(pool)?.containers()).or_raise(py)?;
        Ok(listed.into_iter().map(|(uuid, _)| uuid.to_string()).collect())
    }

    /// Makes a container's shards.
    #[pyo3(signature = (pool, container, *, props, checksums, scrub_disabled))]
    fn container_create(
        &self,
        py: Python<'_>,
        pool: &str,
        container: &str,
        props: &[u8],
        checksums: (u8, u32, bool),
        scrub_disabled: bool,
    ) -> PyResult<()> {
        let make = || {
            let part = ContainerPart { props, checksums: checksums_of(checksums)?, scrub_disabled };
            let uuid = ContainerId(parse_uuid(container)?);
            self.pool(pool)?.container_shards_create(uuid, &part).map(drop)
        };
        py.detach(make).or_raise(py)
    }

    /// Makes the shards of several containers, durably with one wait.
    fn containers_create(&self, py: Python<'_>, pool: &str, parts: Vec<NewPart>) -> PyResult<()> {
        let make = || {
            let parts = parts
                .iter()
                .map(|(uuid, props, checksums, scrub_disabled)| {
                    let (checksums, scrub_disabled) = (checksums_of(*checksums)?, *scrub_disabled);
                    Ok((ContainerId(parse_uuid(uuid)?), ContainerPart { props, checksums, scrub_disabled }))
                })
                .collect::<Result<Vec<_>>>()?;
            self.pool(pool)?.containers_shards_create(&parts)
        };
        py.detach(make).or_raise(py)
    }

    /// Deletes a container's shards.
    fn container_destroy(&self, py: Python<'_>, pool: &str, container: &str) -> PyResult<()> {
        let delete = || match self.pool(pool) {
            Ok(pool) => pool.container_shards_destroy(ContainerId(parse_uuid(container)?)),
            Err(error) if error.der == Der::Nonexist => Ok(()),
            Err(error) => Err(error),
        };
        py.detach(delete).or_raise(py)
    }

    /// Keeps these snapshots of a container and no others.
    fn snapshots_set(&self, py: Python<'_>, pool: &str, container: &str, epochs: Vec<u64>) -> PyResult<()> {
        let epochs: Vec<Epoch> = epochs.into_iter().map(Epoch).collect();
        py.detach(|| self.container(pool, container)?.snapshots_set(&epochs)).or_raise(py)
    }

    /// Gives later epochs than one from elsewhere; the greatest that was given before.
    fn epoch_pass(&self, py: Python<'_>, epoch: u64) -> PyResult<u64> {
        py.detach(|| self.system.epoch_pass(Epoch(epoch))).map(|epoch| epoch.0).or_raise(py)
    }

    /// Brings a container's part back to a snapshot.
    fn rollback(&self, py: Python<'_>, pool: &str, container: &str, epoch: u64) -> PyResult<()> {
        py.detach(|| self.container(pool, container)?.rollback(Epoch(epoch))).or_raise(py)
    }

    /// Removes what nobody can see of a container's part; how many entries went.
    fn aggregate(&self, py: Python<'_>, pool: &str, container: &str) -> PyResult<u64> {
        py.detach(|| self.container(pool, container)?.aggregate()).or_raise(py)
    }

    /// Admits requests for a container by the handle of a number.
    #[pyo3(signature = (number, pool, container, *, read, write))]
    fn admit(
        &self,
        py: Python<'_>,
        number: u64,
        pool: &str,
        container: &str,
        read: bool,
        write: bool,
    ) -> PyResult<()> {
        let admit = || {
            let opened: Arc<dyn ContainerService> = Arc::new(self.container(pool, container)?);
            self.with_host(|host| host.admit(number, opened, Rights { read, write }))
        };
        py.detach(admit).or_raise(py)
    }

    /// Admits requests by several handles, each as [`Engine::admit`]; tells of each whether its container is here.
    fn admit_all(
        &self,
        py: Python<'_>,
        pool: &str,
        handles: Vec<(u64, String, bool, bool)>,
    ) -> PyResult<Vec<bool>> {
        let admit = || {
            let pool = self.pool(pool)?;
            let mut there = Vec::with_capacity(handles.len());
            for (number, container, read, write) in &handles {
                match pool.container_open(container) {
                    Ok(opened) => {
                        let rights = Rights { read: *read, write: *write };
                        self.with_host(|host| host.admit(*number, Arc::new(opened), rights))?;
                        there.push(true);
                    }
                    Err(error) if error.der == Der::Nonexist => there.push(false),
                    Err(error) => return Err(error),
                }
            }
            Ok(there)
        };
        py.detach(admit).or_raise(py)
    }

    /// Refuses requests by the handles of these numbers.
    fn revoke(&self, py: Python<'_>, numbers: Vec<u64>) -> PyResult<()> {
        py.detach(|| self.with_host(|host| host.revoke(&numbers))).or_raise(py)
    }

    /// Bytes in all, free, used by files, and kept back for deletes.
    fn space(&self, py: Python<'_>) -> PyResult<(u64, u64, u64, u64)> {
        let space = py.detach(|| self.system.space()).or_raise(py)?;
        Ok((space.total, space.free, space.used, space.reserved))
    }

    /// Of the directory and of each device: bytes in all, free, used and kept back, and what is there: 1 data, 2 meta, 4 wal.
    fn volumes(&self, py: Python<'_>) -> PyResult<Vec<Volume>> {
        let space = py.detach(|| self.system.space()).or_raise(py)?;
        let roles = |volume: &VolumeSpace| {
            u8::from(volume.has_data) | u8::from(volume.has_index) << 1 | u8::from(volume.has_log) << 2
        };
        let of =
            |volume: &VolumeSpace| (volume.total, volume.free, volume.used, volume.reserved, roles(volume));
        Ok(space.volumes.iter().map(of).collect())
    }

    /// Sets what a pool may use.
    fn pool_quota(&self, py: Python<'_>, pool: &str, meta: u64, data: u64) -> PyResult<()> {
        py.detach(|| self.system.pool_quota(PoolId(parse_uuid(pool)?), (meta, data))).or_raise(py)
    }

    /// Sets how a pool is scrubbed here.
    fn pool_scrub(&self, py: Python<'_>, pool: &str, mode: u8, freq: u32, thresh: u32) -> PyResult<()> {
        let set = || {
            let unknown = || Error::new(Der::Inval, format!("there is no mode {mode} of scrubbing"));
            let mode = ScrubMode::from_number(mode).ok_or_else(unknown)?;
            self.system.pool_scrub(PoolId(parse_uuid(pool)?), ScrubSettings { mode, freq_s: freq, thresh })
        };
        py.detach(set).or_raise(py)
    }

    /// What the scrubber found of a pool here.
    fn pool_scrub_found(&self, py: Python<'_>, pool: &str) -> PyResult<ScrubFound> {
        let status = py.detach(|| self.system.pool_scrub_status(PoolId(parse_uuid(pool)?))).or_raise(py)?;
        Ok(found_of(status))
    }

    /// What a pool may store yet; `None` where that is not bounded.
    fn pool_room(&self, py: Python<'_>, pool: &str) -> PyResult<Option<(u64, u64)>> {
        py.detach(|| self.system.pool_room(PoolId(parse_uuid(pool)?))).or_raise(py)
    }

    /// Ends the endpoints and closes the system; closing again is no error.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| {
            let host = self.host.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
            drop(host);
            self.system.close()
        })
        .or_raise(py)
    }
}

/// Targets follow the control endpoint, port by port; where that has any port, so have they.
fn target_address(ip: IpAddr, port: u16, index: u32) -> String {
    let next = match port {
        0 => 0,
        port => port.saturating_add(1).saturating_add(u16::try_from(index).unwrap_or(u16::MAX)),
    };
    SocketAddr::new(ip, next).to_string()
}

/// What asks other engines.
#[pyclass(frozen, module = "daos._core")]
pub(crate) struct Messenger(daos_host::Messenger);

#[pymethods]
impl Messenger {
    /// One of an engine of a system.
    #[allow(clippy::needless_pass_by_value, reason = "Python hands it over")]
    #[new]
    #[pyo3(signature = (*, system, tls = None))]
    fn new(py: Python<'_>, system: &str, tls: Option<Paths>) -> PyResult<Self> {
        let transport = of_server(tls.as_ref()).or_raise(py)?;
        Ok(Self(daos_host::Messenger::new(transport, system)))
    }

    /// What the engine of a rank answers.
    #[pyo3(signature = (rank, address, body, *, timeout_s))]
    fn ask<'py>(
        &self,
        py: Python<'py>,
        rank: u32,
        address: &str,
        body: &[u8],
        timeout_s: f64,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let wrong = |_| Error::new(Der::Inval, "a time-out is a positive number of seconds");
        let timeout = Duration::try_from_secs_f64(timeout_s).map_err(wrong).or_raise(py)?;
        let reply = py.detach(|| self.0.ask(rank, address, body, timeout)).or_raise(py)?;
        Ok(PyBytes::new(py, &reply))
    }
}
