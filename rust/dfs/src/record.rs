//! The record of a file, directory or symbolic link, byte by byte. Pure.
//!
//! Source: `docs/formats/dfs.md`.

use crate::errno::{Errno, Error, Result};
use daos_types::{Extent, ObjectId};
use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

/// Bytes of a record as DAOS writes it.
pub(crate) const LEN_3: usize = 88;
/// Bytes of a record.
pub(crate) const LEN_4: usize = 96;

/// The bits of a mode that tell the kind.
const KIND_MASK: u32 = 0o170_000;
/// The bits of a mode that a caller sets.
pub const MODE_MASK: u32 = 0o7777;

/// What lies behind an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A file.
    File,
    /// A symbolic link.
    Symlink,
}

impl Kind {
    /// Its bits of a mode.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Directory => 0o040_000,
            Self::File => 0o100_000,
            Self::Symlink => 0o120_000,
        }
    }

    /// The kind that a mode tells.
    pub const fn of(mode: u32) -> Option<Self> {
        Some(match mode & KIND_MASK {
            0o040_000 => Self::Directory,
            0o100_000 => Self::File,
            0o120_000 => Self::Symlink,
            _ => return None,
        })
    }
}

/// A moment, since 1970, as POSIX tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time {
    /// Seconds.
    pub seconds: i64,
    /// And nanoseconds, below 10^9.
    pub nanoseconds: u32,
}

impl Time {
    /// Now.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { seconds: since.as_secs().cast_signed(), nanoseconds: since.subsec_nanos() }
    }

    /// Whether it is one of those, one in eight, of which more is made.
    pub(crate) const fn is_one_in_eight(self) -> bool {
        (self.nanoseconds >> 10).is_multiple_of(8)
    }

    /// Nanoseconds since 1970; 0 for what was before.
    pub(crate) fn unix_ns(self) -> u64 {
        let seconds = u64::try_from(self.seconds).unwrap_or(0);
        seconds.saturating_mul(1_000_000_000).saturating_add(self.nanoseconds.into())
    }
}

/// The flags of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Flags(pub(crate) u32);

impl Flags {
    /// The record is in the inode object.
    pub(crate) const LINKED: u32 = 1;
    /// It is the record of an inode object.
    pub(crate) const INODE: u32 = 2;
    /// Its number of names may be wrong.
    pub(crate) const UNCERTAIN: u32 = 4;

    pub(crate) const fn has(self, flag: u32) -> bool {
        self.0 & flag != 0
    }

    pub(crate) const fn with(self, flag: u32, set: bool) -> Self {
        Self(if set { self.0 | flag } else { self.0 & !flag })
    }
}

/// A record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) mode: u32,
    pub(crate) oid: ObjectId,
    pub(crate) mtime: Time,
    pub(crate) ctime: Time,
    pub(crate) chunk_size: u64,
    pub(crate) class: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) value_len: u64,
    pub(crate) stored: u64,
    pub(crate) flags: Flags,
    pub(crate) links: u32,
}

/// Where each field is: what differs in one of them is written as a whole.
const FIELDS: [Range<usize>; 14] = [
    0..4,
    4..20,
    20..28,
    28..36,
    36..44,
    44..48,
    48..56,
    56..64,
    64..68,
    68..72,
    72..80,
    80..88,
    88..92,
    92..96,
];

/// What a fetch found of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    /// Nothing.
    Absent,
    /// A record, and how long it is.
    Found(Record, usize),
}

impl Record {
    /// A new one.
    pub(crate) fn new(
        kind: Kind,
        permissions: u32,
        oid: ObjectId,
        (uid, gid): (u32, u32),
        now: Time,
    ) -> Self {
        Self {
            mode: kind.bits() | permissions & MODE_MASK,
            oid,
            mtime: now,
            ctime: now,
            chunk_size: 0,
            class: 0,
            uid,
            gid,
            value_len: 0,
            stored: daos_types::Epoch::from_unix_ns(now.unix_ns()).0,
            flags: Flags::default(),
            links: 0,
        }
    }

