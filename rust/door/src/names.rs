//! Names: what is asked of paths, and what is told of what they lead to.

use crate::{split_u32, split_u64};

/// Bytes of a path, at most.
pub const PATH_MAX: usize = 4095;
/// Bytes that may be told beside a path, at most.
pub const MORE_MAX: usize = (32 << 10) + 256;
/// Groups of somebody, at most; who is in more keeps to the kernel.
pub const GROUPS_MAX: usize = 64;
/// `Asked::how` of a stat: a last symbolic link is not followed.
pub const NO_FOLLOW: u32 = 1;
/// `Asked::how` of an access: the same. Below it are the rights.
pub const ACCESS_NO_FOLLOW: u32 = 8;
/// `Asked::how` of a rename: nothing may have the new name.
pub const NO_REPLACE: u32 = 1;

/// Somebody, as the kernel has him for files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Who {
    /// The user.
    pub uid: u32,
    /// His group.
    pub gid: u32,
    /// The others he is in.
    pub groups: Vec<u32>,
}

/// A path from a directory on, which is told by the number that the kernel has of it. An empty one is the directory itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place<'a> {
    /// The kernel's number.
    pub node: u64,
    /// Not from `/` on.
    pub path: &'a [u8],
}

/// What is asked of a path, or of two.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked<'a> {
    /// On whose behalf.
    pub who: Who,
    /// What of it: flags, a mode, rights.
    pub how: u32,
    /// Where.
    pub at: Place<'a>,
    /// The new place of what is renamed, or gets a further name; else empty.
    pub to: Place<'a>,
    /// What else there is to tell: a value, times, owners.
    pub more: &'a [u8],
}

/// Takes so many bytes.
fn split(bytes: &[u8], len: usize) -> Option<(&[u8], &[u8])> {
    bytes.split_at_checked(len)
}

fn is_path(path: &[u8]) -> bool {
    path.len() <= PATH_MAX && path.first() != Some(&b'/') && !path.contains(&0)
}

impl<'a> Asked<'a> {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let Self { who, how, at, to, more } = self;
        let mut bytes =
            Vec::with_capacity(48 + 4 * who.groups.len() + at.path.len() + to.path.len() + more.len());
        let lens = [who.groups.len(), at.path.len(), to.path.len()].map(|len| len as u32);
        for number in [who.uid, who.gid, *how].into_iter().chain(lens) {
            bytes.extend(number.to_le_bytes());
        }
        for number in [at.node, to.node] {
            bytes.extend(number.to_le_bytes());
        }
        for group in &who.groups {
            bytes.extend(group.to_le_bytes());
        }
        bytes.extend(at.path);
        bytes.extend(to.path);
        bytes.extend(*more);
        bytes
    }

    /// Of its bytes, all of them.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (uid, rest) = split_u32(bytes)?;
        let (gid, rest) = split_u32(rest)?;
        let (how, rest) = split_u32(rest)?;
        let (count, rest) = split_u32(rest)?;
        let (path_len, rest) = split_u32(rest)?;
        let (to_len, rest) = split_u32(rest)?;
        let (node, rest) = split_u64(rest)?;
        let (to_node, rest) = split_u64(rest)?;
        let count = usize::try_from(count).ok().filter(|count| *count <= GROUPS_MAX)?;
        let (groups, rest) = split(rest, 4 * count)?;
        let (path, rest) = split(rest, usize::try_from(path_len).ok()?)?;
        let (to_path, more) = split(rest, usize::try_from(to_len).ok()?)?;
        let groups = groups.chunks_exact(4).map(|word| split_u32(word).map(|(group, _)| group));
        let groups = groups.collect::<Option<Vec<u32>>>()?;
        let fits = is_path(path) && is_path(to_path) && more.len() <= MORE_MAX;
        fits.then_some(Self {
            who: Who { uid, gid, groups },
            how,
            at: Place { node, path },
            to: Place { node: to_node, path: to_path },
            more,
        })
    }
}

/// What a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attr {
    /// Its number.
    pub ino: u64,
    /// Bytes.
    pub size: u64,
    /// Blocks of 512 bytes.
    pub blocks: u64,
    /// Of access, of the last change of content, of any change: seconds and nanoseconds.
    pub times: [(i64, u32); 3],
    /// Kind and permissions.
    pub mode: u32,
    /// Names.
    pub links: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Bytes that are best read and written at once: a power of two.
    pub block_size: u32,
}

