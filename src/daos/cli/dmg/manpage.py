"""`dmg manpage`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

import click

from daos import build_info
from daos.cli._manpage import man_page, written
from daos.cli._output import Reply
from daos.cli.dmg._base import command as make


@make("manpage", click.Option(["-o", "--output"], metavar="FILE", help="Write it there."))
@click.pass_context
def command(context: click.Context, output: str | None) -> Reply:
    """Print the manual page of this tool, for man."""
    tool = cast("click.Group", context.find_root().command)
    return written(man_page(tool, datetime.now(UTC).date(), build_info().version), output)
