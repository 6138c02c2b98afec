"""The linter of the repository finds what it should, and nothing in this repository."""

from __future__ import annotations

import pytest

from tools import tidy
from tools.tidy import Tree


def tree(**files: str) -> Tree:
    """Return a tree of files whose names are written with `__` for `/` and `_dot_` for `.`."""
    texts = {name.replace("__", "/").replace("_dot_", "."): text for name, text in files.items()}
    return Tree(texts, {name: len(text) for name, text in texts.items()})


@pytest.mark.parametrize(
    ("rule", "files", "expected"),
    [
        (tidy.lines_of, {"a_dot_py": "x = 1\n"}, None),
        (tidy.lines_of, {"a_dot_py": "x = 1 \n"}, "a.py:1: trailing whitespace"),
        (tidy.lines_of, {"a_dot_py": "x = 1"}, "a.py: no newline"),
        (tidy.lines_of, {"a_dot_py": "y\n# TODO later\n"}, "a.py:2: unfinished"),
        (tidy.lines_of, {"a_dot_rs": "// FIXME\n"}, "a.rs:1: unfinished"),
        (tidy.lines_of, {"a_dot_md": "see /work/x\n"}, "a.md:1: /work/"),
        (tidy.sizes_of, {"a_dot_py": "\n" * 601}, "a.py: 601 lines"),
        (tidy.sizes_of, {"a_dot_py": "\n" * 600}, None),
        (tidy.sizes_of, {"a_dot_bin": "x" * (256 * 1024 + 1)}, "a.bin: 262145 bytes"),
        (tidy.links_of, {"docs__a_dot_md": "[x](../b.md#y)\n", "b_dot_md": ""}, None),
        (tidy.links_of, {"docs__a_dot_md": "[x](b.md)\n", "b_dot_md": ""}, "docs/a.md:1: dead link b.md"),
        (tidy.links_of, {"a_dot_md": "[x](docs/) [y](https://example.org) [z](#here)\n", "docs__b_dot_md": ""}, None),
        (
            tidy.architecture_of,
            {"ARCHITECTURE_dot_md": "`b.py::C.f`\n", "b_dot_py": "class C:\n  def f(self): ...\n"},
            None,
        ),
        (
            tidy.architecture_of,
            {"ARCHITECTURE_dot_md": "`b.py::C.g`\n", "b_dot_py": "class C: ...\n"},
            "defines no C.g",
        ),
        (tidy.architecture_of, {"ARCHITECTURE_dot_md": "`b.rs::f`\n", "b_dot_rs": "pub fn f() {}\n"}, None),
        (tidy.architecture_of, {"ARCHITECTURE_dot_md": "`b.rs::g`\n"}, "no file b.rs"),
        (tidy.architecture_of, {"ARCHITECTURE_dot_md": "| `rust/vos` | x |\n", "rust__vos__a_dot_rs": ""}, None),
        (tidy.architecture_of, {"ARCHITECTURE_dot_md": "| `rust/vos` | x |\n"}, "rust/vos, which is not there"),
        (tidy.architecture_of, {"rust__vos__src__a_dot_rs": ""}, "lacks rust/vos"),
        (tidy.architecture_of, {"src__daos__cli__a_dot_py": ""}, "lacks src/daos/cli"),
    ],
)
def test_a_rule_finds_what_it_should(
    monkeypatch: pytest.MonkeyPatch, rule: tidy.Rule, files: dict[str, str], expected: str | None
) -> None:
    monkeypatch.setattr(tidy, "LONG_FILES", {})
    findings = list(rule(tree(**files)))
    assert len(findings) == (expected is not None), findings
    assert expected is None or expected in findings[0]


def test_a_short_file_leaves_the_list_of_long_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tidy, "LONG_FILES", {"a.py": "because"})
    assert not list(tidy.sizes_of(tree(a_dot_py="\n" * 601)))
    assert "not long any more" in next(iter(tidy.sizes_of(tree(a_dot_py="\n"))))


def test_this_repository_is_tidy(capsys: pytest.CaptureFixture[str]) -> None:
    assert tidy.main() == 0, capsys.readouterr().out
