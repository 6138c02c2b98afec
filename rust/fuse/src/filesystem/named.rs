//! Names at the side doors: what paths lead to, and changes of names, for programs that ask past the kernel.
//!
//! What the kernel would look at is looked at here, each time anew: rights to search and to change directories, bits of sticky ones,
//! symbolic links, directories that lead to other containers. What is in doubt, or refused for more than one of the plainest reasons,
//! is `LATER`: then the kernel does it, and says what is wrong. The kernel is told of names that go, and renames itself what it has
//! something of: open files, and directories, which processes may be in. `docs/internals/interception.md`.

mod attributes;
mod list;

pub(crate) use list::Rests;

use super::nodes::IDENTITY;
use super::{Answer, Filesystem, Refusal, no, node_attr};
use crate::abi::{ROOT, Tree, forget_entry, removed_entry};
use crate::inodes::ino_of_entry;
use daos_dfs::access::{Credentials, EXECUTE, Guarded, WRITE, may, may_add, may_move, may_remove, of_new};
use daos_dfs::{At, Attr, Dir, Errno, Error, Kind, NAME_LEN_MAX, New, Rename};
use daos_door::{ACCESS_NO_FOLLOW, Asked, NO_FOLLOW, NO_REPLACE, Op, Place, Status};
use daos_types::ObjectId;
use std::collections::VecDeque;

/// Symbolic links that the kernel follows on one path.
const LINKS_FOLLOWED_MAX: usize = 40;
/// A directory in which links of others may not be followed, as most kernels are set up: sticky, and anybody's to write to.
const SHARED: u32 = 0o1002;
/// Rights that can be asked for.
const RIGHTS: u32 = 7;

/// What becomes of the last name of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    /// It is looked up, and a symbolic link followed.
    Follow,
    /// The same without, unless there is a slash behind it.
    NoFollow,
    /// It is not even looked up.
    Leave,
}

/// A directory on the way, and what its record says, once that was read.
#[derive(Debug)]
struct Step {
    dir: Dir,
    guarded: Option<Guarded>,
}

/// What a name leads to.
type Found = (Attr, Option<Dir>);

/// A path that was walked.
#[derive(Debug)]
struct Walked {
    top: Step,
    /// The last name, if the path does not end with the directory itself.
    name: Option<Vec<u8>>,
    /// What it leads to, if that was looked up and is there.
    found: Option<Found>,
    slash: bool,
}

/// What a path consists of.
fn names_of(path: &[u8]) -> VecDeque<Vec<u8>> {
    path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect()
}

/// Nothing was changed by what failed before anything was: the kernel looks, too.
fn later(_: impl Sized) -> Refusal {
    Refusal::Later
}

/// What a change was refused with. What means one thing only, and what the kernel could not find out again, is told.
fn refused(error: Error) -> Refusal {
    let plain = matches!(error.errno, Errno::ENOENT | Errno::EEXIST | Errno::ENOTEMPTY);
    let refusal = Refusal::Said(error);
    if plain || refusal.trouble().is_some() { refusal } else { Refusal::Later }
}

fn done(told: &[u8]) -> Vec<u8> {
    Status(0).and(told)
}

impl Filesystem {
    /// Answers what is asked of a path at a door.
    pub(crate) fn names_at_door(&self, op: Op, body: &[u8]) -> Answer<Vec<u8>> {
        let Some(mut asked) = Asked::decode(body) else { return no(libc::EINVAL) };
        // Whoever was let in may have become somebody else since.
        if asked.who.uid != rustix::process::geteuid().as_raw() {
            return Err(Refusal::Later);
        }
        let who = std::mem::take(&mut asked.who);
        let who = Credentials { uid: who.uid, gid: who.gid, groups: who.groups };
        let answer = self.asked_at_door(op, &who, &asked);
        // Before anybody is told of the change.
        if op.changes() {
            self.forget_ahead();
        }
        answer
    }

