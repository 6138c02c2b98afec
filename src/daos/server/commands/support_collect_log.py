"""`daos_server support collect-log`."""

from __future__ import annotations

from pathlib import Path

import click

from daos.cli._output import Reply
from daos.errors import InvalidError
from daos.mgmt.logs import SERVER_FOLDER, TARGET_FOLDER_HELP, TEXTS, Span, check_kinds, collect, folder_for
from daos.server.commands._base import command as make
from daos.server.commands._base import load, session


@make(
    "collect-log",
    click.Option(["-t", "--target-folder"], metavar="DIR", help=TARGET_FOLDER_HELP.format(SERVER_FOLDER)),
    click.Option(["-z", "--archive"], is_flag=True, help=TEXTS["archive"]),
    click.Option(["-s", "--stop-on-error"], is_flag=True, help=TEXTS["stop_on_error"]),
    click.Option(["-c", "--extra-logs-dir"], metavar="DIR", help=TEXTS["extra_logs_dir"]),
    click.Option(["-D", "--start-date"], metavar="YYYY-MM-DD", help=TEXTS["start_date"]),
    click.Option(["-F", "--end-date"], metavar="YYYY-MM-DD", help=TEXTS["end_date"]),
    click.Option(["-S", "--log-start-time"], metavar="HH:MM:SS", help=TEXTS["log_start_time"]),
    click.Option(["-E", "--log-end-time"], metavar="HH:MM:SS", help=TEXTS["log_end_time"]),
    click.Option(["-e", "--log-type"], metavar="TYPES", help=TEXTS["log_type"]),
)
@click.pass_context
def command(
    context: click.Context,
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
    """Collect the logs of this host in a folder. Times are UTC."""
    from daos.server.logs import files
    from daos.server.settings import settings_of

    kinds = check_kinds(log_type)
    span = Span.of(start_date, end_date, log_start_time, log_end_time)
    given = session(context)
    extra = None if extra_logs_dir is None else Path(extra_logs_dir)
    found = files(settings_of(load(given, check_files=False)), kinds=kinds, extra=extra)
    if not found:
        raise InvalidError("no log is configured", hint=f"control_log_file, and log_file of engines, in {given.config}")
    done = collect(found, folder_for(target_folder, SERVER_FOLDER), span, archive=archive, stop_on_error=stop_on_error)
    return Reply(done.lines(), done.facts, error=done.error())
