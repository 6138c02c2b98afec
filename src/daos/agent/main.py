"""`daos_agent`: its command line, its log, its signals."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeVar

import click
import structlog

from daos.agent._notify import notify
from daos.agent.interfaces import PROVIDER, interfaces
from daos.agent.server import Agent, Clock, machine_name
from daos.agent.topology import topology
from daos.agent.upstream import UPSTREAM_S_MAX, AttachInfoLike, Upstream, connect
from daos.agent.users import AuthSys, HostNames
from daos.config import AGENT_FILE, AgentConfig, load_agent
from daos.errors import DaosError, InvalidError, TimedOutError
from daos.mgmt import logs
from daos.mgmt.proxies import scrub
from daos.mgmt.sets import format_hosts
from daos.security.source import IdentityFiles, IdentitySource

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from structlog.typing import Processor

T = TypeVar("T")
TOOL = "daos_agent"
SERVER_NAME = "DAOS Control Server"
GENERIC = -1025
LEVELS = {
    "DISABLED": 100,
    "TRACE": logging.DEBUG,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "NOTICE": logging.INFO,
    "ERROR": logging.ERROR,
}
"""Of the log, by DAOS's names."""


@dataclass
class Options:
    """What stands before the command.

    Attributes:
        config: The file.
        overrides: What goes over it.
        json: Print JSON.
        json_logging: Log JSON.
        debug: Log all.
        allow_proxy: Go by the proxies of the environment.
    """

    config: Path | None = None
    overrides: dict[str, object] | None = None
    json: bool = False
    json_logging: bool = False
    debug: bool = False
    allow_proxy: bool = False

    def connect(self, config: AgentConfig) -> Upstream:
        """Return the servers of a configuration.

        Raises:
            UnavailableError: As `daos.agent.upstream.connect`.
        """
        return connect(config, allow_proxy=self.allow_proxy)

    def load(self) -> AgentConfig:
        """Return the configuration: the file that is named, or that of the host, or the defaults.

        Raises:
            InvalidError: `DER.INVAL`.
        """
        path = self.config or (AGENT_FILE if AGENT_FILE.exists() else None)
        return load_agent(path, self.overrides)


