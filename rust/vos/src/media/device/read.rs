//! What a device says of itself, read and mended.

use super::super::{MediaError, MediaFile};
use super::DeviceError;
use super::layout::{BLOCK, Geometry, SECOND_COPY, Superblock, Unreadable};
use super::table::Table;
use std::io::IoSlice;

/// Reads the superblock of a device, from either copy.
pub(super) fn read_superblock(device: &dyn MediaFile) -> std::result::Result<Superblock, DeviceError> {
    let mut found: Option<Superblock> = None;
    let mut damage = None;
    for offset in [0, SECOND_COPY] {
        let mut block = vec![0; BLOCK as usize];
        match device.read_at(offset, &mut block) {
            Ok(()) => {}
            Err(MediaError::Short { .. }) => continue,
            Err(error) => return Err(error.into()),
        }
        match (Superblock::decode(&block), &found) {
            (Ok(superblock), Some(first)) if *first != superblock => {
                return Err(DeviceError::Damaged("its superblocks differ".to_owned()));
            }
            (Ok(superblock), _) => found = Some(superblock),
            (Err(Unreadable::Later(version)), _) => return Err(DeviceError::Later(version)),
            (Err(Unreadable::Damaged(why)), _) => damage = Some(why),
            (Err(Unreadable::Absent), _) => {}
        }
    }
    match (found, damage) {
        (Some(superblock), _) => Ok(superblock),
        (None, Some(why)) => Err(DeviceError::Damaged(format!("its superblock: {why}"))),
        (None, None) => Err(DeviceError::Foreign),
    }
}

/// Reads the table, and has both slots say it, durably, before anything else is written.
pub(super) fn read_table(
    device: &dyn MediaFile,
    uuid: [u8; 16],
    geometry: Geometry,
) -> std::result::Result<Table, DeviceError> {
    let read = |slot| -> std::result::Result<std::result::Result<Table, Unreadable>, DeviceError> {
        let at = geometry.slot_at(slot);
        let mut bytes = vec![0; BLOCK as usize];
        device.read_at(at, &mut bytes)?;
        let Some(len) = Table::len_of(&bytes, geometry) else { return Ok(Err(Unreadable::Absent)) };
        bytes.resize(len, 0);
        device.read_at(at, &mut bytes)?;
        Ok(Table::decode(&bytes, uuid, geometry))
    };
    // Which slot may be written first: not one that is all there is, be it that the other is older on the device than it seems.
    let (table, order) = match (read(0)?, read(1)?) {
        (Ok(first), Ok(second)) if first.generation == second.generation => {
            if first != second {
                return Err(DeviceError::Damaged("its tables differ".to_owned()));
            }
            (first, [0, 1])
        }
        (Ok(first), Ok(second)) if first.generation < second.generation => (second, [1, 0]),
        (Ok(first), Ok(_)) => (first, [0, 1]),
        (Ok(first), Err(_)) => (first, [1, 0]),
        (Err(_), Ok(second)) => (second, [0, 1]),
        (Err(why), Err(_)) => return Err(DeviceError::Damaged(format!("its tables: {why}"))),
    };
    // What was read may lie in the page cache only, after a process that died or a write-back that failed.
    device.sync()?;
    let bytes = table.encode(uuid);
    for slot in order {
        device.write_at_durable(geometry.slot_at(slot), &[IoSlice::new(&bytes)])?;
    }
    Ok(table)
}