    fn asked_at_door(&self, op: Op, who: &Credentials, asked: &Asked<'_>) -> Answer<Vec<u8>> {
        let Asked { how, ref at, ref to, more, .. } = *asked;
        match op {
            Op::Stat => self.stat_at_door(who, at, how & NO_FOLLOW == 0),
            Op::Access => self.access_at_door(who, at, how),
            Op::Readlink => self.readlink_at_door(who, at),
            Op::Unlink => self.unlink_at_door(who, at),
            Op::Rmdir => self.rmdir_at_door(who, at),
            Op::Mkdir => self.mkdir_at_door(who, at, how),
            Op::Rename => self.rename_at_door(who, at, to, how),
            Op::Symlink => self.symlink_at_door(who, at, more),
            Op::Link => self.link_at_door(who, at, to),
            Op::Truncate => self.truncate_at_door(who, at, more),
            Op::Chmod => self.chmod_at_door(who, at, how),
            Op::Chown => self.chown_at_door(who, asked),
            Op::SetTime => self.set_time_at_door(who, asked),
            Op::Getxattr => self.getxattr_at_door(who, asked),
            Op::Listxattr => self.listxattr_at_door(who, asked),
            Op::Setxattr => self.setxattr_at_door(who, asked),
            Op::Removexattr => self.removexattr_at_door(who, asked),
            Op::List => self.list_at_door(who, asked),
            Op::Read | Op::Write | Op::Extend | Op::Append => no(libc::EINVAL),
        }
    }

    /// The directory that a path begins at: one that the kernel has, and that was not removed.
    fn base(&self, node: u64) -> Answer<Step> {
        let (tree, node) = Tree::inside(node);
        if tree != Tree::ROOT {
            return Err(Refusal::Later);
        }
        let (known, _) = self.inodes.get(node).map_err(later)?;
        if known.gone {
            return Err(Refusal::Later);
        }
        Ok(Step { dir: self.inodes.dir(node).map_err(later)?, guarded: None })
    }

    /// What the record of a directory says.
    fn guarded(&self, step: &mut Step) -> Answer<Guarded> {
        if let Some(guarded) = step.guarded {
            return Ok(guarded);
        }
        let guarded = self.dfs.stat(At::Dir(&step.dir)).map_err(later)?.guarded();
        step.guarded = Some(guarded);
        Ok(guarded)
    }

    /// Whether a directory leads to another container: what is there is not asked for at these doors.
    fn leads_elsewhere(&self, dir: &Dir) -> Answer<bool> {
        if !self.links {
            return Ok(false);
        }
        match self.dfs.xattr(At::Dir(dir), IDENTITY) {
            Ok(to) => Ok(self.identity.as_ref().is_none_or(|own| own.as_bytes() != to)),
            Err(error) if error.errno == Errno::ENODATA => Ok(false),
            Err(_) => Err(Refusal::Later),
        }
    }

