//! What the native module says of itself.

use daos_types::Der;
use pyo3::prelude::*;

/// What this build is: version, target, profile.
#[pyfunction]
pub(crate) fn build_info() -> Vec<(&'static str, String)> {
    vec![
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("target", format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)),
        ("debug", cfg!(debug_assertions).to_string()),
    ]
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
