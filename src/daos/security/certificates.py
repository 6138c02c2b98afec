"""Certificates: the authority of a system, what it issues, and what a daemon loads.

A system has one authority (CA). Each part has a certificate whose common name is its role: `server`, `agent`, `admin`.
Names and files are those of DAOS's `gen_certificates.sh`; keys are ECDSA P-256, which TLS libraries and signers of
credentials all take.

Source: DAOS's public administration guide, on certificates.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from daos.errors import DER, AccessError, ExistsError, InvalidError
from daos.security._files import CERTIFICATE_MODE, KEY_MODE, read_file, read_key, write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

Role: TypeAlias = Literal["server", "agent", "admin"]
Address: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"

ROLES: tuple[Role, ...] = get_args(Role)
DAYS = 1095
"""How long a certificate is good; DAOS's."""
DAYS_MAX = 3650
WARN_DAYS = (30, 7, 1)
"""Days before its end at which one is warned of it."""
BACKDATE = timedelta(minutes=5)
"""A new certificate begins so much earlier, for hosts whose clocks are behind."""
NAMES_MAX = 100
"""Hosts and addresses of one certificate."""
HOST_LEN_MAX = 253

_ORGANISATION = "DAOS"
_CA_NAME = "DAOS CA"
_USES = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)


@dataclass(frozen=True)
class Identity:
    """A certificate that was looked at, its key, and the authorities it trusts.

    Attributes:
        role: Its common name.
        hosts: The hosts it is for.
        expires: Its end.
        certificate: The certificate.
        key: Its key.
        authorities: Certificates of the CA; two while it is renewed.
        certificate_pem: As in the file, for TLS.
        key_pem: The same; never to be logged.
        ca_pem: The same.
    """

    role: Role
    hosts: tuple[str, ...]
    expires: datetime
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    authorities: tuple[x509.Certificate, ...]
    certificate_pem: bytes
    key_pem: bytes
    ca_pem: bytes

    def __repr__(self) -> str:
        # Without the key.
        return f"Identity(role={self.role!r}, hosts={self.hosts!r}, expires={self.expires.isoformat()})"


@dataclass(frozen=True)
class Issued:
    """A new certificate and its key, as files hold them."""

    certificate: x509.Certificate
    certificate_pem: bytes
    key_pem: bytes


