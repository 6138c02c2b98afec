"""`dmg system clear-exclude`."""

from __future__ import annotations

import click

from daos.cli._output import Reply
from daos.cli.dmg._base import RANK_HOSTS, RANKS
from daos.cli.dmg._base import command as make
from daos.cli.dmg.system_exclude import exclude


@make("clear-exclude", RANKS, RANK_HOSTS)
@click.pass_context
def command(context: click.Context, ranks: str | None, rank_hosts: str | None) -> Reply:
    """Let ranks that were excluded join again."""
    return exclude(context, ranks, rank_hosts, clear=True)
