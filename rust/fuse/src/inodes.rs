//! What the kernel knows by numbers: files, directories and symbolic links, under which names, and what of them is open. No I/O.

use daos_dfs::{Attr, Dir, Errno, Error, File, Kind, Result};
use daos_locks::{Condvar, Mutex};
use daos_types::ObjectId;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::abi::ROOT;

/// So long one waits for renames that are under way.
const RENAMES_WAIT: Duration = Duration::from_secs(60);
/// Names of one file that are remembered; more are looked up again.
const NAMES_MAX: usize = 16;

/// The key of a name: the directory's object, and the name.
type Key = (ObjectId, Vec<u8>);

/// A name.
#[derive(Debug, Clone)]
struct Name {
    dir: Dir,
    name: Vec<u8>,
}

impl Name {
    fn key(&self) -> Key {
        (self.dir.oid(), self.name.clone())
    }
}

#[derive(Debug)]
struct Node {
    oid: ObjectId,
    kind: Kind,
    /// What `stat` tells as its number.
    ino: u64,
    /// Of a directory.
    dir: Option<Dir>,
    names: Vec<Name>,
    /// How often the kernel was told of it, and has not forgotten.
    lookups: u64,
    /// The file, as long as it is open: all handles share it.
    file: Weak<File>,
    /// When its last handle was closed.
    closed: Option<Instant>,
    /// Mode, owner and group as they were last seen.
    seen: (u32, u32, u32),
    /// It was removed.
    gone: bool,
}

/// By what a node is to be found in the file system.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// A directory.
    Dir(Dir),
    /// A file that is open.
    File(Arc<File>),
    /// By a name.
    Name(Dir, Vec<u8>),
}

/// What is known of a node.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) oid: ObjectId,
    pub(crate) kind: Kind,
    pub(crate) ino: u64,
    pub(crate) place: Option<Place>,
    /// Mode, owner and group as they were last seen.
    pub(crate) seen: (u32, u32, u32),
    pub(crate) gone: bool,
    /// So long it has been closed, if it was open before.
    pub(crate) closed: Option<Duration>,
}

/// A moment, before something is looked for by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(u64);

#[derive(Debug)]
struct State {
    next: u64,
    nodes: HashMap<u64, Node>,
    by_oid: HashMap<ObjectId, u64>,
    by_name: HashMap<Key, u64>,
    /// Renames and removals that are under way, and how many are done.
    moving: usize,
    moved: u64,
}

/// The nodes of a mount.
#[derive(Debug)]
pub(crate) struct Inodes {
    state: Mutex<State>,
    settled: Condvar,
}

/// The number of an object for `stat`: the same in each mount, and another for each file and directory. Ids come from ranges of 2^32.
fn ino_of(oid: ObjectId) -> u64 {
    let mixed = oid.lo.rotate_left(32) ^ (oid.hi & 0xffff_ffff);
    // 0 and 1 are nobody's, and the root's.
    if mixed < 2 { mixed | 1 << 63 } else { mixed }
}

/// What `stat` tells as the number of something that was not looked up before: of a symbolic link without an object, by its name.
pub(crate) fn ino_of_entry(dir: &Dir, name: &[u8], oid: ObjectId) -> u64 {
    if oid != ObjectId::default() {
        return ino_of(oid);
    }
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ ino_of(dir.oid());
    for byte in name {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    }
    hash | 1 << 63
}

fn stale() -> Error {
    Error::new(Errno::ESTALE, "it has no name any more that this mount knows")
}

impl Inodes {
    pub(crate) fn new(root: &Dir) -> Self {
        let node = Node {
            oid: root.oid(),
            kind: Kind::Directory,
            ino: ROOT,
            dir: Some(root.clone()),
            names: Vec::new(),
            lookups: 1,
            file: Weak::new(),
            closed: None,
            seen: (Kind::Directory.bits(), 0, 0),
            gone: false,
        };
        let state = State {
            next: ROOT + 1,
            by_oid: HashMap::from([(node.oid, ROOT)]),
            nodes: HashMap::from([(ROOT, node)]),
            by_name: HashMap::new(),
            moving: 0,
            moved: 0,
        };
        Self { state: Mutex::new(state), settled: Condvar::new() }
    }

