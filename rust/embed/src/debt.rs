//! Replies that are put off: whoever runs several operations waits for all of them at once, and tells none before.

use crate::calls::Hold;
use crate::route::{Guard, told};
use daos_client::Result;
use daos_locks::Mutex;
use daos_types::{Durability, Lsn};
use daos_vos::{Seen, Store};
use std::cell::RefCell;
use std::sync::{Arc, Weak};

thread_local! {
    /// What the operation that runs on this thread owes; `None` where replies are not put off.
    static OWED: RefCell<Option<Debt>> = const { RefCell::new(None) };
    /// The systems that debts of this thread keep open.
    static HELD: RefCell<Vec<Weak<Held>>> = const { RefCell::new(Vec::new()) };
}

/// What must be safe before the reply of one operation may be told.
#[derive(Debug, Default)]
pub struct Debt {
    system: Option<Arc<Held>>,
    written: Lsn,
    durable: Lsn,
}

/// A system that stays open until the debts of a thread are settled: later, other processes may have its files.
#[derive(Debug)]
struct Held {
    store: Arc<Store>,
    /// `None` once it was let go.
    open: Mutex<Option<Hold>>,
}

impl Held {
    /// The one by which this thread holds a system. The caller is inside a call of that.
    fn here(guard: &Guard) -> Arc<Self> {
        HELD.with_borrow_mut(|held| {
            held.retain(|one| one.strong_count() > 0);
            let same = |one: &Arc<Self>| Arc::ptr_eq(&one.store, &guard.store);
            if let Some(one) = held.iter().filter_map(Weak::upgrade).find(same) {
                one.open.lock().get_or_insert_with(|| guard.calls.hold());
                return one;
            }
            let open = Mutex::new(Some(guard.calls.hold()));
            let one = Arc::new(Self { store: Arc::clone(&guard.store), open });
            held.push(Arc::downgrade(&one));
            one
        })
    }
}

/// Runs an operation whose reply waits for nothing: what it would have waited for is answered beside its result.
pub fn collect<R>(run: impl FnOnce() -> R) -> (R, Debt) {
    OWED.set(Some(Debt::default()));
    let result = run();
    (result, OWED.take().unwrap_or_default())
}

/// Keeps no system open any more for what this thread owes. To be called before it waits for one to be closed: who closes it waits
/// for those that keep it open. What it owes is safe then, or found to have failed, without a look at the files.
pub fn let_go() {
    let held = HELD.with_borrow(|held| held.iter().filter_map(Weak::upgrade).collect::<Vec<_>>());
    for one in held {
        // A failure is kept by the store, for who settles.
        let _ = one.store.sync();
        drop(one.open.lock().take());
    }
}

/// Puts a wait off, within [`collect`]; false where the caller has to wait now. The caller is inside a call of the
/// system.
pub(crate) fn put_off(guard: &Guard, seen: Seen, durability: Durability) -> bool {
    OWED.with_borrow_mut(|owed| {
        let Some(debt) = owed else { return false };
        match &debt.system {
            Some(held) if !Arc::ptr_eq(&held.store, &guard.store) => return false,
            // It may have been let go meanwhile.
            Some(held) => drop(held.open.lock().get_or_insert_with(|| guard.calls.hold())),
            None => debt.system = Some(Held::here(guard)),
        }
        let position = if durability == Durability::Synced { &mut debt.durable } else { &mut debt.written };
        *position = seen.0.max(*position);
        true
    })
}

impl Debt {
    /// Whether there is nothing to wait for any more.
    pub fn is_settled(&self) -> bool {
        self.system
            .as_ref()
            .is_none_or(|held| self.written == Lsn::ZERO && held.store.is_durable(self.durable))
    }

