//! Giving things other names, and more of them.

use crate::errno::{Errno, Error, Result};
use crate::ids;
use crate::mount::{Dfs, Dir, Shared};
use crate::names::{check_name, shown};
use crate::node::{Claim, Node, Place};
use crate::record::{Flags, Kind, Record, Time};
use crate::remove::Fate;
use crate::superblock::{self, LAYOUT_LINKED};
use crate::work::{Content, Found, Held, Slot, Work};
use daos_types::{Cond, Iod, IodValue, ObjectId};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How many names something can have.
pub const LINKS_MAX: u32 = 65_000;
/// How often one looks again for a directory that others replace.
const AGAIN_MAX: usize = 64;

/// What becomes of what has the new name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rename {
    /// It goes, if it is of the same kind; a directory only if it is empty.
    #[default]
    Replace,
    /// Nothing happens: `EEXIST`.
    NoReplace,
    /// It gets the old name.
    Exchange,
}

/// A name in a directory.
#[derive(Debug, Clone, Copy)]
struct Name<'a> {
    dir: &'a Arc<Node>,
    name: &'a [u8],
}

impl Name<'_> {
    fn slot(&self) -> Slot {
        Slot::entry(self.dir.oid, self.name)
    }

    fn place(&self) -> Place {
        Place::Entry(Arc::clone(self.dir), self.name.to_vec())
    }

    fn absent(&self) -> Error {
        Error::new(Errno::ENOENT, format!("there is no {}", shown(self.name)))
    }
}

/// What a rename did, or why it has to be tried again.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // it lives for one call
enum Renamed<'a> {
    /// Both names are of the same file.
    Same,
    /// Something else has the new name than what was looked at.
    LookAgain,
    /// It was done: what has another name now, and what lost its own.
    Done { moved: Found, other: Option<Found>, fate: Fate, removed: bool, claim: Claim<'a> },
}

impl Work<'_> {
    /// Refuses to put a directory into itself, or below. Without a look at the store of directories that no other mount has moved,
    /// of which a transaction makes sure.
    fn check_above(&self, moved: ObjectId, to: &Arc<Node>) -> Result<()> {
        let above = to.above();
        if to.oid == moved || above.iter().any(|node| node.oid == moved) {
            return Err(Error::new(Errno::EINVAL, "a directory cannot be moved below itself"));
        }
        self.locate(to)?;
        above.iter().try_for_each(|node| self.locate(node).map(drop))
    }

    /// Puts under one name what another has.
    fn put_under(&self, to: &Slot, entry: &Held, content: &Content, now: Time) -> Result<()> {
        let mut record = entry.record;
        if !record.is_linked() {
            record.ctime = now;
        }
        self.replace(to, &record, content)
    }

    /// The time of change of what has its record elsewhere.
    fn touch_inodes<'f>(&self, found: impl IntoIterator<Item = &'f Found>, now: Time) -> Result<()> {
        for found in found {
            if found.entry.record.is_linked() {
                let record = Record { ctime: now, ..found.held.record };
                self.patch(&found.slot, &found.held, &record, &[])?;
            }
        }
        Ok(())
    }
}

