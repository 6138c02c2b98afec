"""`dmg config generate`."""

from __future__ import annotations

import click

from daos.cli._output import Reply
from daos.cli.dmg._base import HOSTS, settings_of
from daos.cli.dmg._base import command as make
from daos.cli.dmg._generate import CLASSES, Wishes, check_alike, configuration
from daos.cli.dmg._hosts import telling_hosts
from daos.errors import InvalidError
from daos.mgmt import methods
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from daos.mgmt.sets import parse_hosts

PORT_MAX = 65_535


@make(
    "generate",
    HOSTS,
    click.Option(["-r", "--ms-replicas"], metavar="HOSTS", default="localhost", help="Management replicas."),
    click.Option(["-e", "--num-engines"], metavar="COUNT", help="On each host  [one on each NUMA node]."),
    click.Option(["-s", "--scm-only"], is_flag=True, help="No second tier."),
    click.Option(["-c", "--net-class"], metavar="CLASS", help="infiniband or ethernet  [the best there is]."),
    click.Option(["-p", "--net-provider"], metavar="PROVIDER", help="Of the network."),
    click.Option(["-t", "--use-tmpfs-scm"], is_flag=True, help="Tier 0 in memory."),
    click.Option(["-m", "--control-metadata-path"], metavar="PATH", help="Where control metadata is."),
    click.Option(["-f", "--fabric-ports"], metavar="PORTS", help="Of the engines of a host, a,b."),
)
@click.pass_context
def command(
    context: click.Context,
    host_list: str | None,
    ms_replicas: str,
    num_engines: str | None,
    net_class: str | None,
    net_provider: str | None,
    control_metadata_path: str | None,
    fabric_ports: str | None,
    *,
    scm_only: bool,
    use_tmpfs_scm: bool,
) -> Reply:
    """Print a configuration of servers that fits hosts, which must be alike."""
    if net_class is not None and net_class not in CLASSES:
        raise InvalidError(f'invalid network class "{net_class}"', hint=f"one of: {', '.join(CLASSES)}")
    settings = settings_of(context)
    replicas = [host.removesuffix(f":{settings.port}") for host in parse_hosts(ms_replicas, settings.port)]
    wishes = Wishes(
        name=settings.system,
        port=settings.port,
        replicas=replicas,
        engines=None if num_engines is None else _number(num_engines, "-e, --num-engines", 64),
        scm_only=scm_only,
        net_class=net_class,
        provider=net_provider,
        ram=use_tmpfs_scm,
        metadata=control_metadata_path,
        ports=None
        if fabric_ports is None
        else [_number(port, "-f, --fabric-ports", PORT_MAX) for port in fabric_ports.split(",")],
    )
    told = telling_hosts(context, host_list, methods.GENERATE_CONFIG_FACTS, pb.GenerateConfigFactsRequest())
    if told.first is not None:
        raise told.first
    made = configuration(check_alike(told.answers), wishes)

    def lines() -> list[str]:
        import yaml

        return [yaml.safe_dump(made, sort_keys=False).rstrip("\n")]

    return Reply(lines(), lambda: made)


def _number(text: str, flag: str, largest: int) -> int:
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= largest:
        raise InvalidError(f'invalid argument for flag `{flag}\': invalid number "{text}"', hint=f"1 to {largest}")
    return int(text)
