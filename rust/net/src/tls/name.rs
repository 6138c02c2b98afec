//! The names of a certificate: so much of DER as leads to its subject. It is read after the signatures were checked.

use crate::peer::{Role, Subject};

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_ID: u8 = 0x06;
/// The version, which comes first where it is told.
const VERSION: u8 = 0xA0;
const UTF8_STRING: u8 = 0x0C;
const PRINTABLE_STRING: u8 = 0x13;
const IA5_STRING: u8 = 0x16;
/// `id-at`: 2.5.4.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0A];
const UNIT: &[u8] = &[0x55, 0x04, 0x0B];
/// Names of a kind that are kept.
const NAMES_MAX: usize = 16;
/// Bytes of a name.
const NAME_LEN_MAX: usize = 256;

/// What stands in a certificate's subject.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Names {
    pub(super) common: Vec<String>,
    pub(super) organizations: Vec<String>,
    pub(super) units: Vec<String>,
}

impl Names {
    /// The names in a certificate; `None` where it does not decode.
    pub(super) fn of(certificate: &[u8]) -> Option<Self> {
        let (certificate, _) = part(certificate, SEQUENCE)?;
        let (mut rest, _) = part(certificate, SEQUENCE)?;
        if rest.first() == Some(&VERSION) {
            rest = any(rest)?.2;
        }
        // Serial number, algorithm, issuer, validity.
        for _ in 0..4 {
            rest = any(rest)?.2;
        }
        let (mut subject, _) = part(rest, SEQUENCE)?;
        let mut names = Self::default();
        while !subject.is_empty() {
            let (mut set, behind) = part(subject, SET)?;
            subject = behind;
            while !set.is_empty() {
                let (pair, behind) = part(set, SEQUENCE)?;
                set = behind;
                names.take(pair)?;
            }
        }
        Some(names)
    }

    fn take(&mut self, pair: &[u8]) -> Option<()> {
        let (kind, value) = part(pair, OBJECT_ID)?;
        let (tag, value, _) = any(value)?;
        let list = match kind {
            COMMON_NAME => &mut self.common,
            ORGANIZATION => &mut self.organizations,
            UNIT => &mut self.units,
            _ => return Some(()),
        };
        let text = matches!(tag, UTF8_STRING | PRINTABLE_STRING | IA5_STRING);
        if !text || value.len() > NAME_LEN_MAX || list.len() == NAMES_MAX {
            return None;
        }
        list.push(String::from_utf8(value.to_vec()).ok()?);
        Some(())
    }

    /// What they say of a peer; what they are called where that is no role.
    pub(super) fn subject(self) -> Result<Subject, String> {
        // With two common names it would be a matter of taste which counts.
        let Self { common, organizations, units } = self;
        let role = match &common[..] {
            [one] => Role::of(one),
            _ => None,
        };
        role.map(|role| Subject { role, organizations, units }).ok_or_else(|| common.join("', '"))
    }
}

/// The first value, which must have this tag, and what is behind it.
fn part(bytes: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, value, behind) = any(bytes)?;
    (tag == wanted).then_some((value, behind))
}

/// Tag, value and what is behind it. Lengths have one form, and no more than 3 bytes.
fn any(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = bytes.split_first_chunk()?;
    // A tag of several bytes stands in no certificate of ours.
    if tag & 0x1F == 0x1F {
        return None;
    }
    let (len, rest) = match first {
        0..=0x7F => (usize::from(first), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
            let len = digits.iter().fold(0, |len, digit| (len << 8) | usize::from(*digit));
            if len < 0x80 || digits.first() == Some(&0) {
                return None;
            }
            (len, rest)
        }
        _ => return None,
    };
    let (value, behind) = rest.split_at_checked(len)?;
    Some((tag, value, behind))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use daos_fuzz::{fuzz, unsealed};
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    fn certificate(names: &[(DnType, &str)]) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        for (kind, name) in names {
            params.distinguished_name.push(kind.clone(), *name);
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn a_role_is_the_one_common_name() {
        let of = |names: &[_]| Names::of(&certificate(names)).unwrap().subject();
        let unit = (DnType::OrganizationalUnitName, "cluster 7");
        for role in Role::ALL {
            let subject = of(&[
                (DnType::CountryName, "DE"),
                (DnType::OrganizationName, "A lab"),
                unit.clone(),
                (DnType::CommonName, role.name()),
            ]);
            let (organizations, units) = (vec!["A lab".to_owned()], vec!["cluster 7".to_owned()]);
            assert_eq!(subject, Ok(Subject { role, organizations, units }));
        }
        for other in ["Server", "server2", "server ", "user", ""] {
            assert_eq!(of(&[(DnType::CommonName, other), unit.clone()]), Err(other.to_owned()));
        }
        assert_eq!(of(&[(DnType::OrganizationName, "server")]), Err(String::new()));
    }

    #[test]
    fn two_common_names_are_no_role() {
        let names = Names { common: vec!["server".to_owned(), "admin".to_owned()], ..Names::default() };
        assert_eq!(names.subject(), Err("server', 'admin".to_owned()));
    }

    #[test]
    fn what_does_not_decode_is_refused() {
        let good = certificate(&[(DnType::CommonName, "server"), (DnType::OrganizationName, "x")]);
        assert!(Names::of(&good).is_some());
        for len in 0..good.len() {
            assert_eq!(Names::of(&good[..len]), None, "{len}");
        }
        assert_eq!(any(&[0x04, 0x81, 0x05, 1, 2, 3, 4, 5]), None, "a length in more bytes than it needs");
        assert_eq!(any(&[0x04, 0x80]), None, "a length that is not told");
        assert_eq!(any(&[0x1F, 0x01, 0x00]), None);
        fuzz("certificate names", &[good], &unsealed, |bytes| Names::of(bytes).is_some());
    }
}
