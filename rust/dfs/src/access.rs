//! Who may do what: POSIX's rules of owner, group and others. Pure.

use crate::errno::{Errno, Error, Result};
use crate::record::Kind;

/// The bits of what is asked for, as `access` has them.
pub const READ: u32 = 4;
/// Writing.
pub const WRITE: u32 = 2;
/// Running a file, looking names up in a directory.
pub const EXECUTE: u32 = 1;

const SET_UID: u32 = 0o4000;
const SET_GID: u32 = 0o2000;
const STICKY: u32 = 0o1000;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Credentials {
    /// The user; 0 may do all.
    pub uid: u32,
    /// The group that what he makes belongs to.
    pub gid: u32,
    /// The other groups he is in.
    pub groups: Vec<u32>,
}

impl Credentials {
    /// Those of the user who may do all.
    pub const ROOT: Self = Self { uid: 0, gid: 0, groups: Vec::new() };

    /// Whether he may do all.
    pub const fn is_privileged(&self) -> bool {
        self.uid == 0
    }

    /// Whether he is in a group.
    pub fn is_in(&self, gid: u32) -> bool {
        self.gid == gid || self.groups.contains(&gid)
    }
}

/// What the rules look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guarded {
    /// Kind and permissions.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

impl Guarded {
    fn is_directory(self) -> bool {
        Kind::of(self.mode) == Some(Kind::Directory)
    }
}

fn denied(what: &str) -> Error {
    Error::new(Errno::EACCES, what)
}

fn not_permitted(what: &str) -> Error {
    Error::new(Errno::EPERM, what)
}

/// Whether somebody has all of the rights that are asked for. The class that he is in decides alone: an owner who has no right is
/// not helped by what others have.
pub fn may(who: &Credentials, what: Guarded, asked: u32) -> Result<()> {
    if who.is_privileged() {
        // Nobody runs a file that is nobody's to run.
        let runs = asked & EXECUTE == 0 || what.is_directory() || what.mode & 0o111 != 0;
        return if runs { Ok(()) } else { Err(denied("nobody may run this file")) };
    }
    let shift = if who.uid == what.uid {
        6
    } else if who.is_in(what.gid) {
        3
    } else {
        0
    };
    if (what.mode >> shift) & asked == asked { Ok(()) } else { Err(denied("the mode does not allow it")) }
}

/// Whether somebody may make an entry in a directory.
pub fn may_add(who: &Credentials, directory: Guarded) -> Result<()> {
    may(who, directory, WRITE | EXECUTE)
}

/// Whether somebody may take an entry out of a directory, or put another in its place: in a sticky one only his own.
pub fn may_remove(who: &Credentials, directory: Guarded, entry: Guarded) -> Result<()> {
    may(who, directory, WRITE | EXECUTE)?;
    let is_his = who.is_privileged() || who.uid == entry.uid || who.uid == directory.uid;
    if directory.mode & STICKY == 0 || is_his {
        Ok(())
    } else {
        Err(not_permitted("the directory is sticky, and the entry another's"))
    }
}

/// Whether somebody may move an entry from one directory to another: of a directory that changes, `..` is written too.
pub fn may_move(who: &Credentials, from: Guarded, to: Guarded, entry: Guarded, same: bool) -> Result<()> {
    may_remove(who, from, entry)?;
    may_add(who, to)?;
    if entry.is_directory() && !same { may(who, entry, WRITE) } else { Ok(()) }
}

/// The owner, the group and the mode of what somebody makes in a directory. In one with the set-group-id bit, all belongs to its
/// group, and directories have the bit as well.
pub fn of_new(who: &Credentials, directory: Guarded, kind: Kind, mode: u32) -> (u32, u32, u32) {
    let mut mode = mode & 0o7777;
    let inherits = directory.mode & SET_GID != 0;
    let gid = if inherits { directory.gid } else { who.gid };
    if kind == Kind::Directory {
        // The bit of a directory is the parent's to give.
        mode = mode & !SET_GID | if inherits { SET_GID } else { 0 };
    } else if mode & (SET_GID | 0o010) == SET_GID | 0o010 && !who.is_privileged() && !who.is_in(gid) {
        mode &= !SET_GID;
    }
    (who.uid, gid, mode)
}

