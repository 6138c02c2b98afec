//! What a request asks, as a number.

/// A request's number in the header of its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Opcode {
    /// [`crate::Update`].
    Update = 1,
    /// [`crate::Fetch`].
    Fetch = 2,
    /// [`crate::List`], answered by [`crate::ListedKeys`].
    List = 3,
    /// [`crate::List`], answered by [`crate::ListedPairs`].
    ListPairs = 4,
    /// [`crate::Punch`].
    Punch = 5,
    /// [`crate::Query`].
    Query = 6,
    /// [`crate::Objects`].
    Objects = 7,
    /// [`crate::Diff`].
    Diff = 8,
    /// [`crate::Check`].
    Check = 9,
    /// [`crate::Count`].
    Count = 10,
    /// [`crate::TxFirst`], answered as the request that it holds.
    TxFirst = 11,
    /// [`crate::TxChanges`].
    TxChanges = 12,
    /// Gives the transaction up that is the handle; the bodies say nothing.
    TxAbort = 13,
    /// [`crate::PutPairs`].
    PutPairs = 14,
    /// [`crate::GetValues`], answered by [`crate::GotValues`].
    GetValues = 15,
}

impl Opcode {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 15] = [
        Self::Update,
        Self::Fetch,
        Self::List,
        Self::ListPairs,
        Self::Punch,
        Self::Query,
        Self::Objects,
        Self::Diff,
        Self::Check,
        Self::Count,
        Self::TxFirst,
        Self::TxChanges,
        Self::TxAbort,
        Self::PutPairs,
        Self::GetValues,
    ];

    /// The one with a number; `None` for an unknown one.
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.get(usize::from(number).wrapping_sub(1)).copied()
    }

    /// Whether the request changes anything: to do it twice is not the same as once.
    pub const fn changes(self) -> bool {
        matches!(self, Self::Update | Self::Punch | Self::TxChanges | Self::PutPairs)
    }

    /// Whether the request is about a transaction, and none that is part of one.
    pub const fn is_of_transactions(self) -> bool {
        matches!(self, Self::TxFirst | Self::TxChanges | Self::TxAbort)
    }
}
