"""Make the table, the verdicts and a plot from the lines of a benchmark's results.

`python -m tools.bench_report [FILE]` reads the newest results without a file. It prints medians; rates are operations
a second. A plot is written beside the results as SVG. Exits with 1 if a target is missed that is not known to be.
"""

from __future__ import annotations

import sys
import tomllib
from collections import defaultdict
from dataclasses import dataclass, field
from math import log2
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, TypeAlias
from xml.sax.saxutils import escape

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parent.parent
TARGETS = ROOT / "benches" / "targets.toml"
OURS = "daos"
BARE = ("raw", "raw_append")
STRAY_SYNCS_MAX = 0.1
"""Syncs a call that are none of a buffered put's: a log that is switched within the short run, or a checkpoint."""

Samples: TypeAlias = "dict[str, dict[str, list[Line]]]"
"""By row, then by system."""


class Line(msgspec.Struct, frozen=True):
    """One run, as its line has it."""

    row: str
    system: str
    repetition: int
    operations: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    facts: dict[str, float] = {}
    syncs_per_call: float | None = None
    error: str = ""
    environment: dict[str, object] = {}

    @property
    def rate(self) -> float:
        """Operations a second."""
        return self.operations / self.seconds


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a row must reach: see the head of `benches/targets.toml`."""

    row: str
    system: str = OURS
    against: list[str] = []
    times_min: float = 0.0
    fact: str = ""
    max: float = 0.0
    than: str = ""
    cost_max: float = 0.0
    known_miss: str = ""


@dataclass(frozen=True)
class Verdict:
    """A target beside what was measured."""

    target: Target
    what: str
    ours: str
    peer: str
    wanted: str
    got: str
    passed: bool

    @property
    def word(self) -> str:
        """Return pass, miss, or that the miss is known."""
        if self.passed:
            return "pass, though a known miss" if self.target.known_miss else "pass"
        return "known miss" if self.target.known_miss else "MISS"


@dataclass
class Run:
    """All lines of a results file."""

    samples: Samples = field(default_factory=dict)
    syncs: list[Line] = field(default_factory=list)
    errors: list[Line] = field(default_factory=list)
    environment: dict[str, object] = field(default_factory=dict)

    @classmethod
    def of(cls, lines: list[Line]) -> Run:
        """Sort lines by what they are."""
        samples: Samples = defaultdict(lambda: defaultdict(list))
        run = cls(samples)
        for line in lines:
            run.environment = line.environment or run.environment
            if line.row.startswith("syncs "):
                run.syncs.append(line)
            elif line.error:
                run.errors.append(line)
            else:
                samples[line.row][line.system].append(line)
        return run

    def rate(self, row: str, system: str) -> float | None:
        """Return the median rate, None if it was not run."""
        return self.rates(row).get(system)

    def rates(self, row: str) -> dict[str, float]:
        """Return the median rate of each system that was run."""
        return {system: median(line.rate for line in lines) for system, lines in self.samples.get(row, {}).items()}

    def fact(self, row: str, system: str, name: str) -> float | None:
        """Return the median of a figure, None if it was not taken."""
        lines = self.samples.get(row, {}).get(system, [])
        if name == "seconds":
            return median(line.seconds / line.operations for line in lines) if lines else None
        if name == "cpu_us":
            return median(line.cpu_seconds / line.operations * 1e6 for line in lines) if lines else None
        found = [line.facts[name] for line in lines if name in line.facts]
        return median(found) if found else None


def number(value: float) -> str:
    """Return a figure with three digits that count, thousands as k and M."""
    for limit, divisor, suffix in ((1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if value >= limit:
            return f"{value / divisor:.3g}{suffix}" if value < 1000 * divisor else f"{value / divisor:.0f}{suffix}"
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"  # noqa: PLR2004 -- three digits


def judge(target: Target, run: Run) -> Verdict | None:
    """Hold a target against the figures; None if what it needs was not run."""
    ours = run.rate(target.row, target.system)
    if ours is None:
        return None
    if target.against:
        return _against_peers(target, run, ours)
    return _against_row(target, run, ours) if target.than else _against_limit(target, run)


def _what(target: Target) -> str:
    """Return a target's name in the table: of what is measured in several ways, which of them too."""
    return target.row if target.system == OURS else f"{target.row}, {target.system}"


