//! Snapshots: epochs at which a container stays readable as it was. Each is a row of the tables.

use crate::pool::Container;
use crate::route::{Guard, told};
use crate::tables;
use daos_client::{ContainerObjects as _, Error, Result};
use daos_types::{ContainerId, Der, Durability, Epoch, PoolId, Snapshot, limits};

/// The form of a row; a name may follow it.
const VERSION: u8 = 1;

impl Container {
    /// Takes a snapshot; durable at return, with all that was acknowledged before.
    pub fn snapshot_create(&self, name: Option<&str>) -> Result<Snapshot> {
        let system = &self.pool.system;
        let _open = system.guard.enter()?;
        self.check_writable()?;
        check(name)?;
        let _tables = system.tables.lock();
        self.row()?;
        if name.is_some() && self.listed()?.iter().any(|snapshot| snapshot.name.as_deref() == name) {
            let message =
                format!("container {:?} has a snapshot {:?} already", self.label(), name.unwrap_or(""));
            return Err(
                Error::new(Der::Exist, message).hint("choose another name, or destroy that one first")
            );
        }
        let store = &system.guard.store;
        let commit = || {
            let mut tx = store.begin()?;
            // Under the writer's lock: every change so far has a smaller epoch, every later one a greater.
            let epoch = system.clock.next();
            tx.note_epoch(epoch);
            tx.set_service_row(&self.row_name(epoch), Some(&encode(name)))?;
            store.wait(tx.commit()?, Durability::Synced)?;
            Ok(epoch)
        };
        let epoch = store.with_room(commit).map_err(told)?;
        Ok(Snapshot { epoch, name: name.map(str::to_owned) })
    }

    /// The snapshots, oldest first.
    pub fn snapshots(&self) -> Result<Vec<Snapshot>> {
        let _open = self.pool.system.guard.enter()?;
        self.row()?;
        self.listed()
    }

    /// Destroys the snapshots from one epoch to another, both included; durable at return. Answers how many they were: none
    /// is an error.
    pub fn snapshot_destroy(&self, first: Epoch, last: Epoch) -> Result<usize> {
        let system = &self.pool.system;
        let _open = system.guard.enter()?;
        self.check_writable()?;
        let _tables = system.tables.lock();
        self.row()?;
        let mut epochs: Vec<Epoch> = self.listed()?.iter().map(|snapshot| snapshot.epoch).collect();
        epochs.retain(|epoch| (first..=last).contains(epoch));
        if epochs.is_empty() {
            let message = if first == last {
                format!("container {:?} has no snapshot at epoch {first}", self.label())
            } else {
                format!("container {:?} has no snapshot from epoch {first} to {last}", self.label())
            };
            return Err(Error::new(Der::Nonexist, message).hint("list the snapshots"));
        }
        let store = &system.guard.store;
        let commit = || {
            let mut tx = store.begin()?;
            for epoch in &epochs {
                tx.set_service_row(&self.row_name(*epoch), None)?;
            }
            store.wait(tx.commit()?, Durability::Synced)
        };
        store.with_room(commit).map_err(told)?;
        if let Some(background) = &*system.guard.background.lock() {
            background.sweep();
        }
        Ok(epochs.len())
    }

    /// Goes back to a snapshot, as a new version: what was written since is seen by nobody who reads the present, later snapshots
    /// stay as they are. Durable at return. Attributes, properties and the label are not part of it.
    pub fn rollback(&self, to: Epoch) -> Result<()> {
        let system = &self.pool.system;
        let _open = system.guard.enter()?;
        self.check_writable()?;
        let _tables = system.tables.lock();
        self.row()?;
        self.pool.route.check_snapshot(self.uuid, to)?;
        let snapshots = self.listed()?;
        let store = &system.guard.store;
        let commit = || {
            let mut tx = store.begin()?;
            // Under the writer's lock: every change so far has a smaller epoch, every later one a greater.
            let at = system.clock.next();
            let mut readers: Vec<Epoch> = snapshots.iter().map(|snapshot| snapshot.epoch).collect();
            readers.extend(system.guard.epochs.all());
            for target in &self.pool.route.targets {
                if let Some(num) = store.cont_num(target.shard(), self.uuid)?.1 {
                    tx.rollback(target.shard(), num, at, to, &readers)?;
                }
            }
            store.wait(tx.commit()?, Durability::Synced)
        };
        store.with_room(commit).map_err(told)?;
        if let Some(background) = &*system.guard.background.lock() {
            background.sweep();
        }
        Ok(())
    }

    /// The container as of a snapshot: to be read, and not to be changed.
    pub fn at(&self, epoch: Epoch) -> Result<Self> {
        let _open = self.pool.system.guard.enter()?;
        self.row()?;
        self.pool.route.check_snapshot(self.uuid, epoch)?;
        let mut then = self.clone();
        then.epoch = epoch;
        Ok(then)
    }

    fn row_name(&self, epoch: Epoch) -> Vec<u8> {
        tables::snap_name(&self.pool.uuid.0, &self.uuid.0, epoch)
    }

    fn listed(&self) -> Result<Vec<Snapshot>> {
        listed(&self.pool.system.guard, self.pool.uuid, self.uuid)
    }
}

/// The snapshots of a container, oldest first.
pub(crate) fn listed(guard: &Guard, pool: PoolId, cont: ContainerId) -> Result<Vec<Snapshot>> {
    let rows = guard.rows(&tables::snap_prefix(&pool.0, &cont.0))?;
    let unknown = || Error::new(Der::DfInval, "a row of a snapshot has no known form");
    rows.iter().map(|(epoch, row)| decode(epoch, row).ok_or_else(unknown)).collect()
}

fn check(name: Option<&str>) -> Result<()> {
    let Some(name) = name else { return Ok(()) };
    let max = limits::SNAPSHOT_NAME_LEN_MAX;
    if (1..=max).contains(&name.len()) {
        return Ok(());
    }
    let message = format!("a snapshot's name has 1 to {max} bytes, this one {}", name.len());
    Err(Error::new(Der::Inval, message).hint("choose a shorter name, or none"))
}

pub(crate) fn encode(name: Option<&str>) -> Vec<u8> {
    [&[VERSION], name.unwrap_or_default().as_bytes()].concat()
}

pub(crate) fn decode(epoch: &[u8], row: &[u8]) -> Option<Snapshot> {
    let epoch = Epoch(u64::from_be_bytes(epoch.try_into().ok()?));
    let [VERSION, name @ ..] = row else { return None };
    let name = std::str::from_utf8(name).ok()?;
    Some(Snapshot { epoch, name: (!name.is_empty()).then(|| name.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_and_others_are_refused() {
        let epoch = Epoch(7 << 40);
        for name in [None, Some("before")] {
            let snapshot = Snapshot { epoch, name: name.map(str::to_owned) };
            assert_eq!(decode(&epoch.0.to_be_bytes(), &encode(name)), Some(snapshot));
        }
        assert_eq!(decode(&[0; 7], &encode(None)), None);
        for row in [&[][..], &[2], &[VERSION, 0xFF]] {
            assert_eq!(decode(&[0; 8], row), None);
        }
    }

    #[test]
    fn names_have_bounds() {
        assert!(check(None).is_ok());
        assert!(check(Some(&"x".repeat(128))).is_ok());
        for name in ["", &"x".repeat(129)] {
            assert_eq!(check(Some(name)).unwrap_err().der, Der::Inval);
        }
    }
}
