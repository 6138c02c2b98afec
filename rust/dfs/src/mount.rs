//! Making a file system, mounting it, and what all operations need.

use crate::classes::{self, Hints};
use crate::content;
use crate::errno::{Errno, Error, Result};
use crate::ids::{self, Allocator};
use crate::left::Left;
use crate::node::{Defaults, Node, Place, Table};
use crate::recent::Changes;
use crate::record::{Kind, Record, Time};
use crate::superblock::{self, AKEYS, Consistency, Superblock};
use crate::work::{Slot, Work};
use daos_client::{ContainerService, SystemSpace};
use daos_locks::Mutex;
use daos_placement::{Layout, ObjectClass};
use daos_types::{Cond, Der, Durability, Epoch, FetchIod, FetchValue, Iod, IodValue, ObjectId, ObjectType};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// So long an operation is tried again that others got in the way of.
const CONFLICTS_MAX: Duration = Duration::from_secs(60);
/// The longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_millis(5);
/// How often one looks again for what another thread of this mount moves.
const MOVED_MAX: usize = 32;
/// Directories whose time of change is kept in memory.
const TOUCHED_MAX: usize = 1024;

/// Tells how the bytes of a pool are used.
pub type Space = Arc<dyn Fn() -> daos_client::Result<SystemSpace> + Send + Sync>;

/// How a file system is mounted.
#[derive(Clone, Default)]
pub struct MountOptions {
    /// Change nothing.
    pub read_only: bool,
    /// As of a snapshot; then nothing can be changed.
    pub epoch: Option<Epoch>,
    /// What a change promises when it returns; buffered if nothing is said.
    pub durability: Option<Durability>,
    /// Where to ask how much room there is.
    pub space: Option<Space>,
}

impl fmt::Debug for MountOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MountOptions")
            .field("read_only", &self.read_only)
            .field("epoch", &self.epoch)
            .field("durability", &self.durability)
            .finish_non_exhaustive()
    }
}

/// How much room a file system has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes of a block.
    pub block_size: u64,
    /// Blocks there are.
    pub blocks: u64,
    /// Blocks that are free.
    pub blocks_free: u64,
    /// Bytes that a name can have.
    pub name_len_max: u64,
}

/// Bytes of a block as `statfs` counts them.
const BLOCK_SIZE: u64 = 4096;

/// A file system that is mounted.
#[derive(Debug, Clone)]
pub struct Dfs {
    pub(crate) shared: Arc<Shared>,
}

/// A directory.
#[derive(Debug, Clone)]
pub struct Dir {
    pub(crate) node: Arc<Node>,
}

impl Dir {
    /// Its object id: what tells two directories from each other.
    pub fn oid(&self) -> ObjectId {
        self.node.oid
    }

    /// The directory above it, as this mount knows it; that of the root is the root.
    #[must_use]
    pub fn parent(&self) -> Self {
        match self.node.place() {
            Place::Entry(parent, _) => Self { node: parent },
            _ => self.clone(),
        }
    }
}

/// What the operations of a mount share.
pub(crate) struct Shared {
    pub(crate) container: Arc<dyn ContainerService>,
    pub(crate) superblock: Superblock,
    pub(crate) hints: Hints,
    pub(crate) targets: u32,
    pub(crate) durability: Durability,
    /// The version of the layout, as far as it is known.
    pub(crate) layout: AtomicU16,
    pub(crate) table: Table,
    pub(crate) root: Arc<Node>,
    allocator: Allocator,
    read_only: bool,
    mounted: AtomicBool,
    space: Option<Space>,
    /// Held by who removes a directory.
    pub(crate) removals: Mutex<()>,
    /// Directories whose time of change is in memory only.
    pub(crate) touched: Mutex<HashMap<ObjectId, Arc<Node>>>,
    pub(crate) left: Left,
    /// Changes that this mount made of records of directories, and of extended attributes.
    pub(crate) directories: Changes,
    pub(crate) xattrs: Changes,
    /// For each target a dkey that a mark there has.
    marks: Vec<[u8; 8]>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("container", &self.container.label())
            .field("superblock", &self.superblock)
            .field("read_only", &self.read_only)
            .finish_non_exhaustive()
    }
}

