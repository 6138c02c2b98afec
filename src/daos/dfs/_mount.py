"""`daos.dfs.mount`, and the addresses of files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from daos.client.container import Container
from daos.client.served import connect, parse_url
from daos.client.system import open as daos_open
from daos.dfs._dfs import DFS
from daos.dfs._mounted import UMASK
from daos.errors import InvalidError

if TYPE_CHECKING:
    from daos.client.pool import Pool
    from daos.client.system import Durability
    from daos.model.snapshots import Snapshot

__all__ = ["Address", "mount", "parse_address"]

SCHEME = "daos://"


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


def mount(
    source: Container | str,
    *,
    read_only: bool = False,
    snapshot: str | int | Snapshot | None = None,
    durability: Durability = "buffered",
    umask: int = UMASK,
) -> DFS:
    """Mount the file system of a container in this process.

    Args:
        source: A container of the type `POSIX`, or its URL: `daos://POOL/CONTAINER`, or for an embedded system
            `daos:///DIRECTORY//POOL/CONTAINER`. What a URL names is opened, and closed when the file system goes.
        read_only: Change nothing, not even what a container lacks whose maker died.
        snapshot: As of a snapshot of the container, by name or epoch; then nothing can be changed.
        durability: What a call promises when it returns, as `daos.open`; in any case it survives the death of all
            processes.
        umask: Permissions that are taken from what is made.

    Raises:
        InvalidError: `DER.INVAL`: the container is of another type; a bad URL.
        NotFoundError: `DER.NONEXIST`: no such system, pool, container or snapshot.
        OSError: `EOPNOTSUPP`: of a layout that is not known, or balanced on a pool over several engines.
    """
    if isinstance(source, Container):
        container = source if snapshot is None else source.at(snapshot)
        return DFS(container, read_only=read_only, durability=durability, umask=umask)
    named, pool = _opened(source, read_only=read_only)
    try:
        container = pool.container(named.container)
        seen = named.snapshot if snapshot is None else snapshot
        if seen is not None:
            container = container.at(seen)
        return DFS(container, read_only=read_only, durability=durability, umask=umask, owns_pool=True)
    except BaseException:
        pool.close()
        raise


def _opened(url: str, *, read_only: bool) -> tuple[Address, Pool]:
    """Return what a URL names, and its pool, which closes what it was reached by."""
    if not isinstance(url, str):
        raise InvalidError(f"a container or a URL is mounted, not {type(url).__name__}")
    named = parse_address(url)
    if named.path != "/":
        raise InvalidError(f"URL {url!r} names a file, not a file system", hint="mount daos://POOL/CONTAINER")
    if named.embedded:
        return named, daos_open(named.system, pool=named.pool, create=False)
    query = f"?system={quote(named.system, safe='')}" if named.system else ""
    return named, connect(f"{SCHEME}{quote(named.pool, safe='')}{query}", mode="r" if read_only else "rw")
