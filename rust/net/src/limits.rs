//! The bounds of the network: those of the format, and those that an end chooses for itself.

/// Bytes of a body that stands in its frame; a longer one is a payload. It is held while the rest is waited for.
pub const INLINE_LEN_MAX: usize = 64 << 10;
/// Payloads of a frame: their list has 48 KiB at most.
pub const PAYLOADS_MAX: usize = 4096;
/// Bytes of a payload that are read at once, and summed before more are: what fits a core's own cache.
pub(crate) const PIECE_LEN: usize = 256 << 10;
/// Bytes of an error's message.
pub const MESSAGE_LEN_MAX: usize = 1024;
/// Bytes of an error's hint.
pub const HINT_LEN_MAX: usize = 512;
/// Bytes of a system's name (DAOS: 15).
pub const SYSTEM_NAME_LEN_MAX: usize = 15;

/// Milliseconds in which a connection by TCP must be there.
pub(crate) const CONNECT_MS: u32 = 5_000;
/// Milliseconds after which a peer is gone of which the kernel hears nothing: not that it got what was sent to it, nor an answer to
/// the question whether it is there.
pub(crate) const GONE_MS: u32 = 5_000;
/// Milliseconds of silence after which the kernel asks it that, and between two of these questions; as many as fit into
/// [`GONE_MS`] bring no answer, and the connection is at its end.
pub(crate) const ASK_AFTER_MS: u32 = 3_000;
pub(crate) const ASK_AGAIN_MS: u32 = 1_000;
/// Times that the kernel sends the same again before a peer may be gone: by then three seconds have passed at least, also where
/// nothing was sent for long before.
pub(crate) const SENT_AGAIN_MIN: u8 = 4;
/// Questions for room, where a peer has none, that bring no answer before it may be gone.
pub(crate) const ROOM_ASKED_MIN: u8 = 2;

/// What an end allows itself and its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of payloads of one frame that is taken.
    pub frame_bytes: u32,
    /// Requests of a connection under way at once.
    pub window_requests: u32,
    /// Bytes of a connection under way: what requests bring, and what their replies may have. At least `frame_bytes` and
    /// [`INLINE_LEN_MAX`].
    pub window_bytes: u64,
    /// Bytes of all requests of a server.
    pub bytes_max: u64,
    /// Connections of a server.
    pub connections_max: usize,
    /// Bytes read from one connection before the next gets its turn.
    pub turn_bytes: usize,
    /// Milliseconds until the first frame must be there.
    pub hello_ms: u32,
    /// Milliseconds in which some bytes of a begun frame must move.
    pub stall_ms: u32,
    /// Milliseconds without a word after which a client asks whether the server is there; twice that, and it is dead.
    pub silence_ms: u32,
    /// Milliseconds without a request after which a connection is closed.
    pub idle_ms: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes: 64 << 20,
            window_requests: 128,
            window_bytes: 128 << 20,
            bytes_max: 1 << 30,
            connections_max: 4096,
            turn_bytes: 1 << 20,
            hello_ms: 5_000,
            stall_ms: 20_000,
            silence_ms: 10_000,
            idle_ms: 300_000,
        }
    }
}
