"""Paths of universal-pathlib: `UPath("daos://tank/home/x.csv")`.

Found by entry point. What they do goes through `daos.dfs.fsspec`; here is only how they are written.
"""

from __future__ import annotations

from typing import cast

from upath import UPath

from daos.dfs._fsspec_files import url_of
from daos.dfs._mount import Address

__all__ = ["DaosPath"]


class DaosPath(UPath):
    """A path in the file system of a container, which knows its system, pool and container."""

    __slots__ = ()

    def __str__(self) -> str:
        if self._relative_base is not None:
            return super().__str__()
        given = self.storage_options
        named = (cast("str | None", given.get(name)) or "" for name in ("pool", "container", "system"))
        pool, container, system = named
        return url_of(Address(pool, container, self.path, system, cast("str | None", given.get("snapshot"))))

    @property
    def drive(self) -> str:
        """Nothing: all of a path begins at the root of its file system."""
        return ""

    @property
    def root(self) -> str:
        """The root, of what is no relative path."""
        return "" if self._relative_base is not None else "/"
