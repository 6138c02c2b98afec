//! A way between processes.

use crate::Moment;
use crate::backoff::Backoff;
use crate::call::{Call, Receive};
use crate::channel::Channel;
use crate::error::{NetError, Outcome, Result};
use crate::frame::{Hello, Welcome};
use crate::limits::Limits;
use crate::link::Link;
use crate::near::{self, Patience};
use crate::service::Service;
use crate::serving::Identity;
use crate::socket::Maker;
use daos_locks::{Condvar, Mutex};
use daos_types::Der;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

/// A provider: something that carries connections.
pub trait Transport: Debug + Send + Sync {
    /// A connection to an address, in this time. What is not reachable is `Unreach`, or `Timedout`.
    fn connect(&self, address: &str, timeout: Duration) -> Result<Box<dyn Link>>;

    /// Serves at an address until the answer is dropped.
    fn listen(
        &self,
        address: &str,
        me: Identity,
        limits: Limits,
        service: Box<dyn Service>,
    ) -> Result<Box<dyn Listening>>;

    /// The time by which it counts.
    fn now(&self) -> Moment;
}

/// A server that runs. Dropping it says goodbye to its clients and ends it.
pub trait Listening: Debug + Send {
    /// Where it is to be found.
    fn address(&self) -> String;
}

/// Who waits for another's opening looks again after so long, whatever happens.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// A server as a client knows it: opens a connection when it is needed, and another when that is over.
#[derive(Debug)]
pub struct Endpoint {
    transport: Arc<dyn Transport>,
    address: String,
    limits: Limits,
    hello: Hello,
    maker: Maker,
    near: Option<Near>,
    state: Mutex<State>,
    opened: Condvar,
}

/// A nearer way to the same server, for who runs beside it.
#[derive(Debug)]
struct Near {
    transport: Arc<dyn Transport>,
    target: u32,
}

#[derive(Debug)]
struct State {
    channel: Option<Arc<Channel>>,
    /// The connection goes the nearer way.
    is_near: bool,
    patience: Patience,
    backoff: Backoff,
    /// Somebody opens a connection.
    opening: bool,
    chance: u64,
}

impl Endpoint {
    /// A server at an address; nothing is opened yet. `chance` spreads the attempts of clients: any number, another for each.
    pub fn new(
        transport: Arc<dyn Transport>,
        address: &str,
        limits: Limits,
        hello: Hello,
        chance: u64,
    ) -> Self {
        let state = State {
            channel: None,
            is_near: false,
            patience: Patience::default(),
            backoff: Backoff::default(),
            opening: false,
            chance,
        };
        Self {
            transport,
            address: address.to_owned(),
            limits,
            hello,
            maker: Maker::here(),
            near: None,
            state: Mutex::new(state),
            opened: Condvar::new(),
        }
    }

    /// The same, whose target of this number may be served nearby, too: each time that a connection is made it is looked there
    /// whether the very process is there that was reached, and where it is its calls go that way.
    #[must_use]
    pub fn or_near(self, transport: Arc<dyn Transport>, target: u32) -> Self {
        Self { near: Some(Near { transport, target }), ..self }
    }

    /// Whether its connection goes the nearer way; nothing where it has none.
    pub fn is_near(&self) -> Option<bool> {
        let state = self.state.lock();
        let open = state.channel.as_ref().filter(|channel| !channel.is_over());
        open.map(|_| state.is_near)
    }

    /// Sends a request and waits for its reply. A request that met a connection's end before it was sent goes over a new one.
    ///
    /// After a failure to connect nothing is tried for a while: until then calls fail at once, with the time after which to try again.
    pub fn call(&self, call: &Call<'_>, into: &mut dyn Receive) -> Result<()> {
        let deadline = self.transport.now().after(call.timeout);
        let left = || deadline.since(self.transport.now());
        let channel = self.channel(left())?;
        let result = channel.call(&Call { timeout: left(), ..*call }, into);
        match result {
            Err(error) if error.outcome == Outcome::Nothing && channel.is_over() => {
                self.channel(left())?.call(&Call { timeout: left(), ..*call }, into)
            }
            result => result,
        }
    }

