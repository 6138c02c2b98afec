"""Run tests with the compiler's sanitizers: memory errors and leaks (`address`), data races (`thread`).

They need a nightly toolchain, each a build of its own in `target/sanitize`. Without one this says so and ends well: it
is no part of `make test`. What is covered and what not: `docs/internals/tests-of-tests.md`.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tools.build import ROOT, cargo_env

if TYPE_CHECKING:
    from collections.abc import Sequence

TARGET = "x86_64-unknown-linux-gnu"
"""Named, so that build scripts and macros are built without a sanitizer."""
PLACE = ROOT / "target" / "sanitize"
FLAGS = {
    "address": "-Zsanitizer=address",
    # The standard library is not built with it: the compiler mixes them only when told that calls fit all the same.
    "thread": "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer",
}
SUPPRESSED = ("race:std::thread::lifecycle", "race:test::")
"""What that library does when a thread ends, and the test harness: synchronised where the sanitizer does not look."""
CANARIES = {
    "address": 'fn main() { let p = { let b = Box::new(7u8); &raw const *b }; println!("{}", unsafe { *p }); }',
    "thread": (
        "static mut N: u64 = 0;"
        "fn add() { for _ in 0..100_000 { unsafe { (&raw mut N).write((&raw const N).read() + 1) } } }"
        "fn main() { let t = std::thread::spawn(add); add(); t.join().unwrap(); }"
    ),
}
"""Programs with a mistake that the sanitizer must see: else it does not work here."""
CANARY_SEEN = {"address": "heap-use-after-free", "thread": "data race"}
CRATES = ("types", "codec", "locks", "placement", "wire", "vos", "engine", "client", "embed", "net", "fuse", "il")
THREADED = ("locks", "vos", "engine", "embed")
CONCURRENT = ("log_threads", "index_conformance", "store_relief", "store_data")
"""Tests of `rust/vos/tests/it` in which several threads meet, or pages and blocks are used again."""
ORACLE = ("--skip", "index_conformance::lmdb")
"""The same suite on LMDB, the suite's oracle: nothing of ours, and slow so."""
PYTHON_TESTS = ("test_arrays", "test_seam", "test_seam_objects", "test_batch", "test_aio", "test_aio_objects")
"""What lends memory of Python's to the core, and event queues."""


@dataclass(frozen=True)
class Step:
    """A run of tests with a sanitizer.

    Attributes:
        name: What is told of it.
        sanitizer: `address` or `thread`.
        command: What runs it.
        env: What its environment has beside the common.
    """

    name: str
    sanitizer: str
    command: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()


def cargo(sanitizer: str, *words: str) -> tuple[str, ...]:
    """Return a command of cargo's that builds with a sanitizer."""
    head = ("cargo", "+nightly", *words[:1], "--profile", "fast", "--locked", "--target", TARGET)
    return (*head, "--target-dir", str(PLACE / sanitizer), *words[1:])


def packages(crates: Sequence[str]) -> tuple[str, ...]:
    """Return the options that choose crates."""
    return tuple(word for crate in crates for word in ("-p", f"daos-{crate}"))


def steps(python: Path) -> list[Step]:
    """Return what is run: the sanitized package of Python's is, or will be, in a folder."""
    suppressions = (("TSAN_OPTIONS", f"halt_on_error=0 suppressions={PLACE / 'suppressions'}"),)
    tests = tuple(f"tests/integration/{name}.py" for name in PYTHON_TESTS)
    preload = (
        ("LD_PRELOAD", str(PLACE / "runtime.so")),
        # Python itself keeps what it has until the end, and its small blocks hide what is wrong.
        ("ASAN_OPTIONS", "detect_leaks=0"),
        ("PYTHONMALLOC", "malloc"),
        ("PYTHONPATH", str(python)),
    )
    return [
        Step("unit tests", "address", cargo("address", "test", *packages(CRATES), "--lib")),
        Step(
            "vos, threads",
            "address",
            cargo("address", "test", "-p", "daos-vos", "--test", "it", "--", *CONCURRENT, *ORACLE),
        ),
        Step("unit tests", "thread", cargo("thread", "test", *packages(THREADED), "--lib"), suppressions),
        Step(
            "vos, threads",
            "thread",
            cargo("thread", "test", "-p", "daos-vos", "--test", "it", "--", *CONCURRENT, *ORACLE),
            suppressions,
        ),
        # Its runtime comes first in the process, before Python's own memory: it is not linked into the core.
        Step("core, build", "address", cargo("address", "rustc", "-p", "daos-python", "--", "-Zexternal-clangrt")),
        Step(
            "core, from Python",
            "address",
            (sys.executable, "-m", "pytest", "-q", *tests),
            preload,
        ),
    ]


