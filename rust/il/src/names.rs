//! What calls with paths come to: a question at a door, or nothing, and then the kernel does it. Who asks, where he is and what is
//! mounted there is looked at each time: all of that may change by ways that are not watched.

use crate::descriptors::{Known as Noted, known};
use crate::door::Came;
use crate::kernel;
use crate::mounts::Names;
use crate::policy::behind;
use crate::process::{self, Inside, Known, Table};
use crate::report::{What, count};
use daos_door::{
    ACCESS_NO_FOLLOW, Asked, Attr, Info, LISTED_MAX, Listing, NO_FOLLOW, NO_REPLACE, OPENED, Op, PATH_MAX,
    Place, Who, XattrHow, split_u32,
};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a call came to: something, or a number of `errno`. Nothing where the kernel is to do it.
pub(crate) type Told<T> = Option<Result<T, i32>>;

/// Bytes of the entries of a directory that are kept while a program reads them.
const LISTED_BYTES_MAX: usize = 16 << 20;

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
    let asked = Asked { who: who(&at.names)?, how, at: at.place, to: Place::default(), more: &[] };
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

/// What a descriptor is of: asked for files that the doors have. Of others the kernel is asked for what is done with them, too, and who
/// goes now this way and now that waits for both.
pub(crate) fn stat_of(descriptor: i32) -> Told<Seen> {
    if !matches!(known(descriptor), Noted::Taken(_)) {
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
        let asked = Asked { who: who(&at.names)?, how, at: at.place, to: Place::default(), more: &[] };
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
        let asked = Asked { who: who(&at.names)?, how: 0, at: at.place, to: Place::default(), more: &[] };
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

fn change(op: Op, at: &Somewhere<'_>, to: Place<'_>, (how, more): (u32, &[u8])) -> Told<usize> {
    if at.names.read_only {
        return None;
    }
    let asked = Asked { who: who(&at.names)?, how, at: at.place, to, more };
    ask(op, &at.info, &asked, &mut [])
}

/// Takes the name of a file away, or removes a directory.
pub(crate) fn remove(op: Op, path: &Path<'_>) -> Told<usize> {
    guarded(|| change(op, &somewhere(path)?, Place::default(), (0, &[])))
}

/// Makes a directory.
pub(crate) fn mkdir(path: &Path<'_>, mode: u32) -> Told<usize> {
    guarded(|| {
        let at = somewhere(path)?;
        change(Op::Mkdir, &at, Place::default(), (mode & 0o1777 & !process::umask()?, &[]))
    })
}

/// Gives something another name in the same mount.
pub(crate) fn rename(path: &Path<'_>, to: &Path<'_>, replaces: bool) -> Told<usize> {
    guarded(|| {
        let (at, to) = (somewhere(path)?, somewhere(to)?);
        if at.mount.mount.id != to.mount.mount.id {
            return None;
        }
        change(Op::Rename, &at, to.place, (if replaces { 0 } else { NO_REPLACE }, &[]))
    })
}

/// What an attribute is of: what a path leads to, or a descriptor.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Of<'p> {
    Path(Path<'p>, bool),
    Open(i32),
}

impl<'p> Of<'p> {
    fn somewhere(&self) -> Option<(Somewhere<'p>, u32)> {
        match self {
            Self::Path(path, follow) => Some((somewhere(path)?, if *follow { 0 } else { NO_FOLLOW })),
            Self::Open(descriptor) => {
                let is_ours = matches!(known(*descriptor), Noted::Taken(_));
                let node = is_ours.then(|| kernel::node(*descriptor, None))??;
                Some((at_node(node, b"", Some(*descriptor))?, 0))
            }
        }
    }
}

/// Changes what is known of something.
pub(crate) fn set(op: Op, of: &Of<'_>, how: u32, more: &[u8]) -> Told<usize> {
    guarded(|| {
        let (at, follow) = of.somewhere()?;
        change(op, &at, Place::default(), (how | follow, more))
    })
}

/// Makes a symbolic link.
pub(crate) fn symlink(value: &[u8], path: &Path<'_>) -> Told<usize> {
    if value.is_empty() || value.len() > PATH_MAX {
        return None;
    }
    guarded(|| change(Op::Symlink, &somewhere(path)?, Place::default(), (0, value)))
}

/// Gives a file a further name in the same mount.
pub(crate) fn link(path: &Path<'_>, to: &Path<'_>) -> Told<usize> {
    guarded(|| {
        let (at, to) = (somewhere(path)?, somewhere(to)?);
        if at.mount.mount.id != to.mount.mount.id {
            return None;
        }
        change(Op::Link, &at, to.place, (0, &[]))
    })
}

/// Attributes of users: the value of one, or the names of all, if there is room; how long that is.
pub(crate) fn xattr(op: Op, of: &Of<'_>, name: &[u8], room: &mut [u8]) -> Told<usize> {
    const LEN: usize = 4;
    guarded(|| {
        let (at, follow) = of.somewhere()?;
        let most = room.len().min(XattrHow::ROOM_MAX as usize);
        let how = XattrHow { room: most as u32, ..XattrHow::default() }.bits() | follow;
        let asked = Asked { who: who(&at.names)?, how, at: at.place, to: Place::default(), more: name };
        let mut whole = vec![0; LEN + most];
        let told = match ask(op, &at.info, &asked, &mut whole)? {
            Ok(len) => whole.get(..len)?,
            Err(number) => return Some(Err(number)),
        };
        let (len, value) = split_u32(told)?;
        let len = len as usize;
        if room.is_empty() {
            return Some(Ok(len));
        }
        if len > most {
            return Some(Err(libc::ERANGE));
        }
        room.get_mut(..len)?.copy_from_slice(value.get(..len)?);
        Some(Ok(len))
    })
}

/// Sets an attribute of users.
pub(crate) fn set_xattr(of: &Of<'_>, how: u32, name: &[u8], value: &[u8]) -> Told<usize> {
    guarded(|| {
        let (at, follow) = of.somewhere()?;
        let more = daos_door::xattr(name, value);
        change(Op::Setxattr, &at, Place::default(), (how | follow, &more))
    })
}

/// All that is in a directory: its number, and the entries as the door tells them.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) ino: u64,
    pub(crate) device: (u32, u32),
    pub(crate) entries: Vec<u8>,
}

/// Lists a directory. Nothing where the kernel is to do it: what is in too large ones is not kept here.
pub(crate) fn list(of: &Of<'_>) -> Option<Listed> {
    let told = guarded(|| {
        let (at, how) = match of {
            Of::Path(path, _) => (somewhere(path)?, 0),
            Of::Open(descriptor) => {
                let at = at_node(kernel::node(*descriptor, None)?, b"", Some(*descriptor))?;
                // What was read of it before is not read again.
                if !kernel::is_directory_at_its_beginning(*descriptor) {
                    return None;
                }
                (at, OPENED)
            }
        };
        let (mut rest, mut room) = (0_u64, vec![0; LISTED_MAX]);
        let mut listed = Listed { ino: 0, device: at.mount.mount.device, entries: Vec::new() };
        loop {
            let more = rest.to_le_bytes();
            let more: &[u8] = if rest == 0 { &[] } else { &more };
            let asked = Asked { who: who(&at.names)?, how, at: at.place, to: Place::default(), more };
            let told = match ask(Op::List, &at.info, &asked, &mut room)? {
                Ok(len) => room.get(..len)?,
                Err(number) => return Some(Err(number)),
            };
            let entries;
            (rest, listed.ino, entries) = Listing::decode(told)?;
            if listed.entries.len() + entries.len() > LISTED_BYTES_MAX {
                return None;
            }
            listed.entries.extend(entries);
            if rest == 0 {
                return Some(Ok(listed));
            }
        }
    });
    // What is wrong the kernel says.
    told?.ok()
}
