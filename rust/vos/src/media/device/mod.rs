//! The files of a store on one file of fixed size, or on a block device: `docs/formats/device.md`.

mod clusters;
mod file;
#[cfg(test)]
mod fuzz;
mod layout;
mod read;
mod table;
#[cfg(test)]
mod tests;

pub use layout::{DEVICES_MAX, DeviceIdentity, SIZE_MIN, SYSTEM_LEN_MAX};

use super::{Media, MediaError, MediaFile, Result, check_name};
use clusters::Clusters;
use daos_locks::{Mutex, RwLock};
use file::DeviceFile;
use layout::{Geometry, SECOND_COPY, Superblock};
use read::{read_superblock, read_table};
use std::collections::BTreeMap;
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use table::{FileEntry, Run, Table};

/// Why a device is not opened.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// There is no superblock.
    #[error("it has no superblock")]
    Foreign,
    /// A later release formatted it.
    #[error("it has format {0}")]
    Later(u32),
    /// Something on it is damaged.
    #[error("{0}")]
    Damaged(String),
    /// It is too small to be one.
    #[error("it has {size} bytes; it needs {needed}")]
    TooSmall {
        /// What it has.
        size: u64,
        /// At least.
        needed: u64,
    },
    /// It is another's.
    #[error("{0}")]
    Another(String),
    /// It does not do what it is asked.
    #[error("{0}")]
    Media(#[from] MediaError),
}

impl DeviceIdentity {
    /// What keeps a device with this superblock from being the one that is wanted.
    fn differs(&self, wanted: &Self) -> Option<String> {
        let (own, other) = (uuid_text(&self.uuid), uuid_text(&wanted.uuid));
        if self.system != wanted.system {
            return Some(format!("it belongs to system {:?}, not to {:?}", self.system, wanted.system));
        }
        if self.uuid != wanted.uuid {
            return Some(format!("it belongs to the storage {own}, not to {other}"));
        }
        if (self.index, self.count) != (wanted.index, wanted.count) {
            let place = |one: &Self| format!("number {} of {}", one.index, one.count);
            return Some(format!("it was formatted as {}, and is now {}", place(self), place(wanted)));
        }
        let (own, other) = (self.roles, wanted.roles);
        (own != other).then(|| format!("it was formatted for {own}, and is now for {other}"))
    }
}

fn uuid_text(uuid: &[u8; 16]) -> String {
    daos_types::PoolId(*uuid).to_string()
}

/// The files of one device. Clones share it.
#[derive(Debug, Clone)]
pub struct DeviceMedia {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    device: Arc<dyn MediaFile>,
    identity: DeviceIdentity,
    geometry: Geometry,
    /// Held while a table is written. Taken before the state.
    writing: Mutex<()>,
    state: Mutex<State>,
    /// What went wrong with a sync, a durable write or a table: nothing is known of any later.
    poisoned: Mutex<Option<MediaError>>,
}

/// What the table is made of, and what is free.
#[derive(Debug)]
struct State {
    files: BTreeMap<String, Arc<Node>>,
    /// Bytes that the files take in a table, their runs aside.
    bytes_of_files: u64,
    free: Clusters,
    /// Clusters that no file has since the last table: to be used again when one without them is durable.
    given_up: Vec<Run>,
    given_up_count: u64,
    generation: u64,
    /// Counts changes of names and sizes, from 1.
    version: u64,
    /// At which version names changed last.
    names_changed: u64,
    /// The version that is durable.
    durable: u64,
}

/// A file.
#[derive(Debug)]
struct Node {
    map: RwLock<Map>,
    /// Held by whoever changes its size. Taken before the state, which is taken before the map.
    resizing: Mutex<()>,
    /// The version of its last change of size. Changed under the state's lock, as the two that follow.
    changed: AtomicU64,
    handles: AtomicU64,
    unlinked: AtomicBool,
}

/// A file's bytes.
#[derive(Debug, Clone, Default)]
struct Map {
    size: u64,
    runs: Vec<Run>,
    /// Which of the file's clusters each run begins with.
    starts: Vec<u64>,
}

impl Map {
    fn of(size: u64, runs: Vec<Run>) -> Self {
        let mut at = 0;
        let starts = runs
            .iter()
            .map(|run| {
                let start = at;
                at += u64::from(run.count);
                start
            })
            .collect();
        Self { size, runs, starts }
    }

    /// Behind these runs come others.
    fn with(&self, size: u64, more: &[Run]) -> Self {
        let mut runs = self.runs.clone();
        for run in more {
            match runs.last_mut() {
                Some(last) if last.end() == run.start => last.count += run.count,
                _ => runs.push(*run),
            }
        }
        Self::of(size, runs)
    }

