//! What a mount knows of what it has open: where the record of each is, and who may free it. No I/O.

use crate::access::SET_IDS;
use crate::errno::{Errno, Error, Result};
use crate::recent::Recent;
use crate::record::{Kind, Record};
use crate::times::Times;
use daos_locks::{Condvar, Mutex, RwLock};
use daos_types::ObjectId;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// So long one waits for another thread's removal of the same file.
const CLAIM_WAIT_MAX: Duration = Duration::from_secs(120);
/// What was freed, or got another name, is remembered by so many slots.
const SLOTS: usize = 256;

/// Where a record is.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// That of the root, in the superblock.
    Root,
    /// In a directory, by name.
    Entry(Arc<Node>, Vec<u8>),
    /// In its inode object.
    Inode,
    /// Among the orphans.
    Orphan,
}

/// What a directory gives to what is made in it; 0 where it has nothing to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Defaults {
    pub(crate) chunk_size: u64,
    pub(crate) class: u32,
}

/// A file that is open, or a directory.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) oid: ObjectId,
    pub(crate) kind: Kind,
    place: Mutex<Place>,
    /// False for a directory that was removed. Held to be read while entries are made in it.
    pub(crate) live: RwLock<bool>,
    /// It may have been removed before it got here: somebody looked it up, and then something was removed that nobody had any more.
    doubtful: AtomicBool,
    defaults: Mutex<Defaults>,
    /// Handles of a file.
    opens: AtomicUsize,
    pub(crate) times: Times,
    /// Held by who appends.
    pub(crate) appending: Mutex<()>,
    /// It is a program that runs as another, as far as this mount knows.
    runs_as_another: AtomicBool,
    /// The record of a directory.
    pub(crate) record: Recent<Record>,
    /// Of a file: it has no capabilities.
    pub(crate) incapable: Recent<()>,
}

impl Node {
    pub(crate) fn new(oid: ObjectId, kind: Kind, place: Place, defaults: Defaults) -> Self {
        Self {
            oid,
            kind,
            place: Mutex::new(place),
            live: RwLock::new(true),
            doubtful: AtomicBool::new(false),
            defaults: Mutex::new(defaults),
            opens: AtomicUsize::new(0),
            times: Times::default(),
            appending: Mutex::new(()),
            runs_as_another: AtomicBool::new(false),
            record: Recent::default(),
            incapable: Recent::default(),
        }
    }

    /// Whether it has to be looked for before something is made in it.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.doubtful.load(Ordering::Acquire)
    }

    /// It is there; from now on this mount knows when it is removed.
    pub(crate) fn is_there(&self) {
        self.doubtful.store(false, Ordering::Release);
    }

    pub(crate) fn place(&self) -> Place {
        self.place.lock().clone()
    }

    /// Its record turned out to be in its inode object.
    pub(crate) fn has_names(&self) {
        let mut place = self.place.lock();
        if matches!(*place, Place::Entry(..)) {
            let old = std::mem::replace(&mut *place, Place::Inode);
            drop(place);
            drop(old);
        }
    }

    /// Whether it has no name any more.
    pub(crate) fn is_orphan(&self) -> bool {
        matches!(*self.place.lock(), Place::Orphan)
    }

    pub(crate) fn set_place(&self, place: Place) {
        // What it held is dropped when nothing is locked: it may be the last of a long chain.
        let old = std::mem::replace(&mut *self.place.lock(), place);
        drop(old);
    }

    pub(crate) fn defaults(&self) -> Defaults {
        *self.defaults.lock()
    }

    pub(crate) fn set_defaults(&self, defaults: Defaults) {
        *self.defaults.lock() = defaults;
    }

    /// Takes note of the mode of a file.
    pub(crate) fn note_mode(&self, mode: u32) {
        self.runs_as_another.store(mode & SET_IDS != 0, Ordering::Release);
    }

    /// Whether it runs as another when it is run, as far as this mount knows.
    pub(crate) fn runs_as_another(&self) -> bool {
        self.runs_as_another.load(Ordering::Acquire)
    }

    /// The directories above it, the nearest first; itself, if it is one, is not among them.
    pub(crate) fn above(&self) -> Vec<Arc<Node>> {
        let mut above: Vec<Arc<Node>> = Vec::new();
        let mut known = HashSet::new();
        let mut place = self.place();
        while let Place::Entry(parent, _) = place {
            // A loop cannot be made by this mount, but maybe by several at once.
            if !known.insert(parent.oid) {
                break;
            }
            place = parent.place();
            above.push(parent);
        }
        above
    }

    /// The directory that it is in is not held any more.
    fn let_go(&self) -> Option<Arc<Node>> {
        match std::mem::replace(&mut *self.place.lock(), Place::Root) {
            Place::Entry(parent, _) => Some(parent),
            _ => None,
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // One after the other: however deep a directory is, those above it need no stack.
        let mut next = self.let_go();
        while let Some(node) = next.and_then(Arc::into_inner) {
            next = node.let_go();
        }
    }
}

