//! The write-ahead log of one device.
//!
//! `docs/formats/log.md` describes every byte and argues why a crash loses nothing acknowledged. The decisions are
//! pure: `state` (what goes where and when), `recover` (what is the log after a crash), `group` and
//! `superblock` (the bytes). This file carries them out over a [`Media`], with one lock around the state and
//! none around the I/O: the first waiter leads, writes and syncs what is queued, and wakes the others.

mod error;
#[cfg(test)]
mod fuzz;
mod group;
mod options;
mod recover;
mod shrink;
mod state;
mod superblock;
mod supply;

pub use error::{LogError, Result};
pub use options::{Beside, LogOptions, LogStats, Merged, Pressure, Receive, Recovered};
pub(crate) use supply::SUPER;

use crate::media::{Media, MediaFile};
use daos_locks::{Condvar, Mutex, MutexGuard};
use daos_types::{Durability, Lsn};
use group::BLOCK;
use recover::{End, Scanner};
use state::{Begin, Job, Place, Segment, State, Status};
use std::io::IoSlice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use superblock::{Entry, Head, Start, Superblock};
use supply::Making;

type File = Arc<dyn MediaFile>;

/// Bytes read and written at once while recovering.
const AGAIN_BYTES: u64 = 1 << 20;

/// How long a group waits for those who waited for the last one: less than a sync, and longer than a message from one who was told takes.
const PATIENCE: Duration = Duration::from_micros(60);

/// A write-ahead log. All methods may be called from several threads at once.
#[derive(Debug)]
pub struct Log {
    media: Arc<dyn Media>,
    options: LogOptions,
    beside: Option<Arc<dyn Beside>>,
    state: Mutex<State<File>>,
    wake: Condvar,
    /// Held over the I/O that changes the superblock or makes segments; taken before `state`, never inside it.
    supply: Mutex<Supply>,
    written: AtomicU64,
    durable: AtomicU64,
    /// Bytes of all segments together; at most what the options say.
    bytes_max: AtomicU64,
}

#[derive(Debug)]
struct Supply {
    file: File,
    /// As it is on the device.
    superblock: Superblock,
    making: Option<Making>,
    /// What was durable at the last call of [`Log::sync_due`].
    durable_then: Lsn,
}

impl Log {
    /// Makes a log where none is. What a creation that was cut short left is removed first.
    pub fn create(media: Arc<dyn Media>, identity: [u8; 16], options: &LogOptions) -> Result<Self> {
        options.check()?;
        let names = media.list()?;
        if names.iter().any(|name| name == supply::SUPER) {
            return Err(LogError::Exists);
        }
        let ours: Vec<&String> = names.iter().filter(|name| supply::is_ours(name)).collect();
        for name in &ours {
            if supply::first_group(&*media.open(name)?)?.is_some() {
                return Err(LogError::Corrupt(format!(
                    "file {name} holds records, and there is no superblock"
                )));
            }
        }
        for name in ours {
            media.remove(name)?;
        }
        let blocks = (u64::from(options.segment_bytes_min) / BLOCK) as u32;
        let table = vec![Entry { number: 0, blocks }, Entry { number: 1, blocks }];
        let mut files = Vec::new();
        for &entry in &table {
            let mut making = Making::begin(&*media, identity, entry)?;
            while !making.step(&*media)? {}
            files.push(making.file);
        }
        let superblock = Superblock {
            identity,
            generation: 1,
            incarnation: 1,
            head: Head { sequence: 1, after: Lsn::ZERO, chain: 0 },
            durable: Lsn::ZERO,
            start: Start { after: Lsn::ZERO, sequence: 1, offset: BLOCK as u32, chain: 0 },
            table,
        };
        let file = media.create(supply::SUPER_NEW)?;
        supply::write_superblock(&*file, &superblock, 0)?;
        file.sync()?;
        // The name that makes it a log must not be durable before the others are.
        media.sync_names()?;
        media.rename(supply::SUPER_NEW, supply::SUPER)?;
        media.sync_names()?;
        let segments = files
            .into_iter()
            .zip(&superblock.table)
            .map(|(file, &entry)| Segment::ready(file, entry))
            .collect();
        Ok(Self::assemble(media, options, file, superblock, segments))
    }

    /// Opens the log, gives the records behind `merged.by_all` to `replay`, in order, and readies the log for more.
    ///
    /// Everything that is replayed is durable before the first record is given out, so that the receiver may merge.
    /// While the log is open nobody else may open it: the store must see to that.
    pub fn open(
        media: Arc<dyn Media>,
        identity: [u8; 16],
        options: &LogOptions,
        merged: Merged,
        replay: &mut Receive<'_>,
    ) -> Result<(Self, Recovered)> {
        Self::open_beside(media, identity, options, merged, None, replay)
    }

