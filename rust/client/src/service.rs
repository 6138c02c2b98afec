//! What a system, its pools and its containers answer beside the data of objects: by direct call in one process, by control
//! requests elsewhere. Objects are the same for all of them.

use crate::array::{Array, default_chunk_size};
use crate::checksum::ContainerRef;
use crate::error::{Error, Result};
use crate::kv::Kv;
use crate::object::Object;
use crate::remote::Ways;
use crate::route::{Route, Survey};
use crate::survey::{self, DiffPage, ObjectPage};
use daos_placement::{ClassError, ObjectClass};
use daos_types::{
    Checksums, ContainerId, Der, Durability, Epoch, ObjectId, ObjectType, Origin, PoolId, ScrubChange,
    ScrubStatus, Snapshot, TargetIdx,
};
use daos_wire::{Check, Checked, Count, Counted};
use std::fmt::Debug;
use std::sync::Arc;

/// How the bytes of a system are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SystemSpace {
    /// Bytes that it may have.
    pub total: u64,
    /// Bytes that can be stored yet.
    pub free: u64,
    /// Bytes of its files.
    pub used: u64,
    /// Bytes kept back for deletes.
    pub reserved: u64,
}

/// A system that is open.
pub trait SystemService: Debug + Send + Sync {
    /// How many targets it has.
    fn targets(&self) -> u32;

    /// Its connections to other processes; none where this one has its files.
    fn ways(&self) -> Ways {
        Ways::default()
    }

    /// How its bytes are used.
    fn space(&self) -> Result<SystemSpace>;

    /// What became of a change, for good: where it has not happened, it never will. `Der::TxUncertain`: too much has happened
    /// since.
    fn settle(&self, origin: Origin) -> Result<bool>;

    /// Ends every handle; closing again does nothing.
    fn close(&self) -> Result<()>;

    /// The same system for somebody else in this process, who closes his: by the same connections. Of a pool that another process has
    /// opened.
    fn again(&self) -> Result<Arc<dyn SystemService>> {
        Err(only_served())
    }

    /// The pools: UUID and label, in the order of the labels.
    fn pools(&self) -> Result<Vec<(PoolId, String)>>;

    /// Makes a pool over all targets; durable at return.
    fn pool_create(self: Arc<Self>, label: &str, props: &[u8]) -> Result<Arc<dyn PoolService>>;

    /// Opens a pool by label or UUID.
    fn pool_open(self: Arc<Self>, name: &str) -> Result<Arc<dyn PoolService>>;

    /// Destroys a pool with all its containers; durable at return.
    fn pool_destroy(&self, name: &str) -> Result<()>;
}

/// What a container is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewContainer<'a> {
    /// Its label, unique in the pool.
    pub label: &'a str,
    /// Properties, opaque here.
    pub props: &'a [u8],
    /// How its data is summed.
    pub checksums: Checksums,
    /// The scrubber passes it over.
    pub scrub_disabled: bool,
}

/// An open pool.
pub trait PoolService: Debug + Send + Sync {
    /// Its UUID.
    fn uuid(&self) -> PoolId;

    /// Its label, as this handle knows it.
    fn label(&self) -> String;

    /// The properties it was given.
    fn props(&self) -> &[u8];

    /// How many targets it is over.
    fn targets(&self) -> u32;

    /// Gives it another label, and changes how it is scrubbed, both or none; durable at return.
    fn change(&self, label: Option<&str>, scrub: ScrubChange) -> Result<()>;

    /// What the scrubber has to tell.
    fn scrub_status(&self) -> Result<ScrubStatus>;

    /// Its attributes.
    fn attributes(&self) -> Result<Arc<dyn AttributeService>>;

    /// Makes a container; durable at return.
    fn container_create(&self, new: &NewContainer<'_>) -> Result<Arc<dyn ContainerService>>;

    /// Opens a container by label or UUID.
    fn container_open(&self, name: &str) -> Result<Arc<dyn ContainerService>>;

    /// Destroys a container; durable at return.
    fn container_destroy(&self, name: &str) -> Result<()>;

    /// The containers: UUID and label, in the order of the labels.
    fn containers(&self) -> Result<Vec<(ContainerId, String)>>;

    /// What only a served pool answers: a request of its service, and the result, in MessagePack. `changes`: where its reply is
    /// lost, its outcome is unknown.
    fn service_request(&self, body: &[u8], changes: bool) -> Result<Vec<u8>> {
        let _ = (body, changes);
        Err(only_served())
    }

    /// What another process needs beside its handle to have it open too. Of a served pool.
    fn local2global(&self) -> Result<Vec<u8>> {
        Err(only_served())
    }

    /// A container that another process has opened, of what its [`ContainerService::local2global`] told; as of a snapshot, if an
    /// epoch is given. Nobody is asked.
    fn container_global2local(
        &self,
        global: &[u8],
        epoch: Option<Epoch>,
    ) -> Result<Arc<dyn ContainerService>> {
        let _ = (global, epoch);
        Err(only_served())
    }
}

pub(crate) fn only_served() -> Error {
    Error::new(Der::Notsupported, "an embedded system has none of this: nobody serves it")
        .hint("it is for pools of running systems, opened by daos.connect")
}

/// The attributes of a pool or container: a user's names and values.
pub trait AttributeService: Debug + Send + Sync {
    /// Sets several, all or none; durable at return.
    fn set(&self, items: &[(&str, &[u8])]) -> Result<()>;

