//! What files are for.

/// Kinds of files, and what of them a device holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Roles(u8);

impl Roles {
    /// Values that are too large for an index.
    pub const DATA: Self = Self(1);
    /// Indexes.
    pub const META: Self = Self(2);
    /// The log.
    pub const WAL: Self = Self(4);
    /// None.
    pub const NONE: Self = Self(0);

    const NAMES: [(Self, &'static str); 3] = [(Self::DATA, "data"), (Self::META, "meta"), (Self::WAL, "wal")];

    /// The role of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, own)| *own == name).map(|(role, _)| *role)
    }

    /// Those of a number; `None` where it has others.
    pub fn from_bits(bits: u8) -> Option<Self> {
        (bits < 8).then_some(Self(bits))
    }

    /// Their number.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Both together.
    #[must_use]
    pub fn and(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }

    /// Whether one of them is among these.
    pub fn has(self, role: Self) -> bool {
        self.0 & role.0 != 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// What the file of a name is for; none for what stays beside a store.
    pub(super) fn of_file(name: &str) -> Self {
        if name.starts_with("wal.") {
            return Self::WAL;
        }
        // An index is made under another name, and one that was cut short keeps it.
        match name.strip_prefix("shard-").and_then(|rest| rest.split_once('.')) {
            Some((_, "dat")) => Self::DATA,
            Some((_, rest)) if rest.starts_with("idx") => Self::META,
            _ => Self::NONE,
        }
    }
}

impl std::fmt::Display for Roles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> =
            Self::NAMES.iter().filter(|(role, _)| self.has(*role)).map(|(_, name)| *name).collect();
        f.write_str(&names.join(","))
    }
}
