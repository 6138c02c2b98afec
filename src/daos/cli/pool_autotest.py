"""`daos pool autotest`."""

from __future__ import annotations

import sys
import time
import uuid
from dataclasses import asdict

import click

from daos.cli import _autotest
from daos.cli._base import POOL, open_pool, session_of
from daos.cli._base import command as make
from daos.cli._output import Reply, echo
from daos.cli._progress import ERASE

COLOURS = {"PASS": "green", "FAIL": "red", "SKIP": "yellow"}
HEADS = ("Step", "Operation", "Status", "Time(sec)", "Comment")
WIDTHS = (4, 26, 6, 9, 7)


def _line(cells: tuple[str, ...]) -> str:
    return " ".join(f"{cell:<{width}}" for cell, width in zip(cells, WIDTHS, strict=True)).rstrip()


def _shown(outcome: _autotest.Outcome) -> str:
    status = f"{outcome.status:<{WIDTHS[2]}}"
    before = _line((str(outcome.number), outcome.name, "", "", ""))
    padded = f"{before:<{WIDTHS[0] + WIDTHS[1] + 1}}"
    after = f"{outcome.seconds:<{WIDTHS[3]}.3f} {outcome.comment}".rstrip()
    return f"{padded} {click.style(status, fg=COLOURS[outcome.status])} {after}"


def _percent(step: _autotest.Step, percent: int) -> None:
    """Tell how far a step is, on a terminal, in the place of its line."""
    if sys.stdout is not None and sys.stdout.isatty():
        click.echo(f"{ERASE}{_line((str(step.number), step.name, f'{percent}%', '', ''))}", nl=False)


def _quiet(_step: _autotest.Step, _percent: int) -> None:
    """Tell nothing."""


@make(
    "autotest",
    POOL,
    click.Option(["--skip-big"], is_flag=True, help="Leave out values of 1 MB."),
    click.Option(
        ["-D", "--deadline-limit", "limit"],
        type=click.FloatRange(0.0, 86_400.0, min_open=True),
        default=60.0,
        show_default=True,
        metavar="SECONDS",
        help="For all of it; what is not done by then has failed.",
    ),
    click.Option(
        ["--count"], type=click.IntRange(1, 10_000_000), default=4096, show_default=True, help="Of values of 128 bytes."
    ),
)
@click.pass_context
def command(context: click.Context, pool: str, limit: float, count: int, *, skip_big: bool) -> Reply:
    """Try out POOL: store values of several sizes in a new container, read them back, and destroy it.

    Ends with status 1 if a step fails. What is in the pool is not touched.
    """
    as_json = session_of(context).json
    trial = _autotest.Trial(
        open_pool(context, pool, writes=True),
        f"autotest-{uuid.uuid4().hex[:12]}",
        time.monotonic() + limit,
        count,
    )
    if not as_json:
        echo(_line(HEADS))
        echo(_line(tuple("-" * len(head) for head in HEADS)))
    outcomes = []
    for outcome in _autotest.run(trial, skip_big=skip_big, told=_quiet if as_json else _percent):
        outcomes.append(outcome)
        if not as_json:
            echo((ERASE if sys.stdout is not None and sys.stdout.isatty() else "") + _shown(outcome))
    failed = [outcome for outcome in outcomes if outcome.status == "FAIL"]
    return Reply(
        response=lambda: [asdict(outcome) for outcome in outcomes],
        error="; ".join(f"step {one.number}, {one.name.lower()}: {one.comment}" for one in failed) or None,
        hint="daos health check and daos pool query tell more" if failed else None,
    )
