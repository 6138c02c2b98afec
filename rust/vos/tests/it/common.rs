//! What the tests of the store share.

use daos_types::{
    Cond, ContainerId, Durability, Epoch, FetchIod, FetchValue, PoolId, TargetIdx, ValueSink, Version,
};
use daos_vos::log::LogOptions;
use daos_vos::media::{DeviceIdentity, DeviceMedia, Media, MemoryMedia, Roles, Routed, SIZE_MIN};
use daos_vos::{ContNum, ObjectRef, Seen, ShardNum, Store, StoreOptions, View, VosError};
use std::collections::BTreeSet;
use std::sync::Arc;

pub const IDENTITY: [u8; 16] = [7; 16];
pub const CONTAINER: ContainerId = ContainerId([2; 16]);

/// How many crash states to build; `DAOS_CRASH_STATES` sets another number.
pub fn crash_states(ordinary: usize) -> usize {
    std::env::var("DAOS_CRASH_STATES").ok().and_then(|text| text.parse().ok()).unwrap_or(ordinary)
}

/// A store small enough for many merges and recycled segments.
pub fn small(memtable_count_max: usize) -> StoreOptions {
    StoreOptions {
        memtable_bytes_max: 1 << 20,
        memtable_count_max,
        cache_bytes: 1 << 20,
        defer_bytes_max: 6_000,
        log: LogOptions {
            segment_bytes_min: 32 << 10,
            segment_bytes_max: 64 << 10,
            log_bytes_max: 256 << 10,
            record_bytes_max: 24 << 10,
            ..LogOptions::default()
        },
    }
}

/// A directory with devices of these roles, formatted.
pub fn with_devices(roles: &[Roles]) -> MemoryMedia {
    let media = MemoryMedia::new();
    for (index, roles) in (0..).zip(roles) {
        let name = format!("dev{index}-{}", roles.bits());
        let file = media.create(&name).unwrap();
        file.set_size(SIZE_MIN).unwrap();
    }
    for (name, identity) in devices(&media) {
        DeviceMedia::format(&*media.open(&name).unwrap(), &identity).unwrap();
    }
    media
}

/// The devices of a directory: their names say what they are for.
fn devices(media: &dyn Media) -> Vec<(String, DeviceIdentity)> {
    let names: Vec<String> =
        media.list().unwrap().into_iter().filter(|name| name.starts_with("dev")).collect();
    let count = names.len() as u32;
    let identity = |(index, name): (u32, String)| {
        let roles = name.rsplit('-').next().and_then(|bits| Roles::from_bits(bits.parse().ok()?)).unwrap();
        (name, DeviceIdentity { uuid: IDENTITY, system: "test".to_owned(), index, count, roles })
    };
    (0..).zip(names).map(identity).collect()
}

/// The files of a store in a directory, and on the devices that are there.
pub fn routed(media: Arc<dyn Media>) -> Result<Arc<dyn Media>, String> {
    let mut opened: Vec<(Roles, Arc<dyn Media>)> = Vec::new();
    for (name, identity) in devices(&*media) {
        let device = DeviceMedia::open(media.open(&name).unwrap(), &identity);
        opened.push((identity.roles, Arc::new(device.map_err(|error| format!("{name}: {error}"))?)));
    }
    if opened.is_empty() {
        return Ok(media);
    }
    Ok(Arc::new(Routed::new(media, opened).map_err(|error| error.to_string())?))
}

/// A new store with one shard and one container, durable.
pub fn create(media: Arc<dyn Media>, options: StoreOptions) -> (Store, ShardNum, ContNum) {
    let store = Store::create(media, IDENTITY, options).unwrap();
    let shard = store.shard_create(PoolId([1; 16]), TargetIdx(0)).unwrap();
    let mut tx = store.begin().unwrap();
    let cont = tx.cont_open(shard, CONTAINER).unwrap();
    store.wait(tx.commit().unwrap(), Durability::Synced).unwrap();
    (store, shard, cont)
}

/// A sink that tells an empty value from none.
#[derive(Debug, Default)]
pub struct Kept(pub Option<Vec<u8>>);

impl ValueSink for Kept {
    fn put(&mut self, value: &[u8]) {
        self.0 = Some(value.to_vec());
    }

    fn room(&mut self, len: usize) -> Option<&mut [u8]> {
        self.0 = Some(vec![0; len]);
        self.0.as_deref_mut()
    }

    fn last(&self, len: usize) -> Option<&[u8]> {
        self.0.as_ref()?.last(len)
    }
}

/// One single value, shown to `found`.
pub fn fetch_single<R>(
    view: &View,
    of: ObjectRef,
    dkey: &[u8],
    akey: &[u8],
    version: Version,
    cond: Cond,
    found: impl FnOnce(&[u8]) -> R,
) -> (Seen, Result<Option<R>, VosError>) {
    let mut kept = Kept::default();
    let mut iods = [FetchIod::new(akey, FetchValue::Single(&mut kept))];
    let (seen, result) = view.fetch(of, dkey, &mut iods, version, cond);
    (seen, result.map(|()| kept.0.as_deref().map(found)))
}

/// Removes what can be read at none of the snapshots and not from `up_to` on, then looks again: nothing is left to remove.
pub fn aggregate(store: &Store, shard: ShardNum, cont: ContNum, snapshots: &BTreeSet<u64>, up_to: u64) {
    let snapshots: Vec<Epoch> = snapshots.iter().map(|epoch| Epoch(*epoch)).collect();
    let mut again = 0;
    for _ in 0..2 {
        let mut tx = store.begin().unwrap();
        let mut pass = tx.aggregate(shard, cont, &snapshots, Epoch(up_to)).unwrap();
        tx.commit().unwrap();
        while store.aggregate_step(&mut pass, 7).unwrap() {}
        again = pass.removed();
    }
    assert_eq!(again, 0, "a second pass found more to remove");
}

/// The rollbacks of a container, by their definition: when, and to when.
#[derive(Debug, Default)]
pub struct Branches(Vec<(u64, u64)>);

impl Branches {
    /// Whether a reader at an epoch sees another one.
    pub fn sees(&self, reader: Version, version: Version) -> bool {
        let mut reader = reader;
        loop {
            let newest = self.0.iter().filter(|(at, _)| *at <= reader.epoch.0).max();
            let Some((at, to)) = newest else { return version <= reader };
            if version.epoch.0 > *at {
                return version <= reader;
            }
            reader = Version::read_at(Epoch(*to));
        }
    }

    /// Nothing is written up to here any more.
    pub fn newest(&self) -> u64 {
        self.0.last().map_or(0, |(at, _)| *at)
    }

    /// Goes back, where `readers` stay as they are, and all epochs from `readable` on.
    pub fn roll_back(
        &mut self,
        store: &Store,
        (shard, cont): (ShardNum, ContNum),
        (at, to): (u64, u64),
        readers: &BTreeSet<u64>,
        readable: u64,
    ) {
        let readers: Vec<Epoch> = readers.iter().copied().chain(readable..at).map(Epoch).collect();
        let mut tx = store.begin().unwrap();
        tx.rollback(shard, cont, Epoch(at), Epoch(to), &readers).unwrap();
        let position = tx.commit().unwrap();
        store.wait(position, Durability::Buffered).unwrap();
        self.0.push((at, to));
    }
}
