//! A system: opening, closing, its pools.

use crate::aggregation::{Aggregator, Relief};
use crate::background::Background;
use crate::devices::Devices;
use crate::directory::{Directory, SystemHead};
use crate::fork::Owner;
use crate::pool::Pool;
use crate::route::{EmbeddedRoute, Guard, told};
use crate::scrub::Scrubber;
use crate::tables::{self, Row};
use daos_client::{Error, Result};
use daos_engine::target::{once, settle};
use daos_engine::{HybridClock, Target, WallClock};
use daos_locks::Mutex;
use daos_types::{Checksums, Der, Durability, Epoch, Origin, PoolId, TargetIdx, limits};
use daos_vos::media::{FileMedia, Media, MemoryMedia};
use daos_vos::{Rows, Space, Store, StoreOptions, VosError};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// Targets an embedded system may have.
pub(crate) const TARGETS_MAX: u32 = 64;

/// How a system is opened; only `targets` is remembered by it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Make the system if it is not there.
    pub create: bool,
    /// Targets of a new system.
    pub targets: u32,
    /// What an acknowledgement promises.
    pub durability: Durability,
    /// Bytes of a memtable; `None` for the default.
    pub memtable_bytes_max: Option<usize>,
    /// Bytes of memory for pages of its indexes; `None` for the default.
    pub cache_bytes: Option<usize>,
    /// Bytes that its files may have, those on devices aside; it keeps that. `None`: what it was told before, or as many as there are.
    pub size: Option<u64>,
    /// Devices for some of its files.
    pub devices: Option<Devices>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            create: true,
            targets: 1,
            durability: Durability::Synced,
            memtable_bytes_max: None,
            cache_bytes: None,
            size: None,
            devices: None,
        }
    }
}

/// Epochs count in sixteenths of a nanosecond.
const EPOCHS_A_SECOND: u64 = 16 * 1_000_000_000;
/// Rows that one record removes.
const FORGOTTEN_AT_ONCE: usize = 1_024;
/// The row that keeps the system's size.
const SIZE_ROW: &[u8] = b"size";
/// Less has no room for the log, the indexes and what is kept back for deletes.
const SIZE_MIN: u64 = 64 << 20;

#[derive(Debug)]
struct OsClock;

impl WallClock for OsClock {
    fn unix_ns(&self) -> u64 {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
    }
}

/// An open embedded system.
#[derive(Debug)]
pub struct System {
    pub(crate) guard: Arc<Guard>,
    pub(crate) clock: Arc<HybridClock>,
    pub(crate) targets: u32,
    pub(crate) durability: Durability,
    /// One route a pool, shared by all its handles.
    routes: Mutex<HashMap<PoolId, Arc<EmbeddedRoute>>>,
    /// Held while tables change.
    pub(crate) tables: Mutex<()>,
    /// What is kept goes first.
    directory: Mutex<Option<(Option<Kept>, Directory)>>,
}

/// What a system keeps as long as it holds its directory: dropped before others may have that.
pub type Kept = Box<dyn std::fmt::Debug + Send + Sync>;

/// A directory that this process holds, its system not opened yet.
#[derive(Debug)]
pub struct Taken {
    directory: Directory,
    head: Option<SystemHead>,
    options: Options,
    kept: Option<Kept>,
}

impl Taken {
    /// Keeps something as long as the directory is held.
    pub fn keep(&mut self, kept: Kept) {
        self.kept = Some(kept);
    }

    /// Opens its system: recovers what was acknowledged, or makes it.
    pub fn open(self) -> Result<Arc<System>> {
        let Self { directory, head, options, kept } = self;
        let options = &options;
        let store_path = directory.store_path();
        let fresh = head.is_none();
        if fresh && store_path.exists() {
            // A creation that was cut short: nothing in it was ever acknowledged.
            std::fs::remove_dir_all(&store_path)
                .map_err(|error| crate::directory::failed(&error, "remove", &store_path))?;
        }
        if fresh {
            std::fs::create_dir_all(&store_path)
                .map_err(|error| crate::directory::failed(&error, "create", &store_path))?;
        }
        let media: Arc<dyn Media> =
            Arc::new(FileMedia::open(&store_path).map_err(|error| told(error.into()))?);
        let media = match &options.devices {
            Some(devices) => devices.open(media, fresh)?,
            None => media,
        };
        let head = match head {
            Some(head) => head,
            None => SystemHead { identity: random_id()?, targets: options.targets },
        };
        let store = if fresh {
            let store = Store::create(media, head.identity, store_options(options)).map_err(told)?;
            directory.write_head(head)?;
            store
        } else {
            Store::open(media, head.identity, store_options(options)).map_err(told)?.0
        };
        System::start(store, head.targets, options, Some((kept, directory)))
    }
}