    /// Names what is to be synced with the log, before anything is submitted.
    #[must_use]
    pub fn beside(self, beside: Arc<dyn Beside>) -> Self {
        Self { beside: Some(beside), ..self }
    }

    /// As [`Log::open`], for records that name things outside of the log.
    pub fn open_beside(
        media: Arc<dyn Media>,
        identity: [u8; 16],
        options: &LogOptions,
        merged: Merged,
        beside: Option<Arc<dyn Beside>>,
        replay: &mut Receive<'_>,
    ) -> Result<(Self, Recovered)> {
        options.check()?;
        if !media.list()?.iter().any(|name| name == supply::SUPER) {
            return Err(LogError::Missing(format!("no file {}", supply::SUPER)));
        }
        let file = media.open(supply::SUPER)?;
        let (mut superblock, truth) = supply::read_superblock(&*file)?;
        if superblock.identity != identity {
            return Err(LogError::Corrupt("the log belongs to another store".to_owned()));
        }
        if superblock.head.after > merged.by_all {
            let (gone, lacks) = (superblock.head.after, merged.by_all.next());
            return Err(LogError::Corrupt(format!(
                "records {lacks} to {gone} were recycled and no base has them"
            )));
        }
        let leftovers = supply::leftovers(&*media, &superblock, identity_hash(identity))?;

        let (files, end, limit) = find_end(&*media, &superblock, merged, beside.as_deref())?;
        for (file, mark) in files.iter().zip(&end.marks) {
            if let Some(blocks) = mark.unproven(end.proven) {
                write_again(&**file, blocks)?;
            }
        }
        for name in &leftovers {
            media.remove(name)?;
        }
        let found = superblock.clone();
        superblock.generation += 1;
        superblock.incarnation += 1;
        superblock.start = end.start;
        superblock.durable = end.start.after;
        supply::write_superblock(&*file, &superblock, truth)?;

        let mut replayed = 0;
        let mut receive = |lsn: Lsn, record: &[u8]| {
            if lsn <= merged.by_all {
                return Ok(());
            }
            replayed += 1;
            replay(lsn, record)
        };
        // By the superblock of the first scan, since that is what the groups found are of.
        let (_, again) = scan(&*media, &found, merged, limit, &mut receive)?;
        if again != end {
            return Err(LogError::Corrupt("the log read otherwise when it was read again".to_owned()));
        }

        let segments = files.into_iter().zip(&superblock.table).zip(&end.marks);
        let segments = segments
            .map(|((file, &entry), mark)| Segment {
                after: mark.after,
                chain: mark.chain,
                last: mark.last,
                ..Segment::ready(file, entry)
            })
            .collect();
        let recovered = Recovered {
            last: end.start.after,
            replayed,
            found: end.found,
            cut_groups: end.cut,
            incarnation: superblock.incarnation,
        };
        let log = Self::assemble(media, options, file, superblock, segments);
        Ok((Self { beside, ..log }, recovered))
    }

    fn assemble(
        media: Arc<dyn Media>,
        options: &LogOptions,
        file: File,
        superblock: Superblock,
        segments: std::collections::VecDeque<Segment<File>>,
    ) -> Self {
        let start = superblock.start;
        let begin = Begin {
            identity: identity_hash(superblock.identity),
            incarnation: superblock.incarnation,
            segments,
            head: superblock.head.sequence,
            cursor: Place { sequence: start.sequence, offset: start.offset.into() },
            chain: start.chain,
            after: start.after,
        };
        let state = State::new(options.clone(), begin);
        Self {
            media,
            options: options.clone(),
            beside: None,
            written: AtomicU64::new(state.written().0),
            durable: AtomicU64::new(state.durable().0),
            state: Mutex::new(state),
            wake: Condvar::new(),
            bytes_max: AtomicU64::new(options.log_bytes_max),
            supply: Mutex::new(Supply { file, superblock, making: None, durable_then: Lsn::ZERO }),
        }
    }

    /// Queues a record, given in parts, and tells its LSN. Does no I/O; [`LogError::Busy`] asks for
    /// [`Log::relieve`]. On any error nothing was queued.
    pub fn submit(&self, record: &[&[u8]]) -> Result<Lsn> {
        self.state.lock().submit(record)
    }