    /// Waits until the reply may be told.
    pub fn settle(&self) -> Result<()> {
        let Some(held) = &self.system else { return Ok(()) };
        held.store.wait(self.written, Durability::Buffered).map_err(told)?;
        held.store.wait(self.durable, Durability::Synced).map_err(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fork::Owner;
    use daos_locks::Mutex;
    use daos_types::Der;
    use daos_vos::StoreOptions;
    use daos_vos::media::MemoryMedia;
    use daos_vos::media::faulty::{Call, Fault, Faulty};

    /// A system's guard over a device that can be told to fail.
    fn guard() -> (Arc<Faulty>, Guard) {
        let media = Arc::new(Faulty::new(Arc::new(MemoryMedia::new())));
        let store = Store::create(media.clone(), [7; 16], StoreOptions::default()).unwrap();
        let guard = Guard {
            store: Arc::new(store),
            owner: Owner::here(),
            calls: Arc::default(),
            background: Mutex::new(None),
            epochs: Arc::default(),
            scrubs: Arc::default(),
        };
        (media, guard)
    }

    fn change(guard: &Guard, value: &[u8]) -> Seen {
        let mut tx = guard.store.begin().unwrap();
        tx.set_service_row(b"row", Some(value)).unwrap();
        Seen(tx.commit().unwrap())
    }

    /// The debt of one change.
    fn owed(guard: &Guard, value: &[u8], durability: Durability) -> Debt {
        let (put_off, debt) = collect(|| put_off(guard, change(guard, value), durability));
        assert!(put_off);
        debt
    }

    #[test]
    fn without_a_collector_nothing_is_put_off() {
        let (_, guard) = guard();
        assert!(!put_off(&guard, Seen(Lsn(1)), Durability::Synced));
        let ((), debt) = collect(|| ());
        assert!(debt.is_settled());
        debt.settle().unwrap();
        assert!(!put_off(&guard, Seen(Lsn(1)), Durability::Synced));
    }

    #[test]
    fn many_debts_are_settled_by_one_write() {
        for durability in [Durability::Synced, Durability::Buffered] {
            let (media, guard) = guard();
            let debts: Vec<Debt> = (0..50).map(|number| owed(&guard, &[number], durability)).collect();
            assert!(debts.iter().all(|debt| !debt.is_settled()));
            media.set(&[]);
            for debt in &debts {
                debt.settle().unwrap();
            }
            assert_eq!(media.count(Call::Write), 1);
            assert_eq!(debts.iter().all(Debt::is_settled), durability == Durability::Synced);
        }
    }

    #[test]
    fn who_owes_lets_a_system_be_closed_before_it_waits_for_that() {
        let (media, guard) = guard();
        let debts: Vec<Debt> = [b"1", b"2"].map(|value| owed(&guard, value, Durability::Synced)).into();
        assert!(guard.calls.is_busy());
        let_go();
        assert!(debts.iter().all(Debt::is_settled));
        // One that comes later keeps it open again, as long as it is there.
        let last = owed(&guard, b"3", Durability::Synced);
        assert!(guard.calls.is_busy());
        media.set(&[Fault::Fail { call: Call::Write, nth: 0, always: true }]);
        let_go();
        assert!(guard.calls.close());
        let before = media.count(Call::Write);
        assert!(last.settle().is_err());
        debts.iter().try_for_each(Debt::settle).unwrap();
        assert_eq!(media.count(Call::Write), before, "the files may be another's");
    }

    #[test]
    fn a_failed_sync_is_told_to_each_that_depends_on_it_and_to_no_other() {
        let (media, guard) = guard();
        let before = owed(&guard, b"before", Durability::Synced);
        before.settle().unwrap();
        media.set(&[Fault::Fail { call: Call::Write, nth: 0, always: true }]);
        let after = [owed(&guard, b"1", Durability::Synced), owed(&guard, b"2", Durability::Buffered)];
        for debt in &after {
            assert_eq!(debt.settle().unwrap_err().der, Der::TxUncertain);
        }
        before.settle().unwrap();
    }

    #[test]
    fn a_system_stays_open_until_the_debt_is_paid() {
        let (_, guard) = guard();
        let (closed, was_closed) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let debt = owed(&guard, b"1", Durability::Synced);
            scope.spawn(|| {
                guard.calls.close();
                closed.send(()).unwrap();
            });
            while guard.enter().is_ok() {
                std::thread::yield_now();
            }
            debt.settle().unwrap();
            assert!(was_closed.try_recv().is_err());
            drop(debt);
            was_closed.recv().unwrap();
        });
    }

    #[test]
    fn an_operation_on_two_systems_puts_off_one() {
        let ((_, one), (_, other)) = (guard(), guard());
        let (put_off, debt) = collect(|| {
            let first = put_off(&one, change(&one, b"1"), Durability::Synced);
            (first, put_off(&other, change(&other, b"1"), Durability::Synced))
        });
        assert_eq!(put_off, (true, false));
        debt.settle().unwrap();
    }
}
