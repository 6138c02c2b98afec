//! What the process has: whether the library is at work, mounts, and who is inside of it.
#![allow(unsafe_code)]

use crate::door::Doors;
use crate::kernel;
use crate::mounts::{Mount, mounts_of};
use crate::policy::{KERNEL_NAMES_FIRST, is_below, umask_of};
use daos_door::Info;
use std::cell::Cell;
use std::ffi::CString;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The library's state. What is called before it is loaded goes by.
static STATE: AtomicU8 = AtomicU8::new(EARLY);
const EARLY: u8 = 0;
const ACTIVE: u8 = 1;
const OFF: u8 = 2;

/// The table of mounts is not read more often.
const AGAIN: Duration = Duration::from_secs(1);
/// Nor is it read again after so often: each time what was before is kept.
const TIMES_MAX: u32 = 4096;

thread_local! {
    /// This thread works inside of the library. A signal that comes meanwhile finds the kernel's way.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    /// The door that this thread goes to; 0 if it has none yet.
    static DOOR: Cell<u32> = const { Cell::new(0) };
}

/// The process whose memory this is; a child of `vfork` is another.
static PROCESS: AtomicI32 = AtomicI32::new(0);
/// Names are the kernel's: the process has left something that it had with others.
static NAMES_OFF: AtomicBool = AtomicBool::new(false);
/// What the process takes from modes; nothing above what can be.
static UMASK: AtomicU32 = AtomicU32::new(UMASK_UNKNOWN);
const UMASK_UNKNOWN: u32 = u32::MAX;
/// Questions about names so far.
static NAMES: AtomicU32 = AtomicU32::new(0);

/// The library is to be used from now on, or not at all.
pub(crate) fn begin(active: bool) {
    PROCESS.store(kernel::process(), Ordering::Relaxed);
    STATE.store(if active { ACTIVE } else { OFF }, Ordering::Release);
}

/// A stay inside of the library: there is one at a time in a thread. The program's `errno` is as before when it ends.
#[derive(Debug)]
pub(crate) struct Inside {
    errno: i32,
}

impl Inside {
    /// Begins one; nothing where the library is not at work, or the thread is inside already.
    #[inline]
    pub(crate) fn enter() -> Option<Self> {
        if STATE.load(Ordering::Relaxed) != ACTIVE {
            return None;
        }
        INSIDE.with(|inside| !inside.replace(true)).then(|| Self { errno: kernel::errno() })
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        kernel::set_errno(self.errno);
        INSIDE.with(|inside| inside.set(false));
    }
}

/// Whether this thread is inside of the library.
pub(crate) fn is_inside() -> bool {
    INSIDE.with(Cell::get)
}

/// The program is about to have a descriptor of this number. A connection that has it ends: the program chose it.
pub(crate) fn make_room(descriptor: i32) {
    if !crate::door::is_hidden(descriptor) {
        return;
    }
    crate::door::move_errors(descriptor);
    if let Some(_inside) = Inside::enter()
        && let Some(doors) = doors()
    {
        doors.end(descriptor);
    }
}

/// The door of this thread, of so many.
pub(crate) fn door_of_thread(doors: u32) -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = DOOR.with(|door| {
        if door.get() == 0 {
            // Processes begin at different ones.
            let turn = NEXT.fetch_add(1, Ordering::Relaxed).wrapping_add(std::process::id());
            door.set(turn.wrapping_add(1).max(1));
        }
        door.get()
    });
    number % doors.max(1)
}

/// Names are the kernel's from now on.
pub(crate) fn leave_names() {
    NAMES_OFF.store(true, Ordering::Release);
}

/// Whether names are asked for at doors, as far as this process goes.
pub(crate) fn has_names() -> bool {
    !NAMES_OFF.load(Ordering::Acquire)
}

/// Whether enough was asked that a door is worth it.
pub(crate) fn asks_for_more() -> bool {
    if NAMES.load(Ordering::Relaxed) >= KERNEL_NAMES_FIRST {
        return true;
    }
    NAMES.fetch_add(1, Ordering::Relaxed);
    false
}

/// What the process takes from modes is another by now.
pub(crate) fn note_umask(mask: u32) {
    if PROCESS.load(Ordering::Relaxed) == kernel::process() {
        UMASK.store(mask & 0o777, Ordering::Release);
    }
}

/// What the process takes from modes.
pub(crate) fn umask() -> Option<u32> {
    let mask = UMASK.load(Ordering::Acquire);
    if mask != UMASK_UNKNOWN {
        return Some(mask);
    }
    let mask = umask_of(&kernel::read_all(c"/proc/self/status").ok()?)?;
    // Whoever set it meanwhile knows better.
    let noted = UMASK.compare_exchange(UMASK_UNKNOWN, mask, Ordering::AcqRel, Ordering::Acquire);
    Some(noted.map_or_else(|other| other, |_| mask))
}

/// A mount, and where its doors are once that was asked.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) mount: Mount,
    /// Where it is, for the kernel.
    pub(crate) root: CString,
    info: AtomicPtr<Option<Info>>,
}

