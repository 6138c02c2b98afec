"""`daos il`."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import click

from daos.cli._base import command as make
from daos.cli._il import environment_with, library
from daos.cli._output import Reply
from daos.errors import DER, InvalidError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMAND = click.Argument(["words"], metavar="[--] COMMAND [ARGUMENT]...", nargs=-1, type=click.UNPROCESSED)
PRINT = click.Option(["--print", "show"], is_flag=True, help="Print where the library is, and run nothing.")
REPORT = click.Option(["--report"], is_flag=True, help="Have each program tell at its end what it did: D_IL_REPORT=1.")
ALL = click.Option(["--all", "everything"], is_flag=True, help="Also for shells and compilers: D_IL_NO_BYPASS=1.")


@make("il", COMMAND, PRINT, REPORT, ALL)
def command(words: Sequence[str], *, show: bool, report: bool, everything: bool) -> Reply:
    """Run a program whose reads and writes on mounts of dfuse go past the kernel.

    The mount has to be made with --disable-wb-cache or --disable-caching; on others, and everywhere else, nothing is
    different. With --disable-caching so do names: stat, mkdir, unlink, rename and the like.
    The program takes the place of this one: its status is its own.
    """
    path = library()
    if show:
        return Reply([str(path)], lambda: {"library": str(path)})
    if not words:
        raise InvalidError("no program is named", hint="daos il -- COMMAND runs it; daos il --print tells the library")
    env = environment_with(os.environ, path, report=report, everything=everything)
    try:
        os.execvpe(words[0], list(words), env)  # noqa: S606 -- a program is what one gives this command
    except OSError as error:
        missing = error.errno == errno.ENOENT
        raise (NotFoundError if missing else InvalidError)(
            f"{words[0]}: {error.strerror}",
            code=DER.NONEXIST if missing else DER.INVAL,
            hint="name a program that can be run",
        ) from None


# What follows the name of a program is the program's.
command.context_settings["allow_interspersed_args"] = False
