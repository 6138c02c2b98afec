//! `AsyncTransaction`: a transaction that ends through an event queue; as `AsyncKV`.

use crate::event_queue::EventQueue;
use crate::transaction::Transaction;
use pyo3::prelude::*;

/// A transaction.
#[pyclass(frozen, module = "daos._core")]
pub(crate) struct AsyncTransaction(Py<Transaction>);

#[pymethods]
impl AsyncTransaction {
    /// The same transaction as `transaction`.
    #[new]
    fn new(transaction: Py<Transaction>) -> Self {
        Self(transaction)
    }

    /// Commits it, all or nothing.
    fn commit(&self, py: Python<'_>, queue: &EventQueue, future: Py<PyAny>) -> PyResult<bool> {
        let transaction = self.0.clone_ref(py);
        queue.submit(py, future, 0, move || transaction.get().0.end.commit())
    }

    /// Gives it up.
    fn abort(&self, py: Python<'_>, queue: &EventQueue, future: Py<PyAny>) -> PyResult<bool> {
        let transaction = self.0.clone_ref(py);
        queue.submit(py, future, 0, move || transaction.get().0.end.abort())
    }
}
