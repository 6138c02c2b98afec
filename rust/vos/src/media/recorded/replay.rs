//! Rebuilding what a power cut leaves.

use super::super::memory::Sparse;
use super::{Event, MemoryMedia};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::ops::ControlFlow;
use std::sync::Arc;

/// Bytes a device writes whole or not at all.
const SECTOR: u64 = 512;
/// Pending pieces up to which every subset is worth building.
const EXHAUSTIVE_MAX: usize = 8;

/// What was done to a media, and what it held before.
#[derive(Debug, Clone)]
pub struct History {
    start: MemoryMedia,
    events: Vec<Event>,
}

/// How many states to build, and which.
#[derive(Debug, Clone, Copy)]
pub struct Crash {
    /// Chooses among the subsets; the same seed gives the same states.
    pub seed: u64,
    /// About how many states to build over all points.
    pub states: usize,
}

/// What was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explored {
    /// States with different contents.
    pub distinct: usize,
    /// States the visitor saw: a content is shown once for each stage it can occur in.
    pub visited: usize,
}

/// One thing that a crash keeps or loses as a whole.
#[derive(Debug, Clone)]
enum Change {
    Data { offset: u64, source: Arc<[u8]>, from: usize, to: usize },
    Zero { offset: u64, len: u64 },
    Grow { size: u64 },
    Shrink { size: u64 },
}

#[derive(Debug, Clone)]
struct Pending<C> {
    change: C,
    /// It is durable, but must be applied behind earlier changes that may or may not be.
    forced: bool,
    /// A sync of it failed: no later one proves anything.
    doubtful: bool,
}

#[derive(Debug)]
struct Inode {
    /// Durable for sure.
    base: Sparse,
    /// The length as the program sees it.
    len: u64,
    pending: VecDeque<Pending<Change>>,
}

#[derive(Debug, Clone)]
enum NameChange {
    Create(usize, String),
    Remove(String),
    Rename(String, String),
}

#[derive(Debug)]
struct Model {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    pending_names: VecDeque<Pending<NameChange>>,
}

impl History {
    pub(super) fn new(start: MemoryMedia, events: Vec<Event>) -> Self {
        Self { start, events }
    }

    /// How many events there are; a cut can come before, in, and behind each of them.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Nothing happened.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The same history in which no sync works and no write is durable: a control that must find loss.
    #[must_use]
    pub fn without_syncs(&self) -> Self {
        let events = self.events.iter().cloned().map(|event| match event {
            Event::Write { file, offset, data, .. } => Event::Write { file, offset, data, durable: false },
            Event::Sync { file, .. } => Event::Sync { file, worked: false },
            other => other,
        });
        Self { start: self.start.snapshot(), events: events.collect() }
    }

    /// The same history in which a sync of a file covers only the last write before it: what a program gets that
    /// takes one durable write for a sync of the whole file. A control that must find loss.
    #[must_use]
    pub fn with_narrow_syncs(&self) -> Self {
        let mut events = self.events.clone();
        for at in 0..events.len() {
            let (before, rest) = events.split_at_mut(at);
            let Some(Event::Sync { file: synced, worked }) = rest.first_mut() else { continue };
            let last = before.iter_mut().rev().find_map(|event| match event {
                Event::Write { file, durable, .. } if file == synced => Some(durable),
                _ => None,
            });
            if let Some(durable) = last {
                *durable |= *worked;
                *worked = false;
            }
        }
        Self { start: self.start.snapshot(), events }
    }

    /// Builds states a power cut can leave. `visit` gets the point: that many events had returned when the power
    /// went; the next one may have happened in part. A content is shown again only where `stage` (of a point)
    /// differs, since more may have been promised by then.
    pub fn crashes(
        &self,
        crash: Crash,
        stage: &dyn Fn(usize) -> u64,
        visit: &mut dyn FnMut(usize, MemoryMedia) -> ControlFlow<()>,
    ) -> Explored {
        self.crashes_from(0, crash, stage, visit)
    }

