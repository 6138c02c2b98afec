//! `EventQueue`: operations whose results an event loop collects.

use crate::errors::raised;
use daos_client::{Error, Result};
use daos_embed::{EventQueueOptions, Operation, Order, Submitted};
use daos_types::Der;
use pyo3::prelude::*;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// An operation with the future that waits for it. The workers carry the future; they never touch it.
pub(crate) struct Event {
    future: Py<PyAny>,
    bytes: usize,
    order: Order,
    work: Box<dyn Work>,
}

/// What an operation does, and what Python is told of it.
trait Work: Send {
    fn run(&mut self);
    fn fail(&mut self, error: Error);
    fn result_bytes(&self) -> usize;
    fn reply(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>>;
}

impl Operation for Event {
    fn run(&mut self) {
        self.work.run();
    }

    fn fail(&mut self, error: Error) {
        self.work.fail(error);
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn result_bytes(&self) -> usize {
        self.work.result_bytes()
    }

    fn order(&self) -> Order {
        self.order
    }
}

/// An operation of the core. `act` keeps its buffers until this is dropped, which happens under the GIL.
struct Call<T, A> {
    act: A,
    told: Option<Result<T>>,
}

/// A result as Python has it.
pub(crate) trait Reply: Send + 'static {
    /// Bytes of values in it.
    fn bytes(&self) -> usize {
        0
    }

    fn into_object(self, py: Python<'_>) -> PyResult<Py<PyAny>>;
}

impl Reply for () {
    fn into_object(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(py.None())
    }
}

impl<T: Reply, A: FnMut() -> Result<T> + Send> Work for Call<T, A> {
    fn run(&mut self) {
        self.told = Some((self.act)());
    }

    fn fail(&mut self, error: Error) {
        self.told = Some(Err(error));
    }

    fn result_bytes(&self) -> usize {
        self.told.as_ref().and_then(|told| told.as_ref().ok()).map_or(0, Reply::bytes)
    }

    fn reply(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let never = || Err(Error::new(Der::Canceled, "the operation was not carried out"));
        match self.told.take().unwrap_or_else(never) {
            Ok(value) => value.into_object(py),
            Err(error) => Err(raised(py, &error)),
        }
    }
}

/// A Python function: for calls that are rare and have no operation of their own.
struct PyCall {
    function: Py<PyAny>,
    told: Option<PyResult<Py<PyAny>>>,
    failed: Option<Error>,
}

impl Work for PyCall {
    fn run(&mut self) {
        // An interpreter that ends takes no more calls, and nobody waits for this one.
        self.told = Python::try_attach(|py| self.function.call0(py));
    }

    fn fail(&mut self, error: Error) {
        self.failed = Some(error);
    }

    fn result_bytes(&self) -> usize {
        0
    }

    fn reply(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if let Some(error) = self.failed.take() {
            return Err(raised(py, &error));
        }
        let never = || Err(raised(py, &Error::new(Der::Canceled, "the call was not carried out")));
        self.told.take().unwrap_or_else(never)
    }
}

/// The future of an operation, whether it went well, and its result or exception.
type Told = (Py<PyAny>, bool, Py<PyAny>);

/// Operations under way, and a descriptor that is readable when some are done.
#[pyclass(frozen, module = "daos._core")]
pub(crate) struct EventQueue(daos_embed::EventQueue<Event>);

impl EventQueue {
    /// Gives an operation to the workers; false where there is no room.
    pub(crate) fn submit<T: Reply>(
        &self,
        py: Python<'_>,
        future: Py<PyAny>,
        bytes: usize,
        act: impl FnMut() -> Result<T> + Send + 'static,
    ) -> PyResult<bool> {
        let work = Box::new(Call { act, told: None });
        self.take(py, Event { future, bytes, order: Order::Any, work })
    }

    fn take(&self, py: Python<'_>, event: Event) -> PyResult<bool> {
        match self.0.submit(event) {
            Ok(Submitted::Taken) => Ok(true),
            Ok(Submitted::Full(_)) => Ok(false),
            Err(error) => Err(raised(py, &error)),
        }
    }
}

#[pymethods]
impl EventQueue {
    /// A queue within bounds; its threads start with the first operation.
    #[new]
    #[pyo3(signature = (*, operations_max, bytes_max, workers))]
    fn new(py: Python<'_>, operations_max: usize, bytes_max: usize, workers: usize) -> PyResult<Self> {
        let options = EventQueueOptions { operations_max, bytes_max, workers };
        Ok(Self(daos_embed::EventQueue::new(options).map_err(|error| raised(py, &error))?))
    }

    /// The descriptor to wait for.
    fn fileno(&self) -> i32 {
        self.0.fd().as_raw_fd()
    }

    /// Operations submitted and not yet drained.
    #[getter]
    fn in_flight(&self, py: Python<'_>) -> PyResult<usize> {
        self.0.in_flight().map_err(|error| raised(py, &error))
    }

    /// Has a worker call a function; `last`: when all that was submitted before is done. False where there is no room.
    #[pyo3(signature = (future, function, last = false))]
    fn call(&self, py: Python<'_>, future: Py<PyAny>, function: Py<PyAny>, last: bool) -> PyResult<bool> {
        let order = if last { Order::Last } else { Order::Alone };
        let work = Box::new(PyCall { function, told: None, failed: None });
        self.take(py, Event { future, bytes: 0, order, work })
    }

    /// What is done: the future, whether it went well, and the result or the exception.
    fn drain(&self, py: Python<'_>) -> PyResult<Vec<Told>> {
        let done = self.0.drain().map_err(|error| raised(py, &error))?;
        let told = |mut event: Event| match event.work.reply(py) {
            Ok(value) => (event.future, true, value),
            Err(error) => (event.future, false, error.into_value(py).into_any()),
        };
        Ok(done.into_iter().map(told).collect())
    }

    /// Takes no more operations and waits for those submitted; `abandon`: only for those begun. False after the time-out.
    #[pyo3(signature = (*, timeout_s, abandon = false))]
    fn close(&self, py: Python<'_>, timeout_s: f64, abandon: bool) -> bool {
        if abandon {
            // Dropped here, under the GIL.
            drop(self.0.abandon());
        }
        let timeout = Duration::try_from_secs_f64(timeout_s).unwrap_or(Duration::MAX);
        py.detach(|| self.0.close(timeout))
    }
}