    /// The kind; a record that was read always has one.
    pub(crate) fn kind(&self) -> Kind {
        Kind::of(self.mode).unwrap_or(Kind::File)
    }

    pub(crate) const fn is_linked(&self) -> bool {
        self.flags.has(Flags::LINKED)
    }

    /// How many names it has.
    pub(crate) const fn names(&self) -> u32 {
        if self.flags.has(Flags::INODE) { self.links } else { 1 }
    }

    /// Sets the time of the last change of content.
    pub(crate) fn set_mtime(&mut self, mtime: Time, now: Time) {
        self.mtime = mtime;
        self.stored = daos_types::Epoch::from_unix_ns(now.unix_ns()).0;
    }

    /// What an entry says whose record has moved.
    pub(crate) fn leading_to(mode: u32, oid: ObjectId) -> Self {
        let nil = Record::new(Kind::File, 0, oid, (0, 0), Time::default());
        Self { mode, flags: Flags(Flags::LINKED), ..nil }
    }

    /// All its bytes.
    pub(crate) fn encode(&self) -> [u8; LEN_4] {
        let mut bytes = [0; LEN_4];
        let fields: [&[u8]; 15] = [
            &self.mode.to_le_bytes(),
            &self.oid.lo.to_le_bytes(),
            &self.oid.hi.to_le_bytes(),
            &self.mtime.seconds.to_le_bytes(),
            &self.ctime.seconds.to_le_bytes(),
            &self.chunk_size.to_le_bytes(),
            &self.class.to_le_bytes(),
            &u64::from(self.mtime.nanoseconds).to_le_bytes(),
            &u64::from(self.ctime.nanoseconds).to_le_bytes(),
            &self.uid.to_le_bytes(),
            &self.gid.to_le_bytes(),
            &self.value_len.to_le_bytes(),
            &self.stored.to_le_bytes(),
            &self.flags.0.to_le_bytes(),
            &self.links.to_le_bytes(),
        ];
        for (to, from) in bytes.iter_mut().zip(fields.into_iter().flatten()) {
            *to = *from;
        }
        bytes
    }

    /// The record of what was read of it, of which `holes` were not there.
    pub(crate) fn decode(bytes: &[u8; LEN_4], holes: &[Range<usize>]) -> Result<Stored> {
        let len = match holes {
            [] => LEN_4,
            [hole] if *hole == (LEN_3..LEN_4) => LEN_3,
            [hole] if *hole == (0..LEN_4) => return Ok(Stored::Absent),
            [first, ..] => {
                return Err(damaged(&format!("bytes {} to {} are missing", first.start, first.end)));
            }
        };
        let u32_at =
            |at: usize| bytes.get(at..).and_then(<[u8]>::first_chunk).copied().map_or(0, u32::from_le_bytes);
        let u64_at =
            |at: usize| bytes.get(at..).and_then(<[u8]>::first_chunk).copied().map_or(0, u64::from_le_bytes);
        let time_at = |seconds: usize, nanoseconds: usize| {
            let (seconds, nanoseconds) = (u64_at(seconds).cast_signed(), u64_at(nanoseconds));
            let nanoseconds = u32::try_from(nanoseconds).ok().filter(|part| *part < 1_000_000_000);
            nanoseconds.map(|nanoseconds| Time { seconds, nanoseconds })
        };
        let late = || damaged("a second has more than 10^9 nanoseconds");
        let record = Self {
            mode: u32_at(0),
            oid: ObjectId { lo: u64_at(4), hi: u64_at(12) },
            mtime: time_at(20, 48).ok_or_else(late)?,
            ctime: time_at(28, 56).ok_or_else(late)?,
            chunk_size: u64_at(36),
            class: u32_at(44),
            uid: u32_at(64),
            gid: u32_at(68),
            value_len: u64_at(72),
            stored: u64_at(80),
            flags: Flags(u32_at(88)),
            links: u32_at(92),
        };
        if Kind::of(record.mode).is_none() {
            return Err(damaged(&format!("a mode of {:#o}", record.mode)));
        }
        if record.flags.0 > 7 {
            return Err(damaged(&format!("unknown flags {:#x}", record.flags.0)));
        }
        if record.chunk_size > i64::MAX as u64 {
            return Err(damaged(&format!("a chunk of {} bytes", record.chunk_size)));
        }
        Ok(Stored::Found(record, len))
    }

