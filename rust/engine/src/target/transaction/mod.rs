//! Transactions of one store: optimistic, validated when they commit. `docs/internals/transactions.md` argues that they are
//! serializable.
//!
//! A draft reads at one epoch and keeps its changes to itself, with every operation and what it was answered. To commit, all
//! operations run again, under the writer's lock and at a new epoch: if each is answered as it was, they all happen there.

mod step;

use super::ops::{fetch, update};
use super::{Outcome, Target, check_cond, once};
use daos_types::{Cond, Epoch, FetchIod, KeyFound, Origin, TargetIdx, Version, limits};
use daos_vos::{KeysOf, ListRange, ObjectRef, Seen, ShardNum, Store, Trace, VosError, verify_update};
use daos_wire::{Fetch, List, ListedKeys, Punch, Query, ShardRef, Update};
use step::{Asked, OwnedFetch, OwnedIod, OwnedPunched, Step, digest, is_refusal};

/// A transaction that has not committed.
#[derive(Debug)]
pub struct Draft {
    changes: daos_vos::Draft,
    steps: Vec<Step>,
    /// Whether any change was not refused.
    is_changed: bool,
    /// Bytes that the steps keep.
    bytes: usize,
    /// The last step, if that was a fetch and all arrays that it asked for were there.
    found: Option<usize>,
    /// A change that was answered and not made: nobody has looked since.
    put_off: Option<PutOff>,
}

/// An update that no state of what the transaction has read could refuse: most end with it, and it runs when they commit.
#[derive(Debug)]
struct PutOff {
    step: usize,
    shard: ShardNum,
    object: ObjectRef,
}

impl Draft {
    /// A transaction that reads at an epoch, drawn under the writer's lock.
    pub fn new(epoch: Epoch) -> Self {
        Self {
            changes: daos_vos::Draft::new(epoch),
            steps: Vec::new(),
            is_changed: false,
            bytes: 0,
            found: None,
            put_off: None,
        }
    }

    /// Whether an update puts records where the transaction has just read the same ones.
    fn has_just_read(&self, target: TargetIdx, request: &Update<'_>) -> bool {
        let Update { of, dkey, iods, cond, .. } = *request;
        let known = Cond::PER_AKEY | Cond::DKEY_UPDATE;
        let [iod] = iods else { return false };
        let step = self.found.and_then(|found| self.steps.get(found));
        let read = step.filter(|step| step.target == target.0 as usize && step.of == of);
        cond.0 & !known.0 == 0
            && iod.cond == Cond::NONE
            && read.is_some_and(|step| step.asked.is_of(dkey, iod.akey, iod.value))
    }

    /// Makes the change that was put off: somebody is about to look. Where it cannot be made it stays put off, as it was answered.
    fn settle(&mut self, store: &Store, seen: &mut Seen) -> Result<(), VosError> {
        self.found = None;
        let Some(PutOff { step, shard, object }) = self.put_off else { return Ok(()) };
        if let Some(Step { asked: Asked::Update { minor, dkey, iods, cond, .. }, .. }) = self.steps.get(step)
        {
            let iods: Vec<_> = iods.iter().map(OwnedIod::lend).collect();
            let (more, made) = self.changes.update(store, shard, object, *minor, dkey, &iods, *cond, None);
            *seen = seen.and(more);
            made?;
        }
        self.put_off = None;
        Ok(())
    }

    /// The place of the next operation, from 1: the minor of a change.
    fn next_place(&self) -> Result<u16, VosError> {
        let max = limits::TX_BYTES_MAX;
        if self.bytes >= max {
            return Err(VosError::TransactionTooLong { what: "bytes of keys and values", max });
        }
        let max = limits::TX_OPERATIONS_MAX;
        let place = u16::try_from(self.steps.len() + 1).ok().filter(|place| *place <= max);
        place.ok_or(VosError::TransactionTooLong { what: "operations", max: max.into() })
    }

    /// Keeps an operation with its answer; where it failed without one, it has not happened.
    fn keep<T>(
        &mut self,
        target: TargetIdx,
        of: ShardRef,
        result: Result<T, VosError>,
        digest: impl FnOnce(&T) -> u128,
        asked: impl FnOnce(Option<&T>) -> Asked,
    ) -> Result<T, VosError> {
        let answered = match &result {
            Ok(value) => Ok(digest(value)),
            Err(error) if is_refusal(error) => Err(error.der()),
            Err(_) => return result,
        };
        let asked = asked(result.as_ref().ok());
        self.bytes += asked.len();
        self.is_changed |= asked.is_change() && answered.is_ok();
        self.steps.push(Step { target: target.0 as usize, of, asked, answer: answered });
        result
    }
}

/// The operations of a transaction; each is told which target of the pool this is.
impl Target {
    /// The epoch at which a transaction reads, drawn under the writer's lock: no change that is still to come carries an epoch at
    /// or before it. `note` is called with it under that lock.
    pub fn read_epoch<T>(&self, note: impl FnOnce(Epoch) -> T) -> Result<T, VosError> {
        let _tx = self.store.begin()?;
        Ok(note(self.now().epoch))
    }

