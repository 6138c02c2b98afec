"""The authority, what it issues, and what is refused of what lies there."""

from __future__ import annotations

import ipaddress
import os
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from daos.errors import DER, AccessError, DaosError, ExistsError, InvalidError
from daos.security.certificates import (
    ROLES,
    Authority,
    Folder,
    Role,
    addresses_of,
    expiry_warning,
    hosts_of,
    load_identity,
    parse_certificate,
    role_of,
    store_issued,
    verify,
)
from daos.security.source import IdentityFiles, IdentitySource
from tests.unit.security.forge import certify

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def folder(authority: Authority, tmp_path: Path) -> Folder:
    made = Folder(tmp_path)
    made.create(authority)
    return made


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def issue(folder: Folder, role: Role = "server", days: int = 1095) -> tuple[Path, Path, Path]:
    issued = folder.authority().issue(role, ["Host1"], (ipaddress.ip_address("10.0.0.5"),), NOW, days)
    return (*store_issued(role, issued, folder.certificates, replace=True), folder.ca_certificate)


@pytest.mark.parametrize("role", ROLES)
def test_names_modes_and_uses(folder: Folder, role: Role) -> None:
    old = os.umask(0o077)
    try:
        certificate, key, ca = issue(folder, role)
    finally:
        os.umask(old)
    assert [path.name for path in (certificate, key, ca)] == [f"{role}.crt", f"{role}.key", "daosCA.crt"]
    assert (mode(certificate), mode(key), mode(ca)) == (0o644, 0o400, 0o644)
    assert (mode(folder.ca_key), mode(folder.ca_key.parent)) == (0o400, 0o700)
    identity = load_identity(certificate, key, ca, now=NOW, expected=role)
    assert identity.role == role
    assert set(identity.hosts) == {"host1"} | ({"server"} if role == "server" else set())
    assert list(map(str, addresses_of(identity.certificate))) == ["10.0.0.5"]
    assert identity.expires == NOW + 1095 * DAY
    assert isinstance(identity.key.curve, ec.SECP256R1)
    assert (folder.certificates / "clients/agent.crt").exists() == (role == "agent")
    for purpose in ("sslserver", "sslclient"):
        at = str(int(NOW.timestamp()))
        command = ["openssl", "verify", "-attime", at, "-x509_strict", "-purpose", purpose, "-CAfile", ca, certificate]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_a_folder_that_others_could_write_to(authority: Authority, tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        folder = Folder(tmp_path)
        folder.create(authority)
        files = store_issued("admin", authority.issue("admin", (), (), NOW), folder.certificates, replace=False)
    finally:
        os.umask(old)
    assert [mode(path) for path in (*files, folder.certificates, folder.ca_key.parent)] == [0o644, 0o400, 0o755, 0o700]


def test_what_is_printed_of_an_identity_has_no_key(folder: Folder) -> None:
    identity = load_identity(*issue(folder), now=NOW)
    assert "PRIVATE" not in repr(identity)
    assert b"PRIVATE" in identity.key_pem


@pytest.mark.parametrize(("bits", "hint"), [(0o404, "0400"), (0o440, "0400"), (0o620, "0400"), (0o777, "0400")])
def test_keys_that_others_may_read(folder: Folder, bits: int, hint: str) -> None:
    certificate, key, ca = issue(folder)
    key.chmod(bits)
    with pytest.raises(AccessError, match=f"mode {bits:04o}: others may read it") as caught:
        load_identity(certificate, key, ca, now=NOW)
    assert caught.value.code is DER.NO_CERT
    assert caught.value.hint == f"chmod {hint} {key}"


def test_the_group_of_administrators_may_read_theirs(folder: Folder) -> None:
    certificate, key, ca = issue(folder, "admin")
    for bits in (0o400, 0o600, 0o440):
        key.chmod(bits)
        assert load_identity(certificate, key, ca, now=NOW).role == "admin"
    key.chmod(0o460)
    with pytest.raises(AccessError, match="others may read") as caught:
        load_identity(certificate, key, ca, now=NOW)
    assert caught.value.hint == f"chmod 0440 {key}"


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a file away")
def test_a_key_of_another_user(folder: Folder) -> None:
    certificate, key, ca = issue(folder)
    os.chown(key, 12345, -1)
    with pytest.raises(AccessError, match="belongs to the user 12345"):
        load_identity(certificate, key, ca, now=NOW)


@pytest.mark.parametrize("name", ["certificate", "key", "ca"])
@pytest.mark.parametrize("damage", ["missing", "folder", "empty", "noise", "key"])
def test_files_that_are_none(folder: Folder, name: str, damage: str) -> None:
    files = dict(zip(("certificate", "key", "ca"), issue(folder), strict=True))
    path = files[name]
    data = {"empty": b"", "noise": os.urandom(500), "key": folder.ca_key.read_bytes()}.get(damage)
    path.unlink()
    if damage == "folder":
        path.mkdir()
    elif data is not None:
        path.write_bytes(data)
        path.chmod(0o400)
    with pytest.raises(AccessError) as caught:
        load_identity(files["certificate"], files["key"], files["ca"], now=NOW)
    expected = DER.NO_CERT if damage in ("missing", "folder") else DER.BAD_CERT
    assert caught.value.code is expected
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_time(folder: Folder) -> None:
    files = issue(folder, days=10)
    load_identity(*files, now=NOW - timedelta(minutes=4))
    load_identity(*files, now=NOW + 10 * DAY - timedelta(seconds=1))
    with pytest.raises(AccessError, match=r"expired on 2026-05-11 12:00 UTC") as caught:
        load_identity(*files, now=NOW + 10 * DAY)
    assert "daos cert renew" in str(caught.value.hint)
    with pytest.raises(AccessError, match="is not good before") as caught:
        load_identity(*files, now=NOW - timedelta(minutes=6))
    assert caught.value.hint == "check the clock"


def test_what_does_not_belong_together(folder: Folder, other_authority: Authority, tmp_path: Path) -> None:
    certificate, key, ca = issue(folder)
    agent_certificate, agent_key, _ = issue(folder, "agent")
    with pytest.raises(AccessError, match="does not belong to"):
        load_identity(certificate, agent_key, ca, now=NOW)
    with pytest.raises(AccessError, match="is of the role agent"):
        load_identity(agent_certificate, agent_key, ca, now=NOW, expected="server")
    other = Folder(tmp_path / "other")
    other.create(other_authority)
    with pytest.raises(AccessError, match="was not issued by this CA"):
        load_identity(certificate, key, other.ca_certificate, now=NOW)
    # A certificate that is no CA's signs nothing.
    with pytest.raises(AccessError, match="was not issued by this CA"):
        load_identity(certificate, key, certificate, now=NOW)


def test_certificates_that_no_ca_of_ours_would_issue(folder: Folder, authority: Authority) -> None:
    identity = load_identity(*issue(folder, "agent"), now=NOW)
    key = identity.key
    good = certify(authority.certificate, authority.key, key)
    verify(good, [authority.certificate], NOW, "it")
    for uses in ((), (ExtendedKeyUsageOID.CLIENT_AUTH,), (ExtendedKeyUsageOID.SERVER_AUTH,)):
        with pytest.raises(AccessError, match="not for both ends"):
            verify(certify(authority.certificate, authority.key, key, uses=uses), [authority.certificate], NOW, "it")
    # An agent issues itself another one: its certificate is no CA's, wherever it is listed.
    own = certify(identity.certificate, key, key)
    with pytest.raises(AccessError, match="was not issued by this CA"):
        verify(own, [identity.certificate, authority.certificate], NOW, "it")


def test_roles(authority: Authority) -> None:
    with pytest.raises(AccessError, match=r'the common name "DAOS CA" has no role'):
        role_of(authority.certificate)
    with pytest.raises(AccessError, match="no certificate"):
        parse_certificate(b"\x30\x03abc")


def test_a_key_of_another_kind(folder: Folder) -> None:
    certificate, key, ca = issue(folder)
    key.unlink()
    for made in (rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP384R1())):
        key.unlink(missing_ok=True)
        encoding = serialization.PrivateFormat.PKCS8
        key.write_bytes(made.private_bytes(serialization.Encoding.PEM, encoding, serialization.NoEncryption()))
        key.chmod(0o400)
        with pytest.raises(AccessError, match="not of the kind ECDSA P-256"):
            load_identity(certificate, key, ca, now=NOW)


