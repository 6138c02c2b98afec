//! What there is: all objects of a snapshot, and all that has names.

use super::Finding;
use crate::errno::Result;
use crate::ids;
use crate::mount::Shared;
use crate::names::check_name;
use crate::record::{Flags, Kind, Record};
use crate::work::{Held, OWN_DKEY, Slot, Work};
use daos_client::{ContainerObjects as _, ContainerService};
use daos_types::{ObjectId, ObjectType};
use std::collections::{BTreeMap, HashMap, HashSet, hash_map};

/// Objects, or names, that are looked at in one page.
const PAGE: usize = 4096;

/// A name: the directory it is in, and it.
pub(super) type Name = (ObjectId, Vec<u8>);

/// What has names, and is no directory.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) kind: Kind,
    /// Its names, whether each is marked as one of several, and the record that is in it.
    pub(super) names: Vec<(Name, bool, Held)>,
    /// Its record in an inode object, if there is one.
    pub(super) inode: Option<Record>,
}

/// What a walk found.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// Directories, and where each is; the root is nowhere.
    pub(super) directories: HashMap<ObjectId, Option<Name>>,
    pub(super) named: HashMap<ObjectId, Named>,
    pub(super) symlinks: u64,
    pub(super) findings: Vec<Finding>,
    /// Entries that nothing can be made of.
    pub(super) broken: Vec<Slot>,
}

impl Walked {
    pub(super) fn path(&self, (mut directory, name): (ObjectId, &[u8])) -> Vec<u8> {
        let mut parts: Vec<&[u8]> = vec![name];
        while let Some(Some((above, name))) = self.directories.get(&directory) {
            parts.push(name);
            directory = *above;
        }
        parts.iter().rev().flat_map(|part| [b"/", *part].concat()).collect()
    }

    fn path_of(&self, oid: ObjectId) -> Vec<u8> {
        match self.directories.get(&oid) {
            Some(Some((above, name))) => self.path((*above, name)),
            _ => b"/".to_vec(),
        }
    }

