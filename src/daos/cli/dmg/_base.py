"""What every command of `dmg` shares: its options, its way to the servers."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from daos.cli._base import Command, json_option
from daos.cli._output import Reply, Session, echo, error_text, hint_of
from daos.cli.dmg import _settings
from daos.errors import DER, DaosError, UncertainError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterator

    from daos.cli.dmg._settings import Settings
    from daos.mgmt.client import ManagementClient
    from daos.mgmt.methods import Method, Request, Response

P = ParamSpec("P")
T = TypeVar("T")


@dataclass
class Admin(Session):
    """What the options of every command of `dmg` say.

    Attributes:
        flags: Which configuration.
        load: Makes settings of it.
        debug: Tell what is asked.
        log_file: Where; else on standard error.
        log_json: As JSON.
        allow_proxy: Go by the proxies of the environment.
    """

    tool: str = "dmg"
    flags: _settings.Flags = field(default_factory=_settings.Flags)
    load: Callable[[_settings.Flags], Settings] = _settings.load
    debug: bool = False
    log_file: str | None = None
    log_json: bool = False
    allow_proxy: bool = False


def admin_of(context: click.Context) -> Admin:
    """Return what the common options said."""
    return context.ensure_object(Admin)


def _option(*names: str, set_to: Callable[[Admin, str], None], metavar: str | None, text: str) -> click.Parameter:
    """Return a common option that may stand anywhere; one without a metavar is a flag."""

    def callback(context: click.Context, _: click.Parameter, value: object) -> None:
        if value:
            set_to(admin_of(context), str(value))

    return click.Option(
        list(names), is_flag=metavar is None, metavar=metavar, expose_value=False, callback=callback, help=text
    )


def _set_config(admin: Admin, path: str) -> None:
    admin.flags.config = path


def _set_insecure(admin: Admin, _: str) -> None:
    admin.flags.insecure = True


def _set_debug(admin: Admin, _: str) -> None:
    admin.debug = True


def _set_log_file(admin: Admin, path: str) -> None:
    admin.log_file = path


def _set_log_json(admin: Admin, _: str) -> None:
    admin.log_json = True


def _set_allow_proxy(admin: Admin, _: str) -> None:
    admin.allow_proxy = True


def options(taken: Collection[str] = ()) -> list[click.Parameter]:
    """Return the options that `dmg` takes before, between and after the words of a command.

    Args:
        taken: Names that mean something else behind the command: `-d` of set-logmasks.
    """
    common = [
        json_option(),
        _option("-o", "--config-path", set_to=_set_config, metavar="FILE", text="The configuration."),
        _option("-i", "--insecure", set_to=_set_insecure, metavar=None, text="Without certificates."),
        _option("-d", "--debug", set_to=_set_debug, metavar=None, text="Tell what is asked of whom."),
        _option("--log-file", set_to=_set_log_file, metavar="FILE", text="Where; else on standard error."),
        _option("-J", "--json-logging", set_to=_set_log_json, metavar=None, text="As JSON."),
        _option("--allow-proxy", set_to=_set_allow_proxy, metavar=None, text="Go by http_proxy, https_proxy."),
    ]
    for option in common:
        option.opts = [name for name in option.opts if name not in taken]
    return common


HOSTS = click.Option(["-l", "--host-list", "host_list"], metavar="HOSTS", help="Of these hosts only, node[1-3,7].")
RANKS = click.Option(["-r", "--ranks"], metavar="RANKS", help="These ranks only, such as 0,2-5.")
RANK_HOSTS = click.Option(["--rank-hosts"], metavar="HOSTS", help="The ranks of these hosts only, node[1-3,7].")
POOL = click.Argument(["pool"], metavar="POOL LABEL OR UUID")


def command(name: str, *params: click.Parameter) -> Callable[[Callable[P, Reply]], Command]:
    """Return a decorator that makes a command of `dmg`; the function's docstring is its help."""
    taken = [word for parameter in params for word in parameter.opts]
    return lambda function: Command(name, function, list(params), function.__doc__ or "", lambda: options(taken))


def settings_of(context: click.Context) -> Settings:
    """Return which servers there are.

    Raises:
        DaosError: As `daos.cli.dmg._settings.load`.
    """
    admin = admin_of(context)
    return admin.load(admin.flags)


def working(context: click.Context, work: Callable[[ManagementClient], Awaitable[T]]) -> T:
    """Run what asks the servers, and return what it returns.

    Raises:
        DaosError: As `work`; the line on standard error says which command failed.
    """
    from daos.mgmt.client import ManagementClient

    settings = settings_of(context)
    admin = admin_of(context)

    async def run() -> T:
        async with ManagementClient(
            settings.hosts, settings.identity, system=settings.system, allow_proxy=admin.allow_proxy
        ) as client:
            return await work(client)

    try:
        with _logging(admin):
            return asyncio.run(run())
    except DaosError:
        admin.failing = f"{verb(context)} failed"
        raise
    except KeyboardInterrupt:
        raise UncertainError(
            "interrupted", code=DER.CANCELED, hint="what was asked for may be done all the same: look at what is there"
        ) from None


def asking(context: click.Context, method: Method[Request, Response], request: Request) -> Response:
    """Ask the server that leads, and return its answer.

    Raises:
        DaosError: As `ManagementClient.ask`.
    """
    return working(context, lambda client: client.ask(method, request))


def verb(context: click.Context) -> str:
    """Return the words of the command, without the tool's: `pool query`."""
    names: list[str] = []
    at: click.Context | None = context
    while at is not None and at.parent is not None:
        names.insert(0, at.command.name or "")
        at = at.parent
    return " ".join(names)


@contextmanager
def telling(context: click.Context, what: str) -> Iterator[None]:
    """Say on standard output too that something failed, which scripts look for: `Pool-destroy command failed: ...`."""
    try:
        yield
    except DaosError as error:
        admin = admin_of(context)
        if admin.failing and not admin.json:
            echo(f"{what} failed: {error_text(error)[0]}")
        raise


def failed(error: DaosError, response: Callable[[], object], prefix: str, *, as_json: bool) -> Reply:
    """Return the reply of a command whose JSON has a response though it failed."""
    text, status = error_text(error)
    return Reply(response=response, error=text if as_json else f"{prefix}: {text}", status=status, hint=hint_of(error))


class _JsonLines(logging.Formatter):
    """A line of JSON for each event."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
        return json.dumps({"time": stamp, "level": record.levelname.lower(), "event": record.getMessage()})


@contextmanager
def _logging(admin: Admin) -> Iterator[None]:
    """Tell what is asked of whom, if that is wanted."""
    if not admin.debug:
        yield
        return
    handler = logging.StreamHandler(sys.stderr) if admin.log_file is None else logging.FileHandler(admin.log_file)
    handler.setFormatter(_JsonLines() if admin.log_json else logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("daos.mgmt")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
        handler.close()