impl Shared {
    fn rename_in<'a>(
        &'a self,
        work: &Work<'_>,
        (from, to): (Name<'_>, Name<'_>),
        how: Rename,
        doomed: Option<&Node>,
    ) -> Result<Renamed<'a>> {
        let (from_slot, to_slot) = (from.slot(), to.slot());
        let find =
            || Ok::<_, Error>((work.find(&from_slot)?.ok_or_else(|| from.absent())?, work.find(&to_slot)?));
        let (moved, other) = find()?;
        let oids = (moved.oid(), other.as_ref().map(Found::oid));
        let claim = self.table.claim([oids.0].into_iter().chain(oids.1))?;
        let (moved, other) = if work.is_atomic { (moved, other) } else { find()? };
        if oids != (moved.oid(), other.as_ref().map(Found::oid)) {
            return Ok(Renamed::LookAgain);
        }
        let now = Time::now();
        let same_dir = from.dir.oid == to.dir.oid;
        match (&other, how) {
            (None, Rename::Exchange) => return Err(to.absent()),
            (Some(_), Rename::NoReplace) => {
                return Err(Error::new(Errno::EEXIST, format!("{} is there", shown(to.name))));
            }
            _ => {}
        }
        let is_same = |other: &Found| other.oid() == moved.oid() && other.oid() != ObjectId::default();
        if from_slot == to_slot || other.as_ref().is_some_and(is_same) {
            return Ok(Renamed::Same);
        }
        if !same_dir && moved.kind() == Kind::Directory {
            work.check_above(moved.oid(), to.dir)?;
        }
        // What lies in something cannot take its place.
        if how == Rename::Replace
            && let Some(other) = &other
            && (from.dir.oid == other.oid() || from.dir.above().iter().any(|node| node.oid == other.oid()))
        {
            return Err(Error::new(Errno::ENOTEMPTY, format!("{} is not empty", shown(to.name))));
        }
        if how == Rename::Exchange {
            let other = other.ok_or_else(|| to.absent())?;
            if !same_dir && other.kind() == Kind::Directory {
                work.check_above(other.oid(), from.dir)?;
            }
            let (one, two) = (work.content(&from_slot)?, work.content(&to_slot)?);
            work.put_under(&from_slot, &other.entry, &two, now)?;
            work.put_under(&to_slot, &moved.entry, &one, now)?;
            work.touch_inodes([&moved, &other], now)?;
            return Ok(Renamed::Done { moved, other: Some(other), fate: Fate::Stays, removed: false, claim });
        }
        let content = work.content(&from_slot)?;
        let Some(other) = other else {
            let entry = moved.entry.record;
            let entry = if entry.is_linked() { entry } else { Record { ctime: now, ..entry } };
            match work.insert(&to_slot, &entry, &content) {
                // Without a transaction somebody may have come between.
                Err(error) if error.errno == Errno::EEXIST && how == Rename::Replace => {
                    return Ok(Renamed::LookAgain);
                }
                inserted => inserted?,
            }
            work.touch_inodes([&moved], now)?;
            work.remove_found(&from_slot)?;
            return Ok(Renamed::Done { moved, other: None, fate: Fate::Stays, removed: false, claim });
        };
        let take = || {
            work.put_under(&to_slot, &moved.entry, &content, now)?;
            work.touch_inodes([&moved], now)?;
            work.remove_found(&from_slot)
        };
        match (moved.kind(), other.kind()) {
            (Kind::Directory, Kind::Directory) => {
                if doomed.is_none_or(|node| node.oid != other.oid()) {
                    return Ok(Renamed::LookAgain);
                }
                if !work.is_empty(other.oid())? {
                    return Err(Error::new(Errno::ENOTEMPTY, format!("{} is not empty", shown(to.name))));
                }
                take()?;
                work.remove_object(other.oid())?;
                Ok(Renamed::Done { moved, other: None, fate: Fate::Stays, removed: true, claim })
            }
            (Kind::Directory, _) => {
                Err(Error::new(Errno::ENOTDIR, format!("{} is no directory", shown(to.name))))
            }
            (_, Kind::Directory) => {
                Err(Error::new(Errno::EISDIR, format!("{} is a directory", shown(to.name))))
            }
            _ => {
                let fate = Self::release(work, &other, &claim, take)?;
                Ok(Renamed::Done { moved, other: None, fate, removed: false, claim })
            }
        }
    }

    /// What is in memory of something follows it to its new name.
    fn follow(&self, found: &Found, to: Name<'_>) {
        if found.kind() == Kind::Symlink || found.entry.record.is_linked() {
            return;
        }
        if let Some(node) = self.table.get(found.oid()) {
            node.set_place(to.place());
        }
    }

    /// Renames; false where that has to be tried again.
    fn rename(&self, from: Name<'_>, to: Name<'_>, how: Rename) -> Result<bool> {
        // Where the new name is a directory's, nobody may make anything in it meanwhile.
        let replaced = if how == Rename::Replace {
            let looked = self.table.moment();
            self.plain()
                .find(&to.slot())?
                .filter(|found| found.kind() == Kind::Directory)
                .map(|found| (found, looked))
        } else {
            None
        };
        let turn = replaced.is_some().then(|| self.removals.lock());
        let live = self.alive(to.dir)?;
        let doomed = replaced.map(|(found, looked)| self.doomed(to.dir, to.name, &found, looked));
        // A directory that is put in its own place, or into itself, is not locked twice: the transaction refuses that, or does nothing.
        let doomed = doomed.filter(|node| node.oid != to.dir.oid);
        let mut doomed_live = doomed.as_ref().map(|node| node.live.write());
        let moving = self.table.moving();
        let renamed = self.atomically(|work| self.rename_in(work, (from, to), how, doomed.as_deref()));
        self.directories.add();
        let renamed = renamed?;
        let Renamed::Done { moved, other, fate, removed, claim } = renamed else {
            return Ok(matches!(renamed, Renamed::Same));
        };
        self.follow(&moved, to);
        if let Some(other) = other {
            self.follow(&other, from);
        }
        if removed && let (Some(node), Some(live)) = (&doomed, &mut doomed_live) {
            **live = false;
            self.removed_directory(node.oid, node);
        }
        let freed = self.released(fate, claim);
        drop((moving, doomed_live, live, turn));
        self.touch_directory(from.dir);
        self.touch_directory(to.dir);
        freed.map(|()| true)
    }

    /// Gives something a further name.
    fn link_in(
        &self,
        work: &Work<'_>,
        from: &Slot,
        to: &Slot,
        found: &Found,
        fresh: &mut Option<ObjectId>,
    ) -> Result<ObjectId> {
        if found.kind() == Kind::Directory {
            return Err(Error::new(Errno::EPERM, "a directory has one name"));
        }
        let now = Time::now();
        let mut record = Record { ctime: now, ..found.held.record };
        let uncertain = !work.is_atomic || record.flags.has(Flags::UNCERTAIN);
        if found.entry.record.is_linked() {
            if record.links >= LINKS_MAX {
                return Err(Error::new(
                    Errno::EMLINK,
                    format!("{} has {LINKS_MAX} names", shown(&from.dkey)),
                ));
            }
            record.links += 1;
            record.flags = record.flags.with(Flags::UNCERTAIN, uncertain);
            work.patch(&found.slot, &found.held, &record, &[])?;
        } else {
            // A symbolic link has no id of its own yet.
            if record.oid == ObjectId::default() {
                let oid = match *fresh {
                    Some(oid) => oid,
                    None => self.new_oid(Kind::Symlink, daos_placement::ObjectClass::S1)?,
                };
                *fresh = Some(oid);
                record.oid = oid;
            }
            let layout = LAYOUT_LINKED.to_le_bytes();
            let iods = [Iod::new(superblock::LAYOUT_AKEY, IodValue::Single(&layout))];
            if self.layout.load(Ordering::Acquire) < LAYOUT_LINKED {
                work.object(ids::SUPERBLOCK)?.update(superblock::DKEY, &iods, Cond::NONE)?;
            }
            record.links = 2;
            record.flags = Flags(Flags::INODE).with(Flags::UNCERTAIN, uncertain);
            let content = work.content(from)?;
            work.replace(&Slot::inode(record.oid), &record, &content)?;
            let entry = Record::leading_to(record.mode, record.oid);
            work.replace(from, &entry, &Content::default())?;
        }
        work.insert(to, &Record::leading_to(record.mode, record.oid), &Content::default())?;
        Ok(record.oid)
    }
}

