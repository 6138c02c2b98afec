"""`dmg version`."""

from __future__ import annotations

from daos import build_info
from daos.cli._output import Reply
from daos.cli.dmg._base import command as make


@make("version")
def command() -> Reply:
    """Print the version of this tool."""
    info = build_info()
    return Reply(
        [f"DAOS Admin Tool version {info.version}"],
        lambda: {"name": "DAOS Admin Tool", "version": info.version, "release": not info.debug},
    )
