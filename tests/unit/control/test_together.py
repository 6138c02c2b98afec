"""The system service and a pool's service, and between them what a host does."""

from __future__ import annotations

import pytest

from daos.control.pool.from_system import command_of
from daos.control.replicated import Confirm
from daos.control.system.effects import (
    CreateShards,
    DestroyShards,
    PrepareDestroy,
    RelabelPool,
    ResumePool,
    StartService,
    SystemEffect,
)
from daos.control.system.pool_destroy import PoolDestroy, PoolRelabel
from daos.errors import DER, InternalError
from tests.unit.control.pool_service import PoolService
from tests.unit.control.test_system import System, uuid

TO_POOL = (StartService, PrepareDestroy, ResumePool, RelabelPool)


class Both:
    """A system of four ranks with one pool."""

    def __init__(self) -> None:
        self.system = System(4)
        self.pool = PoolService(created=False)
        self.asked = self.system.ask(self.system.create(label="tank", acl=("A::OWNER@:rwd",)))
        self.system.finish(CreateShards)
        self.host()

    def host(self) -> None:
        """Have the leader of the pool's service do what it is asked to, until nothing is left to do."""
        while True:
            works = self.system.state.outbox.works.items()
            todo = [(number, work) for number, work in works if isinstance(work.effect, TO_POOL)]
            if not todo:
                return
            number, work = todo[0]
            assert isinstance(work.effect, SystemEffect)
            code = self.pool.outcomes[self.pool.ask(command_of(number, work.effect))].code
            done, failed = ((), {work.ranks[0]: code}) if code else (tuple(work.ranks), {})
            self.system.apply(Confirm(work=number, done=done, failed=failed), None)

    def destroy(self, *, force: bool = False, recursive: bool = False) -> int | None:
        """Return what destroying the pool was refused with; None if it goes."""
        asked = self.system.ask(PoolDestroy(pool="tank", force=force, recursive=recursive))
        self.host()
        return self.system.outcomes[asked].code if asked in self.system.outcomes else None


def test_the_life_of_a_pool() -> None:
    both = Both()
    system, pool = both.system, both.pool
    assert system.outcomes[both.asked].code == 0
    assert (pool.state.uuid, pool.state.label, pool.state.map.in_use()) == (uuid(1), "tank", [0, 1, 2, 3])
    assert pool.state.properties["rd_fac"] == 3
    system.ok(PoolRelabel(pool="tank", label="lake"))
    system.ok(PoolRelabel(pool="lake", label="tank"))
    both.host()
    assert pool.state.label == "tank"
    handle = pool.connect()
    pool.container(handle)
    assert both.destroy() == DER.EXIST
    assert both.destroy(force=True) == DER.EXIST
    assert both.destroy(recursive=True) == DER.BUSY
    assert not pool.state.frozen, "it was resumed"
    pool.connect()
    assert both.destroy(force=True, recursive=True) is None
    assert (pool.state.frozen, pool.state.handles) == (True, {})
    system.finish(DestroyShards)
    assert system.state.pools == {}


def test_other_effects_are_not_the_pool_service_s() -> None:
    with pytest.raises(InternalError, match="DestroyShards"):
        command_of(1, DestroyShards(subject=uuid(1), tiers=(1, 1)))
