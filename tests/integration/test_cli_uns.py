"""`--path` of `daos`, and the commands that make such paths: what they print, as text and as JSON."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Protocol

import pytest

import daos
from daos.cli._main import run
from daos.dfs import mount

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Run(Protocol):
    """Runs a command line; returns its status and what it printed."""

    def __call__(self, *words: str, system: str | None = None) -> tuple[int, str, str]: ...


@pytest.fixture
def tool(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return what runs a line that names no system, or with `system` as what the environment says."""

    def call(*words: str, system: str | None = None) -> tuple[int, str, str]:
        status = run(list(words), system)
        out, err = capsys.readouterr()
        return status, UUID.sub("U", out), UUID.sub("U", err)

    call("-S", str(tmp_path / "s.daos"), "pool", "create", "tank")
    return call


@pytest.fixture
def path(tool: Run, tmp_path: Path) -> str:
    """Return a path that stands for a container."""
    where = str(tmp_path / "home")
    done = tool("-S", str(tmp_path / "s.daos"), "cont", "create", "tank", "--type", "POSIX", "--path", where)
    label = r"home-[0-9a-f]{8}"
    assert (done[0], done[2]) == (0, "")
    assert re.fullmatch(
        "Successfully created container U type POSIX\n"
        rf"  Container UUID : U\n  Container Label: {label}\n  Container Type : POSIX\n\n",
        done[1],
    )
    return where


def test_a_path_is_taken_for_pool_and_container(tool: Run, path: str, tmp_path: Path) -> None:
    with mount(path) as fs:
        fs.makedirs("/a")
        fs.write_bytes("/a/f", b"12345")
        label = fs.container.label
    status, text, _ = tool("cont", "query", "--path", path)
    assert (status, f"  Container Label            : {label}\n" in text) == (0, True)
    assert tool("cont", "set-attr", "-p", path, "k:v") == (
        0,
        f'Attributes successfully set on container "{label}"\n',
        "",
    )
    # Words before and after, and a path below.
    assert tool("cont", "get-attr", "k", "--path", f"{path}/a")[1].split()[-2:] == ["k", "v"]
    assert tool("cont", "create-snap", "--path", path, "--snap", "before")[0] == 0
    told = json.loads(tool("fs", "get-attr", "--path", f"{path}/a/f", "-j")[1])["response"]
    assert told["oclass"] == "S1"
    assert json.loads(tool("fs", "get-attr", "--path", f"{path}/a", "-H", "f", "-j")[1])["response"] == told
    assert "Files            : 1\n" in tool("fs", "scan", "--path", path)[1]
    assert tool("fs", "chmod", "--path", f"{path}/a/f", "-m", "0600")[0] == 0
    status, text, _ = tool("fs", "check", "--path", path)
    assert (status, text.splitlines()[0]) == (0, f"checked the file system of container {label}")
    oid = tool("cont", "list-objects", "--path", path)[1].split()[0]
    assert tool("obj", "query", oid, "--path", path)[0] == 0
    url = f"daos://{tmp_path}/s.daos//tank/{label}"
    # What the environment names is about words, not about paths.
    assert tool("cont", "list-attr", "--path", url, system="/nowhere")[0] == 0
    assert tool("-S", f"{tmp_path}/./s.daos", "cont", "list-attr", "--path", path)[0] == 0
    # As of a snapshot, what is read is what there was.
    with mount(path) as fs:
        fs.remove("/a/f")
    assert "Files            : 1\n" in tool("fs", "scan", "--path", f"{url}?snap=before")[1]
    assert "Files            : 0\n" in tool("fs", "scan", "--path", url)[1]


def test_key_value_stores_are_found_by_a_path(tool: Run, tmp_path: Path) -> None:
    where = str(tmp_path / "names")
    assert tool("-S", str(tmp_path / "s.daos"), "cont", "create", "tank", "names", "-p", where)[0] == 0
    assert tool("kv", "put", "--path", where, "params", "lr", "0.1", "--create") == (0, "", "")
    assert tool("kv", "get", "params", "lr", "--path", where) == (0, "0.1", "")
    assert tool("fs", "scan", "--path", where)[2].startswith("ERROR: daos: container names is of type PYTHON")


