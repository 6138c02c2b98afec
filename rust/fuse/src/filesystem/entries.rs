//! Names: looked up, made, removed, renamed, listed.

use super::nodes::IDENTITY;
use super::{AGAIN_MAX, Answer, Filesystem, Refusal, no, node_attr};
use crate::abi::{Args, DIRENT, Dirent, ENTRY_OUT, EntryOut, Header, ROOT, Reply, Tree};
use crate::ahead::{NAMES_MAX, Step};
use crate::inodes::ino_of_entry;
use crate::listing::{DOTS, Listing};
use daos_dfs::{Attr, Dir, Errno, Kind, New, Rename};
use std::time::Duration;

/// Flags of `renameat2`.
const NOREPLACE: u32 = 1;
const EXCHANGE: u32 = 2;

/// The bits of a mode that tell the kind, and the place they are moved to in a listing.
const KIND_SHIFT: u32 = 12;
const SET_GID: u32 = 0o2000;

/// A number for what is listed and cannot be read.
const INO_UNKNOWN: u64 = 0xffff_ffff;

/// Owner, group and mode of what somebody makes in a directory of this mode, owner and group. The kernel has looked whether he may, and
/// taken from a mode what it must not have.
pub(super) fn new_in(header: &Header, seen: (u32, u32, u32), kind: Kind, mode: u32) -> New {
    let inherits = seen.0 & SET_GID != 0;
    let gid = if inherits { seen.2 } else { header.gid };
    let mode = match kind {
        Kind::Directory if inherits => mode | SET_GID,
        _ => mode,
    };
    New { mode: mode & 0o7777, uid: header.uid, gid, ..New::default() }
}

