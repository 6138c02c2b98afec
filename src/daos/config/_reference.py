"""The reference of keys, as the guide prints it: made from the models, so that it cannot lag behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING, get_args

from daos.config._load import section_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

    from daos.config._types import Section


def reference(kind: type[Section]) -> list[str]:
    """Return the table of a file's keys, and that of the keys that mean nothing here."""
    rows = list(_rows(kind, ""))
    used = [f"| `{key}` | {default} | {text} |" for key, default, text, reason in rows if reason is None]
    passed = [f"| `{key}` | {reason} |" for key, _, _, reason in rows if reason is not None]
    lines = ["| key | default | meaning |", "| --- | --- | --- |", *used]
    if passed:
        lines += ["", "Taken, and without a meaning here:", "", "| key | why |", "| --- | --- |", *passed]
    return lines


def _rows(kind: type[Section], prefix: str) -> Iterator[tuple[str, str, str, str | None]]:
    for name, field in kind.model_fields.items():
        key = prefix + (field.alias or name)
        text = " ".join((field.description or "").split()).replace("|", "\\|")
        extra = field.json_schema_extra
        reason = str(extra["ignored"]) if isinstance(extra, dict) and "ignored" in extra else None
        inner = section_of(field)
        if inner is None or reason is not None:
            yield key, _default(field), text, reason
            continue
        places = {"list": "[]", "mapping": ".*"}
        yield from _rows(inner, f"{key}{places.get(_holder(field), '')}.")  # type: ignore[arg-type]


def _holder(field: FieldInfo) -> str:
    pending: list[object] = [field.annotation]
    while pending:
        one = pending.pop()
        origin = getattr(one, "__origin__", None)
        if origin is tuple:
            return "list"
        if origin is dict:
            return "mapping"
        pending += get_args(one)
    return "section"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if field.default_factory is not None:
        return "this host"
    value: object = field.default
    if value is None or value == ():
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return f"`{value[0] if isinstance(value, tuple) else value}`"
