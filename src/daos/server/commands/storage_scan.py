"""`daos_server storage scan`."""

from __future__ import annotations

import click

from daos.cli._output import Reply
from daos.model.sizes import format_size
from daos.server import storage
from daos.server.commands._base import command as make
from daos.server.commands._base import load, session
from daos.server.settings import EngineSettings, settings_of


@make("scan")
@click.pass_context
def command(context: click.Context) -> Reply:
    """List the storage of this host, and what the configuration makes of it."""
    given = session(context)
    engines: tuple[EngineSettings, ...] = ()
    if given.ignore_config or given.config.exists():
        engines = settings_of(load(given, check_files=False)).engines
    found = storage.scan(engines)
    width = max([len(device.address) for device in found], default=7)
    lines = [f"{'Device':{width}} {'Class':5} {'Size':>9} {'Engine':>6} Formatted"]
    for device in found:
        engine = "" if device.engine is None else str(device.engine)
        formatted = "yes" if device.formatted else "no"
        lines.append(
            f"{device.address:{width}} {device.storage_class:5} {format_size(device.size):>9} {engine:>6} {formatted}"
        )
    return Reply(
        lines if found else ["no storage"],
        lambda: [
            {
                "media": device.media,
                "class": device.storage_class,
                "address": device.address,
                "size": device.size,
                "model": device.model,
                "serial": device.serial,
                "numa_node": device.numa_node,
                "engine": device.engine,
                "formatted": device.formatted,
            }
            for device in found
        ],
    )