impl Filesystem {
    /// What a name leads to.
    pub(crate) fn look_up(&self, header: &Header, mut args: Args<'_>) -> Answer<EntryOut> {
        let name = args.name()?;
        let dir = self.inodes.dir(header.node)?;
        match self.looked(&dir, name) {
            Ok((attr, as_dir, age)) => Ok(self.told_late(&dir, name, &attr, as_dir, age)),
            // That nothing is there holds for a time as well.
            Err(error) if error.errno == Errno::ENOENT && !self.caching.ndentry.is_zero() => {
                Ok(EntryOut { name_valid: self.caching.ndentry, ..EntryOut::default() })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What a name leads to, and so long ago it was looked up.
    fn looked(&self, dir: &Dir, name: &[u8]) -> daos_dfs::Result<(Attr, Option<Dir>, Duration)> {
        let now = self.ahead.moment();
        match self.ahead.asked(dir.oid(), name, now) {
            Step::Known(attr, age) => return Ok((*attr, None, age)),
            Step::Look => {}
            Step::List => {
                let page = self.dfs.readdir(dir, &self.dfs.first_anchor(dir)?, NAMES_MAX, false)?;
                let names = page.entries.into_iter().map(|entry| entry.name).collect();
                self.ahead.listed(dir.oid(), page.anchor.is_none().then_some(names), now);
            }
            Step::Together(names) => {
                let looks: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
                let mut looked = self.dfs.look_all(dir, &looks)?.into_iter();
                let first = looked.next();
                let others = names.into_iter().skip(1).zip(looked);
                let there = others.filter_map(|(name, looked)| Some((name, looked.ok()??.0)));
                self.ahead.keep(dir.oid(), there, now);
                if let Some(Some((attr, as_dir))) = first.transpose()? {
                    return Ok((attr, as_dir, Duration::ZERO));
                }
            }
        }
        let looked = self.dfs.look(dir, name);
        if looked.is_err() {
            self.ahead.missed(dir.oid());
        }
        looked.map(|(attr, as_dir)| (attr, as_dir, Duration::ZERO))
    }

    /// What a directory says that it leads to: another container.
    pub(crate) fn link_of(&self, node: u64) -> Answer<Option<Vec<u8>>> {
        let value = match self.with(node, |_, at| self.dfs.xattr(at, IDENTITY)) {
            Err(Refusal::Said(error)) if error.errno == Errno::ENODATA => return Ok(None),
            value => value?,
        };
        Ok(Some(value).filter(|value| self.identity.as_ref().is_none_or(|own| own.as_bytes() != value)))
    }

    /// The root, as what a name in another tree leads to.
    pub(crate) fn root_entry(&self) -> Answer<EntryOut> {
        let (attr, ino) = self.stat(ROOT)?;
        let (name_valid, attr_valid) = (self.caching.dentry_dir, self.caching.attr);
        Ok(EntryOut { node: ROOT, name_valid, attr_valid, attr: node_attr(&attr, ino) })
    }

    pub(super) fn mknod(&self, header: &Header, mut args: Args<'_>, reply: &mut Reply<'_>) -> Answer {
        let mode = args.u32()?;
        args.bytes(12)?;
        let name = args.name()?;
        // Devices, pipes and sockets are of one host; a container is not.
        if Kind::of(mode) != Some(Kind::File) {
            return no(libc::EPERM);
        }
        let (dir, seen) = self.inodes.dir_seen(header.node)?;
        let (file, attr) = self.dfs.make(&dir, name, &new_in(header, seen, Kind::File, mode))?;
        file.close()?;
        reply.entry(&self.told(&dir, name, &attr, None));
        Ok(())
    }

    pub(super) fn mkdir(&self, header: &Header, mut args: Args<'_>, reply: &mut Reply<'_>) -> Answer {
        let mode = args.u32()?;
        args.u32()?;
        let name = args.name()?;
        let (dir, seen) = self.inodes.dir_seen(header.node)?;
        self.dfs.mkdir(&dir, name, &new_in(header, seen, Kind::Directory, mode))?;
        self.tell(&dir, name, reply)
    }

    pub(super) fn symlink(&self, header: &Header, mut args: Args<'_>, reply: &mut Reply<'_>) -> Answer {
        let (name, value) = (args.name()?, args.name()?);
        let (dir, seen) = self.inodes.dir_seen(header.node)?;
        self.dfs.symlink(&dir, name, value, &new_in(header, seen, Kind::Symlink, 0o777))?;
        self.tell(&dir, name, reply)
    }

    /// Tells of what was just made.
    fn tell(&self, dir: &Dir, name: &[u8], reply: &mut Reply<'_>) -> Answer {
        let (attr, as_dir) = self.dfs.look(dir, name)?;
        reply.entry(&self.told(dir, name, &attr, as_dir));
        Ok(())
    }

    pub(super) fn unlink(&self, header: &Header, mut args: Args<'_>) -> Answer {
        let name = args.name()?;
        let dir = self.inodes.dir(header.node)?;
        let _moving = self.inodes.moving();
        self.dfs.unlink(&dir, name)?;
        self.inodes.removed(&dir, name);
        Ok(())
    }

    pub(super) fn rmdir(&self, header: &Header, mut args: Args<'_>) -> Answer {
        let name = args.name()?;
        let dir = self.inodes.dir(header.node)?;
        let _moving = self.inodes.moving();
        self.dfs.rmdir(&dir, name)?;
        self.inodes.removed(&dir, name);
        Ok(())
    }

    pub(super) fn rename(&self, header: &Header, mut args: Args<'_>, flagged: bool) -> Answer {
        let (_, to) = Tree::inside(args.u64()?);
        let how = if flagged {
            let flags = args.u32()?;
            args.u32()?;
            match flags {
                0 => Rename::Replace,
                NOREPLACE => Rename::NoReplace,
                EXCHANGE => Rename::Exchange,
                _ => return no(libc::EINVAL),
            }
        } else {
            Rename::Replace
        };
        let (from_name, to_name) = (args.name()?, args.name()?);
        let (from, to) = (self.inodes.dir(header.node)?, self.inodes.dir(to)?);
        let _moving = self.inodes.moving();
        self.dfs.rename((&from, from_name), (&to, to_name), how)?;
        self.inodes.renamed((&from, from_name), (&to, to_name), how == Rename::Exchange);
        Ok(())
    }

    pub(super) fn link(&self, header: &Header, mut args: Args<'_>, reply: &mut Reply<'_>) -> Answer {
        let ((_, node), name) = (Tree::inside(args.u64()?), args.name()?);
        let dir = self.inodes.dir(header.node)?;
        for _ in 0..AGAIN_MAX {
            let (_, moment) = self.inodes.get(node)?;
            let (from, from_name) = self.inodes.name(node)?;
            match self.dfs.link((&from, &from_name), (&dir, name)) {
                Err(error) if error.errno == Errno::ENOENT && self.inodes.moved_since(moment) => {}
                linked => {
                    linked?;
                    let (attr, _) = self.dfs.look(&dir, name)?;
                    self.inodes.linked(node, &dir, name, &attr);
                    reply.entry(&self.told(&dir, name, &attr, None));
                    return Ok(());
                }
            }
        }
        no(libc::EBUSY)
    }

    pub(super) fn readlink(&self, header: &Header, reply: &mut Reply<'_>) -> Answer {
        for _ in 0..AGAIN_MAX {
            let (_, moment) = self.inodes.get(header.node)?;
            let (dir, name) = self.inodes.name(header.node)?;
            match self.dfs.readlink(&dir, &name) {
                Err(error) if error.errno == Errno::ENOENT && self.inodes.moved_since(moment) => {}
                value => {
                    reply.put(&value?);
                    return Ok(());
                }
            }
        }
        no(libc::ESTALE)
    }

    pub(super) fn opendir(&self, header: &Header, reply: &mut Reply<'_>) -> Answer {
        let dir = self.inodes.dir(header.node)?;
        reply.opened(self.dirs.add(Listing::new(dir)), 0);
        Ok(())
    }

    pub(super) fn releasedir(&self, mut args: Args<'_>) -> Answer {
        self.dirs.remove(args.u64()?);
        Ok(())
    }

    pub(super) fn fsyncdir(&self, mut args: Args<'_>) -> Answer {
        let listing = self.dirs.get(args.u64()?)?;
        if !self.dfs.is_read_only() {
            self.dfs.sync_dir(&listing.dir)?;
        }
        Ok(())
    }

    /// Entries from a place on, as many as fit; with all that is known of them, if that is wanted.
    pub(super) fn readdir(
        &self,
        header: &Header,
        mut args: Args<'_>,
        reply: &mut Reply<'_>,
        plus: bool,
    ) -> Answer {
        let (handle, mut at) = (args.u64()?, args.u64()?);
        let room = args.u32()? as usize;
        let listing = self.dirs.get(handle)?;
        let (known, _) = self.inodes.get(header.node)?;
        // In a directory that was removed there is nothing, not even itself.
        if known.gone {
            return Ok(());
        }
        // Of these nothing is told: the kernel knows them.
        let untold = plus.then(EntryOut::default);
        for (index, name) in [&b"."[..], b".."].into_iter().enumerate().skip(at as usize) {
            let ino = if index == 0 { known.ino } else { self.parent_ino(&listing.dir) };
            let kind = Kind::Directory.bits() >> KIND_SHIFT;
            let dirent = Dirent { ino, next: index as u64 + 1, kind, name };
            if !reply.dirent(room, untold.as_ref(), &dirent) {
                return Ok(());
            }
            // Only what comes from the very beginning begins anew.
            at = if at == 0 { 0 } else { DOTS };
        }
        let mut again = true;
        while again {
            let names = listing.from(&self.dfs, at)?;
            // What the kernel is told of it remembers, so nothing is looked up that is not told; the rest is, at once.
            let head = DIRENT + if plus { ENTRY_OUT } else { 0 };
            let mut len = reply.len();
            let fits = names.iter().take_while(|(name, _)| {
                len += (head + name.len()).next_multiple_of(8);
                len <= room
            });
            let fitting = names.get(..fits.count()).unwrap_or_default();
            let told = if plus {
                self.dirents_plus(&listing.dir, fitting, room, reply)?
            } else {
                self.dirents(&listing.dir, fitting, room, reply)?
            };
            // What went since it was listed left room for more; to tell nothing would be to tell the end.
            again = !fitting.is_empty() && (fitting.len() == names.len() || told < fitting.len());
            at = fitting.last().map_or(at, |(_, next)| *next);
        }
        Ok(())
    }

    pub(super) fn parent_ino(&self, dir: &Dir) -> u64 {
        let above = dir.parent();
        if above.oid() == self.dfs.root().oid() {
            crate::abi::ROOT
        } else {
            ino_of_entry(&above, b"", above.oid())
        }
    }

    fn dirents(&self, dir: &Dir, names: &[Named], room: usize, reply: &mut Reply<'_>) -> Answer<usize> {
        let mut count = 0;
        for ((name, next), told) in names.iter().zip(self.kinds_of(dir, names)?) {
            if let Some((ino, kind)) = told {
                reply.dirent(room, None, &Dirent { ino, next: *next, kind: kind >> KIND_SHIFT, name });
                count += 1;
            }
        }
        Ok(count)
    }

    /// The numbers of entries, and what they are, as in modes; nothing of what went, or is no name that a program could use.
    pub(super) fn kinds_of(&self, dir: &Dir, names: &[Named]) -> Answer<Vec<Option<(u64, u32)>>> {
        let known: Vec<_> = names.iter().map(|(name, _)| self.inodes.listed(dir, name)).collect();
        let unknown = names.iter().zip(&known).filter(|(_, known)| known.is_none());
        let unknown: Vec<&[u8]> = unknown.map(|((name, _), _)| name.as_slice()).collect();
        let mut kinds = self.dfs.kinds(dir, &unknown)?.into_iter();
        let told = names.iter().zip(known).map(|((name, _), known)| match known {
            Some((ino, kind)) => Ok(Some((ino, kind.bits()))),
            None => match kinds.next().transpose() {
                Ok(found) => {
                    Ok(found.flatten().map(|(kind, oid)| (ino_of_entry(dir, name, oid), kind.bits())))
                }
                // It is damaged: that it is there is told, so that one can remove it.
                Err(error) if error.errno == Errno::EIO => Ok(Some((INO_UNKNOWN, 0))),
                // A check finds it.
                Err(error) if error.errno == Errno::EINVAL => Ok(None),
                Err(error) => Err(error.into()),
            },
        });
        told.collect()
    }

    fn dirents_plus(&self, dir: &Dir, names: &[Named], room: usize, reply: &mut Reply<'_>) -> Answer<usize> {
        let mut count = 0;
        let looks: Vec<&[u8]> = names.iter().map(|(name, _)| name.as_slice()).collect();
        for ((name, next), looked) in names.iter().zip(self.dfs.look_all(dir, &looks)?) {
            let (entry, mode) = match looked {
                // Where it leads is asked when somebody goes there.
                Ok(Some((attr, _))) if self.links && attr.kind == Kind::Directory => {
                    let attr = node_attr(&attr, ino_of_entry(dir, name, attr.oid));
                    (EntryOut { attr, ..EntryOut::default() }, attr.mode)
                }
                Ok(Some((attr, as_dir))) => (self.told(dir, name, &attr, as_dir), attr.mode),
                Ok(None) => continue,
                Err(error) if error.errno == Errno::EINVAL => continue,
                Err(error) if error.errno == Errno::EIO => (EntryOut::default(), 0),
                Err(error) => return Err(error.into()),
            };
            let ino = if entry.attr.ino == 0 { INO_UNKNOWN } else { entry.attr.ino };
            let dirent = Dirent { ino, next: *next, kind: (mode >> KIND_SHIFT) & 0o17, name };
            reply.dirent(room, Some(&entry), &dirent);
            count += 1;
        }
        Ok(count)
    }
}

/// A name, and the place behind it.
pub(super) type Named = (Vec<u8>, u64);