    /// Returns when all records up to `lsn` are as safe as asked for. The caller may become the one who writes for
    /// all. `Interval` waits as `Buffered` does.
    pub fn wait(&self, lsn: Lsn, durability: Durability, timeout: Option<Duration>) -> Result<()> {
        let reached = if durability == Durability::Synced { &self.durable } else { &self.written };
        if lsn.0 <= reached.load(Ordering::Acquire) && durability == Durability::Synced {
            return Ok(());
        }
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = self.state.lock();
        state.want(lsn, durability);
        // Where several wait for each group, those who have just been told of the last one get their turn to submit before the
        // next begins: it is longer then, and there are fewer.
        let others = state.others();
        let mut patience = (others > 0).then(|| (state.last().0 + others, Instant::now() + PATIENCE));
        loop {
            match state.status(lsn, durability) {
                Status::Done => return Ok(()),
                Status::Failed(error) => return Err(error),
                Status::Pending => {}
            }
            if let Some((all, until)) = patience {
                drop(state);
                std::thread::yield_now();
                state = self.state.lock();
                let waits = durability == Durability::Synced && !state.is_busy() && state.last().0 < all;
                patience = patience.filter(|_| waits && Instant::now() < until);
                continue;
            }
            match state.take() {
                Some(job) => state = self.carry_out(state, job),
                None => match deadline {
                    Some(deadline) => {
                        let over;
                        (state, over) = self.wake.wait_until(state, deadline);
                        if over {
                            return match state.status(lsn, durability) {
                                Status::Done => Ok(()),
                                Status::Failed(error) => Err(error),
                                Status::Pending => Err(LogError::TimedOut),
                            };
                        }
                    }
                    None => state = self.wake.wait(state),
                },
            }
        }
    }