@click.group(
    TOOL,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@click.option("--allow-proxy", is_flag=True, help="Go by the proxies of the environment, http_proxy and https_proxy.")
@click.option("-d", "--debug", is_flag=True, help="Log all.")
@click.option("-j", "--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("-J", "--json-logging", is_flag=True, help="Log JSON, an object a line.")
@click.option("-o", "--config-path", "config", metavar="FILE", help=f"The configuration  [default: {AGENT_FILE}].")
@click.option("-i", "--insecure", is_flag=True, help="Without certificates.")
@click.option("-s", "--runtime_dir", "runtime_dir", metavar="DIR", help="The directory of the socket.")
@click.option("-l", "--logfile", "log_file", metavar="FILE", help="The log.")
@click.pass_context
def cli(
    context: click.Context,
    *,
    allow_proxy: bool,
    debug: bool,
    as_json: bool,
    json_logging: bool,
    config: str | None,
    insecure: bool,
    runtime_dir: str | None,
    log_file: str | None,
) -> None:
    """Tell the processes of this host where the system is, and the system who they are."""
    overrides: dict[str, object] = {}
    if insecure:
        overrides["transport_config.allow_insecure"] = True
    if runtime_dir is not None:
        overrides["runtime_dir"] = runtime_dir
    if log_file is not None:
        overrides["log_file"] = log_file
    if not allow_proxy:
        scrub(os.environ)
    context.obj = Options(Path(config) if config else None, overrides, as_json, json_logging, debug, allow_proxy)
    if context.invoked_subcommand is None:
        context.invoke(start)


@cli.command("start")
@click.pass_obj
def start(options: Options) -> None:
    """Serve (the default)."""
    config = options.load()
    with_log(config, options, lambda: asyncio.run(serve(config, options.connect)))


@cli.command("version")
@click.pass_obj
def version(options: Options) -> None:
    """Print the version."""
    number = installed("daos")
    show(options, [f"DAOS Agent v{number}"], {"version": number, "name": "DAOS Agent"})


@cli.command("server-version")
@click.pass_obj
def server_version(options: Options) -> None:
    """Print the version of the servers; with the hosts, where they differ."""
    told = asyncio.run(_asking(options.load(), options.connect, lambda upstream: upstream.versions()))
    lines, facts = versions_told(told)
    if facts is None:
        raise next(one for one in told.values() if isinstance(one, DaosError))
    show(options, lines, facts)


def versions_told(told: Mapping[str, str | DaosError]) -> tuple[list[str], dict[str, object] | None]:
    """Return the versions of servers as text and as JSON has them; no JSON where none is known.

    Args:
        told: Of each server, or why it is not known.
    """
    by_version: dict[str, list[str]] = {}
    for host, one in told.items():
        if not isinstance(one, DaosError):
            by_version.setdefault(one, []).append(host)
    if not by_version:
        return [], None
    errors = {host: f"{one.message}: {one.code}" for host, one in told.items() if isinstance(one, DaosError)}
    if len(by_version) == 1 and not errors:
        (number,) = by_version
        return [f"{SERVER_NAME} version {number}"], {"name": SERVER_NAME, "version": number}
    lines = [f"{SERVER_NAME} version {number} on {format_hosts(hosts)}" for number, hosts in by_version.items()]
    lines += [f"{host}: {text}" for host, text in errors.items()]
    versions = [
        {"name": SERVER_NAME, "version": number, "hosts": format_hosts(hosts)} for number, hosts in by_version.items()
    ]
    return lines, {"versions": versions, "host_errors": errors}


@cli.command("dump-attachinfo")
@click.option("-o", "--output", metavar="FILE", help="Write it there.")
@click.option("-n", "--numa-node", type=click.IntRange(min=0), metavar="N", help="Accepted; all nodes get the same.")
@click.pass_obj
def dump_attachinfo(options: Options, output: str | None, numa_node: int | None) -> None:  # noqa: ARG001 -- see its help
    """Ask the servers where the system is, and print it."""
    info = asyncio.run(ask(options.load(), options.connect))
    lines = [
        f"name {info.system}",
        f"size {len(info.ranks)}",
        *(f"{one.rank} {one.uri}" for one in info.ranks),
    ]
    facts = {
        "system": info.system,
        "provider": info.provider,
        "insecure": info.insecure,
        "version": info.version,
        "ms_ranks": list(info.management_ranks),
        "rank_uris": [{"rank": one.rank, "uri": one.uri, "targets": list(one.target_addresses)} for one in info.ranks],
    }
    show(options, _written(lines, output), facts)


@cli.command("dump-topology")
@click.option("-o", "--output", metavar="FILE", help="Write it there.")
@click.pass_obj
def dump_topology(options: Options, output: str | None) -> None:
    """Print the NUMA nodes of this host, and the devices at them."""
    found = topology()
    show(options, _written(found.lines(), output), found.facts())


def _written(lines: list[str], output: str | None) -> list[str]:
    """Write lines to a file where one is named, and return what is left to print."""
    if output is None:
        return lines
    try:
        Path(output).write_text("\n".join([*lines, ""]))
    except OSError as error:
        raise InvalidError(f"{output}: {error.strerror}", hint="choose a place that can be written to") from None
    return []


@cli.command("net-scan")
@click.option("-p", "--provider", metavar="NAME", help=f"Only of this provider; there is {PROVIDER}.")
@click.pass_obj
def net_scan(options: Options, provider: str | None) -> None:
    """List the network interfaces of this host."""
    if provider not in (None, "all", PROVIDER, "tcp", f"{PROVIDER};ofi_rxm"):
        raise InvalidError(f'the provider "{provider}" is not here', hint=f"there is {PROVIDER}")
    found = interfaces()
    lines = []
    for node in sorted({one.numa_node for one in found}):
        names = [f"  {one.name} ({PROVIDER})" for one in found if one.numa_node == node and one.up]
        lines += [f"NUMA socket {node}", *names]
    show(options, lines, {"interfaces": [asdict(one) | {"providers": [PROVIDER]} for one in found]})


@cli.group("support")
def support() -> None:
    """Collect what helps to find out what is wrong."""


@support.command("collect-log")
@click.option("-t", "--target-folder", metavar="DIR", help=logs.TARGET_FOLDER_HELP.format(logs.CLIENT_FOLDER))
@click.option("-z", "--archive", is_flag=True, help=logs.TEXTS["archive"])
@click.option("-s", "--stop-on-error", is_flag=True, help=logs.TEXTS["stop_on_error"])
@click.option("-c", "--extra-logs-dir", metavar="DIR", help=logs.TEXTS["extra_logs_dir"])
@click.option("-D", "--start-date", metavar="YYYY-MM-DD", help=logs.TEXTS["start_date"])
@click.option("-F", "--end-date", metavar="YYYY-MM-DD", help=logs.TEXTS["end_date"])
@click.option("-S", "--log-start-time", metavar="HH:MM:SS", help=logs.TEXTS["log_start_time"])
@click.option("-E", "--log-end-time", metavar="HH:MM:SS", help=logs.TEXTS["log_end_time"])
@click.pass_obj
def collect_log(
    options: Options,
    *,
    target_folder: str | None,
    extra_logs_dir: str | None,
    start_date: str | None,
    end_date: str | None,
    log_start_time: str | None,
    log_end_time: str | None,
    archive: bool,
    stop_on_error: bool,
) -> int:
    """Collect the agent's log in a folder. Times are UTC."""
    span = logs.Span.of(start_date, end_date, log_start_time, log_end_time)
    config = options.load()
    files = [] if config.log_file is None else [(f"agent/{config.log_file.name}", config.log_file)]
    if extra_logs_dir is not None:
        files += logs.files_in(Path(extra_logs_dir))
    if not files:
        raise InvalidError("no log is configured", hint=f"log_file in {options.config or AGENT_FILE}")
    try:
        folder = logs.folder_for(target_folder, logs.CLIENT_FOLDER)
        done = logs.collect(files, folder, span, archive=archive, stop_on_error=stop_on_error)
    except DaosError:
        raise  # some are an OSError as well
    except OSError as error:
        raise InvalidError(
            f"{error.filename}: {error.strerror}", hint="choose a place that can be written to"
        ) from None
    show(options, done.lines(), done.facts(), error=done.error())
    return 0 if done.error() is None else 1


async def ask(config: AgentConfig, make: Callable[[AgentConfig], Upstream]) -> AttachInfoLike:
    """Return where the servers say that the system is.

    Raises:
        DaosError: As the servers say, or that they do not answer.
    """
    return await _asking(config, make, lambda upstream: upstream.attach_info())


async def _asking(
    config: AgentConfig, make: Callable[[AgentConfig], Upstream], question: Callable[[Upstream], Awaitable[T]]
) -> T:
    upstream = make(config)
    try:
        async with asyncio.timeout(UPSTREAM_S_MAX):
            return await question(upstream)
    except TimeoutError as error:
        if isinstance(error, DaosError):
            raise
        raise TimedOutError("the servers do not answer", hint="look after the hosts of access_points") from None
    finally:
        await upstream.close()


async def serve(config: AgentConfig, make: Callable[[AgentConfig], Upstream]) -> None:
    """Serve until a signal says otherwise.

    Args:
        config: The configuration.
        make: Makes the servers of a configuration.

    Raises:
        DaosError: What prevents it: certificates, the socket, another agent.
    """
    log = structlog.get_logger("daos.agent")
    source = None
    transport = config.transport_config
    if not transport.allow_insecure:
        source = IdentitySource(
            IdentityFiles(transport.cert, transport.key, transport.ca_cert, "agent"),
            told=lambda error: log.error("new certificates not taken, the old ones stay in force", error=str(error)),
        )
    names = (socket.gethostname(), socket.getfqdn(), socket.gethostname().split(".", maxsplit=1)[0])
    machine = machine_name(None if source is None else source.current(), names)
    users = AuthSys(
        config.credential_config.client_user_map,
        HostNames(),
        cache_s=config.credential_config.cache_expiration,
        clock=time.monotonic,
    )
    clock = Clock(time.monotonic, lambda: datetime.now(UTC))
    upstream = make(config)
    agent = Agent(
        config,
        upstream,
        None if source is None else source.current,
        flavour=users,
        clock=clock,
        machine=machine,
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    flushes: set[asyncio.Task[None]] = set()

    def flush() -> None:
        if not flushes:  # one at a time is enough
            task = loop.create_task(agent.evict_all())
            flushes.add(task)
            task.add_done_callback(flushes.discard)

    def refresh() -> None:
        users.forget()
        agent.refresh()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, flush)
    loop.add_signal_handler(signal.SIGUSR2, refresh)
    await agent.run(stop, lambda: _tell_systemd("READY=1", f"STATUS=serving {config.name}"))
    _tell_systemd("STOPPING=1")


def with_log(config: AgentConfig, options: Options, work: Callable[[], None]) -> None:
    """Do something with the log that the configuration wants."""
    level = logging.DEBUG if options.debug else LEVELS[config.control_log_mask]
    if config.log_file is None:
        configure_log(sys.stderr, level, as_json=options.json_logging)
        work()
        return
    try:
        file = config.log_file.open("a", buffering=1, encoding="utf-8")
    except OSError as error:
        raise InvalidError(f"log_file {config.log_file}: {error.strerror}", hint="another with -l") from None
    with file:
        configure_log(file, level, as_json=options.json_logging)
        work()


def configure_log(file: TextIO, level: int, *, as_json: bool) -> None:
    """Log to a file."""
    last: Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=file.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=file),
        cache_logger_on_first_use=False,
    )


