//! `AsyncObject`: an object whose operations go through an event queue; as `AsyncKV`.

use crate::event_queue::{EventQueue, Reply};
use crate::lent::LentMut;
use crate::object::{Answers, Asked, Extreme, Object, Pairs};
use daos_types::Cond;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;

/// An object.
#[pyclass(frozen, module = "daos._core")]
pub(crate) struct AsyncObject(Py<Object>);

// Arguments that Python hands over are owned by the call.
#[allow(clippy::needless_pass_by_value)]
#[pymethods]
impl AsyncObject {
    /// The same object as `of`.
    #[new]
    fn new(of: Py<Object>) -> Self {
        Self(of)
    }

    /// Changes akeys of a dkey, all or none.
    #[pyo3(signature = (queue, future, dkey, iods, flags = 0))]
    fn update(
        &self,
        py: Python<'_>,
        queue: &EventQueue,
        future: Py<PyAny>,
        dkey: PyBackedBytes,
        iods: Vec<(PyBackedBytes, Option<PyBackedBytes>, u64, Option<Pairs>)>,
        flags: u64,
    ) -> PyResult<bool> {
        let object = self.0.clone_ref(py);
        let of = |(akey, data, ..): &(PyBackedBytes, Option<PyBackedBytes>, u64, Option<Pairs>)| {
            akey.len() + data.as_ref().map_or(0, |data| data.len())
        };
        let bytes = dkey.len() + iods.iter().map(of).sum::<usize>();
        queue.submit(py, future, bytes, move || object.get().change(&dkey, &iods, Cond(flags)))
    }

    /// Reads akeys of a dkey as of one moment.
    fn fetch(
        &self,
        py: Python<'_>,
        queue: &EventQueue,
        future: Py<PyAny>,
        dkey: PyBackedBytes,
        mut iods: Vec<(PyBackedBytes, Option<LentMut>, u64, Option<Pairs>)>,
    ) -> PyResult<bool> {
        let object = self.0.clone_ref(py);
        let of = |(akey, room, ..): &(PyBackedBytes, Option<LentMut>, u64, Option<Pairs>)| {
            akey.len() + room.as_ref().map_or(0, LentMut::len)
        };
        let bytes = dkey.len() + iods.iter().map(of).sum::<usize>();
        queue.submit(py, future, bytes, move || object.get().read(&dkey, &mut iods))
    }

    /// Punches akeys of a dkey, a dkey, or the object.
    #[pyo3(signature = (queue, future, dkey, akeys, flags = 0))]
    fn punch(
        &self,
        py: Python<'_>,
        queue: &EventQueue,
        future: Py<PyAny>,
        dkey: Option<PyBackedBytes>,
        akeys: Option<Vec<PyBackedBytes>>,
        flags: u64,
    ) -> PyResult<bool> {
        let object = self.0.clone_ref(py);
        let bytes = akeys.iter().flatten().chain(&dkey).map(|key| key.len()).sum();
        let act = move || object.get().remove(dkey.as_deref(), akeys.as_deref(), Cond(flags));
        queue.submit(py, future, bytes, act)
    }

    /// At most `count` dkeys, or akeys of a dkey, behind an anchor, and the next anchor; None at the end.
    #[allow(clippy::too_many_arguments)]
    fn list_keys(
        &self,
        py: Python<'_>,
        queue: &EventQueue,
        future: Py<PyAny>,
        dkey: Option<PyBackedBytes>,
        anchor: Option<PyBackedBytes>,
        count: usize,
        reverse: bool,
    ) -> PyResult<bool> {
        let object = self.0.clone_ref(py);
        let act = move || object.get().page(dkey.as_deref(), anchor.as_deref(), count, reverse);
        queue.submit(py, future, 0, act)
    }

    /// The extreme dkey, akey, extent and bytes of a record, of those that are asked for.
    #[allow(clippy::too_many_arguments)]
    fn query(
        &self,
        py: Python<'_>,
        queue: &EventQueue,
        future: Py<PyAny>,
        greatest: bool,
        dkey: Option<PyBackedBytes>,
        akey: Option<PyBackedBytes>,
        akey_extreme: bool,
        records: bool,
    ) -> PyResult<bool> {
        let object = self.0.clone_ref(py);
        let act = move || {
            let asked =
                Asked { greatest, dkey: dkey.as_deref(), akey: akey.as_deref(), akey_extreme, records };
            object.get().extreme(&asked)
        };
        queue.submit(py, future, 0, act)
    }
}

impl Reply for Answers {
    fn bytes(&self) -> usize {
        Self::bytes(self)
    }

    fn into_object(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(self.into_pyobject(py)?.into_any().unbind())
    }
}

impl Reply for Option<Extreme> {
    fn into_object(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(self.into_pyobject(py)?.into_any().unbind())
    }
}