    /// How many there are, and how many files are open.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.nodes.len(), state.nodes.values().filter(|node| node.file.strong_count() > 0).count())
    }

    /// The kernel is told of the root, as of what a name in another tree leads to.
    pub(crate) fn root_told(&self) {
        if let Some(root) = self.state.lock().nodes.get_mut(&ROOT) {
            root.lookups += 1;
        }
    }

    /// Whether the kernel knows what `stat` tells this number of.
    pub(crate) fn knows(&self, ino: u64) -> bool {
        self.state.lock().nodes.values().any(|node| node.ino == ino)
    }

    /// What `stat` tells as the number of a node.
    pub(crate) fn ino(&self, number: u64) -> Option<u64> {
        self.state.lock().nodes.get(&number).map(|node| node.ino)
    }

    /// Whether the kernel has forgotten all that it was told of, the root of another tree included.
    pub(crate) fn all_forgotten(&self) -> bool {
        let state = self.state.lock();
        state.nodes.len() == 1 && state.nodes.get(&ROOT).is_none_or(|root| root.lookups <= 1)
    }

    /// Takes note of what a name led to, and that the kernel is told of it; its number there, and for `stat`.
    pub(crate) fn found(&self, dir: &Dir, name: &[u8], attr: &Attr, as_dir: Option<Dir>) -> (u64, u64) {
        let mut state = self.state.lock();
        let number = state.note(dir, name, attr, as_dir);
        state.nodes.get_mut(&number).map_or((number, 0), |node| {
            node.lookups += 1;
            (number, node.ino)
        })
    }

    /// The number for `stat` of what a name leads to, if that is known, and what it is.
    pub(crate) fn listed(&self, dir: &Dir, name: &[u8]) -> Option<(u64, Kind)> {
        let state = self.state.lock();
        let number = state.by_name.get(&(dir.oid(), name.to_vec()))?;
        state.nodes.get(number).map(|node| (node.ino, node.kind))
    }

    /// What the kernel knows by a name, and the directory, by their numbers.
    pub(crate) fn entry(&self, dir: &Dir, name: &[u8]) -> Option<(u64, u64)> {
        let state = self.state.lock();
        let node = state.by_name.get(&(dir.oid(), name.to_vec()))?;
        Some((*state.by_oid.get(&dir.oid())?, *node))
    }

    /// The number for `stat` of an object, if the kernel knows that.
    pub(crate) fn ino_of_object(&self, oid: ObjectId) -> Option<u64> {
        let state = self.state.lock();
        state.nodes.get(state.by_oid.get(&oid)?).map(|node| node.ino)
    }

    /// What is known of a node; `ESTALE` of one that the kernel was not told of.
    pub(crate) fn get(&self, number: u64) -> Result<(Known, Moment)> {
        let state = self.state.lock();
        let moment = Moment(state.moved);
        let node = state.nodes.get(&number).ok_or_else(stale)?;
        let place = match (&node.dir, node.file.upgrade(), node.names.last()) {
            (Some(dir), ..) => Some(Place::Dir(dir.clone())),
            (None, Some(file), _) => Some(Place::File(file)),
            (None, None, Some(name)) => Some(Place::Name(name.dir.clone(), name.name.clone())),
            (None, None, None) => None,
        };
        let Node { oid, kind, ino, seen, gone, .. } = *node;
        let closed = node.closed.map(|closed| closed.elapsed());
        Ok((Known { oid, kind, ino, place, seen, gone, closed }, moment))
    }

    /// A directory by its number.
    pub(crate) fn dir(&self, number: u64) -> Result<Dir> {
        let state = self.state.lock();
        let node = state.nodes.get(&number).ok_or_else(stale)?;
        let not_one = || Error::new(Errno::ENOTDIR, "it is no directory");
        node.dir.clone().ok_or_else(not_one)
    }

    /// A directory, and its mode, owner and group.
    pub(crate) fn dir_seen(&self, number: u64) -> Result<(Dir, (u32, u32, u32))> {
        let dir = self.dir(number)?;
        Ok((dir, self.state.lock().nodes.get(&number).map(|node| node.seen).unwrap_or_default()))
    }

    /// A name of a file or symbolic link. `ENOENT` if it has none.
    pub(crate) fn name(&self, number: u64) -> Result<(Dir, Vec<u8>)> {
        let state = self.state.lock();
        let node = state.nodes.get(&number).ok_or_else(stale)?;
        let nameless = || Error::new(Errno::ENOENT, "it has no name");
        node.names.last().map(|name| (name.dir.clone(), name.name.clone())).ok_or_else(nameless)
    }

    /// The directory, by its number, and the name of something there, if the kernel knows that directory.
    pub(crate) fn entry_of(&self, number: u64) -> Option<(u64, Vec<u8>)> {
        let state = self.state.lock();
        let name = state.nodes.get(&number)?.names.last()?;
        Some((*state.by_oid.get(&name.dir.oid())?, name.name.clone()))
    }

    /// Whether names may have changed since then; waits for renames that are under way.
    pub(crate) fn moved_since(&self, moment: Moment) -> bool {
        let end = Instant::now() + RENAMES_WAIT;
        let mut state = self.state.lock();
        while state.moving > 0 {
            let late;
            (state, late) = self.settled.wait_until(state, end);
            if late {
                return false;
            }
        }
        Moment(state.moved) != moment
    }

    /// Takes note of what was seen of a node.
    pub(crate) fn seen(&self, number: u64, attr: &Attr) {
        if let Some(node) = self.state.lock().nodes.get_mut(&number) {
            node.seen = (attr.mode, attr.uid, attr.gid);
        }
    }

    /// The file of a node, if it is open.
    pub(crate) fn open_file(&self, number: u64) -> Option<Arc<File>> {
        self.state.lock().nodes.get(&number)?.file.upgrade()
    }

    /// Whether an object is open.
    pub(crate) fn is_open(&self, oid: ObjectId) -> bool {
        let state = self.state.lock();
        let node = state.by_oid.get(&oid).and_then(|number| state.nodes.get(number));
        node.is_some_and(|node| node.file.strong_count() > 0)
    }

    /// A file was opened; the one that all handles share, which may be another that was opened in the same moment.
    pub(crate) fn opened(&self, number: u64, file: File) -> Arc<File> {
        let mut state = self.state.lock();
        let Some(node) = state.nodes.get_mut(&number) else { return Arc::new(file) };
        if let Some(other) = node.file.upgrade() {
            drop(state);
            drop(file);
            return other;
        }
        let file = Arc::new(file);
        node.file = Arc::downgrade(&file);
        file
    }

    /// A handle goes; the file, if it was the last one.
    pub(crate) fn closing(&self, number: u64, file: Arc<File>) -> Option<File> {
        // With the lock, so that nobody gets the file in between.
        let mut state = self.state.lock();
        if let Some(node) = state.nodes.get_mut(&number) {
            node.closed = Some(Instant::now());
        }
        let last = Arc::into_inner(file);
        drop(state);
        last
    }

    /// The kernel forgets a node as often.
    pub(crate) fn forget(&self, number: u64, lookups: u64) {
        let mut state = self.state.lock();
        let Some(node) = state.nodes.get_mut(&number) else { return };
        node.lookups = node.lookups.saturating_sub(lookups);
        let gone = if node.lookups == 0 && number != ROOT { state.remove(number) } else { None };
        drop(state);
        // It may be the last that has a directory.
        drop(gone);
    }

    /// Names are about to change: who does not find something waits until this is dropped, and looks again.
    pub(crate) fn moving(&self) -> Moving<'_> {
        self.state.lock().moving += 1;
        Moving { inodes: self }
    }

    /// A name was removed.
    pub(crate) fn removed(&self, dir: &Dir, name: &[u8]) {
        self.state.lock().lose(&(dir.oid(), name.to_vec()));
    }

    /// Something got a further name.
    pub(crate) fn linked(&self, number: u64, dir: &Dir, name: &[u8], attr: &Attr) {
        let mut state = self.state.lock();
        state.has(number, dir, name);
        // A symbolic link gets an object with its second name.
        if let Some(node) = state.nodes.get_mut(&number)
            && node.oid == ObjectId::default()
        {
            node.oid = attr.oid;
            state.by_oid.insert(attr.oid, number);
        }
    }

    /// Something has another name, and what had it before lost it, or has the old one.
    pub(crate) fn renamed(&self, from: (&Dir, &[u8]), to: (&Dir, &[u8]), exchanged: bool) {
        let (from_key, to_key) = ((from.0.oid(), from.1.to_vec()), (to.0.oid(), to.1.to_vec()));
        let mut state = self.state.lock();
        let moved = state.take(&from_key);
        let other = if exchanged {
            state.take(&to_key)
        } else {
            state.lose(&to_key);
            None
        };
        if let Some(moved) = moved {
            state.has(moved, to.0, to.1);
        }
        if let Some(other) = other {
            state.has(other, from.0, from.1);
        }
    }
}

