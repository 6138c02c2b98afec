//! Providers with certificates, as Python names them: paths of files.

use daos_client::{Error, Result};
use daos_net::tcp::Tcp;
use daos_net::{ClientAuth, NetError, Role, Tls, TlsFiles, Transport};
use std::path::PathBuf;
use std::sync::Arc;

/// Paths of the CA's certificate, of one's own, and of its key.
pub(crate) type Paths = (PathBuf, PathBuf, PathBuf);

fn told(error: NetError) -> Error {
    Error::new(error.der, error.message).hint(error.hint)
}

/// What servers and engines use: both ends with their certificate. Clients without one are let in, and prove who they are otherwise.
pub(crate) fn of_server(tls: Option<&Paths>) -> Result<Arc<dyn Transport>> {
    let Some((ca, cert, key)) = tls else { return Ok(Arc::new(Tcp::default())) };
    let files = TlsFiles { ca: ca.clone(), cert: cert.clone(), key: key.clone() };
    let server = Tls::server(files.clone(), ClientAuth::Optional).map_err(told)?;
    let client = Tls::client(files, &[Role::Server]).map_err(told)?;
    Ok(Arc::new(Tcp::default().with_tls(Arc::new(server)).with_tls(Arc::new(client))))
}

/// What users' programs use: they trust servers of a CA.
pub(crate) fn of_client(ca: Option<PathBuf>) -> Result<Arc<dyn Transport>> {
    let Some(ca) = ca else { return Ok(Arc::new(Tcp::default())) };
    Ok(Arc::new(Tcp::default().with_tls(Arc::new(Tls::anonymous(ca).map_err(told)?))))
}
