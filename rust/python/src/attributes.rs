//! `Attributes`: of a pool or a container.

use crate::errors::OrRaise;
use daos_client::AttributeService;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use std::sync::Arc;

/// The attributes of a pool or container.
#[pyclass(frozen, module = "daos._core")]
pub(crate) struct Attributes(pub(crate) Arc<dyn AttributeService>);

// Arguments that Python hands over are owned by the call.
#[allow(clippy::needless_pass_by_value)]
#[pymethods]
impl Attributes {
    /// Sets several, all or none.
    fn set(&self, py: Python<'_>, items: Vec<(String, Bound<'_, PyBytes>)>) -> PyResult<()> {
        let items: Vec<(&str, &[u8])> =
            items.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        py.detach(|| self.0.set(&items)).or_raise(py)
    }

    /// The values of several, in their order.
    fn get<'py>(&self, py: Python<'py>, names: Vec<String>) -> PyResult<Bound<'py, PyList>> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let values = py.detach(|| self.0.get(&names)).or_raise(py)?;
        PyList::new(py, values.into_iter().map(|value| value.map(|value| PyBytes::new(py, &value))))
    }

    /// The names, in the order of their bytes.
    fn names(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        py.detach(|| self.0.names()).or_raise(py)
    }

    /// Removes several in one step; how many were there.
    fn remove(&self, py: Python<'_>, names: Vec<String>) -> PyResult<usize> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        py.detach(|| self.0.remove(&names)).or_raise(py)
    }
}
