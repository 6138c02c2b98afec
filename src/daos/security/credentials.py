"""Credentials: what an agent says of a process of its host, and how it is checked.

A credential is short-lived, of one system, perhaps of one pool and one session, and is taken once by each verifier. The
agent signs it with the key of its certificate, which travels along; whoever checks it needs the CA's certificate only.
Nothing here looks at a file or a clock.

The bytes are drawn in `docs/internals/security.md`.
"""

from __future__ import annotations

import hashlib
import heapq
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from daos._packed import decoder
from daos.errors import DER, AccessError, BusyError, DaosError, InvalidError
from daos.model.acl import Credential, check_principal
from daos.security.certificates import addresses_of, hosts_of, parse_certificate, role_of, verify

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography import x509

    from daos.security.certificates import Identity

VERSION = 1
FLAVOUR = "AUTH_SYS"
"""Of users and groups as a host knows them. Another flavour is another token."""
LIFE_S_MAX = 600.0
"""From issue to expiry."""
SKEW_S = 60.0
"""By which the clocks of two hosts may differ."""
NONCE_LEN = 16
SESSION_LEN_MAX = 64
"""A public key, or a number that was drawn for the session."""
GROUPS_MAX = 1024
CREDENTIAL_BYTES_MAX = 512 << 10
NONCES_MAX = 65_536
"""Credentials that a verifier remembers, each until it has expired."""
NONCES_OF_AGENT_MAX = 16_384
"""The same of one agent, so that one cannot lock the others out."""

AGENTS_MAX = 1024
"""Agents' certificates that a verifier remembers as good, for `AGENT_S`; checking one is half of the work."""
AGENT_S = 60.0

_CONTEXT = b"daos credential\0"
"""Before what is signed: a signature of anything else that the key ever signs is none of a credential."""

_Text = Annotated[str, msgspec.Meta(max_length=255)]
_Bytes = Annotated[bytes, msgspec.Meta(max_length=CREDENTIAL_BYTES_MAX)]


