//! This engine's part of pools and containers that a pool service decides on: made, deleted and told of under the service's
//! UUIDs. Each call may come again, and then changes nothing.

use crate::pool::{Container, Pool};
use crate::route::told;
use crate::scrub;
use crate::snapshots;
use crate::system::System;
use crate::tables::{self, Row};
use daos_client::{Error, Result};
use daos_types::{
    Checksums, ContainerId, Der, Durability, Epoch, PoolId, ScrubSettings, ScrubStatus, TargetIdx,
};
use daos_vos::{Quota, ShardNum};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Containers that are made by one record of the log.
const TOGETHER_MAX: usize = 64;

/// How a container's part is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContainerPart<'a> {
    /// Properties, opaque here.
    pub props: &'a [u8],
    /// How its data is summed.
    pub checksums: Checksums,
    /// The scrubber passes it over.
    pub scrub_disabled: bool,
}

impl System {
    /// Makes a pool's shards, one a target; durable at return. There is no label: the service keeps it.
    pub fn pool_shards_create(self: &Arc<Self>, uuid: PoolId) -> Result<Pool> {
        let open = self.guard.enter()?;
        let tables = self.tables.lock();
        if self.row(&tables::pool_name(&uuid.0))?.is_none() {
            let store = &self.guard.store;
            let there: BTreeSet<TargetIdx> = store
                .shard_list()
                .map_err(told)?
                .into_iter()
                .filter_map(|(_, of, target)| (of == uuid).then_some(target))
                .collect();
            for target in (0..self.targets).map(TargetIdx).filter(|target| !there.contains(target)) {
                // What is made and not declared by its row goes with the next open, or is found by the next call.
                store.with_room(|| store.shard_create(uuid, target)).map_err(told)?;
            }
            let row = nameless(Checksums::default(), false, &[]);
            let commit = || {
                let mut tx = store.begin()?;
                tx.set_service_row(&tables::pool_name(&uuid.0), Some(&row.encode()))?;
                store.wait(tx.commit()?, Durability::Synced)
            };
            store.with_room(commit).map_err(told)?;
        }
        drop((tables, open));
        self.pool_open(&uuid.to_string())
    }

    /// Deletes what there is of a pool here; durable at return. Nothing may be there.
    pub fn pool_shards_destroy(&self, uuid: PoolId) -> Result<()> {
        match self.pool_destroy(&uuid.to_string()) {
            Err(error) if error.der == Der::Nonexist => Ok(()),
            result => result,
        }
    }

    /// Sets what a pool may use here, shared evenly by its shards: bytes of metadata and of data, or of both together where the latter
    /// are 0. It lasts as long as the system is open.
    pub fn pool_quota(&self, uuid: PoolId, tiers: (u64, u64)) -> Result<()> {
        let _open = self.guard.enter()?;
        let share = u64::from(self.targets);
        let quota = Quota { meta: tiers.0 / share, data: (tiers.1 > 0).then_some(tiers.1 / share) };
        let bounded = (tiers != (0, 0)).then_some(quota);
        for num in self.shards_of(uuid)? {
            self.guard.store.set_quota(num, bounded).map_err(told)?;
        }
        Ok(())
    }

    /// Sets how a pool is scrubbed here; durable at return. The scrubber follows with its next slice.
    pub fn pool_scrub(&self, uuid: PoolId, settings: ScrubSettings) -> Result<()> {
        let _open = self.guard.enter()?;
        let _tables = self.tables.lock();
        self.pool_is_here(uuid)?;
        let (name, row) = (scrub::settings_name(uuid), scrub::encode_settings(settings));
        let store = &self.guard.store;
        let commit = || {
            let mut tx = store.begin()?;
            tx.set_service_row(&name, Some(&row))?;
            store.wait(tx.commit()?, Durability::Synced)
        };
        store.with_room(commit).map_err(told)?;
        self.guard.scrubs.set(uuid, settings);
        self.guard.wake_background();
        Ok(())
    }

    /// What the scrubber has to tell of a pool here.
    pub fn pool_scrub_status(&self, uuid: PoolId) -> Result<ScrubStatus> {
        let _open = self.guard.enter()?;
        self.pool_is_here(uuid)?;
        Ok(self.guard.scrubs.status(uuid))
    }

    fn pool_is_here(&self, uuid: PoolId) -> Result<()> {
        match self.row(&tables::pool_name(&uuid.0))? {
            Some(_) => Ok(()),
            None => Err(Error::new(Der::Nonexist, format!("there is nothing of pool {uuid} here"))),
        }
    }

