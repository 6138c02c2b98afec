//! Arrays: cells of one size, spread in chunks over dkeys.
//!
//! Chunk `n` holds the cells from `n * chunk_size` on under the dkey `n + 1`, akey `"0"`, as an array value of records of one
//! cell. Under dkey 0, an array that stores its sizes has them in one single value.
//!
//! Source: DAOS's array interface (`daos_array.h`), its layout and its metadata.

use crate::checksum::ContainerRef;
use crate::error::{Error, Result};
use crate::object::Object;
use crate::plan::{Plan, Run};
use crate::route::Route;
use daos_types::{
    AkeyQuery, ArrayFetch, Cond, Der, Durability, Epoch, Extent, FetchIod, FetchValue, Iod, IodValue,
    KeyFound, KeyQuery, ObjectId, ObjectType, Punched,
};
use std::ops::Range;
use std::sync::Arc;

/// The akey of cells.
const AKEY: &[u8] = b"0";
/// The akey of the sizes.
const METADATA_AKEY: &[u8] = b"daos_array_metadata";
/// How the sizes begin.
const MAGIC: u64 = 0xdaca_55a9_daca_55a9;
/// Bytes of a cell: the smallest thing that is written at once.
pub const CELL_SIZE_MAX: u64 = 1 << 20;
/// Cells of an array, so that every index fits a signed number.
pub const CELLS_MAX: u64 = i64::MAX as u64;
/// Bytes of a chunk where the caller does not say.
const CHUNK_BYTES: u64 = 1 << 20;
/// So many chunks are punched without looking which of them are there.
const PUNCH_BLIND_MAX: u64 = 64;

/// An array.
#[derive(Debug)]
pub struct Array<R: ?Sized> {
    object: Object<R>,
    cell_size: u64,
    chunk_size: u64,
}

/// The dkey of a chunk.
fn dkey_of(chunk: u64) -> [u8; 8] {
    (chunk + 1).to_le_bytes()
}

/// The cells of a chunk where the caller does not say how many: 1 MiB of them, at least one.
pub const fn default_chunk_size(cell_size: u64) -> u64 {
    let fit = CHUNK_BYTES / if cell_size == 0 { 1 } else { cell_size };
    if fit == 0 { 1 } else { fit }
}

fn check_sizes(cell_size: u64, chunk_size: u64, der: Der) -> Result<()> {
    if !(1..=CELL_SIZE_MAX).contains(&cell_size) {
        return Err(Error::new(
            der,
            format!("cells of {cell_size} bytes; 1 to {CELL_SIZE_MAX} are possible"),
        ));
    }
    if !(1..=CELLS_MAX).contains(&chunk_size) {
        return Err(Error::new(der, format!("chunks of {chunk_size} cells; at least 1, less than 2^63")));
    }
    Ok(())
}

fn check_type(oid: ObjectId, types: &[ObjectType], hint: &'static str) -> Result<()> {
    if oid.object_type().is_some_and(|kind| types.contains(&kind)) {
        return Ok(());
    }
    Err(Error::new(Der::Inval, format!("object {oid} is no such array")).hint(hint))
}

/// The last record that is there.
const LAST: KeyQuery<'_> = KeyQuery { greatest: true, dkey: None, akey: AkeyQuery::Given(AKEY), recx: true };

impl<R: Route + ?Sized> Array<R> {
    /// Makes an array that stores its sizes. `chunk_size` is in cells.
    ///
    /// `DER_EXIST` if it is there: of two makers one wins.
    pub fn create(
        route: Arc<R>,
        cont: impl Into<ContainerRef>,
        oid: ObjectId,
        durability: Durability,
        cell_size: u64,
        chunk_size: u64,
    ) -> Result<Self> {
        check_type(oid, &[ObjectType::Array], "only an array of type 11 stores its sizes")?;
        check_sizes(cell_size, chunk_size, Der::Inval)?;
        let object = Object::open(route, cont, oid, durability, Epoch::MAX)?;
        let metadata = [MAGIC, cell_size, chunk_size].map(u64::to_le_bytes).concat();
        let iods = [Iod::new(METADATA_AKEY, IodValue::Single(&metadata))];
        object.update(&0_u64.to_le_bytes(), &iods, Cond::AKEY_INSERT).map_err(|error| match error.der {
            Der::Exist => Error::new(Der::Exist, format!("array {oid} exists")).hint("open it"),
            _ => error,
        })?;
        Ok(Self { object, cell_size, chunk_size })
    }

