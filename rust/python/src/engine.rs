//! `Engine`: a system in this process that clients reach over the network.

use crate::embedded::durability_of;
use crate::errors::OrRaise;
use daos_client::{Error, Result, SystemService};
use daos_embed::{Options, System};
use daos_host::{Host, HostOptions};
use daos_net::Limits;
use daos_net::tcp::Tcp;
use daos_types::{Der, Rank};
use pyo3::prelude::*;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// A system and its endpoints: one for control, one for each target, each with a thread.
#[pyclass(frozen, module = "daos._core")]
pub(crate) struct Engine {
    system: Arc<System>,
    host: Mutex<Option<Host>>,
    #[pyo3(get)]
    address: String,
}

#[pymethods]
impl Engine {
    /// Opens a system, or makes it, and serves it.
    #[staticmethod]
    #[expect(clippy::too_many_arguments, reason = "keywords of a call from Python")]
    #[pyo3(signature = (path, *, create, targets, durability, listen, system, rank, incarnation))]
    fn start(
        py: Python<'_>,
        path: &str,
        create: bool,
        targets: u32,
        durability: u8,
        listen: &str,
        system: &str,
        rank: u32,
        incarnation: u64,
    ) -> PyResult<Self> {
        let options =
            Options { create, targets, durability: durability_of(durability)?, ..Options::default() };
        let at: SocketAddr = listen
            .parse()
            .map_err(|_| {
                Error::new(Der::Inval, format!("'{listen}' is no address"))
                    .hint("write ip:port, as 127.0.0.1:10001; port 0 is any")
            })
            .or_raise(py)?;
        let start = || -> Result<Self> {
            let served = match path {
                ":memory:" => System::in_memory(&options)?,
                path => System::open(Path::new(path), &options)?,
            };
            let (system, rank) = (system.to_owned(), Rank(rank));
            let options = HostOptions { system, rank, incarnation, limits: Limits::default() };
            let service: Arc<dyn SystemService> = Arc::<System>::clone(&served);
            let host = Host::new(service, options);
            let tcp = Tcp::default();
            let address = host.listen(&tcp, listen)?;
            host.listen_targets(&tcp, |index| target_address(at.ip(), at.port(), index))?;
            Ok(Self { system: served, host: Mutex::new(Some(host)), address })
        };
        py.detach(start).or_raise(py)
    }

    /// Ends the endpoints and closes the system; closing again is no error.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| {
            let host = self.host.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
            drop(host);
            self.system.close()
        })
        .or_raise(py)
    }
}

/// Targets follow the control endpoint, port by port; where that has any port, so have they.
fn target_address(ip: IpAddr, port: u16, index: u32) -> String {
    let next = match port {
        0 => 0,
        port => port.saturating_add(1).saturating_add(u16::try_from(index).unwrap_or(u16::MAX)),
    };
    SocketAddr::new(ip, next).to_string()
}
