"""Where `daos_server` and `daos_agent` begin: with a word where the packages of the extra `server` are missing."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable


def _begin(tool: str, module: str) -> None:
    try:
        main = cast("Callable[[], None]", import_module(module).main)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "daos":
            raise
        print(f"ERROR: {tool}: the package {error.name} is not installed", file=sys.stderr)  # noqa: T201 -- no log yet
        print("hint: pip install 'daos[server]'", file=sys.stderr)  # noqa: T201
        sys.exit(1)
    main()


def server() -> None:
    """Run `daos_server`."""
    _begin("daos_server", "daos.server.main")


def agent() -> None:
    """Run `daos_agent`."""
    _begin("daos_agent", "daos.agent.main")
