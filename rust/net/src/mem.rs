//! A network in memory, for tests and simulations: no sockets, no threads, and time that passes only while somebody waits. What
//! happens is decided by a seed.
//!
//! Whoever waits steps the network and its servers until that is there which he waits for. With one caller at a time the same seed
//! gives the same run.

use crate::Moment;
use crate::error::{NetError, Result};
use crate::hub::Hub;
use crate::limits::Limits;
use crate::link::Link;
use crate::service::{Replies, Service};
use crate::serving::Identity;
use crate::transport::{Listening, Transport};
use daos_locks::Mutex;
use daos_types::Der;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Bytes under way in one direction of a connection.
const CAPACITY: usize = 256 << 10;

/// What goes wrong: of a thousand writes, so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// Microseconds that a write is under way: at least, at most. What is written later to the same stream arrives later.
    pub delay_us: (u64, u64),
    /// Its bytes never arrive; what is written later does.
    pub lost: u32,
    /// Its bytes arrive twice.
    pub doubled: u32,
    /// What is written next arrives before it.
    pub overtaken: u32,
    /// One of its bits arrives flipped.
    pub flipped: u32,
    /// A part of it arrives, then the connection breaks.
    pub broken: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Accept,
    Deliver,
    Room,
}

#[derive(Debug, Default)]
struct Pipe {
    /// What arrived and was not read.
    there: VecDeque<u8>,
    /// Bytes that are under way.
    coming: usize,
    /// What is under way: when it arrives, and what.
    parts: VecDeque<Part>,
    /// The end of the stream was sent.
    ending: bool,
    /// What arrived behind the bytes.
    end: End,
    /// When the last write arrives.
    last: Moment,
    /// Its writer found no room.
    blocked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum End {
    /// Nothing: there may be more.
    #[default]
    Open,
    /// The end of the stream.
    Ended,
    /// It broke.
    Reset,
}

#[derive(Debug)]
enum Part {
    Bytes(Vec<u8>),
    End,
    Reset,
}

#[derive(Debug)]
struct World {
    now: Moment,
    random: u64,
    serial: u64,
    events: BTreeMap<(Moment, u64), (u64, Event)>,
    /// Of connection `n`: `2n` to the server, `2n + 1` to the client.
    pipes: BTreeMap<u64, Pipe>,
    /// The server of a connection.
    servers: BTreeMap<u64, String>,
    /// Directions in which nothing arrives until they are healed.
    held: BTreeSet<(String, bool)>,
    faults: Faults,
    connections: u64,
}

#[derive(Debug)]
struct Server {
    hub: Hub,
    /// From the connection's number to the hub's.
    numbers: BTreeMap<u64, u64>,
}

/// The network. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Mem {
    world: Arc<Mutex<World>>,
    servers: Arc<Mutex<BTreeMap<String, Server>>>,
    /// Others may be about to do something: time does not pass at once when nothing is under way.
    threads: bool,
}

/// So long nothing must have been sent in the time of the machine before time passes, where several threads call.
const QUIET: Duration = Duration::from_millis(1);

impl World {
    fn chance(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.random;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    fn happens(&mut self, per_mille: u32) -> bool {
        per_mille > 0 && self.chance() % 1000 < u64::from(per_mille)
    }

    fn later(&mut self, at: Moment, pipe: u64, event: Event) {
        self.serial += 1;
        self.events.insert((at, self.serial), (pipe, event));
    }

    /// Sends a part; it arrives behind all that was sent before.
    fn send(&mut self, number: u64, part: Part) {
        let (least, most) = self.faults.delay_us;
        let delay = least + self.chance() % (most.max(least) - least + 1);
        let at = self.now.after(Duration::from_micros(delay));
        let Some(pipe) = self.pipes.get_mut(&number) else { return };
        pipe.last = pipe.last.max(at);
        pipe.coming += if let Part::Bytes(bytes) = &part { bytes.len() } else { 0 };
        pipe.parts.push_back(part);
        let at = pipe.last;
        self.later(at, number, Event::Deliver);
    }

    fn write(&mut self, number: u64, mut bytes: Vec<u8>) {
        let faults = self.faults;
        if self.happens(faults.lost) {
            return;
        }
        if self.happens(faults.flipped) && !bytes.is_empty() {
            let bit = self.chance() as usize % (bytes.len() * 8);
            if let Some(byte) = bytes.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
        }
        if self.happens(faults.broken) {
            bytes.truncate(self.chance() as usize % bytes.len().max(1));
            self.send(number, Part::Bytes(bytes));
            self.send(number, Part::Reset);
            self.send(number ^ 1, Part::Reset);
            return;
        }
        if self.happens(faults.doubled) {
            self.send(number, Part::Bytes(bytes.clone()));
        }
        self.send(number, Part::Bytes(bytes));
        if self.happens(faults.overtaken)
            && let Some(pipe) = self.pipes.get_mut(&number)
            && let [.., one, other] = pipe.parts.make_contiguous()
            && matches!((&one, &other), (Part::Bytes(_), Part::Bytes(_)))
        {
            std::mem::swap(one, other);
        }
    }

    /// The next part of a stream arrives, unless its direction is held: then it waits for [`Mem::heal`].
    fn deliver(&mut self, number: u64) {
        let server = self.servers.get(&(number / 2)).cloned().unwrap_or_default();
        if self.held.contains(&(server, number.is_multiple_of(2))) {
            return;
        }
        let Some(pipe) = self.pipes.get_mut(&number) else { return };
        match pipe.parts.pop_front() {
            Some(Part::Bytes(bytes)) => {
                pipe.coming -= bytes.len();
                pipe.there.extend(bytes);
            }
            Some(Part::End) => pipe.end = pipe.end.max(End::Ended),
            Some(Part::Reset) => pipe.end = End::Reset,
            None => {}
        }
    }
}

impl Mem {
    /// A network whose chance comes from a seed.
    pub fn new(seed: u64, faults: Faults) -> Self {
        let world = World {
            now: Moment(1),
            random: seed,
            serial: 0,
            events: BTreeMap::new(),
            pipes: BTreeMap::new(),
            servers: BTreeMap::new(),
            held: BTreeSet::new(),
            faults,
            connections: 0,
        };
        Self { world: Arc::new(Mutex::new(world)), servers: Arc::default(), threads: false }
    }

