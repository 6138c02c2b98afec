//! Rows of the services' tables: which pools and containers there are. `docs/formats/records.md` draws them.

use daos_client::{Error, Result};
use daos_types::checksum::PIECE_SIZE_MAX;
use daos_types::{ChecksumKind, Checksums, Der, Epoch, limits};
use daos_vos::{Store, Tx, VosError};

/// Bytes of the properties of a pool or container: they stay in one row.
const PROPS_LEN_MAX: usize = 64 << 10;

/// The only flag of a row of version 3.
const SCRUB_DISABLED: u8 = 1;

/// Refuses labels that could not be found again, and properties that are no row.
pub(crate) fn check(label: &str, props: &[u8]) -> Result<()> {
    if !(1..=limits::LABEL_LEN_MAX).contains(&label.len()) {
        let message = format!("a label has 1 to {} bytes, this one {}", limits::LABEL_LEN_MAX, label.len());
        return Err(Error::new(Der::Inval, message));
    }
    if parse_uuid(label).is_some() {
        return Err(Error::new(Der::Inval, format!("label {label:?} reads as a UUID")));
    }
    if props.len() > PROPS_LEN_MAX {
        let message = format!("properties have at most {PROPS_LEN_MAX} bytes, these {}", props.len());
        return Err(Error::new(Der::Rec2big, message));
    }
    Ok(())
}

/// `pool/<uuid>` and `cont/<pool uuid><uuid>`: what the table says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) label: String,
    /// Object ids given out so far (containers).
    pub(crate) oids_given: u64,
    /// How data is summed (containers).
    pub(crate) checksums: Checksums,
    /// The scrubber passes it over (containers).
    pub(crate) scrub_disabled: bool,
    /// Properties, opaque here.
    pub(crate) props: Vec<u8>,
}

impl Row {
    pub(crate) fn encode(&self) -> Vec<u8> {
        // Releases that know no scrubber read what it does not concern.
        let version = if self.scrub_disabled { 3 } else { 2 };
        let mut out = vec![version, self.label.len() as u8];
        out.extend_from_slice(self.label.as_bytes());
        out.extend_from_slice(&self.oids_given.to_le_bytes());
        let Checksums { kind, piece_size, server_verifies } = self.checksums;
        out.extend_from_slice(&[kind.map_or(0, |kind| kind as u8), u8::from(server_verifies)]);
        out.extend_from_slice(&piece_size.to_le_bytes());
        if self.scrub_disabled {
            out.push(SCRUB_DISABLED);
        }
        out.extend_from_slice(&self.props);
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let parse = || {
            let [version @ 1..=3, len, rest @ ..] = bytes else { return None };
            let (label, rest) = rest.split_at_checked(usize::from(*len))?;
            let (given, rest) = rest.split_first_chunk()?;
            let (checksums, props) = if *version == 1 {
                (Checksums::default(), rest)
            } else {
                let ([kind, verifies, piece_size @ ..], props) = rest.split_first_chunk::<6>()?;
                (checksums(*kind, *verifies, u32::from_le_bytes(*piece_size))?, props)
            };
            let (scrub_disabled, props) = match (version, props) {
                (3, [SCRUB_DISABLED, props @ ..]) => (true, props),
                (3, _) => return None,
                _ => (false, props),
            };
            let label = std::str::from_utf8(label).ok()?.to_owned();
            let oids_given = u64::from_le_bytes(*given);
            Some(Self { label, oids_given, checksums, scrub_disabled, props: props.to_vec() })
        };
        parse()
            .ok_or_else(|| Error::new(Der::DfInval, "a row of the pool or container table has no known form"))
    }
}

/// Checksums of a row; `None` for what is none.
fn checksums(kind: u8, verifies: u8, piece_size: u32) -> Option<Checksums> {
    let kind = match kind {
        0 => None,
        number => Some(ChecksumKind::from_number(number)?),
    };
    let known = verifies < 2 && (kind.is_none() || (1..=PIECE_SIZE_MAX).contains(&piece_size));
    known.then_some(Checksums { kind, piece_size, server_verifies: verifies == 1 })
}

pub(crate) fn pool_name(uuid: &[u8; 16]) -> Vec<u8> {
    [b"pool/".as_slice(), uuid].concat()
}

pub(crate) fn pool_label_name(label: &str) -> Vec<u8> {
    [b"pool_label/", label.as_bytes()].concat()
}

/// In front of all containers of a pool.
pub(crate) fn cont_prefix(pool: &[u8; 16]) -> Vec<u8> {
    [b"cont/".as_slice(), pool].concat()
}

pub(crate) fn cont_name(pool: &[u8; 16], uuid: &[u8; 16]) -> Vec<u8> {
    [&cont_prefix(pool)[..], uuid].concat()
}

pub(crate) fn cont_label_name(pool: &[u8; 16], label: &str) -> Vec<u8> {
    [b"cont_label/".as_slice(), pool, label.as_bytes()].concat()
}