    /// The array as of an epoch, with the sizes that it stores.
    ///
    /// `DER_NONEXIST` if there are none, `DER_NO_PERM` if what is there are no sizes of an array.
    pub fn open(
        route: Arc<R>,
        cont: impl Into<ContainerRef>,
        oid: ObjectId,
        durability: Durability,
        epoch: Epoch,
    ) -> Result<Self> {
        check_type(oid, &[ObjectType::Array], "give the sizes of an array that does not store them")?;
        let object = Object::open(route, cont, oid, durability, epoch)?;
        let mut stored: Vec<u8> = Vec::new();
        let mut iods = [FetchIod::new(METADATA_AKEY, FetchValue::Single(&mut stored))];
        object.fetch(&0_u64.to_le_bytes(), &mut iods, Cond::NONE)?;
        if stored.is_empty() {
            return Err(Error::new(Der::Nonexist, format!("there is no array {oid}")).hint("create it"));
        }
        let foreign = || {
            Error::new(Der::NoPerm, format!("what object {oid} stores as its sizes are no sizes of an array"))
        };
        let (words, rest) = stored.as_chunks::<8>();
        let ([magic, cell_size, chunk_size], []) = (words, rest) else { return Err(foreign()) };
        if u64::from_le_bytes(*magic) != MAGIC {
            return Err(foreign());
        }
        let (cell_size, chunk_size) = (u64::from_le_bytes(*cell_size), u64::from_le_bytes(*chunk_size));
        check_sizes(cell_size, chunk_size, Der::NoPerm)?;
        Ok(Self { object, cell_size, chunk_size })
    }

    /// An array as of an epoch that does not store its sizes: the caller always gives the same. Nothing is stored or looked up
    /// by this.
    pub fn open_with_attr(
        route: Arc<R>,
        cont: impl Into<ContainerRef>,
        oid: ObjectId,
        durability: Durability,
        epoch: Epoch,
        cell_size: u64,
        chunk_size: u64,
    ) -> Result<Self> {
        let types = [ObjectType::ArrayAttr, ObjectType::ArrayByte];
        check_type(oid, &types, "open an array of type 11 without sizes: it stores them")?;
        check_sizes(cell_size, chunk_size, Der::Inval)?;
        if oid.object_type() == Some(ObjectType::ArrayByte) && cell_size != 1 {
            return Err(Error::new(Der::Inval, format!("cells of {cell_size} bytes in an array of bytes")));
        }
        Ok(Self { object: Object::open(route, cont, oid, durability, epoch)?, cell_size, chunk_size })
    }

    /// The object's id.
    pub fn oid(&self) -> ObjectId {
        self.object.oid()
    }

    /// Bytes of a cell.
    pub fn cell_size(&self) -> u64 {
        self.cell_size
    }

    /// Cells of a chunk.
    pub fn chunk_size(&self) -> u64 {
        self.chunk_size
    }

    /// Writes cells from `start` on; the array grows as it must.
    pub fn write(&self, start: u64, data: &[u8]) -> Result<()> {
        self.write_list(self.strided(start, 1, data.len())?, data)
    }