    /// Does a job without the lock, and tells the others.
    fn carry_out<'a>(
        &'a self,
        state: MutexGuard<'a, State<File>>,
        mut job: Job<File>,
    ) -> MutexGuard<'a, State<File>> {
        drop(state);
        // The group is closed: what it names was written before it was submitted.
        let result = match &self.beside {
            Some(beside) if job.syncs() && beside.is_dirty() => self.perform_beside(&mut job, &**beside),
            _ => perform(&mut job),
        };
        let mut state = self.state.lock();
        state.complete(job, result.map_err(|error| error.to_string()));
        self.written.store(state.written().0, Ordering::Release);
        self.durable.store(state.durable().0, Ordering::Release);
        state.note_others(self.wake.notify_all() as u64);
        state
    }

    /// Makes a job durable, and what its records name: at the same time, as neither counts without the other. A group that may be
    /// there alone does not say that what it names is.
    fn perform_beside(&self, job: &mut Job<File>, beside: &dyn Beside) -> crate::media::Result<u32> {
        if let Some(write) = &mut job.write {
            write.header.beside = false;
        }
        if !self.media.overlaps() {
            let performed = perform(job);
            return beside.sync().and(performed);
        }
        std::thread::scope(|scope| {
            let other = std::thread::Builder::new().spawn_scoped(scope, || beside.sync());
            let performed = perform(job);
            let named = match other.map(std::thread::ScopedJoinHandle::join) {
                Ok(Ok(named)) => named,
                Ok(Err(panic)) => std::panic::resume_unwind(panic),
                // There is no thread to be had.
                Err(_) => beside.sync(),
            };
            named.and(performed)
        })
    }

    /// All records up to here survive the death of the process.
    pub fn written(&self) -> Lsn {
        Lsn(self.written.load(Ordering::Acquire))
    }

    /// All records up to here survive a power cut.
    pub fn durable(&self) -> Lsn {
        Lsn(self.durable.load(Ordering::Acquire))
    }

    /// The last record submitted.
    pub fn last(&self) -> Lsn {
        self.state.lock().last()
    }

    /// Makes everything submitted so far durable: to be called each second for the sake of `Interval`.
    ///
    /// Where nothing happened since the call before, the superblock is told what is durable, so that damage of the
    /// last groups of a log at rest cannot pass for a torn write.
    pub fn sync_due(&self) -> Result<()> {
        self.wait(self.last(), Durability::Synced, None)?;
        let mut supply = self.supply.lock();
        let before = std::mem::replace(&mut supply.durable_then, self.durable());
        if before == self.durable() { self.note_durable(&mut supply) } else { Ok(()) }
    }

    /// Makes everything durable and says so in the superblock: the end of a clean run. The log goes on working.
    pub fn close(&self) -> Result<()> {
        self.wait(self.last(), Durability::Synced, None)?;
        self.note_durable(&mut self.supply.lock())
    }

    fn note_durable(&self, supply: &mut Supply) -> Result<()> {
        if supply.superblock.durable >= self.durable() { Ok(()) } else { self.update(supply, |_| {}) }
    }

    /// A step of getting the next segment ready, for a background thread; true if there is more to do. False also
    /// where the log's cap or the number of segments forbids one: see [`Log::pressure`].
    pub fn prepare(&self) -> Result<bool> {
        let mut supply = self.supply.lock();
        self.supply_step(&mut supply)
    }

    /// Makes room after [`LogError::Busy`]: writes what is queued and gets a segment ready. Not to be called under
    /// a lock that readers need. [`LogError::NoSpace`]: merge, [`Log::recycle`], try again.
    pub fn relieve(&self) -> Result<()> {
        self.wait(self.last(), Durability::Buffered, None)?;
        let mut supply = self.supply.lock();
        while self.state.lock().is_out_of_room() {
            if !self.supply_step(&mut supply)? && self.state.lock().is_out_of_room() {
                self.state.lock().forget_need();
                return Err(LogError::NoSpace(
                    "the log's cap is reached and nothing can be recycled".to_owned(),
                ));
            }
        }
        Ok(())
    }

    /// Tells that every base durably covers the records up to `covered`: segments before the current one that hold
    /// nothing else are used again.
    pub fn recycle(&self, covered: Lsn) -> Result<()> {
        let mut supply = self.supply.lock();
        self.rotate(&mut supply, covered).map(drop)
    }

    /// How full the log is.
    pub fn pressure(&self) -> Pressure {
        Pressure { bytes_max: self.bytes_max(), ..self.state.lock().pressure() }
    }

    /// Bytes of all segments.
    pub fn size(&self) -> u64 {
        self.state.lock().table().iter().map(|entry| u64::from(entry.blocks) * BLOCK).sum()
    }

    fn bytes_max(&self) -> u64 {
        self.bytes_max.load(Ordering::Relaxed)
    }

    /// Lets it grow to so many bytes at most; what it has it keeps, and more than the options say it never gets.
    pub fn set_bytes_max(&self, bytes: u64) {
        let bytes = bytes.max(self.size()).min(self.options.log_bytes_max);
        self.bytes_max.store(bytes, Ordering::Relaxed);
    }

    /// What it did since it was opened.
    pub fn stats(&self) -> LogStats {
        self.state.lock().stats
    }

    fn rotate(&self, supply: &mut Supply, covered: Lsn) -> Result<bool> {
        let rotation = {
            let mut state = self.state.lock();
            state.poisoned()?;
            state.rotation(covered)?
        };
        let Some(rotation) = rotation else { return Ok(false) };
        self.update(supply, |superblock| {
            superblock.head = rotation.head;
            superblock.table.clone_from(&rotation.table);
        })?;
        self.state.lock().recycled(&rotation);
        Ok(true)
    }

    /// Changes the superblock on the device. A failure leaves it in doubt, which stops the log.
    fn update(&self, supply: &mut Supply, change: impl FnOnce(&mut Superblock)) -> Result<()> {
        // Behind an update in doubt there must be no other: it would give the same generation to another content.
        self.state.lock().poisoned()?;
        let mut superblock = supply.superblock.clone();
        change(&mut superblock);
        superblock.durable = superblock.durable.max(self.durable());
        superblock.generation += 1;
        if let Err(error) = supply::write_superblock(&*supply.file, &superblock, 0) {
            let mut state = self.state.lock();
            state.poison(error.to_string());
            self.wake.notify_all();
            return Err(LogError::Uncertain(error.to_string()));
        }
        supply.superblock = superblock;
        Ok(())
    }

    fn supply_step(&self, supply: &mut Supply) -> Result<bool> {
        if supply.making.is_none() && !self.begin_segment(supply)? {
            return Ok(false);
        }
        let Some(mut making) = supply.making.take() else { return Ok(false) };
        if !making.step(&*self.media)? {
            supply.making = Some(making);
            return Ok(true);
        }
        self.media.sync_names()?;
        self.update(supply, |superblock| superblock.table.push(making.entry))?;
        let mut state = self.state.lock();
        state.add_segment(Segment::ready(making.file, making.entry));
        Ok(state.segment_needed() > 0)
    }

    /// Removes the ready segments that nothing is bound to.
    fn drop_ready(&self, supply: &mut Supply) -> Result<()> {
        let given_up = self.state.lock().give_up_ready();
        if given_up.is_empty() {
            return Ok(());
        }
        self.update(supply, |superblock| superblock.table.retain(|entry| !given_up.contains(entry)))?;
        given_up.iter().try_for_each(|entry| Ok(self.media.remove(&supply::segment_name(entry.number))?))
    }

    /// Starts on a segment, if one is needed and allowed and recycling does not help.
    fn begin_segment(&self, supply: &mut Supply) -> Result<bool> {
        self.rotate(supply, Lsn::ZERO)?;
        let (need, urgent) = {
            let state = self.state.lock();
            state.poisoned()?;
            (state.segment_needed(), state.is_out_of_room())
        };
        if need == 0 {
            return Ok(false);
        }
        let options = LogOptions { log_bytes_max: self.bytes_max(), ..self.options.clone() };
        let mut entry = supply::next_segment(&options, &supply.superblock.table, need);
        if entry.is_none() && urgent {
            // Small segments stand in the way of a large one.
            self.drop_ready(supply)?;
            entry = supply::next_segment(&options, &supply.superblock.table, need);
        }
        let Some(entry) = entry else { return Ok(false) };
        supply.making = Some(Making::begin(&*self.media, supply.superblock.identity, entry)?);
        Ok(true)
    }
}

