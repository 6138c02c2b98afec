//! Memory that Python lends for one call, or until an operation of a queue ends: what is large is read and written in place.
//!
//! The GIL is released meanwhile. The SDK tells its callers to leave such memory alone until the call returns; one who changes
//! it in another thread all the same gets bytes that nobody promised, or stores some that do not have their checksum.
#![allow(unsafe_code)]

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyBufferError;
use pyo3::prelude::*;

/// Contiguous bytes.
pub(crate) struct Lent(PyBuffer<u8>);

/// Contiguous bytes to write into.
pub(crate) struct LentMut(PyBuffer<u8>);

impl Lent {
    pub(crate) fn as_slice(&self) -> &[u8] {
        if self.0.len_bytes() == 0 {
            return &[];
        }
        // SAFETY: the buffer is contiguous, as was checked, and stays where it is until it is released, when `self` goes.
        unsafe { std::slice::from_raw_parts(self.0.buf_ptr().cast(), self.0.len_bytes()) }
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.as_slice()
    }
}

impl LentMut {
    pub(crate) fn len(&self) -> usize {
        self.0.len_bytes()
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        if self.0.len_bytes() == 0 {
            return &mut [];
        }
        // SAFETY: as above, and it may be written, as was checked. The SDK gives every buffer of a call once.
        unsafe { std::slice::from_raw_parts_mut(self.0.buf_ptr().cast(), self.0.len_bytes()) }
    }
}

fn get(object: Borrowed<'_, '_, PyAny>) -> PyResult<PyBuffer<u8>> {
    let buffer = PyBuffer::<u8>::get(&object)?;
    if buffer.is_c_contiguous() { Ok(buffer) } else { Err(PyBufferError::new_err("the buffer has gaps")) }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Lent {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        get(object).map(Self)
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for LentMut {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let buffer = get(object)?;
        if buffer.readonly() {
            Err(PyBufferError::new_err("the buffer cannot be written"))
        } else {
            Ok(Self(buffer))
        }
    }
}
