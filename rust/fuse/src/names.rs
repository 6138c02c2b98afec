//! Directories that nobody stores: their entries are containers of a pool, or pools of a system.

use crate::abi::{Args, Dirent, EntryOut, NodeAttr, Opcode, ROOT, Reply};
use crate::caching::Caching;
use crate::filesystem::nodes::{BLOCK, NAME_LEN_MAX, answer_sized};
use crate::filesystem::{Answer, Handles, no};
use crate::forest::Names;
use daos_dfs::{Kind, Time};
use daos_locks::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What `readdir` tells of each entry: a directory.
const KIND: u32 = Kind::Directory.bits() >> 12;
/// Names of which nothing is known before somebody goes there.
const INO_UNKNOWN: u64 = 0xffff_ffff;

/// One of them.
#[derive(Debug)]
pub(crate) struct Directory {
    names: Arc<dyn Names>,
    attr: NodeAttr,
    /// How often the kernel was told of it, and has not forgotten.
    lookups: AtomicU64,
    listings: Handles<Mutex<Vec<Vec<u8>>>>,
}

impl Directory {
    pub(crate) fn new(names: Arc<dyn Names>) -> Self {
        let now = Time::now();
        let attr = NodeAttr {
            ino: ROOT,
            mode: Kind::Directory.bits() | 0o755,
            links: 1,
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            times: [(now.seconds, now.nanoseconds); 3],
            block_size: BLOCK,
            ..NodeAttr::default()
        };
        Self { names, attr, lookups: AtomicU64::new(0), listings: Handles::new() }
    }

    pub(crate) fn told(&self) {
        self.lookups.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn forget(&self, lookups: u64) {
        let less = |known: u64| Some(known.saturating_sub(lookups));
        let _ = self.lookups.fetch_update(Ordering::AcqRel, Ordering::Acquire, less);
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.lookups.load(Ordering::Acquire) == 0 && self.listings.is_empty()
    }

    pub(crate) fn open(&self, name: &[u8]) -> daos_dfs::Result<Option<crate::forest::Branch>> {
        self.names.open(name)
    }

    pub(crate) fn root_entry(&self) -> EntryOut {
        let Caching { dentry_dir, attr, .. } = Caching::DEFAULT;
        EntryOut { node: ROOT, name_valid: dentry_dir, attr_valid: attr, attr: self.attr }
    }

    /// Answers a request about it, or about what is open of it.
    pub(crate) fn answer(&self, opcode: Option<Opcode>, args: Args<'_>, reply: &mut Reply<'_>) -> Answer {
        // Of what is not known at all the kernel asks no other tree either.
        let Some(opcode) = opcode else { return no(libc::ENOSYS) };
        match opcode {
            Opcode::Getattr => {
                reply.attr_out(Caching::DEFAULT.attr, &self.attr);
                Ok(())
            }
            Opcode::Opendir => self.names.list().map_err(Into::into).map(|mut names| {
                names.sort_unstable();
                reply.opened(self.listings.add(Mutex::new(names)), 0);
            }),
            Opcode::Readdir => self.readdir(args, reply, false),
            Opcode::Readdirplus => self.readdir(args, reply, true),
            Opcode::Releasedir => self.releasedir(args),
            Opcode::Statfs => {
                for number in [0_u64; 5] {
                    reply.u64(number);
                }
                for number in [BLOCK, NAME_LEN_MAX, BLOCK, 0, 0, 0, 0, 0, 0, 0] {
                    reply.u32(number);
                }
                Ok(())
            }
            Opcode::Getxattr => no(libc::ENODATA),
            Opcode::Listxattr => {
                let mut args = args;
                answer_sized(&[], args.u32()? as usize, reply)
            }
            Opcode::Fsyncdir | Opcode::Destroy => Ok(()),
            Opcode::Ioctl => no(libc::ENOTTY),
            // Containers and pools are made and removed by other tools.
            _ => no(libc::EPERM),
        }
    }

    fn releasedir(&self, mut args: Args<'_>) -> Answer {
        self.listings.remove(args.u64()?);
        Ok(())
    }

    fn readdir(&self, mut args: Args<'_>, reply: &mut Reply<'_>, plus: bool) -> Answer {
        let (handle, at) = (args.u64()?, args.u64()?);
        let room = args.u32()? as usize;
        let listing = self.listings.get(handle)?;
        let untold = plus.then(EntryOut::default);
        let names = listing.lock();
        let dots = [&b"."[..], b".."].map(|name| (name, ROOT));
        let rest = names.iter().map(|name| (name.as_slice(), INO_UNKNOWN));
        for (index, (name, ino)) in dots.into_iter().chain(rest).enumerate().skip(at as usize) {
            let dirent = Dirent { ino, next: index as u64 + 1, kind: KIND, name };
            if !reply.dirent(room, untold.as_ref(), &dirent) {
                break;
            }
        }
        Ok(())
    }
}
