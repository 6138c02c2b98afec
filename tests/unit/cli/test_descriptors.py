"""Descriptors of a process that a person started."""

from __future__ import annotations

import resource

import pytest

from daos.cli._descriptors import raise_descriptor_limit


def test_a_process_may_open_as_many_files_as_its_hard_limit_allows() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
        raise_descriptor_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
        raise_descriptor_limit()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)


def test_dfuse_raises_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from daos.dfuse import command

    called: list[str] = []
    monkeypatch.setattr(command, "raise_descriptor_limit", lambda: called.append("raised"))

    def run(_arguments: list[str]) -> int:
        called.append("ran")
        return 0

    monkeypatch.setattr(command, "run", run)
    with pytest.raises(SystemExit):
        command.main()
    assert called == ["raised", "ran"]
