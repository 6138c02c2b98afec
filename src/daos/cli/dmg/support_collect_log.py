"""`dmg support collect-log`."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from pathlib import Path

import click

from daos.cli._output import Reply, table
from daos.cli.dmg._base import HOSTS, working
from daos.cli.dmg._base import command as make
from daos.cli.dmg._collect import folder_of, write_pieces
from daos.cli.dmg._hosts import hosts_of
from daos.errors import DaosError
from daos.mgmt.client import ManagementClient
from daos.mgmt.logs import SERVER_FOLDER, TARGET_FOLDER_HELP, TEXTS, Span, check_kinds, folder_for, packed
from daos.mgmt.proto import daos_mgmt_pb2 as pb
from daos.model.sizes import format_size

AT_ONCE_MAX = 8


@make(
    "collect-log",
    HOSTS,
    click.Option(["-t", "--target-folder"], metavar="DIR", help=TARGET_FOLDER_HELP.format(SERVER_FOLDER)),
    click.Option(["-z", "--archive"], is_flag=True, help=TEXTS["archive"]),
    click.Option(["-s", "--stop-on-error"], is_flag=True, help="End with the first host that fails."),
    click.Option(["-c", "--extra-logs-dir"], metavar="DIR", help="A further folder of the hosts."),
    click.Option(["-D", "--start-date"], metavar="YYYY-MM-DD", help=TEXTS["start_date"]),
    click.Option(["-F", "--end-date"], metavar="YYYY-MM-DD", help=TEXTS["end_date"]),
    click.Option(["-S", "--log-start-time"], metavar="HH:MM:SS", help=TEXTS["log_start_time"]),
    click.Option(["-E", "--log-end-time"], metavar="HH:MM:SS", help=TEXTS["log_end_time"]),
    click.Option(["-e", "--log-type"], metavar="TYPES", help=TEXTS["log_type"]),
)
@click.pass_context
def command(
    context: click.Context,
    host_list: str | None,
    target_folder: str | None,
    extra_logs_dir: str | None,
    start_date: str | None,
    end_date: str | None,
    log_start_time: str | None,
    log_end_time: str | None,
    log_type: str | None,
    *,
    archive: bool,
    stop_on_error: bool,
) -> Reply:
    """Collect the logs of hosts in a folder, each host's in its own. Times are UTC."""
    types = [] if log_type is None else sorted(check_kinds(log_type))
    span = Span.of(start_date, end_date, log_start_time, log_end_time)
    request = pb.CollectLogRequest(
        log_types=types,
        start=span.start,
        end=span.end,
        extra_logs_dir=extra_logs_dir or "",
        stop_on_error=stop_on_error,
    )
    folder = folder_for(target_folder, SERVER_FOLDER)
    hosts = hosts_of(context, host_list)
    told = working(context, lambda client: _collect(client, hosts, folder, request))
    bad = {host: error for host, error in told.items() if isinstance(error, DaosError)}
    good = {host: done for host, done in told.items() if not isinstance(done, DaosError)}
    rows = [(host, str(count), format_size(size)) for host, (count, size, _) in good.items()]
    lines = [*table(("Host", "Files", "Size"), rows), ""] if rows else []
    problems = [f"{host}: {problem}" for host, (_, _, missing) in good.items() for problem in missing]
    problems += [f"{host}: {error.message}: {error.code}" for host, error in bad.items()]
    where = folder
    if archive and good:
        where = packed(folder)
    lines.append(f"Logs are in {where}")
    hosts_json = {
        host: {"files": count, "bytes": size, "missing": missing} for host, (count, size, missing) in good.items()
    }
    return Reply(
        lines,
        lambda: {"folder": str(where), "hosts": hosts_json},
        error=f"support collect-log failed: {'; '.join(problems)}" if problems else None,
    )


async def _collect(
    client: ManagementClient, hosts: list[str], folder: Path, request: pb.CollectLogRequest
) -> dict[str, tuple[int, int, list[str]] | DaosError]:
    at_once = asyncio.Semaphore(AT_ONCE_MAX)
    stop = asyncio.Event()
    names = _folders(hosts)

    async def one(host: str) -> tuple[int, int, list[str]] | DaosError | None:
        async with at_once:
            if stop.is_set():
                return None
            try:
                async with aclosing(client.collect_log(host, request)) as pieces:
                    done = await write_pieces(folder / names[host], pieces)
            except DaosError as error:
                if request.stop_on_error:
                    stop.set()
                return error
            if done[2] and request.stop_on_error:
                stop.set()
            return done

    async with asyncio.TaskGroup() as group:
        tasks = {host: group.create_task(one(host)) for host in hosts}
    results = {host: task.result() for host, task in tasks.items()}
    return {host: result for host, result in results.items() if result is not None}


def _folders(hosts: list[str]) -> dict[str, str]:
    """Return the folder of each host: its name, and its port too where several servers have the same name."""
    plain = [folder_of(host) for host in hosts]
    return {
        host: name if plain.count(name) == 1 else f"{name}_{host.rpartition(':')[2]}"
        for host, name in zip(hosts, plain, strict=True)
    }
