//! What a mount consists of: the tree at the mount point, and those that its names and links lead to.
//!
//! A tree is the file system of a container, or a directory that nobody stores, whose entries are containers or pools. Each name that
//! leads into another tree has one of its own: two that lead to the same container are like two mounts of it.

mod query;

use crate::abi::{Args, EntryOut, Header, Opcode, Reply, Tree, forget_entry};
use crate::caching::Caching;
use crate::filesystem::nodes::IDENTITY;
use crate::filesystem::{Answer, Filesystem, Refusal, no};
use crate::names::Directory;
use crate::tally::Tally;
use daos_dfs::{Dfs, Kind};
use daos_locks::{Mutex, RwLock};
use daos_types::Der;
use std::collections::HashMap;
use std::fmt::{self, Debug};
use std::sync::{Arc, OnceLock};

/// Trees that are kept; before there are more, those go that nobody uses.
const KEPT_MAX: usize = 256;
/// Trees that are in use at most, beside the first.
const TREES_MAX: usize = 4096;

/// The file system of a container, and how it is shown.
#[derive(Debug)]
pub struct Files {
    /// It.
    pub dfs: Dfs,
    /// What the kernel may keep of it.
    pub caching: Caching,
    /// What its root tells as `user.daos`.
    pub identity: Option<String>,
}

/// What a name leads to.
#[derive(Debug)]
pub enum Branch {
    /// A container.
    Files(Files),
    /// Further names.
    Names(Arc<dyn Names>),
}

/// A directory that nobody stores.
pub trait Names: Send + Sync + Debug {
    /// What a name leads to; `None` if there is no such name.
    fn open(&self, name: &[u8]) -> daos_dfs::Result<Option<Branch>>;

    /// All names.
    fn list(&self) -> daos_dfs::Result<Vec<Vec<u8>>>;
}

/// Where directories lead that have the name of another container as `user.daos`.
pub trait Links: Send + Sync + Debug {
    /// What such a value leads to; `None` if that is not there: then the directory is what it is without.
    fn follow(&self, to: &[u8]) -> daos_dfs::Result<Option<Branch>>;
}

/// One tree.
#[derive(Debug)]
enum Kept {
    Files(Box<Filesystem>),
    Names(Directory),
}

impl Kept {
    fn files(&self) -> Option<&Filesystem> {
        match self {
            Self::Files(files) => Some(files),
            Self::Names(_) => None,
        }
    }

    fn is_idle(&self) -> bool {
        match self {
            Self::Files(files) => files.is_idle(),
            Self::Names(names) => names.is_idle(),
        }
    }

    fn told(&self) {
        match self {
            Self::Files(files) => files.inodes().root_told(),
            Self::Names(names) => names.told(),
        }
    }

    fn forget(&self, node: u64, lookups: u64) {
        match self {
            Self::Files(files) => files.forget(node, lookups),
            Self::Names(names) => names.forget(lookups),
        }
    }

    fn root_entry(&self) -> Answer<EntryOut> {
        match self {
            Self::Files(files) => files.root_entry(),
            Self::Names(names) => Ok(names.root_entry()),
        }
    }

    fn end(&self) -> daos_dfs::Result<()> {
        match self {
            Self::Files(files) => {
                files.close_all();
                files.dfs().umount()
            }
            Self::Names(_) => Ok(()),
        }
    }
}

/// Where a name is, and where it says it leads: the tree, the directory's node there, the name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    tree: Tree,
    dir: u64,
    name: Vec<u8>,
    to: Vec<u8>,
}

/// Tells the kernel what to forget, word by word, and waits for it, but not for long.
pub(crate) type Forgetting = Box<dyn Fn(Vec<Vec<u8>>) + Send + Sync>;

#[derive(Debug, Default)]
struct Others {
    /// The number that was given last.
    last: u16,
    trees: HashMap<Tree, (Arc<Kept>, Place)>,
    by_place: HashMap<Place, Tree>,
}

