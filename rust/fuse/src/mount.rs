//! Mounts: threads that take requests from the kernel and answer them.

use crate::abi::{self, Agreed, Offer, Opcode, Reply, init};
use crate::alone::Alone;
use crate::awake::{self, Awake};
use crate::caching::Caching;
use crate::device;
use crate::doors;
use crate::filesystem::Usage;
use crate::forest::{Branch, Files, Forest, Links};
use crate::requests::{Requests, receive};
use daos_dfs::Dfs;
use daos_locks::{Condvar, Mutex};
use daos_net::Listening;
use rustix::fd::{AsRawFd, OwnedFd, RawFd};
use rustix::io::Errno;
use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Bytes of one write, and of one read: the most that kernels of today do.
const WRITE_MAX: u32 = 1 << 20;
/// Bytes of the longest request: a write, with what comes before it, and a page to spare.
const REQUEST_MAX: usize = WRITE_MAX as usize + 4096;
/// Requests that the kernel makes ahead of programs, at a time.
const BACKGROUND_MAX: u16 = 64;
/// Threads that answer requests.
pub const THREADS_MAX: usize = 256;
/// So many there are at most if nothing is said.
pub const THREADS: usize = 16;
/// A request that takes longer than that has somebody else take the next one.
const TICK: Duration = Duration::from_millis(1);
/// Without requests one looks less often whether there is such a one.
const TICK_IDLE: Duration = Duration::from_millis(20);
/// Without requests for so long, times of closed files are stored.
const TIMES_PAUSE: Duration = Duration::from_millis(100);
/// So long a request waits for the kernel to forget a name; then it goes on without.
const FORGET_WAIT: Duration = Duration::from_millis(500);
/// One line a second tells of trouble.
const TROUBLE_PAUSE: Duration = Duration::from_secs(1);

/// Why a mount failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}: {}", std::io::Error::from_raw_os_error(*errno))]
pub struct Error {
    /// Its number.
    pub errno: i32,
    /// What failed.
    pub message: String,
    /// What can be done about it.
    pub hint: Option<Cow<'static, str>>,
}

/// The result of mounting.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn new(errno: Errno, message: impl Into<String>) -> Self {
        Self { errno: errno.raw_os_error(), message: message.into(), hint: None }
    }

    #[must_use]
    pub(crate) fn hint(self, hint: impl Into<Cow<'static, str>>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// Is told, in a line, what went wrong with the store.
pub type Report = Arc<dyn Fn(&str) + Send + Sync>;

/// How a file system is mounted.
#[derive(Clone)]
pub struct Options {
    /// All users may use it, each with his own rights; else only who mounts.
    pub multi_user: bool,
    /// What the kernel may keep.
    pub caching: Caching,
    /// The most threads that answer requests.
    pub threads: usize,
    /// What the root tells as `user.daos`.
    pub identity: Option<String>,
    /// Where directories lead that name another container; `None`: nowhere.
    pub links: Option<Arc<dyn Links>>,
    /// Names are looked up before they are asked for, by who asks for those of a directory in their order; if nothing is said, where the
    /// store is another process.
    pub look_ahead: Option<bool>,
    /// Who is told of trouble.
    pub report: Option<Report>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            multi_user: false,
            caching: Caching::DEFAULT,
            threads: THREADS,
            identity: None,
            links: None,
            look_ahead: None,
            report: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("multi_user", &self.multi_user)
            .field("caching", &self.caching)
            .field("threads", &self.threads)
            .field("identity", &self.identity)
            .field("links", &self.links)
            .field("look_ahead", &self.look_ahead)
            .finish_non_exhaustive()
    }
}