impl System {
    /// Takes a system's directory, alone, and makes it if that is wanted.
    pub fn take(path: &Path, options: &Options) -> Result<Taken> {
        check(options)?;
        let (directory, head) = Directory::take(path, options.create)?;
        // Whoever listened there has died.
        directory.remove_socket();
        Ok(Taken { directory, head, options: options.clone(), kept: None })
    }

    /// Where others reach the system in a directory, if its holder lets them.
    pub fn socket_path(path: &Path) -> PathBuf {
        Directory::socket_path(path)
    }

    /// Which system's directory a path leads to: the same whatever the path.
    pub fn place(path: &Path) -> Option<(u64, u64)> {
        Directory::place(path)
    }

    /// Opens the system in a directory, alone.
    pub fn open(path: &Path, options: &Options) -> Result<Arc<Self>> {
        Self::take(path, options)?.open()
    }

    /// A system in memory, gone when it is closed.
    pub fn in_memory(options: &Options) -> Result<Arc<Self>> {
        check(options)?;
        let media: Arc<dyn Media> = Arc::new(MemoryMedia::new());
        // Nothing of it survives the process, so there is nothing to sync.
        let options = &Options { durability: Durability::Buffered, ..options.clone() };
        let store = Store::create(media, random_id()?, store_options(options)).map_err(told)?;
        Self::start(store, options.targets, options, None)
    }

    /// A system on a media that nobody else has, made on it or recovered from it: what replays crashes opens the states that they
    /// leave by this. `identity` is the same each time.
    pub fn on_media(
        media: Arc<dyn Media>,
        identity: [u8; 16],
        fresh: bool,
        options: &Options,
    ) -> Result<Arc<Self>> {
        check(options)?;
        let store = if fresh {
            Store::create(media, identity, store_options(options)).map_err(told)?
        } else {
            Store::open(media, identity, store_options(options)).map_err(told)?.0
        };
        Self::start(store, options.targets, options, None)
    }

    fn start(
        store: Store,
        targets: u32,
        options: &Options,
        directory: Option<(Option<Kept>, Directory)>,
    ) -> Result<Arc<Self>> {
        let store = Arc::new(store);
        let clock = Arc::new(HybridClock::new(Arc::new(OsClock), store.epoch_ceiling()));
        let guard = Arc::new(Guard {
            store: Arc::clone(&store),
            owner: Owner::here(),
            calls: Arc::default(),
            background: Mutex::new(None),
            epochs: Arc::default(),
            scrubs: Arc::default(),
        });
        let system = Arc::new(Self {
            guard,
            clock,
            targets,
            durability: options.durability,
            routes: Mutex::default(),
            tables: Mutex::new(()),
            directory: Mutex::new(directory),
        });
        system.remove_orphans()?;
        system.forget_done()?;
        system.settle_size(options.size)?;
        let epochs = Arc::clone(&system.guard.epochs);
        store.set_relief(Relief::new(&store, Arc::clone(&system.clock), Arc::clone(&epochs)));
        let guard = &system.guard;
        guard.scrubs.load(|prefix| guard.rows(prefix))?;
        let aggregator = Aggregator::new(Arc::clone(&store), Arc::clone(&system.clock), epochs);
        let scrubber = Scrubber::new(Arc::clone(&store), Arc::clone(&guard.calls), Arc::clone(&guard.scrubs));
        let background = Background::start(store, aggregator, scrubber).map_err(|error| {
            Error::new(Der::Nomem, format!("cannot start the background thread: {error}"))
        })?;
        *system.guard.background.lock() = Some(background);
        Ok(system)
    }