impl Others {
    /// A number for one more tree. That of a tree that went is given again, but late: the kernel has forgotten all that had it.
    fn number(&mut self) -> Tree {
        loop {
            self.last = self.last.wrapping_add(1);
            let tree = Tree(self.last);
            // There are fewer trees than numbers.
            if tree != Tree::ROOT && !self.trees.contains_key(&tree) {
                return tree;
            }
        }
    }

    /// The name of a tree does not lead there any more; whoever is in it stays there.
    fn detach(&mut self, tree: Tree) {
        if let Some((_, place)) = self.trees.get(&tree)
            && self.by_place.get(place) == Some(&tree)
        {
            self.by_place.remove(place);
        }
    }
}

/// All trees of a mount.
pub(crate) struct Forest {
    first: Kept,
    others: RwLock<Others>,
    /// Who adds or removes one.
    changing: Mutex<()>,
    links: Option<Arc<dyn Links>>,
    forgetting: OnceLock<Forgetting>,
    write_back: bool,
    look_ahead: Option<bool>,
    tally: Tally,
}

impl fmt::Debug for Forest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forest")
            .field("first", &self.first)
            .field("others", &self.others)
            .finish_non_exhaustive()
    }
}

impl Forest {
    /// Of what is at the mount point.
    pub(crate) fn new(first: Branch, links: Option<Arc<dyn Links>>, look_ahead: Option<bool>) -> Self {
        let write_back = matches!(&first, Branch::Files(files) if files.caching.write_back);
        let first = kept(first, write_back, links.is_some(), look_ahead);
        let (others, changing, forgetting) = (RwLock::default(), Mutex::default(), OnceLock::new());
        Self { first, others, changing, links, forgetting, write_back, look_ahead, tally: Tally::new() }
    }

    /// What was asked of it.
    pub(crate) const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// By whom the kernel is told to forget names that lead elsewhere by now.
    pub(crate) fn forget_by(&self, forgetting: Forgetting) {
        let _ = self.forgetting.set(forgetting);
    }

    /// What the kernel may keep of what is at the mount point; what it writes later is the same for all.
    pub(crate) fn caching(&self) -> Caching {
        match &self.first {
            Kept::Files(files) => *files.caching(),
            Kept::Names(_) => Caching { write_back: false, ..Caching::DEFAULT },
        }
    }

    /// The file system at the mount point, if it is one: the one whose files are reached at side doors.
    pub(crate) fn first(&self) -> Option<&Filesystem> {
        self.first.files()
    }

    /// Stores when files were changed that are closed, in the background.
    pub(crate) fn store_left(&self, is_idle: &dyn Fn() -> bool) {
        let others: Vec<_> = self.others.read().trees.values().map(|(kept, _)| Arc::clone(kept)).collect();
        let others = others.iter().filter_map(|kept| kept.files());
        self.first().into_iter().chain(others).for_each(|files| files.store_left(is_idle));
    }

    /// Whether the store may be another process.
    pub(crate) fn is_far(&self) -> bool {
        self.first().is_none_or(Filesystem::is_far)
    }

    /// Closes all that is open, and makes all durable that was acknowledged.
    pub(crate) fn end(&self) -> daos_dfs::Result<()> {
        let trees: Vec<_> = self.others.write().trees.drain().map(|(_, (kept, _))| kept).collect();
        let ended = self.first.end();
        ended.and(end_all(&trees))
    }

