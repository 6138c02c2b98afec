"""A pool of a running system over the fake core: what only its service answers, answered from plain facts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Self

import msgspec

import daos
from daos.client.pool import Pool
from daos.client.served import Usable, parse_url
from daos.client.system import System
from daos.errors import AccessError, DaosError, NotFoundError
from tests.fake_core import ContainerFake, PoolFake

TIER = {"media": "scm", "total": 6_000, "free": 4_500, "min": 700, "max": 800, "mean": 750}


class Asked(msgspec.Struct):
    """What the requests that are looked at have, all of them together."""

    type: str
    space: bool = False
    targets: list[int] = []
    entries: list[str] = []
    container: str = ""
    group: str | None = None


class _Served(System):
    """A served system of six targets on three ranks."""

    @property
    def served(self) -> bool:
        return True

    @property
    def targets(self) -> int:
        return 6


@dataclass
class FakeService:
    """What it answers, and what it was asked.

    Attributes:
        system: The path of the fake system that is its storage.
        asked: Each request but questions, with its type.
        modes: How pools were opened.
        acl: Of every container.
        owner: Of every container, with its group.
        disabled: Targets that are.
        usable: Labels that the agent lists.
        refuse: By type of a request, what it is refused with.
    """

    system: str = "sys"
    asked: list[Asked] = field(default_factory=list)
    modes: list[str] = field(default_factory=list)
    acl: list[str] = field(default_factory=lambda: ["A::OWNER@:rwdtTaAo", "A:G:GROUP@:rwtT"])
    owner: tuple[str, str] = ("ada@", "analysts@")
    disabled: int = 0
    usable: list[str] = field(default_factory=lambda: ["tank"])
    refuse: dict[str, DaosError] = field(default_factory=dict)

    def connect(self, url: str, *, mode: str = "rw", durability: str = "synced") -> Pool:
        """Stand for `daos.connect`."""
        assert durability == "synced"
        named = parse_url(url)
        self.modes.append(mode)
        served = _Served(daos.open_system(self.system, create=False)._core, named.system or "daos_server")
        try:
            return served._pool(named.pool, create=False, owns_system=True)
        except NotFoundError:
            served.close()
            raise NotFoundError(f'no pool "{named.pool}" in {served.path}') from None

    def pools(self, system: str = "") -> list[Usable]:
        """Stand for `daos.client.served.pools`."""
        assert system in {"", "prod"}
        with daos.open_system(self.system, create=False) as opened:
            return [Usable(p.uuid, p.label, "Ready", (0, 1, 2)) for p in opened.pools() if p.label in self.usable]

    def answer_of(self) -> object:
        """Return a method of a core's that asks this service."""

        def service_request(core: PoolFake | ContainerFake, body: bytes, *, changes: bool) -> bytes:
            return self.answer(core, body, changes=changes)

        return service_request

    def answer(self, core: PoolFake | ContainerFake, body: bytes, *, changes: bool) -> bytes:
        """Stand for `service_request`."""
        request = msgspec.msgpack.decode(body, type=Asked)
        kind = request.type
        if changes:
            self.asked.append(request)
        if kind in self.refuse:
            raise self.refuse[kind]
        return msgspec.msgpack.encode(self._answers()[kind](core, request))

    def _answers(self) -> dict[str, Callable[[PoolFake | ContainerFake, Asked], object]]:
        return {
            "pool_query": self._pool,
            "pool_query_targets": lambda _, asked: [
                {"index": index, "state": "up_in", "tiers": [TIER]} for index in (asked.targets or [0, 1])
            ],
            "pool_places": lambda *_: [(rank, index) for rank in (2, 0, 1) for index in (0, 1)],
            "container_query": lambda *_: {
                "handles": 2,
                "created": 1 << 60,
                "opened": 1 << 61,
                "healthy": True,
                "owner": self.owner[0],
                "group": self.owner[1],
            },
            "container_get_acl": lambda *_: {"entries": self.acl, "owner": self.owner[0], "group": self.owner[1]},
            "container_overwrite_acl": lambda _, asked: self._set(asked.entries),
            "container_update_acl": lambda _, asked: self._set([*self.acl, *asked.entries]),
            "container_delete_acl": lambda *_: self._set(self.acl[:1]),
            "container_set_owner": lambda *_: None,
            "container_evict": lambda *_: 1,
            "container_remove": _remove,
        }

    def _set(self, entries: list[str]) -> None:
        self.acl = entries

    def _pool(self, core: PoolFake | ContainerFake, asked: Asked) -> dict[str, object]:
        return {
            "uuid": core.uuid,
            "label": core.label,
            "version": 3,
            "leader": 1,
            "services": [0, 1, 2],
            "targets": 6,
            "active": 6 - self.disabled,
            "disabled": self.disabled,
            "enabled_ranks": [0, 1] if self.disabled else [0, 1, 2],
            "disabled_ranks": [2] if self.disabled else [],
            "dead_ranks": [],
            "degraded": bool(self.disabled),
            "self_heal": "exclude",
            "tiers": [TIER] if asked.space else [],
        }


def _remove(core: PoolFake | ContainerFake, asked: Asked) -> None:
    assert isinstance(core, PoolFake)
    core.container_destroy(asked.container)


class FakeEngines:
    """Stands for `daos.client._probe.Engines`: rank 2 does not answer."""

    def __init__(self, system: str = "", *, timeout: float = 60.0) -> None:
        assert timeout > 0
        engines = {0: "10.0.0.1:20000", 1: "10.0.0.2:20000", 2: "10.0.0.3:20000"}
        self.info = SimpleNamespace(
            name=system or "daos_server", provider="ofi+tcp", agent="/run/agent", engines=engines, ms_ranks=(0,)
        )
        self.pinged: list[tuple[int, int]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def probe(self, rank: int) -> SimpleNamespace:
        if rank not in self.info.engines:
            raise NotFoundError(f"there is no rank {rank}")
        if rank == 2:
            raise AccessError("the engine does not believe you")
        return SimpleNamespace(ping=lambda *sizes: self.pinged.append(sizes))
