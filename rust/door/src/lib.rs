//! What is said at the side doors of a mount: by programs that have files of it open and want their bytes without the kernel. Pure.
//!
//! A mount says by `ioctl` where its doors are and under which number it knows an open file; reads and writes of that file are then
//! asked at a door, and so is what paths lead to. `docs/internals/interception.md`. Both ends are on one machine; numbers are
//! little-endian all the same.

mod attributes;
#[cfg(test)]
mod fuzz;
mod listing;
mod names;

pub use attributes::{Moment, OPENED, Owner, SetTime, XattrHow, xattr, xattr_of};
pub use listing::{LISTED_MAX, Listed, Listing};
pub use names::{
    ACCESS_NO_FOLLOW, Asked, Attr, GROUPS_MAX, MORE_MAX, NO_FOLLOW, NO_REPLACE, PATH_MAX, Place, Who,
};

/// The version of all of this. An end that meets another one keeps to the kernel.
pub const VERSION: u32 = 3;
/// Asks a mount where its doors are: answered by [`Info`]. Of anything that is open in the mount.
pub const IOCTL_INFO: u32 = 0x8020_a3d0;
/// Takes over an open file: answered by [`Taken`].
pub const IOCTL_TAKE: u32 = 0x8010_a3d1;
/// Gives an open file to the kernel for good, as before it is mapped.
pub const IOCTL_LEAVE: u32 = 0x0000_a3d2;
/// The name that a door has as a system: the first words of a connection say it.
pub const SYSTEM: &str = "door";
/// Doors of a mount, at most.
pub const DOORS_MAX: u32 = 16;
/// Bytes of one read or write, at most.
pub const LEN_MAX: usize = 1 << 20;
/// Bytes that go within the message itself; more go beside it.
pub const INLINE_MAX: usize = 32 << 10;
/// The status of what was not begun: the kernel may have the file, or nobody does any more. It is to be asked for otherwise.
pub const LATER: u32 = u32::MAX;

/// Where the doors of a mount are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Info {
    /// The kernel keeps what is written, to write it later: all files stay with it.
    pub write_back: bool,
    /// The kernel keeps nothing of names and attributes: they can be asked for, and changed, at the doors.
    pub names: bool,
    /// How many doors there are.
    pub doors: u32,
    /// What makes their addresses those of this mount.
    pub token: [u8; Self::TOKEN],
}

impl Info {
    /// Bytes of it.
    pub const LEN: usize = 32;
    /// Bytes of what makes addresses those of one mount.
    pub const TOKEN: usize = 16;

    /// Its bytes.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let words =
            [VERSION, u32::from(self.write_back), self.doors, u32::from(self.names)].map(u32::to_le_bytes);
        let all = words.iter().flatten().chain(&self.token);
        for (to, from) in bytes.iter_mut().zip(all) {
            *to = *from;
        }
        bytes
    }

    /// Of its bytes; nothing of another version, or where there are no doors.
    pub fn decode(bytes: &[u8; Self::LEN]) -> Option<Self> {
        let (version, rest) = split_u32(bytes)?;
        let (write_back, rest) = split_u32(rest)?;
        let (doors, rest) = split_u32(rest)?;
        let (names, rest) = split_u32(rest)?;
        let token = *rest.first_chunk()?;
        let fits = version == VERSION && write_back < 2 && names < 2 && (1..=DOORS_MAX).contains(&doors);
        fits.then_some(Self { write_back: write_back == 1, names: names == 1, doors, token })
    }

    /// The address of a door.
    pub fn address(&self, door: u32) -> String {
        let mut address = String::from("@daos/door/");
        for byte in self.token {
            for half in [byte >> 4, byte & 15] {
                address.push(char::from_digit(u32::from(half), 16).unwrap_or('0'));
            }
        }
        address.push('/');
        address.push_str(&door.to_string());
        address
    }
}

/// An open file that was taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Its number at the doors.
    pub handle: u64,
}

impl Taken {
    /// Bytes of it.
    pub const LEN: usize = 16;

