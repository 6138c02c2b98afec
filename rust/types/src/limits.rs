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
/// Operations of a transaction, reads included: each has its place among the versions of one epoch, 16 bits.
pub const TX_OPERATIONS_MAX: u16 = u16::MAX - 1;
/// Bytes of keys and values that a transaction keeps in memory until it commits. What it changes must besides fit a record of the
/// log, all but values that go to the data file.
pub const TX_BYTES_MAX: usize = 256 << 20;
/// Seconds that a transaction may take: what it reads is kept from aggregation meanwhile.
pub const TX_LIFE_S_MAX: u64 = 60;
/// Bytes of a snapshot's name (DAOS: 128).
pub const SNAPSHOT_NAME_LEN_MAX: usize = 128;

/// How long it is known, after a restart, what became of a change that is sent again, in seconds.
pub const RETRY_WINDOW_S: u64 = 600;
