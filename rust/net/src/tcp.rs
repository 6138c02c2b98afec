//! The provider of TCP.

use crate::Moment;
use crate::error::{NetError, Result};
use crate::heard::Heard;
use crate::limits::{ASK_AFTER_MS, ASK_AGAIN_MS, CONNECT_MS, GONE_MS, Limits};
use crate::link::Link;
use crate::service::Service;
use crate::serving::Identity;
use crate::socket::{Clock, Listener, SocketLink, SocketServer, Stream};
use crate::tls::Tls;
use crate::transport::{Listening, Transport};
use daos_types::Der;
use rustix::net::sockopt;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

/// The provider of TCP. Addresses are `ip:port`; names are for who knows them.
#[derive(Debug, Clone, Default)]
pub struct Tcp {
    time: Clock,
    client: Option<Arc<Tls>>,
    server: Option<Arc<Tls>>,
}

impl Tcp {
    /// The same under TLS: of a client's certificates its connections, of a server's those that it serves. Who does both gives both.
    #[must_use]
    pub fn with_tls(mut self, tls: Arc<Tls>) -> Self {
        let end = if tls.is_server() { &mut self.server } else { &mut self.client };
        *end = Some(tls);
        self
    }

    /// What one end needs. Who has certificates for one end alone does not do without them at the other, by mistake.
    fn needed<'t>(&self, tls: Option<&'t Arc<Tls>>, what: &str) -> Result<Option<&'t Arc<Tls>>> {
        if tls.is_none() && (self.client.is_some() || self.server.is_some()) {
            let message = format!("there are certificates, but none to {what} with");
            return Err(NetError::before(Der::NoCert, message).hint("configure those of both ends"));
        }
        Ok(tls)
    }
}

fn parse(address: &str) -> Result<SocketAddr> {
    let wrong = |_| {
        NetError::before(Der::Inval, format!("'{address}' is no address"))
            .hint("write ip:port, as 127.0.0.1:10001")
    };
    address.parse().map_err(wrong)
}

fn ms(count: u32) -> Duration {
    Duration::from_millis(u64::from(count))
}

/// Has the kernel ask a peer that was silent for a while whether it is there, and end the connection where no answer comes.
fn ask_when_silent(stream: &TcpStream) -> io::Result<()> {
    sockopt::set_tcp_keepidle(stream, ms(ASK_AFTER_MS))?;
    sockopt::set_tcp_keepintvl(stream, ms(ASK_AGAIN_MS))?;
    sockopt::set_tcp_keepcnt(stream, (GONE_MS - ASK_AFTER_MS) / ASK_AGAIN_MS)?;
    Ok(sockopt::set_socket_keepalive(stream, true)?)
}

impl Transport for Tcp {
    fn connect(&self, address: &str, timeout: Duration) -> Result<Box<dyn Link>> {
        let to = parse(address)?;
        let tls = self.needed(self.client.as_ref(), "connect")?;
        let broken = |error: io::Error| {
            NetError::broken(&format!("connecting to {address}"), &error)
                .hint("check that the server runs and is reached")
        };
        // An empty time is refused by the system with a word about arguments; in a long one it would ask ever more seldom.
        let timeout = timeout.clamp(Duration::from_micros(1), ms(CONNECT_MS));
        let stream = TcpStream::connect_timeout(&to, timeout).map_err(broken)?;
        ask_when_silent(&stream).map_err(broken)?;
        let link = Box::new(SocketLink::new(Arc::new(stream), self.time).map_err(broken)?);
        match tls {
            Some(tls) => tls.connect(link),
            None => Ok(link),
        }
    }

    fn listen(
        &self,
        address: &str,
        me: Identity,
        limits: Limits,
        service: Box<dyn Service>,
    ) -> Result<Box<dyn Listening>> {
        let at = parse(address)?;
        let tls = self.needed(self.server.as_ref(), "serve")?;
        let broken = |error: io::Error| {
            let error = NetError::broken(&format!("listening at {address}"), &error);
            error.hint("use another port, or stop what listens there")
        };
        let listener = TcpListener::bind(at).map_err(broken)?;
        listener.set_nonblocking(true).map_err(broken)?;
        let address = listener.local_addr().map_err(broken)?.to_string();
        let server = SocketServer::new(self.time, vec![listener], me, limits, service).map_err(broken)?;
        server.with_tls(tls.cloned()).start(address)
    }

    fn now(&self) -> Moment {
        self.time.now()
    }
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    fn next(&self) -> io::Result<Option<TcpStream>> {
        self.accept().map(|(stream, _)| Some(stream))
    }
}

impl Stream for TcpStream {
    fn prepare(&self) -> io::Result<()> {
        self.set_nodelay(true)?;
        self.set_nonblocking(true)
    }

    fn read_some(&self, into: &mut [u8]) -> io::Result<usize> {
        (&*self).read(into)
    }

    fn write_some(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self).write_vectored(parts)
    }

    fn peer_processor(&self) -> Option<u32> {
        // What comes by loopback is handed over where it was sent; what comes by a wire, where its card interrupts. There is no more to know.
        sockopt::socket_incoming_cpu(self).ok()
    }

    fn check_peer(&self) -> io::Result<()> {
        match Heard::of(self) {
            Ok(heard) if heard.is_gone() => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("the other end is gone: no word from it for {} ms", heard.since_ms),
            )),
            // A socket whose end has come tells it when it is read.
            _ => Ok(()),
        }
    }

    fn end(&self, how: Shutdown) -> io::Result<()> {
        self.shutdown(how)
    }
}