    /// Answers a request; `None` where none is expected.
    pub(crate) fn answer(&self, header: &Header, args: Args<'_>, reply: &mut Reply<'_>) -> Option<Answer> {
        let opcode = Opcode::of(header.opcode);
        if opcode == Some(Opcode::BatchForget) {
            self.batch_forget(args);
            return None;
        }
        let (tree, node) = Tree::inside(header.node);
        let header = &Header { node, ..*header };
        if opcode == Some(Opcode::Forget) {
            let mut args = args;
            if let Ok(lookups) = args.u64() {
                self.with(tree, |kept| kept.forget(node, lookups));
            }
            return None;
        }
        if other_node(opcode, args).is_some_and(|other| Tree::inside(other).0 != tree) {
            return Some(no(libc::EXDEV));
        }
        reply.within(tree);
        if opcode == Some(Opcode::Lookup) {
            return Some(self.lookup(tree, header, args, reply));
        }
        if opcode == Some(Opcode::Ioctl)
            && let Some(answer) = self.query(tree, node, args, reply)
        {
            return Some(answer);
        }
        let answer = self.with(tree, |kept| match kept {
            Kept::Files(files) => files.answer(header, args, reply),
            Kept::Names(names) => Some(names.answer(opcode, args, reply)),
        });
        let answer = answer.unwrap_or(Some(no(libc::ESTALE)));
        if matches!(answer, Some(Ok(()))) && self.links.is_some() && sets_link(opcode, args) {
            self.leads_elsewhere(tree, node);
        }
        answer
    }

    /// A directory leads elsewhere from now on: not when the kernel has forgotten its name by itself.
    fn leads_elsewhere(&self, tree: Tree, node: u64) {
        let entry = self.with(tree, |kept| match kept {
            Kept::Files(files) => files.inodes().entry_of(node),
            Kept::Names(_) => None,
        });
        if let (Some((parent, name)), Some(forgetting)) = (entry.flatten(), self.forgetting.get()) {
            forgetting(vec![forget_entry(tree.outside(parent), &name)]);
        }
    }

    /// Works on a tree; `None` of one that is not there any more.
    fn with<T>(&self, tree: Tree, run: impl FnOnce(&Kept) -> T) -> Option<T> {
        if tree == Tree::ROOT {
            return Some(run(&self.first));
        }
        let kept = self.others.read().trees.get(&tree).map(|(kept, _)| Arc::clone(kept))?;
        Some(run(&kept))
    }

    fn batch_forget(&self, mut args: Args<'_>) {
        let Ok(count) = args.u32() else { return };
        if args.u32().is_err() {
            return;
        }
        for _ in 0..count {
            let (Ok(node), Ok(lookups)) = (args.u64(), args.u64()) else { return };
            let (tree, node) = Tree::inside(node);
            self.with(tree, |kept| kept.forget(node, lookups));
        }
    }

    fn lookup(&self, tree: Tree, header: &Header, args: Args<'_>, reply: &mut Reply<'_>) -> Answer {
        match self.look(tree, header, args, reply)? {
            None => Ok(()),
            // What the name led to is gone. Something else may have its name by now: it is asked for anew.
            Some(_) => self.look(tree, header, args, reply)?.map_or(Ok(()), Err),
        }
    }

    /// Tells what a name leads to; what it is refused with, if that is a tree that is gone: the name does not lead there any more.
    fn look(
        &self,
        tree: Tree,
        header: &Header,
        args: Args<'_>,
        reply: &mut Reply<'_>,
    ) -> Answer<Option<Refusal>> {
        reply.within(tree);
        let mut words = args;
        let place = Place { tree, dir: header.node, name: words.name()?.to_vec(), to: Vec::new() };
        let found = self.with(tree, |kept| match kept {
            Kept::Names(names) => {
                let there = self.tree(&place, || names.open(&place.name))?;
                there.map(Some).ok_or(Refusal::Number(libc::ENOENT))
            }
            Kept::Files(files) => {
                let entry = files.look_up(header, args)?;
                let there = self.followed(files, place, &entry);
                if matches!(there, Ok(None)) {
                    reply.entry(&entry);
                } else if entry.node != 0 {
                    // The kernel is not told of the directory itself.
                    files.inodes().forget(entry.node, 1);
                }
                there
            }
        });
        let Some((other, kept)) = found.unwrap_or_else(|| no(libc::ESTALE))? else { return Ok(None) };
        let entry = match kept.root_entry() {
            Ok(entry) => entry,
            Err(refusal) => {
                kept.forget(crate::abi::ROOT, 1);
                if !is_gone(&refusal) {
                    return Err(refusal);
                }
                self.others.write().detach(other);
                return Ok(Some(refusal));
            }
        };
        reply.within(other);
        reply.entry(&entry);
        Ok(None)
    }

