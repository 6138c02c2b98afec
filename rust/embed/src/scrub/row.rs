//! Rows of the tables that the scrubber has. `docs/formats/records.md` draws them.

use super::Findings;
use daos_client::{Error, Result};
use daos_types::{Der, PoolId, ScrubMode, ScrubSettings};

const VERSION: u8 = 1;
/// In front of the settings of all pools.
pub(super) const SETTINGS: &[u8] = b"scrub/";
/// In front of what the last passes over all pools found.
pub(super) const FINDINGS: &[u8] = b"scrubbed/";

pub(crate) fn settings_name(pool: PoolId) -> Vec<u8> {
    [SETTINGS, &pool.0].concat()
}

pub(super) fn findings_name(pool: PoolId) -> Vec<u8> {
    [FINDINGS, &pool.0].concat()
}

fn unknown() -> Error {
    Error::new(Der::DfInval, "a row of the scrubber has no known form")
}

/// The row of settings.
pub(crate) fn encode_settings(settings: ScrubSettings) -> Vec<u8> {
    let ScrubSettings { mode, freq_s, thresh } = settings;
    [&[VERSION, mode as u8][..], &freq_s.to_le_bytes(), &thresh.to_le_bytes()].concat()
}

/// The settings in a row.
pub(super) fn decode_settings(bytes: &[u8]) -> Result<ScrubSettings> {
    let parse = || {
        let [VERSION, mode, rest @ ..] = bytes else { return None };
        let (freq, thresh) = rest.split_first_chunk()?;
        Some(ScrubSettings {
            mode: ScrubMode::from_number(*mode)?,
            freq_s: u32::from_le_bytes(*freq),
            thresh: u32::from_le_bytes(thresh.try_into().ok()?),
        })
    };
    parse().ok_or_else(unknown)
}

impl Findings {
    pub(super) fn encode(&self) -> Vec<u8> {
        let Self { passes, began_s, ended_s, bytes, corruptions, found } = self;
        let mut out = vec![VERSION];
        for number in [passes, began_s, ended_s, bytes, corruptions] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for what in found {
            out.extend_from_slice(&(what.len() as u16).to_le_bytes());
            out.extend_from_slice(what.as_bytes());
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let parse = || {
            let [VERSION, rest @ ..] = bytes else { return None };
            let (numbers, mut rest) = rest.split_at_checked(40)?;
            let mut numbers = numbers.as_chunks::<8>().0.iter().map(|number| u64::from_le_bytes(*number));
            let mut next = || numbers.next();
            let (passes, began_s, ended_s) = (next()?, next()?, next()?);
            let (bytes, corruptions) = (next()?, next()?);
            let mut found = Vec::new();
            while let Some((len, more)) = rest.split_first_chunk() {
                let (what, more) = more.split_at_checked(u16::from_le_bytes(*len).into())?;
                found.push(std::str::from_utf8(what).ok()?.to_owned());
                rest = more;
            }
            rest.is_empty().then_some(Self { passes, began_s, ended_s, bytes, corruptions, found })
        };
        parse().ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_and_others_are_refused() {
        let settings = ScrubSettings { mode: ScrubMode::Timed, freq_s: 3_600, thresh: 7 };
        let bytes = encode_settings(settings);
        assert_eq!(decode_settings(&bytes).unwrap(), settings);
        for wrong in
            [&bytes[..9], &[&bytes[..], &[0]].concat(), &[1, 3, 0, 0, 0, 0, 0, 0, 0, 0], &[2; 10], &[]]
        {
            assert_eq!(decode_settings(wrong).unwrap_err().der, Der::DfInval);
        }
        let found = vec!["a".to_owned(), String::new(), "\u{e9}".repeat(100)];
        let findings = Findings { passes: 1, began_s: 2, ended_s: 3, bytes: 4, corruptions: 5, found };
        let bytes = findings.encode();
        assert_eq!(Findings::decode(&bytes).unwrap(), findings);
        for wrong in [&bytes[..40], &bytes[..42], &bytes[..bytes.len() - 1], &[2; 41], &[]] {
            assert_eq!(Findings::decode(wrong).unwrap_err().der, Der::DfInval);
        }
        let end = bytes.len() - 1;
        assert!(Findings::decode(&[&bytes[..end], &[0xFF]].concat()).is_err(), "no text");
    }
}
