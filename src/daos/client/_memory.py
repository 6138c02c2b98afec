"""How much memory this process may use, and what of it a page cache takes unless told otherwise."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

CACHE_MIN = 1 << 20
"""Bytes of the smallest page cache that can be asked for."""
SHARE = 8
"""Of the memory, a page cache takes this part by default ..."""
DEFAULT_MIN = 64 << 20
"""... but no less than so many bytes ..."""
DEFAULT_MAX = 4 << 30
"""... and no more than so many."""


def default_cache() -> int:
    """Return the bytes of a page cache that nobody asked for: an eighth of the memory, from 64 MiB to 4 GiB."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return cache_of(min([machine, *group_limits(_read)]))


def cache_of(memory: int) -> int:
    """Return the default for so much memory."""
    return min(max(memory // SHARE, DEFAULT_MIN), DEFAULT_MAX)


def group_limits(read: Callable[[str], str]) -> list[int]:
    """Return the limits of the control groups that this process is in, as the kernel tells them; none without any.

    Args:
        read: Returns the text of a file; empty where it cannot be read.
    """
    limits = []
    for line in read("/proc/self/cgroup").splitlines():
        match = re.fullmatch(r"\d+:([^:]*):(/.*)", line)
        if match is None or match[1] not in ("", "memory"):
            continue
        top, name = ("/sys/fs/cgroup", "memory.max")
        if match[1]:
            top, name = ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        path = Path(top + match[2])
        # A group has no more than those it lies in.
        for group in (path, *path.parents):
            if not group.is_relative_to(top):
                break
            text = read(str(group / name)).strip()
            if text.isdecimal():
                limits.append(int(text))
    return limits


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""