def test_a_link_is_made_and_destroyed(tool: Run, path: str, tmp_path: Path) -> None:
    other = str(tmp_path / "other")
    with mount(path) as fs:
        label = fs.container.label
    system = str(tmp_path / "s.daos")
    assert tool("cont", "link", "tank", label, "--path", other, system=system) == (
        0,
        f"Successfully linked container {label} to {other}\n",
        "",
    )
    assert os.getxattr(other, "user.daos") == os.getxattr(path, "user.daos")
    assert tool("cont", "link", "tank", label, "-p", other, system=system) == (
        1,
        "",
        f"ERROR: daos: there is a {other}: DER_EXIST(-1004): Entity already exists\n"
        "hint: it stands for a container; daos container destroy --path removes both\n",
    )
    assert tool("cont", "destroy", "--path", f"{path}/a")[0] == 1
    assert json.loads(tool("cont", "destroy", "--path", path, "-j")[1]) == {
        "response": None,
        "error": None,
        "status": 0,
    }
    assert not Path(path).exists()
    status, _, text = tool("cont", "query", "--path", other)
    assert (status, "DER_NONEXIST" in text) == (1, True)
    assert f"hint: {other} stands for what is gone; daos container destroy --force --path {other} removes it" in text
    status, _, text = tool("cont", "destroy", "--path", other)
    assert (status, text) == (
        1,
        f'ERROR: daos: {other} stands for container U of pool U: there is no container "U" in pool "tank":'
        " DER_NONEXIST(-1005): The specified entity does not exist\nhint: with force, the path alone is removed\n",
    )
    assert tool("cont", "destroy", "--path", other, "--force") == (
        0,
        f"Successfully destroyed container {other}\n",
        "",
    )
    assert not Path(other).exists()


def test_a_path_whose_pool_is_gone_is_removed_by_force(tool: Run, path: str, tmp_path: Path) -> None:
    assert tool("-S", str(tmp_path / "s.daos"), "pool", "destroy", "tank")[0] == 0
    for words in (("cont", "query"), ("fs", "scan"), ("cont", "destroy")):
        status, _, text = tool(*words, "--path", path)
        assert (status, f"hint: {path} stands for what is gone; " in text) == (1, True), text
    assert tool("cont", "destroy", "--force", "--path", path) == (
        0,
        f"Successfully destroyed container {path}\n",
        "",
    )
    assert not Path(path).exists()


@pytest.mark.parametrize(
    ("line", "text", "hint"),
    [
        ("cont query --path {there} tank", "unexpected extra argument (tank)", "-h"),
        ("cont query --path {tmp}/none", "there is no", "check the path"),
        ("cont query --path {tmp}", "stands for no container", "user.daos"),
        ("cont query --path", "requires an argument", ""),
        ("cont query", "`<pool>` was not provided", "-h"),
        ("-S {tmp}/other cont query --path {there}", "the line names", "leave out -S"),
        ("-G other cont query --path {there}", "the line names other", "leave out -S"),
        ("cont create tank", "`<label>` was not provided", "-h"),
        ("-S {tmp}/s.daos cont create tank --path {tmp}", "there is a", "choose a path"),
        ("-S {tmp}/s.daos cont create tank x --path {tmp}/none/x", "cannot make", "check the path"),
        ("-S {tmp}/s.daos cont create tank x --path {tmp}/x -a nothing", "nothing", ""),
        ("-S {tmp}/s.daos cont create tank x --path {tmp}/x -t POSIX -o WHAT", "WHAT", ""),
        ("cont link tank home", "the required flag `--path' was not specified", "-h"),
        ("-S {tmp}/s.daos cont link tank none --path {tmp}/x", "none", "list"),
        ("cont destroy --path daos://{tmp}/s.daos//tank/home/a", "is no whole container", "daos://"),
        ("cont destroy --path {there}/below", "a path in a container is not destroyed", "{there}"),
    ],
)
def test_a_bad_line_is_told(tool: Run, path: str, tmp_path: Path, line: str, text: str, hint: str) -> None:
    status, out, err = tool(*(word.format(tmp=tmp_path, there=path) for word in line.split()))
    assert (status, out) == (1, "")
    assert err.startswith("ERROR: daos: ")
    assert text in err
    assert hint.format(there=path) in err
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["home", "s.daos"]
    with daos.open(tmp_path / "s.daos", pool="tank") as pool:
        assert len(pool.containers()) == 1


def test_what_a_container_cannot_be_given_takes_its_path_with_it(
    tool: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daos.client.attributes.Attributes.update", lambda *_: (_ for _ in ()).throw(OSError(5, "bad")))
    words = ("cont", "create", "tank", "x", "--path", str(tmp_path / "x"), "-a", "k:v")
    status, _, err = tool("-S", str(tmp_path / "s.daos"), *words)
    assert (status, err.splitlines()[0]) == (1, "ERROR: daos: bad")
    assert not (tmp_path / "x").exists()
    with daos.open(tmp_path / "s.daos", pool="tank") as pool:
        assert pool.containers() == []


def test_help_says_how_a_container_is_named(tool: Run) -> None:
    text = tool("cont", "query", "-h")[1]
    assert "daos cont query [OPTIONS] {POOL CONTAINER | --path PATH}" in text
    assert "-p, --path PATH" in text
    assert "--path" not in tool("pool", "query", "-h")[1]
