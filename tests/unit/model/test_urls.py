"""Addresses of file systems."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daos.errors import InvalidError
from daos.model.urls import Address, parse_address

WORD = st.text("abcXYZ019-_", min_size=1, max_size=20)
NAME = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20).filter(
    lambda name: name not in {".", ".."}
)
PATH = st.lists(NAME, max_size=4).map(lambda names: "/" + "/".join(names))


@given(
    pool=WORD,
    container=WORD,
    path=PATH,
    snapshot=st.none() | WORD,
    system=st.just("") | WORD | st.lists(NAME, min_size=1, max_size=3).map(lambda names: "/" + "/".join(names)),
)
def test_what_is_written_is_read(pool: str, container: str, path: str, snapshot: str | None, system: str) -> None:
    address = Address(pool, container, path, system, snapshot)
    assert parse_address(address.url()) == address


def test_two_slashes_end_a_directory() -> None:
    assert parse_address("daos:///var/lib/my.daos//tank/home/a//b") == Address(
        "tank", "home", "/a//b", "/var/lib/my.daos"
    )


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "daos://",
        "daos://tank",
        "daos:///a/b/tank/home",
        "daos:////tank/home",
        "daos:///a//tank",
        "daos://t/c?x=1",
    ],
)
def test_what_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidError):
        parse_address(url)
