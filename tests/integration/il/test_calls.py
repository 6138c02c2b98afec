"""Calls of programs under the library: the same answers as without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.il.conftest import Build, Mounts, run

OPTIONS = [("--disable-wb-cache",), ("--disable-caching",), ()]
STEPS = "1500"


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_random_operations_are_answered_as_by_a_local_file_system(
    mounts: Mounts, store: Path, build: Build, tmp_path: Path, options: tuple[str, ...], seed: str
) -> None:
    _, at = mounts.start("-S", str(store), *options, "tank", "home")
    local = tmp_path / "local"
    local.mkdir()
    program = build("ops")
    there = run(program, at, seed, STEPS)
    here = run(program, local, seed, STEPS, library=False)
    assert (there.status, there.said) == (here.status, here.errors) == (0, "")
    assert there.text.splitlines() == here.text.splitlines()
    # Where the kernel keeps what is written, it has all.
    for what in ("open", "take", "read", "write", "mmap"):
        assert (there.counted(what) > 0) == bool(options), what


def test_without_the_library_the_kernel_does_the_same(
    mounts: Mounts, store: Path, build: Build, tmp_path: Path
) -> None:
    _, at = mounts.start("-S", str(store), "--disable-wb-cache", "tank", "home")
    local = tmp_path / "local"
    local.mkdir()
    program = build("ops")
    there, here = (run(program, place, "4", STEPS, library=False) for place in (at, local))
    assert there.text.splitlines() == here.text.splitlines()


def test_files_of_other_containers_of_a_mount_are_the_kernels(
    mounts: Mounts, store: Path, build: Build, tmp_path: Path
) -> None:
    _, at = mounts.start("-S", str(store), "--disable-wb-cache", "tank")
    local = tmp_path / "local"
    local.mkdir()
    program = build("ops")
    there, here = run(program, at / "home", "5", STEPS), run(program, local, "5", STEPS, library=False)
    assert (there.status, there.said) == (here.status, here.errors) == (0, "")
    assert there.text.splitlines() == here.text.splitlines()
    assert there.counted("write") == there.counted("take") == 0
