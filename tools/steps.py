"""Run the steps of `make test` one after the other, time them, and name the one that is slow or hangs.

Runs under the system's Python, so it uses the standard library only. Every step is a `make` target, the same at home
and in CI. The last lines tell each step's time and the closing line of each test runner.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# A step is stopped when it has run this many times its budget: slow is reported, hanging must end.
HANG_FACTOR = 3
CLOSING = re.compile(r"^(test result: .*|=+ .*\b(passed|failed|error)\b.* =+)$")


@dataclass(frozen=True)
class Step:
    """A make target and the seconds it may take on two cores."""

    target: str
    budget_s: int


STEPS = (
    Step("setup", 300),
    Step("build", 720),
    Step("check", 240),
    Step("test-rust", 600),
    Step("test-py", 900),
)


@dataclass
class Outcome:
    """What a step did."""

    step: Step
    status: int
    seconds: float
    closing: list[str] = field(default_factory=list)

    def line(self) -> str:
        """Return its line in the closing table."""
        word = "ok" if self.status == 0 else f"FAILED ({self.status})"
        slow = f"  SLOW: budget {self.step.budget_s} s" if self.seconds > self.step.budget_s else ""
        return f"{self.step.target:<10} {self.seconds:7.1f} s  {word}{slow}"


def watch(step: Step, process: subprocess.Popen[str], done: threading.Event) -> None:
    """Say which step is over its budget, every half budget; end it when it hangs."""
    started = time.monotonic()
    if done.wait(step.budget_s):
        return
    while True:
        seconds = time.monotonic() - started
        print(f"watchdog: step {step.target} has run {seconds:.0f} s, budget {step.budget_s} s", flush=True)
        if seconds > HANG_FACTOR * step.budget_s:
            print(f"watchdog: step {step.target} hangs; stopping it", flush=True)
            os.killpg(process.pid, signal.SIGKILL)
            return
        if done.wait(step.budget_s / 2):
            return


def run(step: Step, command: list[str]) -> Outcome:
    """Run one step, pass its output on, keep the test runners' closing lines."""
    print(f"--- {step.target}", flush=True)
    started = time.monotonic()
    outcome = Outcome(step, 0, 0.0)
    done = threading.Event()
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # so that the watchdog can end all of it
    ) as process:
        watchdog = threading.Thread(target=watch, args=(step, process, done), daemon=True)
        watchdog.start()
        try:
            for line in process.stdout or ():
                sys.stdout.write(line)
                sys.stdout.flush()
                if CLOSING.match(line.strip()) and " 0 passed; 0 failed" not in line:
                    outcome.closing.append(line.strip())
            outcome.status = process.wait()
        except BaseException:
            # Its own session, so an interrupt at the terminal does not reach it.
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            done.set()
            watchdog.join()
    outcome.seconds = time.monotonic() - started
    return outcome


def summary(outcomes: list[Outcome]) -> str:
    """Return the closing table, then the runners' own last words, pytest's at the very end."""
    lines = ["--- timings", *(outcome.line() for outcome in outcomes)]
    lines += [f"total      {sum(outcome.seconds for outcome in outcomes):7.1f} s"]
    for outcome in outcomes:
        lines += outcome.closing
    return "\n".join(lines)


def main() -> int:
    """Run all steps up to the first that fails."""
    outcomes = []
    for step in STEPS:
        outcomes.append(run(step, ["make", "--no-print-directory", step.target]))
        if outcomes[-1].status != 0:
            break
    print(summary(outcomes), flush=True)
    return 1 if outcomes[-1].status != 0 else 0


if __name__ == "__main__":
    sys.exit(main())
