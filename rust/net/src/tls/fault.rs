//! Why a connection under TLS cannot be, or ended.

use crate::error::NetError;
use crate::peer::Role;
use daos_types::Der;
use rustls::{AlertDescription, CertificateError, Error};
use std::fmt;
use std::io;

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The other end's certificate.
    Certificate { theirs: &'static str, why: String, hint: &'static str },
    /// Its role is another than expected.
    Role { name: String, expected: Vec<Role> },
    /// It does not take ours.
    Refused { der: Der, why: String, hint: &'static str },
    /// It does not speak TLS.
    NoTls { what: &'static str },
    /// It is a client of ours that was given no certificates.
    PlainClient,
    /// It ended the connection before that was agreed on.
    Ended,
    /// The connection was cut: what came last may not be all there was.
    Cut,
    /// What came is not what was sent, or not when it was.
    Broken { why: String },
}

const NEW_CERTIFICATE: &str = "have a new certificate made by the system's CA";

impl Fault {
    /// What rustls says, of a server's connection or a client's, while it is agreed on or later.
    pub(super) fn of(error: &Error, is_server: bool, is_handshaking: bool) -> Self {
        let theirs = if is_server { "client" } else { "server" };
        match error {
            Error::InvalidCertificate(certificate) => of_certificate(certificate, theirs),
            Error::NoCertificatesPresented => Self::Certificate {
                theirs,
                why: "is missing".to_owned(),
                hint: "this server lets in nobody without a certificate",
            },
            Error::AlertReceived(alert) => of_alert(*alert, theirs),
            Error::InvalidMessage(_) if is_handshaking => Self::NoTls { what: theirs },
            Error::PeerIncompatible(_) => {
                Self::Refused { der: Der::Proto, why: "it does not know TLS 1.3".to_owned(), hint: "" }
            }
            other => Self::Broken { why: other.to_string() },
        }
    }

    fn der(&self) -> Der {
        match self {
            Self::Certificate { .. } => Der::BadCert,
            Self::Role { .. } => Der::NoPerm,
            Self::Refused { der, .. } => *der,
            Self::NoTls { .. } | Self::PlainClient => Der::Proto,
            Self::Ended | Self::Cut => Der::Unreach,
            Self::Broken { .. } => Der::Csum,
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Certificate { hint, .. } | Self::Refused { hint, .. } => hint,
            Self::Role { .. } => "check the address, and which certificate was given to what runs there",
            Self::NoTls { .. } | Self::PlainClient => {
                "check address and port, and that both ends are configured with or without certificates"
            }
            Self::Ended => "it may be one without certificates, or have stopped: see its log",
            Self::Cut => "check that the server runs and is reached",
            Self::Broken { .. } => "something on the way changed it: the connection was ended",
        }
    }

    /// As a caller is told, where an error of a link is one of these.
    pub(crate) fn told(error: &io::Error) -> Option<NetError> {
        let fault = error.get_ref()?.downcast_ref::<Self>()?;
        Some(NetError::before(fault.der(), fault.to_string()).hint(fault.hint()))
    }
}

fn of_certificate(error: &CertificateError, theirs: &'static str) -> Fault {
    let of = |why: &str, hint| Fault::Certificate { theirs, why: why.to_owned(), hint };
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            of("has expired", NEW_CERTIFICATE)
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            of("is not valid yet", "check the clocks of both hosts")
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => of(
            "was not signed by the CA that is trusted here",
            "both ends need certificates of one system's CA",
        ),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            of("is not made for this", NEW_CERTIFICATE)
        }
        CertificateError::Other(other) => match other.0.downcast_ref::<Fault>() {
            Some(fault) => fault.clone(),
            None => of(&format!("is wrong: {error}"), NEW_CERTIFICATE),
        },
        other => of(&format!("is wrong: {other}"), NEW_CERTIFICATE),
    }
}

fn of_alert(alert: AlertDescription, theirs: &'static str) -> Fault {
    let refused = |der, why: &str, hint| Fault::Refused { der, why: why.to_owned(), hint };
    match alert {
        AlertDescription::CertificateExpired => {
            refused(Der::BadCert, "this end's certificate has expired or is not valid yet", NEW_CERTIFICATE)
        }
        AlertDescription::UnknownCA | AlertDescription::DecryptError => refused(
            Der::BadCert,
            "this end's certificate was not signed by the CA that is trusted there",
            "both ends need certificates of one system's CA",
        ),
        AlertDescription::CertificateRequired => refused(
            Der::NoCert,
            "it lets in nobody without a certificate",
            "configure a certificate, or use an address that is for clients",
        ),
        AlertDescription::AccessDenied | AlertDescription::CertificateUnknown => refused(
            Der::NoPerm,
            "this end's certificate is of no role that is let in there",
            "its common name has to be server, agent or admin",
        ),
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked => {
            refused(Der::BadCert, "this end's certificate is not taken there", NEW_CERTIFICATE)
        }
        AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure => {
            refused(Der::Proto, "it does not know TLS 1.3", "")
        }
        AlertDescription::BadRecordMac => Fault::Broken { why: "it was told so".to_owned() },
        other => refused(
            Der::Proto,
            &format!("it ended the connection: {other:?}"),
            if theirs == "server" { "see its log" } else { "" },
        ),
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate { theirs, why, .. } => write!(f, "the {theirs}'s certificate {why}"),
            Self::Role { name, expected } => {
                let expected: Vec<_> = expected.iter().map(|role| role.name()).collect();
                write!(f, "the peer's certificate is of '{name}', expected is {}", expected.join(" or "))
            }
            Self::Refused { why, .. } => write!(f, "the peer refused the connection: {why}"),
            Self::NoTls { what } => write!(f, "the {what} does not speak TLS"),
            Self::PlainClient => f.write_str("the client does not speak TLS"),
            Self::Ended => f.write_str("the server ended the connection before TLS was agreed on"),
            Self::Cut => f.write_str("the connection was cut"),
            Self::Broken { why } => write!(f, "what came is not what was sent: {why}"),
        }
    }
}

impl std::error::Error for Fault {}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        let kind = match &fault {
            Fault::Cut | Fault::Ended => io::ErrorKind::UnexpectedEof,
            Fault::Role { .. } | Fault::Certificate { .. } | Fault::Refused { .. } => {
                io::ErrorKind::PermissionDenied
            }
            Fault::NoTls { .. } | Fault::PlainClient | Fault::Broken { .. } => io::ErrorKind::InvalidData,
        };
        Self::new(kind, fault)
    }
}
