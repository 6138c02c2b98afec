//! Where a change comes from, so that it happens once however often it is sent.

/// Changes of a session of which is known what became of them. As many may be under way at once.
pub const DONE_SLOTS: u64 = 128;

/// A change of a session. Sent again with the same origin, it is the same change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Who changes: a client, over all its connections.
    pub session: [u8; 16],
    /// Which of its changes, from 1; each has another.
    pub sequence: u64,
}
