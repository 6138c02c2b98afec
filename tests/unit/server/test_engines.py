"""Engines as processes: started, ended by force if need be, told apart, and left without orphans."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path

import pytest

from daos import errors
from daos.control.system.members import Join, Joined
from daos.errors import DER
from daos.local import Channel, EngineOptions, Event, Method, Placed, Ready, connect, listen
from daos.model.members import MemberState
from daos.server import engines, storage, superblock
from daos.server.engines import Engine, EngineState, join_uri, split_uri
from daos.server.superblock import Superblock
from tests.unit.server.fakes import engine_settings, server_settings


class Owner:
    """A server that joins whoever asks, as rank 5, unless it refuses."""

    def __init__(self) -> None:
        self.joins: list[Join] = []
        self.reports: list[tuple[int, MemberState, str]] = []
        self.events: list[str] = []
        self.copy: errors.DaosError | None = None
        self.refusal: errors.DaosError | None = None

    async def join(self, command: Join) -> Joined:
        self.joins.append(command)
        if self.refusal is not None:
            raise self.refusal
        return Joined(rank=5, state=MemberState.JOINED, version=1)

    async def report(self, rank: int, incarnation: int, state: MemberState, reason: str) -> None:
        self.reports.append((rank, state, reason))

    def check_single(self, engine: Engine) -> None:
        if self.copy is not None:
            raise self.copy

    def tell(self, event: Event, *, pid: int = 0, incarnation: int = 0) -> None:
        self.events.append(event.id)


def make(path: Path, script: str, *, formatted: bool = True, restart: bool = False) -> tuple[Engine, Owner]:
    mount = path / "scm"
    settings = engine_settings(
        mount,
        targets=2,
        port=20000,
        environment=(("OWN", "yes"),),
        pass_through=("PASSED",),
        log_file=path / "engine.log",
    )
    server = server_settings(path, settings, domain=("host",), restart_min_s=0.1, restart=restart)
    if formatted:
        storage.format_engine(settings, system="s", domain=("host",))
    owner = Owner()
    return Engine(settings, server, owner, command=(sys.executable, "-c", script)), owner


def run(work: Coroutine[object, object, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 30))


async def until(engine: Engine, state: EngineState) -> None:
    while engine.state is not state:
        await asyncio.sleep(0.01)


async def reported(owner: Owner) -> None:
    while not owner.reports:
        await asyncio.sleep(0.01)


SLEEP = "import time; open('{path}/up', 'w').close(); time.sleep(100)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEP


async def up(path: Path) -> None:
    while not (path / "up").exists():
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("force", [False, True])
def test_one_that_hears_nothing_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, force: bool) -> None:
    monkeypatch.setattr(engines, "STOP_S_MAX", 30.0 if force else 0.2)
    engine, owner = make(tmp_path, DEAF.format(path=tmp_path))

    async def main() -> None:
        await engine.start()
        await up(tmp_path)
        pid = engine.pid
        await engine.stop(force=force)
        assert engine.state is EngineState.STOPPED
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        await engine.stop()
        assert owner.events == []
        assert owner.reports == []

    run(main())


def test_one_that_waits_for_a_format_is_not_started(tmp_path: Path) -> None:
    engine, owner = make(tmp_path, "raise SystemExit(1)", formatted=False)

    async def main() -> None:
        await engine.start()
        assert engine.state is EngineState.AWAIT_FORMAT
        assert owner.events == ["engine_format_required"]
        with pytest.raises(errors.UnavailableError, match="not formatted"):
            await engine.start_and_join()
        assert [result.error for result in await engine.format(force=False, replace=False)] == [None]
        assert engine.block is not None

    run(main())


def test_what_cannot_be_started_is_told(tmp_path: Path) -> None:
    engine, owner = make(tmp_path, "")
    engine._command = (str(tmp_path / "absent"),)

    async def main() -> None:
        with pytest.raises(errors.UnavailableError, match="cannot start"):
            await engine.start_and_join()
        assert engine.state is EngineState.ERRORED
        assert owner.events == ["engine_died"]
        await engine.stop()

    run(main())


def test_the_engine_gets_its_options_and_no_more_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSED", "along")
    monkeypatch.setenv("SECRET", "kept")
    script = (
        "import json, os, sys\n"
        f"json.dump([json.load(sys.stdin), dict(os.environ)], open('{tmp_path}/got', 'w'))\n"
        f"os.rename('{tmp_path}/got', '{tmp_path}/up')\n"
        "import time; time.sleep(100)"
    )
    engine, _ = make(tmp_path, script)

    async def main() -> None:
        await engine.start()
        await up(tmp_path)
        await engine.stop()

    run(main())
    document, environment = json.loads((tmp_path / "up").read_text())
    options = EngineOptions.parse(json.dumps(document).encode())
    assert engine.block is not None
    assert (options.uuid, options.system, options.port, options.targets, options.capacity) == (
        engine.block.uuid,
        "s",
        20000,
        2,
        (1 << 30, 0),
    )
    assert options.tiers[0].directory == str(tmp_path / "scm")
    assert (environment["PASSED"], environment["OWN"]) == ("along", "yes")
    assert "SECRET" not in environment


def test_storage_of_another_system_is_refused(tmp_path: Path) -> None:
    engine, _ = make(tmp_path, "")
    engine._server = replace(engine._server, system="other")

    async def main() -> None:
        with pytest.raises(errors.InvalidError, match="belongs to the system s"):
            await engine.start()
        assert engine.state is EngineState.ERRORED

    run(main())


def test_a_running_engine_is_neither_formatted_nor_erased(tmp_path: Path) -> None:
    engine, _ = make(tmp_path, SLEEP.format(path=tmp_path))

    async def main() -> None:
        await engine.start()
        with pytest.raises(errors.BusyError):
            await engine.erase()
        (result,) = await engine.format(force=True, replace=False)
        assert isinstance(result.error, errors.BusyError)
        await engine.stop()
        await engine.erase()
        assert engine.state is EngineState.AWAIT_FORMAT

    run(main())


class Placing:
    """A server's socket, for an engine that is this process or a child."""

    def __init__(self, path: Path, engine: Engine) -> None:
        self.path, self.engine = path, engine

    async def ready(self, channel: Channel, ready: Ready) -> Placed:
        return await self.engine.on_ready(channel, ready)

    async def listen(self) -> None:
        self.listener = await listen(self.path / "s", {"ready": Method.of(Ready, self.ready)})


