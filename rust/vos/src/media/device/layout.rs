//! Where things lie on a device, and its superblock: `docs/formats/device.md`. Pure.

use super::super::Roles;

/// Bytes of a superblock, and what everything is aligned to.
pub(super) const BLOCK: u64 = 4096;
/// Where the second copy of the superblock is: not in one page, stripe or block of the file system with the first.
pub(super) const SECOND_COPY: u64 = 64 << 10;
const TABLES: u64 = 128 << 10;
const MAGIC: &[u8; 8] = b"DAOSDEV\0";
const FORMAT: u32 = 1;
/// Bytes of a device at least.
pub const SIZE_MIN: u64 = 64 << 20;
/// And at most.
const SIZE_MAX: u64 = 1 << 60;
const CLUSTER_MIN: u64 = 64 << 10;
const CLUSTER_MAX: u64 = 1 << 20;
const CLUSTERS_MAX: u64 = 1 << 20;
/// So many clusters a device has about, while they are neither too small nor too large.
const CLUSTERS_WANTED: u64 = 4096;
const FILES_MAX: u64 = 16_384;
const FILE_BYTES: u64 = 64;
const RUN_BYTES: u64 = 8;
/// Bytes of the longest name of a system.
pub const SYSTEM_LEN_MAX: usize = 64;
/// Devices that an engine may have.
pub const DEVICES_MAX: u32 = 1024;

/// Why bytes are no superblock, or no table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    /// There is none.
    #[error("nothing of ours")]
    Absent,
    /// A later release wrote it.
    #[error("format {0}")]
    Later(u32),
    /// It was one.
    #[error("{0}")]
    Damaged(&'static str),
}

/// Whose a device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceIdentity {
    /// Of the engine's storage.
    pub uuid: [u8; 16],
    /// The system's name.
    pub system: String,
    /// Which of the engine's devices.
    pub index: u32,
    /// How many it has.
    pub count: u32,
    /// What it holds.
    pub roles: Roles,
}

/// Where things lie on a device of some size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) size: u64,
    pub(super) cluster: u64,
    pub(super) slot: u64,
    pub(super) start: u64,
    pub(super) clusters: u32,
}

impl Geometry {
    /// That of a device with so many bytes; `None` where it is too small.
    pub(super) fn of(size: u64) -> Option<Self> {
        let size = size / BLOCK * BLOCK;
        if !(SIZE_MIN..=SIZE_MAX).contains(&size) {
            return None;
        }
        let mut cluster = (1 << (size / CLUSTERS_WANTED).ilog2()).clamp(CLUSTER_MIN, CLUSTER_MAX);
        while size / cluster > CLUSTERS_MAX {
            cluster *= 2;
        }
        let most = size / cluster;
        let slot = (BLOCK + most * RUN_BYTES + most.min(FILES_MAX) * FILE_BYTES).next_multiple_of(BLOCK);
        let start = (TABLES + 2 * slot).next_multiple_of(SECOND_COPY);
        let clusters = u32::try_from(size.checked_sub(start)? / cluster).ok()?;
        Some(Self { size, cluster, slot, start, clusters })
    }

    /// Where a slot of the table is.
    pub(super) fn slot_at(self, slot: u64) -> u64 {
        TABLES + slot * self.slot
    }

    /// Where a cluster is.
    pub(super) fn cluster_at(self, cluster: u32) -> u64 {
        self.start + u64::from(cluster) * self.cluster
    }

    /// Clusters that so many bytes need.
    pub(super) fn clusters_of(self, bytes: u64) -> u64 {
        bytes.div_ceil(self.cluster)
    }

    /// Bytes that a table may have so that its runs find room, however many there come to be; the rest is for files.
    pub(super) fn bytes_for_files(self) -> u64 {
        self.slot - u64::from(self.clusters) * RUN_BYTES
    }
}

