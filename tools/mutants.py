"""Planted mistakes: each patch of `tests/mutants` breaks one promise, and the tests must see it.

A patch is applied to a scratch copy of `HEAD`, the tests of the crates it names are run, then wider ones, until some
test is red. The scratch copy and its build live in `target/mutants`, away from the daily ones. Its head says what it
breaks and where to look first:

    Breaks: what. Caught by: which kind of test.
    Tests: daos-vos daos-engine python
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tools.build import ROOT, cargo_env

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PATCHES = ROOT / "tests" / "mutants"
SCRATCH = ROOT / "target" / "mutants"
TREE = SCRATCH / "tree"
# A mistake may make a test wait for ever: that is seen, too.
RUN_S_MAX = 400.0
HEAD = re.compile(r"Breaks: (?P<breaks>\S.*)\. Caught by: (?P<caught_by>\S.*)\.\nTests: (?P<tests>[a-z\- ]+)\n\n")
RED = re.compile(r"^test (\S+) \.\.\. FAILED$|^FAILED (\S+)", re.MULTILINE)
PYTHON = "python"
CARGO = ("cargo", "test", "--profile", "fast", "--locked", "--tests")


class MutantError(Exception):
    """A patch that has no known form, or does not apply, or what it makes does not build."""


@dataclass(frozen=True)
class Mutant:
    """A planted mistake.

    Attributes:
        path: Its patch.
        breaks: What no longer holds.
        caught_by: The kind of test that should see it.
        tests: Crates, or `python`, whose tests are run first.
        touches: The files it changes.
    """

    path: Path
    breaks: str
    caught_by: str
    tests: tuple[str, ...]
    touches: tuple[str, ...]

    @property
    def name(self) -> str:
        """The patch's name without its ending."""
        return self.path.stem


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant: the tests that saw it, or why it does not count."""

    mutant: Mutant
    caught: tuple[str, ...]
    failed: str
    seconds: float

    def line(self) -> str:
        """Return its line in the closing table."""
        more = f" and {len(self.caught) - 1} more" if len(self.caught) > 1 else ""
        word = self.failed or (f"caught by {self.caught[0]}{more}" if self.caught else "SURVIVED")
        return f"{self.mutant.name:<38} {self.seconds:6.1f} s  {word}"


def parse(path: Path) -> Mutant:
    """Return the mutant that a patch describes.

    Raises:
        MutantError: Its head has another form, or it changes no file.
    """
    text = path.read_text()
    head = HEAD.match(text)
    touches = tuple(re.findall(r"^\+\+\+ b/(\S+)$", text, re.MULTILINE))
    if head is None or not touches:
        raise MutantError(f"{path.name}: a patch begins with `Breaks: ... Caught by: ...`, then `Tests: ...`")
    return Mutant(path, head["breaks"], head["caught_by"], tuple(head["tests"].split()), touches)


def chosen(only: Sequence[str], directory: Path = PATCHES) -> list[Mutant]:
    """Return all mutants in order, or those whose names begin with one of some words.

    Raises:
        MutantError: A word is the beginning of no name.
    """
    mutants = [parse(path) for path in sorted(directory.glob("*.patch"))]
    unknown = [word for word in only if not any(mutant.name.startswith(word) for mutant in mutants)]
    if unknown:
        raise MutantError(f"no mutant begins with {', '.join(unknown)}")
    return [mutant for mutant in mutants if not only or mutant.name.startswith(tuple(only))]


def stages(mutant: Mutant) -> list[tuple[str, ...]]:
    """Return the commands whose tests may see a mutant, the narrowest first; `("python",)` stands for Python's."""
    crates = [word for word in mutant.tests if word != PYTHON]
    found: list[tuple[str, ...]] = [(*CARGO, "-p", crate) for crate in crates]
    if PYTHON in mutant.tests:
        found.append((PYTHON,))
    if any(path.endswith(".rs") for path in mutant.touches):
        excluded = [part for crate in crates for part in ("--exclude", crate)]
        found.append((*CARGO, "--workspace", "--exclude", "daos-python", *excluded))
    if PYTHON not in mutant.tests:
        found.append((PYTHON,))
    return found


def red(output: str) -> tuple[str, ...]:
    """Return the tests that a runner says have failed."""
    return tuple(rust or python for rust, python in RED.findall(output))


def environment() -> dict[str, str]:
    """Return the environment of the scratch copy's builds and tests."""
    env = cargo_env()
    env["CARGO_TARGET_DIR"] = str(SCRATCH / "build")
    env["PYTHONPATH"] = str(TREE / "src")
    return env


