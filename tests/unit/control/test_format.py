"""What is in logs and snapshots: a change of it counts up the version of its service."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from daos.control.pool.service import POOL
from daos.control.replicated import Form
from daos.control.system.service import SYSTEM

GOLDEN = Path(__file__).parent / "golden"


def described(form: Form) -> str:  # type: ignore[type-arg]
    """Return a line for every struct that an entry or a snapshot of a service can hold."""
    lines: dict[str, str] = {}

    def walk(kind: msgspec.inspect.Type) -> None:
        if isinstance(kind, msgspec.inspect.StructType):
            name = kind.cls.__name__
            if name in lines:
                return
            lines[name] = ""  # it may hold itself
            fields = " ".join(field.encode_name for field in kind.fields)
            tag = "" if kind.tag is None else f" {kind.tag}"
            lines[name] = f"{name}{tag}: {fields}".rstrip()
            for field in kind.fields:
                walk(field.type)
        for several in ("types", "item_types"):
            for inner in getattr(kind, several, ()):
                walk(inner)
        for one in ("item_type", "key_type", "value_type"):
            if getattr(kind, one, None) is not None:
                walk(getattr(kind, one))

    walk(msgspec.inspect.type_info(form.commands))
    walk(msgspec.inspect.type_info(form.state))
    return "\n".join([f"version {form.version}", *sorted(lines.values())]) + "\n"


@pytest.mark.parametrize("form", [SYSTEM, POOL], ids=lambda form: form.name)
def test_the_form_is_the_one_of_its_version(form: Form) -> None:  # type: ignore[type-arg]
    """Changed on purpose? Count up the version if one was released, and write the new text to the file."""
    assert described(form) == (GOLDEN / f"{form.name}.txt").read_text()
