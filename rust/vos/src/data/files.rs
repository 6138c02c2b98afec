//! All data files of a store, as the log sees them: what its records name.

use super::DataFile;
use crate::changes::{self, ShardNum};
use crate::entry::{Content, Entry, Payload};
use crate::key;
use crate::log::Beside;
use crate::media;
use daos_locks::RwLock;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The data files of a store's shards.
#[derive(Debug, Default)]
pub(crate) struct DataFiles {
    files: RwLock<BTreeMap<ShardNum, Arc<DataFile>>>,
}

impl DataFiles {
    /// Adds a shard's.
    pub(crate) fn insert(&self, num: ShardNum, file: Arc<DataFile>) {
        self.files.write().insert(num, file);
    }

    /// Takes a shard's away.
    pub(crate) fn remove(&self, num: ShardNum) {
        self.files.write().remove(&num);
    }
}

impl Beside for DataFiles {
    fn sync(&self) -> media::Result<()> {
        let files: Vec<Arc<DataFile>> = self.files.read().values().cloned().collect();
        files.iter().try_for_each(|file| file.sync())
    }

    fn is_dirty(&self) -> bool {
        self.files.read().values().any(|file| file.is_dirty())
    }

    fn recover(&self, record: &[u8]) -> Result<bool, String> {
        for change in changes::decode(record).map_err(|error| error.to_string())? {
            let change = change.map_err(|error| error.to_string())?;
            let Some(value) = change.value.filter(|_| key::is_version(change.key)) else { continue };
            let entry = Entry::decode(value).map_err(|error| error.to_string())?;
            let Some(Payload { content: Content::Stored(stored), .. }) = entry.change.payload() else {
                continue;
            };
            // A shard that has no index any more was destroyed later.
            let Some(file) = self.files.read().get(&change.shard).cloned() else { continue };
            if !file.write_again(stored).map_err(|error| error.to_string())? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