    /// The connection, opened if need be.
    pub fn channel(&self, timeout: Duration) -> Result<Arc<Channel>> {
        if !self.maker.is_here() {
            // Before any lock: nobody may be there to let go of it.
            let message =
                format!("the connection to {} belongs to the process that forked this one", self.address);
            return Err(NetError::before(Der::NoHdl, message).hint("connect again in this process"));
        }
        let deadline = self.transport.now().after(timeout);
        let mut state = self.state.lock();
        loop {
            if let Some(channel) = state.channel.clone().filter(|channel| !channel.is_over()) {
                if state.opening || !self.may_look_near(&state) {
                    return Ok(channel);
                }
                // Others go on meanwhile, on the connection that there is.
                state.opening = true;
                drop(state);
                let nearer = self.open_near(&channel, timeout);
                return Ok(self.take(channel, nearer));
            }
            if !state.opening {
                break;
            }
            if self.transport.now() >= deadline {
                let message = format!("{}: no connection in the time that was given", self.address);
                return Err(NetError::before(Der::Timedout, message));
            }
            state = self.opened.wait_for(state, LOOK_AGAIN).0;
        }
        state.channel = None;
        if std::mem::take(&mut state.is_near) {
            // Whatever ended it: the other way first, and this one again in a while.
            state.patience.failed(self.transport.now());
        }
        let looks_near = self.may_look_near(&state);
        let wait = state.backoff.until().since(self.transport.now());
        if !wait.is_zero() {
            let retry_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX).max(1);
            let message = format!("{} was not reached a moment ago", self.address);
            return Err(NetError {
                retry_ms,
                ..NetError::before(Der::Unreach, message).hint("try again in a moment")
            });
        }
        state.opening = true;
        drop(state);
        match self.open(timeout) {
            Ok(channel) => {
                let left = deadline.since(self.transport.now());
                let nearer = if looks_near { self.open_near(&channel, left) } else { None };
                Ok(self.take(channel, nearer))
            }
            Err(error) => {
                let mut state = self.state.lock();
                state.opening = false;
                self.opened.notify_all();
                let (now, chance) = (self.transport.now(), state.chance);
                state.chance = chance.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1);
                state.backoff.failed(now, error.retry_ms, chance >> 32);
                Err(error)
            }
        }
    }

    fn may_look_near(&self, state: &State) -> bool {
        self.near.is_some() && !state.is_near && state.patience.is_over(self.transport.now())
    }

    /// Has calls go over a connection from now on, or over a nearer one where there is one.
    fn take(&self, channel: Arc<Channel>, nearer: Option<Arc<Channel>>) -> Arc<Channel> {
        let mut state = self.state.lock();
        state.opening = false;
        state.backoff.worked();
        state.is_near = nearer.is_some();
        if state.is_near {
            state.patience.worked();
        } else if self.may_look_near(&state) {
            state.patience.failed(self.transport.now());
        }
        // The other one ends once nobody uses it any more.
        let taken = nearer.unwrap_or(channel);
        state.channel = Some(taken.clone());
        self.opened.notify_all();
        taken
    }

    /// A connection the nearer way, to the very process that is at the other end of one that there is. That there is none is no
    /// error.
    fn open_near(&self, far: &Channel, timeout: Duration) -> Option<Arc<Channel>> {
        let near = self.near.as_ref()?;
        let Welcome { rank, incarnation, .. } = far.welcome()?;
        let address = near::address(&self.hello.system, rank, incarnation, near.target);
        let deadline = near.transport.now().after(timeout.min(near::WAIT_MAX));
        let left = || deadline.since(near.transport.now());
        let link = near.transport.connect(&address, left()).ok()?;
        let hello = Hello { rank: Some(rank), incarnation, ..self.hello.clone() };
        let channel = Channel::open(link, self.limits, &hello, left()).ok()?;
        let welcome = channel.welcome()?;
        (welcome.rank == rank && welcome.incarnation == incarnation).then(|| Arc::new(channel))
    }

    fn open(&self, timeout: Duration) -> Result<Arc<Channel>> {
        let deadline = self.transport.now().after(timeout);
        let told =
            |error: NetError| NetError { message: format!("{}: {}", self.address, error.message), ..error };
        let link = self.transport.connect(&self.address, timeout).map_err(told)?;
        let left = deadline.since(self.transport.now());
        Channel::open(link, self.limits, &self.hello, left).map(Arc::new).map_err(told)
    }
}
