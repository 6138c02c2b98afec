"""`daos il`: what a program is run with."""

from __future__ import annotations

from pathlib import Path

import pytest

from daos.cli._il import environment_with, library
from daos.errors import NotFoundError


def test_the_library_comes_first_and_once() -> None:
    path = Path("/p/libdaos_il.so")
    assert environment_with({"A": "b"}, path) == {"A": "b", "LD_PRELOAD": "/p/libdaos_il.so"}
    for before in ("x.so y.so", "x.so:y.so", "x.so:/p/libdaos_il.so y.so"):
        assert environment_with({"LD_PRELOAD": before}, path)["LD_PRELOAD"] == "/p/libdaos_il.so:x.so:y.so"
    made = environment_with({}, path, report=True, everything=True)
    assert (made["D_IL_REPORT"], made["D_IL_NO_BYPASS"]) == ("1", "1")


def test_a_package_without_the_library_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"there is no .*libdaos_il\.so") as caught:
        library(tmp_path / "libdaos_il.so")
    assert "make build" in (caught.value.hint or "")
    (tmp_path / "libdaos_il.so").touch()
    assert library(tmp_path / "libdaos_il.so") == tmp_path / "libdaos_il.so"
