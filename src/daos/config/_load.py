"""From a file to a configuration, and from what is wrong with it to one line."""

from __future__ import annotations

import difflib
import os
from typing import TYPE_CHECKING, TypeVar, cast, get_args

from pydantic import BaseModel, ValidationError

from daos.config._tree import Place, Tree, Value, dotted, one_line
from daos.config._types import Problem, Section
from daos.errors import DaosError, InvalidError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from annotated_types import Ge, Le
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

    from daos.config._types import Transport

_S = TypeVar("_S", bound=Section)

UNKNOWN = "unknown key"

_KINDS = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "a text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "path_type": "a path",
    "is_instance_of": "a path",
}

_ENDS = {"greater_than_equal": "small", "less_than_equal": "large"}


def build(
    tree: Tree, kind: type[_S], check: Callable[[_S], Iterable[Problem]], overrides: Mapping[str, object] | None
) -> _S:
    """Return the configuration of a tree.

    Args:
        tree: The file.
        kind: The model of the whole.
        check: What fields must be to each other.
        overrides: What a command line says, by dotted key; it goes over the file.

    Raises:
        InvalidError: The first thing that is wrong, by line; `context["problems"]` has all.
    """
    value: Value = {} if tree.value is None else tree.value
    if not isinstance(value, dict):
        raise InvalidError(f"{tree.name}:1: not a mapping", hint="lines of the form key: value")
    try:
        config = kind.model_validate(_with(value, overrides or {}))
    except ValidationError as error:
        faults = [_fault(kind, one) for one in error.errors(include_url=False)]
        raise _refusal(tree, faults) from None
    faults = list(check(config))
    if faults:
        raise _refusal(tree, faults)
    return config


def missing_files(transport: Transport) -> Iterator[Problem]:
    """Yield each file of TLS that is not there or cannot be read."""
    for name, path in transport.files():
        problem = None
        if not path.exists():
            problem = f"there is no file {path}"
        elif not os.access(path, os.R_OK):
            problem = f"{path} cannot be read"
        if problem:
            yield Problem(
                ("transport_config", name),
                problem,
                "daos cert init and daos cert issue make certificates; allow_insecure: true goes without, for tests",
            )


def missing_programs(programs: Mapping[Place, Path | None]) -> Iterator[Problem]:
    """Yield each program that is named and cannot be run."""
    for place, path in programs.items():
        if path is not None and not (path.is_file() and os.access(path, os.X_OK)):
            yield Problem(place, f"{path} is no program that can be run", "check the path and its permissions")


def _with(value: dict[str, Value], overrides: Mapping[str, object]) -> dict[str, object]:
    merged: dict[str, object] = dict(value)
    for key, given in overrides.items():
        *sections, last = key.split(".")
        inner = merged
        for section in sections:
            # What is no mapping is left to the models to refuse.
            below = inner.get(section)
            inner[section] = dict(below) if isinstance(below, dict) else {} if below is None else below
            if not isinstance(below, dict | None):
                break
            inner = cast("dict[str, object]", inner[section])
        else:
            inner[last] = given
    return merged


def _refusal(tree: Tree, faults: list[Problem]) -> InvalidError:
    # A key that is misspelt is also missing: the former is told first.
    told = sorted(
        ((tree.line(fault.place), fault) for fault in faults), key=lambda pair: (pair[0], pair[1].what != UNKNOWN)
    )
    lines = [
        one_line(f"{tree.name}:{line}: {dotted(fault.place)}{': ' if fault.place else ''}{fault.what}")
        for line, fault in told
    ]
    line, first = told[0]
    more = f" (and {len(told) - 1} more)" if len(told) > 1 else ""
    return InvalidError(
        lines[0] + more,
        hint=one_line(first.hint) or None,
        context={"file": tree.name, "line": line, "key": dotted(first.place), "problems": tuple(lines)},
    )


def _fault(kind: type[BaseModel], error: ErrorDetails) -> Problem:
    """Return what the models refuse in our words."""
    place: Place = error["loc"]
    section, field = _where(kind, place)
    return Problem(place, *_words(error, section, field))


def _words(error: ErrorDetails, section: type[BaseModel], field: FieldInfo | None) -> tuple[str, str]:
    code, given, facts = error["type"], error["input"], error.get("ctx", {})
    what, hint = error["msg"], _described(field)
    if code == "extra_forbidden":
        keys = [one.alias or name for name, one in section.model_fields.items()]
        near = difflib.get_close_matches(str(error["loc"][-1]), keys, n=1)
        what, hint = UNKNOWN, f"did you mean {near[0]}?" if near else f"known are: {', '.join(keys)}"
    elif code == "missing":
        what = "is missing"
    elif code == "value_error":
        cause = facts["error"]
        if isinstance(cause, DaosError):
            what, hint = cause.message, cause.hint or ""
        else:
            what, _, hint = str(cause).partition("; ")
    elif code in _KINDS:
        what = f"{_shown(given)} is not {_KINDS[code]}"
    elif code in _ENDS:
        what, hint = f"{given} is too {_ENDS[code]}", _bounds(field)
    elif code == "literal_error":
        what, hint = f"{_shown(given)} is none of the values", f"allowed are: {facts['expected']}"
    elif code == "string_too_short":
        what = "is empty"
    elif code == "too_long":
        what = f"has more than {facts['max_length']} entries"
    return what, hint


def _where(kind: type[BaseModel], place: Place) -> tuple[type[BaseModel], FieldInfo | None]:
    """Return the innermost section around a place, and the field of it that the place is in."""
    section, field = kind, None
    for part in place:
        if not isinstance(part, str):
            continue
        inner = section_of(field) if field is not None else None
        section = inner or section
        field = next((one for name, one in section.model_fields.items() if part == (one.alias or name)), field)
    return section, field


def section_of(field: FieldInfo) -> type[BaseModel] | None:
    """Return the section that a field holds, by itself or in a list or mapping."""
    pending: list[object] = [field.annotation]
    while pending:
        one = pending.pop()
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one
        pending += get_args(one)
    return None


def _described(field: FieldInfo | None) -> str:
    return " ".join((field.description or "").split()).rstrip(".") if field else ""


def _bounds(field: FieldInfo | None) -> str:
    low = high = None
    pending: list[object] = [*field.metadata, *get_args(field.annotation)] if field else []
    while pending:
        one = pending.pop()
        if hasattr(one, "ge"):
            low = cast("Ge", one).ge
        if hasattr(one, "le"):
            high = cast("Le", one).le
        pending += [*getattr(one, "metadata", ()), *get_args(one)]
    if low is not None and high is not None:
        return f"{low} to {high}"
    return f"at least {low}" if high is None else f"at most {high}"


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, tuple | list):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    return f'"{text[:40]}"' if isinstance(value, str) else text[:40]