    /// An update that only the transaction sees.
    pub fn draft_update(&self, target: TargetIdx, draft: &mut Draft, request: &Update<'_>) -> Outcome<()> {
        let mut seen = Seen::default();
        let result = self.try_draft_update(target, draft, request, &mut seen);
        (seen, result)
    }

    fn try_draft_update(
        &self,
        target: TargetIdx,
        draft: &mut Draft,
        request: &Update<'_>,
        seen: &mut Seen,
    ) -> Result<(), VosError> {
        let Update { of, dkey, iods, cond, .. } = *request;
        check_cond(cond, update::KNOWN)?;
        verify_update(of.oid.oid, dkey, iods)?;
        let minor = draft.next_place()?;
        let object = self.object(of, seen)?;
        let staged = self.store.stage(self.shard, iods)?;
        let is_sure = staged.is_none() && draft.put_off.is_none() && draft.has_just_read(target, request);
        let result = if is_sure {
            let (step, shard) = (draft.steps.len(), self.shard);
            (draft.found, draft.put_off) = (None, Some(PutOff { step, shard, object }));
            Ok(())
        } else {
            draft.settle(&self.store, seen)?;
            let (store, shard) = (&self.store, self.shard);
            let (more, result) =
                draft.changes.update(store, shard, object, minor, dkey, iods, cond, staged.as_ref());
            *seen = seen.and(more);
            result
        };
        draft.keep(
            target,
            of,
            result,
            |()| 0,
            |_| Asked::Update { minor, dkey: dkey.to_vec(), iods: OwnedIod::all(iods), cond, staged },
        )
    }

    /// A punch that only the transaction sees.
    pub fn draft_punch(&self, target: TargetIdx, draft: &mut Draft, request: &Punch<'_>) -> Outcome<()> {
        let mut seen = Seen::default();
        let result = self.try_draft_punch(target, draft, request, &mut seen);
        (seen, result)
    }

    fn try_draft_punch(
        &self,
        target: TargetIdx,
        draft: &mut Draft,
        request: &Punch<'_>,
        seen: &mut Seen,
    ) -> Result<(), VosError> {
        let Punch { of, what, cond, .. } = *request;
        check_cond(cond, Cond::PUNCH)?;
        let minor = draft.next_place()?;
        let object = self.object(of, seen)?;
        draft.settle(&self.store, seen)?;
        let (more, result) = draft.changes.punch(&self.store, self.shard, object, minor, what, cond);
        *seen = seen.and(more);
        let asked = |_: Option<&()>| Asked::Punch { minor, what: OwnedPunched::of(what), cond };
        draft.keep(target, of, result, |()| 0, asked)
    }

