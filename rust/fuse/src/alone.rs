//! Whether there is more to do than one thread can.

use crate::abi::Opcode;
use std::time::Duration;

/// A request that is there sooner than that was there before the one that was answered last: somebody else asks, too, or will.
const AT_ONCE: Duration = Duration::from_micros(3);
/// Bytes of a request and its answer: a thread that asked for more may have asked for more than that.
const LITTLE: usize = 32 << 10;

/// Who asked one thread of a mount, as far as it tells whether he asks alone.
#[derive(Debug, Default)]
pub(crate) struct Alone {
    /// The thread that asked last, for little; 0 where several may.
    thread: u32,
    /// The kernel asked by itself last.
    by_itself: bool,
}

impl Alone {
    /// Whether somebody else should take the next request, now that this one was there after so long.
    ///
    /// Whoever waits for each answer asks again at once, too, if he runs where the answering thread does. So does the kernel on
    /// his behalf: it writes what he left behind when he closes a file, before he goes on; and it says by itself that files are
    /// closed and names forgotten, for which nobody waits.
    pub(crate) fn needs_help(&self, waited: Duration, opcode: u32, thread: u32) -> bool {
        let alone = match thread {
            0 => is_farewell(opcode) || !self.by_itself,
            thread => thread == self.thread,
        };
        waited < AT_ONCE && !alone
    }

    /// A request was answered; so many bytes are in it and its answer.
    pub(crate) fn answered(&mut self, opcode: u32, thread: u32, len: usize) {
        if len > LITTLE {
            *self = Self { thread: 0, by_itself: thread == 0 };
        } else if thread != 0 {
            *self = Self { thread, by_itself: false };
        } else if !is_farewell(opcode) {
            self.by_itself = true;
        }
    }
}

fn is_farewell(opcode: u32) -> bool {
    use Opcode::{BatchForget, Forget, Release, Releasedir};
    matches!(Opcode::of(opcode), Some(Release | Releasedir | Forget | BatchForget))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_micros(1);
    const LATER: Duration = Duration::from_micros(30);

    /// Answers requests that are there at once; for which of them somebody is called.
    fn called(requests: &[(Opcode, u32, usize)]) -> Vec<bool> {
        let mut alone = Alone::default();
        let each = |(opcode, thread, len): &(Opcode, u32, usize)| {
            let called = alone.needs_help(NOW, *opcode as u32, *thread);
            alone.answered(*opcode as u32, *thread, *len);
            called
        };
        requests.iter().map(each).collect()
    }

    #[test]
    fn one_thread_that_waits_for_each_answer_needs_no_help() {
        // A file that is opened, written and closed with write-back, and the next one.
        let file = [
            (Opcode::Open, 7, 100),
            (Opcode::Write, 0, 4200),
            (Opcode::Setattr, 7, 80),
            (Opcode::Release, 0, 80),
        ];
        assert_eq!(called(&[file, file].concat()), [true, false, false, false, false, false, false, false]);
        assert_eq!(
            called(&[(Opcode::Lookup, 7, 100), (Opcode::Lookup, 7, 100), (Opcode::Forget, 0, 60)]),
            [true, false, false]
        );
    }

    #[test]
    fn several_that_ask_at_once_do() {
        assert_eq!(
            called(&[(Opcode::Lookup, 7, 100), (Opcode::Lookup, 8, 100), (Opcode::Lookup, 7, 100)]),
            [true; 3]
        );
        // What the kernel writes back of many files, or of one that was written here and there.
        assert_eq!(
            called(&[(Opcode::Write, 0, 4200), (Opcode::Write, 0, 4200), (Opcode::Write, 0, 4200)]),
            [false, true, true]
        );
        // Who asks for much may ask for what follows as well.
        assert_eq!(called(&[(Opcode::Read, 7, 131_072), (Opcode::Read, 7, 131_072)]), [true, true]);
        // It hides nobody that a file was closed.
        assert_eq!(
            called(&[(Opcode::Read, 7, 100), (Opcode::Release, 0, 80), (Opcode::Read, 8, 100)]),
            [true, false, true]
        );
    }

    #[test]
    fn who_comes_later_is_waited_for() {
        let mut alone = Alone::default();
        alone.answered(Opcode::Read as u32, 7, 100);
        assert!(alone.needs_help(NOW, Opcode::Read as u32, 8));
        assert!(!alone.needs_help(LATER, Opcode::Read as u32, 8));
    }
}
