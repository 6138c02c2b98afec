"""Build the native core into the environment: profile `fast`, the one `target/`; about a second when warm."""

from __future__ import annotations

import os
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
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