    /// Calls with each piece of a range: where on the device it is, and how long.
    fn pieces(
        &self,
        geometry: Geometry,
        offset: u64,
        len: u64,
        act: &mut dyn FnMut(u64, u64) -> Result<()>,
    ) -> Result<()> {
        let (mut at, end) = (offset, offset + len);
        let mut index = self.starts.partition_point(|start| start * geometry.cluster <= at).saturating_sub(1);
        while at < end {
            let (Some(run), Some(start)) = (self.runs.get(index), self.starts.get(index)) else { break };
            let inside = at - start * geometry.cluster;
            let here = (u64::from(run.count) * geometry.cluster - inside).min(end - at);
            act(geometry.cluster_at(run.start) + inside, here)?;
            at += here;
            index += 1;
        }
        debug_assert_eq!(at, end, "a file has clusters for all its bytes");
        Ok(())
    }
}

impl State {
    fn change(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    fn change_names(&mut self) {
        self.names_changed = self.change();
    }

    fn give_up(&mut self, runs: impl IntoIterator<Item = Run>) {
        for run in runs {
            self.given_up_count += u64::from(run.count);
            self.given_up.push(run);
        }
    }

    /// A file lost its name.
    fn unlink(&mut self, node: &Node) {
        node.unlinked.store(true, Ordering::Relaxed);
        if node.handles.load(Ordering::Relaxed) == 0 {
            self.give_up(std::mem::take(&mut *node.map.write()).runs);
        }
    }

    fn table(&self) -> Table {
        let entry = |node: &Arc<Node>| {
            let map = node.map.read();
            FileEntry { size: map.size, runs: map.runs.clone() }
        };
        let files = self.files.iter().map(|(name, node)| (name.clone(), entry(node))).collect();
        Table { generation: self.generation, files }
    }
}

impl DeviceMedia {
    /// Makes a device, whatever is on it, that has no files yet. Durable at return.
    pub fn format(device: &dyn MediaFile, identity: &DeviceIdentity) -> std::result::Result<(), DeviceError> {
        let size = device.size()?;
        let geometry = Geometry::of(size).ok_or(DeviceError::TooSmall { size, needed: SIZE_MIN })?;
        let known = (1..=SYSTEM_LEN_MAX).contains(&identity.system.len())
            && identity.index < identity.count
            && identity.count <= DEVICES_MAX
            && !identity.roles.is_empty();
        if !known {
            return Err(DeviceError::Another("its identity is none".to_owned()));
        }
        // What was there must not be taken for tables of this device, nor this superblock for that of those.
        device.zero(0, geometry.start)?;
        device.sync()?;
        let table = Table { generation: 1, ..Table::default() }.encode(identity.uuid);
        for slot in [0, 1] {
            device.write_at(geometry.slot_at(slot), &[IoSlice::new(&table)])?;
        }
        device.sync()?;
        let block = Superblock { identity: identity.clone(), geometry }.encode();
        for offset in [SECOND_COPY, 0] {
            device.write_at_durable(offset, &[IoSlice::new(&block)])?;
        }
        Ok(device.sync()?)
    }