#[derive(Debug)]
struct State {
    nodes: HashMap<ObjectId, Weak<Node>>,
    /// Nodes from which on those are looked for that are gone.
    purge_at: usize,
    claimed: HashSet<ObjectId>,
    /// Counts what may make a look-up old: files freed, things moved.
    changes: u64,
    /// The count when the name of something of each slot changed last, or it was freed.
    changed: [u64; SLOTS],
    /// The count when something was moved last, and how many are being moved.
    moved: u64,
    moving: usize,
}

/// The nodes of a mount, by their object ids.
#[derive(Debug)]
pub(crate) struct Table {
    state: Mutex<State>,
    released: Condvar,
    /// Held to be read while names change: who wants to know that none is changing any more writes.
    moves: RwLock<()>,
}

/// A moment of the table, before a look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(u64);

fn slot(oid: ObjectId) -> usize {
    (oid.lo ^ oid.hi).wrapping_mul(0x9e37_79b9_7f4a_7c15) as usize % SLOTS
}

impl Table {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                nodes: HashMap::new(),
                purge_at: 1024,
                claimed: HashSet::new(),
                changes: 0,
                changed: [0; SLOTS],
                moved: 0,
                moving: 0,
            }),
            released: Condvar::new(),
            moves: RwLock::new(()),
        }
    }

    /// To be asked before what is registered is looked up.
    pub(crate) fn moment(&self) -> Moment {
        Moment(self.state.lock().changes)
    }

    /// The node of an object, if there is one.
    pub(crate) fn get(&self, oid: ObjectId) -> Option<Arc<Node>> {
        self.state.lock().nodes.get(&oid).and_then(Weak::upgrade)
    }

    /// All files that are open, and directories that are known.
    pub(crate) fn all(&self) -> Vec<Arc<Node>> {
        let state = self.state.lock();
        let used = |node: &Arc<Node>| node.kind == Kind::Directory || node.opens.load(Ordering::Acquire) > 0;
        state.nodes.values().filter_map(Weak::upgrade).filter(used).collect()
    }

    /// The node of a directory that was found at a place.
    pub(crate) fn directory(
        &self,
        oid: ObjectId,
        place: Place,
        defaults: Defaults,
        looked: Moment,
    ) -> Arc<Node> {
        let mut state = self.state.lock();
        let Some(node) = state.nodes.get(&oid).and_then(Weak::upgrade) else {
            let node = Arc::new(Node::new(oid, Kind::Directory, place, defaults));
            node.doubtful.store(state.moving > 0 || state.moved > looked.0, Ordering::Release);
            state.insert(&node);
            return node;
        };
        // What was found may be older than what this mount did since.
        if state.moving == 0 && state.moved <= looked.0 {
            node.set_place(place);
            node.set_defaults(defaults);
        }
        node
    }

    /// Opens a file that was found at a place; `None` if it may have been freed, or have got another name, since: look again.
    pub(crate) fn open(&self, oid: ObjectId, place: Place, looked: Moment) -> Result<Option<Opened>> {
        let end = Instant::now() + CLAIM_WAIT_MAX;
        let mut state = self.state.lock();
        while state.claimed.contains(&oid) {
            let late;
            (state, late) = self.released.wait_until(state, end);
            if late {
                return Err(busy());
            }
        }
        if state.changed.get(slot(oid)).is_some_and(|changed| *changed > looked.0) {
            return Ok(None);
        }
        let node = match state.nodes.get(&oid).and_then(Weak::upgrade) {
            Some(node) => {
                // One that was left: another mount may have given it another name.
                if node.opens.load(Ordering::Acquire) == 0 {
                    node.set_place(place);
                }
                node
            }
            None => {
                let node = Arc::new(Node::new(oid, Kind::File, place, Defaults::default()));
                state.insert(&node);
                node
            }
        };
        node.opens.fetch_add(1, Ordering::AcqRel);
        Ok(Some(Opened(node)))
    }

    /// Closes a file; true if that was the last handle of one that has no name any more.
    pub(crate) fn close(&self, opened: &Opened) -> bool {
        // With the lock, so that who is about to free it sees this, or is seen.
        let _state = self.state.lock();
        let last = opened.0.opens.fetch_sub(1, Ordering::AcqRel) == 1;
        last && matches!(*opened.0.place.lock(), Place::Orphan)
    }

    /// Keeps others from opening files, and from changing names of theirs or of directories, until the claim is dropped: what is in
    /// memory follows what is stored in the same order. All at once, so that who has some of them waits for nobody.
    pub(crate) fn claim(&self, oids: impl IntoIterator<Item = ObjectId>) -> Result<Claim<'_>> {
        // Symbolic links may have no id; nothing in memory is about them.
        let oids: Vec<ObjectId> = oids.into_iter().filter(|oid| *oid != ObjectId::default()).collect();
        let end = Instant::now() + CLAIM_WAIT_MAX;
        let mut state = self.state.lock();
        while oids.iter().any(|oid| state.claimed.contains(oid)) {
            let late;
            (state, late) = self.released.wait_until(state, end);
            if late {
                return Err(busy());
            }
        }
        state.claimed.extend(&oids);
        Ok(Claim { table: self, oids })
    }

    /// Takes note that names are about to change, until what this answers is dropped.
    pub(crate) fn moving(&self) -> Moving<'_> {
        let guard = self.moves.read();
        self.state.lock().moving += 1;
        Moving { table: self, _guard: guard }
    }

    /// Waits until no name is being changed of those that are now.
    pub(crate) fn settle(&self) {
        drop(self.moves.write());
    }
}

