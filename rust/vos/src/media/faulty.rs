//! A media that fails and lies by a script.

use super::{Media, MediaError, MediaFile, Result};
use daos_locks::Mutex;
use std::io::IoSlice;
use std::sync::Arc;

/// What a fault counts and strikes. Each kind counts from 0 over all files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// `read_at`.
    Read,
    /// `write_at` and `write_at_durable`.
    Write,
    /// `sync` of a file.
    Sync,
    /// `sync_names`.
    SyncNames,
    /// `create`, `remove` and `rename`.
    Name,
    /// `set_size` and `allocate`.
    Size,
}

/// One misbehaviour.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// The call fails with EIO; of a write, the first half happened.
    Fail {
        /// Which kind of call.
        call: Call,
        /// Which of them.
        nth: u64,
        /// And all after it.
        always: bool,
    },
    /// The write or size change answers that the device is full; nothing of it happened.
    Full {
        /// Which kind of call.
        call: Call,
        /// Which of them.
        nth: u64,
        /// And all after it.
        always: bool,
    },
    /// Files may grow by this many bytes in total; then the device is full.
    FullAfter {
        /// How many bytes.
        bytes: u64,
    },
    /// The read succeeds with one bit of its answer wrong.
    FlipOnRead {
        /// Which read.
        nth: u64,
        /// Which bit of the answer, modulo its size.
        bit: u64,
    },
    /// The write is acknowledged and never happens.
    Lost {
        /// Which write.
        nth: u64,
    },
    /// The write is acknowledged and lands elsewhere in its file.
    Misdirected {
        /// Which write.
        nth: u64,
        /// Where it lands.
        offset: u64,
    },
}

#[derive(Debug, Default)]
struct Script {
    faults: Vec<Fault>,
    counts: [u64; 6],
    grown: u64,
}

enum Verdict {
    Work,
    Fail,
    Full,
    Flip(u64),
    Lose,
    Move(u64),
}

impl Script {
    fn count(&self, call: Call) -> u64 {
        self.counts.get(call as usize).copied().unwrap_or(0)
    }

    fn next(&mut self, call: Call) -> Verdict {
        let now = self.count(call);
        if let Some(count) = self.counts.get_mut(call as usize) {
            *count += 1;
        }
        let hit = |nth: u64, always: bool| now == nth || always && now > nth;
        for fault in &self.faults {
            match *fault {
                Fault::Fail { call: of, nth, always } if of == call && hit(nth, always) => {
                    return Verdict::Fail;
                }
                Fault::Full { call: of, nth, always } if of == call && hit(nth, always) => {
                    return Verdict::Full;
                }
                Fault::FlipOnRead { nth, bit } if call == Call::Read && now == nth => {
                    return Verdict::Flip(bit);
                }
                Fault::Lost { nth } if call == Call::Write && now == nth => return Verdict::Lose,
                Fault::Misdirected { nth, offset } if call == Call::Write && now == nth => {
                    return Verdict::Move(offset);
                }
                _ => {}
            }
        }
        Verdict::Work
    }

    /// Whether there is room for a file to grow by so much.
    fn grow(&mut self, by: u64) -> bool {
        let limit = self.faults.iter().find_map(|fault| match fault {
            Fault::FullAfter { bytes } => Some(*bytes),
            _ => None,
        });
        let fits = limit.is_none_or(|limit| self.grown.saturating_add(by) <= limit);
        if fits {
            self.grown += by;
        }
        fits
    }
}

/// Wraps a media; does as it, save for what the script says.
#[derive(Debug)]
pub struct Faulty {
    inner: Arc<dyn Media>,
    script: Arc<Mutex<Script>>,
}

impl Faulty {
    /// A media without faults so far.
    pub fn new(inner: Arc<dyn Media>) -> Self {
        Self { inner, script: Arc::default() }
    }

    /// Replaces the script; counting starts at 0 again.
    pub fn set(&self, faults: &[Fault]) {
        *self.script.lock() = Script { faults: faults.to_vec(), ..Script::default() };
    }

    /// How many calls of this kind there were since the script was set.
    pub fn count(&self, call: Call) -> u64 {
        self.script.lock().count(call)
    }

    fn check(&self, call: Call, name: &str) -> Result<()> {
        match self.script.lock().next(call) {
            Verdict::Fail => Err(failed("use", name)),
            Verdict::Full => Err(MediaError::NoSpace { name: name.to_owned() }),
            _ => Ok(()),
        }
    }

    fn wrap(&self, inner: Arc<dyn MediaFile>) -> Arc<dyn MediaFile> {
        Arc::new(FaultyFile { inner, script: Arc::clone(&self.script) })
    }
}

impl Media for Faulty {
    fn open(&self, name: &str) -> Result<Arc<dyn MediaFile>> {
        Ok(self.wrap(self.inner.open(name)?))
    }

    fn create(&self, name: &str) -> Result<Arc<dyn MediaFile>> {
        self.check(Call::Name, name)?;
        Ok(self.wrap(self.inner.create(name)?))
    }

    fn list(&self) -> Result<Vec<String>> {
        self.inner.list()
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.check(Call::Name, name)?;
        self.inner.remove(name)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.check(Call::Name, from)?;
        self.inner.rename(from, to)
    }

    fn sync_names(&self) -> Result<()> {
        self.check(Call::SyncNames, ".")?;
        self.inner.sync_names()
    }

    fn available(&self) -> Result<u64> {
        self.inner.available()
    }
}

#[derive(Debug)]
struct FaultyFile {
    inner: Arc<dyn MediaFile>,
    script: Arc<Mutex<Script>>,
}

impl FaultyFile {
    fn full(&self) -> MediaError {
        MediaError::NoSpace { name: self.inner.name().to_owned() }
    }

