//! Look-ups ahead of those that are asked for: who looks up the names of a directory in their order is going to ask for the next ones,
//! and many are looked up together for a few waits. Decides only; no I/O.
//!
//! What was looked up ahead is told once, as long as the kernel might have kept it since, and only if nothing was changed by this mount.

use daos_dfs::{Attr, Kind};
use daos_locks::Mutex;
use daos_types::ObjectId;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Names that are looked up together.
const TOGETHER: usize = 32;
/// Look-ups in order, one after the other, from which on more are expected.
const RUN: usize = 6;
/// Directories that are followed at a time; those that were asked about longest ago are given up.
const COURSES_MAX: usize = 4;
/// Names of a directory that are remembered; where there are more, none are looked up ahead.
pub(crate) const NAMES_MAX: usize = 16 << 10;
/// So long names are taken for those of the directory. One that came since is looked up by itself, one that went is not told.
const NAMES_TIME: Duration = Duration::from_secs(5);
/// So many names that came since, and a part of those that were there, are looked up by themselves before all are listed again.
const STRANGE_MAX: usize = 8;
const STRANGE_PART: usize = 16;

/// What is to be done about a name that is asked for.
#[derive(Debug, PartialEq)]
pub(crate) enum Step {
    /// It was looked up so long ago.
    Known(Box<Attr>, Duration),
    /// It is looked up by itself.
    Look,
    /// The same, and the names of its directory are wanted.
    List,
    /// It is looked up together with those that follow.
    Together(Vec<Vec<u8>>),
}

/// A moment, to be asked for before something is looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    changes: u64,
    at: Instant,
}

/// What was looked up together.
#[derive(Debug)]
struct Batch {
    since: Moment,
    entries: HashMap<Vec<u8>, Attr>,
    /// How many there were.
    count: usize,
}

/// Names of a directory, ascending; `None` if there are too many.
type Names = Option<Arc<[Vec<u8>]>>;

/// How a directory is looked through.
#[derive(Debug)]
struct Course {
    dir: ObjectId,
    last: Vec<u8>,
    /// Look-ups in order, until this one.
    run: usize,
    /// Those that there are, and when they were listed.
    names: Option<(Instant, Names)>,
    /// Look-ups of what is not among them.
    strange: usize,
    batch: Option<Batch>,
}

impl Course {
    fn of(dir: ObjectId) -> Self {
        Self { dir, last: Vec::new(), run: 0, names: None, strange: 0, batch: None }
    }

    /// What is known of a name, and since when.
    fn known(&mut self, name: &[u8], now: Moment, valid: Duration) -> Option<(Attr, Duration)> {
        let batch = self.batch.as_mut()?;
        let age = now.at.saturating_duration_since(batch.since.at);
        if batch.since.changes != now.changes || age >= valid {
            return None;
        }
        Some((batch.entries.remove(name)?, age))
    }

    /// Whether more of what was looked up together was told than not.
    fn is_worth_it(&self, now: Moment) -> bool {
        let wasted =
            |batch: &Batch| batch.since.changes == now.changes && 2 * batch.entries.len() > batch.count;
        !self.batch.as_ref().is_some_and(wasted)
    }
}

/// The directories of a file system that somebody looks through.
#[derive(Debug)]
pub(crate) struct Ahead {
    /// So long the kernel may keep what a name leads to and what is known of that; nothing is looked up ahead where it may not.
    valid: Duration,
    changes: AtomicU64,
    courses: Mutex<VecDeque<Course>>,
}

impl Ahead {
    /// With what the kernel may keep so long.
    pub(crate) fn new(valid: Duration) -> Self {
        Self { valid, changes: AtomicU64::new(0), courses: Mutex::default() }
    }

    /// Something was changed, and whoever did it is going to be told so: what was looked up before holds no longer.
    pub(crate) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Now.
    pub(crate) fn moment(&self) -> Moment {
        Moment { changes: self.changes.load(Ordering::Acquire), at: Instant::now() }
    }

    /// A name is asked for.
    pub(crate) fn asked(&self, dir: ObjectId, name: &[u8], now: Moment) -> Step {
        if self.valid.is_zero() {
            return Step::Look;
        }
        let mut courses = self.courses.lock();
        let mut course =
            match courses.iter().position(|course| course.dir == dir).and_then(|at| courses.remove(at)) {
                Some(course) => course,
                None => Course::of(dir),
            };
        let step = self.step(&mut course, name, now);
        courses.push_front(course);
        courses.truncate(COURSES_MAX);
        step
    }

