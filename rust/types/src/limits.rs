//! Every bound of the system that more than one crate must know, with its unit and its reason.

/// Bytes of a label of a pool or container (DAOS: 127).
pub const LABEL_LEN_MAX: usize = 127;
/// Bytes of the name of a user attribute (DAOS: 511).
pub const ATTR_NAME_LEN_MAX: usize = 511;
/// Bytes of the value of a user attribute: it travels in one control message.
pub const ATTR_VALUE_LEN_MAX: usize = 64 << 10;
/// Bytes of a key of a lexical level (DAOS: 80).
pub const LEXICAL_KEY_LEN_MAX: usize = 80;
/// Bytes of a dkey or akey: it must fit in a log record beside its value, and into one reply.
pub const KEY_LEN_MAX: usize = 64 << 10;
/// Bytes of a snapshot's name (DAOS: 128).
pub const SNAPSHOT_NAME_LEN_MAX: usize = 128;