    /// A fetch at the transaction's epoch, with its own changes.
    pub fn draft_fetch(
        &self,
        target: TargetIdx,
        draft: &mut Draft,
        request: &Fetch<'_>,
        iods: &mut [FetchIod<'_>],
    ) -> Outcome<()> {
        let mut seen = Seen::default();
        let result = self.try_draft_fetch(target, draft, request, iods, &mut seen);
        (seen, result)
    }

    fn try_draft_fetch(
        &self,
        target: TargetIdx,
        draft: &mut Draft,
        request: &Fetch<'_>,
        iods: &mut [FetchIod<'_>],
        seen: &mut Seen,
    ) -> Result<(), VosError> {
        let Fetch { of, dkey, cond, .. } = *request;
        check_cond(cond, fetch::KNOWN)?;
        draft.next_place()?;
        let object = self.object(of, seen)?;
        draft.settle(&self.store, seen)?;
        let view = draft.changes.view(&self.store, self.shard)?;
        let epoch = draft.changes.epoch();
        let (asked, mut trace) = (OwnedFetch::all(iods), Trace::new(epoch));
        let at = Version::read_at(epoch);
        let (more, result) = view.fetch_traced(object, dkey, iods, at, cond, Some(&mut trace));
        *seen = seen.and(more);
        let are_there =
            result.is_ok() && asked.iter().zip(iods).all(|(asked, iod)| asked.is_there(&iod.value));
        let asked = |_: Option<&()>| Asked::Fetch { dkey: dkey.to_vec(), iods: asked, cond };
        let kept = draft.keep(target, of, result, |()| trace.finish(), asked);
        draft.found = are_there.then(|| draft.steps.len() - 1);
        kept
    }

    /// A page of keys at the transaction's epoch, with its own changes.
    pub fn draft_list(
        &self,
        target: TargetIdx,
        draft: &mut Draft,
        request: &List<'_>,
    ) -> Outcome<ListedKeys> {
        let mut seen = Seen::default();
        let result = self.try_draft_list(target, draft, request, &mut seen);
        (seen, result)
    }

    fn try_draft_list(
        &self,
        target: TargetIdx,
        draft: &mut Draft,
        request: &List<'_>,
        seen: &mut Seen,
    ) -> Result<ListedKeys, VosError> {
        let List { of, dkey, from, count_max, bytes_max, reverse, .. } = *request;
        draft.next_place()?;
        let object = self.object(of, seen)?;
        draft.settle(&self.store, seen)?;
        let view = draft.changes.view(&self.store, self.shard)?;
        let epoch = draft.changes.epoch();
        let what = dkey.map_or(KeysOf::Object, KeysOf::Dkey);
        let range = ListRange { from, count_max, bytes_max, reverse, to: None };
        let (more, page) = view.list(object, what, Version::read_at(epoch), range);
        *seen = seen.and(more);
        let listed = page.map(|page| ListedKeys { keys: page.keys, next: page.next });
        let digest = |listed: &ListedKeys| {
            let mut trace = Trace::new(epoch);
            listed.keys.iter().for_each(|key| trace.bytes(key));
            trace.finish()
        };
        // What lies behind the page was not seen.
        let asked = |listed: Option<&ListedKeys>| Asked::List {
            dkey: dkey.map(<[u8]>::to_vec),
            from: from.map(<[u8]>::to_vec),
            to: listed.and_then(|listed| listed.next.clone()),
            reverse,
        };
        draft.keep(target, of, listed, digest, asked)
    }

    /// A query at the transaction's epoch, with its own changes.
    pub fn draft_query(
        &self,
        target: TargetIdx,
        draft: &mut Draft,
        request: &Query<'_>,
    ) -> Outcome<Option<KeyFound>> {
        let mut seen = Seen::default();
        let result = self.try_draft_query(target, draft, request, &mut seen);
        (seen, result)
    }

    fn try_draft_query(
        &self,
        target: TargetIdx,
        draft: &mut Draft,
        request: &Query<'_>,
        seen: &mut Seen,
    ) -> Result<Option<KeyFound>, VosError> {
        let Query { of, what, .. } = *request;
        draft.next_place()?;
        let object = self.object(of, seen)?;
        draft.settle(&self.store, seen)?;
        let view = draft.changes.view(&self.store, self.shard)?;
        let (more, found) = view.query_key(object, what, Version::read_at(draft.changes.epoch()));
        *seen = seen.and(more);
        draft.keep(target, of, found, |found| digest(*found, what.greatest), |_| Asked::query(what))
    }

    /// Commits a transaction over targets of one store, all or nothing. What the answer depends on is to be waited for, as ever.
    ///
    /// One that changes nothing never conflicts: what it read was all there at its epoch.
    pub fn commit(targets: &[Self], mut draft: Draft, origin: Option<Origin>) -> Outcome<()> {
        let mut seen = Seen::default();
        let result = match targets.first() {
            Some(first) if draft.is_changed => {
                first.store.with_room(|| Self::try_commit(targets, &mut draft, origin, &mut seen))
            }
            _ => Ok(()),
        };
        (seen, result)
    }

    fn try_commit(
        targets: &[Self],
        draft: &mut Draft,
        origin: Option<Origin>,
        seen: &mut Seen,
    ) -> Result<(), VosError> {
        let Some(first) = targets.first() else { return Ok(()) };
        let read_at = draft.changes.epoch();
        let mut tx = first.store.begin()?;
        if once::was_done(&first.store, origin, seen)? {
            return Ok(());
        }
        tx.assume_newest();
        let epoch = first.now().epoch;
        let target = |step: &Step| targets.get(step.target).ok_or(VosError::NotFound { what: "target" });
        let mut is_quiet = true;
        for step in &draft.steps {
            is_quiet = is_quiet && !tx.may_be_newer(target(step)?.shard, read_at)?;
        }
        for step in &draft.steps {
            let Step { of, asked, answer: before, .. } = step;
            // Where nothing has changed at all, reads and refusals are what they were.
            if is_quiet && !(asked.is_change() && before.is_ok()) {
                continue;
            }
            let target = target(step)?;
            let object = target.object(*of, seen)?;
            let now = asked.run(&mut tx, target.shard, object, epoch);
            *seen = seen.and(tx.seen());
            match now {
                Ok(now) if now == *before => {}
                Ok(_) | Err(VosError::InProgress) => return Err(VosError::Conflict),
                Err(error) => return Err(error),
            }
        }
        once::note(&mut tx, origin, epoch)?;
        let committed = tx.commit();
        let is_refused = committed.as_ref().is_err_and(VosError::says_nothing_was_logged);
        let staged = draft.steps.iter_mut().filter_map(|step| match &mut step.asked {
            Asked::Update { staged, .. } if !is_refused && step.answer.is_ok() => staged.take(),
            _ => None,
        });
        staged.for_each(daos_vos::Staged::keep);
        *seen = Seen(committed?);
        Ok(())
    }
}