CHILD = """
import asyncio, os, sys, json
from pathlib import Path
from daos.local import Ready, Placed, connect
async def main():
    options = json.load(sys.stdin)
    channel = await connect(Path("{path}/s"), {{}})
    ready = Ready(pid=os.getpid(), incarnation=7, uuid=options["uuid"], uri="a:1", targets=("a:2", "a:3"),
                  capacity=(1, 2), domain=("host",))
    print(await channel.call("ready", ready, Placed, timeout_s=30), flush=True)
    await channel.ended.wait()
asyncio.run(main())
"""


def test_it_joins_gets_its_rank_and_dies_as_told(tmp_path: Path) -> None:
    engine, owner = make(tmp_path, CHILD.format(path=tmp_path))
    placing = Placing(tmp_path, engine)

    async def main() -> None:
        await placing.listen()
        await engine.start_and_join()
        (join,) = owner.joins
        assert (join.uri, join.targets, join.rank, join.incarnation) == ("a:1,a:2,a:3", 2, None, 7)
        assert engine.rank == 5
        assert "rank: 5" in (tmp_path / "scm" / "superblock").read_text()
        await engine.start_and_join()  # it runs on; the system may have thought otherwise
        assert len(owner.joins) == 2
        assert owner.joins[1].rank == 5
        os.kill(engine.pid, signal.SIGKILL)
        await until(engine, EngineState.ERRORED)
        await reported(owner)
        assert owner.reports == [(5, MemberState.ERRORED, "killed by SIGKILL")]
        with pytest.raises(errors.UnavailableError) as absent:
            await engine.call("space", b"\xc0", timeout_s=1)
        assert absent.value.code is DER.UNREACH
        await engine.stop()
        await placing.listener.close()

    run(main())


