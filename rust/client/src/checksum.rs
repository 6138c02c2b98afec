//! End-to-end checksums, the client's half: sums of what the caller hands over, and the comparison of what came into his buffer.

use crate::error::{Error, Result};
use daos_codec::{sum, sums, verify, verify_value};
use daos_types::checksum::SUM_LEN_MAX;
use daos_types::part::parts;
use daos_types::{
    ArrayFetch, ChecksumKind, Checksums, ContainerId, Der, Extent, FetchIod, FetchValue, Iod, IodSums,
    IodValue, ObjectId, Packed, Sums,
};
use daos_wire::GotValues;

/// A container as its objects know it: its id, and how its data is summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContainerRef {
    /// Which.
    pub id: ContainerId,
    /// How what is written is summed; what is read says itself how it was.
    pub checksums: Checksums,
}

impl From<ContainerId> for ContainerRef {
    /// Without sums.
    fn from(id: ContainerId) -> Self {
        Self { id, checksums: Checksums::default() }
    }
}

/// The sum of one single value, without allocation.
#[derive(Debug)]
pub(crate) struct OneSum {
    by: Checksums,
    sum: [u8; SUM_LEN_MAX],
}

impl OneSum {
    pub(crate) fn of(by: Checksums, value: &[u8]) -> Self {
        Self { by, sum: by.kind.map_or([0; SUM_LEN_MAX], |kind| sum(kind, value)) }
    }

    pub(crate) fn lend(&self) -> IodSums<'_> {
        let len = self.by.kind.map_or(0, ChecksumKind::sum_len);
        IodSums { by: self.by, bytes: self.sum.get(..len).unwrap_or_default() }
    }
}

/// The sums of several iods, one behind the other.
#[derive(Debug, Default)]
pub(crate) struct ManySums {
    bytes: Vec<u8>,
    /// Where those of each iod end.
    ends: Vec<usize>,
}

impl ManySums {
    /// Adds those of the iods.
    pub(crate) fn add(&mut self, by: Checksums, iods: &[Iod<'_>]) {
        let Some(kind) = by.kind else { return };
        for iod in iods {
            match iod.value {
                IodValue::Single(value) => sums(kind, value.len().max(1), value, &mut self.bytes),
                IodValue::Array { rec_size, recxs, data } if is_whole(rec_size, recxs, data) => {
                    for part in parts(rec_size, recxs) {
                        let bytes = part.bytes(rec_size, data);
                        sums(kind, by.piece(rec_size, bytes.len()), bytes, &mut self.bytes);
                    }
                }
                // The target refuses what is malformed, with the reason.
                IodValue::Array { .. } | IodValue::NoSingle | IodValue::Holes(_) => {}
            }
            self.ends.push(self.bytes.len());
        }
    }

    /// The `nth` iod of all that were added, with its sums.
    pub(crate) fn lend<'a>(&'a self, by: Checksums, nth: usize, iod: &Iod<'a>) -> Iod<'a> {
        let from = nth.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied());
        let range = from.zip(self.ends.get(nth).copied());
        let bytes = range.and_then(|(from, end)| self.bytes.get(from..end)).unwrap_or_default();
        Iod { sums: if bytes.is_empty() { IodSums::default() } else { IodSums { by, bytes } }, ..*iod }
    }
}

/// Whether the extents make up the data: what does not would be cut into anything.
fn is_whole(rec_size: u64, recxs: &[Extent], data: &[u8]) -> bool {
    let records = recxs.iter().try_fold(0_u64, |records, recx| {
        recx.index.checked_add(recx.count)?;
        records.checked_add(recx.count)
    });
    let bytes = records.and_then(|records| records.checked_mul(rec_size));
    rec_size > 0 && !data.is_empty() && bytes == Some(data.len() as u64)
}

/// What was read is not what was written.
fn mismatch(oid: ObjectId, dkey: &[u8], akey: &[u8], what: &str) -> Error {
    let (dkey, akey) = (dkey.escape_ascii(), akey.escape_ascii());
    Error::new(
        Der::Csum,
        format!(
            "checksum mismatch: object {oid}, dkey \"{dkey}\", akey \"{akey}\"{what}: these are not the bytes that were \
             written"
        ),
    )
    .hint("read it from a snapshot or a copy; nothing wrong was handed out as right")
}

/// Compares a single value with what was answered.
pub(crate) fn verify_single(oid: ObjectId, dkey: &[u8], iod: &FetchIod<'_>) -> Result<()> {
    match &iod.value {
        FetchValue::Single(sink) if iod.sum.get().is_some() => {
            verify_value(&iod.sum, sink.last(iod.sum.value_len))
                .map_err(|_| mismatch(oid, dkey, iod.akey, ""))
        }
        _ => Ok(()),
    }
}

/// Compares all that was read with what was answered.
pub(crate) fn verify_fetched(oid: ObjectId, dkey: &[u8], iods: &[FetchIod<'_>]) -> Result<()> {
    for iod in iods {
        match &iod.value {
            FetchValue::Single(_) => verify_single(oid, dkey, iod)?,
            FetchValue::Array(fetch) => {
                for (sums, stretches) in fetch.sums.iter() {
                    verify(&sums, stretches, fetch.data)
                        .map_err(|found| mismatch(oid, dkey, iod.akey, &place(fetch, found.at, &sums)))?;
                }
            }
        }
    }
    Ok(())
}

/// Which records a piece at a place of the buffer begins with.
fn place(fetch: &ArrayFetch<'_>, at: usize, sums: &Sums<'_>) -> String {
    let rec_size = fetch.rec_size.max(1);
    let mut before = at as u64 / rec_size;
    for recx in fetch.recxs {
        if before < recx.count {
            let records = (sums.piece as u64 / rec_size).max(1);
            return format!(", up to {records} records from {} on", recx.index + before);
        }
        before -= recx.count;
    }
    String::new()
}

/// Compares the values of a page of pairs with their sums.
pub(crate) fn verify_pairs(
    oid: ObjectId,
    akey: &[u8],
    (keys, values, page_sums): (&Packed, &Packed, &Packed),
) -> Result<()> {
    verify_each(oid, akey, keys.iter().zip(values.iter().zip(page_sums.iter())))
}

/// Compares values with their sums.
pub(crate) fn verify_values(oid: ObjectId, akey: &[u8], keys: &[&[u8]], got: &GotValues) -> Result<()> {
    verify_each(oid, akey, keys.iter().copied().zip(got.values.iter().zip(got.sums.iter())))
}

fn verify_each<'a>(
    oid: ObjectId,
    akey: &[u8],
    mut values: impl Iterator<Item = (&'a [u8], (&'a [u8], &'a [u8]))>,
) -> Result<()> {
    values.try_for_each(|(key, (value, wanted))| {
        let Some((number, wanted)) = wanted.split_first() else { return Ok(()) };
        let fits = ChecksumKind::from_number(*number)
            .is_some_and(|kind| sum(kind, value).get(..kind.sum_len()) == Some(wanted));
        if fits { Ok(()) } else { Err(mismatch(oid, key, akey, "")) }
    })
}
