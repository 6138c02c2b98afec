"""Names for the time being: of what gets its own when it is whole."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daos.dfs._dfs import DFS
    from daos.dfs._entries import DirEntry

__all__ = ["LEFT_S", "is_left", "is_temporary", "left_below", "temporary"]

LEFT_S = 24 * 3600
"""What did not change for so long is what a process left that died: who writes a file changes it all the time."""
_NAME_BYTES = 200
"""Of a name, in that of what is to get it."""
_NAME = re.compile(r"\..+\.daos-[0-9a-f]{16}\Z|\.daos-copy-[0-9a-f]{16}\Z", re.DOTALL)


def temporary(path: str) -> str:
    """Return a name in the same directory that nobody has."""
    above, _, name = path.rpartition("/")
    kept = os.fsdecode(os.fsencode(name)[:_NAME_BYTES])
    return f"{above}/.{kept}.daos-{secrets.token_hex(8)}"


def is_temporary(name: str) -> bool:
    """Tell whether a name is one that `temporary` returns, or that a copy gives for the time being."""
    return _NAME.match(name) is not None


def is_left(name: str, changed_s: float, now_s: float) -> bool:
    """Tell whether something is what a process left that died."""
    return is_temporary(name) and now_s - changed_s >= LEFT_S


def left_below(dfs: DFS, top: str, now_s: float) -> Iterator[str]:
    """Yield the paths of what processes left that died, in a directory and all below it; nothing below these."""
    left = [top]
    while left:
        # What goes meanwhile, or is damaged, is the business of others.
        with contextlib.suppress(OSError):
            for entry in dfs.scandir(left.pop()):
                with contextlib.suppress(OSError):
                    is_directory = entry.is_dir(follow_symlinks=False)
                    changed_s = _changed_s(entry)
                    if is_left(entry.name, changed_s, now_s) and not (
                        is_directory and _changes_below(dfs, entry.path, now_s)
                    ):
                        yield entry.path
                    elif is_directory:
                        left.append(entry.path)


def _changed_s(entry: DirEntry) -> float:
    # A copy gives what it has written the time of its source: that of the record is its own.
    known = entry.stat(follow_symlinks=False)
    return max(known.st_mtime, known.st_ctime)


def _changes_below(dfs: DFS, top: str, now_s: float) -> bool:
    """Tell whether anything below a directory changed lately: the directory does not, while files in it are written."""
    left = [top]
    while left:
        for entry in dfs.scandir(left.pop()):
            if now_s - _changed_s(entry) < LEFT_S:
                return True
            if entry.is_dir(follow_symlinks=False):
                left.append(entry.path)
    return False
