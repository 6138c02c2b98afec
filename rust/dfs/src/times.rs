//! When a file or directory was changed: what of that is stored, and what is not yet. No I/O.

use crate::record::{Record, Time};
use daos_locks::Mutex;
use std::sync::atomic::AtomicBool;

/// The times of something that is open, or was left.
#[derive(Debug, Default)]
pub(crate) struct Times {
    /// When it was written to, where that is not stored yet.
    written: Mutex<Option<Time>>,
    /// The time in its record when this mount saw or stored that last.
    seen: Mutex<Option<Time>>,
    /// It is among the files that were left.
    pub(crate) is_left: AtomicBool,
}

impl Times {
    /// Takes note that its content changed.
    pub(crate) fn touch(&self, now: Time) {
        let mut written = self.written.lock();
        *written = Some(written.map_or(now, |before| before.max(now)));
    }

    /// Takes note of when its content changed, by who knows it exactly.
    pub(crate) fn touched_at(&self, time: Time) {
        *self.written.lock() = Some(time);
    }

    /// When its content changed, where that is not stored.
    pub(crate) fn written(&self) -> Option<Time> {
        *self.written.lock()
    }

    /// Takes note of the time in its record, as it was read. While another waits to be stored, it is the one before that.
    pub(crate) fn saw(&self, stored: Time) {
        if self.written().is_none() {
            self.stored(stored);
        }
    }

    /// This mount put that time into its record.
    pub(crate) fn stored(&self, time: Time) {
        *self.seen.lock() = Some(time);
    }

    /// Whether another mount has set another time since: it changed the record after that time, which is not stored any more.
    pub(crate) fn is_outdone(&self, record: &Record, time: Time) -> bool {
        self.seen.lock().is_some_and(|seen| seen != record.mtime) && record.ctime > time
    }

    /// That time was stored, or another was set.
    pub(crate) fn settled(&self, time: Option<Time>) {
        let mut written = self.written.lock();
        if time.is_none() || *written == time {
            *written = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Kind;
    use daos_types::ObjectId;

    #[test]
    fn times_wait_until_they_are_stored() {
        let times = Times::default();
        let at = |seconds| Time { seconds, nanoseconds: 0 };
        times.touch(at(5));
        times.touch(at(4));
        assert_eq!(times.written(), Some(at(5)));
        times.settled(Some(at(4)));
        assert_eq!(times.written(), Some(at(5)), "written to again since");
        times.settled(Some(at(5)));
        assert_eq!(times.written(), None);
        times.touch(at(6));
        times.settled(None);
        assert_eq!(times.written(), None);
    }

    #[test]
    fn a_time_that_another_mount_set_stays() {
        let times = Times::default();
        let at = |seconds| Time { seconds, nanoseconds: 0 };
        let record = |mtime, ctime| Record {
            ctime: at(ctime),
            ..Record::new(Kind::File, 0o644, ObjectId::default(), (0, 0), at(mtime))
        };
        assert!(!times.is_outdone(&record(9, 9), at(5)), "nothing was seen");
        times.saw(at(1));
        times.touch(at(5));
        times.saw(at(9));
        assert!(!times.is_outdone(&record(1, 1), at(5)));
        assert!(!times.is_outdone(&record(1, 9), at(5)), "its mode was changed, or its name");
        assert!(!times.is_outdone(&record(3, 3), at(5)), "it was written before");
        assert!(times.is_outdone(&record(9, 9), at(5)), "it was written since");
        assert!(times.is_outdone(&record(0, 9), at(5)), "its time was set since");
    }
}
