"""The main job passes on sound data, fails on a planted fault, and removes nothing that it did not make."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import daos
from daos import _demo, _demo_files, _demo_load, _demo_mask
from daos._demo import QUICK, Demo, Plan, Row
from daos._demo_files import Facts, FactStore, FileStore
from daos._demo_load import Killed, Note
from daos._demo_mask import Mask, Patch
from daos.cli import _main

SMALL = Plan("quick", 60, 5, 3, 8, (3, 6))


@pytest.fixture
def store() -> Iterator[FileStore]:
    with daos.open(":memory:") as pool:
        yield FileStore(pool.container("tree", create=True), create=True)


def test_the_quick_demo_passes_and_its_last_line_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _main.run(["demo", "--quick"], None) == 0
    *_, passed, command = capfd.readouterr().out.splitlines()
    assert passed.startswith("passed in ")
    assert _main.run(command.split()[1:], None) == 0
    # Which file it shows depends on how far the second load came before it was killed.
    assert capfd.readouterr().out.strip()


def test_json_tells_the_steps_and_a_second_run_starts_afresh(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.daos"
    with daos.open(path, pool="demo") as pool:
        pool.container("tree", create=True).kv("files", create=True)["former"] = b"x"
    assert _main.run(["demo", "--quick", "--json", "--path", str(path)], None) == 0
    response = json.loads(capfd.readouterr().out)["response"]
    steps = {row["step"].strip(): row["entries"] for row in response["steps"]}
    assert steps["acknowledged before the kill"] == steps["found after it"] > 0
    assert "demo tree files" in response["next"]
    with daos.open(path, pool="demo", create=False) as pool:
        assert "former" not in pool.container("tree").kv("files")


def drain(demo: Demo, when: str, plant: Callable[[Demo], None]) -> None:
    """Run a demo to its end, with a fault planted when a step is done."""
    for row in demo.steps():
        if row.step.startswith(when):
            plant(demo)


def wrong_sum(demo: Demo) -> None:
    # Of one that is neither changed nor removed later, however many files there are.
    stays = [key for nth, key in enumerate(demo.head.files) if nth % 3 and nth % 10 != 1]
    demo.head.files[stays[-1]] = "0" * 64


def never_stored(demo: Demo) -> None:
    demo.head.files["absent"] = "0" * 64


def unexpected(demo: Demo) -> None:
    del demo.head.files[max(demo.head.files)]


def wrong_facts(demo: Demo) -> None:
    demo.head.facts[max(demo.head.facts)] = "0" * 64


def wrong_mask(demo: Demo) -> None:
    demo.head.mask_sum = "0" * 64


def wrong_cell(demo: Demo) -> None:
    assert demo.mask is not None
    demo.mask.cells[-1] ^= 1


def wrong_file_before(demo: Demo) -> None:
    demo.before.files[max(demo.before.files)] = "0" * 64


def wrong_facts_before(demo: Demo) -> None:
    demo.before.facts[max(demo.before.facts)] = "0" * 64


def wrong_mask_before(demo: Demo) -> None:
    demo.before.mask_sum = "0" * 64


@pytest.mark.parametrize(
    ("when", "plant", "message"),
    [
        ("KV: load every file", wrong_sum, "reads as"),
        ("KV: remove", wrong_sum, "python/.* reads as [0-9a-f]{64}, stored was 0{64}"),
        ("KV: remove", never_stored, "absent reads as nothing"),
        ("KV: remove", unexpected, "python/.* is there, and should not be"),
        ("KV: remove", wrong_facts, "the facts of .* reads as [0-9a-f]{64}, stored was 0{64}"),
        ("KV: remove", wrong_mask, "the mask reads as"),
        ("KV: remove", wrong_file_before, "python/.* reads as [0-9a-f]{64}, stored was 0{64}"),
        ("KV: remove", wrong_facts_before, "the facts of .* reads as"),
        ("KV: remove", wrong_mask_before, "the mask reads as"),
        ("open it again", wrong_sum, "after the kill python/.* reads as"),
        ("second load", wrong_cell, "the mask reads as"),
        ("  in flight", wrong_mask_before, "the mask reads as"),
    ],
)
def test_a_planted_fault_is_found(tmp_path: Path, when: str, plant: Callable[[Demo], None], message: str) -> None:
    with pytest.raises(daos.CorruptionError, match=message) as caught:
        drain(Demo(tmp_path / "x.daos", SMALL), when, plant)
    assert caught.value.code is daos.DER.CSUM


def tell(path: Path, lie: str) -> Killed:
    """Kill no load, and tell of something that was never stored, or stored otherwise."""
    with daos.open(path, pool="demo", create=False) as pool:
        container = pool.container("tree")
        first = next(iter(FileStore(container).files))
        described = str(next(FactStore(container).object.dkeys()))
    return {
        "absent": Killed(1, files={"absent": "0" * 64}),
        "other": Killed(1, files={first: "0" * 64}),
        "facts": Killed(1, facts={described: "0" * 64}),
        "no facts": Killed(1, facts={"absent": "0" * 64}),
        "cells": Killed(1, patches=[Patch(100, 2000, 77)]),
    }[lie]


@pytest.mark.parametrize("lie", ["absent", "other", "facts", "no facts", "cells"])
def test_a_lost_acknowledgement_fails_the_tool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], lie: str
) -> None:
    monkeypatch.setattr(_demo, "load_and_kill", lambda path, _: tell(path, lie))
    monkeypatch.setattr("daos.cli.demo.QUICK", SMALL)
    assert _main.run(["demo", "--quick", "--path", str(tmp_path / "x.daos")], None) == 1
    errors = capfd.readouterr().err
    assert errors.startswith("ERROR: daos: after the kill ")
    assert "DER_DATA_LOSS" in errors


def test_a_parent_hears_what_is_acknowledged() -> None:
    killed, cells = Killed(), [Patch(0, 3, 2), Patch(1, 4, 3)]
    for number, patch in enumerate(cells):
        killed.hear(Note({"a": f"{number}"}, {"a": f"f{number}"}, patch))
        if number == 0:
            killed.hear(Note())
    assert (killed.batches, killed.files, killed.facts, killed.patches) == (1, {"a": "0"}, {"a": "f0"}, cells[:1])
    assert killed.in_flight == Note({"a": "1"}, {"a": "f1"}, cells[1])


def test_a_write_that_was_cut_off_leaves_old_and_new_cells_only() -> None:
    with daos.open(":memory:") as pool:
        array = pool.container("tree", create=True).array("mask", "u1", create=True)
        mask = Mask(np.arange(9, dtype=np.uint8), 3)
        array[:] = [0, 1, 2, 77, 77, 5, 6, 7, 8]
        assert mask.adopt(array, Patch(2, 6, 77)) == 2
        assert mask.cells.tolist() == array[:].tolist()
        array[4] = 9
        with pytest.raises(daos.CorruptionError, match="cell 4 of the mask is neither old nor new"):
            mask.adopt(array, Patch(3, 9, 77))


def test_patches_lie_within_the_array() -> None:
    for size in (9, 129_600, 103_680_000):
        patches = [_demo_mask.patch(number, size) for number in range(300)]
        assert all(0 <= patch.start < patch.stop <= size and 3 <= patch.value < 256 for patch in patches)


@pytest.mark.parametrize("data", [b"", b"no end", b"one\n", b"a\nbb\n\nccc"])
def test_facts_come_back_and_grow(data: bytes) -> None:
    with daos.open(":memory:") as pool:
        facts = FactStore(pool.container("tree", create=True), create=True)
        assert facts.read("x") is None
        former, later = Facts.of(data), Facts.of(data + b"\n# more\n")
        facts.put("x", former)
        found = facts.read("x")
        assert found is not None
        assert found.sum() == former.sum()
        facts.put("x", later, former.starts.size)
        found = facts.read("x")
        assert found is not None
        assert found.sum() == later.sum() != former.sum()
        assert found.starts.tolist()[-2:] == [len(data) + 1, len(data) + 8]


def test_a_load_that_ends_by_itself_is_no_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(daos.UnavailableError, match=r"ended after 0 of \d batches: status 1"):
        _demo_load.load_and_kill(tmp_path, SMALL)
    monkeypatch.setattr(sys, "executable", "/bin/true")
    monkeypatch.setattr(_demo_load, "CHILD_SECONDS_MAX", 0.2)
    with pytest.raises(daos.UnavailableError, match="status 0"):
        _demo_load.load_and_kill(tmp_path, SMALL)


def test_a_load_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = tmp_path / "hangs"
    hangs.write_text("#!/bin/sh\nexec sleep 50\n")
    hangs.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(hangs))
    monkeypatch.setattr(_demo_load, "CHILD_SECONDS_MAX", 0.2)
    with pytest.raises(daos.UnavailableError, match="longer than"):
        _demo_load.load_and_kill(tmp_path, SMALL)


def make(path: Path, kind: str) -> None:
    """Put something foreign at a path."""
    if kind == "file":
        path.write_text("precious")
    elif kind == "folder":
        path.mkdir()
        (path / "precious").write_text("x")
    elif kind == "link":
        with daos.open(path.with_name("target"), pool="demo"):
            path.symlink_to(path.with_name("target"))
    else:
        with daos.open(path, pool="demo" if kind == "container" else "default") as pool:
            pool.container("precious", create=True)


@pytest.mark.parametrize("kind", ["file", "folder", "link", "pool", "container"])
def test_what_is_not_ours_stays(tmp_path: Path, capfd: pytest.CaptureFixture[str], kind: str) -> None:
    path = tmp_path / "x.daos"
    make(path, kind)
    before = sorted(tmp_path.rglob("*"))
    assert _main.run(["demo", "--quick", "--path", str(path)], None) == 1
    assert sorted(tmp_path.rglob("*")) == before
    errors = capfd.readouterr().err
    assert f"{path} is there already, and was not made by the demo" in errors
    assert "--path" in errors


def test_a_system_in_use_stays(tmp_path: Path) -> None:
    path = tmp_path / "x.daos"
    with daos.open(path, pool="demo"), pytest.raises(daos.BusyError):
        _demo.clear(path)
    _demo.clear(path)
    assert not path.exists()
    path.mkdir()
    _demo.clear(path)


def test_the_demo_goes_on_without_the_mask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    rows = {row.step: row for row in Demo(tmp_path / "x.daos", SMALL).steps()}
    assert "pip install global-land-mask" in rows["array: write the Earth's land mask"].note
    assert "array: overwrite parts of it" not in rows
    assert rows["  found after it"].note == "nothing acknowledged is lost"


def test_files_of_all_kinds_come_back(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_demo_files, "PART_BYTES", 10)
    files = {
        "empty": b"",
        "short": b"0123456789",
        "long": os.urandom(101),
        "manifest": _demo_files.MAGIC[:10],
        "forged": _demo_files.MAGIC + b"{",
    }
    store.put(list(files.items()))
    assert dict(store.read([*files, "absent"])) == {**files, "absent": None}
    count = len(store.parts)
    store.put([("long", files["long"])])
    assert len(store.parts) == count
    store.put([("long", b"short now")])
    assert len(store.parts) == count - 11
    store.remove("forged")
    assert len(store.parts) == 0
    assert dict(store.read(["forged", "long"])) == {"forged": None, "long": b"short now"}


def test_a_lost_part_is_told(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_demo_files, "PART_BYTES", 10)
    store.put([("long", bytes(25))])
    store.parts.remove(list(store.parts)[1])
    with pytest.raises(daos.DataLossError, match=r"long@.*/00001 is not there"):
        store.read(["long"])


def test_a_tree_has_sources_and_no_caches(tmp_path: Path) -> None:
    for name in ("a.py", "b/.git/x", "b/__pycache__/x", "b/c", ".ruff_cache/x", "old.daos/x"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "link").symlink_to("a.py")
    assert [key for key, _ in _demo_files.walk(tmp_path, "p")] == ["p/a.py", "p/b/c"]
    files = _demo_files.tree(QUICK.files_max)
    assert len(files) <= QUICK.files_max
    assert {key.partition("/")[0] for key in files} == {"daos", "python"}
    (tmp_path / "a.py").unlink()
    assert list(_demo_files.contents({"gone": tmp_path / "a.py", "there": tmp_path / "b/c"}, "m")) == [
        ("there", b"x\n# m\n")
    ]


def test_a_line_of_the_table() -> None:
    assert Row("do", 1000, 2_000_000, 0.5, "x").text().split() == ["do", "1,000", "2.0", "0.50", "4.0", "2,000", "x"]
    assert Row("do", note="x").text().split() == ["do", "x"]


@pytest.mark.timeout(180)
def test_the_same_passes_on_servers_and_leaves_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "system"
    assert _main.run(["demo", "--quick", "--served", "--path", str(path)], None) == 0
    out = capfd.readouterr().out
    assert "[0-2] Joined" in out
    assert out.splitlines()[-2].startswith("passed in ")
    assert not path.exists()
    path.mkdir()
    (path / "mine").touch()
    assert _main.run(["demo", "--quick", "--served", "--path", str(path)], None) == 1
    assert (path / "mine").exists()
