//! Object ids of a file system.

use crate::errno::Result;
use daos_client::ContainerService;
use daos_locks::Mutex;
use daos_placement::ObjectClass;
use daos_types::{ObjectId, ObjectType};

/// An id of which `lo` is reserved.
const fn reserved(kind: ObjectType, class: ObjectClass, hi: u32) -> ObjectId {
    ObjectId::generate(kind, class.ordinal, class.groups, hi, 0)
}

/// The superblock.
pub(crate) const SUPERBLOCK: ObjectId = reserved(ObjectType::MultiHashed, ObjectClass::S1, 0);
/// Files without a name that are open.
pub(crate) const ORPHANS: ObjectId = reserved(ObjectType::MultiHashed, ObjectClass::S1, 2);
/// What is written to make durable what was written before.
pub(crate) const MARKS: ObjectId = reserved(ObjectType::DkeyUint64, ObjectClass::SX, 3);

/// The root directory, of the class of directories.
pub(crate) const fn root(class: ObjectClass) -> ObjectId {
    reserved(ObjectType::MultiHashed, class, 1)
}

/// The object that has the record of what has several names.
pub(crate) const fn inode(oid: ObjectId) -> ObjectId {
    let class = ObjectClass::S1;
    ObjectId::generate(ObjectType::MultiHashed, class.ordinal, class.groups, oid.hi as u32, oid.lo)
}

/// The name of an orphan.
pub(crate) fn orphan_name(oid: ObjectId) -> Vec<u8> {
    format!("{:016x}{:016x}", oid.hi, oid.lo).into_bytes()
}

/// Gives ids to new objects.
#[derive(Debug, Default)]
pub(crate) struct Allocator {
    /// The number that the container gave, and what is next under it.
    given: Mutex<Option<(u64, u32)>>,
}

impl Allocator {
    /// An id that no other object has. Only the first, and each after 2^32 others, asks the container.
    pub(crate) fn next(
        &self,
        container: &dyn ContainerService,
        kind: ObjectType,
        class: ObjectClass,
    ) -> Result<ObjectId> {
        let mut given = self.given.lock();
        let (lo, hi) = match *given {
            Some(next) => next,
            None => (container.alloc_oids(1)?, 0),
        };
        *given = hi.checked_add(1).map(|next| (lo, next));
        Ok(ObjectId::generate(kind, class.ordinal, class.groups, hi, lo))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_ids_are_daos_s() {
        assert_eq!(SUPERBLOCK, ObjectId { hi: 0x0001_0001_0000_0000, lo: 0 });
        assert_eq!(root(ObjectClass::S1), ObjectId { hi: 0x0001_0001_0000_0001, lo: 0 });
        assert_eq!(ORPHANS, ObjectId { hi: 0x0001_0001_0000_0002, lo: 0 });
        assert_eq!(MARKS, ObjectId { hi: 0x0201_ffff_0000_0003, lo: 0 });
    }

    #[test]
    fn an_inode_object_has_the_numbers_of_its_file() {
        let file = ObjectId::generate(ObjectType::ArrayByte, 1, 8, 7, 9);
        assert_eq!(inode(file), ObjectId { hi: 0x0001_0001_0000_0007, lo: 9 });
        assert_eq!(orphan_name(file), b"0d010008000000070000000000000009");
    }
}
