"""The tool `daos`: its commands, and how it ends.

Exit status 0 is success, 1 anything else, as DAOS's tools have it.
"""

from __future__ import annotations

import io
import os
import sys

import click

from daos.cli._base import Lazy, LazyGroup
from daos.cli._descriptors import keep_standard_descriptors
from daos.cli._output import OutputError, Session, echo, show_error
from daos.errors import DaosError

HELP = """Work with pools, containers and what is in them."""
COMMANDS: dict[str, Lazy | LazyGroup] = {
    "bench": Lazy("daos.cli.bench", "Measure how fast a system is on a disk."),
    "demo": Lazy("daos.cli.demo", "Show on real data that nothing stored is lost."),
    "doctor": Lazy("daos.cli.doctor", "Check that this machine is fit for a system."),
    "il": Lazy("daos.cli.il", "Run a program whose reads and writes on mounts go past the kernel."),
    "manpage": Lazy("daos.cli.manpage", "Print the manual page of this tool."),
    "version": Lazy("daos.cli.version", "Print the version."),
    "array": LazyGroup(
        "array",
        "Read and write arrays.",
        {
            "read": Lazy("daos.cli.array_read", "Print cells of an array."),
            "write": Lazy("daos.cli.array_write", "Write cells of an array."),
        },
    ),
    "cert": LazyGroup(
        "cert",
        "Make the certificates of a system.",
        {
            "init": Lazy("daos.cli.cert_init", "Make a CA, and certificates for this host."),
            "issue": Lazy("daos.cli.cert_issue", "Issue a certificate for a host."),
            "renew": Lazy("daos.cli.cert_renew", "Issue certificates anew that will expire."),
        },
    ),
    "container": LazyGroup(
        "container",
        "Work with containers, their snapshots and their attributes.",
        {
            "stat": Lazy("daos.cli.container_stat", "Count what a container holds and what it takes."),
            "check": Lazy("daos.cli.container_check", "Read all of a container, to see whether it is damaged."),
            "delete-acl": Lazy("daos.cli.container_delete_acl", "Take an entry out of a container's access list."),
            "evict": Lazy("daos.cli.container_evict", "Close the handles of a container."),
            "get-acl": Lazy("daos.cli.container_get_acl", "Print the access list of a container."),
            "overwrite-acl": Lazy(
                "daos.cli.container_overwrite_acl", "Replace the access list of a container.", ("replace",)
            ),
            "set-owner": Lazy("daos.cli.container_set_owner", "Give a container to another user.", ("chown",)),
            "update-acl": Lazy("daos.cli.container_update_acl", "Add entries to a container's access list."),
            "create": Lazy("daos.cli.container_create", "Create a container."),
            "create-snap": Lazy("daos.cli.container_create_snap", "Take a snapshot of a container.", ("snap",)),
            "del-attr": Lazy("daos.cli.container_del_attr", "Remove attributes of a container."),
            "destroy": Lazy("daos.cli.container_destroy", "Destroy a container and all in it."),
            "destroy-snap": Lazy("daos.cli.container_destroy_snap", "Destroy snapshots of a container."),
            "diff": Lazy("daos.cli.container_diff", "Tell what differs from a snapshot."),
            "get-attr": Lazy("daos.cli.container_get_attr", "Print attributes of a container."),
            "get-prop": Lazy("daos.cli.container_get_prop", "Print properties of a container."),
            "link": Lazy("daos.cli.container_link", "Make a path that stands for a container."),
            "list": Lazy("daos.cli.container_list", "List the containers of a pool.", ("ls",)),
            "list-attr": Lazy("daos.cli.container_list_attr", "List attributes of a container."),
            "list-objects": Lazy("daos.cli.container_list_objects", "List the objects of a container.", ("list-obj",)),
            "list-snaps": Lazy("daos.cli.container_list_snaps", "List the snapshots of a container.", ("list-snap",)),
            "query": Lazy("daos.cli.container_query", "Tell about a container."),
            "rollback": Lazy("daos.cli.container_rollback", "Bring a container back to a snapshot."),
            "set-attr": Lazy("daos.cli.container_set_attr", "Set attributes of a container."),
            "set-prop": Lazy("daos.cli.container_set_prop", "Change properties of a container."),
        },
        ("cont",),
    ),
    "dev": LazyGroup(
        "dev",
        "Keep a whole system on this machine, for development.",
        {
            "down": Lazy("daos.cli.dev_down", "Stop the system."),
            "kill": Lazy("daos.cli.dev_kill", "Kill the engine of a rank."),
            "logs": Lazy("daos.cli.dev_logs", "Print the end of the logs."),
            "status": Lazy("daos.cli.dev_status", "Tell which processes run, and how the ranks are."),
            "up": Lazy("daos.cli.dev_up", "Start the system, made if it is not there."),
        },
    ),
    "filesystem": LazyGroup(
        "filesystem",
        "Look after the file systems of containers.",
        {
            "check": Lazy("daos.cli.fs_check", "Look for what crashes can leave, and repair it."),
            "chmod": Lazy("daos.cli.fs_chmod", "Set the permissions of a file or directory."),
            "copy": Lazy("daos.cli.fs_copy", "Copy files and directories, to, from and between containers."),
            "evict": Lazy("daos.cli.fs_evict", "Have the kernel forget a path in a mount."),
            "fix-entry": Lazy("daos.cli.fs_fix_entry", "Repair the type, or the size of chunks, of an entry."),
            "fix-root": Lazy("daos.cli.fs_fix_root", "Have the superblock lead to the root directory again."),
            "fix-sb": Lazy("daos.cli.fs_fix_sb", "Write the superblock anew."),
            "get-attr": Lazy("daos.cli.fs_get_attr", "Print class and size of chunks of a file or directory."),
            "query": Lazy("daos.cli.fs_query", "Tell what a mount by dfuse has."),
            "reset-attr": Lazy("daos.cli.fs_reset_attr", "Take back what a directory gives to what is made in it."),
            "reset-chunk-size": Lazy("daos.cli.fs_reset_chunk_size", "Take back the size of chunks alone."),
            "reset-oclass": Lazy("daos.cli.fs_reset_oclass", "Take back the object class alone."),
            "scan": Lazy("daos.cli.fs_scan", "Count what is in a file system."),
            "set-attr": Lazy("daos.cli.fs_set_attr", "Set class and size of chunks of what is made in a directory."),
        },
        ("fs",),
    ),
    "health": LazyGroup(
        "health",
        "See whether a system is well.",
        {
            "check": Lazy("daos.cli.health_check", "Look at all pools and containers that you may use."),
            "net-test": Lazy("daos.cli.health_net_test", "Measure the way to the engines of a running system."),
        },
    ),
    "kv": LazyGroup(
        "kv",
        "Read and change key-value stores.",
        {
            "get": Lazy("daos.cli.kv_get", "Print the value of a key."),
            "list": Lazy("daos.cli.kv_list", "List stores, or the keys of one.", ("ls",)),
            "put": Lazy("daos.cli.kv_put", "Store a value."),
            "remove": Lazy("daos.cli.kv_remove", "Remove a key.", ("rm",)),
        },
    ),
    "object": LazyGroup(
        "object",
        "Look at objects as they are stored.",
        {
            "dump": Lazy("daos.cli.object_dump", "List the keys of an object, and what they hold."),
            "query": Lazy("daos.cli.object_query", "Tell about an object, and where it lies."),
        },
        ("obj",),
    ),
    "pool": LazyGroup(
        "pool",
        "Work with pools and their attributes.",
        {
            "autotest": Lazy("daos.cli.pool_autotest", "Try out a pool: whether it stores and finds what it should."),
            "list-containers": Lazy("daos.cli.pool_list_containers", "List the containers of a pool.", ("list-cont",)),
            "query-targets": Lazy("daos.cli.pool_query_targets", "Tell about targets of a pool."),
            "create": Lazy("daos.cli.pool_create", "Create a pool, and the system if it is not there."),
            "del-attr": Lazy("daos.cli.pool_del_attr", "Remove attributes of a pool."),
            "destroy": Lazy("daos.cli.pool_destroy", "Destroy a pool and all in it."),
            "get-attr": Lazy("daos.cli.pool_get_attr", "Print attributes of a pool."),
            "get-prop": Lazy("daos.cli.pool_get_prop", "Print properties of a pool."),
            "list": Lazy("daos.cli.pool_list", "List the pools of a system.", ("ls",)),
            "list-attr": Lazy("daos.cli.pool_list_attr", "List attributes of a pool."),
            "query": Lazy("daos.cli.pool_query", "Tell about a pool."),
            "set-attr": Lazy("daos.cli.pool_set_attr", "Set attributes of a pool."),
            "set-prop": Lazy("daos.cli.pool_set_prop", "Change properties of a pool."),
        },
    ),
    "system": LazyGroup(
        "system",
        "Look at a running system.",
        {"query": Lazy("daos.cli.system_query", "Tell where a running system is.")},
    ),
}


