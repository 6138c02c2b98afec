//! `Transaction`.

use crate::container::Container;
use crate::errors::OrRaise;
use pyo3::prelude::*;

/// A transaction of a container.
#[pyclass(frozen, module = "daos._core")]
pub(crate) struct Transaction(pub(crate) daos_embed::Transaction);

#[pymethods]
impl Transaction {
    /// The container, its objects inside the transaction.
    fn container(&self) -> Container {
        Container(self.0.container().clone())
    }

    /// Commits it, all or nothing.
    fn commit(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.0.commit()).or_raise(py)
    }

    /// Gives it up.
    fn abort(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.0.abort()).or_raise(py)
    }
}