def test_a_second_authority_is_not_made_over_the_first(folder: Folder, other_authority: Authority) -> None:
    before = folder.ca_key.read_bytes()
    with pytest.raises(ExistsError, match="holds a CA already"):
        folder.create(other_authority)
    assert folder.ca_key.read_bytes() == before


def test_what_is_there_is_replaced_on_demand_only(folder: Folder, authority: Authority) -> None:
    certificate, key, ca = issue(folder)
    issued = authority.issue("server", ["host2"], (), NOW)
    with pytest.raises(ExistsError):
        store_issued("server", issued, folder.certificates, replace=False)
    store_issued("server", issued, folder.certificates, replace=True)
    assert load_identity(certificate, key, ca, now=NOW).hosts == ("host2", "server")
    assert not list(folder.certificates.glob(".*"))


def test_a_renewed_authority_keeps_what_it_issued_good(folder: Folder, authority: Authority) -> None:
    files = issue(folder)
    later = NOW + 1090 * DAY
    renewed = authority.renewed(later)
    folder.store(renewed)
    assert load_identity(*files, now=later).role == "server"
    issued = renewed.issue("server", ["host1"], (), later)
    assert issued.certificate.not_valid_after_utc == later + 1095 * DAY
    # Who has the old certificate of the CA believes the new certificate of a server, until the old one's end.
    store_issued("server", issued, folder.certificates, replace=True)
    folder.store(authority)
    load_identity(*files, now=later)
    with pytest.raises(AccessError, match="the certificate of the CA expired"):
        load_identity(*files, now=NOW + 1096 * DAY)


