//! `DfsFile`: a file that is open.

use crate::dfs::{check_process, told};
use crate::errors::file_raised;
use crate::lent::{Lent, LentMut};
use daos_dfs::{Allocate, Errno, Error, File, Result};
use pyo3::exceptions::PyMemoryError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::ffi::OsString;

/// A file that is open.
#[pyclass(frozen, module = "daos._core")]
pub(crate) struct DfsFile {
    /// Always there, but when it goes.
    file: Option<File>,
    path: OsString,
    pid: u32,
}

impl Drop for DfsFile {
    fn drop(&mut self) {
        if std::process::id() != self.pid {
            // It is its parent's, who has it open: closing it here would free what it has there without a name.
            std::mem::forget(self.file.take());
        }
    }
}

impl DfsFile {
    pub(crate) const fn new(file: File, path: OsString, pid: u32) -> Self {
        Self { file: Some(file), path, pid }
    }

    fn call<T: Send>(&self, py: Python<'_>, run: impl FnOnce(&File) -> Result<T> + Send) -> PyResult<T> {
        py.detach(|| {
            check_process(self.pid)?;
            run(self.file.as_ref().ok_or_else(|| Error::new(Errno::EBADF, "the file is closed"))?)
        })
        .map_err(|error| file_raised(py, &error, &[&self.path]))
    }

    /// Bytes from a place on, at most so many.
    pub(crate) fn bytes<'py>(&self, py: Python<'py>, at: u64, count: usize) -> PyResult<Bound<'py, PyBytes>> {
        if isize::try_from(count).is_err() {
            return Err(PyMemoryError::new_err(()));
        }
        let mut read = 0;
        let bytes = PyBytes::new_with(py, count, |room| {
            read = self.call(py, |file| file.read(at, room))?;
            Ok(())
        })?;
        if read == count {
            Ok(bytes)
        } else {
            Ok(PyBytes::new(py, bytes.as_bytes().get(..read).unwrap_or_default()))
        }
    }
}

// Arguments that Python hands over are owned by the call.
#[allow(clippy::needless_pass_by_value)]
#[pymethods]
impl DfsFile {
    /// Its object id.
    #[getter]
    fn oid(&self) -> (u64, u64) {
        self.file.as_ref().map_or((0, 0), |file| (file.oid().hi, file.oid().lo))
    }

    /// The process that opened it.
    #[getter]
    const fn pid(&self) -> u32 {
        self.pid
    }

    /// Bytes of a chunk.
    #[getter]
    fn chunk_size(&self) -> u64 {
        self.file.as_ref().map_or(0, File::chunk_size)
    }

    /// What is known of it.
    fn stat(&self, py: Python<'_>) -> PyResult<crate::dfs::Told> {
        self.call(py, File::stat).map(told)
    }

    /// How long it is.
    fn size(&self, py: Python<'_>) -> PyResult<u64> {
        self.call(py, File::size)
    }

    /// Reads from a place on until `data` is full or the file ends; how many bytes.
    fn read_into(&self, py: Python<'_>, at: u64, mut data: LentMut) -> PyResult<usize> {
        let data = data.as_mut_slice();
        self.call(py, |file| file.read(at, data))
    }

    /// At most so many bytes from a place on, less at the end.
    fn read<'py>(&self, py: Python<'py>, at: u64, count: usize) -> PyResult<Bound<'py, PyBytes>> {
        self.bytes(py, at, count)
    }

    /// Writes at a place, or at the end of a file that is open to append; how many bytes.
    fn write(&self, py: Python<'_>, at: u64, data: Lent) -> PyResult<usize> {
        let data = data.as_slice();
        self.call(py, |file| file.write(at, data))
    }

    /// Writes at the end; where that was, and how many bytes.
    fn append(&self, py: Python<'_>, data: Lent) -> PyResult<(u64, usize)> {
        let data = data.as_slice();
        self.call(py, |file| file.append(data))
    }

    /// Makes it so long.
    fn truncate(&self, py: Python<'_>, size: u64) -> PyResult<()> {
        self.call(py, |file| file.truncate(size))
    }

    /// 0 makes it at least so long, 1 does nothing, 2 makes a hole, 3 zeros, 4 zeros without a new length.
    fn allocate(&self, py: Python<'_>, how: u8, at: u64, length: u64) -> PyResult<()> {
        let how = match how {
            0 => Allocate::Grow,
            1 => Allocate::Keep,
            2 => Allocate::Hole,
            3 => Allocate::Zero,
            _ => Allocate::ZeroKeep,
        };
        self.call(py, |file| file.allocate(how, at, length))
    }

    /// The first data from a place on.
    fn seek_data(&self, py: Python<'_>, at: u64) -> PyResult<u64> {
        self.call(py, |file| file.seek_data(at))
    }

    /// The first hole from a place on.
    fn seek_hole(&self, py: Python<'_>, at: u64) -> PyResult<u64> {
        self.call(py, |file| file.seek_hole(at))
    }

    /// Stores when it was written to.
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        self.call(py, File::flush)
    }

    /// Makes it durable.
    fn sync(&self, py: Python<'_>) -> PyResult<()> {
        self.call(py, File::sync)
    }

    /// Closes it.
    pub(crate) fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.call(py, File::close)
    }
}
