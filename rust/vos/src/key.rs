//! The bytes under which everything is found in a shard's index: `docs/formats/records.md` draws them.
//!
//! Keys sort so that an object's dkeys are neighbours in the order of the object's type, a dkey's versions and akeys
//! lie behind it, and the newest version of anything comes first.

use crate::error::{Result, VosError};
use crate::index;
use daos_types::object_id::KeyKind;
use daos_types::{Epoch, ObjectId, ShardIdx, UnitOid, Version, limits};

/// Shard-wide values: counters, the epoch ceiling, the services' tables.
pub(crate) const TAG_META: u8 = 0x01;
/// Containers by UUID.
pub(crate) const TAG_CONTAINER: u8 = 0x02;
/// Objects by container and id.
pub(crate) const TAG_OBJECT: u8 = 0x03;
/// What objects hold.
pub(crate) const TAG_TREE: u8 = 0x10;

/// Behind a node: its versions.
pub(crate) const LEVEL_VERSIONS: u8 = 0x00;
/// Behind a dkey: its akeys. Behind an object: its local id.
pub(crate) const LEVEL_BELOW: u8 = 0x01;
/// Behind an akey: the extents of its array.
pub(crate) const LEVEL_EXTENTS: u8 = 0x02;
/// In a key: the mark of a long key, where a short one has a level.
const LONG: u8 = 0xFE;
/// In a key: a zero byte of the caller's, after a zero.
const ESCAPED_ZERO: u8 = 0xFF;
/// Behind everything of a node: greater than any level.
pub(crate) const LEVEL_END: u8 = 0xFD;

/// Bytes of an escaped key that is kept whole. Two of them and all that goes with them fit an index key.
const SHORT_ESCAPED_MAX: usize = 200;
/// Bytes of a long key that stay readable in front of its hash.
const LONG_PREFIX: usize = 64;
/// Bytes of a version: inverted epoch and minor.
const VERSION_LEN: usize = 10;

/// A container's short number inside a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContNum(pub u32);

/// An object's short number inside a shard; 48 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ObjNum(pub(crate) u64);

/// An index key under construction, on the stack.
#[derive(Debug, Clone)]
pub(crate) struct KeyBuf {
    len: usize,
    bytes: [u8; index::KEY_LEN_MAX],
}

impl KeyBuf {
    #[inline]
    fn new(tag: u8) -> Self {
        let mut key = Self { len: 0, bytes: [0; index::KEY_LEN_MAX] };
        key.push(&[tag]);
        key
    }

    /// Appends bytes; what would not fit is a mistake of this module, bounded by `SHORT_ESCAPED_MAX`.
    #[inline]
    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The length so far: a mark for [`KeyBuf::truncate`].
    pub(crate) fn mark(&self) -> usize {
        self.len
    }

    /// Back to a mark.
    pub(crate) fn truncate(&mut self, mark: usize) {
        self.len = self.len.min(mark);
    }

    /// A shard-wide value.
    pub(crate) fn meta(name: &[u8]) -> Result<Self> {
        if name.len() + 1 > index::KEY_LEN_MAX {
            return Err(VosError::KeyTooLong { len: name.len(), max: index::KEY_LEN_MAX - 1 });
        }
        let mut key = Self::new(TAG_META);
        key.push(name);
        Ok(key)
    }

    /// A container's row.
    pub(crate) fn container(uuid: &[u8; 16]) -> Self {
        let mut key = Self::new(TAG_CONTAINER);
        key.push(uuid);
        key
    }

    /// All objects of a container.
    pub(crate) fn objects(cont: ContNum) -> Self {
        let mut key = Self::new(TAG_OBJECT);
        key.push(&cont.0.to_be_bytes());
        key
    }

    /// An object's node.
    pub(crate) fn object(cont: ContNum, oid: UnitOid) -> Self {
        let mut key = Self::objects(cont);
        key.push(&oid.oid.to_be_bytes());
        key.push(&oid.shard.0.to_be_bytes());
        key
    }

    /// All that an object holds.
    #[inline]
    pub(crate) fn tree(object: ObjNum) -> Self {
        let mut key = Self::new(TAG_TREE);
        key.push(&object.0.to_be_bytes()[2..]);
        key
    }

    /// Down to the akeys of the node it names.
    pub(crate) fn below(&mut self) {
        self.push(&[LEVEL_BELOW]);
    }