    /// As [`History::crashes`], of the points from `first` on; `crash.states` counts those before as well.
    pub fn crashes_from(
        &self,
        first: usize,
        crash: Crash,
        stage: &dyn Fn(usize) -> u64,
        visit: &mut dyn FnMut(usize, MemoryMedia) -> ControlFlow<()>,
    ) -> Explored {
        let mut random = Random(crash.seed);
        let mut model = Model::of(&self.start);
        let mut contents = HashSet::new();
        let mut seen = HashSet::new();
        let points = self.events.len() + 1;
        for point in 0..points {
            // The event in flight counts as not covered by anything, whatever it will be.
            if let Some(event) = self.events.get(point) {
                model.issue(event);
            }
            let extra = random.below(points) < crash.states % points;
            let want = if point < first { 0 } else { crash.states / points + usize::from(extra) };
            for choice in model.choices(want, &mut random) {
                let media = model.build(&choice);
                let hash = media.content_hash();
                contents.insert(hash);
                if seen.insert((hash, stage(point))) && visit(point, media).is_break() {
                    return Explored { distinct: contents.len(), visited: seen.len() };
                }
            }
            if let Some(event) = self.events.get(point) {
                model.complete(event);
            }
        }
        Explored { distinct: contents.len(), visited: seen.len() }
    }
}

impl Model {
    fn of(start: &MemoryMedia) -> Self {
        let mut names = BTreeMap::new();
        let mut inodes = Vec::new();
        for (name, base) in start.contents() {
            names.insert(name, inodes.len());
            inodes.push(Inode { len: base.len(), base, pending: VecDeque::new() });
        }
        Self { inodes, names, pending_names: VecDeque::new() }
    }

    /// Adds what the event may leave.
    fn issue(&mut self, event: &Event) {
        match event {
            Event::Write { file, offset, data, .. } => {
                let Some(inode) = self.inodes.get_mut(*file) else { return };
                inode.grow(*offset + data.len() as u64);
                let mut from = 0;
                while from < data.len() {
                    let sector_end = (*offset + from as u64) / SECTOR * SECTOR + SECTOR;
                    let to = data.len().min((sector_end - *offset) as usize);
                    let source = Arc::clone(data);
                    inode.push(Change::Data { offset: *offset + from as u64, source, from, to });
                    from = to;
                }
            }
            Event::Size { file, size } => {
                let Some(inode) = self.inodes.get_mut(*file) else { return };
                if *size < inode.len {
                    inode.len = *size;
                    inode.push(Change::Shrink { size: *size });
                } else {
                    inode.grow(*size);
                }
            }
            Event::Allocate { file, end } => {
                if let Some(inode) = self.inodes.get_mut(*file) {
                    inode.grow(*end);
                }
            }
            Event::Discard { file, offset, len } => {
                let Some(inode) = self.inodes.get_mut(*file) else { return };
                let end = offset.saturating_add(*len).min(inode.len);
                let mut at = *offset;
                while at < end {
                    let next = end.min(at / 4096 * 4096 + 4096);
                    inode.push(Change::Zero { offset: at, len: next - at });
                    at = next;
                }
            }
            Event::Create { file, name } => {
                debug_assert_eq!(*file, self.inodes.len(), "files are numbered in order");
                self.inodes.push(Inode { base: Sparse::default(), len: 0, pending: VecDeque::new() });
                self.push_name(NameChange::Create(*file, name.clone()));
            }
            Event::Remove { name } => self.push_name(NameChange::Remove(name.clone())),
            Event::Rename { from, to } => self.push_name(NameChange::Rename(from.clone(), to.clone())),
            Event::Sync { .. } | Event::SyncNames { .. } => {}
        }
    }

    /// The event returned: what it covers is durable from here on.
    fn complete(&mut self, event: &Event) {
        match event {
            Event::Write { file, data, durable: true, .. } => {
                let Some(inode) = self.inodes.get_mut(*file) else { return };
                // Its own pieces are the last ones; its growth is not covered.
                for pending in inode.pending.iter_mut().rev() {
                    match &pending.change {
                        Change::Data { source, .. } if Arc::ptr_eq(source, data) => pending.forced = true,
                        _ => break,
                    }
                }
                inode.settle();
            }
            Event::Sync { file, worked } => {
                let Some(inode) = self.inodes.get_mut(*file) else { return };
                cover(&mut inode.pending, *worked);
                inode.settle();
            }
            Event::SyncNames { worked } => {
                cover(&mut self.pending_names, *worked);
                while self.pending_names.front().is_some_and(|pending| pending.forced) {
                    if let Some(pending) = self.pending_names.pop_front() {
                        rename(&mut self.names, &pending.change);
                    }
                }
            }
            _ => {}
        }
    }

