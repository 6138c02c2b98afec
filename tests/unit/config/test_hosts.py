"""Host sets."""

from __future__ import annotations

import pytest

from daos.config import Host, expand_hosts, parse_host
from daos.errors import InvalidError


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("a", ["a:1"]),
        ("a, b:2", ["a:1", "b:2"]),
        ("node[1-3,7],other:10001", ["node1:1", "node2:1", "node3:1", "node7:1", "other:10001"]),
        ("n[08-11]", ["n08:1", "n09:1", "n10:1", "n11:1"]),
        ("r[1-2]n[1-2]:5", ["r1n1:5", "r1n2:5", "r2n1:5", "r2n2:5"]),
        ("a,a,a:1", ["a:1"]),
        ("10.0.0.[1-2]", ["10.0.0.1:1", "10.0.0.2:1"]),
        ("[::1]:5,[fe80::1]", ["[::1]:5", "[fe80::1]:1"]),
    ],
)
def test_sets(text: str, hosts: list[str]) -> None:
    assert list(map(str, expand_hosts(text, 1))) == hosts


@pytest.mark.parametrize(
    "text", ["", "a,,b", "a:b", "a:0", "a:65536", "-a", "a[", "a[1", "n[2-1]", "n[x]", "n[1-]", "n[1-99999999]", "a b",
             "n[1-300]m[1-300]", "::1", "a[1-2]["],
)  # fmt: skip
def test_refusals(text: str) -> None:
    with pytest.raises(InvalidError) as caught:
        expand_hosts(text, 1)
    assert caught.value.hint


def test_one() -> None:
    assert parse_host("a:5", 1) == Host("a", 5)
    with pytest.raises(InvalidError):
        parse_host("n[1-2]", 1)