    /// Down to a dkey or akey.
    pub(crate) fn user_key(&mut self, kind: KeyKind, user: &[u8]) -> Result<()> {
        match kind {
            KeyKind::Uint64 => {
                let Ok(native) = <[u8; 8]>::try_from(user) else {
                    return Err(VosError::KeyShape {
                        why: format!("an integer key has 8 bytes, this one {}", user.len()),
                    });
                };
                self.push(&u64::from_le_bytes(native).to_be_bytes());
                return Ok(());
            }
            KeyKind::Lexical if user.len() > limits::LEXICAL_KEY_LEN_MAX => {
                return Err(VosError::KeyTooLong { len: user.len(), max: limits::LEXICAL_KEY_LEN_MAX });
            }
            KeyKind::Hashed if user.len() > limits::KEY_LEN_MAX => {
                return Err(VosError::KeyTooLong { len: user.len(), max: limits::KEY_LEN_MAX });
            }
            KeyKind::Hashed | KeyKind::Lexical => {}
        }
        if user.is_empty() {
            return Err(VosError::KeyShape { why: "a key has at least one byte".to_owned() });
        }
        if is_long(user) {
            self.push_escaped(&user[..LONG_PREFIX]);
            self.push(&[0, LONG]);
            self.push(&twox_hash::XxHash3_128::oneshot(user).to_be_bytes());
        } else {
            self.push_escaped(user);
            self.push(&[0]);
        }
        Ok(())
    }

    fn push_escaped(&mut self, user: &[u8]) {
        let mut rest = user;
        while let Some(zero) = rest.iter().position(|byte| *byte == 0) {
            let (head, tail) = rest.split_at(zero + 1);
            self.push(head);
            self.push(&[ESCAPED_ZERO]);
            rest = tail;
        }
        self.push(rest);
    }

    /// The versions of the node it names.
    pub(crate) fn versions(&mut self) {
        self.push(&[LEVEL_VERSIONS]);
    }

    /// One version of the node it names.
    #[inline]
    pub(crate) fn version(&mut self, version: Version) {
        self.versions();
        self.push_version(version);
    }

    /// The extents of the akey it names.
    pub(crate) fn extents(&mut self) {
        self.push(&[LEVEL_EXTENTS]);
    }

    /// Behind [`KeyBuf::extents`]: the newest extent of a class that begins at a record.
    pub(crate) fn extent(&mut self, class: u8, index: u64) {
        self.push(&[class]);
        self.push(&index.to_be_bytes());
    }

    /// Behind [`KeyBuf::extent`]: its version.
    pub(crate) fn push_version(&mut self, version: Version) {
        self.push(&(!version.epoch.0).to_be_bytes());
        self.push(&(!version.minor).to_be_bytes());
    }

    /// A key taken from an index.
    pub(crate) fn from_slice(bytes: &[u8]) -> Result<Self> {
        if bytes.len() > index::KEY_LEN_MAX {
            return Err(VosError::KeyTooLong { len: bytes.len(), max: index::KEY_LEN_MAX });
        }
        let mut key = Self { len: 0, bytes: [0; index::KEY_LEN_MAX] };
        key.push(bytes);
        Ok(key)
    }
}

/// Makes of a prefix the first key behind all that start with it. There is one for every prefix used here: tags are
/// smaller than 0xFF.
pub(crate) fn successor(prefix: &mut Vec<u8>) {
    while prefix.last() == Some(&u8::MAX) {
        prefix.pop();
    }
    if let Some(last) = prefix.last_mut() {
        *last += 1;
    }
}

/// Whether an index key belongs to the node of these bytes: its versions or what is below it.
pub(crate) fn is_of_node(key: &[u8], node: &[u8]) -> bool {
    key.starts_with(node) && key.get(node.len()).is_some_and(|level| *level <= LEVEL_END)
}

/// Whether an index key is one of the versions of the node of these bytes.
pub(crate) fn is_version_of(key: &[u8], node: &[u8]) -> bool {
    key.starts_with(node) && key.get(node.len()) == Some(&LEVEL_VERSIONS)
}

/// Whether a key is kept as prefix and hash, and whole in the entries' values.
pub(crate) fn is_long(user: &[u8]) -> bool {
    let zeros = || user.iter().map(|byte| usize::from(*byte == 0)).sum::<usize>();
    user.len() > SHORT_ESCAPED_MAX
        || (user.len() > SHORT_ESCAPED_MAX / 2 && user.len() + zeros() > SHORT_ESCAPED_MAX)
}

/// A user key as it stands in an index key, and what follows it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parsed<'a> {
    /// Bytes of the encoded key, with its terminator.
    pub(crate) encoded_len: usize,
    /// The key is long: its text is in the entries' values.
    pub(crate) long: bool,
    /// What follows: a level byte and its content.
    pub(crate) rest: &'a [u8],
}