    /// Walks all that is below a directory. Directories it comes to a second time are told, and not walked again.
    fn walk(&mut self, work: &Work<'_>, top: ObjectId) -> Result<()> {
        let mut left = vec![top];
        while let Some(directory) = left.pop() {
            let object = work.object(directory)?;
            let mut anchor: Option<Vec<u8>> = None;
            loop {
                let page = object.list_dkeys(anchor.as_deref(), PAGE, false)?;
                for name in page.keys {
                    self.entry(work, (directory, name), &mut left)?;
                }
                anchor = page.anchor;
                if anchor.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }

    fn entry(&mut self, work: &Work<'_>, name: Name, left: &mut Vec<ObjectId>) -> Result<()> {
        let slot = Slot::entry(name.0, &name.1);
        let entry = match work.read_link(&slot) {
            Ok(Some((entry, _))) => entry,
            Ok(None) => {
                self.broken(slot, "it has no record");
                return Ok(());
            }
            // What the store could not read is no damage of the tree.
            Err(error) if error.is_damage() => {
                self.broken(slot, &error.message);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if check_name(&name.1).is_err() {
            {
                self.broken(slot, "no entry can have this name");
                return Ok(());
            }
        }
        let (oid, kind, is_linked) = (entry.record.oid, entry.record.kind(), entry.record.is_linked());
        if kind == Kind::Directory {
            if oid.object_type() != Some(ObjectType::MultiHashed) || is_linked {
                {
                    self.broken(slot, "its object is no directory");
                    return Ok(());
                }
            }
            match self.directories.get(&oid) {
                None => {
                    self.directories.insert(oid, Some(name));
                    left.push(oid);
                }
                Some(_) => {
                    let (first, path) = (self.path_of(oid), self.path((name.0, &name.1)));
                    self.findings.push(Finding::SecondName { first, path });
                    self.broken.push(slot);
                }
            }
            return Ok(());
        }
        self.symlinks += u64::from(kind == Kind::Symlink);
        if kind == Kind::Symlink && !is_linked {
            return Ok(());
        }
        if oid.object_type() != Some(ObjectType::ArrayByte) {
            {
                self.broken(slot, "its object is no file");
                return Ok(());
            }
        }
        let named = match self.named.entry(oid) {
            hash_map::Entry::Occupied(known) => known.into_mut(),
            hash_map::Entry::Vacant(free) => {
                let inode = match work.read(&Slot::inode(oid)) {
                    Err(error) if error.is_damage() => None,
                    read => read?.map(|held| held.record),
                };
                free.insert(Named { kind, names: Vec::new(), inode })
            }
        };
        named.names.push((name, is_linked, entry));
        Ok(())
    }

    fn broken(&mut self, slot: Slot, why: &str) {
        let path = self.path((slot.oid, &slot.dkey));
        self.findings.push(Finding::Damaged { path, why: why.to_owned() });
        self.broken.push(slot);
    }
}

/// What has to be done to what has names, where something is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wrong {
    /// Its number of names.
    Links,
    /// Names that do not know of each other.
    Unconnected,
    /// No record.
    Dangling,
}

impl Named {
    pub(super) fn wrong(&self) -> Option<Wrong> {
        let linked = self.names.iter().filter(|(_, is_linked, _)| *is_linked).count();
        if self.names.is_empty() {
            return None;
        }
        match &self.inode {
            _ if linked == 0 && self.names.len() == 1 => None,
            None if linked == self.names.len() => Some(Wrong::Dangling),
            Some(inode) if linked == self.names.len() => {
                let right = inode.links as usize == linked && !inode.flags.has(Flags::UNCERTAIN);
                (!right).then_some(Wrong::Links)
            }
            _ => Some(Wrong::Unconnected),
        }
    }

    /// Whether its inode object is that of something with several names.
    fn uses_inode(&self) -> bool {
        self.names.len() > 1 || self.names.iter().any(|(_, is_linked, _)| *is_linked)
    }
}

/// What was found, before anything is done about it.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) tree: Walked,
    /// Files without names: the entry among the orphans, and whether the file has a name in spite of it.
    pub(super) orphans: Vec<(Slot, ObjectId, bool)>,
    /// Arrays, directories, inode objects and others to which nothing leads.
    pub(super) files: Vec<ObjectId>,
    pub(super) directories: BTreeMap<ObjectId, Vec<ObjectId>>,
    pub(super) inodes: Vec<ObjectId>,
    pub(super) others: Vec<ObjectId>,
    /// What was found below directories that nothing leads to.
    pub(super) below: Walked,
}

impl Shared {
    /// Looks at all objects of a snapshot, and at all that has names.
    pub(super) fn examine(&self, view: &dyn ContainerService) -> Result<Found> {
        let work = Work { container: view, durability: self.durability, is_atomic: false };
        let mut found = Found::default();
        found.tree.directories.insert(self.root.oid, None);
        found.tree.walk(&work, self.root.oid)?;
        examine_orphans(&work, &mut found)?;
        let reserved = [ids::SUPERBLOCK, self.root.oid, ids::ORPHANS, ids::MARKS];
        let orphans: HashSet<ObjectId> = found.orphans.iter().map(|(_, oid, _)| *oid).collect();
        // What this mount has open is where it belongs.
        let open: HashSet<ObjectId> = self.table.all().iter().map(|node| node.oid).collect();
        found.orphans.retain(|(_, oid, _)| !open.contains(oid));
        let mut inodes: HashSet<ObjectId> = orphans.iter().chain(&open).map(|oid| ids::inode(*oid)).collect();
        let named = found.tree.named.iter().filter(|(_, named)| named.uses_inode());
        inodes.extend(named.map(|(oid, _)| ids::inode(*oid)));
        let mut after = None;
        loop {
            let page = view.objects(after, PAGE)?;
            for oid in page.oids {
                let known = reserved.contains(&oid)
                    || found.tree.directories.contains_key(&oid)
                    || found.tree.named.contains_key(&oid)
                    || orphans.contains(&oid)
                    || open.contains(&oid)
                    || inodes.contains(&oid);
                if !known {
                    examine_leaked(&work, oid, &mut found)?;
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        // What is below directories that nothing leads to.
        let leaked: Vec<ObjectId> = found.directories.keys().copied().collect();
        for directory in leaked {
            let mut below = Walked::default();
            let mut children = Vec::new();
            let object = work.object(directory)?;
            let mut anchor: Option<Vec<u8>> = None;
            loop {
                let page = object.list_dkeys(anchor.as_deref(), PAGE, false)?;
                for name in page.keys {
                    below.entry(&work, (directory, name), &mut children)?;
                }
                anchor = page.anchor;
                if anchor.is_none() {
                    break;
                }
            }
            found.directories.insert(directory, children);
            for (oid, named) in below.named {
                match found.below.named.get_mut(&oid) {
                    Some(known) => known.names.extend(named.names),
                    None => drop(found.below.named.insert(oid, named)),
                }
            }
        }
        Ok(found)
    }
}

/// What is among the orphans.
fn examine_orphans(work: &Work<'_>, found: &mut Found) -> Result<()> {
    let object = work.object(ids::ORPHANS)?;
    let mut anchor: Option<Vec<u8>> = None;
    loop {
        let page = object.list_dkeys(anchor.as_deref(), PAGE, false)?;
        for name in page.keys {
            let slot = Slot { oid: ids::ORPHANS, dkey: name };
            let oid = match work.read(&slot) {
                Ok(Some(held)) => held.record.oid,
                Ok(None) => ObjectId::default(),
                Err(error) if error.is_damage() => ObjectId::default(),
                Err(error) => return Err(error),
            };
            let is_named = oid == ObjectId::default() || found.tree.named.contains_key(&oid);
            found.orphans.push((slot, oid, is_named));
        }
        anchor = page.anchor;
        if anchor.is_none() {
            return Ok(());
        }
    }
}

/// What an object is that nothing leads to.
fn examine_leaked(work: &Work<'_>, oid: ObjectId, found: &mut Found) -> Result<()> {
    match oid.object_type() {
        Some(ObjectType::ArrayByte) => found.files.push(oid),
        Some(ObjectType::MultiHashed) => {
            let first = work.object(oid)?.list_dkeys(None, 1, false)?.keys;
            if first.first().is_some_and(|dkey| dkey == OWN_DKEY) {
                found.inodes.push(oid);
            } else {
                found.directories.insert(oid, Vec::new());
            }
        }
        _ => found.others.push(oid),
    }
    Ok(())
}
