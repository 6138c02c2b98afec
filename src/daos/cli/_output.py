"""How the tools print: text as DAOS's tools, or one JSON envelope."""

from __future__ import annotations

import errno
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import click

from daos.errors import DaosError

STATUS_GENERIC = -1025
"""The status of what has no error code of its own: a wrong command line."""
OS_HINTS = {
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path",
    errno.EISDIR: "name a file",
    errno.EACCES: "check its permissions, or be another user",
    errno.EPERM: "check its permissions, or be another user",
    errno.EROFS: "choose a place that can be written to",
    errno.ENOSPC: "make room there, or choose another place",
    errno.EBADF: "redirect it to a file, or to /dev/null",
}
"""What to do about an error of a file that a command line names."""


@dataclass
class Session:
    """What the options of every command say.

    Attributes:
        json: Print the envelope instead of text.
        system: The directory of an embedded system; None to reach a running one by the agent.
        sys_name: The name of the running system; None for the agent's.
        tool: The tool's name.
        failing: What was being done, for the line on standard error: `pool query failed`; empty for nothing.
    """

    json: bool = False
    system: str | None = None
    sys_name: str | None = None
    tool: str = "daos"
    failing: str = ""


@dataclass(frozen=True)
class Reply:
    """What a command has to say. Either `lines` or `response` is asked for, not both.

    Attributes:
        lines: The text, a line each, made while it is printed.
        response: Makes the JSON response; None for none.
        raw: Pieces to print as they are in the place of text, made while they are printed.
        error: Set where the command has something to say and failed all the same.
        status: The JSON status of that error.
        hint: What to do about that error.
    """

    lines: Iterable[str] = ()
    response: Callable[[], object] = field(default=lambda: None)
    raw: Iterable[bytes] = ()
    error: str | None = None
    status: int = STATUS_GENERIC
    hint: str | None = None


def envelope(response: object, error: str | None, status: int) -> str:
    """Return what `--json` prints, as DAOS's tools do."""
    text = json.dumps({"response": response, "error": error, "status": status}, indent=2, ensure_ascii=False)
    # What stands for a byte that is no UTF-8 (PEP 383) becomes an escape of JSON's.
    return text.encode(errors="backslashreplace").decode()


class OutputError(Exception):
    """Standard output takes nothing."""

    def __init__(self, error: OSError) -> None:
        super().__init__(f"standard output: {error.strerror}")
        self.error = error


def show(reply: Reply, session: Session) -> None:
    """Print a command's reply."""
    if session.json:
        echo(envelope(reply.response(), reply.error, reply.status if reply.error else 0))
        return
    for piece in reply.raw:
        echo(piece, nl=False)
    for line in reply.lines:
        echo(line)


def echo(message: str | bytes, *, nl: bool = True) -> None:
    if getattr(sys, "stdout", None) is None:
        raise OutputError(OSError(errno.EBADF, "it is closed"))
    try:
        click.echo(message, nl=nl)
    except OSError as error:
        raise OutputError(error) from error


def error_text(error: Exception) -> tuple[str, int]:
    """Return the text and the JSON status of an error."""
    if isinstance(error, DaosError):
        return f"{error.message}: {error.code}", -error.code.value
    if isinstance(error, click.ClickException):
        return usage_text(error), STATUS_GENERIC
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.filename is None else f"{error.filename}: {error.strerror}", STATUS_GENERIC
    return str(error) or type(error).__name__, STATUS_GENERIC


def hint_of(error: Exception, tool: str = "daos") -> str | None:
    """Return what to do about an error."""
    if isinstance(error, DaosError):
        return error.hint
    if isinstance(error, click.NoSuchOption) and error.ctx is not None:
        return f"{error.ctx.command_path} -h lists them; a word that begins with - goes behind --"
    if isinstance(error, click.UsageError):
        return f"{error.ctx.command_path if error.ctx else tool} -h tells what it takes"
    if isinstance(error, OutputError):
        error = error.error
    if not isinstance(error, OSError):
        return None
    # Errors of file systems may have one of their own.
    own = getattr(error, "hint", None)
    return own if isinstance(own, str) else OS_HINTS.get(error.errno or 0)


def usage_text(error: click.ClickException) -> str:
    """Return an error of the command line in the words of DAOS's tools."""
    if isinstance(error, click.MissingParameter) and error.param is not None:
        if isinstance(error.param, click.Argument):
            name = error.param.human_readable_name.lower()
            # One that is optional, but for this line.
            name = name[1:-1] if name.startswith("[") and name.endswith("]") else name
            return f"the required argument `<{name}>` was not provided"
        return f"the required flag `{max(error.param.opts, key=len)}' was not specified"
    if isinstance(error, click.NoSuchOption):
        return f"unknown flag `{error.option_name.lstrip('-')}'"
    return error.format_message()


def show_error(error: Exception, *, as_json: bool, tool: str = "daos", failing: str = "") -> None:
    """Print an error: the envelope on standard output if asked for, the line on standard error always.

    Args:
        error: The error.
        as_json: Whether the envelope is asked for.
        tool: The tool's name.
        failing: What was being done, which the line begins with.
    """
    text, status = error_text(error)
    if as_json:
        echo(envelope(None, text, status))
    click.echo(f"ERROR: {tool}: {failing + ': ' if failing else ''}{text}", err=True)
    hint = hint_of(error, tool)
    if hint:
        click.echo(f"hint: {hint}", err=True)


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
