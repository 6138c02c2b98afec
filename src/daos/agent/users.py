"""Who a process is: from what the kernel says of the other end of a socket to the names that access lists have."""

from __future__ import annotations

import grp
import os
import pwd
import socket
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from daos.config.agent import DEFAULT_USER
from daos.errors import AccessError, DaosError
from daos.model.acl import check_principal
from daos.security.credentials import FLAVOUR, GROUPS_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from daos.config import MappedUser

CACHE_MAX = 4096
"""Users whose names are remembered."""

_CREDENTIALS = struct.Struct("iII")


@dataclass(frozen=True)
class Peer:
    """The process at the other end of a socket, as the kernel knows it.

    Attributes:
        pid: Its number when it connected.
        uid: Its user.
        gid: Its group.
    """

    pid: int
    uid: int
    gid: int

    @classmethod
    def of(cls, connection: socket.socket) -> Peer:
        """Return that of a connection."""
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        return cls(*_CREDENTIALS.unpack(raw))


@dataclass(frozen=True)
class User:
    """Whom access lists know.

    Attributes:
        user: `user@`.
        group: `group@`.
        groups: Further groups.
    """

    user: str
    group: str
    groups: tuple[str, ...] = ()


class Names(Protocol):
    """The host's table of users and groups. What it does not know is a `KeyError`."""

    def user(self, uid: int) -> str:
        """Return the name of a user."""

    def group(self, gid: int) -> str:
        """Return the name of a group."""

    def groups(self, user: str, gid: int) -> list[int]:
        """Return the groups of a user."""


class HostNames:
    """That of this host, which may ask others on the network: it may block."""

    def user(self, uid: int) -> str:
        """Return the name of a user."""
        return pwd.getpwuid(uid).pw_name

    def group(self, gid: int) -> str:
        """Return the name of a group."""
        return grp.getgrgid(gid).gr_name

    def groups(self, user: str, gid: int) -> list[int]:
        """Return the groups of a user."""
        return os.getgrouplist(user, gid)


class AuthFlavour(Protocol):
    """A way of finding out who a process is. May block: it is called in a thread."""

    @property
    def name(self) -> str:
        """What tokens call it."""

    def user_of(self, peer: Peer) -> User:
        """Return who a process is.

        Raises:
            AccessError: `DER.NO_PERM`: it is nobody.
        """


class AuthSys:
    """The flavour `AUTH_SYS`: a uid stands for the name that the host gives it, or that the configuration does.

    Args:
        mapped: By uid or `default`: whom a uid without a name stands for.
        names: The host's table.
        cache_s: How long a user is remembered; 0: not at all.
        clock: Tells the time in seconds.
    """

    name = FLAVOUR

    def __init__(
        self, mapped: Mapping[str, MappedUser], names: Names, *, cache_s: float, clock: Callable[[], float]
    ) -> None:
        self._mapped = mapped
        self._names = names
        self._cache_s = cache_s
        self._clock = clock
        self._cache: dict[tuple[int, int], tuple[float, User]] = {}

    def user_of(self, peer: Peer) -> User:
        """Return who a process is.

        Raises:
            AccessError: `DER.NO_PERM`: its uid has no name here, and the configuration gives it none.
        """
        key, now = (peer.uid, peer.gid), self._clock()
        kept = self._cache.get(key)
        if kept is not None and now < kept[0]:
            return kept[1]
        found = user_of(peer, self._mapped, self._names)
        if self._cache_s > 0:
            if len(self._cache) >= CACHE_MAX:
                self._cache.clear()
            self._cache[key] = (now + self._cache_s, found)
        return found

    def forget(self) -> None:
        """Look everybody up again."""
        self._cache.clear()


def user_of(peer: Peer, mapped: Mapping[str, MappedUser], names: Names) -> User:
    """Return whom a process stands for: by the host's names, else by the configuration's map.

    Raises:
        AccessError: `DER.NO_PERM`.
    """
    try:
        user = names.user(peer.uid)
        group = names.group(peer.gid)
    except KeyError:
        chosen = mapped.get(str(peer.uid)) or mapped.get(DEFAULT_USER)
        if chosen is None:
            raise AccessError(
                f"the uid {peer.uid} or the gid {peer.gid} of process {peer.pid} has no name on this host",
                hint="add it to the host, or to credential_config, client_user_map, of daos_agent.yml",
            ) from None
        return _checked(chosen.user, chosen.group, list(chosen.groups))
    further = []
    for gid in names.groups(user, peer.gid):
        if gid != peer.gid:
            try:
                further.append(names.group(gid))
            except KeyError:
                continue  # access lists have names, so a group without one is in none
    return _checked(user, group, further)


def _checked(user: str, group: str, further: list[str]) -> User:
    if len(further) > GROUPS_MAX:
        raise AccessError(f"the user {user} is in {len(further)} groups", hint=f"at most {GROUPS_MAX} can be told")
    try:
        return User(check_principal(user), check_principal(group), tuple(map(check_principal, sorted(set(further)))))
    except DaosError as error:
        raise AccessError(
            f"process of the user {user}: {error.message}", hint="such a name cannot be in an access list"
        ) from None
