//! The log without its I/O: what is queued, where it goes, what is in flight, what is known to be safe.
//!
//! Events come in by [`State::submit`], [`State::want`], [`State::complete`], [`State::add_segment`] and
//! [`State::recycled`]; effects go out as [`Job`]s, one at a time. `F` is a handle of a segment's file.

use super::error::{LogError, Result};
use super::group::{ALIGN, BLOCK, HEADER, Header, RECORD_PREFIX};
use super::options::{LogOptions, LogStats, Pressure};
use super::superblock::{Entry, Head};
use daos_types::{Durability, Lsn};
use std::collections::VecDeque;

/// Groups in a row for which nobody else waited, after which nobody else is expected. One may be of somebody who was too late for the last.
const ALONE_MAX: u32 = 2;
/// Capacity up to which a group's buffer is kept for the next one.
const SPARE_BYTES_MAX: usize = 2 << 20;

/// A segment that the superblock names.
#[derive(Debug, Clone)]
pub(super) struct Segment<F> {
    pub(super) file: F,
    pub(super) entry: Entry,
    /// The last record before it and the chain there; not known before the log has come to it.
    pub(super) after: Lsn,
    pub(super) chain: u32,
    /// The last record in it or before it.
    pub(super) last: Lsn,
}

impl<F> Segment<F> {
    /// One that holds nothing.
    pub(super) const fn ready(file: F, entry: Entry) -> Self {
        Self { file, entry, after: Lsn::ZERO, chain: 0, last: Lsn::ZERO }
    }

    fn bytes(&self) -> u64 {
        u64::from(self.entry.blocks) * BLOCK
    }
}

/// A place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) sequence: u64,
    pub(super) offset: u64,
}

/// Records that will be one group, in the segment they are bound to, at this offset or below.
#[derive(Debug)]
struct Draft {
    worst: Place,
    first: Lsn,
    records: u32,
    /// Room for the header, then the records.
    buffer: Vec<u8>,
}

impl Draft {
    fn worst_end(&self) -> u64 {
        (self.worst.offset + self.buffer.len() as u64).next_multiple_of(BLOCK)
    }

    fn last(&self) -> Lsn {
        Lsn(self.first.0 + u64::from(self.records) - 1)
    }
}

/// One group to be written.
#[derive(Debug)]
pub(super) struct Write<F> {
    pub(super) file: F,
    pub(super) header: Header,
    pub(super) buffer: Vec<u8>,
    /// The buffer's length when padded with zeros.
    pub(super) padded: usize,
    /// By a write that is durable itself.
    pub(super) durable: bool,
    last: Lsn,
}

/// What is to be done next: the write, then the syncs.
#[derive(Debug)]
pub(super) struct Job<F> {
    pub(super) write: Option<Write<F>>,
    pub(super) sync: Vec<F>,
    /// All up to here is durable afterwards.
    covers: Option<Lsn>,
}

impl<F> Job<F> {
    /// Whether it makes anything durable.
    pub(super) fn syncs(&self) -> bool {
        self.covers.is_some()
    }
}

/// How a wait stands.
#[derive(Debug)]
pub(super) enum Status {
    Done,
    Pending,
    Failed(LogError),
}

#[derive(Debug)]
struct Poison {
    why: String,
    /// Records up to here may be in the log or not; later ones are not.
    uncertain: Lsn,
}

/// Segments about to leave the front of the table for its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rotation {
    pub(super) count: usize,
    pub(super) head: Head,
    pub(super) table: Vec<Entry>,
}