def run(command: Sequence[str], seconds_max: float = RUN_S_MAX) -> tuple[int, str]:
    """Run a command in the scratch copy, at most so long; return its status, -1 if it was ended, and its output."""
    with subprocess.Popen(
        command,
        cwd=TREE,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # so that all of it can be ended
    ) as process:
        try:
            output, _ = process.communicate(timeout=seconds_max)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            return -1, output
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return process.returncode, output


def must(command: Sequence[str], what: str) -> None:
    """Run a command that has to succeed.

    Raises:
        MutantError: It does not.
    """
    status, output = run(command)
    if status != 0:
        raise MutantError(f"{what}:\n{output[-4000:].rstrip()}")


def build_core() -> None:
    """Build the scratch copy's native module and lay it where its package looks for it."""
    must(("cargo", "build", "--profile", "fast", "--locked", "-p", "daos-python"), "does not build")
    name = "lib_core.dylib" if sys.platform == "darwin" else "lib_core.so"
    shutil.copy2(SCRATCH / "build" / "fast" / name, TREE / "src" / "daos" / "_core.abi3.so")


def stage(command: tuple[str, ...]) -> tuple[str, ...]:
    """Run one stage; return the tests that are red.

    Raises:
        MutantError: What there is does not build, or fails without any test having failed.
    """
    if command == (PYTHON,):
        build_core()
        # Not the tests of the tools: what they look at is not the product.
        where = ("tests/integration", "tests/unit/client", "tests/unit/model", "tests/unit/cli")
        command = (sys.executable, "-m", "pytest", "-x", "-q", *where)
    else:
        must((*command, "--no-run"), "does not build")
    status, output = run(command)
    if status == 0:
        return ()
    if status == -1:
        return (f"a test of `{' '.join(command[:1] + command[-2:])}` that hung",)
    if not (found := red(output)):
        raise MutantError(f"fails without a test that failed:\n{output[-4000:].rstrip()}")
    return found


def reset() -> None:
    """Bring the scratch copy to `HEAD`, making it where there is none. Unchanged files keep their times."""
    head = subprocess.run(
        ("git", "rev-parse", "HEAD"), cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()
    if not (TREE / ".git").exists():
        SCRATCH.mkdir(parents=True, exist_ok=True)
        subprocess.run(("git", "worktree", "prune"), cwd=ROOT, check=True)
        subprocess.run(("git", "worktree", "add", "--quiet", "--detach", str(TREE), head), cwd=ROOT, check=True)
    for command in (("git", "reset", "--quiet", "--hard", head), ("git", "clean", "--quiet", "-fd")):
        subprocess.run(command, cwd=TREE, check=True)


def attempt(mutant: Mutant) -> Outcome:
    """Plant one mistake and look for a test that sees it."""
    started = time.monotonic()
    reset()
    caught: tuple[str, ...] = ()
    failed = ""
    try:
        must(("git", "apply", str(mutant.path)), "does not apply")
        for command in stages(mutant):
            if caught := stage(command):
                break
    except MutantError as error:
        print(f"{mutant.name} {error}", flush=True)
        failed = str(error).splitlines()[0].rstrip(":")
    return Outcome(mutant, caught, failed, time.monotonic() - started)


def baseline(mutants: Sequence[Mutant]) -> bool:
    """Say whether the tests that the mutants name are green without them: else red means nothing."""
    reset()
    commands = {stages(mutant)[0] for mutant in mutants}
    try:
        found = [name for command in sorted(commands) for name in stage(command)]
    except MutantError as error:
        found = [str(error)]
    if found:
        print(f"red without any mistake: {', '.join(found)}")
    return not found


def main(only: Sequence[str]) -> int:
    """Run the chosen mutants; return 1 if one survives, no longer applies or does not build."""
    status = subprocess.run(("git", "status", "--porcelain"), cwd=ROOT, check=True, capture_output=True, text=True)
    if status.stdout:
        print(f"commit or stash first; mutants are planted into `HEAD`:\n{status.stdout.rstrip()}", file=sys.stderr)
        return 2
    try:
        mutants = chosen(only)
    except MutantError as error:
        print(error, file=sys.stderr)
        return 2
    if not baseline(mutants):
        return 1
    outcomes = []
    for mutant in mutants:
        outcomes.append(attempt(mutant))
        print(outcomes[-1].line(), flush=True)
    reset()
    caught = sum(bool(outcome.caught) for outcome in outcomes)
    lines = [outcome.line() for outcome in outcomes]
    print("\n".join(["--- mutants", *lines, f"{caught} of {len(outcomes)} caught"]))
    return 0 if caught == len(outcomes) else 1


if __name__ == "__main__":
    sys.exit(main([word for argument in sys.argv[1:] for word in argument.replace(",", " ").split()]))
