//! What is set and what was found, for those who set and ask, and for the scrubber.

use super::row::{FINDINGS, SETTINGS, decode_settings};
use super::{FOUND_MAX, Findings};
use daos_client::Result;
use daos_locks::Mutex;
use daos_types::{PoolId, ScrubMode, ScrubSettings, ScrubStatus};
use daos_vos::Rows;
use std::collections::BTreeMap;

/// The pools that were ever scrubbed, or told to be.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<BTreeMap<PoolId, Card>>);

#[derive(Debug, Default)]
struct Card {
    settings: ScrubSettings,
    last: Findings,
    /// Of the pass under way.
    running: Option<Findings>,
}

impl Board {
    /// As the tables say; `rows` reads those below a prefix. A row of no known form counts as none: that a pool is not
    /// scrubbed is no reason not to open it.
    pub(crate) fn load(&self, rows: impl Fn(&[u8]) -> Result<Rows>) -> Result<()> {
        let mut cards = self.0.lock();
        for (pool, row) in rows(SETTINGS)? {
            if let (Ok(pool), Ok(settings)) = (pool.try_into(), decode_settings(&row)) {
                cards.entry(PoolId(pool)).or_default().settings = settings;
            }
        }
        for (pool, row) in rows(FINDINGS)? {
            if let (Ok(pool), Ok(last)) = (pool.try_into(), Findings::decode(&row)) {
                cards.entry(PoolId(pool)).or_default().last = last;
            }
        }
        Ok(())
    }

    pub(crate) fn settings(&self, pool: PoolId) -> ScrubSettings {
        self.0.lock().get(&pool).map(|card| card.settings).unwrap_or_default()
    }

    /// Takes effect with the scrubber's next slice.
    pub(crate) fn set(&self, pool: PoolId, settings: ScrubSettings) {
        let mut cards = self.0.lock();
        let card = cards.entry(pool).or_default();
        card.settings = settings;
        if settings.mode == ScrubMode::Off {
            card.running = None;
        }
    }

    /// Forgets a pool that is gone.
    pub(crate) fn forget(&self, pool: PoolId) {
        self.0.lock().remove(&pool);
    }

    /// The pools to be scrubbed, and whether a pass over each is due.
    pub(super) fn wanted(&self, now_s: u64) -> Vec<(PoolId, ScrubSettings, bool)> {
        let cards = self.0.lock();
        let wanted = cards.iter().filter(|(_, card)| card.settings.mode != ScrubMode::Off);
        wanted.map(|(pool, card)| (*pool, card.settings, card.last.is_due(card.settings, now_s))).collect()
    }

    /// A pass begins.
    pub(super) fn begin(&self, pool: PoolId, now_s: u64) {
        if let Some(card) = self.0.lock().get_mut(&pool) {
            let passes = card.last.passes + 1;
            card.running = Some(Findings { passes, began_s: now_s, ..Findings::default() });
        }
    }

    /// A slice of the pass under way has read so much and found this.
    pub(super) fn add(&self, pool: PoolId, bytes: u64, damaged: Vec<String>) {
        if let Some(running) = self.0.lock().get_mut(&pool).and_then(|card| card.running.as_mut()) {
            running.bytes += bytes;
            for what in damaged {
                running.add(what);
            }
        }
    }

    /// The pass under way has come to its end; `None` where it was given up.
    pub(super) fn end(&self, pool: PoolId, now_s: u64) -> Option<Findings> {
        let mut cards = self.0.lock();
        let card = cards.get_mut(&pool)?;
        card.last = Findings { ended_s: now_s, ..card.running.take()? };
        Some(card.last.clone())
    }

    pub(crate) fn status(&self, pool: PoolId) -> ScrubStatus {
        let cards = self.0.lock();
        let Some(Card { settings, last, running }) = cards.get(&pool) else {
            return ScrubStatus::default();
        };
        let mut found = last.found.clone();
        let mut corruptions = last.corruptions;
        if let Some(running) = running {
            // What the last pass knew already is told once.
            let known = running.found.iter().filter(|what| last.found.contains(what)).count() as u64;
            corruptions += running.corruptions - known;
            found.extend(running.found.iter().filter(|what| !last.found.contains(what)).cloned());
            found.truncate(FOUND_MAX);
        }
        ScrubStatus {
            settings: *settings,
            is_running: running.is_some(),
            passes: last.passes,
            bytes: running.as_ref().map_or(last.bytes, |running| running.bytes),
            corruptions,
            found,
            ended_s: (last.passes > 0).then_some(last.ended_s),
            next_s: (settings.mode != ScrubMode::Off && running.is_none()).then(|| last.next_s(*settings)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_stays_until_the_next_pass_has_ended() {
        let (board, pool) = (Board::default(), PoolId([1; 16]));
        assert_eq!(board.status(pool), ScrubStatus::default());
        assert!(board.wanted(0).is_empty());
        let settings = ScrubSettings { mode: ScrubMode::Timed, freq_s: 60, thresh: 1 };
        board.set(pool, settings);
        assert_eq!(board.wanted(100), [(pool, settings, true)]);
        board.begin(pool, 100);
        board.add(pool, 5, vec!["a".to_owned()]);
        board.add(pool, 5, vec!["b".to_owned()]);
        let status = board.status(pool);
        assert_eq!((status.passes, status.bytes, status.corruptions, status.is_running), (0, 10, 2, true));
        assert_eq!((status.ended_s, status.next_s), (None, None));
        assert_eq!(board.end(pool, 130).unwrap().passes, 1);
        assert_eq!(board.wanted(159), [(pool, settings, false)]);
        let status = board.status(pool);
        assert_eq!((status.passes, status.ended_s, status.next_s), (1, Some(130), Some(160)));
        board.begin(pool, 160);
        board.add(pool, 7, vec!["b".to_owned(), "c".to_owned()]);
        let status = board.status(pool);
        assert_eq!((status.corruptions, status.bytes), (3, 7));
        assert_eq!(status.found, ["a", "b", "c"]);
        board.end(pool, 170);
        assert_eq!(
            (board.status(pool).found, board.status(pool).corruptions),
            (vec!["b".to_owned(), "c".to_owned()], 2)
        );
        board.begin(pool, 220);
        board.set(pool, ScrubSettings { mode: ScrubMode::Off, ..settings });
        assert!(!board.status(pool).is_running && board.wanted(1_000).is_empty());
        assert_eq!(board.end(pool, 230), None, "it was given up");
        board.forget(pool);
        assert_eq!(board.status(pool), ScrubStatus::default());
    }
}
