//! Plain rows beside the objects: the store's own, the services' tables, the containers of a shard.

use super::{SYSTEM_SHARD, Store, Tx};
use crate::changes::{self, ShardNum};
use crate::error::{Result, VosError};
use crate::key::{ContNum, KeyBuf};
use crate::levels::Seen;
use crate::space::Purpose;
use daos_types::ContainerId;

/// In a shard: up to which number objects may be numbered.
pub(crate) const ROW_OBJECT_NUMS: &[u8] = b"object_nums";
/// In a shard: the number of the next container.
pub(super) const ROW_CONT_NUMS: &[u8] = b"cont_nums";
/// In a shard, with a number: an undecided transaction.
pub(super) const ROW_DTX: &[u8] = b"dtx/";
/// In the system shard: no epoch above it was ever used.
pub(super) const ROW_CEILING: &[u8] = b"ceiling";
/// In the system shard: the number of the next shard.
pub(super) const ROW_SHARD_NUMS: &[u8] = b"shard_nums";
/// In the system shard, with a number: a shard.
pub(super) const ROW_SHARD: &[u8] = b"shard/";
/// In the system shard, with a name: a row of the services.
pub(super) const ROW_SERVICE: &[u8] = b"service/";
/// In a shard, with a number: up to which epoch a container's versions were aggregated.
pub(super) const ROW_AGGREGATED: &[u8] = b"agg/";
/// In a shard, with a number: a container's rollbacks.
pub(super) const ROW_ROLLBACKS: &[u8] = b"roll/";
/// In a shard, with a number: a container that was destroyed and is being taken apart.
pub(super) const ROW_DOOMED: &[u8] = b"doomed/";

pub(super) fn numbered(prefix: &[u8], num: u32) -> Result<KeyBuf> {
    KeyBuf::meta(&[prefix, &num.to_be_bytes()[..]].concat())
}

pub(super) fn row_of<const N: usize>(bytes: &[u8], what: &str) -> Result<[u8; N]> {
    bytes
        .try_into()
        .map_err(|_| VosError::Corrupt { why: format!("the row of {what} has {} bytes", bytes.len()) })
}

/// Rows by what follows the prefix of their names.
pub type Rows = Vec<(Vec<u8>, Vec<u8>)>;

impl Store {
    pub(super) fn row(&self, num: ShardNum, key: &KeyBuf) -> Result<(Seen, Option<Vec<u8>>)> {
        let shard = self.shard(num)?;
        shard.levels().read(None, |merge| {
            let row = merge.get(key.as_slice(), <[u8]>::to_vec)?;
            Ok((merge.seen(), row))
        })
    }

    /// The rows whose names begin with `prefix`: the rest of the name, and the row.
    pub(super) fn rows(&self, num: ShardNum, prefix: &[u8]) -> Result<(Seen, Rows)> {
        let key = KeyBuf::meta(prefix)?;
        let prefix = key.as_slice();
        let shard = self.shard(num)?;
        shard.levels().read(None, |merge| {
            let mut rows = Vec::new();
            let mut on = merge.seek(prefix)?;
            while on && merge.key().starts_with(prefix) {
                rows.push((merge.key()[prefix.len()..].to_vec(), merge.value().to_vec()));
                on = merge.step()?;
            }
            Ok((merge.seen(), rows))
        })
    }

    /// A row of the services' tables.
    pub fn service_row(&self, name: &[u8]) -> Result<(Seen, Option<Vec<u8>>)> {
        self.check_running()?;
        self.row(SYSTEM_SHARD, &KeyBuf::meta(&[ROW_SERVICE, name].concat())?)
    }

    /// The services' rows whose names begin with `prefix`: the rest of the name, and the row.
    pub fn service_rows(&self, prefix: &[u8]) -> Result<(Seen, Rows)> {
        self.check_running()?;
        self.rows(SYSTEM_SHARD, &[ROW_SERVICE, prefix].concat())
    }

    /// The number of a container in a shard; `None` where it has none.
    pub fn cont_num(&self, num: ShardNum, cont: ContainerId) -> Result<(Seen, Option<ContNum>)> {
        let (seen, row) = self.row(num, &KeyBuf::container(&cont.0))?;
        let number =
            |bytes: Vec<u8>| row_of(&bytes, "a container").map(|number| ContNum(u32::from_le_bytes(number)));
        let given = row.map(number).transpose()?;
        Ok((seen, given))
    }
}

impl Tx<'_> {
    /// A container's number in a shard, given to it now if it has none.
    pub fn cont_open(&mut self, num: ShardNum, cont: ContainerId) -> Result<ContNum> {
        let key = KeyBuf::container(&cont.0);
        if let Some(bytes) = self.row(num, &key)? {
            return Ok(ContNum(u32::from_le_bytes(row_of(&bytes, "a container")?)));
        }
        self.is_for(Purpose::Store);
        let next = KeyBuf::meta(ROW_CONT_NUMS)?;
        let given = match self.row(num, &next)? {
            Some(bytes) => u32::from_le_bytes(row_of(&bytes, "the next container")?),
            None => 1,
        };
        self.put_row(num, &next, &(given + 1).to_le_bytes());
        self.put_row(num, &key, &given.to_le_bytes());
        Ok(ContNum(given))
    }

    /// Takes a container out of a shard; what it held is removed in the background by [`Store::collect_step`].
    pub fn cont_destroy(&mut self, num: ShardNum, cont: ContainerId) -> Result<()> {
        let key = KeyBuf::container(&cont.0);
        let Some(row) = self.row(num, &key)? else { return Ok(()) };
        self.is_for(Purpose::Delete);
        let given = u32::from_le_bytes(row_of(&row, "a container")?);
        self.remove_row(num, &key);
        self.remove_row(num, &numbered(ROW_AGGREGATED, given)?);
        self.remove_row(num, &numbered(ROW_ROLLBACKS, given)?);
        self.put_row(num, &numbered(ROW_DOOMED, given)?, &[]);
        Ok(())
    }

    /// Writes a row of the services' tables, or removes it.
    pub fn set_service_row(&mut self, name: &[u8], row: Option<&[u8]>) -> Result<()> {
        let key = KeyBuf::meta(&[ROW_SERVICE, name].concat())?;
        self.is_for(if row.is_some() { Purpose::Store } else { Purpose::Delete });
        match row {
            Some(row) => self.put_row(SYSTEM_SHARD, &key, row),
            None => self.remove_row(SYSTEM_SHARD, &key),
        }
        Ok(())
    }

    /// A row as this transaction sees it.
    pub(super) fn row(&self, num: ShardNum, key: &KeyBuf) -> Result<Option<Vec<u8>>> {
        let mut own = None;
        for change in self.writer.changes.since(changes::HEAD_LEN) {
            let change = change?;
            if change.shard == num && change.key == key.as_slice() {
                own = Some(change.value.map(<[u8]>::to_vec));
            }
        }
        match own {
            Some(row) => Ok(row),
            None => Ok(self.store.row(num, key)?.1),
        }
    }

    pub(super) fn put_row(&mut self, num: ShardNum, key: &KeyBuf, row: &[u8]) {
        self.writer.changes.put(num, key.as_slice(), |out| out.extend_from_slice(row));
    }

    pub(super) fn remove_row(&mut self, num: ShardNum, key: &KeyBuf) {
        self.writer.changes.remove(num, key.as_slice());
    }
}
