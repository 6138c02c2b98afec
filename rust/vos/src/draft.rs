//! The changes of a transaction that has not committed: private, above the levels, seen by its own reads alone.

use crate::changes::{Changes, ShardNum};
use crate::entry::DtxNum;
use crate::error::{Result, VosError};
use crate::key::{self, KeyBuf, ObjNum};
use crate::levels::Seen;
use crate::read::{ObjectRef, View};
use crate::stage::Staged;
use crate::store::Store;
use crate::tx::{ObjectNums, Part, Writing};
use daos_types::{Cond, Epoch, Iod, Punched, Version};
use std::collections::HashSet;

/// Numbers of objects that exist in a draft alone: far behind those that are given.
const NUMS: ObjectNums = ObjectNums { next: 1 << 47, end: 1 << 48 };

/// What the operations of a transaction would do, at the epoch at which it reads. Nothing of it is ever stored: at commit the
/// operations are run again, by [`Store::begin`].
pub struct Draft {
    epoch: Epoch,
    parts: Vec<Part>,
    /// Objects whose numbers are among the changes, should they have any.
    numbered: HashSet<(ShardNum, ObjectRef)>,
    changes: Changes,
    /// Those of the last operation, from there on, are not on top of the levels yet: nobody has read since.
    unlaid: Option<(ShardNum, usize)>,
    /// What cannot be refused and nobody has read since: most transactions end with it, and it runs when they commit.
    put_off: Vec<PutOff>,
    /// Bytes of all changes.
    bytes: usize,
}

/// So many punches are put off at most.
const PUT_OFF_MAX: usize = 16;

/// A punch that nothing depends on.
#[derive(Debug)]
struct PutOff {
    shard: ShardNum,
    of: ObjectRef,
    minor: u16,
    /// `None` of the whole object.
    dkey: Option<Vec<u8>>,
}

impl PutOff {
    /// A punch, if no state of the store could have it refused; what is wrong with it by itself is told by running it.
    fn of(shard: ShardNum, of: ObjectRef, minor: u16, what: Punched<'_>, cond: Cond) -> Option<Self> {
        let kind = of.kind().ok().filter(|_| cond == Cond::NONE)?;
        let dkey = match what {
            Punched::Object => None,
            Punched::Dkey(dkey) => Some(dkey),
            Punched::Akeys(..) => return None,
        };
        let is_sound = |dkey: &[u8]| {
            !key::is_long(dkey) && KeyBuf::tree(ObjNum(0)).user_key(kind.dkey_kind(), dkey).is_ok()
        };
        dkey.is_none_or(is_sound).then(|| Self { shard, of, minor, dkey: dkey.map(<[u8]>::to_vec) })
    }
}

