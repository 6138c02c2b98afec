"""What this build is."""

from __future__ import annotations

from dataclasses import dataclass

from daos import _core


@dataclass(frozen=True)
class BuildInfo:
    """What the native core was built as.

    Attributes:
        version: The version of package and core; they are always equal.
        target: Architecture and operating system, `x86_64-linux`.
        debug: Whether it was built without optimisation, for developers.
    """

    version: str
    target: str
    debug: bool


def build_info() -> BuildInfo:
    """Return what the native core was built as."""
    facts = dict(_core.build_info())
    return BuildInfo(version=facts["version"], target=facts["target"], debug=facts["debug"] == "true")


__version__ = build_info().version
