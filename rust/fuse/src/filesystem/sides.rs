//! Who has an open file: the kernel, or programs at the side doors. Never both, so that nothing the kernel keeps of it is in the way.
//!
//! A handle is *plain* if it was opened as any other: the kernel may keep, map and run what it reads. While a file has a plain handle,
//! the doors answer `LATER` for it, and programs go by the kernel. All other handles avoid the page cache (`O_DIRECT`), and can be
//! taken over. `docs/internals/interception.md`.

use super::{Answer, Filesystem, Opened, Refusal, no};
use crate::abi::{Args, Header, Reply, forget_attr};
use daos_door::{INLINE_MAX, IOCTL_INFO, IOCTL_LEAVE, IOCTL_TAKE, Info, Op, Range, Status, Taken};
use daos_locks::{Mutex, RwLock};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

/// What is put before the answer to an `ioctl`: its result, and three numbers for requests that the kernel does not understand.
const IOCTL_HEAD: [u8; 16] = [0; 16];

#[derive(Debug, Default)]
struct Counts {
    plain: usize,
    taken: usize,
}

/// Both sides of one file.
#[derive(Debug, Default)]
struct Side {
    /// Read while a door works on the file, written by who comes or goes: so who has opened it plainly knows that no door is at it.
    counts: RwLock<Counts>,
    /// Written to at a door since the kernel was last told to forget what it keeps.
    wrote: AtomicBool,
}

/// What a handle is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Plain,
    /// It avoids the page cache, and is the kernel's.
    Aside,
    Taken,
}

/// The files that are open.
#[derive(Debug, Default)]
struct Table {
    open: HashMap<u64, Weak<Side>>,
    /// Closed files of which the kernel may keep what was there before a door was written at.
    stale: HashSet<u64>,
}

#[derive(Debug, Default)]
struct Shared {
    table: Mutex<Table>,
    /// Handles that are taken, and files in `stale`: mostly none, for the price of a load.
    taken: AtomicUsize,
    stale: AtomicUsize,
}

/// What tells the kernel of something. It waits for who changes the directory that this is about, so who tells holds nothing that a
/// request of the kernel's waits for.
type Tell = Box<dyn Fn(&[u8]) + Send + Sync>;

/// Who has which file.
#[derive(Default)]
pub(crate) struct Sides {
    shared: Arc<Shared>,
    /// Where the doors are and how the kernel is told, once there are any.
    doors: OnceLock<(Info, Tell)>,
}

impl std::fmt::Debug for Sides {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sides").field("shared", &self.shared).finish_non_exhaustive()
    }
}

/// A handle's part in it; it goes with the handle.
#[derive(Debug)]
pub(super) struct Hold {
    node: u64,
    side: Arc<Side>,
    shared: Arc<Shared>,
    state: Mutex<State>,
}

impl Sides {
    /// There are doors from now on.
    pub(crate) fn open(&self, info: Info, tell: impl Fn(&[u8]) + Send + Sync + 'static) {
        // Once, before anybody asks.
        let _ = self.doors.set((info, Box::new(tell)));
    }

    /// Tells the kernel what it would know by itself if it had gone by it. In the first tree nodes have their own numbers.
    pub(super) fn tell(&self, what: &[u8]) {
        if let Some((_, tell)) = self.doors.get() {
            tell(what);
        }
    }

    /// A handle of a node is opened. The other answer tells whether what the kernel keeps of it may still be true.
    pub(super) fn opened(&self, node: u64, plain: bool) -> (Hold, bool) {
        let mut table = self.shared.table.lock();
        let side = table.open.get(&node).and_then(Weak::upgrade).unwrap_or_else(|| {
            let side = Arc::new(Side::default());
            table.open.insert(node, Arc::downgrade(&side));
            side
        });
        let was_stale = plain && table.stale.remove(&node);
        if was_stale {
            self.shared.stale.fetch_sub(1, Ordering::Relaxed);
        }
        drop(table);
        let mut fresh = !was_stale;
        if plain {
            // Waits for whoever is at a door, for as long as the store takes.
            side.counts.write().plain += 1;
            fresh &= !side.wrote.swap(false, Ordering::AcqRel);
        }
        let state = Mutex::new(if plain { State::Plain } else { State::Aside });
        (Hold { node, side, shared: Arc::clone(&self.shared), state }, fresh)
    }

