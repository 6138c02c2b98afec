//! `Container`.

use crate::array::Array;
use crate::attributes::Attributes;
use crate::errors::OrRaise;
use crate::kv::KV;
use crate::object::Object;
use crate::transaction::Transaction;
use daos_client::{ContainerObjects as _, ContainerService, Error};
use daos_types::{Der, Epoch, How, KeyDifference, ObjectId, ObjectType, Tally, TargetIdx};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::sync::Arc;

/// What a part of a check counted; object id and what is wrong with it; where to go on.
type CheckedPart<'py> = ((u64, u64, u64, u64), Vec<(Option<OidHalves>, String)>, Option<Bound<'py, PyBytes>>);
/// What a part of a count came to, the first and the last epoch, where to go on.
type CountedPart<'py> =
    ((u64, u64, u64, u64, u64, u64, u64), Option<(u64, u64)>, Option<Bound<'py, PyBytes>>);
/// An object id: its high half and its low one.
type OidHalves = (u64, u64);
/// Object id, dkey, akey, how it differs, ranges of records.
type Difference<'py> = (u64, u64, Bound<'py, PyBytes>, Bound<'py, PyBytes>, u8, Vec<(u64, u64)>);

/// An open container.
#[pyclass(frozen, module = "daos._core")]
pub(crate) struct Container(pub(crate) Arc<dyn ContainerService>);

#[pymethods]
impl Container {
    /// Its UUID.
    #[getter]
    fn uuid(&self) -> String {
        self.0.uuid().to_string()
    }

    /// Its label.
    #[getter]
    fn label(&self) -> String {
        self.0.label()
    }

    /// Its properties, as they were given.
    #[getter]
    fn props(&self) -> &[u8] {
        self.0.props()
    }

    /// Gives it another label.
    fn set_label(&self, py: Python<'_>, label: &str) -> PyResult<()> {
        py.detach(|| self.0.set_label(label)).or_raise(py)
    }

    /// Its attributes.
    fn attributes(&self, py: Python<'_>) -> PyResult<Attributes> {
        Ok(Attributes(self.0.attributes().or_raise(py)?))
    }

    /// A key-value object by its id.
    fn kv(&self, py: Python<'_>, hi: u64, lo: u64) -> PyResult<KV> {
        Ok(KV(self.0.kv(ObjectId { hi, lo }).or_raise(py)?))
    }

    /// A transaction.
    fn transaction(&self, py: Python<'_>) -> PyResult<Transaction> {
        Ok(Transaction(self.0.transaction(self.0.durability()).or_raise(py)?))
    }

    /// Makes an array.
    fn array_create(
        &self,
        py: Python<'_>,
        hi: u64,
        lo: u64,
        cell_size: u64,
        chunk_size: Option<u64>,
    ) -> PyResult<Array> {
        let oid = ObjectId { hi, lo };
        py.detach(|| self.0.array_create(oid, cell_size, chunk_size)).or_raise(py).map(Array)
    }

    /// An array by its id.
    fn array_open(&self, py: Python<'_>, hi: u64, lo: u64) -> PyResult<Array> {
        py.detach(|| self.0.array_open(ObjectId { hi, lo })).or_raise(py).map(Array)
    }

    /// An object by its id.
    fn object(&self, py: Python<'_>, hi: u64, lo: u64) -> PyResult<Object> {
        Ok(Object(self.0.object(ObjectId { hi, lo }).or_raise(py)?))
    }

    /// A fresh object id of a type and a class.
    fn generate_oid(&self, py: Python<'_>, object_type: u8, oclass: &str) -> PyResult<(u64, u64)> {
        let oid = py.detach(|| {
            let unknown = || Error::new(Der::Notype, format!("there is no object type {object_type}"));
            self.0.generate_oid(ObjectType::from_number(object_type).ok_or_else(unknown)?, oclass)
        });
        oid.or_raise(py).map(|oid| (oid.hi, oid.lo))
    }

    /// The first of `count` numbers that this container has not given before.
    fn alloc_oids(&self, py: Python<'_>, count: u64) -> PyResult<u64> {
        py.detach(|| self.0.alloc_oids(count)).or_raise(py)
    }

    /// Takes a snapshot; its epoch.
    fn snapshot_create(&self, py: Python<'_>, name: Option<&str>) -> PyResult<u64> {
        Ok(py.detach(|| self.0.snapshot_create(name)).or_raise(py)?.epoch.0)
    }

    /// Epoch and name of each snapshot, oldest first.
    fn snapshots(&self, py: Python<'_>) -> PyResult<Vec<(u64, Option<String>)>> {
        let snapshots = py.detach(|| self.0.snapshots()).or_raise(py)?;
        Ok(snapshots.into_iter().map(|snapshot| (snapshot.epoch.0, snapshot.name)).collect())
    }

    /// The result of a request that only the service of its pool answers.
    #[pyo3(signature = (body, *, changes))]
    fn service_request<'py>(
        &self,
        py: Python<'py>,
        body: &[u8],
        changes: bool,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let told = py.detach(|| self.0.service_request(body, changes)).or_raise(py)?;
        Ok(PyBytes::new(py, &told))
    }

    /// What another process needs to have it open too, its handle included.
    fn local2global<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(py, &self.0.local2global().or_raise(py)?))
    }

    /// Removes versions that neither a snapshot nor the present shows; how many index entries went.
    fn aggregate(&self, py: Python<'_>) -> PyResult<u64> {
        py.detach(|| self.0.aggregate()).or_raise(py)
    }

    /// Destroys the snapshots from one epoch to another; how many they were.
    fn snapshot_destroy(&self, py: Python<'_>, first: u64, last: u64) -> PyResult<usize> {
        py.detach(|| self.0.snapshot_destroy(Epoch(first), Epoch(last))).or_raise(py)
    }

    /// One page of object ids, and where to go on.
    fn objects(
        &self,
        py: Python<'_>,
        after: Option<OidHalves>,
        count: usize,
    ) -> PyResult<(Vec<OidHalves>, Option<OidHalves>)> {
        let after = after.map(|(hi, lo)| ObjectId { hi, lo });
        let page = py.detach(|| self.0.objects(after, count)).or_raise(py)?;
        let pair = |oid: ObjectId| (oid.hi, oid.lo);
        Ok((page.oids.into_iter().map(pair).collect(), page.next.map(pair)))
    }

    /// One page of what differs from a snapshot, and the next anchor.
    fn diff<'py>(
        &self,
        py: Python<'py>,
        before: u64,
        anchor: Option<&[u8]>,
        count: usize,
    ) -> PyResult<(Vec<Difference<'py>>, Option<Bound<'py, PyBytes>>)> {
        let page = py.detach(|| self.0.diff(Epoch(before), anchor, count)).or_raise(py)?;
        let difference = |(oid, key): (ObjectId, KeyDifference)| {
            let how = match key.how {
                How::Added => 0,
                How::Removed => 1,
                How::Changed => 2,
            };
            let records = key.records.iter().map(|recx| (recx.index, recx.count)).collect();
            (oid.hi, oid.lo, PyBytes::new(py, &key.dkey), PyBytes::new(py, &key.akey), how, records)
        };
        let anchor = page.anchor.map(|anchor| PyBytes::new(py, &anchor));
        Ok((page.differences.into_iter().map(difference).collect(), anchor))
    }

    /// A part of a check: objects, entries, index pages and bytes looked at, what is damaged, and where to go on.
    fn check<'py>(
        &self,
        py: Python<'py>,
        target: u32,
        anchor: Option<&[u8]>,
        budget: usize,
    ) -> PyResult<CheckedPart<'py>> {
        let part = py.detach(|| self.0.check(TargetIdx(target), anchor, budget)).or_raise(py)?;
        let damaged =
            part.damaged.into_iter().map(|(oid, what)| (oid.map(|oid| (oid.hi, oid.lo)), what)).collect();
        let next = part.next.map(|next| PyBytes::new(py, &next));
        Ok(((part.objects, part.entries, part.pages, part.bytes), damaged, next))
    }

    /// A part of a count: objects, dkeys, values, extents, removals, bytes, bytes they take; the epochs of the oldest and the newest
    /// version; and where to go on.
    fn count<'py>(
        &self,
        py: Python<'py>,
        target: u32,
        anchor: Option<&[u8]>,
        budget: usize,
    ) -> PyResult<CountedPart<'py>> {
        let part = py.detach(|| self.0.count(TargetIdx(target), anchor, budget)).or_raise(py)?;
        let Tally { objects, dkeys, values, extents, removals, bytes, stored_bytes, epochs } = part.tally;
        let counts = (objects, dkeys, values, extents, removals, bytes, stored_bytes);
        let epochs = epochs.map(|(first, last)| (first.0, last.0));
        Ok((counts, epochs, part.next.map(|next| PyBytes::new(py, &next))))
    }

    /// Goes back to a snapshot.
    fn rollback(&self, py: Python<'_>, epoch: u64) -> PyResult<()> {
        py.detach(|| self.0.rollback(Epoch(epoch))).or_raise(py)
    }

    /// The container as of a snapshot.
    fn at(&self, py: Python<'_>, epoch: u64) -> PyResult<Self> {
        Ok(Self(py.detach(|| self.0.at(Epoch(epoch))).or_raise(py)?))
    }
}