    fn write(&self, offset: u64, parts: &[IoSlice<'_>], durable: bool) -> Result<()> {
        let total: u64 = parts.iter().map(|part| part.len() as u64).sum();
        let verdict = {
            let mut script = self.script.lock();
            let verdict = script.next(Call::Write);
            let growth = (offset + total).saturating_sub(self.inner.size()?);
            if matches!(verdict, Verdict::Work) && !script.grow(growth) { Verdict::Full } else { verdict }
        };
        let put = |offset: u64, parts: &[IoSlice<'_>]| {
            if durable {
                self.inner.write_at_durable(offset, parts)
            } else {
                self.inner.write_at(offset, parts)
            }
        };
        match verdict {
            Verdict::Fail => {
                let data: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
                let half = data.get(..data.len() / 2).unwrap_or_default();
                self.inner.write_at(offset, &[IoSlice::new(half)])?;
                Err(failed("write", self.inner.name()))
            }
            Verdict::Full => Err(self.full()),
            Verdict::Lose => Ok(()),
            Verdict::Move(elsewhere) => put(elsewhere, parts),
            Verdict::Work | Verdict::Flip(_) => put(offset, parts),
        }
    }

    fn size_change(&self, growth: u64) -> Result<()> {
        let mut script = self.script.lock();
        match script.next(Call::Size) {
            Verdict::Fail => Err(failed("resize", self.inner.name())),
            Verdict::Full => Err(self.full()),
            _ if !script.grow(growth) => Err(self.full()),
            _ => Ok(()),
        }
    }
}

impl MediaFile for FaultyFile {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn size(&self) -> Result<u64> {
        self.inner.size()
    }

    fn allocated(&self) -> Result<u64> {
        self.inner.allocated()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let verdict = self.script.lock().next(Call::Read);
        if matches!(verdict, Verdict::Fail) {
            return Err(failed("read", self.inner.name()));
        }
        self.inner.read_at(offset, buffer)?;
        if let Verdict::Flip(bit) = verdict {
            let bits = buffer.len() as u64 * 8;
            let bit = bit.checked_rem(bits).unwrap_or(0);
            if let Some(byte) = buffer.get_mut((bit / 8) as usize) {
                *byte ^= 1 << (bit % 8);
            }
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, parts: &[IoSlice<'_>]) -> Result<()> {
        self.write(offset, parts, false)
    }

    fn write_at_durable(&self, offset: u64, parts: &[IoSlice<'_>]) -> Result<()> {
        self.write(offset, parts, true)
    }

    fn sync(&self) -> Result<()> {
        match self.script.lock().next(Call::Sync) {
            Verdict::Fail => Err(failed("sync", self.inner.name())),
            Verdict::Full => Err(self.full()),
            _ => self.inner.sync(),
        }
    }

    fn set_size(&self, size: u64) -> Result<()> {
        self.size_change(size.saturating_sub(self.inner.size()?))?;
        self.inner.set_size(size)
    }

    fn allocate(&self, offset: u64, len: u64) -> Result<()> {
        self.size_change(offset.saturating_add(len).saturating_sub(self.inner.size()?))?;
        self.inner.allocate(offset, len)
    }

    fn discard(&self, offset: u64, len: u64) -> Result<()> {
        self.inner.discard(offset, len)
    }
}

fn failed(what: &'static str, name: &str) -> MediaError {
    let error = std::io::Error::from_raw_os_error(libc::EIO);
    MediaError::Io { what, name: name.to_owned(), error: Arc::new(error) }
}

#[cfg(test)]
mod tests {
    use super::super::MemoryMedia;
    use super::*;

    fn file(faults: &[Fault]) -> Arc<dyn MediaFile> {
        let media = Faulty::new(Arc::new(MemoryMedia::new()));
        let file = media.create("a").unwrap();
        media.set(faults);
        file
    }

    fn write(file: &dyn MediaFile, offset: u64, data: &[u8]) -> Result<()> {
        file.write_at(offset, &[IoSlice::new(data)])
    }

    #[test]
    fn it_fails_once_or_always() {
        let once = file(&[Fault::Fail { call: Call::Write, nth: 1, always: false }]);
        let always = file(&[Fault::Fail { call: Call::Sync, nth: 1, always: true }]);
        assert_eq!([0, 1, 2].map(|_| write(&*once, 0, b"xy").is_ok()), [true, false, true]);
        assert_eq!([0, 1, 2].map(|_| always.sync().is_ok()), [true, false, false]);
    }

    #[test]
    fn it_fills_up_but_takes_overwrites() {
        let file = file(&[Fault::FullAfter { bytes: 4 }]);
        write(&*file, 0, b"abcd").unwrap();
        assert!(matches!(write(&*file, 2, b"xyz"), Err(MediaError::NoSpace { .. })));
        write(&*file, 0, b"efgh").unwrap();
        assert!(matches!(file.allocate(0, 5), Err(MediaError::NoSpace { .. })));
    }

    #[test]
    fn it_lies() {
        let faults = [
            Fault::FlipOnRead { nth: 1, bit: 9 },
            Fault::Lost { nth: 1 },
            Fault::Misdirected { nth: 2, offset: 0 },
        ];
        let file = file(&faults);
        let read = || {
            let mut bytes = [0; 2];
            file.read_at(0, &mut bytes).unwrap();
            bytes
        };
        write(&*file, 0, b"ab").unwrap();
        assert_eq!(read(), *b"ab");
        assert_eq!(read(), [b'a', b'b' ^ 2]);
        write(&*file, 0, b"cd").unwrap();
        assert_eq!(read(), *b"ab");
        write(&*file, 1, b"ef").unwrap();
        assert_eq!(read(), *b"ef");
    }
}
