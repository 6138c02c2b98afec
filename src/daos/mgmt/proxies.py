"""Proxies of the environment, by which servers are reached only where `--allow-proxy` says so."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from daos.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

PROXIES = ("grpc_proxy", "https_proxy", "http_proxy")
"""Variables that name a proxy; the first that is set counts, as for gRPC. Each is known in capital letters too."""
EXCEPTIONS = ("no_grpc_proxy", "no_proxy")
"""Variables that name hosts to which there is a way without."""


@dataclass(frozen=True)
class Proxy:
    """A proxy that connects by HTTP's CONNECT.

    Attributes:
        host: Its name.
        port: Its port.
        credentials: `user:password`, as bytes; empty for none. It is in no text of this class.
    """

    host: str
    port: int
    credentials: bytes = field(default=b"", repr=False)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def greeting(self, address: str) -> bytes:
        """Return what asks it for a connection to `host:port`."""
        lines = [f"CONNECT {address} HTTP/1.1".encode(), f"Host: {address}".encode()]
        if self.credentials:
            lines.append(b"Proxy-Authorization: Basic " + base64.b64encode(self.credentials))
        return b"\r\n".join([*lines, b"", b""])


def scrub(environ: MutableMapping[str, str]) -> None:
    """Take all that names proxies out of an environment, so that no library and no child goes by one."""
    for name in (*PROXIES, *EXCEPTIONS):
        environ.pop(name, None)
        environ.pop(name.upper(), None)


def proxy_of(address: str, environ: Mapping[str, str]) -> Proxy | None:
    """Return the proxy by which an environment wants a server to be reached; None for the way without.

    Args:
        address: `host:port`.
        environ: The environment.

    Raises:
        InvalidError: `DER.INVAL`: what names the proxy cannot be one.
    """
    variable, url = _first(environ, PROXIES)
    if not url:
        return None
    if _excepted(address.lower(), _first(environ, EXCEPTIONS)[1].lower()):
        return None
    wrong = InvalidError(f"{variable} names no proxy", hint="such as http://proxy:3128; no https, no socks")
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port or 80
    except ValueError:
        raise wrong from None
    if parts.scheme != "http" or not parts.hostname:
        raise wrong
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return Proxy(parts.hostname, port, f"{user}:{password}".encode() if user else b"")


def channel_options(proxy: Proxy | None, environ: Mapping[str, str]) -> tuple[tuple[str, str | int], ...]:
    """Return what makes a channel of gRPC go by a proxy, or by none whatever the environment says.

    Args:
        proxy: What `proxy_of` found.
        environ: The environment in which it did.
    """
    if proxy is None:
        return (("grpc.enable_http_proxy", 0),)
    url = _first(environ, PROXIES)[1]
    return (("grpc.enable_http_proxy", 1), ("grpc.http_proxy", url if "://" in url else f"http://{url}"))


def _excepted(address: str, exceptions: str) -> bool:
    """Tell whether a list names a host: with its port or without, by a domain that it is in, or by a star."""
    name = address.rpartition(":")[0]
    words = [word.strip().removeprefix(".") for word in exceptions.split(",")]
    return any(word in ("*", name, address) or (word and name.endswith(f".{word}")) for word in words)


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, str]:
    for name in names:
        for variable in (name, name.upper()):
            if environ.get(variable):
                return variable, environ[variable]
    return "", ""