def nightly() -> Path | None:
    """Return the libraries of the nightly toolchain; None without one."""
    if shutil.which("rustup") is None:
        return None
    command = ("rustup", "run", "nightly", "rustc", "--print", "sysroot")
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    place = Path(done.stdout.strip()) / "lib" / "rustlib" / TARGET / "lib"
    return place if done.returncode == 0 and place.is_dir() else None


def canary(sanitizer: str) -> bool:
    """Tell whether a sanitizer sees the mistake of its canary."""
    source, program = PLACE / f"canary_{sanitizer}.rs", PLACE / f"canary_{sanitizer}"
    source.write_text(CANARIES[sanitizer])
    build = ("rustc", "+nightly", *FLAGS[sanitizer].split(), "--target", TARGET, "-o", str(program), str(source))
    subprocess.run(build, check=True)
    done = subprocess.run([program], check=False, capture_output=True, text=True)
    return done.returncode != 0 and CANARY_SEEN[sanitizer] in done.stderr


def shared_runtime(libraries: Path) -> None:
    """Make the runtime of `address` a library to be loaded into a Python that was built without it.

    It refuses to run beside what is called as its own library would be, `libasan.so`: so it has another name.
    """
    [archive] = libraries.glob("librustc-nightly_rt.asan.a")
    copy = PLACE / "asan.a"
    shutil.copyfile(archive, copy)
    members = subprocess.run(["ar", "t", copy], check=True, capture_output=True, text=True).stdout.split()
    # Only a program may have that member, which runs before all libraries.
    early = [name for name in members if "preinit" in name]
    subprocess.run(["ar", "d", copy, *early], check=True)
    whole = (f"-Wl,--whole-archive,{copy},--no-whole-archive", "-lpthread", "-ldl", "-lm", "-lrt", "-lstdc++")
    subprocess.run(["cc", "-shared", "-o", PLACE / "runtime.so", *whole], check=True)


def package(python: Path) -> None:
    """Copy the package, with the core that was built with a sanitizer."""
    shutil.rmtree(python, ignore_errors=True)
    shutil.copytree(ROOT / "src" / "daos", python / "daos", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    built = PLACE / "address" / TARGET / "fast" / "lib_core.so"
    shutil.copyfile(built, python / "daos" / "_core.abi3.so")


def run(step: Step) -> int:
    """Run a step; return its status."""
    env = dict(cargo_env(), CARGO_PROFILE_FAST_DEBUG="line-tables-only", **dict(step.env))
    if step.command[0] == "cargo":
        env["RUSTFLAGS"] = FLAGS[step.sanitizer]
    return subprocess.run(step.command, cwd=ROOT, env=env, check=False, stdin=subprocess.DEVNULL).returncode


def main(argv: Sequence[str] = ()) -> int:
    """Run all steps, or those of one sanitizer; fail if one of them did."""
    parser = argparse.ArgumentParser(description="Run tests with sanitizers.")
    parser.add_argument("--only", default="", help="address or thread")
    only = parser.parse_args(argv).only
    libraries = nightly()
    if libraries is None:
        print("no nightly toolchain: not run")
        return 0
    PLACE.mkdir(parents=True, exist_ok=True)
    (PLACE / "suppressions").write_text("".join(f"{line}\n" for line in SUPPRESSED))
    python = PLACE / "python"
    chosen = [step for step in steps(python) if step.sanitizer.startswith(only)]
    told = []
    for sanitizer in dict.fromkeys(step.sanitizer for step in chosen):
        if not canary(sanitizer):
            print(f"the sanitizer {sanitizer} does not see a planted mistake: it does not work here")
            return 1
    for step in chosen:
        if step.env and "LD_PRELOAD" in dict(step.env):
            shared_runtime(libraries)
            package(python)
        print(f"--- {step.sanitizer}: {step.name}", flush=True)
        started = time.monotonic()
        status = run(step)
        told.append((step, status, time.monotonic() - started))
    for step, status, seconds in told:
        print(f"{step.sanitizer:<8} {step.name:<18} {seconds:6.1f} s  {'ok' if status == 0 else f'FAILED ({status})'}")
    return 1 if any(status for _, status, _ in told) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
