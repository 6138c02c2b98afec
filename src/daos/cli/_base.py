"""What every command shares: the common options, anywhere on the line, and loading a command when it is run."""

from __future__ import annotations

import difflib
import os
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, ParamSpec, cast
from urllib.parse import quote, urlencode

import click

from daos.cli._output import Reply, Session, show
from daos.errors import DER, AccessError, InvalidError, NotFoundError
from daos.model.labels import check_reference
from daos.model.namespace import word

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from daos import Container, Pool, System
    from daos.client.system import Durability
    from daos.uns import Resolved


P = ParamSpec("P")
_DIRECTORY = "daos.cli.directory"
"""In the context of a line: that it names a directory."""
_PATH = "daos.cli.path"
"""There: the path that stands for pool and container."""
_NAMED = "daos.cli.named"
"""There: what that path stands for."""


def session_of(context: click.Context) -> Session:
    """Return what the common options said."""
    return context.ensure_object(Session)


def _set_json(context: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 -- click's signature
    if value:
        session_of(context).json = True


def _set_system(context: click.Context, _: click.Parameter, value: str | None) -> None:
    session = session_of(context)
    if value is not None:
        session.system = value
        context.find_root().meta[_DIRECTORY] = True
        _check_one(context)


def _set_sys_name(context: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        session_of(context).sys_name = value
        _check_one(context)


def _check_one(context: click.Context) -> None:
    """Refuse a line that names both kinds of systems; the variable DAOS_SYSTEM gives way to a name on the line."""
    if session_of(context).sys_name is not None and context.find_root().meta.get(_DIRECTORY):
        raise click.UsageError("--system names an embedded system, --sys-name a running one: give one", context)


def json_option() -> click.Parameter:
    """Return the option by which a tool prints JSON."""
    return click.Option(
        ["-j", "--json"], is_flag=True, expose_value=False, callback=_set_json, help="Print one JSON object."
    )


def common_options() -> list[click.Parameter]:
    """Return the options that DAOS's tools take before, between and after the words of a command."""
    return [
        json_option(),
        click.Option(
            ["-S", "--system"],
            metavar="PATH",
            expose_value=False,
            callback=_set_system,
            help="Directory of an embedded system  [env: DAOS_SYSTEM].",
        ),
        click.Option(
            ["-G", "--sys-name"],
            metavar="NAME",
            expose_value=False,
            callback=_set_sys_name,
            help="Name of a running system; by default the agent's.",
        ),
    ]


class Command(click.Command):
    """A command whose function returns a `Reply`."""

    def __init__(
        self,
        name: str,
        callback: Callable[P, Reply],
        params: list[click.Parameter],
        text: str,
        options: Callable[[], list[click.Parameter]] = common_options,
    ) -> None:
        # A path stands for both. Commands that have a path of their own mean another one.
        self._takes_path = (
            options is common_options
            and {id(POOL), id(CONTAINER)} <= set(map(id, params))
            and all(param.name != "path" for param in params)
        )
        super().__init__(
            name,
            callback=callback,
            params=[*params, *([PATH] if self._takes_path else ()), *options()],
            help=text,
            context_settings={"help_option_names": ["-h", "--help"]},
        )

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return what it takes: without the words for pool and container, where a path stands for them."""
        params = super().get_params(ctx)
        return [param for param in params if param not in (POOL, CONTAINER)] if _PATH in ctx.meta else params

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Find what the words mean, and pool and container by the path that stands for them."""
        if not self._takes_path:
            return super().parse_args(ctx, args)
        said, _, _ = self.make_parser(ctx).parse_args(list(args))
        path = said.get("path")
        if not isinstance(path, str):
            return super().parse_args(ctx, args)
        ctx.meta[_PATH] = path
        rest = super().parse_args(ctx, args)
        named = _find(ctx, path)
        ctx.params.update(pool=named.pool, container=named.container)
        return rest

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return the words of the line about its usage."""
        pieces = super().collect_usage_pieces(ctx)
        if self._takes_path and "POOL" in pieces:
            at = pieces.index("POOL")
            pieces[at : at + 2] = ["{POOL CONTAINER | --path PATH}"]
        return pieces

    def invoke(self, ctx: click.Context) -> None:
        """Run it and print its reply before what it opened is closed."""
        reply = cast("Reply", super().invoke(ctx))
        session = session_of(ctx)
        show(reply, session)
        if reply.error is not None:
            click.echo(f"ERROR: {session.tool}: {reply.error}", err=True)
            if reply.hint is not None:
                click.echo(f"hint: {reply.hint}", err=True)
            ctx.exit(1)


def command(name: str, *params: click.Parameter) -> Callable[[Callable[P, Reply]], Command]:
    """Return a decorator that makes a command; the function's docstring is its help."""
    return lambda function: Command(name, function, list(params), function.__doc__ or "")


@dataclass(frozen=True)
class Lazy:
    """A command to be loaded when it is run.

    Attributes:
        module: The module that holds it as `command`.
        text: Its line in the listing.
        aliases: Other words for it.
    """

    module: str
    text: str
    aliases: tuple[str, ...] = ()


class LazyGroup(click.Group):
    """A group that imports a command's module when that command is run, not before."""

    def __init__(
        self,
        name: str,
        text: str,
        lazy: Mapping[str, Lazy | LazyGroup],
        aliases: tuple[str, ...] = (),
        options: Callable[[], list[click.Parameter]] = common_options,
    ) -> None:
        super().__init__(name, help=text, params=options(), context_settings={"help_option_names": ["-h", "--help"]})
        self.lazy = lazy
        self.aliases = aliases
        self.text = text

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's signature
        """Return the names, without aliases."""
        return sorted(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 -- click's signature
        """Return the command of a name or alias."""
        for name, entry in self.lazy.items():
            if cmd_name == name or cmd_name in entry.aliases:
                if isinstance(entry, LazyGroup):
                    return entry
                return cast("click.Command", import_module(entry.module).command)
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of the next word; say which there are if there is none."""
        found = self.get_command(ctx, args[0])
        if found is not None:
            return args[0], found, args[1:]
        if args[0].startswith("-"):
            raise click.NoSuchOption(args[0], ctx=ctx)
        names = self.list_commands(ctx)
        near = difflib.get_close_matches(args[0], names, n=1)
        advice = f", did you mean `{near[0]}'?" if near else f". Please specify one command of: {', '.join(names)}"
        raise click.UsageError(f"Unknown command `{args[0]}'{advice}", ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 -- click's signature
        """Write the listing from the table, so that help loads no command."""
        lines = [
            (f"{name} ({', '.join(entry.aliases)})" if entry.aliases else name, entry.text)
            for name, entry in sorted(self.lazy.items())
        ]
        with formatter.section("Commands"):
            formatter.write_dl(lines)


@contextmanager
def hinting(hint: str, *, unless: bool = False) -> Iterator[None]:
    """Say what a command line can do about something that is not there, in the place of what a program can."""
    try:
        yield
    except NotFoundError as error:
        error.hint = error.hint if unless else hint
        raise


def embedded(context: click.Context) -> bool:
    """Tell whether a line is about an embedded system: where a directory is named and no name of a running one."""
    session = session_of(context)
    return session.system is not None and session.sys_name is None


def for_administrators(context: click.Context, what: str, command: str) -> None:
    """Return where an embedded system is named: on a running one, this is its administrator's.

    Args:
        context: Of the line.
        what: What cannot be done, such as `pools are created`.
        command: What does it there.

    Raises:
        AccessError: `DER.NO_PERM`.
    """
    if not embedded(context):
        raise AccessError(
            f"{what} by the administrator of a running system",
            hint=f"he runs: {command}; an embedded system is named by -S DIRECTORY, or the variable DAOS_SYSTEM",
        )


def for_running(context: click.Context, why: str) -> None:
    """Return where no embedded system is named.

    Raises:
        InvalidError: `DER.NOTSUPPORTED`.
    """
    if embedded(context):
        raise InvalidError(
            why,
            code=DER.NOTSUPPORTED,
            hint="leave out -S and DAOS_SYSTEM for the system of this host's agent, or name one by -G NAME",
        )


def open_system(context: click.Context, *, create: bool = False) -> System:
    """Return the embedded system that the options name, closed when the command ends.

    Raises:
        DaosError: As `daos.open_system`; `InvalidError` if none is named.
    """
    import daos

    path = session_of(context).system
    if not path or not embedded(context):
        raise InvalidError("no system given", hint="name its directory: -S PATH, or the variable DAOS_SYSTEM")
    with hinting("check the path; daos pool create makes a system"):
        return context.with_resource(daos.open_system(path, create=create))


def open_pool(context: click.Context, label: str, *, writes: bool = False) -> Pool:
    """Return a pool of the system of a line: the one place that decides how it is reached.

    Args:
        context: Of the line.
        label: Label or uuid.
        writes: Whether anything is changed. Of a running system, a pool that is only read is opened for reading, which
            fewer rights are enough for.

    Raises:
        DaosError: As `open_system` and `System.pool`, or as `daos.connect`.
    """
    if not embedded(context):
        return context.with_resource(connect_pool(context, label, writes=writes))
    gone = _gone(context)
    with hinting(gone or "", unless=gone is None):
        system = open_system(context)
        with hinting("daos pool list lists them, daos pool create makes one"):
            return system.pool(label)


def connect_pool(
    context: click.Context, label: str, *, writes: bool = False, durability: Durability = "synced"
) -> Pool:
    """Return a pool of a running system, to be closed by the caller.

    Raises:
        NotFoundError: `DER.NONEXIST`: it is not there, or not for this user, in the same words: nobody learns which.
        DaosError: As `daos.connect`.
    """
    import daos

    system = session_of(context).sys_name
    reference = check_reference(label, "pool")
    query = f"?{urlencode({'system': check_system_name(system)})}" if system else ""
    return daos.connect(
        f"daos://{quote(reference, safe='')}{query}", mode="rw" if writes else "r", durability=durability
    )


def check_system_name(name: str) -> str:
    """Return the name of a running system.

    Raises:
        InvalidError: `DER.INVAL`: it can be none.
    """
    if "/" in name:
        raise InvalidError(f'invalid system name "{name}"', hint="a directory is named by -S")
    return name


def open_container(context: click.Context, pool: str, label: str, *, writes: bool = False) -> Container:
    """Return a container of a pool of that system.

    Raises:
        DaosError: As `open_pool` and `Pool.container`.
    """
    opened = open_pool(context, pool, writes=writes)
    with hinting(_gone(context) or "daos container list lists them, daos container create makes one"):
        container = opened.container(label)
    named = named_by_path(context)
    return container if named is None or named.snapshot is None else container.at(named.snapshot)


def _gone(context: click.Context) -> str | None:
    """Return what to do if nothing is there that the path of a line stands for; None without one."""
    named = named_by_path(context)
    if named is None or named.where is None:
        return None
    where = word(named.where)
    return f"{where} stands for what is gone; daos container destroy --force --path {where} removes it"


def named_by_path(context: click.Context) -> Resolved | None:
    """Return what the path of a line stands for; None where pool and container are words."""
    return cast("Resolved | None", context.meta.get(_NAMED))


def system_on_line(context: click.Context) -> str:
    """Return the system that a line names, a directory or a name; empty where it names none.

    What the environment names is about the words for pools and containers, not about paths and URLs.
    """
    session = session_of(context)
    if session.system is not None and context.find_root().meta.get(_DIRECTORY):
        return os.path.realpath(session.system)
    return session.sys_name or ""


def _find(context: click.Context, path: str) -> Resolved:
    """Return what a path stands for, and have the line be about the system of that.

    Raises:
        InvalidError: `DER.INVAL`: the line names another system.
        DaosError: As `daos.uns.resolve`.
    """
    from daos.uns import resolve

    named = resolve(path)
    session = session_of(context)
    on_line = system_on_line(context)
    if named.system:
        wanted = os.path.realpath(named.system) if named.embedded else named.system
        if on_line not in {"", wanted}:
            raise InvalidError(
                f"{path} stands for a container of the system {word(named.system)}, the line names {on_line}",
                hint="leave out -S and -G: the path says which system it is",
            )
        session.system, session.sys_name = (named.system, None) if named.embedded else (None, named.system)
    else:
        # It is one of a running system, unless the line says otherwise.
        session.system = session.system if context.find_root().meta.get(_DIRECTORY) else None
    context.meta[_NAMED] = named
    return named


@contextmanager
def making(container: Container, name: str, *, create: bool) -> Iterator[None]:
    """Take back what was made under a name that was free, if it is not filled as it should be."""
    fresh = create and container.find(name) is None
    try:
        yield
    except BaseException:
        if fresh and container.find(name) is not None:
            container.destroy(name)
        raise


POOL = click.Argument(["pool"], metavar="POOL")
CONTAINER = click.Argument(["container"], metavar="CONTAINER")
PATH = click.Option(
    ["-p", "--path"],
    metavar="PATH",
    expose_value=False,
    help="In the place of POOL CONTAINER: a path that stands for them, or daos://POOL/CONTAINER.",
)
