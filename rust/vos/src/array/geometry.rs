//! How records are divided into extents, and how far an extent of a class reaches. Pure.

use crate::data::VALUE_LEN_MAX;
use crate::error::{Result, VosError};
use daos_types::part::{CHUNK_BYTES, parts};
use daos_types::{ArrayFetch, Extent};

/// Record indexes are below this: the top bit is kept for parity.
pub(crate) const INDEX_END: u64 = 1 << 63;
/// The class of holes that may reach any distance.
pub(crate) const CLASS_FAR: u8 = 3;

/// Bytes that extents of the classes reach over.
const REACHES: [u64; 3] = [4 << 10, 64 << 10, CHUNK_BYTES];
/// A hole over more chunks than these is kept in one piece.
const HOLE_CHUNKS_MAX: u64 = 16;

/// How an array with records of one size is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// Records that an extent of each class spans at most; the last is a chunk.
    reach: [u64; 3],
}

impl Geometry {
    /// Of records of so many bytes, at least 1.
    pub(crate) fn of(rec_size: u64) -> Self {
        let records = |bytes: u64| 1 << (bytes / rec_size.max(1)).max(1).ilog2();
        Self { reach: REACHES.map(records) }
    }

    /// Records of a chunk: no extent of classes 0 to 2 lies in two.
    pub(crate) fn chunk(self) -> u64 {
        self.reach[2]
    }

    /// The class of an extent that spans so many records of one chunk.
    pub(crate) fn class(self, span: u64) -> u8 {
        self.reach.iter().map(|reach| u8::from(span > *reach)).sum()
    }

    /// The least index at which an extent of a class may begin that holds record `index` or a later one.
    pub(crate) fn begins_at(self, class: u8, index: u64) -> u64 {
        match self.reach.get(usize::from(class)) {
            Some(reach) => (index + 1).saturating_sub(*reach).max(index / self.chunk() * self.chunk()),
            None => 0,
        }
    }

    /// Where an extent of a class that begins at `index` ends at most.
    pub(crate) fn ends_at(self, class: u8, index: u64) -> u64 {
        let Some(reach) = self.reach.get(usize::from(class)) else { return INDEX_END };
        let chunk_end = (index / self.chunk()).saturating_add(1).saturating_mul(self.chunk());
        index.saturating_add(*reach).min(chunk_end)
    }
}

/// Refuses what is no list of extents, or one that overlaps itself.
pub(crate) fn check_recxs(recxs: &[Extent]) -> Result<u64> {
    let invalid = |why: String| Err(VosError::Invalid { why });
    if recxs.is_empty() {
        return invalid("an array value names at least one extent".to_owned());
    }
    let mut records = 0_u64;
    for recx in recxs {
        let end = recx.index.checked_add(recx.count).filter(|end| *end <= INDEX_END);
        if recx.count == 0 || end.is_none() {
            return invalid(format!(
                "an extent of {} records from {} on: it holds at least one, and ends at 2^63 at most",
                recx.count, recx.index
            ));
        }
        // Below 2^64: each summand is at most 2^63, and what exceeds is refused.
        records = records.checked_add(recx.count).ok_or_else(|| VosError::Invalid {
            why: "the extents hold more records than can be counted".to_owned(),
        })?;
    }
    let ascending = recxs.windows(2).all(|pair| pair[0].end() <= pair[1].index);
    if !ascending {
        let mut sorted = recxs.to_vec();
        sorted.sort_unstable();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0].end() > pair[1].index) {
            return invalid(format!("the extents overlap at record {}", pair[1].index));
        }
    }
    Ok(records)
}

/// The size of the data of so many records, which `len` bytes have to be.
pub(crate) fn check_len(rec_size: u64, records: u64, len: usize) -> Result<()> {
    if rec_size == 0 || rec_size > VALUE_LEN_MAX as u64 {
        return Err(VosError::Invalid {
            why: format!("a record of {rec_size} bytes; from 1 to {VALUE_LEN_MAX} are allowed"),
        });
    }
    if rec_size.checked_mul(records) == Some(len as u64) {
        return Ok(());
    }
    Err(VosError::Invalid { why: format!("{records} records of {rec_size} bytes do not make {len} bytes") })
}

/// Refuses a read whose extents run too far or whose buffer does not hold them.
///
/// A probe has none.
pub(crate) fn check_bounds(fetch: &ArrayFetch<'_>, is_probe: bool) -> Result<()> {
    if fetch.recxs.is_empty() && fetch.data.is_empty() {
        return Ok(());
    }
    let mut records = 0_u64;
    for recx in fetch.recxs {
        // Extents of a read may overlap.
        records = check_recxs(std::slice::from_ref(recx))?.saturating_add(records);
    }
    if is_probe { Ok(()) } else { check_len(fetch.rec_size, records, fetch.data.len()) }
}