    /// The same for callers on several threads: what is under way arrives at once as before, but time passes slowly enough for all
    /// to say what they have to say. The order of events is not that of a seed any more.
    #[must_use]
    pub fn for_threads(self) -> Self {
        Self { threads: true, ..self }
    }

    /// From now on this goes wrong.
    pub fn set_faults(&self, faults: Faults) {
        self.world.lock().faults = faults;
    }

    /// Nothing arrives at a server any more, or nothing that it sends; nobody is told.
    pub fn hold(&self, address: &str, to_server: bool) {
        self.world.lock().held.insert((address.to_owned(), to_server));
    }

    /// All arrives again, also what was held.
    pub fn heal(&self) {
        let mut world = self.world.lock();
        let (held, now) = (std::mem::take(&mut world.held), world.now);
        let of_held = |connection: &u64, to_server| {
            let server = world.servers.get(connection).cloned().unwrap_or_default();
            held.contains(&(server, to_server))
        };
        let numbers: Vec<(u64, usize)> = world
            .pipes
            .iter()
            .filter(|(number, _)| of_held(&(*number / 2), number.is_multiple_of(2)))
            .map(|(number, pipe)| (*number, pipe.parts.len()))
            .collect();
        for (number, parts) in numbers {
            for _ in 0..parts {
                world.later(now, number, Event::Deliver);
            }
        }
    }

    /// All connections to a server break, at both ends.
    pub fn cut(&self, address: &str) {
        let mut world = self.world.lock();
        let of_server = world.servers.iter().filter(|(_, server)| *server == address);
        for connection in of_server.map(|(connection, _)| *connection).collect::<Vec<_>>() {
            for number in [connection * 2, connection * 2 + 1] {
                world.send(number, Part::Reset);
            }
        }
    }

    /// Lets this time pass.
    pub fn pass(&self, time: Duration) {
        let until = self.world.lock().now.after(time);
        while self.step(until) {}
    }

    /// Gives others the time to act where nothing is under way; whether they did.
    fn is_changed_by_others(&self) -> bool {
        let before = {
            let world = self.world.lock();
            if world.events.keys().next().is_some_and(|(at, _)| *at <= world.now.after(QUIET)) {
                return false;
            }
            world.serial
        };
        thread::sleep(QUIET);
        self.world.lock().serial != before
    }

    /// Does the next thing that happens until then; false where nothing does, and the time has come.
    fn step(&self, until: Moment) -> bool {
        if self.threads && self.is_changed_by_others() {
            return true;
        }
        let mut servers = self.servers.lock();
        let next_server = servers.values().map(|server| server.hub.next_time()).min().unwrap_or(Moment::MAX);
        let mut world = self.world.lock();
        let next_event = world.events.keys().next().map_or(Moment::MAX, |(at, _)| *at);
        let next = next_event.min(next_server);
        if next > until {
            world.now = world.now.max(until);
            return false;
        }
        world.now = world.now.max(next);
        let now = world.now;
        let event = if next_event <= next_server { world.events.pop_first() } else { None };
        let Some((_, (number, event))) = event else {
            drop(world);
            for server in servers.values_mut() {
                while server.hub.settle(now) {}
                server.hub.wishes();
            }
            return true;
        };
        if event == Event::Deliver {
            world.deliver(number);
        }
        let address = world.servers.get(&(number / 2)).cloned().unwrap_or_default();
        let ended = world.pipes.get(&number).is_some_and(|pipe| pipe.end != End::Open);
        drop(world);
        if let Some(server) = servers.get_mut(&address)
            && (event != Event::Deliver || number.is_multiple_of(2))
        {
            let connection = number / 2;
            if event == Event::Accept {
                let link = MemLink { net: self.clone(), read: connection * 2, write: connection * 2 + 1 };
                if let Some(number) = server.hub.accept(now, Box::new(link)) {
                    server.numbers.insert(connection, number);
                }
            } else if let Some(number) = server.numbers.get(&connection) {
                // As a socket tells: of what is not read the end is not seen otherwise.
                if ended && server.hub.is_waiting(*number) {
                    server.hub.hung_up(*number);
                } else {
                    server.hub.ready(now, *number);
                }
            }
            while server.hub.settle(now) {}
            server.hub.wishes();
        }
        true
    }
}

impl Transport for Mem {
    fn connect(&self, address: &str, _timeout: Duration) -> Result<Box<dyn Link>> {
        if !self.servers.lock().contains_key(address) {
            let message = format!("connecting to {address}: nobody listens there");
            return Err(
                NetError::before(Der::Unreach, message).hint("check that the server runs and is reached")
            );
        }
        let mut world = self.world.lock();
        let connection = world.connections;
        world.connections += 1;
        let (read, write, now) = (connection * 2 + 1, connection * 2, world.now);
        world.pipes.insert(read, Pipe::default());
        world.pipes.insert(write, Pipe::default());
        world.servers.insert(connection, address.to_owned());
        world.later(now, write, Event::Accept);
        Ok(Box::new(MemLink { net: self.clone(), read, write }))
    }

