"""What a process shows in TLS, and whom it believes."""

from __future__ import annotations

import os
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from daos.errors import DER, AccessError


@dataclass(frozen=True)
class Identity:
    """A certificate and its key, and the certificates of those who sign others'; all of them PEM.

    Attributes:
        ca: Who may sign a peer's certificate.
        certificate: This process's.
        key: Its key.
    """

    ca: bytes
    certificate: bytes
    key: bytes = field(repr=False)


Identities: TypeAlias = Callable[[], Identity]
"""Tells the identity of now: asked again for each connection, so that a certificate can change under way."""


class IdentityFiles:
    """The identity in three files, read again when one of them has changed.

    A change that cannot be read, such as one that is half done, leaves what was there before.

    Args:
        ca: Path of the certificates of those who sign.
        certificate: Path of the certificate.
        key: Path of its key, which others than its owner and group may not read, and nobody but its owner write.

    Raises:
        AccessError: `DER.NO_CERT`: one of them cannot be read; `DER.BAD_CERT`: the key is open to others, or they
            do not fit each other.
    """

    def __init__(self, ca: str | Path, certificate: str | Path, key: str | Path) -> None:
        self._paths = (Path(ca), Path(certificate), Path(key))
        self._lock = threading.Lock()  # gRPC asks from threads of its own
        self._seen = self._stamps()
        self._identity = self._read()

    def __call__(self) -> Identity:
        """Return the identity of now."""
        with self._lock:
            try:
                stamps = self._stamps()
                if stamps != self._seen:
                    self._identity = self._read()
                    self._seen = stamps
            except AccessError:
                # Half a change: it is looked at again for the next connection.
                return self._identity
            return self._identity

    def _stamps(self) -> tuple[tuple[int, int, int], ...]:
        try:
            stats = [path.stat() for path in self._paths]
        except OSError as error:
            raise _unreadable(error) from None
        if stats[2].st_mode & _KEY_MODE_NOT:
            raise AccessError(
                f"the key {self._paths[2]} has the mode {stats[2].st_mode & 0o777:04o}: others may use it",
                code=DER.BAD_CERT,
                hint=f"chmod 0400 {self._paths[2]}",
            )
        return tuple((stat.st_ino, stat.st_mtime_ns, stat.st_size) for stat in stats)

    def _read(self) -> Identity:
        contents = []
        for path in self._paths:
            try:
                with path.open("rb") as file:
                    contents.append(file.read(_PEM_BYTES_MAX))
            except OSError as error:
                raise _unreadable(error) from None
        identity = Identity(*contents)
        # Of a change that is half done, the key is not the certificate's.
        check_identity(identity)
        return identity


def check_identity(identity: Identity) -> ssl.SSLContext:
    """Return what TLS is done with, by role rather than by name: as a client, of version 1.3.

    Raises:
        AccessError: `DER.BAD_CERT`: this is no certificate, or the key is another's.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.set_alpn_protocols(["h2"])
    try:
        context.load_verify_locations(cadata=identity.ca.decode())
        with _as_file(identity.certificate) as certificate, _as_file(identity.key) as key:
            # A key that has a password is none: nobody is there to be asked.
            context.load_cert_chain(certificate, key, password=lambda: "")
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or "no PEM"
        raise AccessError(
            f"the certificates cannot be used: {str(reason).lower().replace('_', ' ')}",
            code=DER.BAD_CERT,
            hint="certificate, key and CA of transport_config must fit each other",
        ) from None
    return context


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """Lend some bytes as a file, which is how `ssl` takes them. It is in memory, and gone afterwards."""
    number = os.memfd_create("pem")
    try:
        os.write(number, content)
        yield f"/proc/self/fd/{number}"
    finally:
        os.close(number)


_KEY_MODE_NOT = 0o037
_PEM_BYTES_MAX = 1 << 20
"""Of a file: some hundred certificates."""


def _unreadable(error: OSError) -> AccessError:
    return AccessError(
        f"cannot read {error.filename}: {error.strerror}",
        code=DER.NO_CERT,
        hint="transport_config names the certificates; daos cert init makes some",
    )