impl Attr {
    /// Bytes of it.
    pub const LEN: usize = 80;

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::LEN);
        for number in [self.ino, self.size, self.blocks] {
            bytes.extend(number.to_le_bytes());
        }
        for (seconds, nanoseconds) in self.times {
            bytes.extend(seconds.to_le_bytes());
            bytes.extend(nanoseconds.to_le_bytes());
        }
        for number in [self.mode, self.links, self.uid, self.gid, self.block_size] {
            bytes.extend(number.to_le_bytes());
        }
        bytes
    }

    /// Of its bytes, all of them; nothing of what no file is.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != Self::LEN {
            return None;
        }
        let mut attr = Self::default();
        let mut rest = bytes;
        for to in [&mut attr.ino, &mut attr.size, &mut attr.blocks] {
            (*to, rest) = split_u64(rest)?;
        }
        for (seconds, nanoseconds) in &mut attr.times {
            let number;
            (number, rest) = split_u64(rest)?;
            *seconds = number.cast_signed();
            (*nanoseconds, rest) = split_u32(rest)?;
        }
        let Self { mode, links, uid, gid, block_size, .. } = &mut attr;
        for to in [mode, links, uid, gid, block_size] {
            (*to, rest) = split_u32(rest)?;
        }
        let fits = i64::try_from(attr.size).is_ok()
            && attr.times.iter().all(|(_, nanoseconds)| *nanoseconds < 1_000_000_000)
            && attr.block_size.is_power_of_two();
        fits.then_some(attr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn asked() -> Asked<'static> {
        Asked {
            who: Who { uid: 1000, gid: 100, groups: vec![7, u32::MAX] },
            how: NO_FOLLOW,
            at: Place { node: 1 << 50, path: b"a/b \xff" },
            to: Place { node: 2, path: b"../c/" },
            more: b"/x\0",
        }
    }

    pub(super) fn attr() -> Attr {
        Attr {
            ino: u64::MAX,
            size: 1 << 40,
            blocks: 9,
            times: [(-1, 999_999_999), (0, 0), (i64::MAX, 5)],
            mode: 0o100_644,
            links: 3,
            uid: 4,
            gid: 5,
            block_size: 4096,
        }
    }

    #[test]
    fn what_is_asked_and_told_comes_back() {
        let one = asked();
        assert_eq!(Asked::decode(&one.encode()), Some(one));
        let none = Asked::default();
        assert_eq!(Asked::decode(&none.encode()), Some(none));
        assert_eq!(attr().encode().len(), Attr::LEN);
        assert_eq!(Attr::decode(&attr().encode()), Some(attr()));
    }

    #[test]
    fn what_is_no_path_is_refused() {
        let long = [b'x'; PATH_MAX + 1];
        for path in [&b"/a"[..], b"a\0b", &long] {
            let at = Place { node: 1, path };
            assert_eq!(Asked::decode(&Asked { at, ..asked() }.encode()), None);
            assert_eq!(Asked::decode(&Asked { to: at, ..asked() }.encode()), None);
        }
        let many = Who { groups: vec![0; GROUPS_MAX + 1], ..Who::default() };
        assert_eq!(Asked::decode(&Asked { who: many, ..asked() }.encode()), None);
        let bytes = asked().encode();
        assert_eq!(Asked::decode(&bytes[..47]), None);
        let more = vec![0; MORE_MAX + 1];
        assert_eq!(Asked::decode(&Asked { more: &more, ..asked() }.encode()), None);
        let mut longer = bytes;
        longer[16..20].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(Asked::decode(&longer), None, "a path that is not there");
    }

    #[test]
    fn what_no_file_is_is_refused() {
        for wrong in [
            Attr { size: u64::MAX, ..attr() },
            Attr { times: [(0, 1_000_000_000); 3], ..attr() },
            Attr { block_size: 0, ..attr() },
            Attr { block_size: 3, ..attr() },
        ] {
            assert_eq!(Attr::decode(&wrong.encode()), None);
        }
        assert_eq!(Attr::decode(&attr().encode()[..79]), None);
        assert_eq!(Attr::decode(&[0; 81]), None);
    }
}
