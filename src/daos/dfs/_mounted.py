"""A file system that is mounted in this process: how it comes to be, and how it ends."""

from __future__ import annotations

import contextlib
import errno
import os
import stat as stats
import time
import weakref
from typing import TYPE_CHECKING, Literal, cast

from daos import _core
from daos.client._posix import make_file_system
from daos.client._within import within
from daos.client.system import _DURABILITY
from daos.dfs._entries import fspath
from daos.dfs._report import CheckReport, Mode, report_of, with_temporaries
from daos.dfs._temporary import left_below
from daos.dfs.errors import FileClosedError
from daos.errors import DaosError, InvalidError
from daos.model.posix import Posix
from daos.model.sizes import parse_size

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from daos import Container
    from daos.client.system import Durability
    from daos.dfs._dfs import DFS
    from daos.dfs._entries import StrPath
    from daos.dfs._path import Path

__all__ = ["UMASK", "Mounted"]

BLOCK = 4096
"""Bytes of a block, as `statvfs` counts them."""
NAME_MAX = 255
UMASK = 0o022
"""Permissions that are taken from what is made, unless a mount is told otherwise."""
_FORGOTTEN_S = 5.0
"""How long unmounting may take where nobody did it: at the end of a program, or when it is collected."""

_mounted: weakref.WeakValueDictionary[int, Mounted] = weakref.WeakValueDictionary()
"""All of them, by `id`: two of one container are equal."""


def _at_fork() -> None:
    """Have a child mount anew what it uses: the ids of what it makes are not those of its parent."""
    for dfs in list(_mounted.values()):
        dfs._forked()  # noqa: SLF001 -- one class in two


os.register_at_fork(after_in_child=_at_fork)


