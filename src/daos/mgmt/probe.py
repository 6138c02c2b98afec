"""A look at a server before gRPC connects to it: whether it is there, what it is, and whether it takes us.

gRPC tells little of a connection that fails, and checks the host's name in a certificate, where DAOS goes by the role.
So a first connection is made by hand. It ends when the server has begun to speak HTTP/2; the certificate that it
showed is the only one that gRPC's connection will accept.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from daos.errors import DER, AccessError, DaosError, UnavailableError
from daos.mgmt.identity import check_identity

if TYPE_CHECKING:
    from daos.mgmt.identity import Identity
    from daos.mgmt.proxies import Proxy

PROBE_S = 5.0
"""For a connection and its handshake."""
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
"""The first bytes of an HTTP/2 client: the preface, and empty settings."""
_SETTINGS, _ALERT = 4, 21


@dataclass(frozen=True)
class Seen:
    """A server that can be spoken to.

    Attributes:
        certificate: Its own, PEM; empty without TLS.
        name: A name in it, by which gRPC looks at it.
    """

    certificate: bytes = b""
    name: str = ""


async def probe(host: str, identity: Identity | None, proxy: Proxy | None = None) -> Seen:
    """Look at a server.

    Args:
        host: `host:port`.
        identity: Ours; None without TLS.
        proxy: By which it is reached; None for the way without.

    Raises:
        UnavailableError: `DER.UNREACH`: nobody answers.
        AccessError: `DER.BAD_CERT`, `DER.NO_PERM`: the server is none of the system's, or refuses us.
    """
    context = None if identity is None else check_identity(identity)
    name, _ = split_address(host)
    writer = None
    try:
        async with asyncio.timeout(PROBE_S):
            reader, writer = await _connected(host, proxy)
            if context is not None:
                await writer.start_tls(context, server_hostname=name)
            writer.write(_PREFACE)
            first = await reader.read(9)
        tls = writer.get_extra_info("ssl_object")
        if context is None:
            _check_plain(host, first)
            return Seen()
        if len(first) < 4 or first[3] != _SETTINGS:  # noqa: PLR2004 -- the type is the fourth byte
            raise _refused(host, _why(identity))
        return _check_certificate(host, tls)
    except DaosError:
        raise
    except ssl.SSLError as error:
        raise _tls_error(host, error) from None
    except TimeoutError:
        raise UnavailableError(f"the server at {host} does not answer", code=DER.UNREACH, hint=_HINT) from None
    except OSError as error:
        if isinstance(error, ConnectionResetError | BrokenPipeError) and identity is not None:
            raise _refused(host, _why(identity)) from None
        raise _unreachable(host, error) from None
    finally:
        if writer is not None:
            writer.transport.abort()


async def _connected(host: str, proxy: Proxy | None) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a connection to a server, by a proxy where there is one.

    Raises:
        UnavailableError: `DER.UNREACH`: the proxy is not there, or does not connect.
        OSError: The server is not there.
    """
    if proxy is None:
        return await asyncio.open_connection(*split_address(host))
    try:
        reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    except OSError as error:
        raise UnavailableError(
            f"the proxy {proxy} cannot be reached ({error.strerror or error})", code=DER.UNREACH, hint=_PROXY_HINT
        ) from None
    try:
        writer.write(proxy.greeting(host))
        answer = await reader.readuntil(b"\r\n\r\n")  # its length is bounded by the reader's
        _check_proxy(host, proxy, answer)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        writer.transport.abort()
        _check_proxy(host, proxy, b"")
    except BaseException:
        writer.transport.abort()
        raise
    return reader, writer


def _check_proxy(host: str, proxy: Proxy, answer: bytes) -> None:
    version, _, rest = answer.partition(b"\r\n")[0].partition(b" ")
    code = rest.partition(b" ")[0].decode("ascii", errors="replace")
    known = version.startswith(b"HTTP/1.") and code.isascii() and code.isdecimal()
    if not known or not code.startswith("2"):
        said = code[:3] if known else "it does not speak HTTP"
        raise UnavailableError(
            f"the proxy {proxy} does not connect to {host}: {said}", code=DER.UNREACH, hint=_PROXY_HINT
        )


def split_address(host: str) -> tuple[str, int]:
    """Return name and port of `host:port`, `[::1]:port`.

    Raises:
        UnavailableError: `DER.UNREACH`: it has no port.
    """
    name, _, port = host.rpartition(":")
    if not name or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise UnavailableError(f'invalid address "{host}"', code=DER.UNREACH, hint="such as node1:10001")
    return name.removeprefix("[").removesuffix("]"), int(port)


