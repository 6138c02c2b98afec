//! The bounds of a group, each with its reason.

/// Bytes of one proposed command: it travels in one message and one record of the store's log.
pub const COMMAND_BYTES_MAX: usize = 1 << 20;
/// Bytes of entries that one message carries, but for its last entry.
pub const APPEND_BYTES_MAX: usize = 1 << 20;
/// Entries of one message.
pub const APPEND_ENTRIES_MAX: usize = 1 << 16;
/// Bytes of entries that a leader takes before some of them are committed.
pub const UNCOMMITTED_BYTES_MAX: usize = 16 << 20;
/// Messages with entries on their way to one follower.
pub const INFLIGHT_MAX: usize = 64;
/// Bytes of a snapshot: it travels in one frame of the network.
pub const SNAPSHOT_BYTES_MAX: usize = 32 << 20;
/// Replicas of a group, learners included.
pub const REPLICAS_MAX: usize = 32;
/// Proposals and reads of a group that wait for their outcome.
pub const WAITING_MAX: usize = 4096;
/// Entries behind the newest snapshot after which the application is asked for another.
pub const SNAPSHOT_ENTRIES: u64 = 4096;
/// Bytes of them, likewise.
pub const SNAPSHOT_LOG_BYTES: u64 = 8 << 20;
/// Entries before a snapshot that are kept, so that a follower that lags a little needs no snapshot.
pub const KEPT_ENTRIES: u64 = 256;
/// Ticks without a word from the leader after which a follower asks for votes; up to twice as many, by chance.
pub const ELECTION_TICKS: usize = 10;
/// The same for the first replica of a group that nobody has led yet.
pub const FIRST_ELECTION_TICKS: usize = 2;
/// By so many ticks each further replica of such a group waits longer: a vote takes less.
pub const FIRST_ELECTION_TURN_TICKS: usize = 3;
/// Ticks between two words of a leader.
pub const HEARTBEAT_TICKS: usize = 2;
/// Ticks after which a snapshot that brought no answer is sent again.
pub const SNAPSHOT_TICKS: u32 = 40;
/// Ticks made up for at once where a driver was late: more would only repeat elections.
pub const CATCH_UP_TICKS: u64 = 10;
/// Messages and requests that a node has not looked at yet.
pub const INBOX_MAX: usize = 16 << 10;
/// Bytes of them.
pub const INBOX_BYTES_MAX: usize = 128 << 20;
/// Bytes that an application was told and has not taken: one that takes nothing any more must not fill the memory.
pub const TOLD_BYTES_MAX: usize = 128 << 20;
/// Messages that wait to be sent to one rank; more are lost.
pub const OUTBOX_MAX: usize = 4096;
/// Bytes of them.
pub const OUTBOX_BYTES_MAX: usize = 64 << 20;
/// Bytes of messages that travel in one frame, but for its last message.
pub const FRAME_BYTES_MAX: usize = 1 << 20;
