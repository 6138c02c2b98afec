//! `Object`: dkeys, akeys, single values, arrays.

use crate::errors::OrRaise;
use crate::kv::{ListedPage, listed};
use crate::lent::{Lent, LentMut};
use daos_client::{Error, KeyPage, Result, Route};
use daos_types::{
    AkeyQuery, ArrayFetch, Cond, Der, Extent, FetchIod, FetchValue, Iod, IodValue, KeyQuery, Punched,
    ValueSink,
};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyInt, PyList};

/// An object.
#[pyclass(frozen, module = "daos._core")]
pub(crate) struct Object(pub(crate) daos_client::Object<dyn Route>);

/// Pairs of first record and number of records.
pub(crate) type Pairs = Vec<(u64, u64)>;
/// Akey, data, bytes of a record, extents.
type Change<D> = (PyBackedBytes, Option<D>, u64, Option<Pairs>);
/// Akey, room, bytes of a record, extents.
type Wanted = (PyBackedBytes, Option<LentMut>, u64, Option<Pairs>);
/// Dkey, akey, extent, bytes of a record.
pub(crate) type Extreme = (Option<u64>, Option<u64>, Option<(u64, u64)>, u64);

/// What was read of akeys: of an array bytes of a record, of a single value its bytes.
pub(crate) struct Answers(Vec<(Option<u64>, Option<Vec<u8>>)>);

/// What the extreme is asked of.
pub(crate) struct Asked<'a> {
    pub(crate) greatest: bool,
    pub(crate) dkey: Option<&'a [u8]>,
    pub(crate) akey: Option<&'a [u8]>,
    pub(crate) akey_extreme: bool,
    pub(crate) records: bool,
}

/// A single value that may not be there.
#[derive(Debug, Default)]
struct Found(Option<Vec<u8>>);

impl ValueSink for Found {
    fn put(&mut self, value: &[u8]) {
        self.0 = Some(value.to_vec());
    }

    fn room(&mut self, len: usize) -> Option<&mut [u8]> {
        Some(self.0.insert(vec![0; len]))
    }

    fn last(&self, len: usize) -> Option<&[u8]> {
        self.0.as_ref()?.last(len)
    }
}

/// Extents of pairs.
fn extents(pairs: &[(u64, u64)]) -> Result<Vec<Extent>> {
    let extent = |(index, count): &(u64, u64)| {
        Extent::new(*index, *count).ok_or_else(|| {
            Error::new(Der::Inval, format!("{count} records from {index} on are no extent"))
                .hint("give at least one")
        })
    };
    pairs.iter().map(extent).collect()
}

// Arguments that Python hands over are owned by the call.
#[allow(clippy::needless_pass_by_value)]
#[pymethods]
impl Object {
    /// The target of each of its shards.
    fn layout(&self) -> Vec<u32> {
        self.0.targets().map(|target| target.0).collect()
    }

    /// Changes akeys of a dkey, all or none.
    #[pyo3(signature = (dkey, iods, flags = 0))]
    fn update(&self, py: Python<'_>, dkey: &[u8], iods: Vec<Change<Lent>>, flags: u64) -> PyResult<()> {
        py.detach(|| self.change(dkey, &iods, Cond(flags))).or_raise(py)
    }

    /// Reads akeys of a dkey as of one moment.
    fn fetch(&self, py: Python<'_>, dkey: &[u8], mut iods: Vec<Wanted>) -> PyResult<Answers> {
        py.detach(|| self.read(dkey, &mut iods)).or_raise(py)
    }

    /// Punches akeys of a dkey, a dkey, or the object.
    #[pyo3(signature = (dkey, akeys, flags = 0))]
    fn punch(
        &self,
        py: Python<'_>,
        dkey: Option<&[u8]>,
        akeys: Option<Vec<PyBackedBytes>>,
        flags: u64,
    ) -> PyResult<()> {
        py.detach(|| self.remove(dkey, akeys.as_deref(), Cond(flags))).or_raise(py)
    }

    /// At most `count` dkeys, or akeys of a dkey, behind an anchor, and the next anchor; None at the end.
    fn list_keys<'py>(
        &self,
        py: Python<'py>,
        dkey: Option<&[u8]>,
        anchor: Option<&[u8]>,
        count: usize,
        reverse: bool,
    ) -> PyResult<ListedPage<'py>> {
        listed(py, py.detach(|| self.page(dkey, anchor, count, reverse)).or_raise(py)?)
    }

    /// The extreme dkey, akey, extent and bytes of a record, of those that are asked for.
    fn query(
        &self,
        py: Python<'_>,
        greatest: bool,
        dkey: Option<&[u8]>,
        akey: Option<&[u8]>,
        akey_extreme: bool,
        records: bool,
    ) -> PyResult<Option<Extreme>> {
        let asked = Asked { greatest, dkey, akey, akey_extreme, records };
        py.detach(|| self.extreme(&asked)).or_raise(py)
    }
}