impl State {
    fn insert(&mut self, node: &Arc<Node>) {
        if self.nodes.len() >= self.purge_at {
            self.nodes.retain(|_, node| node.strong_count() > 0);
            self.purge_at = (2 * self.nodes.len()).max(1024);
        }
        self.nodes.insert(node.oid, Arc::downgrade(node));
    }
}

fn busy() -> Error {
    Error::new(Errno::EBUSY, "another thread has been removing the same file for long")
}

/// A file that is open.
#[derive(Debug)]
pub(crate) struct Opened(pub(crate) Arc<Node>);

/// The right to change names of files and directories, and to free them.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    table: &'a Table,
    oids: Vec<ObjectId>,
}

impl Claim<'_> {
    /// The node of a file, if it is open.
    pub(crate) fn open(&self, oid: ObjectId) -> Option<Arc<Node>> {
        let node = self.table.get(oid)?;
        let state = self.table.state.lock();
        let is_open = node.opens.load(Ordering::Acquire) > 0;
        drop(state);
        is_open.then_some(node)
    }

    /// A file has no name any more, but handles; false if those were closed meanwhile, so that nobody else will free it.
    pub(crate) fn orphaned(&self, node: &Node) -> bool {
        let _state = self.table.state.lock();
        node.set_place(Place::Orphan);
        node.opens.load(Ordering::Acquire) > 0
    }

    /// Names were changed, or files freed: what was looked up before is old.
    pub(crate) fn done(&self) {
        let mut state = self.table.state.lock();
        state.changes += 1;
        let now = state.changes;
        for oid in &self.oids {
            if let Some(changed) = state.changed.get_mut(slot(*oid)) {
                *changed = now;
            }
        }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut state = self.table.state.lock();
        for oid in &self.oids {
            state.claimed.remove(oid);
        }
        drop(state);
        self.table.released.notify_all();
    }
}

/// Names change.
#[derive(Debug)]
pub(crate) struct Moving<'a> {
    table: &'a Table,
    _guard: daos_locks::RwLockReadGuard<'a, ()>,
}

