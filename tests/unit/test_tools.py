"""Set-up, build and gates: what they decide."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tools import build, check, setup_env
from tools.build import ROOT
from tools.check import Gate


def test_the_stamp_changes_with_the_pins(tmp_path: Path) -> None:
    (tmp_path / "requirements-dev.txt").write_text("a==1\n")
    before = setup_env.wanted(tmp_path)
    assert setup_env.wanted(tmp_path) == before
    (tmp_path / "requirements-dev.txt").write_text("a==2\n")
    assert setup_env.wanted(tmp_path) != before


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert setup_env.missing() == []
    monkeypatch.setattr(shutil, "which", lambda _: None)
    monkeypatch.setattr(sys, "version_info", (3, 10, 1))
    assert len(setup_env.missing()) == 3


def test_every_tool_is_pinned() -> None:
    for line in (ROOT / "requirements-dev.txt").read_text().splitlines():
        assert line.startswith("#") or line.count("==") == 1, line


def test_a_gate_that_fails_does_not_hide_the_next(capsys: pytest.CaptureFixture[str]) -> None:
    results = check.lane((Gate("one", ("sh", "-c", "echo why; exit 3")), Gate("two", ("true",))))
    assert [(gate.name, status) for gate, status, _, _ in results] == [("one", 3), ("two", 0)]
    assert results[0][3] == "why\n"
    assert "FAILED" in capsys.readouterr().out


def test_a_failed_gate_fails_the_check_and_tells_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check, "CARGO_CHECKS", (Gate("good", ("true",)),))
    monkeypatch.setattr(check, "CHECKS", (Gate("bad", ("sh", "-c", "echo why; exit 3")),))
    assert check.main([]) == 1
    assert capsys.readouterr().out.endswith("why\n\nfailed: bad\n")
    monkeypatch.setattr(check, "CHECKS", ())
    assert check.main([]) == 0
    assert check.main(["--nope"]) == 2


def test_cargo_gets_the_variables_of_the_build() -> None:
    env = build.cargo_env()
    assert env["PYO3_BUILD_EXTENSION_MODULE"] == "1"
    assert Path(env["PYO3_CONFIG_FILE"]).is_file()