@dataclass(frozen=True)
class Authority:
    """A CA with its key: what issues certificates."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def make(cls, now: datetime, days: int = DAYS) -> Authority:
        """Return a new one."""
        return cls._signed(ec.generate_private_key(ec.SECP256R1()), now, days)

    def renewed(self, now: datetime, days: int = DAYS) -> Authority:
        """Return it with a later end and the same key: what it issued stays good."""
        return self._signed(self.key, now, days)

    def issue(
        self, role: Role, hosts: Sequence[str], addresses: Sequence[Address], now: datetime, days: int = DAYS
    ) -> Issued:
        """Return a new certificate; it ends with the authority's, if that is earlier.

        Args:
            role: Its common name.
            hosts: Names of the hosts it is for.
            addresses: Their addresses.
            now: When it begins.
            days: How long it is good.

        Raises:
            InvalidError: `DER.INVAL`: a name is none, there are none or too many, or the days are out of range.
            AccessError: `DER.BAD_CERT`: the authority has expired.
        """
        names = [*dict.fromkeys(check_host(host) for host in hosts)]
        if role != "admin" and not names and not addresses:
            raise InvalidError(f"a certificate of the role {role} is for a host", hint="name it: --host NAME")
        if len(names) + len(addresses) > NAMES_MAX:
            raise InvalidError(f"more than {NAMES_MAX} names", hint="give each host a certificate of its own")
        end = self.certificate.not_valid_after_utc
        if end <= now:
            raise _expired("the certificate of the CA", end)
        if role == "server" and "server" not in names:
            # A client of the control plane looks for the role in the place of the host's name, as DAOS does.
            names.append("server")
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _begun(role, key.public_key(), now, min(_end(now, days), end))
            .issuer_name(self.certificate.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(_USES), critical=False)
            .add_extension(_authority_id(self.key), critical=False)
        )
        if names or addresses:
            entries = [*map(x509.DNSName, names), *map(x509.IPAddress, addresses)]
            builder = builder.add_extension(x509.SubjectAlternativeName(entries), critical=False)
        certificate = builder.sign(self.key, hashes.SHA256())
        return Issued(certificate, _pem(certificate), _key_pem(key))

    @classmethod
    def _signed(cls, key: ec.EllipticCurvePrivateKey, now: datetime, days: int) -> Authority:
        builder = (
            _begun(_CA_NAME, key.public_key(), now, _end(now, days))
            .issuer_name(_name(_CA_NAME))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(ca=True), critical=True)
        )
        return cls(builder.sign(key, hashes.SHA256()), key)


@dataclass(frozen=True)
class Folder:
    """Where an authority and its certificates lie, as DAOS's script leaves them.

    Attributes:
        path: What holds `daosCA`.
    """

    path: Path

    @property
    def root(self) -> Path:
        """The folder of all."""
        return self.path / "daosCA"

    @property
    def certificates(self) -> Path:
        """What goes to `/etc/daos/certs`."""
        return self.root / "certs"

    @property
    def ca_certificate(self) -> Path:
        """The certificate of the CA."""
        return self.certificates / "daosCA.crt"

    @property
    def ca_key(self) -> Path:
        """The key of the CA."""
        return self.root / "private" / "daosCA.key"

    def create(self, authority: Authority) -> None:
        """Make the folders, and put the authority there.

        Raises:
            ExistsError: `DER.EXIST`: there is one.
            OSError: As the system tells it.
        """
        for path in (self.ca_key, self.ca_certificate):
            if path.exists():
                raise ExistsError(
                    f"{self.root} holds a CA already",
                    hint="daos cert issue and daos cert renew use it; a new one would make all its certificates void",
                )
        for folder, mode in ((self.root, 0o755), (self.certificates, 0o755), (self.ca_key.parent, 0o700)):
            folder.mkdir(mode=mode, parents=True, exist_ok=True)
        self.ca_key.parent.chmod(0o700)
        write_whole(self.ca_key, _key_pem(authority.key), KEY_MODE)
        self.store(authority)

    def store(self, authority: Authority) -> None:
        """Put the certificate of the authority there.

        Raises:
            OSError: As the system tells it.
        """
        write_whole(self.ca_certificate, _pem(authority.certificate), CERTIFICATE_MODE)

    def authority(self) -> Authority:
        """Return what is there.

        Raises:
            AccessError: `DER.NO_CERT`, `DER.BAD_CERT`.
        """
        certificate = _one(read_file(self.ca_certificate, "the certificate of the CA"), self.ca_certificate)
        key = _load_key(read_key(self.ca_key), self.ca_key)
        if key.public_key() != certificate.public_key():
            raise _bad(f"key {self.ca_key} does not belong to {self.ca_certificate}", "restore them from one backup")
        return Authority(certificate, key)


def store_issued(role: Role, issued: Issued, folder: Path, *, replace: bool) -> tuple[Path, Path]:
    """Put a certificate and its key into a folder; return the two files. An agent's goes to `clients` as well.

    Raises:
        ExistsError: `DER.EXIST`: there is one, and it is not to be replaced.
        OSError: As the system tells it.
    """
    certificate, key = folder / f"{role}.crt", folder / f"{role}.key"
    if not replace:
        for path in (certificate, key):
            if path.exists():
                raise ExistsError(f"{path} exists", hint="name another folder with --out, or replace it with --force")
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    # Whoever reads in between finds a key that does not fit, and keeps what he had.
    write_whole(key, issued.key_pem, KEY_MODE)
    write_whole(certificate, issued.certificate_pem, CERTIFICATE_MODE)
    if role == "agent":
        clients = folder / "clients"
        clients.mkdir(mode=0o755, exist_ok=True)
        write_whole(clients / "agent.crt", issued.certificate_pem, CERTIFICATE_MODE)
    return certificate, key


def load_identity(certificate: Path, key: Path, ca: Path, *, now: datetime, expected: Role | None = None) -> Identity:
    """Return what a daemon says of itself, and whom it trusts, if all of it is in order.

    Args:
        certificate: The file of the certificate.
        key: That of its key, of mode 0400 or 0600; an administrator's may be read by its group.
        ca: That of the CA's certificate.
        now: The time.
        expected: The role it must have.

    Raises:
        AccessError: `DER.NO_CERT`: a file cannot be read, or others may read the key. `DER.BAD_CERT`: the certificate
            has expired or not begun, is of no or another role, is not of this CA, or the key is of another.
    """
    certificate_pem, ca_pem = read_file(certificate, "certificate"), read_file(ca, "the certificate of the CA")
    found = _one(certificate_pem, certificate)
    role = role_of(found)
    if expected is not None and role != expected:
        raise _bad(f"certificate {certificate} is of the role {role}", f"one of the role {expected} is needed")
    key_pem = read_key(key, group=role == "admin")
    secret = _load_key(key_pem, key)
    if secret.public_key() != found.public_key():
        raise _bad(f"key {key} does not belong to {certificate}", "the two files must be of one daos cert issue")
    authorities = tuple(_all(ca_pem, ca))
    verify(found, authorities, now, str(certificate))
    return Identity(
        role, hosts_of(found), found.not_valid_after_utc, found, secret, authorities, certificate_pem, key_pem, ca_pem
    )


def verify(certificate: x509.Certificate, authorities: Sequence[x509.Certificate], now: datetime, what: str) -> None:
    """Check that one of the authorities signed a certificate, that both are good at a time, and what it is for.

    Raises:
        AccessError: `DER.BAD_CERT`.
    """
    signers = [authority for authority in authorities if _signed_by(certificate, authority)]
    if not signers:
        raise _bad(f"{what} was not issued by this CA", "the CA's certificate must be the same on all hosts")
    if certificate.not_valid_before_utc > now:
        raise _bad(
            f"{what} is not good before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC", "check the clock"
        )
    if certificate.not_valid_after_utc <= now:
        raise _expired(what, certificate.not_valid_after_utc)
    if all(authority.not_valid_after_utc <= now for authority in signers):
        raise _expired("the certificate of the CA", signers[0].not_valid_after_utc)
    try:
        uses = set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        uses = set()
    if not uses.issuperset(_USES):
        raise _bad(f"{what} is not for both ends of a connection", "issue another with daos cert issue")


def role_of(certificate: x509.Certificate) -> Role:
    """Return the role of a certificate.

    Raises:
        AccessError: `DER.BAD_CERT`: its common name is none.
    """
    names = [str(one.value) for one in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    role = next((role for role in ROLES if names == [role]), None)
    if role is None:
        shown = ", ".join(names)[:40]
        raise _bad(f'a certificate with the common name "{shown}" has no role', f"roles are {', '.join(ROLES)}")
    return role


def hosts_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the names of the hosts that a certificate is for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(names.get_values_for_type(x509.DNSName))


def addresses_of(certificate: x509.Certificate) -> tuple[Address, ...]:
    """Return the addresses that a certificate is for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    found = names.get_values_for_type(x509.IPAddress)
    return tuple(one for one in found if isinstance(one, ipaddress.IPv4Address | ipaddress.IPv6Address))


