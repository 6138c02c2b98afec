"""The tool `daos_server`: its commands, and how it ends."""

from __future__ import annotations

import os
import sys

from daos.cli._base import Lazy, LazyGroup
from daos.cli._descriptors import keep_standard_descriptors
from daos.cli._main import run_tool
from daos.server.commands._base import ServerSession, options

HELP = """Run the server of a host, and look at what the host has."""
COMMANDS: dict[str, Lazy | LazyGroup] = {
    "dump-topology": Lazy("daos.server.commands.dump_topology", "Print the NUMA nodes, and the devices at them."),
    "start": Lazy("daos.server.commands.start", "Run the server."),
    "adopt": Lazy("daos.server.commands.adopt", "Make an embedded system this host's storage."),
    "version": Lazy("daos.server.commands.version", "Print the version."),
    "config": LazyGroup(
        "config",
        "Make a configuration.",
        {"generate": Lazy("daos.server.commands.config_generate", "Print a configuration for this host.", ("gen",))},
        options=options,
    ),
    "network": LazyGroup(
        "network",
        "Look at the network.",
        {"scan": Lazy("daos.server.commands.network_scan", "List the network interfaces.")},
        ("net",),
        options=options,
    ),
    "storage": LazyGroup(
        "storage",
        "Look at the storage.",
        {"scan": Lazy("daos.server.commands.storage_scan", "List the storage.")},
        options=options,
    ),
    "support": LazyGroup(
        "support",
        "Collect what helps to find out what is wrong.",
        {"collect-log": Lazy("daos.server.commands.support_collect_log", "Collect the logs of this host.")},
        options=options,
    ),
}


def run(arguments: list[str]) -> int:
    """Run a command line; return the exit status."""
    tool = LazyGroup("daos_server", HELP, COMMANDS, options=options)
    return run_tool(tool, arguments, ServerSession(tool="daos_server"))


def main() -> None:
    """Run the command line of this process, and end it."""
    keep_standard_descriptors()
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # it would print lines of its own beside ours
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
