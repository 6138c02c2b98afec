"""`daos doctor`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from daos._doctor import Finding, diagnose
from daos.cli._base import command as make
from daos.cli._base import session_of
from daos.cli._output import Reply

if TYPE_CHECKING:
    from collections.abc import Sequence

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def lines(findings: Sequence[Finding], *, coloured: bool) -> Iterator[str]:
    """Yield a line for each finding, and one for what is to be done about it."""
    for finding in findings:
        word = f"{finding.status:<5}"
        if coloured:
            word = click.style(word, fg=COLOURS[finding.status])
        yield f"{word}{finding.check:<11}{finding.detail}"
        if finding.fix:
            yield f"{'':<16}fix: {finding.fix}"


@make("doctor")
@click.pass_context
def command(context: click.Context) -> Reply:
    """Check that this machine is fit for a system.

    Looks at Python, the core, the kernel, and at the place of the system (-S, else the current directory): its
    filesystem, synchronous writes, free space; and at the memory. Ends with status 1 if a check failed.
    """
    findings = diagnose(session_of(context).system or ".")
    failed = [finding.check for finding in findings if finding.status == "fail"]
    return Reply(
        lines(findings, coloured=sys.stdout.isatty()),
        lambda: {"checks": [asdict(finding) for finding in findings]},
        error=f"{len(failed)} of {len(findings)} checks failed: {', '.join(failed)}" if failed else None,
    )
