//! `Embedded`: a system in this process.

use crate::errors::OrRaise;
use crate::pool::Pool;
use crate::tls::of_client;
use daos_client::{Result, ServiceOptions, SharedPool, SystemService};
use daos_embed::{Options, System, parse_uuid, random_id};
use daos_host::{connect_service, connect_tcp, open_shared};
use daos_types::Durability;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What the `local2global` of a pool told; ranks to the addresses of their targets.
type Shared = (Vec<u8>, BTreeMap<u32, Vec<String>>);

/// One system, opened by this process alone.
#[pyclass(frozen, module = "daos._core")]
pub(crate) struct Embedded {
    pub(crate) system: Arc<dyn SystemService>,
}

#[pymethods]
impl Embedded {
    /// Opens a system, or makes it.
    #[staticmethod]
    #[expect(clippy::too_many_arguments, reason = "keywords of a call from Python")]
    #[pyo3(signature = (path, *, create, targets, durability, size = None, cache_bytes = None, memtable_bytes = None, share = false))]
    fn open(
        py: Python<'_>,
        path: &str,
        create: bool,
        targets: u32,
        durability: u8,
        size: Option<u64>,
        cache_bytes: Option<usize>,
        memtable_bytes: Option<usize>,
        share: bool,
    ) -> PyResult<Self> {
        let durability = durability_of(durability)?;
        let options = Options {
            create,
            targets,
            durability,
            memtable_bytes_max: memtable_bytes,
            cache_bytes,
            size,
            devices: None,
        };
        let open = || -> Result<Arc<dyn SystemService>> {
            Ok(match path {
                ":memory:" => System::in_memory(&options)?,
                path if share => open_shared(Path::new(path), &options)?,
                path => System::open(Path::new(path), &options)?,
            })
        };
        Ok(Self { system: py.detach(open).or_raise(py)? })
    }

    /// The system that an engine at an address serves. Nothing protects what is said: for tests on one machine.
    #[staticmethod]
    #[pyo3(signature = (address, *, system, durability, timeout_s))]
    fn connect(
        py: Python<'_>,
        address: &str,
        system: &str,
        durability: u8,
        timeout_s: f64,
    ) -> PyResult<Self> {
        let durability = durability_of(durability)?;
        let timeout = Duration::try_from_secs_f64(timeout_s)
            .map_err(|_| PyValueError::new_err("a time-out is a positive number of seconds"))?;
        let connect =
            || -> Result<Arc<dyn SystemService>> { Ok(connect_tcp(address, system, durability, timeout)?) };
        Ok(Self { system: py.detach(connect).or_raise(py)? })
    }

    /// A pool of a served system, by its service: to be opened by its UUID. With `shared` it is open already, by another process, under
    /// that handle: what its `local2global` told, and the addresses of the targets of each rank.
    #[staticmethod]
    #[expect(clippy::too_many_arguments, reason = "keywords of a call from Python")]
    #[pyo3(signature = (pool, *, system, engines, replicas, credential, handle, access, durability, timeout_s, ca = None, near = false, shared = None))]
    fn connect_service(
        py: Python<'_>,
        pool: &str,
        system: &str,
        engines: BTreeMap<u32, String>,
        replicas: Vec<u32>,
        credential: Vec<u8>,
        handle: &str,
        access: u8,
        durability: u8,
        timeout_s: f64,
        ca: Option<PathBuf>,
        near: bool,
        shared: Option<Shared>,
    ) -> PyResult<Self> {
        let durability = durability_of(durability)?;
        let timeout = Duration::try_from_secs_f64(timeout_s)
            .map_err(|_| PyValueError::new_err("a time-out is a positive number of seconds"))?;
        let shared = shared.map(|(pool, targets)| SharedPool { pool, targets });
        let connect = || -> Result<Arc<dyn SystemService>> {
            let transport = of_client(ca)?;
            let (pool, handle) = (parse_uuid(pool)?, parse_uuid(handle)?);
            let draw = random_id;
            let options =
                ServiceOptions { pool, engines, replicas, credential, handle, access, draw, shared };
            Ok(connect_service(system, options, transport, near, durability, timeout)?)
        };
        Ok(Self { system: py.detach(connect).or_raise(py)? })
    }

    /// The same for somebody else in this process, who closes his: by the same connections. Of a pool that another process has opened.
    fn again(&self) -> PyResult<Self> {
        Python::attach(|py| Ok(Self { system: self.system.again().or_raise(py)? }))
    }

    /// The number of its targets.
    #[getter]
    fn targets(&self) -> u32 {
        self.system.targets()
    }

    /// Its connections to targets by shared memory, and all others that are open.
    fn ways(&self, py: Python<'_>) -> (usize, usize) {
        let ways = py.detach(|| self.system.ways());
        (ways.near, ways.far)
    }

    /// Bytes in all, free, used by files, and kept back for deletes.
    fn space(&self, py: Python<'_>) -> PyResult<(u64, u64, u64, u64)> {
        let space = py.detach(|| self.system.space()).or_raise(py)?;
        Ok((space.total, space.free, space.used, space.reserved))
    }

    /// Closes it and all that was opened from it; closing again is no error.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.system.close()).or_raise(py)
    }

    /// Creates a pool.
    fn pool_create(&self, py: Python<'_>, label: &str, props: &[u8]) -> PyResult<Pool> {
        Ok(Pool(py.detach(|| Arc::clone(&self.system).pool_create(label, props)).or_raise(py)?))
    }

    /// Opens a pool.
    fn pool_open(&self, py: Python<'_>, label_or_uuid: &str) -> PyResult<Pool> {
        Ok(Pool(py.detach(|| Arc::clone(&self.system).pool_open(label_or_uuid)).or_raise(py)?))
    }

    /// Destroys a pool with all its containers.
    fn pool_destroy(&self, py: Python<'_>, label_or_uuid: &str) -> PyResult<()> {
        py.detach(|| self.system.pool_destroy(label_or_uuid)).or_raise(py)
    }

    /// UUID and label of each pool.
    fn pools(&self, py: Python<'_>) -> PyResult<Vec<(String, String)>> {
        let pools = py.detach(|| self.system.pools()).or_raise(py)?;
        Ok(pools.into_iter().map(|(uuid, label)| (uuid.to_string(), label)).collect())
    }
}

/// A durability by its number.
pub(crate) fn durability_of(number: u8) -> PyResult<Durability> {
    Durability::from_number(number)
        .ok_or_else(|| PyValueError::new_err("durability is 0 (buffered), 1 (interval) or 2 (synced)"))
}
