//! `KV`: a flat key-value object.

use crate::buffer::Value;
use crate::errors::OrRaise;
use daos_client::{KeyPage, Kv, Result, Route};
use daos_types::{Cond, Packed};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use std::cell::RefCell;

/// A key-value object.
#[pyclass(frozen, module = "daos._core")]
pub(crate) struct KV(pub(crate) Kv<dyn Route>);

/// Keys, and the next anchor.
pub(crate) type ListedPage<'py> = (Bound<'py, PyList>, Option<Bound<'py, PyBytes>>);

/// A page of keys as Python has it.
#[allow(clippy::needless_pass_by_value)]
pub(crate) fn listed(py: Python<'_>, page: KeyPage) -> PyResult<ListedPage<'_>> {
    let keys = PyList::new(py, page.keys.iter().map(|key| PyBytes::new(py, key)))?;
    Ok((keys, page.anchor.map(|anchor| PyBytes::new(py, &anchor))))
}

/// Bytes of a thread's buffer that are kept between calls.
const KEPT_MAX: usize = 64 << 10;

thread_local! {
    /// Where a value waits while the GIL is taken back.
    static FOUND: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

// Arguments that Python hands over are owned by the call.
#[allow(clippy::needless_pass_by_value)]
#[pymethods]
impl KV {
    /// Stores a value.
    #[pyo3(signature = (key, value, flags = 0))]
    fn put(&self, py: Python<'_>, key: &[u8], value: Value<'_>, flags: u64) -> PyResult<()> {
        let value = value.as_slice();
        py.detach(|| self.0.put(key, value, Cond(flags))).or_raise(py)
    }

    /// A value; None for a key that is absent.
    #[pyo3(signature = (key, flags = 0))]
    fn get<'py>(&self, py: Python<'py>, key: &[u8], flags: u64) -> PyResult<Option<Bound<'py, PyBytes>>> {
        // Taken out while it is used: making an error runs Python, and that may come back here.
        let mut found = FOUND.take();
        let there = py.detach(|| self.look_up(key, flags, &mut found)).or_raise(py)?;
        let value = there.then(|| PyBytes::new(py, &found));
        found.clear();
        found.shrink_to(KEPT_MAX);
        FOUND.set(found);
        Ok(value)
    }

    /// Stores several values, made durable together; not atomic.
    #[pyo3(signature = (items, flags = 0))]
    fn put_many(
        &self,
        py: Python<'_>,
        items: Vec<(Bound<'_, PyBytes>, Value<'_>)>,
        flags: u64,
    ) -> PyResult<()> {
        let items: Vec<(&[u8], &[u8])> =
            items.iter().map(|(key, value)| (key.as_bytes(), value.as_slice())).collect();
        py.detach(|| self.0.put_all(&items, Cond(flags))).or_raise(py)
    }

    /// The values of several keys, in their order.
    fn get_many<'py>(&self, py: Python<'py>, keys: Vec<Bound<'py, PyBytes>>) -> PyResult<Bound<'py, PyList>> {
        let slices: Vec<&[u8]> = keys.iter().map(PyBytesMethods::as_bytes).collect();
        let values = py.detach(|| self.0.get_all(&slices)).or_raise(py)?;
        PyList::new(py, values.iter().map(|value| value.map(|value| PyBytes::new(py, value))))
    }

    /// Removes a key.
    #[pyo3(signature = (key, flags = 0))]
    fn remove(&self, py: Python<'_>, key: &[u8], flags: u64) -> PyResult<()> {
        py.detach(|| self.0.remove(key, Cond(flags))).or_raise(py)
    }

    /// At most `count` keys behind an anchor, and the next anchor; None at the end.
    fn list_keys<'py>(
        &self,
        py: Python<'py>,
        anchor: Option<&[u8]>,
        count: usize,
        reverse: bool,
    ) -> PyResult<ListedPage<'py>> {
        listed(py, py.detach(|| self.0.list(anchor, count, reverse)).or_raise(py)?)
    }

    /// As `list_keys`, with the value of each key: keys, values, next anchor.
    #[allow(clippy::type_complexity)] // the shape of the answer
    fn list_pairs<'py>(
        &self,
        py: Python<'py>,
        anchor: Option<&[u8]>,
        count: usize,
        reverse: bool,
    ) -> PyResult<(Bound<'py, PyList>, Bound<'py, PyList>, Option<Bound<'py, PyBytes>>)> {
        let page = py.detach(|| self.0.list_pairs(anchor, count, reverse)).or_raise(py)?;
        let anchor = page.anchor.map(|anchor| PyBytes::new(py, &anchor));
        Ok((list_of(py, &page.keys)?, list_of(py, &page.values)?, anchor))
    }

    /// Removes everything.
    fn destroy(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.0.destroy()).or_raise(py)
    }
}

/// Byte strings as a list.
pub(crate) fn list_of<'py>(py: Python<'py>, items: &Packed) -> PyResult<Bound<'py, PyList>> {
    PyList::new(py, items.iter().map(|item| PyBytes::new(py, item)))
}

impl KV {
    fn look_up(&self, key: &[u8], flags: u64, found: &mut Vec<u8>) -> Result<bool> {
        found.clear();
        self.0.get(key, Cond(flags), found)
    }
}
