"""Make `.venv` with the pinned tools; quick when nothing changed.

Runs under the system's Python, so it uses the standard library only.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON_MIN = (3, 11)


def wanted(root: Path) -> str:
    """Return what a finished environment is stamped with: this interpreter and the pins."""
    pins = (root / "requirements-dev.txt").read_bytes()
    return hashlib.sha256(sys.version.encode() + pins).hexdigest()


def missing() -> list[str]:
    """Return a line for each tool that cannot be installed from here."""
    lines = []
    if sys.version_info < PYTHON_MIN:
        lines.append(f"Python {PYTHON_MIN[0]}.{PYTHON_MIN[1]} or newer (this is {sys.version.split()[0]})")
    if shutil.which("cargo") is None:
        lines.append("the Rust toolchain: `cargo` is not on PATH")
    if shutil.which("cc") is None:
        lines.append("a C compiler: `cc` is not on PATH")
    return lines


def main() -> int:
    """Create or refresh the environment."""
    lacks = missing()
    if lacks:
        print("missing: " + "; ".join(lacks), file=sys.stderr)
        return 1
    directory = ROOT / ".venv"
    stamp = directory / "stamp"
    if stamp.is_file() and stamp.read_text() == wanted(ROOT):
        return 0
    print(f"setting up {directory.name}", flush=True)
    venv.create(directory, clear=True, with_pip=True)
    install = [str(directory / "bin" / "python"), "-m", "pip", "install", "--quiet", "-r", "requirements-dev.txt"]
    done = subprocess.run(install, cwd=ROOT, check=False)
    if done.returncode == 0:
        # Written last: an interrupted set-up starts afresh.
        stamp.write_text(wanted(ROOT))
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
