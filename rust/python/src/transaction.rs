//! `Transaction`.

use crate::container::Container;
use crate::errors::OrRaise;
use pyo3::prelude::*;
use std::sync::Arc;

/// A transaction of a container.
#[pyclass(frozen, module = "daos._core")]
pub(crate) struct Transaction(pub(crate) daos_client::Transaction);

#[pymethods]
impl Transaction {
    /// The container, its objects inside the transaction.
    fn container(&self) -> Container {
        Container(Arc::clone(&self.0.container))
    }

    /// Commits it, all or nothing.
    fn commit(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.0.end.commit()).or_raise(py)
    }

    /// Gives it up.
    fn abort(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.0.end.abort()).or_raise(py)
    }
}
