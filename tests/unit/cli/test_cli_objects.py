"""The tool's commands for arrays and objects, over the fake core."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest

import daos
from tests.cli_tool import Tool

CELLS = np.arange(6, dtype="i4")


@pytest.fixture
def filled(made: Tool, tmp_path: Path) -> Tool:
    """As `made`, with an array `temp` of numbers and an object `sensors`."""
    (tmp_path / "cells").write_bytes(CELLS.tobytes())
    made("array", "write", "tank", "run7", "temp", "-i", str(tmp_path / "cells"), "-d", "i4", "--create")
    with daos.open_system("sys") as system:
        cont = system.pool("tank").container("run7")
        sensors = cont.object("sensors", oclass="SX", create=True)
        sensors.update("mon", station=b"ABC", wind=daos.Extent(500, np.arange(100.0)))
        sensors.update("tue", {"a b": b""})
        steps = cont.object("steps", type="multi_uint64", oclass="S1", create=True)
        steps.update(300, {7: b"0.1"})
        raw = cont.object("raw", keys="bytes", oclass="S1", create=True)
        raw.update(b"\xff", {b"x": b"1"})
        cont.snapshot("before")
        sensors.punch("mon")
    return made


def numbers(raw: str) -> list[str]:
    return raw.splitlines()


def test_cells_are_written_and_read(filled: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = ["array", "read", "tank", "run7", "temp"]
    assert filled(*read).raw == CELLS.tobytes().decode()
    assert filled(*read, "--start", "4", "--text").text == "4\n5\n"
    assert filled(*read, "-s", "1", "-c", "2", "-t").text == "1\n2\n"
    assert filled(*read, "-s", "99", "-t").text == ""
    facts = {"name": "temp", "dtype": "int32", "start": 4, "count": 2}
    data = base64.b64encode(CELLS[4:].tobytes()).decode()
    assert filled(*read, "-s", "4", "-j").json["response"] == {**facts, "data": data}
    assert filled(*read, "-s", "4", "-t", "-j").json["response"] == {**facts, "cells": ["4", "5"]}
    assert filled(*read, "-s", "4", "-o", str(tmp_path / "out"), "-j").json["response"] == facts
    assert (tmp_path / "out").read_bytes() == CELLS[4:].tobytes()

    class Input:
        buffer = io.BytesIO(CELLS[:2].tobytes())

    monkeypatch.setattr("sys.stdin", Input)
    assert filled("array", "write", "tank", "run7", "temp", "--append").text == "2 cells written from cell 6 on\n"
    assert numbers(filled(*read, "-t", "-s", "5").text) == ["5", "0", "1"]
    cells = str(tmp_path / "cells")
    written = filled("array", "write", "tank", "run7", "temp", "-i", cells, "-s", "1", "-j")
    assert written.json["response"] == {"name": "temp", "start": 1, "count": 6}
    assert numbers(filled(*read, "-t").text) == ["0", "0", "1", "2", "3", "4", "5", "1"]
    assert numbers(filled(*read, "-t", "--snap", "before").text) == ["0", "1", "2", "3", "4", "5"]


def test_cells_move_in_blocks(filled: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daos.cli._array.BLOCK_BYTES", 10)
    read = ["array", "read", "tank", "run7", "temp"]
    filled("array", "write", "tank", "run7", "temp", "-i", str(tmp_path / "cells"), "-s", "3")
    assert numbers(filled(*read, "-t").text) == ["0", "1", "2", "0", "1", "2", "3", "4", "5"]
    assert filled(*read, "-s", "3").raw == CELLS.tobytes().decode()


def test_objects_are_listed(filled: Tool) -> None:
    lines = filled("cont", "list-objects", "tank", "run7", "-v").text.splitlines()
    # In the order of the ids, whose first byte is the type; the root, which holds the names, has none.
    assert [line.split(" ")[1:] for line in lines] == [
        ["object", "sensors"],
        ["object", "raw"],
        ["object", "steps"],
        [],
        ["kv", "params"],
        ["array", "temp"],
    ]
    assert filled("cont", "list-obj", "tank", "run7").text.split() == [line.split(" ")[0] for line in lines]
    listed = filled("cont", "list-objects", "tank", "run7", "-e", "before", "-j").json["response"]
    assert listed == [line.split(" ")[0] for line in lines]
    listed = filled("cont", "list-objects", "tank", "run7", "-e", "before", "-v", "-j").json["response"]
    assert isinstance(listed, list)
    assert listed[3] == {"oid": lines[3]}
    assert listed[5] == {"oid": lines[5].split(" ")[0], "kind": "array", "name": "temp"}


def test_objects_without_a_mark_are_listed(filled: Tool) -> None:
    lines = filled("cont", "list-objects", "tank", "run7").text.split()
    with daos.open_system("sys") as system:
        cont = system.pool("tank").container("run7")
        cont.object_table("before").mark(daos.ObjectId(*map(int, lines[0].split("."))), b"m")
    assert filled("cont", "list-objects", "tank", "run7", "--unmarked").text.split() == lines
    unmarked = filled("cont", "list-objects", "tank", "run7", "--unmarked", "-e", "before")
    assert unmarked.text.split() == lines[1:]
    listed = filled("cont", "list-objects", "tank", "run7", "--unmarked", "-e", "before", "-v", "-j").json["response"]
    assert isinstance(listed, list)
    assert listed[-1] == {"oid": lines[-1], "kind": "array", "name": "temp"}
    assert filled("cont", "list-objects", "tank", "run7").text.split() == lines


def test_a_query_tells_where_it_lies(filled: Tool) -> None:
    oid = filled("cont", "list-objects", "tank", "run7").text.split()[0]
    text = filled("object", "query", "tank", "run7", "sensors").text
    assert text == f"oid: {oid} ver 1 grp_nr: 1\nclass: S1 type: multi_hashed\ngrp: 0\nreplica 0 0:0\n"
    assert filled("obj", "query", "tank", "run7", oid).text == text
    assert filled("obj", "query", "tank", "run7", "steps", "-j").json["response"] == {
        "oid": filled("cont", "list-objects", "tank", "run7").text.split()[2],
        "version": 1,
        "class": "S1",
        "type": "multi_uint64",
        "shards": [{"replicas": [{"rank": 0, "target": 0}]}],
    }


def test_a_dump_tells_what_it_holds(filled: Tool) -> None:
    dump = ["object", "dump", "tank", "run7"]
    tuesday = "dkey: 'tue'\n  akey: 'a b' single size: 0\n"
    monday = "dkey: 'mon'\n  akey: 'station' single size: 3\n  akey: 'wind' array size: 8 last: 599\n"
    assert filled(*dump, "sensors").text == tuesday
    assert filled(*dump, "sensors", "--snap", "before").text == monday + tuesday
    assert filled(*dump, "sensors", "--snap", "before", "--skip", "1").text == tuesday
    assert filled(*dump, "sensors", "--snap", "before", "-c", "1").text == f"{monday}There are more: --skip 1\n"
    assert filled(*dump, "steps").text == "dkey: 300\n  akey: 7 single size: 3\n"
    assert filled(*dump, "raw").text == "dkey: b'\\xff'\n  akey: 'x' single size: 1\n"
    response = filled(*dump, "sensors", "--snap", "before", "-c", "1", "-j").json["response"]
    assert isinstance(response, dict)
    assert response["more"] is True
    assert response["dkeys"] == [
        {
            "dkey": "'mon'",
            "akeys": [
                {"akey": "'station'", "kind": "single", "size": 3},
                {"akey": "'wind'", "kind": "array", "size": 8, "last": 599},
            ],
        }
    ]
