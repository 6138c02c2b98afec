"""Whom an engine believes: credentials that an agent of the system has signed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509

from daos.errors import AccessError
from daos.security.credentials import Verifier

if TYPE_CHECKING:
    from daos.local import EngineOptions
    from daos.model.acl import Credential

AGAIN_S = 2.0
"""So often it is looked whether the CA's file is another."""


class Believer:
    """Verifies credentials by the CA's certificate, which is read again when its file changes.

    Args:
        ca: The file; None without certificates: then everybody is who he says he is.
        system: The system's name.
    """

    def __init__(self, ca: Path | None, system: str) -> None:
        self._ca, self._system = ca, system
        self._looked = 0.0
        self._stamp: tuple[int, int] | None = None
        self._verifier = self._made()

    def verify(self, credential: bytes, *, pool: str) -> Credential:
        """Return who asks.

        Raises:
            AccessError: The credential is none that holds here and now.
        """
        now = time.monotonic()
        if self._ca is not None and now - self._looked > AGAIN_S:
            self._looked = now
            if self._stamp_of(self._ca) != self._stamp:
                self._verifier = self._made()
        return self._verifier.verify(credential, time.time(), pool=pool)

    def _made(self) -> Verifier:
        if self._ca is None:
            return Verifier((), self._system, allow_insecure=True)
        self._stamp = self._stamp_of(self._ca)
        return Verifier(x509.load_pem_x509_certificates(self._ca.read_bytes()), self._system)

    @staticmethod
    def _stamp_of(path: Path) -> tuple[int, int]:
        found = path.stat()
        return found.st_mtime_ns, found.st_ino


def verifier_of(options: EngineOptions) -> Believer:
    """Return the verifier of an engine.

    Raises:
        AccessError: It has no certificates, and may not do without.
    """
    if options.certificates:
        return Believer(Path(options.certificates[0]), options.system)
    if not options.insecure:
        raise AccessError("no certificates", hint="give transport_config certificates, or allow_insecure")
    return Believer(None, options.system)