impl std::fmt::Debug for Draft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Draft")
            .field("epoch", &self.epoch)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl Draft {
    /// A draft that reads at an epoch which no change carries, before which none can come any more.
    pub fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            parts: Vec::new(),
            numbered: HashSet::new(),
            changes: Changes::default(),
            unlaid: None,
            put_off: Vec::new(),
            bytes: 0,
        }
    }

    /// The epoch at which it reads.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The part of a shard, with its levels as they are now.
    fn part(&mut self, store: &Store, shard: ShardNum) -> Result<&mut Part> {
        let at = self.parts.iter().position(|part| part.shard.num == shard);
        let at = if let Some(at) = at {
            at
        } else {
            let mut part = Part::new(store.shard(shard)?, NUMS);
            part.is_newest = true;
            self.parts.push(part);
            self.parts.len() - 1
        };
        let part = &mut self.parts[at];
        part.shard.check_writable()?;
        part.look_again();
        Ok(part)
    }

    /// Puts on top of the levels what the last operation changed.
    fn lay(&mut self) -> Result<()> {
        let Some((shard, mark)) = self.unlaid.take() else { return Ok(()) };
        match self.parts.iter_mut().find(|part| part.shard.num == shard) {
            Some(part) => part.overlay(self.changes.since(mark)),
            None => Ok(()),
        }
    }

    /// Runs what was put off: somebody is about to look. What cannot run now stays put off, with all behind it: it was answered
    /// already, so nobody may look past it.
    fn settle(&mut self, store: &Store) -> (Seen, Result<()>) {
        let mut seen = Seen::default();
        let put_off = std::mem::take(&mut self.put_off);
        for (at, PutOff { shard, of, minor, dkey }) in put_off.iter().enumerate() {
            let what = dkey.as_deref().map_or(Punched::Object, Punched::Dkey);
            let run = |writing: &mut Writing<'_, '_>| writing.punch(what, Cond::NONE);
            let (more, result) = self.operate(store, *shard, *of, *minor, run);
            seen = seen.and(more);
            if result.is_err() {
                self.put_off = put_off.into_iter().skip(at).collect();
                return (seen, result);
            }
        }
        (seen, self.lay())
    }

    /// Runs one operation; where it fails, it alone has not happened.
    fn operate(
        &mut self,
        store: &Store,
        shard: ShardNum,
        of: ObjectRef,
        minor: u16,
        operation: impl FnOnce(&mut Writing<'_, '_>) -> Result<()>,
    ) -> (Seen, Result<()>) {
        if let Err(error) = self.lay() {
            return (Seen::default(), Err(error));
        }
        let mut changes = std::mem::take(&mut self.changes);
        changes.clear();
        let mark = changes.mark();
        let (version, before) = (Version::new(self.epoch, minor), self.bytes);
        let is_numbered = self.numbered.contains(&(shard, of));
        let operation = |writing: &mut Writing<'_, '_>| {
            if !is_numbered {
                writing.keep_number()?;
            }
            operation(writing)
        };
        let (seen, result) = match self.part(store, shard) {
            Err(error) => (Seen::default(), Err(error)),
            Ok(part) => {
                let (seen, result) = part.run(of, version, DtxNum::COMMITTED, &mut changes, true, operation);
                let bytes = before + changes.mark() - mark;
                let result = result.and_then(|()| store.check_record(bytes)).map(|()| bytes);
                (seen, result)
            }
        };
        self.changes = changes;
        (
            seen,
            result.map(|bytes| {
                self.unlaid = Some((shard, mark));
                self.numbered.insert((shard, of));
                self.bytes = bytes;
            }),
        )
    }

    /// Puts new values under akeys of one dkey, the `minor`-th change of the transaction.
    #[allow(clippy::too_many_arguments)] // the words of an update
    pub fn update(
        &mut self,
        store: &Store,
        shard: ShardNum,
        of: ObjectRef,
        minor: u16,
        dkey: &[u8],
        iods: &[Iod<'_>],
        cond: Cond,
        staged: Option<&Staged>,
    ) -> (Seen, Result<()>) {
        let (before, settled) = self.settle(store);
        if settled.is_err() {
            return (before, settled);
        }
        let run = |writing: &mut Writing<'_, '_>| writing.update(dkey, iods, cond, staged);
        let (seen, result) = self.operate(store, shard, of, minor, run);
        (seen.and(before), result)
    }

    /// Hides an object, a dkey or akeys, the `minor`-th change of the transaction.
    pub fn punch(
        &mut self,
        store: &Store,
        shard: ShardNum,
        of: ObjectRef,
        minor: u16,
        what: Punched<'_>,
        cond: Cond,
    ) -> (Seen, Result<()>) {
        if self.put_off.len() < PUT_OFF_MAX
            && let Some(put_off) = PutOff::of(shard, of, minor, what, cond)
        {
            let sound = self.part(store, shard).map(drop);
            if sound.is_ok() {
                self.put_off.push(put_off);
            }
            return (Seen::default(), sound);
        }
        let (before, settled) = self.settle(store);
        if settled.is_err() {
            return (before, settled);
        }
        let (seen, result) = self.operate(store, shard, of, minor, |writing| writing.punch(what, cond));
        (seen.and(before), result)
    }

    /// A shard's state for reading, with what the transaction did on top.
    pub fn view(&mut self, store: &Store, shard: ShardNum) -> Result<View> {
        // What is read now depends on all that is read below it, and so on all that these saw.
        self.settle(store).1?;
        let mut view = store.view(shard)?;
        view.overlay = self.parts.iter().find(|part| part.shard.num == shard).and_then(Part::overlay_shared);
        Ok(view)
    }
}

