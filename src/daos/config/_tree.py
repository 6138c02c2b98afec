"""YAML as plain values that know their lines.

Only what a configuration needs: mappings with text for keys, lists, and scalars. Nothing in a file makes an object, and
a small file cannot become a large value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TypeAlias

import yaml

from daos.errors import InvalidError

if TYPE_CHECKING:
    from pathlib import Path

BYTES_MAX = 1 << 20
"""Of a file; DAOS's own sample, comments included, has 24 KiB."""
DEPTH_MAX = 32
VALUES_MAX = 20_000
"""With those that aliases repeat."""

Value: TypeAlias = "dict[str, Value] | tuple[Value, ...] | str | int | float | bool | None"
Place: TypeAlias = tuple[str | int, ...]


class Number(int):
    """A whole number that was written without quotes, and how: where a text is expected, this is it."""

    text: str

    def __new__(cls, value: int, text: str) -> Self:
        """Make one of its value and its text."""
        made = int.__new__(cls, value)
        made.text = text
        return made


class Decimal(float):
    """The same for a number with a point."""

    text: str

    def __new__(cls, value: float, text: str) -> Self:
        """Make one of its value and its text."""
        made = float.__new__(cls, value)
        made.text = text
        return made


class _Loader(yaml.SafeLoader):
    """Without dates and numbers to the base of 60: an unquoted PCI address must stay a text."""


_RESOLVED = ("null", "bool", "int", "float")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag.rsplit(":", 1)[-1] in _RESOLVED]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class Tree:
    """The values of a file.

    Attributes:
        value: The whole.
        lines: On which line, from 1, each place is: of an entry of a mapping, that of its key.
    """

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.lines: dict[Place, int] = {(): 1}
        self._left = VALUES_MAX
        try:
            loader = _Loader(text)
            try:
                node = loader.get_single_node()
            finally:
                loader.dispose()
            self.value: Value = None if node is None else self._value(node, ())
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            where = f"{name}:{mark.line + 1}" if mark else name
            raise InvalidError(
                one_line(f"{where}: no YAML: {error.problem or error.context}"), hint=_YAML_HINT
            ) from None
        except yaml.YAMLError as error:
            raise InvalidError(one_line(f"{name}: no YAML: {' '.join(str(error).split())}"), hint=_YAML_HINT) from None
        except RecursionError:
            raise InvalidError(f"{name}: too deep", hint=f"at most {DEPTH_MAX} levels") from None

    def line(self, place: Place) -> int:
        """Return the line of a place, or of the nearest thing around it that is in the file."""
        while place not in self.lines:
            place = place[:-1]
        return self.lines[place]

    def _value(self, node: yaml.Node, place: Place) -> Value:
        self._left -= 1
        if self._left < 0 or len(place) > DEPTH_MAX:
            raise InvalidError(
                f"{self.name}:{node.start_mark.line + 1}: too much, or too deep",
                hint=f"at most {VALUES_MAX} values and {DEPTH_MAX} levels, those of aliases counted each time",
            )
        self.lines.setdefault(place, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return tuple(self._value(item, (*place, index)) for index, item in enumerate(node.value))
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Value]:
        values: dict[str, Value] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise InvalidError(f"{self.name}:{line}: a key is a word", hint=_YAML_HINT)
            key: str = key_node.value
            if key in values:
                raise InvalidError(
                    one_line(f"{self.name}:{line}: {dotted((*place, key))} is given twice"),
                    hint=f"it stands on line {self.lines[*place, key]} already; remove one",
                )
            self.lines[*place, key] = line
            values[key] = self._value(value_node, (*place, key))
        return values

    def _scalar(self, node: yaml.Node) -> Value:
        text: str = node.value
        kind = node.tag.rsplit(":", 1)[-1]
        if kind == "null":
            return None
        if kind == "bool":
            return text.lower() in ("yes", "true", "on")
        if kind in ("int", "float"):
            try:
                return _number(text)
            except ValueError:
                return text  # to the base of 60
        if kind == "str":
            return text
        raise InvalidError(
            one_line(f"{self.name}:{node.start_mark.line + 1}: the tag {node.tag} means nothing here"), hint="remove it"
        )


def read(path: Path) -> Tree:
    """Return the tree of a file.

    Raises:
        InvalidError: It cannot be read, is too long, no UTF-8 or no YAML, or gives a key twice.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(BYTES_MAX + 1)
    except OSError as error:
        raise InvalidError(
            f"{path}: {error.strerror}", hint="name another configuration file with -o, or mend its permissions"
        ) from None
    if len(raw) > BYTES_MAX:
        raise InvalidError(f"{path}: longer than {BYTES_MAX} bytes", hint="is it a configuration file?")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InvalidError(f"{path}:{line}: no UTF-8", hint="is it a configuration file?") from None
    return Tree(str(path), text)


def one_line(text: str) -> str:
    """Return a text as a terminal can show it in a line, whatever stands in a file."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def dotted(place: Place) -> str:
    """Return a place as it is spoken of: `engines[0].storage[1].class`."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _number(text: str) -> Number | Decimal:
    plain = text.replace("_", "")
    if ":" in plain:
        raise ValueError(text)
    unsigned = plain.lstrip("+-")
    if unsigned[:2] in ("0x", "0X"):
        return Number(int(plain, 16), text)
    if unsigned[:2] == "0b":
        return Number(int(plain, 2), text)
    if unsigned.isdigit():
        octal = unsigned.startswith("0") and unsigned != "0" and set(unsigned) <= set("01234567")
        return Number(int(plain, 8 if octal else 10), text)
    return Decimal(float(plain.replace(".inf", "inf").replace(".nan", "nan").replace(".NaN", "nan")), text)


_YAML_HINT = "keys with a colon, two spaces a level, no tabs; a text with : or # in quotes"