/// The mode after somebody set it: of a file whose group he is not in, without the set-group-id bit.
pub fn after_chmod(who: &Credentials, what: Guarded, mode: u32) -> Result<u32> {
    if !who.is_privileged() && who.uid != what.uid {
        return Err(not_permitted("only the owner changes a mode"));
    }
    let keeps = who.is_privileged() || who.is_in(what.gid);
    Ok(if keeps { mode & 0o7777 } else { mode & 0o7777 & !SET_GID })
}

/// The mode after somebody gave something to another owner or group. Only who may do all gives away what he has; others may choose
/// among their groups. A file loses its set-user-id bit then, and the set-group-id bit if its group may run it.
pub fn after_chown(who: &Credentials, what: Guarded, uid: Option<u32>, gid: Option<u32>) -> Result<u32> {
    if !who.is_privileged() {
        let keeps_owner = uid.is_none_or(|uid| uid == what.uid);
        let takes_own = gid.is_none_or(|gid| gid == what.gid || who.is_in(gid));
        if who.uid != what.uid || !keeps_owner || !takes_own {
            return Err(not_permitted("only root gives a file away"));
        }
    }
    if what.is_directory() || (uid.is_none() && gid.is_none()) {
        return Ok(what.mode & 0o7777);
    }
    Ok(without_set_ids(what.mode))
}

/// The mode after somebody who may not do all wrote to a file.
pub fn after_write(who: &Credentials, what: Guarded) -> u32 {
    if who.is_privileged() { what.mode & 0o7777 } else { without_set_ids(what.mode) }
}

/// The bits by which a program runs as another.
pub(crate) const SET_IDS: u32 = SET_UID | SET_GID;

pub(crate) fn without_set_ids(mode: u32) -> u32 {
    let mode = mode & 0o7777 & !SET_UID;
    // Without the right to run, the bit once meant mandatory locking and stays.
    if mode & 0o010 != 0 { mode & !SET_GID } else { mode }
}

/// Whether somebody may set the times of something: to now who may write, to others its owner alone.
pub fn may_set_times(who: &Credentials, what: Guarded, all_now: bool) -> Result<()> {
    if who.is_privileged() || who.uid == what.uid {
        return Ok(());
    }
    if !all_now {
        return Err(not_permitted("only the owner sets times"));
    }
    may(who, what, WRITE)
}

