"""`daos cert issue`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import click

from daos.cli._base import command as make
from daos.cli._cert import ADDRESSES, DAYS, HOSTS, Made, facts_of, lines_of, needing_extra, parse_addresses, this_host
from daos.cli._output import Reply

ROLE = click.Argument(["role"], metavar="ROLE", type=click.Choice(["server", "agent", "admin"]))
CA = click.Option(["--ca"], metavar="DIR", default=".", show_default=True, help="Where daos cert init made the CA.")
OUT = click.Option(["--out"], metavar="DIR", help="Where the files go  [default: daosCA/certs of the CA].")
FORCE = click.Option(["-f", "--force"], is_flag=True, help="Replace what is there.")


@make("issue", ROLE, HOSTS, ADDRESSES, CA, OUT, DAYS, FORCE)
def command(
    role: str,
    hosts: tuple[str, ...],
    ips: tuple[str, ...],
    ca: str,
    out: str | None,
    days: int | None,
    *,
    force: bool,
) -> Reply:
    """Issue a certificate of the role ROLE: server, agent or admin.

    It is for the hosts and addresses that are named, else for this host. An agent's must name its host: the users it
    vouches for are believed to be on the hosts of its certificate, and on no other. Write ROLE.crt and ROLE.key.
    """
    with needing_extra():
        from daos.security import certificates as c

    chosen = cast("c.Role", role)
    folder = c.Folder(Path(ca))
    addresses = parse_addresses(ips)
    names = list(hosts) or ([] if ips or chosen == "admin" else this_host())
    length = c.DAYS if days is None else days
    issued = folder.authority().issue(chosen, names, addresses, datetime.now(UTC), length)
    target = folder.certificates if out is None else Path(out)
    made = [Made(role, issued, c.store_issued(chosen, issued, target, replace=force))]
    return Reply(lines_of(made), lambda: {"certificates": facts_of(made)})