/// Finds the end of the log, and the last record that counts: groups that name what is not there are cut off as if they
/// were torn.
fn find_end(
    media: &dyn Media,
    superblock: &Superblock,
    merged: Merged,
    beside: Option<&dyn Beside>,
) -> Result<(Vec<File>, End, Lsn)> {
    let whole = Lsn(u64::MAX);
    let (files, end) = scan(media, superblock, merged, whole, &mut |_, _| Ok(()))?;
    // A base names nothing that was not durable.
    let proven = end.beside.max(merged.by_any);
    let Some(beside) = beside.filter(|_| proven < end.start.after) else { return Ok((files, end, whole)) };
    let mut missing = None;
    scan(media, superblock, merged, whole, &mut |lsn, record| {
        if missing.is_none() && lsn > proven && !beside.recover(record)? {
            missing = Some(lsn);
        }
        Ok(())
    })?;
    beside.sync()?;
    let Some(missing) = missing else { return Ok((files, end, whole)) };
    let limit = Lsn(missing.0 - 1);
    let (files, end) = scan(media, superblock, merged, limit, &mut |_, _| Ok(()))?;
    Ok((files, end, limit))
}

/// Reads all segments and gives their records out.
fn scan(
    media: &dyn Media,
    superblock: &Superblock,
    merged: Merged,
    limit: Lsn,
    receive: &mut Receive<'_>,
) -> Result<(Vec<File>, End)> {
    let mut scanner = Scanner::new(superblock, identity_hash(superblock.identity), limit);
    let mut files = Vec::new();
    let mut bytes = Vec::new();
    for &entry in &superblock.table {
        files.push(supply::read_segment(media, superblock.identity, entry, &mut bytes)?);
        scanner.segment(&bytes, receive)?;
    }
    Ok((files, scanner.finish(merged.by_any.max(merged.by_all))?))
}

/// Makes blocks durable of which it is not known that they are. A sync alone proves nothing: if an earlier one
/// failed, the page cache may hold what the device does not, and call it clean.
fn write_again(file: &dyn MediaFile, blocks: std::ops::Range<u64>) -> Result<()> {
    let mut bytes = vec![0; (blocks.end - blocks.start).min(AGAIN_BYTES) as usize];
    let mut at = blocks.start;
    while at < blocks.end {
        bytes.truncate((blocks.end - at) as usize);
        file.read_at(at, &mut bytes)?;
        file.write_at(at, &[IoSlice::new(&bytes)])?;
        at += bytes.len() as u64;
    }
    Ok(file.sync()?)
}

/// Writes and syncs; the answer is what the next group chains on.
fn perform(job: &mut Job<File>) -> crate::media::Result<u32> {
    let mut chain = 0;
    if let Some(write) = &mut job.write {
        chain = group::seal(&mut write.buffer, &write.header);
        write.buffer.resize(write.padded, 0);
        let parts = [IoSlice::new(&write.buffer)];
        if write.durable {
            write.file.write_at_durable(write.header.offset.into(), &parts)?;
        } else {
            write.file.write_at(write.header.offset.into(), &parts)?;
        }
    }
    for file in &job.sync {
        file.sync()?;
    }
    Ok(chain)
}

fn identity_hash(identity: [u8; 16]) -> u64 {
    twox_hash::XxHash3_64::oneshot(&identity)
}
