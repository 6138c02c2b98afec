"""Scrubbing of a pool: its properties, and what there is to tell.

Source: DAOS's public administration guide, on pool properties; `docs/internals/scrub.md`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from daos.model.properties import Property

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FOUND_MAX = 64
"""Corruptions that are told one by one."""
MODES = ("off", "lazy", "timed")
"""The words of `scrub`, at DAOS's numbers."""

SCRUB_PROPERTIES = {
    prop.name: prop
    for prop in (
        Property("scrub", "Checksum scrubbing mode", "off", MODES),
        Property("scrub_freq", "Checksum scrubbing frequency", 604_800, low=0, high=2**32 - 1),
        Property("scrub_thresh", "Checksum scrubbing threshold", 0, low=0, high=2**32 - 1),
    )
}


def scrub_settings(properties: Mapping[str, str | int]) -> tuple[int, int, int]:
    """Return what all properties of a pool say of scrubbing: the number of its mode, frequency, threshold."""
    mode, freq, thresh = (properties[name] for name in SCRUB_PROPERTIES)
    return MODES.index(str(mode)), int(freq), int(thresh)


@dataclass(frozen=True)
class ScrubStatus:
    """How a pool is scrubbed and what was found. Returned by `Pool.scrub_status`.

    Attributes:
        mode: `off`, `lazy` (while nobody works) or `timed` (evenly).
        freq: Seconds from the begin of a pass to the begin of the next.
        thresh: Corruptions from which on `over_threshold` is true; 0 for never.
        running: A pass is under way.
        passes: Complete passes.
        bytes: What the pass under way, or else the last one, has read.
        corruptions: How many the last complete pass and the one under way found.
        found: The first 64 of them: container, object, key and epoch, or the page of an index.
        last_pass: When the last pass ended, in UTC; None before the first.
        next_pass: When the next begins, at once if that has passed; None where none will, or one is under way.
    """

    mode: str
    freq: int
    thresh: int
    running: bool
    passes: int
    bytes: int
    corruptions: int
    found: tuple[str, ...]
    last_pass: datetime | None
    next_pass: datetime | None

    @property
    def over_threshold(self) -> bool:
        """Whether as many corruptions were found as `thresh` says."""
        return 0 < self.thresh <= self.corruptions


def scrub_status(
    settings: tuple[int, int, int], found: tuple[bool, int, int, int, Sequence[str], int | None, int | None]
) -> ScrubStatus:
    """Return the status that the core tells."""
    mode, freq, thresh = settings
    running, passes, read, corruptions, told, ended, following = found
    return ScrubStatus(
        MODES[mode], freq, thresh, running, passes, read, corruptions, tuple(told), _time(ended), _time(following)
    )


def _time(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
