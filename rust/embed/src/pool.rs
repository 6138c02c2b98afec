//! Pools and containers of an embedded system.

use crate::calls::Inside;
use crate::route::{EmbeddedRoute, told};
use crate::system::{System, random_id};
use crate::tables::{self, Row};
use daos_client::{ContainerObjects as _, Error, Result, Route};
use daos_locks::Mutex;
use daos_types::checksum::PIECE_SIZE_MAX;
use daos_types::{Checksums, ContainerId, Der, Durability, Epoch, PoolId};
use std::sync::Arc;

/// An open pool.
#[derive(Debug, Clone)]
pub struct Pool {
    pub(crate) system: Arc<System>,
    pub(crate) route: Arc<EmbeddedRoute>,
    pub(crate) uuid: PoolId,
    /// Shared by the copies of a handle.
    pub(crate) label: Arc<Mutex<String>>,
    pub(crate) props: Vec<u8>,
    /// What a change promises when it returns.
    pub(crate) durability: Durability,
}

/// An open container.
#[derive(Debug, Clone)]
pub struct Container {
    pub(crate) pool: Pool,
    pub(crate) uuid: ContainerId,
    /// Shared by the copies of a handle.
    pub(crate) label: Arc<Mutex<String>>,
    pub(crate) props: Vec<u8>,
    pub(crate) checksums: Checksums,
    /// As of when it is read; [`Epoch::MAX`] is now, all others are snapshots and do not change.
    pub(crate) epoch: Epoch,
    /// The way to its objects: the pool's, or that of a transaction.
    pub(crate) route: Arc<dyn Route>,
}

impl Pool {
    /// Its UUID.
    pub fn uuid(&self) -> PoolId {
        self.uuid
    }

    /// Its label, as this handle knows it.
    pub fn label(&self) -> String {
        self.label.lock().clone()
    }

    /// The properties it was given.
    pub fn props(&self) -> &[u8] {
        &self.props
    }

    /// The same for somebody to whom another durability was promised than to who opened the system.
    #[must_use]
    pub fn promising(self, durability: Durability) -> Self {
        Self { durability, ..self }
    }

    fn row_name(&self, uuid: ContainerId) -> Vec<u8> {
        tables::cont_name(&self.uuid.0, &uuid.0)
    }