_HINT = "is daos_server running there, and is this its port?"
_PROXY_HINT = "it is used for --allow-proxy; no_proxy in the environment names hosts to be reached without"


def _unreachable(host: str, error: OSError) -> DaosError:
    if isinstance(error, ConnectionRefusedError):
        text = f"the server at {host} refused the connection"
    elif isinstance(error, socket.gaierror):
        text = f'the name of "{host}" is not known'
    else:
        name = errno.errorcode.get(error.errno or 0, "")
        text = f"the server at {host} cannot be reached ({os.strerror(error.errno) if name and error.errno else error})"
    return UnavailableError(text, code=DER.UNREACH, hint=_HINT)


def _check_plain(host: str, first: bytes) -> None:
    if first[:1] == bytes((_ALERT,)) or not first:
        raise AccessError(
            f"the server at {host} speaks TLS only",
            code=DER.NO_CERT,
            hint="give a certificate by transport_config, without allow_insecure or --insecure",
        )
    if len(first) < 4 or first[3] != _SETTINGS:  # noqa: PLR2004 -- the type is the fourth byte
        raise UnavailableError(f"what listens at {host} is no daos_server", code=DER.PROTO, hint=_HINT)


def _refused(host: str, why: str) -> DaosError:
    return AccessError(
        f"the server at {host} refuses this certificate: {why}",
        code=DER.BAD_CERT,
        hint="it must be valid, and signed by the CA that the servers have",
    )


def _why(identity: Identity | None) -> str:
    """Return why our certificate may have been refused, for a server that ended the connection without a word."""
    from cryptography import x509

    if identity is None:
        return "there is none"
    now = datetime.now(UTC)
    try:
        certificate = x509.load_pem_x509_certificate(identity.certificate)
    except ValueError:
        return "it is invalid"
    if certificate.not_valid_after_utc < now:
        return f"it is expired since {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    if certificate.not_valid_before_utc > now:
        return f"it is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
    return "another CA may have signed it"


_ALERTS = {
    "CERTIFICATE_EXPIRED": "it is expired",
    "UNKNOWN_CA": "another CA signed it",
    "BAD_CERTIFICATE": "it is invalid",
    "CERTIFICATE_UNKNOWN": "it is invalid",
    "CERTIFICATE_REQUIRED": "there is none",
    "DECRYPT_ERROR": "another CA signed it",
    "CERTIFICATE_REVOKED": "it is revoked",
}


def _tls_error(host: str, error: ssl.SSLError) -> DaosError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return AccessError(
            f"the server at {host} has a certificate that cannot be believed: {error.verify_message}",
            code=DER.BAD_CERT,
            hint="its CA must be that of transport_config, and the clocks must be right",
        )
    reason = error.reason or ""
    for word, text in _ALERTS.items():
        if reason.endswith(word) and "ALERT" in reason:
            return _refused(host, text)
    if reason in (
        "WRONG_VERSION_NUMBER",
        "RECORD_LAYER_FAILURE",
        "PACKET_LENGTH_TOO_LONG",
        "UNEXPECTED_EOF_WHILE_READING",
    ):
        return AccessError(
            f"the server at {host} does not speak TLS",
            code=DER.BAD_CERT,
            hint="it is in insecure mode: allow_insecure in transport_config, or --insecure",
        )
    return UnavailableError(f"TLS with the server at {host} failed: {reason or error}", code=DER.UNREACH)


def _check_certificate(host: str, tls: object) -> Seen:
    """Return what the server showed, if it is a server's."""
    if not isinstance(tls, ssl.SSLObject):
        raise UnavailableError(f"TLS with the server at {host} failed", code=DER.UNREACH)
    shown = tls.getpeercert() or {}
    encoded = tls.getpeercert(binary_form=True) or b""
    subject = dict(pair for part in _pairs(shown.get("subject")) for pair in part)
    role = str(subject.get("commonName", ""))
    if role != "server":
        raise AccessError(
            f'the certificate of {host} is of the role "{role[:64]}", not "server"',
            code=DER.BAD_CERT,
            hint="its server must have server.crt",
        )
    names = [str(value) for kind, value in _names(shown.get("subjectAltName")) if kind == "DNS"]
    addresses = [str(value) for kind, value in _names(shown.get("subjectAltName")) if kind == "IP Address"]
    return Seen(ssl.DER_cert_to_PEM_cert(encoded).encode(), (names or addresses or [role])[0].replace("*", "any"))


def _pairs(subject: object) -> tuple[tuple[tuple[str, str], ...], ...]:
    return subject if isinstance(subject, tuple) else ()


def _names(names: object) -> tuple[tuple[str, str], ...]:
    return names if isinstance(names, tuple) else ()