/// What the threads of a mount share.
struct Session {
    forest: Forest,
    device: OwnedFd,
    /// Rings when the mount has ended.
    bell: OwnedFd,
    report: Option<Report>,
    told: Mutex<Option<Instant>>,
    /// Threads there are, how many of them wait for a request, and how many there may be.
    threads: AtomicUsize,
    readers: AtomicUsize,
    threads_max: usize,
    /// There is one processor, and a store that is not waited for: two threads do no more than one.
    is_alone: bool,
    /// Requests that were taken.
    taken: AtomicUsize,
    /// Those that neither work nor wait for a request.
    spare: Mutex<Spare>,
    called: Condvar,
    /// Where the one waits who looks after slow requests.
    tick: Condvar,
    ended: Mutex<bool>,
    end: Condvar,
}

/// Threads that were needed once, and will be again.
#[derive(Debug, Default)]
struct Spare {
    count: usize,
    /// So many of them are called.
    calls: usize,
    /// The mount has ended: all are.
    over: bool,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("forest", &self.forest).finish_non_exhaustive()
    }
}

/// A file system that is mounted. It stays so when this is dropped.
#[derive(Debug)]
pub struct Mount {
    session: Arc<Session>,
    at: PathBuf,
    /// Where programs ask for the bytes of files without the kernel, until it ends.
    doors: Mutex<Vec<Box<dyn Listening>>>,
}

/// What is wanted of what the kernel offers.
fn wanted(caching: &Caching) -> u64 {
    let always = init::ASYNC_READ
        | init::ATOMIC_O_TRUNC
        | init::BIG_WRITES
        | init::AUTO_INVAL_DATA
        | init::DO_READDIRPLUS
        | init::READDIRPLUS_AUTO
        | init::ASYNC_DIO
        | init::PARALLEL_DIROPS
        | init::MAX_PAGES
        | init::HANDLE_KILLPRIV_V2
        | init::INIT_EXT
        | init::DIRECT_IO_ALLOW_MMAP;
    let kept = if caching.dentry.is_zero() { 0 } else { init::CACHE_SYMLINKS };
    always | kept | if caching.write_back { init::WRITEBACK_CACHE } else { 0 }
}

impl Mount {
    /// Mounts a container, and answers requests from then on, by threads of its own. What it returns with is a mount that works.
    pub fn start(dfs: Dfs, at: &Path, options: Options) -> Result<Self> {
        let (caching, identity) = (options.caching, options.identity.clone());
        let read_only = dfs.is_read_only();
        Self::start_at(Branch::Files(Files { dfs, caching, identity }), read_only, at, options)
    }

    /// The same of whatever it is, read-only or not; `options` has no say in what the kernel keeps, nor in what its root tells.
    pub fn start_at(root: Branch, read_only: bool, at: &Path, options: Options) -> Result<Self> {
        let Options { multi_user, threads, links, report, look_ahead, .. } = options;
        let failed = |error: Errno| Error::new(error, format!("{} cannot be mounted on", at.display()));
        let how = device::How { read_only, allow_other: multi_user };
        let device = device::mount(at, how)?;
        let bell = device::bell().map_err(failed)?;
        let forest = Forest::new(root, links, look_ahead);
        let is_alone = !forest.is_far() && std::thread::available_parallelism().is_ok_and(|n| n.get() == 1);
        let session = Arc::new(Session {
            forest,
            is_alone,
            device,
            bell,
            report,
            told: Mutex::new(None),
            threads: AtomicUsize::new(0),
            readers: AtomicUsize::new(0),
            taken: AtomicUsize::new(0),
            threads_max: threads.clamp(1, THREADS_MAX),
            spare: Mutex::default(),
            called: Condvar::new(),
            tick: Condvar::new(),
            ended: Mutex::new(false),
            end: Condvar::new(),
        });
        session.forget_names();
        let begun = session
            .agree()
            .and_then(|()| Session::watch(&session).map_err(failed))
            .and_then(|()| if read_only { Ok(()) } else { Session::store_times(&session).map_err(failed) })
            .and_then(|()| Session::more(&session).map_err(failed));
        if let Err(error) = begun {
            let _ = device::detach(at);
            return Err(error);
        }
        device::read_ahead(at, WRITE_MAX >> 10);
        let doors = Mutex::new(Session::open_doors(&session));
        Ok(Self { session, at: at.to_owned(), doors })
    }

