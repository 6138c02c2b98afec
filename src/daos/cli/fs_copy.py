"""`daos fs copy`."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from daos.cli._base import command as make
from daos.cli._base import system_on_line
from daos.cli._descriptors import raise_descriptor_limit
from daos.cli._output import Reply
from daos.cli._progress import Progress

if TYPE_CHECKING:
    from daos.dfs.copying import Copied, Place

SOURCE = click.Option(
    ["-s", "--src", "source"],
    metavar="PATH",
    required=True,
    help="What is copied: a path, daos://POOL/CONTAINER[/PATH], or a path that stands for a container, or below one.",
)
TARGET = click.Option(
    ["-d", "--dst", "target"],
    metavar="PATH",
    required=True,
    help="Where to, named likewise; a container that is not there is made.",
)
IGNORE = click.Option(
    ["--ignore-unsupported"],
    is_flag=True,
    help="Leave out devices, pipes and sockets, set-user-ID, set-group-ID and sticky bits, and extended attributes that"
    " are not kept there, without an error.",
)
RESUME = click.Option(
    ["--resume"],
    is_flag=True,
    help="Go on with a copy that was cut short: leave out what is there with the size and time of its source.",
)
PRESERVE = click.Option(
    ["-m", "--preserve-props", "preserve_props"],
    metavar="FILE",
    help="Keep properties and attributes of the container: FILE is written where it is copied out of one, and tells"
    " those of a container that is made for a copy into it.",
)


@make("copy", SOURCE, TARGET, IGNORE, PRESERVE, RESUME)
@click.pass_context
def command(
    context: click.Context,
    source: str,
    target: str,
    *,
    ignore_unsupported: bool,
    preserve_props: str | None,
    resume: bool,
) -> Reply:
    """Copy a file, or a directory with all below it, to, from or between containers.

    A directory is copied into a directory that is there, under its name; of the root of a container, what is in it.
    What has its final name is whole.
    """
    from daos.dfs.copying import Options, copy_tree, open_places

    # A deep tree has all directories above each other open.
    raise_descriptor_limit()
    with contextlib.ExitStack() as stack:
        places = open_places(stack, source, target, system_on_line(context), preserved=preserve_props, go_on=resume)
        progress = stack.enter_context(Progress("copying"))
        options = Options(resume=resume, ignore_unsupported=ignore_unsupported, progress=progress.at)
        copied = copy_tree(places.source, places.target, options)
        made = None if places.made is None else places.made.uuid
        names = {**_names("src", places.source), **_names("dst", places.target)}
        where = "POSIX" if places.target.dfs is None else "DAOS"
    left_out = None if ignore_unsupported else copied.left_out
    return Reply(
        [
            *(() if made is None else (f"Successfully created container {made}",)),
            f"Successfully copied to {where}: {target}",
            f"    Directories: {copied.directories}",
            f"    Files:       {copied.files}",
            f"    Links:       {copied.links}",
            *((f"    Skipped:     {copied.skipped}",) if copied.skipped else ()),
        ],
        lambda: {**names, "copy_stats": _stats(copied)},
        error=None if left_out is None else f"not copied: {left_out}",
        hint=None if left_out is None else "all else is copied; --ignore-unsupported says that they may be left out",
    )


def _names(which: str, place: Place) -> dict[str, str]:
    """Return pool and container of a place; empty for the host."""
    if place.dfs is None:
        return {f"{which}_pool": "", f"{which}_cont": ""}
    container = place.dfs.container
    return {f"{which}_pool": container.pool.uuid, f"{which}_cont": container.uuid}


def _stats(copied: Copied) -> dict[str, int]:
    counts = asdict(copied)
    return {
        "num_dirs": counts.pop("directories"),
        "num_files": counts.pop("files"),
        "num_links": counts.pop("links"),
        **counts,
    }
