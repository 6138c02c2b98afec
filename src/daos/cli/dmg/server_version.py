"""`dmg server-version`."""

from __future__ import annotations

import click

from daos.cli._output import Reply
from daos.cli.dmg._base import HOSTS
from daos.cli.dmg._base import command as make
from daos.cli.dmg._hosts import groups, hosts_reply, telling_hosts
from daos.mgmt import methods
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from daos.mgmt.sets import format_hosts

NAME = "DAOS Control Server"


@make("server-version", HOSTS)
@click.pass_context
def command(context: click.Context, host_list: str | None) -> Reply:
    """Print the version of the servers; with the hosts, where they differ."""
    told = telling_hosts(context, host_list, methods.VERSION, pb.VersionRequest())
    found = groups(told.answers)
    alike = len(found) == 1 and not told.errors
    lines = [
        f"{NAME} version {answer.version}" + ("" if alike else f" on {told.name(hosts)}") for hosts, answer in found
    ]
    if alike:
        return Reply(lines, lambda: {"name": NAME, "version": found[0][1].version})
    versions = [{"name": NAME, "version": one.version, "hosts": format_hosts(hosts)} for hosts, one in found]
    return hosts_reply(context, told, lines, lambda: {"versions": versions})
