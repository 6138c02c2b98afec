//! `Container`.

use crate::errors::OrRaise;
use crate::kv::KV;
use daos_types::ObjectId;
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
    fn label(&self) -> &str {
        self.0.label()
    }

    /// Its properties, as they were given.
    #[getter]
    fn props(&self) -> &[u8] {
        self.0.props()
    }

    /// A key-value object by its id.
    fn kv(&self, py: Python<'_>, hi: u64, lo: u64) -> PyResult<KV> {
        Ok(KV(self.0.kv(ObjectId { hi, lo }).or_raise(py)?))
    }

    /// The first of `count` numbers that this container has not given before.
    fn alloc_oids(&self, py: Python<'_>, count: u64) -> PyResult<u64> {
        py.detach(|| self.0.alloc_oids(count)).or_raise(py)
    }
}
