//! `AsyncArray`: an array whose operations go through an event queue; as `AsyncKV`.

use crate::array::Array;
use crate::event_queue::{EventQueue, Reply};
use crate::lent::LentMut;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

/// An array.
#[pyclass(frozen, module = "daos._core")]
pub(crate) struct AsyncArray(Py<Array>);

// Arguments that Python hands over are owned by the call.
#[allow(clippy::needless_pass_by_value)]
#[pymethods]
impl AsyncArray {
    /// The same array as `array`.
    #[new]
    fn new(array: Py<Array>) -> Self {
        Self(array)
    }

    /// The number of cells up to the last one that holds something.
    fn size(&self, py: Python<'_>, queue: &EventQueue, future: Py<PyAny>) -> PyResult<bool> {
        let array = self.0.clone_ref(py);
        queue.submit(py, future, 0, move || array.get().0.size())
    }

    /// Makes it so long.
    fn set_size(
        &self,
        py: Python<'_>,
        queue: &EventQueue,
        future: Py<PyAny>,
        size: u64,
        fill: PyBackedBytes,
    ) -> PyResult<bool> {
        let array = self.0.clone_ref(py);
        queue.submit(py, future, fill.len(), move || array.get().0.set_size(size, &fill))
    }

    /// Writes every `step`-th cell from `start` on.
    fn write(
        &self,
        py: Python<'_>,
        queue: &EventQueue,
        future: Py<PyAny>,
        start: u64,
        step: u64,
        data: PyBackedBytes,
    ) -> PyResult<bool> {
        let array = self.0.clone_ref(py);
        queue.submit(py, future, data.len(), move || array.get().write(start, step, &data))
    }

    /// Reads every `step`-th cell from `start` on until `data` is full; holes become `fill`.
    #[allow(clippy::too_many_arguments)]
    fn read_into(
        &self,
        py: Python<'_>,
        queue: &EventQueue,
        future: Py<PyAny>,
        start: u64,
        step: u64,
        mut data: LentMut,
        fill: PyBackedBytes,
    ) -> PyResult<bool> {
        let array = self.0.clone_ref(py);
        let bytes = data.len();
        let act = move || array.get().read_into(start, step, data.as_mut_slice(), &fill);
        queue.submit(py, future, bytes, act)
    }

    /// Makes holes.
    fn punch(
        &self,
        py: Python<'_>,
        queue: &EventQueue,
        future: Py<PyAny>,
        start: u64,
        count: u64,
    ) -> PyResult<bool> {
        let array = self.0.clone_ref(py);
        queue.submit(py, future, 0, move || array.get().0.punch(start, count))
    }
}

impl Reply for u64 {
    fn into_object(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(self.into_pyobject(py)?.into_any().unbind())
    }
}
