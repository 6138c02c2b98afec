//! What may be asked of a mount by `ioctl`: what it has, whether something is known, that it be forgotten.

use super::{Forest, Kept};
use crate::abi::{Args, Reply, Tree, forget_content, forget_entry};
use crate::filesystem::{Answer, Usage, no};
use crate::tally::OPERATIONS;
use std::collections::HashSet;

/// What the mount has: [`USAGE_LEN`] bytes, a version and the numbers of [`Usage`].
const USAGE: u32 = 0x8028_a3c8;
const USAGE_LEN: u32 = 40;
const USAGE_VERSION: u64 = 1;
/// Whether the kernel knows what `stat` tells a number of: 8 bytes, the number, and 1 or 0 in its place.
const RESIDENT: u32 = 0xc008_a3c9;
/// Has the kernel forget what it keeps of what is asked; 8 bytes, what `stat` tells as its number.
const EVICT: u32 = 0x8008_a3ca;
/// What the mount was asked: [`TALLY_LEN`] bytes, a version, then for each number of an operation how many requests of it there were,
/// and nanoseconds that their answers took. Those that have no such number count as 0.
const TALLY: u32 = 0x8408_a3cb;
const TALLY_LEN: u32 = 8 + 16 * OPERATIONS as u32;
const TALLY_VERSION: u64 = 1;

impl Forest {
    /// What it has.
    pub(crate) fn usage(&self) -> Usage {
        let (mut usage, mut pools) = (Usage::default(), HashSet::new());
        let mut add = |kept: &Kept| match kept {
            Kept::Files(files) => {
                let (inodes, open_files) = files.counts();
                usage.containers += 1;
                usage.inodes += inodes;
                usage.open_files += open_files;
                // The pool, and the system before it.
                pools.extend(
                    files.identity().and_then(|identity| Some(identity.rsplit_once('/')?.0.to_owned())),
                );
            }
            Kept::Names(_) => usage.inodes += 1,
        };
        add(&self.first);
        self.others.read().trees.values().for_each(|(kept, _)| add(kept));
        usage.pools = pools.len();
        usage
    }

    /// Answers a question about the mount, or about a node; `None` of any other.
    pub(super) fn query(
        &self,
        tree: Tree,
        node: u64,
        args: Args<'_>,
        reply: &mut Reply<'_>,
    ) -> Option<Answer> {
        let mut words = args;
        // The handle and flags, what is asked, a place in the asker's memory, bytes that come and may go.
        words.bytes(12).ok()?;
        let command = words.u32().ok()?;
        words.bytes(12).ok()?;
        let room = words.u32().ok()?;
        // The result, and three numbers for requests whose arguments the kernel does not understand.
        let begun = |reply: &mut Reply<'_>| reply.put(&[0; 16]);
        match command {
            USAGE if room >= USAGE_LEN => {
                begun(reply);
                let Usage { pools, containers, inodes, open_files } = self.usage();
                reply.u64(USAGE_VERSION);
                for number in [pools, containers, inodes, open_files] {
                    reply.u64(number as u64);
                }
            }
            TALLY if room >= TALLY_LEN => {
                begun(reply);
                reply.u64(TALLY_VERSION);
                for (count, nanoseconds) in self.tally().all() {
                    reply.u64(count);
                    reply.u64(nanoseconds);
                }
            }
            RESIDENT => {
                let Ok(ino) = words.u64() else { return Some(no(libc::EINVAL)) };
                begun(reply);
                reply.u64(u64::from(self.knows(ino)));
            }
            EVICT => {
                begun(reply);
                reply.u64(self.evict(tree, node));
            }
            _ => return None,
        }
        Some(Ok(()))
    }

    fn knows(&self, ino: u64) -> bool {
        let knows = |tree: Tree, kept: &Kept| match kept {
            // What is mixed is unmixed by the same.
            Kept::Files(files) => files.inodes().knows(tree.ino(ino)),
            Kept::Names(_) => tree.ino(ino) == crate::abi::ROOT,
        };
        let others = self.others.read();
        knows(Tree::ROOT, &self.first) || others.trees.iter().any(|(tree, (kept, _))| knows(*tree, kept))
    }

    fn evict(&self, tree: Tree, node: u64) -> u64 {
        let (ino, entry) = self
            .with(tree, |kept| match kept {
                Kept::Files(files) => {
                    files.forget_ahead();
                    files.dfs().forget_recent();
                    (files.inodes().ino(node), files.inodes().entry_of(node))
                }
                Kept::Names(_) => (Some(crate::abi::ROOT), None),
            })
            .unwrap_or_default();
        if let Some(forgetting) = self.forgetting.get() {
            let mut told = vec![forget_content(tree.outside(node))];
            told.extend(entry.map(|(parent, name)| forget_entry(tree.outside(parent), &name)));
            forgetting(told);
        }
        tree.ino(ino.unwrap_or_default())
    }
}
