//! What is known of nodes, and how it is changed: attributes, extended attributes, room.

use super::{Answer, Filesystem, no, node_attr};
use crate::abi::{Args, Header, NodeAttr, ROOT, Reply, fattr};
use daos_dfs::access::{Credentials, after_chown, after_write};
use daos_dfs::{At, Errno, Kind, SetAttr, Time, XattrSet};

/// The attribute by which DAOS's tools know what lies behind a path.
pub(crate) const IDENTITY: &[u8] = b"user.daos";
/// The attribute that a program has its rights by.
const CAPABILITY: &[u8] = b"security.capability";
/// Flags of `setxattr`.
const CREATE: u32 = 1;
const REPLACE: u32 = 2;
/// Blocks that a file system without numbers of its own tells.
pub(crate) const BLOCK: u32 = 4096;
pub(crate) const NAME_LEN_MAX: u32 = 255;

impl Filesystem {
    pub(super) fn getattr(&self, header: &Header, mut args: Args<'_>, reply: &mut Reply<'_>) -> Answer {
        let flags = args.u32()?;
        args.u32()?;
        let handle = args.u64()?;
        let (known, _) = self.inodes.get(header.node)?;
        if known.gone && known.kind == Kind::Directory {
            reply.attr_out(self.caching.attr, &gone(known.ino, known.seen));
            return Ok(());
        }
        let mut valid = self.attr_valid(header.node);
        let attr = if flags & crate::abi::GETATTR_FH != 0
            && let Ok(opened) = self.files.get(handle)
        {
            node_attr(&opened.file.stat()?, known.ino)
        } else {
            // The kernel asks for a directory each time something was made or removed there: what else is told of it, it could keep.
            let (attr, ino, age) = self.stat_lately(header.node, valid)?;
            valid = valid.saturating_sub(age);
            node_attr(&attr, ino)
        };
        reply.attr_out(valid, &attr);
        Ok(())
    }

