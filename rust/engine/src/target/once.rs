//! Changes that are sent again and happen once: what became of the last ones of each session is noted with them, in the same
//! record. `docs/internals/served.md` argues why that is enough; `docs/formats/records.md` draws the rows.

use daos_types::{DONE_SLOTS, Epoch, Origin};
use daos_vos::{Seen, Store, Tx, VosError};

/// In front of the rows of all sessions.
pub const DONE: &[u8] = b"done/";

const VERSION: u8 = 1;
const ROW_LEN: usize = 18;

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Done = 0,
    /// It had not happened when somebody asked, and must not happen any more.
    Never = 1,
}

/// What is known of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Nothing,
    Fate(Fate),
    /// Too many others have come since.
    Forgotten,
}

/// The last change that used a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    sequence: u64,
    at: Epoch,
    fate: Fate,
}

impl Row {
    fn encode(self) -> Vec<u8> {
        let Self { sequence, at, fate } = self;
        [&[VERSION, fate as u8][..], &sequence.to_le_bytes(), &at.0.to_le_bytes()].concat()
    }

    fn decode(bytes: &[u8]) -> Result<Self, VosError> {
        let unknown = || VosError::Corrupt { why: "a row of what was done has no known form".to_owned() };
        let row: &[u8; ROW_LEN] = bytes.try_into().map_err(|_| unknown())?;
        let [VERSION, fate, rest @ ..] = row else { return Err(unknown()) };
        let fate = match fate {
            0 => Fate::Done,
            1 => Fate::Never,
            _ => return Err(unknown()),
        };
        let (sequence, at) = rest.split_first_chunk().ok_or_else(unknown)?;
        let at = at.try_into().map_err(|_| unknown())?;
        Ok(Self { sequence: u64::from_le_bytes(*sequence), at: Epoch(u64::from_le_bytes(at)), fate })
    }
}

fn name(origin: Origin) -> Vec<u8> {
    let slot = (origin.sequence % DONE_SLOTS) as u8;
    [DONE, &origin.session, &[slot]].concat()
}

/// What is known of a change. To be asked under the writer's lock.
fn known(store: &Store, origin: Origin, seen: &mut Seen) -> Result<Known, VosError> {
    let (read, row) = store.service_row(&name(origin))?;
    *seen = seen.and(read);
    let Some(row) = row else { return Ok(Known::Nothing) };
    let row = Row::decode(&row)?;
    Ok(match row.sequence.cmp(&origin.sequence) {
        std::cmp::Ordering::Less => Known::Nothing,
        std::cmp::Ordering::Equal => Known::Fate(row.fate),
        std::cmp::Ordering::Greater => Known::Forgotten,
    })
}

/// Whether a change was made before: then it is not made again. One that must not happen any more is refused. To be asked under the
/// writer's lock, before the change.
pub(super) fn was_done(store: &Store, origin: Option<Origin>, seen: &mut Seen) -> Result<bool, VosError> {
    let Some(origin) = origin else { return Ok(false) };
    match known(store, origin, seen)? {
        Known::Nothing => Ok(false),
        Known::Fate(Fate::Done) => Ok(true),
        Known::Fate(Fate::Never) => Err(VosError::Conflict),
        Known::Forgotten => Err(forgotten()),
    }
}

/// Notes a change beside it.
pub(super) fn note(tx: &mut Tx<'_>, origin: Option<Origin>, at: Epoch) -> Result<(), VosError> {
    let Some(origin) = origin else { return Ok(()) };
    let row = Row { sequence: origin.sequence, at, fate: Fate::Done };
    tx.set_service_row(&name(origin), Some(&row.encode()))
}

/// What became of a change, for good: where it has not happened it never will.
pub(super) fn settle(store: &Store, origin: Origin, at: Epoch, seen: &mut Seen) -> Result<bool, VosError> {
    let mut tx = store.begin()?;
    match known(store, origin, seen)? {
        Known::Fate(fate) => Ok(fate == Fate::Done),
        Known::Forgotten => Err(forgotten()),
        Known::Nothing => {
            let row = Row { sequence: origin.sequence, at, fate: Fate::Never };
            tx.set_service_row(&name(origin), Some(&row.encode()))?;
            *seen = Seen(tx.commit()?);
            Ok(false)
        }
    }
}

/// The epoch at which a row of [`DONE`] was written.
pub fn done_at(row: &[u8]) -> Result<Epoch, VosError> {
    Row::decode(row).map(|row| row.at)
}

fn forgotten() -> VosError {
    VosError::Uncertain {
        why: format!("more than {DONE_SLOTS} later changes of the session have come since it was sent first"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_and_others_are_refused() {
        for fate in [Fate::Done, Fate::Never] {
            let row = Row { sequence: 7 << 40, at: Epoch(9), fate };
            let bytes = row.encode();
            assert_eq!(Row::decode(&bytes).unwrap(), row);
            assert_eq!(done_at(&bytes).unwrap(), Epoch(9));
            for wrong in [&bytes[1..], &[&bytes[..], &[0]].concat(), &[&[2], &bytes[1..]].concat()] {
                assert!(Row::decode(wrong).is_err());
            }
        }
        assert!(Row::decode(&[&[VERSION, 2], &[0; 16][..]].concat()).is_err());
    }

    #[test]
    fn neighbours_have_rows_of_their_own() {
        let name = |session, sequence| name(Origin { session: [session; 16], sequence });
        assert_ne!(name(1, 1), name(1, 2));
        assert_ne!(name(1, 1), name(2, 1));
        assert_eq!(name(1, 1), name(1, 1 + DONE_SLOTS));
    }
}