/// Divides holes: class and extent of each.
pub(crate) fn holes(rec_size: u64, recxs: &[Extent]) -> Vec<(u8, Extent)> {
    let mut holes = Vec::new();
    let geometry = Geometry::of(rec_size);
    let chunk = geometry.chunk();
    for recx in recxs {
        let chunks = (recx.end() - 1) / chunk - recx.index / chunk + 1;
        // Without a size of records there is no chunk that a reader would look into.
        if rec_size == 0 || chunks > HOLE_CHUNKS_MAX {
            holes.push((CLASS_FAR, *recx));
            continue;
        }
        holes.extend(
            parts(rec_size, &[*recx])
                .into_iter()
                .map(|part| (geometry.class(part.count), Extent { index: part.index, count: part.count })),
        );
    }
    holes
}

#[cfg(test)]
mod tests {
    use super::*;
    use daos_types::Part;
    use proptest::prelude::*;

    fn recxs() -> impl Strategy<Value = Vec<Extent>> {
        proptest::collection::vec((0..40_u64, 1..30_u64), 1..12).prop_map(|steps| {
            let mut index = 0;
            let place = |(gap, count): (u64, u64)| {
                let recx = Extent { index: index + gap, count };
                index = recx.end();
                recx
            };
            steps.into_iter().map(place).collect()
        })
    }

    proptest! {
        #[test]
        fn parts_hold_what_was_written_in_its_order(recxs in recxs(), rec_size in 1..300_000_u64) {
            let geometry = Geometry::of(rec_size);
            let mut records = Vec::new();
            for part in parts(rec_size, &recxs) {
                prop_assert_eq!(part.from, records.len() as u64);
                prop_assert_eq!(part.index / geometry.chunk(), (part.index + part.span() - 1) / geometry.chunk());
                let class = geometry.class(part.span());
                prop_assert!(class < CLASS_FAR);
                for record in part.index..part.index + part.span() {
                    prop_assert!(geometry.begins_at(class, record) <= part.index);
                }
                for block in 0..part.blocks {
                    records.extend((0..part.count).map(|at| part.index + block * part.stride + at));
                }
            }
            let expected: Vec<u64> = recxs.iter().flat_map(|recx| recx.index..recx.end()).collect();
            prop_assert_eq!(records, expected);
        }
    }

    #[test]
    fn a_regular_list_is_one_part() {
        let recxs: Vec<Extent> = (0..100).map(|at| Extent { index: 5 + at * 16, count: 4 }).collect();
        let parts = parts(8, &recxs);
        assert_eq!(parts, [Part { index: 5, count: 4, blocks: 100, stride: 16, from: 0 }]);
        assert_eq!(super::parts(1, &[Extent { index: 1, count: 2 }, Extent { index: 3, count: 5 }]).len(), 1);
    }

    #[test]
    fn chunks_are_a_mebibyte_and_at_least_a_record() {
        for (rec_size, reach) in [
            (1, [4096, 65_536, 1 << 20]),
            (8, [512, 8192, 131_072]),
            (3, [1024, 16_384, 262_144]),
            (1 << 22, [1, 1, 1]),
        ] {
            assert_eq!(Geometry::of(rec_size).reach, reach);
        }
    }

    #[test]
    fn what_is_no_list_of_extents_is_refused() {
        let list = |extents: &[(u64, u64)]| {
            extents.iter().map(|&(index, count)| Extent { index, count }).collect::<Vec<_>>()
        };
        for wrong in
            [&[][..], &[(1, 0)], &[(INDEX_END, 1)], &[(u64::MAX, 2)], &[(0, 5), (4, 1)], &[(9, 2), (0, 10)]]
        {
            assert!(matches!(check_recxs(&list(wrong)), Err(VosError::Invalid { .. })), "{wrong:?}");
        }
        assert_eq!(check_recxs(&list(&[(9, 2), (0, 9), (INDEX_END - 1, 1)])).unwrap(), 12);
        assert!(check_len(8, 2, 16).is_ok());
        for (rec_size, records, len) in [(0, 1, 0), (8, 2, 15), (u64::MAX, 2, 16), (1 << 31, 1, 1 << 31)] {
            assert!(check_len(rec_size, records, len).is_err());
        }
    }

    #[test]
    fn far_holes_and_those_of_an_array_without_size_stay_whole() {
        let far = Extent { index: 3, count: 1 << 40 };
        assert_eq!(holes(8, &[far]), [(CLASS_FAR, far)]);
        let near = Extent { index: 3, count: 9 };
        assert_eq!(holes(0, &[near]), [(CLASS_FAR, near)]);
        assert_eq!(holes(8, &[near]), [(0, near)]);
        assert_eq!(holes(8, &[Extent { index: 131_071, count: 2 }]).len(), 2);
    }
}
