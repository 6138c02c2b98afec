//! What the native module says of itself, and what is said to all of it.

use daos_client::end_calls_by;
use daos_types::Der;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::time::{Duration, Instant};

/// What this build is: version, target, profile.
#[pyfunction]
pub(crate) fn build_info() -> Vec<(&'static str, String)> {
    vec![
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("target", format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)),
        ("debug", cfg!(debug_assertions).to_string()),
    ]
}

/// What this thread asks of running systems from now on has ended after so many seconds; `None`: each call in its own time again.
#[pyfunction]
pub(crate) fn calls_within(seconds: Option<f64>) -> PyResult<()> {
    let end = match seconds {
        None => None,
        Some(seconds) => {
            let time = Duration::try_from_secs_f64(seconds)
                .map_err(|_| PyValueError::new_err("a time is a number of seconds, 0 or more"))?;
            Instant::now().checked_add(time)
        }
    };
    end_calls_by(end);
    Ok(())
}

/// Every error code: number, name, text.
#[pyfunction]
pub(crate) fn der_table() -> Vec<(u32, &'static str, &'static str)> {
    Der::ALL.iter().map(|der| (der.number(), der.name(), der.text())).collect()
}

/// The CRC-32C of a bytes-like object, continued from `crc`.
#[pyfunction]
#[pyo3(signature = (data, crc = 0))]
pub(crate) fn crc32c(py: Python<'_>, data: &[u8], crc: u32) -> u32 {
    py.detach(|| daos_codec::crc32c_append(crc, data))
}
