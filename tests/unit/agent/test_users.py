"""Who a process is."""

from __future__ import annotations

import os
import socket

import pytest

from daos.agent.users import AuthSys, HostNames, Names, Peer, User, user_of
from daos.config import MappedUser
from daos.errors import DER, AccessError

PEER = Peer(pid=77, uid=1000, gid=100)


class Table:
    """A table of names: uid 1000 is ada, of the groups 100 to 103; 102 has no name."""

    def __init__(self) -> None:
        self.asked = 0

    def user(self, uid: int) -> str:
        self.asked += 1
        return {1000: "ada", 1001: "OWNER"}[uid]

    def group(self, gid: int) -> str:
        return {100: "analysts", 101: "writers", 103: "readers"}[gid]

    def groups(self, user: str, gid: int) -> list[int]:  # noqa: ARG002 -- a signature
        return [gid, 101, 102, 103, 101]


def mapped(**users: tuple[str, str]) -> dict[str, MappedUser]:
    return {key.lstrip("u"): MappedUser(user=user, group=group, groups=("g1",)) for key, (user, group) in users.items()}


def test_names_of_the_host() -> None:
    assert user_of(PEER, {}, Table()) == User("ada@", "analysts@", ("readers@", "writers@"))


def test_a_uid_without_a_name() -> None:
    peer = Peer(77, 4711, 100)
    with pytest.raises(AccessError, match="the uid 4711 or the gid 100 of process 77 has no name") as caught:
        user_of(peer, mapped(u1000=("x", "y")), Table())
    assert caught.value.code is DER.NO_PERM
    assert "client_user_map" in str(caught.value.hint)
    users = mapped(u4711=("bob", "staff"), default=("nobody", "nogroup"))
    assert user_of(peer, users, Table()) == User("bob@", "staff@", ("g1@",))
    assert user_of(Peer(77, 5, 100), users, Table()) == User("nobody@", "nogroup@", ("g1@",))
    # A name of the host goes over the map; a group without one makes it needed.
    assert user_of(PEER, users, Table()).user == "ada@"
    assert user_of(Peer(77, 1000, 999), users, Table()).user == "nobody@"


def test_names_that_no_access_list_can_have() -> None:
    with pytest.raises(AccessError, match="OWNER@ names nobody in particular"):
        user_of(Peer(77, 1001, 100), {}, Table())


def test_too_many_groups() -> None:
    class Many(Table):
        def group(self, gid: int) -> str:
            return f"g{gid}"

        def groups(self, user: str, gid: int) -> list[int]:  # noqa: ARG002 -- a signature
            return list(range(1100))

    with pytest.raises(AccessError, match="is in 1099 groups"):
        user_of(PEER, {}, Many())


def test_users_are_remembered_as_long_as_configured() -> None:
    table, clock = Table(), [0.0]
    flavour = AuthSys({}, table, cache_s=30, clock=lambda: clock[0])
    assert flavour.name == "AUTH_SYS"
    for now in (0, 29, 29.9):
        clock[0] = now
        assert flavour.user_of(PEER).user == "ada@"
    assert table.asked == 1
    clock[0] = 30
    flavour.user_of(PEER)
    assert table.asked == 2
    flavour.forget()
    flavour.user_of(PEER)
    assert table.asked == 3
    never = AuthSys({}, table, cache_s=0, clock=lambda: 0)
    never.user_of(PEER)
    never.user_of(PEER)
    assert table.asked == 5


def test_this_host() -> None:
    names: Names = HostNames()
    assert user_of(Peer(1, 0, 0), {}, names).user == "root@"
    with pytest.raises(KeyError):
        names.user(3_999_999_999)


def test_the_kernel_tells_who_is_there() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert Peer.of(one) == Peer(os.getpid(), os.geteuid(), os.getegid())
