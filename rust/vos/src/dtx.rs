//! Transactions of a shard that are not decided everywhere yet.
//!
//! An entry written by a prepared transaction carries its number. Commit and abort are one small record; what carries
//! the number is rewritten by the next merge, or by the commit itself where a merge had already stored it.

use crate::entry::DtxNum;
use crate::error::{Result, VosError};
use daos_locks::RwLock;
use daos_types::Lsn;
use std::collections::BTreeMap;

/// A transaction's identity, unique in its container: a UUID and the clock when it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DtxId {
    /// Drawn by the client.
    pub uuid: [u8; 16],
    /// Its hybrid clock when it drew it.
    pub hlc: u64,
}

/// How far a transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// All its changes are logged; whether they count is decided elsewhere.
    Prepared,
    /// They count.
    Committed,
    /// They never happened.
    Aborted,
}

/// What is stored of a transaction that is not forgotten yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DtxRow {
    pub(crate) id: DtxId,
    pub(crate) status: Status,
    /// The index keys it wrote.
    pub(crate) keys: Vec<Box<[u8]>>,
}

impl DtxRow {
    /// Appends its bytes.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.push(match self.status {
            Status::Prepared => 1,
            Status::Committed => 3,
            Status::Aborted => 5,
        });
        out.extend_from_slice(&self.id.uuid);
        out.extend_from_slice(&self.id.hlc.to_le_bytes());
        for key in &self.keys {
            out.extend_from_slice(&(key.len() as u16).to_le_bytes());
            out.extend_from_slice(key);
        }
    }

    /// Reads what [`DtxRow::encode`] wrote.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        Self::parse(bytes)
            .ok_or_else(|| VosError::Corrupt { why: "a transaction's row has no known form".to_owned() })
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first()?;
        let status = match head {
            1 => Status::Prepared,
            3 => Status::Committed,
            5 => Status::Aborted,
            _ => return None,
        };
        let (uuid, rest) = rest.split_first_chunk()?;
        let (hlc, mut rest) = rest.split_first_chunk()?;
        let mut keys = Vec::new();
        while !rest.is_empty() {
            let (len, tail) = rest.split_first_chunk()?;
            let (key, tail) = tail.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
            keys.push(Box::from(key));
            rest = tail;
        }
        Some(Self { id: DtxId { uuid: *uuid, hlc: u64::from_le_bytes(*hlc) }, status, keys })
    }
}

/// The transactions of a shard that entries may still name.
#[derive(Debug, Default)]
pub(crate) struct DtxTable {
    rows: RwLock<BTreeMap<DtxNum, Known>>,
}

/// A row, and the record that decided it.
#[derive(Debug, Clone)]
struct Known {
    row: DtxRow,
    decided: Lsn,
}

impl DtxTable {
    /// What an entry's transaction came to, and the record that said so. One that is not known any more was committed, and
    /// all it wrote rewritten.
    pub(crate) fn status(&self, num: DtxNum) -> (Status, Lsn) {
        let rows = self.rows.read();
        rows.get(&num).map_or((Status::Committed, Lsn::ZERO), |known| (known.row.status, known.decided))
    }

    /// Takes note of a row that was written by the record at `lsn`, or read.
    pub(crate) fn set(&self, num: DtxNum, row: DtxRow, lsn: Lsn) {
        self.rows.write().insert(num, Known { row, decided: lsn });
    }

    /// Forgets a transaction that nothing names any more.
    pub(crate) fn forget(&self, num: DtxNum) {
        self.rows.write().remove(&num);
    }

    /// The row of a transaction, its number, and the record that decided it.
    pub(crate) fn find(&self, id: &DtxId) -> Option<(DtxNum, DtxRow, Lsn)> {
        let rows = self.rows.read();
        let (num, known) = rows.iter().find(|(_, known)| known.row.id == *id)?;
        Some((*num, known.row.clone(), known.decided))
    }

    /// Transactions that are decided, and all they wrote rewritten: decided by records that the base covers.
    pub(crate) fn settled(&self, covers: Lsn) -> Vec<DtxNum> {
        let rows = self.rows.read();
        let settled = |known: &Known| known.row.status != Status::Prepared && known.decided <= covers;
        rows.iter().filter(|(_, known)| settled(known)).map(|(num, _)| *num).collect()
    }

    /// The transactions that wait for their decision.
    pub(crate) fn prepared(&self) -> Vec<DtxId> {
        let rows = self.rows.read();
        rows.values().filter(|known| known.row.status == Status::Prepared).map(|known| known.row.id).collect()
    }

    /// A number that nothing carries.
    pub(crate) fn free_num(&self) -> DtxNum {
        let rows = self.rows.read();
        DtxNum(rows.last_key_value().map_or(1, |(num, _)| num.0.wrapping_add(1)).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rows_come_back(uuid in any::<[u8; 16]>(), hlc in any::<u64>(), status in 0..3u8,
                          keys in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..5)) {
            let status = [Status::Prepared, Status::Committed, Status::Aborted][usize::from(status)];
            let keys = keys.into_iter().map(Vec::into_boxed_slice).collect();
            let row = DtxRow { id: DtxId { uuid, hlc }, status, keys };
            let mut bytes = Vec::new();
            row.encode(&mut bytes);
            prop_assert_eq!(DtxRow::decode(&bytes).unwrap(), row);
        }

        #[test]
        fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = DtxRow::decode(&bytes);
        }
    }

    #[test]
    fn an_unknown_number_is_committed_and_numbers_are_not_reused_while_known() {
        let table = DtxTable::default();
        assert_eq!(table.status(DtxNum(4)).0, Status::Committed);
        let row = DtxRow { id: DtxId { uuid: [1; 16], hlc: 1 }, status: Status::Aborted, keys: vec![] };
        let num = table.free_num();
        table.set(num, row.clone(), Lsn(5));
        assert_eq!((table.status(num), table.free_num() == num), ((Status::Aborted, Lsn(5)), false));
        assert_eq!(table.find(&row.id), Some((num, row, Lsn(5))));
        assert_eq!((table.settled(Lsn(4)), table.settled(Lsn(5))), (vec![], vec![num]));
        table.forget(num);
        assert_eq!(table.status(num).0, Status::Committed);
    }
}
