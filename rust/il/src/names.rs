//! What calls with paths come to: a question at a door, or nothing, and then the kernel does it. Who asks, where he is and what is
//! mounted there is looked at each time: all of that may change by ways that are not watched.

use crate::descriptors::{Known as Noted, known};
use crate::door::Came;
use crate::kernel;
use crate::mounts::Names;
use crate::policy::behind;
use crate::process::{self, Inside, Known, Table};
use crate::report::{What, count};
use daos_door::{ACCESS_NO_FOLLOW, Asked, Attr, Info, NO_FOLLOW, NO_REPLACE, Op, PATH_MAX, Place, Who};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a call came to: something, or a number of `errno`. Nothing where the kernel is to do it.
pub(crate) type Told<T> = Option<Result<T, i32>>;

/// A path as a program gives it: the directory that it begins at, and its words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Path<'p> {
    pub(crate) directory: i32,
    pub(crate) words: &'p [u8],
}

/// What something is, and where: the device, and the number of the mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) attr: Attr,
    pub(crate) device: (u32, u32),
    pub(crate) mount: i32,
}

/// Somewhere in a mount whose names are asked for at doors.
#[derive(Debug, Clone, Copy)]
struct Somewhere<'p> {
    mount: &'static Known,
    names: Names,
    info: Info,
    place: Place<'p>,
}

fn by_number(table: &'static Table, mount: i32) -> Option<&'static Known> {
    table.mounts.iter().find(|known| known.mount.id == mount)
}

/// Runs what asks a door; a failure of ours must not be the program's.
fn guarded<T>(run: impl FnOnce() -> Told<T>) -> Told<T> {
    // Mostly there is none.
    let any = |table: &Table| table.mounts.iter().any(|known| known.mount.names.is_some());
    if !process::has_names() {
        return None;
    }
    let _inside = Inside::enter()?;
    if !process::table().is_some_and(any) {
        return None;
    }
    catch_unwind(AssertUnwindSafe(run)).unwrap_or(None)
}

/// Where a path leads as far as the kernel can say without asking a mount: to one, and from where on there.
fn somewhere<'p>(path: &Path<'p>) -> Option<Somewhere<'p>> {
    let Path { directory, words } = *path;
    if words.is_empty() || words.len() > PATH_MAX {
        return None;
    }
    let (now, rest) = if words.first() == Some(&b'/') {
        // The longest that it may begin with, as others may be mounted below one.
        let mounts = process::table()?.mounts.iter();
        let below = mounts.filter_map(|known| Some((known, behind(words, &known.mount.root)?)));
        let (known, rest) = below.min_by_key(|(_, rest)| rest.len())?;
        (kernel::node(libc::AT_FDCWD, Some(&known.root))?, rest)
    } else {
        (kernel::node(directory, None)?, words)
    };
    at_node(now, rest, None)
}

/// The mount of a node of the kernel's.
fn at_node(now: kernel::Node, path: &[u8], descriptor: Option<i32>) -> Option<Somewhere<'_>> {
    by_number(process::table()?, now.mount)?;
    if !process::asks_for_more() {
        return None;
    }
    let mount = by_number(process::table_of_today(process::doors()?)?, now.mount)?;
    let names = mount.mount.names?;
    let info = mount.info(descriptor).filter(|info| info.names)?;
    Some(Somewhere { mount, names, info, place: Place { node: now.number, path } })
}

/// On whose behalf it is asked, if that is somebody whom the kernel lets in.
fn who(names: &Names) -> Option<Who> {
    kernel::who().filter(|who| names.lets_in(who.uid, who.gid))
}

fn ask(op: Op, info: &Info, asked: &Asked<'_>, room: &mut [u8]) -> Told<usize> {
    let doors = process::doors()?;
    let came = doors.ask(info, process::door_of_thread(info.doors), op, asked, room);
    count(if matches!(came, Came::Later | Came::Shut) { What::KernelName } else { What::Name });
    match came {
        Came::Bytes(len) => Some(Ok(len)),
        Came::Failed(number) => Some(Err(number)),
        Came::Later | Came::Shut => None,
    }
}

