//! Certificates and keys as they lie in files.

use crate::error::{NetError, Result};
use daos_types::Der;
use rustix::fs::{Mode, OFlags};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Bytes of a file of certificates: a chain has some thousands.
const FILE_LEN_MAX: u64 = 1 << 20;
/// What others may do with a file that holds a key: nothing but this, the one or the other.
const KEY_MODES: [u32; 2] = [0o600, 0o440];

/// Where an end's certificates are, as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificates of the CA, one or several: while a CA is replaced, both.
    pub ca: PathBuf,
    /// This end's certificate, and behind it those between it and the CA, if any.
    pub cert: PathBuf,
    /// The key of that certificate. Nobody but its owner may read it, or its group if that may not write.
    pub key: PathBuf,
}

/// By what it is seen that a file is another.
pub(super) type Stamp = Option<(u64, u64, u64, i64, i64, i64, i64)>;

/// The stamp of a file; none where there is none.
pub(super) fn stamp(path: &Path) -> Stamp {
    let of = std::fs::metadata(path).ok()?;
    Some((of.dev(), of.ino(), of.size(), of.mtime(), of.mtime_nsec(), of.ctime(), of.ctime_nsec()))
}

fn failed(what: &str, path: &Path, error: &io::Error) -> NetError {
    let message = format!("{what} {}: {error}", path.display());
    NetError::before(Der::NoCert, message).hint("name files that are there and may be read")
}

fn wrong(path: &Path, what: &str) -> NetError {
    let message = format!("{}: {what}", path.display());
    NetError::before(Der::BadCert, message).hint("name a file in the form of PEM")
}

/// The bytes of a file, and its mode: those of one and the same file, also while another takes its name.
fn read(what: &str, path: &Path) -> Result<(Vec<u8>, u32)> {
    let try_read = || {
        // Not blocking: a pipe under that name would keep the server's thread.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        let of = file.metadata()?;
        if !of.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
        }
        let mut bytes = Vec::new();
        file.take(FILE_LEN_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > FILE_LEN_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too large for certificates"));
        }
        Ok((bytes, of.mode() & 0o7777))
    };
    try_read().map_err(|error| failed(what, path, &error))
}

fn certificates(what: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let (bytes, _) = read(what, path)?;
    let all: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err(wrong(path, "no certificate is in it, or one that does not decode")),
    }
}

/// The CAs that are trusted.
pub(super) fn roots(path: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("reading the CA's certificate", path)? {
        let added = roots.add(certificate);
        added.map_err(|error| wrong(path, &format!("a certificate is none of a CA: {error}")))?;
    }
    Ok(roots)
}

/// An end's own certificate with its key.
pub(super) fn identity(
    cert: &Path,
    key: &Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let chain = certificates("reading the certificate", cert)?;
    let (bytes, mode) = read("reading the key", key)?;
    if KEY_MODES.iter().all(|allowed| mode & !allowed != 0) {
        let message = format!("the key {} has mode {mode:04o}: others may read it", key.display());
        let error = NetError::before(Der::BadCert, message);
        return Err(error.hint(format!("chmod 0400 {}, or 0440 for a group", key.display())));
    }
    let key_der = PrivateKeyDer::from_pem_slice(&bytes);
    let key = key_der.map_err(|_| wrong(key, "no key is in it, or one that is encrypted"))?;
    Ok((chain, key))
}