    /// Gives it the size that was asked for, and keeps it; or the one it was given before.
    fn settle_size(&self, wanted: Option<u64>) -> Result<()> {
        let store = &self.guard.store;
        let row = self.guard.row(SIZE_ROW)?;
        let wrong = || Error::new(Der::DfInval, "the row of the system's size has no known form");
        let kept = match row {
            Some(row) => Some(u64::from_le_bytes(row.try_into().map_err(|_| wrong())?)),
            None => None,
        };
        let Some(size) = wanted.filter(|wanted| Some(*wanted) != kept) else {
            let Some(kept) = kept else { return Ok(()) };
            // What a merge or a log once needed beyond it stays.
            let space = store.space().map_err(told)?;
            let needed = space.volumes.first().map_or(0, |volume| volume.used + volume.promised);
            return store.set_bytes_max(Some(kept.max(needed))).map_err(told);
        };
        if size < SIZE_MIN {
            let message = format!("a system of {size} bytes is too small");
            return Err(Error::new(Der::Inval, message).hint("at least 64 MiB"));
        }
        store.set_bytes_max(Some(size)).map_err(|error| match error {
            VosError::NoSpace { why } => {
                Error::new(Der::Nospace, format!("the system cannot have {size} bytes: {why}"))
                    .hint("give it more, or delete something and aggregate first")
            }
            other => told(other),
        })?;
        let commit = || {
            let mut tx = store.begin()?;
            tx.set_service_row(SIZE_ROW, Some(&size.to_le_bytes()))?;
            store.wait(tx.commit()?, Durability::Synced)
        };
        store.with_room(commit).map_err(told)
    }

    /// How its bytes are used. Cheap: nothing is walked.
    pub fn space(&self) -> Result<Space> {
        let _open = self.guard.enter()?;
        self.guard.store.space().map_err(told)
    }

    /// Shards of pools whose creation or destruction was cut short.
    fn remove_orphans(&self) -> Result<()> {
        for (num, pool, _) in self.guard.store.shard_list().map_err(told)? {
            if self.row(&tables::pool_name(&pool.0))?.is_none() {
                self.guard.store.shard_destroy(num).map_err(told)?;
            }
        }
        Ok(())
    }

    /// What became of a change that others sent, for good: where it has not happened, it never will. Durable at return.
    pub fn settle(&self, origin: Origin) -> Result<bool> {
        let _open = self.guard.enter()?;
        let store = &self.guard.store;
        let (seen, happened) = settle(store, &self.clock, origin);
        store.wait(seen.0, Durability::Synced).map_err(told)?;
        happened.map_err(told)
    }

    /// Forgets what became of changes that nobody will send again.
    fn forget_done(&self) -> Result<()> {
        let store = &self.guard.store;
        let now = self.clock.next();
        let old = |at: Epoch| now.0.saturating_sub(at.0) > limits::RETRY_WINDOW_S * EPOCHS_A_SECOND;
        let mut gone = Vec::new();
        for (name, row) in self.rows(once::DONE)? {
            if old(once::done_at(&row).map_err(told)?) {
                gone.push(name);
            }
        }
        for names in gone.chunks(FORGOTTEN_AT_ONCE) {
            let commit = || {
                let mut tx = store.begin()?;
                for name in names {
                    tx.set_service_row(&[once::DONE, name].concat(), None)?;
                }
                tx.commit().map(drop)
            };
            store.with_room(commit).map_err(told)?;
        }
        Ok(())
    }

    /// How many targets it has.
    pub fn targets(&self) -> u32 {
        self.targets
    }

    /// Closes it: every handle ends, everything is in the base index at return. Closing again does nothing; in a forked
    /// child it touches nothing.
    pub fn close(&self) -> Result<()> {
        if self.guard.owner.is_forked() {
            // A lock may be held by a thread that is not there: then nothing is waited for either.
            if let Some(background) =
                self.guard.background.try_lock().and_then(|mut background| background.take())
            {
                background.forget();
            }
            return Ok(());
        }
        // Waits for the calls that are under way; later ones are refused.
        if !self.guard.calls.close() {
            return Ok(());
        }
        let background = self.guard.background.lock().take();
        if let Some(mut background) = background {
            background.stop();
        }
        let merged = self.guard.store.close().map_err(told);
        // Others may enter from here on, whether or not that worked: the log has all that was acknowledged.
        drop(self.directory.lock().take());
        merged
    }

    pub(crate) fn row(&self, name: &[u8]) -> Result<Option<Vec<u8>>> {
        self.guard.row(name)
    }