    /// Writes the cells of several extents, one after the other in `data`; no two overlap. A dkey gets one update for all of
    /// its extents that ascend, and all updates become durable together. Not atomic: at a failure, some may be written.
    pub fn write_list<I>(&self, extents: I, data: &[u8]) -> Result<()>
    where
        I: IntoIterator<Item = Extent>,
        I::IntoIter: Clone,
    {
        let extents = extents.into_iter();
        if self.check(extents.clone(), data.len())? {
            apart(extents.clone().collect())?;
        }
        let mut plan = Plan::new(extents, self.cell_size, self.chunk_size);
        while let Some(batch) = plan.next_batch() {
            let updates: Vec<([u8; 8], [Iod<'_>; 1])> = batch
                .runs
                .iter()
                .map(|run| {
                    let recxs = batch.recxs.get(run.recxs.clone()).unwrap_or_default();
                    let data = data.get(run.bytes.clone()).unwrap_or_default();
                    let value = IodValue::Array { rec_size: self.cell_size, recxs, data };
                    (dkey_of(run.chunk), [Iod::new(AKEY, value)])
                })
                .collect();
            self.object.update_all(updates.iter().map(|(dkey, iods)| (&dkey[..], &iods[..])))?;
        }
        Ok(())
    }

    /// Reads cells from `start` on until `data` is full. Holes, and what is behind the end, are left as they are, or become
    /// `fill`, one cell.
    pub fn read(&self, start: u64, data: &mut [u8], fill: Option<&[u8]>) -> Result<()> {
        self.read_list(self.strided(start, 1, data.len())?, data, fill)
    }

    /// Reads the cells of several extents into `data`, one after the other; holes as in [`Array::read`]. What is under
    /// different dkeys is not read at the same moment.
    pub fn read_list<I>(&self, extents: I, data: &mut [u8], fill: Option<&[u8]>) -> Result<()>
    where
        I: IntoIterator<Item = Extent>,
        I::IntoIter: Clone,
    {
        let extents = extents.into_iter();
        self.check(extents.clone(), data.len())?;
        fill.map_or(Ok(()), |fill| self.check_fill(fill))?;
        let mut plan = Plan::new(extents, self.cell_size, self.chunk_size);
        while let Some(batch) = plan.next_batch() {
            let holes: Vec<Vec<Range<usize>>> = if self.object.is_far() {
                self.fetch_all(&batch.runs, &batch.recxs, data)?
            } else {
                let one = |run| self.fetch(run, &batch.recxs, data);
                batch.runs.iter().map(one).collect::<Result<_>>()?
            };
            let holes = batch.runs.iter().zip(holes).flat_map(|(run, holes)| {
                holes.into_iter().map(|hole| run.bytes.start + hole.start..run.bytes.start + hole.end)
            });
            for hole in holes {
                if let (Some(fill), Some(hole)) = (fill, data.get_mut(hole)) {
                    repeat(fill, hole);
                }
            }
        }
        Ok(())
    }

    /// Reads records of one chunk; where they are holes.
    fn fetch(&self, run: &Run, recxs: &[Extent], data: &mut [u8]) -> Result<Vec<Range<usize>>> {
        let recxs = recxs.get(run.recxs.clone()).unwrap_or_default();
        let part = data.get_mut(run.bytes.clone()).unwrap_or_default();
        let mut iods = [FetchIod::new(AKEY, FetchValue::Array(ArrayFetch::new(recxs, part, self.cell_size)))];
        self.object.fetch(&dkey_of(run.chunk), &mut iods, Cond::NONE)?;
        let [iod] = iods;
        self.holes(iod)
    }

    /// The same of several chunks together, one after the other in `data`.
    fn fetch_all(&self, runs: &[Run], recxs: &[Extent], data: &mut [u8]) -> Result<Vec<Vec<Range<usize>>>> {
        let dkeys: Vec<[u8; 8]> = runs.iter().map(|run| dkey_of(run.chunk)).collect();
        let (mut rest, mut at) = (data, 0);
        let wanted = dkeys.iter().zip(runs).map(|(dkey, run)| {
            let (part, behind) =
                std::mem::take(&mut rest).split_at_mut_checked(run.bytes.end - at).unwrap_or_default();
            let part = part.get_mut(run.bytes.start - at..).unwrap_or_default();
            (rest, at) = (behind, run.bytes.end);
            let recxs = recxs.get(run.recxs.clone()).unwrap_or_default();
            let value = FetchValue::Array(ArrayFetch::new(recxs, part, self.cell_size));
            (&dkey[..], FetchIod::new(AKEY, value))
        });
        self.object.fetch_all(wanted)?.into_iter().map(|iod| self.holes(iod)).collect()
    }

    /// Where what was read is holes; an error where it has cells of another size.
    fn holes(&self, iod: FetchIod<'_>) -> Result<Vec<Range<usize>>> {
        let FetchValue::Array(answered) = iod.value else { return Ok(Vec::new()) };
        let whole = 0..answered.data.len();
        match answered.rec_size {
            0 => Ok(vec![whole]),
            stored if stored == self.cell_size => Ok(answered.holes),
            stored => Err(Error::new(
                Der::RecSize,
                format!("array {} has cells of {stored} bytes, not of {}", self.oid(), self.cell_size),
            )
            .hint("open it with the cell size it was written with")),
        }
    }

    /// How many cells up to the last one that was written and not punched.
    pub fn size(&self) -> Result<u64> {
        self.end(self.object.query(LAST)?)
    }

    /// The size of each of several arrays of one container. Not all as of one moment. A failure ends it.
    pub fn sizes(arrays: &[Self]) -> Result<Vec<u64>> {
        let objects: Vec<&Object<R>> = arrays.iter().map(|array| &array.object).collect();
        let found = Object::query_all(&objects, LAST)?;
        arrays.iter().zip(found).map(|(array, found)| array.end(found)).collect()
    }

    /// Where it ends, of which that is the last record.
    fn end(&self, last: Option<KeyFound>) -> Result<u64> {
        let Some(KeyFound { dkey: Some(dkey), recx: Some(recx), .. }) = last else { return Ok(0) };
        let Some(chunk) = dkey.checked_sub(1) else { return Ok(0) };
        let end = chunk.checked_mul(self.chunk_size).and_then(|first| first.checked_add(recx.end()));
        end.filter(|end| *end <= CELLS_MAX).ok_or_else(|| {
            Error::new(Der::DfInval, format!("array {} has a cell past the last possible one", self.oid()))
        })
    }

    /// Makes the array exactly so long: punches what is behind; where its last cell would be a hole, writes `fill` there. Not
    /// atomic against other writers.
    pub fn set_size(&self, size: u64, fill: &[u8]) -> Result<()> {
        self.check_fill(fill)?;
        if size > CELLS_MAX {
            return Err(Error::new(Der::Overflow, format!("an array of {size} cells; at most {CELLS_MAX}")));
        }
        if self.size()? > size {
            self.punch(size, CELLS_MAX - size)?;
        }
        if self.size()? < size { self.write(size - 1, fill) } else { Ok(()) }
    }

    /// Makes holes of cells; at the end of the array, that shortens it. Not atomic: at a failure, some may be gone.
    pub fn punch(&self, start: u64, count: u64) -> Result<()> {
        let end =
            start.checked_add(count).filter(|end| *end <= CELLS_MAX).ok_or_else(|| too_far(start, count))?;
        let (first, head) = (start / self.chunk_size, start % self.chunk_size);
        // Behind the last possible cell is nothing that would have to stay.
        let (last, tail) = if end == CELLS_MAX {
            (end.div_ceil(self.chunk_size), 0)
        } else {
            (end / self.chunk_size, end % self.chunk_size)
        };
        if count == 0 {
            return Ok(());
        }
        if first == last {
            return self.punch_in(first, head, count);
        }
        // From the end on, so that whatever interrupts a shortening leaves an array without a gap of its making.
        if tail > 0 {
            self.punch_in(last, 0, tail)?;
        }
        let whole = first + u64::from(head > 0)..last;
        if whole.end.saturating_sub(whole.start) <= PUNCH_BLIND_MAX {
            for chunk in whole.rev() {
                self.object.punch(Punched::Dkey(&dkey_of(chunk)), Cond::NONE)?;
            }
        } else {
            self.object.punch_down_to(whole.start + 1, |dkey| dkey <= whole.end)?;
        }
        if head > 0 { self.punch_in(first, head, self.chunk_size - head) } else { Ok(()) }
    }

    /// Makes holes in one chunk, if it is there.
    fn punch_in(&self, chunk: u64, index: u64, count: u64) -> Result<()> {
        let recxs = [Extent { index, count }];
        let iods = [Iod::new(AKEY, IodValue::Holes(&recxs))];
        match self.object.update(&dkey_of(chunk), &iods, Cond::DKEY_UPDATE) {
            Err(error) if error.der == Der::Nonexist => Ok(()),
            other => other,
        }
    }

    /// Removes everything, the stored sizes as well.
    pub fn destroy(&self) -> Result<()> {
        self.object.punch(Punched::Object, Cond::NONE)
    }

    /// Every `step`-th cell from `start` on, so many as fill `bytes`: what the list calls take.
    pub fn strided(
        &self,
        start: u64,
        step: u64,
        bytes: usize,
    ) -> Result<impl Iterator<Item = Extent> + Clone + use<R>> {
        let count = bytes as u64 / self.cell_size;
        if !(bytes as u64).is_multiple_of(self.cell_size) {
            let text = format!("{bytes} bytes are no whole number of cells of {} bytes", self.cell_size);
            return Err(Error::new(Der::IoInval, text));
        }
        if step == 0 {
            return Err(Error::new(Der::Inval, "a step of 0 between cells").hint("give at least 1"));
        }
        let last = count.saturating_sub(1).checked_mul(step).and_then(|more| more.checked_add(start));
        if last.is_none_or(|last| last >= CELLS_MAX) {
            return Err(too_far(start, count.saturating_mul(step)));
        }
        let (extents, each) = if step == 1 { (count.min(1), count) } else { (count, 1) };
        Ok((0..extents).map(move |nth| Extent { index: start + nth * step, count: each }))
    }

    /// Refuses extents that are empty, too far or do not have so many bytes; whether they are in another order than ascending.
    fn check(&self, extents: impl Iterator<Item = Extent>, bytes: usize) -> Result<bool> {
        let (mut cells, mut end, mut turns) = (0_u64, 0, false);
        for Extent { index, count } in extents {
            if count == 0 {
                return Err(
                    Error::new(Der::Inval, format!("an empty extent at cell {index}")).hint("leave it out")
                );
            }
            turns |= index < end;
            end = index
                .checked_add(count)
                .filter(|end| *end <= CELLS_MAX)
                .ok_or_else(|| too_far(index, count))?;
            cells = cells.saturating_add(count);
        }
        if cells.checked_mul(self.cell_size) == Some(bytes as u64) {
            return Ok(turns);
        }
        let text = format!("a buffer of {bytes} bytes for {cells} cells of {} bytes", self.cell_size);
        Err(Error::new(Der::IoInval, text).hint("give a buffer of exactly the bytes of the cells"))
    }

    fn check_fill(&self, fill: &[u8]) -> Result<()> {
        if fill.len() as u64 == self.cell_size {
            return Ok(());
        }
        let text = format!("a fill value of {} bytes for cells of {} bytes", fill.len(), self.cell_size);
        Err(Error::new(Der::IoInval, text))
    }
}

fn too_far(index: u64, count: u64) -> Error {
    Error::new(Der::Overflow, format!("{count} cells from {index} on; an array has at most {CELLS_MAX}"))
}

/// Refuses extents that overlap.
fn apart(mut extents: Vec<Extent>) -> Result<()> {
    extents.sort_unstable();
    let neighbours = extents.iter().zip(extents.iter().skip(1));
    match neighbours.into_iter().find(|(one, other)| one.overlap(**other).is_some()) {
        None => Ok(()),
        Some((one, other)) => {
            let text = format!("extents at cells {} and {} overlap", one.index, other.index);
            Err(Error::new(Der::Inval, text).hint("write them one after the other"))
        }
    }
}

/// Fills a range with a pattern.
fn repeat(pattern: &[u8], range: &mut [u8]) {
    match pattern {
        [byte, rest @ ..] if rest.iter().all(|other| other == byte) => range.fill(*byte),
        _ => range.chunks_mut(pattern.len().max(1)).for_each(|cell| {
            cell.copy_from_slice(pattern.get(..cell.len()).unwrap_or_default());
        }),
    }
}