def test_nothing_outlives_its_authority() -> None:
    short = Authority.make(NOW, 10)
    assert short.issue("admin", (), (), NOW).certificate.not_valid_after_utc == NOW + 10 * DAY
    with pytest.raises(AccessError, match="CA expired"):
        short.issue("admin", (), (), NOW + 11 * DAY)


@pytest.mark.parametrize(
    ("role", "hosts", "days", "what"),
    [
        ("agent", [], 5, "for a host"),
        ("server", [], 5, "for a host"),
        ("server", ["a b"], 5, "no name of a host"),
        ("server", ["-a"], 5, "no name of a host"),
        ("server", [""], 5, "no name of a host"),
        ("server", ["a" * 64], 5, "no name of a host"),
        ("server", ["h\u00f6st"], 5, "no name of a host"),
        ("server", [f"h{n}" for n in range(101)], 5, "more than 100"),
        ("server", ["a"], 0, "out of range"),
        ("server", ["a"], 3651, "out of range"),
    ],
)
def test_what_is_not_issued(authority: Authority, role: Role, hosts: list[str], days: int, what: str) -> None:
    with pytest.raises(InvalidError, match=what):
        authority.issue(role, hosts, (), NOW, days)


@pytest.mark.parametrize(
    ("left", "warning"),
    [(31 * DAY, None), (30 * DAY, 30), (8 * DAY, 30), (7 * DAY, 7), (1.5 * DAY, 7), (DAY, 1), (-DAY, 1)],
)
def test_warnings(left: timedelta, warning: int | None) -> None:
    assert expiry_warning(NOW + left, NOW) == warning


def test_certificates_are_exchanged_without_a_restart(folder: Folder) -> None:
    files = IdentityFiles(*issue(folder), "server")
    clock = [NOW]
    told: list[DaosError] = []
    source = IdentitySource(files, clock=lambda: clock[0], told=told.append)
    first = source.current()
    issue(folder)
    assert source.current() is first, "looked at too often"
    clock[0] += timedelta(seconds=6)
    second = source.current()
    assert second.certificate.serial_number != first.certificate.serial_number
    files.key.unlink()
    for _ in range(3):
        clock[0] += timedelta(seconds=6)
        assert source.current() is second
    assert [error.code for error in told] == [DER.NO_CERT]
    issue(folder)
    clock[0] += timedelta(seconds=6)
    assert hosts_of(source.current().certificate) == ("host1", "server")
    assert source.current() is not second


def test_what_is_wrong_at_the_start_is_told_at_once(folder: Folder) -> None:
    files = IdentityFiles(*issue(folder), "agent")
    with pytest.raises(AccessError, match="is of the role server"):
        IdentitySource(files, clock=lambda: NOW)
