"""The command line of `dfuse`, and how it ends: exit status 0, or a number of `errno` with words."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from daos.cli._descriptors import keep_standard_descriptors, raise_descriptor_limit
from daos.dfuse.background import Outcome, in_background
from daos.dfuse.mountpoint import check_mountpoint
from daos.dfuse.wanted import Mode, Options, Wanted, wanted_of
from daos.errors import DER, DaosError, InvalidError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["main", "outcome_of", "run"]

HELP = """Mount CONTAINER of POOL on the directory MOUNTPOINT.

POOL and CONTAINER are labels or UUIDs; in their place daos://POOL/CONTAINER can stand. It goes to the background when
the mount works, and ends when it is unmounted: umount MOUNTPOINT, or fusermount3 -u MOUNTPOINT.
"""
_STATUS = {
    DER.NO_PERM: errno.EPERM,
    DER.INVAL: errno.EINVAL,
    DER.NOTDIR: errno.ENOTDIR,
    DER.EXIST: errno.EEXIST,
    DER.NONEXIST: errno.ENOENT,
    DER.NOSPACE: errno.ENOSPC,
    DER.NOMEM: errno.ENOMEM,
    DER.BUSY: errno.EBUSY,
    DER.TIMEDOUT: errno.ETIMEDOUT,
    DER.UNREACH: errno.EHOSTUNREACH,
    DER.AGENT_COMM: errno.EHOSTUNREACH,
    DER.NOTSUPPORTED: errno.EOPNOTSUPP,
}
"""What codes are as exit status; all others are EIO."""
_SYSTEM_FILE = "system"
"""In the directory of an embedded system: docs/formats/directory.md."""


def outcome_of(error: Exception) -> Outcome:
    """Return how an error is told: status, words, hint."""
    if isinstance(error, DaosError):
        return Outcome(_STATUS.get(error.code, errno.EIO), f"{error.message}: {error.code}", error.hint)
    if isinstance(error, OSError):
        notes = getattr(error, "__notes__", [])
        words = error.strerror or str(error)
        return Outcome(error.errno or errno.EIO, words, notes[0] if notes else None)
    return Outcome(errno.EIO, f"{type(error).__name__}: {error}", None)


def _resolve(path: str) -> tuple[tuple[str, str] | None, str | None, str | None]:
    """Return pool and container that a path stands for, the directory of their embedded system, the name of another.

    The path can be that directory, too: then pool and container are named beside it.

    Raises:
        InvalidError: `DER.INVAL`: it stands for nothing, for a part of a container, or for one without files.
        DaosError: As `daos.uns.resolve`.
    """
    # Not before the line asks for it: most do not.
    from daos.uns import resolve

    try:
        named = resolve(path)
    except NotFoundError:
        if (Path(path) / _SYSTEM_FILE).exists():
            return None, path, None
        raise
    if named.path != "/" or named.snapshot is not None:
        raise InvalidError(
            f"{path} is a part of a container, or a snapshot of one: all of one is mounted",
            hint=named.where or "--snap",
        )
    if named.type not in {None, "POSIX"}:
        raise InvalidError(
            f"{path} stands for a container of type {named.type}, which is no file system",
            hint="dfuse mounts containers of type POSIX",
        )
    return (named.pool, named.container), *((named.system, None) if named.embedded else (None, named.system or None))


def _wanted(context: click.Context) -> Wanted:
    """Return what the line asks for."""
    given = context.params
    path, directory, sys_name = _resolve(given["path"]) if given["path"] else (None, None, None)
    # A running system that is named on the line is not the directory of the environment.
    system = given["system"] if not given["sys_name"] or not _from_environment(context, "system") else None
    # What the line names otherwise, it names by itself.
    if path is not None and _from_environment(context, "system"):
        system = None
    if path is not None and directory and system and not _same(directory, system):
        raise InvalidError(
            f"{given['path']} stands for a container of the system {directory}, --system names {system}",
            hint="leave out -S: the path says which system it is",
        )
    mode = Mode(
        read_only=given["read_only"],
        multi_user=given["multi_user"],
        caching=given["caching"],
        write_back=given["wb_cache"],
    )
    return wanted_of(
        Options(
            words=given["words"],
            mountpoint=given["mountpoint"],
            pool=given["pool"],
            container=given["container"],
            path=path,
            directory=directory or system,
            sys_name=given["sys_name"] or sys_name,
            options=given["options"],
            snap=given["snap"],
            snap_epoch=given["snap_epoch"],
            mode=mode,
            singlethread=given["singlethread"],
            thread_count=given["thread_count"],
            eq_count=given["eq_count"],
        )
    )


def _same(path: str, other: str) -> bool:
    return os.path.realpath(path) == os.path.realpath(other)


def _from_environment(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) == click.core.ParameterSource.ENVIRONMENT


def _version(context: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 -- click's signature
    if value:
        from daos._build import __version__

        click.echo(f"dfuse version {__version__}")
        context.exit()


def _log(path: str | None) -> int | None:
    return None if path is None else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)


@click.pass_context
def _command(context: click.Context, /, **given: object) -> None:
    wanted = _wanted(context)
    wanted = _checked(wanted)
    if given["foreground"]:
        _serve(wanted, lambda: None)
        return
    log_file = given["log_file"]
    log = _log(str(log_file)) if log_file else None

    def go_on(tell: Callable[[Outcome], None]) -> None:
        told = False

        def ready() -> None:
            nonlocal told
            told = True
            tell(Outcome())

        try:
            _serve(wanted, ready)
        except Exception as error:  # noqa: BLE001 -- whatever it is, whoever waits is told
            outcome = outcome_of(error)
            if told:
                _print(outcome)
            else:
                tell(outcome)

    outcome = in_background(go_on, log=log)
    if outcome.status:
        _print(outcome)
        context.exit(outcome.status)


def _checked(wanted: Wanted) -> Wanted:
    from dataclasses import replace

    where = check_mountpoint(wanted.mountpoint, nonempty=wanted.mode.nonempty)
    # The process in the background is elsewhere.
    directory = None if wanted.directory is None else os.path.abspath(wanted.directory)  # noqa: PTH100 -- links stay
    return replace(wanted, mountpoint=where, directory=directory)


def _serve(wanted: Wanted, ready: Callable[[], None]) -> None:
    # What opens containers brings threads: not before there is one process.
    from daos.dfuse.serve import serve

    serve(wanted, ready)


def _print(outcome: Outcome) -> None:
    click.echo(f"ERROR: dfuse: {outcome.message}", err=True)
    if outcome.hint:
        click.echo(f"hint: {outcome.hint}", err=True)


def _switch(names: list[str], text: str) -> click.Option:
    return click.Option(names, is_flag=True, help=text)


command = click.Command(
    "dfuse",
    callback=_command,
    help=HELP,
    context_settings={"help_option_names": ["-h", "--help"]},
    params=[
        click.Argument(["words"], metavar="MOUNTPOINT [POOL CONTAINER]", nargs=-1),
        click.Option(["-m", "--mountpoint"], metavar="PATH", help="Where to mount; better as the first word."),
        click.Option(["--pool"], metavar="POOL", help="Label or UUID of the pool."),
        click.Option(["--container", "--cont"], metavar="CONTAINER", help="Label or UUID of the container."),
        click.Option(
            ["--path"], metavar="PATH", help="A path that stands for the container, or for an embedded system."
        ),
        click.Option(
            ["-S", "--system"],
            metavar="PATH",
            envvar="DAOS_SYSTEM",
            help="Directory of an embedded system  [env: DAOS_SYSTEM].",
        ),
        click.Option(["-G", "--sys-name"], metavar="NAME", help="Name of a running system; by default the agent's."),
        _switch(["-f", "--foreground"], "Stay in the foreground."),
        _switch(["-s", "--singlethread"], "Answer one request at a time."),
        click.Option(["-t", "--thread-count"], type=int, metavar="N", help="Threads in all."),
        click.Option(["-e", "--eq-count"], type=int, metavar="N", help="Of these, for event queues; 1 by default."),
        click.Option(
            ["--enable-caching/--disable-caching", "caching"], default=True, help="Let the kernel keep what it may."
        ),
        click.Option(
            ["--enable-wb-cache/--disable-wb-cache", "wb_cache"], default=True, help="Of that, what is written."
        ),
        _switch(["--enable-local-flock"], "Locks are always there, of this host; for command lines of DAOS."),
        _switch(["-M", "--multi-user"], "All users may use it, each with his rights."),
        _switch(["-r", "--read-only"], "Change nothing."),
        click.Option(["--snap"], metavar="NAME", help="Mount the container as of a snapshot, by its name."),
        click.Option(["--snap-epoch"], type=int, metavar="EPOCH", help="The same by its epoch."),
        click.Option(
            ["-o", "--options"],
            multiple=True,
            metavar="OPTIONS",
            help="As of mount: pool=, container=, ro, allow_other, nonempty; others are passed over.",
        ),
        click.Option(
            ["--log-file"], metavar="PATH", envvar="D_LOG_FILE", help="Where trouble is told  [env: D_LOG_FILE]."
        ),
        click.Option(
            ["-v", "--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_version,
            help="Print the version.",
        ),
    ],
)


def run(arguments: Sequence[str]) -> int:
    """Run a command line; return the exit status."""
    try:
        status = command.main(list(arguments), prog_name="dfuse", standalone_mode=False)
    except click.Abort:
        _print(Outcome(errno.EINTR, "interrupted"))
        return errno.EINTR
    except click.ClickException as error:
        _print(Outcome(errno.EINVAL, error.format_message(), "dfuse --help tells how it is called"))
        return errno.EINVAL
    except (DaosError, OSError) as error:
        outcome = outcome_of(error)
        _print(outcome)
        return outcome.status
    return int(status or 0)


def main() -> None:
    """Run the command line of this process, and end it."""
    keep_standard_descriptors()
    # A door takes hundreds of connections, and a connection in shared memory two descriptors.
    raise_descriptor_limit()
    sys.exit(run(sys.argv[1:]))
