"""`daos_server config generate`."""

from __future__ import annotations

import click

from daos.cli._output import Reply
from daos.server import host, storage
from daos.server.commands._base import command as make
from daos.server.generate import generate


@make(
    "generate",
    click.Option(["-r", "--ms-replicas"], default="localhost", help="Hosts of the management service."),
    click.Option(["-e", "--num-engines"], type=click.IntRange(min=0), default=0, help="How many engines."),
    click.Option(["-s", "--scm-only"], is_flag=True, help="Without block devices."),
    click.Option(
        ["-c", "--net-class"],
        type=click.Choice(["ethernet", "infiniband", "loopback"]),
        default="ethernet",
        help="Of the network interfaces.",
    ),
    click.Option(["-p", "--net-provider"], default="", help="Provider of the network."),
    click.Option(["-t/-T", "--use-tmpfs-scm/--use-dcpm"], default=True, help="Memory, or persistent memory."),
    click.Option(["-m", "--control-metadata-path"], default="", help="Directory of what must survive."),
    click.Option(["-f", "--fabric-ports"], default="", help="First port of each engine."),
    click.Option(["--skip-prep"], is_flag=True, expose_value=False, hidden=True, help="Without meaning here."),
    click.Option(["-l", "--helper-log-file"], expose_value=False, hidden=True, help="Without meaning here."),
)
def command(
    ms_replicas: str,
    num_engines: int,
    net_class: str,
    net_provider: str,
    control_metadata_path: str,
    fabric_ports: str,
    *,
    scm_only: bool,
    use_tmpfs_scm: bool,
) -> Reply:
    """Print a configuration file for this host."""
    text = generate(
        interfaces=host.interfaces(),
        nodes=host.numa_nodes(),
        devices=storage.scan(()),
        replicas=ms_replicas,
        engines=num_engines,
        scm_only=scm_only,
        net_class=net_class,
        provider=net_provider,
        tmpfs=use_tmpfs_scm,
        metadata=control_metadata_path,
        ports=fabric_ports,
    )
    return Reply(text.splitlines(), lambda: {"config": text})