impl Known {
    /// Where its doors are: asked once, by what is open there or by its root; nothing where it lets nobody in.
    pub(crate) fn info(&self, descriptor: Option<i32>) -> Option<Info> {
        let told = self.info.load(Ordering::Acquire);
        // SAFETY: what is published is never freed.
        if let Some(told) = unsafe { told.as_ref() } {
            return *told;
        }
        let info = if let Some(descriptor) = descriptor {
            kernel::ask_doors(descriptor)
        } else {
            use rustix::fd::AsRawFd;
            let root = kernel::open_directory(&self.mount.root)?;
            let is_it =
                kernel::identity(root.as_raw_fd()).is_some_and(|seen| seen.device == self.mount.device);
            if is_it { kernel::ask_doors(root.as_raw_fd()) } else { None }
        };
        // Two may have asked at once; both were told the same.
        self.info.store(Box::into_raw(Box::new(info)), Ordering::Release);
        info
    }
}

/// What the kernel tells of the root of a mount, as of all that is there.
pub(crate) fn root_statx(mount: i32) -> Option<libc::statx> {
    let _inside = Inside::enter()?;
    let known = table_now()?.mounts.iter().find(|known| known.mount.id == mount)?;
    kernel::statx_of(&known.root)
        .filter(|told| (told.stx_dev_major, told.stx_dev_minor) == known.mount.device)
}

/// The mounts at one time.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) mounts: Vec<Known>,
    read: Instant,
    times: u32,
}

static TABLE: AtomicPtr<Table> = AtomicPtr::new(std::ptr::null_mut());

fn table_now() -> Option<&'static Table> {
    // SAFETY: what is published is never freed.
    unsafe { TABLE.load(Ordering::Acquire).as_ref() }
}

fn read_table(times: u32) -> Option<&'static Table> {
    let text = kernel::read_all(c"/proc/self/mountinfo").unwrap_or_default();
    let known = |mount: Mount| {
        let root = CString::new(mount.root.clone()).unwrap_or_default();
        Known { mount, root, info: AtomicPtr::default() }
    };
    let mounts = mounts_of(&text).into_iter().map(known).collect();
    let fresh = Box::into_raw(Box::new(Table { mounts, read: Instant::now(), times }));
    // What was there is kept: somebody may be looking at it.
    TABLE.store(fresh, Ordering::Release);
    table_now()
}

/// The mounts as they were last seen; they are looked at once before.
pub(crate) fn table() -> Option<&'static Table> {
    table_now().or_else(|| read_table(0))
}

/// The mounts as they are at this moment.
pub(crate) fn table_of_today(doors: &Doors) -> Option<&'static Table> {
    doors.watching(|changed| {
        let table = table()?;
        if !changed {
            return Some(table);
        }
        if table.times < TIMES_MAX { read_table(table.times + 1) } else { None }
    })?
}

/// The mount of a device. One that is not known may be new: the mounts are looked at again then.
pub(crate) fn mount_of(device: (u32, u32)) -> Option<&'static Known> {
    // What a disk has is no mount of ours.
    if device.0 != 0 {
        return None;
    }
    let find = |table: &'static Table| table.mounts.iter().find(|known| known.mount.device == device);
    let table = table()?;
    find(table).or_else(|| {
        if table.read.elapsed() < AGAIN || table.times >= TIMES_MAX {
            return None;
        }
        find(read_table(table.times + 1)?)
    })
}

/// The mount that a path leads to, as far as its words and its beginning tell.
pub(crate) fn mount_of_path(directory: i32, path: &[u8]) -> Option<&'static Known> {
    let table = table()?;
    if table.mounts.is_empty() {
        return None;
    }
    if path.first() == Some(&b'/') {
        let below = table.mounts.iter().filter(|known| is_below(path, &known.mount.root));
        return below.max_by_key(|known| known.mount.root.len());
    }
    mount_of(kernel::directory(directory)?.device)
}

static DOORS: AtomicPtr<Doors> = AtomicPtr::new(std::ptr::null_mut());

/// What the process has open at doors; nothing in a child of `vfork`, which has what its parent has.
pub(crate) fn doors() -> Option<&'static Doors> {
    if PROCESS.load(Ordering::Relaxed) != kernel::process() {
        return None;
    }
    let doors = DOORS.load(Ordering::Acquire);
    // SAFETY: what is published is never freed.
    if let Some(doors) = unsafe { doors.as_ref() } {
        return Some(doors);
    }
    let fresh = Box::into_raw(Box::new(Doors::new()));
    let first =
        DOORS.compare_exchange(std::ptr::null_mut(), fresh, Ordering::AcqRel, Ordering::Acquire).is_ok();
    if !first {
        // SAFETY: it was made above and nobody else has seen it.
        drop(unsafe { Box::from_raw(fresh) });
    }
    doors_again()
}

fn doors_again() -> Option<&'static Doors> {
    // SAFETY: what is published is never freed.
    unsafe { DOORS.load(Ordering::Acquire).as_ref() }
}

/// What a child that was forked has of its parent: copies of connections, which it closes and does not use, and nothing of locks.
pub(crate) fn forked() {
    DOORS.store(std::ptr::null_mut(), Ordering::Release);
    PROCESS.store(kernel::process(), Ordering::Relaxed);
    NAMES.store(0, Ordering::Relaxed);
    crate::door::close_hidden();
    INSIDE.with(|inside| inside.set(false));
}