    /// Walks a path as the kernel does. `ENOENT` where a directory on the way is missing; all else that is wrong is the kernel's to say.
    fn walk(&self, who: &Credentials, place: &Place<'_>, last: Last) -> Answer<Walked> {
        let (mut top, mut names) = (self.base(place.node)?, names_of(place.path));
        let mut slash = place.path.ends_with(b"/");
        let (mut stack, mut followed) = (Vec::new(), 0);
        while let Some(name) = names.pop_front() {
            // Who may do all may search each directory.
            if !who.is_privileged() {
                may(who, self.guarded(&mut top)?, EXECUTE).map_err(later)?;
            }
            match &name[..] {
                b"." => continue,
                b".." => {
                    // Above where it begins is the kernel's to know.
                    top = stack.pop().ok_or(Refusal::Later)?;
                    continue;
                }
                name if name.len() > NAME_LEN_MAX => return Err(Refusal::Later),
                _ => {}
            }
            let is_last = names.is_empty();
            if is_last && last == Last::Leave {
                return Ok(Walked { top, name: Some(name), found: None, slash });
            }
            let (attr, dir) = match self.dfs.look(&top.dir, &name) {
                Ok(found) => found,
                Err(error) if error.errno == Errno::ENOENT => return Err(error.into()),
                Err(_) => return Err(Refusal::Later),
            };
            if attr.kind == Kind::Symlink && (!is_last || last == Last::Follow || slash) {
                followed += 1;
                let is_foreign = is_last && attr.uid != who.uid;
                if followed > LINKS_FOLLOWED_MAX
                    || (is_foreign && self.guarded(&mut top)?.mode & SHARED == SHARED)
                {
                    return Err(Refusal::Later);
                }
                let value = self.dfs.readlink(&top.dir, &name).map_err(later)?;
                if value.starts_with(b"/") {
                    return Err(Refusal::Later);
                }
                slash |= is_last && value.ends_with(b"/");
                let mut more = names_of(&value);
                more.append(&mut names);
                names = more;
                continue;
            }
            if let Some(dir) = &dir
                && self.leads_elsewhere(dir)?
            {
                return Err(Refusal::Later);
            }
            if is_last {
                // A slash behind what is no directory.
                let fits = !slash || attr.kind == Kind::Directory;
                let walked = Walked { top, name: Some(name), found: Some((attr, dir)), slash };
                return if fits { Ok(walked) } else { Err(Refusal::Later) };
            }
            let below = Step { dir: dir.ok_or(Refusal::Later)?, guarded: Some(attr.guarded()) };
            stack.push(std::mem::replace(&mut top, below));
        }
        Ok(Walked { top, name: None, found: None, slash })
    }

    /// What a path leads to, which has to be there, and its number.
    fn there(&self, who: &Credentials, place: &Place<'_>, last: Last) -> Answer<(Walked, Attr, u64)> {
        let walked = self.walk(who, place, last)?;
        let (attr, ino) = match (&walked.name, &walked.found) {
            (Some(name), Some((attr, _))) => (*attr, self.ino_of(&walked.top.dir, name, attr)),
            (None, _) => {
                let dir = &walked.top.dir;
                let attr = self.dfs.stat(At::Dir(dir)).map_err(later)?;
                let is_root = dir.oid() == self.dfs.root().oid();
                (attr, if is_root { ROOT } else { ino_of_entry(dir, b"", attr.oid) })
            }
            (Some(_), None) => return Err(Refusal::Later),
        };
        Ok((walked, attr, ino))
    }

    /// The number of what a name leads to: of a symbolic link, that which the kernel was told, if it was, as it may have had no object
    /// then, or another name.
    fn ino_of(&self, dir: &Dir, name: &[u8], attr: &Attr) -> u64 {
        let told = match (attr.kind, attr.oid == ObjectId::default()) {
            (Kind::Symlink, true) => self.inodes.listed(dir, name).map(|(ino, _)| ino),
            (Kind::Symlink, false) => self.inodes.ino_of_object(attr.oid),
            _ => None,
        };
        told.unwrap_or_else(|| ino_of_entry(dir, name, attr.oid))
    }

    fn stat_at_door(&self, who: &Credentials, at: &Place<'_>, follow: bool) -> Answer<Vec<u8>> {
        let (_, attr, ino) = self.target(who, at, follow)?;
        let attr = node_attr(&attr, ino);
        let told = daos_door::Attr {
            ino,
            size: attr.size,
            blocks: attr.blocks,
            times: attr.times,
            mode: attr.mode,
            links: attr.links,
            uid: attr.uid,
            gid: attr.gid,
            block_size: attr.block_size,
        };
        Ok(done(&told.encode()))
    }

    fn access_at_door(&self, who: &Credentials, at: &Place<'_>, how: u32) -> Answer<Vec<u8>> {
        let (asked, follow) = (how & RIGHTS, how & ACCESS_NO_FOLLOW == 0);
        let (_, attr, _) = self.there(who, at, if follow { Last::Follow } else { Last::NoFollow })?;
        if asked & WRITE != 0 && self.dfs.is_read_only() {
            return Err(Refusal::Later);
        }
        may(who, attr.guarded(), asked).map_err(later)?;
        Ok(done(&[]))
    }

