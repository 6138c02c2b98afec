//! Embedded systems that several processes of a machine use: one holds the files, the others ask it, and one of them is the
//! holder when it is gone. `docs/internals/served.md`.

mod container;
mod held;
mod neighbour;
mod pool;
mod shared;

use crate::connect::new_session;
use crate::{Host, HostOptions};
use daos_client::{Error, Places, RemoteSystem, Result, SystemService};
use daos_embed::{Options, System, let_go};
use daos_net::Limits;
use daos_net::frame::{Hello, SessionId};
use daos_net::unix::{Bound, Unix};
use daos_types::{Der, Rank};
use held::Held;
use neighbour::Neighbour;
use shared::SharedSystem;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The name that holders and those who come agree on.
const NAME: &str = "embedded";
/// How long a call may take.
const CALL: Duration = Duration::from_secs(60);
/// A directory that is held while nobody listens: its holder has it for itself, or has only just taken it.
const ALONE: Duration = Duration::from_millis(100);
/// How long somebody may take to become the holder, or to stop being it.
const CHANGE: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Opens the system in a directory: holds it, and lets others in, or else asks the process that does.
pub fn open_shared(path: &Path, options: &Options) -> Result<Arc<dyn SystemService>> {
    let session = new_session();
    match enter(path, options, session, ALONE)? {
        Entered::Holder(system) => Ok(system),
        entered => {
            if options.size.is_some() {
                let message =
                    format!("the size of {} can be set by the process that holds it", path.display());
                return Err(Error::new(Der::Busy, message).hint("close it there first, or leave size out"));
            }
            Ok(Arc::new(SharedSystem::new(path, options, session, entered)))
        }
    }
}

/// What a process is to a system.
enum Entered {
    /// It has its files.
    Holder(Arc<Held>),
    /// It has them already, by somebody else in it.
    Neighbour(Arc<Neighbour>),
    /// It asks the one that has.
    Guest(Arc<RemoteSystem>),
}

impl Entered {
    /// What it asks; and the system itself, where that is in this process.
    fn into_parts(self) -> (Arc<dyn SystemService>, Option<Arc<System>>) {
        match self {
            Self::Holder(held) => {
                let near = Arc::clone(held.system());
                (held, Some(near))
            }
            Self::Neighbour(neighbour) => {
                let near = Arc::clone(neighbour.system());
                (neighbour, Some(near))
            }
            Self::Guest(system) => (system, None),
        }
    }
}

/// Becomes the holder, or a guest of whoever is. A directory that is held while nobody listens is busy after `alone`.
fn enter(path: &Path, options: &Options, session: SessionId, alone: Duration) -> Result<Entered> {
    let begun = Instant::now();
    let mut unheard = begun;
    loop {
        let busy = match System::take(path, options) {
            Ok(mut taken) => {
                // Where no socket can be made the system is used alone.
                let bound = Bound::new(&System::socket_path(path)).ok().map(Arc::new);
                if let Some(bound) = &bound {
                    taken.keep(Box::new(Arc::clone(bound)));
                }
                let system = taken.open()?;
                return Ok(Entered::Holder(Held::new(path, system, bound.as_deref())?));
            }
            Err(error) if error.der == Der::Busy => error,
            Err(error) => return Err(error),
        };
        let beside = || neighbour::find(path).map(|held| Arc::new(Neighbour::new(held, options.durability)));
        if let Some(neighbour) = beside() {
            return Ok(Entered::Neighbour(neighbour));
        }
        // It may be this process that is about to close it, and waits for what this thread owes.
        let_go();
        match attach(path, options, session) {
            Ok(system) => {
                // It may have been this process that was about to open it.
                let Some(neighbour) = beside() else { return Ok(Entered::Guest(system)) };
                let _ = SystemService::close(&*system);
                return Ok(Entered::Neighbour(neighbour));
            }
            // It listens and has nothing to say: it recovers, or closes, or stands still.
            Err(Attach::Silent) => unheard = Instant::now(),
            Err(Attach::Nobody) => {}
            Err(Attach::Refused(error)) => return Err(error),
        }
        if unheard.elapsed() >= alone || begun.elapsed() >= CHANGE {
            return Err(busy);
        }
        std::thread::sleep(PAUSE);
    }
}

/// Why somebody is no guest.
enum Attach {
    /// Nobody listens.
    Nobody,
    /// Somebody listens, and went before he said anything.
    Silent,
    /// He does not let this process in, or is none that it understands.
    Refused(Error),
}

fn attach(
    path: &Path,
    options: &Options,
    session: SessionId,
) -> std::result::Result<Arc<RemoteSystem>, Attach> {
    let socket = System::socket_path(path);
    if !socket.exists() {
        return Err(Attach::Nobody);
    }
    let limits = limits();
    let hello = Hello { rank: Some(Rank(0)), ..Hello::of_asker(NAME, session, &limits) };
    let address = socket.display().to_string();
    let places = Places::new(Arc::new(Unix::default()), limits, hello);
    RemoteSystem::connect(places, &address, CALL, options.durability).map_err(|error| match error.der {
        Der::Unreach | Der::Shutdown | Der::NoHdl => {
            if socket.exists() {
                Attach::Silent
            } else {
                Attach::Nobody
            }
        }
        _ => Attach::Refused(error),
    })
}

/// A host of a system that a process has for itself and its neighbours.
pub(crate) fn host(system: Arc<System>, bound: &Bound) -> Result<Host> {
    let options = HostOptions { system: NAME.to_owned(), rank: Rank(0), incarnation: 1, limits: limits() };
    let host = Host::new(system, options);
    host.listen_with(None, |me, limits, service| Unix::default().serve(bound, me, limits, service))?;
    Ok(host)
}

/// Bounds between processes of one user: a frame takes the longest value there is.
fn limits() -> Limits {
    Limits {
        frame_bytes: (1 << 30) + (64 << 20),
        window_bytes: 3 << 30,
        bytes_max: 6 << 30,
        ..Limits::default()
    }
}

#[cfg(test)]
mod tests;