impl Store {
    /// Refuses a transaction whose record would be too long for the log.
    fn check_record(&self, len: usize) -> Result<()> {
        let max = self.record_bytes_max();
        // Beside the changes that a draft counts a record holds numbers of objects, and little else.
        if len + max / 64 <= max {
            return Ok(());
        }
        Err(VosError::TransactionTooLong { what: "bytes of changes", max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::KeysOf;
    use crate::store::StoreOptions;
    use daos_types::{
        ContainerId, IodValue, ObjectId, ObjectType, PoolId, ShardIdx, TargetIdx, UnitOid, limits,
    };
    use std::sync::Arc;

    const SHARD: ShardNum = ShardNum(1);

    /// A store with an object that has 40 dkeys, and a draft that reads behind them.
    fn begun() -> (Store, ObjectRef, Draft) {
        let media = Arc::new(crate::media::MemoryMedia::new());
        let store = Store::create(media, [7; 16], StoreOptions::default()).unwrap();
        assert_eq!(store.shard_create(PoolId([1; 16]), TargetIdx(0)).unwrap(), SHARD);
        let mut tx = store.begin().unwrap();
        let cont = tx.cont_open(SHARD, ContainerId([2; 16])).unwrap();
        let oid = ObjectId::generate(ObjectType::MultiHashed, 1, 1, 0, 7);
        let of = ObjectRef { cont, oid: UnitOid { oid, shard: ShardIdx(0) } };
        for dkey in 0..40_u8 {
            let value = [dkey];
            let iods = [Iod::new(b"a", IodValue::Single(&value))];
            let version = Version { epoch: Epoch(10), minor: u16::from(dkey) + 1 };
            tx.update(SHARD, of, version, &[dkey + 1], &iods, Cond::NONE).unwrap();
        }
        tx.commit().unwrap();
        (store, of, Draft::new(Epoch(20)))
    }

    fn there(store: &Store, of: ObjectRef, draft: &mut Draft) -> Vec<u8> {
        let view = draft.view(store, SHARD).unwrap();
        let is_there = |dkey: &u8| {
            let at = Version::read_at(draft.epoch());
            view.exists(of, KeysOf::Dkey(&[*dkey + 1]), at).1.unwrap()
        };
        (0..40).filter(is_there).collect()
    }

    #[test]
    fn what_was_put_off_is_seen_by_whoever_reads_and_by_what_comes_after_it() {
        let (store, of, mut draft) = begun();
        let mut minor = 0;
        let mut punch = |draft: &mut Draft, what: Punched<'_>, cond: Cond| {
            minor += 1;
            draft.punch(&store, SHARD, of, minor, what, cond).1
        };
        // More than are put off.
        for dkey in 0..PUT_OFF_MAX as u8 + 4 {
            punch(&mut draft, Punched::Dkey(&[dkey + 1]), Cond::NONE).unwrap();
        }
        assert!(!draft.put_off.is_empty() && draft.put_off.len() <= PUT_OFF_MAX);
        // A condition is judged by all that was done before.
        punch(&mut draft, Punched::Dkey(&[5]), Cond::NONE).unwrap();
        let absent = punch(&mut draft, Punched::Dkey(&[5]), Cond::PUNCH);
        assert!(matches!(absent, Err(VosError::NotFound { .. })));
        assert!(draft.put_off.is_empty());
        punch(&mut draft, Punched::Dkey(&[31]), Cond::NONE).unwrap();
        let expected: Vec<u8> = (PUT_OFF_MAX as u8 + 4..40).filter(|dkey| *dkey != 30).collect();
        assert_eq!(there(&store, of, &mut draft), expected);
        // What is written after a punch stays.
        punch(&mut draft, Punched::Object, Cond::NONE).unwrap();
        let iods = [Iod::new(b"a", IodValue::Single(b"new"))];
        draft.update(&store, SHARD, of, 100, &[8], &iods, Cond::NONE, None).1.unwrap();
        assert_eq!(there(&store, of, &mut draft), [7]);
        // Nobody else sees any of it.
        assert_eq!(there(&store, of, &mut Draft::new(Epoch(20))).len(), 40);
    }

    #[test]
    fn what_was_put_off_and_cannot_run_yet_is_not_lost() {
        let (store, of, mut draft) = begun();
        draft.punch(&store, SHARD, of, 1, Punched::Dkey(&[3]), Cond::NONE).1.unwrap();
        draft.punch(&store, SHARD, of, 2, Punched::Dkey(&[5]), Cond::NONE).1.unwrap();
        // Somebody else's transaction over the same object, which nobody has decided.
        let id = crate::dtx::DtxId { uuid: [7; 16], hlc: 15 };
        let mut tx = store.begin_dtx(id).unwrap();
        let version = Version { epoch: Epoch(15), minor: 1 };
        tx.punch(SHARD, of, version, Punched::Object, Cond::NONE).unwrap();
        tx.prepare().unwrap();
        let iods = [Iod::new(b"a", IodValue::Single(b"new"))];
        for _ in 0..2 {
            let refused = draft.update(&store, SHARD, of, 3, &[9], &iods, Cond::NONE, None).1;
            assert!(matches!(refused, Err(VosError::InProgress)), "{refused:?}");
            assert!(matches!(draft.view(&store, SHARD), Err(VosError::InProgress)));
        }
        store.dtx_abort(id).unwrap();
        let expected: Vec<u8> = (0..40).filter(|dkey| ![2, 4].contains(dkey)).collect();
        assert_eq!(there(&store, of, &mut draft), expected);
    }

    #[test]
    fn what_is_wrong_by_itself_is_not_put_off() {
        let (store, of, mut draft) = begun();
        let long = vec![b'x'; limits::KEY_LEN_MAX + 1];
        for dkey in [&b""[..], &long] {
            let refused = draft.punch(&store, SHARD, of, 1, Punched::Dkey(dkey), Cond::NONE).1;
            assert!(matches!(refused, Err(VosError::KeyShape { .. } | VosError::KeyTooLong { .. })));
        }
        let nowhere = draft.punch(&store, ShardNum(9), of, 1, Punched::Object, Cond::NONE).1;
        assert!(nowhere.is_err());
        assert!(draft.put_off.is_empty());
    }
}
