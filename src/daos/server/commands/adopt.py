"""`daos_server adopt`."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

import click

from daos.cli._output import Reply
from daos.control.adopted import Ownership
from daos.model.acl import check_principal
from daos.model.sizes import parse_size
from daos.server.commands._base import command as make
from daos.server.commands._base import load, session


@make(
    "adopt",
    click.Argument(["path"], type=click.Path(path_type=Path)),
    click.Option(["-u", "--user"], metavar="USER", help="Owner of the pools and containers  [who runs this]."),
    click.Option(["-g", "--group"], metavar="GROUP", help="Their owner group  [of who runs this]."),
    click.Option(["-z", "--size"], help="Size of each pool, such as 10GB  [equal shares of the storage]."),
)
@click.pass_context
def command(context: click.Context, path: Path, user: str | None, group: str | None, size: str | None) -> Reply:
    """Make an embedded system the storage of this host's first engine.

    PATH is the directory that was given to daos.open. It is moved, not copied, to where the engine looks for it, with
    all pools, containers, snapshots and attributes; then daos_server start serves it.
    """
    from daos.server.adopt import adopt
    from daos.server.settings import settings_of

    settings = settings_of(load(session(context), {}))
    owner = Ownership(
        owner=check_principal(user or pwd.getpwuid(os.geteuid()).pw_name),
        group=check_principal(group or grp.getgrgid(os.getegid()).gr_name),
    )
    done = adopt(settings, path, owner, size=None if size is None else parse_size(size, "pool size"))
    width = max([len(label) for label, _ in done.pools], default=0)
    pools = [f"  {label:{width}}  containers: {count}" for label, count in done.pools]
    return Reply(
        [
            f"Adopted {path} into the system {settings.system}: it is in {done.directory} now",
            *pools,
            "daos_server start serves it",
        ],
        lambda: {
            "system": settings.system,
            "directory": str(done.directory),
            "pools": [{"label": label, "containers": count} for label, count in done.pools],
        },
    )