    fn push_name(&mut self, change: NameChange) {
        self.pending_names.push_back(Pending { change, forced: false, doubtful: false });
    }

    /// Which file each uncertain piece belongs to (`usize::MAX`: names), in the order of application.
    fn uncertain(&self) -> Vec<usize> {
        let names = self.pending_names.iter().filter(|pending| !pending.forced).map(|_| usize::MAX);
        let data = self.inodes.iter().enumerate().flat_map(|(file, inode)| {
            inode.pending.iter().filter(|pending| !pending.forced).map(move |_| file)
        });
        names.chain(data).collect()
    }

    /// Up to `want` different ways to keep or lose what is uncertain.
    fn choices(&self, want: usize, random: &mut Random) -> Vec<Vec<bool>> {
        let owners = self.uncertain();
        let count = owners.len();
        if count <= EXHAUSTIVE_MAX && 1 << count <= want {
            return (0..1_usize << count)
                .map(|bits| (0..count).map(|i| bits >> i & 1 == 1).collect())
                .collect();
        }
        let random_choice = |random: &mut Random| -> Vec<bool> {
            let one = random.below(count);
            let owner = owners.get(one).copied().unwrap_or(0);
            match random.below(7) {
                0 => vec![false; count],
                1 => vec![true; count],
                2 => (0..count).map(|i| i != one).collect(),
                3 => (0..count).map(|i| i == one).collect(),
                4 => (0..count).map(|i| i < one).collect(),
                5 => owners.iter().map(|&other| other == owner || other == usize::MAX).collect(),
                _ => (0..count).map(|_| random.below(2) == 0).collect(),
            }
        };
        (0..want).map(|_| random_choice(random)).collect()
    }

    fn build(&self, choice: &[bool]) -> MemoryMedia {
        let mut choice = choice.iter().copied();
        let mut keep = |forced: bool| forced || choice.next().unwrap_or(false);
        let mut names = self.names.clone();
        for pending in &self.pending_names {
            if keep(pending.forced) {
                rename(&mut names, &pending.change);
            }
        }
        let contents: Vec<Sparse> = self
            .inodes
            .iter()
            .map(|inode| {
                let mut image = Image { len: inode.base.len(), bytes: inode.base.clone() };
                for pending in &inode.pending {
                    if keep(pending.forced) {
                        image.apply(&pending.change);
                    }
                }
                image.finish()
            })
            .collect();
        let media = MemoryMedia::new();
        for (name, file) in names {
            if let Some(content) = contents.get(file) {
                media.insert(&name, content.clone());
            }
        }
        media
    }
}

impl Inode {
    fn push(&mut self, change: Change) {
        self.pending.push_back(Pending { change, forced: false, doubtful: false });
    }

    fn grow(&mut self, size: u64) {
        if size > self.len {
            self.len = size;
            self.push(Change::Grow { size });
        }
    }

    /// Moves what is certain, up to the first uncertain piece, into the base.
    fn settle(&mut self) {
        if self.pending.front().is_none_or(|pending| !pending.forced) {
            return;
        }
        let mut image = Image { len: self.base.len(), bytes: std::mem::take(&mut self.base) };
        while self.pending.front().is_some_and(|pending| pending.forced) {
            if let Some(pending) = self.pending.pop_front() {
                image.apply(&pending.change);
            }
        }
        self.base = image.finish();
    }
}

/// A file being rebuilt: data may lie behind its length, and is lost if the length does not come to cover it.
struct Image {
    bytes: Sparse,
    len: u64,
}

impl Image {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Data { offset, source, from, to } => {
                if let Some(data) = source.get(*from..*to) {
                    self.bytes.write(*offset, data);
                }
            }
            Change::Zero { offset, len } => self.bytes.discard(*offset, *len),
            Change::Grow { size } => self.len = self.len.max(*size),
            Change::Shrink { size } => {
                self.bytes.set_size(self.bytes.len().min(*size));
                self.len = self.len.min(*size);
            }
        }
    }

    fn finish(mut self) -> Sparse {
        self.bytes.set_size(self.len);
        self.bytes
    }
}

