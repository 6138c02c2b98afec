//! Repairing what a mount needs, superblock and root, and single entries, as somebody says: what a check cannot know.

use crate::errno::{Errno, Error, Result};
use crate::format::FormatOptions;
use crate::ids;
use crate::mount::{Dfs, Dir, atomically};
use crate::names::{check_name, shown};
use crate::paths::Paths;
use crate::record::{Flags, Kind, LEN_3, LEN_4, MODE_MASK, Record, Time, damaged};
use crate::superblock::{self, AKEYS, LAYOUT, LAYOUT_LINKED, Superblock};
use crate::work::{OWN_DKEY, RECORD_AKEY, Slot, Work};
use daos_client::{ContainerObjects as _, ContainerService};
use daos_types::{
    ArrayFetch, Cond, Durability, Extent, FetchIod, FetchValue, Iod, IodValue, ObjectId, ObjectType,
};
use std::sync::Arc;

/// The akey of where a symbolic link leads.
const LINK_AKEY: &[u8] = b"DFS_SLINK";
/// Objects that are looked at in one page.
const PAGE: usize = 4096;
/// Where fields of a record are.
const MODE_AT: u64 = 0;
const CHUNK_SIZE_AT: u64 = 36;

/// What is to be repaired in an entry.
#[derive(Debug, Clone, Copy, Default)]
pub struct EntryFix {
    /// The size of chunks that it is to have.
    pub chunk_size: Option<u64>,
    /// Whether its kind is to be that of its object.
    pub kind: bool,
}

/// A record, byte by byte, whatever it says.
#[derive(Debug, Clone, Copy)]
struct Raw {
    bytes: [u8; LEN_4],
    len: usize,
}

impl Raw {
    fn u32_at(&self, at: usize) -> u32 {
        self.bytes.get(at..).and_then(<[u8]>::first_chunk).copied().map_or(0, u32::from_le_bytes)
    }

    fn u64_at(&self, at: usize) -> u64 {
        self.bytes.get(at..).and_then(<[u8]>::first_chunk).copied().map_or(0, u64::from_le_bytes)
    }

    fn mode(&self) -> u32 {
        self.u32_at(0)
    }

    fn oid(&self) -> ObjectId {
        ObjectId { lo: self.u64_at(4), hi: self.u64_at(12) }
    }

    fn is_linked(&self) -> bool {
        self.len == LEN_4 && Flags(self.u32_at(LEN_3)).has(Flags::LINKED)
    }

    fn with(mut self, at: u64, data: &[u8]) -> Self {
        let at = at as usize;
        if let Some(field) = self.bytes.get_mut(at..at + data.len()) {
            field.copy_from_slice(data);
        }
        self
    }

    /// Refuses what would be no record still.
    fn check(&self) -> Result<()> {
        let hole = LEN_3..LEN_4;
        let holes = if self.len == LEN_3 { std::slice::from_ref(&hole) } else { &[] };
        Record::decode(&self.bytes, holes).map(|_| ())
    }
}

/// The bytes of the record of a slot. `ENOENT` if there is none, `EIO` if it has gaps.
fn read_raw(work: &Work<'_>, slot: &Slot) -> Result<Raw> {
    let mut bytes = [0; LEN_4];
    let recxs = [Extent { index: 0, count: LEN_4 as u64 }];
    let mut iods = [FetchIod::new(RECORD_AKEY, FetchValue::Array(ArrayFetch::new(&recxs, &mut bytes, 1)))];
    work.object(slot.oid)?.fetch(&slot.dkey, &mut iods, Cond::NONE)?;
    let [FetchIod { value: FetchValue::Array(fetch), .. }] = iods else {
        return Err(damaged("it is no array"));
    };
    let (stored, holes) = (fetch.rec_size, fetch.holes);
    let len = match (stored, &holes[..]) {
        (0, _) => return Err(Error::new(Errno::ENOENT, format!("{} has no record", shown(&slot.dkey)))),
        (1, []) => LEN_4,
        (1, [hole]) if *hole == (LEN_3..LEN_4) => LEN_3,
        _ => return Err(damaged("bytes are missing")),
    };
    Ok(Raw { bytes, len })
}

