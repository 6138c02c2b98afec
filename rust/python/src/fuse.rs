//! `Fuse`: a file system of a container, mounted.

use crate::container::Container;
use crate::errors::OrRaise;
use daos_client::SystemSpace;
use daos_dfs::{Dfs, MountOptions};
use daos_fuse::{Caching, Mount, Options, Report};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So long it is not asked again how much room there is.
const SPACE_FRESH: Duration = Duration::from_secs(1);

/// The exception of what a file system refused.
fn file_raised(py: Python<'_>, error: &daos_dfs::Error) -> PyErr {
    let hint = error.hint.as_deref();
    match error.der {
        Some(der) => {
            let error = daos_client::Error::new(der, error.to_string());
            Err::<(), _>(match hint {
                Some(hint) => error.hint(hint.to_owned()),
                None => error,
            })
            .or_raise(py)
            .map_or_else(|raised| raised, |()| PyValueError::new_err("no error"))
        }
        None => os_raised(py, error.errno.number(), &error.message, hint),
    }
}

/// What the operating system refused: an `OSError` with its number, and a hint as a note of it.
fn os_raised(py: Python<'_>, errno: i32, message: &str, hint: Option<&str>) -> PyErr {
    let raised = pyo3::exceptions::PyOSError::new_err((errno, message.to_owned()));
    if let Some(hint) = hint {
        // Without the note it is still the error.
        let _ = raised.value(py).call_method1("add_note", (hint,));
    }
    raised
}

/// A mount. It stays when this goes.
#[pyclass(frozen, module = "daos._core")]
pub(crate) struct Fuse(Mount);

#[pymethods]
impl Fuse {
    /// Mounts the file system of a container; it works at return.
    #[staticmethod]
    #[expect(clippy::too_many_arguments, reason = "keywords of a call from Python")]
    #[pyo3(signature = (container, at, *, read_only, multi_user, caching, write_back, threads, identity, space, report))]
    fn mount(
        py: Python<'_>,
        container: &Container,
        at: PathBuf,
        read_only: bool,
        multi_user: bool,
        caching: Option<Vec<Option<Vec<u8>>>>,
        write_back: bool,
        threads: usize,
        identity: Option<String>,
        space: Py<PyAny>,
        report: Py<PyAny>,
    ) -> PyResult<Self> {
        let mut caching = match caching {
            None => Caching::NONE,
            Some(values) => Caching::of(&values).map_err(PyValueError::new_err)?,
        };
        caching.write_back &= write_back;
        let report: Report = Arc::new(move |line: &str| {
            // Who is told cannot be told that it failed.
            let _ = Python::attach(|py| report.call1(py, (line,)));
        });
        let options = Options { multi_user, caching, threads, identity, report: Some(report) };
        let space = Some(told_by(space));
        let store = Arc::clone(&container.0);
        let mounted = py.detach(move || {
            let options_of_dfs = MountOptions { read_only, space, ..MountOptions::default() };
            let dfs = Dfs::mount(store, options_of_dfs).map_err(Failed::Dfs)?;
            Mount::start(dfs, &at, options).map_err(Failed::Mount)
        });
        match mounted {
            Ok(mount) => Ok(Self(mount)),
            Err(Failed::Dfs(error)) => Err(file_raised(py, &error)),
            Err(Failed::Mount(error)) => Err(mount_raised(py, &error)),
        }
    }

    /// Becomes readable when the mount has ended.
    fn fileno(&self) -> i32 {
        self.0.bell()
    }

    /// Takes the mount away; whether all have left it within so many seconds.
    fn unmount(&self, py: Python<'_>, seconds: f64) -> PyResult<bool> {
        let patience = Duration::try_from_secs_f64(seconds)
            .map_err(|_| PyValueError::new_err("a time is a positive number of seconds"))?;
        py.detach(|| self.0.unmount(patience)).map_err(|error| mount_raised(py, &error))
    }

    /// Makes durable all that was acknowledged. Nothing can be done with it any more.
    fn finish(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.0.finish()).map_err(|error| file_raised(py, &error))
    }

    /// How many nodes the kernel knows, and how many files are open.
    fn usage(&self) -> (usize, usize) {
        let usage = self.0.usage();
        (usage.inodes, usage.open_files)
    }
}

/// Why there is no mount.
enum Failed {
    Dfs(daos_dfs::Error),
    Mount(daos_fuse::Error),
}

fn mount_raised(py: Python<'_>, error: &daos_fuse::Error) -> PyErr {
    os_raised(py, error.errno, &error.message, error.hint.as_deref())
}

/// Asks Python for bytes in all and free ones, not more than once a second.
fn told_by(ask: Py<PyAny>) -> daos_dfs::Space {
    let last: Mutex<Option<(Instant, u64, u64)>> = Mutex::new(None);
    Arc::new(move || {
        let known = *last.lock().unwrap_or_else(PoisonError::into_inner);
        let (total, free) = match known {
            Some((then, total, free)) if then.elapsed() < SPACE_FRESH => (total, free),
            _ => {
                let asked: PyResult<(u64, u64)> = Python::attach(|py| ask.call0(py)?.extract(py));
                let (total, free) = asked.map_err(|error| {
                    daos_client::Error::new(daos_types::Der::Misc, format!("the room is not known: {error}"))
                })?;
                *last.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), total, free));
                (total, free)
            }
        };
        Ok(SystemSpace { total, free, used: total - free.min(total), reserved: 0 })
    })
}
