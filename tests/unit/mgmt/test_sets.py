from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daos.errors import InvalidError
from daos.mgmt.sets import format_hosts, format_ranks, parse_hosts, parse_ranks


@pytest.mark.parametrize(
    ("text", "ranks"),
    [("0", [0]), ("0,2-4", [0, 2, 3, 4]), ("[1-2]", [1, 2]), (" 3, 1 ", [1, 3]), ("2,2,1-2", [1, 2])],
)
def test_ranks(text: str, ranks: list[int]) -> None:
    assert parse_ranks(text) == ranks


@pytest.mark.parametrize(
    "text", ["", ",", "a", "1-", "-1", "2-1", "1--2", "[1", "1,,2", "0-99999999", "4294967296", "\u0661", "1.5", "0x1"]
)
def test_no_ranks(text: str) -> None:
    with pytest.raises(InvalidError, match="invalid rank set"):
        parse_ranks(text)


@given(st.sets(st.integers(0, 300), min_size=1))
def test_ranks_come_back(ranks: set[int]) -> None:
    assert parse_ranks(format_ranks(ranks)) == sorted(ranks)


def test_how_ranks_are_printed() -> None:
    assert format_ranks([3]) == "3"
    assert format_ranks([5, 0, 1, 2, 3]) == "[0-3,5]"
    assert format_ranks([0, 1]) == "[0-1]"
    assert format_ranks([]) == ""


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("a", ["a:1"]),
        ("a:2,b", ["a:2", "b:1"]),
        ("node[1-3,7]", ["node1:1", "node2:1", "node3:1", "node7:1"]),
        ("node[08-10]:5", ["node08:5", "node09:5", "node10:5"]),
        ("r[1-2]n[1-2]", ["r1n1:1", "r1n2:1", "r2n1:1", "r2n2:1"]),
        ("node[1,2],other:10001", ["node1:1", "node2:1", "other:10001"]),
        ("10.0.0.[1-2]", ["10.0.0.1:1", "10.0.0.2:1"]),
        ("[::1],[fe80::2]:3", ["[::1]:1", "[fe80::2]:3"]),
        ("a, a", ["a:1"]),
        ("n1.example.org", ["n1.example.org:1"]),
    ],
)
def test_hosts(text: str, hosts: list[str]) -> None:
    assert parse_hosts(text, 1) == hosts


@pytest.mark.parametrize(
    "text",
    ["", ",", "a,", "a b", "a:", "a:0", "a:65536", "a:x", "n[2-1]", "n[]", "n[a]", "n[1", "n[0-99999]", "[::1]:", "-a"],
)
def test_no_hosts(text: str) -> None:
    with pytest.raises(InvalidError):
        parse_hosts(text, 1)


@given(
    st.lists(
        st.tuples(st.sampled_from(["n", "node0", "10.0.0.", "a-"]), st.integers(0, 120), st.sampled_from([1, 2])),
        min_size=1,
        max_size=20,
    )
)
def test_hosts_come_back(parts: list[tuple[str, int, int]]) -> None:
    hosts = [f"{name}{number}:{port}" for name, number, port in parts]
    assert set(parse_hosts(format_hosts(hosts), 9)) == set(hosts)


def test_how_hosts_are_printed() -> None:
    hosts = ["node1:10001", "node2:10001", "node3:10001", "other:10001", "node5:10001"]
    assert format_hosts(hosts) == "node[1-3,5]:10001,other:10001"
    assert format_hosts(hosts, ports=False) == "node[1-3,5],other"
    assert format_hosts(["127.0.0.1:1", "127.0.0.1:2"], ports=False) == "127.0.0.1:1,127.0.0.1:2"
    assert format_hosts(["node09:1", "node10:1"]) == "node09:1,node10:1"
    assert format_hosts(["n1.x:1", "n2.x:1"], ports=False) == "n[1-2].x"
    assert format_hosts([]) == ""
