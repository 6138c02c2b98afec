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
    cut: u64,
    /// Later groups say that all up to here was durable.
    proven: Lsn,
    /// Groups say that what is named up to here outside of the log was durable.
    beside: Lsn,
    /// No group counts that goes further.
    limit: Lsn,
}

/// What the scan saw of one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    /// The last record before the segment, and the chain there.
    pub(super) after: Lsn,
    pub(super) chain: u32,
    /// The last record in it or before it.
    pub(super) last: Lsn,
    /// Its accepted groups of this incarnation: where each begins, and its last record.
    pub(super) groups: Vec<(u64, Lsn)>,
    /// Behind the last of them.
    pub(super) end: u64,
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
    /// Whole headers of this incarnation behind the end.
    pub(super) cut: u64,
    /// All up to here is known to be durable.
    pub(super) proven: Lsn,
    /// What the records up to here name outside of the log is known to be durable.
    pub(super) beside: Lsn,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(superblock: &'a Superblock, identity: u64, limit: Lsn) -> Self {
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
            cut: 0,
            proven: superblock.start.after.max(superblock.durable),
            beside: Lsn::ZERO,
            limit,
        }
    }

    /// Takes the next segment's bytes, and gives its records to `each`.
    pub(super) fn segment(&mut self, bytes: &[u8], each: &mut Receive<'_>) -> Result<()> {
        let sequence = self.superblock.head.sequence + self.marks.len() as u64;
        let mut mark =
            Mark { after: self.last, chain: self.chain, last: self.last, groups: Vec::new(), end: BLOCK };
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
            mark.end = at;
            if self.started {
                mark.groups.push((place, self.last));
                self.proven = self.proven.max(found.header.durable_before);
                if found.header.beside {
                    self.beside = self.last;
                }
                if mark.groups.first().is_some_and(|(_, last)| *last <= self.proven) {
                    mark.groups.retain(|(_, last)| *last > self.proven);
                }
            }
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
        let fits = header.identity == self.identity
            && header.sequence == sequence
            && u64::from(header.offset) == place
            && header.first == self.last.next()
            && header.chain == self.chain
            && current == self.started
            && (self.incarnation..=self.superblock.incarnation).contains(&header.incarnation)
            && header.durable_before < header.first
            && header.first.0.saturating_add(u64::from(header.records)) <= self.limit.0.saturating_add(1);
        (fits && found.records(bytes).is_some()).then_some(found)
    }

    fn accept(&mut self, bytes: &[u8], found: &Found, each: &mut Receive<'_>) -> Result<()> {
        let mut lsn = found.header.first;
        if !found.records(bytes).is_some_and(|records| records.are(found.header.records)) {
            return Err(corrupt(format!("the group of record {lsn} is whole and does not parse")));
        }
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
    fn search(&mut self, bytes: &[u8], sequence: u64, from: u64) -> Result<()> {
        let missing = self.last.next();
        let mut at = from;
        while let Some(rest) = bytes.get(at as usize..).filter(|rest| rest.len() >= HEADER) {
            if let Some(Found { header, .. }) =
                Found::decode(rest).filter(|found| found.header.identity == self.identity)
            {
                let here = u64::from(header.offset) == at;
                if here && header.sequence > sequence {
                    let (found, own) = (header.sequence, sequence);
                    return Err(corrupt(format!("segment {own} holds a group of segment {found}")));
                }
                let own = here && header.sequence == sequence;
                if own && header.incarnation > self.superblock.incarnation {
                    let (found, known) = (header.incarnation, self.superblock.incarnation);
                    return Err(corrupt(format!(
                        "a group of incarnation {found}, the superblock knows {known}"
                    )));
                }
                let current = self.started && header.incarnation == self.superblock.incarnation;
                self.cut += u64::from(own && current);
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

    /// Concludes, after all segments. Some base covers the records up to `covered`.
    pub(super) fn finish(self, covered: Lsn) -> Result<End> {
        let missing = self.last.next();
        let proof = if !self.started {
            "an earlier opening found it"
        } else if self.last < self.superblock.durable {
            "the superblock says that it was durable"
        } else if self.last < covered {
            "a base covers it"
        } else {
            let start = Start {
                after: self.last,
                sequence: self.sequence,
                offset: u32::try_from(self.offset.next_multiple_of(BLOCK))
                    .map_err(|_| corrupt("a segment is too long".to_owned()))?,
                chain: self.chain,
            };
            let Self { marks, found, cut, proven, beside, .. } = self;
            return Ok(End { start, marks, found, cut, proven, beside: beside.max(proven) });
        };
        Err(corrupt(format!("record {missing} is missing, and {proof}")))
    }
}

impl Mark {
    /// The blocks of groups that nothing proves to be durable.
    pub(super) fn unproven(&self, proven: Lsn) -> Option<std::ops::Range<u64>> {
        let &(from, _) = self.groups.iter().find(|(_, last)| *last > proven)?;
        Some(from / BLOCK * BLOCK..self.end.next_multiple_of(BLOCK))
    }
}

fn corrupt(what: String) -> LogError {
    LogError::Corrupt(what)
}

#[cfg(test)]
mod tests;