    fn readlink_at_door(&self, who: &Credentials, at: &Place<'_>) -> Answer<Vec<u8>> {
        let (walked, attr, _) = self.there(who, at, Last::NoFollow)?;
        match &walked.name {
            Some(name) if attr.kind == Kind::Symlink => {
                Ok(done(&self.dfs.readlink(&walked.top.dir, name).map_err(later)?))
            }
            _ => Err(Refusal::Later),
        }
    }

    /// The name that is to be changed, and the directory it is in. The last name was not looked up.
    fn named(&self, who: &Credentials, at: &Place<'_>, may_have_slash: bool) -> Answer<(Step, Vec<u8>)> {
        let Walked { top, name, slash, .. } = self.walk(who, at, Last::Leave)?;
        if slash && !may_have_slash {
            return Err(Refusal::Later);
        }
        Ok((top, name.ok_or(Refusal::Later)?))
    }

    /// What a name leads to.
    fn found(&self, top: &Step, name: &[u8]) -> Answer<Found> {
        self.dfs.look(&top.dir, name).map_err(|error| match error.errno {
            Errno::ENOENT => Refusal::Said(error),
            _ => Refusal::Later,
        })
    }

    /// Takes a name away by `run`, and from the kernel, if that knows it: who has it open, or is there, sees that it is gone.
    fn removed_at_door(&self, dir: &Dir, name: &[u8], run: impl FnOnce() -> daos_dfs::Result<()>) -> Answer {
        let moving = self.inodes.moving();
        let before = self.inodes.entry(dir, name);
        run().map_err(refused)?;
        // It may have looked meanwhile.
        let known = before.or_else(|| self.inodes.entry(dir, name));
        self.inodes.removed(dir, name);
        // Whoever waits for that may hold what the kernel waits for.
        drop(moving);
        if let Some((dir, node)) = known {
            self.sides.tell(&removed_entry(dir, node, name));
        }
        Ok(())
    }

    fn unlink_at_door(&self, who: &Credentials, at: &Place<'_>) -> Answer<Vec<u8>> {
        let (mut top, name) = self.named(who, at, false)?;
        // Of who may do all nothing is asked but whether it is a directory, which is asked anyway.
        if !who.is_privileged() {
            let (attr, _) = self.found(&top, &name)?;
            may_remove(who, self.guarded(&mut top)?, attr.guarded()).map_err(later)?;
        }
        self.removed_at_door(&top.dir, &name, || self.dfs.unlink(&top.dir, &name))?;
        Ok(done(&[]))
    }

    fn rmdir_at_door(&self, who: &Credentials, at: &Place<'_>) -> Answer<Vec<u8>> {
        let (mut top, name) = self.named(who, at, true)?;
        let (attr, dir) = self.found(&top, &name)?;
        if self.leads_elsewhere(&dir.ok_or(Refusal::Later)?)? {
            return Err(Refusal::Later);
        }
        if !who.is_privileged() {
            may_remove(who, self.guarded(&mut top)?, attr.guarded()).map_err(later)?;
        }
        self.removed_at_door(&top.dir, &name, || self.dfs.rmdir(&top.dir, &name))?;
        Ok(done(&[]))
    }

    fn mkdir_at_door(&self, who: &Credentials, at: &Place<'_>, mode: u32) -> Answer<Vec<u8>> {
        let (mut top, name) = self.named(who, at, true)?;
        let above = self.guarded(&mut top)?;
        may_add(who, above).map_err(later)?;
        let (uid, gid, mode) = of_new(who, above, Kind::Directory, mode & 0o1777);
        self.dfs.mkdir(&top.dir, &name, &New { mode, uid, gid, ..New::default() }).map_err(refused)?;
        Ok(done(&[]))
    }

