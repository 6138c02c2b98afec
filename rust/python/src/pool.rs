//! `Pool`.

use crate::attributes::Attributes;
use crate::container::Container;
use crate::errors::OrRaise;
use daos_client::{Error, NewContainer, PoolService};
use daos_types::{ChecksumKind, Checksums, Der, Epoch, ScrubChange, ScrubMode, ScrubStatus};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::sync::Arc;

/// Mode, seconds from pass to pass, threshold.
type ScrubSet = (u8, u32, u32);
/// Whether a pass runs, complete passes, bytes, corruptions, the first of them, when the last pass ended and the next begins.
pub(crate) type ScrubFound = (bool, u64, u64, u64, Vec<String>, Option<u64>, Option<u64>);

/// What was found, of all that the scrubber has to tell.
pub(crate) fn found_of(status: ScrubStatus) -> ScrubFound {
    let ScrubStatus { is_running, passes, bytes, corruptions, found, ended_s, next_s, .. } = status;
    (is_running, passes, bytes, corruptions, found, ended_s, next_s)
}

/// An open pool.
#[pyclass(frozen, module = "daos._core")]
pub(crate) struct Pool(pub(crate) Arc<dyn PoolService>);

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

    /// The number of its targets.
    #[getter]
    fn targets(&self) -> u32 {
        self.0.targets()
    }

    /// Gives it another label, and another mode, time or threshold of scrubbing.
    fn change(
        &self,
        py: Python<'_>,
        label: Option<&str>,
        scrub: (Option<u8>, Option<u32>, Option<u32>),
    ) -> PyResult<()> {
        let (mode, freq_s, thresh) = scrub;
        let unknown = |number| Error::new(Der::Inval, format!("there is no mode {number} of scrubbing"));
        let mode = mode.map(|number| ScrubMode::from_number(number).ok_or_else(|| unknown(number)));
        let change = ScrubChange { mode: mode.transpose().or_raise(py)?, freq_s, thresh };
        py.detach(|| self.0.change(label, change)).or_raise(py)
    }

    /// How it is scrubbed: mode, time and threshold; what was found.
    fn scrub_status(&self, py: Python<'_>) -> PyResult<(ScrubSet, ScrubFound)> {
        let status = py.detach(|| self.0.scrub_status()).or_raise(py)?;
        let set = (status.settings.mode as u8, status.settings.freq_s, status.settings.thresh);
        Ok((set, found_of(status)))
    }

    /// Its attributes.
    fn attributes(&self, py: Python<'_>) -> PyResult<Attributes> {
        self.0.attributes().or_raise(py).map(Attributes)
    }

    /// Creates a container whose data is summed as told: by which algorithm, over how much of an array, whether the target
    /// compares; and whether the scrubber passes it over.
    #[pyo3(signature = (label, props, checksums = None, scrub_disabled = false))]
    fn container_create(
        &self,
        py: Python<'_>,
        label: &str,
        props: &[u8],
        checksums: Option<(u8, u32, bool)>,
        scrub_disabled: bool,
    ) -> PyResult<Container> {
        let (number, piece_size, server_verifies) = checksums.unwrap_or_default();
        let kind = ChecksumKind::from_number(number);
        if number != 0 && kind.is_none() {
            return Err(Error::new(Der::Inval, format!("there is no checksum of number {number}")))
                .or_raise(py);
        }
        let checksums = Checksums { kind, piece_size, server_verifies };
        let new = NewContainer { label, props, checksums, scrub_disabled };
        let create = || self.0.container_create(&new);
        Ok(Container(py.detach(create).or_raise(py)?))
    }

    /// Opens a container.
    fn container_open(&self, py: Python<'_>, label_or_uuid: &str) -> PyResult<Container> {
        Ok(Container(py.detach(|| self.0.container_open(label_or_uuid)).or_raise(py)?))
    }

    /// Destroys a container.
    fn container_destroy(&self, py: Python<'_>, label_or_uuid: &str) -> PyResult<()> {
        py.detach(|| self.0.container_destroy(label_or_uuid)).or_raise(py)
    }

    /// The result of a request that only the service of a pool answers.
    #[pyo3(signature = (body, *, changes))]
    fn service_request<'py>(
        &self,
        py: Python<'py>,
        body: &[u8],
        changes: bool,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let told = py.detach(|| self.0.service_request(body, changes)).or_raise(py)?;
        Ok(PyBytes::new(py, &told))
    }

    /// What another process needs beside its handle to have it open too.
    fn local2global<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.0.local2global().or_raise(py)?))
    }

    /// A container that another process has opened, of what its `local2global` told; as of a snapshot, if an epoch is given.
    fn container_global2local(
        &self,
        py: Python<'_>,
        shared: &[u8],
        epoch: Option<u64>,
    ) -> PyResult<Container> {
        Ok(Container(self.0.container_global2local(shared, epoch.map(Epoch)).or_raise(py)?))
    }

    /// UUID and label of each container.
    fn containers(&self, py: Python<'_>) -> PyResult<Vec<(String, String)>> {
        let containers = py.detach(|| self.0.containers()).or_raise(py)?;
        Ok(containers.into_iter().map(|(uuid, label)| (uuid.to_string(), label)).collect())
    }
}
