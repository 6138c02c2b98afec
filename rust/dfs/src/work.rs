//! What operations are made of: records and objects, read and changed by one way to the store, be that a transaction or not.

use crate::errno::{Errno, Error, Result};
use crate::ids;
use crate::names::{XATTR_PREFIX, shown};
use crate::node::{Node, Place};
use crate::record::{Kind, LEN_4, Record, Stored, damaged};
use daos_client::{Array, ContainerRef, ContainerService, Object, Route};
use daos_types::{
    ArrayFetch, Cond, Der, Durability, Extent, FetchIod, FetchValue, Iod, IodValue, ObjectId, Punched,
    ValueSink,
};
use std::ops::Range;

/// The akey of a record.
pub(crate) const RECORD_AKEY: &[u8] = b"DFS_INODE";
/// The akey of where a symbolic link leads.
const VALUE_AKEY: &[u8] = b"DFS_SLINK";
/// The dkey of the record of an inode object, and of the root in the superblock.
pub(crate) const OWN_DKEY: &[u8] = b"/";
/// All bytes of a record.
pub(crate) const WHOLE: [Extent; 1] = [Extent { index: 0, count: LEN_4 as u64 }];
/// How often one looks again for what goes and comes while one looks.
const AGAIN_MAX: usize = 64;
/// Akeys of an entry that are listed at a time.
const AKEYS_PAGE: usize = 1024;

/// Where a record is: an object and a dkey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) oid: ObjectId,
    pub(crate) dkey: Vec<u8>,
}

impl Slot {
    /// That of an entry.
    pub(crate) fn entry(directory: ObjectId, name: &[u8]) -> Self {
        Self { oid: directory, dkey: name.to_vec() }
    }

    pub(crate) fn root() -> Self {
        Self::entry(ids::SUPERBLOCK, OWN_DKEY)
    }

    /// That of an inode object.
    pub(crate) fn inode(oid: ObjectId) -> Self {
        Self::entry(ids::inode(oid), OWN_DKEY)
    }

    pub(crate) fn orphan(oid: ObjectId) -> Self {
        Self { oid: ids::ORPHANS, dkey: ids::orphan_name(oid) }
    }

    /// Where the record of a node is, or an entry that tells.
    pub(crate) fn of(node: &Node) -> Self {
        match node.place() {
            Place::Root => Self::root(),
            Place::Entry(parent, name) => Self::entry(parent.oid, &name),
            Place::Inode => Self::inode(node.oid),
            Place::Orphan => Self::orphan(node.oid),
        }
    }
}

/// A record as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) record: Record,
    /// Its bytes.
    pub(crate) len: usize,
}

/// A record as it was read: bytes in pieces of a size, 0 for none, and what of them is not there.
pub(crate) fn held(stored: u64, bytes: &[u8; LEN_4], holes: &[Range<usize>]) -> Result<Option<Held>> {
    match stored {
        0 => return Ok(None),
        1 => {}
        size => return Err(damaged(&format!("it consists of pieces of {size} bytes"))),
    }
    Ok(match Record::decode(bytes, holes)? {
        Stored::Absent => None,
        Stored::Found(record, len) => Some(Held { record, len }),
    })
}

/// What a name leads to.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// The entry itself.
    pub(crate) entry: Held,
    /// Where the record is: there, or in an inode object.
    pub(crate) slot: Slot,
    /// The record.
    pub(crate) held: Held,
}

impl Found {
    pub(crate) fn kind(&self) -> Kind {
        self.held.record.kind()
    }

    pub(crate) fn oid(&self) -> ObjectId {
        self.entry.record.oid
    }
}

/// What lies beside a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Content {
    /// Akeys and their single values.
    pub(crate) values: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Content {
    /// Of a symbolic link.
    pub(crate) fn of_link(value: &[u8]) -> Self {
        Self { values: vec![(VALUE_AKEY.to_vec(), value.to_vec())] }
    }

    fn has(&self, akey: &[u8]) -> bool {
        self.values.iter().any(|(known, _)| known == akey)
    }
}

/// A single value that may not be there.
#[derive(Debug, Default)]
struct Noted(Option<Vec<u8>>);

