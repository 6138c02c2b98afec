"""`daos_server version`."""

from __future__ import annotations

from daos import build_info
from daos.cli._output import Reply
from daos.server.commands._base import command as make


@make("version")
def command() -> Reply:
    """Print the version of the server and of its core."""
    info = build_info()
    return Reply(
        [f"DAOS Control Server v{info.version}, core v{info.version} ({info.target})"],
        lambda: {"name": "DAOS Control Server", "version": info.version, "release": not info.debug},
    )