impl Drop for Moving<'_> {
    fn drop(&mut self) {
        let mut state = self.table.state.lock();
        state.changes += 1;
        state.moved = state.changes;
        state.moving -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oid(lo: u64) -> ObjectId {
        ObjectId { hi: 0, lo }
    }

    fn directory(table: &Table, lo: u64, place: Place) -> Arc<Node> {
        table.directory(oid(lo), place, Defaults::default(), table.moment())
    }

    #[test]
    fn an_object_has_one_node_as_long_as_somebody_has_it() {
        let table = Table::new();
        let looked = table.moment();
        let one = table.open(oid(1), Place::Root, looked).unwrap().unwrap();
        let two = table.open(oid(1), Place::Root, looked).unwrap().unwrap();
        assert!(Arc::ptr_eq(&one.0, &two.0));
        assert!(!table.close(&one));
        one.0.set_place(Place::Orphan);
        assert!(table.close(&two), "the last handle of an orphan");
        assert!(table.all().is_empty(), "nobody has it open");
        drop((one, two));
        assert!(table.get(oid(1)).is_none());
    }

    #[test]
    fn what_was_freed_since_it_was_looked_up_is_looked_up_again() {
        let table = Table::new();
        let looked = table.moment();
        let claim = table.claim([oid(1), oid(1), ObjectId::default()]).unwrap();
        assert!(claim.open(oid(1)).is_none());
        claim.done();
        drop(claim);
        assert!(table.open(oid(1), Place::Root, looked).unwrap().is_none());
        assert!(table.open(oid(1), Place::Root, table.moment()).unwrap().is_some());
        // Given up, a claim changes nothing.
        let looked = table.moment();
        drop(table.claim([oid(1)]).unwrap());
        let opened = table.open(oid(1), Place::Root, looked).unwrap().unwrap();
        assert!(table.claim([oid(1)]).unwrap().open(oid(1)).is_some());
        table.close(&opened);
        assert!(table.claim([oid(1)]).unwrap().open(oid(1)).is_none());
    }

    #[test]
    fn an_open_waits_for_a_claim() {
        let table = Arc::new(Table::new());
        let looked = table.moment();
        let claim = table.claim([oid(2), oid(1)]).unwrap();
        let opener = {
            let table = Arc::clone(&table);
            std::thread::spawn(move || table.open(oid(1), Place::Root, looked).unwrap().is_none())
        };
        claim.done();
        drop(claim);
        assert!(opener.join().unwrap(), "it was freed meanwhile");
    }

    #[test]
    fn old_news_of_a_place_are_not_believed() {
        let table = Table::new();
        let root = directory(&table, 1, Place::Root);
        let at = |name: &[u8]| Place::Entry(Arc::clone(&root), name.to_vec());
        let name = |node: &Node| match node.place() {
            Place::Entry(_, name) => name,
            _ => Vec::new(),
        };
        let looked = table.moment();
        let node = directory(&table, 2, at(b"old"));
        let moving = table.moving();
        node.set_place(at(b"new"));
        table.directory(oid(2), at(b"old"), Defaults::default(), table.moment());
        assert_eq!(name(&node), b"new", "while it moves");
        drop(moving);
        table.settle();
        table.directory(oid(2), at(b"old"), Defaults::default(), looked);
        assert_eq!(name(&node), b"new", "looked up before");
        table.directory(oid(2), at(b"other"), Defaults::default(), table.moment());
        assert_eq!(name(&node), b"other", "another mount moved it");
        assert_eq!(node.above().len(), 1);
    }

    #[test]
    fn a_directory_that_was_looked_up_before_something_was_removed_may_be_that() {
        let table = Table::new();
        let looked = table.moment();
        assert!(!table.directory(oid(1), Place::Root, Defaults::default(), looked).is_doubtful());
        let moving = table.moving();
        assert!(table.directory(oid(2), Place::Root, Defaults::default(), table.moment()).is_doubtful());
        drop(moving);
        let doubtful = table.directory(oid(3), Place::Root, Defaults::default(), looked);
        assert!(doubtful.is_doubtful());
        assert!(!table.directory(oid(4), Place::Root, Defaults::default(), table.moment()).is_doubtful());
        doubtful.is_there();
        assert!(!table.directory(oid(3), Place::Root, Defaults::default(), looked).is_doubtful(), "the same");
    }

    #[test]
    fn the_deepest_directory_can_be_let_go() {
        let table = Table::new();
        let mut deepest = directory(&table, 0, Place::Root);
        for lo in 1..300_000 {
            deepest = directory(&table, lo, Place::Entry(deepest, b"d".to_vec()));
        }
        assert_eq!(deepest.above().len(), 299_999);
        let dropped = std::thread::Builder::new().stack_size(64 << 10).spawn(move || drop(deepest));
        dropped.unwrap().join().unwrap();
        assert!(table.all().is_empty());
    }
}
