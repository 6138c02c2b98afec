"""Where the library is that programs are run with, and how they are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from daos.errors import DER, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LIBRARY", "environment_with", "library"]

LIBRARY = Path(__file__).parent.parent / "lib" / "libdaos_il.so"
"""Part of the package."""
_PRELOAD = "LD_PRELOAD"


def library(path: Path = LIBRARY) -> Path:
    """Return where the library is.

    Raises:
        NotFoundError: `DER.NONEXIST`: this package was built without it.
    """
    if path.is_file():
        return path
    raise NotFoundError(
        f"there is no {path}", code=DER.NONEXIST, hint="make build builds it; wheels for Linux with glibc have it"
    )


def environment_with(
    env: Mapping[str, str], path: Path, *, report: bool = False, everything: bool = False
) -> dict[str, str]:
    """Return an environment in which programs find the library first, and then what is preloaded already."""
    others = [name for name in env.get(_PRELOAD, "").replace(" ", ":").split(":") if name and name != str(path)]
    made = {**env, _PRELOAD: ":".join([str(path), *others])}
    if report:
        made["D_IL_REPORT"] = "1"
    if everything:
        made["D_IL_NO_BYPASS"] = "1"
    return made
