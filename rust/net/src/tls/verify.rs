//! Whose certificate is taken: one that the system's CA signed, that is valid now, of a role that is expected. Not the host's name
//! counts but the role: any server of a system is as good as another, and which rank it is, its welcome says.

use super::fault::Fault;
use super::name::Names;
use crate::peer::{Role, Subject};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, RootCertStore,
    SignatureScheme,
};
use std::sync::Arc;

/// The names of a certificate that was checked, which has one of these roles.
pub(super) fn subject_of(certificate: &[u8], expected: &[Role]) -> Result<Subject, Error> {
    let names = Names::of(certificate).ok_or(CertificateError::BadEncoding)?;
    let (name, subject) = match names.subject() {
        Ok(subject) if expected.contains(&subject.role) => return Ok(subject),
        Ok(subject) => (subject.role.name().to_owned(), expected),
        Err(name) => (name, expected),
    };
    let fault = Fault::Role { name, expected: subject.to_vec() };
    Err(CertificateError::Other(OtherError(Arc::new(fault))).into())
}

fn no_tls12() -> Error {
    Error::General("TLS 1.3 is the only version".to_owned())
}

/// What a client asks of a server's certificate.
#[derive(Debug)]
pub(super) struct ServerCheck {
    pub(super) roots: RootCertStore,
    pub(super) expected: Vec<Role>,
    pub(super) provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for ServerCheck {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let algorithms = self.provider.signature_verification_algorithms.all;
        let certificate = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.roots, intermediates, now, algorithms)?;
        subject_of(end_entity, &self.expected).map(|_| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What a server asks of a client's certificate: that it is of a role; what that role may do, its service knows.
#[derive(Debug)]
pub(super) struct ClientCheck {
    pub(super) chain: Arc<dyn ClientCertVerifier>,
}

impl ClientCertVerifier for ClientCheck {
    fn offer_client_auth(&self) -> bool {
        self.chain.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.chain.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain.verify_client_cert(end_entity, intermediates, now)?;
        subject_of(end_entity, &Role::ALL).map(|_| verified)
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
