//! TLS 1.3 between the providers' bytes and the frames: both ends with certificates of one CA, or the client without.
//!
//! A [`Tls`] is what an end is configured with; a provider makes each of its connections a link over a link with it. See
//! `docs/internals/network.md` and `docs/adr/0012-tls-is-a-link-over-a-link.md`.

mod fault;
mod files;
mod link;
mod name;
mod verify;

pub(crate) use fault::Fault;
pub use files::TlsFiles;

use crate::error::{NetError, Result};
use crate::link::Link;
use crate::peer::Role;
use crate::socket::Maker;
use daos_locks::Mutex;
use daos_types::Der;
use files::{Stamp, stamp};
use link::TlsLink;
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::ServerName;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use verify::{ClientCheck, ServerCheck};

/// So often it is looked whether the files are others, where connections are made.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Whether a server lets in clients without a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// Nobody comes in without one.
    Required,
    /// Who has one shows it, and it must be right; who has none is anonymous.
    Optional,
}

/// What one end needs for TLS: its certificates, and whom it trusts. Files that were replaced count from the next connection on.
pub struct Tls {
    end: End,
    maker: Maker,
    current: Mutex<Current>,
}

/// Which end it is, and what it asks of the other.
#[derive(Debug)]
enum End {
    Client { ca: PathBuf, own: Option<(PathBuf, PathBuf)>, expected: Vec<Role> },
    Server { files: TlsFiles, clients: ClientAuth },
}

#[derive(Clone)]
enum Made {
    Client(Arc<ClientConfig>),
    Server(Arc<ServerConfig>),
}

struct Current {
    made: Made,
    stamps: Vec<Stamp>,
    looked: Instant,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What was made of the files has the key in it.
        f.debug_struct("Tls").field("end", &self.end).finish_non_exhaustive()
    }
}

impl Tls {
    /// A client with a certificate. It takes servers whose certificate is of one of these roles.
    pub fn client(files: TlsFiles, expect: &[Role]) -> Result<Self> {
        let TlsFiles { ca, cert, key } = files;
        Self::new(End::Client { ca, own: Some((cert, key)), expected: expect.to_vec() })
    }

    /// A client without a certificate, as users' programs are. It takes servers, by a certificate of this CA with their role: one
    /// of an agent, of which each host has one, must not do for a server.
    pub fn anonymous(ca: impl Into<PathBuf>) -> Result<Self> {
        Self::new(End::Client { ca: ca.into(), own: None, expected: vec![Role::Server] })
    }

    /// A server.
    pub fn server(files: TlsFiles, clients: ClientAuth) -> Result<Self> {
        Self::new(End::Server { files, clients })
    }

    fn new(end: End) -> Result<Self> {
        let stamps = end.stamps();
        let current = Current { made: end.load()?, stamps, looked: Instant::now() };
        Ok(Self { end, maker: Maker::here(), current: Mutex::new(current) })
    }

    /// Whether it is a server's.
    pub(crate) fn is_server(&self) -> bool {
        matches!(self.end, End::Server { .. })
    }

    /// What the files say now, or said a moment ago. Files that are wrong, as while they are being replaced, change nothing: what
    /// was there before goes on to count, and they are looked at again.
    fn made(&self) -> Result<Made> {
        if !self.maker.is_here() {
            // A child that was forked: whoever held the lock is not there to let go of it.
            return self.end.load();
        }
        let mut current = self.current.lock();
        if current.looked.elapsed() >= LOOK_AGAIN {
            current.looked = Instant::now();
            // Before they are read: what changes meanwhile is seen next time.
            let stamps = self.end.stamps();
            if stamps != current.stamps
                && let Ok(made) = self.end.load()
            {
                (current.made, current.stamps) = (made, stamps);
            }
        }
        Ok(current.made.clone())
    }

    /// A client's connection over one to this address.
    pub(crate) fn connect(&self, link: Box<dyn Link>) -> Result<Box<dyn Link>> {
        // Names are not looked at, but one has to be given. An address is not sent.
        let nobody = ServerName::IpAddress(IpAddr::V4(Ipv4Addr::UNSPECIFIED).into());
        let Made::Client(config) = self.made()? else { return Err(wrong_end("a server's", "connect")) };
        let connection = ClientConnection::new(config, nobody).map_err(|error| unusable(&error))?;
        Ok(Box::new(TlsLink::new(link, connection.into())))
    }

    /// A server's connection over one that came.
    pub(crate) fn accept(&self, link: Box<dyn Link>) -> Result<Box<dyn Link>> {
        let Made::Server(config) = self.made()? else { return Err(wrong_end("a client's", "serve")) };
        let connection = ServerConnection::new(config).map_err(|error| unusable(&error))?;
        Ok(Box::new(TlsLink::new(link, connection.into())))
    }
}

fn wrong_end(whose: &str, what: &str) -> NetError {
    NetError::before(Der::Inval, format!("these are {whose} certificates: one cannot {what} with them"))
}

fn unusable(error: &rustls::Error) -> NetError {
    NetError::before(Der::BadCert, format!("these certificates cannot be used: {error}"))
        .hint("certificate and key must belong together")
}

impl End {
    fn paths(&self) -> Vec<&Path> {
        match self {
            Self::Client { ca, own: None, .. } => vec![ca],
            Self::Client { ca, own: Some((cert, key)), .. }
            | Self::Server { files: TlsFiles { ca, cert, key }, .. } => vec![ca, cert, key],
        }
    }

    fn stamps(&self) -> Vec<Stamp> {
        self.paths().into_iter().map(stamp).collect()
    }

    fn load(&self) -> Result<Made> {
        let provider = Arc::new(ring::default_provider());
        match self {
            Self::Client { ca, own, expected } => client(provider, ca, own.as_ref(), expected),
            Self::Server { files, clients } => server(provider, files, *clients),
        }
    }
}

fn client(
    provider: Arc<CryptoProvider>,
    ca: &Path,
    own: Option<&(PathBuf, PathBuf)>,
    expected: &[Role],
) -> Result<Made> {
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| unusable(&error))?;
    let check = ServerCheck { roots: files::roots(ca)?, expected: expected.to_vec(), provider };
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(check));
    let mut config = match own {
        Some((cert, key)) => {
            let (chain, key) = files::identity(cert, key)?;
            builder.with_client_auth_cert(chain, key).map_err(|error| unusable(&error))?
        }
        None => builder.with_no_client_auth(),
    };
    // Each connection shows and checks certificates: they are few and long, and who is resumed is not checked.
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(Made::Client(Arc::new(config)))
}

fn server(provider: Arc<CryptoProvider>, files: &TlsFiles, clients: ClientAuth) -> Result<Made> {
    let roots = Arc::new(files::roots(&files.ca)?);
    let chain = WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
    let chain = match clients {
        ClientAuth::Required => chain,
        ClientAuth::Optional => chain.allow_unauthenticated(),
    };
    let chain = chain.build().map_err(|error| {
        NetError::before(Der::BadCert, format!("{}: {error}", files.ca.display()))
            .hint("name the certificate of the system's CA")
    })?;
    let (own, key) = files::identity(&files.cert, &files.key)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| unusable(&error))?
        .with_client_cert_verifier(Arc::new(ClientCheck { chain }))
        .with_single_cert(own, key)
        .map_err(|error| unusable(&error))?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Made::Server(Arc::new(config)))
}
