//! Layouts: which target holds which shard of an object, and which shard a dkey belongs to.

use daos_types::{ObjectId, ShardIdx, TargetIdx};
use twox_hash::XxHash3_64;

/// Where an object's shards are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    targets: Vec<TargetIdx>,
}

/// The hash that spreads dkeys over an object's groups.
pub fn dkey_hash(dkey: &[u8]) -> u64 {
    XxHash3_64::oneshot(dkey)
}

/// Jump consistent hash: the bucket of a key among `buckets`, of which few change when the count grows.
///
/// Source: Lamping and Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm", 2014.
fn jump(mut key: u64, buckets: u32) -> u32 {
    let (mut bucket, mut next) = (0_u64, 0_u64);
    while next < u64::from(buckets) {
        bucket = next;
        key = key.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        // The paper's floating-point step, in integers: (bucket + 1) * 2^31 / ((key >> 33) + 1).
        next = ((bucket + 1) << 31) / ((key >> 33) + 1);
    }
    bucket as u32
}

impl Layout {
    /// The layout of an object without redundancy over the targets of one rank: its groups sit on neighbouring targets
    /// from a place that its id decides.
    pub fn local(oid: ObjectId, targets: u32) -> Self {
        let targets = targets.max(1);
        let groups = u32::from(oid.groups()).clamp(1, targets);
        let first = jump(XxHash3_64::oneshot(&oid.to_be_bytes()), targets);
        Self { targets: (0..groups).map(|group| TargetIdx((first + group) % targets)).collect() }
    }

    /// The object's shards, in order.
    pub fn shards(&self) -> impl Iterator<Item = (ShardIdx, TargetIdx)> {
        self.targets.iter().enumerate().map(|(shard, target)| (ShardIdx(shard as u32), *target))
    }

    /// The shard of a dkey and where it is.
    pub fn of_dkey(&self, dkey: &[u8]) -> (ShardIdx, TargetIdx) {
        if let [only] = self.targets[..] {
            return (ShardIdx(0), only);
        }
        let shard = jump(dkey_hash(dkey), self.targets.len() as u32);
        (ShardIdx(shard), self.targets.get(shard as usize).copied().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use daos_types::ObjectType;

    fn oid(groups: u16, lo: u64) -> ObjectId {
        ObjectId::generate(ObjectType::KvHashed, 1, groups, 0, lo)
    }

    #[test]
    fn shards_sit_on_different_targets_and_objects_spread() {
        let mut load = [0; 8];
        for lo in 0..8_000 {
            let layout = Layout::local(oid(3, lo), 8);
            let targets: Vec<u32> = layout.shards().map(|(_, target)| target.0).collect();
            assert_eq!(targets.iter().collect::<std::collections::BTreeSet<_>>().len(), 3);
            for target in &targets {
                load[*target as usize] += 1;
            }
        }
        assert!(load.iter().all(|count| (2_700..3_300).contains(count)), "{load:?}");
    }

    #[test]
    fn dkeys_spread_over_the_groups() {
        let layout = Layout::local(oid(4, 1), 4);
        let mut load = [0; 4];
        for dkey in 0..4_000_u64 {
            load[layout.of_dkey(&dkey.to_le_bytes()).0.0 as usize] += 1;
        }
        assert!(load.iter().all(|count| (850..1_150).contains(count)), "{load:?}");
        assert_eq!(Layout::local(oid(1, 1), 1).of_dkey(b"x"), (ShardIdx(0), TargetIdx(0)));
    }

    #[test]
    fn growth_moves_few() {
        let moved = (0..10_000_u64)
            .map(|key| key.wrapping_mul(0x9E37_79B9_7F4A_7C15))
            .filter(|key| jump(*key, 10) != jump(*key, 11));
        let moved = moved.count();
        assert!((700..1_150).contains(&moved), "{moved}");
    }
}
