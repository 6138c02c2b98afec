//! Files that were closed and whose times are stored a little later: nobody waits for that, and what is written again, or removed, in
//! the meantime has it stored once, or never.

use crate::errno::Result;
use crate::mount::{Dfs, Shared};
use crate::node::Node;
use daos_locks::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Files that wait at most; of more, times are stored when they are closed.
const LEFT_MAX: usize = 16 << 10;

/// Files whose times are in memory only though nobody has them open, in the order in which they were closed.
#[derive(Debug, Default)]
pub(crate) struct Left(Mutex<VecDeque<(Instant, Arc<Node>)>>);

impl Left {
    /// Takes one in; false if there are too many.
    pub(crate) fn add(&self, node: &Arc<Node>, now: Instant) -> bool {
        let mut left = self.0.lock();
        if left.len() >= LEFT_MAX {
            return false;
        }
        if !node.times.is_left.swap(true, Ordering::AcqRel) {
            left.push_back((now, Arc::clone(node)));
        }
        true
    }

    /// The first, if it was closed at that time or before.
    fn take(&self, until: Instant) -> Option<Arc<Node>> {
        let mut left = self.0.lock();
        let (_, node) =
            left.front().is_some_and(|(closed, _)| *closed <= until).then(|| left.pop_front())??;
        // Whatever is written from now on is taken in again.
        node.times.is_left.store(false, Ordering::Release);
        Some(node)
    }
}

impl Shared {
    /// Stores the times of files that were left at least so long ago. Of one that fails there is no more to be had than when it is closed.
    pub(crate) fn store_left(&self, ago: Duration, go_on: impl Fn() -> bool) -> Result<()> {
        let Some(until) = Instant::now().checked_sub(ago) else { return Ok(()) };
        let mut result = Ok(());
        while go_on()
            && let Some(node) = self.left.take(until)
        {
            result = result.and(self.store_times(&node));
        }
        result
    }
}

impl Dfs {
    /// Stores when files changed that were left ([`File::leave`](crate::File::leave)) at least so long ago, one after the other as long as
    /// one may go on.
    pub fn store_left(&self, ago: Duration, go_on: impl Fn() -> bool) -> Result<()> {
        self.shared.check()?;
        self.shared.store_left(ago, go_on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::{Defaults, Place};
    use crate::record::Kind;
    use daos_types::ObjectId;

    fn node(lo: u64) -> Arc<Node> {
        Arc::new(Node::new(ObjectId { hi: 0, lo }, Kind::File, Place::Root, Defaults::default()))
    }

    #[test]
    fn the_first_comes_first_and_each_once() {
        let (left, begin) = (Left::default(), Instant::now());
        let at = |ms| begin + Duration::from_millis(ms);
        let (one, two) = (node(1), node(2));
        assert!(left.add(&one, at(1)) && left.add(&two, at(2)) && left.add(&one, at(3)));
        assert!(left.take(at(0)).is_none());
        assert!(Arc::ptr_eq(&left.take(at(1)).unwrap(), &one));
        assert!(left.take(at(1)).is_none());
        assert!(left.add(&one, at(4)), "it was written again");
        assert!(Arc::ptr_eq(&left.take(at(9)).unwrap(), &two));
        assert!(Arc::ptr_eq(&left.take(at(9)).unwrap(), &one));
        assert!(left.take(at(9)).is_none());
    }

    #[test]
    fn so_many_wait_and_no_more() {
        let (left, now) = (Left::default(), Instant::now());
        for lo in 0..LEFT_MAX as u64 {
            assert!(left.add(&node(lo), now));
        }
        assert!(!left.add(&node(u64::MAX), now));
        left.take(now).unwrap();
        assert!(left.add(&node(u64::MAX), now));
    }
}
