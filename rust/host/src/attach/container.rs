//! Containers of a shared system, and the way to their objects.

use super::pool::{SharedAttributes, SharedPool};
use super::shared::{At, Had, Near, Opened, SharedSystem, enter_near};
use daos_client::{
    AttributeService, Change, ContainerService, Error, FetchOne, Result, Route, Survey, SystemService as _,
    Transaction, TransactionEnd, each_pair,
};
use daos_embed::System;
use daos_locks::Mutex;
use daos_types::{
    Checksums, ContainerId, Der, Durability, Epoch, FetchIod, KeyFound, Origin, Snapshot, TargetIdx,
};
use daos_wire::{
    Check, Checked, Count, Counted, Diff, Differences, Fetch, GetValues, GotValues, List, ListedKeys,
    ListedObjects, ListedPairs, Objects, Punch, PutPairs, Query, Update,
};
use std::sync::{Arc, Weak};

/// Updates that are sent together, and together once more where their outcome is unknown.
const TOGETHER_MAX: usize = 64;

/// An open container, whoever holds the system. It is the way to its objects as well.
#[derive(Debug, Clone)]
pub(super) struct SharedContainer {
    inner: Arc<Inner>,
    /// The transaction through which its objects are reached.
    tx: Option<Arc<InTransaction>>,
}

#[derive(Debug)]
struct Inner {
    pool: SharedPool,
    uuid: ContainerId,
    props: Vec<u8>,
    checksums: Checksums,
    epoch: Epoch,
    durability: Durability,
    targets: u32,
    now: Mutex<Had<Open>>,
}

/// What a turn has of it.
#[derive(Debug, Clone)]
struct Open {
    container: Arc<dyn ContainerService>,
    route: Arc<dyn Route>,
    survey: Arc<dyn Survey>,
    /// The system is in this process.
    is_near: bool,
}

impl Open {
    fn new(container: Arc<dyn ContainerService>, is_near: bool) -> Self {
        Self { route: container.route(), survey: container.survey(), container, is_near }
    }
}

impl Opened for Inner {
    fn let_go(&self) {
        Had::close(&self.now, |open| open.container.label());
    }
}

impl SharedContainer {
    pub(super) fn new(pool: SharedPool, opened: At<Arc<dyn ContainerService>>) -> Self {
        let At { turn, near, value } = opened;
        let open = Open::new(value, near.is_some());
        let opened = &open.container;
        let inner = Inner {
            uuid: opened.uuid(),
            props: opened.props().to_vec(),
            checksums: opened.checksums(),
            epoch: opened.epoch(),
            durability: opened.durability(),
            targets: open.route.targets(),
            now: Mutex::new(Had::Open(At { turn, near, value: open })),
            pool,
        };
        let inner = Arc::new(inner);
        inner.pool.system().keep(&inner);
        Self { inner, tx: None }
    }

    fn system(&self) -> &SharedSystem {
        self.inner.pool.system()
    }

    /// The container at this turn.
    fn current(&self) -> Result<At<Open>> {
        self.system().check_open()?;
        let mut had = self.inner.now.lock();
        let now = had.open()?;
        if now.turn != self.system().turn() {
            let pool = self.inner.pool.current()?;
            if now.turn != pool.turn {
                let _inside = pool.enter()?;
                let mut container = pool.value.container_open(&self.inner.uuid.to_string())?;
                if self.inner.epoch != Epoch::MAX {
                    container = container.at(self.inner.epoch)?;
                }
                *now = pool.then(|_| Ok(Open::new(container, pool.near.is_some())))?;
            }
        }
        Ok(now.clone())
    }

    fn with<T>(&self, ask: impl FnMut(&Open) -> Result<T>) -> Result<T> {
        self.system().ask(|| self.current(), ask)
    }

