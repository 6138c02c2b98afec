"""`daos manpage` and `dmg manpage`: what `man` can read, with all there is."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import click
import pytest

import daos
from daos.cli import _main
from daos.cli._base import Command, Lazy, LazyGroup
from daos.cli._manpage import escaped, man_page
from daos.cli._output import Reply
from daos.cli.dmg import _main as dmg_main
from daos.cli.dmg._base import Admin
from tests.cli_tool import Tool

DAY = date(2026, 11, 29)
TOOLS = pytest.mark.parametrize("make", [_main.tool, dmg_main.tool], ids=["daos", "dmg"])


def _page(make: Callable[[], LazyGroup]) -> str:
    return "\n".join([*man_page(make(), DAY, "1.2"), ""])


def _small() -> LazyGroup:
    def put(key: str, *, again: bool) -> Reply:
        """Store a value.

        .1 of it, or all\\none; a-b stays as it is.
        """
        del key, again
        return Reply()

    stored = Command(
        "put",
        put,
        [
            click.Argument(["key"], metavar="KEY"),
            click.Option(["-a", "--again"], is_flag=True, help="Once more."),
            click.Option(["--at"], required=True, type=click.IntRange(0, 9), help="Where."),
            click.Option(["--never"], hidden=True),
        ],
        put.__doc__ or "",
    )

    class Group(LazyGroup):
        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
            return stored if cmd_name == "put" else super().get_command(ctx, cmd_name)

    return LazyGroup(
        "tool", "Keep values.", {"kv": Group("kv", "Values.", {"put": Lazy("no.module", "Store.", ("set",))}, ("v",))}
    )


def test_a_page_line_for_line() -> None:
    lines = man_page(_small(), DAY, "1.2-3")
    common = lines[lines.index(".SH OPTIONS") + 2 : lines.index(".SH COMMANDS")]
    assert common[:3] == [".TP", "\\fB\\-j\\fR, \\fB\\-\\-json\\fR", "Print one JSON object."]
    assert "\\fB\\-S\\fR, \\fB\\-\\-system\\fR \\fIPATH\\fR" in common
    own = [line for line in lines if line not in common]
    assert [line for line in own if line != ".TP"] == [
        '.TH "TOOL" 1 "2026-11-29" "DAOS 1.2\\-3" "User Commands"',
        ".SH NAME",
        "tool \\- Keep values",
        ".SH SYNOPSIS",
        "\\fBtool\\fR [\\fIOPTIONS\\fR] \\fICOMMAND\\fR [\\fIARGUMENTS\\fR]",
        ".SH DESCRIPTION",
        ".PP",
        "Keep values.",
        ".SH OPTIONS",
        "They may stand before, between and behind the words of a command.",
        ".SH COMMANDS",
        ".SS kv",
        ".PP",
        "Values.",
        ".PP",
        "Other words for it: \\fBv\\fR",
        ".SS kv put",
        ".PP",
        "Store a value.",
        ".PP",
        "\\&.1 of it, or all\\enone; a\\-b stays as it is.",
        ".PP",
        "Usage: \\fBtool kv put\\fR [\\fIOPTIONS\\fR] \\fIKEY\\fR",
        ".PP",
        "Other words for it: \\fBset\\fR",
        "\\fB\\-a\\fR, \\fB\\-\\-again\\fR",
        "Once more.",
        "\\fB\\-\\-at\\fR \\fIINTEGER\\fR",
        "Where. (required)",
        ".SH EXIT STATUS",
        "0 for success, 1 for any error, which is one line on standard error.",
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a-b", "a\\-b"), (".so /etc/passwd", "\\&.so /etc/passwd"), ("'x", "\\&'x"), ("\\n", "\\en"), ("a\n  b", "a b")],
)
def test_text_is_no_request(text: str, shown: str) -> None:
    assert escaped(text) == shown


def _all(group: click.Group, before: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group, info_name=group.name)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield (*before, name), command
        if isinstance(command, click.Group):
            yield from _all(command, (*before, name))


@TOOLS
def test_every_command_and_option_is_in_the_page(make: Callable[[], LazyGroup]) -> None:
    page = _page(make)
    sections = dict(zip(*[iter(re.split(r"^\.SS (.*)\n", page, flags=re.MULTILINE)[1:])] * 2, strict=True))
    assert page.count(".SS ") == len(sections), "no command twice"
    common = page.partition(".SH COMMANDS")[0]
    found = list(_all(make()))
    assert set(sections) == {escaped(" ".join(words)) for words, _ in found}
    for words, command in found:
        told = sections[escaped(" ".join(words))]
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                for name in parameter.opts:
                    assert f"\\fB{escaped(name)}\\fR" in told + common, (words, name)


@TOOLS
@pytest.mark.skipif(shutil.which("groff") is None, reason="it takes groff")
def test_groff_has_nothing_to_complain_of(make: Callable[[], LazyGroup], tmp_path: Path) -> None:
    path = tmp_path / "page.1"
    path.write_text(_page(make))
    command = ["groff", "-man", "-ww", "-Tascii", "-P-cbou", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert done.stderr == ""
    assert "EXIT STATUS" in done.stdout


def test_the_command(tool: Tool, tmp_path: Path) -> None:
    done = tool("manpage", system=None)
    assert done.status == 0
    assert done.text.startswith('.TH "DAOS" 1 ')
    assert daos.__version__.replace("-", "\\-") in done.text
    response = tool("manpage", "--json", system=None).json["response"]
    assert isinstance(response, dict)
    assert response["page"] == done.text
    path = tmp_path / "daos.1"
    assert tool("manpage", "-o", str(path), system=None).raw == ""
    assert path.read_text() == done.text
    failed = tool("manpage", "-o", str(tmp_path / "no" / "daos.1"), system=None)
    assert failed.status == 1
    assert failed.errors.splitlines() == [
        f"ERROR: daos: {tmp_path}/no/daos.1: No such file or directory",
        "hint: check the path",
    ]


def test_that_of_dmg_asks_no_server(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert dmg_main.run(["manpage", "--output", str(tmp_path / "dmg.1")], Admin()) == 0
    assert capfd.readouterr().out == ""
    page = (tmp_path / "dmg.1").read_text()
    assert page.startswith('.TH "DMG" 1 ')
    assert "\\fB\\-o\\fR, \\fB\\-\\-output\\fR \\fIFILE\\fR" in page.partition(".SS manpage\n")[2].partition(".SS")[0]
