//! Looking for what crashes and others' mounts can leave, and repairing it.

use crate::errno::{Errno, Error, Result};
use crate::ids;
use crate::mount::{Dfs, Dir, Shared};
use crate::names::check_name;
use crate::record::{Flags, Kind, Record, Time};
use crate::superblock::{self, LAYOUT_LINKED};
use crate::work::{Content, Held, OWN_DKEY, Slot, Work};
use daos_client::{ContainerObjects as _, ContainerService};
use daos_types::{Cond, Epoch, Iod, IodValue, ObjectId, ObjectType};
use std::collections::{BTreeMap, HashMap, HashSet, hash_map};
use std::sync::atomic::Ordering;

/// Objects, or names, that are looked at in one page.
const PAGE: usize = 4096;
/// The directory below the root that has what is found.
const LOST_AND_FOUND: &[u8] = b"lost+found";

/// What is done about what is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CheckMode {
    /// Nothing.
    #[default]
    Print,
    /// What is wrong is repaired, what has no name removed.
    Remove,
    /// What is wrong is repaired, what has no name gets one below `/lost+found`.
    Relink,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// An object that nothing leads to.
    Leaked {
        /// Which.
        oid: ObjectId,
        /// What it is; `None` for what no file system makes.
        kind: Option<Kind>,
    },
    /// The record of something that had several names, to which none leads.
    LeakedInode {
        /// Which object.
        oid: ObjectId,
    },
    /// A file without a name that was open when its mount ended.
    Orphan {
        /// Which.
        oid: ObjectId,
    },
    /// A file says that it has another number of names than it has, or that this is uncertain.
    Links {
        /// One of its names.
        path: Vec<u8>,
        /// How many it says.
        stored: u32,
        /// How many there are.
        counted: u32,
    },
    /// A file has several names that do not know of each other.
    SeveralNames {
        /// They.
        paths: Vec<Vec<u8>>,
    },
    /// A directory has a second name.
    SecondName {
        /// The one that it has in the order of the walk.
        first: Vec<u8>,
        /// The other.
        path: Vec<u8>,
    },
    /// A name leads to a record that is not there.
    Dangling {
        /// The name.
        path: Vec<u8>,
    },
    /// An entry without a record that can be read.
    Damaged {
        /// Its name.
        path: Vec<u8>,
        /// What is wrong.
        why: String,
    },
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Directories that have names, the root among them.
    pub directories: u64,
    /// Names of files.
    pub files: u64,
    /// Names of symbolic links.
    pub symlinks: u64,
    /// What is wrong, in the same order each time.
    pub findings: Vec<Finding>,
    /// How many of them were repaired.
    pub repaired: usize,
}

/// Whether something is wrong with what was read, and not with reading it.
fn is_damage(error: &Error) -> bool {
    error.errno == Errno::EIO && error.der.is_none()
}

/// A name: the directory it is in, and it.
type Name = (ObjectId, Vec<u8>);

/// What has names, and is no directory.
#[derive(Debug)]
struct Named {
    kind: Kind,
    /// Its names, whether each is marked as one of several, and the record that is in it.
    names: Vec<(Name, bool, Held)>,
    /// Its record in an inode object, if there is one.
    inode: Option<Record>,
}

/// What a walk found.
#[derive(Debug, Default)]
struct Walked {
    /// Directories, and where each is; the root is nowhere.
    directories: HashMap<ObjectId, Option<Name>>,
    named: HashMap<ObjectId, Named>,
    symlinks: u64,
    findings: Vec<Finding>,
    /// Entries that nothing can be made of.
    broken: Vec<Slot>,
}

