//! `Container`.

use crate::attributes::Attributes;
use crate::errors::OrRaise;
use crate::kv::KV;
use daos_types::{Epoch, ObjectId};
use pyo3::prelude::*;

/// An open container.
#[pyclass(frozen, module = "daos._core")]
pub(crate) struct Container(pub(crate) daos_embed::Container);

#[pymethods]
impl Container {
    /// Its UUID.
    #[getter]
    fn uuid(&self) -> String {
        self.0.uuid().to_string()
    }

    /// Its label.
    #[getter]
    fn label(&self) -> String {
        self.0.label()
    }

    /// Its properties, as they were given.
    #[getter]
    fn props(&self) -> &[u8] {
        self.0.props()
    }

    /// Gives it another label.
    fn set_label(&self, py: Python<'_>, label: &str) -> PyResult<()> {
        py.detach(|| self.0.set_label(label)).or_raise(py)
    }

    /// Its attributes.
    fn attributes(&self, py: Python<'_>) -> PyResult<Attributes> {
        Ok(Attributes(self.0.attributes().or_raise(py)?))
    }

    /// A key-value object by its id.
    fn kv(&self, py: Python<'_>, hi: u64, lo: u64) -> PyResult<KV> {
        Ok(KV(self.0.kv(ObjectId { hi, lo }).or_raise(py)?))
    }

    /// The first of `count` numbers that this container has not given before.
    fn alloc_oids(&self, py: Python<'_>, count: u64) -> PyResult<u64> {
        py.detach(|| self.0.alloc_oids(count)).or_raise(py)
    }

    /// Takes a snapshot; its epoch.
    fn snapshot_create(&self, py: Python<'_>, name: Option<&str>) -> PyResult<u64> {
        Ok(py.detach(|| self.0.snapshot_create(name)).or_raise(py)?.epoch.0)
    }

    /// Epoch and name of each snapshot, oldest first.
    fn snapshots(&self, py: Python<'_>) -> PyResult<Vec<(u64, Option<String>)>> {
        let snapshots = py.detach(|| self.0.snapshots()).or_raise(py)?;
        Ok(snapshots.into_iter().map(|snapshot| (snapshot.epoch.0, snapshot.name)).collect())
    }

    /// Destroys the snapshots from one epoch to another; how many they were.
    fn snapshot_destroy(&self, py: Python<'_>, first: u64, last: u64) -> PyResult<usize> {
        py.detach(|| self.0.snapshot_destroy(Epoch(first), Epoch(last))).or_raise(py)
    }

    /// The container as of a snapshot.
    fn at(&self, py: Python<'_>, epoch: u64) -> PyResult<Self> {
        Ok(Self(py.detach(|| self.0.at(Epoch(epoch))).or_raise(py)?))
    }
}