    /// Bytes that a pool may store yet here, by its quota: of metadata and of data, of which the latter are 0 where they have no
    /// bound of their own. `None` where it has no quota.
    pub fn pool_room(&self, uuid: PoolId) -> Result<Option<(u64, u64)>> {
        let _open = self.guard.enter()?;
        let mut sum = None;
        for num in self.shards_of(uuid)? {
            if let Some((quota, index, data)) = self.guard.store.quota(num).map_err(told)? {
                let (all_index, all_data) = sum.unwrap_or((0, 0));
                sum = Some((all_index + index, all_data + quota.data.map_or(0, |_| data)));
            }
        }
        Ok(sum)
    }

    fn shards_of(&self, uuid: PoolId) -> Result<Vec<ShardNum>> {
        let shards = self.guard.store.shard_list().map_err(told)?;
        Ok(shards.into_iter().filter(|(_, pool, _)| *pool == uuid).map(|(num, ..)| num).collect())
    }

    /// Gives epochs later than one from elsewhere from now on; nothing at or below it is under way at return. The greatest
    /// that was given before.
    pub fn epoch_pass(&self, seen: Epoch) -> Result<Epoch> {
        let _open = self.guard.enter()?;
        let store = &self.guard.store;
        let pass = || {
            // Under the writer's lock no change is between its epoch and its place in the log.
            let mut tx = store.begin()?;
            let before = self.clock.next();
            self.clock.observe(seen);
            tx.note_epoch(before.max(seen));
            store.wait(tx.commit()?, Durability::Synced)?;
            Ok(before)
        };
        store.with_room(pass).map_err(told)
    }
}

impl Pool {
    /// Makes a container's part on each target; durable at return.
    pub fn container_shards_create(&self, uuid: ContainerId, part: &ContainerPart<'_>) -> Result<Container> {
        self.containers_shards_create(&[(uuid, *part)])?;
        self.container_open(&uuid.to_string())
    }

