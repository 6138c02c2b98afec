"""The tool `dmg`: its commands, and how it ends."""

from __future__ import annotations

import os
import sys

from daos.cli._base import Lazy, LazyGroup
from daos.cli._descriptors import keep_standard_descriptors
from daos.cli._main import run_tool
from daos.cli.dmg._base import Admin, options
from daos.cli.dmg._settings import Flags

HELP = """Administer a DAOS system."""


def _group(name: str, text: str, commands: dict[str, Lazy | LazyGroup], *aliases: str) -> LazyGroup:
    return LazyGroup(name, text, commands, aliases, options)


def _lazy(module: str, text: str, *aliases: str) -> Lazy:
    return Lazy(f"daos.cli.dmg.{module}", text, aliases)


COMMANDS: dict[str, Lazy | LazyGroup] = {
    "manpage": _lazy("manpage", "Print the manual page of this tool."),
    "version": _lazy("version", "Print the version of this tool."),
    "server-version": _lazy("server_version", "Print the version of the servers."),
    "system": _group(
        "system",
        "Work with the ranks, properties and attributes of the system.",
        {
            "cleanup": _lazy("system_cleanup", "Close all pool handles of a machine."),
            "clear-exclude": _lazy("system_clear_exclude", "Let ranks that were excluded join again."),
            "del-attr": _lazy("system_del_attr", "Remove attributes of the system."),
            "erase": _lazy("system_erase", "Delete the storage of all ranks, and forget the system."),
            "exclude": _lazy("system_exclude", "Keep ranks out of the system."),
            "get-attr": _lazy("system_get_attr", "Print attributes of the system."),
            "get-prop": _lazy("system_get_prop", "Print properties of the system."),
            "leader-query": _lazy("system_leader_query", "Tell which server leads."),
            "list-pools": _lazy("pool_list", "List the pools of the system."),
            "query": _lazy("system_query", "Tell about the ranks of the system."),
            "set-attr": _lazy("system_set_attr", "Set attributes of the system."),
            "set-prop": _lazy("system_set_prop", "Change properties of the system."),
            "start": _lazy("system_start", "Start engines."),
            "stop": _lazy("system_stop", "Stop engines."),
        },
        "sys",
    ),
    "pool": _group(
        "pool",
        "Work with pools and their access lists.",
        {
            "create": _lazy("pool_create", "Create a pool."),
            "delete-acl": _lazy("pool_delete_acl", "Take an entry out of an access list."),
            "destroy": _lazy("pool_destroy", "Destroy a pool and all in it."),
            "evict": _lazy("pool_evict", "Close all handles of a pool."),
            "get-acl": _lazy("pool_get_acl", "Print an access list."),
            "get-prop": _lazy("pool_get_prop", "Print properties of a pool."),
            "list": _lazy("pool_list", "List the pools of the system.", "ls"),
            "overwrite-acl": _lazy("pool_overwrite_acl", "Replace an access list."),
            "query": _lazy("pool_query", "Tell about a pool."),
            "query-targets": _lazy("pool_query_targets", "Tell about targets of a pool."),
            "set-prop": _lazy("pool_set_prop", "Change properties of a pool."),
            "update-acl": _lazy("pool_update_acl", "Add entries to an access list, or replace them."),
        },
    ),
    "container": _group(
        "container",
        "Work with containers.",
        {"set-owner": _lazy("container_set_owner", "Give a container another owner.")},
        "cont",
    ),
    "storage": _group(
        "storage",
        "Work with the storage of hosts.",
        {
            "scan": _lazy("storage_scan", "List the devices of hosts."),
            "format": _lazy("storage_format", "Prepare the storage of hosts."),
            "query": _group(
                "query",
                "Tell about the storage of engines.",
                {
                    "list-devices": _lazy("storage_query_devices", "List the devices of engines.", "d"),
                    "list-pools": _lazy("storage_query_pools", "List the pools on devices of engines.", "p"),
                    "usage": _lazy("storage_query_usage", "Tell how full the storage of hosts is.", "u"),
                },
                "q",
            ),
        },
        "sto",
    ),
    "network": _group(
        "network",
        "Work with the network of hosts.",
        {"scan": _lazy("network_scan", "List the network interfaces of hosts.")},
        "net",
    ),
    "config": _group(
        "config",
        "Work with configurations of servers.",
        {"generate": _lazy("config_generate", "Print a configuration that fits hosts.", "gen")},
        "cfg",
    ),
    "server": _group(
        "server",
        "Work with servers.",
        {"set-logmasks": _lazy("server_set_logmasks", "Change what engines log.", "slm")},
        "srv",
    ),
    "telemetry": _group(
        "telemetry",
        "Look at metrics.",
        {
            "metrics": _group(
                "metrics",
                "Look at metrics of hosts.",
                {
                    "list": _lazy("telemetry_list", "List the metrics that hosts have.", "ls"),
                    "query": _lazy("telemetry_query", "Print metrics of hosts.", "q"),
                },
            )
        },
        "telem",
    ),
    "support": _group(
        "support",
        "Collect what is needed to find a fault.",
        {"collect-log": _lazy("support_collect_log", "Collect the logs of hosts.")},
    ),
}


def tool() -> LazyGroup:
    """Return the tool."""
    return LazyGroup("dmg", HELP, COMMANDS, (), options)


def run(arguments: list[str], admin: Admin) -> int:
    """Run a command line; return the exit status.

    Args:
        arguments: What follows the tool's name.
        admin: What its options say where the line does not.
    """
    return run_tool(tool(), arguments, admin)


def main() -> None:
    """Run the command line of this process, and end it."""
    keep_standard_descriptors()
    # gRPC's own lines are none of the tool's: what they tell is in its errors.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    sys.exit(run(sys.argv[1:], Admin(flags=Flags(home=os.environ.get("HOME")))))
