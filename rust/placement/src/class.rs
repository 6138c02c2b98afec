//! Object classes: how many copies or cells an object has, over how many groups.
//!
//! Source: DAOS's public list of object classes; ids are `ordinal << 24 | groups`.

/// In a class: as many groups as the pool has room for.
const GROUPS_MAX: u16 = u16::MAX;
/// Group counts that have a name.
const NAMED_GROUPS: [u16; 8] = [1, 2, 4, 6, 8, 12, 16, 32];
/// Replicas by ordinal.
const REPLICAS: [(u8, u16); 14] = [
    (1, 1),
    (8, 2),
    (9, 3),
    (10, 4),
    (11, 5),
    (12, 6),
    (13, 8),
    (14, 12),
    (15, 16),
    (16, 24),
    (17, 32),
    (18, 48),
    (19, 64),
    (20, 128),
];
/// Data and parity cells by ordinal.
const CELLS: [(u8, u16, u16); 11] = [
    (32, 2, 1),
    (33, 2, 2),
    (34, 4, 1),
    (35, 4, 2),
    (36, 8, 1),
    (37, 8, 2),
    (38, 16, 1),
    (39, 16, 2),
    (40, 4, 3),
    (41, 8, 3),
    (42, 16, 3),
];

/// How an object survives failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redundancy {
    /// So many copies; 1 survives none.
    Replicas(u16),
    /// Erasure code.
    Ec {
        /// Data cells.
        data: u16,
        /// Parity cells: as many failures are survived.
        parity: u16,
    },
}

impl Redundancy {
    /// Shards of one group.
    pub const fn width(self) -> u16 {
        match self {
            Self::Replicas(count) => count,
            Self::Ec { data, parity } => data + parity,
        }
    }
}

/// A class: redundancy and number of groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ObjectClass {
    /// The redundancy's number.
    pub ordinal: u8,
    /// The number of groups, `u16::MAX` for as many as fit.
    pub groups: u16,
}

/// Why a class cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClassError {
    /// No class has this name.
    #[error("unknown object class {0:?}; for instance S1, S4, SX, RP_2G1, EC_2P1GX")]
    Name(String),
    /// No redundancy has this number.
    #[error("unknown redundancy ordinal {0} in an object id")]
    Ordinal(u8),
    /// The class spreads each group over more ranks than there are.
    #[error("class {class} needs {needs} ranks for each group; this system has {has}")]
    Ranks {
        /// The class.
        class: String,
        /// Ranks it needs.
        needs: u16,
        /// Ranks there are.
        has: u16,
    },
}

impl ObjectClass {
    /// One shard.
    pub const S1: Self = Self { ordinal: 1, groups: 1 };
    /// A shard on every target.
    pub const SX: Self = Self { ordinal: 1, groups: GROUPS_MAX };

    /// The class of a name as tools print it: `S4`, `RP_2GX`, `EC_4P2G1`; the prefix `OC_` is accepted.
    pub fn from_name(name: &str) -> Result<Self, ClassError> {
        let unknown = || ClassError::Name(name.to_owned());
        let upper = name.to_ascii_uppercase();
        let text = upper.strip_prefix("OC_").unwrap_or(&upper);
        let groups = |text: &str| match text {
            "X" => Some(GROUPS_MAX),
            number => number.parse().ok().filter(|count| NAMED_GROUPS.contains(count)),
        };
        let number = |text: &str| text.parse::<u16>().ok();
        let parsed = if let Some(rest) = text.strip_prefix("RP_") {
            rest.split_once('G').and_then(|(replicas, count)| {
                let replicas = number(replicas)?;
                let (ordinal, _) =
                    REPLICAS.into_iter().find(|(_, count)| *count == replicas && replicas > 1)?;
                Some(Self { ordinal, groups: groups(count)? })
            })
        } else if let Some(rest) = text.strip_prefix("EC_") {
            rest.split_once('G').and_then(|(cells, count)| {
                let (data, parity) = cells.split_once('P')?;
                let (data, parity) = (number(data)?, number(parity)?);
                let (ordinal, ..) = CELLS.into_iter().find(|(_, d, p)| (*d, *p) == (data, parity))?;
                Some(Self { ordinal, groups: groups(count)? })
            })
        } else {
            text.strip_prefix('S').and_then(|count| Some(Self { ordinal: 1, groups: groups(count)? }))
        };
        parsed.ok_or_else(unknown)
    }

    /// The name as tools print it.
    pub fn name(self) -> String {
        let groups = if self.groups == GROUPS_MAX { "X".to_owned() } else { self.groups.to_string() };
        match self.redundancy() {
            Ok(Redundancy::Replicas(1)) => format!("S{groups}"),
            Ok(Redundancy::Replicas(count)) => format!("RP_{count}G{groups}"),
            Ok(Redundancy::Ec { data, parity }) => format!("EC_{data}P{parity}G{groups}"),
            Err(_) => format!("UNKNOWN_{}G{groups}", self.ordinal),
        }
    }

    /// How it survives failures.
    pub fn redundancy(self) -> Result<Redundancy, ClassError> {
        let replicas = REPLICAS.into_iter().find(|(ordinal, _)| *ordinal == self.ordinal);
        let cells = CELLS.into_iter().find(|(ordinal, ..)| *ordinal == self.ordinal);
        match (replicas, cells) {
            (Some((_, count)), _) => Ok(Redundancy::Replicas(count)),
            (None, Some((_, data, parity))) => Ok(Redundancy::Ec { data, parity }),
            (None, None) => Err(ClassError::Ordinal(self.ordinal)),
        }
    }

    /// The class with its number of groups settled for a pool of so many targets on so many ranks.
    pub fn resolve(self, targets: u16, ranks: u16) -> Result<Self, ClassError> {
        let width = self.redundancy()?.width();
        if width > ranks.max(1) {
            return Err(ClassError::Ranks { class: self.name(), needs: width, has: ranks });
        }
        let fit = (targets / width).max(1);
        Ok(Self { groups: self.groups.min(fit).max(1), ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_there_and_back() {
        for name in ["S1", "S32", "SX", "RP_2G1", "RP_3GX", "RP_6G12", "EC_2P1G1", "EC_16P3GX"] {
            assert_eq!(ObjectClass::from_name(name).unwrap().name(), name);
        }
        assert_eq!(ObjectClass::from_name("oc_sx").unwrap(), ObjectClass::SX);
        for name in ["", "S", "S3", "S0", "RP_1G1", "RP_7G1", "EC_3P1G1", "EC_2P1", "X", "RP_2", "SXX"] {
            assert_eq!(ObjectClass::from_name(name), Err(ClassError::Name(name.to_owned())));
        }
    }

    #[test]
    fn a_group_never_spans_more_ranks_than_there_are() {
        let class = |name| ObjectClass::from_name(name).unwrap();
        assert_eq!(class("SX").resolve(4, 1), Ok(ObjectClass { ordinal: 1, groups: 4 }));
        assert_eq!(class("S8").resolve(4, 1), Ok(ObjectClass { ordinal: 1, groups: 4 }));
        assert_eq!(class("RP_2GX").resolve(8, 2), Ok(ObjectClass { ordinal: 8, groups: 4 }));
        let refused = class("EC_2P1G1").resolve(8, 1).unwrap_err();
        assert_eq!(refused.to_string(), "class EC_2P1G1 needs 3 ranks for each group; this system has 1");
    }
}
