//! Open handles: what a number in a request's header stands for.

use crate::serve::Refused;
use crate::service::{TOO_MANY, WRONG_HANDLE};
use daos_client::{ContainerService, PoolService, Route, Survey, TransactionEnd};
use daos_locks::Mutex;
use daos_types::{ContainerId, Durability, limits};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Handles of pools and containers that are kept at once; a few hundred bytes each.
pub(crate) const HANDLES_MAX: usize = 65_536;
/// Transactions that are open at once: each may hold megabytes.
pub(crate) const TRANSACTIONS_MAX: usize = 4_096;
/// How long a transaction is kept. What it reads is kept no longer either.
const TRANSACTION_LIFE: Duration = Duration::from_secs(limits::TX_LIFE_S_MAX);
/// Between two looks for those whose time is over, while others are begun.
const LOOK: Duration = Duration::from_secs(1);

/// What requests with a handle may reach.
#[derive(Debug, Clone)]
pub struct Granted {
    /// The container; of no other may be asked.
    pub cont: ContainerId,
    /// The way to its objects.
    pub route: Arc<dyn Route>,
    /// The way to what it holds as a whole; none in a transaction.
    pub survey: Option<Arc<dyn Survey>>,
    /// What may be asked.
    pub rights: Rights,
}

/// What requests with a handle may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights {
    /// For what the container holds.
    pub read: bool,
    /// For changes of it.
    pub write: bool,
}

impl Rights {
    /// All that can be asked.
    pub const ALL: Self = Self { read: true, write: true };
}

/// What a handle stands for.
#[derive(Debug, Clone)]
pub(crate) enum Open {
    Pool(Arc<dyn PoolService>),
    Container { container: Arc<dyn ContainerService>, granted: Granted },
    Transaction(Begun),
}

/// A transaction.
#[derive(Debug, Clone)]
pub(crate) struct Begun {
    pub(crate) granted: Granted,
    pub(crate) end: Arc<dyn TransactionEnd>,
}

impl Begun {
    /// A new one of a container, for whoever has these rights there.
    pub(crate) fn new(
        container: &dyn ContainerService,
        rights: Rights,
        durability: Durability,
    ) -> Result<Self, Refused> {
        let tx = container.transaction(durability).map_err(Refused::Failed)?;
        let (cont, route) = (tx.container.uuid(), tx.container.route());
        Ok(Self { granted: Granted { cont, route, survey: None, rights }, end: tx.end })
    }
}

/// The handles of a host.
#[derive(Debug, Default)]
pub struct Handles {
    /// Keys that nobody else knows make its numbers: none can be guessed.
    numbers: RandomState,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    /// When transactions were last looked through for those whose time is over.
    looked: Option<Instant>,
    /// Counts up with each use and each new one.
    turn: u64,
    open: HashMap<u64, (Open, u64)>,
    /// With when and by which handle they were begun.
    transactions: HashMap<u64, (Begun, Instant, u64)>,
}

impl Handles {
    /// Keeps what was opened; its number.
    pub(crate) fn insert(&self, open: Open) -> u64 {
        let mut table = self.table.lock();
        let mut gone = None;
        if table.open.len() >= HANDLES_MAX {
            // Who still needs it opens it again.
            let oldest = table.open.iter().min_by_key(|(_, (_, used))| *used).map(|(number, _)| *number);
            gone = oldest.and_then(|number| table.open.remove(&number));
        }
        let number = self.fresh(&mut table);
        let turn = table.turn;
        table.open.insert(number, (open, turn));
        drop(table);
        // What it holds goes outside of the lock.
        drop(gone);
        number
    }

    /// Keeps what somebody else opened, under the number that he gave it.
    pub(crate) fn install(&self, number: u64, open: Open) {
        let mut table = self.table.lock();
        table.turn += 1;
        let turn = table.turn;
        let before = table.open.insert(number, (open, turn));
        drop(table);
        drop(before);
    }

    /// Forgets what numbers stand for, and the transactions that were begun by them.
    pub(crate) fn revoke(&self, numbers: &[u64]) {
        let mut table = self.table.lock();
        let open: Vec<Open> =
            numbers.iter().filter_map(|number| Some(table.open.remove(number)?.0)).collect();
        let begun: Vec<u64> = table
            .transactions
            .iter()
            .filter_map(|(number, (_, _, by))| numbers.contains(by).then_some(*number))
            .collect();
        let gone: Vec<Begun> =
            begun.iter().filter_map(|number| Some(table.transactions.remove(number)?.0)).collect();
        drop(table);
        // What they hold goes outside of the lock.
        drop((open, gone));
    }

    /// The transaction of a number, which its client draws, of a container: begun by this, unless it was by the same handle before.
    pub(crate) fn begun(
        &self,
        number: u64,
        (by, durability): (u64, Durability),
        container: &dyn ContainerService,
        rights: Rights,
    ) -> Result<Begun, Refused> {
        if let Some((begun, _, of)) = self.table.lock().transactions.get(&number) {
            return if *of == by { Ok(begun.clone()) } else { Err(WRONG_HANDLE) };
        }
        let begun = Begun::new(container, rights, durability)?;
        self.insert_transaction(number, begun.clone(), Instant::now(), by)?;
        Ok(begun)
    }

