"""`daos fs check`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from daos.cli._base import CONTAINER, POOL, open_pool
from daos.cli._base import command as make
from daos.cli._fs import mounted
from daos.cli._output import Reply
from daos.errors import InvalidError

if TYPE_CHECKING:
    from daos.dfs import CheckReport
    from daos.dfs._report import Mode

KNOWN = ("print", "remove", "relink", "verify", "evict")
FLAGS = click.Option(
    ["-f", "--flags"],
    metavar="FLAG[,FLAG]",
    default="print",
    help="print tells what is wrong, remove repairs it and removes what has no name, relink gives that a name below"
    " /lost+found; verify reads all data too, evict closes the handles of others first.",
)
NAME = click.Option(["-n", "--dir-name"], metavar="NAME", help="Of the directory in /lost+found; by default the time.")


@make("check", POOL, CONTAINER, FLAGS, NAME)
@click.pass_context
def command(
    context: click.Context,
    pool: str,
    container: str,
    flags: str,
    dir_name: str | None,
) -> Reply:
    """Look at all of a file system for what crashes can leave.

    Nobody else may have it mounted while it is repaired. Ends with status 1 if anything is left that is wrong.
    """
    chosen = _flags(flags)
    mode: Mode = "remove" if "remove" in chosen else "relink" if "relink" in chosen else "print"
    if "evict" in chosen:
        opened = open_pool(context, pool, writes=True)
        if opened.system.served:
            opened.evict_container(container, everybody=True)
    fs, _ = mounted(context, pool, container, writes=mode != "print")
    damaged = [str(damage.what) for damage in fs.container.check().damaged] if "verify" in chosen else []
    report = fs.check(mode, dir_name)
    bad = len(report.findings) - report.repaired + len(damaged)
    label = fs.container.label
    return Reply(
        [*_lines(label, report), *(f"damaged: {what}" for what in damaged)],
        lambda: {**asdict(report), **({"damaged": damaged} if "verify" in chosen else {})},
        error=f"{bad} wrong in the file system of container {label}" if bad else None,
        hint="daos fs check --flags relink, or remove, repairs it" if bad and mode == "print" else None,
    )


def _flags(flags: str) -> set[str]:
    """Return the flags of a line.

    Raises:
        InvalidError: `DER.INVAL`: unknown ones, or such as exclude each other.
    """
    chosen = {flag.strip() for flag in flags.split(",")}
    unknown = sorted(chosen - set(KNOWN))
    if unknown:
        raise InvalidError(f'unknown flag "{unknown[0]}"', hint=f"some of: {', '.join(KNOWN)}")
    if {"remove", "relink"} <= chosen:
        raise InvalidError("remove and relink exclude each other", hint="give one of them")
    return chosen


def _lines(label: str, report: CheckReport) -> list[str]:
    return [
        f"checked the file system of container {label}",
        f"directories: {report.directories}",
        f"files: {report.files}",
        f"symbolic links: {report.symlinks}",
        *(str(finding) for finding in report.findings),
        f"wrong: {len(report.findings)}",
        f"repaired: {report.repaired}",
    ]
