"""The planted mistakes: that all still apply, and what the tool that plants them decides."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools import mutants
from tools.build import ROOT
from tools.mutants import Mutant, MutantError, Outcome

HEAD = "Breaks: all of it. Caught by: anybody.\nTests: daos-vos python\n\n"
DIFF = "--- a/rust/vos/src/tx.rs\n+++ b/rust/vos/src/tx.rs\n"


def one(tests: tuple[str, ...], *touches: str) -> Mutant:
    return Mutant(Path("01-name.patch"), "all of it", "anybody", tests, touches)


@pytest.mark.parametrize("path", sorted(mutants.PATCHES.glob("*.patch")), ids=lambda path: path.stem)
def test_every_patch_still_applies(path: Path) -> None:
    mutants.parse(path)
    done = subprocess.run(("git", "apply", "--check", str(path)), cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_there_are_enough_and_their_crates_exist() -> None:
    all_of_them = mutants.chosen([])
    assert len(all_of_them) >= 17
    crates = {path.parent.name for path in (ROOT / "rust").glob("*/Cargo.toml")}
    for mutant in all_of_them:
        assert {name.removeprefix("daos-") for name in mutant.tests} <= crates | {"python"}, mutant.name


def test_a_patch_says_what_it_breaks(tmp_path: Path) -> None:
    path = tmp_path / "01-name.patch"
    path.write_text(HEAD + DIFF)
    assert mutants.parse(path) == Mutant(path, "all of it", "anybody", ("daos-vos", "python"), ("rust/vos/src/tx.rs",))
    for text in (DIFF, HEAD, HEAD.replace("Tests: ", "") + DIFF):
        path.write_text(text)
        with pytest.raises(MutantError, match="begins with"):
            mutants.parse(path)


def test_mutants_are_chosen_by_how_they_begin(tmp_path: Path) -> None:
    for name in ("01-a", "02-b"):
        (tmp_path / f"{name}.patch").write_text(HEAD + DIFF)
    assert [mutant.name for mutant in mutants.chosen([], tmp_path)] == ["01-a", "02-b"]
    assert [mutant.name for mutant in mutants.chosen(["02"], tmp_path)] == ["02-b"]
    with pytest.raises(MutantError, match="no mutant begins with 03"):
        mutants.chosen(["01", "03"], tmp_path)


def test_the_narrowest_tests_run_first() -> None:
    narrow, wide, last = mutants.stages(one(("daos-vos",), "rust/vos/src/tx.rs"))
    assert narrow[-2:] == ("-p", "daos-vos")
    assert ("--workspace" in wide, wide[-2:], last) == (True, ("--exclude", "daos-vos"), ("python",))
    assert mutants.stages(one(("python",), "src/daos/errors.py")) == [("python",)]


def test_red_is_a_test_that_failed() -> None:
    output = "test a::b ... ok\ntest c::d ... FAILED\nFAILED tests/x.py::test_y - AssertionError\nerror: FAILED\n"
    assert mutants.red(output) == ("c::d", "tests/x.py::test_y")


def test_what_runs_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutants, "TREE", tmp_path)
    assert mutants.run(("sh", "-c", "echo begun; sleep 60"), 0.2) == (-1, "begun\n")
    assert mutants.run(("sh", "-c", "echo why; exit 3")) == (3, "why\n")
    with pytest.raises(MutantError, match="does not build"):
        mutants.must(("false",), "does not build")


def test_a_stage_tells_red_from_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mutants, "TREE", tmp_path)
    assert mutants.stage(("true",)) == ()
    red = "case $1 in --no-run) ;; *) echo 'test a ... FAILED'; exit 1;; esac"
    assert mutants.stage(("sh", "-c", red, "test")) == ("a",)
    broken = "case $1 in --no-run) ;; *) echo 'out of memory'; exit 1;; esac"
    with pytest.raises(MutantError, match="without a test"):
        mutants.stage(("sh", "-c", broken, "test"))


def test_a_survivor_fails_the_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clean = subprocess.CompletedProcess((), 0, "", "")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: clean)
    monkeypatch.setattr(mutants, "reset", lambda: None)
    monkeypatch.setattr(mutants, "baseline", lambda _: True)
    monkeypatch.setattr(mutants, "attempt", lambda mutant: Outcome(mutant, ("a", "b"), "", 1.0))
    assert mutants.main(["01"]) == 0
    assert "caught by a and 1 more" in capsys.readouterr().out
    monkeypatch.setattr(mutants, "attempt", lambda mutant: Outcome(mutant, (), "", 1.0))
    assert mutants.main(["01"]) == 1
    assert "SURVIVED" in capsys.readouterr().out
    monkeypatch.setattr(mutants, "attempt", lambda mutant: Outcome(mutant, (), "does not apply", 1.0))
    assert mutants.main(["01"]) == 1
    monkeypatch.setattr(mutants, "baseline", lambda _: False)
    assert (mutants.main(["01"]), mutants.main(["no such"])) == (1, 2)


def test_a_tree_with_changes_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    dirty = subprocess.CompletedProcess((), 0, " M a\n", "")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: dirty)
    assert mutants.main([]) == 2
    assert "commit or stash" in capsys.readouterr().err
