"""Credentials: what is believed, and all that is not."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from daos.errors import DER, AccessError, BusyError, InvalidError
from daos.model.acl import Credential
from daos.security import credentials
from daos.security.certificates import Authority, Identity, Role, load_identity, store_issued
from daos.security.credentials import Token, Verifier, sign, without_signature
from daos.security.source import FileVerifier
from tests.unit.security.forge import certify

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC).timestamp()

TOKEN = Token(
    flavour="AUTH_SYS",
    user="ada@",
    group="analysts@",
    groups=("readers@", "writers@"),
    machine="host1.example",
    system="daos_server",
    pool="",
    session=b"k" * 32,
    issued=NOW,
    expires=NOW + 300,
    nonce=b"n" * 16,
)


def changed(**fields: object) -> Token:
    return msgspec.structs.replace(TOKEN, **fields)


@pytest.fixture
def verifier(authority: Authority) -> Verifier:
    return Verifier([authority.certificate], "daos_server")


def refused(verifier: Verifier, raw: bytes, now: float = NOW, pool: str = "") -> AccessError:
    with pytest.raises(AccessError) as caught:
        verifier.verify(raw, now, pool=pool)
    assert caught.value.hint
    return caught.value


def another(authority: Authority, tmp_path: Path, role: Role, hosts: list[str], ca_file: Path) -> Identity:
    issued = authority.issue(role, hosts, (ipaddress.ip_address("10.1.2.3"),), datetime.fromtimestamp(NOW, UTC))
    files = store_issued(role, issued, tmp_path / f"{role}-of-{len(hosts)}", replace=True)
    return load_identity(*files, ca_file, now=datetime.fromtimestamp(NOW, UTC))


def test_what_is_signed_is_believed(agent: Identity, verifier: Verifier) -> None:
    raw = sign(agent, TOKEN)
    assert verifier.verify(raw, NOW) == Credential("ada@", "analysts@", ("readers@", "writers@"), "host1.example")
    assert verifier.check(sign(agent, changed(nonce=b"m" * 16)), NOW).session == b"k" * 32


def test_the_form(agent: Identity) -> None:
    version, said, signature, certificate = msgspec.msgpack.decode(sign(agent, TOKEN))
    assert (version, certificate) == (1, agent.certificate.public_bytes(serialization.Encoding.DER))
    assert msgspec.msgpack.decode(said) == [
        "AUTH_SYS", "ada@", "analysts@", ["readers@", "writers@"], "host1.example", "daos_server", "",
        b"k" * 32, NOW, NOW + 300, b"n" * 16,
    ]  # fmt: skip
    assert 60 < len(signature) < 80
    assert "n" * 16 not in repr(TOKEN)


def test_any_altered_bit_is_refused(agent: Identity, verifier: Verifier) -> None:
    raw = sign(agent, TOKEN)
    for position in range(len(raw) * 8):
        altered = bytearray(raw)
        altered[position // 8] ^= 1 << position % 8
        refused(verifier, bytes(altered))
    verifier.verify(raw, NOW)  # none of them has used it up


@pytest.mark.parametrize("cut", [0, 1, 10, 100, -1])
def test_what_is_cut_or_added(agent: Identity, verifier: Verifier, cut: int) -> None:
    raw = sign(agent, TOKEN)
    assert "no credential" in refused(verifier, raw[:cut]).message
    assert "no credential" in refused(verifier, raw + raw[: abs(cut) + 1]).message


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_noise_is_refused(raw: bytes) -> None:
    with pytest.raises(AccessError):
        Verifier([], "daos_server", allow_insecure=True).verify(raw, NOW)


def test_it_is_taken_once(agent: Identity, verifier: Verifier, authority: Authority) -> None:
    raw = sign(agent, TOKEN)
    verifier.verify(raw, NOW)
    for later in (0, 100, 359.9):
        assert "was used before" in refused(verifier, raw, NOW + later).message
    assert "expired" in refused(verifier, raw, NOW + 361).message
    # The same nonce signed again is the same credential.
    assert "was used before" in refused(verifier, sign(agent, TOKEN)).message


def test_time(agent: Identity, verifier: Verifier) -> None:
    raw = sign(agent, TOKEN)
    assert "expired 61 s ago" in refused(verifier, raw, NOW + 361).message
    assert "61 s in the future" in refused(verifier, raw, NOW - 61).message
    verifier.verify(raw, NOW + 359)
    assert verifier.verify(sign(agent, changed(nonce=b"2" * 16)), NOW - 59).user == "ada@"


def test_other_systems_and_pools(agent: Identity, verifier: Verifier) -> None:
    other = refused(verifier, sign(agent, changed(system="other")))
    assert other.message == "the credential is for the system other, this is daos_server"
    raw = sign(agent, changed(pool="tank"))
    assert "for the pool tank, not river" in refused(verifier, raw, pool="river").message
    assert verifier.verify(raw, NOW, pool="tank").user == "ada@"


def test_other_hosts(agent: Identity, verifier: Verifier, authority: Authority, ca_file: Path, tmp_path: Path) -> None:
    for machine in ("host2.example", "host1", "HOST1.example", "*"):
        assert f'of the host "{machine}"' in refused(verifier, sign(agent, changed(machine=machine))).message
    both = another(authority, tmp_path, "agent", ["host2.example", "host2"], ca_file)
    for machine in ("host2", "10.1.2.3"):
        verifier.verify(sign(both, changed(machine=machine, nonce=machine.ljust(16).encode())), NOW)


@pytest.mark.parametrize("role", ["server", "admin"])
def test_other_roles(role: Role, verifier: Verifier, authority: Authority, ca_file: Path, tmp_path: Path) -> None:
    signer = another(authority, tmp_path, role, ["host1.example"], ca_file)
    assert f"signed by the role {role}" in refused(verifier, sign(signer, TOKEN)).message


def test_other_authorities(agent: Identity, other_authority: Authority, authority: Authority) -> None:
    error = refused(Verifier([other_authority.certificate], "daos_server"), sign(agent, TOKEN))
    assert (error.code, error.message) == (DER.BAD_CERT, "the agent's certificate was not issued by this CA")
    both = Verifier([other_authority.certificate, authority.certificate], "daos_server")
    assert both.verify(sign(agent, TOKEN), NOW).user == "ada@"


def test_the_certificate_of_another_agent(
    agent: Identity, verifier: Verifier, authority: Authority, ca_file: Path, tmp_path: Path
) -> None:
    other = another(authority, tmp_path, "agent", ["host1.example"], ca_file)
    version, said, signature, _ = msgspec.msgpack.decode(sign(agent, TOKEN))
    theirs = other.certificate.public_bytes(serialization.Encoding.DER)
    assert "signature" in refused(verifier, msgspec.msgpack.encode((version, said, signature, theirs))).message


def test_another_certificate_of_the_same_key(agent: Identity, authority: Authority, verifier: Verifier) -> None:
    other = certify(authority.certificate, authority.key, agent.key, host="host2.example")
    version, said, signature, _ = msgspec.msgpack.decode(sign(agent, changed(machine="host2.example")))
    raw = msgspec.msgpack.encode((version, said, signature, other.public_bytes(serialization.Encoding.DER)))
    assert "the signature of the credential is wrong" in refused(verifier, raw).message


def test_there_is_one_way_to_write_a_credential(agent: Identity, verifier: Verifier) -> None:
    certificate = agent.certificate.public_bytes(serialization.Encoding.DER)
    said = msgspec.msgpack.encode(TOKEN)
    assert said[0] == 0x9B
    longer = b"\xdc\x00\x0b" + said[1:]  # the same array with a longer head
    assert msgspec.msgpack.decode(longer, type=Token) == TOKEN
    signature = agent.key.sign(credentials._signed(certificate, longer), ec.ECDSA(hashes.SHA256()))
    raw = msgspec.msgpack.encode((1, longer, signature, certificate))
    assert "not in its form" in refused(verifier, raw).message


def test_an_agent_whose_certificate_has_expired(agent: Identity, verifier: Verifier) -> None:
    later = NOW + 1095 * 86400 + 1
    error = refused(verifier, sign(agent, changed(issued=later, expires=later + 1)), later)
    assert error.code is DER.BAD_CERT
    assert "expired on" in error.message


def test_what_is_remembered_of_an_agent_ends_with_its_certificate(
    authority: Authority, ca_file: Path, tmp_path: Path, verifier: Verifier
) -> None:
    issued = authority.issue("agent", ["host1.example"], (), datetime.fromtimestamp(NOW, UTC), 1)
    files = store_issued("agent", issued, tmp_path / "short", replace=False)
    short = load_identity(*files, ca_file, now=datetime.fromtimestamp(NOW, UTC))
    end = NOW + 86400
    for number, now in enumerate((end - 30, end - 1)):
        token = changed(issued=end - 30, expires=end + 200, nonce=bytes([number]) * 16)
        verifier.verify(sign(short, token), now)
    token = changed(issued=end - 30, expires=end + 200, nonce=b"3" * 16)
    assert refused(verifier, sign(short, token), end).code is DER.BAD_CERT


def test_other_authorities_from_now_on(
    agent: Identity, authority: Authority, other_authority: Authority, verifier: Verifier
) -> None:
    raw = sign(agent, TOKEN)
    verifier.verify(raw, NOW)
    verifier.trust([other_authority.certificate])
    assert "not issued by this CA" in refused(verifier, sign(agent, changed(nonce=b"2" * 16))).message
    verifier.trust([authority.certificate])
    assert "used before" in refused(verifier, raw).message


def test_many_agents(
    authority: Authority, agent: Identity, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "AGENTS_MAX", 0)
    for number in range(3):
        verifier.verify(sign(agent, changed(nonce=bytes([number]) * 16)), NOW)
        assert len(verifier._agents) == 1


def test_a_verifier_that_follows_its_file(
    agent: Identity, authority: Authority, other_authority: Authority, ca_file: Path, tmp_path: Path
) -> None:
    now = [NOW]
    told: list[AccessError] = []
    verifier = FileVerifier(ca_file, "daos_server", lambda: now[0], told=told.append)
    numbers = iter(range(100))

    def attempt() -> str:
        token = changed(nonce=bytes([next(numbers)]) * 16, issued=now[0], expires=now[0] + 10)
        try:
            return verifier.verify(sign(agent, token), pool="p").user
        except AccessError as error:
            return error.message

    assert attempt() == "ada@"
    ca_file.write_bytes(b"damaged")
    now[0] += 6
    assert attempt() == attempt() == "ada@"
    assert [error.code for error in told] == [DER.BAD_CERT]
    both = [one.certificate.public_bytes(serialization.Encoding.PEM) for one in (other_authority, authority)]
    ca_file.write_bytes(both[0])
    now[0] += 6
    assert "not issued by this CA" in attempt()
    ca_file.write_bytes(b"".join(both))
    assert "not issued by this CA" in attempt(), "looked at too often"
    now[0] += 6
    assert attempt() == "ada@"
    ca_file.unlink()
    with pytest.raises(AccessError, match="No such file"):
        FileVerifier(ca_file, "daos_server", lambda: NOW)
    insecure = FileVerifier(None, "daos_server", lambda: NOW)
    assert insecure.verify(without_signature(TOKEN)).machine == "host1.example"


def test_without_a_signature(agent: Identity, verifier: Verifier, authority: Authority) -> None:
    raw = without_signature(TOKEN)
    assert "is not signed" in refused(verifier, raw).message
    insecure = Verifier([], "daos_server", allow_insecure=True)
    assert insecure.verify(raw, NOW).machine == "host1.example"
    assert "used before" in refused(insecure, raw).message
    assert "expired" in refused(insecure, without_signature(changed(nonce=b"9" * 16)), NOW + 999).message
    # What is signed is never taken for less.
    assert "not issued by this CA" in refused(insecure, sign(agent, TOKEN)).message
    version, said, signature, certificate = msgspec.msgpack.decode(sign(agent, TOKEN))
    for stripped in ((version, said, signature, b""), (version, said, b"", certificate)):
        assert "is not signed" in refused(insecure, msgspec.msgpack.encode(stripped)).message


@pytest.mark.parametrize(
    "fields",
    [
        {"flavour": "AUTH_NONE"},
        {"user": "ada"},
        {"user": "OWNER@"},
        {"group": "a:b@"},
        {"groups": ("readers",)},
        {"groups": tuple(f"g{n}@" for n in range(1025))},
        {"expires": NOW},
        {"expires": NOW + 601},
        {"expires": float("inf")},
        {"issued": float("nan")},
        {"machine": ""},
        {"system": ""},
        {"nonce": b"short"},
        {"session": b"k" * 65},
    ],
)
def test_tokens_that_are_not_in_order(agent: Identity, verifier: Verifier, fields: dict[str, object]) -> None:
    token = changed(**fields)
    with pytest.raises(InvalidError):
        sign(agent, token)
    # An agent that signs it nevertheless is not believed.
    certificate = agent.certificate.public_bytes(serialization.Encoding.DER)
    said = msgspec.msgpack.encode(token)
    signature = agent.key.sign(credentials._signed(certificate, said), ec.ECDSA(hashes.SHA256()))
    refused(verifier, msgspec.msgpack.encode((1, said, signature, certificate)))


def test_other_versions(agent: Identity, verifier: Verifier) -> None:
    _, *rest = msgspec.msgpack.decode(sign(agent, TOKEN))
    assert "version 2; this release knows 1" in refused(verifier, msgspec.msgpack.encode((2, *rest))).message


def test_a_length_that_lies_costs_nothing(verifier: Verifier) -> None:
    assert refused(verifier, b"\x94\x01\xc6\x40\x00\x00\x00abc").code is DER.NO_PERM
    assert "bytes; the most is" in refused(verifier, b"\0" * (513 << 10)).message


def test_one_agent_cannot_lock_the_others_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credentials, "NONCES_MAX", 6)
    monkeypatch.setattr(credentials, "NONCES_OF_AGENT_MAX", 4)
    verifier = Verifier([], "daos_server", allow_insecure=True)

    def use(machine: str, number: int, now: float = NOW) -> None:
        nonce = f"{machine}-{number}".ljust(16).encode()
        token = changed(machine=machine, nonce=nonce, issued=now, expires=now + 10)
        verifier.verify(without_signature(token), now)

    for number in range(4):
        use("a", number)
    with pytest.raises(BusyError, match="4 credentials of a are in use"):
        use("a", 4)
    use("b", 0)
    use("b", 1)
    with pytest.raises(BusyError, match="6 in all"):
        use("c", 0)
    # They are forgotten when nobody would believe them any more.
    for number in range(4):
        use("c", number, NOW + 71)
    assert len(verifier._seen) == len(verifier._order) == 4
    assert list(verifier._count.values()) == [4]