/// What an entry is by its object, and by what lies beside its record.
fn kind_of(work: &Work<'_>, slot: &Slot, oid: ObjectId) -> Result<Kind> {
    if work.akeys(slot)?.iter().any(|akey| akey == LINK_AKEY) {
        return Ok(Kind::Symlink);
    }
    match oid.object_type() {
        Some(ObjectType::MultiHashed) if oid != ObjectId::default() => Ok(Kind::Directory),
        Some(ObjectType::ArrayByte) => Ok(Kind::File),
        _ => Err(damaged("its object is none of a file system")),
    }
}

fn write_field(work: &Work<'_>, slot: &Slot, at: u64, data: &[u8]) -> Result<()> {
    let recxs = [Extent { index: at, count: data.len() as u64 }];
    let iods = [Iod::new(RECORD_AKEY, IodValue::Array { rec_size: 1, recxs: &recxs, data })];
    Ok(work.object(slot.oid)?.update(&slot.dkey, &iods, Cond::DKEY_UPDATE)?)
}

impl Dfs {
    /// Writes the superblock of a file system that has lost it, or has one that is none, as `options` say; durable at return.
    ///
    /// `EEXIST` if there is one that can be read, `EOPNOTSUPP` if it is one of a version that is not known.
    pub fn fix_superblock(container: &Arc<dyn ContainerService>, options: &FormatOptions) -> Result<()> {
        Self::root_oids(options, container.route().targets())?;
        let look = Work { container: &**container, durability: Durability::Synced, is_atomic: false };
        check_broken(container, &look)?;
        let layout = match stored_layout(&look)? {
            Some(layout) => layout,
            None if has_inodes(&look)? => LAYOUT_LINKED,
            None => LAYOUT,
        };
        let superblock = Superblock {
            layout,
            chunk_size: options.chunk_size.unwrap_or(superblock::CHUNK_SIZE),
            class: options.class,
            directory_class: options.directory_class,
            file_class: options.file_class,
            consistency: options.consistency,
            hints: options.hints.clone(),
        };
        let values = superblock.encode();
        let iods: Vec<Iod<'_>> =
            AKEYS.iter().zip(&values).map(|(akey, value)| Iod::new(akey, IodValue::Single(value))).collect();
        atomically(&**container, Durability::Synced, false, |work| {
            // Somebody else may have been first.
            check_broken(container, work)?;
            Ok(work.object(ids::SUPERBLOCK)?.update(superblock::DKEY, &iods, Cond::NONE)?)
        })
    }

    /// Has the superblock lead to the root directory `root` again, if it does not; durable at return. Tells whether it did not.
    ///
    /// What is in the directory is there as before; owner and permissions of the directory itself are those given.
    pub fn fix_root(
        container: &Arc<dyn ContainerService>,
        root: ObjectId,
        owner: (u32, u32),
        mode: u32,
    ) -> Result<bool> {
        if !is_root(root) {
            let message = format!("{root} is no root directory of a file system");
            return Err(Error::new(Errno::EINVAL, message));
        }
        atomically(&**container, Durability::Synced, false, |work| {
            let slot = Slot::root();
            let found = match work.read(&slot) {
                Ok(found) => found.map(|held| held.record),
                Err(error) if error.is_damage() => None,
                Err(error) => return Err(error),
            };
            if found.is_some_and(|record| record.kind() == Kind::Directory && is_root(record.oid)) {
                return Ok(false);
            }
            let record = Record::new(Kind::Directory, mode, root, owner, Time::now());
            work.replace(&slot, &record, &work.content(&slot)?)?;
            Ok(true)
        })
    }