def _tell_systemd(*lines: str) -> None:
    notify(os.environ, *lines)


def show(options: Options, lines: Sequence[str], response: object, *, error: str | None = None) -> None:
    """Print the answer of a command, and what is wrong with it."""
    if options.json:
        click.echo(envelope(response, error, 0 if error is None else GENERIC))
    else:
        for line in lines:
            click.echo(line)
    if error is not None:
        click.echo(f"ERROR: {TOOL}: {error}", err=True)


def envelope(response: object, error: str | None, status: int) -> str:
    """Return what `--json` prints, as DAOS's tools do."""
    return json.dumps({"response": response, "error": error, "status": status}, indent=2)


def run(arguments: Sequence[str]) -> int:
    """Run a command line; return the exit status."""
    try:
        status = cli.main(list(arguments), prog_name=TOOL, standalone_mode=False)
    except DaosError as error:
        return fail(f"{error.message}: {error.code}", error.hint, -error.code.value, arguments)
    except click.ClickException as error:
        return fail(error.format_message(), f"{TOOL} -h tells what it takes", GENERIC, arguments)
    except click.Abort:
        return fail("interrupted", None, GENERIC, arguments)
    return status if isinstance(status, int) else 0


def fail(text: str, hint: str | None, status: int, arguments: Sequence[str]) -> int:
    """Print an error; return the exit status."""
    if "-j" in arguments or "--json" in arguments:
        click.echo(envelope(None, text, status))
    click.echo(f"ERROR: {TOOL}: {text}", err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)
    return 1


def main() -> None:
    """Run the command line of this process, and end it."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
