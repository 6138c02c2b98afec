"""What the commands of `daos_server` share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ParamSpec, cast

import click

from daos.cli._base import Command, json_option, session_of
from daos.cli._output import Reply, Session
from daos.config import SERVER_FILE, load_server
from daos.config.server import ServerConfig
from daos.errors import InvalidError

P = ParamSpec("P")


@dataclass
class ServerSession(Session):
    """What the options of every command say.

    Attributes:
        config: The configuration file.
        ignore_config: Go without one.
        debug: Log all there is.
        log_json: Log JSON.
        syslog: Log to syslog too.
        allow_proxy: Reach other servers by the proxies of the environment.
    """

    config: Path = SERVER_FILE
    ignore_config: bool = False
    debug: bool = False
    log_json: bool = False
    syslog: bool = False
    allow_proxy: bool = False


def session(context: click.Context) -> ServerSession:
    """Return what the common options said."""
    return cast("ServerSession", session_of(context))


def _set(name: str) -> Callable[[click.Context, click.Parameter, object], None]:
    def callback(context: click.Context, _: click.Parameter, value: object) -> None:
        if value:
            setattr(session(context), name, value)

    return callback


def options() -> list[click.Parameter]:
    """Return the options that may stand anywhere on the line."""

    def flag(names: list[str], field: str, text: str) -> click.Option:
        return click.Option(names, is_flag=True, expose_value=False, callback=_set(field), help=text)

    return [
        json_option(),
        click.Option(
            ["-o", "--config"],
            type=click.Path(path_type=Path),
            expose_value=False,
            callback=_set("config"),
            help=f"Configuration file  [default: {SERVER_FILE}].",
        ),
        flag(["--ignore-config"], "ignore_config", "Go without a configuration file."),
        flag(["-b", "--debug"], "debug", "Log all there is."),
        flag(["-J", "--json-logging"], "log_json", "Log JSON, an object a line."),
        flag(["--syslog"], "syslog", "Log to syslog too."),
        flag(["--allow-proxy"], "allow_proxy", "Go by the proxies of the environment, http_proxy and https_proxy."),
    ]


def command(name: str, *params: click.Parameter) -> Callable[[Callable[P, Reply]], Command]:
    """Return a decorator that makes a command; the function's docstring is its help."""
    return lambda function: Command(name, function, list(params), function.__doc__ or "", options)


def load(given: ServerSession, overrides: dict[str, object] | None = None, *, check_files: bool = True) -> ServerConfig:
    """Return the configuration that the command line names.

    Raises:
        InvalidError: It is wrong, or there is none.
    """
    changes = dict(overrides or {})
    if given.debug:
        changes["control_log_mask"] = "DEBUG"
    if given.log_json:
        changes["control_log_json"] = True
    if given.ignore_config:
        if overrides is None:
            return ServerConfig()
        raise InvalidError("--ignore-config does not go with this command", hint="name a file with --config")
    return load_server(given.config, changes, check_files=check_files)