/// Finds the end of the user key at the start of `bytes`; `None` where they are no such key.
pub(crate) fn parse_user_key(kind: KeyKind, bytes: &[u8]) -> Option<Parsed<'_>> {
    if kind == KeyKind::Uint64 {
        return Some(Parsed { encoded_len: 8, long: false, rest: bytes.get(8..)? });
    }
    let mut from = 0;
    loop {
        let zero = from + bytes.get(from..)?.iter().position(|byte| *byte == 0)?;
        match *bytes.get(zero + 1)? {
            ESCAPED_ZERO => from = zero + 2,
            LONG => {
                return Some(Parsed { encoded_len: zero + 18, long: true, rest: bytes.get(zero + 18..)? });
            }
            _ => return Some(Parsed { encoded_len: zero + 1, long: false, rest: bytes.get(zero + 1..)? }),
        }
    }
}

/// The caller's bytes of an encoded key that is not long.
pub(crate) fn decode_user_key(kind: KeyKind, encoded: &[u8], out: &mut Vec<u8>) {
    out.clear();
    if kind == KeyKind::Uint64 {
        out.extend(encoded.iter().take(8).rev());
        return;
    }
    let encoded = encoded.get(..encoded.len().saturating_sub(1)).unwrap_or_default();
    if !encoded.contains(&0) {
        out.extend_from_slice(encoded);
        return;
    }
    let mut zero = false;
    for byte in encoded {
        if !(zero && *byte == ESCAPED_ZERO) {
            out.push(*byte);
        }
        zero = *byte == 0;
    }
}

/// The version at the start of what follows [`LEVEL_VERSIONS`].
pub(crate) fn parse_version(bytes: &[u8]) -> Option<Version> {
    let bytes: [u8; VERSION_LEN] = bytes.try_into().ok()?;
    let [a, b, c, d, e, f, g, h, minor @ ..] = bytes;
    Some(Version {
        epoch: Epoch(!u64::from_be_bytes([a, b, c, d, e, f, g, h])),
        minor: !u16::from_be_bytes(minor),
    })
}

/// Class, first record and version of an extent, of what follows [`LEVEL_EXTENTS`].
pub(crate) fn parse_extent(bytes: &[u8]) -> Option<(u8, u64, Version)> {
    let (class, rest) = bytes.split_first()?;
    let (index, version) = rest.split_first_chunk()?;
    Some((*class, u64::from_be_bytes(*index), parse_version(version)?))
}

/// Bytes of an object's node: tag, container, id, shard.
pub(crate) const OBJECT_NODE_LEN: usize = 1 + 4 + 16 + 4;

/// Whether the key is that of a version of a node, whose value is an entry.
pub(crate) fn is_version(key: &[u8]) -> bool {
    match key.first() {
        Some(&TAG_TREE) => true,
        Some(&TAG_OBJECT) => key.get(OBJECT_NODE_LEN) == Some(&LEVEL_VERSIONS),
        _ => false,
    }
}

/// The version of a version's key.
pub(crate) fn version_of(key: &[u8]) -> Option<Version> {
    if is_version(key) { parse_version(key.last_chunk::<VERSION_LEN>()?) } else { None }
}

/// The epoch of a version's key.
pub(crate) fn epoch_of(key: &[u8]) -> Option<u64> {
    version_of(key).map(|version| version.epoch.0)
}