    /// Makes the parts of containers on each target, all that are not there; durable at return, with one wait for the log however
    /// many they are. Where it fails some may have been made.
    pub fn containers_shards_create(&self, parts: &[(ContainerId, ContainerPart<'_>)]) -> Result<()> {
        let _open = self.system.guard.enter()?;
        self.row()?;
        let _tables = self.system.tables.lock();
        let store = &self.system.guard.store;
        let mut durable_at = None;
        for some in parts.chunks(TOGETHER_MAX) {
            let mut new = Vec::new();
            for (uuid, part) in some {
                let name = tables::cont_name(&self.uuid.0, &uuid.0);
                if self.system.row(&name)?.is_none() {
                    new.push((
                        *uuid,
                        name,
                        nameless(part.checksums, part.scrub_disabled, part.props).encode(),
                    ));
                }
            }
            if new.is_empty() {
                continue;
            }
            let commit = || {
                let mut tx = store.begin()?;
                for (uuid, name, row) in &new {
                    for target in &self.route.targets {
                        tx.cont_open(target.shard(), *uuid)?;
                    }
                    tx.set_service_row(name, Some(row))?;
                }
                tx.commit()
            };
            durable_at = Some(store.with_room(commit).map_err(told)?);
        }
        // Later positions of the log are durable with earlier ones before them.
        durable_at.map_or(Ok(()), |last| store.wait(last, Durability::Synced).map_err(told))
    }

    /// Deletes what there is of a container here; durable at return. Nothing may be there.
    pub fn container_shards_destroy(&self, uuid: ContainerId) -> Result<()> {
        match self.container_destroy(&uuid.to_string()) {
            Err(error) if matches!(error.der, Der::Nonexist | Der::ContNonexist) => Ok(()),
            result => result,
        }
    }
}

impl Container {
    /// Keeps these snapshots and no others; durable at return. Later epochs are after all of them.
    pub fn snapshots_set(&self, epochs: &[Epoch]) -> Result<()> {
        let system = &self.pool.system;
        let _open = system.guard.enter()?;
        let _tables = system.tables.lock();
        self.row()?;
        let wanted: BTreeSet<Epoch> = epochs.iter().copied().collect();
        let there: BTreeSet<Epoch> = snapshots::listed(&system.guard, self.pool.uuid, self.uuid)?
            .into_iter()
            .map(|snapshot| snapshot.epoch)
            .collect();
        let name = |epoch: &Epoch| tables::snap_name(&self.pool.uuid.0, &self.uuid.0, *epoch);
        let store = &system.guard.store;
        let commit = || {
            let mut tx = store.begin()?;
            if let Some(last) = wanted.last() {
                system.clock.observe(*last);
                tx.note_epoch(*last);
            }
            for epoch in wanted.difference(&there) {
                tx.set_service_row(&name(epoch), Some(&snapshots::encode(None)))?;
            }
            for epoch in there.difference(&wanted) {
                tx.set_service_row(&name(epoch), None)?;
            }
            store.wait(tx.commit()?, Durability::Synced)
        };
        store.with_room(commit).map_err(told)?;
        if there.difference(&wanted).next().is_some()
            && let Some(background) = &*system.guard.background.lock()
        {
            background.sweep();
        }
        Ok(())
    }
}

fn nameless(checksums: Checksums, scrub_disabled: bool, props: &[u8]) -> Row {
    Row { label: String::new(), oids_given: 0, checksums, scrub_disabled, props: props.to_vec() }
}

/// A UUID as it is written.
pub fn parse_uuid(text: &str) -> Result<[u8; 16]> {
    tables::parse_uuid(text).ok_or_else(|| Error::new(Der::Inval, format!("{text:?} is no UUID")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::Options;
    use daos_client::ContainerObjects as _;
    use daos_types::{Cond, ObjectId, ObjectType};

    const PART: ContainerPart<'_> = ContainerPart {
        props: b"p",
        checksums: Checksums { kind: None, piece_size: 0, server_verifies: false },
        scrub_disabled: false,
    };

    fn memory() -> Arc<System> {
        System::in_memory(&Options { targets: 2, ..Options::default() }).unwrap()
    }

    #[test]
    fn parts_are_made_and_deleted_again_and_again() {
        let system = memory();
        let (pool, cont) = (PoolId([7; 16]), ContainerId([9; 16]));
        for _ in 0..2 {
            let opened = system.pool_shards_create(pool).unwrap();
            assert_eq!(opened.uuid(), pool);
            let made = opened.container_shards_create(cont, &PART).unwrap();
            assert_eq!((made.uuid(), made.props()), (cont, &b"p"[..]));
        }
        assert_eq!(system.pools().unwrap(), [(pool, String::new())]);
        let opened = system.pool_open(&pool.to_string()).unwrap();
        for _ in 0..2 {
            opened.container_shards_destroy(cont).unwrap();
        }
        assert_eq!(opened.container_open(&cont.to_string()).unwrap_err().der, Der::Nonexist);
        for _ in 0..2 {
            system.pool_shards_destroy(pool).unwrap();
        }
        assert!(system.pools().unwrap().is_empty());
        assert!(system.guard.store.shard_list().unwrap().is_empty());
    }

    #[test]
    fn many_parts_are_made_at_once_and_those_that_are_there_stay() {
        let system = memory();
        let pool = system.pool_shards_create(PoolId([7; 16])).unwrap();
        let uuid = |number: usize| ContainerId((number as u128 + 1).to_be_bytes());
        let first = pool.container_shards_create(uuid(3), &PART).unwrap();
        let kv = first.kv(ObjectId::generate(ObjectType::KvHashed, 1, 1, 0, 1)).unwrap();
        kv.put(b"k", b"v", Cond::NONE).unwrap();
        let parts: Vec<_> = (0..=2 * TOGETHER_MAX).map(|number| (uuid(number), PART)).collect();
        for _ in 0..2 {
            pool.containers_shards_create(&parts).unwrap();
            let there: BTreeSet<ContainerId> =
                pool.containers().unwrap().into_iter().map(|(uuid, _)| uuid).collect();
            assert_eq!(there, parts.iter().map(|(uuid, _)| *uuid).collect());
        }
        assert!(kv.get(b"k", Cond::NONE, &mut Vec::new()).unwrap(), "what was there was made anew");
        pool.containers_shards_create(&[]).unwrap();
    }

    #[test]
    fn snapshots_are_those_that_were_told_last_and_epochs_go_on_behind_them() {
        let system = memory();
        let pool = system.pool_shards_create(PoolId([7; 16])).unwrap();
        let made = pool.container_shards_create(ContainerId([9; 16]), &PART).unwrap();
        let kv = made.kv(ObjectId::generate(ObjectType::KvHashed, 1, 1, 0, 1)).unwrap();
        kv.put(b"k", b"old", Cond::NONE).unwrap();
        let before = system.epoch_pass(Epoch::ZERO).unwrap();
        let later = Epoch(before.0 + (1 << 40));
        assert!(system.epoch_pass(later).unwrap() > before);
        made.snapshots_set(&[before, later]).unwrap();
        kv.put(b"k", b"new", Cond::NONE).unwrap();
        let at = made.at(later).unwrap();
        let then = at.kv(ObjectId::generate(ObjectType::KvHashed, 1, 1, 0, 1)).unwrap();
        let mut value = Vec::new();
        assert!(then.get(b"k", Cond::NONE, &mut value).unwrap());
        assert_eq!(value, b"old");
        made.snapshots_set(&[before]).unwrap();
        assert_eq!(made.at(later).unwrap_err().der, Der::Nonexist);
        assert_eq!(made.snapshots().unwrap().len(), 1);
    }
}
