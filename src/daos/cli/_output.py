"""How the tools print: text as DAOS's tools, or one JSON envelope."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import click

from daos.errors import DaosError

STATUS_GENERIC = -1025
"""The status of what has no error code of its own: a wrong command line."""


@dataclass
class Session:
    """What the options of every command say.

    Attributes:
        json: Print the envelope instead of text.
        system: The directory of the system.
    """

    json: bool = False
    system: str | None = None


@dataclass(frozen=True)
class Reply:
    """What a command has to say. Either `lines` or `response` is asked for, not both.

    Attributes:
        lines: The text, a line each, made while it is printed.
        response: Makes the JSON response; None for none.
        raw: Pieces to print as they are in the place of text, made while they are printed.
        error: Set where the command has something to say and failed all the same.
    """

    lines: Iterable[str] = ()
    response: Callable[[], object] = field(default=lambda: None)
    raw: Iterable[bytes] = ()
    error: str | None = None


def envelope(response: object, error: str | None, status: int) -> str:
    """Return what `--json` prints, as DAOS's tools do."""
    return json.dumps({"response": response, "error": error, "status": status}, indent=2, ensure_ascii=False)


def show(reply: Reply, session: Session) -> None:
    """Print a command's reply."""
    if session.json:
        click.echo(envelope(reply.response(), reply.error, STATUS_GENERIC if reply.error else 0))
        return
    for piece in reply.raw:
        click.echo(piece, nl=False)
    for line in reply.lines:
        click.echo(line)


def error_text(error: Exception) -> tuple[str, int]:
    """Return the text and the JSON status of an error."""
    if isinstance(error, DaosError):
        return f"{error.message}: {error.code}", -error.code.value
    if isinstance(error, click.ClickException):
        return usage_text(error), STATUS_GENERIC
    return str(error) or type(error).__name__, STATUS_GENERIC


def usage_text(error: click.ClickException) -> str:
    """Return an error of the command line in the words of DAOS's tools."""
    if isinstance(error, click.MissingParameter) and error.param is not None:
        if isinstance(error.param, click.Argument):
            return f"the required argument `<{error.param.human_readable_name.lower()}>` was not provided"
        return f"the required flag `{max(error.param.opts, key=len)}' was not specified"
    if isinstance(error, click.NoSuchOption):
        return f"unknown flag `{error.option_name.lstrip('-')}'"
    return error.format_message()


def show_error(error: Exception, *, as_json: bool) -> None:
    """Print an error: the envelope on standard output if asked for, the line on standard error always."""
    text, status = error_text(error)
    if as_json:
        click.echo(envelope(None, text, status))
    click.echo(f"ERROR: daos: {text}", err=True)
    if isinstance(error, DaosError) and error.hint:
        click.echo(f"hint: {error.hint}", err=True)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], indent: str = "") -> list[str]:
    """Return a table as DAOS's tools print it: each cell padded and followed by a space, dashes under each head."""
    body = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *body, strict=True)]
    lines = [heads, ["-" * len(head) for head in heads], *body]
    return [indent + "".join(f"{cell:<{width}} " for cell, width in zip(line, widths, strict=True)) for line in lines]


def rows(pairs: Sequence[tuple[str, str]], indent: str = "  ") -> list[str]:
    """Return names and values, a pair a line, the colons below each other."""
    width = max(len(name) for name, _ in pairs)
    return [f"{indent}{name:<{width}}: {value}" for name, value in pairs]