    /// The values of several, in their order; `None` for one that is not there.
    fn get(&self, names: &[&str]) -> Result<Vec<Option<Vec<u8>>>>;

    /// The names, in the order of their bytes.
    fn names(&self) -> Result<Vec<String>>;

    /// Removes several in one step; durable at return. Answers how many were there.
    fn remove(&self, names: &[&str]) -> Result<usize>;
}

/// An open container, at one epoch of it.
pub trait ContainerService: Debug + Send + Sync {
    /// Its UUID.
    fn uuid(&self) -> ContainerId;

    /// Its label, as this handle knows it.
    fn label(&self) -> String;

    /// The properties it was given.
    fn props(&self) -> &[u8];

    /// How its data is summed.
    fn checksums(&self) -> Checksums;

    /// As of when it is read; [`Epoch::MAX`] is now, all others are snapshots and do not change.
    fn epoch(&self) -> Epoch;

    /// What a change promises when it returns.
    fn durability(&self) -> Durability;

    /// Refuses what cannot be used any more, without waiting for anything.
    fn check_open(&self) -> Result<()>;

    /// The way to its objects: the pool's, or that of a transaction.
    fn route(&self) -> Arc<dyn Route>;

    /// The way to what it holds as a whole, transactions left aside.
    fn survey(&self) -> Arc<dyn Survey>;

    /// Gives it another label; durable at return.
    fn set_label(&self, label: &str) -> Result<()>;

    /// Its attributes. They have no history, so a snapshot has none.
    fn attributes(&self) -> Result<Arc<dyn AttributeService>>;

    /// The first of `count` numbers that this container has not given before; durable at return.
    fn alloc_oids(&self, count: u64) -> Result<u64>;

    /// Takes a snapshot; durable at return, with all that was acknowledged before.
    fn snapshot_create(&self, name: Option<&str>) -> Result<Snapshot>;

    /// The snapshots, oldest first.
    fn snapshots(&self) -> Result<Vec<Snapshot>>;

    /// Destroys the snapshots from one epoch to another, both included; durable at return. Answers how many they were: none
    /// is an error.
    fn snapshot_destroy(&self, first: Epoch, last: Epoch) -> Result<usize>;

    /// Goes back to a snapshot, as a new version; durable at return.
    fn rollback(&self, to: Epoch) -> Result<()>;

    /// Removes all versions that neither a snapshot, nor an open transaction, nor a reader of the present can see; answers how
    /// many index entries went.
    fn aggregate(&self) -> Result<u64>;

    /// As [`PoolService::service_request`], of a container.
    fn service_request(&self, body: &[u8], changes: bool) -> Result<Vec<u8>> {
        let _ = (body, changes);
        Err(only_served())
    }

    /// As [`PoolService::local2global`], its handle included. From then on it stays open until the pool is closed.
    fn local2global(&self) -> Result<Vec<u8>> {
        Err(only_served())
    }

    /// The container as of a snapshot: to be read, and not to be changed.
    fn at(&self, epoch: Epoch) -> Result<Arc<dyn ContainerService>>;

    /// A transaction; it begins with its first operation, and is so durable when it has committed.
    fn transaction(&self, durability: Durability) -> Result<Transaction>;
}

/// A transaction of a container.
#[derive(Debug, Clone)]
pub struct Transaction {
    /// The container: objects that are opened in it are read and changed in the transaction. All else of it is not part of that.
    pub container: Arc<dyn ContainerService>,
    /// How it ends.
    pub end: Arc<dyn TransactionEnd>,
}

/// How a transaction ends.
pub trait TransactionEnd: Debug + Send + Sync {
    /// Commits it, all or nothing; then it takes no more operations. `Der::TxRestart`: another changed what it read, and nothing
    /// happened.
    fn commit(&self) -> Result<()> {
        self.commit_once(None)
    }

    /// The same, as a change of which can be asked later whether it happened.
    fn commit_once(&self, origin: Option<Origin>) -> Result<()>;

