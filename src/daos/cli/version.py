"""`daos version`."""

from __future__ import annotations

from daos import build_info
from daos.cli._base import command as make
from daos.cli._output import Reply


@make("version")
def command() -> Reply:
    """Print the version of the tool and of its core."""
    info = build_info()
    return Reply(
        [f"DAOS CLI version {info.version}, core v{info.version} ({info.target})"],
        lambda: {"name": "DAOS CLI", "version": info.version, "release": not info.debug},
    )
