//! A CA of the tests, and certificates that it signs.

use daos_net::tcp::Tcp;
use daos_net::{ClientAuth, Role, Tls, TlsFiles};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, date_time_ymd,
};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A directory that goes with its owner.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("daos-tls-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How a certificate is to differ from a good one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Odd {
    No,
    Expired,
    NotYet,
}

pub(crate) struct Ca {
    directory: Directory,
    issuer: CertifiedIssuer<'static, KeyPair>,
    next: AtomicU32,
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "A lab");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

pub(crate) fn write(path: &Path, text: &str, mode: u32) {
    // By another name first, as who rotates certificates does.
    let new = path.with_extension("new");
    let _ = fs::remove_file(&new);
    fs::write(&new, text).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(mode)).unwrap();
    fs::rename(&new, path).unwrap();
}

impl Ca {
    pub(crate) fn new() -> Self {
        let directory = Directory::new();
        let mut params = named("DAOS CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        write(&directory.0.join("ca.crt"), &issuer.pem(), 0o644);
        Self { directory, issuer, next: AtomicU32::new(0) }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.0.join("ca.crt")
    }

    /// A certificate of this common name.
    pub(crate) fn sign(&self, name: &str, odd: Odd) -> TlsFiles {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let file = |end: &str| self.directory.0.join(format!("{number}.{end}"));
        let files = TlsFiles { ca: self.path(), cert: file("crt"), key: file("key") };
        self.sign_to(&files, name, odd);
        files
    }

    /// The same, in place of what is there.
    pub(crate) fn sign_to(&self, files: &TlsFiles, name: &str, odd: Odd) {
        let mut params = named(name);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        match odd {
            Odd::No => {}
            Odd::Expired => {
                (params.not_before, params.not_after) =
                    (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
            }
            Odd::NotYet => {
                (params.not_before, params.not_after) =
                    (date_time_ymd(2090, 1, 1), date_time_ymd(2091, 1, 1));
            }
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        write(&files.key, &key.serialize_pem(), 0o400);
        write(&files.cert, &certificate.pem(), 0o644);
    }

    /// Both ends of a transport, with good certificates.
    pub(crate) fn tcp(&self) -> Tcp {
        let client = Tls::client(self.sign("agent", Odd::No), &[Role::Server]).unwrap();
        let server = Tls::server(self.sign("server", Odd::No), ClientAuth::Required).unwrap();
        Tcp::default().with_tls(Arc::new(client)).with_tls(Arc::new(server))
    }
}
