//! Attributes of what paths lead to, or descriptors: set, and those of users.

use super::{Last, Walked, done, later, refused};
use crate::abi::Tree;
use crate::filesystem::nodes::IDENTITY;
use crate::filesystem::{Answer, Filesystem, Refusal, no};
use daos_dfs::access::{
    Credentials, WRITE, after_chmod, after_chown, after_write, may, may_set_times, may_use_xattr,
};
use daos_dfs::{At, Attr, Errno, Kind, SetAttr, Time, XattrSet};
use daos_door::{Asked, Moment, NO_FOLLOW, Owner, Place, SetTime, XattrHow, xattr_of};

/// Attributes that this serves alone: of all others the kernel knows more.
const USERS: &[u8] = b"user.";
const OF_THE_SYSTEM: &[u8] = b"system.";
/// What a program may do that is run; where there is none nobody else knows of one.
const CAPABILITY: &[u8] = b"security.capability";

/// What is worked on.
#[derive(Debug)]
pub(super) enum Target {
    /// Something that a program has open, by the kernel's number.
    Open(u64),
    /// What a path leads to.
    Walked(Walked),
}

/// What a change was refused with, of which nothing is known but that.
fn plainly(refusal: Refusal) -> Refusal {
    match refusal {
        Refusal::Said(error) => refused(error),
        Refusal::Number(_) | Refusal::Later => Refusal::Later,
    }
}

impl Filesystem {
    /// What a path leads to, or, without one, what the kernel has by the number; what is known of it, and its number for `stat`.
    pub(super) fn target(
        &self,
        who: &Credentials,
        at: &Place<'_>,
        follow: bool,
    ) -> Answer<(Target, Attr, u64)> {
        let (tree, node) = Tree::inside(at.node);
        if at.path.is_empty() && tree == Tree::ROOT {
            let (known, _) = self.inodes.get(node).map_err(later)?;
            if known.gone {
                return Err(Refusal::Later);
            }
            let (attr, ino) = self.stat(node).map_err(later)?;
            return Ok((Target::Open(node), attr, ino));
        }
        let last = if follow { Last::Follow } else { Last::NoFollow };
        let (walked, attr, ino) = self.there(who, at, last)?;
        Ok((Target::Walked(walked), attr, ino))
    }

