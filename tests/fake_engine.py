"""An engine that keeps its shards in a JSON file: it speaks the local channel as `daos_engine` does.

It is started as `python tests/fake_engine.py`, with the options on standard input. Files in its metadata's directory
make it fail: `fail.json` maps an effect's tag to the code that it fails with; an effect of which `slow.json` has the
tag takes until it has it no more; `refuse_start` makes it end before it is ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import msgspec

from daos.control.outcomes import RequestId
from daos.control.pool import queries
from daos.control.pool.from_system import command_of
from daos.control.pool.service import POOL
from daos.control.pool.state import PoolState
from daos.control.replicated import AnyCommand, Replica, encode_entry
from daos.control.system import effects
from daos.errors import DER, InvalidError, NotFoundError, StaleError, error_from_der
from daos.local import (
    Carry,
    Channel,
    EngineOptions,
    EnginePool,
    LogMasks,
    Members,
    Method,
    Placed,
    PoolAcl,
    PoolInfo,
    PoolRequest,
    PoolTarget,
    Ready,
    Space,
    TierSpace,
    connect,
)
from daos.model.targets import TargetState
from daos.rsvc import Clock, RankFence

EFFECTS = msgspec.msgpack.Decoder(effects.AnyEffect)


SLOW_S_MAX = 50.0
"""No test wants an effect to take longer."""


def tell(path: Path, content: str) -> None:
    """Write a file that others may read at any time: all of it is there, or none."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(content)
    new.replace(path)


