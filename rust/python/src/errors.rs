//! Errors of the core as exceptions of `daos.errors`.

use daos_client::Error;
use daos_types::Der;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::ffi::OsStr;

/// The exception of an error; where that fails, the failure.
pub(crate) fn raised(py: Python<'_>, error: &Error) -> PyErr {
    let make = || -> PyResult<PyErr> {
        let errors = py.import("daos.errors")?;
        let context = PyDict::new(py);
        if let Some(pid) = error.holder_pid {
            context.set_item("pid", pid)?;
        }
        let exception = if error.forked {
            let keywords = PyDict::new(py);
            keywords.set_item("hint", error.hint.as_deref())?;
            keywords.set_item("context", context)?;
            errors.getattr("ForkedError")?.call((&error.message,), Some(&keywords))?
        } else {
            errors.getattr("error_from_der")?.call1((
                error.der.number(),
                &error.message,
                error.hint.as_deref(),
                context,
            ))?
        };
        Ok(PyErr::from_value(exception))
    };
    make().unwrap_or_else(|failure| failure)
}

/// The exception of an error of a file system, about one path or two.
pub(crate) fn file_raised(py: Python<'_>, error: &daos_dfs::Error, paths: &[&OsStr]) -> PyErr {
    let make = || -> PyResult<PyErr> {
        let (path, other) = (paths.first(), paths.get(1));
        let exception = py.import("daos.dfs.errors")?.getattr("error_from_core")?.call1((
            error.errno.number(),
            error.der.map(Der::number),
            &error.message,
            error.hint.as_deref(),
            error.forked,
            path,
            other,
        ))?;
        Ok(PyErr::from_value(exception))
    };
    make().unwrap_or_else(|failure| failure)
}

/// Results of the core as Python has them.
pub(crate) trait OrRaise<T> {
    /// The value, or the exception.
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> OrRaise<T> for daos_client::Result<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| raised(py, &error))
    }
}