/// Everything the log knows while it runs.
#[derive(Debug)]
pub(super) struct State<F> {
    options: LogOptions,
    identity: u64,
    incarnation: u32,
    segments: VecDeque<Segment<F>>,
    head: u64,
    /// Where the next group goes, at the earliest.
    cursor: Place,
    chain: u32,
    /// The last record of the last group taken, and with it the one before the next segment.
    grouped: Lsn,
    next: Lsn,
    written: Lsn,
    durable: Lsn,
    /// Somebody waits for this to be durable.
    wanted: Lsn,
    /// What the next sync must cover: not moved by later waits, so that they cannot put it off without end.
    goal: Lsn,
    covered: Lsn,
    drafts: VecDeque<Draft>,
    queued_bytes: u64,
    queued_records: u64,
    in_flight: bool,
    /// How many others than its leader waited for the last group for which somebody did, and groups without one since.
    others: u64,
    alone: u32,
    /// Sequence numbers of segments with written, unsynced groups.
    dirty: Vec<u64>,
    /// Bytes of the segment that a refused record needs.
    need_bytes: u64,
    spare: Vec<u8>,
    poison: Option<Poison>,
    pub(super) stats: LogStats,
}

/// Where a state begins.
#[derive(Debug)]
pub(super) struct Begin<F> {
    pub(super) identity: u64,
    pub(super) incarnation: u32,
    pub(super) segments: VecDeque<Segment<F>>,
    pub(super) head: u64,
    pub(super) cursor: Place,
    pub(super) chain: u32,
    pub(super) after: Lsn,
}

impl<F: Clone> State<F> {
    pub(super) fn new(options: LogOptions, begin: Begin<F>) -> Self {
        let before = begin.after;
        Self {
            options,
            identity: begin.identity,
            incarnation: begin.incarnation,
            segments: begin.segments,
            head: begin.head,
            cursor: begin.cursor,
            chain: begin.chain,
            grouped: before,
            next: before.next(),
            written: before,
            durable: before,
            wanted: before,
            goal: before,
            covered: Lsn::ZERO,
            drafts: VecDeque::new(),
            queued_bytes: 0,
            queued_records: 0,
            in_flight: false,
            others: 0,
            alone: 0,
            dirty: Vec::new(),
            need_bytes: 0,
            spare: Vec::new(),
            poison: None,
            stats: LogStats::default(),
        }
    }

    pub(super) fn written(&self) -> Lsn {
        self.written
    }

    pub(super) fn durable(&self) -> Lsn {
        self.durable
    }

    /// The last record submitted.
    pub(super) fn last(&self) -> Lsn {
        Lsn(self.next.0 - 1)
    }

    fn segment(&self, sequence: u64) -> Option<&Segment<F>> {
        self.segments.get(usize::try_from(sequence.checked_sub(self.head)?).ok()?)
    }

    fn segment_bytes(&self, sequence: u64) -> u64 {
        self.segment(sequence).map_or(0, Segment::bytes)
    }

    /// Queues a record.
    pub(super) fn submit(&mut self, parts: &[&[u8]]) -> Result<Lsn> {
        if let Some(poison) = &self.poison {
            return Err(LogError::Poisoned(poison.why.clone()));
        }
        let len: u64 = parts.iter().map(|part| part.len() as u64).sum();
        let max = u64::from(self.options.record_bytes_max);
        if len > max {
            return Err(LogError::TooLarge { len, max });
        }
        let need = len + RECORD_PREFIX as u64;
        if !self.drafts.is_empty()
            && (self.queued_bytes + need > self.options.queue_bytes_max
                || self.queued_records >= self.options.queue_records_max)
        {
            return Err(LogError::Busy);
        }
        let lsn = self.next;
        if !self.fits_last_draft(need) {
            let Some(worst) = self.worst_place(need) else {
                self.need_bytes = self.need_bytes.max(LogOptions::segment_for(len));
                return Err(LogError::Busy);
            };
            let mut buffer = std::mem::take(&mut self.spare);
            buffer.clear();
            buffer.resize(HEADER, 0);
            self.drafts.push_back(Draft { worst, first: lsn, records: 0, buffer });
        }
        if let Some(draft) = self.drafts.back_mut() {
            draft.buffer.extend_from_slice(&(len as u32).to_le_bytes());
            for part in parts {
                draft.buffer.extend_from_slice(part);
            }
            draft.records += 1;
        }
        self.queued_bytes += need;
        self.queued_records += 1;
        self.next = lsn.next();
        self.stats.records += 1;
        Ok(lsn)
    }

