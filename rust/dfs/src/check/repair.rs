//! Repairing what was found.

use super::CheckMode;
use super::walk::{Found, Name, Named, Wrong};
use crate::errno::{Errno, Result};
use crate::ids;
use crate::mount::{Dfs, Dir, Shared};
use crate::record::{Flags, Kind, Record, Time};
use crate::superblock::{self, LAYOUT_LINKED};
use crate::work::{Content, Held, Slot, Work};
use daos_types::{Cond, Iod, IodValue, ObjectId};
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::Ordering;

/// The directory below the root that has what is found.
const LOST_AND_FOUND: &[u8] = b"lost+found";

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

impl Dfs {
    /// Names what has no name.
    pub(super) fn relink(&self, found: &Found, name: Option<&[u8]>) -> Result<()> {
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

impl Shared {
    /// Repairs what is wrong with names.
    pub(super) fn repair(&self, found: &Found, mode: CheckMode) -> Result<()> {
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
    pub(super) fn remove_leaked(&self, found: &Found, mode: CheckMode) -> Result<()> {
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
