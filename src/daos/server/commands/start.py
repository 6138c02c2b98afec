"""`daos_server start`."""

from __future__ import annotations

from pathlib import Path

import click

from daos.cli._output import Reply
from daos.errors import InvalidError
from daos.server.commands._base import command as make
from daos.server.commands._base import load, session


@make(
    "start",
    click.Option(["-p", "--port"], type=click.IntRange(1, 65535), help="Control port."),
    click.Option(["-s", "--storage"], type=click.Path(path_type=Path), help="Directory of the engines' memory tier."),
    click.Option(["-t", "--targets"], type=click.IntRange(1, 64), help="Targets of each engine."),
    click.Option(["-x", "--xshelpernr"], type=click.IntRange(0, 64), help="Helper threads of each engine."),
    click.Option(["-f", "--firstcore"], type=click.IntRange(min=0), help="Core of each engine's first thread."),
    click.Option(["-g", "--group"], help="Name of the system."),
    click.Option(["-d", "--socket_dir"], type=click.Path(path_type=Path), help="Directory of the sockets."),
    click.Option(["-i", "--insecure"], is_flag=True, help="Without TLS, for this host alone."),
    click.Option(["-m", "--modules"], hidden=True, expose_value=False, help="Without meaning here."),
    click.Option(["--auto-format"], is_flag=True, help="Format storage that is not formatted."),
)
@click.pass_context
def command(
    context: click.Context,
    port: int | None,
    storage: Path | None,
    targets: int | None,
    xshelpernr: int | None,
    firstcore: int | None,
    group: str | None,
    socket_dir: Path | None,
    *,
    insecure: bool,
    auto_format: bool,
) -> Reply:
    """Run the server until it is told to end.

    What the options say goes over the configuration file.
    """
    from daos.server.run import start

    given = session(context)
    overrides: dict[str, object] = {
        "port": port,
        "name": group,
        "socket_dir": None if socket_dir is None else str(socket_dir.absolute()),
        "transport_config.allow_insecure": insecure or None,
    }
    changes = {name: value for name, value in overrides.items() if value is not None}
    config = load(given, changes)
    engine = {"targets": targets, "nr_xs_helpers": xshelpernr, "first_core": firstcore}
    change = {name: value for name, value in engine.items() if value is not None}
    if storage is not None and len(config.engines) > 1:
        raise InvalidError("--storage is for one engine", hint="the configuration has several: name each directory")
    engines = []
    for one in config.engines:
        tiers = one.storage
        if storage is not None and tiers:
            tiers = (tiers[0].model_copy(update={"scm_mount": storage.absolute()}), *tiers[1:])
        engines.append(one.model_copy(update={**change, "storage": tiers}))
    config = config.model_copy(update={"engines": tuple(engines)})
    start(config, auto_format=auto_format, syslog=given.syslog, allow_proxy=given.allow_proxy)
    return Reply()