    /// Repairs the record of an entry, and tells what it is. Nobody else may have the file system mounted.
    ///
    /// `EIO` if it is damaged in another way as well: then nothing is changed.
    pub fn fix_entry(&self, parent: &Dir, name: &[u8], fix: EntryFix) -> Result<Kind> {
        let shared = &*self.shared;
        shared.writable()?;
        check_name(name)?;
        if let Some(chunk_size) = fix.chunk_size {
            superblock::check_chunk_size(chunk_size)?;
        }
        shared.atomically(|work| {
            let entry = Slot::entry(parent.oid(), name);
            let first = read_raw(work, &entry)?;
            let mut slots = vec![(entry, first)];
            if first.is_linked() {
                // Its record has moved; the kind is in both.
                let inode = Slot::inode(first.oid());
                let raw = read_raw(work, &inode)?;
                slots.push((inode, raw));
            }
            let Some((own, raw)) = slots.last() else { return Err(damaged("there is none")) };
            let kind = if fix.kind { Some(kind_of(work, own, raw.oid())?) } else { Kind::of(raw.mode()) };
            let kind = kind.ok_or_else(|| damaged(&format!("a mode of {:#o}", raw.mode())))?;
            if fix.chunk_size.is_some() && kind == Kind::Symlink {
                return Err(Error::new(Errno::EINVAL, "a symbolic link has no chunks"));
            }
            let last = slots.len() - 1;
            let mut changes: Vec<(&Slot, u64, Vec<u8>)> = Vec::new();
            for (index, (slot, raw)) in slots.iter().enumerate() {
                let mut fixed = *raw;
                let mut set = |at: u64, data: Vec<u8>| {
                    fixed = fixed.with(at, &data);
                    changes.push((slot, at, data));
                };
                if fix.kind && Kind::of(raw.mode()) != Some(kind) {
                    set(MODE_AT, (raw.mode() & MODE_MASK | kind.bits()).to_le_bytes().to_vec());
                }
                if let Some(chunk_size) = fix.chunk_size.filter(|_| index == last) {
                    set(CHUNK_SIZE_AT, chunk_size.to_le_bytes().to_vec());
                }
                fixed.check()?;
            }
            for (slot, at, data) in changes {
                write_field(work, slot, at, &data)?;
            }
            Ok(kind)
        })
    }
}

impl Paths {
    /// Repairs the record of what a path leads to; it is not followed if it is a symbolic link. As [`Dfs::fix_entry`].
    pub fn fix_entry(&self, path: &[u8], fix: EntryFix) -> Result<Kind> {
        let end = path.iter().rposition(|byte| *byte != b'/').map_or(0, |last| last + 1);
        let path = path.get(..end).unwrap_or_default();
        let (parent, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(at) => path.split_at(at + 1),
            None => (&b"/"[..], path),
        };
        if name.is_empty() {
            return Err(Error::new(Errno::EINVAL, "the root directory is no entry").hint("fix the root"));
        }
        self.dfs().fix_entry(&self.open_dir(parent)?, name, fix)
    }
}

/// Refuses a file system whose superblock can be read.
fn check_broken(container: &Arc<dyn ContainerService>, work: &Work<'_>) -> Result<()> {
    match crate::mount::read_superblock(work) {
        Ok(_) => {
            let message = format!("the superblock of container {:?} is whole", container.label());
            Err(Error::new(Errno::EEXIST, message))
        }
        Err(error) if error.der.is_none() && matches!(error.errno, Errno::EINVAL | Errno::EIO) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The version of the layout, if that much of the superblock is there.
fn stored_layout(work: &Work<'_>) -> Result<Option<u16>> {
    let mut value: Vec<u8> = Vec::new();
    let mut iods = [FetchIod::new(superblock::LAYOUT_AKEY, FetchValue::Single(&mut value))];
    work.object(ids::SUPERBLOCK)?.fetch(superblock::DKEY, &mut iods, Cond::NONE)?;
    let layout = value[..].try_into().map(u16::from_le_bytes).ok();
    Ok(layout.filter(|layout| (LAYOUT..=LAYOUT_LINKED).contains(layout)))
}

/// Whether there are files of several names, which layout 4 brought.
fn has_inodes(work: &Work<'_>) -> Result<bool> {
    let mut after = None;
    loop {
        let page = work.container.objects(after, PAGE)?;
        for oid in page.oids {
            if oid.lo != 0 && ids::inode(oid) == oid {
                let first = work.object(oid)?.list_dkeys(None, 1, false)?.keys;
                if first.first().is_some_and(|dkey| dkey == OWN_DKEY) {
                    return Ok(true);
                }
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(false);
        }
    }
}

/// Whether an object can be the root directory.
fn is_root(oid: ObjectId) -> bool {
    oid.lo == 0 && oid.hi as u32 == 1 && oid.object_type() == Some(ObjectType::MultiHashed)
}
