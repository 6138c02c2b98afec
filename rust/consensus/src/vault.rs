//! What replicas must not forget, in a store of its own: rows of the store's service table. `docs/internals/consensus.md`.

use crate::entry::Snapshot;
use crate::error::{ConsensusError, Result};
use crate::group::{Saved, Write};
use crate::ids::{GroupId, ReplicaId};
use crate::record::{self, Head, Name, PREFIX};
use daos_locks::Mutex;
use daos_types::{Durability, Lsn};
use daos_vos::log::LogOptions;
use daos_vos::media::Media;
use daos_vos::{Store, StoreOptions, Tx};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of a snapshot in one row: several must fit a record of the store's log.
const PIECE_BYTES: usize = 512 << 10;

/// Bytes of entries in one transaction of the store.
const RECORD_BYTES: u32 = 8 << 20;

/// The storage of all replicas of one process.
#[derive(Debug)]
pub struct Vault {
    store: Store,
    heads: Mutex<BTreeMap<GroupId, Head>>,
}

/// As small as it can be: it holds logs of a few megabytes.
fn options() -> StoreOptions {
    StoreOptions {
        memtable_bytes_max: 4 << 20,
        memtable_count_max: 16 << 10,
        cache_bytes: 4 << 20,
        log: LogOptions { record_bytes_max: RECORD_BYTES, ..LogOptions::default() },
        ..StoreOptions::default()
    }
}

impl Vault {
    /// Makes one where none is.
    pub fn create(media: Arc<dyn Media>, identity: [u8; 16]) -> Result<Self> {
        let store = Store::create(media, identity, options())?;
        Ok(Self { store, heads: Mutex::default() })
    }

    /// Opens it. Nobody else may have it open.
    pub fn open(media: Arc<dyn Media>, identity: [u8; 16]) -> Result<Self> {
        let (store, _) = Store::open(media, identity, options())?;
        Ok(Self { store, heads: Mutex::default() })
    }

    /// The groups that have a replica here.
    pub fn groups(&self) -> Result<Vec<GroupId>> {
        let (seen, rows) = self.store.service_rows(PREFIX)?;
        self.store.wait(seen.0, Durability::Synced)?;
        let heads = rows.iter().filter_map(|(name, _)| name.strip_suffix(b"h")?.try_into().ok().map(GroupId));
        Ok(heads.collect())
    }

    /// Stores a replica's first state; durable at return.
    pub fn create_group(&self, group: GroupId, saved: &Saved) -> Result<()> {
        let (seen, there) = self.store.service_row(&Name::Head.of(group))?;
        self.store.wait(seen.0, Durability::Synced)?;
        if there.is_some() {
            return Err(ConsensusError::Exists);
        }
        let head = Head {
            me: saved.me,
            tick_ms: saved.tick_ms,
            hard: saved.hard,
            start: saved.start,
            last: saved.start.0,
            snapshot: (0, 0),
            members: saved.snapshot.members.clone(),
            pieces: 0,
            snapshot_bytes: 0,
        };
        self.heads.lock().insert(group, head);
        let snapshot = (saved.snapshot.index > 0).then(|| saved.snapshot.clone());
        let write = Write {
            hard: saved.hard,
            snapshot,
            start: Some(saved.start),
            entries: saved.entries.clone(),
            ..Write::default()
        };
        let position = self.write(group, &write)?;
        self.sync(position)
    }

    /// Reads a replica's state. What is damaged, missing or contradicts itself is [`ConsensusError::Damaged`], as a whole: such a replica
    /// may have voted, or taken entries over, without knowing it any more.
    pub fn open_group(&self, group: GroupId) -> Result<Saved> {
        let (seen, rows) = self.store.service_rows(&[PREFIX, &group.0].concat())?;
        self.store.wait(seen.0, Durability::Synced)?;
        if rows.is_empty() {
            return Err(ConsensusError::NotFound);
        }
        let damaged = |what: &str| ConsensusError::Damaged(what.to_owned());
        let (mut head, mut entries, mut pieces) = (None, Vec::new(), Vec::new());
        for (name, row) in &rows {
            let name = Name::decode(name).ok_or_else(|| damaged("a row has no known name"))?;
            let content = record::open(group, name, row)?;
            match name {
                Name::Head => {
                    head = Some(Head::decode(content).ok_or_else(|| damaged("its head has no known form"))?);
                }
                Name::Entry(index) => {
                    let entry = record::entry(index, content);
                    entries.push(entry.ok_or_else(|| damaged("an entry has no known form"))?);
                }
                Name::Piece(index, nth) => pieces.push((index, nth, content)),
            }
        }
        let head = head.ok_or_else(|| damaged("its head is gone"))?;
        // What a snapshot that was cut short left behind is not of the one that counts.
        let mut data = Vec::new();
        let mut count = 0;
        for (_, nth, content) in pieces.iter().filter(|(index, ..)| *index == head.snapshot.0) {
            if *nth != count {
                return Err(damaged("a piece of its snapshot is gone"));
            }
            count += 1;
            data.extend_from_slice(content);
        }
        if count != head.pieces || data.len() != head.snapshot_bytes as usize {
            return Err(damaged("a piece of its snapshot is gone"));
        }
        if head.start.0 + entries.len() as u64 != head.last {
            return Err(damaged("an entry is gone"));
        }
        let (index, term) = head.snapshot;
        let members = head.members.clone();
        let saved = Saved {
            me: head.me,
            tick_ms: head.tick_ms,
            hard: head.hard,
            snapshot: Snapshot { index, term, members, data: Arc::new(data) },
            start: head.start,
            entries,
        };
        saved.check()?;
        let stale: Vec<Name> = pieces
            .iter()
            .filter(|(at, ..)| *at != index)
            .map(|(at, nth, _)| Name::Piece(*at, *nth))
            .collect();
        self.remove(group, &stale)?;
        self.heads.lock().insert(group, head);
        Ok(saved)
    }