/// The operations, for whoever calls them: Python waits for them here, a queue's worker there.
impl Object {
    pub(crate) fn change<D: AsRef<[u8]>>(&self, dkey: &[u8], iods: &[Change<D>], cond: Cond) -> Result<()> {
        let lists = iods
            .iter()
            .map(|(.., pairs)| pairs.as_deref().map(extents).transpose())
            .collect::<Result<Vec<_>>>()?;
        let requests: Vec<Iod<'_>> = iods
            .iter()
            .zip(&lists)
            .map(|((akey, data, rec_size, _), recxs)| {
                let value = match (data.as_ref().map(AsRef::as_ref), recxs) {
                    (Some(data), Some(recxs)) => IodValue::Array { rec_size: *rec_size, recxs, data },
                    (Some(data), None) => IodValue::Single(data),
                    (None, Some(recxs)) => IodValue::Holes(recxs),
                    (None, None) => IodValue::NoSingle,
                };
                Iod::new(akey, value)
            })
            .collect();
        self.0.update(dkey, &requests, cond)
    }

    pub(crate) fn read(&self, dkey: &[u8], iods: &mut [Wanted]) -> Result<Answers> {
        let lists = iods
            .iter()
            .map(|(.., pairs)| extents(pairs.as_deref().unwrap_or_default()))
            .collect::<Result<Vec<_>>>()?;
        let mut singles: Vec<Found> = iods.iter().map(|_| Found::default()).collect();
        let mut requests: Vec<FetchIod<'_>> = iods
            .iter_mut()
            .zip(&lists)
            .zip(&mut singles)
            .map(|(((akey, room, rec_size, pairs), recxs), single)| {
                let data = room.as_mut().map(LentMut::as_mut_slice).unwrap_or_default();
                let array = ArrayFetch::new(recxs, data, *rec_size);
                let value =
                    if pairs.is_some() { FetchValue::Array(array) } else { FetchValue::Single(single) };
                FetchIod::new(akey, value)
            })
            .collect();
        self.0.fetch(dkey, &mut requests, Cond::NONE)?;
        let sizes: Vec<Option<u64>> = requests.into_iter().map(|iod| filled(iod.value)).collect();
        Ok(Answers(sizes.into_iter().zip(singles).map(|(size, single)| (size, single.0)).collect()))
    }

    pub(crate) fn remove(
        &self,
        dkey: Option<&[u8]>,
        akeys: Option<&[PyBackedBytes]>,
        cond: Cond,
    ) -> Result<()> {
        let akeys: Option<Vec<&[u8]>> = akeys.map(|akeys| akeys.iter().map(|akey| &akey[..]).collect());
        let what = match (dkey, &akeys) {
            (None, _) => Punched::Object,
            (Some(dkey), None) => Punched::Dkey(dkey),
            (Some(dkey), Some(akeys)) => Punched::Akeys(dkey, akeys),
        };
        self.0.punch(what, cond)
    }

    pub(crate) fn page(
        &self,
        dkey: Option<&[u8]>,
        anchor: Option<&[u8]>,
        count: usize,
        reverse: bool,
    ) -> Result<KeyPage> {
        match dkey {
            None => self.0.list_dkeys(anchor, count, reverse),
            Some(dkey) => self.0.list_akeys(dkey, anchor, count, reverse),
        }
    }

    pub(crate) fn extreme(&self, asked: &Asked<'_>) -> Result<Option<Extreme>> {
        let akey = match asked.akey {
            Some(akey) => AkeyQuery::Given(akey),
            None if asked.akey_extreme => AkeyQuery::Extreme,
            None => AkeyQuery::None,
        };
        let query = KeyQuery { greatest: asked.greatest, dkey: asked.dkey, akey, recx: asked.records };
        Ok(self.0.query(query)?.map(|found| {
            let recx = found.recx.map(|recx| (recx.index, recx.count));
            (found.dkey, found.akey, recx, found.rec_size)
        }))
    }
}

impl Answers {
    /// Bytes of values in it.
    pub(crate) fn bytes(&self) -> usize {
        self.0.iter().filter_map(|(_, single)| single.as_ref()).map(Vec::len).sum()
    }
}

impl<'py> IntoPyObject<'py> for Answers {
    type Target = PyList;
    type Output = Bound<'py, PyList>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let found = PyList::empty(py);
        for answer in self.0 {
            match answer {
                (Some(size), _) => found.append(PyInt::new(py, size))?,
                (None, Some(value)) => found.append(PyBytes::new(py, &value))?,
                (None, None) => found.append(py.None())?,
            }
        }
        Ok(found)
    }
}

/// What was answered of an array, its holes made zeros; None of a single value.
fn filled(value: FetchValue<'_>) -> Option<u64> {
    let FetchValue::Array(ArrayFetch { data, rec_size, holes, .. }) = value else { return None };
    for hole in holes {
        if let Some(hole) = data.get_mut(hole) {
            hole.fill(0);
        }
    }
    Some(rec_size)
}
