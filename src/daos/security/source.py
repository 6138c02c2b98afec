"""Identities and verifiers that follow their files, so that certificates are exchanged without a restart."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from daos.errors import AccessError
from daos.security.certificates import Identity, Role, load_identity, read_certificates
from daos.security.credentials import Verifier

if TYPE_CHECKING:
    from collections.abc import Callable

    from daos.model.acl import Credential
    from daos.security.credentials import Token

LOOK_S = 5.0
"""Files are looked at so often at most."""


@dataclass(frozen=True)
class IdentityFiles:
    """The three files of an identity.

    Attributes:
        certificate: The certificate.
        key: Its key.
        ca: The certificate of the CA.
        expected: The role it must have.
    """

    certificate: Path
    key: Path
    ca: Path
    expected: Role | None = None

    def load(self, now: datetime) -> Identity:
        """Return what they hold.

        Raises:
            AccessError: As `load_identity`.
        """
        return load_identity(self.certificate, self.key, self.ca, now=now, expected=self.expected)

    def stamp(self) -> tuple[tuple[int, int, int] | None, ...]:
        """Return what changes when one of them does."""
        return tuple(_stamp(path) for path in (self.certificate, self.key, self.ca))


class IdentitySource:
    """Gives the identity of files, anew when they change; what is wrong with new ones leaves the old in force.

    Args:
        files: The files.
        clock: Tells the time.
        told: Called with what is wrong with new files, once for each state of them.

    Raises:
        AccessError: As `load_identity`.
    """

    def __init__(
        self,
        files: IdentityFiles,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        told: Callable[[AccessError], None] = lambda _: None,
    ) -> None:
        self._files = files
        self._clock = clock
        self._told = told
        self._stamp = files.stamp()
        self._looked = clock()
        self._identity = files.load(self._looked)

    def current(self) -> Identity:
        """Return the identity; looks at the files when that was not done for `LOOK_S`."""
        now = self._clock()
        if abs((now - self._looked).total_seconds()) < LOOK_S:
            return self._identity
        self._looked = now
        stamp = self._files.stamp()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._identity = self._files.load(now)
            except AccessError as error:
                self._told(error)
        return self._identity


class FileVerifier:
    """A `Verifier` whose authorities are those of a file.

    Args:
        ca: The file of the CA's certificates; None for a system without TLS, where anybody is believed.
        system: The system.
        now: Tells the time of day, in seconds since 1970.
        told: Called with what is wrong with a new file, once for each state of it; the old one stays in force.

    Raises:
        AccessError: `DER.NO_CERT`, `DER.BAD_CERT`.
    """

    def __init__(
        self,
        ca: Path | None,
        system: str,
        now: Callable[[], float],
        *,
        told: Callable[[AccessError], None] = lambda _: None,
    ) -> None:
        self._ca = ca
        self._now = now
        self._told = told
        self._looked = now()
        self._stamp = None if ca is None else _stamp(ca)
        authorities = () if ca is None else read_certificates(ca)
        self._verifier = Verifier(authorities, system, allow_insecure=ca is None)

    def verify(self, credential: bytes, *, pool: str = "") -> Credential:
        """Return who asks. As `Verifier.check`.

        Raises:
            AccessError: The credential is not to be believed.
            BusyError: Too many are being used.
        """
        return self.check(credential, pool=pool).credential

    def check(self, credential: bytes, *, pool: str = "") -> Token:
        """Return what a credential says, if it is to be believed.

        Args:
            credential: The credential.
            pool: The uuid of the pool that is asked for; empty where none is.

        Raises:
            AccessError: The credential is not to be believed.
            BusyError: Too many are being used.
        """
        now = self._now()
        if self._ca is not None and abs(now - self._looked) >= LOOK_S:
            self._look(self._ca, now)
        return self._verifier.check(credential, now, pool=pool)

    def _look(self, ca: Path, now: float) -> None:
        self._looked = now
        stamp = _stamp(ca)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._verifier.trust(read_certificates(ca))
            except AccessError as error:
                self._told(error)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size
