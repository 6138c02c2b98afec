//! End-to-end checksums, the client's half: sums of what the caller hands over, and the comparison of what came into his buffer.

use crate::error::{Error, Result};
use daos_codec::{piece_sums, sum, sums, unit_sums, verify, verify_value};
use daos_types::checksum::SUM_LEN_MAX;
use daos_types::part::parts;
use daos_types::unit::{UNIT_MIN, unit_of};
use daos_types::{
    ArrayFetch, ChecksumKind, Checksums, ContainerId, Der, Extent, FetchIod, FetchValue, Iod, IodSums,
    IodValue, ObjectId, Packed, Sums,
};
use daos_wire::GotValues;
use std::ops::Range;

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
        IodSums::new(self.by, self.sum.get(..len).unwrap_or_default())
    }
}

/// The sums of several iods, one behind the other.
#[derive(Debug, Default)]
pub(crate) struct ManySums {
    bytes: Vec<u8>,
    units: Vec<u32>,
    /// Where those of each iod end.
    ends: Vec<(usize, usize)>,
}

impl ManySums {
    /// Adds those of the iods.
    pub(crate) fn add(&mut self, by: Checksums, iods: &[Iod<'_>]) {
        let Some(kind) = by.kind else { return };
        for iod in iods {
            match iod.value {
                IodValue::Single(value) => self.sum_all(kind, value.len().max(1), value),
                IodValue::Array { rec_size, recxs, data } if is_whole(rec_size, recxs, data) => {
                    let parts = parts(rec_size, recxs);
                    for part in &parts {
                        let bytes = part.bytes(rec_size, data);
                        let piece = by.piece(rec_size, bytes.len());
                        if let [_] = parts[..] {
                            self.sum_all(kind, piece, bytes);
                        } else {
                            sums(kind, piece, bytes, &mut self.bytes);
                        }
                    }
                }
                // The target refuses what is malformed, with the reason.
                IodValue::Array { .. } | IodValue::NoSingle | IodValue::Holes(_) => {}
            }
            self.ends.push((self.bytes.len(), self.units.len()));
        }
    }

    /// Adds those of an iod's data that is one extent. Where the pieces are of whole units, and the sums such as the store and the
    /// network have their own of, its bytes are gone through for all of them at once.
    fn sum_all(&mut self, kind: ChecksumKind, piece: usize, data: &[u8]) {
        let by_units = kind == ChecksumKind::Crc32 && data.len() > UNIT_MIN;
        if !by_units || piece_sums(piece, data.len(), &[]).is_none() {
            return sums(kind, piece, data, &mut self.bytes);
        }
        let from = self.units.len();
        self.units.extend(unit_sums(data));
        let units = self.units.get(from..).unwrap_or_default();
        self.bytes
            .extend(piece_sums(piece, data.len(), units).into_iter().flatten().flat_map(u32::to_le_bytes));
    }

    /// The `nth` iod of all that were added, with its sums.
    pub(crate) fn lend<'a>(&'a self, by: Checksums, nth: usize, iod: &Iod<'a>) -> Iod<'a> {
        let from = nth.checked_sub(1).map_or(Some((0, 0)), |before| self.ends.get(before).copied());
        let Some((from, end)) = from.zip(self.ends.get(nth).copied()) else {
            return Iod { sums: IodSums::default(), ..*iod };
        };
        let bytes = self.bytes.get(from.0..end.0).unwrap_or_default();
        let units = self.units.get(from.1..end.1).unwrap_or_default();
        let by = if bytes.is_empty() { Checksums::default() } else { by };
        Iod { sums: IodSums { by, bytes, units, landed: 0 }, ..*iod }
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
                    if fit_units(&sums, stretches, fetch) {
                        continue;
                    }
                    verify(&sums, stretches, fetch.data)
                        .map_err(|found| mismatch(oid, dkey, iod.akey, &place(fetch, found.at, &sums)))?;
                }
            }
        }
    }
    Ok(())
}