impl State {
    fn note(&mut self, dir: &Dir, name: &[u8], attr: &Attr, as_dir: Option<Dir>) -> u64 {
        let key = (dir.oid(), name.to_vec());
        let named = self.by_name.get(&key).copied();
        let number = if attr.oid == ObjectId::default() {
            // A symbolic link is what its name was, as long as that is one.
            named.filter(|number| {
                self.nodes
                    .get(number)
                    .is_some_and(|node| node.oid == ObjectId::default() && node.kind == attr.kind)
            })
        } else {
            let known = self.by_oid.get(&attr.oid).copied();
            known.filter(|number| self.nodes.get(number).is_some_and(|node| node.kind == attr.kind))
        };
        if let Some(number) = number {
            self.has(number, dir, name);
            if let Some(node) = self.nodes.get_mut(&number) {
                node.seen = (attr.mode, attr.uid, attr.gid);
                node.gone = false;
            }
            return number;
        }
        let number = self.next;
        self.next += 1;
        let ino = ino_of_entry(dir, name, attr.oid);
        if attr.oid != ObjectId::default() {
            self.by_oid.insert(attr.oid, number);
        }
        let node = Node {
            oid: attr.oid,
            kind: attr.kind,
            ino,
            dir: as_dir,
            names: Vec::new(),
            lookups: 0,
            file: Weak::new(),
            closed: None,
            seen: (attr.mode, attr.uid, attr.gid),
            gone: false,
        };
        self.nodes.insert(number, node);
        self.has(number, dir, name);
        number
    }

