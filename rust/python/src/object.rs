//! `Object`: dkeys, akeys, single values, arrays.

use crate::errors::OrRaise;
use crate::kv::{ListedPage, listed};
use crate::lent::{Lent, LentMut};
use daos_client::{Error, Route};
use daos_types::{
    AkeyQuery, ArrayFetch, Cond, Der, Extent, FetchIod, FetchValue, Iod, IodValue, KeyQuery, Punched,
    ValueSink,
};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt, PyList};

/// An object.
#[pyclass(frozen, module = "daos._core")]
pub(crate) struct Object(pub(crate) daos_client::Object<dyn Route>);

/// Pairs of first record and number of records.
type Pairs = Vec<(u64, u64)>;
/// Akey, data, bytes of a record, extents.
type Change<'py> = (Bound<'py, PyBytes>, Option<Lent>, u64, Option<Pairs>);
/// Akey, room, bytes of a record, extents.
type Wanted<'py> = (Bound<'py, PyBytes>, Option<LentMut>, u64, Option<Pairs>);
/// Dkey, akey, extent, bytes of a record.
type Extreme = (Option<u64>, Option<u64>, Option<(u64, u64)>, u64);

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
}

/// Extents of pairs.
fn extents(pairs: &[(u64, u64)]) -> daos_client::Result<Vec<Extent>> {
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
    fn update(&self, py: Python<'_>, dkey: &[u8], iods: Vec<Change<'_>>, flags: u64) -> PyResult<()> {
        let lists = iods
            .iter()
            .map(|(.., pairs)| pairs.as_deref().map(extents).transpose())
            .collect::<daos_client::Result<Vec<_>>>()
            .or_raise(py)?;
        let requests: Vec<Iod<'_>> = iods
            .iter()
            .zip(&lists)
            .map(|((akey, data, rec_size, _), recxs)| {
                let value = match (data.as_ref().map(Lent::as_slice), recxs) {
                    (Some(data), Some(recxs)) => IodValue::Array { rec_size: *rec_size, recxs, data },
                    (Some(data), None) => IodValue::Single(data),
                    (None, Some(recxs)) => IodValue::Holes(recxs),
                    (None, None) => IodValue::NoSingle,
                };
                Iod { akey: akey.as_bytes(), cond: Cond::NONE, value }
            })
            .collect();
        py.detach(|| self.0.update(dkey, &requests, Cond(flags))).or_raise(py)
    }

    /// Reads akeys of a dkey as of one moment.
    fn fetch<'py>(
        &self,
        py: Python<'py>,
        dkey: &[u8],
        mut iods: Vec<Wanted<'py>>,
    ) -> PyResult<Bound<'py, PyList>> {
        let lists = iods
            .iter()
            .map(|(.., pairs)| extents(pairs.as_deref().unwrap_or_default()))
            .collect::<daos_client::Result<Vec<_>>>()
            .or_raise(py)?;
        let mut singles: Vec<Found> = iods.iter().map(|_| Found::default()).collect();
        // What needs the GIL is done before it is released.
        let parts: Vec<_> = iods
            .iter_mut()
            .map(|(akey, room, rec_size, pairs)| {
                let room = room.as_mut().map(LentMut::as_mut_slice).unwrap_or_default();
                (akey.as_bytes(), room, *rec_size, pairs.is_some())
            })
            .collect();
        let sizes: Vec<Option<u64>> = py
            .detach(|| {
                let asked = parts.into_iter().zip(&lists).zip(&mut singles);
                let mut requests: Vec<FetchIod<'_>> = asked
                    .map(|(((akey, data, rec_size, is_array), recxs), single)| {
                        let array = ArrayFetch { recxs, data, rec_size, holes: Vec::new() };
                        let value =
                            if is_array { FetchValue::Array(array) } else { FetchValue::Single(single) };
                        FetchIod { akey, value }
                    })
                    .collect();
                self.0.fetch(dkey, &mut requests, Cond::NONE)?;
                Ok(requests.into_iter().map(|iod| filled(iod.value)).collect())
            })
            .or_raise(py)?;
        let found = PyList::empty(py);
        for (size, single) in sizes.into_iter().zip(singles) {
            match (size, single.0) {
                (Some(size), _) => found.append(PyInt::new(py, size))?,
                (None, Some(value)) => found.append(PyBytes::new(py, &value))?,
                (None, None) => found.append(py.None())?,
            }
        }
        Ok(found)
    }

    /// Punches akeys of a dkey, a dkey, or the object.
    #[pyo3(signature = (dkey, akeys, flags = 0))]
    fn punch(
        &self,
        py: Python<'_>,
        dkey: Option<&[u8]>,
        akeys: Option<Vec<Bound<'_, PyBytes>>>,
        flags: u64,
    ) -> PyResult<()> {
        let akeys: Option<Vec<&[u8]>> =
            akeys.as_ref().map(|akeys| akeys.iter().map(PyBytesMethods::as_bytes).collect());
        let what = match (dkey, &akeys) {
            (None, _) => Punched::Object,
            (Some(dkey), None) => Punched::Dkey(dkey),
            (Some(dkey), Some(akeys)) => Punched::Akeys(dkey, akeys),
        };
        py.detach(|| self.0.punch(what, Cond(flags))).or_raise(py)
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
        let page = py.detach(|| match dkey {
            None => self.0.list_dkeys(anchor, count, reverse),
            Some(dkey) => self.0.list_akeys(dkey, anchor, count, reverse),
        });
        listed(py, page.or_raise(py)?)
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
        let akey = match akey {
            Some(akey) => AkeyQuery::Given(akey),
            None if akey_extreme => AkeyQuery::Extreme,
            None => AkeyQuery::None,
        };
        let found =
            py.detach(|| self.0.query(KeyQuery { greatest, dkey, akey, recx: records })).or_raise(py)?;
        Ok(found.map(|found| {
            let recx = found.recx.map(|recx| (recx.index, recx.count));
            (found.dkey, found.akey, recx, found.rec_size)
        }))
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
