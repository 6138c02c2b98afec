//! `Rdb`: a replica of a service's group.

use crate::engine::Engine;
use crate::errors::raised;
use crate::tls::{Paths, of_server};
use daos_client::Error;
use daos_consensus::{
    Answer, Change, ConsensusError, GroupId, Listen, Members, Output, Place, ReplicaId, Saved, Told,
    replica_id,
};
use daos_types::{Der, Rank};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyDict};
use std::collections::BTreeSet;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// An open replica.
#[pyclass(frozen, module = "daos._core")]
pub(crate) struct Rdb(daos_consensus::Rdb);

fn exception(py: Python<'_>, error: &ConsensusError) -> PyErr {
    let mut told = Error::new(error.der(), error.to_string());
    match error {
        ConsensusError::NotLeader { leader: Some(leader), .. } => {
            told = told.hint(format!("ask rank {}", leader.rank.0));
        }
        ConsensusError::NotLeader { leader: None, .. } | ConsensusError::Busy => {
            told = told.hint("try again in a moment");
        }
        ConsensusError::Uncertain(_) => {
            told = told.hint("repeat it under the same identity: it may have happened");
        }
        ConsensusError::Closed | ConsensusError::Stopped(_) => told = told.hint("open the replica again"),
        ConsensusError::Forked(pid) => (told.forked, told.holder_pid) = (true, Some(*pid)),
        _ => {}
    }
    raised(py, &told)
}

fn group(py: Python<'_>, bytes: &[u8]) -> PyResult<GroupId> {
    let wrong =
        |_| raised(py, &Error::new(Der::Inval, format!("a group has 16 bytes, this one {}", bytes.len())));
    bytes.try_into().map(GroupId).map_err(wrong)
}

fn time(py: Python<'_>, seconds: f64) -> PyResult<Duration> {
    let wrong =
        |_| raised(py, &Error::new(Der::Inval, format!("a time-out is a number of seconds, not {seconds}")));
    Duration::try_from_secs_f64(seconds).map_err(wrong)
}

fn pairs(ids: &BTreeSet<ReplicaId>) -> Vec<(u32, u32)> {
    ids.iter().map(|id| (id.rank.0, id.generation)).collect()
}

fn first(rank: u32, replicas: &[u32], state: &[u8], tick_ms: u32) -> Result<Saved, ConsensusError> {
    let me = replica_id(rank, 1)?;
    let members = replicas.iter().map(|rank| replica_id(*rank, 1)).collect::<Result<Vec<_>, _>>()?;
    Saved::first(me, Members::of(members), state.to_vec()).ticking(tick_ms)
}

/// A replica that is reached through an engine of this process has no address of its own.
fn joined(
    py: Python<'_>,
    address: String,
    system: String,
    engine: Option<&Engine>,
    tls: Option<&Paths>,
) -> PyResult<Listen> {
    let place = match engine {
        Some(engine) => Place::Shared(Arc::clone(&engine.mailboxes)),
        None => Place::Own(address),
    };
    let transport = of_server(tls).map_err(|error| raised(py, &error))?;
    Ok(Listen { transport, place, system })
}

impl Rdb {
    fn ask(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&daos_consensus::Replica) -> daos_consensus::Result<daos_consensus::Token> + Send,
    ) -> PyResult<u64> {
        let asked = py.detach(|| self.0.replica().and_then(|replica| act(&replica)));
        asked.map(|token| token.0).map_err(|error| exception(py, &error))
    }

    fn change(
        &self,
        py: Python<'_>,
        change: fn(ReplicaId) -> Change,
        id: (u32, u32),
        timeout_s: f64,
    ) -> PyResult<u64> {
        let timeout = time(py, timeout_s)?;
        let id = replica_id(id.0, id.1).map_err(|error| exception(py, &error))?;
        self.ask(py, |replica| replica.change(change(id), timeout))
    }
}