    /// Its bytes.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let all = u64::from(VERSION).to_le_bytes().into_iter().chain(self.handle.to_le_bytes());
        for (to, from) in bytes.iter_mut().zip(all) {
            *to = from;
        }
        bytes
    }

    /// Of its bytes.
    pub fn decode(bytes: &[u8; Self::LEN]) -> Option<Self> {
        let (version, rest) = split_u64(bytes)?;
        let (handle, _) = split_u64(rest)?;
        (version == u64::from(VERSION)).then_some(Self { handle })
    }
}

/// What is asked, by the numbers of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Bytes of a file: a [`Range`], answered by a [`Status`] and, if that is 0, the bytes, in the message or beside it.
    Read = 1,
    /// Bytes for a file: a [`Range`] and the bytes, in the message or beside it; answered by a [`Status`] and how many were taken.
    Write = 2,
    /// What a path leads to: an [`Asked`], answered, as those below, by a [`Status`], and, if that is 0, an [`Attr`].
    Stat = 3,
    /// Whether something is there and may be used so.
    Access = 4,
    /// Where a symbolic link leads: answered by that.
    Readlink = 5,
    /// Takes the name of a file or symbolic link away.
    Unlink = 6,
    /// Removes an empty directory.
    Rmdir = 7,
    /// Makes a directory; the mode is as it is stored.
    Mkdir = 8,
    /// Gives a file or symbolic link another name.
    Rename = 9,
    /// Makes a symbolic link, which leads to what `more` says.
    Symlink = 10,
    /// Gives a file or symbolic link a further name.
    Link = 11,
    /// Makes a file as long as the eight bytes of `more` say.
    Truncate = 12,
    /// Sets a mode.
    Chmod = 13,
    /// Gives something to an [`Owner`].
    Chown = 14,
    /// Sets times: [`SetTime`].
    SetTime = 15,
    /// The value of an attribute of users, answered by its length, and by itself where there is room: [`XattrHow`].
    Getxattr = 16,
    /// The names of such attributes, each with a NUL behind it, answered in the same way.
    Listxattr = 17,
    /// Sets such an attribute: [`xattr`].
    Setxattr = 18,
    /// Removes one.
    Removexattr = 19,
    /// The names in a directory, from its beginning or, with the eight bytes of `more`, from where an answer before ended: answered by
    /// a [`Listing`].
    List = 20,
    /// As [`Write`](Self::Write), of bytes that the kernel would not know to be there: refused with `EAGAIN` if others have the file
    /// open, who go by what it knows.
    Extend = 21,
    /// Bytes for the end of a file, wherever that is, of a handle that appends: as [`Extend`](Self::Extend), whose place is not looked
    /// at; answered by how many were taken, and the eight bytes of where the end is then.
    Append = 22,
}

impl Op {
    /// Of its number.
    pub const fn of(number: u16) -> Option<Self> {
        match number {
            1 => Some(Self::Read),
            2 => Some(Self::Write),
            3 => Some(Self::Stat),
            4 => Some(Self::Access),
            5 => Some(Self::Readlink),
            6 => Some(Self::Unlink),
            7 => Some(Self::Rmdir),
            8 => Some(Self::Mkdir),
            9 => Some(Self::Rename),
            10 => Some(Self::Symlink),
            11 => Some(Self::Link),
            12 => Some(Self::Truncate),
            13 => Some(Self::Chmod),
            14 => Some(Self::Chown),
            15 => Some(Self::SetTime),
            16 => Some(Self::Getxattr),
            17 => Some(Self::Listxattr),
            18 => Some(Self::Setxattr),
            19 => Some(Self::Removexattr),
            20 => Some(Self::List),
            21 => Some(Self::Extend),
            22 => Some(Self::Append),
            _ => None,
        }
    }

    /// Its number.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// Whether it is about a path, not about an open file.
    pub const fn is_of_names(self) -> bool {
        !matches!(self, Self::Read | Self::Write | Self::Extend | Self::Append)
    }

    /// Whether it changes names: it is not to happen twice.
    pub const fn changes(self) -> bool {
        !matches!(self, Self::Read | Self::Stat | Self::Access | Self::Readlink)
            && !matches!(self, Self::Getxattr | Self::Listxattr | Self::List)
    }
}

/// A part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Where it begins.
    pub at: u64,
    /// How long it is.
    pub len: u32,
}

impl Range {
    /// Bytes of it.
    pub const LEN: usize = 12;

