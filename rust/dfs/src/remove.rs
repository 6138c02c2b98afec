//! Taking names away, and what becomes of what had them.

use crate::errno::{Errno, Error, Result};
use crate::ids;
use crate::mount::{Dfs, Dir, Shared};
use crate::names::{check_name, shown};
use crate::node::{Claim, Defaults, Node, Place};
use crate::record::{Flags, Kind, Record, Time};
use crate::work::{Found, Slot, Work};
use daos_types::ObjectId;
use std::sync::Arc;

/// How often one looks again for a directory that others replace.
const AGAIN_MAX: usize = 64;

/// What became of something that lost a name.
#[derive(Debug)]
pub(crate) enum Fate {
    /// There is nothing of it in memory that would have to follow: it is no file, or kept its name.
    Stays,
    /// It is gone, as nobody has it open.
    Gone(ObjectId),
    /// It has others, by one of which it may be open.
    HasNames(Option<Arc<Node>>),
    /// It is open, and among the orphans.
    Orphaned(Arc<Node>),
}

/// What becomes of the record of an inode that loses a name: it stays with one less, or goes.
///
/// Without a transaction, and where names were counted without one, the number proves nothing: the record stays.
pub(crate) fn without_a_name(record: &Record, is_atomic: bool, now: Time) -> Option<Record> {
    let uncertain = !is_atomic || record.flags.has(Flags::UNCERTAIN);
    let links = record.links.saturating_sub(1);
    if links == 0 && !uncertain {
        return None;
    }
    let flags = record.flags.with(Flags::UNCERTAIN, uncertain);
    Some(Record { links, flags, ctime: now, ..*record })
}

impl Shared {
    /// What has a name, claimed; `None` if it is something else by then, of which a transaction makes sure by itself.
    pub(crate) fn claimed(&self, work: &Work<'_>, slot: &Slot) -> Result<Option<(Found, Claim<'_>)>> {
        let find = || {
            work.find(slot)?
                .ok_or_else(|| Error::new(Errno::ENOENT, format!("there is no {}", shown(&slot.dkey))))
        };
        let found = find()?;
        let claim = self.table.claim([found.oid()])?;
        if work.is_atomic {
            return Ok(Some((found, claim)));
        }
        let again = find()?;
        Ok((again.oid() == found.oid()).then_some((again, claim)))
    }

    /// Takes its name from a file or symbolic link, by `take`, with all that follows from it.
    pub(crate) fn release(
        work: &Work<'_>,
        found: &Found,
        claim: &Claim<'_>,
        take: impl FnOnce() -> Result<()>,
    ) -> Result<Fate> {
        let (record, oid) = (&found.held.record, found.oid());
        let is_linked = found.entry.record.is_linked();
        if found.kind() == Kind::Symlink && !is_linked {
            take()?;
            return Ok(Fate::Stays);
        }
        let now = Time::now();
        Ok(if is_linked && let Some(record) = without_a_name(record, work.is_atomic, now) {
            take()?;
            work.patch(&found.slot, &found.held, &record, &[])?;
            Fate::HasNames(claim.open(oid))
        } else if let Some(node) = claim.open(oid) {
            let orphan = Slot::orphan(oid);
            let mut record = *record;
            if let Some(written) = node.times.written() {
                record.set_mtime(written, now);
            }
            record.ctime = now;
            if is_linked {
                record.links = 0;
                work.replace(
                    &orphan,
                    &Record::leading_to(record.mode, oid),
                    &crate::work::Content::default(),
                )?;
                take()?;
                work.patch(&found.slot, &found.held, &record, &[])?;
            } else {
                work.replace(&orphan, &record, &work.content(&found.slot)?)?;
                take()?;
            }
            Fate::Orphaned(node)
        } else {
            take()?;
            if is_linked {
                work.remove_object(ids::inode(oid))?;
            }
            if found.kind() == Kind::File {
                work.remove_object(oid)?;
            }
            Fate::Gone(oid)
        })
    }

    /// That change was made: what is in memory follows, and the claim ends.
    pub(crate) fn released(&self, fate: Fate, claim: Claim<'_>) -> Result<()> {
        claim.done();
        match fate {
            Fate::Stays | Fate::HasNames(None) => {}
            Fate::Gone(oid) => {
                if let Some(left) = self.table.get(oid) {
                    left.times.settled(None);
                }
            }
            Fate::HasNames(Some(node)) => node.has_names(),
            Fate::Orphaned(node) => {
                if !claim.orphaned(&node) {
                    drop(claim);
                    return self.free_orphan(&node);
                }
            }
        }
        Ok(())
    }

