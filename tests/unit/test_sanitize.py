"""`make sanitize`: what it decides."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import sanitize
from tools.build import ROOT


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sanitize, "PLACE", tmp_path / "sanitize")
    return tmp_path / "sanitize"


def test_without_a_nightly_toolchain_it_says_so_and_ends_well(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert sanitize.main([]) == 0
    assert capsys.readouterr().out == "no nightly toolchain: not run\n"
    assert not place.exists()


def test_what_fails_is_told_and_the_rest_runs(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = []

    def run(step: sanitize.Step) -> int:
        ran.append(step)
        return 101 if step.name == "unit tests" else 0

    monkeypatch.setattr(sanitize, "nightly", lambda: place)
    monkeypatch.setattr(sanitize, "canary", lambda _: True)
    monkeypatch.setattr(sanitize, "run", run)
    assert sanitize.main(["--only", "thread"]) == 1
    assert [step.sanitizer for step in ran] == ["thread", "thread"]
    assert "FAILED (101)" in capsys.readouterr().out
    assert (place / "suppressions").read_text().splitlines() == list(sanitize.SUPPRESSED)


def test_a_sanitizer_that_sees_nothing_proves_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sanitize, "nightly", lambda: place)
    monkeypatch.setattr(sanitize, "canary", lambda _: False)
    assert sanitize.main(["--only", "address"]) == 1
    assert "does not see a planted mistake" in capsys.readouterr().out


def test_what_it_names_is_there() -> None:
    for crate in sanitize.CRATES:
        assert f'name = "daos-{crate}"' in (ROOT / "rust" / crate / "Cargo.toml").read_text()
    for name in sanitize.PYTHON_TESTS:
        assert (ROOT / "tests" / "integration" / f"{name}.py").is_file()
    listed = (ROOT / "rust" / "vos" / "tests" / "it" / "main.rs").read_text()
    assert all(f"mod {name};" in listed for name in sanitize.CONCURRENT)
    # All that has `unsafe` of ours, but for benches and the fuzzer's meter, is in what is run.
    ours = {
        path.parts[len(ROOT.parts) + 1] for path in ROOT.glob("rust/*/src/**/*.rs") if "unsafe {" in path.read_text()
    }
    assert ours - {"python", "fuzz"} <= set(sanitize.CRATES)
    assert all(step.sanitizer in sanitize.FLAGS for step in sanitize.steps(ROOT))