    /// Gives it up: nothing of it happens. Also the end of one that failed.
    fn abort(&self) -> Result<()>;
}

/// The objects of a container, and what it holds as a whole.
pub trait ContainerObjects: ContainerService {
    /// Refuses changes of a snapshot.
    fn check_writable(&self) -> Result<()> {
        let epoch = self.epoch();
        if epoch == Epoch::MAX {
            return Ok(());
        }
        let message = format!("this is a snapshot of container {:?}, as of epoch {epoch}", self.label());
        Err(Error::new(Der::NoPerm, message).hint("snapshots do not change: write to the container itself"))
    }

    /// A key-value object by its id; nothing is stored by this.
    fn kv(&self, oid: ObjectId) -> Result<Kv<dyn Route>> {
        Ok(Kv::open(to_object(self, oid)?, by_ref(self), oid, self.durability())?.at(self.epoch()))
    }

    /// An object by its id; nothing is stored by this.
    fn object(&self, oid: ObjectId) -> Result<Object<dyn Route>> {
        Object::open(to_object(self, oid)?, by_ref(self), oid, self.durability(), self.epoch())
    }

    /// Makes an array that stores its sizes; without a size of chunks, 1 MiB of cells.
    fn array_create(
        &self,
        oid: ObjectId,
        cell_size: u64,
        chunk_size: Option<u64>,
    ) -> Result<Array<dyn Route>> {
        let route = to_object(self, oid)?;
        self.check_writable()?;
        let chunk_size = chunk_size.unwrap_or_else(|| default_chunk_size(cell_size));
        Array::create(route, by_ref(self), oid, self.durability(), cell_size, chunk_size)
    }

    /// Opens an array that stores its sizes.
    fn array_open(&self, oid: ObjectId) -> Result<Array<dyn Route>> {
        Array::open(to_object(self, oid)?, by_ref(self), oid, self.durability(), self.epoch())
    }

    /// A fresh object id of a type and a class, by its name.
    fn generate_oid(&self, kind: ObjectType, class: &str) -> Result<ObjectId> {
        let class = resolved(&*self.route(), ObjectClass::from_name(class).map_err(unfit)?)?;
        Ok(ObjectId::generate(kind, class.ordinal, class.groups, 0, self.alloc_oids(1)?))
    }

    /// One page of the ids of its objects, in their order, behind one.
    fn objects(&self, after: Option<ObjectId>, count_max: usize) -> Result<ObjectPage> {
        let epochs = [self.epoch()];
        survey::objects(&*self.survey(), self.uuid(), &epochs, after, count_max, self.durability())
    }

    /// A part of a check of all that it holds on a target, also what only snapshots show.
    fn check(&self, target: TargetIdx, from: Option<&[u8]>, budget: usize) -> Result<Checked> {
        let durability = self.durability();
        self.survey().check(target, &Check { cont: self.uuid(), from, budget, durability })
    }

    /// A part of a count of all that it holds on a target, also what only snapshots show.
    fn count(&self, target: TargetIdx, from: Option<&[u8]>, budget: usize) -> Result<Counted> {
        let durability = self.durability();
        self.survey().count(target, &Count { cont: self.uuid(), from, budget, durability })
    }

    /// One page of what differs here from an earlier snapshot.
    fn diff(&self, before: Epoch, anchor: Option<&[u8]>, count_max: usize) -> Result<DiffPage> {
        let epochs = (before, self.epoch());
        survey::diff(&*self.survey(), self.uuid(), epochs, anchor, count_max, self.durability())
    }
}

impl<C: ContainerService + ?Sized> ContainerObjects for C {}

/// The container as its objects know it.
fn by_ref<C: ContainerService + ?Sized>(cont: &C) -> ContainerRef {
    ContainerRef { id: cont.uuid(), checksums: cont.checksums() }
}

/// The class of an object, settled for a pool.
fn resolved(route: &dyn Route, class: ObjectClass) -> Result<ObjectClass> {
    class.resolve(route.targets() as u16, 1).map_err(unfit)
}

/// The way to an object, if there can be one.
fn to_object<C: ContainerService + ?Sized>(cont: &C, oid: ObjectId) -> Result<Arc<dyn Route>> {
    cont.check_open()?;
    let route = cont.route();
    resolved(&*route, ObjectClass { ordinal: oid.ordinal(), groups: oid.groups() })?;
    Ok(route)
}

/// Why a class cannot be had, as the caller is told it.
#[allow(clippy::needless_pass_by_value)] // what `map_err` hands over
fn unfit(error: ClassError) -> Error {
    Error::new(Der::Inval, error.to_string()).hint("use a class without redundancy: S1 to SX")
}
