"""`daos container check`."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from daos.cli._base import CONTAINER, POOL, open_container
from daos.cli._base import command as make
from daos.cli._output import Reply
from daos.cli._progress import Progress
from daos.errors import DER, CorruptionError

if TYPE_CHECKING:
    from daos import CheckReport


def _lines(label: str, report: CheckReport, began: str, ended: str) -> list[str]:
    seconds = max(1, round(report.seconds))
    return [
        f"check container {label} started at: {began}",
        f"check container {label} completed at: {ended}",
        f"checked: {report.objects}",
        "skipped: 0",
        f"inconsistent: {len(report.damaged)}",
        f"run_time: {seconds} seconds",
        f"scan_speed: {report.objects // seconds} objs/sec",
        *(f"damaged: {damage.oid or 'an index'}: {damage.what}" for damage in report.damaged),
    ]


@make("check", POOL, CONTAINER)
@click.pass_context
def command(context: click.Context, pool: str, container: str) -> Reply:
    """Read all that CONTAINER in POOL holds, every version of it, and tell what is not as it was stored.

    Nothing is repaired. Ends with status 1 if anything is damaged.
    """
    opened = open_container(context, pool, container)
    began = time.ctime()
    with Progress("checking") as progress:
        report = opened.check(told=progress.at)
    lines = _lines(opened.label, report, began, time.ctime())
    error = None
    if report.damaged:
        damage = CorruptionError(
            f"{len(report.damaged)} damaged in container {opened.label}",
            code=DER.CSUM,
            hint="restore it from a copy; what is not named is as it was stored",
        )
        error = str(damage)
    response = {**asdict(report), "skipped": 0, "damaged": [
        {"oid": None if damage.oid is None else str(damage.oid), "what": damage.what} for damage in report.damaged
    ]}  # fmt: skip
    return Reply(lines, lambda: response, error=error)