class Mounted:
    """What `DFS` is, beside its calls."""

    def __init__(
        self,
        container: Container,
        *,
        read_only: bool = False,
        durability: Durability = "buffered",
        umask: int = UMASK,
        owns_pool: bool = False,
    ) -> None:
        if container.layout != "POSIX":
            raise InvalidError(
                f"container {container.label} is of type {container.layout}: it holds no file system",
                hint='make one with type="POSIX"',
            )
        if durability not in _DURABILITY:
            raise InvalidError(f"durability cannot be {durability!r}", hint='one of "synced", "interval", "buffered"')
        self._container = container
        self._read_only = read_only
        self._durability = durability
        self._umask = umask & 0o777
        self._owns_pool = owns_pool
        self._closed = False
        self._old: list[_core.Dfs] = []
        self._device = int(container.uuid[:8], 16)
        self._core: _core.Dfs | None = self._mount()
        self._finish: weakref.finalize[[_core.Dfs], Mounted] = weakref.finalize(self, _umount, self._core)
        _mounted[id(self)] = self

    def _mount(self) -> _core.Dfs:
        container = cast("_core.Container", self._container._core)  # noqa: SLF001 -- one class in two
        system = cast("_core.Embedded", self._container.pool.system._core)  # noqa: SLF001 -- one class in two

        def mount() -> _core.Dfs:
            return _core.Dfs.mount(
                container,
                system=system,
                read_only=self._read_only,
                durability=_DURABILITY[self._durability],
                uid=os.geteuid(),
                gid=os.getegid(),
                groups=os.getgroups(),
            )

        try:
            return mount()
        except OSError as error:
            if error.errno != errno.EINVAL or isinstance(error, DaosError):
                raise
            if self._read_only or self._container.as_of is not None:
                error.add_note("whoever made the container died before its file system was there: mount it for writing")
                raise
        # Whoever made the container died in between. How it was to be made is kept with it.
        with contextlib.suppress(FileExistsError):
            make_file_system(self._container._core, Posix.decode(self._container.properties.get("dfs")))  # noqa: SLF001
        return mount()

    def _forked(self) -> None:
        if self._core is not None:
            # Kept: what its parent has open must not be closed here.
            self._old.append(self._core)
            self._finish.detach()
            self._core = None

    def _is_inherited(self, file: _core.DfsFile) -> bool:
        """Tell whether an open file is the parent's."""
        return bool(self._old) and file.pid != os.getpid()

    @property
    def _fs(self) -> _core.Dfs:
        core = self._core
        if core is not None:
            return core
        if self._closed:
            raise FileClosedError("the file system is unmounted", hint="mount it again").about(
                errno.ESHUTDOWN, None, None
            )
        core = self._core = self._mount()
        self._finish = weakref.finalize(self, _umount, core)
        return core

    # --- the mount

    @property
    def container(self) -> Container:
        """The container it is in."""
        return self._container

    @property
    def read_only(self) -> bool:
        """Whether nothing can be changed."""
        return self._fs.read_only

    @property
    def closed(self) -> bool:
        """Whether it was unmounted."""
        return self._closed

    @property
    def layout_version(self) -> int:
        """The version of its layout: 3, or 4 from the first hard link on."""
        return self._fs.layout_version

    def made_as(self) -> Posix:
        """Return how it was made; of whose its root directory is, ask `stat`."""
        chunk_size, oclass, dir_oclass, file_oclass, balanced, hints = self._fs.made_as()
        return Posix(
            chunk_size=chunk_size,
            oclass=oclass,
            dir_oclass=dir_oclass,
            file_oclass=file_oclass,
            mode="balanced" if balanced else "relaxed",
            hints=hints,
        )

    def close(self) -> None:
        """Unmount it: times that were in memory are stored, and all is durable; closing again is no error."""
        core, self._core, closed, self._closed = self._core, None, self._closed, True
        if core is not None and not closed:
            self._finish.detach()
            try:
                core.umount()
            finally:
                if self._owns_pool:
                    self._container.pool.close()

    umount = close

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[object, ...]:
        return _unpickled, (
            type(self),
            self._container,
            self._read_only,
            self._durability,
            self._umask,
            self._owns_pool,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mounted):
            return NotImplemented
        mine, others = self._container, other._container
        return (mine.uuid, mine.as_of) == (others.uuid, others.as_of)

    def __hash__(self) -> int:
        return hash((self._container.uuid, self._container.as_of))

    def __repr__(self) -> str:
        state = " [unmounted]" if self._closed else ""
        return f"<daos.dfs.DFS of {self._container!r}{state}>"

    def path(self, *parts: StrPath) -> Path:
        """Return a path object of this file system; its root without parts."""
        from daos.dfs._path import Path

        return Path(cast("DFS", self), *parts)

    def sync(self) -> None:
        """Make durable all that this mount did, and the times that it keeps in memory."""
        self._fs.sync()

    def statvfs(self) -> os.statvfs_result:
        """Return how much room the pool has, which all that is in it shares."""
        pool = self._container.pool
        if pool.system.served:
            # Of a running system, the pool's service tells its users; the system's own room is not theirs to know.
            size, name_max, tiers = BLOCK, NAME_MAX, pool.info().tiers
            blocks, free = sum(tier.total for tier in tiers) // BLOCK, sum(tier.free for tier in tiers) // BLOCK
        else:
            size, blocks, free, name_max = self._fs.statfs()
        flags = os.ST_RDONLY if self.read_only else 0
        return os.statvfs_result((size, size, blocks, free, free, 0, 0, 0, flags, name_max))

    def check(self, mode: Mode = "print", name: str | None = None) -> CheckReport:
        """Look at all of it for what crashes can leave.

        Args:
            mode: `print` tells what is wrong; `remove` repairs it, and removes what has no name; `relink` gives that a
                name under `/lost+found`. Both remove what has a name for the time being, and did not change for a day.
                Nobody else may have it mounted for them.
            name: Of the directory there; by default after the time.

        Raises:
            InvalidError: `DER.INVAL`: no such mode.
            OSError: `EROFS`: a repair of what is mounted read-only.
        """
        modes = ("print", "remove", "relink")
        if mode not in modes:
            raise InvalidError(f"mode cannot be {mode!r}", hint=f"one of {', '.join(modes)}")
        report = report_of(self._fs.check(modes.index(mode), name))
        dfs = cast("DFS", self)
        left = sorted(left_below(dfs, "/", time.time()))
        if mode != "print":
            for path in left:
                # Its maker lives, and it has its name by now.
                with contextlib.suppress(FileNotFoundError):
                    dfs.rmtree(path)
        return with_temporaries(report, left, removed=mode != "print")

    def fix_entry(
        self, path: StrPath, *, chunk_size: int | str | None = None, kind: bool = False
    ) -> Literal["directory", "file", "symbolic link"]:
        """Repair the record of an entry that cannot be used: what a check would remove. Nobody else may mount it.

        Args:
            path: Of the entry; a symbolic link at its end is not followed.
            chunk_size: The size of chunks that it is to have. A file's bytes are found by it: a wrong one hides them.
            kind: Whether its kind is to be that of its object.

        Returns:
            What it is.

        Raises:
            OSError: `ENOENT`: there is none; `EIO`: it is damaged in another way, too; nothing was changed.
            InvalidError: `DER.INVAL`: nothing is to be repaired; a size that is none.
        """
        if chunk_size is None and not kind:
            raise InvalidError("nothing to repair", hint="give chunk_size, kind, or both")
        size = None if chunk_size is None else parse_size(chunk_size, "chunk_size")
        mode = self._fs.fix_entry(fspath(path), size, kind)
        return "directory" if stats.S_ISDIR(mode) else "symbolic link" if stats.S_ISLNK(mode) else "file"


def _umount(core: _core.Dfs) -> None:
    """Unmount what nobody did: nobody is told what failed, and a program that ends does not wait long for it."""
    with contextlib.suppress(Exception), within(_FORGOTTEN_S):
        core.umount()


def _unpickled(
    kind: type[Mounted],
    container: Container,
    read_only: bool,  # noqa: FBT001 -- a pickle has no keywords
    durability: Durability,
    umask: int,
    owns_pool: bool,  # noqa: FBT001
) -> Mounted:
    return kind(container, read_only=read_only, durability=durability, umask=umask, owns_pool=owns_pool)