    fn symlink_at_door(&self, who: &Credentials, at: &Place<'_>, value: &[u8]) -> Answer<Vec<u8>> {
        let (mut top, name) = self.named(who, at, false)?;
        let above = self.guarded(&mut top)?;
        may_add(who, above).map_err(later)?;
        let (uid, gid, mode) = of_new(who, above, Kind::Symlink, 0o777);
        let new = New { mode, uid, gid, ..New::default() };
        self.dfs.symlink(&top.dir, &name, value, &new).map_err(refused)?;
        Ok(done(&[]))
    }

    fn link_at_door(&self, who: &Credentials, at: &Place<'_>, to: &Place<'_>) -> Answer<Vec<u8>> {
        let (from, from_name) = self.named(who, at, false)?;
        let (attr, _) = self.found(&from, &from_name)?;
        // Files of others get no further names from who might not even read them, as most kernels are set up.
        if attr.kind == Kind::Directory || (!who.is_privileged() && who.uid != attr.uid) {
            return Err(Refusal::Later);
        }
        let (mut top, name) = self.named(who, to, false)?;
        may_add(who, self.guarded(&mut top)?).map_err(later)?;
        let before = self.inodes.entry(&from.dir, &from_name);
        self.dfs.link((&from.dir, &from_name), (&top.dir, &name)).map_err(refused)?;
        // It may have looked meanwhile.
        let known = before.or_else(|| self.inodes.entry(&from.dir, &from_name));
        if let Some((_, node)) = known
            && let Ok((attr, _)) = self.dfs.look(&top.dir, &name)
        {
            self.inodes.linked(node, &top.dir, &name, &attr);
        }
        Ok(done(&[]))
    }

    fn rename_at_door(
        &self,
        who: &Credentials,
        at: &Place<'_>,
        to: &Place<'_>,
        flags: u32,
    ) -> Answer<Vec<u8>> {
        let (mut from, from_name) = self.named(who, at, false)?;
        let (mut top, name) = self.named(who, to, false)?;
        let same_dir = from.dir.oid() == top.dir.oid();
        if same_dir && from_name == name {
            return Err(Refusal::Later);
        }
        let (attr, _) = self.found(&from, &from_name)?;
        // Where a directory is, the kernel tells whoever is in it.
        if attr.kind == Kind::Directory {
            return Err(Refusal::Later);
        }
        let other = match self.found(&top, &name) {
            Ok((other, _)) => Some(other),
            Err(Refusal::Said(_)) => None,
            Err(refusal) => return Err(refusal),
        };
        let is_same = |other: &Attr| other.oid == attr.oid && other.oid != ObjectId::default();
        if other
            .is_some_and(|other| other.kind == Kind::Directory || flags & NO_REPLACE != 0 || is_same(&other))
        {
            return Err(Refusal::Later);
        }
        if !who.is_privileged() {
            let above = (self.guarded(&mut from)?, self.guarded(&mut top)?);
            may_move(who, above.0, above.1, attr.guarded(), same_dir).map_err(later)?;
            if let Some(other) = other {
                may_remove(who, above.1, other.guarded()).map_err(later)?;
            }
        }
        let moving = self.inodes.moving();
        let known = self.inodes.entry(&from.dir, &from_name);
        // Where a file is that is open the kernel keeps itself.
        if known.is_some_and(|(_, node)| self.inodes.open_file(node).is_some()) {
            return Err(Refusal::Later);
        }
        let replaced = self.inodes.entry(&top.dir, &name);
        let how = if flags & NO_REPLACE == 0 { Rename::Replace } else { Rename::NoReplace };
        self.dfs.rename((&from.dir, &from_name), (&top.dir, &name), how).map_err(refused)?;
        let known = known.or_else(|| self.inodes.entry(&from.dir, &from_name));
        self.inodes.renamed((&from.dir, &from_name), (&top.dir, &name), false);
        drop(moving);
        if let Some((dir, node)) = replaced {
            self.sides.tell(&removed_entry(dir, node, &name));
        }
        if let Some((dir, _)) = known {
            self.sides.tell(&forget_entry(dir, &from_name));
        }
        Ok(done(&[]))
    }
}

#[cfg(test)]
mod tests;