    pub(crate) fn rows(&self, prefix: &[u8]) -> Result<Rows> {
        self.guard.rows(prefix)
    }

    /// The pools: UUID and label, in the order of the labels.
    pub fn pools(&self) -> Result<Vec<(PoolId, String)>> {
        let _open = self.guard.enter()?;
        let mut pools = Vec::new();
        for (uuid, row) in self.rows(b"pool/")? {
            if let Ok(uuid) = uuid.try_into() {
                pools.push((PoolId(uuid), Row::decode(&row)?.label));
            }
        }
        pools.sort_by(|a, b| a.1.cmp(&b.1));
        Ok(pools)
    }

    /// Makes a pool over all targets; durable at return.
    pub fn pool_create(self: &Arc<Self>, label: &str, props: &[u8]) -> Result<Pool> {
        let _open = self.guard.enter()?;
        tables::check(label, props)?;
        let tables = self.tables.lock();
        if self.row(&tables::pool_label_name(label))?.is_some() {
            return Err(Error::new(Der::Exist, format!("there is a pool {label:?} already"))
                .hint("open it, or choose another label"));
        }
        let store = &self.guard.store;
        let uuid = random_id()?;
        let mut made = Vec::new();
        let shards = (0..self.targets).try_for_each(|target| {
            made.push(store.with_room(|| store.shard_create(PoolId(uuid), TargetIdx(target)))?);
            Ok(())
        });
        let row = Row {
            label: label.to_owned(),
            oids_given: 0,
            checksums: Checksums::default(),
            scrub_disabled: false,
            props: props.to_vec(),
        };
        let commit = || {
            let mut tx = store.begin()?;
            tx.set_service_row(&tables::pool_name(&uuid), Some(&row.encode()))?;
            tx.set_service_row(&tables::pool_label_name(label), Some(&uuid))?;
            store.wait(tx.commit()?, Durability::Synced)
        };
        if let Err(error) = shards.and_then(|()| store.with_room(commit)) {
            // What was made goes now, or at the next open.
            if !matches!(error, VosError::Uncertain { .. }) {
                for num in made {
                    let _ = store.shard_destroy(num);
                }
            }
            return Err(told(error));
        }
        drop(tables);
        self.pool_open(label)
    }

    /// Opens a pool by label or UUID.
    pub fn pool_open(self: &Arc<Self>, name: &str) -> Result<Pool> {
        let _open = self.guard.enter()?;
        let (uuid, row) = self.find_pool(name)?;
        let mut routes = self.routes.lock();
        let route = match routes.get(&uuid) {
            Some(route) => Arc::clone(route),
            None => {
                let route = Arc::new(self.route(uuid)?);
                routes.insert(uuid, Arc::clone(&route));
                route
            }
        };
        Ok(Pool {
            system: Arc::clone(self),
            route,
            uuid,
            label: Arc::new(Mutex::new(row.label)),
            props: row.props,
            durability: self.durability,
        })
    }

    /// The UUID that a name stands for: itself, or what its label's row says; `None` where there is no such label.
    pub(crate) fn uuid_of(&self, name: &str, label_row: &[u8]) -> Result<Option<[u8; 16]>> {
        if let Some(uuid) = tables::parse_uuid(name) {
            return Ok(Some(uuid));
        }
        let damaged = |_| Error::new(Der::DfInval, format!("the row of label {name:?} has no known form"));
        self.row(label_row)?.map(|uuid| uuid.try_into().map_err(damaged)).transpose()
    }

    fn find_pool(&self, name: &str) -> Result<(PoolId, Row)> {
        let missing = || {
            Error::new(Der::Nonexist, format!("there is no pool {name:?}"))
                .hint("list the pools, or create it")
        };
        let uuid = self.uuid_of(name, &tables::pool_label_name(name))?.ok_or_else(missing)?;
        let row = self.row(&tables::pool_name(&uuid))?.ok_or_else(missing)?;
        Ok((PoolId(uuid), Row::decode(&row)?))
    }

    fn route(&self, pool: PoolId) -> Result<EmbeddedRoute> {
        let mut shards = self.guard.store.shard_list().map_err(told)?;
        shards.retain(|(_, of, _)| *of == pool);
        shards.sort_by_key(|(.., target)| *target);
        let target = |num| Target::new(Arc::clone(&self.guard.store), num, Arc::clone(&self.clock));
        let targets = shards.into_iter().map(|(num, ..)| target(num)).collect();
        Ok(EmbeddedRoute { pool, targets, guard: Arc::clone(&self.guard) })
    }

