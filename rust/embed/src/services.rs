//! A system, its pools and containers as any client has them: what their own methods do, behind the traits.

use crate::attributes::Attributes;
use crate::pool::{Container, Pool};
use crate::route::EmbeddedRoute;
use crate::system::System;
use daos_client::{
    AttributeService, ContainerService, NewContainer, PoolService, Result, Route, Survey, SystemService,
    SystemSpace, Transaction,
};
use daos_types::{
    Checksums, ContainerId, Durability, Epoch, Origin, PoolId, ScrubChange, ScrubStatus, Snapshot,
};
use std::sync::Arc;

impl SystemService for System {
    fn targets(&self) -> u32 {
        System::targets(self)
    }

    fn space(&self) -> Result<SystemSpace> {
        let space = System::space(self)?;
        Ok(SystemSpace { total: space.total, free: space.free, used: space.used, reserved: space.reserved })
    }

    fn settle(&self, origin: Origin) -> Result<bool> {
        System::settle(self, origin)
    }

    fn close(&self) -> Result<()> {
        System::close(self)
    }

    fn pools(&self) -> Result<Vec<(PoolId, String)>> {
        System::pools(self)
    }

    fn pool_create(self: Arc<Self>, label: &str, props: &[u8]) -> Result<Arc<dyn PoolService>> {
        Ok(Arc::new(System::pool_create(&self, label, props)?))
    }

    fn pool_open(self: Arc<Self>, name: &str) -> Result<Arc<dyn PoolService>> {
        Ok(Arc::new(System::pool_open(&self, name)?))
    }

    fn pool_destroy(&self, name: &str) -> Result<()> {
        System::pool_destroy(self, name)
    }
}

impl PoolService for Pool {
    fn uuid(&self) -> PoolId {
        Pool::uuid(self)
    }

    fn label(&self) -> String {
        Pool::label(self)
    }

    fn props(&self) -> &[u8] {
        Pool::props(self)
    }

    fn targets(&self) -> u32 {
        Route::targets(&*self.route)
    }

    fn change(&self, label: Option<&str>, scrub: ScrubChange) -> Result<()> {
        Pool::change(self, label, scrub)
    }

    fn scrub_status(&self) -> Result<ScrubStatus> {
        Pool::scrub_status(self)
    }

    fn attributes(&self) -> Result<Arc<dyn AttributeService>> {
        Ok(Arc::new(Pool::attributes(self)))
    }

    fn container_create(&self, new: &NewContainer<'_>) -> Result<Arc<dyn ContainerService>> {
        let NewContainer { label, props, checksums, scrub_disabled } = *new;
        Ok(Arc::new(self.container_create_summed(label, props, checksums, scrub_disabled)?))
    }

    fn container_open(&self, name: &str) -> Result<Arc<dyn ContainerService>> {
        Ok(Arc::new(Pool::container_open(self, name)?))
    }

    fn container_destroy(&self, name: &str) -> Result<()> {
        Pool::container_destroy(self, name)
    }

    fn containers(&self) -> Result<Vec<(ContainerId, String)>> {
        Pool::containers(self)
    }
}

impl AttributeService for Attributes {
    fn set(&self, items: &[(&str, &[u8])]) -> Result<()> {
        Attributes::set(self, items)
    }

    fn get(&self, names: &[&str]) -> Result<Vec<Option<Vec<u8>>>> {
        Attributes::get(self, names)
    }

    fn names(&self) -> Result<Vec<String>> {
        Attributes::names(self)
    }

    fn remove(&self, names: &[&str]) -> Result<usize> {
        Attributes::remove(self, names)
    }
}

impl ContainerService for Container {
    fn uuid(&self) -> ContainerId {
        Container::uuid(self)
    }

    fn label(&self) -> String {
        Container::label(self)
    }

    fn props(&self) -> &[u8] {
        Container::props(self)
    }

    fn checksums(&self) -> Checksums {
        self.checksums
    }

    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn durability(&self) -> Durability {
        self.pool.durability
    }

    fn check_open(&self) -> Result<()> {
        self.pool.system.guard.enter().map(drop)
    }

    fn route(&self) -> Arc<dyn Route> {
        Arc::clone(&self.route)
    }

    fn survey(&self) -> Arc<dyn Survey> {
        Arc::<EmbeddedRoute>::clone(&self.pool.route)
    }

    fn set_label(&self, label: &str) -> Result<()> {
        Container::set_label(self, label)
    }

    fn attributes(&self) -> Result<Arc<dyn AttributeService>> {
        Ok(Arc::new(Container::attributes(self)?))
    }

    fn alloc_oids(&self, count: u64) -> Result<u64> {
        Container::alloc_oids(self, count)
    }

    fn snapshot_create(&self, name: Option<&str>) -> Result<Snapshot> {
        Container::snapshot_create(self, name)
    }

    fn snapshots(&self) -> Result<Vec<Snapshot>> {
        Container::snapshots(self)
    }

    fn snapshot_destroy(&self, first: Epoch, last: Epoch) -> Result<usize> {
        Container::snapshot_destroy(self, first, last)
    }

    fn rollback(&self, to: Epoch) -> Result<()> {
        Container::rollback(self, to)
    }

    fn aggregate(&self) -> Result<u64> {
        Container::aggregate(self)
    }

    fn at(&self, epoch: Epoch) -> Result<Arc<dyn ContainerService>> {
        Ok(Arc::new(Container::at(self, epoch)?))
    }

    fn transaction(&self, durability: Durability) -> Result<Transaction> {
        self.transaction_as(durability)
    }
}