    /// Changes that say which they are.
    fn named<'a>(&self, changes: &[(TargetIdx, Change<'a>)]) -> Vec<(TargetIdx, Change<'a>)> {
        let named = |change: &Change<'a>| change.with_origin(Some(self.system().next_origin()));
        changes.iter().map(|(target, change)| (*target, named(change))).collect()
    }

    /// Makes named changes together.
    fn all_once(&self, named: &[(TargetIdx, Change<'_>)]) -> Result<()> {
        self.once(|open, _| open.route.change_all(named))
    }

    /// Makes a change that may have been made: it does not happen again. Pairs for which there is no room go one by one.
    fn change_again(&self, target: TargetIdx, change: &Change<'_>) -> Result<()> {
        match (self.once(|open, _| open.route.change(target, change)), change) {
            (Err(error), Change::PutPairs(put)) if error.der == Der::Nospace => {
                each_pair(put, |update| self.update(target, update))
            }
            (result, _) => result,
        }
    }

    /// The same of a change, which is told whether it has to say which it is.
    fn once(&self, ask: impl FnMut(&Open, bool) -> Result<()>) -> Result<()> {
        self.system().ask_once(|| self.current(), |open| open.is_near, ask)
    }
}

impl ContainerService for SharedContainer {
    fn uuid(&self) -> ContainerId {
        self.inner.uuid
    }

    fn label(&self) -> String {
        self.inner.now.lock().label(|open| open.container.label())
    }

    fn props(&self) -> &[u8] {
        &self.inner.props
    }

    fn checksums(&self) -> Checksums {
        self.inner.checksums
    }

    fn epoch(&self) -> Epoch {
        self.inner.epoch
    }

    fn durability(&self) -> Durability {
        self.inner.durability
    }

    fn check_open(&self) -> Result<()> {
        self.system().check_open()
    }

    fn route(&self) -> Arc<dyn Route> {
        match &self.tx {
            Some(tx) => Arc::<InTransaction>::clone(tx),
            None => Arc::new(self.clone()),
        }
    }

    fn survey(&self) -> Arc<dyn Survey> {
        Arc::new(self.clone())
    }

    fn set_label(&self, label: &str) -> Result<()> {
        self.with(|open| open.container.set_label(label))
    }

    fn attributes(&self) -> Result<Arc<dyn AttributeService>> {
        // Refused here if there are none.
        self.with(|open| open.container.attributes().map(drop))?;
        let container = self.clone();
        let open = move || container.current()?.then(|open| open.container.attributes());
        Ok(Arc::new(SharedAttributes { system: Arc::clone(self.inner.pool.system()), open: Box::new(open) }))
    }

    fn alloc_oids(&self, count: u64) -> Result<u64> {
        self.with(|open| open.container.alloc_oids(count))
    }

    fn snapshot_create(&self, name: Option<&str>) -> Result<Snapshot> {
        self.with(|open| open.container.snapshot_create(name))
    }

    fn snapshots(&self) -> Result<Vec<Snapshot>> {
        self.with(|open| open.container.snapshots())
    }

    fn snapshot_destroy(&self, first: Epoch, last: Epoch) -> Result<usize> {
        self.with(|open| open.container.snapshot_destroy(first, last))
    }

    fn rollback(&self, to: Epoch) -> Result<()> {
        self.with(|open| open.container.rollback(to))
    }

    fn aggregate(&self) -> Result<u64> {
        self.with(|open| open.container.aggregate())
    }

    fn at(&self, epoch: Epoch) -> Result<Arc<dyn ContainerService>> {
        let now = || self.current().map(At::with_turn);
        let then = self.system().ask(now, |at| at.then(|open| open.container.at(epoch)))?;
        Ok(Arc::new(Self::new(self.inner.pool.clone(), then)))
    }

    fn transaction(&self, durability: Durability) -> Result<Transaction> {
        let begin = |at: &At<Open>| at.then(|open| open.container.transaction(durability));
        let begun = self.system().ask(|| self.current().map(At::with_turn), begin)?;
        let At { turn, near, value } = begun;
        let system = Arc::clone(self.inner.pool.system());
        let near = near.as_ref().map(Arc::downgrade);
        let (route, end) = (value.container.route(), value.end);
        let tx = Arc::new(InTransaction { system, turn, near, route, end });
        let container = Self { tx: Some(Arc::clone(&tx)), ..self.clone() };
        Ok(Transaction { container: Arc::new(container), end: tx })
    }
}

impl Route for SharedContainer {
    fn targets(&self) -> u32 {
        self.inner.targets
    }

    fn update(&self, target: TargetIdx, request: &Update<'_>) -> Result<()> {
        let origin = self.system().next_origin();
        self.once(|open, says| {
            open.route.update(target, &Update { origin: says.then_some(origin), ..*request })
        })
    }

    fn put_pairs(&self, target: TargetIdx, request: &PutPairs<'_>) -> Result<()> {
        self.change_all(&[(target, Change::PutPairs(*request))])
    }

    fn change_all(&self, changes: &[(TargetIdx, Change<'_>)]) -> Result<()> {
        // No more at once than are known to have been done.
        changes.chunks(TOGETHER_MAX).try_for_each(|some| {
            let some = self.named(some);
            match self.all_once(&some) {
                Err(error) if error.der == Der::Nospace => {
                    some.iter().try_for_each(|(target, change)| self.change_again(*target, change))
                }
                result => result,
            }
        })
    }

    fn change_each(&self, changes: &[(TargetIdx, Change<'_>)]) -> Vec<Result<()>> {
        let each = changes.chunks(TOGETHER_MAX).flat_map(|some| {
            let some = self.named(some);
            if self.all_once(&some).is_ok() {
                return some.iter().map(|_| Ok(())).collect::<Vec<_>>();
            }
            some.iter().map(|(target, change)| self.change_again(*target, change)).collect()
        });
        each.collect()
    }

    fn get_values(&self, target: TargetIdx, request: &GetValues<'_>) -> Result<GotValues> {
        self.with(|open| open.route.get_values(target, request))
    }

    fn get_values_all(&self, requests: &[(TargetIdx, GetValues<'_>)]) -> Result<Vec<GotValues>> {
        self.with(|open| open.route.get_values_all(requests))
    }

    fn is_far(&self) -> bool {
        self.with(|open| Ok(open.route.is_far())).unwrap_or(false)
    }

    fn fetch(&self, target: TargetIdx, request: &Fetch<'_>, iods: &mut [FetchIod<'_>]) -> Result<()> {
        self.with(|open| open.route.fetch(target, request, iods))
    }

    fn fetch_all(&self, fetches: &mut [FetchOne<'_>]) -> Result<()> {
        self.with(|open| open.route.fetch_all(fetches))
    }

    fn query(&self, target: TargetIdx, request: &Query<'_>) -> Result<Option<KeyFound>> {
        self.with(|open| open.route.query(target, request))
    }

    fn query_all(&self, requests: &[(TargetIdx, Query<'_>)]) -> Result<Vec<Option<KeyFound>>> {
        self.with(|open| open.route.query_all(requests))
    }

    fn punch(&self, target: TargetIdx, request: &Punch<'_>) -> Result<()> {
        let origin = self.system().next_origin();
        self.once(|open, says| {
            open.route.punch(target, &Punch { origin: says.then_some(origin), ..*request })
        })
    }

    fn list(&self, target: TargetIdx, request: &List<'_>) -> Result<ListedKeys> {
        self.with(|open| open.route.list(target, request))
    }

    fn list_pairs(&self, target: TargetIdx, request: &List<'_>) -> Result<ListedPairs> {
        self.with(|open| open.route.list_pairs(target, request))
    }
}

impl Survey for SharedContainer {
    fn objects(&self, target: TargetIdx, request: &Objects<'_>) -> Result<ListedObjects> {
        self.with(|open| open.survey.objects(target, request))
    }

    fn diff(&self, target: TargetIdx, request: &Diff<'_>) -> Result<Differences> {
        self.with(|open| open.survey.diff(target, request))
    }

    fn check(&self, target: TargetIdx, request: &Check<'_>) -> Result<Checked> {
        self.with(|open| open.survey.check(target, request))
    }

    fn count(&self, target: TargetIdx, request: &Count<'_>) -> Result<Counted> {
        self.with(|open| open.survey.count(target, request))
    }
}

/// A transaction of one turn: it does not outlive that.
#[derive(Debug)]
struct InTransaction {
    system: Arc<SharedSystem>,
    turn: u64,
    /// The system, where this process has it; a transaction does not keep it from being let go.
    near: Option<Weak<System>>,
    route: Arc<dyn Route>,
    end: Arc<dyn TransactionEnd>,
}

/// What becomes of a transaction whose holder went before it committed.
fn gone() -> Error {
    let message = "the holder of the system was lost before the commit; nothing of it happened";
    Error::new(Der::TxRestart, message).hint("run all of it again")
}

impl InTransaction {
    /// Does something in it, and looks whether its system is gone, for those that come later.
    fn noticed<T>(&self, run: impl FnOnce() -> Result<T>) -> Result<T> {
        self.system.check_open()?;
        let near: Near = self.near.as_ref().and_then(Weak::upgrade);
        let is_gone = self.near.is_some() && near.is_none();
        let inside = if is_gone { Err(gone()) } else { enter_near(&near) };
        let Ok(_inside) = inside else {
            self.system.suspect(self.turn);
            return Err(gone());
        };
        let result = run();
        if let Err(error) = &result
            && (error.nothing_happened || error.der == Der::TxUncertain)
        {
            self.system.suspect(self.turn);
        }
        result
    }
}

impl Route for InTransaction {
    fn targets(&self) -> u32 {
        self.route.targets()
    }

    fn update(&self, target: TargetIdx, request: &Update<'_>) -> Result<()> {
        self.noticed(|| self.route.update(target, request))
    }

    fn fetch(&self, target: TargetIdx, request: &Fetch<'_>, iods: &mut [FetchIod<'_>]) -> Result<()> {
        self.noticed(|| self.route.fetch(target, request, iods))
    }

    fn query(&self, target: TargetIdx, request: &Query<'_>) -> Result<Option<KeyFound>> {
        self.noticed(|| self.route.query(target, request))
    }

    fn punch(&self, target: TargetIdx, request: &Punch<'_>) -> Result<()> {
        self.noticed(|| self.route.punch(target, request))
    }

    fn list(&self, target: TargetIdx, request: &List<'_>) -> Result<ListedKeys> {
        self.noticed(|| self.route.list(target, request))
    }

    fn list_pairs(&self, target: TargetIdx, request: &List<'_>) -> Result<ListedPairs> {
        self.noticed(|| self.route.list_pairs(target, request))
    }
}

impl TransactionEnd for InTransaction {
    fn commit_once(&self, _: Option<Origin>) -> Result<()> {
        if self.near.is_some() {
            // No answer is lost.
            return self.noticed(|| self.end.commit_once(None));
        }
        let origin = self.system.next_origin();
        let committed = self.noticed(|| self.end.commit_once(Some(origin)));
        match committed {
            Err(unknown) if unknown.der == Der::TxUncertain => match self.system.settle(origin) {
                Ok(true) => Ok(()),
                Ok(false) => Err(gone()),
                Err(_) => Err(unknown),
            },
            committed => committed,
        }
    }

    fn abort(&self) -> Result<()> {
        match self.noticed(|| self.end.abort()) {
            // It has ended with its system.
            Err(error) if error.der == Der::TxRestart => Ok(()),
            result => result,
        }
    }
}