def _against_peers(target: Target, run: Run, ours: float) -> Verdict | None:
    rates = {system: run.rate(target.row, system) for system in target.against}
    known = {system: rate for system, rate in rates.items() if rate is not None}
    if len(known) < len(rates):
        return None
    best = max(known, key=lambda system: known[system])
    times = ours / known[best]
    peer, wanted = f"{best} {number(known[best])}/s", f">= {target.times_min:.2f} x"
    return Verdict(
        target, _what(target), f"{number(ours)}/s", peer, wanted, f"{times:.2f} x", times >= target.times_min
    )


def _against_row(target: Target, run: Run, ours: float) -> Verdict | None:
    other = run.rate(target.than, target.system)
    if other is None:
        return None
    cost = other / ours
    peer, wanted = f"{target.than} {number(other)}/s", f"cost <= {target.cost_max:.2f} x"
    return Verdict(target, _what(target), f"{number(ours)}/s", peer, wanted, f"{cost:.2f} x", cost <= target.cost_max)


def _against_limit(target: Target, run: Run) -> Verdict | None:
    value = run.fact(target.row, target.system, target.fact)
    if value is None:
        return None
    what, wanted = f"{_what(target)}: {target.fact}", f"<= {number(target.max)}"
    return Verdict(target, what, number(value), "", wanted, number(value), value <= target.max)


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return aligned columns, the first to the left."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = []
    for row in [head, *rows]:
        cells = [
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def spread(run: Run, row: str) -> str:
    """Return how far apart our slowest and fastest run of a row were, of the median."""
    rates = [line.rate for line in run.samples[row].get(OURS, [])]
    return f"{(max(rates) - min(rates)) / median(rates):.0%}" if rates else ""


def rates_table(run: Run) -> str:
    """Return each row's rates, all systems beside each other, and our rate over the best store's."""
    systems = sorted({system for row in run.samples.values() for system in row}, key=order)
    rows = []
    for row in run.samples:
        rates = {system: run.rate(row, system) for system in systems}
        cells = ["" if rate is None else number(rate) for rate in rates.values()]
        peers = [rate for system, rate in rates.items() if rate is not None and system not in (OURS, *BARE)]
        ours = rates.get(OURS)
        times = f"{ours / max(peers):.2f}" if ours is not None and peers else ""
        rows.append((row, *cells, times, spread(run, row)))
    return table(("operations a second", *systems, "ours/best", "spread"), rows)


def order(system: str) -> tuple[bool, bool, str]:
    """Sort ours first, bare files last."""
    return system != OURS, system in BARE, system


FACTS = (
    ("disk_bytes_per_entry", "disk B/entry"),
    ("write_amplification", "written/given"),
    ("peak_memory_bytes", "peak memory B"),
    ("anonymous_memory_bytes", "own memory B"),
    ("close_s", "close s"),
    ("slowest_1024_puts_s", "slowest 1024 puts s"),
    ("one_by_one", "one by one"),
    ("cpu_us", "CPU us/op"),
)


def facts_table(run: Run) -> str:
    """Return what the fills took of disk and memory."""
    rows = []
    for row, by_system in run.samples.items():
        if not row.startswith("fill"):
            continue
        for system in sorted(by_system, key=order):
            values = [run.fact(row, system, name) for name, _ in FACTS]
            rows.append((f"{row} {system}", *("" if value is None else number(value) for value in values)))
    return table(("fills", *(title for _, title in FACTS)), rows) if rows else ""


def syncs_table(run: Run) -> str:
    """Return syncs per call, all systems beside each other."""
    systems = sorted({line.system for line in run.syncs}, key=order)
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for line in run.syncs:
        found[line.row][line.system] = "not checked" if line.syncs_per_call is None else f"{line.syncs_per_call:.2f}"
    rows = [(row.removeprefix("syncs "), *(by.get(system, "") for system in systems)) for row, by in found.items()]
    return table(("syncs a call", *systems), rows) if rows else ""


def unpaired(run: Run) -> list[str]:
    """Return a line for each system that syncs less than its row says, or more."""
    lines = []
    for line in run.syncs:
        count = line.syncs_per_call
        if count is None:
            continue
        wrong = count < 1 if line.row.endswith(" synced") else count > STRAY_SYNCS_MAX
        if wrong:
            lines.append(f"{line.row}: {line.system} syncs {count:.2f} times a call")
    return lines


def plot(run: Run) -> str:
    """Return an SVG: our rate over the best peer's, a bar a row, on a scale of doublings."""
    rows = []
    for row, by_system in run.samples.items():
        ours = run.rate(row, OURS)
        peers = [run.rate(row, system) for system in by_system if system not in (OURS, *BARE)]
        best = max((rate for rate in peers if rate is not None), default=None)
        if ours is not None and best is not None:
            rows.append((row, ours / best))
    left, middle, unit, step = 270, 470, 100, 20
    height = step * len(rows) + 50
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="800" height="{height}" font-family="sans-serif">',
        "<style>text { font-size: 12px }</style>",
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="10" y="18">daos against the best peer of each row ({OURS} / peer, a line a doubling)</text>',
    ]
    for power in (-2, -1, 0, 1, 2, 3):
        x = middle + power * unit
        parts.append(f'<line x1="{x}" y1="28" x2="{x}" y2="{height - 16}" stroke="#ccc"/>')
        parts.append(f'<text x="{x}" y="{height - 4}" text-anchor="middle">{2.0**power:g}</text>')
    for i, (row, times) in enumerate(rows):
        y = 32 + step * i
        # The ends of the scale, so that one outlier does not squeeze the rest.
        end = middle + max(-2.0, min(3.0, log2(times))) * unit
        colour = "#2a7" if times >= 1 else "#c64"
        parts.append(f'<text x="{left - 10}" y="{y + 12}" text-anchor="end">{escape(row)}</text>')
        parts.append(
            f'<rect x="{min(middle, end):.1f}" y="{y}" width="{abs(end - middle):.1f}" height="14" fill="{colour}"/>'
        )
        parts.append(f'<text x="{max(middle, end) + 4:.1f}" y="{y + 12}">{times:.2f}</text>')
    return "\n".join([*parts, "</svg>", ""])


