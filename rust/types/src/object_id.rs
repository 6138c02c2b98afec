//! Object ids: 128 bits, of which the top 32 tell the object's type and class.
//!
//! Source: DAOS's public object id layout: type in bits 63..56 of `hi`, redundancy ordinal in 55..48, number of
//! redundancy groups in 47..32; the rest is the user's.

use core::fmt;

/// How an object's keys are compared and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ObjectType {
    /// Any bytes at both levels; the default.
    MultiHashed = 0,
    /// Object id table of a snapshot, first version.
    Oit = 1,
    /// 64-bit integer dkeys.
    DkeyUint64 = 2,
    /// 64-bit integer akeys.
    AkeyUint64 = 3,
    /// 64-bit integers at both levels.
    MultiUint64 = 4,
    /// dkeys in the order of their bytes.
    DkeyLexical = 5,
    /// akeys in the order of their bytes.
    AkeyLexical = 6,
    /// Both levels in the order of their bytes.
    MultiLexical = 7,
    /// Flat key-value, any bytes.
    KvHashed = 8,
    /// Flat key-value, integer keys.
    KvUint64 = 9,
    /// Flat key-value, keys in the order of their bytes.
    KvLexical = 10,
    /// Array that stores its cell and chunk size.
    Array = 11,
    /// Array whose cell and chunk size the caller remembers.
    ArrayAttr = 12,
    /// Byte array without metadata (files).
    ArrayByte = 13,
    /// Object id table of a snapshot.
    OitV2 = 14,
}

/// What a level's keys are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// Any bytes; the order of listing is ours to choose.
    Hashed,
    /// Exactly 8 bytes, a little-endian integer; listed in numeric order.
    Uint64,
    /// Up to 80 bytes, listed in the order of their bytes.
    Lexical,
}

impl ObjectType {
    /// The type of a stored number; `None` for one that is reserved or unknown.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::MultiHashed,
            1 => Self::Oit,
            2 => Self::DkeyUint64,
            3 => Self::AkeyUint64,
            4 => Self::MultiUint64,
            5 => Self::DkeyLexical,
            6 => Self::AkeyLexical,
            7 => Self::MultiLexical,
            8 => Self::KvHashed,
            9 => Self::KvUint64,
            10 => Self::KvLexical,
            11 => Self::Array,
            12 => Self::ArrayAttr,
            13 => Self::ArrayByte,
            14 => Self::OitV2,
            _ => return None,
        })
    }

    /// What its dkeys are.
    pub const fn dkey_kind(self) -> KeyKind {
        match self {
            Self::DkeyUint64
            | Self::MultiUint64
            | Self::KvUint64
            | Self::Array
            | Self::ArrayAttr
            | Self::ArrayByte => KeyKind::Uint64,
            Self::DkeyLexical | Self::MultiLexical | Self::KvLexical => KeyKind::Lexical,
            _ => KeyKind::Hashed,
        }
    }

    /// What its akeys are.
    pub const fn akey_kind(self) -> KeyKind {
        match self {
            Self::AkeyUint64 | Self::MultiUint64 => KeyKind::Uint64,
            Self::AkeyLexical | Self::MultiLexical => KeyKind::Lexical,
            _ => KeyKind::Hashed,
        }
    }

    /// Flat key-value objects: one single value a dkey, under the akey `"0"`.
    pub const fn is_kv(self) -> bool {
        matches!(self, Self::KvHashed | Self::KvUint64 | Self::KvLexical)
    }

    /// Objects of the array interface.
    pub const fn is_array(self) -> bool {
        matches!(self, Self::Array | Self::ArrayAttr | Self::ArrayByte)
    }
}

/// An object's id. `(0, 0)` is nil.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ObjectId {
    /// Type, class and 32 bits of the user.
    pub hi: u64,
    /// 64 bits of the user.
    pub lo: u64,
}

impl ObjectId {
    /// Encodes type, redundancy ordinal and number of redundancy groups above the user's 96 bits.
    pub const fn generate(kind: ObjectType, ordinal: u8, groups: u16, user_hi: u32, lo: u64) -> Self {
        let hi = ((kind as u64) << 56) | ((ordinal as u64) << 48) | ((groups as u64) << 32) | user_hi as u64;
        Self { hi, lo }
    }

    /// The object's type; `None` where the id holds a reserved number.
    pub const fn object_type(self) -> Option<ObjectType> {
        ObjectType::from_number((self.hi >> 56) as u8)
    }

    /// The redundancy ordinal of its class.
    pub const fn ordinal(self) -> u8 {
        (self.hi >> 48) as u8
    }

    /// The number of its redundancy groups.
    pub const fn groups(self) -> u16 {
        (self.hi >> 32) as u16
    }

    /// The class id: `ordinal << 24 | groups`.
    pub const fn class_id(self) -> u32 {
        ((self.ordinal() as u32) << 24) | self.groups() as u32
    }

    /// The id as 16 bytes that sort like the id.
    pub fn to_be_bytes(self) -> [u8; 16] {
        (((self.hi as u128) << 64) | self.lo as u128).to_be_bytes()
    }

    /// The id of its 16 sorted bytes.
    pub const fn from_be_bytes(bytes: [u8; 16]) -> Self {
        let both = u128::from_be_bytes(bytes);
        Self { hi: (both >> 64) as u64, lo: both as u64 }
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.hi, self.lo)
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_that_of_daos() {
        let oid = ObjectId::generate(ObjectType::KvHashed, 1, 0xFFFF, 7, 9);
        assert_eq!(oid.hi, 0x0801_FFFF_0000_0007);
        assert_eq!(oid.class_id(), 0x0100_FFFF);
        assert_eq!(oid.object_type(), Some(ObjectType::KvHashed));
        assert_eq!(ObjectId::from_be_bytes(oid.to_be_bytes()), oid);
        assert_eq!(ObjectId { hi: 200 << 56, lo: 0 }.object_type(), None);
    }

    #[test]
    fn key_kinds_follow_the_type() {
        assert_eq!(ObjectType::ArrayByte.dkey_kind(), KeyKind::Uint64);
        assert_eq!(ObjectType::AkeyLexical.akey_kind(), KeyKind::Lexical);
        assert_eq!(ObjectType::AkeyLexical.dkey_kind(), KeyKind::Hashed);
    }
}