class FakeEngine:
    """Shards by pool, and for each pool whose service it leads a replica of one."""

    def __init__(self, options: EngineOptions) -> None:
        self.options = options
        self.metadata = Path(options.metadata)
        self.clock = Clock()
        self.incarnation = self.clock.now()
        self.fence = RankFence(self.metadata / "fence")
        self.rank = options.rank
        self.pools: dict[str, list[int]] = self.read("shards.json")
        self.services: dict[str, list[int]] = self.read("services.json")
        self.replicas: dict[str, Replica[PoolState]] = {}
        for pool in self.services:
            path = self.metadata / f"service.{pool}"
            if path.exists():
                self.replicas[pool] = Replica.restore(POOL, path.read_bytes())
        self.ending = asyncio.Event()

    def read(self, name: str) -> dict:  # type: ignore[type-arg]  # what the file has
        path = self.metadata / name
        return json.loads(path.read_text()) if path.exists() else {}

    def write(self) -> None:
        for name, table in (("shards.json", self.pools), ("services.json", self.services)):
            tell(self.metadata / name, json.dumps(table))

    async def carry(self, channel: Channel, body: Carry) -> None:
        effect = EFFECTS.decode(body.effect)
        tag = str(type(effect).__struct_config__.tag)
        async with self.fence.entered("system", effect.subjects, body.number, body.floor):
            tell(self.metadata / "begun", tag)
            end = time.monotonic() + SLOW_S_MAX
            while tag in self.read("slow.json") and time.monotonic() < end:
                await asyncio.sleep(0.02)
            code = self.read("fail.json").get(tag)
            if code is not None:
                raise error_from_der(code, f"told to fail: {tag}")
            self.carry_out(body.number, effect)

    def carry_out(self, number: int, effect: effects.AnyEffect) -> None:
        if isinstance(effect, effects.CreateShards):
            self.pools[effect.subject] = list(effect.tiers)
        elif isinstance(effect, effects.DestroyShards):
            self.pools.pop(effect.subject, None)
            self.services.pop(effect.subject, None)
            self.replicas.pop(effect.subject, None)
            (self.metadata / f"service.{effect.subject}").unlink(missing_ok=True)
        elif isinstance(effect, effects.StartService):
            self.services[effect.subject] = list(effect.services)
            if self.rank == min(effect.services) and effect.subject not in self.replicas:
                self.replicas[effect.subject] = Replica(POOL)
                self.apply(effect.subject, command_of(number, effect))
        else:
            self.apply(effect.subject.partition("/")[0], command_of(number, effect))
        self.write()

    def apply(self, pool: str, command: AnyCommand, request: RequestId | None = None) -> bytes:
        replica = self.replicas.get(pool)
        if replica is None:
            if pool not in self.services:
                raise StaleError(f"no replica of {pool}", code=DER.NOTREPLICA)
            raise StaleError("another rank leads", code=DER.NOTLEADER, context={"leader": min(self.services[pool])})
        request = request or RequestId("fake", self.clock.now())
        applied = replica.apply(replica.index + 1, encode_entry(POOL, self.clock.now(), command, request))
        (self.metadata / f"service.{pool}").write_bytes(replica.snapshot())
        if not applied.answers:
            raise InvalidError("the fake engine has no effects of its own")
        applied.answers[0].outcome.check()
        return applied.answers[0].outcome.result

    async def pool_request(self, channel: Channel, body: PoolRequest) -> bytes:
        if body.kind == "command":
            command: AnyCommand = msgspec.msgpack.decode(body.arguments, type=POOL.commands)
            return self.apply(body.pool, command, body.request)
        arguments = msgspec.msgpack.decode(body.arguments)
        if body.pool not in self.replicas:
            if body.pool not in self.services:
                raise StaleError("no replica", code=DER.NOTREPLICA)
            raise StaleError("not leader", code=DER.NOTLEADER, context={"leader": min(self.services[body.pool])})
        return msgspec.msgpack.encode(self.query(body.pool, body.name, arguments))

    def query(self, pool: str, name: str, arguments: dict[str, int]) -> object:
        state = self.replicas[pool].state
        if name == "properties":
            return state.properties
        if name == "acl":
            return PoolAcl(entries=state.acl, owner=state.owner, group=state.group)
        tier = TierSpace(media="scm", total=100, free=50, min=10, max=20, mean=15)
        if name == "targets":
            chosen = state.map.chosen(arguments["rank"], None)
            return [PoolTarget(index=nth, state=target.state, tiers=(tier,)) for nth, target in enumerate(chosen)]
        if name != "pool":
            raise NotFoundError(f"no query {name}")
        targets = [target for rank in state.map.ranks.values() for target in rank.targets]
        enabled, disabled, dead = queries.ranks(state)
        return PoolInfo(
            uuid=pool,
            label=state.label,
            version=state.map.version,
            leader=self.rank or 0,
            services=tuple(self.services[pool]),
            targets=len(targets),
            active=sum(target.state is TargetState.UPIN for target in targets),
            disabled=sum(target.state is not TargetState.UPIN for target in targets),
            enabled_ranks=tuple(enabled),
            disabled_ranks=tuple(disabled),
            dead_ranks=tuple(dead),
            degraded=queries.degraded(state),
            self_heal=str(state.properties["self_heal"]),
            tiers=(tier,) if arguments["space"] else (),
        )

    async def members(self, channel: Channel, body: Members) -> None:
        tell(self.metadata / "members.json", msgspec.json.encode(body).decode())

    async def space(self, channel: Channel, body: None) -> Space:
        each = tuple(self.options.capacity[0] // self.options.targets for _ in range(self.options.targets))
        return Space(total=(each,), free=(each,))

    async def list_pools(self, channel: Channel, body: None) -> list[EnginePool]:
        targets = tuple(range(self.options.targets))
        return [EnginePool(uuid=pool, targets=targets, tiers=tuple(tiers)) for pool, tiers in self.pools.items()]

    async def log_masks(self, channel: Channel, body: LogMasks) -> None:
        (self.metadata / "masks").write_text(body.masks)

    async def prepare_shutdown(self, channel: Channel, body: None) -> None:
        (self.metadata / "prepared").touch()

    async def run(self) -> int:
        if (self.metadata / "refuse_start").exists():
            return 3
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.ending.set)
        options = self.options
        methods = {
            "carry": Method.of(Carry, self.carry),
            "members": Method.of(Members, self.members),
            "pool_request": Method.of(PoolRequest, self.pool_request),
            "prepare_shutdown": Method.of(type(None), self.prepare_shutdown),
            "space": Method.of(type(None), self.space),
            "pools": Method.of(type(None), self.list_pools),
            "log_masks": Method.of(LogMasks, self.log_masks),
        }
        channel = await connect(Path(options.socket), methods, timeout_s=10)
        ready = Ready(
            pid=os.getpid(),
            incarnation=self.incarnation,
            uuid=options.uuid,
            rank=options.rank,
            uri=f"{options.address}:{options.port}",
            targets=tuple(f"{options.address}:{options.port + 1 + nth}" for nth in range(options.targets)),
            capacity=options.capacity,
            domain=options.domain,
        )
        placing = asyncio.create_task(channel.call("ready", ready, Placed, timeout_s=120))
        ends = [asyncio.create_task(channel.ended.wait()), asyncio.create_task(self.ending.wait())]
        await asyncio.wait([placing, *ends], return_when=asyncio.FIRST_COMPLETED)
        if placing.done() and not placing.cancelled() and placing.exception() is None:
            self.rank = placing.result().rank
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        for task in (placing, *ends):
            task.cancel()
        await asyncio.gather(placing, *ends, return_exceptions=True)
        await channel.close()
        return 0


async def main() -> int:
    options = EngineOptions.parse(sys.stdin.buffer.read())
    tell(Path(options.metadata) / "pid", f"{os.getpid()} {time.time()}")
    return await FakeEngine(options).run()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(asyncio.run(main()))
