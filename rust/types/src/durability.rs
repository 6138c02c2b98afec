//! What an acknowledgement promises.

/// How safe a change is when its call returns. A flag of each operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[repr(u8)]
pub enum Durability {
    /// It survives the death of the process; a power cut may take it back.
    Buffered = 0,
    /// As buffered, and a power cut takes back at most the last second.
    Interval = 1,
    /// It survives a power cut.
    #[default]
    Synced = 2,
}

impl Durability {
    /// The durability of a stored number.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Buffered,
            1 => Self::Interval,
            2 => Self::Synced,
            _ => return None,
        })
    }
}
