from __future__ import annotations

import os
from contextlib import ExitStack

import pytest

from daos.dfuse.branches import Branches
from daos.dfuse.wanted import Options, wanted_of


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\0",
        b"\xff\xfe",
        b"DAOS.POSIX://",
        b"DAOS.POSIX:///a%00b//tank/home",
        b"DAOS.POSIX:///mnt/here//tank/home",
        b"DAOS.POSIX:///%ff//tank/home",
        b"DAOS.HDF5://tank/home",
        b"DAOS.POSIX://ta%2fnk/home",
    ],
)
def test_what_leads_nowhere_is_known_by_its_letters(value: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*words: object, **more: object) -> None:
        # A path in the mount itself: nobody would answer before this is told.
        pytest.fail(f"{words} {more}")

    with ExitStack() as keep:
        branches = Branches(wanted_of(Options(words=("/m", "tank", "home"))), keep)
        monkeypatch.setattr(os, "lstat", asked)
        assert branches.follow(value) is None