    /// Hands a write to the store; the answer tells what to wait for with [`Vault::sync`]. Until then none of it may survive; then it
    /// survives as a whole.
    pub fn write(&self, group: GroupId, write: &Write) -> Result<Lsn> {
        let mut heads = self.heads.lock();
        let mut head = heads.get(&group).cloned().ok_or(ConsensusError::NotFound)?;
        let before = head.clone();
        if let Some(snapshot) = &write.snapshot {
            self.put_pieces(group, snapshot, &mut head)?;
        }
        let mut position = self.store.with_room(|| {
            let mut tx = self.store.begin()?;
            head.hard = write.hard;
            if let Some(start) = write.start {
                let up_to = if write.clears_log { before.last } else { start.0.min(before.last) };
                for index in before.start.0 + 1..=up_to {
                    tx.set_service_row(&Name::Entry(index).of(group), None)?;
                }
                head.start = start;
                head.last = if write.clears_log { start.0 } else { before.last.max(start.0) };
            }
            if let (Some(first), Some(last)) = (write.entries.first(), write.entries.last()) {
                for index in last.index + 1..=head.last {
                    tx.set_service_row(&Name::Entry(index).of(group), None)?;
                }
                head.last = last.index.max(first.index);
            }
            for entry in &write.entries {
                let mut content = Vec::with_capacity(entry.len() + 16);
                entry.encode(&mut content);
                put(&mut tx, group, Name::Entry(entry.index), &content)?;
            }
            put(&mut tx, group, Name::Head, &head.encode())?;
            tx.commit()
        })?;
        heads.insert(group, head);
        if write.snapshot.is_some() {
            let old: Vec<Name> = (0..before.pieces).map(|nth| Name::Piece(before.snapshot.0, nth)).collect();
            // Without pieces there is no record, and no position.
            position = position.max(self.remove(group, &old)?);
        }
        Ok(position)
    }

    /// The pieces of a snapshot, before the head that counts on them: of what is cut short here the old head knows nothing.
    fn put_pieces(&self, group: GroupId, snapshot: &Snapshot, head: &mut Head) -> Result<()> {
        let mut pieces = 0;
        for piece in snapshot.data.chunks(PIECE_BYTES) {
            self.store.with_room(|| {
                let mut tx = self.store.begin()?;
                put(&mut tx, group, Name::Piece(snapshot.index, pieces), piece)?;
                tx.commit()
            })?;
            pieces += 1;
        }
        head.snapshot = (snapshot.index, snapshot.term);
        head.members = snapshot.members.clone();
        (head.pieces, head.snapshot_bytes) = (pieces, snapshot.data.len() as u32);
        Ok(())
    }

    fn remove(&self, group: GroupId, names: &[Name]) -> Result<Lsn> {
        Ok(self.store.with_room(|| {
            let mut tx = self.store.begin()?;
            for name in names {
                tx.set_service_row(&name.of(group), None)?;
            }
            tx.commit()
        })?)
    }

    /// Returns when everything up to there survives a power cut. What waits at the same time shares one sync.
    pub fn sync(&self, position: Lsn) -> Result<()> {
        Ok(self.store.wait(position, Durability::Synced)?)
    }

    /// Takes a replica out; durable at return. It must not take part any more.
    pub fn remove_group(&self, group: GroupId) -> Result<()> {
        self.heads.lock().remove(&group);
        let (_, rows) = self.store.service_rows(&[PREFIX, &group.0].concat())?;
        if rows.is_empty() {
            return Err(ConsensusError::NotFound);
        }
        let position = self.store.with_room(|| {
            let mut tx = self.store.begin()?;
            for (name, _) in &rows {
                tx.set_service_row(&[PREFIX, &group.0, name].concat(), None)?;
            }
            tx.commit()
        })?;
        self.sync(position)
    }

    /// A step of the store's own work, between others; true where there is more.
    pub fn step(&self) -> Result<bool> {
        Ok(self.store.merge_wanted() && self.store.merge_step()?)
    }

    /// Ends it cleanly.
    pub fn close(&self) -> Result<()> {
        Ok(self.store.close()?)
    }

