//! Bytes that Python hands over.

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// A value: `bytes` as they are; any other buffer copied, because others may write into it while the GIL is released.
pub(crate) enum Value<'py> {
    Bytes(Bound<'py, PyBytes>),
    Copied(Vec<u8>),
}

impl Value<'_> {
    pub(crate) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes.as_bytes(),
            Self::Copied(bytes) => bytes,
        }
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Value<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(bytes) = object.cast::<PyBytes>() {
            return Ok(Self::Bytes(bytes.to_owned()));
        }
        let wrong =
            |_| PyTypeError::new_err(format!("a bytes-like object is required, not {}", object.get_type()));
        // Whatever its elements are, what is stored are its bytes.
        let view = object.py().import("builtins")?.getattr("memoryview")?.call1((object,)).map_err(wrong)?;
        let view = if view.getattr("format")?.extract::<String>()? == "B"
            && view.getattr("ndim")?.extract::<u32>()? == 1
        {
            view
        } else {
            view.call_method1("cast", ("B",))?
        };
        Ok(Self::Copied(PyBuffer::<u8>::get(&view)?.to_vec(object.py())?))
    }
}