    /// Becomes readable when the mount has ended.
    pub fn bell(&self) -> RawFd {
        self.session.bell.as_raw_fd()
    }

    /// Waits until the mount has ended; false if it has not by then.
    pub fn wait(&self, patience: Duration) -> bool {
        let end = Instant::now() + patience;
        let mut ended = self.session.ended.lock();
        while !*ended {
            let late;
            (ended, late) = self.session.end.wait_until(ended, end);
            if late {
                break;
            }
        }
        *ended
    }

    /// Takes the mount away: what the kernel has kept is written, nobody new gets in, and who is in has some time to leave. False if
    /// there is still somebody; his requests are answered as long as this process lives.
    pub fn unmount(&self, patience: Duration) -> Result<bool> {
        if self.wait(Duration::ZERO) {
            return Ok(true);
        }
        let (end, at) = (Instant::now() + patience, self.at.clone());
        let (done, written) = std::sync::mpsc::channel();
        // The store may be gone: this is waited for in vain then, but not for ever.
        let writer = std::thread::Builder::new().name("dfuse-writer".into()).spawn(move || {
            let _ = done.send(device::write_back(&at));
        });
        if writer.is_ok() {
            let _ = written.recv_timeout(patience);
        }
        device::detach(&self.at)?;
        Ok(self.wait(end.saturating_duration_since(Instant::now()).max(Duration::from_millis(200))))
    }

    /// What the kernel knows of it.
    pub fn usage(&self) -> Usage {
        self.session.forest.usage()
    }

    /// Closes what was open when the mount ended, and makes all durable that was acknowledged. The file system cannot be used any more.
    pub fn finish(&self) -> daos_dfs::Result<()> {
        drop(std::mem::take(&mut *self.doors.lock()));
        self.session.forest.end()
    }
}

impl AsRef<Forest> for Session {
    fn as_ref(&self) -> &Forest {
        &self.forest
    }
}

impl Session {
    /// Opens the side doors of the file system at the mount point. A mount without them works as well: programs keep to the kernel.
    fn open_doors(session: &Arc<Self>) -> Vec<Box<dyn Listening>> {
        let Some(first) = session.forest.first() else { return Vec::new() };
        let (shared, teller) = (Arc::downgrade(session), Arc::downgrade(session));
        let tell: Arc<dyn Fn(&str) + Send + Sync> = Arc::new(move |what| {
            if let Some(session) = teller.upgrade() {
                session.tell(what);
            }
        });
        let opened = doors::open(session, first.caching(), &tell);
        match opened {
            Ok((info, doors)) => {
                first.sides().open(info, move |told| {
                    if let Some(session) = shared.upgrade() {
                        // Of what the kernel does not know any more it keeps nothing.
                        let _ = rustix::io::write(&session.device, told);
                    }
                });
                doors
            }
            Err(error) => {
                session.tell(&format!("programs cannot reach files without the kernel: {error}"));
                Vec::new()
            }
        }
    }

    /// What holds no longer is forgotten by the kernel.
    fn forget_names(self: &Arc<Self>) {
        let session = Arc::downgrade(self);
        self.forest.forget_by(Box::new(move |told| {
            let Some(session) = session.upgrade() else { return };
            let (done, forgotten) = std::sync::mpsc::channel();
            // The kernel waits for whoever changes the directory, and he may wait for the thread that answers this request.
            let run = move || {
                // What it does not know it need not forget.
                for word in told {
                    let _ = rustix::io::write(&session.device, &word);
                }
                let _ = done.send(());
            };
            if std::thread::Builder::new().name("dfuse-forget".into()).spawn(run).is_ok() {
                let _ = forgotten.recv_timeout(FORGET_WAIT);
            }
        }));
    }