impl Dfs {
    /// Gives something another name, in the same directory or in another; what had the new name is replaced in the same step.
    ///
    /// Two names of one file: nothing happens. `EINVAL` if a directory would come to lie in itself.
    pub fn rename(
        &self,
        (from, from_name): (&Dir, &[u8]),
        (to, to_name): (&Dir, &[u8]),
        how: Rename,
    ) -> Result<()> {
        let shared = &*self.shared;
        shared.writable()?;
        check_name(from_name)?;
        check_name(to_name)?;
        let (from, to) = (Name { dir: &from.node, name: from_name }, Name { dir: &to.node, name: to_name });
        for _ in 0..AGAIN_MAX {
            if shared.patiently(|| shared.rename(from, to, how))? {
                return Ok(());
            }
        }
        Err(Error::new(Errno::EBUSY, format!("{} is something else all the time", shown(to.name))))
    }

    /// Gives a file or symbolic link a further name. `EPERM` for a directory, `EEXIST` if the name is taken.
    ///
    /// The first such name of a file system makes its layout version 4.
    pub fn link(&self, (from, from_name): (&Dir, &[u8]), (to, to_name): (&Dir, &[u8])) -> Result<()> {
        let shared = &*self.shared;
        shared.writable()?;
        check_name(from_name)?;
        check_name(to_name)?;
        let live = shared.alive(&to.node)?;
        let (from, slot) = (Slot::entry(from.node.oid, from_name), Slot::entry(to.node.oid, to_name));
        let mut fresh = None;
        let mut link = || {
            let _moving = shared.table.moving();
            let linked = shared.atomically(|work| {
                if shared.superblock.consistency == superblock::Consistency::Balanced {
                    work.locate(&to.node)?;
                }
                let Some((found, claim)) = shared.claimed(work, &from)? else { return Ok(None) };
                Ok(Some((shared.link_in(work, &from, &slot, &found, &mut fresh)?, claim)))
            })?;
            let Some((oid, claim)) = linked else { return Ok(false) };
            shared.layout.fetch_max(LAYOUT_LINKED, Ordering::AcqRel);
            if let Some(node) = shared.table.get(oid) {
                node.set_place(Place::Inode);
            }
            claim.done();
            Ok(true)
        };
        let mut is_linked = false;
        for _ in 0..AGAIN_MAX {
            is_linked = shared.patiently(&mut link)?;
            if is_linked {
                break;
            }
        }
        if !is_linked {
            return Err(Error::new(
                Errno::EBUSY,
                format!("{} is something else all the time", shown(from_name)),
            ));
        }
        drop(live);
        shared.touch_directory(&to.node);
        Ok(())
    }
}