/// Whether the sums are those of the buffer as its units tell, which were summed when they came: then it need not be gone through again.
/// Where not, or where it is not told, all of it is.
fn fit_units(sums: &Sums<'_>, stretches: &[Range<usize>], fetch: &ArrayFetch<'_>) -> bool {
    let len = fetch.data.len();
    let is_told = sums.kind == ChecksumKind::Crc32
        && fetch.units.len() == len.div_ceil(unit_of(len))
        && stretches.len() == 1
        && stretches.first() == Some(&(0..len));
    is_told
        && piece_sums(sums.piece, len, &fetch.units)
            .is_some_and(|found| found.flat_map(u32::to_le_bytes).eq(sums.bytes.iter().copied()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use daos_types::ObjectType;
    use proptest::prelude::*;

    fn data(len: usize) -> Vec<u8> {
        (0..len).map(|at| ((at * 37) >> 2) as u8).collect()
    }

    proptest! {
        #[test]
        fn sums_by_units_are_those_of_the_bytes(
            len in prop_oneof![1..20_000_usize, 200_000..300_000_usize, Just(1 << 20)],
            piece_size in prop_oneof![Just(32_u32 << 10), Just(4096), Just(1000), Just(1 << 22)],
            single in any::<bool>(),
            kind in prop_oneof![Just(ChecksumKind::Crc32), Just(ChecksumKind::Crc64)],
        ) {
            let (data, by) = (data(len), Checksums { kind: Some(kind), piece_size, server_verifies: false });
            let recxs = [Extent { index: 7, count: len as u64 }];
            let array = IodValue::Array { rec_size: 1, recxs: &recxs, data: &data };
            let iods = [Iod::new(b"a", IodValue::Single(b"first")), Iod::new(b"b", if single { IodValue::Single(&data) } else { array })];
            let mut sums = ManySums::default();
            sums.add(by, &iods);
            let lent = sums.lend(by, 1, &iods[1]).sums;
            let mut wanted = Vec::new();
            if single {
                daos_codec::sums(kind, len, &data, &mut wanted);
            } else {
                // The extent ends where a chunk does.
                for part in parts(1, &recxs) {
                    let bytes = part.bytes(1, &data);
                    daos_codec::sums(kind, by.piece(1, bytes.len()), bytes, &mut wanted);
                }
            }
            prop_assert_eq!(lent.bytes, &wanted[..]);
            if !lent.units.is_empty() {
                prop_assert_eq!(lent.units, unit_sums(&data).collect::<Vec<_>>());
            }
            let piece = by.piece(1, len);
            let divides = piece.is_multiple_of(unit_of(len)) || piece >= len;
            let divides = single || divides && recxs[0].end() <= 1 << 20;
            prop_assert_eq!(!lent.units.is_empty(), kind == ChecksumKind::Crc32 && len > UNIT_MIN && divides);
        }

        #[test]
        fn what_is_compared_by_its_units_is_as_if_it_was_gone_through(
            len in 1..300_000_usize,
            piece in prop_oneof![Just(32_usize << 10), Just(4096), Just(5000), Just(1 << 20)],
            changed in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let mut data = data(len);
            let (mut sums, units) = (Vec::new(), unit_sums(&data).collect());
            daos_codec::sums(ChecksumKind::Crc32, piece, &data, &mut sums);
            if let Some(changed) = changed {
                let at = changed.index(sums.len());
                sums[at] ^= 1;
            }
            let recxs = [Extent { index: 0, count: len as u64 }];
            let mut fetch = ArrayFetch::new(&recxs, &mut data, 1);
            fetch.sums.push(Sums { kind: ChecksumKind::Crc32, piece, bytes: &sums }, std::iter::once(0..len));
            fetch.units = units;
            let (told, stretches) = fetch.sums.iter().next().unwrap();
            let fits = fit_units(&told, stretches, &fetch);
            prop_assert_eq!(fits, changed.is_none() && (piece.is_multiple_of(unit_of(len)) || piece >= len));
            let oid = ObjectId::generate(ObjectType::Array, 1, 1, 0, 1);
            let iod = FetchIod::new(b"a", FetchValue::Array(fetch));
            prop_assert_eq!(verify_fetched(oid, b"d", &[iod]).is_err(), changed.is_some());
        }
    }

    #[test]
    fn units_of_other_bytes_do_not_make_damage_right() {
        let mut bytes = data(100_000);
        let mut sums = Vec::new();
        daos_codec::sums(ChecksumKind::Crc32, 32 << 10, &bytes, &mut sums);
        let recxs = [Extent { index: 0, count: 100_000 }];
        let units: Vec<u32> = unit_sums(&bytes).collect();
        // As many as there would be of the whole, but of a part, or with a hole: they are not of all of it.
        for stretches in [vec![0..10, 10..99_000], vec![0..50_000, 50_001..100_000]] {
            let mut fetch = ArrayFetch::new(&recxs, &mut bytes, 1);
            fetch.units.clone_from(&units);
            fetch.sums.push(Sums { kind: ChecksumKind::Crc32, piece: 32 << 10, bytes: &sums }, stretches);
            let (told, stretches) = fetch.sums.iter().next().unwrap();
            assert!(!fit_units(&told, stretches, &fetch));
        }
    }
}