    fn fits_last_draft(&self, need: u64) -> bool {
        self.drafts.back().is_some_and(|draft| {
            let len = draft.buffer.len() as u64 + need;
            len <= u64::from(self.options.group_bytes_max)
                && draft.worst.offset + len <= self.segment_bytes(draft.worst.sequence)
        })
    }

    /// Where a draft begins that is made now, if everything before it takes the most it can.
    fn worst(&self) -> Place {
        match self.drafts.back() {
            Some(draft) => Place { sequence: draft.worst.sequence, offset: draft.worst_end() },
            None => Place { offset: self.cursor.offset.next_multiple_of(BLOCK), ..self.cursor },
        }
    }

    fn worst_place(&self, need: u64) -> Option<Place> {
        let worst = self.worst();
        let len = HEADER as u64 + need;
        let fits = |place: Place| place.offset + len <= self.segment_bytes(place.sequence);
        let end = self.head + self.segments.len() as u64;
        let later = (worst.sequence + 1..end).map(|sequence| Place { sequence, offset: BLOCK });
        std::iter::once(worst).chain(later).find(|&place| fits(place))
    }

    /// How waiting for a record stands.
    pub(super) fn status(&self, lsn: Lsn, durability: Durability) -> Status {
        let reached = if durability == Durability::Synced { self.durable } else { self.written };
        match &self.poison {
            // What was durable stays so; of what was only written a failed device may have dropped any part.
            Some(_) if lsn <= self.durable => Status::Done,
            Some(poison) if lsn <= poison.uncertain => {
                Status::Failed(LogError::Uncertain(poison.why.clone()))
            }
            Some(poison) => Status::Failed(LogError::Poisoned(poison.why.clone())),
            None if lsn <= reached => Status::Done,
            None if lsn >= self.next => Status::Failed(LogError::NotSubmitted(lsn)),
            None => Status::Pending,
        }
    }

    /// Notes that somebody waits.
    pub(super) fn want(&mut self, lsn: Lsn, durability: Durability) {
        if durability == Durability::Synced && lsn < self.next {
            self.wanted = self.wanted.max(lsn);
            if self.goal <= self.durable {
                self.goal = self.wanted;
            }
        }
    }

    /// So many others than its leader waited for a group.
    pub(super) fn note_others(&mut self, others: u64) {
        self.alone = if others > 0 { 0 } else { self.alone + 1 };
        if others > 0 || self.alone >= ALONE_MAX {
            self.others = others;
        }
    }

    /// How many others than its leader may soon wait for the next group.
    pub(super) fn others(&self) -> u64 {
        self.others
    }

    /// Whether something is being done.
    pub(super) fn is_busy(&self) -> bool {
        self.in_flight
    }

    /// The next thing to do, unless one is being done.
    pub(super) fn take(&mut self) -> Option<Job<F>> {
        if self.in_flight || self.poison.is_some() {
            return None;
        }
        let job = if self.goal > self.durable && self.goal <= self.written {
            let sync = self.unsynced();
            Job { write: None, sync, covers: Some(self.written) }
        } else {
            let draft = self.drafts.pop_front()?;
            self.write(draft)
        };
        self.in_flight = true;
        Some(job)
    }

    fn unsynced(&self) -> Vec<F> {
        self.dirty
            .iter()
            .filter_map(|&sequence| self.segment(sequence))
            .map(|segment| segment.file.clone())
            .collect()
    }

