"""What a check of a file system tells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CheckReport", "Finding", "Mode", "report_of", "with_temporaries"]

Mode = Literal["print", "remove", "relink"]


@dataclass(frozen=True)
class Finding:
    """Something that is wrong.

    Attributes:
        kind: `leaked_directory`, `leaked_file`, `leaked_object`: an object that nothing leads to; `leaked_inode`: the
            record of a file of several names, to which none leads; `orphan`: a file without a name that was open when
            its mount ended; `links`: a file says another number of names than it has; `several_names`: names of one
            file that do not know of each other; `second_name`: a directory has two; `dangling`: a name leads to
            nothing; `damaged`: an entry without a record that can be read; `temporary`: a file or directory that was to
            get its name when it is whole, and whose maker died: it did not change for a day.
        oid: The object, as halves; None where paths tell.
        paths: The names that it is about.
        stored: How many names the file says it has.
        counted: How many it has.
        why: What is wrong with a record.
    """

    kind: str
    oid: tuple[int, int] | None
    paths: tuple[str, ...]
    stored: int | None
    counted: int | None
    why: str | None

    def __str__(self) -> str:
        what = self.kind.replace("_", " ")
        where = ", ".join(self.paths) if self.oid is None else f"{self.oid[0]}.{self.oid[1]}"
        if self.stored is not None:
            return f"{what}: {where}: {self.stored} stored, {self.counted} there"
        return f"{what}: {where}" if self.why is None else f"{what}: {where}: {self.why}"


@dataclass(frozen=True)
class CheckReport:
    """What a check found.

    Attributes:
        directories: Directories that have names, the root among them.
        files: Names of files.
        symlinks: Names of symbolic links.
        repaired: How much of what is wrong was repaired.
        findings: What is wrong, in the same order each time.
    """

    directories: int
    files: int
    symlinks: int
    repaired: int
    findings: tuple[Finding, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong, or all was repaired."""
        return self.repaired == len(self.findings)


def with_temporaries(report: CheckReport, paths: Sequence[str], *, removed: bool) -> CheckReport:
    """Return a report that tells of what processes left that died, too."""
    found = tuple(Finding("temporary", None, (path,), None, None, None) for path in paths)
    repaired = report.repaired + (len(found) if removed else 0)
    return replace(report, findings=report.findings + found, repaired=repaired)


def report_of(
    told: tuple[
        int,
        int,
        int,
        int,
        Sequence[tuple[str, tuple[int, int] | None, Sequence[str], tuple[int, int] | None, str | None]],
    ],
) -> CheckReport:
    """Return the report of what the core told."""
    directories, files, symlinks, repaired, findings = told
    found = []
    for kind, oid, paths, counts, why in findings:
        stored, counted = (None, None) if counts is None else counts
        found.append(Finding(kind, oid, tuple(paths), stored, counted, why))
    return CheckReport(directories, files, symlinks, repaired, tuple(found))
