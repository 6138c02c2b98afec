"""A tool whose packages are missing says so."""

from __future__ import annotations

import importlib

import pytest

from daos import _daemons


@pytest.mark.parametrize(("begin", "tool"), [(_daemons.server, "daos_server"), (_daemons.agent, "daos_agent")])
def test_a_missing_package_is_told_in_a_line(
    begin: object, tool: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent(_: str) -> object:
        raise ModuleNotFoundError("No module named 'pydantic'", name="pydantic")

    monkeypatch.setattr(_daemons, "import_module", absent)
    assert callable(begin)
    with pytest.raises(SystemExit) as ended:
        begin()
    assert ended.value.code == 1
    told = capsys.readouterr().err.splitlines()
    assert told == [f"ERROR: {tool}: the package pydantic is not installed", "hint: pip install 'daos[server]'"]


def test_a_part_of_the_package_itself_is_not_taken_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_: str) -> object:
        raise ModuleNotFoundError("No module named 'daos.gone'", name="daos.gone")

    monkeypatch.setattr(_daemons, "import_module", absent)
    with pytest.raises(ModuleNotFoundError):
        _daemons.server()
    assert importlib.import_module("daos.server.main").main
