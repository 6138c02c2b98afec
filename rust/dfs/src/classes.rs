//! Which class an object gets. Pure.

use crate::errno::{Errno, Error, Result};
use crate::record::Kind;
use daos_placement::{ObjectClass, Redundancy};

/// Bytes of hints.
pub const HINTS_LEN_MAX: usize = 128;

/// The class of a stored number; 0 is none.
pub(crate) const fn of_id(id: u32) -> Option<ObjectClass> {
    if id == 0 { None } else { Some(ObjectClass { ordinal: (id >> 24) as u8, groups: id as u16 }) }
}

/// The number that is stored for a class.
pub(crate) fn id_of(class: Option<ObjectClass>) -> u32 {
    class.map_or(0, |class| u32::from(class.ordinal) << 24 | u32::from(class.groups))
}

/// What hints ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hints {
    /// Of files.
    pub file: Option<Spread>,
    /// Of directories.
    pub directory: Option<Spread>,
}

/// Over how many targets something is spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// One.
    Single,
    /// As many as there are.
    Max,
}

impl Spread {
    const fn class(self) -> ObjectClass {
        match self {
            Self::Single => ObjectClass::S1,
            Self::Max => ObjectClass::SX,
        }
    }
}

impl Hints {
    /// Hints as they are written: `file:max,dir:single`.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = || {
            Error::new(Errno::EINVAL, format!("hints {text:?}")).hint(
                "file:single, file:max, dir:single or dir:max, with a comma between them; at most 128 bytes",
            )
        };
        if text.len() > HINTS_LEN_MAX {
            return Err(wrong());
        }
        let mut hints = Self::default();
        for hint in text.split(',').filter(|hint| !hint.is_empty()) {
            let (of, spread) = hint.split_once(':').ok_or_else(wrong)?;
            let spread = match spread {
                "single" => Spread::Single,
                "max" => Spread::Max,
                _ => return Err(wrong()),
            };
            match of {
                "file" => hints.file = Some(spread),
                "dir" | "directory" => hints.directory = Some(spread),
                _ => return Err(wrong()),
            }
        }
        Ok(hints)
    }

    /// The class that hints suggest for what is made by this kind.
    pub fn suggest(self, kind: Kind) -> ObjectClass {
        match kind {
            Kind::Directory => self.directory.unwrap_or(Spread::Single).class(),
            Kind::File | Kind::Symlink => self.file.unwrap_or(Spread::Max).class(),
        }
    }
}

/// The class of something new: the first of what is given, of the request down to the file system. What is for files only,
/// directories do not take.
pub(crate) fn choose(
    kind: Kind,
    given: impl IntoIterator<Item = Option<ObjectClass>>,
    hints: Hints,
) -> ObjectClass {
    let fits =
        |class: &ObjectClass| kind == Kind::File || matches!(class.redundancy(), Ok(Redundancy::Replicas(_)));
    given.into_iter().flatten().find(fits).unwrap_or_else(|| hints.suggest(kind))
}

/// The class with its number of groups settled, for a pool of so many targets.
pub(crate) fn resolve(class: ObjectClass, targets: u32) -> Result<ObjectClass> {
    let targets = u16::try_from(targets).unwrap_or(u16::MAX);
    class.resolve(targets, 1).map_err(|error| {
        Error::new(Errno::EINVAL, error.to_string()).hint("use a class without redundancy: S1 to SX")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(name: &str) -> ObjectClass {
        ObjectClass::from_name(name).unwrap()
    }

    #[test]
    fn hints_are_read_and_nothing_else_is() {
        let hints = Hints::parse("file:single,directory:max").unwrap();
        assert_eq!(hints, Hints { file: Some(Spread::Single), directory: Some(Spread::Max) });
        assert_eq!(Hints::parse("").unwrap(), Hints::default());
        assert_eq!(Hints::parse("dir:single").unwrap().directory, Some(Spread::Single));
        let long = format!("{}file:max", ",".repeat(121));
        for wrong in ["file", "file:", "file:big", "link:max", "file:max;dir:max", "FILE:max", &long] {
            assert_eq!(Hints::parse(wrong).unwrap_err().errno, Errno::EINVAL, "{wrong}");
        }
    }

    #[test]
    fn the_nearest_class_wins_and_directories_take_no_cells() {
        let hints = Hints::parse("file:single,dir:max").unwrap();
        let (s4, ec) = (Some(class("S4")), Some(class("EC_2P1GX")));
        assert_eq!(choose(Kind::File, [None, s4, ec], hints), class("S4"));
        assert_eq!(choose(Kind::File, [ec, s4], hints), class("EC_2P1GX"));
        assert_eq!(choose(Kind::Directory, [ec, s4], hints), class("S4"));
        assert_eq!(choose(Kind::Directory, [ec, None], hints), ObjectClass::SX);
        assert_eq!(choose(Kind::File, [None], hints), ObjectClass::S1);
        assert_eq!(choose(Kind::File, [None], Hints::default()), ObjectClass::SX);
        assert_eq!(choose(Kind::Directory, [None], Hints::default()), ObjectClass::S1);
    }

    #[test]
    fn classes_go_to_numbers_and_back() {
        for class in [None, Some(ObjectClass::S1), Some(class("RP_2GX"))] {
            assert_eq!(of_id(id_of(class)), class);
        }
        assert_eq!(id_of(Some(ObjectClass::SX)), 0x0100_ffff);
        assert_eq!(resolve(ObjectClass::SX, 4).unwrap().groups, 4);
        assert_eq!(resolve(class("RP_2G1"), 4).unwrap_err().errno, Errno::EINVAL);
    }
}