    /// Destroys a pool with all its containers; durable at return.
    pub fn pool_destroy(&self, name: &str) -> Result<()> {
        let _open = self.guard.enter()?;
        let _tables = self.tables.lock();
        let (uuid, row) = self.find_pool(name)?;
        let store = &self.guard.store;
        let commit = || {
            let mut tx = store.begin()?;
            tx.set_service_row(&tables::pool_name(&uuid.0), None)?;
            tx.set_service_row(&tables::pool_label_name(&row.label), None)?;
            for prefix in tables::pool_prefixes(&uuid.0) {
                tables::remove_all(store, &mut tx, &prefix)?;
            }
            store.wait(tx.commit()?, Durability::Synced)
        };
        store.with_room(commit).map_err(told)?;
        self.routes.lock().remove(&uuid);
        self.guard.scrubs.forget(uuid);
        for (num, of, _) in store.shard_list().map_err(told)? {
            if of == uuid {
                store.shard_destroy(num).map_err(told)?;
            }
        }
        Ok(())
    }
}

impl Drop for System {
    fn drop(&mut self) {
        // There is nobody to tell; what was acknowledged is in the log.
        let _ = self.close();
    }
}

fn check(options: &Options) -> Result<()> {
    if !(1..=TARGETS_MAX).contains(&options.targets) {
        let message = format!("{} targets; 1 to {TARGETS_MAX} are allowed", options.targets);
        return Err(Error::new(Der::Inval, message).hint("one target a core is plenty"));
    }
    Ok(())
}

fn store_options(options: &Options) -> StoreOptions {
    let mut store = StoreOptions::default();
    if let Some(bytes) = options.memtable_bytes_max {
        store.memtable_bytes_max = bytes.max(64 << 10);
    }
    if let Some(bytes) = options.cache_bytes {
        store.cache_bytes = bytes;
    }
    store
}

/// A UUID that nobody else has.
pub fn random_id() -> Result<[u8; 16]> {
    use std::io::Read;
    let mut id = [0; 16];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut id))
        .map_err(|error| Error::new(Der::Io, format!("cannot draw a random id: {error}")))?;
    // Version 4, as UUID libraries expect.
    id[6] = (id[6] & 0x0F) | 0x40;
    id[8] = (id[8] & 0x3F) | 0x80;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::debt;
    use daos_client::ContainerObjects as _;
    use daos_types::{Cond, Epoch, ObjectId, ObjectType};

    /// A system on disk in a directory of a test, gone with it.
    struct OnDisk(std::path::PathBuf);

    impl OnDisk {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("daos-system-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&path);
            Self(path)
        }

        fn open(&self) -> Arc<System> {
            System::open(&self.0, &Options::default()).unwrap()
        }
    }

    impl Drop for OnDisk {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn epochs_go_on_where_they_were_though_the_clock_went_back() {
        const HOUR: u64 = 16 * 3_600_000_000_000;
        let place = OnDisk::new("clock");
        let system = place.open();
        // As a system leaves it whose clock was an hour ahead.
        let later = Epoch(system.clock.next().0 + HOUR);
        let mut tx = system.guard.store.begin().unwrap();
        tx.note_epoch(later);
        tx.set_service_row(b"later", Some(b"1")).unwrap();
        tx.commit().unwrap();
        system.close().unwrap();
        drop(system);
        let system = place.open();
        assert!(system.clock.next() > later);
        system.close().unwrap();
    }

    #[test]
    fn a_call_of_several_updates_waits_until_they_are_durable() {
        let place = OnDisk::new("batch");
        let system = place.open();
        let container = system.pool_create("p", b"").unwrap().container_create("c", b"").unwrap();
        let kv = container.kv(ObjectId::generate(ObjectType::KvHashed, 1, 1, 0, 1)).unwrap();
        let (put, debt) = debt::collect(|| kv.put_all(&[(b"a", b"1"), (b"b", b"2")], Cond::NONE));
        put.unwrap();
        // What its reply waits for is a position that is durable, not one that is merely written.
        system.guard.store.sync().unwrap();
        assert!(debt.is_settled());
        drop(debt);
        system.close().unwrap();
    }
}
