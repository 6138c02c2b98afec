"""The manual page of a tool, made of its commands and options, as `man` reads it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from daos.cli._base import LazyGroup
from daos.cli._output import Reply

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date


def escaped(text: str) -> str:
    """Return text as roff shows it unchanged: one line, no escape, no request, hyphens that can be copied."""
    line = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{line}" if line.startswith((".", "'")) else line


def man_page(tool: click.Group, day: date, version: str) -> list[str]:
    """Return the lines of a tool's page, section 1.

    Args:
        tool: The tool, with all its commands.
        day: Of the page.
        version: Of the software.
    """
    context = click.Context(tool, info_name=tool.name)
    name = tool.name or ""
    lines = [
        f'.TH "{escaped(name).upper()}" 1 "{day.isoformat()}" "DAOS {escaped(version)}" "User Commands"',
        ".SH NAME",
        f"{escaped(name)} \\- {escaped(_summary(tool.help)).rstrip('.')}",
        ".SH SYNOPSIS",
        f"\\fB{escaped(name)}\\fR [\\fIOPTIONS\\fR] \\fICOMMAND\\fR [\\fIARGUMENTS\\fR]",
        ".SH DESCRIPTION",
        *_paragraphs(tool.help),
        ".SH OPTIONS",
        "They may stand before, between and behind the words of a command.",
    ]
    common = _options(tool, context)
    lines += _described(common)
    lines.append(".SH COMMANDS")
    known = {name for option in common for name in option.opts} | {"-h", "--help"}
    for words, aliases, command, inner in _commands(tool, context):
        lines += _section(name, words, aliases, command, inner, known)
    lines += [
        ".SH EXIT STATUS",
        "0 for success, 1 for any error, which is one line on standard error.",
    ]
    return lines


def written(lines: Sequence[str], output: str | None) -> Reply:
    """Return the reply of a command that makes a page: the page, or nothing where it goes to a file.

    Raises:
        OSError: The file cannot be written.
    """
    if output is None:
        return Reply(lines, lambda: {"page": "\n".join([*lines, ""])})
    Path(output).write_text("\n".join([*lines, ""]), encoding="utf-8")
    return Reply()


def _commands(
    group: click.Group, context: click.Context, before: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], tuple[str, ...], click.Command, click.Context]]:
    """Yield all commands of a group, those of groups below it behind each: words, other words for the last, itself."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        aliases = group.lazy[name].aliases if isinstance(group, LazyGroup) else ()
        inner = click.Context(command, parent=context, info_name=name)
        yield (*before, name), aliases, command, inner
        if isinstance(command, click.Group):
            yield from _commands(command, inner, (*before, name))


def _section(
    tool: str,
    words: tuple[str, ...],
    aliases: tuple[str, ...],
    command: click.Command,
    context: click.Context,
    known: set[str],
) -> list[str]:
    """Return what the page says of a command; the options of the tool are not told again."""
    lines = [f".SS {escaped(' '.join(words))}", *_paragraphs(command.help)]
    own = [option for option in _options(command, context) if not known.issuperset(option.opts)]
    if not isinstance(command, click.Group):
        places = [
            f"\\fI{escaped(parameter.human_readable_name)}\\fR"
            for parameter in command.get_params(context)
            if isinstance(parameter, click.Argument)
        ]
        usage = [f"\\fB{escaped(' '.join((tool, *words)))}\\fR", *(["[\\fIOPTIONS\\fR]"] if own else []), *places]
        lines += [".PP", f"Usage: {' '.join(usage)}"]
    if aliases:
        lines += [".PP", f"Other words for it: {', '.join(f'{chr(92)}fB{escaped(one)}{chr(92)}fR' for one in aliases)}"]
    return lines + _described(own)


def _options(command: click.Command, context: click.Context) -> list[click.Option]:
    return [
        parameter
        for parameter in command.get_params(context)
        if isinstance(parameter, click.Option) and not parameter.hidden and parameter.opts
    ]


def _described(options: Sequence[click.Option]) -> list[str]:
    lines = []
    for option in options:
        names = ", ".join(f"\\fB{escaped(name)}\\fR" for name in (*option.opts, *option.secondary_opts))
        value = "" if option.is_flag or option.count else f" \\fI{escaped(_metavar(option))}\\fR"
        text = escaped(option.help or "")
        if option.required:
            text = f"{text} (required)".lstrip()
        lines += [".TP", f"{names}{value}", text or "\\&"]
    return lines


def _metavar(option: click.Option) -> str:
    return option.metavar or option.type.name.split()[0].upper()


def _summary(text: str | None) -> str:
    return (text or "").strip().partition("\n\n")[0]


def _paragraphs(text: str | None) -> list[str]:
    paragraphs = [escaped(part) for part in (text or "").split("\n\n")]
    return [line for part in paragraphs if part for line in (".PP", part)]