    /// Works on it.
    fn on<T>(&self, target: &Target, run: impl Fn(At<'_>) -> daos_dfs::Result<T>) -> Answer<T> {
        let at = match target {
            Target::Open(node) => return self.with(*node, |_, at| run(at)),
            Target::Walked(Walked { found: Some((_, Some(dir))), .. }) => At::Dir(dir),
            Target::Walked(Walked { top, name: Some(name), .. }) => At::Entry(&top.dir, name),
            Target::Walked(Walked { top, name: None, .. }) => At::Dir(&top.dir),
        };
        Ok(run(at)?)
    }

    fn set(&self, target: &Target, set: &SetAttr) -> Answer<Vec<u8>> {
        self.on(target, |at| self.dfs.set_attr(at, set)).map_err(plainly)?;
        Ok(done(&[]))
    }

    pub(super) fn truncate_at_door(&self, who: &Credentials, at: &Place<'_>, more: &[u8]) -> Answer<Vec<u8>> {
        let Ok(size) = more.try_into().map(u64::from_le_bytes) else { return no(libc::EINVAL) };
        let (target, attr, _) = self.target(who, at, true)?;
        // What is open the kernel may have mapped, or run.
        if attr.kind != Kind::File || self.inodes.is_open(attr.oid) {
            return Err(Refusal::Later);
        }
        may(who, attr.guarded(), WRITE).map_err(later)?;
        let mode = Some(after_write(who, attr.guarded())).filter(|mode| *mode != attr.mode & 0o7777);
        self.set(&target, &SetAttr { mode, size: Some(size), ..SetAttr::default() })
    }

    pub(super) fn chmod_at_door(&self, who: &Credentials, at: &Place<'_>, mode: u32) -> Answer<Vec<u8>> {
        let (target, attr, _) = self.target(who, at, true)?;
        let mode = after_chmod(who, attr.guarded(), mode).map_err(later)?;
        self.set(&target, &SetAttr { mode: Some(mode), ..SetAttr::default() })
    }

    pub(super) fn chown_at_door(&self, who: &Credentials, asked: &Asked<'_>) -> Answer<Vec<u8>> {
        let Some(Owner { uid, gid }) = Owner::decode(asked.more) else { return no(libc::EINVAL) };
        // Where neither is given, the kernel knows what that means.
        if uid.is_none() && gid.is_none() {
            return Err(Refusal::Later);
        }
        let (target, attr, _) = self.target(who, &asked.at, asked.how & NO_FOLLOW == 0)?;
        let mode = after_chown(who, attr.guarded(), uid, gid).map_err(later)?;
        let mode = Some(mode).filter(|mode| *mode != attr.mode & 0o7777 && attr.kind != Kind::Symlink);
        self.set(&target, &SetAttr { mode, uid, gid, ..SetAttr::default() })
    }

    pub(super) fn set_time_at_door(&self, who: &Credentials, asked: &Asked<'_>) -> Answer<Vec<u8>> {
        let Some(SetTime { modified, all_now }) = SetTime::decode(asked.more) else {
            return no(libc::EINVAL);
        };
        let (target, attr, _) = self.target(who, &asked.at, asked.how & NO_FOLLOW == 0)?;
        may_set_times(who, attr.guarded(), all_now).map_err(later)?;
        let mtime = match modified {
            // Times of access are not stored.
            Moment::Kept if self.dfs.is_read_only() => return Err(Refusal::Later),
            Moment::Kept => return Ok(done(&[])),
            Moment::Now => Time::now(),
            Moment::At(seconds, nanoseconds) => Time { seconds, nanoseconds },
        };
        self.set(&target, &SetAttr { mtime: Some(mtime), ..SetAttr::default() })
    }

    pub(super) fn getxattr_at_door(&self, who: &Credentials, asked: &Asked<'_>) -> Answer<Vec<u8>> {
        let name = asked.more;
        if name == IDENTITY {
            return Err(Refusal::Later);
        }
        let (target, attr, _) = self.target(who, &asked.at, asked.how & NO_FOLLOW == 0)?;
        if name.starts_with(USERS) {
            may_use_xattr(who, attr.guarded(), name, false).map_err(later)?;
        } else if name.starts_with(OF_THE_SYSTEM) {
            // Nothing has any.
            return no(libc::EOPNOTSUPP);
        } else if name != CAPABILITY {
            return Err(Refusal::Later);
        }
        match self.on(&target, |at| self.dfs.xattr(at, name)) {
            Ok(value) if name != CAPABILITY => Ok(sized(&value, asked.how)),
            Err(Refusal::Said(error)) if error.errno == Errno::ENODATA => no(libc::ENODATA),
            _ => Err(Refusal::Later),
        }
    }

    pub(super) fn listxattr_at_door(&self, who: &Credentials, asked: &Asked<'_>) -> Answer<Vec<u8>> {
        let (target, _, _) = self.target(who, &asked.at, asked.how & NO_FOLLOW == 0)?;
        let names = self.on(&target, |at| self.dfs.xattrs(at)).map_err(later)?;
        let mut list: Vec<u8> = Vec::new();
        for name in names {
            list.extend(name);
            list.push(0);
        }
        Ok(sized(&list, asked.how))
    }

    /// What an attribute of users is to be changed of.
    fn with_xattr(&self, who: &Credentials, asked: &Asked<'_>, name: &[u8]) -> Answer<Target> {
        // By its name a directory leads to another container.
        if !name.starts_with(USERS) || name == IDENTITY {
            return Err(Refusal::Later);
        }
        let (target, attr, _) = self.target(who, &asked.at, asked.how & NO_FOLLOW == 0)?;
        may_use_xattr(who, attr.guarded(), name, true).map_err(later)?;
        Ok(target)
    }

    pub(super) fn setxattr_at_door(&self, who: &Credentials, asked: &Asked<'_>) -> Answer<Vec<u8>> {
        let Some((name, value)) = xattr_of(asked.more) else { return no(libc::EINVAL) };
        let how = match XattrHow::of(asked.how) {
            XattrHow { create: false, replace: false, .. } => XattrSet::Any,
            XattrHow { create: true, replace: false, .. } => XattrSet::Create,
            XattrHow { create: false, replace: true, .. } => XattrSet::Replace,
            XattrHow { .. } => return Err(Refusal::Later),
        };
        let target = self.with_xattr(who, asked, name)?;
        self.on(&target, |at| self.dfs.set_xattr(at, name, value, how)).map_err(plainly)?;
        Ok(done(&[]))
    }

    pub(super) fn removexattr_at_door(&self, who: &Credentials, asked: &Asked<'_>) -> Answer<Vec<u8>> {
        let target = self.with_xattr(who, asked, asked.more)?;
        self.on(&target, |at| self.dfs.remove_xattr(at, asked.more)).map_err(plainly)?;
        Ok(done(&[]))
    }
}

/// A value, behind its length; without itself, if there is no room for it.
fn sized(value: &[u8], how: u32) -> Vec<u8> {
    let len = value.len() as u32;
    let fits = len <= XattrHow::of(how).room;
    done(&[&len.to_le_bytes()[..], if fits { value } else { &[] }].concat())
}