    /// Whether the kernel has to ask for the attributes of a node each time.
    pub(super) fn is_taken(&self, node: u64) -> bool {
        if self.shared.taken.load(Ordering::Acquire) == 0 {
            return false;
        }
        let side = self.shared.table.lock().open.get(&node).and_then(Weak::upgrade);
        side.is_some_and(|side| side.counts.read().taken > 0)
    }

    /// Whether a forgotten node has to be told of.
    pub(super) fn minds_forgotten(&self) -> bool {
        self.shared.stale.load(Ordering::Relaxed) > 0
    }

    /// The kernel keeps nothing of a node any more.
    pub(super) fn forgotten(&self, node: u64) {
        if self.shared.table.lock().stale.remove(&node) {
            self.shared.stale.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Hold {
    /// The doors may be asked for it from now on. False where the kernel has the file.
    fn take(&self) -> bool {
        let mut state = self.state.lock();
        if *state == State::Taken {
            return true;
        }
        let mut counts = self.side.counts.write();
        if *state == State::Plain || counts.plain > 0 {
            return false;
        }
        counts.taken += 1;
        self.shared.taken.fetch_add(1, Ordering::AcqRel);
        *state = State::Taken;
        true
    }

    /// The kernel has it for good.
    fn leave(&self) {
        let mut state = self.state.lock();
        let before = std::mem::replace(&mut *state, State::Plain);
        if before == State::Plain {
            return;
        }
        let mut counts = self.side.counts.write();
        counts.plain += 1;
        if before == State::Taken {
            counts.taken -= 1;
            self.shared.taken.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Whether no other handle of the file is open.
    fn is_alone(&self) -> bool {
        Arc::strong_count(&self.side) == 1
    }

    /// Works on the file at a door, if the doors have it.
    fn at_door<T>(&self, run: impl FnOnce() -> Answer<T>) -> Answer<T> {
        if *self.state.lock() != State::Taken {
            return Err(Refusal::Later);
        }
        let counts = self.side.counts.read();
        if counts.plain > 0 { Err(Refusal::Later) } else { run() }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut counts = self.side.counts.write();
        match *self.state.get_mut() {
            State::Plain => counts.plain -= 1,
            State::Aside => {}
            State::Taken => {
                counts.taken -= 1;
                self.shared.taken.fetch_sub(1, Ordering::AcqRel);
            }
        }
        drop(counts);
        let mut table = self.shared.table.lock();
        // Nobody gets it from the table meanwhile: with its last handle it goes.
        if Arc::strong_count(&self.side) == 1 {
            table.open.remove(&self.node);
            if self.side.wrote.load(Ordering::Acquire) && table.stale.insert(self.node) {
                self.shared.stale.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Filesystem {
    /// Answers what the side doors need of the kernel: where they are, and which file is whose.
    pub(super) fn ioctl_of_doors(
        &self,
        header: &Header,
        mut args: Args<'_>,
        reply: &mut Reply<'_>,
    ) -> Option<Answer> {
        let (Ok(handle), Ok(_flags), Ok(command)) = (args.u64(), args.u32(), args.u32()) else { return None };
        if !matches!(command, IOCTL_INFO | IOCTL_TAKE | IOCTL_LEAVE) {
            return None;
        }
        let Some((info, tell)) = self.sides.doors.get() else { return Some(no(libc::ENOTTY)) };
        // No other is let in.
        if header.uid != rustix::process::geteuid().as_raw() {
            return Some(no(libc::EPERM));
        }
        if command == IOCTL_INFO {
            reply.put(&IOCTL_HEAD);
            reply.put(&info.encode());
            return Some(Ok(()));
        }
        let opened = match self.files.get(handle) {
            Ok(opened) if opened.node == header.node => opened,
            _ => return Some(no(libc::ENOTTY)),
        };
        Some(take_or_leave(command == IOCTL_TAKE, handle, &opened, info, tell, reply))
    }

    /// Answers at a door: a reply, and what goes beside it.
    pub(crate) fn at_door(
        &self,
        op: Op,
        handle: u64,
        body: &[u8],
        beside: Option<&[u8]>,
    ) -> Answer<(Vec<u8>, Option<Vec<u8>>)> {
        // Closed by now, or never opened: what it was for can be asked of the kernel.
        let opened = self.files.get(handle).map_err(|_| Refusal::Later)?;
        let answer = opened.hold.at_door(|| match op {
            Op::Read => door_read(&opened, body),
            // Who has a handle of his own goes by how long the kernel knows the file to be.
            Op::Extend | Op::Append if !opened.hold.is_alone() => no(libc::EAGAIN),
            // The kernel appends by a handle that does not.
            Op::Append if !opened.appends => no(libc::EAGAIN),
            Op::Append => door_append(&opened, body, beside),
            Op::Write | Op::Extend => door_write(&opened, body, beside),
            // What is about a path needs no open file.
            _ => no(libc::EINVAL),
        });
        if op.changes() {
            self.forget_ahead();
        }
        self.close(opened);
        answer
    }
}

fn take_or_leave(
    take: bool,
    handle: u64,
    opened: &Opened,
    info: &Info,
    tell: &Tell,
    reply: &mut Reply<'_>,
) -> Answer {
    reply.put(&IOCTL_HEAD);
    if !take {
        opened.hold.leave();
        return Ok(());
    }
    // What the kernel keeps to write later is known to it alone.
    if info.write_back {
        return no(libc::EBUSY);
    }
    if !opened.hold.take() {
        return no(libc::EBUSY);
    }
    // What it was told before holds no longer than until somebody writes; from now on it asks.
    tell(&forget_attr(opened.node));
    reply.put(&Taken { handle }.encode());
    Ok(())
}

fn door_read(opened: &Opened, body: &[u8]) -> Answer<(Vec<u8>, Option<Vec<u8>>)> {
    let Some((Range { at, len }, [])) = Range::decode(body) else { return no(libc::EINVAL) };
    if !opened.reads {
        return no(libc::EBADF);
    }
    let len = len as usize;
    if len > INLINE_MAX {
        let mut bytes = vec![0; len];
        let read = opened.file.read(at, &mut bytes)?;
        bytes.truncate(read);
        return Ok((Status(0).and(&[]), (!bytes.is_empty()).then_some(bytes)));
    }
    let mut bytes = vec![0; Status::LEN + len];
    let read = opened.file.read(at, bytes.get_mut(Status::LEN..).unwrap_or_default())?;
    bytes.truncate(Status::LEN + read);
    Ok((bytes, None))
}

/// What is to be written, and where, if the handle writes; what runs as another does so no more.
fn to_write<'a>(opened: &Opened, body: &'a [u8], beside: Option<&'a [u8]>) -> Answer<(u64, &'a [u8])> {
    let Some((Range { at, len }, within)) = Range::decode(body) else { return no(libc::EINVAL) };
    let data = beside.unwrap_or(within);
    if data.len() != len as usize {
        return no(libc::EINVAL);
    }
    if !opened.writes {
        return no(libc::EBADF);
    }
    // As the kernel has it of who may not do all; who may is root, and so is whoever comes to root's doors.
    if !rustix::process::geteuid().is_root() {
        opened.file.lose_set_ids()?;
    }
    Ok((at, data))
}

fn door_write(opened: &Opened, body: &[u8], beside: Option<&[u8]>) -> Answer<(Vec<u8>, Option<Vec<u8>>)> {
    // Where such a handle writes is told otherwise.
    if opened.appends {
        return no(libc::EBADF);
    }
    let (at, data) = to_write(opened, body, beside)?;
    opened.hold.side.wrote.store(true, Ordering::Release);
    let written = opened.file.write(at, data)?;
    Ok((Status(0).and(&(written as u32).to_le_bytes()), None))
}

fn door_append(opened: &Opened, body: &[u8], beside: Option<&[u8]>) -> Answer<(Vec<u8>, Option<Vec<u8>>)> {
    let (_, data) = to_write(opened, body, beside)?;
    opened.hold.side.wrote.store(true, Ordering::Release);
    let (at, written) = opened.file.append(data)?;
    let end = at + written as u64;
    Ok((Status(0).and(&[&(written as u32).to_le_bytes()[..], &end.to_le_bytes()].concat()), None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(hold: &Hold) -> Result<(), i32> {
        hold.at_door(|| Ok(())).map_err(|refusal| refusal.number())
    }

    #[test]
    fn a_file_is_at_the_doors_or_the_kernels() {
        let sides = Sides::default();
        let (one, _) = sides.opened(7, false);
        assert_eq!(asked(&one), Err(libc::EAGAIN), "nobody took it");
        assert!(one.take() && one.take());
        assert!(asked(&one).is_ok() && sides.is_taken(7) && !sides.is_taken(8));
        let (plain, _) = sides.opened(7, true);
        assert_eq!(asked(&one), Err(libc::EAGAIN), "the kernel has it");
        let (two, _) = sides.opened(7, false);
        assert!(!two.take() && !plain.take());
        drop(plain);
        assert!(asked(&one).is_ok(), "it has it no longer");
        assert!(two.take());
        two.leave();
        assert_eq!(asked(&one), Err(libc::EAGAIN), "it is mapped");
        drop(two);
        assert!(asked(&one).is_ok());
        drop(one);
        assert!(!sides.is_taken(7) && sides.shared.table.lock().open.is_empty());
    }

    #[test]
    fn a_handle_is_alone_until_there_is_another() {
        let sides = Sides::default();
        let (one, _) = sides.opened(7, false);
        let (other, _) = sides.opened(8, false);
        assert!(one.is_alone() && other.is_alone());
        let (two, _) = sides.opened(7, false);
        assert!(!one.is_alone() && !two.is_alone());
        drop(one);
        assert!(two.is_alone());
    }

    #[test]
    fn what_was_written_at_a_door_is_not_what_the_kernel_keeps() {
        let sides = Sides::default();
        let (first, fresh) = sides.opened(7, true);
        assert!(fresh);
        drop(first);
        let (door, _) = sides.opened(7, false);
        assert!(door.take());
        door.side.wrote.store(true, Ordering::Release);
        let (plain, fresh) = sides.opened(7, true);
        assert!(!fresh, "while it is open");
        drop(plain);
        let (plain, fresh) = sides.opened(7, true);
        assert!(fresh, "it was told once");
        drop(plain);
        door.side.wrote.store(true, Ordering::Release);
        drop(door);
        assert!(sides.minds_forgotten());
        let (again, fresh) = sides.opened(7, false);
        assert!(fresh, "what avoids the page cache is not told");
        drop(again);
        let (plain, fresh) = sides.opened(7, true);
        assert!(!fresh && !sides.minds_forgotten(), "after it was closed");
        drop(plain);
        let (door, _) = sides.opened(7, false);
        assert!(door.take());
        door.side.wrote.store(true, Ordering::Release);
        drop(door);
        sides.forgotten(7);
        assert!(!sides.minds_forgotten());
    }

    #[test]
    fn who_opens_it_plainly_waits_for_who_is_at_a_door() {
        let sides = Arc::new(Sides::default());
        let (door, _) = sides.opened(7, false);
        assert!(door.take());
        let (begun, go) = (std::sync::Barrier::new(2), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                door.at_door(|| {
                    begun.wait();
                    std::thread::sleep(std::time::Duration::from_millis(50));
                    go.store(true, Ordering::Release);
                    Ok(())
                })
            });
            begun.wait();
            let (_plain, _) = sides.opened(7, true);
            assert!(go.load(Ordering::Acquire));
        });
    }
}
