"""What a benchmark needs beyond the tools of every day: the peers, and a build of the asked profile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tools import build

PROFILES = ("fast", "release")


def install_peers() -> None:
    """Install the pinned peers into this environment, if they are not there as pinned."""
    pins = build.ROOT / "requirements-bench.txt"
    stamp = Path(sys.prefix) / "stamp-bench"
    # `make setup` makes the environment afresh when its own pins change, and this stamp goes with it.
    if stamp.is_file() and stamp.read_text() == pins.read_text():
        return
    print("installing the peers", flush=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "-r", str(pins)], check=True)
    stamp.write_text(pins.read_text())


def build_core(profile: str) -> None:
    """Build the native core into this environment; `make build` puts the daily one back."""
    if profile == "fast":
        if build.main() != 0:
            sys.exit(1)
        return
    maturin = str(Path(sys.prefix) / "bin" / "maturin")
    env = dict(os.environ, VIRTUAL_ENV=sys.prefix)
    subprocess.run(
        [maturin, "develop", "--profile", profile, "--locked", "--quiet"], cwd=build.ROOT, env=env, check=True
    )