    /// Its bytes.
    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let all = self.at.to_le_bytes().into_iter().chain(self.len.to_le_bytes());
        for (to, from) in bytes.iter_mut().zip(all) {
            *to = from;
        }
        bytes
    }

    /// Of its bytes, and what is behind them; nothing of what no file has.
    pub fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (at, rest) = split_u64(bytes)?;
        let (len, rest) = split_u32(rest)?;
        let end = at.checked_add(u64::from(len))?;
        let fits = len as usize <= LEN_MAX && i64::try_from(end).is_ok();
        fits.then_some((Self { at, len }, rest))
    }
}

/// What a request came to: 0, a number of `errno`, or [`LATER`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u32);

impl Status {
    /// Bytes of it.
    pub const LEN: usize = 4;

    /// A reply of it and more.
    pub fn and(self, more: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::LEN + more.len());
        bytes.extend(self.0.to_le_bytes());
        bytes.extend(more);
        bytes
    }

    /// Of a reply, and what is behind it.
    pub fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (status, rest) = split_u32(bytes)?;
        Some((Self(status), rest))
    }
}

/// A number at the front, and what is behind it.
pub fn split_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (front, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*front), rest))
}

/// The same of a longer one.
pub fn split_u64(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (front, rest) = bytes.split_first_chunk()?;
    Some((u64::from_le_bytes(*front), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: Info = Info { write_back: true, names: false, doors: 4, token: [0xa5; 16] };

    #[test]
    fn what_is_told_comes_back() {
        assert_eq!(Info::decode(&INFO.encode()), Some(INFO));
        let taken = Taken { handle: u64::MAX - 7 };
        assert_eq!(Taken::decode(&taken.encode()), Some(taken));
        let range = Range { at: 1 << 40, len: LEN_MAX as u32 };
        let bytes = [&range.encode()[..], b"data"].concat();
        assert_eq!(Range::decode(&bytes), Some((range, &b"data"[..])));
        assert_eq!(Status::decode(&Status(5).and(b"x")), Some((Status(5), &b"x"[..])));
        let named = Info { names: true, ..INFO };
        assert_eq!(Info::decode(&named.encode()), Some(named));
        for number in 1..=22 {
            let op = Op::of(number).unwrap();
            assert_eq!((op.number(), op.is_of_names()), (number, ![1, 2, 21, 22].contains(&number)));
            assert_eq!(op.changes(), ![1, 3, 4, 5, 16, 17, 20].contains(&number));
        }
        assert_eq!((Op::of(0), Op::of(23)), (None, None));
    }

    #[test]
    fn another_version_and_what_cannot_be_is_refused() {
        for (at, value) in [(0, 2), (4, 2), (8, 0), (8, 17), (12, 2)] {
            let mut bytes = INFO.encode();
            bytes[at] = value;
            assert_eq!(Info::decode(&bytes), None, "{at}");
        }
        let mut bytes = Taken { handle: 1 }.encode();
        bytes[0] = 1;
        assert_eq!(Taken::decode(&bytes), None);
        for range in [
            Range { at: 0, len: LEN_MAX as u32 + 1 },
            Range { at: i64::MAX as u64, len: 1 },
            Range { at: u64::MAX, len: 1 },
        ] {
            assert_eq!(Range::decode(&range.encode()), None);
        }
        assert_eq!(Range::decode(&[0; Range::LEN - 1]), None);
        assert_eq!(Status::decode(&[0; 3]), None);
    }

    #[test]
    fn each_door_has_an_address_that_fits_a_socket() {
        assert_eq!(INFO.address(0), "@daos/door/a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5/0");
        assert_ne!(INFO.address(0), INFO.address(1));
        assert!(INFO.address(DOORS_MAX).len() <= 107);
    }

    #[test]
    fn the_questions_are_those_that_the_kernel_carries() {
        // Read by the asker, of so many bytes, of type 0xa3.
        let of = |number: u32, len: usize| (2 << 30) | ((len as u32) << 16) | (0xa3 << 8) | number;
        assert_eq!(IOCTL_INFO, of(0xd0, Info::LEN));
        assert_eq!(IOCTL_TAKE, of(0xd1, Taken::LEN));
        assert_eq!(IOCTL_LEAVE, (0xa3 << 8) | 0xd2);
    }
}
