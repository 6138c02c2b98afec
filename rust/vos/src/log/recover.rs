//! Which of the groups found in the segments make up the log, and whether what is missing may be missing.

use super::error::{LogError, Result};
use super::group::{ALIGN, BLOCK, Found, HEADER};
use super::options::Receive;
use super::superblock::{Start, Superblock};
use daos_types::Lsn;

/// The scan of a log, fed with its segments in the order of the table.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    superblock: &'a Superblock,
    identity: u64,
    /// The last record accepted.
    last: Lsn,
    chain: u32,
    /// Of the last group accepted; 0 while that is not known.
    incarnation: u32,
    /// The scan is behind *start*: only this incarnation's groups count.
    started: bool,
    /// Behind the last group accepted.
    sequence: u64,
    offset: u64,
    marks: Vec<Mark>,
    found: u64,
}

/// What the scan saw of one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// The last record before the segment, and the chain there.
    pub(super) after: Lsn,
    pub(super) chain: u32,
    /// The last record in it or before it.
    pub(super) last: Lsn,
    /// It holds groups that perhaps only the page cache has.
    pub(super) unsynced: bool,
}

/// The end of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    /// Where the next incarnation begins.
    pub(super) start: Start,
    /// One for each segment.
    pub(super) marks: Vec<Mark>,
    /// Records in the log.
    pub(super) found: u64,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(superblock: &'a Superblock, identity: u64) -> Self {
        let Superblock { head, start, .. } = superblock;
        Self {
            superblock,
            identity,
            last: head.after,
            chain: head.chain,
            incarnation: 0,
            started: start.sequence < head.sequence,
            sequence: head.sequence,
            offset: BLOCK,
            marks: Vec::new(),
            found: 0,
        }
    }

    /// The record that comes next.
    fn expected(&self) -> Lsn {
        let start = &self.superblock.start;
        if self.started && self.last == start.after { start.first } else { self.last.next() }
    }

    /// Takes the next segment's bytes, and gives its records to `each`.
    pub(super) fn segment(&mut self, bytes: &[u8], each: &mut Receive<'_>) -> Result<()> {
        let sequence = self.superblock.head.sequence + self.marks.len() as u64;
        let mut mark = Mark { after: self.last, chain: self.chain, last: self.last, unsynced: false };
        let mut at = BLOCK;
        loop {
            let start = &self.superblock.start;
            if !self.started && self.last == start.after {
                if self.chain != start.chain {
                    return Err(corrupt(format!(
                        "another record {} than the one recovered before",
                        self.last
                    )));
                }
                if start.sequence != sequence {
                    break;
                }
                self.started = true;
                at = u64::from(start.offset);
                (self.sequence, self.offset) = (sequence, at);
            }
            let places = [at, at.next_multiple_of(BLOCK)];
            let Some((place, found)) =
                places.into_iter().find_map(|place| Some((place, self.follows(bytes, sequence, place)?)))
            else {
                break;
            };
            self.accept(bytes.get(place as usize..).unwrap_or_default(), &found, each)?;
            at = (place + u64::from(found.header.bytes)).next_multiple_of(ALIGN);
            (self.sequence, self.offset) = (sequence, at);
            mark.last = self.last;
            mark.unsynced |= self.started;
        }
        self.marks.push(mark);
        self.search(bytes, sequence, at)
    }

    /// The group at this place, if it is whole and the one that comes next.
    fn follows(&self, bytes: &[u8], sequence: u64, place: u64) -> Option<Found> {
        let bytes = bytes.get(usize::try_from(place).ok()?..)?;
        let found = Found::decode(bytes)?;
        let Found { header, .. } = &found;
        let current = header.incarnation == self.superblock.incarnation;
        // Between two incarnations LSNs may be left out; the chain shows that no group is.
        let next = header.first == self.expected()
            || !self.started && header.first > self.last && header.incarnation > self.incarnation;
        let fits = header.identity == self.identity
            && header.sequence == sequence
            && u64::from(header.offset) == place
            && next
            && header.chain == self.chain
            && current == self.started
            && (self.incarnation..=self.superblock.incarnation).contains(&header.incarnation)
            && header.durable_before < header.first;
        (fits && found.records(bytes)?.are(header.records)).then_some(found)
    }

    fn accept(&mut self, bytes: &[u8], found: &Found, each: &mut Receive<'_>) -> Result<()> {
        let mut lsn = found.header.first;
        for record in found.records(bytes).into_iter().flatten() {
            each(lsn, record).map_err(|why| LogError::Replay { lsn, why })?;
            self.last = lsn;
            lsn = lsn.0.checked_add(1).map(Lsn).ok_or_else(|| corrupt("no LSN is left".to_owned()))?;
            self.found += 1;
        }
        self.chain = found.crc;
        self.incarnation = found.header.incarnation;
        Ok(())
    }

    /// Looks behind the last group of a segment for proof that more was durable.
    fn search(&self, bytes: &[u8], sequence: u64, from: u64) -> Result<()> {
        let missing = self.expected();
        let mut at = from;
        while let Some(rest) = bytes.get(at as usize..).filter(|rest| rest.len() >= HEADER) {
            if let Some(Found { header, .. }) =
                Found::decode(rest).filter(|found| found.header.identity == self.identity)
            {
                if header.sequence > sequence {
                    let (found, own) = (header.sequence, sequence);
                    return Err(corrupt(format!("segment {own} holds a group of segment {found}")));
                }
                let own = header.sequence == sequence && u64::from(header.offset) == at;
                let current = self.started && header.incarnation == self.superblock.incarnation;
                if own && current && header.durable_before >= missing {
                    let proof = header.first;
                    return Err(corrupt(format!(
                        "record {missing} is missing and was durable when record {proof} was written"
                    )));
                }
            }
            at += ALIGN;
        }
        Ok(())
    }

    /// Concludes, after all segments. New records come after `floor`.
    pub(super) fn finish(self, floor: Lsn) -> Result<End> {
        if !self.started {
            let missing = self.last.next();
            return Err(corrupt(format!(
                "record {missing} is missing and was durable at an earlier opening"
            )));
        }
        let before = Lsn(self.expected().0 - 1).max(floor);
        let first = before.0.checked_add(1).map(Lsn).ok_or_else(|| corrupt("no LSN is left".to_owned()))?;
        let start = Start {
            after: self.last,
            first,
            sequence: self.sequence,
            offset: u32::try_from(self.offset.next_multiple_of(BLOCK))
                .map_err(|_| corrupt("a segment is too long".to_owned()))?,
            chain: self.chain,
        };
        Ok(End { start, marks: self.marks, found: self.found })
    }
}

fn corrupt(what: String) -> LogError {
    LogError::Corrupt(what)
}