/// For each target the least dkey of the object of marks that lies there.
fn marks(targets: u32) -> Vec<[u8; 8]> {
    let layout = Layout::local(ids::MARKS, targets);
    let mut dkeys: Vec<Option<[u8; 8]>> = vec![None; targets as usize];
    let mut missing = dkeys.len();
    for number in 0_u64.. {
        if missing == 0 {
            break;
        }
        let dkey = number.to_le_bytes();
        let (_, target) = layout.of_dkey(&dkey);
        if let Some(place @ None) = dkeys.get_mut(target.0 as usize) {
            *place = Some(dkey);
            missing -= 1;
        }
    }
    dkeys.into_iter().flatten().collect()
}

/// Reads the superblock.
pub(crate) fn read_superblock(work: &Work<'_>) -> Result<Superblock> {
    let mut values: [Vec<u8>; 9] = std::array::from_fn(|_| Vec::new());
    let mut iods: Vec<FetchIod<'_>> = AKEYS
        .iter()
        .zip(&mut values)
        .map(|(akey, value)| FetchIod::new(akey, FetchValue::Single(value)))
        .collect();
    work.object(ids::SUPERBLOCK)?.fetch(superblock::DKEY, &mut iods, Cond::NONE)?;
    drop(iods);
    Superblock::decode(&values)
}