    /// A node has a name, which nothing else has then.
    fn has(&mut self, number: u64, dir: &Dir, name: &[u8]) {
        let key = (dir.oid(), name.to_vec());
        match self.by_name.get(&key) {
            Some(holder) if *holder == number => return,
            Some(_) => drop(self.take(&key)),
            None => {}
        }
        let Some(node) = self.nodes.get_mut(&number) else { return };
        if node.names.len() >= NAMES_MAX {
            let oldest = node.names.remove(0).key();
            self.by_name.remove(&oldest);
        }
        node.names.push(Name { dir: dir.clone(), name: name.to_vec() });
        self.by_name.insert(key, number);
    }

    /// Takes a name from whoever has it.
    fn take(&mut self, key: &Key) -> Option<u64> {
        let number = self.by_name.remove(key)?;
        if let Some(node) = self.nodes.get_mut(&number) {
            node.names.retain(|name| name.dir.oid() != key.0 || name.name != key.1);
        }
        Some(number)
    }

    /// A name is gone, and, if it was a directory's, the directory.
    fn lose(&mut self, key: &Key) {
        if let Some(number) = self.take(key)
            && let Some(node) = self.nodes.get_mut(&number)
        {
            node.gone = node.names.is_empty();
        }
    }

    fn remove(&mut self, number: u64) -> Option<Node> {
        let node = self.nodes.remove(&number)?;
        for name in &node.names {
            self.by_name.remove(&name.key());
        }
        if self.by_oid.get(&node.oid) == Some(&number) {
            self.by_oid.remove(&node.oid);
        }
        Some(node)
    }
}

/// Names change.
#[derive(Debug)]
pub(crate) struct Moving<'a> {
    inodes: &'a Inodes,
}

impl Drop for Moving<'_> {
    fn drop(&mut self) {
        let mut state = self.inodes.state.lock();
        state.moving -= 1;
        state.moved += 1;
        drop(state);
        self.inodes.settled.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_have_numbers_of_their_own() {
        let oid = |hi, lo| ObjectId { hi, lo };
        // What the file system gives: ranges of 2^32 numbers, each with its own low half; above them, what an object is.
        let of = [oid(0, 1), oid(1, 1), oid(1, 2), oid(2, 1), oid(u64::from(u32::MAX), 1), oid(0, 1 << 31)];
        let numbers: std::collections::HashSet<u64> = of.into_iter().map(ino_of).collect();
        assert_eq!(numbers.len(), of.len());
        assert_eq!(ino_of(oid(5 | 7 << 40, 3)), ino_of(oid(5, 3)), "what it is does not matter");
        // 0 means nothing, and 1 the root.
        assert!(ino_of(oid(0, 0)) > 1 && ino_of(oid(1, 0)) > 1);
    }
}