/// What a device says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Superblock {
    pub(super) identity: DeviceIdentity,
    pub(super) geometry: Geometry,
}

impl Superblock {
    pub(super) fn encode(&self) -> Vec<u8> {
        let Self { identity, geometry } = self;
        let mut bytes = Vec::with_capacity(BLOCK as usize);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&u32::from(identity.roles.bits()).to_le_bytes());
        bytes.extend_from_slice(&identity.uuid);
        bytes.extend_from_slice(&identity.index.to_le_bytes());
        bytes.extend_from_slice(&identity.count.to_le_bytes());
        for word in [geometry.size, geometry.cluster, geometry.slot, geometry.start] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&geometry.clusters.to_le_bytes());
        bytes.extend_from_slice(&(identity.system.len() as u32).to_le_bytes());
        bytes.extend_from_slice(identity.system.as_bytes());
        bytes.resize(BLOCK as usize - 4, 0);
        bytes.extend_from_slice(&daos_codec::crc32c(&bytes).to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let mut reader = Reader(bytes);
        if reader.take(8) != Some(MAGIC) {
            return Err(Unreadable::Absent);
        }
        let short = Unreadable::Damaged("it is cut short");
        let (body, sum) = bytes.split_at_checked(BLOCK as usize - 4).ok_or(short.clone())?;
        if sum != daos_codec::crc32c(body).to_le_bytes() {
            return Err(Unreadable::Damaged("its checksum does not fit"));
        }
        let version = reader.u32().ok_or(short.clone())?;
        if version > FORMAT {
            return Err(Unreadable::Later(version));
        }
        let read = |reader: &mut Reader<'_>| -> Option<Self> {
            let roles = Roles::from_bits(u8::try_from(reader.u32()?).ok()?)?;
            let uuid = *reader.take(16)?.first_chunk()?;
            let (index, count) = (reader.u32()?, reader.u32()?);
            let (size, cluster, slot, start) = (reader.u64()?, reader.u64()?, reader.u64()?, reader.u64()?);
            let clusters = reader.u32()?;
            let len = usize::try_from(reader.u32()?).ok()?;
            if version != FORMAT || !(1..=SYSTEM_LEN_MAX).contains(&len) || roles.is_empty() {
                return None;
            }
            let system = std::str::from_utf8(reader.take(len)?).ok()?.to_owned();
            let geometry = Geometry { size, cluster, slot, start, clusters };
            let fits = Geometry::of(size) == Some(geometry) && index < count && count <= DEVICES_MAX;
            fits.then_some(Self { identity: DeviceIdentity { uuid, system, index, count, roles }, geometry })
        };
        read(&mut reader).ok_or(Unreadable::Damaged("it says what cannot be"))
    }
}

/// Takes numbers off the front of bytes.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(head)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take(4)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take(8)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_of_any_size_has_room_for_its_tables_and_not_too_many_clusters() {
        assert_eq!(Geometry::of(SIZE_MIN - BLOCK), None);
        let mut size = SIZE_MIN;
        while size < 1 << 56 {
            let geometry = Geometry::of(size).unwrap();
            let end = geometry.cluster_at(geometry.clusters);
            assert!(end <= size && size - end < geometry.cluster + BLOCK, "{size}: {geometry:?}");
            assert!(u64::from(geometry.clusters) <= CLUSTERS_MAX && geometry.cluster.is_power_of_two());
            assert!(geometry.start - TABLES >= 2 * geometry.slot && geometry.start < size / 16);
            assert!(geometry.bytes_for_files() > 64 * 512);
            size = size * 5 / 3;
        }
        let cluster = |size| Geometry::of(size).unwrap().cluster;
        assert_eq!(cluster(SIZE_MIN), 64 << 10);
        assert_eq!((cluster(1 << 30), cluster(1 << 32), cluster(1 << 40)), (256 << 10, 1 << 20, 1 << 20));
        assert_eq!(cluster(1 << 44), 16 << 20);
    }
}