/// The object whose node the key belongs to; `None` for keys of other kinds.
pub(crate) fn parse_object(key: &[u8]) -> Option<(ContNum, UnitOid)> {
    let (tag, rest) = key.split_first()?;
    let (cont, rest) = rest.split_first_chunk()?;
    let (oid, rest) = rest.split_first_chunk()?;
    let (shard, _) = rest.split_first_chunk()?;
    (*tag == TAG_OBJECT).then(|| {
        let shard = ShardIdx(u32::from_be_bytes(*shard));
        (ContNum(u32::from_be_bytes(*cont)), UnitOid { oid: ObjectId::from_be_bytes(*oid), shard })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(kind: KeyKind, user: &[u8]) -> Vec<u8> {
        let mut key = KeyBuf::new(TAG_TREE);
        key.user_key(kind, user).unwrap();
        key.as_slice()[1..].to_vec()
    }

    fn user_bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(prop_oneof![Just(0u8), Just(0xFF), any::<u8>()], 1..max)
    }

    proptest! {
        #[test]
        fn short_keys_sort_as_they_are_and_come_back(a in user_bytes(80), b in user_bytes(80)) {
            let (x, y) = (encode(KeyKind::Lexical, &a), encode(KeyKind::Lexical, &b));
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
            let mut back = Vec::new();
            let mut with_level = x.clone();
            with_level.push(LEVEL_VERSIONS);
            let parsed = parse_user_key(KeyKind::Lexical, &with_level).unwrap();
            prop_assert_eq!(parsed.encoded_len, x.len());
            prop_assert!(!parsed.long);
            decode_user_key(KeyKind::Lexical, &x, &mut back);
            prop_assert_eq!(back, a);
        }

        #[test]
        fn keys_of_any_length_keep_their_distance_and_fit(a in user_bytes(400), b in user_bytes(400)) {
            let mut key = KeyBuf::tree(ObjNum(7));
            key.user_key(KeyKind::Hashed, &a).unwrap();
            key.below();
            key.user_key(KeyKind::Hashed, &b).unwrap();
            key.version(Version::new(Epoch(1), 1));
            prop_assert!(key.as_slice().len() <= index::KEY_LEN_MAX);
            prop_assert_eq!(encode(KeyKind::Hashed, &a) == encode(KeyKind::Hashed, &b), a == b);
            let parsed = parse_user_key(KeyKind::Hashed, &key.as_slice()[7..]).unwrap();
            prop_assert_eq!(parsed.long, is_long(&a));
            prop_assert_eq!(parsed.rest.first(), Some(&LEVEL_BELOW));
        }

        #[test]
        fn integers_sort_as_numbers(a in any::<u64>(), b in any::<u64>()) {
            let (x, y) = (encode(KeyKind::Uint64, &a.to_le_bytes()), encode(KeyKind::Uint64, &b.to_le_bytes()));
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
            let mut back = Vec::new();
            decode_user_key(KeyKind::Uint64, &x, &mut back);
            prop_assert_eq!(back, a.to_le_bytes());
        }

        #[test]
        fn newer_versions_come_first(a in any::<(u64, u16)>(), b in any::<(u64, u16)>()) {
            let version = |(epoch, minor)| Version::new(Epoch(epoch), minor);
            let encode = |v| { let mut key = KeyBuf::tree(ObjNum(1)); key.version(v); key.as_slice().to_vec() };
            let (x, y) = (encode(version(a)), encode(version(b)));
            prop_assert_eq!(x.cmp(&y), version(b).cmp(&version(a)));
            prop_assert_eq!(parse_version(&x[8..]), Some(version(a)));
        }

        #[test]
        fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            for kind in [KeyKind::Hashed, KeyKind::Lexical, KeyKind::Uint64] {
                let _ = parse_user_key(kind, &bytes);
                decode_user_key(kind, &bytes, &mut Vec::new());
            }
            let _ = parse_version(&bytes);
        }
    }

    #[test]
    fn a_node_ends_behind_its_versions_and_akeys_and_before_its_neighbour() {
        let node = |user: &[u8]| {
            let mut key = KeyBuf::tree(ObjNum(1));
            key.user_key(KeyKind::Hashed, user).unwrap();
            key
        };
        let mut end = node(b"a");
        end.push(&[LEVEL_END]);
        let mut akey = node(b"a");
        akey.below();
        akey.user_key(KeyKind::Hashed, &[0xFF; 100]).unwrap();
        akey.version(Version::new(Epoch(0), 0));
        assert!(akey.as_slice() < end.as_slice());
        assert!(end.as_slice() < node(b"a\0").as_slice());
        assert!(end.as_slice() < node(b"b").as_slice());
        let mut after = KeyBuf::tree(ObjNum(0xFF)).as_slice().to_vec();
        successor(&mut after);
        assert!(after.as_slice() <= KeyBuf::tree(ObjNum(0x100)).as_slice());
        assert!(is_of_node(akey.as_slice(), node(b"a").as_slice()));
        assert!(!is_of_node(node(b"a\0").as_slice(), node(b"a").as_slice()));
    }

    #[test]
    fn what_cannot_be_a_key_is_refused() {
        let mut key = KeyBuf::tree(ObjNum(1));
        assert!(matches!(key.user_key(KeyKind::Uint64, b"seven77"), Err(VosError::KeyShape { .. })));
        assert!(matches!(key.user_key(KeyKind::Hashed, b""), Err(VosError::KeyShape { .. })));
        assert!(matches!(
            key.user_key(KeyKind::Lexical, &[1; 81]),
            Err(VosError::KeyTooLong { max: 80, .. })
        ));
        assert!(matches!(key.user_key(KeyKind::Hashed, &vec![1; 65_537]), Err(VosError::KeyTooLong { .. })));
        assert!(matches!(KeyBuf::meta(&[1; 512]), Err(VosError::KeyTooLong { .. })));
    }
}
