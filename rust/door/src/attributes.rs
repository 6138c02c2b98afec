//! What is asked of attributes, and set.

use crate::{split_u32, split_u64};

/// `Asked::how` of what changes an attribute or lists a directory: it is about something that the program has open, and whether it may
/// was looked at then.
pub const OPENED: u32 = 1 << 31;

/// Two numbers, of which the highest means none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Owner {
    /// The new owner.
    pub uid: Option<u32>,
    /// The new group.
    pub gid: Option<u32>,
}

impl Owner {
    /// Its bytes.
    pub fn encode(&self) -> [u8; 8] {
        let number = |id: Option<u32>| u64::from(id.unwrap_or(u32::MAX));
        (number(self.uid) | number(self.gid) << 32).to_le_bytes()
    }

    /// Of its bytes, all of them.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (uid, rest) = split_u32(bytes)?;
        let (gid, rest) = split_u32(rest)?;
        let id = |number: u32| Some(number).filter(|number| *number != u32::MAX);
        rest.is_empty().then_some(Self { uid: id(uid), gid: id(gid) })
    }
}

/// What becomes of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Moment {
    /// It stays.
    #[default]
    Kept,
    /// It is that of the mount, now.
    Now,
    /// This: seconds, and nanoseconds.
    At(i64, u32),
}

/// What becomes of the times of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SetTime {
    /// That of the last change of content; none of access are stored.
    pub modified: Moment,
    /// Both are to be now: whoever may write may do that.
    pub all_now: bool,
}

impl SetTime {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, seconds, nanoseconds) = match self.modified {
            Moment::Kept => (0, 0, 0),
            Moment::Now => (1, 0, 0),
            Moment::At(seconds, nanoseconds) => (2, seconds, nanoseconds),
        };
        let mut bytes = Vec::with_capacity(16);
        bytes.extend((kind | u32::from(self.all_now) << 2).to_le_bytes());
        bytes.extend(nanoseconds.to_le_bytes());
        bytes.extend(seconds.to_le_bytes());
        bytes
    }

    /// Of its bytes, all of them; nothing of what no time is.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = split_u32(bytes)?;
        let (nanoseconds, rest) = split_u32(rest)?;
        let (seconds, rest) = split_u64(rest)?;
        let modified = match (kind & 3, seconds, nanoseconds) {
            (0, 0, 0) => Moment::Kept,
            (1, 0, 0) => Moment::Now,
            (2, seconds, 0..1_000_000_000) => Moment::At(seconds.cast_signed(), nanoseconds),
            _ => return None,
        };
        (kind < 8 && rest.is_empty()).then_some(Self { modified, all_now: kind & 4 != 0 })
    }
}

/// How an attribute of users is asked for, or set: the other bits of `Asked::how`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct XattrHow {
    /// Bytes that there is room for; of what is longer the length alone is told.
    pub room: u32,
    /// Only if it is not there.
    pub create: bool,
    /// Only if it is there.
    pub replace: bool,
}

impl XattrHow {
    /// More room than this is not told of.
    pub const ROOM_MAX: u32 = 1 << 16;

    /// In the bits of `Asked::how` that [`NO_FOLLOW`](crate::NO_FOLLOW) leaves.
    pub fn bits(self) -> u32 {
        u32::from(self.create) << 1 | u32::from(self.replace) << 2 | self.room.min(Self::ROOM_MAX) << 3
    }

    /// Of those bits.
    pub fn of(how: u32) -> Self {
        let room = (how & !OPENED) >> 3;
        Self { room: room.min(Self::ROOM_MAX), create: how & 2 != 0, replace: how & 4 != 0 }
    }
}

/// The name of an attribute and its value, as `Asked::more`.
pub fn xattr(name: &[u8], value: &[u8]) -> Vec<u8> {
    [name, b"\0", value].concat()
}

/// Both again.
pub fn xattr_of(more: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = more.iter().position(|byte| *byte == 0)?;
    let (name, value) = more.split_at_checked(end)?;
    Some((name, value.get(1..)?)).filter(|(name, _)| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_comes_back() {
        for owner in [Owner::default(), Owner { uid: Some(0), gid: None }, Owner { uid: None, gid: Some(7) }]
        {
            assert_eq!(Owner::decode(&owner.encode()), Some(owner));
        }
        for modified in [Moment::Kept, Moment::Now, Moment::At(-5, 999_999_999)] {
            for all_now in [false, true] {
                let set = SetTime { modified, all_now };
                assert_eq!(SetTime::decode(&set.encode()), Some(set));
            }
        }
        for how in [
            XattrHow::default(),
            XattrHow { room: XattrHow::ROOM_MAX, create: true, replace: false },
            XattrHow { room: 5, create: false, replace: true },
        ] {
            assert_eq!(XattrHow::of(how.bits() | crate::NO_FOLLOW | OPENED), how);
        }
        assert_eq!(xattr_of(&xattr(b"user.a", b"x\0y")), Some((&b"user.a"[..], &b"x\0y"[..])));
        assert_eq!((xattr_of(b"user.a"), xattr_of(b"\0x")), (None, None));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        let set = |modified| SetTime { modified, all_now: false }.encode();
        assert_eq!(SetTime::decode(&set(Moment::At(0, 1_000_000_000))), None);
        for (at, value) in [(0, 3), (0, 8), (4, 1), (8, 1)] {
            let mut bytes = set(Moment::Now);
            bytes[at] = value;
            assert_eq!(SetTime::decode(&bytes), None, "{at}");
        }
        assert_eq!(SetTime::decode(&[0; 15]), None);
        assert_eq!((Owner::decode(&[0; 7]), Owner::decode(&[0; 9])), (None, None));
    }
}