// Arguments that Python hands over are owned by the call.
#[allow(clippy::needless_pass_by_value)]
#[pymethods]
impl Rdb {
    /// Makes a replica of a new group.
    #[staticmethod]
    #[pyo3(signature = (path, *, group, rank, replicas, state, listen, system, tick_ms = 100, engine = None, tls = None))]
    #[allow(clippy::too_many_arguments, reason = "keywords, all of them needed")]
    fn create(
        py: Python<'_>,
        path: &str,
        group: &[u8],
        rank: u32,
        replicas: Vec<u32>,
        state: &[u8],
        listen: String,
        system: String,
        tick_ms: u32,
        engine: Option<&Engine>,
        tls: Option<Paths>,
    ) -> PyResult<Self> {
        let group = self::group(py, group)?;
        let first = first(rank, &replicas, state, tick_ms).map_err(|error| exception(py, &error))?;
        let listen = joined(py, listen, system, engine, tls.as_ref())?;
        let made = py.detach(|| daos_consensus::Rdb::create(Path::new(path), group, &first, &listen));
        made.map(Self).map_err(|error| exception(py, &error))
    }

    /// Makes a replica that joins a group.
    #[staticmethod]
    #[pyo3(signature = (path, *, group, rank, generation, listen, system, tick_ms = 100, engine = None, tls = None))]
    #[allow(clippy::too_many_arguments, reason = "keywords, all of them needed")]
    fn join(
        py: Python<'_>,
        path: &str,
        group: &[u8],
        rank: u32,
        generation: u32,
        listen: String,
        system: String,
        tick_ms: u32,
        engine: Option<&Engine>,
        tls: Option<Paths>,
    ) -> PyResult<Self> {
        let group = self::group(py, group)?;
        let first = replica_id(rank, generation).and_then(|me| Saved::joining(me).ticking(tick_ms));
        let first = first.map_err(|error| exception(py, &error))?;
        let listen = joined(py, listen, system, engine, tls.as_ref())?;
        let made = py.detach(|| daos_consensus::Rdb::create(Path::new(path), group, &first, &listen));
        made.map(Self).map_err(|error| exception(py, &error))
    }

    /// Opens the replica of a directory.
    #[staticmethod]
    #[pyo3(signature = (path, *, group, listen, system, engine = None, tls = None))]
    fn open(
        py: Python<'_>,
        path: &str,
        group: &[u8],
        listen: String,
        system: String,
        engine: Option<&Engine>,
        tls: Option<Paths>,
    ) -> PyResult<Self> {
        let group = self::group(py, group)?;
        let listen = joined(py, listen, system, engine, tls.as_ref())?;
        let opened = py.detach(|| daos_consensus::Rdb::open(Path::new(path), group, &listen));
        opened.map(Self).map_err(|error| exception(py, &error))
    }

    /// Where it listens.
    #[getter]
    fn address(&self, py: Python<'_>) -> PyResult<String> {
        self.0.address().map_err(|error| exception(py, &error))
    }

    /// Where another rank is to be found.
    fn set_peer(&self, py: Python<'_>, rank: u32, address: &str) -> PyResult<()> {
        py.detach(|| self.0.set_peer(Rank(rank), address)).map_err(|error| exception(py, &error))
    }

    /// The descriptor to wait for.
    fn fileno(&self) -> i32 {
        self.0.fd().as_raw_fd()
    }