    /// The first request, by which both sides agree on how to talk.
    fn agree(&self) -> Result<()> {
        let silent = |error: Errno| Error::new(error, "the kernel does not talk to the mount");
        let mut request = vec![0; REQUEST_MAX];
        let mut buffer = [0; 256];
        loop {
            let len = receive(&self.device, &mut request).map_err(silent)?;
            let asked = abi::request(request.get(..len).unwrap_or_default());
            let (header, args) = asked.map_err(|_| silent(Errno::PROTO))?;
            if Opcode::of(header.opcode) != Some(Opcode::Init) {
                return Err(silent(Errno::PROTO));
            }
            let offer = Offer::decode(args).map_err(|_| silent(Errno::PROTO))?;
            let mut reply = Reply::new(&mut buffer);
            let old = offer.major < abi::MAJOR || (offer.major == abi::MAJOR && offer.minor < abi::MINOR_MIN);
            if old {
                let _ = rustix::io::write(&self.device, reply.finish(header.unique, libc::EPROTO));
                let message = format!("the kernel speaks FUSE {}.{}", offer.major, offer.minor);
                return Err(Error::new(Errno::PROTO, message).hint("Linux 4.20 or newer is needed"));
            }
            let agreed = Agreed {
                readahead: offer.readahead.max(WRITE_MAX),
                flags: offer.flags & wanted(&self.forest.caching()),
                background: BACKGROUND_MAX,
                write: WRITE_MAX,
                page: rustix::param::page_size() as u32,
            };
            reply.init(&agreed);
            rustix::io::write(&self.device, reply.finish(header.unique, 0)).map_err(silent)?;
            // A kernel of a later language asks again in ours.
            if offer.major == abi::MAJOR {
                return Ok(());
            }
        }
    }

    /// One more thread, if there may be.
    fn more(session: &Arc<Self>) -> rustix::io::Result<()> {
        if session.threads.fetch_add(1, Ordering::AcqRel) >= session.threads_max {
            session.threads.fetch_sub(1, Ordering::AcqRel);
            return Ok(());
        }
        let (shared, begun) = (Arc::clone(session), Requests::beside(&session.device));
        let spawned = begun.and_then(|requests| {
            let run = move || {
                Self::serve(&shared, requests);
                shared.dismiss();
                if shared.threads.fetch_sub(1, Ordering::AcqRel) == 1 {
                    shared.over();
                }
            };
            spawn("dfuse", run)
        });
        if spawned.is_err() {
            session.threads.fetch_sub(1, Ordering::AcqRel);
        }
        spawned
    }

    /// Answers requests until the mount ends.
    fn serve(session: &Arc<Self>, mut requests: Requests) {
        let mut request = vec![0; REQUEST_MAX];
        let mut buffer = vec![0; REQUEST_MAX];
        let (mut alone, mut awake, mut answered) = (Alone::default(), Awake::default(), Instant::now());
        while session.may_read() {
            let asked = Instant::now();
            let is_only_one = session.readers.load(Ordering::Acquire) == 1;
            let received = requests.next(is_only_one && awake.is_worth_it(), &mut request);
            let begun = Instant::now();
            session.taken.fetch_add(1, Ordering::Relaxed);
            session.readers.fetch_sub(1, Ordering::AcqRel);
            let len = match received {
                Ok(len) => len,
                // It was unmounted.
                Err(Errno::NODEV) => return,
                Err(error) => {
                    session.tell(&format!("requests cannot be read any more: {error}"));
                    return;
                }
            };
            let Ok((header, args)) = abi::request(request.get(..len).unwrap_or_default()) else {
                session.tell("the kernel sent a request that is none");
                continue;
            };
            let waited = begun.duration_since(asked);
            if !session.is_alone && alone.needs_help(waited, header.opcode, header.thread) {
                awake.others();
                Self::help(session);
            } else if header.thread != 0 && awake.asked(header.thread, begun.duration_since(answered), begun)
            {
                // Nobody is to take the next one meanwhile.
                session.readers.fetch_add(1, Ordering::AcqRel);
                awake::join(header.thread);
                session.readers.fetch_sub(1, Ordering::AcqRel);
            }
            let mut reply = Reply::new(&mut buffer);
            let answer = session.forest.answer(&header, args, &mut reply);
            answered = Instant::now();
            session.forest.tally().add(header.opcode, answered.duration_since(begun));
            let Some(answer) = answer else {
                alone.answered(header.opcode, header.thread, len);
                continue;
            };
            let number = match answer {
                Ok(()) => 0,
                Err(refusal) => {
                    if let Some(trouble) = refusal.trouble() {
                        session.tell(&trouble);
                    }
                    refusal.number()
                }
            };
            let reply = reply.finish(header.unique, number);
            requests.answer(reply);
            alone.answered(header.opcode, header.thread, len + reply.len());
        }
    }