    /// Who the replica of a group is.
    pub fn replica(&self, group: GroupId) -> Option<ReplicaId> {
        self.heads.lock().get(&group).map(|head| head.me)
    }
}

fn put(tx: &mut Tx<'_>, group: GroupId, name: Name, content: &[u8]) -> daos_vos::Result<()> {
    tx.set_service_row(&name.of(group), Some(&record::seal(group, name, content)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Entry, EntryKind};
    use crate::group::Hard;
    use crate::ids::Members;
    use daos_types::Rank;
    use daos_vos::media::MemoryMedia;

    const GROUP: GroupId = GroupId([3; 16]);

    fn filled() -> (Vault, Saved) {
        let vault = Vault::create(Arc::new(MemoryMedia::new()), [1; 16]).unwrap();
        let me = ReplicaId { generation: 1, rank: Rank(4) };
        let mut saved = Saved::first(me, Members::of([me]), vec![7; PIECE_BYTES + 5]);
        vault.create_group(GROUP, &saved).unwrap();
        let command = |index| Entry { index, term: 2, kind: EntryKind::Command(vec![index as u8; 9]) };
        saved.hard = Hard { term: 2, vote: me.number(), commit: 4 };
        saved.entries = (2..6).map(command).collect();
        let write = Write { hard: saved.hard, entries: saved.entries.clone(), ..Write::default() };
        vault.sync(vault.write(GROUP, &write).unwrap()).unwrap();
        assert_eq!(vault.open_group(GROUP).unwrap(), saved);
        (vault, saved)
    }

    fn rows(vault: &Vault) -> daos_vos::Rows {
        vault.store.service_rows(&[PREFIX, &GROUP.0].concat()).unwrap().1
    }

    fn put_raw(vault: &Vault, name: &[u8], row: Option<&[u8]>) {
        let mut tx = vault.store.begin().unwrap();
        tx.set_service_row(&[PREFIX, &GROUP.0, name].concat(), row).unwrap();
        tx.commit().unwrap();
    }

    #[test]
    fn a_flipped_bit_of_any_row_is_seen() {
        let (vault, saved) = filled();
        let rows = rows(&vault);
        assert_eq!(rows.len(), 1 + 4 + 2);
        for (name, row) in &rows {
            let step = (row.len() / 64).max(1);
            for bit in (0..row.len()).step_by(step).chain([row.len() - 1]).flat_map(|at| [8 * at, 8 * at + 7])
            {
                let mut damaged = row.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                put_raw(&vault, name, Some(&damaged));
                let error = vault.open_group(GROUP).unwrap_err();
                assert!(matches!(error, ConsensusError::Damaged(_)), "{error}");
            }
            put_raw(&vault, name, Some(row));
        }
        assert_eq!(vault.open_group(GROUP).unwrap(), saved);
    }

    #[test]
    fn a_row_that_is_gone_or_of_another_place_is_seen() {
        let (vault, _) = filled();
        let rows = rows(&vault);
        for (nth, (name, row)) in rows.iter().enumerate() {
            put_raw(&vault, name, None);
            assert!(matches!(vault.open_group(GROUP), Err(ConsensusError::Damaged(_))), "{name:?} is gone");
            put_raw(&vault, name, Some(&rows[(nth + 1) % rows.len()].1));
            assert!(
                matches!(vault.open_group(GROUP), Err(ConsensusError::Damaged(_))),
                "{name:?} is another's"
            );
            put_raw(&vault, name, Some(row));
        }
    }

    #[test]
    fn what_a_snapshot_cut_short_left_is_no_part_of_the_next() {
        let (vault, saved) = filled();
        let mut head = vault.heads.lock()[&GROUP].clone();
        let long = Snapshot {
            index: 3,
            term: 2,
            data: Arc::new(vec![1; 3 * PIECE_BYTES]),
            ..saved.snapshot.clone()
        };
        vault.put_pieces(GROUP, &long, &mut head).unwrap();
        assert_eq!(vault.open_group(GROUP).unwrap(), saved);
        let short = Snapshot { data: Arc::new(vec![2; 10]), ..long };
        let write = Write {
            hard: saved.hard,
            snapshot: Some(short.clone()),
            start: Some((2, 2)),
            ..Write::default()
        };
        vault.sync(vault.write(GROUP, &write).unwrap()).unwrap();
        let opened = vault.open_group(GROUP).unwrap();
        assert_eq!(
            (opened.snapshot, opened.start, &opened.entries[..]),
            (short, (2, 2), &saved.entries[1..])
        );
    }

    #[test]
    fn groups_are_made_once_and_taken_out() {
        let (vault, saved) = filled();
        assert_eq!(vault.create_group(GROUP, &saved), Err(ConsensusError::Exists));
        assert_eq!(vault.groups().unwrap(), [GROUP]);
        vault.remove_group(GROUP).unwrap();
        assert_eq!(vault.groups().unwrap(), []);
        assert_eq!(vault.open_group(GROUP), Err(ConsensusError::NotFound));
        assert_eq!(vault.remove_group(GROUP), Err(ConsensusError::NotFound));
        vault.create_group(GROUP, &saved).unwrap();
    }
}