    /// What was told since the last call.
    fn drain<'py>(&self, py: Python<'py>) -> PyResult<Vec<(&'static str, Bound<'py, PyAny>)>> {
        let told = py.detach(|| {
            let replica = self.0.replica()?;
            self.0.clear();
            Ok(replica.take())
        });
        let told = told.map_err(|error: ConsensusError| exception(py, &error))?;
        told.into_iter().map(|told| python(py, told)).collect()
    }

    /// Has a command agreed on.
    #[pyo3(signature = (command, *, timeout_s))]
    fn propose(&self, py: Python<'_>, command: &[u8], timeout_s: f64) -> PyResult<u64> {
        let timeout = time(py, timeout_s)?;
        self.ask(py, |replica| replica.propose(command, timeout))
    }

    /// Has several commands agreed on, each with its time.
    fn propose_all(&self, py: Python<'_>, commands: Vec<(PyBackedBytes, f64)>) -> PyResult<Vec<u64>> {
        let commands = commands.iter().map(|(command, timeout_s)| Ok((&**command, time(py, *timeout_s)?)));
        let commands = commands.collect::<PyResult<Vec<(&[u8], Duration)>>>()?;
        let asked = py.detach(|| self.0.replica().and_then(|replica| replica.propose_all(&commands)));
        let tokens = asked.map_err(|error| exception(py, &error))?;
        Ok(tokens.into_iter().map(|token| token.0).collect())
    }

    /// Asks for a point from which on reads see all that was acknowledged.
    #[pyo3(signature = (*, timeout_s))]
    fn read_barrier(&self, py: Python<'_>, timeout_s: f64) -> PyResult<u64> {
        let timeout = time(py, timeout_s)?;
        self.ask(py, |replica| replica.read(timeout))
    }

    /// Has a replica join.
    #[pyo3(signature = (rank, generation, *, timeout_s))]
    fn add_replica(&self, py: Python<'_>, rank: u32, generation: u32, timeout_s: f64) -> PyResult<u64> {
        self.change(py, Change::Add, (rank, generation), timeout_s)
    }

    /// Has a replica leave.
    #[pyo3(signature = (rank, generation, *, timeout_s))]
    fn remove_replica(&self, py: Python<'_>, rank: u32, generation: u32, timeout_s: f64) -> PyResult<u64> {
        self.change(py, Change::Remove, (rank, generation), timeout_s)
    }

    /// Gives the state after an entry.
    fn snapshot(&self, py: Python<'_>, index: u64, state: &[u8]) -> PyResult<()> {
        let given =
            py.detach(|| self.0.replica().and_then(|replica| replica.snapshot(index, state.to_vec())));
        given.map_err(|error| exception(py, &error))
    }

    /// How it stands.
    fn status<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let replica = self.0.replica().map_err(|error| exception(py, &error))?;
        let status = replica.status();
        let facts = PyDict::new(py);
        facts.set_item("rank", status.me.rank.0)?;
        facts.set_item("generation", status.me.generation)?;
        facts.set_item("term", status.role.term)?;
        facts.set_item("leader", status.role.leader.map(|leader| leader.rank.0))?;
        facts.set_item("leads", status.role.leads)?;
        facts.set_item("applied", status.applied)?;
        facts.set_item("first", status.log.0)?;
        facts.set_item("last", status.log.1)?;
        facts.set_item("voters", pairs(&status.members.voters))?;
        facts.set_item("learners", pairs(&status.members.learners))?;
        facts.set_item("stopped", status.stopped)?;
        Ok(facts)
    }

    /// Ends it.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.0.close()).map_err(|error| exception(py, &error))
    }
}

fn python(py: Python<'_>, told: Told) -> PyResult<(&'static str, Bound<'_, PyAny>)> {
    Ok(match told {
        Told::Output(Output::Install(snapshot)) => {
            let facts = (snapshot.index, snapshot.term, PyBytes::new(py, &snapshot.data));
            ("install", facts.into_pyobject(py)?.into_any())
        }
        Told::Output(Output::Command { index, term, data }) => {
            ("command", (index, term, PyBytes::new(py, &data)).into_pyobject(py)?.into_any())
        }
        Told::Output(Output::Members { index, members }) => {
            let facts = (index, pairs(&members.voters), pairs(&members.learners));
            ("members", facts.into_pyobject(py)?.into_any())
        }
        Told::Output(Output::Role(role)) => {
            let facts = (role.term, role.leader.map(|leader| leader.rank.0), role.leads);
            ("role", facts.into_pyobject(py)?.into_any())
        }
        Told::Output(Output::SnapshotWanted { index }) => {
            ("snapshot_wanted", (index,).into_pyobject(py)?.into_any())
        }
        Told::Output(Output::Stopped(why)) => ("stopped", (why,).into_pyobject(py)?.into_any()),
        Told::Answer(token, Answer::Committed { index, term }) => {
            ("committed", (token.0, index, term).into_pyobject(py)?.into_any())
        }
        Told::Answer(token, Answer::Read { index }) => {
            ("read", (token.0, index).into_pyobject(py)?.into_any())
        }
        Told::Answer(token, Answer::Refused(error)) => {
            ("refused", (token.0, exception(py, &error).into_value(py)).into_pyobject(py)?.into_any())
        }
    })
}
