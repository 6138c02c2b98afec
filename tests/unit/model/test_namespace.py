"""What paths say of containers, byte by byte."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daos.errors import InvalidError
from daos.model.namespace import Link, word

POOL = "c7dcf1a9-3c1a-4b0e-8f27-06a1a7e8f2d4"
CONTAINER = "0a9d6c3e-7f0b-4a43-a2a4-2f6b6f7a9f10"


def test_of_a_running_system_it_is_daos_s() -> None:
    value = f"DAOS.POSIX://{POOL}/{CONTAINER}".encode()
    assert Link(POOL, CONTAINER).encode() == value
    assert Link.decode(value) == Link(POOL, CONTAINER)
    # DAOS ends it with a NUL.
    assert Link.decode(value + b"\0") == Link(POOL, CONTAINER)
    assert Link.decode(f"DAOS.HDF5://{POOL.upper()}/x".encode()) == Link(POOL, "x", "", "HDF5")


def test_of_an_embedded_system_it_has_the_directory_too() -> None:
    value = f"DAOS.POSIX:///srv/a%20b%3F%FF//{POOL}/{CONTAINER}".encode()
    link = Link(POOL, CONTAINER, "/srv/a b?\udcff")
    assert link.encode() == value
    assert Link.decode(value) == link


@given(
    names=st.lists(st.binary(min_size=1, max_size=40).filter(lambda name: not {0, 47} & set(name)), max_size=5),
    kind=st.sampled_from(["POSIX", "PYTHON", "HDF5"]),
)
def test_what_is_written_is_read(names: list[bytes], kind: str) -> None:
    system = "".join(f"/{name.decode(errors='surrogateescape')}" for name in names)
    link = Link(POOL, CONTAINER, system, kind)
    assert Link.decode(link.encode()) == link


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\0",
        b"DAOS.POSIX://",
        b"DAOS.POSIX://a",
        b"DAOS.POSIX://a/",
        b"DAOS.POSIX://a/b/c",
        b"DAOS.POSIX:////a/b",
        b"DAOS.POSIX:///x/a/b",
        b"DAOS.://a/b",
        b"DAOS://a/b",
        b"daos://a/b?system=c",
        b"\xff\xfe",
        b"DAOS.POSIX://a b/c d",
        b"DAOS.POSIX://a/b" + b"\0" * 70_000,
        b"x" * 1000,
    ],
)
def test_what_names_no_container_is_refused(value: bytes) -> None:
    with pytest.raises(InvalidError) as caught:
        Link.decode(value)
    assert len(caught.value.message) < 300
    assert "\n" not in caught.value.message


def test_a_path_of_somebody_else_is_one_word_of_a_line() -> None:
    assert word("/srv/x") == "/srv/x"
    evil = "/tmp/x; rm -rf ~ $(id) 'a"
    assert shlex.split(f"rmdir {word(evil)}") == ["rmdir", evil]
    for hidden in ("/x\nERROR: daos: y", "/x\x1b[2J", "/x\udcff", "/x\r"):
        assert word(hidden).isprintable()
