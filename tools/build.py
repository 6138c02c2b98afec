"""Build what is native into the environment: profile `fast`, the one `target/`; about a second when warm."""

from __future__ import annotations

import filecmp
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def cargo_env() -> dict[str, str]:
    """Return the environment of every cargo command that compiles the binding.

    PyO3's build scripts run again, and with them all that depends on them, whenever these variables differ from the
    last build's; giving clippy and rustdoc what maturin gives cargo keeps one warm set of artifacts.
    """
    env = dict(os.environ)
    env["PYO3_BUILD_EXTENSION_MODULE"] = "1"
    configs = sorted((ROOT / "target" / "maturin").glob("pyo3-config-*.txt"))
    if configs:
        env["PYO3_CONFIG_FILE"] = str(configs[0])
    return env


LIBRARY = "libdaos_il.so"


def preloaded() -> int:
    """Build the library that programs are run with, and put it into the package."""
    command = ["cargo", "build", "--profile", "fast", "--locked", "-p", "daos-il"]
    done = subprocess.run(command, cwd=ROOT, env=cargo_env(), check=False, text=True, capture_output=True)
    if done.returncode != 0:
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
        return done.returncode
    built, place = ROOT / "target" / "fast" / LIBRARY, ROOT / "src" / "daos" / "lib" / LIBRARY
    if not place.exists() or not filecmp.cmp(built, place, shallow=False):
        place.parent.mkdir(exist_ok=True)
        # Another file takes its place at once: programs that run have the one from before.
        shutil.copyfile(built, place.with_suffix(".new"))
        place.with_suffix(".new").rename(place)
    return 0


def main() -> int:
    """Build; print nothing unless something was compiled or failed."""
    prefix = Path(sys.prefix)
    env = dict(os.environ, VIRTUAL_ENV=str(prefix))
    # Its line-by-line report is noise when all is fresh; compiler messages go through on failure.
    command = [str(prefix / "bin" / "maturin"), "develop", "--profile", "fast", "--locked"]
    done = subprocess.run(command, cwd=ROOT, env=env, check=False, text=True, capture_output=True)
    if done.returncode != 0:
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
    elif "Compiling" in done.stderr:
        print("built the native core")
    return done.returncode or preloaded()


if __name__ == "__main__":
    sys.exit(main())