    /// The node of a directory that is about to be removed: all who use it in this mount have the same.
    pub(crate) fn doomed(
        &self,
        parent: &Arc<Node>,
        name: &[u8],
        found: &Found,
        looked: crate::node::Moment,
    ) -> Arc<Node> {
        let Record { chunk_size, class, .. } = found.held.record;
        let place = Place::Entry(Arc::clone(parent), name.to_vec());
        self.table.directory(found.oid(), place, Defaults { chunk_size, class }, looked)
    }

    /// A directory is gone.
    pub(crate) fn removed_directory(&self, oid: ObjectId, node: &Node) {
        node.times.settled(None);
        self.touched.lock().remove(&oid);
        self.directories.add();
    }
}

impl Dfs {
    /// Removes the name of a file or symbolic link; with the last name all goes, when nobody of this mount has it open any more.
    /// `EISDIR` for a directory.
    pub fn unlink(&self, parent: &Dir, name: &[u8]) -> Result<()> {
        let shared = &*self.shared;
        shared.writable()?;
        check_name(name)?;
        let slot = Slot::entry(parent.node.oid, name);
        for _ in 0..AGAIN_MAX {
            let moving = shared.table.moving();
            let released = shared.atomically(|work| {
                let Some((found, claim)) = shared.claimed(work, &slot)? else { return Ok(None) };
                if found.kind() == Kind::Directory {
                    return Err(Error::new(Errno::EISDIR, format!("{} is a directory", shown(name))));
                }
                let fate = Shared::release(work, &found, &claim, || work.remove_found(&slot))?;
                Ok(Some((fate, claim)))
            })?;
            let Some((fate, claim)) = released else { continue };
            let freed = shared.released(fate, claim);
            drop(moving);
            shared.touch_directory(&parent.node);
            return freed;
        }
        Err(Error::new(Errno::EBUSY, format!("{} is something else all the time", shown(name))))
    }

    /// Removes an empty directory. `ENOTEMPTY` if it is not.
    pub fn rmdir(&self, parent: &Dir, name: &[u8]) -> Result<()> {
        let shared = &*self.shared;
        shared.writable()?;
        check_name(name)?;
        let slot = Slot::entry(parent.node.oid, name);
        let directory = |found: Option<Found>| {
            let found =
                found.ok_or_else(|| Error::new(Errno::ENOENT, format!("there is no {}", shown(name))))?;
            if found.kind() == Kind::Directory {
                Ok(found)
            } else {
                Err(Error::new(Errno::ENOTDIR, format!("{} is no directory", shown(name))))
            }
        };
        let _turn = shared.removals.lock();
        for _ in 0..AGAIN_MAX {
            let looked = shared.table.moment();
            let found = directory(shared.plain().find(&slot)?)?;
            let node = shared.doomed(&parent.node, name, &found, looked);
            let mut live = node.live.write();
            let moving = shared.table.moving();
            let done = shared.atomically(|work| {
                let found = directory(work.find(&slot)?)?;
                if found.oid() != node.oid {
                    return Ok(false);
                }
                if !work.is_empty(node.oid)? {
                    return Err(Error::new(Errno::ENOTEMPTY, format!("{} is not empty", shown(name))));
                }
                work.remove_found(&slot)?;
                work.remove_object(node.oid)?;
                Ok(true)
            });
            // Also where it is not known whether it was done.
            shared.directories.add();
            let done = done?;
            drop(moving);
            if done {
                *live = false;
                shared.removed_directory(node.oid, &node);
                drop(live);
                shared.touch_directory(&parent.node);
                return Ok(());
            }
        }
        Err(Error::new(Errno::EBUSY, format!("{} is another directory all the time", shown(name))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Kind;

    #[test]
    fn a_number_of_names_frees_only_where_it_is_certain() {
        let record = Record::new(Kind::File, 0o644, ObjectId::default(), (0, 0), Time::default());
        let inode = |links, flags| Record { links, flags: Flags(Flags::INODE | flags), ..record };
        let now = Time { seconds: 1, nanoseconds: 0 };
        assert_eq!(without_a_name(&inode(1, 0), true, now), None);
        let left = without_a_name(&inode(2, 0), true, now).unwrap();
        assert_eq!((left.links, left.flags, left.ctime), (1, Flags(Flags::INODE), now));
        for (record, is_atomic) in [(inode(1, 0), false), (inode(1, Flags::UNCERTAIN), true)] {
            let left = without_a_name(&record, is_atomic, now).unwrap();
            assert_eq!((left.links, left.flags.has(Flags::UNCERTAIN)), (0, true));
        }
    }
}
