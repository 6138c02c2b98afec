//! `Pool`.

use crate::attributes::Attributes;
use crate::container::Container;
use crate::errors::OrRaise;
use pyo3::prelude::*;

/// An open pool.
#[pyclass(frozen, module = "daos._core")]
pub(crate) struct Pool(pub(crate) daos_embed::Pool);

#[pymethods]
impl Pool {
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
    fn attributes(&self) -> Attributes {
        Attributes(self.0.attributes())
    }

    /// Creates a container.
    fn container_create(&self, py: Python<'_>, label: &str, props: &[u8]) -> PyResult<Container> {
        Ok(Container(py.detach(|| self.0.container_create(label, props)).or_raise(py)?))
    }

    /// Opens a container.
    fn container_open(&self, py: Python<'_>, label_or_uuid: &str) -> PyResult<Container> {
        Ok(Container(py.detach(|| self.0.container_open(label_or_uuid)).or_raise(py)?))
    }

    /// Destroys a container.
    fn container_destroy(&self, py: Python<'_>, label_or_uuid: &str) -> PyResult<()> {
        py.detach(|| self.0.container_destroy(label_or_uuid)).or_raise(py)
    }

    /// UUID and label of each container.
    fn containers(&self, py: Python<'_>) -> PyResult<Vec<(String, String)>> {
        let containers = py.detach(|| self.0.containers()).or_raise(py)?;
        Ok(containers.into_iter().map(|(uuid, label)| (uuid.to_string(), label)).collect())
    }
}
