"""`daos health check`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from daos.cli._base import command as make
from daos.cli._base import connect_pool, embedded, open_system, session_of
from daos.cli._container_info import container_info
from daos.cli._output import Reply, error_text
from daos.cli._pool_info import pool_info
from daos.errors import AccessError, DaosError, NotFoundError
from daos.model.sizes import format_size

if TYPE_CHECKING:
    from daos import Pool


@dataclass
class Found:
    """What was found.

    Attributes:
        lines: The text about pools and containers.
        pools: Uuid to its JSON object.
        containers: Uuid of the pool to the JSON objects of its containers.
        wrong: What is not well.
    """

    lines: list[str] = field(default_factory=list)
    pools: dict[str, object] = field(default_factory=dict)
    containers: dict[str, list[object]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def look(found: Found, pool: Pool) -> None:
    """Look at a pool and at its containers."""
    info = pool.info()
    free = sum(tier.free for tier in info.tiers)
    state = "Healthy"
    if info.disabled or info.dead_ranks or info.degraded:
        state = "Degraded"
        found.wrong.append(f"pool {pool.label}: {info.disabled} of {info.targets} targets are disabled")
    found.pools[info.uuid] = pool_info(info)
    found.containers[info.uuid] = []
    found.lines += [f"  {pool.label or info.uuid}: {state} ({format_size(free)} Free)", "    Container Status"]
    listed = pool.containers()
    if not listed:
        found.lines.append("      No containers in pool.")
    for each in listed:
        name = each.label or each.uuid
        try:
            told = container_info(pool.container(each.uuid))
        except NotFoundError:
            continue  # destroyed meanwhile
        except AccessError:
            found.lines.append(f"      {name}: Unknown (no permission to read it)")
            continue
        except DaosError as error:
            found.lines.append(f"      {name}: Unhealthy ({error_text(error)[0]})")
            found.wrong.append(f"container {name} of pool {pool.label}: {error_text(error)[0]}")
            continue
        found.containers[info.uuid].append(told)
        healthy = told["health"] == "HEALTHY"
        found.lines.append(f"      {name}: {'Healthy' if healthy else 'Unclean'}")
        if not healthy:
            found.wrong.append(f"container {name} of pool {pool.label} has lost data")


@make("check")
@click.pass_context
def command(context: click.Context) -> Reply:
    """Look at all pools and containers that you may use, and tell whether they are well.

    Ends with status 1 if anything is not. Data is not read: daos container check does that.
    """
    from daos import __version__

    name, rows, system = _system(context)
    found = Found()
    for label, opening in _pools(context):
        try:
            with opening as pool:
                look(found, pool)
        except NotFoundError:
            continue  # it went, or the right to open it did
        except DaosError as error:
            found.lines.append(f"  {label}: Unhealthy ({error_text(error)[0]})")
            found.wrong.append(f"pool {label}: {error_text(error)[0]}")
    lines = [
        f"Checking DAOS system: {name}",
        "",
        "Component Build Information",
        f"  Client: {__version__}",
        "",
        "System Information",
        *rows,
        "",
        "Pool Status",
        *(found.lines or ["  No pools in system."]),
    ]
    return Reply(
        lines,
        lambda: {
            "system_info": system,
            "component_build_info": {"client": {"version": __version__}},
            "pools": found.pools,
            "pool_containers": found.containers,
        },
        error="; ".join(found.wrong) or None,
        hint="an administrator sees more: dmg system query, dmg pool query" if found.wrong else None,
    )


def _system(context: click.Context) -> tuple[str, list[str], dict[str, object]]:
    """Return a system's name, its rows and its JSON object."""
    if embedded(context):
        path = str(session_of(context).system)
        return path, [f"  System Name: {path}"], {"system_name": path}
    from daos.client._probe import Engines

    with Engines(session_of(context).sys_name or "") as engines:
        info = engines.info
    points = [info.engines[rank] for rank in info.ms_ranks if rank in info.engines]
    rows = [
        f"  System Name: {info.name}",
        f"  Fabric Provider: {info.provider}",
        f"  Access Points: [{', '.join(points)}]",
    ]
    told: dict[str, object] = {
        "system_name": info.name,
        "fabric_provider": info.provider,
        "agent_path": info.agent,
        "access_points": points,
    }
    return info.name, rows, told


def _pools(context: click.Context) -> Iterator[tuple[str, AbstractContextManager[Pool]]]:
    if embedded(context):
        system = open_system(context)
        for listed in system.pools():
            yield listed.label, _kept(system.pool(listed.uuid))
        return
    from daos.client.served import pools

    for usable in pools(session_of(context).sys_name or ""):
        yield usable.label or usable.uuid, _connected(context, usable.uuid)


@contextmanager
def _kept(pool: Pool) -> Iterator[Pool]:
    yield pool


@contextmanager
def _connected(context: click.Context, uuid: str) -> Iterator[Pool]:
    with connect_pool(context, uuid) as pool:
        yield pool
