"""Every code block of the README and the guide runs.

A `python` block runs in a fresh interpreter, a `console` block line by line: what follows `$ ` is a command, what
follows that is printed by it (`...` stands for anything). All blocks of a page share one empty folder, in their order.
A block under `<!-- not run: reason -->` is left out.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guide").glob("*.md"))]
BLOCK = re.compile(r"^(?P<before>[^\n]*)\n\n?```(?P<kind>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
SKIP = re.compile(r"<!-- not run: \S.*-->")


def blocks(text: str) -> list[tuple[str, str]]:
    """Return kind and body of each block that is to run."""
    found = [(match["kind"], match["body"]) for match in BLOCK.finditer(text) if not SKIP.search(match["before"])]
    return [(kind, body) for kind, body in found if kind in ("python", "console")]


def environment() -> dict[str, str]:
    """Return the environment of a reader who has activated the virtual environment."""
    return dict(os.environ, PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", COLUMNS="120")


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as a reader would."""
    return subprocess.run(
        arguments, cwd=folder, env=environment(), check=False, capture_output=True, text=True, timeout=50
    )


def run_console(body: str, folder: Path) -> None:
    """Run the commands of a block and compare what they print with what the page says."""
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        done = run(["bash", "-c", command], folder)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        if expected.strip():
            pattern = re.escape(expected.strip()).replace(re.escape("..."), ".*")
            assert re.fullmatch(pattern, done.stdout.strip(), re.DOTALL), f"{command}\n{done.stdout}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path) -> None:
    text = page.read_text()
    for number, (kind, body) in enumerate(blocks(text), 1):
        if kind == "console":
            run_console(body, tmp_path)
            continue
        script = tmp_path / f"block_{number}.py"
        script.write_text(body)
        done = run([sys.executable, "-W", "error", script.name], tmp_path)
        script.unlink()
        assert done.returncode == 0, f"{page.name}, block {number}:\n{body}\n{done.stderr}"


def test_the_runner_sees_its_blocks(tmp_path: Path) -> None:
    page = "x\n\n```python\na\n```\n<!-- not run: needs a cluster -->\n```console\n$ b\n```\n\n```text\nc\n```\n"
    assert blocks(page) == [("python", "a\n")]
    run_console("$ echo one two\none ...\n", tmp_path)
    with pytest.raises(AssertionError):
        run_console("$ echo one\ntwo\n", tmp_path)
    with pytest.raises(AssertionError):
        run_console("$ false\n", tmp_path)
    assert shutil.which("bash")