    fn step(&self, course: &mut Course, name: &[u8], now: Moment) -> Step {
        let in_order = course.last.as_slice() < name;
        course.run = if in_order { course.run + 1 } else { 0 };
        course.last.clear();
        course.last.extend_from_slice(name);
        if let Some((attr, age)) = course.known(name, now, self.valid) {
            return Step::Known(Box::new(attr), age);
        }
        if course.run < RUN {
            return Step::Look;
        }
        if !course.is_worth_it(now) {
            (course.run, course.batch) = (0, None);
            return Step::Look;
        }
        let listed = course.names.as_ref();
        let listed = listed.filter(|(listed, _)| now.at.saturating_duration_since(*listed) < NAMES_TIME);
        let Some((_, names)) = listed else { return Step::List };
        let Some(names) = names else { return Step::Look };
        let Ok(at) = names.binary_search_by(|other| other.as_slice().cmp(name)) else {
            course.strange += 1;
            if course.strange > STRANGE_MAX + names.len() / STRANGE_PART {
                course.names = None;
            }
            return Step::Look;
        };
        let together: Vec<Vec<u8>> = names.iter().skip(at).take(TOGETHER).cloned().collect();
        if together.len() < 2 { Step::Look } else { Step::Together(together) }
    }

    /// The names of a directory; `None` if there are too many.
    pub(crate) fn listed(&self, dir: ObjectId, names: Option<Vec<Vec<u8>>>, now: Moment) {
        let names = names.map(|mut names| {
            names.sort_unstable();
            Arc::from(names)
        });
        if let Some(course) = self.courses.lock().iter_mut().find(|course| course.dir == dir) {
            (course.names, course.strange) = (Some((now.at, names)), 0);
        }
    }

    /// What was asked for last there is not there: whoever makes files looks for their names before.
    pub(crate) fn missed(&self, dir: ObjectId) {
        if let Some(course) = self.courses.lock().iter_mut().find(|course| course.dir == dir) {
            course.run = 0;
        }
    }