impl Walked {
    fn path(&self, (mut directory, name): (ObjectId, &[u8])) -> Vec<u8> {
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
            Err(error) if is_damage(&error) => {
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
                    Err(error) if is_damage(&error) => None,
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
enum Wrong {
    /// Its number of names.
    Links,
    /// Names that do not know of each other.
    Unconnected,
    /// No record.
    Dangling,
}

impl Named {
    fn wrong(&self) -> Option<Wrong> {
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

/// A moment as directories below `/lost+found` are called.
fn stamp(time: Time) -> String {
    let (days, second) = (time.seconds.div_euclid(86_400), time.seconds.rem_euclid(86_400));
    // Source: "chrono-Compatible Low-Level Date Algorithms", H. Hinnant: civil dates of days, with years that begin in March.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}-{hour:02}:{minute:02}:{second:02}")
}

/// Of directories that nothing leads to, those that have to be named so that all of them have names.
fn tops(leaked: &BTreeMap<ObjectId, Vec<ObjectId>>) -> Vec<ObjectId> {
    let mut reached: HashSet<ObjectId> = HashSet::new();
    let mut reach = |top: ObjectId| {
        let mut left = vec![top];
        let mut news = false;
        while let Some(oid) = left.pop() {
            if leaked.contains_key(&oid) && reached.insert(oid) {
                news = true;
                left.extend(leaked.get(&oid).into_iter().flatten());
            }
        }
        news
    };
    let below: HashSet<ObjectId> = leaked.values().flatten().copied().collect();
    let mut tops: Vec<ObjectId> = leaked.keys().copied().filter(|oid| !below.contains(oid)).collect();
    for top in &tops {
        reach(*top);
    }
    // Those that are in a circle.
    for oid in leaked.keys() {
        if reach(*oid) {
            tops.push(*oid);
        }
    }
    tops
}

/// What was found, before anything is done about it.
#[derive(Debug, Default)]
struct Found {
    tree: Walked,
    /// Files without names: the entry among the orphans, and whether the file has a name in spite of it.
    orphans: Vec<(Slot, ObjectId, bool)>,
    /// Arrays, directories, inode objects and others to which nothing leads.
    files: Vec<ObjectId>,
    directories: BTreeMap<ObjectId, Vec<ObjectId>>,
    inodes: Vec<ObjectId>,
    others: Vec<ObjectId>,
    /// What was found below directories that nothing leads to.
    below: Walked,
}

impl Dfs {
    /// Looks at all of the file system as it is now. `Remove` and `Relink` need that nobody else has it mounted; the directory of
    /// what they name is called `name`, or after the time.
    ///
    /// `EROFS` for a repair of what is mounted read-only.
    pub fn check(&self, mode: CheckMode, name: Option<&[u8]>) -> Result<Report> {
        let shared = &*self.shared;
        shared.check()?;
        if let Some(name) = name {
            check_name(name)?;
        }
        if mode != CheckMode::Print {
            self.sync()?;
        }
        let container = &shared.container;
        if container.epoch() != Epoch::MAX {
            return Ok(report(&shared.examine(&**container)?));
        }
        let taken = container.snapshot_create(None)?;
        let outcome = container
            .at(taken.epoch)
            .map_err(Error::from)
            .and_then(|view| shared.examine(&*view))
            .and_then(|found| self.act(&found, mode, name));
        let gone = container.snapshot_destroy(taken.epoch, taken.epoch);
        let report = outcome?;
        gone?;
        Ok(report)
    }

    fn act(&self, found: &Found, mode: CheckMode, name: Option<&[u8]>) -> Result<Report> {
        let mut report = report(found);
        if mode == CheckMode::Print || report.findings.is_empty() {
            return Ok(report);
        }
        self.shared.repair(found, mode)?;
        if mode == CheckMode::Relink {
            self.relink(found, name)?;
        }
        self.shared.remove_leaked(found, mode)?;
        let left = if mode == CheckMode::Relink { found.others.len() } else { 0 };
        report.repaired = report.findings.len() - left;
        self.sync()?;
        Ok(report)
    }

    /// Names what has no name.
    fn relink(&self, found: &Found, name: Option<&[u8]>) -> Result<()> {
        let shared = &*self.shared;
        let tops = tops(&found.directories);
        // What is below such directories has names by them.
        let below = |oid: &ObjectId| found.below.named.contains_key(oid);
        let files: Vec<ObjectId> = found.files.iter().copied().filter(|oid| !below(oid)).collect();
        let orphans = found.orphans.iter().filter(|(.., is_named)| !is_named);
        if tops.is_empty() && files.is_empty() && orphans.clone().next().is_none() {
            return Ok(());
        }
        let new = crate::entries::New { mode: 0o700, ..Default::default() };
        let ensure = |parent: &Dir, name: &[u8]| match self.mkdir(parent, name, &new) {
            Err(error) if error.errno == Errno::EEXIST => self.open_dir(parent, name),
            made => made,
        };
        let stamp = stamp(Time::now());
        let lost = ensure(&self.root(), LOST_AND_FOUND)?;
        let place = ensure(&lost, name.unwrap_or(stamp.as_bytes()))?;
        let slot = |oid| Slot::entry(place.node.oid, &ids::orphan_name(oid));
        let now = Time::now();
        let work = shared.plain();
        for oid in tops {
            let record = Record::new(Kind::Directory, 0o700, oid, (0, 0), now);
            work.insert(&slot(oid), &record, &Content::default())?;
        }
        for oid in files {
            let record = Record::new(Kind::File, 0o600, oid, (0, 0), now);
            work.insert(&slot(oid), &record, &Content::default())?;
        }
        for (orphan, oid, _) in orphans {
            shared.atomically(|work| {
                let Some(held) = work.read(orphan)? else { return Ok(()) };
                work.insert(&slot(*oid), &held.record, &work.content(orphan)?)?;
                if held.record.is_linked() {
                    set_links(work, *oid, 1)?;
                }
                work.remove(orphan)
            })?;
        }
        shared.touch_directory(&place.node);
        Ok(())
    }
}

fn report(found: &Found) -> Report {
    let tree = &found.tree;
    let mut findings = tree.findings.clone();
    for named in tree.named.values() {
        let path = |name: &Name| tree.path((name.0, &name.1));
        let Some((first, ..)) = named.names.first() else { continue };
        match named.wrong() {
            None => {}
            Some(Wrong::Links) => {
                let stored = named.inode.map_or(0, |inode| inode.links);
                findings.push(Finding::Links {
                    path: path(first),
                    stored,
                    counted: named.names.len() as u32,
                });
            }
            Some(Wrong::Unconnected) => {
                let paths = named.names.iter().map(|(name, ..)| path(name)).collect();
                findings.push(Finding::SeveralNames { paths });
            }
            Some(Wrong::Dangling) => findings.push(Finding::Dangling { path: path(first) }),
        }
    }
    findings.extend(found.orphans.iter().map(|(_, oid, _)| Finding::Orphan { oid: *oid }));
    let leaked = |kind| move |oid: &ObjectId| Finding::Leaked { oid: *oid, kind };
    findings.extend(found.directories.keys().map(leaked(Some(Kind::Directory))));
    findings.extend(found.files.iter().map(leaked(Some(Kind::File))));
    findings.extend(found.inodes.iter().map(|oid| Finding::LeakedInode { oid: *oid }));
    findings.extend(found.others.iter().map(leaked(None)));
    findings.sort();
    let files = tree.named.values().filter(|named| named.kind == Kind::File);
    Report {
        directories: tree.directories.len() as u64,
        files: files.map(|named| named.names.len() as u64).sum(),
        symlinks: tree.symlinks,
        findings,
        repaired: 0,
    }
}

impl Shared {
    /// Looks at all objects of a snapshot, and at all that has names.
    fn examine(&self, view: &dyn ContainerService) -> Result<Found> {
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

    /// Repairs what is wrong with names.
    fn repair(&self, found: &Found, mode: CheckMode) -> Result<()> {
        for slot in &found.tree.broken {
            self.atomically(|work| match work.remove(slot) {
                Err(error) if error.errno == Errno::ENOENT => Ok(()),
                removed => removed,
            })?;
        }
        for (oid, named) in &found.tree.named {
            let Some(wrong) = named.wrong() else { continue };
            // Names below directories that get one themselves count.
            let more = found.below.named.get(oid).filter(|_| mode == CheckMode::Relink);
            let all: Vec<&(Name, bool, Held)> =
                named.names.iter().chain(more.into_iter().flat_map(|named| &named.names)).collect();
            match wrong {
                Wrong::Links => self.atomically(|work| set_links(work, *oid, all.len() as u32))?,
                Wrong::Dangling if named.kind == Kind::Symlink => {
                    self.atomically(|work| {
                        all.iter().try_for_each(|(name, ..)| work.remove(&Slot::entry(name.0, &name.1)))
                    })?;
                }
                Wrong::Unconnected | Wrong::Dangling => self.connect(*oid, named, &all)?,
            }
        }
        Ok(())
    }

    /// Makes all names of a file know of each other.
    fn connect(&self, oid: ObjectId, named: &Named, all: &[&(Name, bool, Held)]) -> Result<()> {
        self.atomically(|work| {
            let plain = all.iter().find(|(_, is_linked, _)| !is_linked);
            // The record that is in a name is the one that was used; else what is left of one.
            let (record, content) = match (plain, named.inode, all.first()) {
                (Some((name, _, held)), ..) => (held.record, work.content(&Slot::entry(name.0, &name.1))?),
                (None, Some(inode), _) => (inode, work.content(&Slot::inode(oid))?),
                (None, None, Some((.., held))) => {
                    let (now, mode) = (Time::now(), held.record.mode);
                    (Record { mode, ..Record::new(named.kind, 0, oid, (0, 0), now) }, Content::default())
                }
                (None, None, None) => return Ok(()),
            };
            if let [(name, ..)] = all {
                let record = Record { flags: Flags::default(), links: 0, ..record };
                return work.replace(&Slot::entry(name.0, &name.1), &record, &content);
            }
            if self.layout.load(Ordering::Acquire) < LAYOUT_LINKED {
                let layout = LAYOUT_LINKED.to_le_bytes();
                let iods = [Iod::new(superblock::LAYOUT_AKEY, IodValue::Single(&layout))];
                work.object(ids::SUPERBLOCK)?.update(superblock::DKEY, &iods, Cond::NONE)?;
            }
            let links = all.len() as u32;
            let inode = Record { flags: Flags(Flags::INODE), links, ..record };
            work.replace(&Slot::inode(oid), &inode, &content)?;
            let entry = Record::leading_to(record.mode, oid);
            all.iter().try_for_each(|(name, ..)| {
                work.replace(&Slot::entry(name.0, &name.1), &entry, &Content::default())
            })
        })?;
        if all.len() > 1 {
            self.layout.fetch_max(LAYOUT_LINKED, Ordering::AcqRel);
        }
        Ok(())
    }

    /// Removes what has no name; where that got one, what is left over.
    fn remove_leaked(&self, found: &Found, mode: CheckMode) -> Result<()> {
        let removes = mode == CheckMode::Remove;
        for (slot, oid, is_named) in &found.orphans {
            if !removes && !is_named {
                continue;
            }
            self.atomically(|work| {
                if !is_named {
                    work.remove_object(ids::inode(*oid))?;
                    work.remove_object(*oid)?;
                }
                work.remove(slot)
            })?;
        }
        let used: HashSet<ObjectId> = if removes {
            HashSet::new()
        } else {
            found.below.named.keys().map(|oid| ids::inode(*oid)).collect()
        };
        let work = self.plain();
        for oid in found.inodes.iter().filter(|oid| !used.contains(oid)) {
            work.remove_object(*oid)?;
        }
        if removes {
            let leaked = found.directories.keys().chain(&found.files).chain(&found.others);
            leaked.copied().try_for_each(|oid| work.remove_object(oid))?;
        }
        Ok(())
    }
}

/// Says how many names something has.
fn set_links(work: &Work<'_>, oid: ObjectId, links: u32) -> Result<()> {
    let slot = Slot::inode(oid);
    let Some(held) = work.read(&slot)? else { return Ok(()) };
    let flags = held.record.flags.with(Flags::UNCERTAIN, false);
    work.patch(&slot, &held, &Record { flags, links, ..held.record }, &[])
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
                Err(error) if is_damage(&error) => ObjectId::default(),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn oid(lo: u64) -> ObjectId {
        ObjectId { hi: 0, lo }
    }

    #[test]
    fn directories_are_named_from_their_tops() {
        let leaked = |edges: &[(u64, &[u64])]| -> BTreeMap<ObjectId, Vec<ObjectId>> {
            edges.iter().map(|(from, to)| (oid(*from), to.iter().map(|to| oid(*to)).collect())).collect()
        };
        assert_eq!(tops(&leaked(&[(1, &[2]), (2, &[3, 9]), (3, &[]), (4, &[])])), [oid(1), oid(4)]);
        assert_eq!(tops(&leaked(&[(1, &[2]), (2, &[1]), (3, &[1])])), [oid(3)]);
        assert_eq!(tops(&leaked(&[(1, &[2]), (2, &[1]), (3, &[3])])), [oid(1), oid(3)]);
        assert!(tops(&leaked(&[])).is_empty());
    }

    #[test]
    fn a_moment_is_written_as_a_date() {
        let at = |seconds| stamp(Time { seconds, nanoseconds: 0 });
        assert_eq!(at(0), "1970-01-01-00:00:00");
        assert_eq!(at(951_782_399), "2000-02-28-23:59:59");
        assert_eq!(at(951_782_400), "2000-02-29-00:00:00");
        assert_eq!(at(1_796_000_461), "2026-11-30-01:01:01");
        assert_eq!(at(-1), "1969-12-31-23:59:59");
    }
}