    pub(super) fn setattr(&self, header: &Header, mut args: Args<'_>, reply: &mut Reply<'_>) -> Answer {
        let valid = args.u32()?;
        args.u32()?;
        let (handle, size, _owner) = (args.u64()?, args.u64()?, args.u64()?);
        let (_atime, mtime, _ctime) = (args.u64()?, args.u64()?, args.u64()?);
        let (_, mtime_ns, _) = (args.u32()?, args.u32()?, args.u32()?);
        let (mode, _, uid, gid) = (args.u32()?, args.u32()?, args.u32()?, args.u32()?);
        let has = |bit: u32| valid & bit != 0;
        let set = SetAttr {
            mode: has(fattr::MODE).then_some(mode & 0o7777),
            uid: has(fattr::UID).then_some(uid),
            gid: has(fattr::GID).then_some(gid),
            size: has(fattr::SIZE).then_some(size),
            mtime: if has(fattr::MTIME_NOW) {
                Some(Time::now())
            } else {
                let time = Time { seconds: mtime.cast_signed(), nanoseconds: mtime_ns };
                has(fattr::MTIME).then_some(time)
            },
        };
        // The kernel's own word on when it was given what is written by now, and the one case of these bits with a handle: it looks at
        // nothing of the answer. The time is stored when the file is closed.
        if valid == fattr::MTIME | fattr::CTIME | fattr::FH
            && let (Some(time), Some(file)) = (set.mtime, self.inodes.open_file(header.node))
        {
            file.changed_at(time)?;
            let (known, _) = self.inodes.get(header.node)?;
            let ((mode, uid, gid), ino) = (known.seen, known.ino);
            let attr = NodeAttr { ino, mode, uid, gid, links: 1, block_size: BLOCK, ..NodeAttr::default() };
            reply.attr_out(std::time::Duration::ZERO, &attr);
            return Ok(());
        }
        // Times of access are not stored.
        if set != SetAttr::default() {
            let file = if has(fattr::FH) { self.files.get(handle).ok() } else { None };
            let change = |at: At<'_>| {
                let mut set = set;
                // What runs as another does so no more, once it is changed or given away.
                if set.mode.is_none() && (has(fattr::KILL_SUIDGID) || set.uid.is_some() || set.gid.is_some())
                {
                    let now = self.dfs.stat(at)?;
                    let mode = if set.uid.is_some() || set.gid.is_some() {
                        after_chown(&Credentials::ROOT, now.guarded(), set.uid, set.gid)?
                    } else {
                        let anybody = Credentials { uid: u32::MAX, ..Credentials::default() };
                        if now.kind == Kind::File {
                            after_write(&anybody, now.guarded())
                        } else {
                            now.mode & 0o7777
                        }
                    };
                    set.mode = (mode != now.mode & 0o7777).then_some(mode);
                }
                self.dfs.set_attr(at, &set)
            };
            match file {
                Some(opened) => change(At::File(&opened.file))?,
                None => self.with(header.node, |_, at| change(at))?,
            }
        }
        let (attr, ino) = self.stat(header.node)?;
        reply.attr_out(self.attr_valid(header.node), &node_attr(&attr, ino));
        Ok(())
    }

    pub(super) fn statfs(&self, reply: &mut Reply<'_>) -> Answer {
        let (block, blocks, free, name_len) = match self.dfs.statfs() {
            Ok(room) => (room.block_size as u32, room.blocks, room.blocks_free, room.name_len_max as u32),
            Err(error) if error.errno == Errno::EOPNOTSUPP => (BLOCK, 0, 0, NAME_LEN_MAX),
            Err(error) => return Err(error.into()),
        };
        for number in [blocks, free, free, 0, 0] {
            reply.u64(number);
        }
        for number in [block, name_len, block, 0, 0, 0, 0, 0, 0, 0] {
            reply.u32(number);
        }
        Ok(())
    }

    pub(super) fn setxattr(&self, header: &Header, mut args: Args<'_>) -> Answer {
        let (size, flags) = (args.u32()? as usize, args.u32()?);
        let name = args.name()?;
        let value = args.bytes(size)?;
        let how = match flags {
            0 => XattrSet::Any,
            CREATE => XattrSet::Create,
            REPLACE => XattrSet::Replace,
            _ => return no(libc::EINVAL),
        };
        stored(name)?;
        self.with(header.node, |_, at| self.dfs.set_xattr(at, name, value, how))
    }

    pub(super) fn getxattr(&self, header: &Header, mut args: Args<'_>, reply: &mut Reply<'_>) -> Answer {
        let room = args.u32()? as usize;
        args.u32()?;
        let name = args.name()?;
        stored(name)?;
        // Asked for before the first write to each file, right after it was opened.
        if name == CAPABILITY
            && let Some(file) = self.inodes.open_file(header.node)
            && file.is_incapable(self.attr_valid(header.node))
        {
            return no(libc::ENODATA);
        }
        let value = self.with(header.node, |_, at| self.dfs.xattr(at, name));
        let value = match (value, &self.identity) {
            (Err(refusal), Some(identity))
                if header.node == ROOT && name == IDENTITY && refusal.number() == libc::ENODATA =>
            {
                identity.clone().into_bytes()
            }
            (value, _) => value?,
        };
        answer_sized(&value, room, reply)
    }

    pub(super) fn listxattr(&self, header: &Header, mut args: Args<'_>, reply: &mut Reply<'_>) -> Answer {
        let room = args.u32()? as usize;
        let names = self.with(header.node, |_, at| self.dfs.xattrs(at))?;
        let mut list: Vec<u8> = Vec::new();
        for name in names {
            list.extend(name);
            list.push(0);
        }
        answer_sized(&list, room, reply)
    }

    pub(super) fn removexattr(&self, header: &Header, mut args: Args<'_>) -> Answer {
        let name = args.name()?;
        stored(name)?;
        self.with(header.node, |_, at| self.dfs.remove_xattr(at, name))
    }
}

/// Refuses attributes that would mean something to the kernel, which nothing here looks after: access lists.
fn stored(name: &[u8]) -> Answer {
    let prefixes: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];
    if prefixes.iter().any(|prefix| name.starts_with(prefix)) { Ok(()) } else { no(libc::EOPNOTSUPP) }
}

/// A value, or, if nobody has room for one, its length.
pub(crate) fn answer_sized(value: &[u8], room: usize, reply: &mut Reply<'_>) -> Answer {
    if room == 0 {
        reply.u32(value.len() as u32);
        reply.u32(0);
    } else if room < value.len() {
        return no(libc::ERANGE);
    } else {
        reply.put(value);
    }
    Ok(())
}

/// A directory that was removed, as those see it who still have it.
fn gone(ino: u64, (mode, uid, gid): (u32, u32, u32)) -> NodeAttr {
    let now = Time::now();
    let times = [(now.seconds, now.nanoseconds); 3];
    NodeAttr { ino, mode, uid, gid, times, block_size: BLOCK, ..NodeAttr::default() }
}
