//! `Array`: cells of one size.

use crate::errors::OrRaise;
use crate::lent::{Lent, LentMut};
use daos_client::{Result, Route};
use pyo3::prelude::*;

/// An array.
#[pyclass(frozen, module = "daos._core")]
pub(crate) struct Array(pub(crate) daos_client::Array<dyn Route>);

// Arguments that Python hands over are owned by the call.
#[allow(clippy::needless_pass_by_value)]
#[pymethods]
impl Array {
    /// Bytes of a cell.
    #[getter]
    fn cell_size(&self) -> u64 {
        self.0.cell_size()
    }

    /// Cells under one dkey.
    #[getter]
    fn chunk_size(&self) -> u64 {
        self.0.chunk_size()
    }

    /// The number of cells up to the last one that holds something.
    fn size(&self, py: Python<'_>) -> PyResult<u64> {
        py.detach(|| self.0.size()).or_raise(py)
    }

    /// Makes it so long.
    fn set_size(&self, py: Python<'_>, size: u64, fill: &[u8]) -> PyResult<()> {
        py.detach(|| self.0.set_size(size, fill)).or_raise(py)
    }

    /// Writes every `step`-th cell from `start` on.
    #[pyo3(name = "write")]
    fn py_write(&self, py: Python<'_>, start: u64, step: u64, data: Lent) -> PyResult<()> {
        let data = data.as_slice();
        py.detach(|| self.write(start, step, data)).or_raise(py)
    }

    /// Reads every `step`-th cell from `start` on until `data` is full; holes become `fill`.
    #[pyo3(name = "read_into")]
    fn py_read_into(
        &self,
        py: Python<'_>,
        start: u64,
        step: u64,
        mut data: LentMut,
        fill: &[u8],
    ) -> PyResult<()> {
        let data = data.as_mut_slice();
        py.detach(|| self.read_into(start, step, data, fill)).or_raise(py)
    }

    /// Makes holes.
    fn punch(&self, py: Python<'_>, start: u64, count: u64) -> PyResult<()> {
        py.detach(|| self.0.punch(start, count)).or_raise(py)
    }
}

impl Array {
    pub(crate) fn write(&self, start: u64, step: u64, data: &[u8]) -> Result<()> {
        self.0.write_list(self.0.strided(start, step, data.len())?, data)
    }

    pub(crate) fn read_into(&self, start: u64, step: u64, data: &mut [u8], fill: &[u8]) -> Result<()> {
        self.0.read_list(self.0.strided(start, step, data.len())?, data, Some(fill))
    }
}