    fn listen(
        &self,
        address: &str,
        me: Identity,
        limits: Limits,
        service: Box<dyn Service>,
    ) -> Result<Box<dyn Listening>> {
        let mut servers = self.servers.lock();
        if servers.contains_key(address) {
            return Err(NetError::before(
                Der::Busy,
                format!("listening at {address}: somebody does already"),
            ));
        }
        // Who waits steps: there is nobody to be woken.
        let hub = Hub::new(me, limits, service, Replies::new(|| {}));
        servers.insert(address.to_owned(), Server { hub, numbers: BTreeMap::new() });
        Ok(Box::new(Served { net: self.clone(), address: address.to_owned() }))
    }

    fn now(&self) -> Moment {
        self.world.lock().now
    }
}

#[derive(Debug)]
struct Served {
    net: Mem,
    address: String,
}

impl Listening for Served {
    fn address(&self) -> String {
        self.address.clone()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let server = self.net.servers.lock().remove(&self.address);
        let now = self.net.now();
        if let Some(mut server) = server {
            server.hub.end(now);
        }
    }
}

#[derive(Debug)]
struct MemLink {
    net: Mem,
    read: u64,
    write: u64,
}

impl MemLink {
    fn is_ready(&self, readable: bool, writable: bool) -> bool {
        let world = self.net.world.lock();
        let has = |number| world.pipes.get(number);
        let may_read = has(&self.read).is_none_or(|pipe| !pipe.there.is_empty() || pipe.end != End::Open);
        let may_write = has(&self.write)
            .is_none_or(|pipe| pipe.coming + pipe.there.len() < CAPACITY || pipe.end != End::Open);
        readable && may_read || writable && may_write
    }
}

impl Link for MemLink {
    fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        let mut world = self.net.world.lock();
        let now = world.now;
        let Some(pipe) = world.pipes.get_mut(&self.read) else { return Ok(0) };
        if pipe.there.is_empty() {
            return match pipe.end {
                End::Open => Err(io::ErrorKind::WouldBlock.into()),
                End::Ended => Ok(0),
                End::Reset => Err(io::ErrorKind::ConnectionReset.into()),
            };
        }
        let len = into.len().min(pipe.there.len());
        for (place, byte) in into.iter_mut().zip(pipe.there.drain(..len)) {
            *place = byte;
        }
        if std::mem::take(&mut pipe.blocked) {
            world.later(now, self.read, Event::Room);
        }
        Ok(len)
    }

    fn write(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut world = self.net.world.lock();
        let Some(pipe) = world.pipes.get_mut(&self.write) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        // Broken, ended here, or closed by who would read it.
        if pipe.end != End::Open || pipe.ending {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let room = CAPACITY.saturating_sub(pipe.coming + pipe.there.len());
        if room == 0 {
            pipe.blocked = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut bytes = Vec::new();
        for part in parts {
            let len = part.len().min(room - bytes.len());
            bytes.extend_from_slice(part.get(..len).unwrap_or_default());
        }
        let len = bytes.len();
        world.write(self.write, bytes);
        Ok(len)
    }

    fn wait(&self, readable: bool, writable: bool, until: Moment) -> io::Result<()> {
        while !self.is_ready(readable, writable) && self.net.step(until) {}
        Ok(())
    }

    fn now(&self) -> Moment {
        self.net.world.lock().now
    }

    fn finish(&self) {
        let mut world = self.net.world.lock();
        if let Some(pipe) = world.pipes.get_mut(&self.write)
            && !std::mem::replace(&mut pipe.ending, true)
        {
            world.send(self.write, Part::End);
        }
    }

    fn close(&self) {
        self.finish();
        if let Some(pipe) = self.net.world.lock().pipes.get_mut(&self.read) {
            pipe.end = pipe.end.max(End::Ended);
            pipe.there.clear();
        }
    }
}
