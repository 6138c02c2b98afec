"""`daos system query`."""

from __future__ import annotations

import click

from daos.cli._base import command as make
from daos.cli._base import for_running, session_of
from daos.cli._output import Reply


@make("query")
@click.pass_context
def command(context: click.Context) -> Reply:
    """Tell where a running system is: its name, its network, its ranks."""
    for_running(context, "an embedded system is a directory: there is nothing to be reached")
    from daos.client._probe import Engines

    with Engines(session_of(context).sys_name or "") as engines:
        info = engines.info
    uris = {
        rank: f"{info.provider}://{address}" if info.provider else address for rank, address in info.engines.items()
    }
    lines = [
        "connected to DAOS system:",
        f"\tname: {info.name}",
        f"\tfabric provider: {info.provider}",
        f"\tagent path: {info.agent}",
        "\taccess point ranks:",
        *(f"\t\trank[{rank}]: {uris[rank]}" for rank in info.ms_ranks if rank in uris),
        "\trank URIs:",
        *(f"\t\trank[{rank}]: {uri}" for rank, uri in uris.items()),
    ]
    return Reply(
        lines,
        lambda: {
            "system_name": info.name,
            "fabric_provider": info.provider,
            "agent_path": info.agent,
            "rank_uris": [{"rank": rank, "uri": uri} for rank, uri in uris.items()],
            "access_point_rank_uris": [{"rank": rank, "uri": uris[rank]} for rank in info.ms_ranks if rank in uris],
        },
    )