    /// What names lead to was looked up, not before that moment. Of directories nothing is kept: where they lead is another question.
    pub(crate) fn keep(&self, dir: ObjectId, entries: impl Iterator<Item = (Vec<u8>, Attr)>, since: Moment) {
        let entries: HashMap<_, _> = entries.filter(|(_, attr)| attr.kind != Kind::Directory).collect();
        if let Some(course) = self.courses.lock().iter_mut().find(|course| course.dir == dir) {
            course.batch = Some(Batch { since, count: entries.len(), entries });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use daos_dfs::Time;

    const DIR: ObjectId = ObjectId { hi: 0, lo: 7 };
    const VALID: Duration = Duration::from_secs(1);

    fn name(number: usize) -> Vec<u8> {
        format!("f{number:04}").into_bytes()
    }

    fn attr(kind: Kind) -> Attr {
        let time = Time { seconds: 1, nanoseconds: 0 };
        let (atime, mtime, ctime) = (time, time, time);
        let (oid, mode, links, uid, gid, size, blocks) = (ObjectId::default(), 0o644, 1, 0, 0, 0, 0);
        Attr {
            oid,
            kind,
            mode,
            links,
            uid,
            gid,
            size,
            blocks,
            atime,
            mtime,
            ctime,
            chunk_size: 1,
            class: None,
        }
    }

    fn all(count: usize) -> Vec<Vec<u8>> {
        (0..count).rev().map(name).collect()
    }

    /// Looks up names in their order until some are to be looked up together, which are then known.
    fn begun(ahead: &Ahead, count: usize) -> usize {
        for number in 0..count {
            match ahead.asked(DIR, &name(number), ahead.moment()) {
                Step::Look => {}
                Step::List => ahead.listed(DIR, Some(all(count)), ahead.moment()),
                Step::Together(names) => {
                    assert_eq!(names.first(), Some(&name(number)));
                    let entries = names.into_iter().skip(1).map(|name| (name, attr(Kind::File)));
                    ahead.keep(DIR, entries, ahead.moment());
                    return number;
                }
                Step::Known(..) => panic!("known before it was looked up"),
            }
        }
        panic!("nothing is looked up ahead");
    }

    #[test]
    fn who_looks_names_up_in_their_order_is_told_the_next_ones_from_memory() {
        let ahead = Ahead::new(VALID);
        let at = begun(&ahead, 100);
        assert_eq!(at, RUN);
        for number in at + 1..at + TOGETHER {
            let step = ahead.asked(DIR, &name(number), ahead.moment());
            assert!(matches!(step, Step::Known(_, age) if age < VALID), "{number}");
        }
        let next = ahead.asked(DIR, &name(at + TOGETHER), ahead.moment());
        assert!(matches!(next, Step::Together(names) if names.len() == TOGETHER));
    }

    #[test]
    fn each_is_told_once_and_what_was_changed_or_is_old_not_at_all() {
        let ahead = Ahead::new(VALID);
        let at = begun(&ahead, 100);
        let asked = |number: usize, now| ahead.asked(DIR, &name(number), now);
        assert!(matches!(asked(at + 1, ahead.moment()), Step::Known(..)));
        assert!(!matches!(asked(at + 1, ahead.moment()), Step::Known(..)), "told before");
        let late = Moment { at: Instant::now() + VALID, ..ahead.moment() };
        assert!(!matches!(asked(at + 2, late), Step::Known(..)), "too old");
        let before = ahead.moment();
        ahead.changed();
        assert!(!matches!(asked(at + 3, ahead.moment()), Step::Known(..)), "changed since");
        // What was looked up before a change and comes late is not told either.
        ahead.keep(DIR, std::iter::once((name(at + 4), attr(Kind::File))), before);
        assert!(!matches!(asked(at + 4, ahead.moment()), Step::Known(..)));
        ahead.keep(DIR, std::iter::once((name(at + 5), attr(Kind::Directory))), ahead.moment());
        assert!(!matches!(asked(at + 5, ahead.moment()), Step::Known(..)), "a directory");
    }

    #[test]
    fn names_in_no_order_and_what_nobody_asks_for_are_not_looked_up_ahead() {
        let ahead = Ahead::new(VALID);
        for number in 0..1000 {
            assert_eq!(ahead.asked(DIR, &name(number * 7919 % 1000), ahead.moment()), Step::Look, "{number}");
        }
        // In order, but by far not all: one batch shows it.
        let ahead = Ahead::new(VALID);
        let mut together = 0;
        for number in (0..4000).step_by(40) {
            match ahead.asked(DIR, &name(number), ahead.moment()) {
                Step::List => ahead.listed(DIR, Some(all(4000)), ahead.moment()),
                Step::Together(names) => {
                    together += 1;
                    ahead.keep(
                        DIR,
                        names.into_iter().skip(1).map(|name| (name, attr(Kind::File))),
                        ahead.moment(),
                    );
                }
                _ => {}
            }
        }
        assert!((1..=100 / RUN).contains(&together), "{together}");
    }

    #[test]
    fn where_the_kernel_keeps_nothing_or_names_are_too_many_each_is_looked_up_by_itself() {
        let ahead = Ahead::new(Duration::ZERO);
        assert!((0..100).all(|number| ahead.asked(DIR, &name(number), ahead.moment()) == Step::Look));
        let ahead = Ahead::new(VALID);
        let mut lists = 0;
        for number in 0..100 {
            match ahead.asked(DIR, &name(number), ahead.moment()) {
                Step::List => {
                    lists += 1;
                    ahead.listed(DIR, None, ahead.moment());
                }
                step => assert_eq!(step, Step::Look),
            }
        }
        assert_eq!(lists, 1);
    }

    #[test]
    fn who_makes_files_is_not_taken_for_somebody_who_looks_at_them() {
        let ahead = Ahead::new(VALID);
        for number in 0..100 {
            assert_eq!(ahead.asked(DIR, &name(number), ahead.moment()), Step::Look);
            ahead.missed(DIR);
        }
        // Names that came since they were listed have them listed again, but not each of them.
        let (mut lists, mut together) = (0, 0);
        for number in 0..400 {
            match ahead.asked(DIR, &name(number), ahead.moment()) {
                Step::List => {
                    lists += 1;
                    ahead.listed(DIR, Some(all(number + 1)), ahead.moment());
                }
                Step::Together(_) => together += 1,
                _ => {}
            }
        }
        assert!((2..=30).contains(&lists) && together == 0, "{lists} {together}");
    }

    #[test]
    fn few_directories_are_followed() {
        let ahead = Ahead::new(VALID);
        for number in 0..100 {
            for dir in 0..2 * COURSES_MAX as u64 {
                let step = ahead.asked(ObjectId { hi: 0, lo: dir }, &name(number), ahead.moment());
                assert_eq!(step, Step::Look, "each is forgotten before it is asked about again");
            }
        }
        assert_eq!(ahead.courses.lock().len(), COURSES_MAX);
    }
}
