//! The bounds of messages.

/// The version that every body begins with.
pub const BODY_VERSION: u16 = 1;
/// Bytes of a body: about what an update of 65535 akeys needs, the most that one change may have.
pub const BODY_LEN_MAX: usize = 16 << 20;
/// Bytes of a value that stands in the body; a longer one travels beside it, from and to the caller's memory. The copy of a page costs less
/// than a place in a payload list.
pub const DATA_INLINE_MAX: usize = 4096;
/// Payloads of a message: those of a frame less one for a long body.
pub const MESSAGE_PAYLOADS_MAX: usize = 4095;
/// Bytes of a record of an array: no value of the store is longer.
pub const RECORD_LEN_MAX: u64 = 1 << 30;
/// Changes of a transaction that one request brings.
pub const TX_CHANGES_MAX: usize = 256;
/// Bytes of their bodies.
pub const TX_CHANGES_BYTES_MAX: usize = 64 << 10;
/// Pairs of one change of a flat object: other writers wait for some hundred microseconds at most.
pub const PAIRS_MAX: usize = 256;
/// Bytes of keys and values of one change of several pairs; what is longer is an update by itself.
pub const PAIRS_BYTES_MAX: usize = 64 << 10;
