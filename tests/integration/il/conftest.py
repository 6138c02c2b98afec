"""Programs that run with the library, on mounts of `dfuse`."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

import daos
from tests.integration.dfuse.conftest import Mounts, mounts, store

__all__ = ["LIBRARY", "WAIT_S", "Build", "Done", "Mounts", "build", "mounts", "run", "store"]

LIBRARY = Path(daos.__file__).parent / "lib" / "libdaos_il.so"
WAIT_S = 60.0
HERE = Path(__file__).parent


class Build(Protocol):
    """Compiles a program of this folder."""

    def __call__(self, name: str, *flags: str) -> Path: ...


@dataclass
class Done:
    """What a program did, and what the library did of it."""

    status: int
    text: str
    errors: str

    def counted(self, what: str) -> int:
        """Return how often the library did something, in all processes of the program."""
        return sum(int(number) for number in re.findall(rf"libdaos_il: \[{what} *\] (\d+)", self.errors))

    @property
    def said(self) -> str:
        """What the program said on standard error."""
        return "".join(line for line in self.errors.splitlines(keepends=True) if not line.startswith("libdaos_il: "))


def run(
    *words: str | Path, cwd: Path | None = None, library: bool = True, env: dict[str, str] | None = None, text: str = ""
) -> Done:
    """Run a program, with the library or without."""
    more = {"LD_PRELOAD": str(LIBRARY), "D_IL_REPORT": "1", "D_IL_NO_BYPASS": "1"} if library else {}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env={**os.environ, **more, **(env or {})},
        input=text.encode(),
        capture_output=True,
        timeout=WAIT_S,
        check=False,
    )
    return Done(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Return a function that compiles a program of this folder."""
    place = tmp_path_factory.mktemp("programs")

    def compiled(name: str, *flags: str) -> Path:
        program = place / (name + "".join(flags).replace("/", ""))
        if not program.exists():
            source = HERE / f"{name}.c"
            command = ["gcc", "-O2", "-Wall", "-Werror", *flags, "-o", str(program), str(source), "-lpthread"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)
            assert done.returncode == 0, done.stderr
        return program

    return compiled
