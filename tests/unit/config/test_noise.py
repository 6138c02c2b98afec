"""Whatever stands in a file: a configuration, or one line of what is wrong."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from daos.config import load_agent, load_server
from daos.config._tree import Tree, Value
from daos.errors import InvalidError
from tests.unit.config.test_config import DEPLOY, uncommented

Plain: TypeAlias = "dict[str, Plain] | list[Plain] | str | int | float | bool | None"

SERVER: Plain = yaml.safe_load(uncommented((DEPLOY / "daos_server.yml").read_text()))
AGENT: Plain = yaml.safe_load(uncommented((DEPLOY / "daos_agent.yml").read_text()))

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
plain: st.SearchStrategy[Plain] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)
SETTINGS = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])


def told(start: str, work: Callable[[], object]) -> None:
    """Do something that may be refused, in one line that begins as it should."""
    try:
        work()
    except InvalidError as refused:
        error = refused
    else:
        return
    assert error.message.startswith(start)
    assert error.message.isprintable()
    assert all(map(str.isprintable, str(error).splitlines()))


def comparable(value: Plain | Value) -> object:
    if isinstance(value, dict):
        return {str(key): comparable(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [comparable(one) for one in value]
    return "nan" if isinstance(value, float) and value != value else value  # noqa: PLR0124 -- nan is not itself


@SETTINGS
@given(plain)
def test_what_is_read_is_what_was_written(value: Plain) -> None:
    assert comparable(Tree("x", yaml.safe_dump(value)).value) == comparable(value)
    assert comparable(Tree("x", yaml.safe_dump(value, default_flow_style=True)).value) == comparable(value)


@SETTINGS
@given(st.text(max_size=200))
@example("a\x85b: 1\na\x85b: 2")
@example('"a\\nb": 1\n"a\\nb": 2')
def test_any_text(text: str) -> None:
    told("x", lambda: Tree("x", text))


def places(value: Plain, before: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [before] if before else []
    if isinstance(value, dict):
        for key, one in value.items():
            found += places(one, (*before, key))
    if isinstance(value, list):
        for index, one in enumerate(value):
            found += places(one, (*before, index))
    return found


def changed(value: Plain, place: tuple[str | int, ...], put: Plain) -> Plain:
    whole = copy.deepcopy(value)
    inner = whole
    for part in place[:-1]:
        inner = inner[part]  # type: ignore[index]
    inner[place[-1]] = put  # type: ignore[index]
    return whole


@pytest.mark.parametrize("name", ["server", "agent"])
@SETTINGS
@given(data=st.data())
def test_anything_in_the_place_of_anything(tmp_path: Path, name: str, data: st.DataObject) -> None:
    whole, load = (SERVER, load_server) if name == "server" else (AGENT, load_agent)
    place = data.draw(st.sampled_from(places(whole)))
    path = tmp_path / "some.yml"
    path.write_text(yaml.safe_dump(changed(whole, place, data.draw(plain)), allow_unicode=True), encoding="utf-8")
    told(f"{path}:", lambda: load(path, check_files=False))


def test_what_is_shown_is_one_line(tmp_path: Path) -> None:
    for text in ('port: "a\\nb"\n', '"a\\nb": 1\n', 'name: "\\x1b[31m"\n', 'engines: [{"\\u2028": 1}]\n'):
        path = tmp_path / "some.yml"
        path.write_text(text)
        with pytest.raises(InvalidError) as caught:
            load_server(path, check_files=False)
        assert caught.value.message.isprintable()
        assert "\\" in caught.value.message
