//! Directories that are listed at a door, by as few answers as there is room in.

use super::{Walked, done, later};
use crate::filesystem::{Answer, Filesystem, Refusal, no};
use crate::listing::{DOTS, Listing};
use daos_dfs::access::{Credentials, READ, may};
use daos_dfs::{Dir, Kind};
use daos_door::{Asked, LISTED_MAX, Listed, OPENED};
use daos_locks::Mutex;
use std::collections::VecDeque;

/// Listings that were begun and not ended, at most: whoever asks late for the rest of one begins anew, by the kernel.
const RESTS_MAX: usize = 32;
/// Bits of a mode in front of those that listings tell.
const KIND_SHIFT: u32 = 12;

#[derive(Debug)]
struct Rest {
    number: u64,
    listing: Listing,
    ino: u64,
    at: u64,
}

/// Listings that go on.
#[derive(Debug, Default)]
pub(crate) struct Rests(Mutex<(u64, VecDeque<Rest>)>);

impl Rests {
    /// Keeps the rest of a listing; a number by which it is asked for.
    fn keep(&self, listing: Listing, ino: u64, at: u64) -> u64 {
        let (last, rests) = &mut *self.0.lock();
        *last += 1;
        if rests.len() >= RESTS_MAX {
            rests.pop_front();
        }
        rests.push_back(Rest { number: *last, listing, ino, at });
        *last
    }

    fn take(&self, number: u64) -> Option<Rest> {
        let (_, rests) = &mut *self.0.lock();
        let at = rests.iter().position(|rest| rest.number == number)?;
        rests.remove(at)
    }
}

impl Filesystem {
    /// The directory to be listed, and its number.
    fn to_list(&self, who: &Credentials, asked: &Asked<'_>) -> Answer<(Dir, u64)> {
        let (walked, attr, ino) = if asked.at.path.is_empty() {
            let top = self.base(asked.at.node)?;
            let (attr, ino) = self.stat(asked.at.node).map_err(later)?;
            (Walked { top, name: None, found: None, slash: false }, attr, ino)
        } else {
            self.there(who, &asked.at, super::Last::Follow)?
        };
        if asked.how & OPENED == 0 {
            may(who, attr.guarded(), READ).map_err(later)?;
        }
        match walked {
            Walked { found: Some((_, dir)), .. } => Ok((dir.ok_or(Refusal::Later)?, ino)),
            Walked { top, name: None, .. } => Ok((top.dir, ino)),
            Walked { .. } => Err(Refusal::Later),
        }
    }

    pub(super) fn list_at_door(&self, who: &Credentials, asked: &Asked<'_>) -> Answer<Vec<u8>> {
        let Rest { listing, ino, mut at, .. } = if asked.more.is_empty() {
            let (dir, ino) = self.to_list(who, asked)?;
            Rest { number: 0, listing: Listing::new(dir), ino, at: 0 }
        } else {
            let Ok(number) = asked.more.try_into().map(u64::from_le_bytes) else { return no(libc::EINVAL) };
            self.rests.take(number).ok_or(Refusal::Later)?
        };
        let mut told = daos_door::Listing::new(ino);
        if at == 0 {
            let kind = (Kind::Directory.bits() >> KIND_SHIFT) as u8;
            told.put(&Listed { ino, kind, name: b"." });
            told.put(&Listed { ino: self.parent_ino(&listing.dir), kind, name: b".." });
        }
        let mut left = LISTED_MAX;
        loop {
            let names = listing.from(&self.dfs, at).map_err(later)?;
            if names.is_empty() {
                return Ok(done(&told.encode(0)));
            }
            // What does not fit is not looked up.
            left = left.min(told.left());
            let fits = names.iter().take_while(|(name, _)| {
                let len = Listed::len_of(name);
                let fits = len <= left;
                left = left.saturating_sub(len);
                fits
            });
            let fitting = names.get(..fits.count()).unwrap_or_default();
            let kinds = self.kinds_of(&listing.dir, fitting).map_err(later)?;
            for ((name, _), kind) in fitting.iter().zip(kinds) {
                if let Some((ino, kind)) = kind {
                    told.put(&Listed { ino, kind: (kind >> KIND_SHIFT) as u8, name });
                }
            }
            at = fitting.last().map_or(at, |(_, next)| *next).max(DOTS);
            if fitting.len() < names.len() {
                return Ok(done(&told.encode(self.rests.keep(listing, ino, at))));
            }
        }
    }
}