def tool() -> LazyGroup:
    """Return the tool."""
    return LazyGroup("daos", HELP, COMMANDS)


def run(arguments: list[str], default_system: str | None) -> int:
    """Run a command line; return the exit status.

    Args:
        arguments: What follows the tool's name.
        default_system: The system of a line that names none.
    """
    return run_tool(tool(), arguments, Session(system=default_system))


def run_tool(group: LazyGroup, arguments: list[str], session: Session) -> int:
    """Run a command line of a tool; return the exit status.

    Args:
        group: The tool.
        arguments: What follows its name.
        session: What its options say where the line does not.
    """
    # What stands for a byte that is no UTF-8 (PEP 383), in a key that was typed or listed, is printed as that byte.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")
    try:
        return _run(group, arguments, session)
    except OutputError as error:
        if sys.stdout is not None:
            # It must not complain again when Python flushes it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        # A reader that had enough is told nothing.
        if not isinstance(error.error, BrokenPipeError):
            show_error(error, as_json=False, tool=session.tool)
        return 1


def _run(group: LazyGroup, arguments: list[str], session: Session) -> int:
    name = session.tool
    try:
        status = group.main(arguments, prog_name=name, standalone_mode=False, obj=session)
    except click.exceptions.NoArgsIsHelpError as help_text:
        echo(help_text.format_message())
        return 0
    except click.Abort:
        show_error(click.ClickException("interrupted"), as_json=session.json, tool=name)
    except (click.ClickException, DaosError, OSError) as error:
        as_json = session.json or _asked_for_json(arguments)
        show_error(error, as_json=as_json, tool=name, failing=session.failing)
    else:
        return 1 if status else 0
    return 1


def _asked_for_json(arguments: list[str]) -> bool:
    """Tell whether a line asks for JSON, for one that could not be understood."""
    words = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "-j" in words or "--json" in words


def main() -> None:
    """Run the command line of this process, and end it."""
    keep_standard_descriptors()
    sys.exit(run(sys.argv[1:], os.environ.get("DAOS_SYSTEM") or None))
