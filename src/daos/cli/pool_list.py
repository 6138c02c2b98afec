"""`daos pool list`."""

from __future__ import annotations

import click

from daos.cli._base import command as make
from daos.cli._base import connect_pool, embedded, open_system, session_of
from daos.cli._output import Reply, table
from daos.cli._pool_info import list_lines, pool_info
from daos.errors import DaosError, NotFoundError
from daos.mgmt.sets import format_ranks

NONE = "No pools in system"
LEFT_OUT = "Those that you may not use are left out."


@make(
    "list",
    click.Option(["-v", "--verbose"], is_flag=True, help="More of each."),
    click.Option(["-n", "--no-query"], is_flag=True, help="Without asking each pool."),
)
@click.pass_context
def command(context: click.Context, *, verbose: bool, no_query: bool) -> Reply:
    """List the pools of a system: of a running one, those that you may use."""
    if not embedded(context):
        return _served(context, verbose=verbose, query=not no_query)
    system = open_system(context)
    infos = [system.pool(listed.uuid).info(space=verbose) for listed in system.pools()]
    lines = (
        list_lines(infos, verbose=True)
        if verbose
        else table(("Pool", "State"), [(i.label or "", i.state) for i in infos])
    )
    return Reply([*lines, ""] if infos else [NONE], lambda: {"pools": [pool_info(info) for info in infos] or None})


def _served(context: click.Context, *, verbose: bool, query: bool) -> Reply:
    from daos.client.served import pools

    usable = pools(session_of(context).sys_name or "")
    if not query:
        if verbose:
            heads = ("Label", "UUID", "State", "SvcReps")
            lines = table(heads, [(p.label or "-", p.uuid, p.state, format_ranks(p.services)) for p in usable])
        else:
            lines = table(("Pool", "State"), [(pool.label or pool.uuid, pool.state) for pool in usable])
        told = [
            {"query_mask": "", "state": p.state, "uuid": p.uuid, "label": p.label, "svc_reps": list(p.services)}
            for p in usable
        ]
        return Reply([*lines, ""] if usable else [NONE, LEFT_OUT], lambda: {"pools": told or None})
    infos, errors = [], []
    for pool in usable:
        try:
            with connect_pool(context, pool.uuid) as opened:
                infos.append(opened.info())
        except NotFoundError:
            continue  # it went, or the right to open it did
        except DaosError as error:
            name = pool.label or pool.uuid
            errors.append(f'Query on pool "{name}" unsuccessful, error: "{error.message}: {error.code}"')
    return Reply(
        [*list_lines(infos, verbose=verbose), ""] if infos else [NONE] if errors else [NONE, LEFT_OUT],
        lambda: {"pools": [pool_info(info) for info in infos] or None},
        error="; ".join(errors) or None,
        hint="its administrator sees which ranks are up: dmg system query" if errors else None,
    )