fn cover<C>(pending: &mut VecDeque<Pending<C>>, worked: bool) {
    for pending in pending {
        if worked {
            pending.forced |= !pending.doubtful;
        } else {
            pending.doubtful |= !pending.forced;
        }
    }
}

fn rename(names: &mut BTreeMap<String, usize>, change: &NameChange) {
    match change {
        NameChange::Create(file, name) => {
            names.insert(name.clone(), *file);
        }
        NameChange::Remove(name) => {
            names.remove(name);
        }
        NameChange::Rename(from, to) => {
            if let Some(file) = names.remove(from) {
                names.insert(to.clone(), file);
            }
        }
    }
}

/// A small generator (splitmix64): reproducible, and good enough to pick subsets.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % bound.max(1) as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::super::Recorded;
    use super::*;
    use crate::media::{Media, MediaFile};
    use std::io::IoSlice;

    const ALL: Crash = Crash { seed: 1, states: 4000 };

    fn put(file: &dyn MediaFile, offset: u64, byte: u8, len: usize, durable: bool) {
        let data = vec![byte; len];
        let parts = [IoSlice::new(&data)];
        if durable { file.write_at_durable(offset, &parts) } else { file.write_at(offset, &parts) }.unwrap();
    }

    fn content(media: &MemoryMedia, name: &str) -> Option<Vec<u8>> {
        let file = media.open(name).ok()?;
        let mut bytes = vec![0; file.size().unwrap() as usize];
        file.read_at(0, &mut bytes).unwrap();
        Some(bytes)
    }

    /// The different contents of file `a` that the last point can leave.
    fn left(recorded: &Recorded) -> HashSet<Option<Vec<u8>>> {
        let history = recorded.history();
        let mut found = HashSet::new();
        history.crashes(ALL, &|point| point as u64, &mut |point, media| {
            if point == history.len() {
                found.insert(content(&media, "a"));
            }
            ControlFlow::Continue(())
        });
        found
    }

    fn ready() -> (Recorded, Arc<dyn MediaFile>) {
        let recorded = Recorded::new(Arc::new(MemoryMedia::new())).unwrap();
        let file = recorded.create("a").unwrap();
        file.set_size(1024).unwrap();
        file.sync().unwrap();
        recorded.sync_names().unwrap();
        (recorded, file)
    }

    #[test]
    fn an_unsynced_write_tears_at_sectors() {
        let (recorded, file) = ready();
        put(&*file, 0, 7, 1024, false);
        assert_eq!(left(&recorded).len(), 4);
        file.sync().unwrap();
        assert_eq!(left(&recorded), HashSet::from([Some(vec![7; 1024])]));
    }

    #[test]
    fn a_durable_write_covers_itself_and_nothing_else() {
        let (recorded, file) = ready();
        put(&*file, 0, 7, 512, false);
        put(&*file, 512, 8, 512, true);
        let found = left(&recorded);
        assert_eq!(found.len(), 2);
        assert!(found.iter().flatten().all(|bytes| bytes[512..].iter().all(|&byte| byte == 8)));
        // An earlier write below a durable one cannot come back over it.
        put(&*file, 0, 9, 512, true);
        assert_eq!(left(&recorded).len(), 1);
    }

    #[test]
    fn growth_is_lost_unless_synced() {
        let (recorded, file) = ready();
        put(&*file, 1024, 7, 512, true);
        assert!(left(&recorded).contains(&Some(vec![0; 1024])));
        file.sync().unwrap();
        assert_eq!(left(&recorded).len(), 1);
    }

    #[test]
    fn names_are_lost_unless_synced() {
        let (recorded, _file) = ready();
        recorded.rename("a", "b").unwrap();
        recorded.create("a").unwrap();
        assert_eq!(left(&recorded), HashSet::from([None, Some(vec![]), Some(vec![0; 1024])]));
        recorded.sync_names().unwrap();
        assert_eq!(left(&recorded), HashSet::from([Some(vec![])]));
    }

    #[test]
    fn a_failed_sync_is_not_mended_by_the_next() {
        let (recorded, file) = ready();
        put(&*file, 0, 7, 512, false);
        recorded.tape_failed_sync();
        file.sync().unwrap();
        assert_eq!(left(&recorded).len(), 2);
    }

    impl Recorded {
        fn tape_failed_sync(&self) {
            self.tape.lock().events.push(Event::Sync { file: 0, worked: false });
        }
    }
}