    /// The tree that a directory leads to, if it says so.
    fn followed(
        &self,
        files: &Filesystem,
        place: Place,
        entry: &EntryOut,
    ) -> Answer<Option<(Tree, Arc<Kept>)>> {
        let is_directory = entry.node != 0 && Kind::of(entry.attr.mode) == Some(Kind::Directory);
        let Some(links) = self.links.as_ref().filter(|_| is_directory) else { return Ok(None) };
        let Some(to) = files.link_of(entry.node)? else { return Ok(None) };
        let place = Place { to, ..place };
        self.tree(&place, || links.follow(&place.to))
    }

    /// The tree that a name leads to, opened if it is not; the kernel is going to be told of it.
    fn tree(
        &self,
        place: &Place,
        open: impl FnOnce() -> daos_dfs::Result<Option<Branch>>,
    ) -> Answer<Option<(Tree, Arc<Kept>)>> {
        let known = || {
            let others = self.others.read();
            let tree = *others.by_place.get(place)?;
            let (kept, _) = others.trees.get(&tree)?;
            // With the lock, so that it is not taken for one that nobody uses.
            kept.told();
            Some((tree, Arc::clone(kept)))
        };
        if let Some(known) = known() {
            return Ok(Some(known));
        }
        // Whoever looks at another name does not wait for this.
        let Some(branch) = open()? else { return Ok(None) };
        let opened = kept(branch, self.write_back, self.links.is_some(), self.look_ahead);
        let changing = self.changing.lock();
        if let Some(known) = known() {
            drop(changing);
            // Nobody was in it.
            let _ = opened.end();
            return Ok(Some(known));
        }
        self.make_room()?;
        let mut others = self.others.write();
        let (tree, kept) = (others.number(), Arc::new(opened));
        kept.told();
        others.trees.insert(tree, (Arc::clone(&kept), place.clone()));
        others.by_place.insert(place.clone(), tree);
        Ok(Some((tree, kept)))
    }

    /// Lets trees go that nobody uses, where there are many.
    fn make_room(&self) -> Answer {
        let mut others = self.others.write();
        let count = others.trees.len();
        if count < KEPT_MAX {
            return Ok(());
        }
        let idle = |(tree, (kept, _)): (&Tree, &(Arc<Kept>, Place))| kept.is_idle().then_some(*tree);
        let idle: Vec<Tree> = others.trees.iter().filter_map(idle).collect();
        let mut gone = Vec::new();
        for tree in idle {
            others.detach(tree);
            gone.extend(others.trees.remove(&tree).map(|(kept, _)| kept));
        }
        drop(others);
        end_all(&gone)?;
        if count - gone.len() < TREES_MAX { Ok(()) } else { Err(many()) }
    }
}

/// More containers are in use than one mount has room for.
const fn many() -> Refusal {
    Refusal::Number(libc::EMFILE)
}

/// Ends each of them, whatever becomes of the others.
fn end_all(trees: &[Arc<Kept>]) -> daos_dfs::Result<()> {
    let mut ended = Ok(());
    for kept in trees {
        ended = ended.and(gone_is_ended(kept.end()));
    }
    ended
}

/// Whether a container was destroyed, or one's rights to it were taken.
fn is_gone(refusal: &Refusal) -> bool {
    matches!(refusal, Refusal::Said(error) if matches!(error.der, Some(Der::Nonexist | Der::NoHdl)))
}

/// Of a container that was destroyed meanwhile nothing is left to be made durable.
fn gone_is_ended(ended: daos_dfs::Result<()>) -> daos_dfs::Result<()> {
    match ended {
        Err(error) if error.der == Some(Der::Nonexist) => Ok(()),
        ended => ended,
    }
}

