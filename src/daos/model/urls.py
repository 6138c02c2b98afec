"""URLs of containers, and of files in them: pure."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from daos.errors import InvalidError
from daos.model.labels import check_reference

__all__ = ["SCHEME", "Address", "Url", "parse_address", "parse_url"]

SCHEME = "daos://"


@dataclass(frozen=True)
class Url:
    """What a URL `daos://pool[/container[/path]][?system=NAME-or-directory&snap=NAME]` names.

    Attributes:
        pool: Label or uuid.
        container: Label or uuid; None for none.
        path: In the container; empty for none.
        system: A name, or the directory of an embedded one; empty for the agent's.
        snapshot: Of the container; None for none.
    """

    pool: str
    container: str | None = None
    path: str = ""
    system: str = ""
    snapshot: str | None = None


def parse_url(url: str) -> Url:
    """Return what a URL names.

    Raises:
        InvalidError: `DER.INVAL`: it is none.
    """
    hint = "daos://POOL[/CONTAINER[/PATH]][?system=NAME]"
    if not isinstance(url, str):
        raise InvalidError(f"a URL is a str, not {type(url).__name__}", hint=hint)
    try:
        parts = urlsplit(url)
        named = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
    except ValueError as error:
        raise InvalidError(f"invalid URL {url!r}: {error}", hint=hint) from None
    # Not `hostname`: labels keep their letters.
    if f"{parts.scheme}://" != SCHEME or not parts.netloc or parts.fragment:
        raise InvalidError(f"invalid URL {url!r}", hint=hint)
    options = dict(named)
    unknown = sorted(set(options) - {"system", "snap"})
    if unknown or len(options) != len(named):
        what = unknown[0] if unknown else named[0][0]
        raise InvalidError(
            f"invalid URL {url!r}: option {what!r}", hint="system=NAME and snap=NAME are known, each once"
        )
    container, _, path = parts.path.removeprefix("/").partition("/")
    return Url(
        pool=check_reference(unquote(parts.netloc), "pool"),
        container=check_reference(unquote(container), "container") if container else None,
        path=unquote(path),
        system=options.get("system", ""),
        snapshot=options.get("snap"),
    )


@dataclass(frozen=True)
class Address:
    """What names a file system, and a place in it.

    Attributes:
        pool: Label or uuid.
        container: Label or uuid.
        path: In the container, beginning with `/`.
        system: A name, or the directory of an embedded one; empty for the agent's.
        snapshot: Name of a snapshot; None for now.
    """

    pool: str
    container: str
    path: str = "/"
    system: str = ""
    snapshot: str | None = None

    @property
    def embedded(self) -> bool:
        """Whether its system is a directory."""
        return "/" in self.system

    def url(self) -> str:
        """Return it as a URL."""
        query = "" if self.snapshot is None else f"?snap={quote(self.snapshot, safe='')}"
        path = "" if self.path == "/" else quote(self.path)
        if self.embedded:
            return f"{SCHEME}{quote(self.system)}//{self.pool}/{self.container}{path}{query}"
        if self.system:
            query += f"{'&' if query else '?'}system={quote(self.system, safe='')}"
        return f"{SCHEME}{self.pool}/{self.container}{path}{query}"


def parse_address(url: str) -> Address:
    """Return what a URL names: `daos://POOL/CONTAINER[/PATH]`, or `daos:///DIRECTORY//POOL/CONTAINER[/PATH]`.

    The directory of an embedded system ends with the first empty name: no directory has one, so nothing else can be
    meant. `?snap=NAME` is a snapshot; `?system=NAME` a running system other than the agent's, or a directory.

    Raises:
        InvalidError: `DER.INVAL`: it is none, or names no container.
    """
    system = ""
    rest = url
    if url.startswith(f"{SCHEME}/"):
        system, slashes, rest = url.removeprefix(SCHEME).partition("//")
        if not slashes or system == "/" or not system:
            raise InvalidError(
                f"invalid URL {url!r}", hint="two slashes end the directory: daos:///DIRECTORY//POOL/CONTAINER[/PATH]"
            )
        system = unquote(system)
        rest = SCHEME + rest
    named = parse_url(rest)
    if named.container is None:
        raise InvalidError(f"URL {url!r} names no container", hint="daos://POOL/CONTAINER[/PATH]")
    if system and named.system:
        raise InvalidError(f"URL {url!r} names two systems", hint="a directory, or system=NAME")
    return Address(named.pool, named.container, f"/{named.path}", system or named.system, named.snapshot)
