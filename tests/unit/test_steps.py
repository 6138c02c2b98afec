"""The runner of `make test`: it times, it names, it stops what hangs."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from tools import steps
from tools.steps import Outcome, Step

if TYPE_CHECKING:
    import pytest


def test_a_step_passes_on_its_output_and_its_runners_closing_line(capsys: pytest.CaptureFixture[str]) -> None:
    script = "print('hello'); print('test result: ok. 3 passed; 0 failed'); print('===== 4 passed in 0.1s =====')"
    outcome = steps.run(Step("x", 10), [sys.executable, "-c", script])
    assert outcome.status == 0
    assert outcome.closing == ["test result: ok. 3 passed; 0 failed", "===== 4 passed in 0.1s ====="]
    assert "hello" in capsys.readouterr().out


def test_a_failing_step_tells_its_status() -> None:
    outcome = steps.run(Step("x", 10), [sys.executable, "-c", "raise SystemExit(3)"])
    assert outcome.status == 3
    assert "FAILED (3)" in outcome.line()


def test_a_hanging_step_is_named_and_ended(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(steps, "HANG_FACTOR", 0)
    started = time.monotonic()
    outcome = steps.run(Step("sleepy", 1), [sys.executable, "-c", "import time; time.sleep(50)"])
    assert time.monotonic() - started < 20
    assert outcome.status == -9
    assert "watchdog: step sleepy hangs" in capsys.readouterr().out


def test_the_table_ends_with_the_closing_lines() -> None:
    quick = Outcome(Step("build", 10), 0, 1.0)
    slow = Outcome(Step("test-py", 10), 0, 11.0, ["== 9 passed in 11.0s =="])
    text = steps.summary([quick, slow]).splitlines()
    assert text[-1] == "== 9 passed in 11.0s =="
    assert "SLOW" in text[2]
    assert "SLOW" not in text[1]