/// Whether somebody may look at an extended attribute, or, writing, change it.
pub fn may_use_xattr(who: &Credentials, what: Guarded, name: &[u8], writing: bool) -> Result<()> {
    if name.starts_with(b"user.") {
        let fits = matches!(Kind::of(what.mode), Some(Kind::File | Kind::Directory));
        if !fits {
            return if writing {
                Err(not_permitted("a symbolic link has no attributes of users"))
            } else {
                Err(Error::new(Errno::ENODATA, "a symbolic link has no attributes of users"))
            };
        }
        let is_his = who.is_privileged() || who.uid == what.uid;
        if writing && what.is_directory() && what.mode & STICKY != 0 && !is_his {
            return Err(not_permitted("the directory is sticky, and another's"));
        }
        return may(who, what, if writing { WRITE } else { READ });
    }
    if name.starts_with(b"trusted.") {
        return if who.is_privileged() {
            Ok(())
        } else if writing {
            Err(not_permitted("a trusted attribute is root's"))
        } else {
            Err(Error::new(Errno::ENODATA, "a trusted attribute is root's"))
        };
    }
    if name.starts_with(b"security.") {
        return if writing && !who.is_privileged() {
            Err(not_permitted("a security attribute is changed by root"))
        } else {
            Ok(())
        };
    }
    Err(Error::new(Errno::EOPNOTSUPP, "an extended attribute of another kind")
        .hint("names begin with user., trusted. or security."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(uid: u32, gid: u32, groups: &[u32]) -> Credentials {
        Credentials { uid, gid, groups: groups.to_vec() }
    }

    fn file(mode: u32, uid: u32, gid: u32) -> Guarded {
        Guarded { mode: Kind::File.bits() | mode, uid, gid }
    }

    fn directory(mode: u32, uid: u32, gid: u32) -> Guarded {
        Guarded { mode: Kind::Directory.bits() | mode, uid, gid }
    }

    fn errno<T: std::fmt::Debug>(result: Result<T>) -> Errno {
        result.unwrap_err().errno
    }

    #[test]
    fn the_class_one_is_in_decides_alone() {
        for (who, mode, asked, allowed) in [
            (user(1, 1, &[]), 0o600, READ | WRITE, true),
            (user(1, 1, &[]), 0o077, READ, false),
            (user(2, 5, &[]), 0o060, READ | WRITE, true),
            (user(2, 9, &[8, 5]), 0o040, READ, true),
            (user(2, 5, &[]), 0o604, READ, false),
            (user(2, 6, &[]), 0o640, READ, false),
            (user(2, 6, &[]), 0o645, READ | EXECUTE, true),
            (user(2, 6, &[]), 0o644, READ | WRITE, false),
            (user(0, 9, &[]), 0o000, READ | WRITE, true),
            (user(0, 9, &[]), 0o000, EXECUTE, false),
            (user(0, 9, &[]), 0o001, EXECUTE, true),
        ] {
            let result = may(&who, file(mode, 1, 5), asked);
            assert_eq!(result.is_ok(), allowed, "{who:?} {mode:o} {asked}");
        }
        may(&Credentials::ROOT, directory(0, 1, 1), EXECUTE).unwrap();
    }

    #[test]
    fn a_sticky_directory_keeps_entries_for_their_owners() {
        let shared = directory(0o1777, 1, 1);
        let entry = file(0o666, 2, 2);
        for (uid, allowed) in [(0, true), (1, true), (2, true), (3, false)] {
            assert_eq!(may_remove(&user(uid, 9, &[]), shared, entry).is_ok(), allowed, "{uid}");
        }
        may_remove(&user(3, 9, &[]), directory(0o777, 1, 1), entry).unwrap();
        assert_eq!(errno(may_remove(&user(3, 9, &[]), shared, entry)), Errno::EPERM);
        assert_eq!(errno(may_remove(&user(2, 9, &[]), directory(0o555, 1, 1), entry)), Errno::EACCES);
    }

    #[test]
    fn a_directory_that_moves_is_written_to() {
        let (from, to) = (directory(0o777, 1, 1), directory(0o777, 1, 1));
        let who = user(3, 3, &[]);
        assert_eq!(errno(may_move(&who, from, to, directory(0o755, 2, 2), false)), Errno::EACCES);
        may_move(&who, from, to, directory(0o755, 2, 2), true).unwrap();
        may_move(&who, from, to, file(0o600, 2, 2), false).unwrap();
        assert_eq!(
            errno(may_move(&who, from, directory(0o755, 1, 1), file(0o600, 2, 2), false)),
            Errno::EACCES
        );
    }

    #[test]
    fn what_is_made_belongs_to_its_maker_or_to_the_group_of_the_directory() {
        let who = user(1, 2, &[7]);
        assert_eq!(of_new(&who, directory(0o755, 0, 5), Kind::File, 0o644), (1, 2, 0o644));
        assert_eq!(of_new(&who, directory(0o2755, 0, 5), Kind::File, 0o2644), (1, 5, 0o2644));
        assert_eq!(of_new(&who, directory(0o2755, 0, 5), Kind::File, 0o2654), (1, 5, 0o654));
        assert_eq!(of_new(&who, directory(0o2755, 0, 7), Kind::File, 0o2654), (1, 7, 0o2654));
        assert_eq!(of_new(&who, directory(0o2755, 0, 5), Kind::Directory, 0o755), (1, 5, 0o2755));
        assert_eq!(of_new(&who, directory(0o755, 0, 5), Kind::Directory, 0o2755), (1, 2, 0o755));
    }

    #[test]
    fn modes_and_owners_change_by_their_rules() {
        let (owner, other) = (user(1, 2, &[7]), user(3, 2, &[]));
        assert_eq!(after_chmod(&owner, file(0, 1, 2), 0o2755).unwrap(), 0o2755);
        assert_eq!(after_chmod(&owner, file(0, 1, 9), 0o6755).unwrap(), 0o4755);
        assert_eq!(after_chmod(&Credentials::ROOT, file(0, 1, 9), 0o6755).unwrap(), 0o6755);
        assert_eq!(errno(after_chmod(&other, file(0, 1, 2), 0o777)), Errno::EPERM);
        assert_eq!(after_chown(&owner, file(0o6755, 1, 2), None, Some(7)).unwrap(), 0o755);
        assert_eq!(after_chown(&owner, file(0o6745, 1, 2), Some(1), None).unwrap(), 0o2745);
        assert_eq!(after_chown(&owner, file(0o6755, 1, 2), None, None).unwrap(), 0o6755);
        assert_eq!(after_chown(&owner, directory(0o2755, 1, 2), None, Some(7)).unwrap(), 0o2755);
        assert_eq!(errno(after_chown(&owner, file(0, 1, 2), Some(4), None)), Errno::EPERM);
        assert_eq!(errno(after_chown(&owner, file(0, 1, 2), None, Some(8))), Errno::EPERM);
        assert_eq!(errno(after_chown(&other, file(0, 1, 2), None, Some(2))), Errno::EPERM);
        assert_eq!(after_chown(&Credentials::ROOT, file(0o4755, 1, 2), Some(4), None).unwrap(), 0o755);
        assert_eq!(after_write(&other, file(0o6755, 1, 2)), 0o755);
        assert_eq!(after_write(&Credentials::ROOT, file(0o6755, 1, 2)), 0o6755);
    }

    #[test]
    fn times_are_set_to_now_by_who_writes() {
        let what = file(0o666, 1, 1);
        may_set_times(&user(1, 9, &[]), what, false).unwrap();
        may_set_times(&user(2, 9, &[]), what, true).unwrap();
        assert_eq!(errno(may_set_times(&user(2, 9, &[]), what, false)), Errno::EPERM);
        assert_eq!(errno(may_set_times(&user(2, 9, &[]), file(0o644, 1, 1), true)), Errno::EACCES);
    }

    #[test]
    fn attributes_have_namespaces() {
        let (owner, other, what) = (user(1, 1, &[]), user(2, 2, &[]), file(0o640, 1, 1));
        let link = Guarded { mode: Kind::Symlink.bits() | 0o777, uid: 1, gid: 1 };
        may_use_xattr(&owner, what, b"user.a", true).unwrap();
        assert_eq!(errno(may_use_xattr(&other, what, b"user.a", false)), Errno::EACCES);
        assert_eq!(errno(may_use_xattr(&owner, link, b"user.a", true)), Errno::EPERM);
        assert_eq!(errno(may_use_xattr(&owner, link, b"user.a", false)), Errno::ENODATA);
        assert_eq!(errno(may_use_xattr(&other, directory(0o1777, 1, 1), b"user.a", true)), Errno::EPERM);
        assert_eq!(errno(may_use_xattr(&owner, what, b"trusted.a", true)), Errno::EPERM);
        assert_eq!(errno(may_use_xattr(&owner, what, b"trusted.a", false)), Errno::ENODATA);
        may_use_xattr(&Credentials::ROOT, what, b"trusted.a", true).unwrap();
        may_use_xattr(&other, what, b"security.a", false).unwrap();
        assert_eq!(errno(may_use_xattr(&owner, what, b"security.a", true)), Errno::EPERM);
        assert_eq!(errno(may_use_xattr(&owner, what, b"system.posix_acl_access", true)), Errno::EOPNOTSUPP);
    }
}
