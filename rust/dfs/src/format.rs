//! Making a file system.

use crate::classes::{self, Hints};
use crate::errno::{Errno, Error, Result};
use crate::ids;
use crate::mount::{Dfs, atomically, read_superblock};
use crate::record::{Kind, Record, Time};
use crate::superblock::{self, AKEYS, Consistency, LAYOUT, Superblock};
use crate::work::Slot;
use daos_client::ContainerService;
use daos_placement::ObjectClass;
use daos_types::{Cond, Der, Durability, Iod, IodValue, ObjectId};
use std::sync::Arc;

/// How a file system is made.
#[derive(Debug, Clone, Default)]
pub struct FormatOptions {
    /// Bytes of a chunk of files; 1 MiB if nothing is said.
    pub chunk_size: Option<u64>,
    /// The class of all that is made in it.
    pub class: Option<ObjectClass>,
    /// The class of directories.
    pub directory_class: Option<ObjectClass>,
    /// The class of files.
    pub file_class: Option<ObjectClass>,
    /// How operations of several mounts meet.
    pub consistency: Consistency,
    /// `file:single|max,dir:single|max`.
    pub hints: String,
    /// The owner of the root directory.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its permissions; 0o755 if nothing is said.
    pub mode: Option<u32>,
}

impl Dfs {
    /// Makes a file system in a container that has none; durable at return. `EEXIST` if there is one; `EIO` if there is all of one but
    /// its superblock.
    pub fn format(container: &Arc<dyn ContainerService>, options: &FormatOptions) -> Result<()> {
        let chunk_size = options.chunk_size.unwrap_or(superblock::CHUNK_SIZE);
        let targets = container.route().targets();
        let [_, root] = Self::root_oids(options, targets)?;
        let superblock = Superblock {
            layout: LAYOUT,
            chunk_size,
            class: options.class,
            directory_class: options.directory_class,
            file_class: options.file_class,
            consistency: options.consistency,
            hints: options.hints.clone(),
        };
        let values = superblock.encode();
        let iods: Vec<Iod<'_>> =
            AKEYS.iter().zip(&values).map(|(akey, value)| Iod::new(akey, IodValue::Single(value))).collect();
        let owner = (options.uid, options.gid);
        let mode = options.mode.unwrap_or(0o755);
        let record = Record::new(Kind::Directory, mode, root, owner, Time::now());
        atomically(&**container, Durability::Synced, false, |work| {
            let superblock = work.object(ids::SUPERBLOCK)?;
            let slot = Slot::root();
            // Of an attempt that was cut short there may be an entry, which leads to nothing yet.
            let there = work.read(&slot)?.map_or(root, |held| held.record.oid);
            if !work.is_empty(there)?
                && read_superblock(work).is_err_and(|error| error.errno == Errno::EINVAL)
            {
                let message =
                    format!("the file system of container {:?} has no superblock", container.label());
                return Err(Error::new(Errno::EIO, message).hint("daos fs fix-sb writes it anew"));
            }
            work.replace(&slot, &record, &crate::work::Content::default())?;
            superblock.update(superblock::DKEY, &iods, Cond::DKEY_INSERT).map_err(|error| {
                Error::from(error).meaning(Der::Exist, Errno::EEXIST, || {
                    format!("container {:?} holds a file system", container.label())
                })
            })
        })
    }

    /// The ids that the superblock and the root directory have in a file system that is made so, in a pool of so many targets.
    /// `EINVAL` if none can be.
    pub fn root_oids(options: &FormatOptions, targets: u32) -> Result<[ObjectId; 2]> {
        let hints = Hints::parse(&options.hints)?;
        superblock::check_chunk_size(options.chunk_size.unwrap_or(superblock::CHUNK_SIZE))?;
        for class in [options.class, options.directory_class, options.file_class].into_iter().flatten() {
            classes::resolve(class, targets)?;
        }
        let chosen = classes::choose(Kind::Directory, [options.directory_class, options.class], hints);
        Ok([ids::SUPERBLOCK, ids::root(classes::resolve(chosen, targets)?)])
    }

    /// How it was made; of whose root directory is, nothing is told.
    pub fn made_as(&self) -> FormatOptions {
        let Superblock { chunk_size, class, directory_class, file_class, consistency, hints, .. } =
            self.shared.superblock.clone();
        let chunk_size = Some(chunk_size);
        FormatOptions {
            chunk_size,
            class,
            directory_class,
            file_class,
            consistency,
            hints,
            ..FormatOptions::default()
        }
    }
}
