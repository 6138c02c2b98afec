//! The way to a target.

use crate::error::Result;
use crate::kv;
use daos_types::{Cond, Durability, FetchIod, FetchValue, KV_AKEY, KeyFound, Landing, Origin, TargetIdx};
use daos_wire::{
    Check, Checked, Count, Counted, Diff, Differences, Fetch, GetValues, GotValues, List, ListedKeys,
    ListedObjects, ListedPairs, Objects, Punch, PutPairs, Query, Update,
};
use std::sync::Arc;

/// A change of a target that is made together with others.
#[derive(Debug, Clone, Copy)]
pub enum Change<'a> {
    /// As [`Route::update`].
    Update(Update<'a>),
    /// As [`Route::put_pairs`].
    PutPairs(PutPairs<'a>),
}

impl Change<'_> {
    /// Which change it is, where it may be sent again.
    pub fn origin(&self) -> Option<Origin> {
        match self {
            Self::Update(update) => update.origin,
            Self::PutPairs(put) => put.origin,
        }
    }

    /// The same, as this one.
    #[must_use]
    pub fn with_origin(self, origin: Option<Origin>) -> Self {
        match self {
            Self::Update(update) => Self::Update(Update { origin, ..update }),
            Self::PutPairs(put) => Self::PutPairs(PutPairs { origin, ..put }),
        }
    }

    /// What its reply promises.
    pub fn durability(&self) -> Durability {
        match self {
            Self::Update(update) => update.durability,
            Self::PutPairs(put) => put.durability,
        }
    }
}

/// One of several fetches.
#[derive(Debug)]
pub struct FetchOne<'a> {
    /// Who has it.
    pub target: TargetIdx,
    /// What is asked.
    pub request: Fetch<'a>,
    /// What is read, and where to.
    pub iods: Vec<FetchIod<'a>>,
}

/// The updates that put pairs one by one.
pub fn each_pair(request: &PutPairs<'_>, mut update: impl FnMut(&Update<'_>) -> Result<()>) -> Result<()> {
    let PutPairs { of, pairs, durability, .. } = *request;
    pairs.iter().try_for_each(|pair| {
        let iods = [pair.iod()];
        let (dkey, cond, origin) = (pair.key, Cond::NONE, None);
        update(&Update { of, dkey, iods: &iods, cond, durability, origin })
    })
}

/// Carries requests of one pool to its targets. Each call returns when its reply may be believed: what it promises is as
/// durable as the request asks.
pub trait Route: std::fmt::Debug + Send + Sync {
    /// How many targets the pool has.
    fn targets(&self) -> u32;