    /// What has to be written to make `old`, of so many bytes, this one: which bytes, and they.
    pub(crate) fn patch(&self, old: &Self, old_len: usize) -> (Vec<Extent>, Vec<u8>) {
        let (old, new) = (old.encode(), self.encode());
        let (mut extents, mut data): (Vec<Extent>, _) = (Vec::new(), Vec::new());
        for field in FIELDS {
            let is_new = field.start >= old_len;
            let (Some(old), Some(new)) = (old.get(field.clone()), new.get(field.clone())) else { continue };
            if old == new && !is_new {
                continue;
            }
            let extent = Extent { index: field.start as u64, count: field.len() as u64 };
            match extents.last_mut() {
                Some(last) if last.end() == extent.index => last.count += extent.count,
                _ => extents.push(extent),
            }
            data.extend_from_slice(new);
        }
        (extents, data)
    }
}

/// What is told of a record that is none.
pub(crate) fn damaged(why: &str) -> Error {
    Error::new(Errno::EIO, format!("a damaged record of an entry: {why}"))
        .hint("run a check of the file system")
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)] // a list of holes may have one
mod tests {
    use super::*;

    fn sample() -> Record {
        Record {
            mode: 0o100_644,
            oid: ObjectId { hi: 0x0102_0304_0506_0708, lo: 0x1112_1314_1516_1718 },
            mtime: Time { seconds: 0x2122_2324_2526_2728, nanoseconds: 0x0132_3334 },
            ctime: Time { seconds: -2, nanoseconds: 999_999_999 },
            chunk_size: 0x4142_4344_4546_4748,
            class: 0x5152_5354,
            uid: 0x6162_6364,
            gid: 0x7172_7374,
            value_len: 0x0182_8384_8586_8788,
            stored: 0x9192_9394_9596_9798,
            flags: Flags(Flags::INODE | Flags::UNCERTAIN),
            links: 0xa1a2_a3a4,
        }
    }