def expiry_warning(expires: datetime, now: datetime) -> int | None:
    """Return which of `WARN_DAYS` a certificate has come to: the smallest; None where its end is farther away.

    A daemon warns when this changes, so three times.
    """
    left = expires - now
    return min((days for days in WARN_DAYS if left <= timedelta(days=days)), default=None)


def check_host(name: str) -> str:
    """Return the name of a host in lower case.

    Raises:
        InvalidError: `DER.INVAL`.
    """
    parts = name.lower().split(".")
    good = all(
        0 < len(part) <= 63  # noqa: PLR2004 -- DNS
        and part.replace("-", "a").replace("_", "a").isalnum()
        and part.isascii()
        and part[0] != "-"
        and part[-1] != "-"
        for part in parts
    )
    if not good or len(name) > HOST_LEN_MAX:
        raise InvalidError(f'"{name[:40]}" is no name of a host', hint="letters, digits, - and .; an address with --ip")
    return name.lower()


def read_certificate(path: Path) -> x509.Certificate:
    """Return the certificate of a file.

    Raises:
        AccessError: `DER.NO_CERT`, `DER.BAD_CERT`.
    """
    return _one(read_file(path, "certificate"), path)


def read_certificates(path: Path) -> tuple[x509.Certificate, ...]:
    """Return the certificates of a file: of the CA, two while it is exchanged.

    Raises:
        AccessError: `DER.NO_CERT`, `DER.BAD_CERT`.
    """
    return tuple(_all(read_file(path, "the certificate of the CA"), path))


def parse_certificate(der: bytes) -> x509.Certificate:
    """Return the certificate of bytes that came from elsewhere.

    Raises:
        AccessError: `DER.BAD_CERT`.
    """
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError:
        raise _bad("bytes that are no certificate", "the other end is damaged, or no part of a system") from None


def _signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        if not authority.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    return True


def _one(pem: bytes, path: Path) -> x509.Certificate:
    return _all(pem, path)[0]


def _all(pem: bytes, path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise _bad(f"{path} is no certificate", "a file in PEM form, as daos cert issue makes it") from None


def _load_key(pem: bytes, path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, None)
    except (ValueError, TypeError):
        raise _bad(f"{path} is no key, or is encrypted", "a file in PEM form, as daos cert issue makes it") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise _bad(f"key {path} is not of the kind ECDSA P-256", "issue another with daos cert issue")
    return key


def _begun(name: str, key: ec.EllipticCurvePublicKey, now: datetime, end: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _end(now: datetime, days: int) -> datetime:
    if not 1 <= days <= DAYS_MAX:
        raise InvalidError(f"{days} days are out of range", hint=f"1 to {DAYS_MAX}")
    return now + timedelta(days=days)


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANISATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_id(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _expired(what: str, end: datetime) -> AccessError:
    return _bad(f"{what} expired on {end:%Y-%m-%d %H:%M} UTC", "daos cert renew makes another; or check the clock")


def _bad(message: str, hint: str) -> AccessError:
    return AccessError(message, code=DER.BAD_CERT, hint=hint)
