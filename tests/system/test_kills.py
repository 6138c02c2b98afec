"""Daemons are killed under load, and nothing that was acknowledged is lost: a short turn of `make torture-system`."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daos.dev import DevSystem
from tools import system_rounds
from tools.system_rounds import Load, LossError, Told, strike, verify

STALL_S_MAX = 20.0
"""From the end of a strike until all kinds of changes have been acknowledged; on a machine that others share."""


@pytest.fixture(scope="module")
def load(system: DevSystem, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Load]:
    made = Load(system, tmp_path_factory.mktemp("load"), clients=2)
    made.prepare()
    made.start()
    yield made
    made.stop()


@pytest.mark.parametrize("name", ["kill_engine", "pause_engine", "kill_agent", "kill_server", "kill_all"])
def test_work_goes_on_after(name: str, system: DevSystem, load: Load) -> None:
    load.wait_for_all_kinds(time.monotonic())
    stall = strike(system, load, name, random.Random(name))  # noqa: S311 -- chance, no secret
    assert stall < STALL_S_MAX


def test_nothing_that_was_acknowledged_is_lost_and_a_loss_would_be_seen(load: Load, tmp_path: Path) -> None:
    load.stop()
    counted = load.verify()
    assert all(counted.values()), counted
    # Clients ask another replica, or are told that the outcome is unknown: never that an engine ends.
    assert not [error for error in load.errors() if "the engine ends" in error]
    histories = {name: system_rounds.told_of(lines) for name, lines in load.lines().items()}
    verify(histories)
    for kind in ("kv", "array", "transaction", "make", "take"):
        told = histories["c0"][kind]
        more = max(told.ok | told.open) + 64
        histories["c0"][kind] = Told(told.ok | {more}, told.fail, told.open)
        with pytest.raises(LossError, match=r"must be one of|acknowledged"):
            verify(histories)
        histories["c0"][kind] = told
    for kind in ("kv", "make", "take"):
        told = histories["c0"][kind]
        histories["c0"][kind] = Told()
        with pytest.raises(LossError, match=r"must be one of|never"):
            verify(histories)
        histories["c0"][kind] = told


def test_a_history_that_was_cut_and_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "history"
    assert system_rounds.read_history(path) == []
    states = [("kv", 1, "invoke"), ("kv", 1, "ok"), ("kv", 2, "invoke"), ("kv", 2, "unknown"), ("kv", 3, "invoke")]
    lines = [f'{{"kind":"{kind}","number":{number},"state":"{state}","at":1.0}}\n' for kind, number, state in states]
    path.write_text("".join(lines) + '{"kind":"kv","num')
    told = system_rounds.told_of(system_rounds.read_history(path))["kv"]
    assert (told.ok, told.fail, told.open) == ({1}, set(), {2, 3})
    assert told.last() == {1, 2, 3}
    assert told.last(key=0, keys=2) == {-1, 2}, "the acknowledged change is of the other key"