    #[test]
    fn each_byte_is_where_the_format_says() {
        let bytes = sample().encode();
        let expected: [(usize, &[u8]); 15] = [
            (0, &[0xa4, 0x81, 0, 0]),
            (4, &[0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11]),
            (12, &[8, 7, 6, 5, 4, 3, 2, 1]),
            (20, &[0x28, 0x27, 0x26, 0x25, 0x24, 0x23, 0x22, 0x21]),
            (28, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            (36, &[0x48, 0x47, 0x46, 0x45, 0x44, 0x43, 0x42, 0x41]),
            (44, &[0x54, 0x53, 0x52, 0x51]),
            (48, &[0x34, 0x33, 0x32, 0x01, 0, 0, 0, 0]),
            (56, &[0xff, 0xc9, 0x9a, 0x3b, 0, 0, 0, 0]),
            (64, &[0x64, 0x63, 0x62, 0x61]),
            (68, &[0x74, 0x73, 0x72, 0x71]),
            (72, &[0x88, 0x87, 0x86, 0x85, 0x84, 0x83, 0x82, 0x01]),
            (80, &[0x98, 0x97, 0x96, 0x95, 0x94, 0x93, 0x92, 0x91]),
            (88, &[6, 0, 0, 0]),
            (92, &[0xa4, 0xa3, 0xa2, 0xa1]),
        ];
        for (at, part) in expected {
            assert_eq!(&bytes[at..at + part.len()], part, "at {at}");
        }
        assert_eq!(Record::decode(&bytes, &[]).unwrap(), Stored::Found(sample(), LEN_4));
    }

    #[test]
    fn a_record_of_daos_is_shorter() {
        let record = Record { flags: Flags(0), links: 0, ..sample() };
        let bytes = record.encode();
        assert_eq!(Record::decode(&bytes, &[LEN_3..LEN_4]).unwrap(), Stored::Found(record, LEN_3));
        assert_eq!(Record::decode(&bytes, &[0..LEN_4]).unwrap(), Stored::Absent);
    }

    #[test]
    fn what_is_no_record_is_damage() {
        let bytes = sample().encode();
        for holes in [&[0..4][..], &[4..96], &[80..96], &[0..8, 88..96], &[92..96]] {
            assert_eq!(Record::decode(&bytes, holes).unwrap_err().errno, Errno::EIO, "{holes:?}");
        }
        for (at, value) in [(0, 0), (1, 0xf0), (88, 8), (51, 0xff), (63, 1), (43, 0x80)] {
            let mut bytes = bytes;
            bytes[at] = value;
            if at == 0 {
                bytes[1] = 0;
            }
            assert_eq!(Record::decode(&bytes, &[]).unwrap_err().errno, Errno::EIO, "byte {at}");
        }
    }

    #[test]
    fn whatever_is_read_is_a_record_or_damage() {
        let mut state = 1_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u32
        };
        let (mut records, mut damage) = (0, 0);
        for _ in 0..50_000 {
            let mut bytes = sample().encode();
            for _ in 0..random() % 4 {
                bytes[random() as usize % LEN_4] = random() as u8;
            }
            let (from, to) = (random() as usize % LEN_4, random() as usize % LEN_4);
            let holes = [from.min(to)..from.max(to)];
            let holes = if random() % 2 == 0 || from == to { &[][..] } else { &holes[..] };
            match Record::decode(&bytes, holes) {
                Ok(Stored::Found(record, LEN_4)) => {
                    records += 1;
                    assert_eq!(record.encode(), bytes);
                }
                Ok(other) => assert_eq!(holes, [LEN_3..LEN_4], "{other:?}"),
                Err(error) => {
                    damage += 1;
                    assert!(error.is_damage());
                }
            }
        }
        assert!(records > 1_000 && damage > 1_000, "{records}, {damage}");
    }

    #[test]
    fn a_patch_makes_one_record_the_other() {
        let old = Record { flags: Flags(0), links: 0, ..sample() };
        assert_eq!(old.patch(&old, LEN_4), (vec![], vec![]));
        let new = Record { uid: 1, gid: 2, ctime: Time { seconds: 5, nanoseconds: 6 }, ..old };
        let (extents, data) = new.patch(&old, LEN_3);
        let placed: Vec<_> = extents.iter().map(|extent| (extent.index, extent.count)).collect();
        assert_eq!(placed, [(28, 8), (56, 16), (88, 8)]);
        let mut bytes = old.encode();
        let mut rest = &data[..];
        for extent in extents {
            let (part, others) = rest.split_at(extent.count as usize);
            bytes[extent.index as usize..extent.end() as usize].copy_from_slice(part);
            rest = others;
        }
        assert_eq!(Record::decode(&bytes, &[]).unwrap(), Stored::Found(new, LEN_4));
        // One that becomes longer gets all of its end.
        let linked = Record { flags: Flags(Flags::LINKED), ..old };
        assert_eq!(linked.patch(&old, LEN_3).0, [Extent { index: 88, count: 8 }]);
        assert_eq!(old.patch(&linked, LEN_4).0, [Extent { index: 88, count: 4 }]);
    }

    #[test]
    fn kinds_and_modes() {
        for kind in [Kind::Directory, Kind::File, Kind::Symlink] {
            assert_eq!(Kind::of(kind.bits() | 0o7777), Some(kind));
        }
        assert_eq!(Kind::of(0o060_000), None);
        let record = Record::new(Kind::Directory, 0o177_777, ObjectId::default(), (1, 2), Time::now());
        assert_eq!((record.mode, record.kind()), (0o047_777, Kind::Directory));
        assert_eq!((record.names(), sample().names()), (1, 0xa1a2_a3a4));
    }
}