    /// Begins a call on a pool that is there.
    fn enter(&self) -> Result<Inside<'_>> {
        let open = self.system.guard.enter()?;
        self.row()?;
        Ok(open)
    }

    /// What the table says of it now.
    pub(crate) fn row(&self) -> Result<Row> {
        let row = self.system.row(&tables::pool_name(&self.uuid.0))?;
        let gone = || Error::new(Der::Nonexist, format!("pool {:?} was destroyed", self.label()));
        Row::decode(&row.ok_or_else(gone)?)
    }

    /// Makes a container whose data has no checksums of its own; durable at return.
    pub fn container_create(&self, label: &str, props: &[u8]) -> Result<Container> {
        self.container_create_summed(label, props, Checksums::default(), false)
    }

    /// Makes a container; durable at return. How its data is summed does not change any more, nor whether it is scrubbed.
    pub fn container_create_summed(
        &self,
        label: &str,
        props: &[u8],
        checksums: Checksums,
        scrub_disabled: bool,
    ) -> Result<Container> {
        let _open = self.enter()?;
        tables::check(label, props)?;
        if checksums.kind.is_some() && !(1..=PIECE_SIZE_MAX).contains(&checksums.piece_size) {
            let message = format!("a cksum_size of {} bytes", checksums.piece_size);
            return Err(Error::new(Der::Inval, message).hint("1 byte to 1 GiB are possible"));
        }
        let tables = self.system.tables.lock();
        if self.system.row(&tables::cont_label_name(&self.uuid.0, label))?.is_some() {
            return Err(Error::new(Der::Exist, format!("there is a container {label:?} already"))
                .hint("open it, or choose another label"));
        }
        let uuid = ContainerId(random_id()?);
        let row =
            Row { label: label.to_owned(), oids_given: 0, checksums, scrub_disabled, props: props.to_vec() };
        let store = &self.system.guard.store;
        let commit = || {
            let mut tx = store.begin()?;
            for target in &self.route.targets {
                tx.cont_open(target.shard(), uuid)?;
            }
            tx.set_service_row(&self.row_name(uuid), Some(&row.encode()))?;
            tx.set_service_row(&tables::cont_label_name(&self.uuid.0, label), Some(&uuid.0))?;
            store.wait(tx.commit()?, Durability::Synced)
        };
        store.with_room(commit).map_err(told)?;
        drop(tables);
        Ok(self.container(uuid, row))
    }

    fn container(&self, uuid: ContainerId, row: Row) -> Container {
        Container {
            pool: self.clone(),
            uuid,
            label: Arc::new(Mutex::new(row.label)),
            props: row.props,
            checksums: row.checksums,
            epoch: Epoch::MAX,
            route: Arc::<EmbeddedRoute>::clone(&self.route),
        }
    }

    fn find(&self, name: &str) -> Result<(ContainerId, Row)> {
        let missing = || {
            Error::new(Der::Nonexist, format!("there is no container {name:?} in pool {:?}", self.label()))
                .hint("list the containers, or create it")
        };
        let label_row = tables::cont_label_name(&self.uuid.0, name);
        let uuid = self.system.uuid_of(name, &label_row)?.ok_or_else(missing)?;
        let row = self.system.row(&self.row_name(ContainerId(uuid)))?.ok_or_else(missing)?;
        Ok((ContainerId(uuid), Row::decode(&row)?))
    }

    /// Opens a container by label or UUID.
    pub fn container_open(&self, name: &str) -> Result<Container> {
        let _open = self.enter()?;
        let (uuid, row) = self.find(name)?;
        Ok(self.container(uuid, row))
    }

    /// Destroys a container; durable at return. Its space comes back in the background.
    pub fn container_destroy(&self, name: &str) -> Result<()> {
        let _open = self.enter()?;
        let _tables = self.system.tables.lock();
        let (uuid, row) = self.find(name)?;
        let store = &self.system.guard.store;
        let commit = || {
            let mut tx = store.begin()?;
            for target in &self.route.targets {
                tx.cont_destroy(target.shard(), uuid)?;
            }
            tx.set_service_row(&self.row_name(uuid), None)?;
            tx.set_service_row(&tables::cont_label_name(&self.uuid.0, &row.label), None)?;
            for prefix in tables::cont_prefixes(&self.uuid.0, &uuid.0) {
                tables::remove_all(store, &mut tx, &prefix)?;
            }
            let position = tx
                .commit_then(|| self.route.targets.iter().for_each(|target| target.forget_container(uuid)))?;
            store.wait(position, Durability::Synced)
        };
        store.with_room(commit).map_err(told)?;
        self.system.guard.wake_background();
        Ok(())
    }

    /// The containers: UUID and label, in the order of the labels.
    pub fn containers(&self) -> Result<Vec<(ContainerId, String)>> {
        let _open = self.enter()?;
        let mut containers = Vec::new();
        for (uuid, row) in self.system.rows(&tables::cont_prefix(&self.uuid.0))? {
            if let Ok(uuid) = uuid.try_into() {
                containers.push((ContainerId(uuid), Row::decode(&row)?.label));
            }
        }
        containers.sort_by(|a, b| a.1.cmp(&b.1));
        Ok(containers)
    }
}

impl Container {
    /// Its UUID.
    pub fn uuid(&self) -> ContainerId {
        self.uuid
    }

    /// Its label, as this handle knows it.
    pub fn label(&self) -> String {
        self.label.lock().clone()
    }

    /// The properties it was given.
    pub fn props(&self) -> &[u8] {
        &self.props
    }

    /// The same container, its objects by another way.
    pub(crate) fn by(&self, route: Arc<dyn Route>) -> Self {
        Self { route, ..self.clone() }
    }

    /// What the table says of it now.
    pub(crate) fn row(&self) -> Result<Row> {
        let row = self.pool.system.row(&self.pool.row_name(self.uuid))?;
        let gone = || Error::new(Der::ContNonexist, format!("container {:?} was destroyed", self.label()));
        Row::decode(&row.ok_or_else(gone)?)
    }

    /// The first of `count` numbers that this container has not given before; durable at return.
    pub fn alloc_oids(&self, count: u64) -> Result<u64> {
        let _open = self.pool.system.guard.enter()?;
        self.check_writable()?;
        let _tables = self.pool.system.tables.lock();
        let name = self.pool.row_name(self.uuid);
        let mut row = self.row()?;
        let given = row.oids_given;
        row.oids_given = given.checked_add(count).filter(|_| count > 0).ok_or_else(|| {
            Error::new(Der::Overflow, format!("{count} object numbers; {given} are given already"))
        })?;
        let store = &self.pool.system.guard.store;
        let commit = || {
            let mut tx = store.begin()?;
            tx.set_service_row(&name, Some(&row.encode()))?;
            store.wait(tx.commit()?, Durability::Synced)
        };
        store.with_room(commit).map_err(told)?;
        Ok(given + 1)
    }
}