def test_one_that_is_refused_asks_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "JOIN_AGAIN_S", 0.05)
    engine, owner = make(tmp_path, CHILD.format(path=tmp_path))
    owner.refusal = errors.UnavailableError("excluded", code=DER.EXCLUDED)
    placing = Placing(tmp_path, engine)

    async def main() -> None:
        await placing.listen()
        await engine.start()
        while len(owner.joins) < 3:
            await asyncio.sleep(0.01)
        assert owner.events == ["engine_join_failed"]  # once, however often it asks
        owner.refusal = None
        await until(engine, EngineState.JOINED)
        await engine.stop()
        await placing.listener.close()

    run(main())


def test_one_that_never_joined_says_nothing_of_its_rank(tmp_path: Path) -> None:
    """Its storage may be a copy: that it ends says nothing of the engine that has the rank."""
    engine, owner = make(tmp_path, CHILD.format(path=tmp_path))
    block = Superblock(uuid="8c2f5e3a-1111-4222-8333-944455556666", system="s", rank=5)
    superblock.write(tmp_path / "scm", block)
    owner.refusal = errors.ExistsError("rank 5 runs at node2:1", hint="one is a copy")
    placing = Placing(tmp_path, engine)

    async def main() -> None:
        await placing.listen()
        await engine.start()
        await until(engine, EngineState.READY)
        while not owner.events:
            await asyncio.sleep(0.01)
        assert not engine.placed
        os.kill(engine.pid, signal.SIGKILL)
        await until(engine, EngineState.ERRORED)
        await asyncio.sleep(0)
        assert owner.events == ["engine_join_failed", "engine_died"]
        assert owner.reports == []
        await engine.stop()
        await placing.listener.close()

    run(main())


def test_one_that_left_its_channel_and_lives_on_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "LEFT_S_MAX", 0.1)
    leaving = CHILD.replace("await channel.ended.wait()", "await channel.close()\n    await asyncio.sleep(100)")
    engine, owner = make(tmp_path, leaving.format(path=tmp_path))
    placing = Placing(tmp_path, engine)

    async def main() -> None:
        await placing.listen()
        await engine.start()
        await until(engine, EngineState.ERRORED)
        await reported(owner)
        assert owner.reports == [(5, MemberState.ERRORED, "killed by SIGKILL")]
        await engine.stop()
        await placing.listener.close()

    run(main())


def test_another_process_is_not_the_engine(tmp_path: Path) -> None:
    engine, owner = make(tmp_path, SLEEP.format(path=tmp_path))
    placing = Placing(tmp_path, engine)

    async def main() -> None:
        await placing.listen()
        await engine.start()
        await up(tmp_path)
        channel = await connect(tmp_path / "s", {})
        assert engine.block is not None
        ready = Ready(
            pid=engine.pid,
            incarnation=1,
            uuid=engine.block.uuid,
            uri="a:1",
            targets=("a:2",),
            capacity=(1, 1),
            domain=("h",),
        )
        with pytest.raises(errors.InvalidError, match="is not engine 0"):
            await channel.call("ready", ready, Placed, timeout_s=5)
        assert owner.joins == []
        await channel.close()
        await engine.stop()
        await placing.listener.close()

    run(main())


def test_addresses_of_an_engine_are_one_text() -> None:
    assert split_uri(join_uri("a:1", ("a:2", "a:3"))) == ("a:1", ("a:2", "a:3"))
    assert split_uri("a:1") == ("a:1", ())
