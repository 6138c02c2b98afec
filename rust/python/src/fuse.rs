//! `Fuse`: a file system of a container, mounted.

use crate::container::Container;
use crate::errors::OrRaise;
use daos_client::SystemSpace;
use daos_dfs::{Dfs, Errno, MountOptions};
use daos_fuse::{Caching, Files, Links, Mount, Names, Options, Report};
use pyo3::exceptions::{PyOSError, PyValueError};
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
    let raised = PyOSError::new_err((errno, message.to_owned()));
    if let Some(hint) = hint {
        // Without the note it is still the error.
        let _ = raised.value(py).call_method1("add_note", (hint,));
    }
    raised
}

/// What a name of a mount leads to; can be used once.
#[pyclass(frozen, module = "daos._core")]
pub(crate) struct Branch(Mutex<Option<daos_fuse::Branch>>);

impl Branch {
    fn of(branch: daos_fuse::Branch) -> Self {
        Self(Mutex::new(Some(branch)))
    }

    fn take(&self) -> PyResult<daos_fuse::Branch> {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        taken.ok_or_else(|| PyValueError::new_err("it leads somewhere already"))
    }
}

#[pymethods]
impl Branch {
    /// The file system of a container.
    #[staticmethod]
    #[pyo3(signature = (container, *, read_only, caching, write_back, identity, space))]
    fn files(
        py: Python<'_>,
        container: &Container,
        read_only: bool,
        caching: Option<Vec<Option<Vec<u8>>>>,
        write_back: bool,
        identity: Option<String>,
        space: Py<PyAny>,
    ) -> PyResult<Self> {
        let mut caching = match caching {
            None => Caching::NONE,
            Some(values) => Caching::of(&values).map_err(PyValueError::new_err)?,
        };
        caching.write_back &= write_back;
        let options = MountOptions { read_only, space: Some(told_by(space)), ..MountOptions::default() };
        let store = Arc::clone(&container.0);
        let mounted = py.detach(move || Dfs::mount(store, options));
        let dfs = mounted.map_err(|error| file_raised(py, &error))?;
        Ok(Self::of(daos_fuse::Branch::Files(Files { dfs, caching, identity })))
    }

    /// Names that nobody stores: an object with `names()`, a list of them, and `open(name)`, a branch or None.
    #[staticmethod]
    fn names(names: Py<PyAny>) -> Self {
        Self::of(daos_fuse::Branch::Names(Arc::new(Told(names))))
    }
}

/// Names that Python knows.
#[derive(Debug)]
struct Told(Py<PyAny>);

impl Names for Told {
    fn open(&self, name: &[u8]) -> daos_dfs::Result<Option<daos_fuse::Branch>> {
        // Labels are letters: no other name is one.
        let Ok(name) = std::str::from_utf8(name) else { return Ok(None) };
        Python::attach(|py| branch_of(py, self.0.call_method1(py, "open", (name,))))
    }

    fn list(&self) -> daos_dfs::Result<Vec<Vec<u8>>> {
        Python::attach(|py| {
            let listed = self.0.call_method0(py, "names").and_then(|names| names.extract::<Vec<String>>(py));
            let listed = listed.map_err(|error| refused(py, &error))?;
            Ok(listed.into_iter().map(String::into_bytes).collect())
        })
    }
}

/// Where directories lead, as Python knows it.
#[derive(Debug)]
struct Led(Py<PyAny>);

impl Links for Led {
    fn follow(&self, to: &[u8]) -> daos_dfs::Result<Option<daos_fuse::Branch>> {
        Python::attach(|py| branch_of(py, self.0.call1(py, (to,))))
    }
}

fn branch_of(py: Python<'_>, told: PyResult<Py<PyAny>>) -> daos_dfs::Result<Option<daos_fuse::Branch>> {
    let branch = told.and_then(|branch| {
        let branch: Option<PyRef<'_, Branch>> = branch.extract(py)?;
        branch.map(|branch| branch.take()).transpose()
    });
    branch.map_err(|error| refused(py, &error))
}

/// What Python said of why it cannot be.
fn refused(py: Python<'_>, error: &PyErr) -> daos_dfs::Error {
    let number = error.value(py).getattr("errno").and_then(|number| number.extract::<i32>());
    let errno =
        number.ok().and_then(|number| Errno::ALL.iter().copied().find(|errno| errno.number() == number));
    daos_dfs::Error::new(errno.unwrap_or(Errno::EIO), error.value(py).to_string())
}

/// A mount. It stays when this goes.
#[pyclass(frozen, module = "daos._core")]
pub(crate) struct Fuse(Mount);

#[pymethods]
impl Fuse {
    /// Mounts what it is; it works at return.
    #[staticmethod]
    #[pyo3(signature = (root, at, *, read_only, multi_user, threads, links, report))]
    #[expect(clippy::too_many_arguments, reason = "keywords of a call from Python")]
    fn mount(
        py: Python<'_>,
        root: &Branch,
        at: PathBuf,
        read_only: bool,
        multi_user: bool,
        threads: usize,
        links: Option<Py<PyAny>>,
        report: Py<PyAny>,
    ) -> PyResult<Self> {
        let report: Report = Arc::new(move |line: &str| {
            // Who is told cannot be told that it failed.
            let _ = Python::attach(|py| report.call1(py, (line,)));
        });
        let links = links.map(|links| Arc::new(Led(links)) as Arc<dyn Links>);
        let root = root.take()?;
        let options = Options { multi_user, threads, links, report: Some(report), ..Options::default() };
        let mounted = py.detach(move || Mount::start_at(root, read_only, &at, options));
        mounted.map(Self).map_err(|error| mount_raised(py, &error))
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
