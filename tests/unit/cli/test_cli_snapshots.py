"""The tool's commands for snapshots, over the fake core, whose epochs are known."""

from __future__ import annotations

import pytest

from tests.cli_tool import Tool

FIRST, SECOND = 1 << 60, (1 << 60) + (1 << 40)
FIRST_TIME, SECOND_TIME = "2023-04-14T23:59:54.037+00:00", "2023-04-15T00:01:02.757+00:00"


@pytest.fixture
def snapped(made: Tool) -> Tool:
    """As `made`, with a snapshot `before` and one without a name, before and after a change."""
    made("container", "create-snap", "tank", "run7", "-s", "before")
    made("kv", "put", "tank", "run7", "params", "lr", "0.2")
    made("kv", "put", "tank", "run7", "more", "a", "b", "--create")
    made("container", "create-snap", "tank", "run7")
    made("kv", "remove", "tank", "run7", "params", "lr")
    return made


def test_making_one(made: Tool) -> None:
    first = made("container", "create-snap", "tank", "run7", "-s", "before")
    assert first.text == f"snapshot/epoch {FIRST:#x} has been created (timestamp: {FIRST_TIME})\n"
    second = made("cont", "snap", "tank", "run7", "-j")
    assert second.json["response"] == {"epoch": SECOND, "timestamp": SECOND_TIME}
    third = made("cont", "snap", "tank", "run7", "--snap", "later", "-j").json["response"]
    assert isinstance(third, dict)
    assert third["name"] == "later"


def test_listing_them(snapped: Tool) -> None:
    assert snapped("cont", "list-snaps", "tank", "run7").text == (
        "Timestamp                     Epoch              Name   \n"
        "---------                     -----              ----   \n"
        f"{FIRST_TIME} {FIRST:#x} before \n"
        f"{SECOND_TIME} {SECOND:#x}        \n"
    )
    assert snapped("cont", "list-snap", "tank", "run7", "-j").json["response"] == [
        {"epoch": FIRST, "timestamp": FIRST_TIME, "name": "before"},
        {"epoch": SECOND, "timestamp": SECOND_TIME},
    ]
    snapped("cont", "create", "tank", "next")
    assert snapped("cont", "list-snaps", "tank", "next").text == "No snapshots.\n"
    assert snapped("cont", "list-snaps", "tank", "next", "-j").json["response"] == []


def test_a_query_tells_of_them(snapped: Tool) -> None:
    text = snapped("cont", "query", "tank", "run7").text
    assert "  Number of snapshots        : 2\n" in text
    assert f"  Latest Persistent Snapshot : {SECOND:#x} ({SECOND_TIME})\n" in text
    response = snapped("cont", "query", "tank", "run7", "-j").json["response"]
    assert isinstance(response, dict)
    assert (response["num_snapshots"], response["latest_snapshot"]) == (2, SECOND_TIME)


@pytest.mark.parametrize("snap", ["before", str(FIRST), hex(FIRST)])
def test_reading_one(snapped: Tool, snap: str) -> None:
    assert snapped("kv", "get", "tank", "run7", "params", "lr", "--snap", snap).text == "0.1"
    assert snapped("kv", "list", "tank", "run7", "--snap", snap).text == "params\n"
    assert snapped("kv", "list", "tank", "run7", "params", "--snap", snap, "-j").json["response"] == ["lr"]
    assert snapped("kv", "get", "tank", "run7", "params", "lr", "--snap", str(SECOND)).text == "0.2"
    assert snapped("kv", "list", "tank", "run7").text == "more\nparams\n"


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["-s", "before"], [SECOND]),
        (["-e", hex(SECOND)], [FIRST]),
        (["--epc", str(FIRST)], [SECOND]),
        (["-r", f"{FIRST:#x}-{SECOND}"], []),
        (["-r", f"0-{FIRST}"], [SECOND]),
    ],
)
def test_destroying_them(snapped: Tool, words: list[str], left: list[int]) -> None:
    result = snapped("cont", "destroy-snap", "tank", "run7", *words)
    assert (result.status, result.text, result.errors) == (0, "", "")
    listed = snapped("cont", "list-snaps", "tank", "run7", "-j").json["response"]
    assert isinstance(listed, list)
    assert [entry["epoch"] for entry in listed] == left


@pytest.mark.parametrize("words", [["-s", "before"], ["--epc", str(FIRST)]])
def test_going_back(snapped: Tool, words: list[str]) -> None:
    result = snapped("cont", "rollback", "tank", "run7", *words)
    assert (result.status, result.text, result.errors) == (0, "", "")
    assert snapped("kv", "get", "tank", "run7", "params", "lr").text == "0.1"
    assert snapped("cont", "rollback", "tank", "run7", "-e", str(SECOND), "-j").json["response"] is None
    assert snapped("kv", "get", "tank", "run7", "params", "lr").text == "0.2"


def test_what_differs(snapped: Tool) -> None:
    result = snapped("cont", "diff", "tank", "run7", "--from", "before")
    assert (result.status, result.errors) == (0, "")
    assert sorted(result.text.splitlines()) == ["+ more", "+ more a", "- params lr"]
    found = snapped("cont", "diff", "tank", "run7", "--from", hex(FIRST), "--to", str(SECOND), "-j").json["response"]
    assert isinstance(found, list)
    assert sorted((one["kind"], one["name"], one.get("dkey", "")) for one in found) == [
        ("added", "more", ""),
        ("added", "more", "a"),
        ("changed", "params", "lr"),
    ]
    assert snapped("cont", "diff", "tank", "run7", "--from", str(SECOND), "--to", str(SECOND)).text == ""
