//! `AsyncKV`: a key-value object whose operations go through an event queue.
//!
//! Each method takes the queue, the future that waits, and what the method of `KV` takes, values as `bytes`, which it
//! holds; it returns at once, false where the queue has no room.

use crate::event_queue::{Act, EventQueue, Found, Joint, Reply};
use crate::kv::{KV, list_of};
use daos_client::{KeyPage, PairPage, Result, Values};
use daos_types::Cond;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList};

/// A key-value object.
#[pyclass(frozen, module = "daos._core")]
pub(crate) struct AsyncKV(Py<KV>);

struct Put {
    kv: Py<KV>,
    key: PyBackedBytes,
    value: PyBackedBytes,
    cond: Cond,
}

impl Act for Put {
    fn joint(&self) -> Joint<'_> {
        Joint::Put { kv: &self.kv.get().0, key: &self.key, value: &self.value, cond: self.cond }
    }

    fn run(&self) -> Result<Found> {
        self.kv.get().0.put(&self.key, &self.value, self.cond).map(|()| None)
    }
}

struct Get {
    kv: Py<KV>,
    key: PyBackedBytes,
}

impl Act for Get {
    fn joint(&self) -> Joint<'_> {
        Joint::Get { kv: &self.kv.get().0, key: &self.key }
    }

    fn run(&self) -> Result<Found> {
        found(self.kv.get(), &self.key)
    }
}

#[pymethods]
impl AsyncKV {
    /// The same object as that of `kv`.
    #[new]
    fn new(kv: Py<KV>) -> Self {
        Self(kv)
    }

    /// Stores a value.
    #[pyo3(signature = (queue, future, key, value, flags = 0))]
    fn put(
        &self,
        py: Python<'_>,
        queue: &EventQueue,
        future: Py<PyAny>,
        key: PyBackedBytes,
        value: PyBackedBytes,
        flags: u64,
    ) -> PyResult<bool> {
        let kv = self.0.clone_ref(py);
        let bytes = key.len() + value.len();
        queue.submit_joint(py, future, bytes, Put { kv, key, value, cond: Cond(flags) })
    }

    /// A value; None for a key that is absent.
    fn get(
        &self,
        py: Python<'_>,
        queue: &EventQueue,
        future: Py<PyAny>,
        key: PyBackedBytes,
    ) -> PyResult<bool> {
        let kv = self.0.clone_ref(py);
        queue.submit_joint(py, future, key.len(), Get { kv, key })
    }

    /// Stores several values, made durable together; not atomic.
    fn put_many(
        &self,
        py: Python<'_>,
        queue: &EventQueue,
        future: Py<PyAny>,
        items: Vec<(PyBackedBytes, PyBackedBytes)>,
    ) -> PyResult<bool> {
        let kv = self.0.clone_ref(py);
        let bytes = items.iter().map(|(key, value)| key.len() + value.len()).sum();
        let act = move || {
            let pairs: Vec<(&[u8], &[u8])> =
                items.iter().map(|(key, value)| (&key[..], &value[..])).collect();
            kv.get().0.put_all(&pairs, Cond::NONE)
        };
        queue.submit(py, future, bytes, act)
    }

    /// The values of several keys, in their order.
    fn get_many(
        &self,
        py: Python<'_>,
        queue: &EventQueue,
        future: Py<PyAny>,
        keys: Vec<PyBackedBytes>,
    ) -> PyResult<bool> {
        let kv = self.0.clone_ref(py);
        let bytes = keys.iter().map(|key| key.len()).sum();
        let act = move || {
            let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
            kv.get().0.get_all(&keys)
        };
        queue.submit(py, future, bytes, act)
    }

    /// Removes a key.
    #[pyo3(signature = (queue, future, key, flags = 0))]
    fn remove(
        &self,
        py: Python<'_>,
        queue: &EventQueue,
        future: Py<PyAny>,
        key: PyBackedBytes,
        flags: u64,
    ) -> PyResult<bool> {
        let kv = self.0.clone_ref(py);
        queue.submit(py, future, key.len(), move || kv.get().0.remove(&key, Cond(flags)))
    }

    /// At most `count` keys behind an anchor, and the next anchor; None at the end.
    fn list_keys(
        &self,
        py: Python<'_>,
        queue: &EventQueue,
        future: Py<PyAny>,
        anchor: Option<PyBackedBytes>,
        count: usize,
        reverse: bool,
    ) -> PyResult<bool> {
        let kv = self.0.clone_ref(py);
        queue.submit(py, future, 0, move || kv.get().0.list(anchor.as_deref(), count, reverse))
    }

    /// As `list_keys`, with the value of each key: keys, values, next anchor.
    fn list_pairs(
        &self,
        py: Python<'_>,
        queue: &EventQueue,
        future: Py<PyAny>,
        anchor: Option<PyBackedBytes>,
        count: usize,
        reverse: bool,
    ) -> PyResult<bool> {
        let kv = self.0.clone_ref(py);
        queue.submit(py, future, 0, move || kv.get().0.list_pairs(anchor.as_deref(), count, reverse))
    }
}

/// A value, copied while the store holds it still.
fn found(kv: &KV, key: &[u8]) -> Result<Option<Vec<u8>>> {
    let mut value = Vec::new();
    let there = kv.0.get(key, Cond::NONE, &mut value)?;
    Ok(there.then_some(value))
}

impl Reply for Option<Vec<u8>> {
    fn bytes(&self) -> usize {
        self.as_ref().map_or(0, Vec::len)
    }

    fn into_object(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(self.map_or_else(|| py.None(), |value| PyBytes::new(py, &value).into_any().unbind()))
    }
}

impl Reply for Values {
    fn bytes(&self) -> usize {
        self.iter().flatten().map(<[u8]>::len).sum()
    }

    fn into_object(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let values = self.iter().map(|value| value.map(|value| PyBytes::new(py, value)));
        Ok(PyList::new(py, values)?.into_any().unbind())
    }
}

impl Reply for KeyPage {
    fn bytes(&self) -> usize {
        self.keys.iter().map(Vec::len).sum()
    }

    fn into_object(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let keys = PyList::new(py, self.keys.iter().map(|key| PyBytes::new(py, key)))?;
        let anchor = self.anchor.map(|anchor| PyBytes::new(py, &anchor));
        Ok((keys, anchor).into_pyobject(py)?.into_any().unbind())
    }
}

impl Reply for PairPage {
    fn bytes(&self) -> usize {
        self.keys.bytes() + self.values.bytes()
    }

    fn into_object(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let anchor = self.anchor.map(|anchor| PyBytes::new(py, &anchor));
        let page = (list_of(py, &self.keys)?, list_of(py, &self.values)?, anchor);
        Ok(page.into_pyobject(py)?.into_any().unbind())
    }
}