/// In front of all snapshots of a container, which follow in the order of their epochs.
pub(crate) fn snap_prefix(pool: &[u8; 16], cont: &[u8; 16]) -> Vec<u8> {
    [b"snap/".as_slice(), pool, cont].concat()
}

pub(crate) fn snap_name(pool: &[u8; 16], cont: &[u8; 16], epoch: Epoch) -> Vec<u8> {
    [&snap_prefix(pool, cont)[..], &epoch.0.to_be_bytes()].concat()
}

/// In front of all attributes of a container, or of the pool itself.
pub(crate) fn attr_prefix(pool: &[u8; 16], cont: Option<&[u8; 16]>) -> Vec<u8> {
    // No container has the nil UUID: they are random ones.
    [b"attr/".as_slice(), pool, cont.unwrap_or(&[0; 16])].concat()
}

/// In front of all that goes with a pool, but its own rows.
pub(crate) fn pool_prefixes(pool: &[u8; 16]) -> [Vec<u8>; 6] {
    [b"cont/".as_slice(), b"cont_label/", b"snap/", b"attr/", b"scrub/", b"scrubbed/"]
        .map(|table| [table, pool].concat())
}

/// In front of all that goes with a container, but its own rows.
pub(crate) fn cont_prefixes(pool: &[u8; 16], cont: &[u8; 16]) -> [Vec<u8>; 2] {
    [snap_prefix(pool, cont), attr_prefix(pool, Some(cont))]
}

/// Removes the rows below a prefix when `tx` commits.
pub(crate) fn remove_all(store: &Store, tx: &mut Tx<'_>, prefix: &[u8]) -> std::result::Result<(), VosError> {
    for (rest, _) in store.service_rows(prefix)?.1 {
        tx.set_service_row(&[prefix, &rest].concat(), None)?;
    }
    Ok(())
}

/// The bytes of a UUID's text; `None` for anything else.
pub(crate) fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let hex: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    let dashes = text.bytes().enumerate().filter(|(_, byte)| *byte == b'-').map(|(at, _)| at);
    let is_hex = hex.len() == 32 && hex.iter().all(u8::is_ascii_hexdigit);
    if !is_hex || !(text.len() == 32 || dashes.eq([8, 13, 18, 23])) {
        return None;
    }
    let mut out = [0; 16];
    for (byte, pair) in out.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, System};

    #[test]
    fn nothing_of_a_destroyed_container_or_pool_stays() {
        let system = System::in_memory(&Options::default()).unwrap();
        let rows = || system.guard.rows(b"").unwrap().len();
        let pool = system.pool_create("p", b"").unwrap();
        let of_pool = rows();
        for destroy_container in [true, false] {
            let cont = pool.container_create("c", b"").unwrap();
            cont.snapshot_create(Some("s")).unwrap();
            cont.attributes().unwrap().set(&[("a", b"1")]).unwrap();
            if destroy_container {
                pool.container_destroy("c").unwrap();
                assert_eq!(rows(), of_pool);
            }
        }
        pool.attributes().set(&[("a", b"1")]).unwrap();
        system.pool_destroy("p").unwrap();
        assert_eq!(rows(), 0);
    }

    #[test]
    fn rows_and_uuids_come_back() {
        let checksums =
            Checksums { kind: Some(ChecksumKind::Sha512), piece_size: 4096, server_verifies: true };
        let mut row = Row {
            label: "tank".to_owned(),
            oids_given: 7,
            checksums,
            scrub_disabled: true,
            props: vec![1, 2, 3],
        };
        assert_eq!(Row::decode(&row.encode()).unwrap(), row);
        row.scrub_disabled = false;
        assert_eq!(Row::decode(&row.encode()).unwrap(), row);
        let first = b"\x01\x04tank\x07\0\0\0\0\0\0\0\x01\x02\x03";
        assert_eq!(Row::decode(first).unwrap(), Row { checksums: Checksums::default(), ..row });
        for bytes in [
            &[][..],
            &[1],
            &[1, 200, 1],
            &[2, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 1, 0, 0, 0],
            &[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 1, 0, 0, 0],
            &[2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0],
            &[3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 0, 0],
            &[3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 0, 0, 2],
            &[4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[1, 1, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0],
        ] {
            assert!(Row::decode(bytes).is_err());
        }
        let id = daos_types::PoolId(*b"\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef");
        assert_eq!(parse_uuid(&id.to_string()), Some(id.0));
        assert!(check("tank", &[]).is_ok());
        for label in ["", &"x".repeat(128), &id.to_string()] {
            assert_eq!(check(label, &[]).unwrap_err().der, Der::Inval);
        }
        assert_eq!(check("tank", &vec![0; PROPS_LEN_MAX + 1]).unwrap_err().der, Der::Rec2big);
        assert_eq!(parse_uuid("tank"), None);
        assert_eq!(parse_uuid("0123456789abcdef0123456789abcdeg"), None);
        assert_eq!(parse_uuid("01234567-89abcdef-0123-4567-89abcdef"), None);
    }
}
