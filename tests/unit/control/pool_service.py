"""A pool's service on one replica, for tests."""

from __future__ import annotations

from typing import TypeVar
from uuid import UUID

import msgspec
import pytest

from daos.control.outbox import Effect
from daos.control.outcomes import SECOND, Outcome, RequestId
from daos.control.pool.container_create import ContainerCreate
from daos.control.pool.container_open import ContainerOpen, Opened
from daos.control.pool.create import CreatePool
from daos.control.pool.effects import CreateContainerShards
from daos.control.pool.handles import Connect, Connected
from daos.control.pool.service import POOL
from daos.control.pool.state import PoolState
from daos.control.replicated import AnyCommand, Confirm, Replica, encode_entry
from daos.control.system.effects import PoolRank
from daos.errors import DaosError
from daos.model.acl import Access, Credential
from daos.model.pool_properties import pool_properties

T = 1000 * SECOND
ALICE = Credential("alice@", "users@", (), "node1")
BOB = Credential("bob@", "bobs@", ("users@",), "node2")
CAROL = Credential("carol@", "carols@", (), "node3")
R = TypeVar("R")


def uuid(number: int) -> str:
    return str(UUID(int=number))


class PoolService:
    """The service of a pool of Alice's and her group's, on some ranks of two targets."""

    def __init__(
        self,
        ranks: int = 4,
        *,
        acl: tuple[str, ...] = ("A::OWNER@:rwd", "A:G:GROUP@:rw"),
        rd_fac: int = 1,
        created: bool = True,
    ) -> None:
        self.replica = Replica(POOL)
        self.time = self.stamp = T
        self.outcomes: dict[int, Outcome] = {}
        self.handles = 9
        if not created:
            return
        self.ok(
            CreatePool(
                uuid=uuid(1),
                label="tank",
                ranks=tuple(PoolRank(rank=rank, domain=(f"host{rank}",), targets=2) for rank in range(ranks)),
                properties=pool_properties({"rd_fac": rd_fac}, domains=ranks),
                acl=acl,
                owner="alice@",
                group="users@",
            )
        )
        self.settle()

    @property
    def state(self) -> PoolState:
        return self.replica.state

    def apply(self, command: AnyCommand, request: RequestId | None = None) -> None:
        applied = self.replica.apply(self.replica.index + 1, encode_entry(POOL, self.time, command, request))
        self.outcomes |= {answer.request.stamp: answer.outcome for answer in applied.answers}
        self.state.check()

    def ask(self, command: AnyCommand) -> int:
        self.stamp += 1
        self.apply(command, RequestId("me", self.stamp))
        return self.stamp

    def ok(self, command: AnyCommand) -> Outcome:
        outcome = self.outcomes[self.ask(command)]
        outcome.check()
        return outcome

    def value(self, command: AnyCommand, result: type[R]) -> R:
        return self.ok(command).value(result)

    def refused(self, command: AnyCommand) -> DaosError:
        """Return what a command is refused with; it must have changed nothing."""
        before = self.stable()
        outcome = self.outcomes[self.ask(command)]
        assert self.stable() == before
        with pytest.raises(DaosError) as caught:
            outcome.check()
        return caught.value

    def stable(self) -> bytes:
        names = [name for name in self.state.__struct_fields__ if name not in ("time", "outcomes")]
        return msgspec.msgpack.encode([getattr(self.state, name) for name in names])

    def works(self, kind: type[Effect]) -> list[tuple[list[int], Effect]]:
        return [(w.ranks, w.effect) for w in self.state.outbox.works.values() if isinstance(w.effect, kind)]

    def settle(self, kind: type[Effect] = Effect, failed: dict[int, int] | None = None) -> None:
        """Have all ranks report on the effects of a kind."""
        for number, work in list(self.state.outbox.works.items()):
            if isinstance(work.effect, kind):
                done = tuple(rank for rank in work.ranks if rank not in (failed or {}))
                self.apply(Confirm(work=number, done=done, failed=failed or {}))

    def connect(self, credential: Credential = ALICE, access: Access = Access.READ_WRITE) -> str:
        self.handles += 1
        self.value(Connect(handle=uuid(self.handles), credential=credential, access=access), Connected)
        return uuid(self.handles)

    def container(self, handle: str, number: int = 100, **changes: object) -> str:
        create = ContainerCreate(**({"handle": handle, "uuid": uuid(number)} | changes))  # type: ignore[arg-type]
        asked = self.ask(create)
        self.settle(CreateContainerShards)
        self.outcomes[asked].check()
        return uuid(number)

    def open(self, handle: str, container: str, access: Access = Access.READ_WRITE) -> str:
        self.handles += 1
        self.value(ContainerOpen(handle=handle, container=container, uuid=uuid(self.handles), access=access), Opened)
        return uuid(self.handles)