    /// Puts new values under akeys of one dkey.
    fn update(&self, target: TargetIdx, request: &Update<'_>) -> Result<()>;

    /// A place for a value of so many bytes that comes from elsewhere, for an update to take. `None` where the way does not end in
    /// a store, or it would not help.
    fn land(&self, _target: TargetIdx, _len: usize, _durability: Durability) -> Option<Arc<dyn Landing>> {
        None
    }

    /// Puts values under keys of one flat object: all or none, where the way ends in a store. Elsewhere, as in a transaction, one
    /// after the other.
    fn put_pairs(&self, target: TargetIdx, request: &PutPairs<'_>) -> Result<()> {
        each_pair(request, |update| self.update(target, update))
    }

    /// Makes one change.
    fn change(&self, target: TargetIdx, change: &Change<'_>) -> Result<()> {
        match change {
            Change::Update(update) => self.update(target, update),
            Change::PutPairs(put) => self.put_pairs(target, put),
        }
    }

    /// Several changes, made durable together; those of one target happen in their order. Not atomic: a failure ends it, and others
    /// may or may not have happened.
    fn change_all(&self, changes: &[(TargetIdx, Change<'_>)]) -> Result<()> {
        changes.iter().try_for_each(|(target, change)| self.change(*target, change))
    }

    /// As [`Route::change_all`], but what fails ends nothing: what became of each.
    fn change_each(&self, changes: &[(TargetIdx, Change<'_>)]) -> Vec<Result<()>> {
        changes.iter().map(|(target, change)| self.change(*target, change)).collect()
    }

    /// Values of keys of one flat object: those of its first keys, at least one, as many as the request has room for.
    fn get_values(&self, target: TargetIdx, request: &GetValues<'_>) -> Result<GotValues> {
        let GetValues { of, epoch, durability, bytes_max, .. } = *request;
        let (mut got, mut value) = (GotValues::default(), Vec::new());
        for key in request.keys {
            value.clear();
            let mut noted = kv::Noted { sink: &mut value, there: false };
            let mut iods = [FetchIod::new(KV_AKEY, FetchValue::Single(&mut noted))];
            self.fetch(target, &Fetch { of, dkey: key, epoch, cond: Cond::NONE, durability }, &mut iods)?;
            let [FetchIod { sum, .. }] = iods;
            let there = noted.there;
            if !got.there.is_empty() && got.values.bytes() + value.len() > bytes_max {
                break;
            }
            got.push(there, &value, sum.get());
        }
        Ok(got)
    }

    /// As [`Route::get_values`], of several targets.
    fn get_values_all(&self, requests: &[(TargetIdx, GetValues<'_>)]) -> Result<Vec<GotValues>> {
        requests.iter().map(|(target, request)| self.get_values(*target, request)).collect()
    }

    /// Whether each call waits for another process, so that several are better made together.
    fn is_far(&self) -> bool {
        false
    }

    /// Reads values of akeys of one dkey, straight into what the iods name.
    fn fetch(&self, target: TargetIdx, request: &Fetch<'_>, iods: &mut [FetchIod<'_>]) -> Result<()>;

    /// Several fetches, each as [`Route::fetch`], not all as of one moment. A failure ends it.
    fn fetch_all(&self, fetches: &mut [FetchOne<'_>]) -> Result<()> {
        fetches.iter_mut().try_for_each(|one| self.fetch(one.target, &one.request, &mut one.iods))
    }

    /// The extreme keys or records of an object; `None` where nothing is visible.
    fn query(&self, target: TargetIdx, request: &Query<'_>) -> Result<Option<KeyFound>>;

    /// Several queries, each as [`Route::query`], not all as of one moment. A failure ends it.
    fn query_all(&self, requests: &[(TargetIdx, Query<'_>)]) -> Result<Vec<Option<KeyFound>>> {
        requests.iter().map(|(target, request)| self.query(*target, request)).collect()
    }

    /// Hides an object, a dkey or akeys.
    fn punch(&self, target: TargetIdx, request: &Punch<'_>) -> Result<()>;

    /// One page of keys.
    fn list(&self, target: TargetIdx, request: &List<'_>) -> Result<ListedKeys>;

    /// One page of the keys of a flat key-value object, with their values. Where the other side does not do it in one walk, a
    /// page of keys is listed and each is fetched.
    fn list_pairs(&self, target: TargetIdx, request: &List<'_>) -> Result<ListedPairs> {
        let listed = self.list(target, request)?;
        kv::fetch_listed(listed, request, |request, iods| self.fetch(target, request, iods))
    }
}

/// A way to targets that can tell of containers as a whole.
pub trait Survey: Route {
    /// One page of a container's objects on a target.
    fn objects(&self, target: TargetIdx, request: &Objects<'_>) -> Result<ListedObjects>;

    /// One page of the differences of an object shard.
    fn diff(&self, target: TargetIdx, request: &Diff<'_>) -> Result<Differences>;

    /// A part of a check of a container on a target.
    fn check(&self, target: TargetIdx, request: &Check<'_>) -> Result<Checked>;

    /// A part of a count of what a container holds on a target.
    fn count(&self, target: TargetIdx, request: &Count<'_>) -> Result<Counted>;
}

/// A way to targets on which transactions run. A draft is what one has read and would change; nobody else sees it, and dropping
/// it is all it takes to abort it.
pub trait Transact: Route {
    /// A transaction that has not committed.
    type Draft: Send + std::fmt::Debug;

    /// Refuses what cannot be used any more, without waiting for anything.
    fn check(&self) -> Result<()>;

    /// Begins a transaction: from here on it reads what is there now. What it promises when it has committed is `durability`.
    fn begin(&self, durability: Durability) -> Result<Self::Draft>;

    /// As [`Route::update`], seen by the draft alone.
    fn draft_update(&self, draft: &mut Self::Draft, target: TargetIdx, request: &Update<'_>) -> Result<()>;

    /// As [`Route::fetch`], at the draft's epoch and with its changes.
    fn draft_fetch(
        &self,
        draft: &mut Self::Draft,
        target: TargetIdx,
        request: &Fetch<'_>,
        iods: &mut [FetchIod<'_>],
    ) -> Result<()>;

    /// As [`Route::query`], at the draft's epoch and with its changes.
    fn draft_query(
        &self,
        draft: &mut Self::Draft,
        target: TargetIdx,
        request: &Query<'_>,
    ) -> Result<Option<KeyFound>>;

    /// As [`Route::punch`], seen by the draft alone.
    fn draft_punch(&self, draft: &mut Self::Draft, target: TargetIdx, request: &Punch<'_>) -> Result<()>;

    /// As [`Route::list`], at the draft's epoch and with its changes.
    fn draft_list(
        &self,
        draft: &mut Self::Draft,
        target: TargetIdx,
        request: &List<'_>,
    ) -> Result<ListedKeys>;

    /// As [`Route::list_pairs`], at the draft's epoch and with its changes.
    fn draft_list_pairs(
        &self,
        draft: &mut Self::Draft,
        target: TargetIdx,
        request: &List<'_>,
    ) -> Result<ListedPairs> {
        let listed = self.draft_list(draft, target, request)?;
        kv::fetch_listed(listed, request, |request, iods| self.draft_fetch(draft, target, request, iods))
    }

    /// Commits a draft, all or nothing. `Der::TxRestart`: another changed what it read, and nothing happened.
    fn commit(&self, draft: Self::Draft, durability: Durability, origin: Option<Origin>) -> Result<()>;
}