impl ValueSink for Noted {
    fn put(&mut self, value: &[u8]) {
        self.0 = Some(value.to_vec());
    }

    fn room(&mut self, len: usize) -> Option<&mut [u8]> {
        Some(self.0.insert(vec![0; len]))
    }

    fn last(&self, len: usize) -> Option<&[u8]> {
        self.0.as_deref().filter(|value| value.len() == len)
    }
}

/// One way to the store.
#[derive(Debug)]
pub(crate) struct Work<'a> {
    pub(crate) container: &'a dyn ContainerService,
    pub(crate) durability: Durability,
    /// All of it happens, or nothing.
    pub(crate) is_atomic: bool,
}

impl Work<'_> {
    fn by_ref(&self) -> ContainerRef {
        ContainerRef { id: self.container.uuid(), checksums: self.container.checksums() }
    }

    /// An object; nothing is stored or looked up by this.
    pub(crate) fn object(&self, oid: ObjectId) -> Result<Object<dyn Route>> {
        let (route, epoch) = (self.container.route(), self.container.epoch());
        Ok(Object::open(route, self.by_ref(), oid, self.durability, epoch)?)
    }

    /// The bytes of a file.
    pub(crate) fn array(&self, oid: ObjectId, chunk_size: u64) -> Result<Array<dyn Route>> {
        let (route, epoch) = (self.container.route(), self.container.epoch());
        let array = Array::open_with_attr(route, self.by_ref(), oid, self.durability, epoch, 1, chunk_size);
        array.map_err(|error| damaged(&format!("the array cannot be opened: {}", error.message)))
    }

    /// The record of a slot, and where a symbolic link leads, if it is one.
    pub(crate) fn read_link(&self, slot: &Slot) -> Result<Option<(Held, Vec<u8>)>> {
        self.read_both(slot, true)
    }

    /// The record of a slot, and, if that is wanted, where a symbolic link leads.
    fn read_both(&self, slot: &Slot, with_link: bool) -> Result<Option<(Held, Vec<u8>)>> {
        let mut bytes = [0; LEN_4];
        let mut value: Vec<u8> = Vec::new();
        let mut iods = [
            FetchIod::new(RECORD_AKEY, FetchValue::Array(ArrayFetch::new(&WHOLE, &mut bytes, 1))),
            FetchIod::new(VALUE_AKEY, FetchValue::Single(&mut value)),
        ];
        let asked = if with_link { 2 } else { 1 };
        let fetched = match iods.get_mut(..asked) {
            Some(asked) => self.object(slot.oid)?.fetch(&slot.dkey, asked, Cond::NONE),
            None => return Ok(None),
        };
        let [FetchIod { value: FetchValue::Array(fetch), .. }, _] = iods else { return Ok(None) };
        let (stored, holes) = (fetch.rec_size, fetch.holes);
        fetched?;
        Ok(held(stored, &bytes, &holes)?.map(|held| (held, value)))
    }

    /// The record of a slot.
    pub(crate) fn read(&self, slot: &Slot) -> Result<Option<Held>> {
        Ok(self.read_both(slot, false)?.map(|(held, _)| held))
    }

    /// The record of a slot, and the value of an akey beside it, both as of one moment.
    pub(crate) fn read_beside(&self, slot: &Slot, akey: &[u8]) -> Result<Option<(Held, Option<Vec<u8>>)>> {
        let (mut bytes, mut value) = ([0; LEN_4], Noted::default());
        let mut iods = [
            FetchIod::new(RECORD_AKEY, FetchValue::Array(ArrayFetch::new(&WHOLE, &mut bytes, 1))),
            FetchIod::new(akey, FetchValue::Single(&mut value)),
        ];
        let fetched = self.object(slot.oid)?.fetch(&slot.dkey, &mut iods, Cond::NONE);
        let [FetchIod { value: FetchValue::Array(fetch), .. }, _] = iods else { return Ok(None) };
        let (stored, holes) = (fetch.rec_size, fetch.holes);
        fetched?;
        Ok(held(stored, &bytes, &holes)?.map(|held| (held, value.0)))
    }

    /// What an entry leads to, and where that leads, if it is a symbolic link.
    pub(crate) fn find_link(&self, slot: &Slot) -> Result<Option<(Found, Vec<u8>)>> {
        self.find_both(slot, true)
    }

    fn find_both(&self, slot: &Slot, with_link: bool) -> Result<Option<(Found, Vec<u8>)>> {
        let mut before: Option<Held> = None;
        for _ in 0..AGAIN_MAX {
            let Some((entry, value)) = self.read_both(slot, with_link)? else { return Ok(None) };
            if !entry.record.is_linked() {
                return Ok(Some((Found { entry, slot: slot.clone(), held: entry }, value)));
            }
            let inode = Slot::inode(entry.record.oid);
            match self.read_both(&inode, with_link)? {
                Some((held, value)) if held.record.oid == entry.record.oid => {
                    if held.record.kind() != entry.record.kind() {
                        break;
                    }
                    return Ok(Some((Found { entry, slot: inode, held }, value)));
                }
                // It went between the two looks, and then so did the entry; or it was gone before, and the entry is damaged.
                _ if self.is_atomic || before == Some(entry) => break,
                _ => before = Some(entry),
            }
        }
        Err(damaged(&format!("{} leads to an inode that is not there", shown(&slot.dkey))))
    }

    /// What an entry leads to.
    pub(crate) fn find(&self, slot: &Slot) -> Result<Option<Found>> {
        Ok(self.find_both(slot, false)?.map(|(found, _)| found))
    }

    /// The record of what is open. `ESTALE` if it is not where this mount knows it to be.
    pub(crate) fn locate(&self, node: &Node) -> Result<Found> {
        let stale = || {
            Error::new(Errno::ESTALE, "its name was changed or removed by another mount")
                .hint("look it up again")
        };
        let is_it = |found: &Found| found.oid() == node.oid && found.kind() == node.kind;
        let found = match self.find(&Slot::of(node))?.filter(is_it) {
            Some(found) => found,
            None if node.kind == Kind::Directory => return Err(stale()),
            // Another mount may have given it further names before the one that is known went.
            None => {
                let slot = Slot::inode(node.oid);
                let held = self.read(&slot)?.ok_or_else(stale)?;
                let entry = Held { record: Record::leading_to(held.record.mode, node.oid), len: LEN_4 };
                Some(Found { entry, slot, held }).filter(is_it).ok_or_else(stale)?
            }
        };
        if found.entry.record.is_linked() {
            node.has_names();
        }
        Ok(found)
    }

    /// What lies beside a record.
    pub(crate) fn content(&self, slot: &Slot) -> Result<Content> {
        let object = self.object(slot.oid)?;
        let akeys = self.akeys(slot)?;
        let mut values: Vec<Vec<u8>> = vec![Vec::new(); akeys.len()];
        let mut iods: Vec<FetchIod<'_>> = akeys
            .iter()
            .zip(&mut values)
            .map(|(akey, value)| FetchIod::new(akey, FetchValue::Single(value)))
            .collect();
        if !iods.is_empty() {
            object.fetch(&slot.dkey, &mut iods, Cond::NONE)?;
        }
        drop(iods);
        Ok(Content { values: akeys.into_iter().zip(values).collect() })
    }

    /// The akeys beside a record.
    pub(crate) fn akeys(&self, slot: &Slot) -> Result<Vec<Vec<u8>>> {
        let object = self.object(slot.oid)?;
        let (mut akeys, mut anchor): (Vec<Vec<u8>>, Option<Vec<u8>>) = (Vec::new(), None);
        loop {
            let page = object.list_akeys(&slot.dkey, anchor.as_deref(), AKEYS_PAGE, false)?;
            akeys.extend(
                page.keys.into_iter().filter(|akey| akey == VALUE_AKEY || akey.starts_with(XATTR_PREFIX)),
            );
            anchor = page.anchor;
            if anchor.is_none() {
                return Ok(akeys);
            }
        }
    }

    /// Stores a record and what lies beside it, under a name that must be free.
    pub(crate) fn insert(&self, slot: &Slot, record: &Record, content: &Content) -> Result<()> {
        self.put(slot, record, content, Cond::DKEY_INSERT).map_err(|error| {
            error.meaning(Der::Exist, Errno::EEXIST, || format!("{} is there", shown(&slot.dkey)))
        })
    }

    fn put(&self, slot: &Slot, record: &Record, content: &Content, cond: Cond) -> Result<()> {
        let data = &record.encode();
        let mut iods = vec![Iod::new(RECORD_AKEY, IodValue::Array { rec_size: 1, recxs: &WHOLE, data })];
        iods.extend(content.values.iter().map(|(akey, value)| Iod::new(akey, IodValue::Single(value))));
        Ok(self.object(slot.oid)?.update(&slot.dkey, &iods, cond)?)
    }

    /// Makes of whatever is in a slot this: a record and what lies beside it.
    pub(crate) fn replace(&self, slot: &Slot, record: &Record, content: &Content) -> Result<()> {
        let stale: Vec<Vec<u8>> = self.akeys(slot)?.into_iter().filter(|akey| !content.has(akey)).collect();
        self.put(slot, record, content, Cond::NONE)?;
        self.remove_akeys(slot, &stale)
    }

    /// Changes a record, and values beside it, in one change, unless the entry has gone: half a record is none.
    ///
    /// In a transaction all of the record is written: one extent, below which no reader has to look. Without one only what differs
    /// is: another mount may change the rest at the same time.
    pub(crate) fn patch(&self, slot: &Slot, old: &Held, new: &Record, values: &[Iod<'_>]) -> Result<()> {
        let (recxs, data) = if !self.is_atomic {
            new.patch(&old.record, old.len)
        } else if *new == old.record && old.len == LEN_4 {
            Default::default()
        } else {
            (WHOLE.to_vec(), new.encode().to_vec())
        };
        let mut iods = Vec::with_capacity(1 + values.len());
        if !recxs.is_empty() {
            iods.push(Iod::new(RECORD_AKEY, IodValue::Array { rec_size: 1, recxs: &recxs, data: &data }));
        }
        iods.extend(values);
        if iods.is_empty() {
            return Ok(());
        }
        Ok(self.object(slot.oid)?.update(&slot.dkey, &iods, Cond::PER_AKEY | Cond::DKEY_UPDATE)?)
    }

    /// Removes akeys beside a record.
    pub(crate) fn remove_akeys(&self, slot: &Slot, akeys: &[Vec<u8>]) -> Result<()> {
        if akeys.is_empty() {
            return Ok(());
        }
        let akeys: Vec<&[u8]> = akeys.iter().map(|akey| &akey[..]).collect();
        Ok(self.object(slot.oid)?.punch(Punched::Akeys(&slot.dkey, &akeys), Cond::NONE)?)
    }

    /// Removes a record with all that lies beside it. `ENOENT` if nothing is there.
    pub(crate) fn remove(&self, slot: &Slot) -> Result<()> {
        let punched = self.object(slot.oid)?.punch(Punched::Dkey(&slot.dkey), Cond::PUNCH);
        punched.map_err(|error| {
            Error::from(error)
                .meaning(Der::Nonexist, Errno::ENOENT, || format!("there is no {}", shown(&slot.dkey)))
        })
    }

    /// The same of an entry that was found by this work: a transaction makes sure by itself that it still is when it commits.
    pub(crate) fn remove_found(&self, slot: &Slot) -> Result<()> {
        if !self.is_atomic {
            return self.remove(slot);
        }
        Ok(self.object(slot.oid)?.punch(Punched::Dkey(&slot.dkey), Cond::NONE)?)
    }

    /// Removes an object with all that is in it.
    pub(crate) fn remove_object(&self, oid: ObjectId) -> Result<()> {
        Ok(self.object(oid)?.punch(Punched::Object, Cond::NONE)?)
    }

    /// Whether a directory has no entries.
    pub(crate) fn is_empty(&self, directory: ObjectId) -> Result<bool> {
        Ok(self.object(directory)?.list_dkeys(None, 1, false)?.keys.is_empty())
    }
}