    /// Looks after slow requests: while one is answered somebody else takes the next, as far as there may be threads.
    fn watch(session: &Arc<Self>) -> rustix::io::Result<()> {
        let shared = Arc::clone(session);
        let run = move || {
            let mut before = usize::MAX;
            let mut spare = shared.spare.lock();
            while !spare.over {
                drop(spare);
                let taken = shared.taken.load(Ordering::Relaxed);
                let is_busy = shared.readers.load(Ordering::Acquire) == 0;
                if is_busy && taken == before {
                    Self::help(&shared);
                }
                let pause = if is_busy || taken != before { TICK } else { TICK_IDLE };
                before = taken;
                spare = shared.spare.lock();
                if !spare.over {
                    spare = shared.tick.wait_for(spare, pause).0;
                }
            }
        };
        spawn("dfuse-watch", run)
    }

    /// Stores, a little later, when files were changed that are closed.
    fn store_times(session: &Arc<Self>) -> rustix::io::Result<()> {
        let shared = Arc::clone(session);
        let run = move || {
            let taken = || shared.taken.load(Ordering::Relaxed);
            let mut spare = shared.spare.lock();
            while !spare.over {
                let before = taken();
                drop(shared.tick.wait_for(spare, TIMES_PAUSE));
                shared.forest.store_left(&|| taken() == before);
                spare = shared.spare.lock();
            }
        };
        spawn("dfuse-times", run)
    }

    /// Somebody else takes the next request, if there may be one more.
    fn help(session: &Arc<Self>) {
        if !session.call() {
            // Without, the next one waits.
            let _ = Self::more(session);
        }
    }

    /// Waits until somebody is needed to wait for requests; false when there are none any more.
    fn may_read(&self) -> bool {
        if self.readers.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            return true;
        }
        let mut spare = self.spare.lock();
        spare.count += 1;
        while spare.calls == 0 && !spare.over {
            spare = self.called.wait(spare);
        }
        spare.count -= 1;
        spare.calls = spare.calls.saturating_sub(1);
        self.readers.fetch_add(1, Ordering::AcqRel);
        !spare.over
    }

    /// Calls somebody who has nothing to do; false if there is nobody.
    fn call(&self) -> bool {
        let mut spare = self.spare.lock();
        if spare.count <= spare.calls {
            return false;
        }
        spare.calls += 1;
        drop(spare);
        self.called.notify_one();
        true
    }

    /// There is nothing to wait for any more.
    fn dismiss(&self) {
        self.spare.lock().over = true;
        self.called.notify_all();
        self.tick.notify_all();
    }

    /// Tells of trouble, not more often than anybody could read.
    fn tell(&self, what: &str) {
        let Some(report) = &self.report else { return };
        let mut told = self.told.lock();
        if told.is_none_or(|told| told.elapsed() >= TROUBLE_PAUSE) {
            *told = Some(Instant::now());
            drop(told);
            report(what);
        }
    }

    /// The last thread has ended.
    fn over(&self) {
        *self.ended.lock() = true;
        self.end.notify_all();
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }
}

/// Begins a thread that is not waited for.
fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> rustix::io::Result<()> {
    let thread = std::thread::Builder::new().name(name.into()).spawn(run);
    thread.map(drop).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::AGAIN))
}
