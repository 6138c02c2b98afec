"""`daos bench`."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from daos._bench import Measured, measure
from daos.cli._base import Lazy, LazyGroup, session_of
from daos.cli._output import Reply, show
from daos.errors import DER, InvalidError
from daos.model.sizes import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS_MAX = 60.0


class Seconds(click.FloatRange):
    """A number in a range, which what is no number is not."""

    def convert(self, value: float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        seconds = float(super().convert(value, param, ctx))
        if math.isnan(seconds):
            self.fail(f"{value!r} is no number", param, ctx)
        return seconds


PATH = click.Option(
    ["--path"], metavar="DIR", default=".", show_default=True, help="An existing directory on the disk to measure."
)
SECONDS = click.Option(
    ["-t", "--seconds"],
    type=Seconds(0.01, SECONDS_MAX),
    default=1.0,
    show_default=True,
    help="Of each kind of work.",
)
HEADS = (
    f"{'Work':<27} {'Durability':<10} {'Threads':>7} {'Operations/s':>12} {'p50 us':>9} {'p99 us':>9} {'Values/s':>10}"
)


def _line(found: Measured) -> str:
    size = format_size(int(found.bytes_per_s)) if found.bytes_per_s else ""
    line = (
        f"{found.name:<27} {found.durability:<10} {found.threads:>7} {found.per_s:>12.0f} "
        f"{found.p50_us:>9.1f} {found.p99_us:>9.1f} {size:>10}"
    )
    return line.rstrip()


def lines(found: Iterator[Measured]) -> Iterator[str]:
    """Yield a table, a line when it is measured."""
    yield HEADS
    yield " ".join("-" * len(part) for part in (" " * 27, " " * 10, " " * 7, " " * 12, " " * 9, " " * 9, " " * 10))
    for one in found:
        yield _line(one)


TEXT = """Measure an embedded system on a disk: puts, gets, transactions, arrays.

Makes systems in a new directory in DIR (-S is not looked at) and removes them. Each line is printed when it is
measured. `synced` work is as fast as the disk syncs; `buffered` work survives the death of the process.

`daos bench net POOL` measures a pool of a running system.
"""


def _measure(path: str, seconds: float) -> Reply:
    folder = Path(path)
    if not folder.is_dir():
        raise InvalidError(f"{path} is not a directory", code=DER.NOTDIR, hint="give one on the disk to measure")
    found = measure(folder, seconds)
    return Reply(lines(found), lambda: [{**asdict(one), "operations_per_s": one.per_s} for one in found])


class Bench(LazyGroup):
    """A command that measures by itself, and has another one below it."""

    def __init__(self) -> None:
        super().__init__("bench", TEXT, {"net": Lazy("daos.cli.bench_net", "Measure a pool of a running system.")})
        self.params = [PATH, SECONDS, *self.params]
        self.invoke_without_command = True
        self.no_args_is_help = False
        self.callback = _run


@click.pass_context
def _run(context: click.Context, path: str, seconds: float) -> None:
    if context.invoked_subcommand is None:
        show(_measure(path, seconds), session_of(context))
        return
    for name, flag in (("path", "--path"), ("seconds", "-t")):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{flag} before `{context.invoked_subcommand}' is for nothing", context)


command = Bench()
