"""The gates: all that can be judged without running the product. `--fix` repairs what repairs itself.

Cargo's gates share one lock, so they run in one lane, the Python ones beside them. Each prints one line; what failed
prints its output at the end.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tools.build import ROOT, cargo_env

BIN = Path(sys.prefix) / "bin"
STUBTEST_ALLOW = "tools/stubtest_allow.txt"


@dataclass(frozen=True)
class Gate:
    """A named command."""

    name: str
    command: tuple[str, ...]
    cargo: bool = False

    def run(self) -> tuple[Gate, int, float, str]:
        """Run it; return itself, its status, its seconds and all it said."""
        env = cargo_env() if self.cargo else dict(os.environ, MYPYPATH="src")
        if self.name == "rustdoc":
            env["RUSTDOCFLAGS"] = "-D warnings"
        started = time.monotonic()
        done = subprocess.run(
            self.command,
            cwd=ROOT,
            env=env,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        return self, done.returncode, time.monotonic() - started, done.stdout


def python(name: str, *arguments: str) -> Gate:
    """Return a gate of a tool in the environment."""
    return Gate(name, (str(BIN / arguments[0]), *arguments[1:]))


def cargo(name: str, *arguments: str) -> Gate:
    """Return a gate of cargo's."""
    return Gate(name, ("cargo", *arguments), cargo=True)


CHECKS = (
    python("mypy", "mypy"),
    python("stubtest", "stubtest", "daos._core", "--allowlist", STUBTEST_ALLOW, "--concise"),
    python("ruff", "ruff", "check", "--quiet"),
    python("format", "ruff", "format", "--check", "--quiet"),
    python("imports", "lint-imports", "--no-cache"),
    python("deptry", "deptry", "src"),
    python("typos", "typos"),
    python("tidy", "python", "-m", "tools.tidy"),
)
CARGO_CHECKS = (
    cargo("rustfmt", "fmt", "--all", "--check"),
    cargo("clippy", "clippy", "--profile", "fast", "--locked", "--workspace", "--all-targets", "--", "-Dwarnings"),
    cargo("rustdoc", "doc", "--profile", "fast", "--locked", "--workspace", "--no-deps", "--document-private-items"),
)
FIXES = (
    python("typos", "typos", "--write-changes"),
    python("ruff", "ruff", "check", "--fix", "--quiet"),
    python("format", "ruff", "format", "--quiet"),
    cargo("rustfmt", "fmt", "--all"),
)


def lane(gates: tuple[Gate, ...]) -> list[tuple[Gate, int, float, str]]:
    """Run gates one after the other, all of them, whatever fails."""
    results = []
    for gate in gates:
        result = gate.run()
        results.append(result)
        print(f"{gate.name:<9} {result[2]:6.1f} s  {'ok' if result[1] == 0 else 'FAILED'}", flush=True)
    return results


def main(arguments: list[str]) -> int:
    """Run the gates, or the fixes; return 1 if any failed."""
    if arguments not in ([], ["--fix"]):
        print("usage: check.py [--fix]", file=sys.stderr)
        return 2
    lanes = [FIXES] if arguments else [CHECKS, CARGO_CHECKS]
    with ThreadPoolExecutor(max_workers=len(lanes)) as pool:
        results = [result for done in pool.map(lane, lanes) for result in done]
    failed = [(gate, output) for gate, status, _, output in results if status != 0]
    for gate, output in failed:
        print(f"\n--- {gate.name}: {' '.join(gate.command)}\n{output.rstrip()}")
    if failed:
        print(f"\nfailed: {', '.join(gate.name for gate, _ in failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