def read(path: Path) -> Run:
    """Read a results file."""
    return Run.of([msgspec.json.decode(line, type=Line) for line in path.read_bytes().splitlines()])


def targets(path: Path = TARGETS) -> list[Target]:
    """Read the targets."""
    return msgspec.convert(tomllib.loads(path.read_text())["target"], list[Target])


def judgement(run: Run, wanted: list[Target]) -> tuple[str, bool]:
    """Return the targets beside what was measured, and whether none is missed that is not known to be."""
    verdicts = [verdict for target in wanted if (verdict := judge(target, run)) is not None]
    parts = []
    if verdicts:
        rows = [(v.what, v.ours, v.peer, v.got, v.wanted, v.word) for v in verdicts]
        parts.append(table(("targets", "ours", "peer", "got", "wanted", "verdict"), rows))
    parts += [f"{v.what}: {v.word}: {v.target.known_miss}" for v in verdicts if v.target.known_miss]
    misses = sum(v.word == "MISS" for v in verdicts)
    counted = f"{sum(v.passed for v in verdicts)} of {len(verdicts)} targets reached, {misses} missed unexpectedly"
    parts.append(f"{counted}; {len(wanted) - len(verdicts)} not measured")
    return "\n\n".join(parts), not misses


def report(run: Run, wanted: list[Target]) -> tuple[str, bool]:
    """Return all that is printed, and whether the run is as it should be."""
    judged, reached = judgement(run, wanted)
    environment = "\n".join(f"{name}: {value}" for name, value in run.environment.items())
    parts = [environment, rates_table(run), facts_table(run), syncs_table(run)]
    parts += [f"UNPAIRED {line}" for line in unpaired(run)]
    parts += [f"FAILED {line.row}, {line.system}: {line.error}" for line in run.errors]
    parts.append(judged)
    return "\n\n".join(part for part in parts if part), reached and not run.errors and not unpaired(run)


def main(arguments: list[str]) -> int:
    """Report on a file of results."""
    paths = [Path(argument) for argument in arguments] or sorted((ROOT / "benches" / "results").glob("*.ndjson"))
    if not paths:
        print("no results yet: make bench", file=sys.stderr)
        return 2
    run = read(paths[-1])
    text, good = report(run, targets())
    print(text)
    picture = paths[-1].with_suffix(".svg")
    picture.write_text(plot(run))
    print(f"results: {paths[-1]}\nplot: {picture}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