    /// Whose a device is; `None` for one that has no superblock.
    pub fn inspect(
        device: &dyn MediaFile,
    ) -> std::result::Result<Option<(DeviceIdentity, u64)>, DeviceError> {
        match read_superblock(device) {
            Ok(Superblock { identity, geometry }) => Ok(Some((identity, geometry.size))),
            Err(DeviceError::Foreign) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a device that this process has alone.
    pub fn open(
        device: Arc<dyn MediaFile>,
        wanted: &DeviceIdentity,
    ) -> std::result::Result<Self, DeviceError> {
        let Superblock { identity, geometry } = read_superblock(&*device)?;
        if let Some(why) = identity.differs(wanted) {
            return Err(DeviceError::Another(why));
        }
        let size = device.size()?;
        if size < geometry.size {
            return Err(DeviceError::TooSmall { size, needed: geometry.size });
        }
        let table = read_table(&*device, identity.uuid, geometry)?;
        let used = table.files.values().flat_map(|file| file.runs.iter().copied());
        let free = Clusters::without(geometry.clusters, used);
        let bytes_of_files = table::bytes_of_files(table.files.keys().map(String::as_str));
        let node = |file: FileEntry| Arc::new(Node::new(Map::of(file.size, file.runs)));
        let state = State {
            files: table.files.into_iter().map(|(name, file)| (name, node(file))).collect(),
            bytes_of_files,
            free,
            given_up: Vec::new(),
            given_up_count: 0,
            generation: table.generation,
            version: 0,
            names_changed: 0,
            durable: 0,
        };
        let shared = Shared {
            device,
            identity,
            geometry,
            writing: Mutex::new(()),
            state: Mutex::new(state),
            poisoned: Mutex::new(None),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Bytes that all files of it can have together.
    pub fn capacity(&self) -> u64 {
        u64::from(self.shared.geometry.clusters) * self.shared.geometry.cluster
    }

    /// Whose it is.
    pub fn identity(&self) -> &DeviceIdentity {
        &self.shared.identity
    }

    fn handle(&self, name: &str, node: &Arc<Node>) -> Arc<dyn MediaFile> {
        node.handles.fetch_add(1, Ordering::Relaxed);
        Arc::new(DeviceFile {
            shared: Arc::clone(&self.shared),
            node: Arc::clone(node),
            name: name.to_owned(),
        })
    }
}

impl Node {
    fn new(map: Map) -> Self {
        Self {
            map: RwLock::new(map),
            resizing: Mutex::new(()),
            changed: AtomicU64::new(0),
            handles: AtomicU64::new(0),
            unlinked: AtomicBool::new(false),
        }
    }
}

impl Shared {
    fn check(&self) -> Result<()> {
        self.poisoned.lock().clone().map_or(Ok(()), Err)
    }

    /// Runs what makes something durable; after a failure nothing is any more.
    fn durably(&self, act: impl FnOnce() -> Result<()>) -> Result<()> {
        self.check()?;
        act().map_err(|error| self.poisoned.lock().get_or_insert(error).clone())
    }

    /// Makes names and sizes up to a version durable, and all bytes that were written before. False where they were durable already,
    /// and nothing is said of bytes.
    fn commit(&self, wanted: u64) -> Result<bool> {
        if self.state.lock().durable >= wanted {
            return Ok(false);
        }
        let _writing = self.writing.lock();
        let (version, given_up, table) = {
            let mut state = self.state.lock();
            if state.durable >= wanted {
                return Ok(false);
            }
            state.generation += 1;
            state.given_up_count = 0;
            (state.version, std::mem::take(&mut state.given_up), state.table())
        };
        let table = table.encode(self.identity.uuid);
        self.durably(|| {
            self.device.sync()?;
            [0, 1].into_iter().try_for_each(|slot| {
                self.device.write_at_durable(self.geometry.slot_at(slot), &[IoSlice::new(&table)])
            })
        })?;
        let mut state = self.state.lock();
        state.durable = version;
        state.free.give_all(given_up);
        Ok(true)
    }

    /// Takes clusters; those that were given up, too, if it must be.
    fn take(&self, name: &str, count: u64, after: Option<u32>) -> Result<Vec<Run>> {
        loop {
            let mut state = self.state.lock();
            if let Some(runs) = state.free.take(count, after) {
                return Ok(runs);
            }
            if state.free.count() + state.given_up_count < count {
                return Err(MediaError::NoSpace { name: name.to_owned() });
            }
            let version = state.change();
            drop(state);
            self.commit(version)?;
        }
    }
}

impl Media for DeviceMedia {
    fn open(&self, name: &str) -> Result<Arc<dyn MediaFile>> {
        check_name(name)?;
        let state = self.shared.state.lock();
        match state.files.get(name) {
            Some(node) => Ok(self.handle(name, node)),
            None => Err(MediaError::NotFound { name: name.to_owned() }),
        }
    }

    fn create(&self, name: &str) -> Result<Arc<dyn MediaFile>> {
        check_name(name)?;
        let mut state = self.shared.state.lock();
        if state.files.contains_key(name) {
            return Err(MediaError::Exists { name: name.to_owned() });
        }
        let bytes = state.bytes_of_files + table::bytes_of_file(name);
        if bytes > self.shared.geometry.bytes_for_files() {
            return Err(MediaError::NoSpace { name: name.to_owned() });
        }
        state.bytes_of_files = bytes;
        let node = Arc::new(Node::new(Map::default()));
        state.files.insert(name.to_owned(), Arc::clone(&node));
        state.change_names();
        Ok(self.handle(name, &node))
    }

    fn list(&self) -> Result<Vec<String>> {
        Ok(self.shared.state.lock().files.keys().cloned().collect())
    }

    fn remove(&self, name: &str) -> Result<()> {
        check_name(name)?;
        let mut state = self.shared.state.lock();
        let Some(node) = state.files.remove(name) else {
            return Err(MediaError::NotFound { name: name.to_owned() });
        };
        state.bytes_of_files -= table::bytes_of_file(name);
        state.unlink(&node);
        state.change_names();
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        check_name(from)?;
        check_name(to)?;
        let mut state = self.shared.state.lock();
        if !state.files.contains_key(from) {
            return Err(MediaError::NotFound { name: from.to_owned() });
        }
        if from == to {
            return Ok(());
        }
        let gained = if state.files.contains_key(to) { 0 } else { table::bytes_of_file(to) };
        let bytes = state.bytes_of_files - table::bytes_of_file(from) + gained;
        if bytes > self.shared.geometry.bytes_for_files() {
            return Err(MediaError::NoSpace { name: to.to_owned() });
        }
        state.bytes_of_files = bytes;
        if let Some(node) = state.files.remove(from)
            && let Some(replaced) = state.files.insert(to.to_owned(), node)
        {
            state.unlink(&replaced);
        }
        state.change_names();
        Ok(())
    }

    fn sync_names(&self) -> Result<()> {
        self.shared.check()?;
        let wanted = self.shared.state.lock().names_changed;
        self.shared.commit(wanted).map(drop)
    }

    fn available(&self) -> Result<u64> {
        let state = self.shared.state.lock();
        Ok((state.free.count() + state.given_up_count) * self.shared.geometry.cluster)
    }

    fn granule_in(&self, _volume: usize) -> u64 {
        self.shared.geometry.cluster
    }
}