    /// Keeps a transaction, begun by a handle. Refused where there are too many, or the number is in use.
    fn insert_transaction(&self, number: u64, begun: Begun, now: Instant, by: u64) -> Result<(), Refused> {
        let mut table = self.table.lock();
        let is_full = table.transactions.len() >= TRANSACTIONS_MAX;
        let mut gone = Vec::new();
        if is_full || table.looked.is_none_or(|looked| now.duration_since(looked) >= LOOK) {
            table.looked = Some(now);
            let over = |_: &u64, (_, begun, _): &mut (Begun, Instant, u64)| {
                now.duration_since(*begun) > TRANSACTION_LIFE
            };
            gone.extend(table.transactions.extract_if(over));
        }
        let is_taken =
            number == 0 || table.open.contains_key(&number) || table.transactions.contains_key(&number);
        let kept = if is_taken {
            Err(WRONG_HANDLE)
        } else if table.transactions.len() < TRANSACTIONS_MAX {
            table.transactions.insert(number, (begun, now, by));
            Ok(())
        } else {
            Err(TOO_MANY)
        };
        drop(table);
        // Their drafts go outside of the lock: each may hold megabytes.
        drop(gone);
        kept
    }

    /// A number that is not in use.
    fn fresh(&self, table: &mut Table) -> u64 {
        loop {
            table.turn += 1;
            let number = self.numbers.hash_one(table.turn);
            let taken = table.open.contains_key(&number) || table.transactions.contains_key(&number);
            if number != 0 && !taken {
                return number;
            }
        }
    }

    /// What a number stands for.
    pub(crate) fn get(&self, number: u64) -> Option<Open> {
        let mut table = self.table.lock();
        table.turn += 1;
        let turn = table.turn;
        if let Some((open, used)) = table.open.get_mut(&number) {
            *used = turn;
            return Some(open.clone());
        }
        table.transactions.get(&number).map(|(begun, ..)| Open::Transaction(begun.clone()))
    }

    /// Forgets all.
    pub(crate) fn clear(&self) {
        let mut table = self.table.lock();
        let gone = (std::mem::take(&mut table.open), std::mem::take(&mut table.transactions));
        drop(table);
        // What they hold goes outside of the lock.
        drop(gone);
    }

    /// Forgets a transaction.
    pub(crate) fn remove_transaction(&self, number: u64) {
        let gone = self.table.lock().transactions.remove(&number);
        // Its draft goes outside of the lock.
        drop(gone);
    }
}

#[cfg(test)]
mod tests {
    use super::{Begun, Handles, LOOK, Rights, TRANSACTION_LIFE, TRANSACTIONS_MAX};
    use crate::serve::Refused;
    use daos_embed::{Options, System};
    use daos_types::{Der, Durability};
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    /// A transaction of a system in memory.
    fn begun(system: &Arc<System>) -> Begun {
        let label = format!("p{}", system.pools().unwrap().len());
        let pool = daos_client::SystemService::pool_create(Arc::clone(system), &label, b"\x80").unwrap();
        let container = pool.container_create(&daos_client::NewContainer {
            label: "c",
            props: b"\x80",
            checksums: daos_types::Checksums { kind: None, piece_size: 0, server_verifies: false },
            scrub_disabled: false,
        });
        let container = container.unwrap();
        Begun::new(&*container, Rights::ALL, Durability::Synced).unwrap()
    }

    #[test]
    fn transactions_whose_time_is_over_are_let_go_though_there_is_room() {
        let system = System::in_memory(&Options::default()).unwrap();
        let (handles, begin) = (Handles::default(), Instant::now());
        let open = begun(&system);
        let insert = |number, at| handles.insert_transaction(number, open.clone(), at, 1).unwrap();
        let at = |more: Duration| begin + TRANSACTION_LIFE + more;
        insert(1, begin);
        insert(2, at(Duration::ZERO));
        assert!(handles.get(1).is_some(), "its time is not over yet");
        insert(3, at(LOOK / 2));
        assert!(handles.get(1).is_some(), "it is not looked each time");
        insert(4, at(LOOK));
        assert!(handles.get(1).is_none());
        assert!((2..=4).all(|number| handles.get(number).is_some()));
    }

    #[test]
    fn of_transactions_there_are_so_many_and_no_more_until_some_are_over() {
        let system = System::in_memory(&Options::default()).unwrap();
        let (handles, begin) = (Handles::default(), Instant::now());
        let open = begun(&system);
        let insert = |number, at| handles.insert_transaction(number, open.clone(), at, 1);
        (1..=TRANSACTIONS_MAX as u64).for_each(|number| insert(number, begin).unwrap());
        let refused = |result: Result<(), Refused>| result.unwrap_err().der();
        assert_eq!(refused(insert(u64::MAX, begin)), Der::Busy);
        let later = begin + TRANSACTION_LIFE + Duration::from_millis(1);
        insert(u64::MAX, later).unwrap();
        assert_eq!(refused(insert(u64::MAX, later)), Der::Inval, "it is in use");
        assert_eq!(refused(insert(0, later)), Der::Inval);
    }
}
