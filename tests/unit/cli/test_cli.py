"""The tool `daos` over the fake core: what it prints, in text and JSON, and how it ends."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import click
import pytest

import daos
from daos._doctor import Finding
from daos.cli import _main
from daos.cli._base import Lazy, LazyGroup
from daos.cli._output import rows, table
from tests.cli_tool import Tool

GOLDEN = [
    (
        "pool list",
        "Pool State \n---- ----- \ntank Ready \n\n",
    ),
    (
        "pool query tank",
        "Pool U, ntarget=1, disabled=0, leader=0, version=1, state=Ready\n"
        "Pool health info:\n"
        "- Rebuild idle, 0 objs, 0 recs\n"
        "- Data redundancy: normal\n"
        "Pool space info:\n"
        "- Target count:1\n"
        "- Storage tier 0 (SCM):\n"
        "  Total size: 1.1 GB\n"
        "  Free: 536.9 MB, min:536.9 MB, max:536.9 MB, mean:536.9 MB\n"
        "- Storage tier 1 (NVME):\n"
        "  Total size: 0 B\n"
        "  Free: 0 B, min:0 B, max:0 B, mean:0 B\n",
    ),
    (
        "pool query tank -t",
        "Pool U, ntarget=1, disabled=0, leader=0, version=1, state=Ready\n"
        "Pool health info:\n"
        "- Rebuild idle, 0 objs, 0 recs\n"
        "- Data redundancy: normal\n",
    ),
    ("container list tank", "Containers in pool tank:\n  Label UUID \n  ----- ---- \n  run7  U \n"),
    (
        "cont query tank run7",
        "  Container UUID             : U\n"
        "  Container Label            : run7\n"
        "  Container Type             : PYTHON\n"
        "  Pool UUID                  : U\n"
        "  Container redundancy factor: 0\n"
        "  Number of snapshots        : 0\n\n",
    ),
    (
        "cont create tank next",
        "Successfully created container U type PYTHON\n"
        "  Container UUID : U\n  Container Label: next\n  Container Type : PYTHON\n\n",
    ),
    (
        "cont stat tank run7",
        "  Objects           : 2\n"
        "  Dkeys             : 2\n"
        "  Versions of values: 2\n"
        "  Extents of arrays : 0\n"
        "  Removals          : 0\n"
        "  Bytes written     : 27 (27 B)\n"
        "  Bytes taken       : 27 (27 B)\n"
        "  Oldest epoch      : 0x7\n"
        "  Newest epoch      : 0x9\n\n",
    ),
    ("container destroy tank run7", "Successfully destroyed container run7\n"),
    ("container destroy -f tank run7", "Successfully destroyed container run7\n"),
    ("kv get tank run7 params lr", "0.1"),
    ("pool destroy tank", "Pool-destroy command succeeded\n"),
    ("kv list tank run7", "params\n"),
    ("kv ls tank run7 params", "lr\n"),
    ("kv put tank run7 params a b", ""),
    ("kv remove tank run7 params lr", ""),
    ("kv rm tank run7 params absent --force", ""),
    (
        "pool create more",
        "Pool created\n------------\n  UUID : U\n  Label: more\n\n",
    ),
]


@pytest.mark.parametrize(("line", "text"), GOLDEN, ids=[line for line, _ in GOLDEN])
def test_text(made: Tool, line: str, text: str) -> None:
    result = made(*line.split())
    # A UUID is longer than the `U` in its place, so heads over it are cut to the same.
    assert re.sub(r"(UUID|----)  +\n", r"\1 \n", result.text) == text
    assert (result.status, result.errors) == (0, "")


CONTAINER_JSON = {
    "pool_uuid": "U",
    "container_uuid": "U",
    "container_label": "run7",
    "redundancy_factor": 0,
    "num_snapshots": 0,
    "container_type": "PYTHON",
    "health": "HEALTHY",
}
RESPONSES: list[tuple[str, object]] = [
    ("container list tank", [{"uuid": "U", "label": "run7"}]),
    ("container query tank run7", CONTAINER_JSON),
    ("container create tank next", CONTAINER_JSON | {"container_label": "next"}),
    (
        "container stat tank run7",
        {
            "objects": 2,
            "dkeys": 2,
            "values": 2,
            "extents": 0,
            "removals": 0,
            "bytes": 27,
            "stored_bytes": 27,
            "first_epoch": 7,
            "last_epoch": 9,
        },
    ),
    ("container destroy tank run7", None),
    ("kv get tank run7 params lr", {"key": "lr", "value": "MC4x"}),
    ("kv list tank run7", ["params"]),
    ("kv list tank run7 params", ["lr"]),
    ("kv put tank run7 params a b", None),
    ("kv remove tank run7 params lr", None),
    (
        "pool create more",
        {"uuid": "U", "svc_ldr": 0, "svc_reps": [0], "tgt_ranks": [0]},
    ),
    ("version", {"name": "DAOS CLI", "version": daos.__version__, "release": True}),
]


@pytest.mark.parametrize(("line", "response"), RESPONSES, ids=[line for line, _ in RESPONSES])
@pytest.mark.parametrize("where", ["before", "after"])
def test_json(made: Tool, line: str, response: object, where: str) -> None:
    words = ["-j", *line.split()] if where == "before" else [*line.split(), "--json"]
    result = made(*words)
    assert result.json == {"response": response, "error": None, "status": 0}
    assert (result.status, result.errors) == (0, "")
    assert result.raw.startswith('{\n  "response": ')


def test_json_of_a_pool_has_the_keys_that_scripts_read(made: Tool) -> None:
    response = made("pool", "query", "tank", "-j").json["response"]
    assert isinstance(response, dict)
    assert (response["label"], response["state"], response["total_targets"]) == ("tank", "Ready", 1)
    assert response["query_mask"] == "disabled_engines,rebuild,space"
    size, free = 1 << 30, 1 << 29
    each = {"min": free, "max": free, "mean": free}
    assert response["tier_stats"] == [
        {"total": size, "free": free, **each, "media_type": "scm"},
        {"total": 0, "free": 0, "min": 0, "max": 0, "mean": 0, "media_type": "nvme"},
    ]
    assert response["usage"] == [
        {"tier_name": "SCM", "size": size, "free": free, "imbalance": 0},
        {"tier_name": "NVME", "size": 0, "free": 0, "imbalance": 0},
    ]
    health = made("pool", "query", "tank", "-j", "--health-only").json["response"]
    assert isinstance(health, dict)
    assert health.pop("scrub") == response["scrub"]
    assert made("pool", "list", "-j").json["response"] == {"pools": [health]}


def test_a_hint_follows_the_error(tool: Tool) -> None:
    result = tool("pool", "query", "river")
    assert result.errors == (
        "ERROR: daos: no system in sys: DER_NONEXIST(-1005): The specified entity does not exist\n"
        "hint: check the path; daos pool create makes a system\n"
    )


def test_the_system_may_be_named_anywhere(made: Tool) -> None:
    for words in (["-S", "sys", "pool", "list"], ["pool", "-S", "sys", "list"], ["pool", "list", "--system=sys"]):
        assert made(*words, system="other").status == 0
    assert made("pool", "list", system="other").status == 1


def test_empty_listings(tool: Tool) -> None:
    daos.open_system("sys").close()
    assert tool("pool", "list").text == "No pools in system\n"
    assert tool("pool", "list", "-j").json["response"] == {"pools": None}
    tool("pool", "create", "tank")
    assert tool("container", "list", "tank").text == "No containers.\n"
    assert tool("container", "list", "tank", "-j").json["response"] == []


def test_values_pass_unchanged(made: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytes(range(256)) * 3
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(data)
    assert made("kv", "put", "tank", "run7", "params", "k", "-i", str(source)).status == 0
    assert made("kv", "get", "tank", "run7", "params", "k", "-o", str(target)).text == ""
    assert target.read_bytes() == data
    with source.open() as file:
        monkeypatch.setattr(sys, "stdin", file)
        made("kv", "put", "tank", "run7", "params", "l", "-i", "-")
    made("kv", "get", "tank", "run7", "params", "l", "-o", str(target))
    assert target.read_bytes() == data


def test_keys_of_other_kinds(made: Tool) -> None:
    with daos.open("sys", pool="tank") as pool:
        cont = pool.container("run7")
        cont.kv("n", create=True, keys="int")[7] = b"seven"
        cont.kv("b", create=True, keys="bytes")["é".encode()] = b"e"
    assert made("kv", "get", "tank", "run7", "n", "7").text == "seven"
    assert made("kv", "list", "tank", "run7", "n").text == "7\n"
    assert made("kv", "get", "tank", "run7", "b", "é").text == "e"
    assert made("kv", "list", "tank", "run7", "b").text == "é\n"
    result = made("kv", "get", "tank", "run7", "n", "seven")
    assert '"seven" is no integer' in result.errors


def test_a_doctor_that_finds_a_failure_fails(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    from daos.cli import doctor

    assert tool("doctor", system=None).status == 0
    findings = [Finding("sync", "fail", "a write fails", "another disk"), Finding("core", "ok", "0.1.0")]
    monkeypatch.setattr(doctor, "diagnose", lambda _: findings)
    result = tool("doctor")
    assert result.status == 1
    assert result.text == "fail sync       a write fails\n                fix: another disk\nok   core       0.1.0\n"
    assert result.errors == "ERROR: daos: 1 of 2 checks failed: sync\n"
    result = tool("doctor", "--json")
    assert (result.status, result.json["status"]) == (1, -1025)
    assert result.json["response"] == {"checks": [asdict(finding) for finding in findings]}


def test_help_tells_every_command_and_imports_none(tool: Tool) -> None:
    result = tool("--help")
    assert result.status == 0
    for word in ("container (cont)", "doctor", "kv", "pool", "version"):
        assert word in result.text
    assert tool().text == result.text
    script = "import sys; from daos.cli._main import run; run(['--help'], None); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert "daos.cli.version" not in done.stdout
    assert "numpy" not in done.stdout


def commands(group: LazyGroup, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Lazy]]:
    """Return the path of each command under a group, with its entry."""
    found: list[tuple[tuple[str, ...], Lazy]] = []
    for name, entry in group.lazy.items():
        found += commands(entry, (*path, name)) if isinstance(entry, LazyGroup) else [((*path, name), entry)]
    return found


ALL = commands(_main.tool())


@pytest.mark.parametrize(("path", "entry"), ALL, ids=[" ".join(path) for path, _ in ALL])
def test_every_command_has_help_that_begins_as_its_line_in_the_listing(
    tool: Tool, path: tuple[str, ...], entry: Lazy
) -> None:
    result = tool(*path, "-h")
    assert result.status == 0
    assert f"Usage: daos {' '.join(path)} [OPTIONS]" in result.text
    assert entry.text.endswith(".")
    assert entry.text[0].isupper()


def test_an_interrupt_is_no_success(tool: Tool, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise click.Abort

    monkeypatch.setattr(LazyGroup, "main", interrupted)
    result = tool("version")
    assert (result.status, result.errors) == (1, "ERROR: daos: interrupted\n")


def test_a_reader_that_had_enough_is_no_traceback() -> None:
    line = f"{sys.executable} -m daos.cli --help | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], check=False, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    assert done.returncode in (0, 1)


def test_the_installed_tool_runs() -> None:
    tool = Path(sys.executable).with_name("daos")
    done = subprocess.run([tool, "version"], check=True, capture_output=True, text=True, env=dict(os.environ))
    assert daos.__version__ in done.stdout


def test_tables_and_rows() -> None:
    assert table(("A", "Long"), [("xx", "y")], indent=" ") == [" A  Long ", " -  ---- ", " xx y    "]
    assert rows([("a", "1"), ("long", "2")]) == ["  a   : 1", "  long: 2"]