    fn write(&mut self, draft: Draft) -> Job<F> {
        let last = draft.last();
        let sequence = draft.worst.sequence;
        if sequence > self.cursor.sequence {
            for passed in self.cursor.sequence + 1..=sequence {
                let (after, chain) = (self.grouped, self.chain);
                if let Some(segment) = self.segment_mut(passed) {
                    (segment.after, segment.chain, segment.last) = (after, chain, after);
                }
            }
            self.cursor = Place { sequence, offset: BLOCK };
        }
        let offset = self.cursor.offset;
        assert!(offset <= draft.worst.offset, "a draft never moves up");
        let end = offset + draft.buffer.len() as u64;
        // A write that opens a block fills it, so that the kernel need not read what was there; one that stays
        // inside a block that is open already writes only itself.
        let opens = offset.is_multiple_of(BLOCK) || end > offset.next_multiple_of(BLOCK);
        let padded = if opens { end.next_multiple_of(BLOCK) } else { end };
        let sync_after = self.goal > self.durable && self.goal <= last;
        let durable = sync_after && self.dirty.is_empty();
        if !durable && !self.dirty.contains(&sequence) {
            self.dirty.push(sequence);
        }
        let header = Header {
            incarnation: self.incarnation,
            identity: self.identity,
            sequence,
            offset: offset as u32,
            bytes: draft.buffer.len() as u32,
            first: draft.first,
            durable_before: self.durable,
            records: draft.records,
            beside: sync_after,
            chain: self.chain,
        };
        self.queued_records -= u64::from(draft.records);
        self.queued_bytes -= (draft.buffer.len() - HEADER) as u64;
        self.cursor.offset = end.next_multiple_of(ALIGN);
        self.grouped = last;
        if let Some(segment) = self.segment_mut(sequence) {
            segment.last = last;
        }
        self.stats.groups += 1;
        self.stats.bytes += padded - offset;
        let sync = if sync_after && !durable { self.unsynced() } else { Vec::new() };
        #[expect(
            clippy::expect_used,
            reason = "a draft is bound to a segment of the table, which only recycling \
            shortens, and that stops before the cursor"
        )]
        let file = self.segment(sequence).expect("the draft's segment").file.clone();
        let padded = (padded - offset) as usize;
        let write = Write { file, header, buffer: draft.buffer, padded, durable, last };
        Job { write: Some(write), sync, covers: sync_after.then_some(last) }
    }

    fn segment_mut(&mut self, sequence: u64) -> Option<&mut Segment<F>> {
        self.segments.get_mut(usize::try_from(sequence.checked_sub(self.head)?).ok()?)
    }

    /// The job is done, with the group's chain, or failed.
    pub(super) fn complete(&mut self, job: Job<F>, result: std::result::Result<u32, String>) {
        self.in_flight = false;
        let chain = match result {
            Ok(chain) => chain,
            Err(why) => {
                self.poison(why);
                return;
            }
        };
        self.stats.syncs += job.sync.len() as u64;
        if let Some(write) = job.write {
            self.chain = chain;
            self.written = write.last;
            self.stats.durable_writes += u64::from(write.durable);
            if write.buffer.capacity() <= SPARE_BYTES_MAX {
                self.spare = write.buffer;
            }
        }
        if let Some(lsn) = job.covers {
            self.durable = lsn;
            self.goal = self.wanted;
            self.dirty.clear();
            // What is durable now shares no block with what comes.
            self.cursor.offset = self.cursor.offset.next_multiple_of(BLOCK);
        }
    }

    /// Stops the log: nothing above what is durable is ever reported safe again.
    pub(super) fn poison(&mut self, why: String) {
        if self.poison.is_none() {
            self.poison = Some(Poison { why, uncertain: self.grouped });
        }
    }

    pub(super) fn poisoned(&self) -> Result<()> {
        match &self.poison {
            Some(poison) => Err(LogError::Poisoned(poison.why.clone())),
            None => Ok(()),
        }
    }

    /// Bytes of the segment that is missing, 0 if none is: one should always be ready behind the last in use.
    pub(super) fn segment_needed(&self) -> u64 {
        let last = self.head + self.segments.len() as u64 - 1;
        if self.need_bytes > 0 {
            self.need_bytes
        } else if self.worst().sequence >= last {
            2 * BLOCK
        } else {
            0
        }
    }

    /// The room somebody asked for is not to be had; who asks again says so again.
    pub(super) fn forget_need(&mut self) {
        self.need_bytes = 0;
    }

    /// Nothing can be submitted before a segment is ready.
    pub(super) fn is_out_of_room(&self) -> bool {
        self.need_bytes > 0
    }

    pub(super) fn table(&self) -> Vec<Entry> {
        self.segments.iter().map(|segment| segment.entry).collect()
    }

    /// The superblock names a new segment.
    pub(super) fn add_segment(&mut self, segment: Segment<F>) {
        self.room(segment.bytes());
        self.segments.push_back(segment);
        self.stats.segments_made += 1;
    }

    /// Takes the ready segments away that nothing is bound to: their room is wanted for one larger one.
    pub(super) fn give_up_ready(&mut self) -> Vec<Entry> {
        let keep = usize::try_from(self.worst().sequence - self.head).map_or(usize::MAX, |index| index + 1);
        let tail = self.segments.split_off(keep.min(self.segments.len()));
        self.stats.segments_dropped += tail.len() as u64;
        tail.into_iter().map(|segment| segment.entry).collect()
    }

    /// Nothing is queued or under way, and the bases cover all there is.
    pub(super) fn is_at_rest(&self, covered: Lsn) -> bool {
        self.poison.is_none()
            && self.drafts.is_empty()
            && !self.in_flight
            && self.dirty.is_empty()
            && self.durable == self.last()
            && covered >= self.last()
    }

    /// Goes on in the next segment where the log is at rest, so that the current one can be let go. True where it did.
    pub(super) fn move_on(&mut self, covered: Lsn) -> bool {
        let (next, last, chain) = (self.cursor.sequence + 1, self.grouped, self.chain);
        if !self.is_at_rest(covered) {
            return false;
        }
        let Some(segment) = self.segment_mut(next) else { return false };
        (segment.after, segment.chain, segment.last) = (last, chain, last);
        self.cursor = Place { sequence: next, offset: BLOCK };
        true
    }

    fn room(&mut self, bytes: u64) {
        if bytes >= self.need_bytes {
            self.need_bytes = 0;
        }
    }

    /// Notes what the bases cover, and tells which segments that frees.
    pub(super) fn rotation(&mut self, covered: Lsn) -> Result<Option<Rotation>> {
        if covered > self.durable {
            return Err(LogError::NotDurable(covered));
        }
        self.covered = self.covered.max(covered);
        let current = usize::try_from(self.cursor.sequence - self.head).unwrap_or(0);
        let free = |segment: &Segment<F>| segment.last <= self.covered;
        let count = self.segments.iter().take(current).take_while(|&segment| free(segment)).count();
        let Some(first) = self.segments.get(count) else { return Ok(None) };
        let head = Head { sequence: self.head + count as u64, after: first.after, chain: first.chain };
        let mut table = self.table();
        table.rotate_left(count);
        Ok((count > 0).then_some(Rotation { count, head, table }))
    }

    /// The superblock says so now. None of them has unsynced groups: what a base covers is durable here as well.
    pub(super) fn recycled(&mut self, rotation: &Rotation) {
        for _ in 0..rotation.count {
            let Some(segment) = self.segments.pop_front() else { return };
            self.room(segment.bytes());
            self.segments.push_back(Segment::ready(segment.file, segment.entry));
            self.stats.segments_recycled += 1;
        }
        self.head = rotation.head.sequence;
    }

    pub(super) fn pressure(&self) -> Pressure {
        let passed =
            self.segments.iter().take(usize::try_from(self.cursor.sequence - self.head).unwrap_or(0));
        Pressure {
            bytes: passed.map(Segment::bytes).sum::<u64>() + self.cursor.offset,
            bytes_max: self.options.log_bytes_max,
            records: self.last().0.saturating_sub(self.covered.0),
            queued_bytes: self.queued_bytes,
        }
    }
}

#[cfg(test)]
mod tests;