impl Dfs {
    /// Mounts the file system of a container.
    ///
    /// `EINVAL` if it holds none, `EOPNOTSUPP` if it is of a layout that is not known, or balanced on a pool that cannot have it.
    pub fn mount(container: Arc<dyn ContainerService>, options: MountOptions) -> Result<Self> {
        let MountOptions { read_only, epoch, durability, space } = options;
        let container = match epoch {
            None => container,
            Some(epoch) => container.at(epoch)?,
        };
        let read_only = read_only || container.epoch() != Epoch::MAX;
        let targets = container.route().targets();
        let durability = durability.unwrap_or(Durability::Buffered);
        let work = Work { container: &*container, durability, is_atomic: false };
        let superblock = read_superblock(&work)?;
        let marks = marks(targets);
        if superblock.consistency == Consistency::Balanced && !read_only {
            // A transaction that looks at each target.
            let looked = atomically(&*container, durability, true, |work| {
                let object = work.object(ids::MARKS)?;
                marks.iter().try_for_each(|dkey| {
                    let mut nothing: Vec<u8> = Vec::new();
                    let mut iods = [FetchIod::new(MARK_AKEY, FetchValue::Single(&mut nothing))];
                    Ok(object.fetch(dkey, &mut iods, Cond::NONE)?)
                })
            });
            looked.map_err(|error| match error.der {
                Some(Der::Nosys | Der::Notsupported) => Error {
                    message: format!(
                        "the file system of container {:?} is balanced, which takes transactions over all targets: {}",
                        container.label(),
                        error.message
                    ),
                    errno: Errno::EOPNOTSUPP,
                    hint: Some("mount it read-only, or use a pool on one rank".into()),
                    ..error
                },
                _ => error,
            })?;
        }
        let root = work.read(&Slot::root())?.ok_or_else(|| {
            Error::new(Errno::EIO, "the file system has no root directory")
                .hint("daos fs fix-root leads to it again")
        })?;
        let Record { oid, chunk_size, class, .. } = root.record;
        let table = Table::new();
        let root = table.directory(oid, Place::Root, Defaults { chunk_size, class }, table.moment());
        let shared = Shared {
            hints: Hints::parse(&superblock.hints)?,
            layout: AtomicU16::new(superblock.layout),
            container,
            superblock,
            targets,
            durability,
            table,
            root,
            allocator: Allocator::default(),
            read_only,
            mounted: AtomicBool::new(true),
            space,
            removals: Mutex::new(()),
            touched: Mutex::default(),
            left: Left::default(),
            directories: Changes::default(),
            xattrs: Changes::default(),
            marks,
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Ends the mount, on behalf of all that share it: what is known of times is stored, and all that was done is durable at return.
    /// What is open cannot be used any more.
    pub fn umount(&self) -> Result<()> {
        if !self.shared.mounted.load(Ordering::Acquire) {
            return Ok(());
        }
        let synced = if self.shared.read_only { Ok(()) } else { self.sync() };
        self.shared.mounted.store(false, Ordering::Release);
        synced
    }

    /// The root directory.
    pub fn root(&self) -> Dir {
        Dir { node: Arc::clone(&self.shared.root) }
    }

    /// Whether nothing can be changed.
    pub fn is_read_only(&self) -> bool {
        self.shared.read_only
    }

    /// Whether each question waits for another process, so that several are better asked together.
    pub fn is_far(&self) -> bool {
        self.shared.container.route().is_far()
    }

    /// How operations of several mounts meet.
    pub fn consistency(&self) -> Consistency {
        self.shared.superblock.consistency
    }

    /// The version of the layout, as far as this mount knows it: 3, or 4 from the first hard link on.
    pub fn layout_version(&self) -> u16 {
        self.shared.layout.load(Ordering::Acquire)
    }

    /// How much room there is. `EOPNOTSUPP` if nobody said at the mount where to ask.
    pub fn statfs(&self) -> Result<Room> {
        self.shared.check()?;
        let space = self.shared.space.as_ref().ok_or_else(|| {
            Error::new(Errno::EOPNOTSUPP, "nobody told the mount whom to ask for the room there is")
        })?;
        let SystemSpace { total, free, .. } = space()?;
        Ok(Room {
            block_size: BLOCK_SIZE,
            blocks: total / BLOCK_SIZE,
            blocks_free: free / BLOCK_SIZE,
            name_len_max: crate::names::NAME_LEN_MAX as u64,
        })
    }

    /// Makes durable all that was acknowledged to this mount, and the times of change that it keeps in memory.
    pub fn sync(&self) -> Result<()> {
        let shared = &self.shared;
        shared.writable()?;
        shared.store_all_times()?;
        shared.mark(None)
    }
}

/// The akey of a mark.
const MARK_AKEY: &[u8] = b"0";

/// Runs an operation in a transaction until nothing gets in its way. Where there is none to be had, it runs without, step by step.
pub(crate) fn atomically<T>(
    container: &dyn ContainerService,
    durability: Durability,
    only: bool,
    mut run: impl FnMut(&Work<'_>) -> Result<T>,
) -> Result<T> {
    let begun = Instant::now();
    let mut pause = Duration::from_micros(20);
    for attempt in 0_u32.. {
        let outcome = match container.transaction(durability) {
            Err(error) => Err(Error::from(error)),
            Ok(transaction) => {
                let work = Work { container: &*transaction.container, durability, is_atomic: true };
                match run(&work) {
                    Ok(value) => transaction.end.commit().map(|()| value).map_err(Error::from),
                    Err(error) => {
                        // It ended by itself, or there is nothing to undo.
                        let _ = transaction.end.abort();
                        Err(error)
                    }
                }
            }
        };
        match outcome {
            Err(error) if error.is_der(Der::TxRestart) && begun.elapsed() < CONFLICTS_MAX => {
                if attempt > 2 {
                    std::thread::sleep(pause);
                    pause = (2 * pause).min(PAUSE_MAX);
                }
            }
            Err(error) if error.is_der(Der::Nosys) && !only => {
                return run(&Work { container, durability, is_atomic: false });
            }
            outcome => return outcome,
        }
    }
    Err(Error::new(Errno::EBUSY, "others got in the way of an operation too often"))
}

impl Shared {
    /// Refuses what is not mounted any more.
    pub(crate) fn check(&self) -> Result<()> {
        if self.mounted.load(Ordering::Acquire) {
            Ok(())
        } else {
            Err(Error::new(Errno::ENODEV, "the file system is not mounted any more"))
        }
    }

    /// Refuses changes where there are none.
    pub(crate) fn writable(&self) -> Result<()> {
        self.check()?;
        if self.read_only {
            return Err(Error::new(Errno::EROFS, "the file system is mounted read-only"));
        }
        Ok(())
    }

    pub(crate) const fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Without a transaction.
    pub(crate) fn plain(&self) -> Work<'_> {
        Work { container: &*self.container, durability: self.durability, is_atomic: false }
    }

    /// In a transaction, where one can be had.
    pub(crate) fn atomically<T>(&self, run: impl FnMut(&Work<'_>) -> Result<T>) -> Result<T> {
        let only = self.superblock.consistency == Consistency::Balanced;
        atomically(&*self.container, self.durability, only, run)
    }

    /// Runs what looks for nodes where this mount knows them to be; again, if another thread moved something meanwhile.
    pub(crate) fn patiently<T>(&self, mut run: impl FnMut() -> Result<T>) -> Result<T> {
        for _ in 0..MOVED_MAX {
            let before = self.table.moment();
            match run() {
                Err(error) if error.errno == Errno::ESTALE => {
                    self.table.settle();
                    if self.table.moment() == before {
                        return Err(error);
                    }
                }
                outcome => return outcome,
            }
        }
        Err(Error::new(Errno::ESTALE, "it moves faster than it can be looked up"))
    }

    /// An id for something new.
    pub(crate) fn new_oid(&self, kind: Kind, class: ObjectClass) -> Result<ObjectId> {
        let class = classes::resolve(class, self.targets)?;
        let object = match kind {
            Kind::Directory => ObjectType::MultiHashed,
            Kind::File | Kind::Symlink => ObjectType::ArrayByte,
        };
        self.allocator.next(&*self.container, object, class)
    }

    /// The class of something new in a directory.
    pub(crate) fn class_of_new(
        &self,
        kind: Kind,
        asked: Option<ObjectClass>,
        parent: Defaults,
    ) -> ObjectClass {
        let by_kind = match kind {
            Kind::Directory => self.superblock.directory_class,
            Kind::File | Kind::Symlink => self.superblock.file_class,
        };
        let given = [asked, classes::of_id(parent.class), by_kind, self.superblock.class];
        classes::choose(kind, given, self.hints)
    }

    /// Bytes of a chunk of a file, by what its record says.
    pub(crate) const fn chunk_size(&self, stored: u64) -> u64 {
        if stored == 0 { self.superblock.chunk_size } else { stored }
    }

    /// Takes note that entries of a directory changed.
    pub(crate) fn touch_directory(&self, node: &Arc<Node>) {
        node.times.touch(Time::now());
        let full = {
            let mut touched = self.touched.lock();
            touched.insert(node.oid, Arc::clone(node));
            if touched.len() > TOUCHED_MAX { Some(std::mem::take(&mut *touched)) } else { None }
        };
        for node in full.into_iter().flat_map(HashMap::into_values) {
            // What cannot be stored now is told by the next sync of this directory.
            if self.store_times(&node).is_err() {
                self.touched.lock().insert(node.oid, node);
            }
        }
    }

    /// Stores when something was changed, where that is in memory only.
    pub(crate) fn store_times(&self, node: &Node) -> Result<()> {
        let Some(time) = node.times.written() else { return Ok(()) };
        let store = |work: &Work<'_>| {
            // Outside of a transaction threads of this mount keep out of each other's way by themselves.
            let _claim = if work.is_atomic { None } else { Some(self.table.claim([node.oid])?) };
            let found = work.locate(node)?;
            let mut record = found.held.record;
            if node.times.is_outdone(&record, time) {
                return Ok(());
            }
            record.set_mtime(time, time);
            record.ctime = record.ctime.max(time);
            work.patch(&found.slot, &found.held, &record, &[]).map_err(|error| {
                error.meaning(Der::Nonexist, Errno::ESTALE, || {
                    "its name was removed by another mount".to_owned()
                })
            })
        };
        // Where each request is a message, a time is not worth those of a transaction: at worst what another mount puts in its place in
        // this moment gets it. But now and then it gets one, which writes all of the record: readers find what is newer than that, not
        // each time there was.
        let cheap = self.superblock.consistency == Consistency::Relaxed
            && !time.is_one_in_eight()
            && self.container.route().is_far();
        let stored = self.patiently(|| if cheap { store(&self.plain()) } else { self.atomically(store) });
        if node.kind == Kind::Directory {
            self.directories.add();
        }
        match stored {
            // Another mount removed it, or gave it another name: there is no place to store it.
            Err(error) if error.errno != Errno::ESTALE => Err(error),
            stored => {
                node.times.settled(Some(time));
                if stored.is_ok() {
                    node.times.stored(time);
                }
                Ok(())
            }
        }
    }

    fn store_all_times(&self) -> Result<()> {
        let touched = std::mem::take(&mut *self.touched.lock());
        let nodes =
            touched.into_values().chain(self.table.all().into_iter().filter(|node| node.kind == Kind::File));
        let mut result = self.store_left(Duration::ZERO, || true);
        for node in nodes {
            if let Err(error) = self.store_times(&node) {
                if node.kind == Kind::Directory {
                    self.touched.lock().insert(node.oid, node);
                }
                result = result.and(Err(error));
            }
        }
        result
    }

    /// Makes durable what these targets have acknowledged, or all of them: a log keeps its order, so that what is synced last
    /// vouches for all before it.
    pub(crate) fn mark(&self, targets: Option<&[u32]>) -> Result<()> {
        let now = Time::now().unix_ns().to_le_bytes();
        let iods = [Iod::new(MARK_AKEY, IodValue::Single(&now))];
        let work = Work { durability: Durability::Synced, ..self.plain() };
        let dkeys: Vec<&[u8; 8]> = match targets {
            None => self.marks.iter().collect(),
            Some(targets) => targets.iter().filter_map(|target| self.marks.get(*target as usize)).collect(),
        };
        work.object(ids::MARKS)?.update_all(dkeys.iter().map(|dkey| (&dkey[..], &iods[..])))?;
        Ok(())
    }

    /// The targets that have the record of something, or parts of its content.
    pub(crate) fn targets_of(&self, node: &Node) -> Vec<u32> {
        let target_of = |slot: &Slot| Layout::local(slot.oid, self.targets).of_dkey(&slot.dkey).1.0;
        let mut targets = vec![target_of(&Slot::of(node)), target_of(&Slot::inode(node.oid))];
        targets.extend(Layout::local(node.oid, self.targets).shards().map(|(_, target)| target.0));
        targets.sort_unstable();
        targets.dedup();
        targets
    }

    /// Frees a file that has no name any more and is not open.
    pub(crate) fn free_orphan(&self, node: &Node) -> Result<()> {
        self.atomically(|work| {
            let slot = Slot::orphan(node.oid);
            let Some(entry) = work.read(&slot)? else { return Ok(()) };
            if entry.record.is_linked() {
                work.remove_object(ids::inode(node.oid))?;
            }
            work.remove_object(node.oid)?;
            work.remove_found(&slot)
        })
    }

    /// The size of a file.
    pub(crate) fn size(&self, work: &Work<'_>, record: &Record) -> Result<u64> {
        content::size(&work.array(record.oid, self.chunk_size(record.chunk_size))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_target_has_a_mark_of_its_own() {
        for targets in [1, 2, 3, 16, 64] {
            let layout = Layout::local(ids::MARKS, targets);
            let marks = marks(targets);
            let places: Vec<u32> = marks.iter().map(|dkey| layout.of_dkey(dkey).1.0).collect();
            assert_eq!(places, (0..targets).collect::<Vec<_>>());
        }
    }
}
