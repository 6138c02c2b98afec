"""A process of many threads is killed, and what it was told is there: two short rounds of `make torture`."""

from __future__ import annotations

from pathlib import Path

import pytest

import daos
from tools import kill_rounds
from tools.kill_rounds import WRITERS, LossError, one_round, verify


def test_what_was_told_is_there_and_a_loss_would_be_seen(tmp_path: Path) -> None:
    path = str(tmp_path / "x.daos")
    told = dict.fromkeys(WRITERS, -1)
    rounds = 0
    # Two, and more where the machine is so busy that some writers have told nothing yet.
    while rounds < 2 or (min(told.values()) < 0 and rounds < 20):
        one_round(path, told, (0.3, 0.1)[rounds % 2])
        rounds += 1
    assert min(told.values()) >= 0, told
    verify(path, dict(told), told)
    # The checks can fail: of each kind a change that is not there, and one that is torn.
    for name in WRITERS:
        with pytest.raises(LossError, match=r"told of|not there"):
            verify(path, {**told, name: told[name] + 40}, told)
    with daos.open(path) as pool:
        cont = pool.container("c")
        cont.kv("left", keys="int")[3] = b"1000000"
    with pytest.raises(LossError, match="half there"):
        verify(path, dict(told), told)


@pytest.mark.parametrize("status", [0, 1])
def test_the_command_tells_how_it_went(
    status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def lost(*_: object) -> None:
        raise LossError("key 3: told of 8, found 7")

    if status:
        monkeypatch.setattr(kill_rounds, "verify", lost)
    assert kill_rounds.main(["--rounds", "1", "--seed", "5"]) == status
    text = capsys.readouterr().out
    assert text.startswith("seed 5\n")
    assert ("key 3: told of 8" in text) == bool(status)
    assert ("nothing lost" in text) != bool(status)
