//! Transactions that are decided elsewhere: prepared here, then committed or aborted.

use super::rows::{ROW_DTX, numbered};
use super::{Store, Tx};
use crate::changes::{self, ShardNum};
use crate::dtx::{DtxId, DtxRow, Status};
use crate::entry;
use crate::error::{Result, VosError};
use crate::key;
use crate::shard::Shard;
use daos_types::Lsn;
use std::sync::Arc;

impl Store {
    /// Begins this store's part of a transaction that is decided elsewhere: it ends with [`Tx::prepare`].
    pub fn begin_dtx(&self, id: DtxId) -> Result<Tx<'_>> {
        let mut tx = self.begin()?;
        tx.dtx = Some(id);
        Ok(tx)
    }

    /// Makes a prepared transaction count; again is no error. Answers the log position of the decision; `NotFound` where no
    /// shard knows the transaction: it was decided, and forgotten, before, or never prepared.
    pub fn dtx_commit(&self, id: DtxId) -> Result<Lsn> {
        self.decide(id, Status::Committed)
    }

    /// Takes a prepared transaction back.
    pub fn dtx_abort(&self, id: DtxId) -> Result<Lsn> {
        self.decide(id, Status::Aborted)
    }

    /// The transactions of a shard that wait for their decision.
    pub fn dtx_prepared(&self, num: ShardNum) -> Result<Vec<DtxId>> {
        Ok(self.shard(num)?.dtx.prepared())
    }

    fn decide(&self, id: DtxId, status: Status) -> Result<Lsn> {
        let mut tx = self.begin()?;
        let shards: Vec<Arc<Shard>> = self.shards.read().values().cloned().collect();
        let mut decided = Vec::new();
        let mut before = None;
        for shard in shards {
            let Some((num, mut row, at)) = shard.dtx.find(&id) else { continue };
            if row.status == status {
                before = before.max(Some(at));
                continue;
            }
            if row.status != Status::Prepared {
                return Err(VosError::Invalid {
                    why: "the transaction was decided the other way".to_owned(),
                });
            }
            row.status = status;
            let key = numbered(ROW_DTX, num.0)?;
            tx.writer.changes.put(shard.num, key.as_slice(), |out| row.encode(out));
            for key in &row.keys {
                // What a merge took away still carries the number; the rest is rewritten when it is merged.
                if shard.active_has(key) {
                    continue;
                }
                let value = shard.levels().read(None, |merge| merge.get(key, <[u8]>::to_vec))?;
                let Some(value) = value else { continue };
                if status == Status::Aborted {
                    tx.writer.changes.remove(shard.num, key);
                } else {
                    let mut committed = Vec::new();
                    entry::as_committed(&value, &mut committed);
                    tx.writer.changes.put(shard.num, key, |out| out.extend_from_slice(&committed));
                }
            }
            decided.push((shard, num, row));
        }
        if let (true, Some(before)) = (decided.is_empty(), before) {
            return Ok(before);
        }
        if decided.is_empty() {
            return Err(VosError::NotFound { what: "transaction" });
        }
        tx.finish(|lsn| {
            for (shard, num, row) in decided {
                shard.dtx.set(num, row, lsn);
            }
        })
    }

    /// Drops the rows of transactions that no entry names any more.
    pub(super) fn forget_settled(&self, shard: &Shard) -> Result<()> {
        // Not even the state that the index would fall back to may name it, nor what a reader holds.
        let settled = shard.dtx.settled(shard.log_needed_after());
        if settled.is_empty() || shard.has_old_readers() {
            return Ok(());
        }
        let mut tx = self.begin_now()?;
        for num in &settled {
            tx.remove_row(shard.num, &numbered(ROW_DTX, num.0)?);
        }
        tx.finish(|_| settled.iter().for_each(|num| shard.dtx.forget(*num)))?;
        Ok(())
    }
}

impl Tx<'_> {
    /// Logs everything as the part of a transaction that is decided later: until then readers who would depend on it are
    /// told so.
    pub fn prepare(mut self) -> Result<Lsn> {
        let Some(id) = self.dtx else {
            return Err(VosError::Invalid {
                why: "not begun as a transaction that is decided elsewhere".to_owned(),
            });
        };
        if self.parts.iter().any(|part| part.shard.dtx.find(&id).is_some()) {
            return Err(VosError::Exists { what: "transaction" });
        }
        let shards: Vec<Arc<Shard>> = self.parts.iter().map(|part| Arc::clone(&part.shard)).collect();
        let mut rows = Vec::new();
        for shard in shards {
            let num = shard.dtx.free_num();
            let mut keys = Vec::new();
            for change in self.writer.changes.since(changes::HEAD_LEN) {
                let change = change?;
                if change.shard == shard.num && key::is_version(change.key) {
                    keys.push(Box::from(change.key));
                }
            }
            let row = DtxRow { id, status: Status::Prepared, keys };
            let key = numbered(ROW_DTX, num.0)?;
            self.writer.changes.put(shard.num, key.as_slice(), |out| row.encode(out));
            rows.push((shard, num, row));
        }
        // Before its entries can be seen, their number must mean something.
        for (shard, num, row) in &rows {
            shard.dtx.set(*num, row.clone(), Lsn::ZERO);
        }
        let prepared = self.finish(|_| ());
        if prepared.is_err() {
            for (shard, num, _) in &rows {
                shard.dtx.forget(*num);
            }
        }
        prepared
    }
}