fn kept(branch: Branch, write_back: bool, links: bool, look_ahead: Option<bool>) -> Kept {
    match branch {
        Branch::Files(Files { dfs, caching, identity }) => {
            let caching = Caching { write_back, ..caching };
            Kept::Files(Box::new(Filesystem::new(dfs, caching, identity, links, look_ahead)))
        }
        Branch::Names(names) => Kept::Names(Directory::new(names)),
    }
}

/// Whether a request says where a directory leads.
fn sets_link(opcode: Option<Opcode>, mut args: Args<'_>) -> bool {
    match opcode {
        Some(Opcode::Setxattr) => args.u64().is_ok() && args.name() == Ok(IDENTITY),
        Some(Opcode::Removexattr) => args.name() == Ok(IDENTITY),
        _ => false,
    }
}

/// The other node that a request is about.
fn other_node(opcode: Option<Opcode>, mut args: Args<'_>) -> Option<u64> {
    match opcode? {
        Opcode::Rename | Opcode::Rename2 | Opcode::Link => args.u64().ok(),
        Opcode::CopyFileRange => {
            args.bytes(16).ok()?;
            args.u64().ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::{ROOT, request};

    /// Names below which there are the same names again.
    #[derive(Debug)]
    struct Deep;

    impl Names for Deep {
        fn open(&self, name: &[u8]) -> daos_dfs::Result<Option<Branch>> {
            Ok((name != b"nothing").then(|| Branch::Names(Arc::new(Self))))
        }

        fn list(&self) -> daos_dfs::Result<Vec<Vec<u8>>> {
            Ok(vec![b"b".to_vec(), b"a".to_vec()])
        }
    }

    fn asked(forest: &Forest, opcode: Opcode, node: u64, args: &[u8]) -> Result<Vec<u8>, i32> {
        let mut bytes = ((40 + args.len()) as u32).to_ne_bytes().to_vec();
        bytes.extend((opcode as u32).to_ne_bytes());
        bytes.extend([1, node, 0, 0].map(u64::to_ne_bytes).concat());
        bytes.extend(args);
        // The number of an opcode is not that of its variant.
        let (mut header, args) = request(&bytes).unwrap();
        header.opcode = (0..100).find(|number| Opcode::of(*number) == Some(opcode)).unwrap();
        let mut buffer = vec![0; 4096];
        let mut reply = Reply::new(&mut buffer);
        match forest.answer(&header, args, &mut reply) {
            None => Ok(Vec::new()),
            Some(Ok(())) => Ok(reply.finish(1, 0)[16..].to_vec()),
            Some(Err(refusal)) => Err(refusal.number()),
        }
    }

    fn node_in(entry: &[u8]) -> u64 {
        u64::from_ne_bytes(entry[..8].try_into().unwrap())
    }

    #[test]
    fn a_name_leads_to_one_tree_as_long_as_somebody_uses_it() {
        let forest = Forest::new(Branch::Names(Arc::new(Deep)), None, None);
        let look = |node, name: &[u8]| asked(&forest, Opcode::Lookup, node, &[name, b"\0"].concat());
        let a = node_in(&look(ROOT, b"a").unwrap());
        assert_eq!(node_in(&look(ROOT, b"a").unwrap()), a);
        let b = node_in(&look(ROOT, b"b").unwrap());
        let below = node_in(&look(a, b"a").unwrap());
        assert!(a != b && below != a && look(a, b"nothing") == Err(libc::ENOENT));
        assert_eq!(forest.usage().inodes, 4);
        // Names of different trees are of different file systems.
        let renamed = [&b.to_ne_bytes()[..], b"x\0y\0"].concat();
        assert_eq!(asked(&forest, Opcode::Rename, a, &renamed), Err(libc::EXDEV));
        let renamed = [&a.to_ne_bytes()[..], b"x\0y\0"].concat();
        assert_eq!(asked(&forest, Opcode::Rename, a, &renamed), Err(libc::EPERM));
        // Of what is forgotten at once, some is kept, and what is used stays.
        for number in 0..2 * KEPT_MAX {
            let node = node_in(&look(ROOT, format!("n{number}").as_bytes()).unwrap());
            asked(&forest, Opcode::Forget, node, &1_u64.to_ne_bytes()).unwrap();
        }
        assert!(forest.others.read().trees.len() <= KEPT_MAX);
        assert_eq!(node_in(&look(ROOT, b"b").unwrap()), b);
        assert_eq!(node_in(&look(a, b"a").unwrap()), below);
        // What was told twice and forgotten once is used; a node of a tree that went is none.
        let forgotten = [1_u32, 0].map(u32::to_ne_bytes).concat();
        let forgotten = [forgotten, [below, 2].map(u64::to_ne_bytes).concat()].concat();
        asked(&forest, Opcode::BatchForget, 0, &forgotten).unwrap();
        for number in 0..2 * KEPT_MAX {
            look(ROOT, format!("m{number}").as_bytes()).unwrap();
        }
        assert_eq!(asked(&forest, Opcode::Getattr, below, &[0; 16]), Err(libc::ESTALE));
        asked(&forest, Opcode::Getattr, a, &[0; 16]).unwrap();
        forest.end().unwrap();
    }

    #[test]
    fn names_lead_to_trees_however_many_there_were() {
        let forest = Forest::new(Branch::Names(Arc::new(Deep)), None, None);
        let look = |name: &str| asked(&forest, Opcode::Lookup, ROOT, &[name.as_bytes(), b"\0"].concat());
        let stays = node_in(&look("stays").unwrap());
        // Told of twice and forgotten once, it is known.
        assert_eq!(node_in(&look("stays").unwrap()), stays);
        asked(&forest, Opcode::Forget, stays, &1_u64.to_ne_bytes()).unwrap();
        for number in 0..u32::from(u16::MAX) + 2 {
            let node = node_in(&look(&format!("n{number}")).unwrap());
            assert!(node != stays && Tree::inside(node).0 != Tree::ROOT, "{number}");
            asked(&forest, Opcode::Forget, node, &1_u64.to_ne_bytes()).unwrap();
        }
        assert_eq!(node_in(&look("stays").unwrap()), stays);
    }

    #[test]
    fn names_are_listed_and_not_changed() {
        let forest = Forest::new(Branch::Names(Arc::new(Deep)), None, None);
        let opened = asked(&forest, Opcode::Opendir, ROOT, &[0; 8]).unwrap();
        let listed = |at: u64, room: u32| {
            let args = [&opened[..8], &at.to_ne_bytes(), &room.to_ne_bytes(), &[0; 20]].concat();
            let list = asked(&forest, Opcode::Readdir, ROOT, &args).unwrap();
            let mut rest = &list[..];
            let mut names = Vec::new();
            while !rest.is_empty() {
                let len = u32::from_ne_bytes(rest[16..20].try_into().unwrap()) as usize;
                names.push(String::from_utf8(rest[24..24 + len].to_vec()).unwrap());
                rest = &rest[(24 + len).next_multiple_of(8)..];
            }
            names
        };
        assert_eq!(listed(0, 4000), [".", "..", "a", "b"]);
        assert_eq!(
            (listed(0, 64), listed(2, 32), listed(4, 4000)),
            (vec![".".to_owned(), "..".to_owned()], vec!["a".to_owned()], vec![])
        );
        asked(&forest, Opcode::Releasedir, ROOT, &opened[..8]).unwrap();
        for opcode in [Opcode::Mkdir, Opcode::Unlink, Opcode::Rmdir, Opcode::Setattr, Opcode::Create] {
            assert_eq!(asked(&forest, opcode, ROOT, b"12345678a\0"), Err(libc::EPERM));
        }
    }
}
