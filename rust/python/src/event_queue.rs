//! `EventQueue`: operations whose results an event loop collects.

use crate::errors::raised;
use daos_client::{Error, Kv, Result, Route};
use daos_embed::{EventQueueOptions, Operation, Order, Submitted};
use daos_types::{Cond, Der};
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

/// An operation of a key-value object that may be done together with its neighbours of the same kind.
#[derive(Clone, Copy)]
pub(crate) enum Joint<'a> {
    /// Its key and value.
    Put {
        kv: &'a Kv<dyn Route>,
        key: &'a [u8],
        value: &'a [u8],
        cond: Cond,
    },
    Get {
        kv: &'a Kv<dyn Route>,
        key: &'a [u8],
    },
}

impl Joint<'_> {
    fn joins(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Put { kv, cond, .. }, Self::Put { kv: with, cond: too, .. }) => {
                std::ptr::addr_eq(*kv, *with) && cond == too
            }
            (Self::Get { kv, .. }, Self::Get { kv: with, .. }) => std::ptr::addr_eq(*kv, *with),
            _ => false,
        }
    }

    fn kv(&self) -> &Kv<dyn Route> {
        match self {
            Self::Put { kv, .. } | Self::Get { kv, .. } => kv,
        }
    }

    /// Does several that join each other; what each came to, `None` where they are to be done one by one.
    fn run(some: &[Self]) -> Option<Vec<Result<Found>>> {
        match some.first()? {
            Self::Put { kv, cond, .. } => {
                let item = |one: &Self| match one {
                    Joint::Put { key, value, .. } => Some((*key, *value)),
                    Joint::Get { .. } => None,
                };
                let items: Option<Vec<(&[u8], &[u8])>> = some.iter().map(item).collect();
                Some(kv.put_each(&items?, *cond).into_iter().map(|done| done.map(|()| None)).collect())
            }
            Self::Get { kv, .. } => {
                let key = |one: &Self| match one {
                    Joint::Get { key, .. } => Some(*key),
                    Joint::Put { .. } => None,
                };
                let keys: Option<Vec<&[u8]>> = some.iter().map(key).collect();
                // What fails may be one of them alone.
                let values = kv.get_all(&keys?).ok()?;
                Some(values.iter().map(|value| Ok(value.map(<[u8]>::to_vec))).collect())
            }
        }
    }
}

/// A value that is there; nothing for a put.
pub(crate) type Found = Option<Vec<u8>>;

/// What an operation does, and what Python is told of it.
trait Work: Send {
    /// How it may be done together with others.
    fn joint(&self) -> Option<Joint<'_>> {
        None
    }

    /// Takes what it came to when it was.
    fn take(&mut self, _: Result<Found>) {}

    fn run(&mut self);
    fn fail(&mut self, error: Error);
    fn result_bytes(&self) -> usize;
    fn reply(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>>;
}

impl Operation for Event {
    fn run(&mut self) {
        self.work.run();
    }

    fn together(some: &[Self]) -> usize {
        let Some((first, others)) = some.split_first() else { return 0 };
        let Some(joint) = first.work.joint() else { return 1 };
        let joins = |other: &&Self| other.work.joint().is_some_and(|other| joint.joins(&other));
        let count = 1 + others.iter().take_while(joins).count();
        if count > 1 && joint.kv().is_far() { count } else { 1 }
    }

    fn run_all(some: &mut [Self]) {
        let joint: Option<Vec<Joint<'_>>> = some.iter().map(|one| one.work.joint()).collect();
        let results = joint.filter(|joint| joint.len() > 1).and_then(|joint| Joint::run(&joint));
        match results {
            Some(results) => some.iter_mut().zip(results).for_each(|(one, result)| one.work.take(result)),
            None => some.iter_mut().for_each(Self::run),
        }
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
        told(py, self.told.take())
    }
}

/// A result as Python is told it.
fn told<T: Reply>(py: Python<'_>, told: Option<Result<T>>) -> PyResult<Py<PyAny>> {
    let never = || Err(Error::new(Der::Canceled, "the operation was not carried out"));
    match told.unwrap_or_else(never) {
        Ok(value) => value.into_object(py),
        Err(error) => Err(raised(py, &error)),
    }
}

/// A put or a get of a key-value object, which neighbours may join.
struct KvCall<A> {
    act: A,
    told: Option<Result<Found>>,
}

/// What may be joined, and can be done alone.
pub(crate) trait Act: Send + 'static {
    fn joint(&self) -> Joint<'_>;
    fn run(&self) -> Result<Found>;
}

impl<A: Act> Work for KvCall<A> {
    fn joint(&self) -> Option<Joint<'_>> {
        Some(self.act.joint())
    }

    fn take(&mut self, result: Result<Found>) {
        self.told = Some(result);
    }

    fn run(&mut self) {
        self.told = Some(self.act.run());
    }

    fn fail(&mut self, error: Error) {
        self.told = Some(Err(error));
    }

    fn result_bytes(&self) -> usize {
        self.told.as_ref().and_then(|told| told.as_ref().ok()).map_or(0, Reply::bytes)
    }

    fn reply(&mut self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        told(py, self.told.take())
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

    /// As [`EventQueue::submit`], of what neighbours may join.
    pub(crate) fn submit_joint(
        &self,
        py: Python<'_>,
        future: Py<PyAny>,
        bytes: usize,
        act: impl Act,
    ) -> PyResult<bool> {
        let work = Box::new(KvCall { act, told: None });
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