fn seen(at: &Somewhere<'_>, how: u32) -> Told<Seen> {
    let asked = Asked { who: who(&at.names)?, how, at: at.place, to: Place::default() };
    let mut room = [0; Attr::LEN];
    let mount = &at.mount.mount;
    match ask(Op::Stat, &at.info, &asked, &mut room)? {
        Ok(Attr::LEN) => Some(Ok(Seen { attr: Attr::decode(&room)?, device: mount.device, mount: mount.id })),
        Ok(_) => None,
        Err(number) => Some(Err(number)),
    }
}

/// What a path leads to.
pub(crate) fn stat(path: &Path<'_>, follow: bool) -> Told<Seen> {
    guarded(|| seen(&somewhere(path)?, if follow { 0 } else { NO_FOLLOW }))
}

/// What a descriptor is of: asked for files of mounts alone, as others would pay for the look.
pub(crate) fn stat_of(descriptor: i32) -> Told<Seen> {
    if !matches!(known(descriptor), Noted::Aside { .. } | Noted::Taken(_)) {
        return None;
    }
    guarded(|| seen(&at_node(kernel::node(descriptor, None)?, b"", Some(descriptor))?, 0))
}

/// Whether something is there and may be used.
pub(crate) fn access(path: &Path<'_>, rights: u32, follow: bool) -> Told<usize> {
    if rights > 7 {
        return None;
    }
    guarded(|| {
        let at = somewhere(path)?;
        let (writes, runs) = (rights & 2 != 0, rights & 1 != 0);
        if (writes && at.names.read_only) || (runs && at.names.no_exec) {
            return None;
        }
        let how = rights | if follow { 0 } else { ACCESS_NO_FOLLOW };
        let asked = Asked { who: who(&at.names)?, how, at: at.place, to: Place::default() };
        ask(Op::Access, &at.info, &asked, &mut [])
    })
}

/// Where a symbolic link leads, as much of it as there is room.
pub(crate) fn readlink(path: &Path<'_>, room: &mut [u8]) -> Told<usize> {
    if room.is_empty() {
        return None;
    }
    guarded(|| {
        let at = somewhere(path)?;
        let asked = Asked { who: who(&at.names)?, how: 0, at: at.place, to: Place::default() };
        let mut whole = vec![0; PATH_MAX];
        let told = ask(Op::Readlink, &at.info, &asked, &mut whole)?;
        Some(told.map(|len| {
            let len = len.min(room.len());
            for (to, from) in room.iter_mut().zip(whole.get(..len).unwrap_or_default()) {
                *to = *from;
            }
            len
        }))
    })
}

fn change(op: Op, at: &Somewhere<'_>, to: Place<'_>, how: u32) -> Told<usize> {
    if at.names.read_only {
        return None;
    }
    let asked = Asked { who: who(&at.names)?, how, at: at.place, to };
    ask(op, &at.info, &asked, &mut [])
}

/// Takes the name of a file away, or removes a directory.
pub(crate) fn remove(op: Op, path: &Path<'_>) -> Told<usize> {
    guarded(|| change(op, &somewhere(path)?, Place::default(), 0))
}

/// Makes a directory.
pub(crate) fn mkdir(path: &Path<'_>, mode: u32) -> Told<usize> {
    guarded(|| {
        let at = somewhere(path)?;
        change(Op::Mkdir, &at, Place::default(), mode & 0o1777 & !process::umask()?)
    })
}

/// Gives something another name in the same mount.
pub(crate) fn rename(path: &Path<'_>, to: &Path<'_>, replaces: bool) -> Told<usize> {
    guarded(|| {
        let (at, to) = (somewhere(path)?, somewhere(to)?);
        if at.mount.mount.id != to.mount.mount.id {
            return None;
        }
        change(Op::Rename, &at, to.place, if replaces { 0 } else { NO_REPLACE })
    })
}