class Token(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a credential says.

    Attributes:
        flavour: How the user was found out.
        user: `user@`.
        group: His own group, `group@`.
        groups: Further groups.
        machine: The host.
        system: The system it is for.
        pool: The pool it is for; empty for any.
        session: What binds it to a session: whoever uses it must show that he has what belongs to it. May be empty.
        issued: Seconds since 1970.
        expires: The same.
        nonce: Random, never twice.
    """

    flavour: _Text
    user: _Text
    group: _Text
    groups: Annotated[tuple[_Text, ...], msgspec.Meta(max_length=GROUPS_MAX)]
    machine: _Text
    system: _Text
    pool: _Text
    session: Annotated[bytes, msgspec.Meta(max_length=SESSION_LEN_MAX)]
    issued: float
    expires: float
    nonce: Annotated[bytes, msgspec.Meta(min_length=NONCE_LEN, max_length=NONCE_LEN)]

    def __repr__(self) -> str:
        # As logs may have it: without the nonce and the session.
        return f"Token({self.flavour}, {self.user}, {self.group}, machine={self.machine!r}, pool={self.pool!r})"

    @property
    def credential(self) -> Credential:
        """What access lists are asked with."""
        return Credential(self.user, self.group, self.groups, self.machine)


_encoder = msgspec.msgpack.Encoder()
_tokens = decoder(Token)
_forms = decoder(tuple[int, _Bytes, _Bytes, _Bytes])


def sign(identity: Identity, token: Token) -> bytes:
    """Return the credential of a token, signed.

    Raises:
        InvalidError: `DER.INVAL`: the token is not in order.
    """
    _check_token(token)
    certificate = identity.certificate.public_bytes(serialization.Encoding.DER)
    said = _encoder.encode(token)
    signature = identity.key.sign(_signed(certificate, said), ec.ECDSA(hashes.SHA256()))
    return _whole(said, signature, certificate)


def without_signature(token: Token) -> bytes:
    """Return the credential of a token for a system that allows insecure ones.

    Raises:
        InvalidError: `DER.INVAL`: the token is not in order.
    """
    _check_token(token)
    return _whole(_encoder.encode(token), b"", b"")


@dataclass(frozen=True)
class _Form:
    """A credential taken apart; `agent` stands for who vouches for it, in the table of nonces."""

    token: Token
    said: bytes
    signature: bytes
    certificate: bytes
    agent: bytes


@dataclass(frozen=True)
class _Agent:
    """An agent's certificate that is good from `checked` until `until`."""

    key: ec.EllipticCurvePublicKey
    hosts: frozenset[str]
    checked: float
    until: float


class Verifier:
    """Checks credentials, each of which it takes once.

    Args:
        authorities: Certificates of the CA.
        system: The system.
        allow_insecure: Take credentials without a signature.
    """

    def __init__(self, authorities: Sequence[x509.Certificate], system: str, *, allow_insecure: bool = False) -> None:
        self._authorities = tuple(authorities)
        self._system = system
        self._insecure = allow_insecure
        self._agents: dict[bytes, _Agent] = {}
        self._seen: dict[tuple[bytes, bytes], float] = {}
        self._order: list[tuple[float, bytes, bytes]] = []
        self._count: dict[bytes, int] = {}

    def trust(self, authorities: Sequence[x509.Certificate]) -> None:
        """Believe other authorities from now on; what was used stays used."""
        self._authorities = tuple(authorities)
        self._agents.clear()

    def verify(self, raw: bytes, now: float, *, pool: str = "") -> Credential:
        """Return who asks. As `check`.

        Raises:
            AccessError: It is not to be believed.
            BusyError: Too many are being used.
        """
        return self.check(raw, now, pool=pool).credential

    def check(self, raw: bytes, now: float, *, pool: str = "") -> Token:
        """Return what a credential says, if it is to be believed.

        Args:
            raw: The credential.
            now: Seconds since 1970.
            pool: The pool that is asked for; empty where none is.

        Raises:
            AccessError: `DER.NO_PERM`, or `DER.BAD_CERT` where the agent's certificate is not in order. Nothing has
                changed: a credential that was refused is not used up.
            BusyError: `DER.BUSY`: there is no room to remember it.
        """
        form = _take_apart(raw)
        if form.signature or form.certificate or not self._insecure:
            self._check_signature(form, now)
        token = form.token
        if token.system != self._system:
            raise _no(f"the credential is for the system {token.system}, this is {self._system}")
        if token.pool and pool and token.pool != pool:
            raise _no(f"the credential is for the pool {token.pool}, not {pool}")
        _check_time(token, now)
        self._remember(form.agent, token, now)
        return token

    def _check_signature(self, form: _Form, now: float) -> None:
        if not form.signature or not form.certificate:
            raise _no("the credential is not signed", "the agent allows insecure use and this system does not")
        agent = self._known(form, now)
        try:
            agent.key.verify(form.signature, _signed(form.certificate, form.said), ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            raise _no("the signature of the credential is wrong") from None
        machine = form.token.machine
        if machine not in agent.hosts:
            raise _no(
                f'the credential is of the host "{machine}", the agent\'s certificate is not',
                "daos cert issue agent --host NAME, with the name that hostname prints",
            )

    def _known(self, form: _Form, now: float) -> _Agent:
        known = self._agents.get(form.agent)
        if known is None or not known.checked <= now < known.until:
            known = self._checked(form.certificate, now)
            if len(self._agents) >= AGENTS_MAX:
                self._agents.clear()
            self._agents[form.agent] = known
        return known

    def _checked(self, der: bytes, now: float) -> _Agent:
        try:
            certificate = parse_certificate(der)
            verify(certificate, self._authorities, datetime.fromtimestamp(now, UTC), "the agent's certificate")
            role, key = role_of(certificate), certificate.public_key()
            hosts = frozenset((*hosts_of(certificate), *map(str, addresses_of(certificate))))
            ends = [one.not_valid_after_utc.timestamp() for one in (certificate, *self._authorities)]
        except DaosError:
            raise
        except Exception as error:  # noqa: BLE001 -- the library has many for bytes that are nearly a certificate
            raise AccessError(
                f"the agent's certificate cannot be read: {type(error).__name__}",
                code=DER.BAD_CERT,
                hint="the other end is damaged, or no part of a system",
            ) from None
        if role != "agent":
            raise _no(f"the credential is signed by the role {role}", "only agents vouch for users")
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise _no("the agent's key is not of the kind ECDSA P-256", "daos cert issue makes such")
        # Not beyond the next end of a certificate: which one counts is decided anew then.
        until = min(now + AGENT_S, *(end for end in ends if end > now))
        return _Agent(key, hosts, now, until)

    def _remember(self, agent: bytes, token: Token, now: float) -> None:
        while self._order and self._order[0][0] <= now:
            _, whose, nonce = heapq.heappop(self._order)
            del self._seen[whose, nonce]
            self._count[whose] -= 1
            if not self._count[whose]:
                del self._count[whose]
        key = (agent, token.nonce)
        if key in self._seen:
            raise _no("the credential was used before", "each is good for one use: ask the agent for another")
        of_agent = self._count.get(agent, 0)
        if len(self._seen) >= NONCES_MAX or of_agent >= NONCES_OF_AGENT_MAX:
            raise BusyError(
                f"{of_agent} credentials of {token.machine} are in use, {len(self._seen)} in all",
                hint="try again in a minute; keep connections open instead of making new ones",
            )
        # It would be believed so long.
        until = token.expires + SKEW_S
        self._seen[key] = until
        self._count[agent] = of_agent + 1
        heapq.heappush(self._order, (until, *key))


def _take_apart(raw: bytes) -> _Form:
    if len(raw) > CREDENTIAL_BYTES_MAX:
        raise _no(f"a credential of {len(raw)} bytes; the most is {CREDENTIAL_BYTES_MAX}")
    try:
        version, said, signature, certificate = _forms.decode(raw)
        if version != VERSION:
            raise _no(f"a credential of version {version}; this release knows {VERSION}", "update the older end")
        token = _tokens.decode(said)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise _no("bytes that are no credential") from None
    # There is one way to write a credential: two ways would be two credentials with one nonce.
    if _whole(_encoder.encode(token), signature, certificate) != raw:
        raise _no("a credential that is not in its form")
    try:
        _check_token(token)
    except InvalidError as error:
        raise _no(error.message) from None
    agent = hashlib.sha256(certificate or token.machine.encode()).digest()
    return _Form(token, said, signature, certificate, agent)


def _check_token(token: Token) -> None:
    if token.flavour != FLAVOUR:
        raise InvalidError(f"the flavour {token.flavour[:20]!r} is not known", hint=f"known is {FLAVOUR}")
    for name in (token.user, token.group, *token.groups):
        try:
            whole = check_principal(name)
        except DaosError as error:
            raise InvalidError(error.message, hint=error.hint) from None
        if whole != name:
            raise InvalidError(f'"{name}" lacks its @', hint="a user or group of a credential ends in @")
    if not 0 < token.expires - token.issued <= LIFE_S_MAX:
        raise InvalidError(
            f"a credential that lives {token.expires - token.issued:.0f} s",
            hint=f"more than 0, at most {LIFE_S_MAX:.0f}",
        )
    if not token.machine or not token.system:
        raise InvalidError("a credential without a host or a system", hint="both are needed")
    if len(token.groups) > GROUPS_MAX:
        raise InvalidError(f"{len(token.groups)} groups", hint=f"at most {GROUPS_MAX}")
    if len(token.nonce) != NONCE_LEN or len(token.session) > SESSION_LEN_MAX:
        raise InvalidError("a nonce or session of a wrong length", hint=f"{NONCE_LEN}, at most {SESSION_LEN_MAX} bytes")


def _check_time(token: Token, now: float) -> None:
    if token.issued > now + SKEW_S:
        raise _no(
            f"the credential was issued {token.issued - now:.0f} s in the future",
            f"the clocks of hosts may differ by {SKEW_S:.0f} s: check {token.machine}'s and this one",
        )
    if token.expires + SKEW_S <= now:
        raise _no(
            f"the credential expired {now - token.expires:.0f} s ago",
            f"ask the agent for another; or check the clock of {token.machine} and this one",
        )


def _signed(certificate: bytes, said: bytes) -> bytes:
    """Return what is signed: the certificate is part of it, so that none is put in the place of another."""
    return _CONTEXT + bytes([VERSION]) + hashlib.sha256(certificate).digest() + said


def _whole(said: bytes, signature: bytes, certificate: bytes) -> bytes:
    return _encoder.encode((VERSION, said, signature, certificate))


def _no(message: str, hint: str = "ask the agent for another") -> AccessError:
    return AccessError(message, code=DER.NO_PERM, hint=hint)
