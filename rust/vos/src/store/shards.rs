//! The shards of a store: made, removed, found.

use super::rows::{ROW_SHARD, ROW_SHARD_NUMS, numbered, row_of};
use super::space::check_quota;
use super::{SYSTEM_SHARD, Store};
use crate::base;
use crate::changes::ShardNum;
use crate::data::{DataFile, Landed, VALUE_LEN_MAX};
use crate::error::{Result, VosError};
use crate::key::KeyBuf;
use crate::media::MediaError;
use crate::read::View;
use crate::shard::Shard;
use crate::space::{Load, Purpose};
use crate::stage::Staged;
use daos_types::{Durability, Iod, PoolId, TargetIdx};
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub(super) fn index_name(num: ShardNum) -> String {
    format!("shard-{:08x}.idx", num.0)
}

pub(super) fn data_name(num: ShardNum) -> String {
    format!("shard-{:08x}.dat", num.0)
}

/// The number in the name of a shard's file.
pub(super) fn num_of(name: &str, suffix: &str) -> Option<ShardNum> {
    let num = name.strip_prefix("shard-")?.strip_suffix(suffix)?;
    u32::from_str_radix(num, 16).ok().map(ShardNum)
}

pub(super) fn index_identity(store: [u8; 16], num: ShardNum) -> [u8; 16] {
    let mut identity = store;
    for (byte, part) in identity.iter_mut().rev().zip(num.0.to_le_bytes()) {
        *byte ^= part;
    }
    identity
}

impl Store {
    /// All pool shards: number, pool, target.
    pub fn shard_list(&self) -> Result<Vec<(ShardNum, PoolId, TargetIdx)>> {
        let rows = self.rows(SYSTEM_SHARD, ROW_SHARD)?.1;
        rows.into_iter()
            .map(|(name, row)| {
                let row: [u8; 20] = row_of(&row, "a shard")?;
                let (pool, target) = row.split_at(16);
                Ok((
                    ShardNum(u32::from_be_bytes(row_of(&name, "a shard")?)),
                    PoolId(row_of(pool, "a shard")?),
                    TargetIdx(u32::from_le_bytes(row_of(target, "a shard")?)),
                ))
            })
            .collect()
    }

    /// Makes an empty shard; durable at return.
    pub fn shard_create(&self, pool: PoolId, target: TargetIdx) -> Result<ShardNum> {
        let next = KeyBuf::meta(ROW_SHARD_NUMS)?;
        // Numbers are not used twice, not even after a failure: the number is taken before the file is made.
        let mut tx = self.begin()?;
        let num = match tx.row(SYSTEM_SHARD, &next)? {
            Some(bytes) => u32::from_le_bytes(row_of(&bytes, "the next shard")?),
            None => 1,
        };
        tx.is_for(Purpose::Store);
        tx.put_row(SYSTEM_SHARD, &next, &(num + 1).to_le_bytes());
        self.wait(tx.commit()?, Durability::Synced)?;
        let num = ShardNum(num);
        let identity = index_identity(self.identity, num);
        {
            // Nothing that is in the log so far concerns the new index; nothing behind that may go before it is counted.
            let _merging = self.merging.lock();
            let covers = self.log.durable();
            let base = base::create(&self.media, &index_name(num), identity, &self.cache, covers)?;
            let data = Arc::new(DataFile::open(&self.media, data_name(num), identity)?);
            data.set_target(target);
            self.data_files.insert(num, Arc::clone(&data));
            self.shards.write().insert(num, Arc::new(Shard::new(num, base, data, 0)));
        }
        let row = [&pool.0[..], &target.0.to_le_bytes()[..]].concat();
        let commit = || {
            let mut tx = self.begin()?;
            tx.put_row(SYSTEM_SHARD, &numbered(ROW_SHARD, num.0)?, &row);
            self.wait(tx.commit()?, Durability::Synced)
        };
        if let Err(error) = commit() {
            if !matches!(error, VosError::Uncertain { .. }) {
                self.remove_index(num)?;
            }
            return Err(error);
        }
        Ok(num)
    }

    /// Removes a shard's file, durably, and only then lets the log go without it.
    pub(super) fn remove_index(&self, num: ShardNum) -> Result<()> {
        let _merging = self.merging.lock();
        self.media.remove(&index_name(num))?;
        self.media.sync_names()?;
        self.shards.write().remove(&num);
        self.data_files.remove(num);
        // Without its index nobody asks for it, so that this need not be durable.
        match self.media.remove(&data_name(num)) {
            Err(MediaError::NotFound { .. }) => Ok(()),
            removed => Ok(removed?),
        }
    }

    /// Removes a shard with all that is in it; durable at return. Views of it go on as they are.
    pub fn shard_destroy(&self, num: ShardNum) -> Result<()> {
        if num == SYSTEM_SHARD {
            return Err(VosError::Invalid { why: "the system shard stays".to_owned() });
        }
        let mut tx = self.begin()?;
        let row = numbered(ROW_SHARD, num.0)?;
        if tx.row(SYSTEM_SHARD, &row)?.is_none() {
            return Err(VosError::NotFound { what: "shard" });
        }
        tx.remove_row(SYSTEM_SHARD, &row);
        self.wait(tx.commit()?, Durability::Synced)?;
        self.remove_index(num)
    }

    pub(crate) fn shard(&self, num: ShardNum) -> Result<Arc<Shard>> {
        self.shards.read().get(&num).cloned().ok_or(VosError::NotFound { what: "shard" })
    }

    /// Writes what is large of an update to free blocks of the data file, before the update begins: for [`super::Tx::update_staged`]. `None`
    /// where nothing is large.
    pub fn stage(&self, num: ShardNum, iods: &[Iod<'_>]) -> Result<Option<Staged>> {
        self.check_running()?;
        let shard = self.shard(num)?;
        shard.check_writable()?;
        let inline_max = self.options.log.record_bytes_max as usize / 2;
        let defer_max = self.defer_bytes_max();
        if Staged::is_small(iods, defer_max) {
            return Ok(None);
        }
        Staged::keep_landed(&shard, iods)?;
        check_quota(&shard, Load::default(), Purpose::Store)?;
        let mut room = self.staging_room(&shard)?;
        let staged = Staged::write(&shard, iods, defer_max, inline_max, &mut room)?;
        // Its blocks count by now, and those of others who stage at the same time.
        check_quota(&shard, Load::default(), Purpose::Store)?;
        if shard.quota().is_some() {
            self.staged.store(true, Ordering::Release);
        }
        Ok(Some(staged))
    }

    /// A place for a value of so many bytes that is yet to come, for an update to take; the device begins with what is put there.
    /// `None` where its update would not put it into the data file.
    pub fn land(&self, num: ShardNum, len: usize) -> Result<Option<Landed>> {
        self.check_running()?;
        let shard = self.shard(num)?;
        shard.check_writable()?;
        if len <= self.defer_bytes_max() || len > VALUE_LEN_MAX {
            return Ok(None);
        }
        check_quota(&shard, Load::default(), Purpose::Store)?;
        let mut room = self.staging_room(&shard)?;
        let landed = Landed::new(&shard, len, &mut room)?;
        check_quota(&shard, Load::default(), Purpose::Store)?;
        // What others were promised before may not be there any more.
        if shard.quota().is_some() {
            self.staged.store(true, Ordering::Release);
        }
        Ok(Some(landed))
    }

    /// A shard's state for reading.
    pub fn view(&self, num: ShardNum) -> Result<View> {
        self.check_running()?;
        let shard = self.shard(num)?;
        Ok(View { look: shard.look(), shard, overlay: None })
    }
}
